//! Everything there is that somebody may not be told: markers that stand in texts, and ids; each with those who may.

use std::collections::HashMap;

use portcullis_core::{AbilitySet, Action, MemberId, Role};

/// The spaces that every community of the storm has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// Open to members.
    Open,
    /// Open to the plan `plus`.
    Paid,
    /// Open to nobody but staff.
    Closed,
}

/// When a credential counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Works {
    Always,
    /// A cookie without proof of our own page: for reading only.
    ToRead,
    Never,
}

/// Somebody who asks, as the rules see them.
#[derive(Debug, Clone)]
pub(super) struct Asker {
    pub(super) name: String,
    pub(super) works: Works,
    /// The place of their community among those of the storm.
    pub(super) community: usize,
    pub(super) member: Option<MemberId>,
    pub(super) role: Role,
    pub(super) abilities: AbilitySet,
    pub(super) doors: Vec<Door>,
    pub(super) headers: Vec<(&'static str, String)>,
    /// The member's address, for those who are signed in.
    pub(super) email: Option<String>,
    /// Whether it is somebody else each time, whom a host application's token makes a member.
    pub(super) comes_new: bool,
}

impl Asker {
    /// Whether they are a member of this community, no staff, who may ask.
    pub(super) fn asks_as_member_of(&self, community: usize) -> bool {
        self.works == Works::Always
            && self.community == community
            && self.member.is_some()
            && self.role == Role::Member
            && self.abilities.covers(Action::Ask)
    }
}

/// Who may be told something: people of one community only.
#[derive(Debug, Clone, Default)]
pub(super) struct Audience {
    pub(super) community: usize,
    /// These members ...
    pub(super) members: Vec<MemberId>,
    /// ... and whoever has this role or a higher one ...
    pub(super) lowest: Option<Role>,
    /// ... and whoever may read this space.
    pub(super) door: Option<Door>,
}

impl Audience {
    pub(super) fn of(community: usize) -> Self {
        Self { community, ..Self::default() }
    }

    pub(super) fn member(mut self, member: Option<MemberId>) -> Self {
        self.members.extend(member);
        self
    }

    pub(super) fn ranked(mut self, role: Role) -> Self {
        self.lowest = Some(role);
        self
    }

    pub(super) fn door(mut self, door: Door) -> Self {
        self.door = Some(door);
        self
    }

    pub(super) fn has(&self, asker: &Asker) -> bool {
        asker.works != Works::Never
            && asker.community == self.community
            && (asker.member.is_some_and(|member| self.members.contains(&member))
                || self.lowest.is_some_and(|lowest| asker.role >= lowest)
                || self.door.is_some_and(|door| asker.doors.contains(&door)))
    }
}

/// An id of something that is there.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// Who may reach it. A conversation's id can be that of several members' own.
    pub(super) audiences: Vec<Audience>,
    /// Whether the storm itself rests on it: whoever may change it leaves it alone.
    pub(super) anchored: bool,
    /// The role, where it is a member's id.
    pub(super) rank: Role,
}

impl Known {
    pub(super) fn is_for(&self, asker: &Asker) -> bool {
        self.audiences.iter().any(|audience| audience.has(asker))
    }
}

/// The parameters of paths, as the table of routes names them.
pub(super) const KINDS: [&str; 10] = [
    "document",
    "conversation",
    "memory",
    "session",
    "member",
    "space",
    "key",
    "invitation",
    "handover",
    "approval",
];
/// The most ids of one kind that requests choose from. Later ones take the place of the oldest that are not anchored.
const MOST: usize = 60;
/// What every marker begins and ends with, unlike each other so that one read backwards is none; between them are six
/// hexadecimal digits.
const MARK: (&str, &str) = ("zq", "jx");
const DIGITS: usize = 6;

#[derive(Debug, Default)]
pub(super) struct Registry {
    markers: Vec<Audience>,
    ids: HashMap<String, Known>,
    pools: HashMap<&'static str, Vec<String>>,
}

impl Registry {
    /// A new marker.
    pub(super) fn marker(&mut self, audience: Audience) -> String {
        self.markers.push(audience);
        format!("{}{:06x}{}", MARK.0, self.markers.len() - 1, MARK.1)
    }

    /// Some marker, whoever may be told it.
    pub(super) fn some_marker(&self, index: usize) -> String {
        format!("{}{:06x}{}", MARK.0, index % self.markers.len().max(1), MARK.1)
    }

    /// Makes a member who came to be later one of those who may be told a marker.
    pub(super) fn admit(&mut self, marker: &str, member: Option<MemberId>) {
        let index = marker.strip_prefix(MARK.0).and_then(|rest| rest.strip_suffix(MARK.1));
        let index = index.and_then(|digits| usize::from_str_radix(digits, 16).ok()).expect("a marker");
        self.markers[index].members.extend(member);
    }

    /// Every marker in a text, in lower case, with those who may be told it.
    pub(super) fn markers_in<'a>(
        &'a self,
        text: &'a [u8],
    ) -> impl Iterator<Item = (&'a str, &'a Audience)> + 'a {
        let whole = MARK.0.len() + DIGITS + MARK.1.len();
        text.windows(whole).filter(|found| found.starts_with(MARK.0.as_bytes())).filter_map(move |found| {
            let found = std::str::from_utf8(found).ok()?;
            let digits = found.strip_prefix(MARK.0)?.strip_suffix(MARK.1)?;
            let index = usize::from_str_radix(digits, 16).ok()?;
            Some((found, self.markers.get(index)?))
        })
    }

    /// An id, and who may reach it beside those of whom that is known.
    pub(super) fn learn(&mut self, kind: &'static str, id: &str, audience: Audience) {
        if let Some(known) = self.ids.get_mut(id) {
            known.audiences.push(audience);
            return;
        }
        let known = Known { audiences: vec![audience], anchored: false, rank: Role::Member };
        self.ids.insert(id.to_owned(), known);
        if !KINDS.contains(&kind) {
            return;
        }
        let pool = self.pools.entry(kind).or_default();
        pool.push(id.to_owned());
        if pool.len() > MOST {
            let oldest = pool.iter().position(|id| !self.ids.get(id).is_some_and(|known| known.anchored));
            oldest.map(|at| pool.remove(at));
        }
    }

    /// An id that the storm rests on.
    pub(super) fn anchor(&mut self, kind: &'static str, id: &str, audience: Audience, rank: Role) {
        self.learn(kind, id, audience);
        let known = self.ids.get_mut(id).expect("it was learnt");
        (known.anchored, known.rank) = (true, rank);
    }

    pub(super) fn known(&self, id: &str) -> Option<&Known> {
        self.ids.get(id)
    }

    pub(super) fn known_mut(&mut self, id: &str) -> Option<&mut Known> {
        self.ids.get_mut(id)
    }

    pub(super) fn pool(&self, kind: &str) -> &[String] {
        self.pools.get(kind).map_or(&[], Vec::as_slice)
    }
}
