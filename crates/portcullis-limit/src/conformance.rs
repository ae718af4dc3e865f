//! The suite that every shared counter store passes, and stores that are wrong on purpose.
//!
//! Each case is a plain function over a [`Harness`]; [`counter_store!`](crate::counter_store!) makes each a test of its
//! own. The suite is tested too: every store in [`wrong`] must fail the case that was written against it.
//!
//! It is compiled for tests only, behind the feature `conformance`, and is the only code here that may panic.

#![expect(clippy::expect_used, reason = "a suite of tests: a case fails by panicking")]

pub mod cases;
pub mod wrong;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::store::CounterStore;

/// Gives the suite what it tests.
#[async_trait]
pub trait Harness: Send + Sync {
    /// One more instance's way to the same counters.
    async fn instance(&self) -> Arc<dyn CounterStore>;

    /// Lets time pass on the store's clock.
    async fn pass(&self, time: Duration);
}

/// Makes every case of the suite a test of its own. `$harness` gives a fresh [`Harness`] with empty counters each time.
///
/// The crate needs `tokio` with `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! counter_store {
    ($harness:expr) => {
        $crate::counter_store_cases! { $harness;
            from_idle_exactly_the_limit_is_admitted
            all_at_once_get_exactly_the_limit
            instances_share_their_counters
            what_is_refused_counts_nowhere
            every_window_holds
            no_rolling_window_holds_more_than_the_limit
            who_never_rests_gets_nearly_all
            the_wait_that_is_told_is_right
            asking_counts_nothing
            subjects_are_apart
            what_was_not_used_is_given_back
            what_was_used_beyond_counts
        }
    };
}

/// Expands the list of [`counter_store!`](crate::counter_store!).
#[doc(hidden)]
#[macro_export]
macro_rules! counter_store_cases {
    ($harness:expr; $($case:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let harness: std::sync::Arc<dyn $crate::conformance::Harness> = std::sync::Arc::new($harness);
                $crate::conformance::cases::$case(harness).await;
            }
        )+
    };
}

/// The exact limiter: it remembers when each thing was admitted, and looks back one whole window.
#[derive(Debug)]
pub struct Exact {
    limit: usize,
    window: Duration,
    admitted: VecDeque<Duration>,
}

impl Exact {
    /// A limiter that has admitted nothing.
    pub fn new(limit: u32, window: Duration) -> Self {
        Self { limit: limit as usize, window, admitted: VecDeque::new() }
    }

    /// Whether one more is admitted at that time; if so, it is remembered.
    pub fn admit(&mut self, now: Duration) -> bool {
        self.forget(now);
        let admits = self.admitted.len() < self.limit;
        if admits {
            self.admitted.push_back(now);
        }
        admits
    }

    /// Remembers what another limiter has admitted.
    ///
    /// # Panics
    /// If that is one more than any window ending now may hold.
    pub fn saw_admitted(&mut self, now: Duration) {
        self.forget(now);
        self.admitted.push_back(now);
        let held = self.admitted.len();
        assert!(held <= self.limit, "{held} admitted within {:?}, limit {}", self.window, self.limit);
    }

    fn forget(&mut self, now: Duration) {
        while self.admitted.front().is_some_and(|&at| now - at >= self.window) {
            self.admitted.pop_front();
        }
    }
}

/// Random numbers that a case repeats: xorshift64*, by Marsaglia and Vigna.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Numbers from a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `end`.
    pub const fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end
    }
}
