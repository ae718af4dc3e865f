//! How many jobs ran at the same time, from when each began and ended.

/// When a job began and ended, in milliseconds on one clock.
pub(super) type Span = (u64, u64);

/// The most that ran at one moment. One that begins when another ends is not beside it.
pub(super) fn peak(spans: &[Span]) -> usize {
    let beside = |at: u64| spans.iter().filter(|(began, ended)| *began <= at && at < *ended).count();
    spans.iter().map(|(began, _)| beside(*began)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::peak;

    #[test]
    fn jobs_one_after_the_other_are_not_beside_each_other() {
        assert_eq!(peak(&[]), 0);
        assert_eq!(peak(&[(0, 10), (10, 20), (20, 30)]), 1);
        assert_eq!(peak(&[(0, 10), (9, 20), (19, 30)]), 2);
        assert_eq!(peak(&[(0, 30), (1, 30), (2, 30), (30, 40)]), 3);
    }
}
