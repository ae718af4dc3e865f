//! What may leave, from the configuration to the guards.

use std::collections::BTreeSet;

use portcullis_chat::{Action, JudgedWhole, Kind, Policy, Release};
use portcullis_config::{Config, LeakAction, PersonalKind, ReleaseMode};

pub(crate) fn settings(config: &Config) -> Release {
    let release = &config.release;
    let except: BTreeSet<Kind> = release.personal_data_except.iter().map(|kind| kind_of(*kind)).collect();
    let kinds: BTreeSet<Kind> = Kind::ALL.into_iter().filter(|kind| !except.contains(kind)).collect();
    let own = &release.own_request;
    Release {
        ours: Policy {
            canary: Action::Stop,
            system_text: action(release.system_text),
            secrets: action(release.secrets),
            personal: action(release.personal_data),
            kinds: kinds.clone(),
            links: action(release.links),
        },
        callers: Policy {
            canary: Action::Off,
            system_text: action(own.system_text),
            secrets: action(own.secrets),
            personal: action(own.personal_data),
            kinds,
            links: action(own.links),
        },
        hosts: std::iter::once(config.public_url.url().host().to_string())
            .chain(release.hosts.iter().map(ToString::to_string))
            .collect(),
        quote_content: release.quote_content,
        whole: match release.mode {
            ReleaseMode::Whole => JudgedWhole::All,
            ReleaseMode::Stream => {
                JudgedWhole::Of(release.whole.iter().map(|slug| slug.as_str().to_owned()).collect())
            }
        },
    }
}

const fn action(configured: LeakAction) -> Action {
    match configured {
        LeakAction::Off => Action::Off,
        LeakAction::Observe => Action::Observe,
        LeakAction::Redact => Action::Redact,
        LeakAction::Stop => Action::Stop,
    }
}

const fn kind_of(configured: PersonalKind) -> Kind {
    match configured {
        PersonalKind::Email => Kind::Email,
        PersonalKind::Phone => Kind::Phone,
        PersonalKind::Card => Kind::Card,
        PersonalKind::Iban => Kind::Iban,
        PersonalKind::Ssn => Kind::Ssn,
    }
}
