//! The people of the checks: members of every kind, and keys that work, have ended, end soon or were revoked.

use anyhow::Result;
use jiff::{Timestamp, ToSpan as _};
use portcullis_check::target::{Credential, Identity, State};
use portcullis_config::Config;
use portcullis_core::{AbilitySet, KeyId, MemberId, Role};
use portcullis_store::{Community, Entitlement, KeyActor, NewMember};

use super::ground::{Ground, PLAN, SPACES};
use crate::instance::{Kept, Wanted};

/// How many of each kind a community has: checks that ask hundreds of questions spread them over all who may ask, so that
/// nobody reaches their own limit.
const MEMBERS: usize = 24;
const PAYERS: usize = 8;
const STAFF: usize = 6;
/// How many members have keys that have ended.
const LEAVERS: usize = 4;
/// How many own a community beside the one who keeps it.
pub(super) const CO_OWNERS: usize = 3;
/// The one of them whose conversation pages show.
pub(super) const READS: usize = 1;
/// The one of them whose call waits for a person, and whose memories pages show.
pub(super) const WAITS: usize = 2;
/// How many admins a community has, beside the owner who keeps it. They share the work of asking its administration.
pub(super) const ADMINS: usize = 4;
/// How long the key lasts that ends during the run.
const SHORT_SECONDS: i64 = 8;

/// Everyone that one run needs.
pub(super) struct People<'k> {
    kept: &'k Kept,
    hour: Timestamp,
    identities: Vec<Identity>,
    keys: Vec<(Community, KeyId)>,
}

impl<'k> People<'k> {
    pub(super) fn new(kept: &'k Kept) -> Result<Self> {
        let hour = kept.clock.now().checked_add(1.hour())?;
        Ok(Self { kept, hour, identities: Vec::new(), keys: Vec::new() })
    }

    /// The identities, and the keys to take back after the run.
    pub(super) fn into_parts(self) -> (Vec<Identity>, Vec<(Community, KeyId)>) {
        (self.identities, self.keys)
    }

    /// Members of a community: some who pay nothing, some who pay, one whose payment has ended, some of the staff. The id
    /// of the one who has something of their own comes back.
    pub(super) async fn settle(&mut self, ground: &Ground) -> Result<MemberId> {
        let of = ground.plot.name;
        for number in 1..=MEMBERS {
            let name = format!("member {number} of {of}");
            let member = self.member(ground, &name, Role::Member).await?;
            let identity = self.identity(ground, &name, member, self.hour).await?;
            self.identities.push(identity);
        }
        for number in 1..=PAYERS {
            let name = format!("payer {number} of {of}");
            let payer = self.member(ground, &name, Role::Member).await?;
            self.entitle(ground, payer, self.hour).await?;
            let identity = self.identity(ground, &name, payer, self.hour).await?;
            self.identities.push(identity.plans(&[PLAN]));
        }
        for number in 1..=STAFF {
            let name = format!("moderator {number} of {of}");
            let moderator = self.member(ground, &name, Role::Moderator).await?;
            let identity = self.identity(ground, &name, moderator, self.hour).await?;
            self.identities.push(identity.role("moderator").spaces(&SPACES));
        }
        for number in 1..=CO_OWNERS {
            let name = owner(ground, number);
            let owner = self.member(ground, &name, Role::Owner).await?;
            let identity = self.identity(ground, &name, owner, self.hour).await?;
            self.identities.push(identity.role("owner").spaces(&SPACES));
        }
        for number in 1..=ADMINS {
            let name = format!("admin {number} of {of}");
            let admin = self.member(ground, &name, Role::Admin).await?;
            let identity = self.identity(ground, &name, admin, self.hour).await?;
            self.identities.push(identity.role("admin").spaces(&SPACES));
        }
        let name = format!("former payer of {of}");
        let former = self.member(ground, &name, Role::Member).await?;
        self.entitle(ground, former, self.kept.clock.now()).await?;
        let identity = self.identity(ground, &name, former, self.hour).await?;
        self.identities.push(identity.plans(&[PLAN]).state(State::Lapsed));

        let name = keeper(ground);
        let keeper = self.member(ground, &name, Role::Owner).await?;
        let identity = self.keeper_identity(ground, &name, keeper, self.hour).await?;
        // Checks that compare two communities take the first member of the second: there must be something to compare.
        let first = self.identities.iter().position(|identity| identity.community == ground.community.slug);
        let is_second = self.identities.iter().any(|identity| identity.community != ground.community.slug);
        self.identities.insert(first.filter(|_| is_second).unwrap_or(self.identities.len()), identity);
        Ok(keeper)
    }

    /// One of the owners beside the keeper.
    pub(super) async fn owner(&self, ground: &Ground, number: usize) -> Result<MemberId> {
        self.member(ground, &owner(ground, number), Role::Owner).await
    }

    /// Members whose limits are driven to the end: people of their own, so that no other check is counted against them.
    pub(super) async fn for_limits(&mut self, ground: &Ground, config: &Config) -> Result<()> {
        let of = ground.plot.name;
        // Somebody must be able to say who is there.
        let name = keeper(ground);
        let keeper = self.member(ground, &name, Role::Owner).await?;
        let identity = self.keeper_identity(ground, &name, keeper, self.hour).await?;
        self.identities.push(identity.only_by_name());
        // The keys of one member are that member's sessions.
        let user = format!("busy member of {of}");
        let busy = self.member(ground, &user, Role::Member).await?;
        for number in 1..=limit_keys(config) {
            let name = if number == 1 { user.clone() } else { format!("{user}, key {number}") };
            let identity = self.identity(ground, &name, busy, self.hour).await?;
            self.identities.push(identity.session_of(&user).for_limits());
        }
        for number in 1..=limit_users(config) {
            let name = format!("other member {number} of {of}");
            let other = self.member(ground, &name, Role::Member).await?;
            let identity = self.identity(ground, &name, other, self.hour).await?;
            self.identities.push(identity.for_limits());
        }
        Ok(())
    }

    /// Keys that must not work, and one that stops working during the run. Comes last: that one's time runs.
    pub(super) async fn with_ends(&mut self, ground: &Ground) -> Result<()> {
        // Of members whose other keys work: what the ended ones open or not is theirs.
        for number in 1..=LEAVERS {
            let user = format!("member {number} of {}", ground.plot.name);
            let leaver = self.member(ground, &user, Role::Member).await?;
            let expired = self
                .identity(ground, &format!("expired key of {user}"), leaver, self.kept.clock.now())
                .await?;
            self.identities.push(expired.session_of(&user).state(State::Expired));
            let revoked = self.identity(ground, &format!("revoked key of {user}"), leaver, self.hour).await?;
            if let Some((_, id)) = self.keys.last() {
                self.kept.stores.keys.revoke(&ground.scope, *id).await?;
            }
            self.identities.push(revoked.session_of(&user).state(State::Revoked));
        }
        let ends = self.kept.clock.now().checked_add(SHORT_SECONDS.seconds())?;
        // Of those for whom some routes are alone, so that it opens those too until then.
        let owners =
            [keeper(ground), owner(ground, READS), owner(ground, WAITS)].map(|name| (name, Role::Owner));
        let admins = (0..ADMINS).map(|number| (admin(ground, number), Role::Admin));
        for (user, role) in owners.into_iter().chain(admins) {
            let member = self.member(ground, &user, role).await?;
            let short = self.identity(ground, &format!("key that ends of {user}"), member, ends).await?;
            let short = short.role(role.name()).spaces(&SPACES);
            self.identities.push(short.session_of(&user).expiring(ends));
        }
        Ok(())
    }

    async fn member(&self, ground: &Ground, name: &str, role: Role) -> Result<MemberId> {
        let members = self.kept.stores.members.list(&ground.scope).await?;
        if let Some(member) = members.into_iter().find(|member| member.name == name) {
            return Ok(member.id);
        }
        let new = NewMember { name: name.to_owned(), email: None, role: Some(role) };
        Ok(self.kept.stores.members.add(&ground.scope, new).await?.id)
    }

    async fn entitle(&self, ground: &Ground, member: MemberId, until: Timestamp) -> Result<()> {
        let entitlement = Entitlement { plan: PLAN.to_owned(), until: Some(until) };
        Ok(self.kept.stores.members.entitle(&ground.scope, member, entitlement).await?)
    }

    /// A key for everything but owning the whole request: the checks want the community's answers, not the model's, and
    /// what such a key may not do its member's role forbids.
    async fn identity(
        &mut self,
        ground: &Ground,
        name: &str,
        member: MemberId,
        expires: Timestamp,
    ) -> Result<Identity> {
        let (community, actor) = (&ground.community, KeyActor::Member(member));
        let wanted = Wanted {
            name: "check run",
            actor,
            ceiling: None,
            abilities: AbilitySet::SESSION,
            expires: Some(expires),
        };
        let (text, id) = self.kept.issue_key(community, wanted).await?;
        self.keys.push((community.clone(), id));
        let credential = Credential::bearer(text.expose().clone());
        Ok(Identity::new(name, &ground.community.slug, credential))
    }

    /// The same for the one who manages the community and has something of their own.
    async fn keeper_identity(
        &mut self,
        ground: &Ground,
        name: &str,
        member: MemberId,
        expires: Timestamp,
    ) -> Result<Identity> {
        Ok(self.identity(ground, name, member, expires).await?.role("owner").spaces(&SPACES))
    }
}

/// What the member of a community is called who manages it and has something of their own.
pub(super) fn keeper(ground: &Ground) -> String {
    format!("keeper of {}", ground.plot.name)
}

/// What the owners of a community beside the keeper are called, counted from 1. What is asked as they is asked as them for the
/// sake of the keeper's limits.
pub(super) fn owner(ground: &Ground, number: usize) -> String {
    format!("owner {number} of {}", ground.plot.name)
}

/// What the admins of a community are called, counted from 0.
pub(super) fn admin(ground: &Ground, number: usize) -> String {
    format!("admin {} of {}", number + 1, ground.plot.name)
}

/// How many members it takes to reach the limit of one address without any of them reaching their own.
fn limit_users(config: &Config) -> u32 {
    let limits = &config.limits;
    let own = limits.per_key.minute.min(limits.per_session.minute).get();
    // Nobody sends more than half of their own.
    beyond(limits.per_address.minute.get()).div_ceil((own / 2).max(1)).clamp(1, 50)
}

/// How many keys it takes to reach a member's limit while each stays within its own: two at least, which tell it from a key's.
fn limit_keys(config: &Config) -> u32 {
    let limits = &config.limits;
    beyond(limits.per_key.minute.get()).div_ceil(limits.per_session.minute.get()).clamp(2, 50)
}

/// As many requests as are sent to see that a limit holds: a fifth more.
fn beyond(limit: u32) -> u32 {
    limit.saturating_add(limit.div_ceil(5))
}
