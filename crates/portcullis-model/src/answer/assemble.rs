//! From the frames of a stream to the whole answer.

use std::collections::BTreeMap;

use super::{AnswerMessage, CallDelta, Choice, Chunk, Completion, FinishReason, Usage};
use crate::error::{Kind, ModelError};
use crate::request::{FunctionCall, ToolCall};

/// Puts frames together. What it keeps is bounded.
#[derive(Debug)]
pub struct Assembler {
    limit: usize,
    size: usize,
    id: String,
    created: u64,
    model: String,
    choices: BTreeMap<u32, Part>,
    usage: Option<Usage>,
}

#[derive(Debug, Default)]
struct Part {
    message: AnswerMessage,
    calls: BTreeMap<u32, ToolCall>,
    finish_reason: Option<FinishReason>,
}

impl Assembler {
    /// An empty answer that may grow to `limit` bytes of text.
    pub const fn new(limit: usize) -> Self {
        Self {
            limit,
            size: 0,
            id: String::new(),
            created: 0,
            model: String::new(),
            choices: BTreeMap::new(),
            usage: None,
        }
    }

    /// Adds one frame.
    ///
    /// # Errors
    /// [`Kind::TooLarge`] when the answer outgrows the limit.
    pub fn push(&mut self, chunk: &Chunk) -> Result<(), ModelError> {
        if self.id.is_empty() {
            self.id.clone_from(&chunk.id);
            self.created = chunk.created;
        }
        if self.model.is_empty() {
            self.model.clone_from(&chunk.model);
        }
        self.usage = chunk.usage.or(self.usage);
        for choice in &chunk.choices {
            let part = self.choices.entry(choice.index).or_default();
            let delta = &choice.delta;
            let message = &mut part.message;
            for (whole, more) in [
                (&mut message.content, &delta.content),
                (&mut message.reasoning_content, &delta.reasoning_content),
                (&mut message.refusal, &delta.refusal),
            ] {
                if let Some(more) = more {
                    self.size = self.size.saturating_add(more.len());
                    whole.get_or_insert_default().push_str(more);
                }
            }
            for call in &delta.tool_calls {
                self.size = self.size.saturating_add(add_call(&mut part.calls, call));
            }
            part.finish_reason = choice.finish_reason.or(part.finish_reason);
            if self.size > self.limit {
                return Err(ModelError::new(Kind::TooLarge));
            }
        }
        Ok(())
    }

    /// The answer so far.
    ///
    /// # Errors
    /// [`Kind::Malformed`] when no frame held a choice.
    pub fn finish(self) -> Result<Completion, ModelError> {
        if self.choices.is_empty() {
            return Err(ModelError::malformed("a stream without a single choice"));
        }
        let choices = self
            .choices
            .into_iter()
            .map(|(index, part)| {
                let mut message = part.message;
                message.tool_calls = part.calls.into_values().collect();
                Choice { index, message, finish_reason: part.finish_reason }
            })
            .collect();
        Ok(Completion { id: self.id, created: self.created, model: self.model, choices, usage: self.usage })
    }
}

/// Adds to the call of that place, and gives the number of bytes added.
fn add_call(calls: &mut BTreeMap<u32, ToolCall>, delta: &CallDelta) -> usize {
    let call = calls.entry(delta.index).or_insert_with(|| ToolCall {
        id: String::new(),
        function: FunctionCall { name: String::new(), arguments: String::new() },
    });
    // Servers repeat id and name in later parts or leave them out; only arguments grow.
    if let Some(id) = delta.id.as_ref().filter(|_| call.id.is_empty()) {
        call.id.clone_from(id);
    }
    if let Some(name) = delta.function.name.as_ref().filter(|_| call.function.name.is_empty()) {
        call.function.name.clone_from(name);
    }
    let arguments = delta.function.arguments.as_deref().unwrap_or_default();
    call.function.arguments.push_str(arguments);
    // An empty part still makes an entry, so that endless empty calls count too.
    arguments.len().saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::Assembler;
    use crate::answer::read;
    use crate::error::Kind;

    fn assemble(frames: &[&str], limit: usize) -> Result<crate::Completion, crate::ModelError> {
        let mut assembler = Assembler::new(limit);
        for frame in frames {
            assembler.push(&read::chunk(frame.as_bytes()).unwrap())?;
        }
        assembler.finish()
    }

    #[test]
    fn frames_become_the_answer_they_came_from() {
        let answer = assemble(
            &[
                r#"{"id":"x","created":7,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"content":"Hel","reasoning_content":"hm"}},{"index":1,"delta":{"content":"Yo"}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"content":"lo","tool_calls":[{"index":1,"id":"b","function":{"name":"g","arguments":"{}"}},{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"a\""}}]}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]},"finish_reason":"tool_calls"}]}"#,
                r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#,
            ],
            100,
        )
        .unwrap();
        let wanted = serde_json::json!({
            "object": "chat.completion", "id": "x", "created": 7, "model": "m",
            "choices": [
                {"index": 0, "finish_reason": "tool_calls", "message": {
                    "role": "assistant", "content": "Hello", "reasoning_content": "hm",
                    "tool_calls": [
                        {"type": "function", "id": "a", "function": {"name": "f", "arguments": "{\"a\":1}"}},
                        {"type": "function", "id": "b", "function": {"name": "g", "arguments": "{}"}},
                    ]}},
                {"index": 1, "finish_reason": null, "message": {"role": "assistant", "content": "Yo"}},
            ],
            "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
        });
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&answer.to_json()).unwrap(), wanted);

        let mut again = Assembler::new(100);
        for chunk in answer.clone().into_chunks() {
            again.push(&chunk).unwrap();
        }
        assert_eq!(again.finish().unwrap(), answer);
    }

    #[test]
    fn an_answer_cannot_outgrow_its_limit_and_cannot_be_made_of_nothing() {
        let frame = r#"{"choices":[{"delta":{"content":"0123456789"}}]}"#;
        assert!(assemble(&[frame; 3], 30).is_ok());
        assert_eq!(assemble(&[frame; 4], 30).unwrap_err().kind(), Kind::TooLarge);
        let empty_call = r#"{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}"#;
        assert_eq!(assemble(&[empty_call; 31], 30).unwrap_err().kind(), Kind::TooLarge);
        assert_eq!(assemble(&[r#"{"choices":[]}"#], 30).unwrap_err().kind(), Kind::Malformed);
    }
}
