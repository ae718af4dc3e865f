//! Invitations: links that let people in.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use jiff::Timestamp;
use portcullis_audit::Change;
use portcullis_core::{InvitationId, Role, Token, TokenKind};
use portcullis_guard::{Code, Refusal};
use portcullis_store::{CommunityRef, Entitlement, InvitationInfo, NewInvitation};
use serde::Deserialize;
use serde_json::{Value, json};

use super::members::parse_role;
use super::{address, change, in_days, maker, or_unfit, ready, record, record_in_full};
use crate::routes::health::json;
use crate::routes::{Call, id};

/// How long an invitation lasts where nothing is said.
const DAYS: u32 = 7;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    email: Option<String>,
    role: Option<String>,
    #[serde(default)]
    plans: Vec<Plan>,
    uses: Option<u32>,
    days: Option<u32>,
}

#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(deny_unknown_fields)]
struct Plan {
    plan: String,
    until: Option<Timestamp>,
}

/// Makes an invitation. The answer is the only place where its link ever stands.
pub(in crate::routes) async fn add(call: Call) -> Result<Response, Refusal> {
    let New { email, role, plans, uses, days } = change(&call)?;
    let role = role.as_deref().map_or(Ok(Role::Member), parse_role)?;
    let expires = in_days(&call, days.unwrap_or(DAYS))?;
    let fit = address(email.as_deref());
    let plans = super::plans(plans, |given| &given.plan)?;
    let (stores, scope) = (call.app.stores(), call.visit.scope());
    let community = stores
        .directory
        .find(CommunityRef::Id(scope.community()))
        .await?
        .ok_or_else(|| Refusal::new(Code::NotFound, "there is no such thing here"))?;
    let (text, token) = Token::issue(TokenKind::Invitation, &community.locator);
    let given: Vec<String> = plans.iter().map(|given| given.plan.clone()).collect();
    let entitlements = plans.into_iter().map(|Plan { plan, until }| Entitlement { plan, until }).collect();
    let new =
        NewInvitation { token: token.hash(), email, role, entitlements, uses: uses.unwrap_or(1), expires };
    let made = stores.sessions.invite(scope, new).await.map_err(|error| or_unfit(error, fit))?;
    let change = Change::new("invitation.made", vec![made.into()]).to(role.name());
    record_in_full(&call, change.plans(given.iter().map(String::as_str))).await?;
    let link = format!("{}/join?token={}", call.app.origin_of(&community), text.expose());
    let mut body = json!({ "id": made, "link": link, "expires": expires });
    if let Some(object) = body.as_object_mut() {
        object.insert("role".to_owned(), json!(role.name()));
    }
    Ok(json(StatusCode::CREATED, &body))
}

/// Invitations that have not run out. What lets people in stands in none of them.
pub(in crate::routes) async fn list(call: Call) -> Result<Response, Refusal> {
    let invitations = call.app.stores().sessions.invitations(call.visit.scope()).await?;
    let invitations: Vec<Value> = invitations.iter().map(shown).collect();
    Ok(json(StatusCode::OK, &json!({ "invitations": invitations })))
}

fn shown(invitation: &InvitationInfo) -> Value {
    let plans: Vec<Value> = invitation
        .entitlements
        .iter()
        .map(|given| json!({ "plan": given.plan, "until": given.until }))
        .collect();
    json!({
        "id": invitation.id,
        "made_by": invitation.made_by.map(maker),
        "role": invitation.role.name(),
        "plans": plans,
        "addressed": invitation.addressed,
        "uses": invitation.uses,
        "created": invitation.created,
        "expires": invitation.expires,
        "withdrawn": invitation.withdrawn,
    })
}

pub(in crate::routes) async fn withdraw(call: Call) -> Result<Response, Refusal> {
    let invitation: InvitationId = id(&call)?;
    ready(&call)?;
    call.app.stores().sessions.withdraw(call.visit.scope(), invitation).await?;
    record(&call, "invitation.withdrawn", vec![invitation.into()], None).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
