//! Signing in: one-time links, invitations, sessions.
//!
//! Tokens are kept as hashes only. Addresses of those who ask are found by a keyed hash, as members' are, and are gone
//! once the link is used or has expired.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use portcullis_core::{Actor, CommunityId, InvitationId, MemberId, Role, Scope, SessionId, TokenHash};

use crate::{Entitlement, Result};

/// The most people that one invitation lets in.
pub const MOST_USES: u32 = 10_000;

/// A sign-in that somebody asked for.
#[derive(Debug, Clone)]
pub struct NewSignIn {
    /// The hash of the token in the link.
    pub token: TokenHash,
    /// The hash of the token in the cookie of the browser that asked: the link works nowhere else.
    pub browser: TokenHash,
    /// The address that was typed.
    pub email: String,
    /// The first moment at which the link no longer works.
    pub expires: Timestamp,
}

/// A session to begin.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// The hash of the session token.
    pub token: TokenHash,
    /// The end of the session, however it is used.
    pub expires: Timestamp,
    /// How long it may lie unused before it ends.
    pub idle: Duration,
}

/// A session that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// The session.
    pub session: SessionId,
    /// Whose it is.
    pub member: MemberId,
    /// Whether the member was created by this sign-in.
    pub joined: bool,
}

/// A session as its member sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// The session.
    pub id: SessionId,
    /// When it began.
    pub created: Timestamp,
    /// When it was last used, within a minute.
    pub last_used: Timestamp,
    /// Its end, however it is used.
    pub expires: Timestamp,
}

/// An invitation to write.
#[derive(Debug, Clone)]
pub struct NewInvitation {
    /// The hash of the token in the link.
    pub token: TokenHash,
    /// Who alone may accept it; `None`: whoever holds the link.
    pub email: Option<String>,
    /// The role of those who accept it. Above `Member` it needs `WriteStaff`.
    pub role: Role,
    /// The plans that come with it.
    pub entitlements: Vec<Entitlement>,
    /// How many may accept it: 1 to [`MOST_USES`].
    pub uses: u32,
    /// The first moment at which it can no longer be accepted.
    pub expires: Timestamp,
}

/// An invitation as lists show it: without its link, and without the address it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvitationInfo {
    /// Its id.
    pub id: InvitationId,
    /// Who made it; `None` where that was not recorded.
    pub made_by: Option<Actor>,
    /// See [`NewInvitation::role`].
    pub role: Role,
    /// See [`NewInvitation::entitlements`]; they come by name.
    pub entitlements: Vec<Entitlement>,
    /// Whether it is for one address alone.
    pub addressed: bool,
    /// How many may still accept it.
    pub uses: u32,
    /// When it was made.
    pub created: Timestamp,
    /// See [`NewInvitation::expires`].
    pub expires: Timestamp,
    /// When it was withdrawn, if it was.
    pub withdrawn: Option<Timestamp>,
}

/// What happens with an address that no member has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strangers {
    /// Nothing: only members and the invited sign in.
    Refuse,
    /// They become members with the default role.
    Join,
}

/// Sign-in and sessions. The calls without a scope are those that happen before anybody is known; an unknown community
/// is `NotFound` there. How often one may ask is for the caller to limit.
#[async_trait]
pub trait Sessions: Send + Sync + fmt::Debug {
    /// Remembers that a link was asked for. The answer is the address that it is to be sent to, if it is to be sent: for
    /// an active member the one that is kept for them, however it was typed; the typed one where no member has it and
    /// strangers may join or `invitation` can be accepted by it. It does the same work either way, so that an answer's
    /// time tells nothing. An address that mail cannot reach is `Invalid`, a token in use a `Conflict`.
    async fn ask(
        &self,
        community: CommunityId,
        new: NewSignIn,
        strangers: Strangers,
        invitation: Option<TokenHash>,
    ) -> Result<Option<String>>;

    /// Uses a link up and begins a session, all or nothing. `None`: the link is unknown, used, expired, or asked for by
    /// another browser, or the member is suspended or was so since it was asked for. A link is used up once, however many
    /// try at once; what is refused does not use it up.
    ///
    /// Who is no member yet joins, if they still may: by the invitation that the link was asked with, which then gives
    /// role and plans and is used once more, else as a stranger. They are named by what stands before the `@`. For who
    /// is a member already an invitation changes nothing, and stays unused.
    async fn redeem(
        &self,
        community: CommunityId,
        token: TokenHash,
        browser: TokenHash,
        session: NewSession,
        now: Timestamp,
    ) -> Result<Option<SignedIn>>;

    /// The scope's member's sessions that have not ended, newest first. Needs `ReadSelf`; a scope that acts for no
    /// member is `Forbidden`.
    async fn list(&self, scope: &Scope) -> Result<Vec<SessionInfo>>;

    /// Ends one session of the scope's member. It is refused from the next request on. Needs `WriteSelf`; one that has
    /// ended or is not theirs is `NotFound`.
    async fn end(&self, scope: &Scope, session: SessionId) -> Result<()>;

    /// Ends all sessions of a member, and forgets the links that were asked for with their address: one's own with
    /// `WriteSelf`, another's with `WriteMembers`, staff's with `WriteStaff`. The number of sessions ended is returned.
    async fn end_all(&self, scope: &Scope, member: MemberId) -> Result<usize>;

    /// Writes an invitation, with who made it. Needs `WriteMembers`. An unknown plan, a malformed address or no uses is `Invalid`, a token
    /// in use a `Conflict`.
    async fn invite(&self, scope: &Scope, new: NewInvitation) -> Result<InvitationId>;

    /// The invitations that have not run out, spent and withdrawn ones too, newest first. Needs `WriteMembers`.
    async fn invitations(&self, scope: &Scope) -> Result<Vec<InvitationInfo>>;

    /// Withdraws an invitation: nobody joins by it any more, by links asked for before neither. Needs what making it
    /// needs: `WriteMembers`, for a role above `Member` also `WriteStaff`. Withdrawing twice is no error.
    async fn withdraw(&self, scope: &Scope, invitation: InvitationId) -> Result<()>;
}
