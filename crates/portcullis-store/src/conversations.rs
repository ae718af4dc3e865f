//! Conversations of one member.
//!
//! Titles and texts are sealed with the member's own key and are in no index. Once that key is destroyed they are gone:
//! reads find nothing, and nothing more is kept for that member.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use portcullis_core::{ApprovalId, ConversationId, DocumentId, MessageId, Scope, TurnId};

use crate::Result;

/// The longest title, in characters.
pub const LONGEST_TITLE: usize = 200;
/// The longest message, in bytes.
pub const LONGEST_MESSAGE: usize = 1 << 20;
/// The most messages that one call adds.
pub const MOST_AT_ONCE: usize = 64;
/// The most messages of one conversation.
pub const MOST_MESSAGES: usize = 10_000;
/// The most sources of one message.
pub const MOST_SOURCES: usize = 256;
/// The most conversations of one member.
pub const MOST_CONVERSATIONS: usize = 10_000;
/// The most conversations that one call lists.
pub const MOST_LISTED: usize = 200;

/// Who said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Author {
    /// The member.
    Member,
    /// The chatbot.
    Assistant,
}

/// A message on its way into the store.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Its id. Two calls with the same id in one conversation store one message, the first.
    pub id: MessageId,
    /// The turn it belongs to.
    pub turn: TurnId,
    /// Who said it.
    pub author: Author,
    /// What was said. Sealed with the member's key.
    pub text: String,
    /// Every document that the model was shown for it, cited or not: the message can be read as long as all of these can.
    /// Ids of documents that are not there count as gone.
    pub sources: Vec<DocumentId>,
}

/// What a message says now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// The text.
    Text(String),
    /// The text is kept back: it relied on content that is gone, or that the member may no longer read.
    Withheld,
}

/// A stored message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// Its id.
    pub id: MessageId,
    /// The turn it belongs to.
    pub turn: TurnId,
    /// Who said it.
    pub author: Author,
    /// What it says, as far as the scope may read its sources at this moment.
    pub said: Said,
    /// Its sources, as far as the scope may read them.
    pub sources: Vec<DocumentId>,
    /// When it was stored.
    pub created: Timestamp,
}

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// Its id.
    pub id: ConversationId,
    /// Its title. Sealed with the member's key.
    pub title: String,
    /// When it began.
    pub created: Timestamp,
    /// When it began or the last message was stored: different for each conversation of a member, so that lists can go on
    /// from it.
    pub updated: Timestamp,
}

/// Conversations of the scope's member. A scope that acts for no member is `Forbidden`; another member's conversation is
/// `NotFound`, for staff too. Reads need `ReadOwnConversations`, the rest `WriteOwnConversations`, but for `begin` and
/// `append`, which need `Ask`. Ids are a member's own: the same id may name a conversation of each of two members.
///
/// When the member's key is destroyed, lists are empty, everything else is `NotFound`, and `begin` is `Forbidden`;
/// `remove` goes on working.
#[async_trait]
pub trait Conversations: Send + Sync + fmt::Debug {
    /// Begins a conversation. Two calls with the same id begin one, the first. A title is 1 to [`LONGEST_TITLE`] characters
    /// on one line, else `Invalid`; so is one conversation more than [`MOST_CONVERSATIONS`].
    async fn begin(&self, scope: &Scope, id: ConversationId, title: &str) -> Result<Conversation>;

    /// The member's conversations, the last used first: at most `limit`, and [`MOST_LISTED`], whose
    /// [`updated`](Conversation::updated) is before `before`.
    async fn list(&self, scope: &Scope, before: Option<Timestamp>, limit: usize)
    -> Result<Vec<Conversation>>;

    /// One conversation.
    async fn get(&self, scope: &Scope, id: ConversationId) -> Result<Conversation>;

    /// Adds messages, all or none, in their order. They are durable when the call returns. What is longer or more than the
    /// limits above is `Invalid`.
    async fn append(&self, scope: &Scope, id: ConversationId, messages: Vec<NewMessage>) -> Result<()>;

    /// The last `limit` messages, oldest first. Whether a text may be read is asked anew for each message, of the documents
    /// and the scope's spaces as they are.
    async fn messages(&self, scope: &Scope, id: ConversationId, limit: usize) -> Result<Vec<StoredMessage>>;

    /// Gives a conversation another title.
    async fn rename(&self, scope: &Scope, id: ConversationId, title: &str) -> Result<()>;

    /// Removes a conversation with all its messages, and the calls of tools that belong to it: those that are over, those that
    /// wait, and one that is under way once it ends. Tells which of them waited, so that they are not made now.
    async fn remove(&self, scope: &Scope, id: ConversationId) -> Result<Vec<ApprovalId>>;
}
