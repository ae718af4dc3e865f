//! What SEC-08, SEC-09 and SEC-10 have in common: one judgement of a secret, with the fix that names where it is.

use std::collections::BTreeSet;

use portcullis_core::strength::{MIN_BITS, Weakness, decode, estimated_bits};
use ring::digest;

use crate::outcome::Finding;
use crate::target::{HeldSecret, Target};
use crate::words;

/// Everything that is wrong with `held`, which the deployment calls `name`.
pub(super) fn findings(
    target: &Target,
    name: &str,
    held: &HeldSecret,
    weaknesses: &[Weakness],
) -> Vec<Finding> {
    let value = held.value.expose();
    let renew = format!("put a new random value into {name} ({}): `openssl rand -base64 32`", held.origin);
    let mut findings: Vec<Finding> = weaknesses
        .iter()
        .map(|weakness| Finding::new(format!("{name} is weak: {weakness}"), &renew))
        .collect();
    if let Some((different, of)) = repeated_bytes(value) {
        findings.push(Finding::new(
            format!("{name} is weak: it decodes to {of} bytes of which only {different} differ"),
            &renew,
        ));
    }
    if words::try_all(&target.secrets.words, |candidate| candidate == value).1 {
        findings.push(Finding::new(format!("{name} stands in a word list"), &renew));
    }
    let secrets = &target.secrets;
    let others = [
        ("JWT_SECRET", secrets.jwt.as_ref()),
        ("ENCRYPTION_KEY", secrets.encryption.as_ref()),
        ("CSRF_SECRET", secrets.csrf.as_ref()),
    ];
    for (other, held) in others.into_iter().filter_map(|(other, held)| Some((other, held?))) {
        if other != name && held.value.expose() == value {
            findings.push(Finding::new(
                format!("{name} has the same value as {other}"),
                format!("give {name} and {other} a random value each"),
            ));
        }
    }
    let hash = sha256_hex(value);
    if secrets
        .used_elsewhere
        .iter()
        .any(|known| known.trim_start_matches("sha256:").eq_ignore_ascii_case(&hash))
    {
        findings.push(Finding::new(
            format!("{name} is also used in another environment"),
            format!("give {name} a value of its own in each environment"),
        ));
    }
    if target.identities.iter().any(|identity| identity.credential.secret().expose() == value) {
        findings.push(Finding::new(format!("{name} is also used as a credential"), renew));
    }
    findings
}

/// How many different bytes a secret decodes to, and how many bytes, when that is too few to be random. Base64 hides
/// what repeats: the text of `k9k9k9...` has no period that its characters show.
fn repeated_bytes(value: &str) -> Option<(usize, usize)> {
    let bytes = decode(value)?;
    let different = bytes.iter().collect::<BTreeSet<_>>().len();
    // Of 32 random bytes, fewer than 20 differ less than once in a million million keys.
    (different < bytes.len().min(64) / 2).then_some((different, bytes.len()))
}

/// The record of a look at a secret: sizes, never the value.
pub(super) fn record(held: &HeldSecret) -> String {
    let value = held.value.expose();
    let decoded = decode(value).map_or_else(
        || "decodes to no bytes".to_owned(),
        |bytes| format!("decodes to {} bits", bytes.len() * 8),
    );
    // Said as a comparison: the exact estimate differs between secrets and would say something about this one.
    let enough = estimated_bits(value) >= MIN_BITS;
    format!(
        "{} characters with room for {} {MIN_BITS} bits of randomness, {decoded}, from {}",
        value.chars().count(),
        if enough { "at least" } else { "fewer than" },
        held.origin
    )
}

fn sha256_hex(text: &str) -> String {
    digest::digest(&digest::SHA256, text.as_bytes())
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use portcullis_core::secret::random_bytes;

    use super::repeated_bytes;

    #[test]
    fn a_key_whose_bytes_repeat_is_found_behind_its_base64_and_a_random_one_is_not() {
        assert_eq!(repeated_bytes(&STANDARD.encode("k9".repeat(16))), Some((2, 32)));
        assert_eq!(repeated_bytes(&STANDARD.encode([0; 32])), Some((1, 32)));
        for _ in 0..2_000 {
            assert_eq!(repeated_bytes(&STANDARD.encode(random_bytes::<32>())), None);
            assert_eq!(repeated_bytes(&STANDARD.encode(random_bytes::<200>())), None);
        }
    }
}
