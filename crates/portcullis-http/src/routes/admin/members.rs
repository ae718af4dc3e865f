//! Members of the community, for its staff.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use jiff::Timestamp;
use portcullis_audit::Change;
use portcullis_core::{Action, MemberId, Role};
use portcullis_guard::{Code, Refusal};
use portcullis_store::{Entitlement, Member, NewMember, Status};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{address, change, or_unfit, ready, record, record_in_full, unknown};
use crate::routes::health::json;
use crate::routes::{Call, id};

/// Members of one page.
const PAGE: usize = 100;
/// The longest name, in characters.
const LONGEST_NAME: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    name: String,
    email: Option<String>,
    role: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    role: Option<String>,
    status: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Until {
    until: Option<Timestamp>,
}

/// A page, those who joined first first. `?after=` takes the id of the last one of the page before; `next` is that id
/// where there are more.
pub(in crate::routes) async fn list(call: Call) -> Result<Response, Refusal> {
    let after: Option<MemberId> = match call.query("after") {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| {
            Refusal::new(Code::InvalidRequest, "`after` must be the id of a member").param("after")
        })?),
    };
    let members = call.app.stores().members.list(call.visit.scope()).await?;
    let start = match after {
        None => 0,
        Some(after) => {
            members.iter().position(|member| member.id == after).map_or(members.len(), |at| at + 1)
        }
    };
    let mut page: Vec<&Member> = members.iter().skip(start).take(PAGE + 1).collect();
    let more = page.len() > PAGE;
    page.truncate(PAGE);
    let next = page.last().filter(|_| more).map(|last| last.id);
    let shown: Vec<Value> = page.into_iter().map(|member| shown(&call, member)).collect();
    Ok(json(StatusCode::OK, &json!({ "members": shown, "next": next })))
}

pub(in crate::routes) async fn read(call: Call) -> Result<Response, Refusal> {
    let member = call.app.stores().members.get(call.visit.scope(), id(&call)?).await?;
    Ok(json(StatusCode::OK, &shown(&call, &member)))
}

pub(in crate::routes) async fn add(call: Call) -> Result<Response, Refusal> {
    let New { name, email, role } = change(&call)?;
    if !(1..=LONGEST_NAME).contains(&name.trim().chars().count()) {
        let detail = format!("`name` must have 1 to {LONGEST_NAME} characters");
        return Err(Refusal::new(Code::InvalidRequest, detail).param("name"));
    }
    let role = role.as_deref().map(parse_role).transpose()?;
    let fit = address(email.as_deref());
    let members = &call.app.stores().members;
    let added = members.add(call.visit.scope(), NewMember { name, email, role }).await;
    let member = added.map_err(|error| or_unfit(error, fit))?;
    record(&call, "member.added", vec![member.id.into()], Some(member.role.name())).await?;
    Ok(json(StatusCode::CREATED, &shown(&call, &member)))
}

pub(in crate::routes) async fn update(call: Call) -> Result<Response, Refusal> {
    let member: MemberId = id(&call)?;
    let Changes { role, status } = change(&call)?;
    // Everything is read before anything is changed.
    let role = role.as_deref().map(parse_role).transpose()?;
    let status = status.as_deref().map(parse_status).transpose()?;
    let (members, scope) = (&call.app.stores().members, call.visit.scope());
    if let Some(role) = role {
        let before = members.set_role(scope, member, role).await?;
        record_in_full(&call, Change::role(member, before, role)).await?;
    }
    if let Some(status) = status {
        let before = members.set_status(scope, member, status).await?;
        record_in_full(&call, Change::status(member, before.name(), status.name())).await?;
    }
    let member = members.get(scope, member).await?;
    Ok(json(StatusCode::OK, &shown(&call, &member)))
}

/// Gives a plan, without end or until a moment.
pub(in crate::routes) async fn entitle(call: Call) -> Result<Response, Refusal> {
    let member: MemberId = id(&call)?;
    ready(&call)?;
    let Until { until } = if call.body.is_empty() { Until { until: None } } else { change(&call)? };
    let plan = plan(&call)?;
    let change = Change::entitled(member, &plan);
    call.app.stores().members.entitle(call.visit.scope(), member, Entitlement { plan, until }).await?;
    record_in_full(&call, change).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(in crate::routes) async fn end_entitlement(call: Call) -> Result<Response, Refusal> {
    let member: MemberId = id(&call)?;
    ready(&call)?;
    let plan = plan(&call)?;
    call.app.stores().members.end_entitlement(call.visit.scope(), member, &plan).await?;
    record_in_full(&call, Change::entitlement_ended(member, &plan)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Ends every session of a member, as for a lost phone.
pub(in crate::routes) async fn end_sessions(call: Call) -> Result<Response, Refusal> {
    let member: MemberId = id(&call)?;
    ready(&call)?;
    let ended = call.app.stores().sessions.end_all(call.visit.scope(), member).await?;
    record(&call, "member.sessions-ended", vec![member.into()], None).await?;
    Ok(json(StatusCode::OK, &json!({ "ended": ended })))
}

fn plan(call: &Call) -> Result<String, Refusal> {
    let plan = call.path.get(1).cloned();
    plan.ok_or_else(|| Refusal::new(Code::NotFound, "there is no such thing here"))
}

pub(super) fn parse_role(text: &str) -> Result<Role, Refusal> {
    Role::parse(text).ok_or_else(|| unknown("role", "member, moderator, admin, owner"))
}

fn parse_status(text: &str) -> Result<Status, Refusal> {
    match text {
        "active" => Ok(Status::Active),
        "suspended" => Ok(Status::Suspended),
        _ => Err(unknown("status", "active, suspended")),
    }
}

/// Addresses are for those who manage members; a moderator works with names.
fn shown(call: &Call, member: &Member) -> Value {
    let email = member.email.as_ref().filter(|_| call.visit.scope().may(Action::WriteMembers));
    let plans: Vec<Value> =
        member.entitlements.iter().map(|held| json!({ "plan": held.plan, "until": held.until })).collect();
    json!({
        "id": member.id,
        "name": member.name,
        "email": email,
        "role": member.role.name(),
        "status": member.status.name(),
        "plans": plans,
        "created": member.created,
    })
}
