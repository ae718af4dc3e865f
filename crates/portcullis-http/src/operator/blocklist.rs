//! The blocklist as the operator sees and changes it. A change counts at once, and is durable before it is answered.

use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use portcullis_audit::Change;
use portcullis_core::BlockId;
use portcullis_guard::refusal::causes;
use portcullis_guard::{BlockEntry, Code, Prefix, Refusal, Removed};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Operator, OperatorCall, ready, record};
use crate::routes::health::json;

/// The longest reason, in characters.
const LONGEST_REASON: usize = 200;
/// The longest time that an entry may be made for: ten years.
const MOST_SECONDS: u64 = 3_660 * 86_400;
/// How many blocks that began by themselves are shown; the newest.
const MOST_SHOWN: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    network: String,
    reason: String,
    /// For ever without it.
    seconds: Option<u64>,
}

pub(super) async fn list(call: OperatorCall) -> Result<Response, Refusal> {
    let gate = call.operator.app().gate();
    let now = gate.clock().now();
    let entries: Vec<Value> = gate.blocks().entries(now).iter().map(shown).collect();
    let automatic = gate.blocks().automatic(gate.clock());
    let all = automatic.len();
    let automatic = automatic.iter().take(MOST_SHOWN).map(|block| {
        json!({
            "id": block.id,
            "network": block.network,
            "offence": block.offence.name(),
            "until": now.checked_add(block.ends_in).ok(),
        })
    });
    let body = json!({
        "configured": gate.blocks().configured(),
        "entries": entries,
        "automatic": automatic.collect::<Vec<_>>(),
        "automatic_in_all": all,
    });
    Ok(json(StatusCode::OK, &body))
}

pub(super) async fn add(call: OperatorCall) -> Result<Response, Refusal> {
    let New { network, reason, seconds } = serde_json::from_slice(&call.body).map_err(|_| {
        Refusal::new(
            Code::InvalidRequest,
            "the body must be JSON with `network`, `reason` and, where it ends by itself, `seconds`",
        )
    })?;
    let wrong =
        |param: &'static str, detail: String| Err(Refusal::new(Code::InvalidRequest, detail).param(param));
    let network: Prefix = match network.trim().parse() {
        Ok(network) => network,
        Err(error) => return wrong("network", format!("`network` {error}")),
    };
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > LONGEST_REASON || reason.chars().any(char::is_control) {
        return wrong("reason", format!("`reason` must be one line of 1 to {LONGEST_REASON} characters"));
    }
    if seconds.is_some_and(|seconds| !(1..=MOST_SECONDS).contains(&seconds)) {
        return wrong("seconds", format!("`seconds` must be 1 to {MOST_SECONDS}"));
    }
    let _turn = call.operator.changing.lock().await;
    let gate = call.operator.app().gate();
    ready(&call.operator)?;
    let added = gate.clock().now();
    let until = seconds.and_then(|seconds| added.checked_add(Duration::from_secs(seconds)).ok());
    let id = BlockId::new(gate.clock());
    let entry = BlockEntry { id, network, reason: reason.to_owned(), added, until };
    if let Err(error) = gate.blocks().add(entry.clone()) {
        return wrong("network", error.to_string());
    }
    if let Err(refusal) = keep(&call.operator).await {
        gate.blocks().remove(id);
        return Err(refusal);
    }
    let lasts = if until.is_some() { "for-a-time" } else { "for-ever" };
    // The journal holds the entry's id and no address.
    let change = Change::new("block.added", vec![id.into()]).to(lasts);
    let undo = async {
        gate.blocks().remove(id);
        keep(&call.operator).await
    };
    record(&call.operator, None, change, undo).await?;
    tracing::info!(block.id = %id, "the operator blocked a network");
    Ok(json(StatusCode::CREATED, &shown(&entry)))
}

pub(super) async fn remove(call: OperatorCall) -> Result<Response, Refusal> {
    let gone = || Refusal::new(Code::NotFound, "there is no such block");
    let id: BlockId = call.named.parse().map_err(|_| gone())?;
    let _turn = call.operator.changing.lock().await;
    ready(&call.operator)?;
    let gate = call.operator.app().gate();
    let removed = gate.blocks().remove(id).ok_or_else(gone)?;
    if let Err(refusal) = keep(&call.operator).await {
        // It would be back after a restart, so it is not said to be gone.
        gate.blocks().put_back(removed);
        return Err(refusal);
    }
    let was = match &removed {
        Removed::Entry(_) => "listed",
        Removed::Automatic(_) => "automatic",
    };
    let change = Change::new("block.removed", vec![id.into()]).before(was);
    let undo = async {
        gate.blocks().put_back(removed);
        keep(&call.operator).await
    };
    record(&call.operator, None, change, undo).await?;
    tracing::info!(block.id = %id, "the operator removed a block");
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn shown(entry: &BlockEntry) -> Value {
    json!({
        "id": entry.id,
        "network": entry.network,
        "reason": entry.reason,
        "added": entry.added,
        "until": entry.until,
    })
}

async fn keep(operator: &Arc<Operator>) -> Result<(), Refusal> {
    let kept = Arc::clone(operator);
    let written = tokio::task::spawn_blocking(move || {
        let gate = kept.app().gate();
        kept.parts.blocks.write(|| gate.blocks().keep(gate.clock()))
    });
    let failed = |error: &dyn std::error::Error| {
        tracing::error!(error = %causes(error), "the blocklist cannot be kept");
        Refusal::new(Code::StoreUnavailable, "the blocklist cannot be kept, so nothing is changed")
            .retry_after(Duration::from_secs(5))
    };
    match written.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(failed(&error)),
        Err(error) => Err(failed(&error)),
    }
}
