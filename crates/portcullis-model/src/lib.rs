//! Models behind one trait, the OpenAI chat-completions format, and the test upstreams.
//!
//! What a caller may send is an allow-list ([`parse_request`]), and so is what may come back: an upstream's answer is
//! read into [`Chunk`] or [`Completion`] and written anew from them, so a field that is not theirs never passes.
//! What the *text* of an answer says is not judged here; the release guards do that.
//!
//! Nothing here prints a prompt or an answer: `Debug` of everything that holds text shows lengths only, and errors hold
//! an upstream's status and code, never its words.
//!
//! Start with [`Model`]; [`OpenAi`] is the real one, [`upstream`] holds the hostile and the scripted ones.

mod answer;
mod error;
mod json;
mod model;
mod openai;
mod request;
mod sse;
pub mod upstream;

pub use answer::{
    AnswerMessage, AnswerRole, Assembler, CallDelta, CallKind, Choice, Chunk, ChunkChoice, Completion,
    DONE_FRAME, Delta, FinishReason, FunctionDelta, Usage,
};
pub use error::{Kind, Made, ModelError, Phase, Rejection};
pub use json::Json;
pub use model::{ChunkStream, Model, ModelInfo};
pub use openai::{Bounds, OpenAi, OpenAiOptions, OptionsProblem, Timeouts};
pub use request::{
    ChatRequest, Content, FunctionCall, FunctionSpec, JsonSchema, Message, MessageRole, ProblemCode,
    RequestProblem, ResponseFormat, TextPart, Tool, ToolCall, ToolChoice, parse_request,
};
pub use sse::{Oversize, SseEvent, SseParser};
