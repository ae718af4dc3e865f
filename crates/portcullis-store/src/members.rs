//! Members of a community and what they pay for.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use portcullis_core::{CommunityId, MemberId, Role, Scope};

use crate::Result;

/// The longest name, in characters.
pub const LONGEST_NAME: usize = 200;

/// The longest issuer, and the longest subject, in bytes.
pub const LONGEST_SUBJECT: usize = 512;

/// Whether a member may use the community at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// May sign in and use what role and plans open.
    Active,
    /// Every credential of theirs is refused from the next request on.
    Suspended,
}

impl Status {
    /// Its word, in files, records and answers: `active` or `suspended`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }
}

/// A plan that a member pays for, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entitlement {
    /// The plan's name.
    pub plan: String,
    /// The first moment at which it no longer counts, kept to the microsecond; `None` is without end.
    pub until: Option<Timestamp>,
}

/// What a new member needs.
#[derive(Debug, Clone)]
pub struct NewMember {
    /// How the member is shown. Sealed at rest.
    pub name: String,
    /// The address sign-in links go to, if there is one. Sealed at rest, found again by a keyed hash only, unique in
    /// the community without regard to the case of ASCII letters.
    pub email: Option<String>,
    /// `None`: the community's default role, the lowest.
    pub role: Option<Role>,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The id.
    pub id: MemberId,
    /// See [`NewMember::name`].
    pub name: String,
    /// See [`NewMember::email`].
    pub email: Option<String>,
    /// The role.
    pub role: Role,
    /// Whether they may use the community.
    pub status: Status,
    /// When they joined.
    pub created: Timestamp,
    /// What they pay for, ended ones too.
    pub entitlements: Vec<Entitlement>,
}

/// Members of the scope's community. Reading others needs [`portcullis_core::Action::ReadMembers`], changing them
/// `WriteMembers`; touching anyone whose role is, or would become, above `Member` needs `WriteStaff`.
#[async_trait]
pub trait Members: Send + Sync + fmt::Debug {
    /// Adds a member. An address in use is a `Conflict`.
    async fn add(&self, scope: &Scope, new: NewMember) -> Result<Member>;

    /// One member. A member may read themselves.
    async fn get(&self, scope: &Scope, member: MemberId) -> Result<Member>;

    /// All members, oldest first.
    async fn list(&self, scope: &Scope) -> Result<Vec<Member>>;

    /// The member with that address, if there is one.
    async fn find_by_email(&self, scope: &Scope, email: &str) -> Result<Option<Member>>;

    /// Gives a member another role, and returns the one before. It holds from the next request on. To take the last active owner's is `LastOwner`,
    /// whoever asks, and of several that are taken at once one stays.
    async fn set_role(&self, scope: &Scope, member: MemberId, role: Role) -> Result<Role>;

    /// Suspends or restores a member, and returns what they were before. It holds from the next request on. Sessions end for good with a suspension, and links
    /// that were asked for before do not work after it, restored or not. The last active owner is not suspended, as in
    /// [`Members::set_role`].
    async fn set_status(&self, scope: &Scope, member: MemberId, status: Status) -> Result<Status>;

    /// Gives a member a plan until a moment, replacing what they had of that plan. An unknown plan is `Invalid`.
    async fn entitle(&self, scope: &Scope, member: MemberId, entitlement: Entitlement) -> Result<()>;

    /// Ends a member's plan now. Ending one they do not have is no error, an unknown plan is `Invalid`.
    async fn end_entitlement(&self, scope: &Scope, member: MemberId, plan: &str) -> Result<()>;

    /// Makes the name that a host application's tokens give a member count as that member. Only a keyed hash of issuer
    /// and subject is kept. Linking the same again is no error; a subject of another member is a `Conflict`, an empty
    /// or over-long text (1 to [`LONGEST_SUBJECT`] bytes each) `Invalid`.
    async fn link(&self, scope: &Scope, member: MemberId, issuer: &str, subject: &str) -> Result<()>;

    /// The member that a subject is linked to, suspended or not; else a new member with the default role, linked to it.
    /// Of many calls at once for one subject, one makes the member. It takes a community because it happens while the
    /// caller is being identified; an unknown one is `NotFound`.
    async fn provision(
        &self,
        community: CommunityId,
        issuer: &str,
        subject: &str,
        name: &str,
    ) -> Result<MemberId>;
}
