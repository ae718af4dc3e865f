//! A chat request: the allow-list of what a caller may ask for and of what an upstream is sent.
//!
//! [`parse_request`] makes one from outside bytes and refuses everything it does not know; [`ChatRequest::to_json`]
//! writes the allow-listed fields and nothing else. Who may use which field (`system` messages, tools, `n` above 1) is
//! decided by the guards, not here.

mod parse;
mod problem;

use std::borrow::Cow;
use std::fmt;

use serde::Serialize as DeriveSerialize;
use serde::ser::{Serialize, SerializeStruct as _, Serializer};

pub use parse::parse_request;
pub use problem::{ProblemCode, RequestProblem};

use crate::json::Json;

/// One chat request. `Debug` shows no text of it.
#[derive(Clone, PartialEq)]
pub struct ChatRequest {
    /// The model's name.
    pub model: String,
    /// The conversation, oldest first. Never empty when parsed.
    pub messages: Vec<Message>,
    /// Whether the caller wants the answer as a stream.
    pub stream: bool,
    /// `stream_options.include_usage`: whether a stream is to end with the tokens used.
    pub include_usage: bool,
    /// 0 to 2.
    pub temperature: Option<f64>,
    /// 0 to 1.
    pub top_p: Option<f64>,
    /// Most tokens to make; the older of two names, never both.
    pub max_tokens: Option<u32>,
    /// Most tokens to make, reasoning included.
    pub max_completion_tokens: Option<u32>,
    /// Texts that end the answer, at most four.
    pub stop: Vec<String>,
    /// For answers that repeat, as far as the model can.
    pub seed: Option<i64>,
    /// How many answers to make.
    pub n: Option<u32>,
    /// -2 to 2.
    pub presence_penalty: Option<f64>,
    /// -2 to 2.
    pub frequency_penalty: Option<f64>,
    /// Functions that the model may ask to have called.
    pub tools: Vec<Tool>,
    /// Which of the tools to use.
    pub tool_choice: Option<ToolChoice>,
    /// The form of the answer.
    pub response_format: Option<ResponseFormat>,
    /// The caller's name for its own user.
    pub user: Option<String>,
    /// Whether several tools may be called at once.
    pub parallel_tool_calls: Option<bool>,
    /// Whether to compute token probabilities. They are never part of a rebuilt answer.
    pub logprobs: Option<bool>,
    /// How many probabilities a token.
    pub top_logprobs: Option<u32>,
}

/// One turn of the conversation. `Debug` shows no text of it.
#[derive(Clone, PartialEq, DeriveSerialize)]
pub struct Message {
    /// Who speaks.
    pub role: MessageRole,
    /// What is said; nothing only in an assistant's turn that calls tools.
    pub content: Option<Content>,
    /// The speaker's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// In a tool's turn, the call that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// In an assistant's turn, the calls it made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, DeriveSerialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageRole {
    /// The operator's instructions.
    System,
    /// The same under its newer name.
    Developer,
    /// The person who asks.
    User,
    /// The model.
    Assistant,
    /// What a tool gave.
    Tool,
}

/// What is said in one turn.
#[derive(Clone, PartialEq, Eq, DeriveSerialize)]
#[serde(untagged)]
pub enum Content {
    /// One text.
    Text(String),
    /// Several texts that belong together.
    Parts(Vec<TextPart>),
}

/// One text of several.
#[derive(Clone, PartialEq, Eq, DeriveSerialize)]
#[serde(tag = "type", rename = "text")]
pub struct TextPart {
    /// The text.
    pub text: String,
}

/// A call of a function.
#[derive(Debug, Clone, PartialEq, Eq, DeriveSerialize)]
#[serde(tag = "type", rename = "function")]
pub struct ToolCall {
    /// What the tool's answer refers to.
    pub id: String,
    /// The function and its arguments.
    pub function: FunctionCall,
}

/// The function of a call. `Debug` shows no arguments.
#[derive(Clone, PartialEq, Eq, DeriveSerialize)]
pub struct FunctionCall {
    /// The function's name.
    pub name: String,
    /// Its arguments as the model wrote them: JSON, if the model did well.
    pub arguments: String,
}

/// A tool that the model may ask for.
#[derive(Debug, Clone, PartialEq, DeriveSerialize)]
#[serde(tag = "type", rename = "function")]
pub struct Tool {
    /// The function that it is.
    pub function: FunctionSpec,
}

/// A function as described to the model. `Debug` shows no description.
#[derive(Clone, PartialEq, DeriveSerialize)]
pub struct FunctionSpec {
    /// The function's name.
    pub name: String,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The JSON schema of its arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Json>,
    /// Whether the arguments must follow the schema exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

/// Which tools to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice {
    /// None at all.
    None,
    /// As the model likes.
    Auto,
    /// At least one.
    Required,
    /// The function of that name.
    Function(String),
}

/// The form of the answer.
#[derive(Debug, Clone, PartialEq, DeriveSerialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ResponseFormat {
    /// Text.
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON that follows a schema.
    JsonSchema {
        /// The schema and its name.
        json_schema: JsonSchema,
    },
}

/// A named schema. `Debug` shows no description.
#[derive(Clone, PartialEq, DeriveSerialize)]
pub struct JsonSchema {
    /// The schema's name.
    pub name: String,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The schema itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Json>,
    /// Whether the answer must follow it exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

/// Whether an upstream is asked for a stream or for the whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    Whole,
    Stream,
}

impl ChatRequest {
    /// A request with nothing but a model and messages.
    pub fn new(model: impl Into<String>, messages: Vec<Message>) -> Self {
        Self {
            model: model.into(),
            messages,
            stream: false,
            include_usage: false,
            temperature: None,
            top_p: None,
            max_tokens: None,
            max_completion_tokens: None,
            stop: Vec::new(),
            seed: None,
            n: None,
            presence_penalty: None,
            frequency_penalty: None,
            tools: Vec::new(),
            tool_choice: None,
            response_format: None,
            user: None,
            parallel_tool_calls: None,
            logprobs: None,
            top_logprobs: None,
        }
    }

    /// The most tokens that the request allows, under whichever name.
    pub fn token_limit(&self) -> Option<u32> {
        self.max_completion_tokens.or(self.max_tokens)
    }

    /// Lowers the token limit to `most`, and sets it where there is none. The name that the caller used stays.
    pub fn cap_tokens(&mut self, most: u32) {
        match (&mut self.max_tokens, &mut self.max_completion_tokens) {
            (Some(limit), _) | (None, Some(limit)) => *limit = most.min(*limit),
            (none, None) => *none = Some(most),
        }
    }

    /// The request as JSON, as an upstream would be sent it: the allow-listed fields that are set, and nothing else.
    pub fn to_json(&self) -> Vec<u8> {
        self.for_upstream(if self.stream { Delivery::Stream } else { Delivery::Whole })
    }

    pub(crate) fn for_upstream(&self, delivery: Delivery) -> Vec<u8> {
        let stream = delivery == Delivery::Stream;
        let body = Body {
            model: &self.model,
            messages: &self.messages,
            stream,
            stream_options: (stream && self.include_usage).then_some(StreamOptions { include_usage: true }),
            temperature: self.temperature,
            top_p: self.top_p,
            max_tokens: self.max_tokens,
            max_completion_tokens: self.max_completion_tokens,
            stop: &self.stop,
            seed: self.seed,
            n: self.n,
            presence_penalty: self.presence_penalty,
            frequency_penalty: self.frequency_penalty,
            tools: &self.tools,
            tool_choice: self.tool_choice.as_ref(),
            response_format: self.response_format.as_ref(),
            user: self.user.as_deref(),
            parallel_tool_calls: self.parallel_tool_calls,
            logprobs: self.logprobs,
            top_logprobs: self.top_logprobs,
        };
        // Writing strings, numbers and lists to memory cannot fail: there is no map with keys that are not strings.
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

/// The request on the wire.
#[derive(DeriveSerialize)]
struct Body<'a> {
    model: &'a str,
    messages: &'a [Message],
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<f64>,
    #[serde(skip_serializing_if = "<[Tool]>::is_empty")]
    tools: &'a [Tool],
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<&'a ToolChoice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<&'a ResponseFormat>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_logprobs: Option<u32>,
}

#[derive(DeriveSerialize)]
struct StreamOptions {
    include_usage: bool,
}

impl Message {
    /// A turn of one text.
    pub fn new(role: MessageRole, text: impl Into<String>) -> Self {
        Self {
            role,
            content: Some(Content::Text(text.into())),
            name: None,
            tool_call_id: None,
            tool_calls: Vec::new(),
        }
    }

    /// A turn of the operator.
    pub fn system(text: impl Into<String>) -> Self {
        Self::new(MessageRole::System, text)
    }

    /// A turn of the person who asks.
    pub fn user(text: impl Into<String>) -> Self {
        Self::new(MessageRole::User, text)
    }

    /// A turn of the model.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::new(MessageRole::Assistant, text)
    }

    /// All that is said in the turn; several parts are joined by line ends.
    pub fn text(&self) -> Cow<'_, str> {
        self.content.as_ref().map_or(Cow::Borrowed(""), Content::text)
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl Content {
    /// The text; several parts are joined by line ends.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Parts(parts) => match parts.as_slice() {
                [one] => Cow::Borrowed(&one.text),
                many => Cow::Owned(many.iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join("\n")),
            },
        }
    }
}

impl MessageRole {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "system" => Self::System,
            "developer" => Self::Developer,
            "user" => Self::User,
            "assistant" => Self::Assistant,
            "tool" => Self::Tool,
            _ => return None,
        })
    }
}

impl Serialize for ToolChoice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(DeriveSerialize)]
        struct Named<'a> {
            name: &'a str,
        }
        match self {
            Self::None => serializer.serialize_str("none"),
            Self::Auto => serializer.serialize_str("auto"),
            Self::Required => serializer.serialize_str("required"),
            Self::Function(name) => {
                let mut choice = serializer.serialize_struct("ToolChoice", 2)?;
                choice.serialize_field("type", "function")?;
                choice.serialize_field("function", &Named { name })?;
                choice.end()
            }
        }
    }
}

impl fmt::Debug for ChatRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatRequest")
            .field("messages", &self.messages)
            .field("stream", &self.stream)
            .field("tools", &self.tools.len())
            .field("token_limit", &self.token_limit())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("role", &self.role)
            .field("content", &self.content)
            .field("tool_calls", &self.tool_calls)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.text().len())
    }
}

impl fmt::Debug for TextPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.text.len())
    }
}

impl fmt::Debug for FunctionCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<a call with {} bytes of arguments>", self.arguments.len())
    }
}

impl fmt::Debug for FunctionSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionSpec").field("parameters", &self.parameters).finish_non_exhaustive()
    }
}

impl fmt::Debug for JsonSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonSchema").field("schema", &self.schema).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{ChatRequest, FunctionCall, Message, ToolCall};

    #[test]
    fn debug_shows_no_text_of_a_request() {
        let mut message = Message::user("CANARY");
        message.name = Some("CANARY".into());
        message.tool_calls = vec![ToolCall {
            id: "c1".into(),
            function: FunctionCall { name: "CANARY".into(), arguments: "CANARY".into() },
        }];
        let mut request = ChatRequest::new("m", vec![message]);
        request.user = Some("CANARY".into());
        request.stop = vec!["CANARY".into()];
        assert!(!format!("{request:?} {request:#?}").contains("CANARY"));
    }

    #[test]
    fn a_cap_on_tokens_only_lowers() {
        let mut request = ChatRequest::new("m", vec![Message::user("hi")]);
        request.cap_tokens(100);
        assert_eq!((request.max_tokens, request.token_limit()), (Some(100), Some(100)));
        request.cap_tokens(200);
        assert_eq!(request.token_limit(), Some(100));
        request.max_tokens = None;
        request.max_completion_tokens = Some(500);
        request.cap_tokens(50);
        assert_eq!((request.max_tokens, request.max_completion_tokens), (None, Some(50)));
    }
}
