//! Who the credential acts for.

use axum::response::Response;
use http::StatusCode;
use portcullis_core::{Action, Actor};
use portcullis_guard::{Code, Refusal};
use portcullis_store::CommunityRef;
use serde_json::json;

use super::Call;
use super::health::json;

pub(super) async fn read(call: Call) -> Result<Response, Refusal> {
    let scope = call.visit.scope();
    let stores = call.app.stores();
    let community = stores
        .directory
        .find(CommunityRef::Id(scope.community()))
        .await?
        .ok_or_else(|| Refusal::new(Code::NotFound, "there is no such thing here"))?;
    let readable: Vec<_> = stores
        .spaces
        .list(scope)
        .await?
        .into_iter()
        .filter(|space| scope.spaces().contains(&space.id))
        .map(|space| json!({ "id": space.id, "name": space.name }))
        .collect();
    let (kind, id) = match scope.actor() {
        Actor::Member(member) => ("member", Some(member.to_string())),
        Actor::Key(key) => ("key", Some(key.to_string())),
        Actor::Operator => ("operator", None),
    };
    let actions: Vec<_> =
        Action::ALL.into_iter().filter(|action| scope.may(*action)).map(Action::name).collect();
    Ok(json(
        StatusCode::OK,
        &json!({
            "community": { "id": community.id, "slug": community.slug, "name": community.name },
            "actor": { "kind": kind, "id": id },
            "role": scope.role().name(),
            "tier": scope.tier().name(),
            "spaces": readable,
            "actions": actions,
        }),
    ))
}

/// What is left of every limit that the credential's requests are counted against, after this very request was counted.
pub(super) async fn limits(call: Call) -> Result<Response, Refusal> {
    let gate = call.app.gate();
    let now = gate.clock().now();
    let mut limits = Vec::new();
    for (applied, standing) in gate.allowances(&call.visit).await {
        for allowance in standing {
            let resets = now.checked_add(allowance.resets_in).ok();
            let mut told = json!({
                "what": applied.what(),
                "of": applied.of(),
                "window": allowance.window.name(),
                "window_seconds": allowance.window.length().as_secs(),
                "limit": allowance.limit,
                "remaining": allowance.remaining,
                "resets_at": resets.map(|at| at.to_string()),
            });
            if let Some(map) = told.as_object_mut().filter(|_| applied.what() == "cost") {
                // Numbers of JSON are no money: they are millionths.
                map.insert("currency".to_owned(), gate.prices().currency.as_str().into());
                map.insert("unit".to_owned(), "0.000001".into());
            }
            limits.push(told);
        }
    }
    Ok(json(StatusCode::OK, &json!({ "tier": call.visit.scope().tier().name(), "limits": limits })))
}
