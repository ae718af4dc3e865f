//! Search over the community's content.

use axum::response::Response;
use http::StatusCode;
use portcullis_guard::{Code, Refusal};
use portcullis_store::{Passage, Query};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Call;
use super::health::json;

/// The most results of one search.
const MOST: usize = 50;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    query: String,
    #[serde(default = "ten")]
    limit: usize,
}

const fn ten() -> usize {
    10
}

/// Results best first. Scores and totals stay inside: they would tell of content that the asker may not see.
pub(super) async fn search(call: Call) -> Result<Response, Refusal> {
    let body: Body = serde_json::from_slice(&call.body).map_err(|error| unreadable(&error))?;
    if body.query.trim().is_empty() {
        return Err(
            Refusal::new(Code::InvalidRequest, "`query` must hold a word to search for").param("query")
        );
    }
    if !(1..=MOST).contains(&body.limit) {
        return Err(Refusal::new(Code::InvalidRequest, format!("`limit` must be 1 to {MOST}")).param("limit"));
    }
    let query = Query { text: body.query, limit: body.limit };
    let passages = call.app.chat().recall(call.visit.scope(), &query).await?;
    let results: Vec<Value> = passages.iter().map(passage).collect();
    Ok(json(StatusCode::OK, &json!({ "results": results })))
}

pub(super) fn passage(passage: &Passage) -> Value {
    json!({
        "document": passage.document,
        "chunk": passage.chunk,
        "title": passage.title,
        "url": passage.url,
        "heading": passage.heading,
        "author": passage.author,
        "text": passage.text,
    })
}

/// What was wrong with a JSON body, without repeating any of it.
pub(super) fn unreadable(error: &serde_json::Error) -> Refusal {
    let detail = match error.classify() {
        serde_json::error::Category::Data => {
            "the body is JSON but not the object that this route takes; see /openapi.json"
        }
        _ => "the body is not valid JSON",
    };
    Refusal::new(Code::InvalidRequest, detail)
}
