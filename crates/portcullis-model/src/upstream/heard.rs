//! A request as an upstream hears it.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::Value;

/// One request, as it came. `Debug` shows neither headers nor body.
#[derive(Clone)]
pub struct Heard {
    /// The method.
    pub method: Method,
    /// Path and query as sent.
    pub path: String,
    /// The headers, credentials included: this is what a test looks for.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Heard {
    /// A request that went over no wire.
    pub(crate) fn in_process(body: Bytes) -> Self {
        Self {
            method: Method::POST,
            path: "/v1/chat/completions".to_owned(),
            headers: HeaderMap::new(),
            body,
        }
    }

    /// The body as JSON; `null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body as text, with what is not UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl fmt::Debug for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heard")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// All texts of one message, its parts joined by line ends.
pub(super) fn message_text(message: &Value) -> String {
    match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            parts.iter().filter_map(|part| part.get("text")?.as_str()).collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

/// The messages of a chat request.
pub(super) fn messages(body: &Value) -> &[Value] {
    body.get("messages").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Whether a stream is asked for, and whether it is to end with the usage.
pub(super) fn wants_stream(body: &Value) -> bool {
    body.get("stream").and_then(Value::as_bool) == Some(true)
}

pub(super) fn wants_usage(body: &Value) -> bool {
    body.pointer("/stream_options/include_usage").and_then(Value::as_bool) == Some(true)
}
