//! JWK Sets: what is taken, passed over and refused.

use ring::signature::{KeyPair, RsaPublicKeyComponents};

use super::forge::{Forge, KEYS, OVEN, RYE, encode, issuer, now};
use crate::jwt::{Algorithm, Issuers, KeyProblem, KeySetProblem, Rejected, read_key_set};

fn rsa(more: &str) -> String {
    let key = RsaPublicKeyComponents::<Vec<u8>>::from(KEYS.rsa.public());
    format!(r#"{{"kty":"RSA","n":"{}","e":"{}"{more}}}"#, encode(key.n), encode(key.e))
}

fn ec(more: &str) -> String {
    let point = KEYS.ec.public_key().as_ref();
    format!(
        r#"{{"kty":"EC","crv":"P-256","x":"{}","y":"{}"{more}}}"#,
        encode(&point[1..33]),
        encode(&point[33..])
    )
}

fn set(keys: &[String]) -> String {
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

#[test]
fn keys_of_a_set_verify_tokens() {
    let document = set(&[rsa(r#","kid":"r1","use":"sig","alg":"RS256""#), ec(r#","kid":"e1""#)]);
    let keys = read_key_set(&document, Algorithm::Rs256).expect("a set");
    assert_eq!(keys.len(), 1);
    let issuers = Issuers::new(vec![issuer(RYE, &["malt"], keys)]).expect("sound issuers");
    assert!(issuers.verify(&Forge::rs().token(), now()).is_ok());
    let keys = read_key_set(&document, Algorithm::Es256).expect("a set");
    let issuers = Issuers::new(vec![issuer(OVEN, &["oven"], keys)]).expect("sound issuers");
    assert!(issuers.verify(&Forge::es().token(), now()).is_ok());
    let mut other = Forge::es();
    other.parameter("kid", "\"e2\"");
    assert_eq!(issuers.verify(&other.token(), now()).err(), Some(Rejected::KeyId));
}

#[test]
fn keys_for_other_uses_are_passed_over() {
    let fits = |key: String, algorithm| read_key_set(&set(&[key]), algorithm);
    for (more, taken) in [
        ("", true),
        (r#","use":"sig""#, true),
        (r#","use":"enc""#, false),
        (r#","key_ops":["verify"]"#, true),
        (r#","key_ops":["encrypt"]"#, false),
        (r#","key_ops":[]"#, false),
        (r#","x5c":["MIIB"],"x5u":"https://evil.example","x5t":"abc""#, true),
    ] {
        for (key, algorithm) in [(rsa(more), Algorithm::Rs256), (ec(more), Algorithm::Es256)] {
            let outcome = fits(key, algorithm);
            assert_eq!(outcome.is_ok(), taken, "{more}");
            assert!(taken || matches!(outcome, Err(KeySetProblem::NoneFits(_))));
        }
    }
    for other in ["RS512", "PS256", "ES256", "HS256", "none", "rs256"] {
        let outcome = fits(rsa(&format!(r#","alg":"{other}""#)), Algorithm::Rs256);
        assert_eq!(outcome.err(), Some(KeySetProblem::NoneFits(Algorithm::Rs256)), "{other}");
    }
    let p384 = ec("").replace("P-256", "P-384");
    assert_eq!(fits(p384, Algorithm::Es256).err(), Some(KeySetProblem::NoneFits(Algorithm::Es256)));
    let okp = r#"{"kty":"OKP","crv":"Ed25519","x":"AA"}"#.to_owned();
    assert_eq!(read_key_set(&set(&[okp, ec("")]), Algorithm::Es256).expect("a set").len(), 1);
}

#[test]
fn a_set_that_gives_away_a_secret_is_refused_whole() {
    let secret = format!(r#"{{"kty":"oct","k":"{}"}}"#, encode([7; 32]));
    assert_eq!(
        read_key_set(&set(&[ec(""), secret]), Algorithm::Es256).err(),
        Some(KeySetProblem::Private(2))
    );
    let bare = r#"{"kty":"oct"}"#.to_owned();
    assert_eq!(read_key_set(&set(&[ec(""), bare]), Algorithm::Es256).err(), Some(KeySetProblem::Private(2)));
    let private = rsa(r#","d":"AQAB""#);
    assert_eq!(
        read_key_set(&set(&[private, ec("")]), Algorithm::Es256).err(),
        Some(KeySetProblem::Private(1))
    );
    assert_eq!(read_key_set(&set(&[ec("")]), Algorithm::Hs256).err(), Some(KeySetProblem::Symmetric));
}

#[test]
fn malformed_sets_and_keys_are_refused() {
    let refused = |document: &str, algorithm| read_key_set(document, algorithm).expect_err("it is refused");
    for document in
        ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":["a"]}"#, r#"{"keys":[],"keys":[]}"#, "{\"keys\":[]} x"]
    {
        assert_eq!(refused(document, Algorithm::Rs256), KeySetProblem::Json, "{document}");
    }
    let many = vec![ec(""); 101];
    assert_eq!(refused(&set(&many), Algorithm::Es256), KeySetProblem::TooLarge);
    assert_eq!(refused(&" ".repeat(256 * 1024 + 1), Algorithm::Es256), KeySetProblem::TooLarge);
    assert_eq!(refused(&set(&[]), Algorithm::Es256), KeySetProblem::NoneFits(Algorithm::Es256));
    for key in [
        r#"{"crv":"P-256"}"#.to_owned(),
        r#"{"kty":5}"#.to_owned(),
        ec(r#","kid":5"#),
        ec(r#","kid":"""#),
        ec(r#","use":5"#),
        ec(r#","key_ops":"verify""#),
        ec("").replace("\"x\":", "\"z\":"),
        ec("").replace("\"x\":\"", "\"x\":\"AA"),
        ec("").replace("\"x\":\"", "\"x\":\"="),
    ] {
        assert_eq!(
            refused(&set(std::slice::from_ref(&key)), Algorithm::Es256),
            KeySetProblem::Malformed(1),
            "{key}"
        );
    }
    // The same point, cut elsewhere.
    let point = KEYS.ec.public_key().as_ref();
    let (x, y) = (encode(&point[1..34]), encode(&point[34..]));
    let cut = format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#);
    assert_eq!(refused(&set(&[cut]), Algorithm::Es256), KeySetProblem::Malformed(1));
    let twice = ec(r#","kty":"EC""#);
    assert_eq!(refused(&set(&[twice]), Algorithm::Es256), KeySetProblem::Json);
    let off = ec("").replace("\"y\":\"", "\"w\":\"").replace("\"x\":", "\"y\":").replace("\"w\":", "\"x\":");
    let problem = KeyProblem::Point;
    assert_eq!(refused(&set(&[off]), Algorithm::Es256), KeySetProblem::Key { index: 1, problem });
    let weak = format!(r#"{{"kty":"RSA","n":"{}","e":"AQAB"}}"#, encode([0xff; 128]));
    let problem = KeyProblem::RsaBits(1_024);
    assert_eq!(refused(&set(&[weak]), Algorithm::Rs256), KeySetProblem::Key { index: 1, problem });
}
