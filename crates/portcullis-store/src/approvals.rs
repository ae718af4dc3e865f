//! Approvals: calls of tools that wait for a person, and what became of each.
//!
//! A call moves in one direction: it is asked for, approved or denied by somebody else, begun by whoever asked, and ended.
//! Each step is taken once, whoever tries it at the same time, and is durable before the next. What a call is to be made with,
//! the question it belongs to and what came of it are sealed with the asker's own key and are in no index. Once that key is
//! destroyed the entry stays, without its words. What waits is bounded, for each asker and for all, and what is too old is
//! removed.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use portcullis_core::{Actor, ApprovalId, ConversationId, Scope};

use crate::Result;
use crate::handovers::{Queued, Room};

/// The longest arguments, question or result that is kept, in bytes: the longest result of a tool, written as JSON.
pub const LONGEST_APPROVAL: usize = 8 << 20;
/// The most entries that are listed at once.
pub const MOST_APPROVALS: usize = 500;
/// How long a call that was begun may be under way. After that nobody waits for its end: the process that made it is gone.
pub const LONGEST_UNDER_WAY: Duration = Duration::from_secs(300);

/// A call on its way to a person.
#[derive(Clone, PartialEq, Eq)]
pub struct NewApproval {
    /// Its id.
    pub id: ApprovalId,
    /// The tool's name.
    pub tool: String,
    /// The hash of the tool's name, description and schema.
    pub pin: String,
    /// What it is to be called with, exactly.
    pub arguments: String,
    /// The question that it belongs to, as whoever goes on with it reads it back.
    pub question: String,
    /// Until when somebody may decide.
    pub expires: Timestamp,
    /// The asker's conversation that it belongs to, with which it goes.
    pub conversation: Option<ConversationId>,
}

impl fmt::Debug for NewApproval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewApproval").field("id", &self.id).field("tool", &self.tool).finish_non_exhaustive()
    }
}

/// How an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ApprovalState {
    /// Nobody decided yet.
    Pending,
    /// Whoever asked may have it made.
    Approved,
    /// It is not made.
    Denied,
    /// Nobody decided in time, or nobody went on in time. It is not made.
    Expired,
    /// It was begun. It is begun once.
    Running,
    /// It was made, and what it returned was judged.
    Done,
    /// It was begun and came to nothing.
    Failed,
    /// It was begun, and how it ended is not known. It is not made again.
    Interrupted,
}

impl ApprovalState {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Approved,
        Self::Denied,
        Self::Expired,
        Self::Running,
        Self::Done,
        Self::Failed,
        Self::Interrupted,
    ];

    /// The word in storage and in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }

    /// The state of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == word)
    }
}

/// What somebody decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Whoever asked may have the call made, until that moment.
    Approve {
        /// The moment.
        until: Timestamp,
    },
    /// The call is not made.
    Deny,
}

/// How a call that was begun ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was made.
    Done,
    /// It came to nothing.
    Failed,
}

/// An entry. `Debug` shows no text of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Approval {
    /// Its id.
    pub id: ApprovalId,
    /// Who asked.
    pub asker: Actor,
    /// The tool's name.
    pub tool: String,
    /// The hash of the tool's name, description and schema when it was asked for.
    pub pin: String,
    /// What it is to be called with; none once the asker's key is destroyed.
    pub arguments: Option<String>,
    /// The question that it belongs to. For whoever asked alone.
    pub question: Option<String>,
    /// What came of the call. For whoever asked alone.
    pub result: Option<String>,
    /// When it was asked for.
    pub created: Timestamp,
    /// Until when it may be decided, and once it is approved until when it may be begun.
    pub expires: Timestamp,
    /// How it stands.
    pub state: ApprovalState,
    /// Who decided, and when.
    pub decided: Option<Decided>,
}

impl fmt::Debug for Approval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Approval")
            .field("id", &self.id)
            .field("asker", &self.asker)
            .field("tool", &self.tool)
            .field("state", &self.state)
            .field("decided", &self.decided)
            .finish_non_exhaustive()
    }
}

/// That somebody decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    /// Who.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
}

/// What came of an attempt to move an entry on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It was moved, by this call and no other. It stands so now.
    Taken(Approval),
    /// It was not: it stands so, and that allows no such step.
    NotOpen(Approval),
}

/// The calls that wait in the scope's community. To ask and to go on with one's own needs `Ask`, to read one's own that or
/// `ReadOwnConversations`; to read and decide those of others needs `DecideApprovals`. An entry of another community, and
/// without `DecideApprovals` one of somebody else, is `NotFound`.
#[async_trait]
pub trait Approvals: Send + Sync + fmt::Debug {
    /// Puts a call for whoever the scope stands for before a person, as far as there is room, and removes what is over and too
    /// old and, beyond five times the room, what has been over longest. A call under way is neither. Those take room that may still be
    /// decided or begun. Two calls with the same id by the same asker keep one, the first; by another
    /// it is a `Conflict`. A text that is empty or longer than [`LONGEST_APPROVAL`] is `Invalid`. When the asker's key is
    /// destroyed it is `Forbidden`; when
    /// its conversation is not there, or is not the asker's, `NotFound`.
    async fn request(&self, scope: &Scope, new: NewApproval, room: Room) -> Result<Queued>;

    /// What was asked for since then: what waits for a decision first, each in the order in which it came, at most
    /// [`MOST_APPROVALS`]. It holds no question and no result.
    async fn list(&self, scope: &Scope, since: Timestamp) -> Result<Vec<Approval>>;

    /// What whoever the scope stands for asked for since then, the last first, at most [`MOST_APPROVALS`]. It holds no result.
    async fn own(&self, scope: &Scope, since: Timestamp) -> Result<Vec<Approval>>;

    /// One entry: with question and result for whoever asked. It needs `Ask`, `ReadOwnConversations` or
    /// `DecideApprovals`.
    async fn get(&self, scope: &Scope, id: ApprovalId) -> Result<Approval>;

    /// Decides what nobody has decided and what has not expired. Who asked does not decide: that is `Forbidden`. What nobody can
    /// read any more is not approved.
    async fn decide(&self, scope: &Scope, id: ApprovalId, decision: Decision) -> Result<Step>;

    /// Begins what is approved and has not expired, for whoever asked: of all who try, at any time, one. For a member who is not
    /// active at that moment, and for a key that does not count then, nothing is begun, and what is approved stays so: that is
    /// `Forbidden`.
    async fn begin(&self, scope: &Scope, id: ApprovalId) -> Result<Step>;

    /// Notes how a call that the scope's actor has begun ended, and what came of it. A call that was ended is left as it is; one
    /// whose conversation was removed meanwhile goes.
    async fn finish(&self, scope: &Scope, id: ApprovalId, ended: Ended, result: String) -> Result<Step>;

    /// Marks what nobody decided or began in time, and of what was asked for before `since` whatever waits, and tells which these are:
    /// each once. It needs what [`get`](Self::get) needs.
    async fn expire(&self, scope: &Scope, since: Timestamp) -> Result<Vec<ApprovalId>>;
}
