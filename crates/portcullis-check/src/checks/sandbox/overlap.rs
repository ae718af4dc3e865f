//! How many jobs ran at the same time, from when each began and ended.

/// When a job began and ended, in milliseconds on one clock.
pub(super) type Span = (u64, u64);

/// How long after it gave its place back a job may be told to have ended.
const SLACK_MS: u64 = 50;

/// The most that ran at one moment. One that begins when another ends is not beside it.
pub(super) fn peak(spans: &[Span]) -> usize {
    let ended = |span: &Span| span.1.saturating_sub(SLACK_MS);
    let beside =
        |at: u64| spans.iter().filter(|span| span.0 <= at && (at < ended(span) || at == span.0)).count();
    spans.iter().map(|(began, _)| beside(*began)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::peak;

    #[test]
    fn jobs_one_after_the_other_are_not_beside_each_other() {
        assert_eq!(peak(&[]), 0);
        assert_eq!(peak(&[(0, 700), (700, 1400), (1400, 2100)]), 1);
        // Told a moment late.
        assert_eq!(peak(&[(0, 720), (700, 1420), (1400, 2100)]), 1);
        assert_eq!(peak(&[(0, 700), (500, 1200), (1100, 1800)]), 2);
        assert_eq!(peak(&[(0, 700), (1, 700), (2, 700), (700, 1400)]), 3);
        assert_eq!(peak(&[(5, 5), (5, 5)]), 2);
    }
}
