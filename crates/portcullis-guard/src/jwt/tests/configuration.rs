//! Issuers and keys that must not be configured, each beside one that may and differs in one thing.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair};

use super::forge::{KEYS, RSA_PEM, issuer, issuers, key, point, secret};
use crate::jwt::{Algorithm, Issuer, IssuerFault, IssuerKey, Issuers, KeyMaterial, KeyProblem};

fn refused(change: impl Fn(&mut Vec<Issuer>)) -> IssuerFault {
    let mut changed = issuers();
    assert!(Issuers::new(changed.clone()).is_ok(), "the control is sound");
    change(&mut changed);
    Issuers::new(changed).expect_err("it is refused").fault
}

fn key_refused(algorithm: Algorithm, material: KeyMaterial) -> KeyProblem {
    let one = IssuerKey { id: None, algorithm, key: material };
    let problem = Issuers::new(vec![issuer("i", &["c"], vec![one])]).expect_err("the key is refused");
    match problem.fault {
        IssuerFault::Key(problem) => problem,
        other => panic!("{other}"),
    }
}

fn key_accepted(algorithm: Algorithm, material: KeyMaterial) {
    let one = IssuerKey { id: None, algorithm, key: material };
    Issuers::new(vec![issuer("i", &["c"], vec![one])]).expect("the control is sound");
}

fn pem(text: &str) -> KeyMaterial {
    KeyMaterial::Pem(text.to_owned())
}

fn spki() -> Vec<u8> {
    let body: String = RSA_PEM.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(body).expect("base64")
}

#[test]
fn every_fault_of_an_issuer_is_refused() {
    assert_eq!(refused(|i| i.push(i[0].clone())), IssuerFault::NameTwice);
    assert_eq!(refused(|i| i[0].name.clear()), IssuerFault::Text);
    assert_eq!(refused(|i| i[0].name.push('\n')), IssuerFault::Text);
    assert_eq!(refused(|i| i[0].audience.clear()), IssuerFault::Text);
    assert_eq!(refused(|i| i[0].audience = "a".repeat(256)), IssuerFault::Text);
    assert_eq!(refused(|i| i[0].communities.clear()), IssuerFault::Communities);
    assert_eq!(refused(|i| i[0].communities.push("bakers".to_owned())), IssuerFault::Communities);
    assert_eq!(refused(|i| i[0].keys.clear()), IssuerFault::NoKeys);
    assert_eq!(refused(|i| i[2].keys[1].id = Some("e1".to_owned())), IssuerFault::KeyIdTwice);
    assert_eq!(refused(|i| i[0].keys[0].id = Some(String::new())), IssuerFault::KeyId);
    assert_eq!(refused(|i| i[0].keys[0].id = Some("k".repeat(257))), IssuerFault::KeyId);
    assert_eq!(refused(|i| i[0].leeway = Duration::from_secs(301)), IssuerFault::Leeway);
    assert_eq!(refused(|i| i[0].longest_life = Duration::ZERO), IssuerFault::LongestLife);
    assert_eq!(refused(|i| i[0].longest_life = Duration::from_secs(86_401)), IssuerFault::LongestLife);
}

#[test]
fn a_secret_that_two_issuers_share_is_refused() {
    let with = "https://bakers.example".to_owned();
    let share = |i: &mut Vec<Issuer>| i[3].keys[0].key = secret(&KEYS.secret);
    assert_eq!(refused(share), IssuerFault::SharedSecret { with });
}

#[test]
fn a_short_secret_is_refused() {
    key_accepted(Algorithm::Hs256, secret(&[7; 32]));
    assert_eq!(key_refused(Algorithm::Hs256, secret(&[7; 31])), KeyProblem::ShortSecret(31));
    assert_eq!(key_refused(Algorithm::Hs256, secret(&[])), KeyProblem::ShortSecret(0));
}

/// Whoever knows the public key, which is everyone, could then sign.
#[test]
fn a_public_key_is_never_a_secret_and_a_secret_never_a_public_key() {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256] {
        assert_eq!(key_refused(algorithm, secret(&[7; 32])), KeyProblem::OtherKind(algorithm));
    }
    let hs = Algorithm::Hs256;
    for public in [pem(RSA_PEM), KeyMaterial::Der(spki()), point(&KEYS.ec)] {
        assert_eq!(key_refused(hs, public), KeyProblem::OtherKind(hs));
    }
    let jwk = format!(r#"{{"kty":"RSA","n":"{}"}}"#, "A".repeat(342));
    for text in [RSA_PEM.as_bytes(), &spki(), format!("\n {RSA_PEM}").as_bytes(), jwk.as_bytes()] {
        assert_eq!(key_refused(hs, secret(text)), KeyProblem::PublicSecret);
    }
    assert_eq!(key_refused(Algorithm::Es256, pem(RSA_PEM)), KeyProblem::OtherKind(Algorithm::Es256));
    assert_eq!(key_refused(Algorithm::Rs256, point(&KEYS.ec)), KeyProblem::OtherKind(Algorithm::Rs256));
}

#[test]
fn weak_rsa_keys_are_refused() {
    key_accepted(Algorithm::Rs256, pem(RSA_PEM));
    let refused = |text| key_refused(Algorithm::Rs256, pem(text));
    assert_eq!(refused(include_str!("keys/rsa_1024.pub.pem")), KeyProblem::RsaBits(1_024));
    assert_eq!(refused(include_str!("keys/rsa_2048_e3.pub.pem")), KeyProblem::RsaNumbers);
    let good = ring::signature::RsaPublicKeyComponents::<Vec<u8>>::from(KEYS.rsa.public());
    let numbers = |modulus: &[u8], exponent: &[u8]| KeyMaterial::Rsa {
        modulus: modulus.to_vec(),
        exponent: exponent.to_vec(),
    };
    key_accepted(Algorithm::Rs256, numbers(&good.n, &good.e));
    let mut even = good.n.clone();
    *even.last_mut().expect("a byte") &= 0xfe;
    let leading = [&[0], good.n.as_slice()].concat();
    let mut short = good.n.clone();
    short[0] = 0x7f;
    for (modulus, exponent, problem) in [
        (even.as_slice(), &[1, 0, 1][..], KeyProblem::RsaNumbers),
        (&leading, &[1, 0, 1], KeyProblem::RsaNumbers),
        (&short, &[1, 0, 1], KeyProblem::RsaBits(2_047)),
        (&[], &[1, 0, 1], KeyProblem::RsaNumbers),
        (&good.n, &[], KeyProblem::RsaNumbers),
        (&good.n, &[1], KeyProblem::RsaNumbers),
        (&good.n, &[3], KeyProblem::RsaNumbers),
        (&good.n, &[1, 0, 0], KeyProblem::RsaNumbers),
        (&good.n, &[0, 1, 0, 1], KeyProblem::RsaNumbers),
        (&good.n, &[2, 0, 0, 0, 1], KeyProblem::RsaNumbers),
        (&good.n, &[1, 1, 1, 1, 1, 1, 1, 1, 1], KeyProblem::RsaNumbers),
        (&[0xff; 1_025], &[1, 0, 1], KeyProblem::RsaBits(8_200)),
    ] {
        assert_eq!(key_refused(Algorithm::Rs256, numbers(modulus, exponent)), problem, "{exponent:?}");
    }
}

#[test]
fn keys_of_other_curves_and_points_off_the_curve_are_refused() {
    let es = Algorithm::Es256;
    key_accepted(es, point(&KEYS.ec));
    assert_eq!(key_refused(es, pem(include_str!("keys/ec_p384.pub.pem"))), KeyProblem::Curve);
    assert_eq!(key_refused(es, pem(include_str!("keys/ec_secp256k1.pub.pem"))), KeyProblem::Curve);
    assert_eq!(key_refused(es, pem(include_str!("keys/ed25519.pub.pem"))), KeyProblem::Der);
    let refused = |point: &[u8]| key_refused(es, KeyMaterial::P256 { point: point.to_vec() });
    let random = ring::rand::SystemRandom::new();
    let p384 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &random).expect("a key");
    let p384 =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, p384.as_ref(), &random).expect("a key");
    assert_eq!(refused(p384.public_key().as_ref()), KeyProblem::Point);
    let good = KEYS.ec.public_key().as_ref();
    let mut off = good.to_vec();
    off[64] ^= 1;
    let compressed = [&[2 + (good[64] & 1)], &good[1..33]].concat();
    let infinity = [0];
    for bad in [off.as_slice(), &compressed, &infinity, &[4; 65], &[], &good[..64], &[good, &[0]].concat()] {
        assert_eq!(refused(bad), KeyProblem::Point);
    }
}

#[test]
fn pem_is_one_block_of_a_public_key() {
    let rs = Algorithm::Rs256;
    for same in [format!("\n{RSA_PEM}\n\n"), RSA_PEM.replace('\n', "\r\n")] {
        key_accepted(rs, pem(&same));
    }
    for (text, problem) in [
        (String::new(), KeyProblem::Pem),
        ("MIIB".to_owned(), KeyProblem::Pem),
        (format!("{RSA_PEM}{RSA_PEM}"), KeyProblem::Pem),
        (format!("# a comment\n{RSA_PEM}"), KeyProblem::Pem),
        (RSA_PEM.replace("-----END PUBLIC KEY-----", ""), KeyProblem::Pem),
        (RSA_PEM.replace("PUBLIC", "RSA PUBLIC"), KeyProblem::OtherPem),
        (RSA_PEM.replace("PUBLIC KEY", "CERTIFICATE"), KeyProblem::OtherPem),
        (RSA_PEM.replace("PUBLIC", "PRIVATE"), KeyProblem::Private),
        (RSA_PEM.replace("PUBLIC", "EC PRIVATE"), KeyProblem::Private),
        (format!("{RSA_PEM}\n-----BEGIN PRIVATE KEY-----\n"), KeyProblem::Private),
    ] {
        assert_eq!(key_refused(rs, pem(&text)), problem, "{text}");
    }
}

#[test]
fn der_has_one_spelling() {
    let good = spki();
    key_accepted(Algorithm::Rs256, KeyMaterial::Der(good.clone()));
    let mut other = good.clone();
    other[2] ^= 1;
    let trailing = [good.as_slice(), &[0]].concat();
    // The outer length in three bytes where two do.
    let long = [&[0x30, 0x83, 0], &good[2..]].concat();
    for bad in [other.as_slice(), &trailing, &long, &good[..good.len() - 1], &[0x30], &[0x30, 0x80], &[]] {
        assert_eq!(key_refused(Algorithm::Rs256, KeyMaterial::Der(bad.to_vec())), KeyProblem::Der);
    }
    for cut in 0..good.len() {
        key_refused(Algorithm::Rs256, KeyMaterial::Der(good[..cut].to_vec()));
    }
    for at in 0..40 {
        let mut flipped = good.clone();
        flipped[at] ^= 0x80;
        let _ = Issuers::new(vec![issuer(
            "i",
            &["c"],
            vec![key("k", Algorithm::Rs256, KeyMaterial::Der(flipped))],
        )]);
    }
}
