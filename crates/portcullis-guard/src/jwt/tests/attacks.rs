//! The attacks: one row each. A row changes a token that verifies in one thing, and the test first sees that token
//! verify, so no row can pass because something else is broken.
//!
//! A rule that nothing needs is not here. Taken out one at a time, each of these lets the row beside it verify:
//!
//! | without the rule | the row that then verifies |
//! |---|---|
//! | the bound on the size | longer than 8 KiB |
//! | exactly three parts | an extra part |
//! | strict base64url | padding on the signature; bits left over at the end |
//! | members named once | alg twice; sub twice, once escaped; until twice |
//! | forbidden header parameters | crit, b64, jku, jwk, x5u, x5c, zip, enc |
//! | the kinds of token (`typ`) | typ "logout+jwt" |
//! | the list of algorithms | alg "none", signed |
//! | `kid` is a configured id or refuses | kid "../../../../dev/null"; kid 1 |
//! | a `kid` where several keys fit | no kid where there are two keys |
//! | the signature | another subject under the signature; all zero |
//! | the audience, its type, its presence | aud "other"; aud ["portcullis",5]; no aud |
//! | times have one type | nbf: "1799999940" (CVE-2026-25537) |
//! | `exp` is there | no exp |
//! | `exp`, `nbf`, `iat` against now | expired; not yet; issued in the future |
//! | the longest life, also without `iat` | lives for ever; lives too long and does not say since when |
//! | the issuer's communities | community "oven"; no community where there are two |
//! | what is said about a member has one type | sub: ""; role: "root"; plans: null; plans: [{"plan":"gold","untill":5}] |
//!
//! The key's own algorithm has no such row: without the comparison the rows of `algorithm` still do not verify, because
//! an RSA key has no way to check an HMAC. They then fail for another reason, which the test tells apart.

mod algorithm;
mod claims;
mod header;
mod signature;
mod spelling;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

use super::forge::{Forge, SUBJECT, Signer, encode, verify};
use crate::jwt::Rejected;

struct Attack {
    name: String,
    control: String,
    token: String,
    expected: Rejected,
}

#[derive(Default)]
struct Attacks(Vec<Attack>);

impl Attacks {
    /// A change of the content before it is signed with the issuer's own key.
    fn content(
        &mut self,
        name: impl Into<String>,
        base: Forge,
        expected: Rejected,
        change: impl Fn(&mut Forge),
    ) {
        let control = base.token();
        let mut forge = base;
        change(&mut forge);
        self.0.push(Attack { name: name.into(), control, token: forge.token(), expected });
    }

    /// A change of the finished token.
    fn text(
        &mut self,
        name: impl Into<String>,
        base: Forge,
        expected: Rejected,
        change: impl Fn(&str) -> String,
    ) {
        let control = base.token();
        let token = change(&control);
        self.0.push(Attack { name: name.into(), control, token, expected });
    }

    /// Another signature under the same content.
    fn signature(&mut self, name: impl Into<String>, base: Forge, change: impl Fn(Vec<u8>) -> Vec<u8>) {
        self.text(name, base, Rejected::Signature, |token| {
            let (signed, signature) = split(token);
            format!("{signed}.{}", encode(change(signature)))
        });
    }

    fn refuse_all(self, least: usize) {
        let mut missed = Vec::new();
        for Attack { name, control, token, expected } in &self.0 {
            assert!(verify(control).is_ok(), "{name}: the control does not verify: {:?}", verify(control));
            assert_ne!(control, token, "{name}: nothing was changed");
            match verify(token) {
                Err(why) if why == *expected => {
                    let told = why.to_string();
                    assert!(!told.contains(SUBJECT) && !told.contains("example"), "{told}");
                }
                other => {
                    missed.push(format!("{name}: {:?} instead of {expected:?}", other.map(|_| "verified")))
                }
            }
        }
        assert!(missed.is_empty(), "{} attacks: {missed:#?}", missed.len());
        assert!(self.0.len() >= least, "only {} attacks", self.0.len());
    }
}

fn split(token: &str) -> (&str, Vec<u8>) {
    let (signed, signature) = token.rsplit_once('.').expect("three parts");
    let decoded = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    (signed, decoded)
}

fn text(value: &str) -> String {
    format!("{value:?}")
}

fn hmac_with(key: &[u8]) -> Signer {
    Signer::Hmac(hmac::HMAC_SHA256, key.to_vec())
}
