//! Hours and days across restarts.

use std::time::Duration;

use portcullis_limit::conformance::{Exact, Random};
use portcullis_limit::{Charge, Limiter, Rates, Snapshot};
use proptest::prelude::*;

use crate::{number, subject};

const RATES: Rates = Rates { minute: number_of(30), hour: number_of(100), day: number_of(250) };

const fn number_of(number: u32) -> Option<std::num::NonZeroU32> {
    std::num::NonZeroU32::new(number)
}

/// A run of the product: its own monotonic clock, and a wall clock that goes on while it does not run.
struct Run {
    limiter: Limiter,
    begun: Duration,
}

impl Run {
    fn begin(wall: Duration, kept: Option<&[u8]>, memory: usize) -> Self {
        let limiter = Limiter::new(memory);
        if let Some(kept) = kept {
            let snapshot = Snapshot::decode(kept).expect("a snapshot");
            limiter.restore(Duration::ZERO, wall.as_millis() as i64, &snapshot);
        }
        Self { limiter, begun: wall }
    }

    fn admit(&self, wall: Duration) -> bool {
        self.limiter.admit(wall - self.begun, &[Charge::one(subject(1), RATES)]).is_ok()
    }

    fn end(&self, wall: Duration) -> Vec<u8> {
        self.limiter.snapshot(wall - self.begun, wall.as_millis() as i64).encode()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whenever it is stopped and however long it is down: no hour and no day is ever passed.
    #[test]
    fn hours_and_days_survive_restarts_without_excess(seed: u64, mean in 1_000_u64..90_000, roomy: bool) {
        let memory = if roomy { 1 << 20 } else { 0 };
        let mut random = Random::new(seed);
        let mut wall = Duration::from_secs(1_000_000);
        let mut run = Run::begin(wall, None, memory);
        let mut exact = [Exact::new(100, Duration::from_secs(3_600)), Exact::new(250, Duration::from_secs(86_400))];
        for _ in 0..4_000 {
            wall += Duration::from_millis(random.below(mean));
            if run.admit(wall) {
                for exact in &mut exact {
                    exact.saw_admitted(wall);
                }
            }
            if random.below(60) == 0 {
                let kept = run.end(wall);
                wall += Duration::from_millis(random.below(400_000));
                run = Run::begin(wall, Some(&kept), memory);
            }
        }
    }

    /// Killed at any moment: what was counted since the last snapshot is made good for.
    #[test]
    fn a_crash_never_gives_more_than_a_limit(seed: u64, mean in 200_u64..9_000) {
        let mut random = Random::new(seed);
        let mut wall = Duration::from_secs(1_000_000);
        let mut run = Run::begin(wall, None, 1 << 20);
        let (mut kept, mut kept_at) = (run.end(wall), wall);
        let mut exact = [Exact::new(100, Duration::from_secs(3_600)), Exact::new(250, Duration::from_secs(86_400))];
        for _ in 0..4_000 {
            wall += Duration::from_millis(random.below(mean));
            if wall - kept_at > Duration::from_secs(20) {
                (kept, kept_at) = (run.end(wall), wall);
            }
            if run.admit(wall) {
                for exact in &mut exact {
                    exact.saw_admitted(wall);
                }
            }
            if random.below(200) == 0 {
                let ended = (kept_at + Duration::from_secs(30)).as_millis() as i64;
                wall += Duration::from_millis(random.below(400_000));
                run = Run::begin(wall, Some(&kept), 1 << 20);
                let now = wall.as_millis() as i64;
                run.limiter.make_good(Duration::ZERO, now, ended, std::num::NonZeroU32::MIN);
                (kept, kept_at) = (run.end(wall), wall);
            }
        }
    }
}

#[test]
fn a_restart_gives_nothing_back_and_takes_hardly_anything() {
    let wall = Duration::from_secs(500_000);
    let run = Run::begin(wall, None, 1 << 20);
    for minute in 0..3 {
        let now = wall + Duration::from_secs(61) * minute;
        assert_eq!((0..40).filter(|_| run.admit(now)).count(), 30);
    }
    let stopped = wall + Duration::from_secs(200);
    let again = Run::begin(stopped + Duration::from_secs(5), Some(&run.end(stopped)), 1 << 20);
    let now = stopped + Duration::from_secs(5);
    assert_eq!((0..40).filter(|_| again.admit(now)).count(), 10, "90 of 100 were used");
    // The first thirty leave the hour with its sub-window, and one more for having been kept.
    let later = wall + Duration::from_secs(3_600 + 2 * 30 + 1);
    assert!(again.admit(later));
}

#[test]
fn a_wall_clock_that_went_backwards_makes_nothing_older() {
    let wall = Duration::from_secs(500_000);
    let run = Run::begin(wall, None, 1 << 20);
    assert_eq!((0..40).filter(|_| run.admit(wall)).count(), 30);
    let back = wall - Duration::from_secs(100_000);
    let again = Run::begin(back, Some(&run.end(wall)), 1 << 20);
    let standing = again.limiter.standing(Duration::ZERO, subject(1), RATES);
    assert_eq!(standing.iter().map(|left| left.remaining).collect::<Vec<_>>(), [30, 70, 220]);
}

#[test]
fn a_reservation_that_a_restart_overtook_stays_counted() {
    let tokens = Rates { minute: None, hour: None, day: number(1_000) };
    let limiter = Limiter::new(1 << 20);
    assert!(
        limiter.admit(Duration::ZERO, &[Charge { subject: subject(1), rates: tokens, amount: 400 }]).is_ok()
    );
    let kept = limiter.snapshot(Duration::from_secs(1), 1_000);
    let again = Limiter::new(1 << 20);
    again.restore(Duration::ZERO, 3_000, &kept);
    assert_eq!(again.standing(Duration::ZERO, subject(1), tokens)[0].remaining, 600);
}

/// However short the runs are, what was counted in one leaves its window in time: its hour an hour later, its day a day
/// later, give or take a sub-window.
#[test]
fn what_was_counted_ages_through_runs_that_hardly_last() {
    const HOURS: Rates = Rates { minute: None, hour: number_of(10), day: None };
    const DAYS: Rates = Rates { minute: None, hour: None, day: number_of(10) };
    for (rates, length, width) in [(HOURS, 3_600, 30), (DAYS, 86_400, 720)] {
        for (every, lasts) in [(5_000, 60), (5_003, 0), (40_001, 39_990), (700_000, 1)] {
            let begun = Duration::from_secs(1_000_017);
            let mut wall = begun;
            let mut run = Run::begin(wall, None, 1 << 20);
            let ask = |run: &Run, wall: Duration| {
                run.limiter.admit(wall - run.begun, &[Charge::one(subject(1), rates)]).is_ok()
            };
            assert_eq!((0..12).filter(|_| ask(&run, wall)).count(), 10);
            let mut free = None;
            while free.is_none() && wall - begun < Duration::from_secs(length * 2) {
                wall += Duration::from_millis(lasts);
                let kept = run.end(wall);
                wall += Duration::from_millis(every - lasts);
                run = Run::begin(wall, Some(&kept), 1 << 20);
                let standing = run.limiter.standing(Duration::ZERO, subject(1), rates);
                free = (standing[0].remaining > 0).then_some(wall - begun);
            }
            let free = free.expect("it never leaves the window");
            assert!(free >= Duration::from_secs(length), "{free:?} is too soon, every {every} ms");
            // The sub-window that it is in, the time to the next look, and two milliseconds a restart for rounding.
            let restarts = free.as_millis() as u64 / every;
            let most = Duration::from_secs(length + width) + Duration::from_millis(every + 2 * restarts);
            assert!(free <= most, "{free:?} for {length} s, every {every} ms");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    /// Runs that hardly last, on clocks that tell parts of a millisecond: no hour and no day is ever passed.
    #[test]
    fn short_runs_give_nothing(seed: u64, mean in 2_u64..9_000) {
        let mut random = Random::new(seed);
        let mut wall = Duration::from_micros(1_000_000_000_000 + random.below(900_000_000));
        let mut run = Run::begin(wall, None, 1 << 20);
        let mut exact = [Exact::new(100, Duration::from_secs(3_600)), Exact::new(250, Duration::from_secs(86_400))];
        for _ in 0..8_000 {
            wall += Duration::from_micros(random.below(mean * 1_000));
            for _ in 0..random.below(4) {
                if run.admit(wall) {
                    for exact in &mut exact {
                        exact.saw_admitted(wall);
                    }
                }
            }
            if random.below(3) == 0 {
                let kept = run.end(wall);
                wall += Duration::from_micros(random.below(mean * 8_000));
                run = Run::begin(wall, Some(&kept), 1 << 20);
            }
        }
    }
}
