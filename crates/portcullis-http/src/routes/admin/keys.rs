//! API keys of the community, for its admins.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use portcullis_core::{AbilitySet, KeyAbility, KeyId, MemberId, Role, Token, TokenKind};
use portcullis_guard::{Code, Refusal};
use portcullis_store::{CommunityRef, KeyActor, KeyInfo, NewKey};
use serde::Deserialize;
use serde_json::{Value, json};

use super::members::parse_role;
use super::{change, in_days, ready, record, unknown};
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
    let New { name, member, role, plans, abilities, days } = change(&call)?;
    let actor = match (member, role) {
        (Some(member), None) if plans.is_empty() => KeyActor::Member(member),
        (None, role) => {
            KeyActor::Backend { role: role.as_deref().map_or(Ok(Role::Member), parse_role)?, plans }
        }
        _ => {
            let detail = "a key acts for a `member`, or with a `role` and `plans` of its own, not both";
            return Err(Refusal::new(Code::InvalidRequest, detail).param("member"));
        }
    };
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
    let made = stores.keys.create(scope, NewKey { name, actor, abilities, expires, hash, hint }).await?;
    record(&call, "key.created", vec![made.id.into()], None).await?;
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
        "abilities": key.abilities.iter().map(KeyAbility::name).collect::<Vec<_>>(),
        "expires": key.expires,
        "created": key.created,
        "revoked": key.revoked,
    })
}
