//! The cases.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use portcullis_core::{CommunityId, Tasks};

use super::{Exact, Harness, Random};
use crate::limiter::{Charge, Decision};
use crate::store::CounterStore;
use crate::subject::Subject;
use crate::window::{Rates, Window};

type Way = Arc<dyn Harness>;

fn number(number: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(number)
}

fn minute(limit: u32) -> Rates {
    Rates { minute: number(limit), ..Rates::default() }
}

fn subject(name: u8) -> Subject {
    Subject::Community(CommunityId::from_bytes([name; 16]))
}

async fn decide(store: &dyn CounterStore, charges: &[Charge]) -> Decision {
    store.admit(charges).await.expect("the store answers").0
}

async fn admits(store: &dyn CounterStore, charges: &[Charge]) -> bool {
    decide(store, charges).await.is_ok()
}

async fn remaining(store: &dyn CounterStore, subject: Subject, rates: Rates) -> Vec<u32> {
    let standing = store.standing(subject, rates).await.expect("the store answers");
    standing.iter().map(|allowance| allowance.remaining).collect()
}

/// So many at the same time, spread over the stores. Returns how many were admitted.
async fn at_once(stores: &[Arc<dyn CounterStore>], many: usize, charge: Charge) -> usize {
    let tasks = Tasks::new();
    let asking: Vec<_> = (0..many)
        .zip(stores.iter().cycle())
        .map(|(_, store)| {
            let store = Arc::clone(store);
            tasks.spawn(async move { admits(&*store, &[charge]).await })
        })
        .collect();
    let mut admitted = 0;
    for asked in asking {
        admitted += usize::from(asked.await.expect("it ends"));
    }
    admitted
}

/// From idle exactly the limit is admitted.
pub async fn from_idle_exactly_the_limit_is_admitted(way: Way) {
    let store = way.instance().await;
    let mut admitted = 0;
    for _ in 0..100 {
        admitted += u32::from(admits(&*store, &[Charge::one(subject(1), minute(60))]).await);
    }
    assert_eq!(admitted, 60);
}

/// Nor is it one more or less when all ask at the same time.
pub async fn all_at_once_get_exactly_the_limit(way: Way) {
    let store = way.instance().await;
    for round in 0..5 {
        assert_eq!(at_once(&[Arc::clone(&store)], 256, Charge::one(subject(round), minute(60))).await, 60);
    }
}

/// Two instances admit together what one may.
pub async fn instances_share_their_counters(way: Way) {
    let stores = [way.instance().await, way.instance().await];
    assert_eq!(at_once(&stores, 200, Charge::one(subject(1), minute(60))).await, 60);
    let [one, two] = &stores;
    for store in [one, two] {
        assert_eq!(remaining(&**store, subject(1), minute(60)).await, [0]);
    }
}

/// A request that one limit refuses is counted against no other, nor in any window.
pub async fn what_is_refused_counts_nowhere(way: Way) {
    let store = way.instance().await;
    let wide = Rates { minute: number(50), hour: number(60), day: number(70) };
    let narrow = minute(2);
    for order in [[(1, wide), (2, narrow)], [(4, narrow), (3, wide)]] {
        let charges = order.map(|(name, rates)| Charge::one(subject(name), rates));
        let mut admitted = 0;
        for _ in 0..10 {
            admitted += u32::from(admits(&*store, &charges).await);
        }
        assert_eq!(admitted, 2);
        let (name, _) = order.into_iter().find(|(_, rates)| *rates == wide).expect("one is wide");
        assert_eq!(remaining(&*store, subject(name), wide).await, [48, 58, 68]);
    }
}

/// Minute, hour and day are all held to, each of them over its whole length.
pub async fn every_window_holds(way: Way) {
    let store = way.instance().await;
    let rates = Rates { minute: number(3), hour: number(5), day: number(7) };
    let charge = [Charge::one(subject(1), rates)];
    let mut admitted = Vec::new();
    // Three in the first minute, two more within the hour, two more within the day, then none for the rest of it.
    for wait in [0, 0, 0, 0, 61, 0, 0, 3_700, 0, 0, 7_300, 0] {
        way.pass(Duration::from_secs(wait)).await;
        admitted.push(admits(&*store, &charge).await);
    }
    let wanted = [true, true, true, false, true, true, false, true, true, false, false, false];
    assert_eq!(admitted, wanted);
    way.pass(Duration::from_secs(86_400)).await;
    assert!(admits(&*store, &charge).await, "the day is over");
}

/// Whatever the arrivals, no window of that length holds more than the limit, wherever it begins.
pub async fn no_rolling_window_holds_more_than_the_limit(way: Way) {
    let store = way.instance().await;
    let mut random = Random::new(7);
    for round in 0..4_u8 {
        let limit = 3 + u32::from(round) * 9;
        let mut exact = Exact::new(limit, Window::Minute.length());
        let mut now = Duration::ZERO;
        for _ in 0..800 {
            let wait = match random.below(10) {
                0 => random.below(20_000),
                1..3 => random.below(1_000),
                _ => random.below(150),
            };
            way.pass(Duration::from_millis(wait)).await;
            now += Duration::from_millis(wait);
            if admits(&*store, &[Charge::one(subject(round), minute(limit))]).await {
                exact.saw_admitted(now);
            }
        }
    }
}

/// Over ten windows without a pause, at most one part in fifty of what an exact limiter admits is lost.
pub async fn who_never_rests_gets_nearly_all(way: Way) {
    let store = way.instance().await;
    let mut exact = Exact::new(300, Window::Minute.length());
    let (mut now, mut admitted, mut wanted) = (Duration::ZERO, 0_u32, 0_u32);
    let mut random = Random::new(11);
    while now < Window::Minute.length() * 10 {
        let wait = Duration::from_millis(1 + random.below(250));
        way.pass(wait).await;
        now += wait;
        admitted += u32::from(admits(&*store, &[Charge::one(subject(1), minute(300))]).await);
        wanted += u32::from(exact.admit(now));
    }
    assert!(admitted <= wanted, "{admitted} of {wanted}");
    assert!(admitted * 50 >= wanted * 49, "{admitted} of {wanted}");
}

/// After the wait that a refusal tells the same is admitted, and a moment before it is not.
pub async fn the_wait_that_is_told_is_right(way: Way) {
    let store = way.instance().await;
    let charge = [Charge::one(subject(1), minute(7))];
    way.pass(Duration::from_millis(12_345)).await;
    let reached = loop {
        match decide(&*store, &charge).await {
            Ok(_) => way.pass(Duration::from_millis(137)).await,
            Err(reached) => break reached,
        }
    };
    assert_eq!(reached.subject, subject(1));
    let wait = reached.allowance.resets_in;
    assert!(wait <= Duration::from_secs(61), "{wait:?}");
    way.pass(wait - Duration::from_millis(2)).await;
    assert!(!admits(&*store, &charge).await, "sooner than was told");
    way.pass(Duration::from_millis(3)).await;
    assert!(admits(&*store, &charge).await, "not when it was told");
}

/// To ask where a limit stands costs nothing, and is answered rightly.
pub async fn asking_counts_nothing(way: Way) {
    let store = way.instance().await;
    let rates = Rates { minute: number(5), hour: None, day: number(9) };
    assert!(admits(&*store, &[Charge::one(subject(1), rates)]).await);
    for _ in 0..20 {
        assert_eq!(remaining(&*store, subject(1), rates).await, [4, 8]);
        assert_eq!(remaining(&*store, subject(2), rates).await, [5, 9]);
    }
}

/// One subject's limit is nobody else's.
pub async fn subjects_are_apart(way: Way) {
    let store = way.instance().await;
    while admits(&*store, &[Charge::one(subject(1), minute(5))]).await {}
    for name in 2..50 {
        assert!(admits(&*store, &[Charge::one(subject(name), minute(5))]).await, "{name}");
    }
}

/// What was reserved and not used is there again, also once time has passed.
pub async fn what_was_not_used_is_given_back(way: Way) {
    let store = way.instance().await;
    let rates = Rates { minute: None, hour: number(100), day: number(1_000) };
    let charge = [Charge { subject: subject(1), rates, amount: 80 }];
    let (decision, at) = store.admit(&charge).await.expect("the store answers");
    assert!(decision.is_ok());
    assert!(!admits(&*store, &charge).await, "it is reserved");
    way.pass(Duration::from_secs(90)).await;
    store.settle(at, &charge, 15).await.expect("the store answers");
    assert_eq!(remaining(&*store, subject(1), rates).await, [85, 985]);
    assert!(admits(&*store, &charge).await);
    assert_eq!(remaining(&*store, subject(1), rates).await, [5, 905]);
}

/// What was used beyond what was reserved counts, also where it passes the limit.
pub async fn what_was_used_beyond_counts(way: Way) {
    let store = way.instance().await;
    let rates = Rates { minute: None, hour: number(100), day: number(1_000) };
    let charge = [Charge { subject: subject(1), rates, amount: 80 }];
    let (decision, at) = store.admit(&charge).await.expect("the store answers");
    assert!(decision.is_ok());
    store.settle(at, &charge, 130).await.expect("the store answers");
    assert_eq!(remaining(&*store, subject(1), rates).await, [0, 870]);
    assert!(!admits(&*store, &[Charge { amount: 1, ..charge[0] }]).await);
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_case_is_in_the_list() {
        let written: Vec<&str> = include_str!("cases.rs")
            .lines()
            .filter_map(|line| line.strip_prefix("pub async fn ")?.split('(').next())
            .collect();
        let list = include_str!("../conformance.rs");
        let list = list.split_once("counter_store_cases! { $harness;").expect("the list begins").1;
        let listed: Vec<&str> = list.split_once('}').expect("it ends").0.split_whitespace().collect();
        assert_eq!(listed, written);
    }
}
