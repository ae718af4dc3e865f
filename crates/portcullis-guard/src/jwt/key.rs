//! What a key must be, and the one algorithm that it verifies.
//!
//! [`Verifier`] is made once, when issuers are configured. A secret and a public key are different variants of it, so a
//! public key cannot become the secret of an HMAC, whatever a token's header says; a secret that is spelled like a
//! public key is refused where it is configured.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portcullis_core::Secret;
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey as EcdsaKey,
};
use ring::{digest, hmac};

use super::Algorithm;
use super::der::{self, PublicKey};

/// RFC 7518 section 3.2: an HS256 key is at least as long as the hash.
const SHORTEST_SECRET: usize = 32;
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;
/// FIPS 186-5 section 5.4 wants more than 2^16; ring takes at most 33 bits.
const RSA_EXPONENTS: std::ops::RangeInclusive<u64> = 65_537..=(1 << 33) - 1;

/// A key as it is configured.
#[derive(Debug, Clone)]
pub enum KeyMaterial {
    /// For HS256: the bytes that the host gives its HMAC, at least 32.
    Secret(Secret<Vec<u8>>),
    /// For RS256 and ES256: one `PUBLIC KEY` block in PEM.
    Pem(String),
    /// For RS256 and ES256: a `SubjectPublicKeyInfo` in DER.
    Der(Vec<u8>),
    /// For RS256: the numbers, big-endian and without leading zeros.
    Rsa {
        /// The modulus.
        modulus: Vec<u8>,
        /// The public exponent.
        exponent: Vec<u8>,
    },
    /// For ES256: the point on P-256, uncompressed (`04`, x, y: 65 bytes).
    P256 {
        /// The 65 bytes.
        point: Vec<u8>,
    },
}

impl KeyMaterial {
    /// What two equal secrets have in common, to find them without keeping copies.
    pub(super) fn secret_digest(&self) -> Option<Vec<u8>> {
        match self {
            Self::Secret(secret) => Some(digest::digest(&digest::SHA256, secret.expose()).as_ref().to_vec()),
            Self::Pem(_) | Self::Der(_) | Self::Rsa { .. } | Self::P256 { .. } => None,
        }
    }
}

/// Why a key cannot be used. The text holds nothing of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyProblem {
    /// HS256 with a public key, or another algorithm with a secret, or RSA with P-256.
    #[error("it is not of the kind that {} takes", .0.name())]
    OtherKind(Algorithm),
    /// The secret has too few bytes.
    #[error("an HS256 secret has at least 32 bytes, this one has {0}")]
    ShortSecret(usize),
    /// The secret reads as a public key or certificate: whoever has the public key could then sign.
    #[error(
        "the HS256 secret is the text of a key or certificate; configure a public key with RS256 or ES256"
    )]
    PublicSecret,
    /// Not one PEM block.
    #[error("it is not one block of PEM that begins with `-----BEGIN PUBLIC KEY-----`")]
    Pem,
    /// A private key, which only the host application may have.
    #[error(
        "it is a private key; configure the public key and make a new pair, since this one has left the host"
    )]
    Private,
    /// A certificate or a bare RSA key.
    #[error(
        "it is PEM of another kind; `openssl x509 -pubkey -noout` or `openssl rsa -RSAPublicKey_in -pubout` gives its public key"
    )]
    OtherPem,
    /// Not a `SubjectPublicKeyInfo`.
    #[error("it is not a public key in DER")]
    Der,
    /// An elliptic curve other than P-256.
    #[error("it is on another curve; ES256 takes P-256 only")]
    Curve,
    /// The numbers are not a point of P-256.
    #[error("it is not an uncompressed point on the curve P-256")]
    Point,
    /// The RSA modulus is too short or too long.
    #[error("an RSA key has 2048 to 8192 bits, this one has {0}")]
    RsaBits(usize),
    /// The numbers cannot be an RSA key.
    #[error("its modulus or exponent is not that of an RSA key with an odd exponent from 65537")]
    RsaNumbers,
}

/// A key that can be used, with the one algorithm it is for.
#[derive(Debug)]
pub(super) enum Verifier {
    Hmac(hmac::Key),
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    P256(EcdsaKey<Vec<u8>>),
}

impl Verifier {
    pub(super) fn new(algorithm: Algorithm, material: &KeyMaterial) -> Result<Self, KeyProblem> {
        let key = match material {
            KeyMaterial::Secret(secret) => Self::hmac(secret.expose()),
            KeyMaterial::Pem(pem) => Self::public(&read_pem(pem)?),
            KeyMaterial::Der(der) => Self::public(der),
            KeyMaterial::Rsa { modulus, exponent } => Self::rsa(modulus, exponent),
            KeyMaterial::P256 { point } => Self::p256(point),
        }?;
        if key.algorithm() == algorithm { Ok(key) } else { Err(KeyProblem::OtherKind(algorithm)) }
    }

    fn hmac(secret: &[u8]) -> Result<Self, KeyProblem> {
        if secret.len() < SHORTEST_SECRET {
            return Err(KeyProblem::ShortSecret(secret.len()));
        }
        let text = secret.trim_ascii_start();
        let is_jwk = text.starts_with(b"{") && secret.windows(5).any(|window| window == b"\"kty\"");
        if text.starts_with(b"-----BEGIN ") || is_jwk || der::public_key(secret).is_some() {
            return Err(KeyProblem::PublicSecret);
        }
        Ok(Self::Hmac(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }

    fn public(der: &[u8]) -> Result<Self, KeyProblem> {
        match der::public_key(der).ok_or(KeyProblem::Der)? {
            PublicKey::Rsa { modulus, exponent } => Self::rsa(modulus, exponent),
            PublicKey::P256 { point } => Self::p256(point),
            PublicKey::OtherCurve => Err(KeyProblem::Curve),
            PublicKey::Other => Err(KeyProblem::Der),
        }
    }

    fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyProblem> {
        let (Some(&first), Some(&last)) = (modulus.first(), modulus.last()) else {
            return Err(KeyProblem::RsaNumbers);
        };
        let bits = (modulus.len() * 8).saturating_sub(first.leading_zeros() as usize);
        if !RSA_BITS.contains(&bits) {
            return Err(KeyProblem::RsaBits(bits));
        }
        let small = exponent.len() <= 8 && exponent.first().is_some_and(|first| *first != 0);
        let value = exponent.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
        let is_odd = last % 2 == 1 && value % 2 == 1;
        if first == 0 || !small || !is_odd || !RSA_EXPONENTS.contains(&value) {
            return Err(KeyProblem::RsaNumbers);
        }
        Ok(Self::Rsa(RsaPublicKeyComponents { n: modulus.to_vec(), e: exponent.to_vec() }))
    }

    /// ring has no call that only asks whether a point is on the curve. A key agreement with it does: it fails for every
    /// other point, and its result is thrown away.
    fn p256(point: &[u8]) -> Result<Self, KeyProblem> {
        let probe = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new());
        let on_curve = |probe| agree_ephemeral(probe, &UnparsedPublicKey::new(&ECDH_P256, point), |_| ());
        probe.and_then(on_curve).map_err(|_| KeyProblem::Point)?;
        Ok(Self::P256(EcdsaKey::new(&ECDSA_P256_SHA256_FIXED, point.to_vec())))
    }

    /// The only algorithm this key verifies.
    pub(super) const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Hmac(_) => Algorithm::Hs256,
            Self::Rsa(_) => Algorithm::Rs256,
            Self::P256(_) => Algorithm::Es256,
        }
    }

    /// Whether the signature is this key's. The HMAC is compared in constant time.
    pub(super) fn verifies(&self, signed: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Hmac(key) => hmac::verify(key, signed, signature).is_ok(),
            Self::Rsa(key) => key.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature).is_ok(),
            Self::P256(key) => key.verify(signed, signature).is_ok(),
        }
    }
}

/// The bytes of the one `PUBLIC KEY` block that the text is.
fn read_pem(text: &str) -> Result<Vec<u8>, KeyProblem> {
    const BEGIN: &str = "-----BEGIN ";
    if text.contains("PRIVATE KEY-----") {
        return Err(KeyProblem::Private);
    }
    let text = text.trim();
    let Some(body) = text.strip_prefix("-----BEGIN PUBLIC KEY-----") else {
        return Err(if text.starts_with(BEGIN) { KeyProblem::OtherPem } else { KeyProblem::Pem });
    };
    let body = body.strip_suffix("-----END PUBLIC KEY-----").ok_or(KeyProblem::Pem)?;
    let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(body).map_err(|_| KeyProblem::Pem)
}
