//! When a burst fits into one window.

use std::time::Duration;

use crate::probe::Probe;

/// A burst that takes longer than this says nothing about a window of a minute.
pub(super) const SLOWEST_BURST: Duration = Duration::from_secs(45);

/// A burst that straddles the turn of a minute would meet two windows of a limiter that counts by the clock.
pub(super) async fn wait_for_the_minute(probe: &Probe) {
    let second = u64::try_from(probe.clock().now().as_second().rem_euclid(60)).unwrap_or(0);
    let near = if probe.target().is_on_loopback() { 57 } else { 50 };
    if second >= near {
        tokio::time::sleep(Duration::from_secs(60 - second)).await;
    }
}
