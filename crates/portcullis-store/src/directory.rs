//! The communities of one instance.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use portcullis_core::{ApprovalId, CommunityId, Locator, Tier};

use crate::Result;

/// A community: the tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Community {
    /// Its id.
    pub id: CommunityId,
    /// Its short name in addresses and on the command line: `a-z`, `0-9` and `-`, 2 to 40 characters.
    pub slug: String,
    /// Its name as people read it.
    pub name: String,
    /// What its tokens carry in the place of its id.
    pub locator: Locator,
    /// The host name its sign-in page answers on, if it has one of its own.
    pub host: Option<String>,
    /// Its class of limits.
    pub tier: Tier,
    /// When it was created.
    pub created: Timestamp,
}

/// What a new community needs.
#[derive(Debug, Clone)]
pub struct NewCommunity {
    /// See [`Community::slug`].
    pub slug: String,
    /// See [`Community::name`].
    pub name: String,
    /// See [`Community::host`].
    pub host: Option<String>,
    /// See [`Community::tier`].
    pub tier: Tier,
}

/// One of the ways to name a community.
#[derive(Debug, Clone, Copy)]
pub enum CommunityRef<'a> {
    /// By id.
    Id(CommunityId),
    /// By slug.
    Slug(&'a str),
    /// By the locator in a token.
    Locator(&'a Locator),
    /// By host name, lower case, without a port.
    Host(&'a str),
    /// The one that there is, where there is no other.
    Only,
}

/// From when on is kept what is kept for a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptSince {
    /// Questions that were handed over.
    pub handovers: Timestamp,
    /// Calls that wait or waited for a person.
    pub approvals: Timestamp,
}

/// What was removed because it is kept no longer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// How many entries.
    pub entries: usize,
    /// The calls among them that still waited, to be decided or to be gone on with. They are not made now.
    pub waited: Vec<ApprovalId>,
}

/// The communities of this instance. It takes no scope: it is what a scope is found in.
#[async_trait]
pub trait Directory: Send + Sync + fmt::Debug {
    /// Creates a community with its own keys and storage. A slug or host in use is a `Conflict`, and then nothing
    /// is left behind.
    async fn create(&self, new: NewCommunity) -> Result<Community>;

    /// The community of that name, if there is one.
    async fn find(&self, by: CommunityRef<'_>) -> Result<Option<Community>>;

    /// All communities, by slug.
    async fn list(&self) -> Result<Vec<Community>>;

    /// Puts a community into another tier.
    async fn set_tier(&self, community: CommunityId, tier: Tier) -> Result<()>;

    /// Removes what a community keeps no longer: what was handed over or waited before these moments, calls whose conversation was
    /// removed, apart from one under way, and links, invitations and sessions that have ended. An unknown community is `NotFound`.
    async fn remove_due(&self, community: CommunityId, since: KeptSince) -> Result<Removed>;

    /// Does the work of one trivial read, so that readiness can tell the truth.
    async fn ping(&self) -> Result<()>;
}
