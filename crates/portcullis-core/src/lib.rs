//! The nouns every other crate speaks: ids, roles, actions, [`Scope`], secrets, time.
//!
//! It does no I/O and knows no protocol. Start with [`scope`]: who is asking, and what that opens, is the
//! idea the rest of the project hangs on. Then [`access`], the one table of roles and actions.

pub mod access;
pub mod clock;
pub mod ids;
pub mod lanes;
pub mod mail_address;
pub mod measure;
pub mod scope;
pub mod seal;
pub mod secret;
pub mod strength;
pub mod tasks;
pub mod token;
pub mod unseen;

pub use access::{AbilitySet, Action, KeyAbility, Role};
pub use clock::{Clock, ManualClock, SystemClock};
pub use ids::{
    ApprovalId, BlockId, CallId, CommunityId, ConversationId, DocumentId, HandoverId, InvitationId, KeyId,
    MemberId, MemoryId, MessageId, RequestId, SessionId, SpaceId, TurnId,
};
pub use lanes::Lanes;
pub use scope::{Actor, Grant, KeyBounds, Scope, Tier};
pub use secret::Secret;
pub use tasks::Tasks;
pub use token::{Locator, MalformedToken, Token, TokenHash, TokenKind};
