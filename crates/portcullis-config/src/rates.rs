//! How much is admitted in a minute, an hour and a day: for communities by their tier, and beneath for whoever asks.

use std::num::NonZeroU32;

use crate::config::Reader;
use crate::keys::{self, Key};
use crate::shape::Count;

/// How much is admitted in each rolling window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// In any minute.
    pub minute: NonZeroU32,
    /// In any hour.
    pub hour: NonZeroU32,
    /// In any day.
    pub day: NonZeroU32,
}

/// What each tier admits for a whole community.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tiers {
    /// Of `standard`.
    pub standard: Windows,
    /// Of `enhanced`.
    pub enhanced: Windows,
    /// Of `dedicated`.
    pub dedicated: Windows,
}

type Row = &'static Key<Count>;

pub(crate) fn tiers(r: &mut Reader<'_>) -> Option<Tiers> {
    let standard =
        tier(r, [&keys::TIERS_STANDARD_MINUTE, &keys::TIERS_STANDARD_HOUR, &keys::TIERS_STANDARD_DAY]);
    let enhanced =
        tier(r, [&keys::TIERS_ENHANCED_MINUTE, &keys::TIERS_ENHANCED_HOUR, &keys::TIERS_ENHANCED_DAY]);
    let dedicated =
        tier(r, [&keys::TIERS_DEDICATED_MINUTE, &keys::TIERS_DEDICATED_HOUR, &keys::TIERS_DEDICATED_DAY]);
    Some(Tiers { standard: standard?, enhanced: enhanced?, dedicated: dedicated? })
}

fn tier(r: &mut Reader<'_>, [minute, hour, day]: [Row; 3]) -> Option<Windows> {
    let (minute, hour, day) = (r.required(minute), r.required(hour), r.required(day));
    Some(Windows { minute: minute?, hour: hour?, day: day? })
}

/// A minute with the hour and the day that belong to it: where they are not set, in the proportion of the tier `standard`.
pub(crate) fn windows(r: &mut Reader<'_>, [minute, hour, day]: [Row; 3]) -> Option<Windows> {
    let minute = r.required(minute);
    beneath(r, minute, [hour, day])
}

/// The same for what a session may, which without a key is what its member may.
pub(crate) fn session(r: &mut Reader<'_>, member: Option<Windows>) -> Option<Windows> {
    let minute = r.optional(&keys::LIMITS_SESSION_MINUTE);
    let hour = r.optional(&keys::LIMITS_SESSION_HOUR);
    let day = r.optional(&keys::LIMITS_SESSION_DAY);
    let member = member?;
    Some(Windows {
        minute: minute?.unwrap_or(member.minute),
        hour: hour?.unwrap_or(member.hour),
        day: day?.unwrap_or(member.day),
    })
}

fn beneath(r: &mut Reader<'_>, minute: Option<NonZeroU32>, [hour, day]: [Row; 2]) -> Option<Windows> {
    let (hour, day) = (r.optional(hour), r.optional(day));
    let minute = minute?;
    // 2,000 and 20,000 for 60.
    let times = |part: u64| {
        let number = u32::try_from(u64::from(minute.get()) * part / 60).unwrap_or(u32::MAX);
        NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
    };
    Some(Windows {
        minute,
        hour: hour?.unwrap_or_else(|| times(2_000)),
        day: day?.unwrap_or_else(|| times(20_000)),
    })
}
