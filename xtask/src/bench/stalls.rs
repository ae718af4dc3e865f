//! What the machine itself takes away: how often and for how long a thread is stopped that has nothing to wait for.
//!
//! A server that answers within a millisecond shows such stops in its 99th percentile once they take a hundredth of the
//! time, whatever it does itself.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde::Serialize;

/// How long is looked.
const LOOK: Duration = Duration::from_secs(4);
/// Less than this is an interrupt like any other.
const LEAST: Duration = Duration::from_micros(300);

/// The stops of the processor that had the most.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Stalls {
    pub(super) per_second: f64,
    pub(super) longest_ms: f64,
    /// The part of the time that they took.
    pub(super) share: f64,
}

/// Keeps every processor busy for a while and looks at the clock. Nothing else should run.
pub(super) fn measure() -> Result<Stalls> {
    let count = thread::available_parallelism().map_or(1, usize::from);
    let threads: Vec<_> = (0..count).map(|_| thread::spawn(|| gaps(LOOK))).collect();
    let mut worst = of(&[], LOOK);
    for thread in threads {
        let gaps = thread.join().map_err(|_| anyhow!("a thread that looks at the clock ended early"))?;
        let stalls = of(&gaps, LOOK);
        if stalls.share > worst.share {
            worst = stalls;
        }
    }
    Ok(worst)
}

/// The times between two looks at the clock that are too long.
fn gaps(look: Duration) -> Vec<Duration> {
    let begun = Instant::now();
    let (mut gaps, mut last) = (Vec::new(), begun);
    while last.duration_since(begun) < look {
        let now = Instant::now();
        let gap = now.duration_since(last);
        if gap >= LEAST {
            gaps.push(gap);
        }
        last = now;
    }
    gaps
}

fn of(gaps: &[Duration], look: Duration) -> Stalls {
    let seconds = look.as_secs_f64();
    Stalls {
        per_second: f64::from(u32::try_from(gaps.len()).unwrap_or(u32::MAX)) / seconds,
        longest_ms: gaps.iter().max().map_or(0.0, |gap| gap.as_secs_f64() * 1e3),
        share: gaps.iter().sum::<Duration>().as_secs_f64() / seconds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_are_counted_by_how_often_and_how_long() {
        let gaps = [1, 4, 3].map(Duration::from_millis);
        let stalls = of(&gaps, Duration::from_secs(2));
        assert_eq!(stalls, Stalls { per_second: 1.5, longest_ms: 4.0, share: 0.004 });
        assert_eq!(of(&[], LOOK), Stalls { per_second: 0.0, longest_ms: 0.0, share: 0.0 });
    }
}
