//! The users that requests can be counted against, and which of them still have a whole window.

use std::collections::BTreeMap;

use crate::target::{Identity, Purpose, Target};

struct User<'t> {
    sessions: Vec<&'t Identity>,
    /// Other checks, or the first request of this one, may have used up part of the window.
    shared: bool,
    spent: bool,
}

/// All users with working credentials, those set aside for limits first.
pub(super) struct Users<'t>(Vec<User<'t>>);

impl<'t> Users<'t> {
    pub(super) fn of(target: &'t Target) -> Self {
        let mut by_user: BTreeMap<(bool, &str), Vec<&Identity>> = BTreeMap::new();
        for identity in target.valid() {
            let key = (identity.purpose != Purpose::Limits, identity.user.as_str());
            by_user.entry(key).or_default().push(identity);
        }
        let users =
            by_user.into_iter().map(|((shared, _), sessions)| User { sessions, shared, spent: shared });
        Self(users.collect())
    }

    /// Who shows that the chat answers at all: one that other checks use too, if there is one.
    pub(super) fn first(&mut self) -> Option<&'t Identity> {
        let user = self.0.last_mut()?;
        (user.shared, user.spent) = (true, true);
        user.sessions.first().copied()
    }

    /// Whether any user has that many sessions.
    pub(super) fn has(&self, sessions: usize) -> bool {
        self.0.iter().any(|user| user.sessions.len() >= sessions)
    }

    /// A user with at least `sessions` sessions and a whole window; the one with the fewest that are enough.
    pub(super) fn take(&mut self, sessions: usize) -> Option<usize> {
        let free =
            self.0.iter_mut().enumerate().filter(|(_, user)| !user.spent && user.sessions.len() >= sessions);
        let (index, user) = free.min_by_key(|(_, user)| (user.shared, user.sessions.len()))?;
        // From now on it is the one under test, and shows nothing about others.
        (user.spent, user.shared) = (true, false);
        Some(index)
    }

    pub(super) fn sessions_of(&self, index: usize) -> &[&'t Identity] {
        self.0.get(index).map_or(&[], |user| &user.sessions)
    }

    /// Whether that many users have a whole window, with one left over for comparison.
    pub(super) fn can_spare(&self, needed: usize) -> bool {
        let free = self.0.iter().filter(|user| !user.spent).count();
        let other = self.0.iter().any(|user| user.shared);
        free > needed || free == needed && other
    }

    /// Users that are not driven now: whole windows first, then those that other checks use.
    pub(super) fn witnesses(&self) -> Vec<&'t Identity> {
        let whole = self.0.iter().rev().filter(|user| !user.spent);
        let shared = self.0.iter().filter(|user| user.spent && user.shared);
        whole.chain(shared).filter_map(|user| user.sessions.first().copied()).collect()
    }

    /// After waiting for a window to pass.
    pub(super) fn refresh(&mut self) {
        self.0.iter_mut().for_each(|user| user.spent = false);
    }
}
