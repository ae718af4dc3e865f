//! From outside bytes to a [`ChatRequest`], or to the reason why not.
//!
//! `null` counts as absent, as the public clients send it. Whatever is not read here by name is refused by name.

use super::problem::shown;
use super::{
    ChatRequest, Content, FunctionCall, FunctionSpec, JsonSchema, Message, MessageRole, ProblemCode,
    RequestProblem, ResponseFormat, TextPart, Tool, ToolCall, ToolChoice,
};
use crate::json::{Flaw, Json, MAX_DEPTH};

/// Most messages in a request.
const MAX_MESSAGES: usize = 4096;
/// Most parts of one message.
const MAX_PARTS: usize = 1024;
/// Most tools in a request, and most calls in a message; the public API's own limit.
const MAX_TOOLS: usize = 128;
/// Most texts that end an answer; the public API's own limit.
const MAX_STOPS: usize = 4;
/// Longest model name, user name, call id and stop text, in bytes.
const MAX_NAME_BYTES: usize = 256;

/// Fields that the public clients add, empty, when they send an assistant's earlier turn back.
const EMPTY_ECHOES: [&str; 4] = ["refusal", "annotations", "audio", "function_call"];

/// Reads a chat request.
///
/// # Errors
/// The first problem found, with the parameter it is about. It repeats no value of the request.
pub fn parse_request(body: &[u8]) -> Result<ChatRequest, RequestProblem> {
    let json = Json::parse(body).map_err(from_flaw)?;
    let mut fields = Fields::of(json, "the body")?;
    let model = fields.required("model", name)?;
    let messages = fields.required("messages", |json| {
        let messages = list(json, MAX_MESSAGES, message)?;
        if messages.is_empty() { Err(invalid("must hold at least one message")) } else { Ok(messages) }
    })?;
    let mut request = ChatRequest::new(model, messages);

    request.stream = fields.optional("stream", boolean)?.unwrap_or(false);
    if let Some(options) = fields.optional("stream_options", stream_options)? {
        if !request.stream {
            return Err(invalid("is allowed only together with `stream: true`").within("stream_options"));
        }
        request.include_usage = options;
    }
    request.temperature = fields.optional("temperature", |json| number(json, 0.0, 2.0))?;
    request.top_p = fields.optional("top_p", |json| number(json, 0.0, 1.0))?;
    request.max_tokens = fields.optional("max_tokens", |json| integer(json, 1, u32::MAX))?;
    request.max_completion_tokens =
        fields.optional("max_completion_tokens", |json| integer(json, 1, u32::MAX))?;
    if request.max_tokens.is_some() && request.max_completion_tokens.is_some() {
        return Err(
            invalid("cannot be combined with `max_completion_tokens`, send one of them").within("max_tokens")
        );
    }
    request.stop = fields.optional("stop", stop)?.unwrap_or_default();
    request.seed = fields.optional("seed", signed)?;
    request.n = fields.optional("n", |json| integer(json, 1, 128))?;
    request.presence_penalty = fields.optional("presence_penalty", |json| number(json, -2.0, 2.0))?;
    request.frequency_penalty = fields.optional("frequency_penalty", |json| number(json, -2.0, 2.0))?;
    request.tools = fields.optional("tools", |json| list(json, MAX_TOOLS, tool))?.unwrap_or_default();
    request.tool_choice = fields.optional("tool_choice", tool_choice)?;
    request.response_format = fields.optional("response_format", response_format)?;
    request.user = fields.optional("user", name)?;
    request.parallel_tool_calls = fields.optional("parallel_tool_calls", boolean)?;
    request.logprobs = fields.optional("logprobs", boolean)?;
    request.top_logprobs = fields.optional("top_logprobs", |json| integer(json, 0, 20))?;
    fields.none_left()?;
    Ok(request)
}

fn from_flaw(flaw: Flaw) -> RequestProblem {
    match flaw {
        Flaw::NotUtf8 { at } => RequestProblem::new(
            ProblemCode::InvalidJson,
            format!("the body must be UTF-8, found another byte at offset {at}"),
        ),
        Flaw::Syntax { line, column } => RequestProblem::new(
            ProblemCode::InvalidJson,
            format!("the body must be one JSON object, it cannot be read at line {line}, column {column}"),
        ),
        Flaw::TooDeep => RequestProblem::new(
            ProblemCode::InvalidJson,
            format!("the body must not be nested deeper than {MAX_DEPTH} levels"),
        ),
        Flaw::DuplicateKey(key) => {
            RequestProblem::new(ProblemCode::DuplicateKey, "stands twice in one object, once is wanted")
                .within(&shown(&key))
        }
    }
}

fn invalid(message: impl Into<String>) -> RequestProblem {
    RequestProblem::new(ProblemCode::InvalidValue, message)
}

fn mistyped(found: &Json, wanted: &str) -> RequestProblem {
    RequestProblem::new(ProblemCode::InvalidType, format!("must be {wanted}, found {}", found.type_name()))
}

/// The fields of one object, each to be taken once; what is left over is unknown.
struct Fields(Vec<(String, Json)>);

impl Fields {
    fn of(json: Json, what: &str) -> Result<Self, RequestProblem> {
        match json {
            Json::Object(fields) => Ok(Self(fields)),
            other => Err(RequestProblem::new(
                ProblemCode::InvalidType,
                format!("{what} must be an object, found {}", other.type_name()),
            )),
        }
    }

    fn optional<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(Json) -> Result<T, RequestProblem>,
    ) -> Result<Option<T>, RequestProblem> {
        let Some(index) = self.0.iter().position(|(name, _)| name == key) else { return Ok(None) };
        match self.0.swap_remove(index).1 {
            Json::Null => Ok(None),
            value => read(value).map(Some).map_err(|problem| problem.within(key)),
        }
    }

    fn required<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(Json) -> Result<T, RequestProblem>,
    ) -> Result<T, RequestProblem> {
        self.optional(key, read)?
            .ok_or_else(|| RequestProblem::new(ProblemCode::MissingParameter, "is required").within(key))
    }

    fn none_left(self) -> Result<(), RequestProblem> {
        match self.0.first() {
            None => Ok(()),
            Some((key, _)) => Err(RequestProblem::new(
                ProblemCode::UnknownParameter,
                "is not a parameter that is known here",
            )
            .within(&shown(key))),
        }
    }
}

fn text(json: Json) -> Result<String, RequestProblem> {
    match json {
        Json::Text(text) => Ok(text),
        other => Err(mistyped(&other, "a string")),
    }
}

fn name(json: Json) -> Result<String, RequestProblem> {
    let name = text(json)?;
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        return Err(invalid(format!("must be 1 to {MAX_NAME_BYTES} bytes without control characters")));
    }
    Ok(name)
}

/// A name that a model reads as a word: of a speaker, a function or a schema.
fn word(json: Json) -> Result<String, RequestProblem> {
    let word = text(json)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if word.is_empty() || word.len() > 64 || !word.bytes().all(plain) {
        return Err(invalid("must be 1 to 64 letters, digits, `_`, `-` or `.`"));
    }
    Ok(word)
}

fn boolean(json: Json) -> Result<bool, RequestProblem> {
    match json {
        Json::Bool(value) => Ok(value),
        other => Err(mistyped(&other, "a boolean")),
    }
}

fn number(json: Json, least: f64, most: f64) -> Result<f64, RequestProblem> {
    let Json::Number(number) = json else { return Err(mistyped(&json, "a number")) };
    number
        .as_f64()
        .filter(|value| (least..=most).contains(value))
        .ok_or_else(|| invalid(format!("must be from {least} to {most}")))
}

fn integer(json: Json, least: u32, most: u32) -> Result<u32, RequestProblem> {
    let Json::Number(number) = json else { return Err(mistyped(&json, "an integer")) };
    number
        .as_u64()
        .and_then(|value| u32::try_from(value).ok())
        .filter(|value| (least..=most).contains(value))
        .ok_or_else(|| invalid(format!("must be a whole number from {least} to {most}")))
}

fn signed(json: Json) -> Result<i64, RequestProblem> {
    let Json::Number(number) = json else { return Err(mistyped(&json, "an integer")) };
    number.as_i64().ok_or_else(|| invalid("must be a whole number of at most 64 bits"))
}

fn list<T>(
    json: Json,
    most: usize,
    read: impl Fn(Json) -> Result<T, RequestProblem>,
) -> Result<Vec<T>, RequestProblem> {
    let Json::List(items) = json else { return Err(mistyped(&json, "an array")) };
    if items.len() > most {
        return Err(invalid(format!("must hold at most {most} items, found {}", items.len())));
    }
    items
        .into_iter()
        .enumerate()
        .map(|(index, item)| read(item).map_err(|problem| problem.at(index)))
        .collect()
}

fn stream_options(json: Json) -> Result<bool, RequestProblem> {
    let mut fields = Fields::of(json, "the value")?;
    let include_usage = fields.optional("include_usage", boolean)?.unwrap_or(false);
    fields.none_left()?;
    Ok(include_usage)
}

fn stop(json: Json) -> Result<Vec<String>, RequestProblem> {
    let one = |json: Json| {
        let stop = text(json)?;
        if stop.is_empty() || stop.len() > MAX_NAME_BYTES {
            return Err(invalid(format!("must be 1 to {MAX_NAME_BYTES} bytes")));
        }
        Ok(stop)
    };
    match json {
        Json::Text(_) => one(json).map(|stop| vec![stop]),
        Json::List(_) => list(json, MAX_STOPS, one),
        other => Err(mistyped(&other, "a string or an array of strings")),
    }
}

fn message(json: Json) -> Result<Message, RequestProblem> {
    let mut fields = Fields::of(json, "a message")?;
    let role = fields.required("role", |json| {
        MessageRole::parse(&text(json)?)
            .ok_or_else(|| invalid("must be one of `system`, `developer`, `user`, `assistant`, `tool`"))
    })?;
    let content = fields.optional("content", content)?;
    let speaker = fields.optional("name", word)?;
    let (mut tool_calls, mut tool_call_id) = (Vec::new(), None);
    match role {
        MessageRole::Assistant => {
            let calls = fields.optional("tool_calls", |json| list(json, MAX_TOOLS, tool_call))?;
            tool_calls = calls.unwrap_or_default();
            for echo in EMPTY_ECHOES {
                fields.optional(echo, |json| match json {
                    Json::List(items) if items.is_empty() => Ok(()),
                    _ => Err(invalid("is accepted only when it is empty, leave it out")),
                })?;
            }
        }
        MessageRole::Tool => tool_call_id = Some(fields.required("tool_call_id", name)?),
        MessageRole::System | MessageRole::Developer | MessageRole::User => {}
    }
    fields.none_left()?;
    if content.is_none() && tool_calls.is_empty() {
        return Err(RequestProblem::new(ProblemCode::MissingParameter, "is required").within("content"));
    }
    Ok(Message { role, content, name: speaker, tool_call_id, tool_calls })
}

fn content(json: Json) -> Result<Content, RequestProblem> {
    match json {
        Json::Text(text) => Ok(Content::Text(text)),
        Json::List(_) => {
            let parts = list(json, MAX_PARTS, part)?;
            if parts.is_empty() {
                Err(invalid("must hold at least one part"))
            } else {
                Ok(Content::Parts(parts))
            }
        }
        other => Err(mistyped(&other, "a string or an array of text parts")),
    }
}

fn part(json: Json) -> Result<TextPart, RequestProblem> {
    let mut fields = Fields::of(json, "a part")?;
    fields.required("type", |json| exactly(json, "text"))?;
    let text = fields.required("text", text)?;
    fields.none_left()?;
    Ok(TextPart { text })
}

fn exactly(json: Json, wanted: &str) -> Result<(), RequestProblem> {
    if text(json)? == wanted { Ok(()) } else { Err(invalid(format!("must be `{wanted}`"))) }
}

fn tool_call(json: Json) -> Result<ToolCall, RequestProblem> {
    let mut fields = Fields::of(json, "a tool call")?;
    fields.required("type", |json| exactly(json, "function"))?;
    let id = fields.required("id", name)?;
    let function = fields.required("function", |json| {
        let mut fields = Fields::of(json, "a function call")?;
        let call = FunctionCall {
            name: fields.required("name", word)?,
            arguments: fields.required("arguments", text)?,
        };
        fields.none_left()?;
        Ok(call)
    })?;
    // The position in a stream, which some clients leave in when they put the calls together.
    fields.optional("index", |json| integer(json, 0, u32::MAX))?;
    fields.none_left()?;
    Ok(ToolCall { id, function })
}

fn tool(json: Json) -> Result<Tool, RequestProblem> {
    let mut fields = Fields::of(json, "a tool")?;
    fields.required("type", |json| exactly(json, "function"))?;
    let function = fields.required("function", |json| {
        let mut fields = Fields::of(json, "a function")?;
        let function = FunctionSpec {
            name: fields.required("name", word)?,
            description: fields.optional("description", text)?,
            parameters: fields.optional("parameters", schema)?,
            strict: fields.optional("strict", boolean)?,
        };
        fields.none_left()?;
        Ok(function)
    })?;
    fields.none_left()?;
    Ok(Tool { function })
}

fn schema(json: Json) -> Result<Json, RequestProblem> {
    match json {
        Json::Object(_) => Ok(json),
        other => Err(mistyped(&other, "a JSON schema, which is an object")),
    }
}

fn tool_choice(json: Json) -> Result<ToolChoice, RequestProblem> {
    if let Json::Text(text) = &json {
        return match text.as_str() {
            "none" => Ok(ToolChoice::None),
            "auto" => Ok(ToolChoice::Auto),
            "required" => Ok(ToolChoice::Required),
            _ => Err(invalid("must be `none`, `auto`, `required` or a function")),
        };
    }
    let mut fields = Fields::of(json, "the value")?;
    fields.required("type", |json| exactly(json, "function"))?;
    let function = fields.required("function", |json| {
        let mut fields = Fields::of(json, "a function")?;
        let function = fields.required("name", word)?;
        fields.none_left()?;
        Ok(function)
    })?;
    fields.none_left()?;
    Ok(ToolChoice::Function(function))
}

fn response_format(json: Json) -> Result<ResponseFormat, RequestProblem> {
    let mut fields = Fields::of(json, "the value")?;
    let format = match fields.required("type", text)?.as_str() {
        "text" => ResponseFormat::Text,
        "json_object" => ResponseFormat::JsonObject,
        "json_schema" => ResponseFormat::JsonSchema {
            json_schema: fields.required("json_schema", |json| {
                let mut fields = Fields::of(json, "the value")?;
                let named = JsonSchema {
                    name: fields.required("name", word)?,
                    description: fields.optional("description", text)?,
                    schema: fields.optional("schema", schema)?,
                    strict: fields.optional("strict", boolean)?,
                };
                fields.none_left()?;
                Ok(named)
            })?,
        },
        _ => return Err(invalid("must be `text`, `json_object` or `json_schema`").within("type")),
    };
    fields.none_left()?;
    Ok(format)
}
