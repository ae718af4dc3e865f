//! The communities, and the tier of each: what the operator may change while the instance runs.

use axum::response::Response;
use http::StatusCode;
use portcullis_audit::Change;
use portcullis_core::Tier;
use portcullis_guard::{Code, Rates, Refusal};
use portcullis_store::{Community, CommunityRef};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Operator, OperatorCall, ready, record};
use crate::routes::health::json;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    tier: String,
}

pub(super) async fn list(call: OperatorCall) -> Result<Response, Refusal> {
    let operator = &call.operator;
    let communities = operator.app().stores().directory.list().await?;
    let communities: Vec<Value> = communities.iter().map(|community| shown(operator, community)).collect();
    Ok(json(StatusCode::OK, &json!({ "communities": communities })))
}

pub(super) async fn tier(call: OperatorCall) -> Result<Response, Refusal> {
    let community = find(&call).await?;
    Ok(json(StatusCode::OK, &shown(&call.operator, &community)))
}

/// Puts a community into another tier: kept before it is answered, recorded, and in effect with the next request, since the
/// tier is read with every credential.
pub(super) async fn set_tier(call: OperatorCall) -> Result<Response, Refusal> {
    let app = call.operator.app();
    ready(&call.operator)?;
    let wanted: Wanted = serde_json::from_slice(&call.body).map_err(|_| unknown())?;
    let tier = Tier::parse(&wanted.tier).ok_or_else(unknown)?;
    let community = find(&call).await?;
    let directory = &app.stores().directory;
    directory.set_tier(community.id, tier).await?;
    let change = Change::new("community.tier", vec![community.id.into()]);
    let change = change.before(community.tier.name()).to(tier.name());
    let undo = async { Ok(directory.set_tier(community.id, community.tier).await?) };
    record(&call.operator, Some(community.id), change, undo).await?;
    Ok(json(StatusCode::OK, &shown(&call.operator, &Community { tier, ..community })))
}

async fn find(call: &OperatorCall) -> Result<Community, Refusal> {
    let found = call.operator.app().stores().directory.find(CommunityRef::Slug(&call.named)).await?;
    found.ok_or_else(|| Refusal::new(Code::NotFound, "there is no community of that short name"))
}

fn shown(operator: &Operator, community: &Community) -> Value {
    let Rates { minute, hour, day } = operator.app().gate().tiers().of(community.tier);
    json!({
        "community": community.slug,
        "id": community.id,
        "tier": community.tier.name(),
        "limits": { "minute": minute, "hour": hour, "day": day },
    })
}

fn unknown() -> Refusal {
    let known = Tier::ALL.map(Tier::name).join("`, `");
    Refusal::new(Code::InvalidRequest, format!("the body must be `{{\"tier\": …}}` with one of `{known}`"))
        .param("tier")
}
