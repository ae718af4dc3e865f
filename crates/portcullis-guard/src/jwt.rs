//! Bearer tokens that host applications sign for their members: JSON Web Tokens, verified and nothing else.
//!
//! [`Issuers`] is what an operator configured: who may sign, with which keys, for which communities. [`Issuers::verify`]
//! is a pure function of that, of a token and of the time. It reads no file, asks no store, fetches nothing and keeps
//! no state, so a token names no key, no address and no algorithm that is not already configured. What a verified token
//! says is reported as it is ([`Verified`]); what becomes of it (narrowing, widening, making a member) is for the
//! identify guard.
//!
//! Start reading at [`Issuers::verify`], which is the order of the rules; `claims` judges what the token says, `key` what
//! a key must be, `jwks` reads a set of keys.
//!
//! # Why on ring and not on a token library
//!
//! The libraries for Rust bring a second set of cryptography (RSA, P-256 and P-384, Ed25519 in pure Rust, some forty
//! crates) beside ring, which is here already and verifies exactly the three algorithms wanted. The part where such
//! libraries have failed is not cryptography but the reading: a wrong-typed `nbf` or `exp` that skipped its check
//! (CVE-2026-25537), an algorithm taken from the token, a public key used as a shared secret. That part is strict here
//! and would have to stand before a library anyway: members named twice, floats, unknown types and lists are refused.
//!
//! # Replacing keys
//!
//! [`Issuers`] never changes. Whoever fetches a host's JWK Set reads it with [`read_key_set`], builds new `Issuers` (no
//! more than a few checks a key) and swaps the `Arc` they are shared by; when the document is refused, the old keys stay.

mod claims;
mod der;
mod json;
mod jwks;
mod key;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use portcullis_core::Role;

use self::json::Json;
pub use self::jwks::{KeySetProblem, read_key_set};
use self::key::Verifier;
pub use self::key::{KeyMaterial, KeyProblem};

/// The longest token that is looked at, in bytes. Hosts' tokens are a tenth of it.
pub const LARGEST_TOKEN: usize = 8 * 1024;
/// The most that a host's clock may be configured to be off: beyond that, expiry means little.
pub const LARGEST_LEEWAY: Duration = Duration::from_secs(300);
/// The longest that a token may be configured to be valid from its issue. A host that ends a membership cannot call its tokens
/// back, so this bounds how long they go on.
pub const LARGEST_LONGEST_LIFE: Duration = Duration::from_secs(86_400);
/// The longest `kid`, in bytes.
const LONGEST_KEY_ID: usize = 256;
/// The longest `iss`, `aud`, `sub` and `name`, in characters.
const LONGEST_TEXT: usize = 255;
/// Header parameters that make a reader fetch a key, take one from the token, read the token another way, or that only
/// mean something for encrypted tokens. Their presence refuses, whatever their value.
const FORBIDDEN_PARAMETERS: [&str; 8] = ["crit", "jku", "jwk", "x5u", "x5c", "b64", "zip", "enc"];

/// How a token is signed. There are no others: no `none`, no algorithm whose name a token could choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// HMAC with SHA-256 and a secret that the host shares.
    Hs256,
    /// RSA with PKCS #1 v1.5 padding and SHA-256, keys of 2048 to 8192 bits.
    Rs256,
    /// ECDSA on the curve P-256 with SHA-256.
    Es256,
}

impl Algorithm {
    /// Its name in a token's header (RFC 7518 section 3.1). Capitals matter.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Hs256, Self::Rs256, Self::Es256].into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// A host application whose tokens are accepted, as it is configured.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// The `iss` of its tokens, compared character by character.
    pub name: String,
    /// What the `aud` of its tokens must hold, so that tokens for its other services are not accepted.
    pub audience: String,
    /// The communities it may speak for, by slug; at least one.
    pub communities: Vec<String>,
    /// The keys it signs with; at least one.
    pub keys: Vec<IssuerKey>,
    /// Whether its claims may widen what is stored about a member. Reported, not applied here.
    pub grants_entitlements: bool,
    /// Whether a member it names for the first time is made. Reported, not applied here.
    pub provisions_members: bool,
    /// How far its clock may be off; at most [`LARGEST_LEEWAY`].
    pub leeway: Duration,
    /// The longest time between `iat` (or now, in a token without it) and `exp`; at most [`LARGEST_LONGEST_LIFE`].
    pub longest_life: Duration,
}

/// A key of an issuer.
#[derive(Debug, Clone)]
pub struct IssuerKey {
    /// The `kid` that selects it. A token with a `kid` is verified with the key of that id and no other.
    pub id: Option<String>,
    /// The only algorithm it verifies.
    pub algorithm: Algorithm,
    /// The key itself, of the kind that the algorithm takes.
    pub key: KeyMaterial,
}

/// A configuration of issuers that cannot be used. The text holds no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("issuer `{issuer}` {fault}")]
pub struct IssuerProblem {
    /// The issuer's name.
    pub issuer: String,
    /// What is wrong with it.
    pub fault: IssuerFault,
}

/// What is wrong with an issuer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IssuerFault {
    /// The name or the audience is empty, too long, or holds control characters.
    #[error("must have a name and an audience of 1 to 255 characters without control characters")]
    Text,
    /// Two issuers have this name.
    #[error("is configured twice; give it one entry with all of its communities and keys")]
    NameTwice,
    /// It speaks for nobody.
    #[error("must name at least one community that it may speak for, each once")]
    Communities,
    /// It has no key.
    #[error("has no key; add the key that its tokens are signed with")]
    NoKeys,
    /// Two keys have one id, so that a `kid` would not say which.
    #[error("has two keys with one id; give each key its own")]
    KeyIdTwice,
    /// An id that no `kid` can match.
    #[error("has a key whose id is empty or longer than 256 bytes")]
    KeyId,
    /// Whoever holds one of the keys can sign as the other issuer.
    #[error("shares a secret with the issuer `{with}`; each host application needs its own")]
    SharedSecret {
        /// The other issuer.
        with: String,
    },
    /// See [`LARGEST_LEEWAY`].
    #[error("must have a leeway of at most 300 seconds")]
    Leeway,
    /// See [`LARGEST_LONGEST_LIFE`].
    #[error("must have a longest life of 1 second to 24 hours")]
    LongestLife,
    /// A key cannot be used.
    #[error("has a key that cannot be used: {0}")]
    Key(#[from] KeyProblem),
}

/// Why a token is not accepted, for the operator's log. No text holds anything of the token, and the caller is told
/// the same whichever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejected {
    /// Longer than [`LARGEST_TOKEN`].
    #[error("the token is longer than 8 KiB")]
    TooLarge,
    /// Not `header.claims.signature`, each of them non-empty.
    #[error("the token does not have three parts")]
    Parts,
    /// A part is not base64url in its one spelling, without padding.
    #[error("the {0} is not strict base64url without padding")]
    Encoding(Part),
    /// A part is not one JSON object, or names a member twice.
    #[error("the {0} is not a JSON object that names each member once")]
    Json(Part),
    /// One of the forbidden header parameters is there.
    #[error("the header holds the parameter `{0}`, which is never accepted")]
    Parameter(&'static str),
    /// `typ` is neither absent nor that of an access token.
    #[error("the header's `typ` is not `JWT` or `at+jwt`")]
    Type,
    /// `alg` is missing, not one of ours, or not that of the issuer's key.
    #[error("the header's `alg` is not that of a key of the issuer")]
    Algorithm,
    /// `kid` is not text of 1 to 256 bytes, or no key of the issuer has it.
    #[error("the header's `kid` names no key of the issuer")]
    KeyId,
    /// There is no `kid`, and the issuer has several keys of that algorithm.
    #[error("the header has no `kid`, and the issuer has several keys of that algorithm")]
    KeyChoice,
    /// `iss` is no issuer that is configured.
    #[error("the claim `iss` names no configured issuer")]
    Issuer,
    /// The signature is not that of the key.
    #[error("the signature does not verify")]
    Signature,
    /// A required claim is missing.
    #[error("the claim `{0}` is missing")]
    Missing(&'static str),
    /// A claim is of a wrong type, out of range or malformed.
    #[error("the claim `{0}` has a wrong type or value")]
    Malformed(&'static str),
    /// The token is for another service.
    #[error("the claim `aud` does not hold this service's audience")]
    Audience,
    /// The issuer may not speak for that community.
    #[error("the claim `community` is not one that the issuer may speak for")]
    Community,
    /// The token has expired.
    #[error("the token has expired")]
    Expired,
    /// The token is not valid yet.
    #[error("the token is not valid yet (`nbf`)")]
    NotYet,
    /// The token was issued in the future.
    #[error("the token was issued in the future (`iat`)")]
    IssuedLater,
    /// The token is valid for longer than the issuer's tokens may be.
    #[error("the token is valid for longer than is configured for its issuer")]
    LongLived,
}

/// A part of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What says how the token is signed.
    Header,
    /// What the token says.
    Claims,
    /// What proves it.
    Signature,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Claims => "claims part",
            Self::Signature => "signature",
        })
    }
}

/// What a verified token says. Nothing of it is looked up in a store: whether the member exists, is active and has the
/// plans is for the caller to find out.
///
/// Who is meant is the pair of issuer and subject, never the token's text: one ECDSA signature can be spelled in two ways.
#[derive(Clone)]
#[non_exhaustive]
pub struct Verified<'a> {
    /// Who signed it.
    pub issuer: &'a Issuer,
    /// `sub`: the member's name at the issuer, 1 to 255 characters; another issuer's equal `sub` is someone else.
    pub subject: String,
    /// `community`: one of the issuer's.
    pub community: String,
    /// `name`: the member's name to show, if the host gives a non-empty one.
    pub name: Option<String>,
    /// `plans`: each plan with its end, if it has one. `None` says nothing about plans; an empty list says there are none.
    pub plans: Option<Vec<(String, Option<Timestamp>)>>,
    /// `role`, if the token says one.
    pub role: Option<Role>,
    /// `spaces`: slugs of spaces. `None` says nothing about them; an empty list says there are none.
    pub spaces: Option<Vec<String>>,
    /// `exp`: when the token ends, without leeway. What it opened must not go on beyond it.
    pub expires: Timestamp,
}

/// Issuer and community only: the rest is about a person.
impl fmt::Debug for Verified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Verified");
        shown.field("issuer", &self.issuer.name).field("community", &self.community).finish_non_exhaustive()
    }
}

/// The issuers whose tokens are accepted. Immutable; see the module for how keys are replaced.
#[derive(Debug, Default)]
pub struct Issuers(BTreeMap<String, Known>);

#[derive(Debug)]
struct Known {
    issuer: Issuer,
    keys: Vec<(Option<String>, Verifier)>,
}

impl Issuers {
    /// Judges a configuration.
    ///
    /// # Errors
    /// The first thing that is wrong with it: a name, community or key id that stands twice, an issuer without keys or
    /// communities, a key that does not fit its algorithm or is weak, a secret that two issuers share.
    pub fn new(issuers: Vec<Issuer>) -> Result<Self, IssuerProblem> {
        let mut known: BTreeMap<String, Known> = BTreeMap::new();
        let mut secrets: Vec<(Vec<u8>, String)> = Vec::new();
        for issuer in issuers {
            let name = issuer.name.clone();
            let problem = |fault| IssuerProblem { issuer: name.clone(), fault };
            if known.contains_key(&name) {
                return Err(problem(IssuerFault::NameTwice));
            }
            let keys = judge(&issuer).map_err(problem)?;
            for digest in issuer.keys.iter().filter_map(|key| key.key.secret_digest()) {
                if let Some((_, with)) = secrets.iter().find(|(seen, _)| *seen == digest) {
                    return Err(problem(IssuerFault::SharedSecret { with: with.clone() }));
                }
                secrets.push((digest, name.clone()));
            }
            known.insert(name, Known { issuer, keys });
        }
        Ok(Self(known))
    }

    /// Whether no token can be accepted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The issuers, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Issuer> {
        self.0.values().map(|known| &known.issuer)
    }

    /// Verifies a token and reports what it says.
    ///
    /// # Errors
    /// The first rule that the token breaks, for the operator's log only. Nothing the token says is believed before its
    /// signature verifies; until then it only chooses among what is configured.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Verified<'_>, Rejected> {
        if token.len() > LARGEST_TOKEN {
            return Err(Rejected::TooLarge);
        }
        let mut parts = token.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Rejected::Parts);
        };
        if [header, claims, signature].contains(&"") {
            return Err(Rejected::Parts);
        }
        let signed = token.get(..header.len() + 1 + claims.len()).ok_or(Rejected::Parts)?;
        let header = Header::read(&decode(header, Part::Header)?)?;
        let signature = decode(signature, Part::Signature)?;
        let claims = json::object(&decode(claims, Part::Claims)?).ok_or(Rejected::Json(Part::Claims))?;
        let known = match claims.get("iss") {
            Some(Json::Text(name)) => self.0.get(name).ok_or(Rejected::Issuer)?,
            Some(_) => return Err(Rejected::Malformed("iss")),
            None => return Err(Rejected::Missing("iss")),
        };
        if !known.key(&header)?.verifies(signed.as_bytes(), &signature) {
            return Err(Rejected::Signature);
        }
        claims::judge(&known.issuer, &claims, now)
    }
}

impl Known {
    /// The one key that may verify a token with this header. Its algorithm is its own: the token's `alg` only has to agree.
    fn key(&self, header: &Header) -> Result<&Verifier, Rejected> {
        if let Some(id) = &header.key_id {
            let (_, key) =
                self.keys.iter().find(|(known, _)| known.as_ref() == Some(id)).ok_or(Rejected::KeyId)?;
            return if key.algorithm() == header.algorithm { Ok(key) } else { Err(Rejected::Algorithm) };
        }
        let mut fitting = self.keys.iter().filter(|(_, key)| key.algorithm() == header.algorithm);
        match (fitting.next(), fitting.next()) {
            (Some((_, key)), None) => Ok(key),
            (Some(_), Some(_)) => Err(Rejected::KeyChoice),
            (None, _) => Err(Rejected::Algorithm),
        }
    }
}

/// What a header may say.
#[derive(Debug)]
struct Header {
    algorithm: Algorithm,
    key_id: Option<String>,
}

impl Header {
    fn read(text: &[u8]) -> Result<Self, Rejected> {
        let header = json::object(text).ok_or(Rejected::Json(Part::Header))?;
        if let Some(parameter) = FORBIDDEN_PARAMETERS.into_iter().find(|name| header.contains_key(*name)) {
            return Err(Rejected::Parameter(parameter));
        }
        match header.get("typ") {
            None => {}
            // Media types are compared without regard to capitals (RFC 7515 section 4.1.9).
            Some(Json::Text(kind)) if ["jwt", "at+jwt"].iter().any(|ok| kind.eq_ignore_ascii_case(ok)) => {}
            Some(_) => return Err(Rejected::Type),
        }
        let algorithm = match header.get("alg") {
            Some(Json::Text(name)) => Algorithm::parse(name).ok_or(Rejected::Algorithm)?,
            _ => return Err(Rejected::Algorithm),
        };
        let key_id = match header.get("kid") {
            None => None,
            Some(Json::Text(id)) if is_key_id(id) => Some(id.clone()),
            Some(_) => return Err(Rejected::KeyId),
        };
        Ok(Self { algorithm, key_id })
    }
}

fn is_key_id(id: &str) -> bool {
    (1..=LONGEST_KEY_ID).contains(&id.len())
}

/// Whether a text names something: 1 to `longest` characters, none of them a control character.
fn is_plain(text: &str, longest: usize) -> bool {
    !text.is_empty() && text.chars().count() <= longest && !text.chars().any(char::is_control)
}

/// The engine accepts one spelling of each value only: no padding, no white space, no bits left over at the end.
fn decode(text: &str, part: Part) -> Result<Vec<u8>, Rejected> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Rejected::Encoding(part))
}

fn judge(issuer: &Issuer) -> Result<Vec<(Option<String>, Verifier)>, IssuerFault> {
    if !is_plain(&issuer.name, LONGEST_TEXT) || !is_plain(&issuer.audience, LONGEST_TEXT) {
        return Err(IssuerFault::Text);
    }
    let communities: BTreeSet<&String> = issuer.communities.iter().collect();
    if communities.is_empty() || communities.len() != issuer.communities.len() {
        return Err(IssuerFault::Communities);
    }
    if issuer.leeway > LARGEST_LEEWAY {
        return Err(IssuerFault::Leeway);
    }
    if !(Duration::from_secs(1)..=LARGEST_LONGEST_LIFE).contains(&issuer.longest_life) {
        return Err(IssuerFault::LongestLife);
    }
    if issuer.keys.is_empty() {
        return Err(IssuerFault::NoKeys);
    }
    let mut ids = BTreeSet::new();
    let mut keys = Vec::with_capacity(issuer.keys.len());
    for key in &issuer.keys {
        if let Some(id) = &key.id {
            if !is_key_id(id) {
                return Err(IssuerFault::KeyId);
            }
            if !ids.insert(id) {
                return Err(IssuerFault::KeyIdTwice);
            }
        }
        keys.push((key.id.clone(), Verifier::new(key.algorithm, &key.key)?));
    }
    Ok(keys)
}
