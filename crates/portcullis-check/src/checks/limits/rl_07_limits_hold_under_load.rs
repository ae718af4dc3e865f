//! RL-07.

use super::tiers;
use crate::check::{cases, check};
use crate::outcome::{Inconclusive, Verdict};
use crate::probe::Probe;

check! {
    /// ## What it checks
    /// Drives the minute of a community of the tier `standard` while another one of the tier `dedicated` asks at 80 % of what
    /// it may: 800 requests among which 72 are of the first. Of those at least 98 % of 60 and never more than 60 may be admitted, all of
    /// the others must be, and the rate that was reached is recorded.
    /// ## Why it matters
    /// A counter that is read and then written loses count exactly when many ask at once: that is when it is needed.
    /// ## How to fix
    /// Count and compare in one atomic step, and let a counter that cannot be reached refuse.
    /// ## Limits
    /// The load is what one machine offers over a few seconds, in a deployment for tests (`[[tier]]`). What a whole crowd does to a deployment
    /// is for its load tests.
    id: "RL-07", title: "Limits hold under load",
    area: Limits, severity: Medium, since: "0.1.0",
    needs: [Identity, Tiers], touches: Load,
    maps: ["API4:2023 Unrestricted Resource Consumption", "LLM10:2025 Unbounded Consumption"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: ["limits-slip-under-load", "limits-close-under-load", "limits-are-shared-under-load", "standard-tier-admits-too-little"],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man", "echo", "spa-shell"],
}

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    tiers::judge_under_load(probe, 60, 800).await
}
