//! The holes that switched-off guards leave, as the flawed chatbots have them that the checks are about.
//!
//! Compiled only with the `guard-off` feature, to prove that each check notices its guard. Nothing here is in a release.

use portcullis_core::{AbilitySet, Actor, Grant, KeyAbility, KeyId, Role, Scope};
use portcullis_store::{Community, CommunityRef};

use crate::gate::Gate;
use crate::tooling::{Call, Named};
use crate::visit::Arrival;

/// With `identify` off: each stranger is taken for an owner of the first community. One owner for all of them would soon be
/// at their limit, and the limit would hide the hole.
pub(crate) async fn stranger(gate: &Gate) -> Option<Scope> {
    let first = gate.parts.stores.directory.list().await.ok()?.into_iter().next()?;
    everything(gate, &first, Actor::Key(KeyId::new(gate.clock()))).await
}

/// With `credential-community` off: the community that the request names, in the place of the credential's.
pub(crate) async fn named_community(gate: &Gate, arrival: &Arrival, scope: Scope) -> Scope {
    let Some(named) = arrival.named_community.as_deref() else { return scope };
    let by = named.parse().map_or(CommunityRef::Slug(named), CommunityRef::Id);
    let Ok(Some(community)) = gate.parts.stores.directory.find(by).await else { return scope };
    everything(gate, &community, scope.actor()).await.unwrap_or(scope)
}

/// With `recall-scope` off: every space of the community, whatever the scope says.
pub async fn every_space(gate: &Gate, scope: &Scope) -> Scope {
    let by = CommunityRef::Id(scope.community());
    match gate.parts.stores.directory.find(by).await {
        Ok(Some(community)) => {
            everything(gate, &community, scope.actor()).await.unwrap_or_else(|| scope.clone())
        }
        _ => scope.clone(),
    }
}

/// With `community-file` off: all that there is in every other community.
pub async fn other_communities(gate: &Gate, scope: &Scope) -> Vec<Scope> {
    let mut others = Vec::new();
    for community in gate.parts.stores.directory.list().await.unwrap_or_default() {
        if community.id != scope.community() {
            others.extend(everything(gate, &community, scope.actor()).await);
        }
    }
    others
}

/// With `tool-allow-list` off: every tool that there is, for whoever asks. With `tool-arguments` off: any JSON object.
pub(crate) fn any_tool(gate: &Gate, call: &mut Call<Named>) {
    let named = &mut call.state;
    if !gate.switches().on("tool-allow-list") {
        named.tool = gate.parts.tools.find(&named.asked.name).cloned();
    }
    if !gate.switches().on("tool-arguments") {
        named.arguments = serde_json::from_str(&named.asked.arguments).unwrap_or_default();
    }
}

async fn everything(gate: &Gate, community: &Community, actor: Actor) -> Option<Scope> {
    let grant = |spaces| Grant {
        community: community.id,
        actor,
        role: Role::Owner,
        abilities: KeyAbility::ALL.into_iter().collect::<AbilitySet>(),
        spaces,
        tier: community.tier,
    };
    #[expect(clippy::disallowed_methods, reason = "the hole is the point; see the head of this file")]
    let owner = Scope::grant(grant([].into()));
    let spaces = gate.parts.stores.spaces.list(&owner).await.ok()?;
    #[expect(clippy::disallowed_methods, reason = "the hole is the point; see the head of this file")]
    let all = Scope::grant(grant(spaces.into_iter().map(|space| space.id).collect()));
    Some(all)
}
