//! Identify: exactly one credential, looked up in the community that it names, becomes a scope.

use portcullis_core::{Actor, Grant, Scope, Token, TokenKind};
use portcullis_store::CommunityRef;

use super::host_token;
use crate::credential::{Credentials, Presented};
use crate::gate::Gate;
use crate::refusal::{Code, Refusal};
use crate::visit::Arrival;

/// How an API key begins; any other bearer token is a host application's.
const KEY_PREFIX: &str = "pcl_";

/// The name of this guard.
pub const NAME: &str = "identify";
/// What it stops.
pub const ABOUT: &str = "exactly one credential, known, current and of an active member; the community comes from the credential alone";

/// Finds out who asks. Every failure of a credential looks the same to the caller; only a store that cannot be
/// reached is told apart, since it is no fault of the credential.
pub(crate) async fn identify(gate: &Gate, arrival: &Arrival) -> Result<Scope, Refusal> {
    let found = by_credential(gate, arrival).await;
    #[cfg(feature = "guard-off")]
    let found = with_holes(gate, arrival, found).await;
    found
}

/// What strangers and liars get when a guard of this phase is off.
#[cfg(feature = "guard-off")]
async fn with_holes(gate: &Gate, arrival: &Arrival, found: Result<Scope, Refusal>) -> Result<Scope, Refusal> {
    use super::holes;
    match found {
        Ok(scope) if !gate.switches().on("credential-community") => {
            Ok(holes::named_community(gate, arrival, scope).await)
        }
        Err(refusal) if !gate.switches().on(NAME) => holes::stranger(gate).await.ok_or(refusal),
        found => found,
    }
}

async fn by_credential(gate: &Gate, arrival: &Arrival) -> Result<Scope, Refusal> {
    let presented = match &arrival.credentials {
        Credentials::Missing => {
            return Err(Refusal::new(
                Code::CredentialMissing,
                "send an API key as `Authorization: Bearer …`",
            ));
        }
        Credentials::Ambiguous => {
            return Err(Refusal::new(
                Code::CredentialAmbiguous,
                "more than one credential was sent; send exactly one",
            ));
        }
        Credentials::One(presented) => presented,
    };
    match presented {
        Presented::Bearer(token) if token.expose().starts_with(KEY_PREFIX) => {
            by_key(gate, token.expose()).await
        }
        Presented::Bearer(token) => host_token::identify(gate, token.expose()).await,
        Presented::Unreadable => Err(invalid()),
    }
}

async fn by_key(gate: &Gate, token: &str) -> Result<Scope, Refusal> {
    let token = Token::parse(TokenKind::ApiKey, token).map_err(|_| invalid())?;
    let community = gate
        .parts
        .stores
        .directory
        .find(CommunityRef::Locator(token.locator()))
        .await?
        .ok_or_else(invalid)?;
    let now = gate.clock().now();
    let found = gate.parts.stores.identity.key(community.id, token.hash(), now).await?.ok_or_else(invalid)?;
    let actor = found.member.map_or(Actor::Key(found.key), Actor::Member);
    #[expect(clippy::disallowed_methods, reason = "the identify phase is where scopes are made")]
    let scope = Scope::grant(Grant {
        community: community.id,
        actor,
        role: found.standing.role,
        abilities: found.abilities,
        spaces: found.standing.spaces,
        tier: community.tier,
    });
    Ok(scope)
}

pub(super) fn invalid() -> Refusal {
    Refusal::new(Code::CredentialInvalid, "the credential is not valid here")
}
