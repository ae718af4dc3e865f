//! Conversations of the member who asks.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use jiff::Timestamp;
use portcullis_audit::Change;
use portcullis_core::ConversationId;
use portcullis_guard::{Code, Refusal};
use portcullis_store::conversations::{Author, Conversation, Said, StoredMessage};
use serde::Deserialize;
use serde_json::{Value, json};

use super::health::json;
use super::search::unreadable;
use super::{Call, admin, id};

/// Conversations of one page, and messages of one conversation.
const PAGE: usize = 50;
const MESSAGES: usize = 500;
/// The longest title, in characters.
const LONGEST_TITLE: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    title: String,
}

/// A page, the last used first. `?before=` takes the `updated` of the last one of the page before.
pub(super) async fn list(call: Call) -> Result<Response, Refusal> {
    let before = match call.query("before") {
        None => None,
        Some(text) => Some(text.parse::<Timestamp>().map_err(|_| {
            Refusal::new(Code::InvalidRequest, "`before` must be a moment such as 2026-01-31T00:00:00Z")
                .param("before")
        })?),
    };
    let page = call.app.stores().conversations.list(call.visit.scope(), before, PAGE).await?;
    let page: Vec<Value> = page.iter().map(shown).collect();
    Ok(json(StatusCode::OK, &json!({ "conversations": page })))
}

pub(super) async fn read(call: Call) -> Result<Response, Refusal> {
    let conversation: ConversationId = id(&call)?;
    let store = &call.app.stores().conversations;
    let scope = call.visit.scope();
    let found = store.get(scope, conversation).await?;
    let messages = store.messages(scope, conversation, MESSAGES).await?;
    let messages: Vec<Value> = messages.iter().map(message).collect();
    let mut body = shown(&found);
    if let Some(object) = body.as_object_mut() {
        object.insert("messages".to_owned(), json!(messages));
    }
    Ok(json(StatusCode::OK, &body))
}

pub(super) async fn rename(call: Call) -> Result<Response, Refusal> {
    let conversation: ConversationId = id(&call)?;
    let body: Body = serde_json::from_slice(&call.body).map_err(|error| unreadable(&error))?;
    if !(1..=LONGEST_TITLE).contains(&body.title.trim().chars().count()) {
        let detail = format!("`title` must have 1 to {LONGEST_TITLE} characters");
        return Err(Refusal::new(Code::InvalidRequest, detail).param("title"));
    }
    let store = &call.app.stores().conversations;
    store.rename(call.visit.scope(), conversation, &body.title).await?;
    let renamed = store.get(call.visit.scope(), conversation).await?;
    Ok(json(StatusCode::OK, &shown(&renamed)))
}

/// Removes a conversation, with the calls that wait in it: these are not made.
pub(super) async fn remove(call: Call) -> Result<Response, Refusal> {
    let conversation = id(&call)?;
    admin::ready(&call)?;
    call.app.gate().expire_approvals(call.visit.scope()).await?;
    let scope = call.visit.scope();
    let withdrawn = call.app.stores().conversations.remove(scope, conversation).await?;
    call.app.idempotency().forget(scope, conversation);
    for approval in withdrawn {
        admin::record_in_full(&call, Change::new("approval.withdrawn", vec![approval.into()])).await?;
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn shown(conversation: &Conversation) -> Value {
    json!({
        "id": conversation.id,
        "title": conversation.title,
        "created": conversation.created,
        "updated": conversation.updated,
    })
}

fn message(message: &StoredMessage) -> Value {
    let author = match message.author {
        Author::Member => "member",
        Author::Assistant => "assistant",
    };
    let text = match &message.said {
        Said::Text(text) => json!(text),
        Said::Withheld => Value::Null,
    };
    json!({
        "id": message.id,
        "author": author,
        "text": text,
        "withheld": message.said == Said::Withheld,
        "sources": message.sources,
        "created": message.created,
    })
}
