//! Tokens made to measure: a good one, its parts as text, and a signature over whatever they were changed to.

use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use portcullis_core::Secret;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaEncoding, RsaKeyPair,
};

use crate::jwt::{Algorithm, Issuer, IssuerKey, Issuers, KeyMaterial, Rejected, Verified};

/// The time of every test, in seconds.
pub(super) const NOW: i64 = 1_800_000_000;
pub(super) const RSA_PEM: &str = include_str!("keys/rsa_2048.pub.pem");
pub(super) const OTHER_RSA_PEM: &str = include_str!("keys/rsa_2048_other.pub.pem");

pub(super) const BAKERS: &str = "https://bakers.example";
pub(super) const RYE: &str = "https://rye.example";
pub(super) const OVEN: &str = "https://oven.example";
pub(super) const MIXED: &str = "https://mixed.example";
pub(super) const SUBJECT: &str = "member-7781";

pub(super) static KEYS: LazyLock<Keys> = LazyLock::new(Keys::new);
pub(super) static ISSUERS: LazyLock<Issuers> =
    LazyLock::new(|| Issuers::new(issuers()).expect("the issuers of the tests are sound"));

pub(super) struct Keys {
    pub(super) secret: Vec<u8>,
    pub(super) mixed_secret: Vec<u8>,
    pub(super) rsa: RsaKeyPair,
    pub(super) other_rsa: RsaKeyPair,
    pub(super) ec: EcdsaKeyPair,
    pub(super) other_ec: EcdsaKeyPair,
}

impl Keys {
    fn new() -> Self {
        let rsa = |text: &str| {
            let der = STANDARD.decode(text.split_whitespace().collect::<String>()).expect("base64");
            RsaKeyPair::from_der(&der).expect("an RSA key")
        };
        Self {
            secret: (0..32).collect(),
            mixed_secret: (100..132).collect(),
            rsa: rsa(include_str!("keys/rsa_2048.pkcs1.b64")),
            other_rsa: rsa(include_str!("keys/rsa_2048_other.pkcs1.b64")),
            ec: fresh_ec(),
            other_ec: fresh_ec(),
        }
    }
}

fn fresh_ec() -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_ref(), &random).expect("a key")
}

pub(super) fn key(id: &str, algorithm: Algorithm, key: KeyMaterial) -> IssuerKey {
    IssuerKey { id: Some(id.to_owned()), algorithm, key }
}

pub(super) fn secret(bytes: &[u8]) -> KeyMaterial {
    KeyMaterial::Secret(Secret::new(bytes.to_vec()))
}

pub(super) fn point(key: &EcdsaKeyPair) -> KeyMaterial {
    KeyMaterial::P256 { point: key.public_key().as_ref().to_vec() }
}

pub(super) fn issuer(name: &str, communities: &[&str], keys: Vec<IssuerKey>) -> Issuer {
    Issuer {
        name: name.to_owned(),
        audience: "portcullis".to_owned(),
        communities: communities.iter().map(|&slug| slug.to_owned()).collect(),
        keys,
        grants_entitlements: false,
        provisions_members: false,
        leeway: Duration::from_secs(30),
        longest_life: Duration::from_secs(3_600),
    }
}

/// One issuer an algorithm, and one with two kinds of keys. `OVEN` has two keys of one algorithm.
pub(super) fn issuers() -> Vec<Issuer> {
    let keys = &*KEYS;
    let pem = |text: &str| KeyMaterial::Pem(text.to_owned());
    vec![
        issuer(BAKERS, &["bakers"], vec![key("h1", Algorithm::Hs256, secret(&keys.secret))]),
        issuer(RYE, &["rye", "malt"], vec![key("r1", Algorithm::Rs256, pem(RSA_PEM))]),
        issuer(
            OVEN,
            &["oven"],
            vec![
                key("e1", Algorithm::Es256, point(&keys.ec)),
                key("e2", Algorithm::Es256, point(&keys.other_ec)),
            ],
        ),
        issuer(
            MIXED,
            &["mixed"],
            vec![
                key("hs", Algorithm::Hs256, secret(&keys.mixed_secret)),
                key("rs", Algorithm::Rs256, pem(OTHER_RSA_PEM)),
            ],
        ),
    ]
}

#[derive(Debug, Clone)]
pub(super) enum Signer {
    Hmac(hmac::Algorithm, Vec<u8>),
    Rsa,
    RsaWith(&'static dyn RsaEncoding),
    OtherRsa,
    Ec,
    OtherEc,
}

impl Signer {
    pub(super) fn sign(&self, text: &[u8]) -> Vec<u8> {
        let rsa = |key: &RsaKeyPair, encoding: &'static dyn RsaEncoding| {
            let mut signature = vec![0; key.public().modulus_len()];
            key.sign(encoding, &SystemRandom::new(), text, &mut signature).expect("a signature");
            signature
        };
        let ec =
            |key: &EcdsaKeyPair| key.sign(&SystemRandom::new(), text).expect("a signature").as_ref().to_vec();
        match self {
            Self::Hmac(algorithm, key) => {
                hmac::sign(&hmac::Key::new(*algorithm, key), text).as_ref().to_vec()
            }
            Self::Rsa => rsa(&KEYS.rsa, &RSA_PKCS1_SHA256),
            Self::RsaWith(encoding) => rsa(&KEYS.rsa, *encoding),
            Self::OtherRsa => rsa(&KEYS.other_rsa, &RSA_PKCS1_SHA256),
            Self::Ec => ec(&KEYS.ec),
            Self::OtherEc => ec(&KEYS.other_ec),
        }
    }
}

/// A token before it is signed: members in order, each value as JSON text.
#[derive(Debug, Clone)]
pub(super) struct Forge {
    pub(super) header: Vec<(String, String)>,
    pub(super) claims: Vec<(String, String)>,
    pub(super) signer: Signer,
}

impl Forge {
    fn new(issuer: &str, header: &[(&str, &str)], signer: Signer) -> Self {
        let text = |(name, value): (&str, &str)| (name.to_owned(), format!("{value:?}"));
        let mut claims = vec![text(("iss", issuer)), text(("aud", "portcullis")), text(("sub", SUBJECT))];
        for (name, at) in [("iat", NOW - 60), ("nbf", NOW - 60), ("exp", NOW + 600)] {
            claims.push((name.to_owned(), at.to_string()));
        }
        Self { header: header.iter().map(|&member| text(member)).collect(), claims, signer }
    }

    /// A good token of `BAKERS`, which names no key and no community.
    pub(super) fn hs() -> Self {
        let signer = Signer::Hmac(hmac::HMAC_SHA256, KEYS.secret.clone());
        Self::new(BAKERS, &[("alg", "HS256"), ("typ", "JWT")], signer)
    }

    /// A good token of `RYE`, which must name a community.
    pub(super) fn rs() -> Self {
        let mut forge = Self::new(RYE, &[("alg", "RS256"), ("kid", "r1")], Signer::Rsa);
        forge.claim("community", "\"malt\"");
        forge
    }

    /// A good token of `OVEN`, which must name a key.
    pub(super) fn es() -> Self {
        Self::new(OVEN, &[("alg", "ES256"), ("typ", "at+jwt"), ("kid", "e1")], Signer::Ec)
    }

    /// A good token of `MIXED`, signed with its secret.
    pub(super) fn mixed() -> Self {
        let signer = Signer::Hmac(hmac::HMAC_SHA256, KEYS.mixed_secret.clone());
        Self::new(MIXED, &[("alg", "HS256"), ("kid", "hs")], signer)
    }

    /// Sets a header parameter to a JSON text.
    pub(super) fn parameter(&mut self, name: &str, json: &str) {
        set(&mut self.header, name, json);
    }

    /// Sets a claim to a JSON text.
    pub(super) fn claim(&mut self, name: &str, json: &str) {
        set(&mut self.claims, name, json);
    }

    pub(super) fn without(&mut self, name: &str) {
        self.header.retain(|(known, _)| known != name);
        self.claims.retain(|(known, _)| known != name);
    }

    pub(super) fn token(&self) -> String {
        sign(object(&self.header), object(&self.claims), &self.signer)
    }
}

fn set(members: &mut Vec<(String, String)>, name: &str, json: &str) {
    members.retain(|(known, _)| known != name);
    members.push((name.to_owned(), json.to_owned()));
}

fn object(members: &[(String, String)]) -> String {
    let members: Vec<_> = members.iter().map(|(name, json)| format!("\"{name}\":{json}")).collect();
    format!("{{{}}}", members.join(","))
}

pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token of these texts, whatever they are.
pub(super) fn sign(header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>, signer: &Signer) -> String {
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = encode(signer.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

pub(super) fn now() -> Timestamp {
    Timestamp::from_second(NOW).expect("a time")
}

pub(super) fn verify(token: &str) -> Result<Verified<'static>, Rejected> {
    ISSUERS.verify(token, now())
}
