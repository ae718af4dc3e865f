//! How much each identity was used lately, over all checks of a run: limits are counted by the target over all of them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A minute and a moment more.
const WINDOW: Duration = Duration::from_secs(61);

/// Requests by name of identity, each with its time on the run's clock.
#[derive(Debug, Clone, Default)]
pub(crate) struct Traffic(Arc<Mutex<BTreeMap<String, VecDeque<Duration>>>>);

impl Traffic {
    /// One more request by `name`.
    pub(super) fn note(&self, name: &str, now: Duration) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(name.to_owned()).or_default().push_back(now);
    }

    /// How many requests `name` made in the last minute.
    pub(super) fn lately(&self, name: &str, now: Duration) -> usize {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(times) = all.get_mut(name) else { return 0 };
        while times.front().is_some_and(|first| now.saturating_sub(*first) >= WINDOW) {
            times.pop_front();
        }
        times.len()
    }

    /// When the oldest of the last minute's requests by `name` will have left it.
    pub(super) fn eases_at(&self, name: &str) -> Duration {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(name).and_then(|times| times.front()).map_or(Duration::ZERO, |first| *first + WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Traffic;

    #[test]
    fn what_is_a_minute_old_counts_no_more() {
        let traffic = Traffic::default();
        let at = Duration::from_secs;
        traffic.note("alice", at(1));
        traffic.clone().note("alice", at(30));
        assert_eq!((traffic.lately("alice", at(40)), traffic.lately("bob", at(40))), (2, 0));
        assert_eq!(traffic.eases_at("alice"), at(62));
        assert_eq!(traffic.lately("alice", at(62)), 1);
    }
}
