//! SEC-10.

use portcullis_core::strength::judge;

use super::strength;
use crate::check::{cases, check};
use crate::checks::deployment;
use crate::outcome::{Coverage, Inconclusive, Verdict};
use crate::probe::Probe;

check! {
    /// ## What it checks
    /// `CSRF_SECRET` has at least 32 characters, can hold enough randomness, stands in no word list and differs from the
    /// other secrets. The deployment must answer as itself in the same run.
    /// ## Why it matters
    /// Whoever guesses it can forge a form that acts in a member's name; where it equals another secret, one leak opens both.
    /// ## How to fix
    /// Make a value of its own with `openssl rand -base64 32` and restart; open forms are reloaded once.
    /// ## Limits
    /// Where the secret comes from the target file, nothing shows from outside that the deployment really uses it. Whether
    /// forms are protected at all is for PI-11.
    id: "SEC-10", title: "The form secret is strong",
    area: Secrets, severity: High, since: "0.1.0",
    needs: [CsrfSecret, Identity], touches: Nothing,
    maps: [],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: ["short-csrf-secret", "repeated-csrf-secret", "csrf-reuses-jwt"],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man"],
}

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    let Some(held) = &target.secrets.csrf else {
        return Err(Inconclusive::because("no CSRF_SECRET is known"));
    };
    let number = probe.observe("CSRF_SECRET", &strength::record(held));
    let findings: Vec<_> = strength::findings(&target, "CSRF_SECRET", held, &judge(held.value.expose()))
        .into_iter()
        .map(|finding| finding.shown_by([number]))
        .collect();
    if !findings.is_empty() {
        return Verdict::settle(probe.evidence(), findings, &[], || {
            Err(Inconclusive::because("unreachable"))
        });
    }
    let control = deployment::tells_members_from_strangers(probe).await?;
    Ok(Verdict::pass(Coverage::complete(1, 1, "secrets named CSRF_SECRET")?, control, probe.evidence()))
}
