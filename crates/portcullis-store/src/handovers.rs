//! Handovers: questions that were handed to a person in the place of the model, and the moderators' queue of them.
//!
//! What was asked is sealed with the asker's own key and is in no index. Once that key is destroyed the entry stays, without
//! its words. The queue is bounded, for each asker and for all, and what is too old is removed.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use portcullis_core::{Actor, HandoverId, Scope};

use crate::Result;

/// The most of a question that is kept, in characters. The rest is left out.
pub const LONGEST_HANDOVER: usize = 8_000;
/// The most entries that are listed at once.
pub const MOST_HANDOVERS: usize = 500;
/// The longest name of a reason, in bytes.
pub const LONGEST_REASON: usize = 40;

/// A question on its way into the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHandover {
    /// Its id.
    pub id: HandoverId,
    /// Why it is handed over, as the API names it: `self-harm`.
    pub reason: &'static str,
    /// What was asked.
    pub text: String,
}

/// What the queue has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Entries that nobody acknowledged yet.
    pub open: usize,
    /// Of them, those of one asker.
    pub of_one: usize,
    /// What was queued before this moment is removed.
    pub since: Timestamp,
}

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queued {
    /// It is in the queue.
    Kept,
    /// It is not: the same asker has as many open ones as one may have.
    Enough,
    /// It is not: there are as many open ones as there may be.
    Full,
}

/// An entry of the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    /// Its id.
    pub id: HandoverId,
    /// Who asked.
    pub asker: Actor,
    /// Why it was handed over.
    pub reason: String,
    /// What was asked; none once the asker's key is destroyed.
    pub text: Option<String>,
    /// When it was asked.
    pub created: Timestamp,
    /// Who has taken note of it, and when.
    pub acknowledged: Option<Acknowledged>,
}

/// That somebody has taken note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledged {
    /// Who.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
}

/// The queue of the scope's community. To put something into it needs `Ask`, everything else `HandleHandovers`. An entry of
/// another community is `NotFound`.
#[async_trait]
pub trait Handovers: Send + Sync + fmt::Debug {
    /// Puts a question of whoever the scope stands for into the queue, as far as there is room, and removes what is too old.
    /// Two calls with the same id by the same asker keep one, the first; by another it is a `Conflict`. An empty text, or a
    /// reason that is empty or longer than [`LONGEST_REASON`], is `Invalid`. When the asker's key is destroyed it is
    /// `Forbidden`.
    async fn queue(&self, scope: &Scope, new: NewHandover, room: Room) -> Result<Queued>;

    /// What was queued since then: open ones first, each in the order in which they came, at most [`MOST_HANDOVERS`].
    async fn list(&self, scope: &Scope, since: Timestamp) -> Result<Vec<Handover>>;

    /// Notes that whoever the scope stands for has taken note of an entry that was queued since then; an older one is
    /// `NotFound`. It is acknowledged once: later calls change nothing, and tell who did.
    async fn acknowledge(&self, scope: &Scope, id: HandoverId, since: Timestamp) -> Result<Handover>;
}
