//! Memories of the member who asks.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use portcullis_core::MemoryId;
use portcullis_guard::{Code, Refusal};
use portcullis_store::memories::{LONGEST_MEMORY, MOST_MEMORIES, Memory};
use serde::Deserialize;
use serde_json::{Value, json};

use super::health::json;
use super::search::unreadable;
use super::{Call, id};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    text: String,
}

pub(super) async fn list(call: Call) -> Result<Response, Refusal> {
    let memories = call.app.stores().memories.list(call.visit.scope()).await?;
    let memories: Vec<Value> = memories.iter().map(shown).collect();
    Ok(json(StatusCode::OK, &json!({ "memories": memories })))
}

pub(super) async fn add(call: Call) -> Result<Response, Refusal> {
    let text = text(&call.body)?;
    let memories = &call.app.stores().memories;
    let new = MemoryId::new(call.app.gate().clock());
    if memories.list(call.visit.scope()).await?.len() >= MOST_MEMORIES {
        let detail = format!("there are {MOST_MEMORIES} memories already; remove one first");
        return Err(Refusal::new(Code::InvalidRequest, detail));
    }
    let memory = memories.add(call.visit.scope(), new, &text).await?;
    Ok(json(StatusCode::CREATED, &shown(&memory)))
}

pub(super) async fn read(call: Call) -> Result<Response, Refusal> {
    let memory = call.app.stores().memories.get(call.visit.scope(), id(&call)?).await?;
    Ok(json(StatusCode::OK, &shown(&memory)))
}

pub(super) async fn change(call: Call) -> Result<Response, Refusal> {
    let memory: MemoryId = id(&call)?;
    let text = text(&call.body)?;
    let memory = call.app.stores().memories.change(call.visit.scope(), memory, &text).await?;
    Ok(json(StatusCode::OK, &shown(&memory)))
}

pub(super) async fn remove(call: Call) -> Result<Response, Refusal> {
    call.app.stores().memories.remove(call.visit.scope(), id(&call)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn text(body: &[u8]) -> Result<String, Refusal> {
    let body: Body = serde_json::from_slice(body).map_err(|error| unreadable(&error))?;
    let length = body.text.trim().chars().count();
    if (1..=LONGEST_MEMORY).contains(&length) {
        Ok(body.text)
    } else {
        let detail = format!("`text` must have 1 to {LONGEST_MEMORY} characters");
        Err(Refusal::new(Code::InvalidRequest, detail).param("text"))
    }
}

fn shown(memory: &Memory) -> Value {
    json!({ "id": memory.id, "text": memory.text, "created": memory.created, "updated": memory.updated })
}
