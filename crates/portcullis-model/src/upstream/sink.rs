//! A server that is no model: it answers every path, so that it can be seen who is called, and with what.

use std::fmt;
use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use super::Behaviour;
use super::heard::Heard;
use super::reply::Reply;

/// Answers whatever is asked, as a tool, a page or a trap.
#[derive(Clone)]
pub struct Sink(Arc<dyn Fn(&Heard) -> Reply + Send + Sync>);

impl Sink {
    /// Answers as `reply` says.
    pub fn new(reply: impl Fn(&Heard) -> Reply + Send + Sync + 'static) -> Self {
        Self(Arc::new(reply))
    }

    /// Always the same text.
    pub fn text(text: &str) -> Self {
        let reply = Reply::new(StatusCode::OK, "text/plain", text.to_owned());
        Self::new(move |_| reply.clone())
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sink")
    }
}

impl Behaviour for Sink {
    fn name(&self) -> &'static str {
        "sink"
    }

    fn answer(&self, heard: &Heard) -> Reply {
        (self.0)(heard)
    }

    fn elsewhere(&self, heard: &Heard) -> Option<Reply> {
        Some((self.0)(heard))
    }

    fn told(&self, heard: &Heard) -> Value {
        json!({ "method": heard.method.as_str(), "path": heard.path, "body": heard.text() })
    }
}
