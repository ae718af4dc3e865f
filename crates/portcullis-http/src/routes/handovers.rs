//! Questions that were handed to a person: the moderators' queue, as JSON and as a page.

use axum::response::Response;
use http::StatusCode;
use portcullis_audit::Change;
use portcullis_core::{Actor, HandoverId};
use portcullis_guard::Refusal;
use portcullis_pages::view;
use portcullis_store::Handover;
use serde_json::{Value, json};

use super::health::json;
use super::pages::Reader;
use super::sign_in::html;
use super::{Call, admin, id};

/// The queue: what nobody has taken note of first, each in the order in which it came.
pub(super) async fn list(call: Call) -> Result<Response, Refusal> {
    let handovers = read(&call).await?;
    let handovers: Vec<Value> = handovers.iter().map(shown).collect();
    Ok(json(StatusCode::OK, &json!({ "handovers": handovers })))
}

/// Notes that whoever asks has taken note of an entry. The first to do so stands there.
pub(super) async fn acknowledge(call: Call) -> Result<Response, Refusal> {
    let handover: HandoverId = id(&call)?;
    admin::ready(&call)?;
    let since = call.app.gate().handovers_since();
    let noted = call.app.stores().handovers.acknowledge(call.visit.scope(), handover, since).await?;
    admin::record_in_full(&call, Change::new("handover.acknowledged", vec![handover.into()])).await?;
    Ok(json(StatusCode::OK, &shown(&noted)))
}

/// The page of the queue.
pub(super) async fn page(call: Call) -> Result<Response, Refusal> {
    let reader = Reader::of(&call).await?;
    let handovers = read(&call).await?;
    let ids: Vec<String> = handovers.iter().map(|handover| handover.id.to_string()).collect();
    let askers: Vec<Option<String>> = handovers.iter().map(|handover| asker(handover.asker)).collect();
    let entries: Vec<_> = handovers
        .iter()
        .zip(&ids)
        .zip(&askers)
        .map(|((handover, id), asker)| view::Handover {
            id,
            reason: &handover.reason,
            asker: asker.as_deref(),
            text: handover.text.as_deref(),
            created: handover.created,
            acknowledged: handover.acknowledged.map(|noted| noted.at),
        })
        .collect();
    let page = portcullis_pages::handovers(&view::Handovers {
        frame: reader.frame(&call),
        csrf: reader.csrf(),
        handovers: &entries,
    });
    Ok(html(StatusCode::OK, &page))
}

async fn read(call: &Call) -> Result<Vec<Handover>, Refusal> {
    let since = call.app.gate().handovers_since();
    Ok(call.app.stores().handovers.list(call.visit.scope(), since).await?)
}

fn asker(asker: Actor) -> Option<String> {
    match asker {
        Actor::Member(member) => Some(member.to_string()),
        Actor::Key(_) | Actor::Operator => None,
    }
}

/// Moderators know members by their ids; keys are for those above them to know.
pub(super) fn actor(actor: Actor) -> Value {
    match actor {
        Actor::Member(member) => json!({ "kind": "member", "id": member }),
        Actor::Key(_) => json!({ "kind": "key", "id": null }),
        Actor::Operator => json!({ "kind": "operator", "id": null }),
    }
}

fn shown(handover: &Handover) -> Value {
    json!({
        "id": handover.id,
        "reason": handover.reason,
        "asker": actor(handover.asker),
        "text": handover.text,
        "created": handover.created,
        "acknowledged": handover.acknowledged.map(|noted| json!({ "by": actor(noted.by), "at": noted.at })),
    })
}
