//! The models that can be asked.

use axum::response::Response;
use http::StatusCode;
use portcullis_guard::Refusal;
use serde_json::{Value, json};

use super::Call;
use super::health::json;

/// The configured models. The upstream's own list is not passed on: it may name what this community may not use.
pub(super) async fn list(call: Call) -> Result<Response, Refusal> {
    let models = call.app.gate().models();
    let data: Vec<Value> = models
        .iter()
        .map(|name| json!({ "id": name, "object": "model", "created": 0, "owned_by": "portcullis" }))
        .collect();
    Ok(json(StatusCode::OK, &json!({ "object": "list", "data": data })))
}
