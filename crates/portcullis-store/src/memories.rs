//! Memories: facts kept for one member at their wish, and recalled for them only.
//!
//! They are sealed with the member's own key and are in no index. Once that key is destroyed they are gone: reads find
//! nothing, and nothing more is kept for that member.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use portcullis_core::{MemoryId, Scope};

use crate::Result;

/// The most memories of one member.
pub const MOST_MEMORIES: usize = 200;
/// The longest memory, in characters.
pub const LONGEST_MEMORY: usize = 1_000;

/// A memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// Its id.
    pub id: MemoryId,
    /// The fact. Sealed with the member's key.
    pub text: String,
    /// When it was added.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
}

/// Memories of the scope's member. A scope that acts for no member is `Forbidden`; another member's memory is `NotFound`,
/// for staff too. Reads need `ReadOwnMemories`, writes `WriteOwnMemories`. Ids are a member's own, as conversations' are.
///
/// When the member's key is destroyed, lists are empty, everything else is `NotFound`, and `add` is `Forbidden`; `remove`
/// goes on working.
#[async_trait]
pub trait Memories: Send + Sync + fmt::Debug {
    /// Adds a memory. Two calls with the same id add one, the first. Empty, longer than [`LONGEST_MEMORY`], or one more than
    /// [`MOST_MEMORIES`] is `Invalid`.
    async fn add(&self, scope: &Scope, id: MemoryId, text: &str) -> Result<Memory>;

    /// All memories of the member, oldest first.
    async fn list(&self, scope: &Scope) -> Result<Vec<Memory>>;

    /// One memory.
    async fn get(&self, scope: &Scope, id: MemoryId) -> Result<Memory>;

    /// Replaces what a memory says, within the same limits.
    async fn change(&self, scope: &Scope, id: MemoryId, text: &str) -> Result<Memory>;

    /// Removes a memory.
    async fn remove(&self, scope: &Scope, id: MemoryId) -> Result<()>;
}
