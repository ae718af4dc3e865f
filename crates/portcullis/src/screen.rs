//! What is done about attempts to instruct the model, from the configuration to the guards.

use portcullis_config::{Config, ScreenMode, ScreenThresholds};
use portcullis_guard::{Custom, Mode, Screening, SecretMode};

pub(crate) fn settings(config: &Config) -> Screening {
    let screen = &config.screen;
    let communities = screen.communities.iter();
    Screening {
        mode: mode(screen.mode),
        communities: communities.map(|(slug, own)| (slug.as_str().to_owned(), mode(*own))).collect(),
        question: custom(screen.question),
        document: custom(screen.document),
        secrets: match screen.secrets {
            portcullis_config::SecretMode::Off => SecretMode::Off,
            portcullis_config::SecretMode::Observe => SecretMode::Observe,
            portcullis_config::SecretMode::Block => SecretMode::Block,
        },
    }
}

pub(crate) fn custom(thresholds: ScreenThresholds) -> Custom {
    #[expect(clippy::cast_precision_loss, reason = "at most 1,000")]
    let score = |thousandths: std::num::NonZeroU32| thousandths.get() as f32 / 1_000.0;
    Custom { flag: thresholds.flag.map(score), block: thresholds.block.map(score) }
}

const fn mode(configured: ScreenMode) -> Mode {
    match configured {
        ScreenMode::Off => Mode::Off,
        ScreenMode::Observe => Mode::Observe,
        ScreenMode::Flag => Mode::Flag,
        ScreenMode::Block => Mode::Block,
    }
}
