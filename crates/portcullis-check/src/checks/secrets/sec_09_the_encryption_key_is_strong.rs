//! SEC-09.

use portcullis_core::strength::judge_aes256;

use super::strength;
use crate::check::{cases, check};
use crate::checks::deployment;
use crate::outcome::{Coverage, Inconclusive, Verdict};
use crate::probe::Probe;

check! {
    /// ## What it checks
    /// `ENCRYPTION_KEY` has at least 32 characters, decodes to the 256 bits that AES-256 needs, can hold enough randomness,
    /// stands in no word list and is used for nothing else. The deployment must answer as itself in the same run.
    /// ## Why it matters
    /// Whoever guesses the key reads every member's stored messages, and 32 hexadecimal digits are only half a key.
    /// ## How to fix
    /// Make a key with `openssl rand -base64 32`, store it in the secret store, and re-encrypt by the key rotation.
    /// ## Limits
    /// Where the key comes from the target file, nothing shows from outside that the deployment really uses it. Characters
    /// bound randomness from above: a typed text can look random.
    id: "SEC-09", title: "The encryption key is strong",
    area: Secrets, severity: Critical, since: "0.1.0",
    needs: [EncryptionKey, Identity], touches: Nothing,
    maps: [],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: ["half-encryption-key", "repeated-encryption-key", "example-encryption-key"],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man"],
}

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    let Some(held) = &target.secrets.encryption else {
        return Err(Inconclusive::because("no ENCRYPTION_KEY is known"));
    };
    let number = probe.observe("ENCRYPTION_KEY", &strength::record(held));
    let findings: Vec<_> =
        strength::findings(&target, "ENCRYPTION_KEY", held, &judge_aes256(held.value.expose()))
            .into_iter()
            .map(|finding| finding.shown_by([number]))
            .collect();
    if !findings.is_empty() {
        return Verdict::settle(probe.evidence(), findings, &[], || {
            Err(Inconclusive::because("unreachable"))
        });
    }
    let control = deployment::tells_members_from_strangers(probe).await?;
    Ok(Verdict::pass(Coverage::complete(1, 1, "secrets named ENCRYPTION_KEY")?, control, probe.evidence()))
}
