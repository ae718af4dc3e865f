//! About secrets.

use portcullis_check::target::{Held, HeldSecret};
use portcullis_core::secret::random_bytes;

use super::Case;

pub(super) const CASES: &[Case] = &[
    Case {
        what: "the secret is strong and not the one in use",
        change: |target| {
            let other = random_bytes::<32>().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            target.secrets.jwt =
                Some(HeldSecret { held: Held::Given, ..HeldSecret::served(&other, "file:other") });
        },
        id: "SEC-08",
        word: "inconclusive",
        says: "are not signed with this JWT_SECRET",
    },
    Case {
        what: "only a token is known",
        change: |target| {
            target.secrets.jwt = None;
            target.secrets.sample_jwt = target
                .identities
                .first()
                .map(|identity| portcullis_core::Secret::new(identity.credential.secret().expose().clone()));
        },
        id: "SEC-08",
        word: "inconclusive",
        says: "does not show that a secret is random",
    },
    Case {
        what: "the secret is used in another environment",
        change: |target| {
            let csrf = target.secrets.csrf.as_ref().expect("it is known").value.expose().clone();
            let hash = ring::digest::digest(&ring::digest::SHA256, csrf.as_bytes());
            let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            target.secrets.used_elsewhere.push(format!("sha256:{hex}"));
        },
        id: "SEC-10",
        word: "fail",
        says: "another environment",
    },
];
