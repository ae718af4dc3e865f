//! About secrets.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_check::Target;
use portcullis_check::target::{Credential, Held, HeldSecret};
use portcullis_core::Secret;
use portcullis_core::secret::random_bytes;

use super::{Case, judged};
use crate::foreign::{Foreign, node_is_here};
use crate::settings::options;

fn strong() -> String {
    random_bytes::<32>().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Says that this secret signs tokens.
fn hold(target: &mut Target, secret: &str) {
    target.secrets.jwt = Some(HeldSecret { held: Held::Given, ..HeldSecret::served(secret, "file:other") });
}

/// A token of somebody that this secret signs.
fn token(secret: &str) -> Secret<String> {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", encode(r#"{"alg":"HS256"}"#), encode(r#"{"sub":"alice"}"#));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let tag = ring::hmac::sign(&key, signed.as_bytes());
    Secret::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref())))
}

/// Nobody has a token but whoever the given one is of.
fn give_one_token_alone(target: &mut Target) {
    let alice = target.identities.iter().find(|identity| identity.name == "alice").expect("known");
    target.secrets.sample_jwt = Some(Secret::new(alice.credential.secret().expose().clone()));
    target.identities.retain(|identity| matches!(identity.credential, Credential::Cookie { .. }));
}

pub(super) const CASES: &[Case] = &[
    Case {
        what: "the secret is strong and not the one in use",
        change: |target| {
            hold(target, &strong());
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
                .map(|identity| Secret::new(identity.credential.secret().expose().clone()));
        },
        id: "SEC-08",
        word: "inconclusive",
        says: "does not show that a secret is random",
    },
    Case {
        what: "a token that another secret signed is given beside those in use",
        change: |target| {
            let other = strong();
            hold(target, &other);
            target.secrets.sample_jwt = Some(token(&other));
        },
        id: "SEC-08",
        word: "inconclusive",
        says: "are not signed with this JWT_SECRET",
    },
    Case {
        what: "one token is given and everybody is known by a cookie",
        change: give_one_token_alone,
        id: "SEC-08",
        word: "pass",
        says: "",
    },
    Case {
        what: "the token that is given is of somewhere else",
        change: |target| {
            give_one_token_alone(target);
            let other = strong();
            hold(target, &other);
            target.secrets.sample_jwt = Some(token(&other));
        },
        id: "SEC-08",
        word: "inconclusive",
        says: "`sample_jwt`",
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

#[tokio::test]
async fn a_token_that_is_given_hides_no_token_that_is_in_use() {
    if !node_is_here().await {
        return;
    }
    let foreign = Foreign::start(Some("weak-jwt-secret")).await;
    let mut target = foreign.target();
    let other = strong();
    hold(&mut target, &other);
    target.secrets.sample_jwt = Some(token(&other));
    let (word, reason) = judged(foreign, target, "SEC-08", options()).await;
    assert_eq!(word, "fail", "{reason}");
    assert!(reason.contains("offline"), "{reason}");
}

#[tokio::test]
async fn signatures_are_tried_where_one_token_is_given_alone() {
    if !node_is_here().await {
        return;
    }
    let foreign = Foreign::start(Some("accepts-any-signature")).await;
    let mut target = foreign.target();
    give_one_token_alone(&mut target);
    let (word, reason) = judged(foreign, target, "SEC-08", options()).await;
    assert_eq!(word, "fail", "{reason}");
}
