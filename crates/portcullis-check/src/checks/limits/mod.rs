//! How much may be asked.

mod dimension;
mod minute;
mod networks;
mod tiers;
mod users;

pub(super) mod rl_01_chat_is_limited_per_user_address_and_session;
pub(super) mod rl_03_the_standard_tier_is_exact;
pub(super) mod rl_04_the_enhanced_tier_is_exact;
pub(super) mod rl_05_the_dedicated_tier_is_exact;
pub(super) mod rl_06_limits_cannot_be_bypassed;
pub(super) mod rl_07_limits_hold_under_load;
pub(super) mod rl_09_model_costs_are_capped;
