//! A well-formed answer in OpenAI's wire format, written by hand here and not by the types that read it.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::heard::{Heard, wants_stream, wants_usage};
use super::reply::{Reply, Step};
use crate::request::ToolCall;

/// When every answer was made: the same on every run.
pub(super) const CREATED: u64 = 1_700_000_000;
/// About so many bytes are one token.
const BYTES_PER_TOKEN: usize = 4;

/// What an upstream has to say, before it is known whether as a stream or whole.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// The model's thinking, sent before the text.
    pub reasoning: Option<String>,
    /// The text, in the pieces that a stream sends it in.
    pub pieces: Vec<String>,
    /// The tools to call.
    pub tool_calls: Vec<ToolCall>,
    /// Fields that no client asked for, added to the whole answer or to the first frame.
    pub extra_fields: Map<String, Value>,
}

impl Answer {
    /// An answer of one text, to be streamed in pieces of `piece` characters.
    pub fn text(text: &str, piece: usize) -> Self {
        Self { pieces: pieces(text, piece), ..Self::default() }
    }

    /// The reply to that request: a stream if it asks for one.
    pub fn reply_to(&self, heard: &Heard) -> Reply {
        let body = heard.json();
        let model = body.get("model").and_then(Value::as_str).unwrap_or("test").to_owned();
        let writer = Writer { answer: self, model: &model, usage: self.usage(heard) };
        if wants_stream(&body) {
            Reply::events(writer.frames(wants_usage(&body)))
        } else {
            Reply::json(StatusCode::OK, &writer.whole())
        }
    }

    fn usage(&self, heard: &Heard) -> Value {
        let tokens = |bytes: usize| bytes.div_ceil(BYTES_PER_TOKEN);
        let prompt = tokens(heard.body.len());
        let calls: usize = self.tool_calls.iter().map(|call| call.function.arguments.len()).sum();
        let text: usize = self.pieces.iter().map(String::len).sum();
        let completion = tokens(text.saturating_add(calls));
        json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt.saturating_add(completion)})
    }
}

/// Cuts a text into pieces of so many characters.
pub(super) fn pieces(text: &str, size: usize) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = text.chars().peekable();
    while rest.peek().is_some() {
        pieces.push(rest.by_ref().take(size.max(1)).collect());
    }
    pieces
}

struct Writer<'a> {
    answer: &'a Answer,
    model: &'a str,
    usage: Value,
}

impl Writer<'_> {
    fn head(&self, object: &str) -> Map<String, Value> {
        let mut head = self.answer.extra_fields.clone();
        for (key, value) in [
            ("id", json!("chatcmpl-test")),
            ("object", json!(object)),
            ("created", json!(CREATED)),
            ("model", json!(self.model)),
            ("system_fingerprint", json!("fp_test")),
        ] {
            head.insert(key.to_owned(), value);
        }
        head
    }

    const fn finish_reason(&self) -> &'static str {
        if self.answer.tool_calls.is_empty() { "stop" } else { "tool_calls" }
    }

    fn whole(&self) -> Value {
        let mut message =
            json!({"role": "assistant", "content": self.answer.pieces.concat(), "refusal": null});
        if let Some(fields) = message.as_object_mut() {
            if let Some(reasoning) = &self.answer.reasoning {
                fields.insert("reasoning_content".to_owned(), json!(reasoning));
            }
            if !self.answer.tool_calls.is_empty() {
                fields.insert("tool_calls".to_owned(), json!(self.answer.tool_calls));
            }
        }
        let mut whole = self.head("chat.completion");
        let choice =
            json!({"index": 0, "message": message, "logprobs": null, "finish_reason": self.finish_reason()});
        whole.insert("choices".to_owned(), json!([choice]));
        whole.insert("usage".to_owned(), self.usage.clone());
        Value::Object(whole)
    }

    fn frames(&self, with_usage: bool) -> Vec<Step> {
        let mut deltas = vec![(json!({"role": "assistant", "content": ""}), Value::Null)];
        if let Some(reasoning) = &self.answer.reasoning {
            deltas.push((json!({"reasoning_content": reasoning}), Value::Null));
        }
        deltas.extend(self.answer.pieces.iter().map(|piece| (json!({"content": piece}), Value::Null)));
        for (index, call) in self.answer.tool_calls.iter().enumerate() {
            let named = json!({"index": index, "id": call.id, "type": "function",
                "function": {"name": call.function.name, "arguments": ""}});
            deltas.push((json!({"tool_calls": [named]}), Value::Null));
            for piece in pieces(&call.function.arguments, 8) {
                let more = json!({"index": index, "function": {"arguments": piece}});
                deltas.push((json!({"tool_calls": [more]}), Value::Null));
            }
        }
        deltas.push((json!({}), json!(self.finish_reason())));

        let first = self.head("chat.completion.chunk");
        let mut later = first.clone();
        later.retain(|key, _| !self.answer.extra_fields.contains_key(key));
        let mut steps = Vec::with_capacity(deltas.len().saturating_add(2));
        for (index, (delta, finish_reason)) in deltas.into_iter().enumerate() {
            let mut frame = if index == 0 { first.clone() } else { later.clone() };
            let choice =
                json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason});
            frame.insert("choices".to_owned(), json!([choice]));
            steps.push(event(Value::Object(frame)));
        }
        if with_usage {
            later.insert("choices".to_owned(), json!([]));
            later.insert("usage".to_owned(), self.usage.clone());
            steps.push(event(Value::Object(later)));
        }
        steps.push(Step::Send(Bytes::from_static(b"data: [DONE]\n\n")));
        steps
    }
}

fn event(frame: Value) -> Step {
    Step::Send(Bytes::from(format!("data: {frame}\n\n")))
}
