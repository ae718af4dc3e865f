//! Questions that a person should see and not a model: where it is set what is done about them, and what their askers are
//! told.
//!
//! What a question is about is judged by `portcullis-screen`, by words; the guard is `guards/hand_over.rs`. What an asker is
//! told never holds a word of what was found.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use portcullis_core::CommunityId;
use portcullis_screen::risk::{Own, Risk};
use portcullis_store::{CommunityRef, KeptSince, Room};

use crate::approving::record_expired;
use crate::gate::Gate;
use crate::refusal::{Refusal, causes};

/// What is done about a question that a person should see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HandoverMode {
    /// Nothing is looked at.
    Off,
    /// It is a security event, and the model is asked all the same.
    Observe,
    /// The moderators' queue gets it, its asker is told, and the model is not asked.
    #[default]
    HandOver,
}

/// How questions are handed over.
#[derive(Debug, Clone)]
pub struct Handing {
    /// Where nothing else is set.
    pub mode: HandoverMode,
    /// Communities with a mode of their own, by short name.
    pub communities: BTreeMap<String, HandoverMode>,
    /// What is looked for.
    pub kinds: Vec<Risk>,
    /// Phrases of the operator's own.
    pub own: Arc<Own>,
    /// How long an entry of the queue is kept.
    pub keep: Duration,
    /// How many entries of a community may be open.
    pub open: usize,
    /// How many of them may be of one asker.
    pub of_one: usize,
    /// What somebody is told who may harm themselves: whom to call.
    pub help: String,
    /// What everybody is told whose question was handed over: how to reach a person.
    pub contact: Option<String>,
}

/// What somebody is told who may harm themselves, where nothing else is set.
pub const HELP: &str = "If you might act on this now, please call your local emergency number, or go to somebody near you. You \
    do not have to get through this alone.";

impl Default for Handing {
    fn default() -> Self {
        Self {
            mode: HandoverMode::default(),
            communities: BTreeMap::new(),
            kinds: Risk::ALL.to_vec(),
            own: Arc::default(),
            keep: Duration::from_secs(90 * 86_400),
            open: 500,
            of_one: 20,
            help: HELP.to_owned(),
            contact: None,
        }
    }
}

/// What became of a question that was handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The moderators' queue has it.
    Queued,
    /// The asker has as many open ones as one may have; this one was not added.
    Enough,
    /// The queue is full.
    Full,
    /// The queue could not be written.
    Failed,
}

impl Fate {
    /// The name in the audit and in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Enough => "enough",
            Self::Full => "full",
            Self::Failed => "failed",
        }
    }
}

impl Handing {
    /// What there is room for in a queue at that moment.
    pub(crate) fn room(&self, now: Timestamp) -> Room {
        Room { open: self.open, of_one: self.of_one, since: self.since(now) }
    }

    fn since(&self, now: Timestamp) -> Timestamp {
        now.checked_sub(self.keep).unwrap_or(Timestamp::MIN)
    }

    /// What the asker is told.
    pub(crate) fn words(&self, risk: Risk, fate: Fate) -> String {
        let opening = match risk {
            Risk::SelfHarm => "Thank you for writing this. It is too important for an assistant to answer.",
            Risk::LegalThreat => "This is for people to answer, and not for an assistant.",
            Risk::PrivateData => {
                "This asks for what may be private to somebody, so the assistant does not answer it."
            }
            Risk::Other => "This is for people to answer, and not for an assistant.",
        };
        let fate = match fate {
            Fate::Queued => "It was handed to the moderators of this community, who can read it.",
            Fate::Enough => {
                "The moderators of this community have earlier messages of yours, which they read first; this one was not added."
            }
            Fate::Full | Fate::Failed => {
                "It could not be handed to the moderators just now, so please reach one of them yourself."
            }
        };
        let help = (risk == Risk::SelfHarm).then_some(self.help.as_str());
        let lines = [Some(opening), help, Some(fate), self.contact.as_deref()];
        lines.into_iter().flatten().filter(|line| !line.trim().is_empty()).collect::<Vec<_>>().join("\n\n")
    }
}

impl Gate {
    /// What is done about questions for a person in that community.
    pub(crate) async fn handover_mode(&self, community: CommunityId) -> Result<HandoverMode, Refusal> {
        let handing = &self.parts.handing;
        if handing.communities.is_empty() {
            return Ok(handing.mode);
        }
        let found = self.parts.stores.directory.find(CommunityRef::Id(community)).await?;
        let own = found.and_then(|community| handing.communities.get(&community.slug).copied());
        Ok(own.unwrap_or(handing.mode))
    }

    /// The moment before which nothing in a queue counts any more.
    pub fn handovers_since(&self) -> Timestamp {
        self.parts.handing.since(self.clock().now())
    }

    /// Removes what is kept for a time and no longer, in every community, and records the calls among it that still waited. A
    /// community that fails is told in the log, and left for the next time.
    pub async fn remove_due(&self) {
        let since = KeptSince { handovers: self.handovers_since(), approvals: self.approvals_since() };
        let failed = |error: &dyn std::error::Error| {
            tracing::error!(error = %causes(error), "what is kept no longer could not be removed");
        };
        let communities = match self.parts.stores.directory.list().await {
            Ok(communities) => communities,
            Err(error) => return failed(&error),
        };
        for community in communities {
            let (directory, journal) = (Arc::clone(&self.parts.stores.directory), Arc::clone(self.journal()));
            let removing = self.see_through(async move {
                let removed = directory.remove_due(community.id, since).await?;
                record_expired(&journal, community.id, removed.waited).await
            });
            if let Err(refusal) = removing.await {
                failed(&refusal);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_told_what_became_of_it_and_help_goes_to_who_may_need_it() {
        let handing = Handing {
            help: "Call the lighthouse.".to_owned(),
            contact: Some("Write to the keeper.".to_owned()),
            ..Handing::default()
        };
        for risk in Risk::ALL {
            for fate in [Fate::Queued, Fate::Enough, Fate::Full, Fate::Failed] {
                let words = handing.words(risk, fate);
                assert_eq!(words.contains("Call the lighthouse."), risk == Risk::SelfHarm, "{words}");
                assert!(words.ends_with("Write to the keeper."), "{words}");
                assert_eq!(words.contains("was handed to the moderators"), fate == Fate::Queued, "{words}");
            }
        }
    }
}
