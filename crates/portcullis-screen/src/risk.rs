//! Is this a message that a person should see and not a model: somebody in danger, somebody who threatens with the law,
//! somebody who asks for what is private to others?
//!
//! Phrases of a dozen languages stand in `risks.txt`, as sequences of words with gaps, and phrases of the operator's own come
//! beside them ([`Own`]). They are looked for in the text without its disguise ([`crate::fold`]) and in what it hides
//! ([`crate::decode`]), sentence by sentence. It is a judgement by words alone and is wrong on what nobody wrote down;
//! `docs/handover.md` says how it was measured. Start with [`risks`].

mod pattern;
mod words;

use std::collections::BTreeSet;
use std::sync::OnceLock;

use crate::{decode, fold};
use pattern::Patterns;
use words::Sentences;

pub use pattern::{MOST_WORDS, Wrong};

/// Why a message should be seen by a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Risk {
    /// Somebody may harm themselves.
    SelfHarm,
    /// Somebody threatens the community or its staff with the law.
    LegalThreat,
    /// Somebody asks for what is private to somebody else.
    PrivateData,
    /// Something that only the operator's own phrases name.
    Other,
}

impl Risk {
    /// Every kind, the most urgent first.
    pub const ALL: [Self; 4] = [Self::SelfHarm, Self::LegalThreat, Self::PrivateData, Self::Other];

    /// The name in configuration, storage, answers and the audit.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SelfHarm => "self-harm",
            Self::LegalThreat => "legal-threat",
            Self::PrivateData => "private-data",
            Self::Other => "other",
        }
    }

    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|risk| risk.name() == name)
    }
}

/// Phrases of the operator's own.
#[derive(Debug, Clone, Default)]
pub struct Own(Patterns);

impl Own {
    /// Reads phrases: words in their order, `*` for the rest of a word, `..` for up to three words between two others.
    ///
    /// # Errors
    /// [`Wrong`] for the first that holds no word, or too many.
    pub fn read<'a>(phrases: impl IntoIterator<Item = (Risk, &'a str)>) -> Result<Self, Wrong> {
        let mut patterns = Patterns::default();
        for (risk, phrase) in phrases {
            patterns.add(risk, phrase, true)?;
        }
        Ok(Self(patterns))
    }
}

/// The phrases that ship.
fn shipped() -> &'static Patterns {
    static SHIPPED: OnceLock<Patterns> = OnceLock::new();
    SHIPPED.get_or_init(|| Patterns::read(include_str!("risks.txt")))
}

/// What the message is about that a person should see, of the kinds that are asked for: the most urgent, if any.
pub fn risks(raw: &str, kinds: &[Risk], own: &Own) -> Option<Risk> {
    let mut found = BTreeSet::new();
    look(raw, kinds, own, &mut found);
    for hidden in decode::decode(raw) {
        look(&hidden, kinds, own, &mut found);
    }
    found.into_iter().next()
}

fn look(raw: &str, kinds: &[Risk], own: &Own, found: &mut BTreeSet<Risk>) {
    let folded = fold::fold(raw);
    let parted = fold::parted(raw).map(|parted| fold::fold(&parted).text);
    for text in [&folded.text, &folded.hidden].into_iter().chain(&parted) {
        Sentences::read(text).each(|sentence| {
            for patterns in [shipped(), &own.0] {
                patterns.find(sentence, kinds, found);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Option<Risk> {
        risks(text, &Risk::ALL, &Own::default())
    }

    #[test]
    fn each_kind_is_told_and_its_neighbour_is_not() {
        for (text, wanted) in [
            ("I want to kill myself", Some(Risk::SelfHarm)),
            ("How do I kill a process?", None),
            ("My lawyer will contact you", Some(Risk::LegalThreat)),
            ("What does a lawyer earn?", None),
            ("Give me Anna's home address", Some(Risk::PrivateData)),
            ("What is the club's home address?", None),
        ] {
            assert_eq!(kind(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_disguise_hides_nothing() {
        for text in [
            "I W\u{200b}ANT TO KILL MYSELF",
            "i want to k\u{456}ll mys\u{435}lf",
            "ｉ want to kill myself",
            "i want to k1ll mys3lf",
            "i\u{2019}m going to kill myself",
            "aSB3YW50IHRvIGtpbGwgbXlzZWxm",
            "i%20want%20to%20kill%20myself",
            "i\u{200b}want\u{200b}to\u{200b}kill\u{200b}myself",
            "i want to kill\u{ad}myself",
            "aSB3YW50IHRvIGtpbGzigItteXNlbGY=",
        ] {
            assert_eq!(kind(text), Some(Risk::SelfHarm), "{text}");
        }
    }

    #[test]
    fn what_is_most_urgent_comes_first_and_what_is_not_asked_for_is_not_told() {
        let both = "I will sue you. I want to die.";
        assert_eq!(kind(both), Some(Risk::SelfHarm));
        assert_eq!(risks(both, &[Risk::LegalThreat], &Own::default()), Some(Risk::LegalThreat));
        assert_eq!(risks(both, &[Risk::PrivateData], &Own::default()), None);
        assert_eq!(risks(both, &[], &Own::default()), None);
    }

    #[test]
    fn words_of_two_sentences_are_no_phrase() {
        assert_eq!(kind("I want to kill. Myself, I prefer tea"), None);
        assert_eq!(kind("Sue, you were right about the boat"), None);
    }

    #[test]
    fn phrases_of_the_operator_are_found_beside_those_that_ship() {
        let own =
            Own::read([(Risk::Other, "refund .. fraud*"), (Risk::SelfHarm, "Blauer Wal")]).expect("phrases");
        let kind = |text| risks(text, &Risk::ALL, &own);
        assert_eq!(kind("This refund is a fraudulent thing"), Some(Risk::Other));
        assert_eq!(kind("this refund was, as I see it by now, fraud"), None, "too far apart");
        assert_eq!(kind("kennt jemand blauer wal?"), Some(Risk::SelfHarm));
        assert_eq!(kind("I will sue you"), Some(Risk::LegalThreat));
        assert!(Own::read([(Risk::Other, " .. ")]).is_err());
        assert!(Own::read([(Risk::Other, "word ".repeat(MOST_WORDS + 1).as_str())]).is_err());
    }
}
