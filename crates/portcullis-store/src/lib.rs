//! What the product needs kept, as ports cut by role, and the errors they share.
//!
//! It holds no engine: adapters such as `portcullis-store-sqlite` implement the ports they are good at, and every
//! adapter of a port passes the same suite (`conformance`, behind a feature). Calls on behalf of somebody take a
//! [`Scope`](portcullis_core::Scope) and never return what lies outside it. The only calls without one are those
//! that the identify phase and sign-in make in order to find the scope ([`Identity`], [`Sessions`],
//! [`Members::provision`]) and those of the instance itself ([`Directory`]).

pub mod approvals;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod content;
pub mod conversations;
pub mod directory;
pub mod error;
pub mod handovers;
pub mod identity;
pub mod keys;
pub mod members;
pub mod memories;
pub mod sessions;
pub mod spaces;

use std::sync::Arc;

pub use approvals::{Approval, ApprovalState, Approvals, Decided, Decision, Ended, NewApproval, Step};
pub use content::{
    Chunk, Content, Document, DocumentText, NewDocument, Passage, PutOutcome, Query, SourceEntry,
};
pub use conversations::{Author, Conversation, Conversations, NewMessage, Said, StoredMessage};
pub use directory::{Community, CommunityRef, Directory, KeptSince, NewCommunity, Removed};
pub use error::{Error, Kind, Result, Retry};
pub use handovers::{Acknowledged, Handover, Handovers, NewHandover, Queued, Room};
pub use identity::{Identity, KeyIdentity, LAPSED_FOR, SessionIdentity, Standing};
pub use keys::{KeyActor, KeyInfo, Keys, NewKey};
pub use members::{Entitlement, Member, Members, NewMember, Status};
pub use memories::{Memories, Memory};
pub use sessions::{
    InvitationInfo, NewInvitation, NewSession, NewSignIn, SessionInfo, Sessions, SignedIn, Strangers,
};
pub use spaces::{NewSpace, Plan, Space, SpaceAccess, Spaces};

/// The stores of one instance, each behind its port.
#[derive(Debug, Clone)]
pub struct Stores {
    /// The communities of this instance.
    pub directory: Arc<dyn Directory>,
    /// What the identify phase looks up.
    pub identity: Arc<dyn Identity>,
    /// Members and what they pay for.
    pub members: Arc<dyn Members>,
    /// Spaces and plans.
    pub spaces: Arc<dyn Spaces>,
    /// API keys.
    pub keys: Arc<dyn Keys>,
    /// Documents and full-text search.
    pub content: Arc<dyn Content>,
    /// Sign-in links, invitations and sessions.
    pub sessions: Arc<dyn Sessions>,
    /// Each member's own conversations.
    pub conversations: Arc<dyn Conversations>,
    /// Each member's own memories.
    pub memories: Arc<dyn Memories>,
    /// Questions that were handed to a person.
    pub handovers: Arc<dyn Handovers>,
    /// Calls of tools that wait for a person.
    pub approvals: Arc<dyn Approvals>,
}
