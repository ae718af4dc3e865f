//! Opaque tokens: API keys, sessions, sign-in links, invitations.
//!
//! A token reads `pcl_<locator>_<secret>`: a prefix that tells its kind (so that secret scanners and people can),
//! the locator of a community, and 256 random bits. The locator only chooses which community's store verifies the
//! token; it authorises nothing. Stores keep [`TokenHash`], never the token.

use std::fmt;

use ring::digest;
use serde::{Deserialize, Serialize};

use crate::secret::{Secret, random_bytes};

/// Crockford's base32 without capitals: no letter is mistaken for another when read aloud.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Whether a byte is a character of [`ALPHABET`]. Every request has a token with more than sixty.
const fn is_of_alphabet(byte: u8) -> bool {
    byte.is_ascii_digit() || (byte.is_ascii_lowercase() && !matches!(byte, b'i' | b'l' | b'o' | b'u'))
}

const LOCATOR_CHARS: usize = 12;
const SECRET_CHARS: usize = 52;

/// What a token is for. A token of one kind is never accepted as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// A key for programs, sent as a bearer token.
    ApiKey,
    /// A signed-in browser's session cookie.
    Session,
    /// A one-time sign-in link.
    SignIn,
    /// The cookie of a browser that asked for a sign-in link.
    Browser,
    /// An invitation link.
    Invitation,
}

impl TokenKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::ApiKey, Self::Session, Self::SignIn, Self::Browser, Self::Invitation];

    /// The text before the first underscore.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::ApiKey => "pcl",
            Self::Session => "pcs",
            Self::SignIn => "pcm",
            Self::Browser => "pcb",
            Self::Invitation => "pci",
        }
    }
}

/// Names a community in a token, in the place of its id, so that tokens stay short and reveal no id.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Locator(String);

impl Locator {
    /// A new random locator (60 bits).
    pub fn random() -> Self {
        Self(encode(&random_bytes::<8>()).chars().take(LOCATOR_CHARS).collect())
    }

    /// Reads a locator back from a store or a token.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == LOCATOR_CHARS && text.bytes().all(is_of_alphabet)).then(|| Self(text.to_owned()))
    }

    /// The locator's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// SHA-256 of a whole token. The token holds 256 random bits, so a slow hash would add nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The 32 bytes a store keeps.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A hash read back from a store.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

/// Text that has not the form of the token that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a token of the wanted kind")]
pub struct MalformedToken;

/// A token whose form was checked; whether it is known is for the community's store to say.
#[derive(Debug, Clone)]
pub struct Token {
    kind: TokenKind,
    locator: Locator,
    hash: TokenHash,
    hint: String,
}

impl Token {
    /// Makes a new token for the community with that locator. The text is to be shown once and kept nowhere.
    pub fn issue(kind: TokenKind, locator: &Locator) -> (Secret<String>, Self) {
        let secret: String = encode(&random_bytes::<33>()).chars().take(SECRET_CHARS).collect();
        let text = format!("{}_{locator}_{secret}", kind.prefix());
        let token = Self {
            kind,
            locator: locator.clone(),
            hash: hash(&text),
            hint: secret.chars().take(4).collect(),
        };
        (Secret::new(text), token)
    }

    /// Checks the form of a token. It touches no store and takes the same path for every well-formed text.
    pub fn parse(kind: TokenKind, text: &str) -> Result<Self, MalformedToken> {
        let mut parts = text.splitn(3, '_');
        let (prefix, locator, secret) = (parts.next(), parts.next(), parts.next());
        let (Some(prefix), Some(locator), Some(secret)) = (prefix, locator, secret) else {
            return Err(MalformedToken);
        };
        let locator = Locator::parse(locator).ok_or(MalformedToken)?;
        let well_formed =
            prefix == kind.prefix() && secret.len() == SECRET_CHARS && secret.bytes().all(is_of_alphabet);
        if !well_formed {
            return Err(MalformedToken);
        }
        Ok(Self { kind, locator, hash: hash(text), hint: secret.chars().take(4).collect() })
    }

    /// What the token is for.
    pub fn kind(&self) -> TokenKind {
        self.kind
    }

    /// Which community's store can verify it.
    pub fn locator(&self) -> &Locator {
        &self.locator
    }

    /// What a store looks it up by.
    pub fn hash(&self) -> TokenHash {
        self.hash
    }

    /// What a list of keys shows, such as `pcl_k7m2q9x4abcd_3fj2…`: 20 of 260 bits, to tell keys apart.
    pub fn hint(&self) -> String {
        format!("{}_{}_{}…", self.kind.prefix(), self.locator, self.hint)
    }
}

fn hash(text: &str) -> TokenHash {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    TokenHash(bytes)
}

fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 8 / 5 + 1);
    let (mut buffer, mut bits) = (0u32, 0u32);
    for &byte in bytes {
        buffer = (buffer << 8) | u32::from(byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            let index = ((buffer >> bits) & 31) as usize;
            text.extend(ALPHABET.get(index).map(|&b| char::from(b)));
        }
        buffer &= (1 << bits) - 1;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{ALPHABET, Locator, Token, TokenKind, is_of_alphabet};

    #[test]
    fn the_characters_of_a_token_are_those_of_its_alphabet() {
        assert!((0..=u8::MAX).all(|byte| is_of_alphabet(byte) == ALPHABET.contains(&byte)));
    }

    #[test]
    fn an_issued_token_parses_as_its_own_kind_only() {
        let locator = Locator::random();
        for kind in TokenKind::ALL {
            let (text, issued) = Token::issue(kind, &locator);
            let parsed = Token::parse(kind, text.expose()).expect("a token parses as its own kind");
            assert_eq!((parsed.hash(), parsed.locator()), (issued.hash(), &locator));
            for other in TokenKind::ALL.into_iter().filter(|other| *other != kind) {
                assert!(Token::parse(other, text.expose()).is_err(), "{kind:?} was read as {other:?}");
            }
        }
    }

    #[test]
    fn text_that_is_not_a_token_is_refused() {
        let (text, _) = Token::issue(TokenKind::ApiKey, &Locator::random());
        let text = text.expose();
        let capitals = text.to_uppercase();
        let longer = format!("{text}0");
        let shorter = text.get(..text.len() - 1).expect("ASCII");
        for bad in ["", "pcl", "pcl__", "sk-abc", &capitals, &longer, shorter, "pcl_k7m2q9x4abcd_é"] {
            assert!(Token::parse(TokenKind::ApiKey, bad).is_err(), "{bad:?} was taken for a key");
        }
    }

    #[test]
    fn the_hint_and_debug_text_do_not_hold_the_secret() {
        let (text, token) = Token::issue(TokenKind::ApiKey, &Locator::random());
        let secret =
            text.expose().rsplit('_').next().and_then(|secret| secret.get(..5)).expect("a secret part");
        assert!(!token.hint().contains(secret));
        assert!(!format!("{token:?}").contains(secret));
    }
}
