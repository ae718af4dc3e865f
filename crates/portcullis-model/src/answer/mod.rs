//! A model's answer: the allow-list of what may come back.
//!
//! [`read`] makes these types from an upstream's bytes: fields that are not named here are dropped, fields of the wrong
//! type refuse the frame. They are written anew from here, so nothing else passes. `Debug` shows no text of them.

mod assemble;
pub(crate) mod read;

use std::fmt;

use serde::Serialize;

pub use assemble::Assembler;

use crate::request::ToolCall;

/// The frame that ends a stream.
pub const DONE_FRAME: &[u8] = b"data: [DONE]\n\n";

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "object", rename = "chat.completion")]
pub struct Completion {
    /// The upstream's name for the answer, in plain characters. Upstream words all the same: replace it before release.
    pub id: String,
    /// When it was made, in seconds since 1970, as the upstream says.
    pub created: u64,
    /// The model that made it, as the upstream says.
    pub model: String,
    /// The answers, as many as the request's `n`.
    pub choices: Vec<Choice>,
    /// The tokens used, as the upstream says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// One of the answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// Its place among the answers.
    pub index: u32,
    /// What is said.
    pub message: AnswerMessage,
    /// Why it ends.
    pub finish_reason: Option<FinishReason>,
}

/// What is said in an answer.
#[derive(Clone, PartialEq, Eq, Default, Serialize)]
pub struct AnswerMessage {
    /// Always the assistant's.
    pub role: AnswerRole,
    /// The text.
    pub content: Option<String>,
    /// The model's thinking, where it shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    /// The model's own refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// The tools it asks for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
}

impl AnswerMessage {
    /// How many bytes of text the model made for it.
    pub fn text_bytes(&self) -> usize {
        let texts = [&self.content, &self.reasoning_content, &self.refusal];
        let calls =
            self.tool_calls.iter().map(|call| call.function.name.len() + call.function.arguments.len());
        texts.into_iter().flatten().map(String::len).chain(calls).sum()
    }
}

/// Whose turn an answer is: there is one choice, whatever the upstream writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AnswerRole {
    /// The model's.
    #[default]
    Assistant,
}

/// Why an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model was done, or gave a reason that is not known here.
    Stop,
    /// The token limit was reached.
    Length,
    /// The model waits for its tools.
    ToolCalls,
    /// The upstream's filter stopped it.
    ContentFilter,
}

/// The tokens used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Usage {
    /// In the request.
    pub prompt_tokens: u32,
    /// In the answer.
    pub completion_tokens: u32,
    /// Together, as the upstream says: not always the sum.
    pub total_tokens: u32,
}

/// One frame of a streamed answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "object", rename = "chat.completion.chunk")]
pub struct Chunk {
    /// The upstream's name for the answer, in plain characters. Upstream words all the same: replace it before release.
    pub id: String,
    /// When the answer was made, in seconds since 1970, as the upstream says.
    pub created: u64,
    /// The model that makes it, as the upstream says.
    pub model: String,
    /// What is new. Empty in the frame that holds the usage.
    pub choices: Vec<ChunkChoice>,
    /// The tokens used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// What is new in one of the answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChunkChoice {
    /// The answer's place among the answers.
    pub index: u32,
    /// What is added to it.
    pub delta: Delta,
    /// Why it ends, in its last frame.
    pub finish_reason: Option<FinishReason>,
}

/// What is added to an answer.
#[derive(Clone, PartialEq, Eq, Default, Serialize)]
pub struct Delta {
    /// In the first frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<AnswerRole>,
    /// More text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// More of the model's thinking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    /// More of the model's own refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// More of the calls it makes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<CallDelta>,
}

impl Delta {
    /// How many bytes of text the model made for it.
    pub fn text_bytes(&self) -> usize {
        let texts = [&self.content, &self.reasoning_content, &self.refusal];
        let calls = self.tool_calls.iter().flat_map(|call| [&call.function.name, &call.function.arguments]);
        texts.into_iter().chain(calls).flatten().map(String::len).sum()
    }
}

/// A part of a call of a tool.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct CallDelta {
    /// The call's place among the calls of the answer.
    pub index: u32,
    /// In the first part, what the tool's answer refers to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// In the first part.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<CallKind>,
    /// The function and more of its arguments.
    pub function: FunctionDelta,
}

/// What is called: there is one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CallKind {
    /// A function.
    Function,
}

/// A part of a function call.
#[derive(Clone, PartialEq, Eq, Default, Serialize)]
pub struct FunctionDelta {
    /// In the first part, the function's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// More of the arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arguments: Option<String>,
}

impl Completion {
    /// The answer as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        // Writing strings and numbers to memory cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The answer as the frames of a stream: one for each choice, and one for the usage.
    pub fn into_chunks(self) -> Vec<Chunk> {
        let Self { id, created, model, choices, usage } = self;
        let frame = |choices, usage| Chunk { id: id.clone(), created, model: model.clone(), choices, usage };
        let mut chunks: Vec<Chunk> =
            choices.into_iter().map(|choice| frame(vec![choice.into_chunk_choice()], None)).collect();
        if usage.is_some() {
            chunks.push(frame(Vec::new(), usage));
        }
        chunks
    }
}

impl Choice {
    fn into_chunk_choice(self) -> ChunkChoice {
        let AnswerMessage { role, content, reasoning_content, refusal, tool_calls } = self.message;
        let tool_calls = (0..)
            .zip(tool_calls)
            .map(|(index, call)| CallDelta {
                index,
                id: Some(call.id),
                kind: Some(CallKind::Function),
                function: FunctionDelta {
                    name: Some(call.function.name),
                    arguments: Some(call.function.arguments),
                },
            })
            .collect();
        let delta = Delta { role: Some(role), content, reasoning_content, refusal, tool_calls };
        ChunkChoice { index: self.index, delta, finish_reason: self.finish_reason }
    }
}

/// The size of a text that is not to be shown.
struct Size<'a>(&'a Option<String>);

impl fmt::Debug for Size<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(text) => write!(f, "<{} bytes>", text.len()),
            None => f.write_str("none"),
        }
    }
}

impl fmt::Debug for AnswerMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerMessage")
            .field("content", &Size(&self.content))
            .field("reasoning_content", &Size(&self.reasoning_content))
            .field("refusal", &Size(&self.refusal))
            .field("tool_calls", &self.tool_calls)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Delta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delta")
            .field("content", &Size(&self.content))
            .field("reasoning_content", &Size(&self.reasoning_content))
            .field("refusal", &Size(&self.refusal))
            .field("tool_calls", &self.tool_calls)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CallDelta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallDelta")
            .field("index", &self.index)
            .field("function", &self.function)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for FunctionDelta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionDelta").field("arguments", &Size(&self.arguments)).finish_non_exhaustive()
    }
}
