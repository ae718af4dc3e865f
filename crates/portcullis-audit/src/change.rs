//! [`Change`]: what somebody changed in a community or the instance.

use portcullis_core::{AbilitySet, KeyAbility, MemberId, Role, SpaceId};
use serde::{Deserialize, Serialize};

use crate::record::{Label, Target};

/// The most targets, and the most plans, that a record names: all of them together are far from the longest record.
const MOST_NAMED: usize = 128;

/// An administrative change: what was done, to what, and what it was before and after, all in ids and fixed words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What was done, such as `key.revoked` or `member.role`.
    pub action: Label,
    /// What it was done to.
    pub targets: Vec<Target>,
    /// How many more it was done to, where there are too many to be named.
    #[serde(default, skip_serializing_if = "is_none")]
    pub more_targets: u32,
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
    /// How many more it is about, where there are too many to be named.
    #[serde(default, skip_serializing_if = "is_none")]
    pub more_plans: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_none(more: &u32) -> bool {
    *more == 0
}

fn counted(more: usize) -> u32 {
    u32::try_from(more).unwrap_or(u32::MAX)
}

impl Change {
    /// A change of these things. However many they are, its record is short enough to be written.
    pub fn new(action: &'static str, mut targets: Vec<Target>) -> Self {
        let more_targets = counted(targets.len().saturating_sub(MOST_NAMED));
        targets.truncate(MOST_NAMED);
        Self {
            action: action.into(),
            targets,
            more_targets,
            before: None,
            detail: None,
            abilities: Vec::new(),
            plans: Vec::new(),
            more_plans: 0,
        }
    }

    /// A member has another role.
    pub fn role(member: MemberId, before: Role, now: Role) -> Self {
        Self::new("member.role", vec![member.into()]).before(before.name()).to(now.name())
    }

    /// A member is suspended or restored; the words are `active` and `suspended`.
    pub fn status(member: MemberId, before: &'static str, now: &'static str) -> Self {
        Self::new("member.status", vec![member.into()]).before(before).to(now)
    }

    /// A member has been given a plan.
    pub fn entitled(member: MemberId, plan: &str) -> Self {
        Self::new("member.entitled", vec![member.into()]).plans([plan])
    }

    /// A member's plan has ended.
    pub fn entitlement_ended(member: MemberId, plan: &str) -> Self {
        Self::new("member.entitlement-ended", vec![member.into()]).plans([plan])
    }

    /// There is a plan more.
    pub fn plan_created(plan: &str) -> Self {
        Self::new("plan.created", Vec::new()).plans([plan])
    }

    /// There is a space more, and that is what opens it: a word, and plans where these do.
    pub fn space_created(space: SpaceId, access: &'static str, plans: &[String]) -> Self {
        Self::opened("space.created", space, access, plans)
    }

    /// A space is opened by something else than before.
    pub fn space_access(space: SpaceId, access: &'static str, plans: &[String]) -> Self {
        Self::opened("space.access", space, access, plans)
    }

    fn opened(action: &'static str, space: SpaceId, access: &'static str, plans: &[String]) -> Self {
        Self::new(action, vec![space.into()]).to(access).plans(plans.iter().map(String::as_str))
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
        let mut plans = plans.into_iter();
        let named = plans.by_ref().take(MOST_NAMED).map(Label::short_name).collect();
        Self { plans: named, more_plans: counted(plans.count()), ..self }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_core::{AbilitySet, KeyAbility, MemberId};

    use super::{Change, MOST_NAMED, counted};
    use crate::frame::MAX_RECORD;
    use crate::record::Target;

    #[test]
    fn however_much_a_change_is_about_it_fits_a_record() {
        let target = Target::Member(MemberId::from_bytes([0xab; 16]));
        let longest = "p".repeat(48);
        for more in [0, 1, 2_400] {
            let change = Change::new("space.access", vec![target; MOST_NAMED + more])
                .before("members")
                .to("plans")
                .abilities(KeyAbility::ALL.into_iter().collect())
                .plans(std::iter::repeat_n(longest.as_str(), MOST_NAMED + more));
            let written = serde_json::to_string(&change).expect("JSON");
            // What else a record holds is some ids and a time.
            assert!(written.len() + 1_024 < MAX_RECORD, "{} bytes", written.len());
            assert_eq!((change.targets.len(), change.plans.len()), (MOST_NAMED, MOST_NAMED));
            assert_eq!((change.more_targets, change.more_plans), (counted(more), counted(more)));
            assert_eq!(written.contains("more_"), more > 0);
            assert_eq!(serde_json::from_str::<Change>(&written).expect("it reads"), change);
        }
    }

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
        let old = r#"{"action":"member.role","targets":[],"detail":"admin"}"#;
        let read: Change = serde_json::from_str(old).expect("it reads");
        assert_eq!(read, Change::new("member.role", Vec::new()).to("admin"));
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
