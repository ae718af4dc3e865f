//! One document that a citation names.

use axum::response::Response;
use http::StatusCode;
use portcullis_core::DocumentId;
use portcullis_guard::Refusal;
use serde_json::{Value, json};

use super::health::json;
use super::{Call, id};

/// An id that is malformed, unknown, or of a document outside the scope looks the same.
pub(super) async fn read(call: Call) -> Result<Response, Refusal> {
    let wanted: DocumentId = id(&call)?;
    let document = call.app.stores().content.document(call.visit.scope(), wanted).await?;
    let chunks: Vec<Value> = document
        .text
        .chunks
        .iter()
        .map(|chunk| json!({ "heading": chunk.heading, "author": chunk.author, "text": chunk.text }))
        .collect();
    Ok(json(
        StatusCode::OK,
        &json!({
            "id": document.id,
            "title": document.title,
            "url": document.url,
            "author": document.author,
            "written": document.written,
            "chunks": chunks,
        }),
    ))
}
