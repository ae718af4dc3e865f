//! Spaces: the parts of a community, and the plans that open them.

use std::fmt;

use async_trait::async_trait;
use portcullis_core::{Scope, SpaceId};

use crate::Result;

/// Who may read a space.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SpaceAccess {
    /// Staff only: what every new space is.
    #[default]
    Staff,
    /// Every active member.
    Members,
    /// Members who pay for any of these plans, and staff. Stores return the plans in the order of their names; none
    /// at all means staff only.
    Plans(Vec<String>),
}

impl SpaceAccess {
    /// Its word, in files, records and answers: `staff`, `members` or `plans`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Staff => "staff",
            Self::Members => "members",
            Self::Plans(_) => "plans",
        }
    }

    /// The plans that open it, by their short names; none where others do.
    pub fn plans(&self) -> &[String] {
        match self {
            Self::Plans(plans) => plans,
            Self::Staff | Self::Members => &[],
        }
    }
}

/// A plan that members pay for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Its short name: `a-z`, `0-9` and `-`, 2 to 40 characters.
    pub slug: String,
    /// Its name as people read it.
    pub name: String,
}

/// What a new space needs.
#[derive(Debug, Clone)]
pub struct NewSpace {
    /// Its short name: `a-z`, `0-9` and `-`, 1 to 80 characters.
    pub slug: String,
    /// Its name as people read it.
    pub name: String,
    /// Who may read it.
    pub access: SpaceAccess,
}

/// A space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    /// The id.
    pub id: SpaceId,
    /// See [`NewSpace::slug`].
    pub slug: String,
    /// See [`NewSpace::name`].
    pub name: String,
    /// See [`NewSpace::access`].
    pub access: SpaceAccess,
}

/// Spaces and plans of the scope's community.
#[async_trait]
pub trait Spaces: Send + Sync + fmt::Debug {
    /// Creates a plan. Needs `WriteSpaces`. A slug in use is a `Conflict`.
    async fn create_plan(&self, scope: &Scope, plan: Plan) -> Result<()>;

    /// All plans, by slug. Needs `ReadSpaces`.
    async fn plans(&self, scope: &Scope) -> Result<Vec<Plan>>;

    /// Creates a space. Needs `WriteSpaces`. A slug in use is a `Conflict`, an unknown plan `Invalid`.
    async fn create(&self, scope: &Scope, new: NewSpace) -> Result<Space>;

    /// Every space for staff (`ReadSpaces`), else those the scope may read, by slug.
    async fn list(&self, scope: &Scope) -> Result<Vec<Space>>;

    /// Changes who may read a space. Needs `WriteSpaces`. It holds from the next request on.
    async fn set_access(&self, scope: &Scope, space: SpaceId, access: SpaceAccess) -> Result<()>;
}
