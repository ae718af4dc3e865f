//! What the identify phase looks up in order to make a scope. Nothing else may call this port.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use portcullis_core::{AbilitySet, CommunityId, KeyId, MemberId, Role, SessionId, SpaceId, TokenHash};

use crate::Result;

/// What a member is and may see at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The member's role.
    pub role: Role,
    /// Every space that the role and the plans paid for at that moment open. Staff: every space there is.
    pub spaces: Arc<[SpaceId]>,
}

/// A key that exists, is not revoked and has not expired, and whose member, if it acts for one, is active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyIdentity {
    /// The key's id.
    pub key: KeyId,
    /// The member it acts for, if any.
    pub member: Option<MemberId>,
    /// What it was issued for.
    pub abilities: AbilitySet,
    /// When it stops working.
    pub expires: Option<Timestamp>,
    /// The role and spaces it acts with: its own, or its member's, as far as the role is not above the key's ceiling.
    pub standing: Standing,
}

/// A session that has begun and not ended, and whose member is active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionIdentity {
    /// The session's id.
    pub session: SessionId,
    /// Whose it is.
    pub member: MemberId,
    /// The member's role and spaces.
    pub standing: Standing,
    /// The session's end, however it is used.
    pub expires: Timestamp,
}

/// How long a session that has ended is known as one.
pub const LAPSED_FOR: Duration = Duration::from_secs(30 * 86_400);

/// Looks up credentials and members. It takes a community in the place of a scope because it is what a scope is made
/// from; the community comes from the credential's locator or issuer.
///
/// Every answer is current: a change that another call, or another process, has made and acknowledged shows in the
/// next answer. An unavailable store is an error, never `None`.
#[async_trait]
pub trait Identity: Send + Sync + fmt::Debug {
    /// The key with that hash, if it may be used at `now`.
    async fn key(
        &self,
        community: CommunityId,
        hash: TokenHash,
        now: Timestamp,
    ) -> Result<Option<KeyIdentity>>;

    /// The standing of an active member at `now`; `None` if there is no such member or they are suspended.
    async fn standing(
        &self,
        community: CommunityId,
        member: MemberId,
        now: Timestamp,
    ) -> Result<Option<Standing>>;

    /// The session with that hash, if it counts at `now`: not ended, before its absolute end, used within its idle
    /// limit, its member active. The call is a use of it, which is stored within a minute (within half of a shorter
    /// idle limit) without the call waiting for it: so an idle limit may seem that much shorter, never longer.
    async fn session(
        &self,
        community: CommunityId,
        hash: TokenHash,
        now: Timestamp,
    ) -> Result<Option<SessionIdentity>>;

    /// Whether the session with that hash ended within [`LAPSED_FOR`] before `now`: at its end, unused, or because somebody
    /// ended it. One that a suspension ended is not among them. It lets nobody in: it tells a browser that comes back from
    /// who makes tokens up.
    async fn lapsed_session(&self, community: CommunityId, hash: TokenHash, now: Timestamp) -> Result<bool>;

    /// The active member that a host application's `subject` is linked to, see
    /// [`Members::link`](crate::Members::link), with their standing at `now`. Both texts count exactly as they are.
    async fn subject(
        &self,
        community: CommunityId,
        issuer: &str,
        subject: &str,
        now: Timestamp,
    ) -> Result<Option<(MemberId, Standing)>>;
}
