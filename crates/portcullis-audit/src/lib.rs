//! The audit journal: an append-only, durable, tamper-evident record of who did what, one an instance, shared by all
//! its communities.
//!
//! - *Durable*: [`Journal::append`] answers only once the record has been synced. When a write fails, every later one
//!   fails too, and callers refuse to work: no audit, no answer.
//! - *Complete*: records are numbered without a gap, in the whole journal and in each community; every opened turn is
//!   closed, by the next start if the process died.
//! - *Tamper-evident*: every record is a leaf of an RFC 6962 Merkle tree whose root is signed again and again
//!   ([`Checkpoint`]). [`Archive::verify`] recomputes everything from the bytes. What it cannot see: changes to the
//!   newest records that no checkpoint covers yet, which are bounded, and a journal that was cut back to an earlier
//!   checkpoint together with the file of checkpoints. Keep checkpoints elsewhere and give them to [`VerifyOptions::anchors`] against the
//!   second; against someone who holds the signing key too, only they help.
//! - *In order*: times never go back, whatever the clock does.
//! - *Pseudonymous*: records hold ids, numbers and fixed words ([`record`]), never names, addresses, prompts or tokens.
//!
//! It never changes or removes a record, and it never repairs anything but a last write that was never finished and
//! never acknowledged. Start reading with [`journal`], then `writer` and `frame`.

mod archive;
mod change;
mod checkpoint;
pub mod disk;
mod error;
mod frame;
pub mod journal;
mod layout;
pub mod merkle;
mod note;
mod park;
pub mod record;
mod state;
mod verify;
mod writer;

pub use archive::{Archive, Entries, Filter};
pub use change::Change;
pub use checkpoint::Checkpoint;
pub use error::{Error, Fault, Violation};
pub use journal::{Journal, Meter, Options, Reached, Receipt, Recovery, Use};
pub use merkle::{TreeHash, verify_consistency, verify_inclusion};
pub use note::{Signer, Verifier};
pub use record::{ActorRef, CallOutcome, Entry, Event, Label, Outcome, Record, Target, Usage};
pub use state::OpenTurn;
pub use verify::{Problem, Problems, Verified, VerifyOptions};
