//! Signed notes (`c2sp.org/signed-note`) with Ed25519: a text, an empty line, and lines of signatures.
//!
//! It knows the form and the keys, not what a text means.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_core::Secret;
use ring::digest;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use crate::Error;

/// The signature type of Ed25519 in key hashes and verifier keys.
const ED25519_TYPE: u8 = 0x01;
/// Key hash and Ed25519 signature.
const SIGNATURE_BYTES: usize = 4 + 64;
/// An em dash and a space begin a signature line.
const SIGNATURE: &str = "\u{2014} ";

/// Who signs the journal: its name (the origin of its checkpoints) and its Ed25519 key.
pub struct Signer {
    key: Ed25519KeyPair,
    verifier: Verifier,
}

impl Signer {
    /// A signer named `name`, which is the origin of the journal's checkpoints, such as `example.org/portcullis`.
    /// `seed` is the private key: 32 random bytes that only this instance has.
    pub fn new(name: &str, seed: &Secret<[u8; 32]>) -> Result<Self, Error> {
        let key = Ed25519KeyPair::from_seed_unchecked(seed.expose()).map_err(|_| Error::InvalidKey)?;
        let public = <[u8; 32]>::try_from(key.public_key().as_ref()).map_err(|_| Error::InvalidKey)?;
        Ok(Self { key, verifier: Verifier::new(name, public)? })
    }

    /// What others verify the signatures with.
    pub const fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The note of this text, which ends with a newline.
    pub(crate) fn sign(&self, text: &str) -> String {
        let Verifier { name, id, .. } = &self.verifier;
        let signature = [id.as_slice(), self.key.sign(text.as_bytes()).as_ref()].concat();
        format!("{text}\n{SIGNATURE}{name} {}\n", STANDARD.encode(signature))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signer").field(&self.verifier).finish()
    }
}

/// The public half of a [`Signer`]. Reads and writes as a verifier key: `name+hash+base64`.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    key: [u8; 32],
    id: [u8; 4],
}

impl Verifier {
    /// The verifier of that name with that Ed25519 public key.
    pub fn new(name: &str, key: [u8; 32]) -> Result<Self, Error> {
        let valid =
            (1..=200).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic() && b != b'+');
        if !valid {
            return Err(Error::InvalidName(
                name.chars().filter(|c| c.is_ascii_graphic()).take(200).collect(),
            ));
        }
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(name.as_bytes());
        context.update(&[b'\n', ED25519_TYPE]);
        context.update(&key);
        let mut id = [0; 4];
        id.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
        Ok(Self { name: name.to_owned(), key, id })
    }

    /// The name, which is also the origin of the journal's checkpoints.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the name and key hash are this verifier's; if so, whether the signature holds.
    fn judge(&self, text: &str, name: &str, blob: &[u8]) -> Option<bool> {
        let (id, signature) = blob.split_first_chunk::<4>()?;
        (name == self.name && *id == self.id)
            .then(|| UnparsedPublicKey::new(&ED25519, self.key).verify(text.as_bytes(), signature).is_ok())
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[ED25519_TYPE], self.key.as_slice()].concat();
        write!(f, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.id), STANDARD.encode(key))
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Verifier {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parsed = || {
            // Base64 may hold `+` too, so the parts are counted from the left.
            let (name, rest) = text.split_once('+')?;
            let (hash, key) = rest.split_once('+')?;
            let key: [u8; 33] = STANDARD.decode(key).ok()?.try_into().ok()?;
            let (kind, key) = key.split_first_chunk::<1>()?;
            let verifier = Self::new(name, key.try_into().ok()?).ok()?;
            (*kind == [ED25519_TYPE] && hash == format!("{:08x}", u32::from_be_bytes(verifier.id)))
                .then_some(verifier)
        };
        parsed().ok_or(Error::InvalidVerifier)
    }
}

/// Why a note was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoteError {
    Malformed,
    Signature,
}

/// Whether this is a whole signature line.
pub(crate) fn is_signature_line(line: &str) -> bool {
    let blob = line.strip_prefix(SIGNATURE).and_then(|rest| rest.split_once(' '));
    blob.is_some_and(|(_, blob)| STANDARD.decode(blob).is_ok_and(|blob| blob.len() == SIGNATURE_BYTES))
}

/// Whether a signature line can begin like this.
pub(crate) fn begins_signature_line(line: &str) -> bool {
    line.starts_with(SIGNATURE) || SIGNATURE.starts_with(line)
}

/// The text of a note that at least one trusted key signed, and whose signatures by trusted keys all hold.
pub(crate) fn open<'a>(note: &'a str, trusted: &[Verifier]) -> Result<&'a str, NoteError> {
    let (body, signatures) = note.rsplit_once("\n\n").ok_or(NoteError::Malformed)?;
    let text = note.get(..=body.len()).ok_or(NoteError::Malformed)?;
    let signatures = signatures.strip_suffix('\n').ok_or(NoteError::Malformed)?;
    let mut signed = false;
    for line in signatures.split('\n') {
        let (name, blob) =
            line.strip_prefix(SIGNATURE).and_then(|rest| rest.split_once(' ')).ok_or(NoteError::Malformed)?;
        let blob = STANDARD.decode(blob).map_err(|_| NoteError::Malformed)?;
        // Signatures by others, such as witnesses, are allowed and prove nothing here.
        for holds in trusted.iter().filter_map(|verifier| verifier.judge(text, name, &blob)) {
            if !holds {
                return Err(NoteError::Signature);
            }
            signed = true;
        }
    }
    if signed { Ok(text) } else { Err(NoteError::Signature) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(name: &str, seed: u8) -> Signer {
        Signer::new(name, &Secret::new([seed; 32])).unwrap()
    }

    #[test]
    fn a_note_opens_with_the_key_that_signed_it_and_with_no_other() {
        let (ours, theirs) = (signer("example.org/log", 1), signer("example.org/log", 2));
        let note = ours.sign("example.org/log\n5\n");
        assert_eq!(open(&note, &[ours.verifier().clone()]), Ok("example.org/log\n5\n"));
        assert_eq!(open(&note, &[theirs.verifier().clone()]), Err(NoteError::Signature));
        assert_eq!(open(&note, &[]), Err(NoteError::Signature));
        let changed = note.replacen('5', "6", 1);
        assert_eq!(open(&changed, &[ours.verifier().clone()]), Err(NoteError::Signature));
        assert_eq!(open("example.org/log\n5\n", &[ours.verifier().clone()]), Err(NoteError::Malformed));
    }

    #[test]
    fn a_signature_of_another_is_allowed_beside_ours() {
        let (ours, witness) = (signer("log", 1), signer("witness", 2));
        let note = ours.sign("log\n5\n");
        let witnessed = witness.sign("log\n5\n");
        let both = format!("{note}{}\n", witnessed.lines().next_back().unwrap());
        assert_eq!(open(&both, &[ours.verifier().clone()]), Ok("log\n5\n"));
        assert_eq!(open(&both, &[ours.verifier().clone(), witness.verifier().clone()]), Ok("log\n5\n"));
    }

    #[test]
    fn a_verifier_reads_back_from_its_text_and_not_from_a_changed_one() {
        let verifier = signer("example.org/log", 3).verifier().clone();
        let text = verifier.to_string();
        assert_eq!(text.parse::<Verifier>().unwrap(), verifier);
        assert!(text.replacen("example", "exampel", 1).parse::<Verifier>().is_err());
        assert!("name+00000000+AQ==".parse::<Verifier>().is_err());
    }

    #[test]
    fn the_key_of_the_specification_has_its_published_hash() {
        // The example key of the format's reference implementation.
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let verifier: Verifier = text.parse().unwrap();
        assert_eq!((verifier.name(), verifier.to_string().as_str()), ("PeterNeumann", text));
        let note = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n\n\
                    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        assert!(open(note, &[verifier]).is_ok());
    }

    #[test]
    fn a_name_that_would_break_the_format_is_refused() {
        for name in ["", "two words", "a+b", "a\nb", "ä"] {
            assert!(Signer::new(name, &Secret::new([1; 32])).is_err(), "{name:?}");
        }
        assert!(!format!("{:?}", signer("log", 1)).contains("key:"));
    }
}
