//! API keys, without their secrets.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use portcullis_core::{AbilitySet, Actor, KeyId, MemberId, Role, Scope, TokenHash};

use crate::Result;

/// For whom a key acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyActor {
    /// For a member: with their role, up to the key's ceiling, and their plans as they are at each request.
    Member(MemberId),
    /// For a builder's own back end: with a role, and with the spaces that these plans and the role open.
    Backend {
        /// The role it acts with.
        role: Role,
        /// The plans whose spaces it may read, by name.
        plans: Vec<String>,
    },
}

/// What a new key needs. The token itself is never stored.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// What people call it, such as `website back end`.
    pub name: String,
    /// For whom it acts.
    pub actor: KeyActor,
    /// The highest role that it acts with, whatever its member becomes. `None`: the role that its member has when it is
    /// made, or the scope's own if that is lower. A back end has a role instead.
    pub ceiling: Option<Role>,
    /// What it may be used for.
    pub abilities: AbilitySet,
    /// When it stops working.
    pub expires: Option<Timestamp>,
    /// The token's hash.
    pub hash: TokenHash,
    /// What lists show of the token, see [`portcullis_core::Token::hint`].
    pub hint: String,
}

/// A key as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its id.
    pub id: KeyId,
    /// See [`NewKey::name`].
    pub name: String,
    /// See [`NewKey::actor`].
    pub actor: KeyActor,
    /// The highest role that it acts with: with its member's own where that is lower. A back end's is its role.
    pub ceiling: Role,
    /// See [`NewKey::abilities`].
    pub abilities: AbilitySet,
    /// See [`NewKey::expires`].
    pub expires: Option<Timestamp>,
    /// See [`NewKey::hint`].
    pub hint: String,
    /// Who made it: the key that it was made with, if it was made with one. It is not known of those from before that was kept.
    pub made_by: Option<Actor>,
    /// When it was created.
    pub created: Timestamp,
    /// When it was revoked, if it was.
    pub revoked: Option<Timestamp>,
}

/// API keys of the scope's community. Every call needs [`portcullis_core::Action::WriteKeys`].
#[async_trait]
pub trait Keys: Send + Sync + fmt::Debug {
    /// Stores a key, with who made it. An unknown member or plan is `Invalid`, and so is a ceiling above what the member is or one for a
    /// back end. A hash in use is a `Conflict`. Plans come back by name. `Forbidden` is
    ///
    /// - a role above the scope's own: a back end's, a ceiling, or that of another member whom it acts for;
    /// - a key that acts for another member and covers what is theirs alone or the community's administration
    ///   ([`KeyAbility::Personal`](portcullis_core::KeyAbility::Personal), `Manage`), unless the operator makes it;
    /// - with a scope made from a key ([`Scope::key`]): an ability that this key lacks, or a later end than its own.
    async fn create(&self, scope: &Scope, new: NewKey) -> Result<KeyInfo>;

    /// All keys, revoked ones too, newest first.
    async fn list(&self, scope: &Scope) -> Result<Vec<KeyInfo>>;

    /// Revokes a key for good. It is refused from the next request on. Revoking twice is no error. A key of another member
    /// whose role is above the scope's own, or of a back end whose role is, is `Forbidden`.
    async fn revoke(&self, scope: &Scope, key: KeyId) -> Result<()>;
}
