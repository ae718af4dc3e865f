//! A JWK Set (RFC 7517) read into an issuer's keys. It is a document that a host publishes; where it comes from is not
//! for this module.
//!
//! The set never decides how tokens are verified: the operator names the algorithm, and only the keys that fit it are
//! taken. A set that holds anything secret is refused whole, since a set is published.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::json::{self, Json};
use super::key::{KeyMaterial, KeyProblem, Verifier};
use super::{Algorithm, IssuerKey, is_key_id};

/// The largest document, in bytes: certificate chains beside the keys make some sets long.
const LARGEST_SET: usize = 256 * 1024;
const MOST_KEYS: usize = 100;
/// Parameters of private and symmetric keys (RFC 7518 section 6).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Why a set of keys cannot be used. Keys are counted from 1; the text holds nothing of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetProblem {
    /// Too large to be a set of keys.
    #[error("the key set is larger than 256 KiB or holds more than 100 keys")]
    TooLarge,
    /// Not a JSON object with a list `keys`.
    #[error("the key set is not a JSON object with a list of objects `keys` that names each member once")]
    Json,
    /// HS256 has no public keys.
    #[error("a key set holds public keys, and HS256 has none; configure a secret instead")]
    Symmetric,
    /// The set gives away what must be secret.
    #[error(
        "key {0} of the set is private or symmetric and must not be in a published set; replace that key"
    )]
    Private(usize),
    /// A parameter of a key is missing or malformed.
    #[error("key {0} of the set has a missing or malformed parameter")]
    Malformed(usize),
    /// A key cannot be used.
    #[error("key {index} of the set cannot be used: {problem}")]
    Key {
        /// Which key.
        index: usize,
        /// Why not.
        problem: KeyProblem,
    },
    /// No key of the set is for this algorithm.
    #[error("the key set holds no signature key for {}", .0.name())]
    NoneFits(Algorithm),
}

/// Reads the keys of a JWK Set that are for `algorithm`: of its type (and curve), with `use` absent or `sig`, `alg`
/// absent or equal, and `key_ops` absent or holding `verify`. Other keys are passed over, as RFC 7517 section 5 wants.
///
/// # Errors
/// The first thing that is wrong with the document, a weak or malformed key for the algorithm among them.
pub fn read_key_set(document: &str, algorithm: Algorithm) -> Result<Vec<IssuerKey>, KeySetProblem> {
    if algorithm == Algorithm::Hs256 {
        return Err(KeySetProblem::Symmetric);
    }
    if document.len() > LARGEST_SET {
        return Err(KeySetProblem::TooLarge);
    }
    let set = json::object(document.as_bytes()).ok_or(KeySetProblem::Json)?;
    let Some(Json::List(listed)) = set.get("keys") else { return Err(KeySetProblem::Json) };
    if listed.len() > MOST_KEYS {
        return Err(KeySetProblem::TooLarge);
    }
    let mut keys = Vec::new();
    for (index, item) in (1..).zip(listed) {
        let Json::Object(members) = item else { return Err(KeySetProblem::Json) };
        let jwk = Jwk { index, members };
        if PRIVATE.iter().any(|name| members.contains_key(*name)) || jwk.text("kty")? == Some("oct") {
            return Err(KeySetProblem::Private(index));
        }
        if !jwk.fits(algorithm)? {
            continue;
        }
        let id = jwk.text("kid")?;
        if id.is_some_and(|id| !is_key_id(id)) {
            return Err(KeySetProblem::Malformed(index));
        }
        let key = jwk.material(algorithm)?;
        Verifier::new(algorithm, &key).map_err(|problem| KeySetProblem::Key { index, problem })?;
        keys.push(IssuerKey { id: id.map(str::to_owned), algorithm, key });
    }
    if keys.is_empty() { Err(KeySetProblem::NoneFits(algorithm)) } else { Ok(keys) }
}

struct Jwk<'a> {
    index: usize,
    members: &'a BTreeMap<String, Json>,
}

impl<'a> Jwk<'a> {
    fn text(&self, name: &str) -> Result<Option<&'a str>, KeySetProblem> {
        match self.members.get(name) {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(_) => Err(KeySetProblem::Malformed(self.index)),
        }
    }

    fn fits(&self, algorithm: Algorithm) -> Result<bool, KeySetProblem> {
        let kind = self.text("kty")?.ok_or(KeySetProblem::Malformed(self.index))?;
        let is_kind = match algorithm {
            Algorithm::Hs256 => false,
            Algorithm::Rs256 => kind == "RSA",
            Algorithm::Es256 => kind == "EC" && self.text("crv")? == Some("P-256"),
        };
        let verifies = match self.members.get("key_ops") {
            None => true,
            Some(Json::List(operations)) => operations.contains(&Json::Text("verify".to_owned())),
            Some(_) => return Err(KeySetProblem::Malformed(self.index)),
        };
        let signs = self.text("use")?.is_none_or(|purpose| purpose == "sig");
        Ok(is_kind && verifies && signs && self.text("alg")?.is_none_or(|name| name == algorithm.name()))
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>, KeySetProblem> {
        let text = self.text(name)?.ok_or(KeySetProblem::Malformed(self.index))?;
        URL_SAFE_NO_PAD.decode(text).map_err(|_| KeySetProblem::Malformed(self.index))
    }

    fn material(&self, algorithm: Algorithm) -> Result<KeyMaterial, KeySetProblem> {
        if algorithm == Algorithm::Rs256 {
            return Ok(KeyMaterial::Rsa { modulus: self.bytes("n")?, exponent: self.bytes("e")? });
        }
        let (x, y) = (self.bytes("x")?, self.bytes("y")?);
        // RFC 7518 section 6.2.1.2: the full length of the curve, zeros included; else the two could be cut elsewhere.
        if x.len() != 32 || y.len() != 32 {
            return Err(KeySetProblem::Malformed(self.index));
        }
        Ok(KeyMaterial::P256 { point: [&[4], x.as_slice(), y.as_slice()].concat() })
    }
}
