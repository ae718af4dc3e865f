//! [`Change`]: what somebody changed in a community or the instance.

use portcullis_core::{AbilitySet, KeyAbility};
use serde::{Deserialize, Serialize};

use crate::record::{Label, Target};

/// An administrative change: what was done, to what, and what it was before and after, all in ids and fixed words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What was done, such as `key.revoked` or `role.changed`.
    pub action: Label,
    /// What it was done to.
    pub targets: Vec<Target>,
    /// What it was before, where a fixed word says so, such as a role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Label>,
    /// What it was set to, where a fixed word says so: a role, a status, the highest role of a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Label>,
    /// What a key may be used for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub abilities: Vec<Label>,
    /// The plans that it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plans: Vec<Label>,
}

impl Change {
    /// A change of these things.
    pub fn new(action: &'static str, targets: Vec<Target>) -> Self {
        Self {
            action: action.into(),
            targets,
            before: None,
            detail: None,
            abilities: Vec::new(),
            plans: Vec::new(),
        }
    }

    /// What it was before.
    #[must_use]
    pub fn before(self, word: &'static str) -> Self {
        Self { before: Some(word.into()), ..self }
    }

    /// What it was set to.
    #[must_use]
    pub fn to(self, word: &'static str) -> Self {
        Self { detail: Some(word.into()), ..self }
    }

    /// What the key may be used for.
    #[must_use]
    pub fn abilities(self, abilities: AbilitySet) -> Self {
        Self { abilities: abilities.iter().map(|ability| KeyAbility::name(ability).into()).collect(), ..self }
    }

    /// The plans that it is about, by their short names.
    #[must_use]
    pub fn plans<'p>(self, plans: impl IntoIterator<Item = &'p str>) -> Self {
        Self { plans: plans.into_iter().map(Label::short_name).collect(), ..self }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_core::{AbilitySet, KeyAbility};

    use super::Change;

    #[test]
    fn what_is_no_short_name_is_not_written_down() {
        let change = Change::new("member.entitled", Vec::new()).plans([
            "gold-2",
            "Mia Example",
            "mia@example.org",
            "",
            "\u{212a}",
            &"x".repeat(49),
        ]);
        let json = serde_json::to_string(&change).expect("JSON");
        assert_eq!(
            json,
            "{\"action\":\"member.entitled\",\"targets\":[],\"plans\":[\"gold-2\",\"unnamed\",\"unnamed\",\"unnamed\",\
             \"unnamed\",\"unnamed\"]}"
        );
    }

    #[test]
    fn a_record_of_before_reads_and_what_is_not_said_is_not_written() {
        let old = r#"{"action":"role.changed","targets":[],"detail":"admin"}"#;
        let read: Change = serde_json::from_str(old).expect("it reads");
        assert_eq!(read, Change::new("role.changed", Vec::new()).to("admin"));
        assert_eq!(serde_json::to_string(&read).expect("JSON"), old);
        let abilities = AbilitySet::NONE.with(KeyAbility::OwnRequest).with(KeyAbility::Chat);
        let whole = read.before("member").abilities(abilities).plans(["gold"]);
        let written = serde_json::to_string(&whole).expect("JSON");
        assert_eq!(serde_json::from_str::<Change>(&written).expect("it reads"), whole);
        assert!(
            written.contains(r#""before":"member""#) && written.contains(r#"["chat","own-request"]"#),
            "{written}"
        );
    }
}
