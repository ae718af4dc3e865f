//! Spaces and plans, for the community's staff.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use portcullis_audit::Change;
use portcullis_core::SpaceId;
use portcullis_guard::Refusal;
use portcullis_store::{NewSpace, Plan, Space, SpaceAccess};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{change, record_in_full, unknown};
use crate::routes::health::json;
use crate::routes::{Call, id};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    slug: String,
    name: String,
    access: Option<String>,
    #[serde(default)]
    plans: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    access: Option<String>,
    #[serde(default)]
    plans: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPlan {
    slug: String,
    name: String,
}

pub(in crate::routes) async fn list(call: Call) -> Result<Response, Refusal> {
    let spaces = call.app.stores().spaces.list(call.visit.scope()).await?;
    let spaces: Vec<Value> = spaces.iter().map(shown).collect();
    Ok(json(StatusCode::OK, &json!({ "spaces": spaces })))
}

/// Makes a space. Without a word on access it is for staff only.
pub(in crate::routes) async fn add(call: Call) -> Result<Response, Refusal> {
    let New { slug, name, access, plans } = change(&call)?;
    let access = parse(access.as_deref(), plans)?;
    let space = call.app.stores().spaces.create(call.visit.scope(), NewSpace { slug, name, access }).await?;
    let change = Change::space_created(space.id, space.access.name(), space.access.plans());
    record_in_full(&call, change).await?;
    Ok(json(StatusCode::CREATED, &shown(&space)))
}

pub(in crate::routes) async fn update(call: Call) -> Result<Response, Refusal> {
    let space: SpaceId = id(&call)?;
    let Changes { access, plans } = change(&call)?;
    let access = parse(access.as_deref(), plans)?;
    let change = Change::space_access(space, access.name(), access.plans());
    call.app.stores().spaces.set_access(call.visit.scope(), space, access).await?;
    record_in_full(&call, change).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(in crate::routes) async fn plans(call: Call) -> Result<Response, Refusal> {
    let plans = call.app.stores().spaces.plans(call.visit.scope()).await?;
    let plans: Vec<Value> =
        plans.iter().map(|plan| json!({ "slug": plan.slug, "name": plan.name })).collect();
    Ok(json(StatusCode::OK, &json!({ "plans": plans })))
}

pub(in crate::routes) async fn add_plan(call: Call) -> Result<Response, Refusal> {
    let NewPlan { slug, name } = change(&call)?;
    let change = Change::plan_created(&slug);
    let body = json!({ "slug": slug, "name": name });
    call.app.stores().spaces.create_plan(call.visit.scope(), Plan { slug, name }).await?;
    record_in_full(&call, change).await?;
    Ok(json(StatusCode::CREATED, &body))
}

fn parse(access: Option<&str>, plans: Vec<String>) -> Result<SpaceAccess, Refusal> {
    let plans = super::plans(plans, String::as_str)?;
    match access {
        None | Some("staff") if plans.is_empty() => Ok(SpaceAccess::Staff),
        Some("members") if plans.is_empty() => Ok(SpaceAccess::Members),
        Some("plans") if !plans.is_empty() => Ok(SpaceAccess::Plans(plans)),
        _ => Err(unknown("access", "staff, members, or plans with their names in `plans`")),
    }
}

fn shown(space: &Space) -> Value {
    json!({
        "id": space.id,
        "slug": space.slug,
        "name": space.name,
        "access": space.access.name(),
        "plans": space.access.plans(),
    })
}
