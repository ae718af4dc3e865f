//! At 64 threads.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use portcullis_core::Actor;
use portcullis_limit::conformance::{Exact, Random};
use portcullis_limit::{Charge, Limiter, Rates, Subject};

use crate::{community, minute, number, subject};

const THREADS: u64 = 64;

#[test]
fn from_idle_exactly_the_limit_whoever_asks_at_once() {
    for round in 0..20 {
        let limiter = Limiter::new(1 << 20);
        let admitted = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let charge = [Charge::one(subject(round), minute(1_000))];
                        let ok = limiter.admit(Duration::from_secs(100), &charge).is_ok();
                        admitted.fetch_add(u64::from(ok), Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(admitted.into_inner(), 1_000);
    }
}

/// Many subjects at once, all in one step: what is admitted equals what is counted for each, and nothing counts in part.
#[test]
fn all_windows_of_all_subjects_are_decided_together() {
    let limiter = Limiter::new(4 << 20);
    let now = Duration::from_secs(1_000);
    let whole = Rates { minute: number(500), hour: number(450), day: number(400) };
    let own = Rates { minute: number(30), hour: number(20), day: number(25) };
    let member =
        |number: u64| Subject::Key(community(0), portcullis_core::KeyId::from_bytes([number as u8; 16]));
    let by_member: Vec<AtomicU64> = (0..32).map(|_| AtomicU64::new(0)).collect();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (limiter, by_member) = (&limiter, &by_member);
            scope.spawn(move || {
                let mut random = Random::new(thread);
                for _ in 0..400 {
                    let who = random.below(32);
                    let charges = [
                        Charge::one(subject(0), whole),
                        Charge::one(Subject::Actor(community(0), Actor::Operator), whole),
                        Charge::one(member(who), own),
                    ];
                    if limiter.admit(now, &charges).is_ok() {
                        by_member[who as usize].fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let admitted: u64 = by_member.iter().map(|count| count.load(Ordering::Relaxed)).sum();
    assert_eq!(admitted, 400, "the tightest of all");
    for left in limiter.standing(now, subject(0), whole) {
        assert_eq!(u64::from(left.limit - left.remaining), admitted, "{:?}", left.window);
    }
    for (who, count) in by_member.iter().enumerate() {
        let count = count.load(Ordering::Relaxed);
        assert!(count <= 20);
        for left in limiter.standing(now, member(who as u64), own) {
            assert_eq!(u64::from(left.limit - left.remaining), count, "nothing counts in part");
        }
    }
}

/// Time goes on in random steps, and at each of them all threads ask at once: no rolling window is passed.
#[test]
fn threads_never_pass_a_limit_in_any_rolling_window() {
    const STEPS: usize = 400;
    let limiter = Limiter::new(1 << 20);
    let rates = Rates { minute: number(100), hour: number(900), day: None };
    let mut random = Random::new(5);
    let times: Vec<Duration> = (0..STEPS)
        .scan(Duration::from_secs(3), |now, _| {
            *now += Duration::from_millis(random.below(30_000));
            Some(*now)
        })
        .collect();
    let admitted: Vec<AtomicU64> = (0..STEPS).map(|_| AtomicU64::new(0)).collect();
    let together = Barrier::new(THREADS as usize);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (limiter, times, admitted, together) = (&limiter, &times, &admitted, &together);
            scope.spawn(move || {
                for (step, now) in times.iter().enumerate() {
                    together.wait();
                    // Some threads rest in some steps.
                    for _ in 0..(step as u64 * 7 + thread * 3) % 4 {
                        if limiter.admit(*now, &[Charge::one(subject(1), rates)]).is_ok() {
                            admitted[step].fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let (mut minute, mut hour) =
        (Exact::new(100, Duration::from_secs(60)), Exact::new(900, Duration::from_secs(3_600)));
    let mut whole = 0;
    for (now, admitted) in times.iter().zip(admitted) {
        for _ in 0..admitted.into_inner() {
            minute.saw_admitted(*now);
            hour.saw_admitted(*now);
            whole += 1;
        }
    }
    assert!(whole > 900, "{whole}");
}

/// Who read the clock, and was then held up until others went on, is counted at the others' time.
#[test]
fn a_time_that_comes_late_is_taken_for_the_latest() {
    let limiter = Limiter::new(1 << 20);
    let charge = [Charge::one(subject(1), minute(1))];
    assert!(limiter.admit(Duration::from_secs(10), &charge).is_ok());
    assert!(limiter.admit(Duration::from_secs(75), &[Charge::one(subject(2), minute(1))]).is_ok());
    assert!(limiter.admit(Duration::from_secs(20), &charge).is_ok(), "it is past the minute by now");
    assert!(limiter.admit(Duration::from_secs(90), &charge).is_err(), "and was counted then");
}
