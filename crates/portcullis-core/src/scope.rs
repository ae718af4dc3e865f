//! [`Scope`]: proof of who is asking and of what that opens.
//!
//! Only the identify phase makes one. Every store call takes one, so code that has none cannot read anything,
//! and nothing a request says can widen it.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::access::{AbilitySet, Action, Role};
use crate::{CommunityId, KeyId, MemberId, SpaceId};

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Actor {
    /// A member of the community, signed in or by token.
    Member(MemberId),
    /// A builder's own back end, by an API key that acts for no member.
    Key(KeyId),
    /// The operator of the instance, from its command line or the operator plane.
    Operator,
}

/// A community's class of limits, as the deployment checklist names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// 60 requests a minute, 2,000 an hour, 20,000 a day.
    #[default]
    Standard,
    /// 300 requests a minute, 10,000 an hour, 100,000 a day.
    Enhanced,
    /// 1,000 requests a minute, 50,000 an hour, 500,000 a day.
    Dedicated,
}

impl Tier {
    /// Every tier, smallest first.
    pub const ALL: [Self; 3] = [Self::Standard, Self::Enhanced, Self::Dedicated];

    /// The tier's name in configuration, storage and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Enhanced => "enhanced",
            Self::Dedicated => "dedicated",
        }
    }

    /// The tier of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.name() == name)
    }
}

/// What the identify phase found out, from which it makes a [`Scope`].
#[derive(Debug, Clone)]
pub struct Grant {
    /// The community of the credential.
    pub community: CommunityId,
    /// Who acts.
    pub actor: Actor,
    /// The actor's role in that community at this moment.
    pub role: Role,
    /// What the credential itself may be used for; a session may be used for everything its role allows.
    pub abilities: AbilitySet,
    /// Every space the actor may read now. Staff get the full list, never a wildcard.
    pub spaces: Arc<[SpaceId]>,
    /// The community's tier.
    pub tier: Tier,
}

/// The API key that a request presented, as far as it bounds the keys that may be made with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyBounds {
    /// The key.
    pub key: KeyId,
    /// When it stops working.
    pub expires: Option<Timestamp>,
}

/// Proof that a request was identified: the community, the actor, and what they may see and do right now.
///
/// It is made anew for every request, so a lapse, a suspension or a change of role holds from the next request on.
#[derive(Clone)]
pub struct Scope {
    grant: Arc<Grant>,
    key: Option<KeyBounds>,
}

impl Scope {
    /// Makes a scope. Only the identify phase, the command line's operator and test support may call this;
    /// `clippy.toml` holds everyone else to it.
    pub fn grant(grant: Grant) -> Self {
        Self { grant: Arc::new(grant), key: None }
    }

    /// The same, by an API key: what is made with it may not do more, nor last longer.
    #[must_use]
    pub fn by_key(self, key: KeyBounds) -> Self {
        Self { key: Some(key), ..self }
    }

    /// The community, the outermost wall: no store call reaches past it.
    pub fn community(&self) -> CommunityId {
        self.grant.community
    }

    /// Who acts.
    pub fn actor(&self) -> Actor {
        self.grant.actor
    }

    /// The member who acts, if it is a member.
    pub fn member(&self) -> Option<MemberId> {
        match self.grant.actor {
            Actor::Member(member) => Some(member),
            Actor::Key(_) | Actor::Operator => None,
        }
    }

    /// The actor's role.
    pub fn role(&self) -> Role {
        self.grant.role
    }

    /// Every space whose content the actor may read. An empty list means none, never all.
    pub fn spaces(&self) -> &[SpaceId] {
        &self.grant.spaces
    }

    /// The community's class of limits.
    pub fn tier(&self) -> Tier {
        self.grant.tier
    }

    /// What the credential may be used for.
    pub fn abilities(&self) -> AbilitySet {
        self.grant.abilities
    }

    /// The API key that the request presented, if its credential is one: also where the key acts for a member.
    pub fn key(&self) -> Option<KeyBounds> {
        self.key
    }

    /// Whether the role allows the action and the credential may be used for it.
    pub fn may(&self, action: Action) -> bool {
        self.grant.role.allows(action) && self.grant.abilities.covers(action)
    }
}

/// Ids only, so that a scope in a log line or a panic says nothing personal.
impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("community", &self.grant.community)
            .field("actor", &self.grant.actor)
            .field("role", &self.grant.role)
            .field("spaces", &self.grant.spaces.len())
            .finish_non_exhaustive()
    }
}
