//! Identify: exactly one credential, looked up in the community that it names, becomes a scope.

use portcullis_core::{AbilitySet, Actor, Grant, KeyBounds, Scope, SessionId, Token, TokenKind};
use portcullis_store::{Community, CommunityRef, SessionIdentity};

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

/// Who asks.
#[derive(Debug)]
pub(crate) struct Known {
    /// What they may see and do.
    pub(crate) scope: Scope,
    /// The session that their browser's cookie belongs to, if that is their credential.
    pub(crate) session: Option<SessionId>,
}

impl From<Scope> for Known {
    fn from(scope: Scope) -> Self {
        Self { scope, session: None }
    }
}

/// Finds out who asks. Every failure of a credential looks the same to the caller; only a store that cannot be
/// reached is told apart, since it is no fault of the credential, and a session that has ended, whose browser is a stranger
/// like any other.
pub(crate) async fn identify(gate: &Gate, arrival: &Arrival) -> Result<Known, Refusal> {
    let found = by_credential(gate, arrival).await;
    #[cfg(feature = "guard-off")]
    let found = with_holes(gate, arrival, found).await;
    found
}

/// What strangers and liars get when a guard of this phase is off.
#[cfg(feature = "guard-off")]
async fn with_holes(gate: &Gate, arrival: &Arrival, found: Result<Known, Refusal>) -> Result<Known, Refusal> {
    use super::holes;
    match found {
        Ok(known) if arrival.named_community.is_some() && !gate.switches().on("credential-community") => {
            Ok(Known { scope: holes::named_community(gate, arrival, known.scope).await, ..known })
        }
        Err(refusal) if !gate.switches().on(NAME) => {
            holes::stranger(gate).await.map(Known::from).ok_or(refusal)
        }
        found => found,
    }
}

async fn by_credential(gate: &Gate, arrival: &Arrival) -> Result<Known, Refusal> {
    let presented = match &arrival.credentials {
        Credentials::Missing => {
            return Err(Refusal::new(
                Code::CredentialMissing,
                "sign in, or send an API key or a token as `Authorization: Bearer …`",
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
            by_key(gate, token.expose()).await.map(Known::from)
        }
        Presented::Bearer(token) => host_token::identify(gate, token.expose()).await.map(Known::from),
        Presented::Session(token) => by_session(gate, token.expose()).await,
        Presented::Unreadable => Err(invalid()),
    }
}

async fn by_key(gate: &Gate, token: &str) -> Result<Scope, Refusal> {
    let (token, community) = located(gate, TokenKind::ApiKey, token).await?;
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
    Ok(scope.by_key(KeyBounds { key: found.key, expires: found.expires }))
}

/// The member whose session the cookie belongs to.
pub(crate) async fn by_session(gate: &Gate, token: &str) -> Result<Known, Refusal> {
    let (token, community) = located(gate, TokenKind::Session, token).await?;
    let now = gate.clock().now();
    let found = gate.parts.stores.identity.session(community.id, token.hash(), now).await?;
    let Some(SessionIdentity { session, member, standing, .. }) = found else {
        let lapsed = gate.parts.stores.identity.lapsed_session(community.id, token.hash(), now).await?;
        return Err(if lapsed { ended() } else { invalid() });
    };
    #[expect(clippy::disallowed_methods, reason = "the identify phase is where scopes are made")]
    let scope = Scope::grant(Grant {
        community: community.id,
        actor: Actor::Member(member),
        role: standing.role,
        abilities: AbilitySet::SESSION,
        spaces: standing.spaces,
        tier: community.tier,
    });
    Ok(Known { scope, session: Some(session) })
}

/// A token of that kind with the community that its locator names.
async fn located(gate: &Gate, kind: TokenKind, token: &str) -> Result<(Token, Community), Refusal> {
    let token = Token::parse(kind, token).map_err(|_| invalid())?;
    let by = CommunityRef::Locator(token.locator());
    let community = gate.parts.stores.directory.find(by).await?.ok_or_else(invalid)?;
    Ok((token, community))
}

fn ended() -> Refusal {
    Refusal::new(Code::CredentialMissing, "the session has ended; sign in again")
}

pub(super) fn invalid() -> Refusal {
    Refusal::new(Code::CredentialInvalid, "the credential is not valid here")
}
