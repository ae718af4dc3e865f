//! The three classes of limits, with the numbers of the deployment checklist.

use std::num::NonZeroU32;

use portcullis_core::Tier;

use crate::window::Rates;

/// What a community of that tier may ask for, all its members and keys together.
pub const fn of(tier: Tier) -> Rates {
    let [minute, hour, day] = match tier {
        Tier::Standard => [60, 2_000, 20_000],
        Tier::Enhanced => [300, 10_000, 100_000],
        Tier::Dedicated => [1_000, 50_000, 500_000],
    };
    Rates { minute: NonZeroU32::new(minute), hour: NonZeroU32::new(hour), day: NonZeroU32::new(day) }
}

#[cfg(test)]
mod tests {
    use portcullis_core::Tier;

    #[test]
    fn tiers_are_those_of_the_checklist() {
        let numbers =
            Tier::ALL.map(|tier| super::of(tier).iter().map(|(_, limit)| limit.get()).collect::<Vec<_>>());
        assert_eq!(numbers[0], [60, 2_000, 20_000]);
        assert_eq!(numbers[1], [300, 10_000, 100_000]);
        assert_eq!(numbers[2], [1_000, 50_000, 500_000]);
    }
}
