//! What was withheld from the model, for the community's moderators: which documents to look at, and to mend or remove.

use axum::response::Response;
use http::StatusCode;
use portcullis_core::DocumentId;
use portcullis_guard::Refusal;
use serde_json::{Value, json};

use crate::routes::Call;
use crate::routes::health::json;

/// Of documents that are gone, or that whoever asks may not read, nothing is said.
pub(in crate::routes) async fn list(call: Call) -> Result<Response, Refusal> {
    let scope = call.visit.scope();
    let withheld = call.app.gate().withheld(scope);
    let ids: Vec<DocumentId> = withheld.iter().map(|(document, _)| *document).collect();
    let titles = call.app.stores().content.titles(scope, &ids).await?;
    let documents = withheld.iter().filter_map(|(document, withheld)| {
        let title = titles.get(document)?;
        Some(json!({
            "document": document,
            "title": title,
            "times": withheld.times,
            "last": withheld.last,
        }))
    });
    Ok(json(StatusCode::OK, &json!({ "documents": documents.collect::<Vec<Value>>() })))
}
