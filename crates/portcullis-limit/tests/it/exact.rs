//! Against an exact limiter.

use std::time::Duration;

use portcullis_limit::conformance::{Exact, Random};
use portcullis_limit::{Charge, Limiter, Rates, Window};
use proptest::prelude::*;

use crate::{minute, number, subject};

/// The exact limiters of all windows together.
struct AllExact(Vec<Exact>);

impl AllExact {
    fn new(rates: Rates) -> Self {
        Self(rates.iter().map(|(window, limit)| Exact::new(limit.get(), window.length())).collect())
    }

    fn saw_admitted(&mut self, now: Duration) {
        for exact in &mut self.0 {
            exact.saw_admitted(now);
        }
    }
}

fn wait(random: &mut Random, mean: u64) -> Duration {
    Duration::from_millis(match random.below(100) {
        0 => random.below(mean * 400),
        1..10 => random.below(mean * 20),
        10..60 => random.below(mean * 2),
        // Many at once.
        _ => 0,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Three windows at once, arrivals in bursts and trickles over several days: never one over in any of them.
    #[test]
    fn no_rolling_window_ever_holds_more_than_its_limit(
        seed: u64, mean in 20_u64..60_000, minute in 1_u32..30, hour in 20_u32..80, day in 60_u32..200,
        roomy: bool,
    ) {
        // Without memory the sub-windows are merged, and the limits hold all the same.
        let limiter = Limiter::new(if roomy { 1 << 20 } else { 0 });
        let rates = Rates { minute: number(minute), hour: number(hour), day: number(day) };
        let mut exact = AllExact::new(rates);
        let mut random = Random::new(seed);
        let mut now = Duration::from_secs(77);
        for _ in 0..3_000 {
            now += wait(&mut random, mean);
            if limiter.admit(now, &[Charge::one(subject(1), rates)]).is_ok() {
                exact.saw_admitted(now);
            }
        }
    }

    /// From idle, exactly the limit of the tightest window.
    #[test]
    fn from_idle_exactly_the_limit_is_admitted(start in 0_u64..200_000, limit in 1_u32..2_000) {
        let limiter = Limiter::new(1 << 20);
        let rates = Rates { minute: number(limit + 5), hour: number(limit), day: number(limit + 1) };
        let mut now = Duration::from_millis(start);
        for round in 0..2 {
            let charge = [Charge::one(subject(1), Rates { day: None, ..rates })];
            let admitted = (0..limit + 10).filter(|_| limiter.admit(now, &charge).is_ok()).count();
            prop_assert_eq!(admitted, limit as usize, "round {}", round);
            // An hour and a sub-window later nothing of it counts.
            now += Duration::from_secs(3_600 + 31);
        }
    }

    /// Over ten windows without rest, at most 2 % less than the exact limiter admits, for any arrivals that come at least
    /// as often as the limit allows.
    #[test]
    fn who_never_rests_gets_nearly_all(seed: u64, limit in 50_u32..3_000, load in 1_u64..6, offset in 0_u64..60_000) {
        for window in Window::ALL {
            let rates = Rates {
                minute: (window == Window::Minute).then_some(number(limit)).flatten(),
                hour: (window == Window::Hour).then_some(number(limit)).flatten(),
                day: (window == Window::Day).then_some(number(limit)).flatten(),
            };
            let limiter = Limiter::new(1 << 20);
            let mut exact = Exact::new(limit, window.length());
            let mut random = Random::new(seed);
            let begun = Duration::from_millis(offset);
            let mean = window.length().as_micros() as u64 / u64::from(limit) / load;
            let (mut now, mut admitted, mut wanted) = (begun, 0_u64, 0_u64);
            while now < begun + window.length() * 10 {
                now += Duration::from_micros(random.below(mean * 2) + 1);
                admitted += u64::from(limiter.admit(now, &[Charge::one(subject(1), rates)]).is_ok());
                wanted += u64::from(exact.admit(now));
            }
            prop_assert!(admitted <= wanted, "{} of {}", admitted, wanted);
            prop_assert!(admitted * 100 >= wanted * 98, "{} of {} in {:?}", admitted, wanted, window);
        }
    }

    /// The wait that is told is long enough for all windows, and not a moment too long.
    #[test]
    fn the_wait_that_is_told_is_right(seed: u64, limit in 1_u32..20) {
        let limiter = Limiter::new(1 << 20);
        let rates = Rates { minute: number(limit), hour: number(limit * 3), day: number(limit * 5) };
        let charge = [Charge::one(subject(1), rates)];
        let mut random = Random::new(seed);
        let mut now = Duration::from_millis(12_345);
        for _ in 0..300 {
            now += Duration::from_millis(random.below(4_000));
            let Err(reached) = limiter.admit(now, &charge) else { continue };
            let wait = reached.allowance.resets_in;
            prop_assert!(wait > Duration::ZERO);
            let before = now + wait - Duration::from_millis(1);
            let standing = limiter.standing(before, subject(1), rates);
            prop_assert!(standing.iter().any(|left| left.remaining == 0), "sooner than was told");
            now += wait;
            prop_assert!(limiter.admit(now, &charge).is_ok(), "not when it was told");
        }
    }

    /// Amounts of any size: reserved, settled for less or more, never over in what was admitted.
    #[test]
    fn reservations_hold_and_settle(seed: u64, limit in 100_u32..10_000) {
        let limiter = Limiter::new(1 << 20);
        let rates = Rates { minute: None, hour: number(limit), day: number(limit * 4) };
        let mut random = Random::new(seed);
        let mut now = Duration::from_secs(5);
        // What was used, and when it was reserved: the exact truth of the day.
        let mut used: Vec<(Duration, u32)> = Vec::new();
        let mut open: Vec<(Duration, u32)> = Vec::new();
        for _ in 0..600 {
            now += Duration::from_secs(random.below(200));
            let amount = 1 + random.below(u64::from(limit) / 5) as u32;
            if limiter.admit(now, &[Charge { subject: subject(1), rates, amount }]).is_ok() {
                open.push((now, amount));
            }
            if open.len() > 3 {
                let (at, amount) = open.remove(random.below(open.len() as u64) as usize);
                let real = random.below(u64::from(amount) + 1) as u32;
                limiter.settle(now, at, &[Charge { subject: subject(1), rates, amount }], real);
                used.push((at, real));
            }
            let within = |window: Duration| -> u64 {
                used.iter().chain(&open).filter(|(at, _)| now - *at < window).map(|(_, n)| u64::from(*n)).sum()
            };
            for (window, cap) in rates.iter() {
                prop_assert!(within(window.length()) <= u64::from(cap.get()));
                let told = limiter.standing(now, subject(1), rates);
                let told = told.iter().find(|left| left.window == window).expect("it is limited");
                let counted = u64::from(cap.get()) - u64::from(told.remaining);
                prop_assert!(counted >= within(window.length()), "{} counted less than used", counted);
            }
        }
    }
}

#[test]
fn charges_on_one_counter_must_fit_together() {
    let limiter = Limiter::new(1 << 20);
    let now = Duration::from_secs(1);
    let twice = [Charge::one(subject(1), minute(3)); 2];
    assert!(limiter.admit(now, &twice).is_ok());
    assert!(limiter.admit(now, &twice).is_err(), "one is left, and two are asked for");
    assert!(limiter.admit(now, &[Charge::one(subject(1), minute(3))]).is_ok());
}

#[test]
fn more_than_the_limit_at_once_is_never_admitted() {
    let limiter = Limiter::new(1 << 20);
    let charge = Charge { subject: subject(1), rates: minute(10), amount: 11 };
    let reached = limiter.admit(Duration::ZERO, &[charge]).expect_err("it is more than the limit");
    assert_eq!((reached.allowance.remaining, reached.allowance.resets_in), (10, Duration::from_secs(60)));
}

#[test]
fn the_longest_wait_is_told_where_several_limits_refuse() {
    let limiter = Limiter::new(1 << 20);
    let now = Duration::from_secs(9);
    let hour = Rates { minute: None, hour: number(1), day: None };
    let both = [Charge::one(subject(1), minute(1)), Charge::one(subject(2), hour)];
    let first = limiter.admit(now, &both).expect("from idle").expect("a limit");
    assert_eq!((first.subject, first.allowance.remaining), (subject(1), 0));
    let reached = limiter.admit(now, &both).expect_err("both are at their limit");
    assert_eq!((reached.subject, reached.allowance.window), (subject(2), Window::Hour));
}
