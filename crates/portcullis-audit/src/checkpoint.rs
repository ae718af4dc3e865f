//! Checkpoints (`c2sp.org/tlog-checkpoint`): the signed size and root of the journal, and the file of all of them.
//!
//! In the file every note is followed by an empty line. Only one note is ever written before the file is synced, so
//! only the last one can be unfinished.

use std::fmt::Write as _;

use crate::disk::{LogFile, Window, has_lost_sector};
use crate::error::{Error, Fault};
use crate::merkle::TreeHash;
use crate::note::{self, NoteError, Verifier};

/// Longer than any note of ours, witnesses' signatures included.
const MAX_NOTE: usize = 16 * 1024;

/// How many records there were at one time, and their root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The journal's name.
    pub origin: String,
    /// How many records.
    pub size: u64,
    /// The root of their Merkle tree.
    pub root: TreeHash,
}

impl Checkpoint {
    /// Reads a signed checkpoint, such as one that was kept elsewhere, and verifies its signature.
    pub fn open(note: &str, trusted: &[Verifier]) -> Result<Self, Error> {
        Self::judge(note, trusted).map_err(|_| Error::InvalidCheckpoint)
    }

    fn judge(note: &str, trusted: &[Verifier]) -> Result<Self, NoteError> {
        let text = note::open(note, trusted)?;
        let checkpoint = Self::parse(text).ok_or(NoteError::Malformed)?;
        let ours = trusted.iter().any(|verifier| verifier.name() == checkpoint.origin);
        if ours { Ok(checkpoint) } else { Err(NoteError::Malformed) }
    }

    /// The text that is signed.
    pub(crate) fn text(&self) -> String {
        let mut text = String::with_capacity(self.origin.len() + 68);
        // Writing to a string cannot fail.
        let _ = write!(text, "{}\n{}\n{}\n", self.origin, self.size, self.root);
        text
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let (origin, size, root) = (lines.next()?, lines.next()?, TreeHash::parse(lines.next()?)?);
        let number: u64 = size.parse().ok()?;
        // Lines that follow are extensions, which are allowed and ignored.
        (!origin.is_empty() && number.to_string() == size).then(|| Self {
            origin: origin.to_owned(),
            size: number,
            root,
        })
    }
}

/// What stands next in the file of checkpoints.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A note, good or not, and where it begins.
    Note(u64, Result<Checkpoint, Fault>),
    /// The end of the file.
    End,
    /// The last note is unfinished from this place on.
    Unfinished(u64),
}

/// Reads the file of checkpoints from a place on.
#[derive(Debug)]
pub(crate) struct Notes {
    window: Window,
}

impl Notes {
    pub(crate) const fn new(offset: u64, limit: u64) -> Self {
        Self { window: Window::new(offset, limit) }
    }

    pub(crate) const fn offset(&self) -> u64 {
        self.window.offset()
    }

    pub(crate) fn next(
        &mut self,
        file: &mut dyn LogFile,
        trusted: &[Verifier],
    ) -> Result<Next, std::io::Error> {
        self.window.fill(file, MAX_NOTE)?;
        let offset = self.window.offset();
        let unread = self.window.unread();
        let piece = unread.get(..unread.len().min(MAX_NOTE)).unwrap_or_default();
        if piece.is_empty() {
            return Ok(Next::End);
        }
        let is_last = offset + piece.len() as u64 >= self.window.limit();
        let Some(len) = note_len(piece) else {
            if is_last && is_unfinished(offset, piece, trusted) {
                return Ok(Next::Unfinished(offset));
            }
            self.window.pass(piece.len());
            return Ok(Next::Note(offset, Err(Fault::NoteMalformed)));
        };
        let bytes = piece.get(..len).unwrap_or_default();
        let judged = std::str::from_utf8(bytes.strip_suffix(b"\n").unwrap_or(bytes))
            .map_err(|_| NoteError::Malformed)
            .and_then(|note| Checkpoint::judge(note, trusted));
        if judged.is_err() && is_last && len == piece.len() && is_unfinished(offset, bytes, trusted) {
            return Ok(Next::Unfinished(offset));
        }
        self.window.pass(len);
        let judged = judged.map_err(|error| match error {
            NoteError::Malformed => Fault::NoteMalformed,
            NoteError::Signature => Fault::NoteSignature,
        });
        Ok(Next::Note(offset, judged))
    }
}

/// The length of the note at the start, the empty line after it included: text, empty line, signatures, empty line.
fn note_len(bytes: &[u8]) -> Option<usize> {
    let text = bytes.windows(2).position(|pair| pair == b"\n\n")? + 2;
    let signatures = bytes.get(text..)?.windows(2).position(|pair| pair == b"\n\n")? + 2;
    Some(text + signatures)
}

/// Whether this, at the end of the file, is what an unfinished write of one note leaves behind: its beginning, or a note
/// with sectors that never reached the disk. A note whose bytes are merely different is not.
fn is_unfinished(offset: u64, bytes: &[u8], trusted: &[Verifier]) -> bool {
    let name = trusted.iter().map(|verifier| verifier.name().len()).max().unwrap_or(0);
    // Shorter than two notes, whatever their numbers.
    bytes.len() <= 2 * name + 200
        && (has_lost_sector(offset, bytes)
            || std::str::from_utf8(until_whole_character(bytes))
                .is_ok_and(|text| is_beginning(text, trusted)))
}

/// Without the beginning of a character at the end: the dash of a signature line takes three bytes.
fn until_whole_character(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => bytes.get(..error.valid_up_to()).unwrap_or_default(),
        _ => bytes,
    }
}

/// Whether this is how a note of ours begins. The last of the lines is cut anywhere.
fn is_beginning(text: &str, trusted: &[Verifier]) -> bool {
    let mut lines: Vec<&str> = text.split('\n').collect();
    let cut = lines.pop().unwrap_or_default();
    let origin = |line: &str| trusted.iter().any(|verifier| verifier.name() == line);
    let origin_begins = |line: &str| trusted.iter().any(|verifier| verifier.name().starts_with(line));
    let digits = |line: &str| line.len() <= 20 && line.bytes().all(|byte| byte.is_ascii_digit());
    let whole = lines.iter().enumerate().all(|(number, line)| match number {
        0 => origin(line),
        1 => !line.is_empty() && digits(line),
        2 => TreeHash::parse(line).is_some(),
        3 => line.is_empty(),
        4 => note::is_signature_line(line),
        _ => false,
    });
    whole
        && match lines.len() {
            0 => origin_begins(cut),
            1 => digits(cut),
            2 => cut.len() <= 44,
            4 => note::begins_signature_line(cut),
            _ => cut.is_empty(),
        }
}

#[cfg(test)]
mod tests {
    use portcullis_core::Secret;

    use super::*;
    use crate::note::Signer;

    #[test]
    fn a_checkpoint_reads_back_only_in_its_one_form() {
        let signer = Signer::new("example.org/log", &Secret::new([1; 32])).unwrap();
        let trusted = [signer.verifier().clone()];
        let checkpoint =
            Checkpoint { origin: "example.org/log".into(), size: 42, root: TreeHash::leaf(b"x") };
        let note = signer.sign(&checkpoint.text());
        assert_eq!(note.lines().count(), 5);
        assert_eq!(Checkpoint::open(&note, &trusted).unwrap(), checkpoint);
        for text in [
            "example.org/log\n042\nAAAA\n".to_owned(),
            format!("example.org/log\n042\n{}\n", checkpoint.root),
            format!("example.org/log\n-1\n{}\n", checkpoint.root),
            format!("\n42\n{}\n", checkpoint.root),
            format!("elsewhere.org/log\n42\n{}\n", checkpoint.root),
        ] {
            assert!(Checkpoint::open(&signer.sign(&text), &trusted).is_err(), "{text:?}");
        }
        let extended = signer.sign(&format!("{}extension\n", checkpoint.text()));
        assert_eq!(Checkpoint::open(&extended, &trusted).unwrap(), checkpoint);
    }

    #[test]
    fn a_beginning_of_a_note_is_unfinished_and_a_changed_note_is_not() {
        let signer = Signer::new("example.org/log", &Secret::new([1; 32])).unwrap();
        let trusted = [signer.verifier().clone()];
        let checkpoint = Checkpoint { origin: "example.org/log".into(), size: 42, root: TreeHash::empty() };
        let note = (signer.sign(&checkpoint.text()) + "\n").into_bytes();
        for len in 1..note.len() {
            assert!(is_unfinished(0, &note[..len], &trusted), "cut to {len}");
            assert!(is_unfinished(512 - len as u64, &[&note[..len], &[0; 9]].concat(), &trusted));
        }
        for at in 0..note.len() {
            for flip in [0x01, 0x20, 0xff, note[at]] {
                let mut changed = note.clone();
                changed[at] ^= flip;
                // One that still has its form is told by its signature.
                let formed = note_len(&changed) == Some(note.len());
                assert!(formed || !is_unfinished(0, &changed, &trusted), "byte {at}");
            }
        }
        assert!(!is_unfinished(0, &[note.as_slice(), &note[..9]].concat(), &trusted));
    }
}
