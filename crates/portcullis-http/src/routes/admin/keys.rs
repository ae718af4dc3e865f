//! API keys of the community, for its admins.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use portcullis_audit::Change;
use portcullis_core::{AbilitySet, KeyAbility, KeyId, MemberId, Role, Token, TokenKind};
use portcullis_guard::{Code, Refusal};
use portcullis_store::{CommunityRef, Error, KeyActor, KeyInfo, Kind, NewKey};
use serde::Deserialize;
use serde_json::{Value, json};

use super::members::parse_role;
use super::{change, in_days, maker, ready, record, record_in_full, unknown};
use crate::routes::health::json;
use crate::routes::{Call, id};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    name: String,
    /// For a member ...
    member: Option<MemberId>,
    /// ... or for a back end, with a role and plans.
    role: Option<String>,
    #[serde(default)]
    plans: Vec<String>,
    /// The highest role that a member's key acts with.
    ceiling: Option<String>,
    abilities: Vec<String>,
    days: Option<u32>,
}

pub(in crate::routes) async fn list(call: Call) -> Result<Response, Refusal> {
    let keys = call.app.stores().keys.list(call.visit.scope()).await?;
    let keys: Vec<Value> = keys.iter().map(shown).collect();
    Ok(json(StatusCode::OK, &json!({ "keys": keys })))
}

/// Makes a key. The answer is the only place where its text ever stands.
pub(in crate::routes) async fn add(call: Call) -> Result<Response, Refusal> {
    let New { name, member, role, plans, ceiling, abilities, days } = change(&call)?;
    let plans = super::plans(plans, String::as_str)?;
    let actor = match (member, role) {
        (Some(member), None) if plans.is_empty() => KeyActor::Member(member),
        (None, role) if ceiling.is_none() => {
            KeyActor::Backend { role: role.as_deref().map_or(Ok(Role::Member), parse_role)?, plans }
        }
        _ => {
            let detail = "a key acts for a `member` up to a `ceiling`, or with a `role` and `plans` of its own, not both";
            return Err(Refusal::new(Code::InvalidRequest, detail).param("member"));
        }
    };
    let ceiling = ceiling.as_deref().map(parse_role).transpose()?;
    let known = || unknown("abilities", &KeyAbility::ALL.map(KeyAbility::name).join(", "));
    let abilities: AbilitySet = abilities
        .iter()
        .map(|ability| KeyAbility::parse(ability).ok_or_else(known))
        .collect::<Result<_, _>>()?;
    if abilities == AbilitySet::NONE {
        return Err(known());
    }
    let expires = days.map(|days| in_days(&call, days)).transpose()?;
    let (stores, scope) = (call.app.stores(), call.visit.scope());
    let community = stores
        .directory
        .find(CommunityRef::Id(scope.community()))
        .await?
        .ok_or_else(|| Refusal::new(Code::NotFound, "there is no such thing here"))?;
    let (text, token) = Token::issue(TokenKind::ApiKey, &community.locator);
    let (hash, hint) = (token.hash(), token.hint());
    let new = NewKey { name, actor, ceiling, abilities, expires, hash, hint };
    let made = stores.keys.create(scope, new).await.map_err(outdone)?;
    record_in_full(&call, created(&made)).await?;
    let mut body = shown(&made);
    if let Some(object) = body.as_object_mut() {
        object.insert("key".to_owned(), json!(text.expose()));
    }
    Ok(json(StatusCode::CREATED, &body))
}

pub(in crate::routes) async fn revoke(call: Call) -> Result<Response, Refusal> {
    let key: KeyId = id(&call)?;
    ready(&call)?;
    call.app.stores().keys.revoke(call.visit.scope(), key).await?;
    record(&call, "key.revoked", vec![key.into()], None).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn created(key: &KeyInfo) -> Change {
    let (member, plans) = match &key.actor {
        KeyActor::Member(member) => (Some(*member), &[][..]),
        KeyActor::Backend { plans, .. } => (None, plans.as_slice()),
    };
    let targets = std::iter::once(key.id.into()).chain(member.map(Into::into)).collect();
    Change::new("key.created", targets)
        .to(key.ceiling.name())
        .abilities(key.abilities)
        .plans(plans.iter().map(String::as_str))
}

/// What a key may not be is told, since whoever may make keys cannot see it from the table of roles.
fn outdone(error: Error) -> Refusal {
    match error.kind() {
        Kind::Forbidden => Refusal::new(
            Code::NotAllowed,
            "a key does no more than the credential that makes it, acts for nobody above you, and for another member \
             never with `personal` or `manage`; made with a key, it has no ability more and ends no later than that key",
        ),
        _ => error.into(),
    }
}

fn shown(key: &KeyInfo) -> Value {
    let (member, role, plans) = match &key.actor {
        KeyActor::Member(member) => (Some(member), None, &[][..]),
        KeyActor::Backend { role, plans } => (None, Some(role.name()), plans.as_slice()),
    };
    json!({
        "id": key.id,
        "name": key.name,
        "hint": key.hint,
        "member": member,
        "role": role,
        "plans": plans,
        "ceiling": key.ceiling.name(),
        "abilities": key.abilities.iter().map(KeyAbility::name).collect::<Vec<_>>(),
        "expires": key.expires,
        "made_by": key.made_by.map(maker),
        "created": key.created,
        "revoked": key.revoked,
    })
}
