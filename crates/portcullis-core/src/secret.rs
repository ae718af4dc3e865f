//! Values that must not be printed, serialised or left in memory.

use std::fmt;

use ring::hmac;
use zeroize::Zeroize;

/// A secret value: prints as `***`, is not serialisable, and is wiped when dropped.
#[derive(Clone)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Wraps a value that must not be shown.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Every call is a place to look at when asking where a secret can go.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<T: Zeroize> fmt::Display for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Tells a token from any other text: the operator's, or a key that was given out for one service.
///
/// It holds no token, only a tag under a key of its own that is thrown away with the process; comparing tags takes the
/// same time for every wrong token, however long it is and wherever it differs.
pub struct KnownToken {
    key: hmac::Key,
    tag: hmac::Tag,
}

impl KnownToken {
    /// Knows this token from now on.
    pub fn new(token: &[u8]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &random_bytes::<32>());
        let tag = hmac::sign(&key, token);
        Self { key, tag }
    }

    /// Whether that is the token.
    pub fn holds(&self, presented: &[u8]) -> bool {
        hmac::verify(&self.key, presented, self.tag.as_ref()).is_ok()
    }
}

impl fmt::Debug for KnownToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KnownToken(..)")
    }
}

/// Fills an array from the operating system's random source.
///
/// # Panics
/// When the operating system has no random source: nothing here is safe to run then.
#[expect(clippy::expect_used, reason = "a machine without a random source cannot run this program safely")]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    use ring::rand::SecureRandom;
    let mut bytes = [0; N];
    ring::rand::SystemRandom::new().fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

#[cfg(test)]
mod tests {
    use super::{KnownToken, Secret};

    #[test]
    fn a_secret_never_prints_its_value() {
        let secret = Secret::new(String::from("hunter2"));
        assert_eq!(format!("{secret} {secret:?} {:#?}", Some(&secret)), "*** *** Some(\n    ***,\n)");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn only_the_token_itself_is_the_token() {
        let token = KnownToken::new(b"jkwh2Yb1tEzVtT5bcp0hPv3wqvKQ2lM8n1k");
        assert!(token.holds(b"jkwh2Yb1tEzVtT5bcp0hPv3wqvKQ2lM8n1k"));
        let near: [&[u8]; 4] = [
            b"jkwh2Yb1tEzVtT5bcp0hPv3wqvKQ2lM8n1K",
            b"jkwh2Yb1tEzVtT5bcp0hPv3wqvKQ2lM8n1k ",
            b"jkwh2Yb1tEzVtT5bcp0hPv3wqvKQ2lM8n1",
            b"",
        ];
        for wrong in near {
            assert!(!token.holds(wrong), "{wrong:?}");
        }
        assert_eq!(format!("{token:?}"), "KnownToken(..)");
    }
}
