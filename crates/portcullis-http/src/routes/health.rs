//! Whether the process runs, and whether it can do its work. Neither tells a version or a name.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use portcullis_guard::Refusal;
use serde_json::json;

use super::PublicCall;

/// How long a dependency may take to answer before it counts as not ready.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) async fn live(_: PublicCall) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &json!({ "status": "live" })))
}

/// Asks each dependency now: a cached answer would be the static 200 that control DPL-07 warns of.
pub(super) async fn ready(call: PublicCall) -> Result<Response, Refusal> {
    let stores = tokio::time::timeout(PATIENCE, call.app.stores().directory.ping());
    let model = tokio::time::timeout(PATIENCE, call.app.chat().ping());
    let (stores, model) = tokio::join!(stores, model);
    let stores = matches!(stores, Ok(Ok(())));
    let model = matches!(model, Ok(true));
    let audit = call.app.gate().journal().failure().is_none();
    let ready = stores && model && audit;
    let word = |ok: bool| if ok { "ready" } else { "not ready" };
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "status": word(ready),
        "parts": { "stores": word(stores), "model": word(model), "audit": word(audit) },
    });
    Ok(json(status, &body))
}

pub(super) async fn openapi(_: PublicCall) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &crate::openapi::document()))
}

pub(crate) fn json(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
