//! Medians and percentiles of what was measured.

use std::time::Duration;

use serde::Serialize;

/// Measured times, sorted.
#[derive(Debug, Clone, Default)]
pub(super) struct Spread(Vec<Duration>);

impl Spread {
    pub(super) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// The time that so many per thousand do not exceed (nearest rank); zero when nothing was measured.
    pub(super) fn per_mille(&self, share: usize) -> Duration {
        let rank = self.0.len().saturating_mul(share).div_ceil(1_000).max(1);
        self.0.get(rank - 1).or_else(|| self.0.last()).copied().unwrap_or_default()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn p50(&self) -> Duration {
        self.per_mille(500)
    }

    pub(super) fn p99(&self) -> Duration {
        self.per_mille(990)
    }

    pub(super) fn max(&self) -> Duration {
        self.0.last().copied().unwrap_or_default()
    }
}

/// The middle one of several measurements of the same thing, or the mean of the middle two; `None` without any.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    values.get(middle.checked_sub(1)?).map(|lower| f64::midpoint(*lower, upper))
}

/// What one thing takes more than another, of which pairs were measured in turn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Difference {
    pub(super) mean: f64,
    /// The standard error of the mean.
    pub(super) error: f64,
    pub(super) pairs: usize,
}

impl Difference {
    /// Of what each pair differs by; `None` of fewer than two, which say nothing of how far pairs are apart.
    pub(super) fn of(differences: &[f64]) -> Option<Self> {
        let pairs = differences.len();
        let count = f64::from(u32::try_from(pairs).ok().filter(|pairs| *pairs > 1)?);
        let mean = differences.iter().sum::<f64>() / count;
        let squares = differences.iter().map(|one| (one - mean).powi(2)).sum::<f64>();
        Some(Self { mean, error: (squares / (count - 1.0) / count).sqrt(), pairs })
    }

    /// What it is at most, wrong once in forty times: two standard errors above the mean.
    pub(super) fn at_most(&self) -> f64 {
        2.0f64.mul_add(self.error, self.mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_time_that_was_measured() {
        let spread = Spread::of((1..=200).rev().map(Duration::from_millis).collect());
        assert_eq!(spread.p50(), Duration::from_millis(100));
        assert_eq!(spread.p99(), Duration::from_millis(198));
        assert_eq!(spread.max(), Duration::from_millis(200));
        let one = Spread::of(vec![Duration::from_millis(7)]);
        assert_eq!((one.p50(), one.p99()), (one.max(), one.max()));
        assert_eq!(Spread::default().p99(), Duration::ZERO);
    }

    #[test]
    fn one_outlier_does_not_move_the_median() {
        assert_eq!(median([1.0, 900.0, 2.0]), Some(2.0));
        assert_eq!(median([1.0, 3.0]), Some(2.0));
        assert_eq!(median([]), None);
    }

    #[test]
    fn a_difference_is_as_sure_as_its_pairs_agree() {
        let sure = Difference::of(&[1.0, 1.0, 1.0, 1.0]).expect("pairs");
        assert_eq!(sure, Difference { mean: 1.0, error: 0.0, pairs: 4 });
        let unsure = Difference::of(&[-3.0, 5.0, -1.0, 3.0]).expect("pairs");
        assert_eq!(unsure.mean, 1.0);
        assert!((unsure.error - 1.825_7).abs() < 0.001, "{unsure:?}");
        assert!((unsure.at_most() - 4.651_5).abs() < 0.001);
        assert_eq!(Difference::of(&[1.0]), None);
    }
}
