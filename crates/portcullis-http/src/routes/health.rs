//! Whether the process runs, and whether it can do its work. Neither tells a version or a name.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use portcullis_guard::Refusal;
use serde_json::json;
use tokio::sync::Mutex;

use super::{OpenCall, PublicCall};
use crate::app::App;

/// How long a dependency may take to answer before it counts as not ready.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long an answer of theirs counts. Long enough that a flood of questions is one, short enough that an outage is told
/// before anybody acts on the answer: the static 200 that control DPL-07 warns of would never tell it.
const FRESH: Duration = Duration::from_secs(1);

/// Whether the stores and the model answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    stores: bool,
    model: bool,
}

/// What was last found out, and when by the clock's monotonic time.
#[derive(Debug, Default)]
pub(crate) struct Readiness(Mutex<Option<(Duration, Found)>>);

impl Readiness {
    /// What holds now, or held a moment ago. Who asks while it is being found out waits for that.
    async fn found(&self, app: &App) -> Found {
        let mut last = self.0.lock().await;
        let now = app.gate().clock().monotonic();
        if let Some((_, found)) = last.filter(|(when, _)| now.saturating_sub(*when) < FRESH) {
            return found;
        }
        let stores = tokio::time::timeout(PATIENCE, app.stores().directory.ping());
        let model = tokio::time::timeout(PATIENCE, app.chat().ping());
        let (stores, model) = tokio::join!(stores, model);
        let found = Found { stores: matches!(stores, Ok(Ok(()))), model: matches!(model, Ok(true)) };
        // It counts from now and not from when it was asked: one that takes longer than that would be asked again by everybody
        // who waits, one after the other.
        *last = Some((app.gate().clock().monotonic(), found));
        found
    }
}

pub(super) async fn live(_: PublicCall) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &json!({ "status": "live" })))
}

/// Asks each dependency. An instance that stops says so at once, whatever they answer.
pub(super) async fn ready(call: OpenCall) -> Result<Response, Refusal> {
    let word = |ok: bool| if ok { "ready" } else { "not ready" };
    if call.app.gate().tasks().is_closing() {
        return Ok(json(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "stopping" })));
    }
    let Found { stores, model } = call.app.readiness().found(&call.app).await;
    let audit = call.app.gate().journal().failure().is_none();
    let ready = stores && model && audit;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "status": word(ready),
        "parts": { "stores": word(stores), "model": word(model), "audit": word(audit) },
    });
    Ok(json(status, &body))
}

pub(super) async fn openapi(call: OpenCall) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &crate::openapi::document(call.app.cookies())))
}

pub(crate) fn json(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
