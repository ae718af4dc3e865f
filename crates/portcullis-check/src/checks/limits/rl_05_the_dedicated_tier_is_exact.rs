//! RL-05.

use super::tiers;
use crate::check::{cases, check};
use crate::outcome::{Inconclusive, Verdict};
use crate::probe::Probe;

check! {
    /// ## What it checks
    /// Drives a community of the tier `dedicated` against 1,000 requests in a minute, 50,000 in an hour and 500,000 in a day. The minute is driven
    /// live with a fifth more than the limit. For the hour and the day most of the limit is counted beforehand, the clock of a deployment for tests is
    /// moved until the shorter windows are empty, and the rest is driven live. At least 98 % of what is left and never
    /// more may be admitted in each, and the configuration must say the same numbers. The rate that was offered is recorded.
    /// ## Why it matters
    /// What a community may use is what it pays for: less breaks a promise, more is paid by the others.
    /// ## How to fix
    /// Count the requests of a community in rolling windows of a minute, an hour and a day, and decide all of them in one
    /// atomic step before anything else is done.
    /// ## Limits
    /// The clock is moved and counters are filled in a deployment for tests of the same build (`[[tier]]`), never in
    /// production: nothing there has such hooks. Several machines are for RL-02.
    id: "RL-05", title: "The dedicated tier is exact",
    area: Limits, severity: High, since: "0.1.0",
    needs: [Identity, Tiers], touches: Load,
    maps: ["API4:2023 Unrestricted Resource Consumption", "LLM10:2025 Unbounded Consumption"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: [
        "dedicated-tier-has-no-hour",
        "dedicated-tier-admits-one-more-a-day",
        "dedicated-tier-admits-too-little",
        "dedicated-tier-is-configured-otherwise",
    ],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man", "echo", "spa-shell"],
}

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    tiers::judge(probe, "dedicated", [1_000, 50_000, 500_000]).await
}
