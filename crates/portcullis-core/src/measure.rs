//! Numbers that count and time, cheap enough to be kept for every request and read by whoever shows them.
//!
//! They know neither names nor labels: who keeps one decides what it means, and keeps as many as there are cases in the
//! code, so that nothing a request says can make another.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// A counter at zero.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Counts one.
    pub fn add_one(&self) {
        self.add(1);
    }

    /// Counts so many.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many there are of something now: each [`Gauge::enter`] is one for as long as its result lives.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// One more, until the result is dropped.
    pub fn enter(self: &std::sync::Arc<Self>) -> Present {
        self.0.fetch_add(1, Ordering::Relaxed);
        Present(std::sync::Arc::clone(self))
    }

    /// How many there are.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One of those that a [`Gauge`] counts.
#[derive(Debug)]
pub struct Present(std::sync::Arc<Gauge>);

impl Drop for Present {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The upper bounds of what is timed, in microseconds: from a look-up in memory to the slowest model.
const BOUNDS_US: [u64; 18] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// How long something took, by how often it took how long.
#[derive(Debug, Default)]
pub struct Times {
    /// One a bound, and one for what took longer.
    counts: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

/// What [`Times`] held at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Timed {
    /// The sum of all times, in seconds.
    pub seconds: f64,
    /// How many there were.
    pub count: u64,
    /// How many took up to so many seconds and longer than the bound before; the last bound is infinite.
    pub buckets: Vec<(f64, u64)>,
}

impl Times {
    /// Takes in one time.
    pub fn add(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let place = BOUNDS_US.partition_point(|bound| *bound < us);
        if let Some(count) = self.counts.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// What is held now. Its count is that of its buckets, whoever adds meanwhile.
    pub fn read(&self) -> Timed {
        #[expect(clippy::cast_precision_loss, reason = "seconds are shown, not counted with")]
        let seconds = |us: u64| us as f64 / 1e6;
        let bounds = BOUNDS_US.iter().map(|us| seconds(*us)).chain([f64::INFINITY]);
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<_> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        Timed { seconds: seconds(self.sum_us.load(Ordering::Relaxed)), count, buckets }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::{Counter, Gauge, Times};

    #[test]
    fn nothing_is_lost_with_several_threads() {
        let (counter, times, gauge) = (Counter::new(), Times::default(), Arc::new(Gauge::default()));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50_000 {
                        let _present = gauge.enter();
                        counter.add_one();
                        times.add(Duration::from_micros(3));
                    }
                });
            }
        });
        assert_eq!(counter.value(), 400_000);
        assert_eq!(times.read().count, 400_000);
        assert!((times.read().seconds - 1.2).abs() < 1e-9);
        assert_eq!(gauge.value(), 0);
    }

    #[test]
    fn a_time_is_in_the_first_bucket_that_holds_it() {
        let times = Times::default();
        let held = |us| {
            let before = times.read();
            times.add(Duration::from_micros(us));
            let after = times.read();
            let changed =
                after.buckets.iter().zip(&before.buckets).find(|(after, before)| after.1 != before.1);
            changed.expect("one bucket").0.0
        };
        assert!((held(0) - 0.0001).abs() < 1e-12);
        assert!((held(100) - 0.0001).abs() < 1e-12, "a bound belongs to its bucket");
        assert!((held(101) - 0.000_25).abs() < 1e-12);
        assert!((held(60_000_000) - 60.0).abs() < 1e-9);
        assert!(held(60_000_001).is_infinite());
    }
}
