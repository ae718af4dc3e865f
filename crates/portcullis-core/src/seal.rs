//! Sealing: authenticated encryption of data at rest, bound to where it belongs.
//!
//! AES-256-GCM with a random 96-bit nonce. The associated data names the place (community, member, record), so a
//! sealed value copied to another row does not open there. NIST SP 800-38D bounds random nonces to 2^32 messages a
//! key, which a member's own key never nears.

use std::fmt;

use ring::{aead, hkdf};

use crate::secret::{Secret, random_bytes};

/// A sealed value did not open: wrong key, wrong place, or changed bytes. Which of these is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sealed data does not open: the key is wrong, or the data was changed or moved")]
pub struct CannotOpen;

/// A 256-bit key that seals and opens values.
#[derive(Clone)]
pub struct SealKey(Secret<[u8; 32]>);

impl SealKey {
    /// A new random key.
    pub fn random() -> Self {
        Self(Secret::new(random_bytes()))
    }

    /// The key with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes))
    }

    /// The key's bytes, for wrapping it or handing it to a database engine.
    pub const fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// A key for one purpose, derived from a master key (HKDF-SHA-256, RFC 5869).
    ///
    /// `purpose` is a fixed text such as `portcullis/keystore`, so that no two uses share a key.
    pub fn derive(master: &[u8], purpose: &str) -> Self {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"portcullis v1");
        let mut bytes = [0; 32];
        // Expanding to 32 bytes is within HKDF-SHA-256's bound of 8,160, so neither call can fail.
        let filled = salt
            .extract(master)
            .expand(&[purpose.as_bytes()], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut bytes));
        debug_assert!(filled.is_ok());
        Self(Secret::new(bytes))
    }

    /// Seals `plain` for the place that `context` names. The result is 28 bytes longer: nonce, then data and tag.
    pub fn seal(&self, context: &[u8], plain: &[u8]) -> Vec<u8> {
        let nonce = random_bytes::<12>();
        let mut body = plain.to_vec();
        let sealed = self.cipher().and_then(|key| {
            let nonce = aead::Nonce::assume_unique_for_key(nonce);
            key.seal_in_place_append_tag(nonce, aead::Aad::from(context), &mut body).ok()
        });
        // Fails only above 64 GiB, which no field reaches; an unsealed value must never be returned.
        if sealed.is_none() {
            body.clear();
        }
        [nonce.as_slice(), &body].concat()
    }

    /// Opens what [`SealKey::seal`] made with the same key and context.
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, CannotOpen> {
        let (nonce, body) = sealed.split_first_chunk::<12>().ok_or(CannotOpen)?;
        let mut body = body.to_vec();
        let nonce = aead::Nonce::assume_unique_for_key(*nonce);
        let key = self.cipher().ok_or(CannotOpen)?;
        let length =
            key.open_in_place(nonce, aead::Aad::from(context), &mut body).map_err(|_| CannotOpen)?.len();
        body.truncate(length);
        Ok(body)
    }

    fn cipher(&self) -> Option<aead::LessSafeKey> {
        aead::UnboundKey::new(&aead::AES_256_GCM, self.0.expose()).ok().map(aead::LessSafeKey::new)
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{CannotOpen, SealKey};

    proptest! {
        #[test]
        fn what_was_sealed_opens_only_whole_in_its_place_and_with_its_key(
            plain in proptest::collection::vec(any::<u8>(), 0..200), flip in any::<prop::sample::Index>(),
        ) {
            let key = SealKey::random();
            let sealed = key.seal(b"here", &plain);
            prop_assert_eq!(key.open(b"here", &sealed), Ok(plain));
            prop_assert_eq!(key.open(b"there", &sealed), Err(CannotOpen));
            prop_assert_eq!(SealKey::random().open(b"here", &sealed), Err(CannotOpen));
            let mut changed = sealed.clone();
            let at = flip.index(changed.len());
            changed[at] ^= 1;
            prop_assert_eq!(key.open(b"here", &changed), Err(CannotOpen));
            prop_assert_eq!(key.open(b"here", &sealed[..at]), Err(CannotOpen));
        }
    }

    #[test]
    fn keys_for_two_purposes_differ() {
        let master = [7; 32];
        assert_eq!(SealKey::derive(&master, "a").expose(), SealKey::derive(&master, "a").expose());
        assert_ne!(SealKey::derive(&master, "a").expose(), SealKey::derive(&master, "b").expose());
    }
}
