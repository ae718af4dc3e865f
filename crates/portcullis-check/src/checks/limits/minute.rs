//! When a burst fits into one window, and whether what follows it still does.

use std::time::Duration;

use http::StatusCode;

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

/// The doubt whether a limit still held when something was tried, where the plain request is not refused any more.
pub(super) fn is_over(status: StatusCode, says: &str, what: &str) -> Option<String> {
    (status != StatusCode::TOO_MANY_REQUESTS)
        .then(|| format!("the limit was over before `{what}` was tried: {says}"))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::is_over;

    #[test]
    fn nothing_is_tried_without_a_doubt_once_the_limit_is_over() {
        assert_eq!(is_over(StatusCode::TOO_MANY_REQUESTS, "429", "x"), None);
        for status in [StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE, StatusCode::UNAUTHORIZED] {
            assert!(is_over(status, "200 with JSON", "x").is_some_and(|doubt| doubt.contains("`x`")));
        }
    }
}
