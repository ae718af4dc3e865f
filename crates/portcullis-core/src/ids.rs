//! Ids. Each is a UUIDv7 (RFC 9562) of its own type, so that one cannot be passed for another.
//!
//! An id names a thing; it never authorises anything.

use std::cell::RefCell;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use crate::Clock;
use crate::secret::random_bytes;

/// Text that is not a UUID was given where an id is wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {kind} id: expected a UUID such as `01890a5d-ac96-774b-bcce-b302099a8057`")]
pub struct MalformedId {
    /// What the id should name, such as `member`.
    pub kind: &'static str,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id, ordered by the clock's time and otherwise random.
            pub fn new(clock: &dyn Clock) -> Self {
                Self(uuid_at(clock))
            }

            /// The id with these 16 bytes, as read back from a store.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The 16 bytes of the id, as a store keeps them.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($kind, ":{}"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = MalformedId;

            fn from_str(text: &str) -> Result<Self, MalformedId> {
                Uuid::try_parse(text).map(Self).map_err(|_| MalformedId { kind: $kind })
            }
        }
    )*};
}

ids! {
    /// A community: the tenant.
    CommunityId = "community";
    /// A member of one community.
    MemberId = "member";
    /// A part of a community, closed to all but staff until opened.
    SpaceId = "space";
    /// An imported or uploaded document.
    DocumentId = "document";
    /// An API key, without its secret.
    KeyId = "key";
    /// A signed-in browser.
    SessionId = "session";
    /// An invitation to join a community.
    InvitationId = "invitation";
    /// A conversation of one member.
    ConversationId = "conversation";
    /// One message of a conversation.
    MessageId = "message";
    /// A fact kept for one member at their wish.
    MemoryId = "memory";
    /// A question that was handed to a person.
    HandoverId = "handover";
    /// A call of a tool that waits for a person.
    ApprovalId = "approval";
    /// One question and its answer.
    TurnId = "turn";
    /// One call of a tool.
    CallId = "call";
    /// One HTTP request, for logs and for the `x-request-id` header.
    RequestId = "request";
    /// An address or network that is blocked.
    BlockId = "block";
}

fn uuid_at(clock: &dyn Clock) -> Uuid {
    let millis = u64::try_from(clock.now().as_millisecond()).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &random()).into_uuid()
}

/// What makes an id differ from others of its millisecond. It is fetched for several ids at a time: asking the system for each
/// costs more than all the rest.
fn random() -> [u8; 10] {
    thread_local! {
        static FETCHED: RefCell<Vec<[u8; 10]>> = const { RefCell::new(Vec::new()) };
    }
    FETCHED.with_borrow_mut(|fetched| {
        if fetched.is_empty() {
            let bytes: [u8; 160] = random_bytes();
            fetched.extend(bytes.as_chunks().0);
        }
        fetched.pop().unwrap_or_else(random_bytes)
    })
}
