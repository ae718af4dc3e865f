//! What is done about attempts to instruct the model: `[screen]`.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use crate::codes::Code;
use crate::config::Reader;
use crate::diagnostic::Severity;
use crate::keys::{self, Key};
use crate::shape::{Count, Fault};
use crate::text::Name;
use crate::value::shown;

/// What is done about attempts to instruct the model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Screen {
    /// Where nothing else is set.
    pub mode: ScreenMode,
    /// Communities with a mode of their own, by short name.
    pub communities: BTreeMap<Name, ScreenMode>,
    /// For questions.
    pub question: ScreenThresholds,
    /// For passages and results of tools.
    pub document: ScreenThresholds,
    /// What is done about secrets in questions.
    pub secrets: SecretMode,
}

/// Thresholds that are set, in thousandths of a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScreenThresholds {
    /// Suspicious from here on.
    pub flag: Option<NonZeroU32>,
    /// Refused or withheld from here on.
    pub block: Option<NonZeroU32>,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScreenMode {
    /// Nothing is looked at.
    Off,
    /// It is told to the operator.
    Observe,
    /// The answer is judged as a whole, too.
    Flag,
    /// The question is refused, the passage withheld.
    Block,
}

impl ScreenMode {
    pub(crate) const WORDS: &[(&str, Self)] =
        &[("off", Self::Off), ("observe", Self::Observe), ("flag", Self::Flag), ("block", Self::Block)];
}

/// What is done about secrets in questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretMode {
    /// They are not looked for.
    Off,
    /// It is told to the operator that there was one.
    Observe,
    /// The question is refused.
    Block,
}

impl SecretMode {
    pub(crate) const WORDS: &[(&str, Self)] =
        &[("off", Self::Off), ("observe", Self::Observe), ("block", Self::Block)];
}

pub(crate) fn read(r: &mut Reader<'_>) -> Option<Screen> {
    let mode = r.required(&keys::SCREEN_MODE);
    let lists = [
        (&keys::SCREEN_OFF, ScreenMode::Off),
        (&keys::SCREEN_OBSERVE, ScreenMode::Observe),
        (&keys::SCREEN_FLAG, ScreenMode::Flag),
        (&keys::SCREEN_BLOCK, ScreenMode::Block),
    ];
    let lists = lists.map(|(key, mode)| r.required(key).map(|slugs| (key.name, mode, slugs)));
    let question = thresholds(r, &keys::SCREEN_QUESTION_FLAG, &keys::SCREEN_QUESTION_BLOCK);
    let document = thresholds(r, &keys::SCREEN_DOCUMENT_FLAG, &keys::SCREEN_DOCUMENT_BLOCK);
    let secrets = r.required(&keys::SCREEN_SECRETS);
    let mut communities = BTreeMap::new();
    for (key, mode, slugs) in lists.into_iter().flatten() {
        for slug in slugs {
            let found = shown(slug.as_str());
            if communities.insert(slug, mode).is_some_and(|other| other != mode) {
                let fault = Fault::new(
                    Code::Excluded,
                    "must not name a community that another list of `[screen]` names",
                )
                .found(found)
                .help("leave it in one of `off`, `observe`, `flag` and `block`");
                r.report(key, fault, Severity::Error);
            }
        }
    }
    Some(Screen { mode: mode?, communities, question: question?, document: document?, secrets: secrets? })
}

fn thresholds(r: &mut Reader<'_>, flag: &Key<Count>, block: &Key<Count>) -> Option<ScreenThresholds> {
    let (flag_value, block_value) = (r.optional(flag)?, r.optional(block)?);
    if let (Some(lower), Some(upper)) = (flag_value, block_value)
        && lower > upper
    {
        let fault = Fault::new(Code::OutOfRange, format!("must be at least `{}` ({lower})", flag.name))
            .found(upper.to_string())
            .help("what is blocked is suspicious too");
        r.report(block.name, fault, Severity::Error);
    }
    Some(ScreenThresholds { flag: flag_value, block: block_value })
}
