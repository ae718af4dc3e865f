//! Identify by a host application's token: a member of a community that the issuer may speak for.
//!
//! What the token claims narrows what is stored about the member. It widens plans only for an issuer that is marked
//! `grants_entitlements`, and a role never.

use std::sync::Arc;

use portcullis_core::{AbilitySet, Actor, Grant, MemberId, Role, Scope, SpaceId};
use portcullis_store::{Community, CommunityRef, SpaceAccess, Standing};

use super::identify::invalid;
use crate::gate::Gate;
use crate::jwt::Verified;
use crate::refusal::Refusal;

pub(super) async fn identify(gate: &Gate, token: &str) -> Result<Scope, Refusal> {
    let now = gate.clock().now();
    let verified = gate.parts.issuers.verify(token, now).map_err(|rejected| {
        tracing::debug!(%rejected, "a host application's token was not accepted");
        invalid()
    })?;
    let stores = &gate.parts.stores;
    let community =
        stores.directory.find(CommunityRef::Slug(&verified.community)).await?.ok_or_else(invalid)?;
    let (member, standing) = member(gate, &community, &verified).await?;
    let role = verified.role.map_or(standing.role, |claimed| claimed.min(standing.role));
    let spaces = spaces(gate, &community, &verified, &standing, role).await?;
    #[expect(clippy::disallowed_methods, reason = "the identify phase is where scopes are made")]
    let scope = Scope::grant(Grant {
        community: community.id,
        actor: Actor::Member(member),
        role,
        abilities: AbilitySet::SESSION,
        spaces,
        tier: community.tier,
    });
    Ok(scope)
}

async fn member(
    gate: &Gate,
    community: &Community,
    verified: &Verified<'_>,
) -> Result<(MemberId, Standing), Refusal> {
    let (stores, now) = (&gate.parts.stores, gate.clock().now());
    let (issuer, subject) = (verified.issuer.name.as_str(), verified.subject.as_str());
    if let Some(known) = stores.identity.subject(community.id, issuer, subject, now).await? {
        return Ok(known);
    }
    if !verified.issuer.provisions_members {
        return Err(invalid());
    }
    let name = verified.name.as_deref().unwrap_or("Member");
    let member = stores.members.provision(community.id, issuer, subject, name).await?;
    // A member who is known and suspended is provisioned already and has no standing.
    let standing = stores.identity.standing(community.id, member, now).await?.ok_or_else(invalid)?;
    Ok((member, standing))
}

/// The spaces that both the store and the token open; for an issuer that grants entitlements, those that the token's
/// plans open.
async fn spaces(
    gate: &Gate,
    community: &Community,
    verified: &Verified<'_>,
    standing: &Standing,
    role: Role,
) -> Result<Arc<[SpaceId]>, Refusal> {
    let demoted = standing.role.is_staff() && !role.is_staff();
    if verified.plans.is_none() && verified.spaces.is_none() && !demoted {
        return Ok(Arc::clone(&standing.spaces));
    }
    let now = gate.clock().now();
    let claimed: Option<Vec<&str>> = verified.plans.as_ref().map(|plans| {
        let current = plans.iter().filter(|(_, until)| until.is_none_or(|until| now < until));
        current.map(|(plan, _)| plan.as_str()).collect()
    });
    let opened = |access: &SpaceAccess| match (access, &claimed) {
        (SpaceAccess::Staff, _) => role.is_staff(),
        (SpaceAccess::Members, _) => true,
        (SpaceAccess::Plans(plans), Some(claimed)) => {
            role.is_staff() || plans.iter().any(|plan| claimed.contains(&plan.as_str()))
        }
        // Without a claim the store's own word counts, which for somebody demoted is not known by plan.
        (SpaceAccess::Plans(_), None) => !demoted,
    };
    let widens = verified.issuer.grants_entitlements && claimed.is_some();
    let all = gate.parts.stores.spaces.list(&directory_reader(community)).await?;
    let named =
        |slug: &str| verified.spaces.as_ref().is_none_or(|spaces| spaces.iter().any(|space| space == slug));
    Ok(all
        .iter()
        .filter(|space| opened(&space.access) && named(&space.slug))
        .filter(|space| widens || standing.spaces.contains(&space.id))
        .map(|space| space.id)
        .collect())
}

/// A scope that lists a community's spaces and reads nothing in them.
fn directory_reader(community: &Community) -> Scope {
    #[expect(clippy::disallowed_methods, reason = "the identify phase is where scopes are made")]
    Scope::grant(Grant {
        community: community.id,
        actor: Actor::Operator,
        role: Role::Moderator,
        abilities: AbilitySet::SESSION,
        spaces: Arc::from([]),
        tier: community.tier,
    })
}
