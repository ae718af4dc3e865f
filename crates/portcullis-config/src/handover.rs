//! What is done about questions that a person should see: `[handover]`.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::codes::Code;
use crate::config::Reader;
use crate::diagnostic::Severity;
use crate::keys;
use crate::shape::{Fault, Shape, list, show_list};
use crate::text::{Name, SystemText};
use crate::value::{Value, shown};

/// What is done about questions that a person should see.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Handover {
    /// Where nothing else is set.
    pub mode: HandoverMode,
    /// Communities with a mode of their own, by short name.
    pub communities: BTreeMap<Name, HandoverMode>,
    /// The reasons that are not looked for.
    pub except: Vec<HandoverReason>,
    /// Phrases of the operator's own, beside those that ship.
    pub phrases: Vec<(HandoverReason, String)>,
    /// What somebody is told who may harm themselves: whom to call.
    pub help: Option<SystemText>,
    /// What everybody is told: how to reach a person.
    pub contact: Option<SystemText>,
    /// How long an entry of the queue is kept.
    pub keep: Duration,
    /// How many entries of a community may be open.
    pub most_open: NonZeroU32,
    /// How many of them may be of one asker.
    pub most_of_one: NonZeroU32,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandoverMode {
    /// Nothing is looked at.
    Off,
    /// It is told to the operator.
    Observe,
    /// A person gets it, and the model is not asked.
    HandOver,
}

impl HandoverMode {
    pub(crate) const WORDS: &[(&str, Self)] =
        &[("off", Self::Off), ("observe", Self::Observe), ("hand-over", Self::HandOver)];
}

/// Why a person should see a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HandoverReason {
    /// Somebody may harm themselves.
    SelfHarm,
    /// Somebody threatens with the law.
    LegalThreat,
    /// Somebody asks for what is private to others.
    PrivateData,
    /// Something that only the operator's phrases name.
    Other,
}

impl HandoverReason {
    const WORDS: &[(&str, Self)] = &[
        ("self-harm", Self::SelfHarm),
        ("legal-threat", Self::LegalThreat),
        ("private-data", Self::PrivateData),
        ("other", Self::Other),
    ];

    /// The word in files and in the API.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, reason)| *reason == self).map_or("", |(word, _)| word)
    }
}

/// A list of reasons.
#[derive(Debug)]
pub(crate) struct Reasons;

impl Shape for Reasons {
    type Value = Vec<HandoverReason>;

    fn read(&self, value: &Value) -> Result<Self::Value, Vec<Fault>> {
        list(value, "a list of words in quotes", |text| {
            let found =
                HandoverReason::WORDS.iter().find(|(word, _)| *word == text).map(|(_, reason)| *reason);
            found.ok_or_else(|| {
                Fault::new(Code::NotAChoice, format!("must be {}", self.range())).found(shown(text))
            })
        })
    }

    fn show(&self, value: &Self::Value) -> String {
        show_list(value.iter().map(|reason| reason.word().to_owned()))
    }

    fn kind(&self) -> &'static str {
        "list of words"
    }

    fn range(&self) -> String {
        "`self-harm`, `legal-threat`, `private-data` or `other`".to_owned()
    }
}

/// A list of phrases.
#[derive(Debug)]
pub(crate) struct Phrases;

impl Phrases {
    /// As `portcullis-screen` reads them.
    const MOST_WORDS: usize = 24;

    fn is_one(text: &str) -> bool {
        let parts: Vec<&str> = text.split_whitespace().collect();
        let gap = |part: &&str| matches!(*part, ".." | "...");
        let word = |part: &str| {
            let part = part.strip_suffix('*').unwrap_or(part);
            !part.is_empty() && part.chars().all(char::is_alphanumeric)
        };
        (1..=Self::MOST_WORDS).contains(&parts.len())
            && !parts.first().is_some_and(gap)
            && !parts.last().is_some_and(gap)
            && parts.iter().all(|part| gap(part) || word(part))
    }
}

impl Shape for Phrases {
    type Value = Vec<String>;

    fn read(&self, value: &Value) -> Result<Self::Value, Vec<Fault>> {
        list(value, "a list of phrases in quotes", |text| {
            let wanted = format!("must be {}", self.range());
            // A phrase is not repeated: it may be what nobody should read in a log.
            if Self::is_one(text) { Ok(text.to_owned()) } else { Err(Fault::new(Code::Malformed, wanted)) }
        })
    }

    fn show(&self, value: &Self::Value) -> String {
        show_list(value.iter().cloned())
    }

    fn kind(&self) -> &'static str {
        "list of phrases"
    }

    fn range(&self) -> String {
        format!(
            "each 1 to {} words in their order, with `*` for the rest of a word and `..` for up to three words between two",
            Self::MOST_WORDS
        )
    }
}

pub(crate) fn read(r: &mut Reader<'_>) -> Option<Handover> {
    let mode = r.required(&keys::HANDOVER_MODE);
    let lists = [
        (&keys::HANDOVER_OFF, HandoverMode::Off),
        (&keys::HANDOVER_OBSERVE, HandoverMode::Observe),
        (&keys::HANDOVER_HAND_OVER, HandoverMode::HandOver),
    ];
    let lists = lists.map(|(key, mode)| r.required(key).map(|slugs| (key.name, mode, slugs)));
    let except = r.required(&keys::HANDOVER_EXCEPT);
    let phrases = [
        (&keys::HANDOVER_SELF_HARM, HandoverReason::SelfHarm),
        (&keys::HANDOVER_LEGAL_THREAT, HandoverReason::LegalThreat),
        (&keys::HANDOVER_PRIVATE_DATA, HandoverReason::PrivateData),
        (&keys::HANDOVER_OTHER, HandoverReason::Other),
    ];
    let phrases = phrases.map(|(key, reason)| r.required(key).map(|phrases| (reason, phrases)));
    let (help, contact) = (r.optional(&keys::HANDOVER_HELP), r.optional(&keys::HANDOVER_CONTACT));
    let keep = r.required(&keys::HANDOVER_KEEP_DAYS);
    let (most_open, most_of_one) =
        (r.required(&keys::HANDOVER_MOST_OPEN), r.required(&keys::HANDOVER_MOST_OF_ONE));
    let mut communities = BTreeMap::new();
    for (key, mode, slugs) in lists.into_iter().flatten() {
        for slug in slugs {
            let found = shown(slug.as_str());
            if communities.insert(slug, mode).is_some_and(|other| other != mode) {
                let fault = Fault::new(
                    Code::Excluded,
                    "must not name a community that another list of `[handover]` names",
                )
                .found(found)
                .help("leave it in one of `off`, `observe` and `hand_over`");
                r.report(key, fault, Severity::Error);
            }
        }
    }
    let phrases: Option<Vec<_>> = phrases.into_iter().collect();
    let phrases =
        phrases?.into_iter().flat_map(|(reason, all)| all.into_iter().map(move |one| (reason, one)));
    Some(Handover {
        mode: mode?,
        communities,
        except: except?,
        phrases: phrases.collect(),
        help: help?,
        contact: contact?,
        keep: keep?,
        most_open: most_open?,
        most_of_one: most_of_one?,
    })
}

#[cfg(test)]
mod tests {
    use super::Phrases;

    #[test]
    fn a_phrase_is_words_with_gaps_between_them() {
        for phrase in ["refund", "blue whale", "refund .. fraud*", "größer ... kleiner", "我想死"] {
            assert!(Phrases::is_one(phrase), "{phrase}");
        }
        for wrong in ["", " ", "..", ".. word", "word ..", "a|b", "?maybe", "*", "it's", &"word ".repeat(25)]
        {
            assert!(!Phrases::is_one(wrong), "{wrong}");
        }
    }
}
