//! Rate limits in memory: a sliding window of 60 sub-windows, the oldest counted whole.
//!
//! In no rolling window are more admitted than the limit, whatever the arrivals; from idle exactly the limit is. All
//! counters that a request touches are decided in one step: either each of them counts it, or none does.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use parking_lot::Mutex;
use portcullis_core::{Actor, CommunityId};

/// How many sub-windows a window has.
const SLOTS: usize = 60;
/// What a counter costs in memory, roughly: its slots, its key and its place in the table.
const COUNTER_BYTES: usize = 320;

/// How many requests a window of time admits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// The limit.
    pub requests: NonZeroU32,
    /// The window's length.
    pub window: Duration,
}

impl Budget {
    /// So many a minute.
    pub const fn per_minute(requests: NonZeroU32) -> Self {
        Self { requests, window: Duration::from_secs(60) }
    }

    /// So many an hour.
    pub const fn per_hour(requests: NonZeroU32) -> Self {
        Self { requests, window: Duration::from_secs(3_600) }
    }
}

/// The budgets of an instance.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For each member, and for each key that acts for no member.
    pub per_actor: Budget,
    /// For each client address, whatever credentials it uses.
    pub per_address: Budget,
    /// For requests from one address whose credential was missing or refused.
    pub refused_per_address: Budget,
    /// For sign-in links that one client asks for one address.
    pub links_per_address: Budget,
    /// For sign-in links that one client asks for.
    pub links_per_client: Budget,
    /// The most memory that counters may take, in bytes.
    pub memory: usize,
}

/// What a counter counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Requests of an actor of a community.
    Actor(CommunityId, Actor),
    /// Requests from an address.
    Address(Network),
    /// Refused credentials from an address.
    Refused(Network),
    /// Sign-in links that an address asked for.
    Asking(Network),
    /// Sign-in links that an address asked for a mailbox of a community, by what stands for it.
    AskingFor(CommunityId, u128, Network),
    /// Sign-in links for a mailbox of a community, whoever asked.
    Mailed(CommunityId, u128),
    /// Everything that found no room for a counter of its own: strict, never unlimited.
    Overflow,
}

/// An address as limits count it: IPv4 whole, IPv6 by its /64, since one customer holds at least that much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(u128);

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(u128::from(v4.to_bits())),
            // The high half is never zero for a routed address, so the two families do not meet; loopback is kept whole.
            IpAddr::V6(v6) if v6.is_loopback() => Self(u128::MAX),
            IpAddr::V6(v6) => Self(v6.to_bits() & !u128::from(u64::MAX)),
        }
    }
}

/// What is left of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// The limit.
    pub limit: u32,
    /// How many more requests would be admitted now.
    pub remaining: u32,
    /// When a request that is refused now may be admitted, or when the window is as good as empty.
    pub resets_in: Duration,
    /// The window's length.
    pub window: Duration,
}

/// A limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// The limit that was reached first.
    pub subject: Subject,
    /// What it stands at.
    pub allowance: Allowance,
}

#[derive(Debug, Clone)]
struct Counter {
    /// The number, since the clock's start, of the newest sub-window that is in `slots`.
    newest: u64,
    /// Counts by sub-window number modulo the length. One more than a window has, since the oldest is partly in.
    slots: [u32; SLOTS + 1],
    total: u32,
}

impl Counter {
    const fn new(now: u64) -> Self {
        Self { newest: now, slots: [0; SLOTS + 1], total: 0 }
    }

    /// Forgets the sub-windows that have left the window by the sub-window `now`.
    fn advance(&mut self, now: u64) {
        let passed = now.saturating_sub(self.newest);
        if passed > SLOTS as u64 {
            self.slots = [0; SLOTS + 1];
            self.total = 0;
        } else {
            for number in self.newest + 1..=now {
                if let Some(slot) = self.slot(number) {
                    let gone = std::mem::take(slot);
                    self.total -= gone;
                }
            }
        }
        self.newest = self.newest.max(now);
    }

    fn slot(&mut self, number: u64) -> Option<&mut u32> {
        let index = usize::try_from(number % (SLOTS as u64 + 1)).ok()?;
        self.slots.get_mut(index)
    }

    fn add(&mut self) {
        if let Some(slot) = self.slot(self.newest) {
            *slot += 1;
            self.total += 1;
        }
    }

    /// How many sub-windows must pass until the total is under `limit`.
    fn wait(&self, limit: u32) -> u64 {
        let mut left = self.total;
        for passed in 1..=SLOTS as u64 + 1 {
            let number = (self.newest + passed) % (SLOTS as u64 + 1);
            let gone =
                usize::try_from(number).ok().and_then(|index| self.slots.get(index)).copied().unwrap_or(0);
            left -= gone;
            if left < limit {
                return passed;
            }
        }
        SLOTS as u64 + 1
    }
}

/// Counts requests and says when to stop.
#[derive(Debug)]
pub struct Limiter {
    counters: Mutex<HashMap<Subject, Counter>>,
    most: usize,
}

impl Limiter {
    /// A limiter whose counters take at most `memory` bytes.
    pub fn new(memory: usize) -> Self {
        Self { counters: Mutex::new(HashMap::new()), most: (memory / COUNTER_BYTES).max(1) }
    }

    /// Counts one request against every subject, or, if any of them is at its limit, against none.
    ///
    /// `now` is the clock's monotonic time. Returns what is left of the tightest limit.
    pub fn admit(&self, now: Duration, subjects: &[(Subject, Budget)]) -> Result<Option<Allowance>, Reached> {
        let mut counters = self.counters.lock();
        self.make_room(&mut counters, now, subjects);
        let mut tightest: Option<Allowance> = None;
        for (subject, budget) in subjects {
            let subject = self.counted_as(&counters, *subject);
            let slot = slot_number(now, budget.window);
            let counter = counters.entry(subject).or_insert_with(|| Counter::new(slot));
            counter.advance(slot);
            let allowance = allowance(counter, *budget, now);
            if allowance.remaining == 0 {
                return Err(Reached { subject, allowance });
            }
            if tightest.is_none_or(|least| allowance.remaining < least.remaining) {
                tightest = Some(allowance);
            }
        }
        for (subject, _) in subjects {
            let subject = self.counted_as(&counters, *subject);
            if let Some(counter) = counters.get_mut(&subject) {
                counter.add();
            }
        }
        Ok(tightest.map(|least| Allowance { remaining: least.remaining - 1, ..least }))
    }

    /// What is left for a subject, without counting anything.
    pub fn peek(&self, now: Duration, subject: Subject, budget: Budget) -> Allowance {
        let mut counters = self.counters.lock();
        let subject = self.counted_as(&counters, subject);
        let slot = slot_number(now, budget.window);
        let mut fresh = Counter::new(slot);
        let counter = counters.get_mut(&subject).unwrap_or(&mut fresh);
        counter.advance(slot);
        allowance(counter, budget, now)
    }

    /// How many counters are held.
    pub fn held(&self) -> usize {
        self.counters.lock().len()
    }

    fn counted_as(&self, counters: &HashMap<Subject, Counter>, subject: Subject) -> Subject {
        if counters.len() < self.most || counters.contains_key(&subject) {
            subject
        } else {
            Subject::Overflow
        }
    }

    /// Drops counters that stand at zero once the table is full. A counter that counts anything is never dropped.
    fn make_room(
        &self,
        counters: &mut HashMap<Subject, Counter>,
        now: Duration,
        subjects: &[(Subject, Budget)],
    ) {
        if counters.len() < self.most || subjects.iter().all(|(subject, _)| counters.contains_key(subject)) {
            return;
        }
        // All windows are minutes so far; the longest window given decides for all, which only keeps more.
        let Some(window) = subjects.iter().map(|(_, budget)| budget.window).max() else { return };
        let slot = slot_number(now, window);
        counters.retain(|_, counter| {
            counter.advance(slot);
            counter.total > 0
        });
    }
}

fn slot_number(now: Duration, window: Duration) -> u64 {
    let width = (window.as_nanos() / SLOTS as u128).max(1);
    u64::try_from(now.as_nanos() / width).unwrap_or(u64::MAX)
}

fn allowance(counter: &Counter, budget: Budget, now: Duration) -> Allowance {
    let limit = budget.requests.get();
    let remaining = limit.saturating_sub(counter.total);
    let width = budget.window / SLOTS as u32;
    let wait = if counter.total == 0 { 0 } else { counter.wait(if remaining == 0 { limit } else { 1 }) };
    let into_slot =
        Duration::from_nanos(u64::try_from(now.as_nanos() % width.as_nanos().max(1)).unwrap_or(0));
    let resets_in = (width * u32::try_from(wait).unwrap_or(u32::MAX)).saturating_sub(into_slot);
    Allowance { limit, remaining, resets_in, window: budget.window }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::num::NonZeroU32;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{Budget, Limiter, Network, Subject};

    fn budget(requests: u32) -> Budget {
        Budget::per_minute(NonZeroU32::new(requests).expect("not zero"))
    }

    fn address(last: u8) -> Subject {
        Subject::Address(Network::from(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))))
    }

    #[test]
    fn from_idle_exactly_the_limit_is_admitted_and_another_subject_is_not_touched() {
        let limiter = Limiter::new(1 << 20);
        let now = Duration::from_secs(1_000);
        let admitted = (0..100).filter(|_| limiter.admit(now, &[(address(1), budget(60))]).is_ok()).count();
        assert_eq!(admitted, 60);
        assert!(limiter.admit(now, &[(address(2), budget(60))]).is_ok());
    }

    #[test]
    fn a_request_that_one_limit_refuses_counts_against_no_other() {
        let limiter = Limiter::new(1 << 20);
        let now = Duration::from_secs(5);
        let both = [(address(1), budget(10)), (address(2), budget(2))];
        let admitted = (0..10).filter(|_| limiter.admit(now, &both).is_ok()).count();
        assert_eq!(admitted, 2);
        assert_eq!(limiter.peek(now, address(1), budget(10)).remaining, 8);
    }

    #[test]
    fn the_wait_that_is_told_is_long_enough_and_not_a_window_too_long() {
        let limiter = Limiter::new(1 << 20);
        let mut now = Duration::from_millis(12_345);
        while limiter.admit(now, &[(address(1), budget(7))]).is_ok() {
            now += Duration::from_millis(137);
        }
        let reached = limiter.admit(now, &[(address(1), budget(7))]).expect_err("at the limit");
        let before = now + reached.allowance.resets_in - Duration::from_millis(1);
        assert!(limiter.admit(before, &[(address(1), budget(7))]).is_err());
        assert!(limiter.admit(now + reached.allowance.resets_in, &[(address(1), budget(7))]).is_ok());
        assert!(reached.allowance.resets_in <= Duration::from_secs(61));
    }

    #[test]
    fn a_full_table_counts_strangers_together_and_forgets_nobody_who_counts() {
        let limiter = Limiter::new(10 * super::COUNTER_BYTES);
        let now = Duration::from_secs(1);
        for last in 0..10 {
            assert!(limiter.admit(now, &[(address(last), budget(1))]).is_ok());
        }
        assert!(limiter.admit(now, &[(address(100), budget(1))]).is_ok());
        assert!(
            limiter.admit(now, &[(address(101), budget(1))]).is_err(),
            "strangers share one counter when full"
        );
        for last in 0..10 {
            assert!(
                limiter.admit(now, &[(address(last), budget(1))]).is_err(),
                "a live counter was forgotten"
            );
        }
        assert!(limiter.held() <= 11);
        let later = now + Duration::from_secs(62);
        assert!(limiter.admit(later, &[(address(102), budget(1))]).is_ok());
        assert!(limiter.held() <= 2);
    }

    proptest! {
        /// The exact reference: remember every admitted arrival and look back one whole window from each.
        #[test]
        fn no_rolling_window_ever_holds_more_than_the_limit(
            gaps in proptest::collection::vec(0u64..4_000, 1..600), limit in 1u32..40,
        ) {
            let limiter = Limiter::new(1 << 20);
            let mut now = Duration::from_secs(777);
            let mut admitted: Vec<Duration> = Vec::new();
            for gap in gaps {
                now += Duration::from_millis(gap);
                if limiter.admit(now, &[(address(1), budget(limit))]).is_ok() {
                    admitted.push(now);
                    let held = admitted.iter().filter(|&&at| now - at < Duration::from_secs(60)).count();
                    prop_assert!(held <= limit as usize, "{held} in one window, limit {limit}");
                }
            }
        }

    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        /// Saturated, at most 2 % of the limit is lost, over ten windows.
        #[test]
        fn a_saturated_subject_gets_nearly_all_of_its_limit(offset in 0u64..60_000) {
            let limiter = Limiter::new(1 << 20);
            let start = Duration::from_millis(offset);
            let mut admitted = 0u32;
            for step in 0..60_000u64 {
                let now = start + Duration::from_millis(step * 10);
                admitted += u32::from(limiter.admit(now, &[(address(1), budget(600))]).is_ok());
            }
            prop_assert!(admitted <= 6_600, "{admitted}");
            prop_assert!(f64::from(admitted) >= 6_000.0 * 0.98, "{admitted}");
        }
    }
}
