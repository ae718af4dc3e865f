//! What can go wrong. No error holds a stored payload: they name files, offsets, numbers and ids.

use std::io;
use std::sync::Arc;

use portcullis_core::{CommunityId, TurnId};

/// A rule of the journal that a record breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// It does not read as a record.
    #[error("not a record of this journal")]
    Malformed,
    /// Its number is not the next one.
    #[error("record number {found} where {expected} was expected")]
    Sequence {
        /// The next number.
        expected: u64,
        /// The number it has.
        found: u64,
    },
    /// Its number in its community is not the next one.
    #[error("community {community}: record number {found} where {expected} was expected")]
    CommunitySequence {
        /// The community.
        community: CommunityId,
        /// The next number.
        expected: u64,
        /// The number it has.
        found: u64,
    },
    /// It has a community without a number there, or a number without a community.
    #[error("a community and a number in it were expected together, found one of them")]
    CommunityUnnumbered,
    /// It opens a turn that is open.
    #[error("turn {0} is opened while it is open")]
    TurnOpenedTwice(TurnId),
    /// It closes a turn that is not open.
    #[error("turn {0} is closed and was not open")]
    TurnNotOpen(TurnId),
    /// It is older than its predecessor by more than the tolerance.
    #[error("time goes back by {back_ms} ms")]
    TimeWentBack {
        /// By how much, in milliseconds.
        back_ms: i64,
    },
}

/// What is wrong at a place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// No frame begins here.
    #[error("no valid frame begins here")]
    FrameHeader,
    /// The frame's content does not match its check.
    #[error("the frame's content does not match its check")]
    FrameBody,
    /// The last write was never finished, and was never acknowledged. Opening the journal for writing removes it.
    #[error("an unfinished write of {bytes} bytes, removed when the journal is next opened for writing")]
    Unfinished {
        /// How many bytes are there.
        bytes: u64,
    },
    /// The file is shorter than it was.
    #[error("the file has {found} bytes where at least {expected} were expected")]
    Shortened {
        /// The least length.
        expected: u64,
        /// The length it has.
        found: u64,
    },
    /// A frame or segment starts at another record than the one before it ends with.
    #[error("starts at record {found} where record {expected} was expected")]
    Discontinuous {
        /// The next number.
        expected: u64,
        /// The number it starts at.
        found: u64,
    },
    /// A record breaks a rule.
    #[error("{0}")]
    Record(Violation),
    /// This is not a checkpoint or seal of this journal.
    #[error("not a signed note of this journal")]
    NoteMalformed,
    /// The signature is missing or wrong, or by a key that is not trusted here.
    #[error("no valid signature by a trusted key")]
    NoteSignature,
    /// The note's sizes go backwards.
    #[error("signed for {found} records after one for {previous}")]
    NoteOrder {
        /// The size of the note before.
        previous: u64,
        /// The size of this one.
        found: u64,
    },
    /// The records do not have the root that was signed.
    #[error("the records do not have the root that was signed for {size} of them")]
    Root {
        /// For how many records.
        size: u64,
    },
    /// There are fewer records than were signed.
    #[error("{signed} records were signed, {found} are there")]
    Missing {
        /// How many were signed.
        signed: u64,
        /// How many there are.
        found: u64,
    },
    /// There are more records that no signed checkpoint covers than whoever wrote them can have left.
    #[error("{records} records that no signed checkpoint covers")]
    Unsigned {
        /// How many they are.
        records: u64,
    },
    /// A segment has a successor, and no checkpoint was signed at its end.
    #[error("the segment ends with {size} records, and no checkpoint was signed for as many")]
    UnsignedEnd {
        /// How many records the journal has up to there.
        size: u64,
    },
    /// The signed state at the end of a segment is not the one that the records give.
    #[error("the seal does not match the records")]
    Seal,
    /// Damage before it makes this impossible to judge.
    #[error("cannot be judged, because records before it are damaged or missing")]
    Unjudged,
}

/// The journal could not be opened, read or written.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read or written.
    #[error("cannot {op} `{file}`")]
    Io {
        /// What was tried.
        op: &'static str,
        /// The file's name.
        file: String,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// Another process serves from this journal.
    #[error("another process is serving from `{dir}`: stop it first, or use another directory")]
    AlreadyServing {
        /// The journal's directory.
        dir: String,
    },
    /// The journal is damaged or was changed. Nothing was repaired.
    #[error("`{file}` at byte {offset}: {fault}{}", advice(fault))]
    Damaged {
        /// The file's name.
        file: String,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        fault: Fault,
    },
    /// An earlier write failed, so nothing can be recorded until the journal is opened again.
    #[error("the journal stopped after a failed write ({why}): free the disk or repair it, then restart")]
    Stopped {
        /// The first failure.
        why: Arc<str>,
    },
    /// The journal was closed.
    #[error("the journal is closed")]
    Closed,
    /// A record is larger than a record may be.
    #[error("the record has {bytes} bytes, at most {limit} are allowed: name fewer targets")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The turn is open already.
    #[error("turn {0} is open already")]
    TurnAlreadyOpen(TurnId),
    /// The turn is not open, or was closed before.
    #[error("turn {0} is not open")]
    TurnNotOpen(TurnId),
    /// Only the serving process opens turns.
    #[error("only the serving process opens turns")]
    NotServing,
    /// The name cannot be the name of a signing key.
    #[error("`{0}` cannot name a journal: expected 1 to 200 visible ASCII characters without `+`")]
    InvalidName(String),
    /// The key is not an Ed25519 key.
    #[error("not an Ed25519 key")]
    InvalidKey,
    /// The text is no verifier key.
    #[error("not a verifier key: expected `name+hash+base64`")]
    InvalidVerifier,
    /// The text is no checkpoint signed by a trusted key.
    #[error("not a checkpoint that a trusted key signed")]
    InvalidCheckpoint,
    /// A proof was asked for records that are not there.
    #[error("the journal has {size} records, fewer than the proof needs")]
    OutOfRange {
        /// How many records there are.
        size: u64,
    },
}

const fn advice(fault: &Fault) -> &'static str {
    match fault {
        Fault::Unfinished { .. } => "",
        Fault::Unsigned { .. } => {
            "; nothing was changed: if `audit.checkpoint_records` was lowered since the program was killed, start it once \
             with the earlier number, else keep the files as evidence and restore the journal from a backup"
        }
        _ => "; nothing was changed: keep the files as evidence and restore the journal from a backup",
    }
}

impl Error {
    pub(crate) fn io(op: &'static str, file: &str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { op, file: file.to_owned(), source: Arc::new(source) }
    }

    pub(crate) fn damaged(file: &str, offset: u64, fault: Fault) -> Self {
        Self::Damaged { file: file.to_owned(), offset, fault }
    }

    /// The error with its cause in one line.
    pub(crate) fn in_one_line(&self) -> String {
        match self {
            Self::Io { source, .. } => format!("{self}: {source}"),
            _ => self.to_string(),
        }
    }
}
