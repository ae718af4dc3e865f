//! What is done about questions that a person should see, from the configuration to the guards.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use portcullis_config::{Config, HandoverReason};
use portcullis_guard::{Handing, HandoverMode};
use portcullis_screen::risk::{Own, Risk};

pub(crate) fn settings(config: &Config) -> Result<Handing> {
    let handover = &config.handover;
    let own = Own::read(handover.phrases.iter().map(|(reason, phrase)| (risk(*reason), phrase.as_str())));
    let except: Vec<Risk> = handover.except.iter().map(|reason| risk(*reason)).collect();
    let count = |number: std::num::NonZeroU32| usize::try_from(number.get()).unwrap_or(usize::MAX);
    let text = |text: &portcullis_config::SystemText| text.as_str().to_owned();
    let defaults = Handing::default();
    Ok(Handing {
        mode: mode(handover.mode),
        communities: handover
            .communities
            .iter()
            .map(|(slug, own)| (slug.as_str().to_owned(), mode(*own)))
            .collect(),
        kinds: Risk::ALL.into_iter().filter(|risk| !except.contains(risk)).collect(),
        own: Arc::new(own.context("a phrase of `[handover]` cannot be used")?),
        keep: handover.keep,
        open: count(handover.most_open),
        of_one: count(handover.most_of_one),
        help: handover.help.as_ref().map_or(defaults.help, text),
        contact: handover.contact.as_ref().map(text),
    })
}

const fn risk(reason: HandoverReason) -> Risk {
    match reason {
        HandoverReason::SelfHarm => Risk::SelfHarm,
        HandoverReason::LegalThreat => Risk::LegalThreat,
        HandoverReason::PrivateData => Risk::PrivateData,
        HandoverReason::Other => Risk::Other,
    }
}

const fn mode(configured: portcullis_config::HandoverMode) -> HandoverMode {
    match configured {
        portcullis_config::HandoverMode::Off => HandoverMode::Off,
        portcullis_config::HandoverMode::Observe => HandoverMode::Observe,
        portcullis_config::HandoverMode::HandOver => HandoverMode::HandOver,
    }
}
