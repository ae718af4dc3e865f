//! From an upstream's bytes to the allow-listed types.
//!
//! Lenient where upstreams differ (a missing id, `null` for an empty text, fields that nobody else has) and strict where
//! a hostile one could do harm (types, sizes, counts, numbers that do not fit).

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

use super::{
    AnswerMessage, AnswerRole, CallDelta, CallKind, Choice, Chunk, ChunkChoice, Completion, Delta,
    FinishReason, FunctionDelta, Usage,
};
use crate::error::{Kind, ModelError, Rejection};
use crate::model::ModelInfo;
use crate::request::{FunctionCall, ToolCall};

/// Most answers in one reply, and most calls in one answer: the highest that a request may ask for.
const MOST: usize = 128;
/// Most models in a list.
const MOST_MODELS: usize = 4096;
/// Longest id or name that is kept, in bytes.
const LONGEST_NAME: usize = 256;

/// Reads one frame of a stream.
pub(crate) fn chunk(bytes: &[u8]) -> Result<Chunk, ModelError> {
    let wire: WireChunk<'_> = parse(bytes)?;
    if let Some(error) = wire.error {
        return Err(error.into_error(None));
    }
    let choices = wire.choices.ok_or_else(|| ModelError::malformed("a frame without `choices`"))?;
    Ok(Chunk {
        id: plain(&wire.id),
        created: wire.created.unwrap_or(0),
        model: plain(&wire.model),
        choices: choices.0.into_iter().map(WireChunkChoice::into_choice).collect::<Result<_, _>>()?,
        usage: wire.usage.map(Usage::from),
    })
}

/// Reads a whole answer.
pub(crate) fn completion(bytes: &[u8]) -> Result<Completion, ModelError> {
    let wire: WireCompletion<'_> = parse(bytes)?;
    if let Some(error) = wire.error {
        return Err(error.into_error(None));
    }
    let choices = wire.choices.ok_or_else(|| ModelError::malformed("an answer without `choices`"))?;
    if choices.0.is_empty() {
        return Err(ModelError::malformed("an answer whose `choices` are empty"));
    }
    Ok(Completion {
        id: plain(&wire.id),
        created: wire.created.unwrap_or(0),
        model: plain(&wire.model),
        choices: choices.0.into_iter().map(WireChoice::into_choice).collect::<Result<_, _>>()?,
        usage: wire.usage.map(Usage::from),
    })
}

/// Reads a list of models.
pub(crate) fn models(bytes: &[u8]) -> Result<Vec<ModelInfo>, ModelError> {
    let wire: WireModels<'_> = parse(bytes)?;
    let info = |wire: WireModel<'_>| ModelInfo { id: plain(&wire.id), created: wire.created.unwrap_or(0) };
    Ok(wire.data.0.into_iter().map(info).filter(|info| !info.id.is_empty()).collect())
}

/// Reads the body of an error answer for its code; its words are left behind.
pub(crate) fn refusal(status: u16, bytes: &[u8]) -> ModelError {
    let error = parse::<WireRefusal<'_>>(bytes).ok().and_then(|wire| wire.error);
    error.unwrap_or_default().into_error(Some(status))
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, ModelError> {
    // Checked once for all of it, which is faster than string by string.
    let text = std::str::from_utf8(bytes).map_err(|_| ModelError::malformed("not UTF-8"))?;
    // The error's own words are left out: they quote what was found, which may be a text.
    serde_json::from_str(text).map_err(|error| {
        ModelError::malformed(match error.classify() {
            serde_json::error::Category::Data => "a field has the wrong type, stands twice or is missing",
            _ => "not JSON",
        })
    })
}

/// An id or a name as it may be passed on: printable ASCII, bounded.
fn plain(text: &Option<Cow<'_, str>>) -> String {
    let Some(text) = text else { return String::new() };
    if text.len() <= LONGEST_NAME && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return text.clone().into_owned();
    }
    text.chars().filter(char::is_ascii_graphic).take(LONGEST_NAME).collect()
}

fn place(index: Option<u32>) -> Result<u32, ModelError> {
    match index.unwrap_or(0) {
        index if usize::try_from(index).is_ok_and(|index| index < MOST) => Ok(index),
        _ => Err(ModelError::malformed("an `index` that is too high")),
    }
}

fn finish_reason(reason: Option<Cow<'_, str>>) -> Option<FinishReason> {
    Some(match &*reason? {
        "length" => FinishReason::Length,
        "tool_calls" | "function_call" => FinishReason::ToolCalls,
        "content_filter" => FinishReason::ContentFilter,
        // What some servers write for none.
        "" => return None,
        _ => FinishReason::Stop,
    })
}

/// A list of at most `N` items: the reading stops at one more, so that a small body cannot become a large list.
struct AtMost<T, const N: usize>(Vec<T>);

impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for AtMost<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T, const N: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for Items<T, N> {
            type Value = AtMost<T, N>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an array of at most {N} items")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<AtMost<T, N>, A::Error> {
                // Nearly every frame holds exactly one.
                let mut list = Vec::with_capacity(1);
                while let Some(item) = items.next_element()? {
                    if list.len() >= N {
                        return Err(de::Error::invalid_length(list.len(), &self));
                    }
                    list.push(item);
                }
                Ok(AtMost(list))
            }
        }
        deserializer.deserialize_seq(Items(PhantomData))
    }
}

#[derive(serde::Deserialize)]
struct WireChunk<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(default)]
    created: Option<u64>,
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    choices: Option<AtMost<WireChunkChoice<'a>, MOST>>,
    #[serde(default)]
    usage: Option<WireUsage>,
    #[serde(borrow, default)]
    error: Option<WireError<'a>>,
}

#[derive(serde::Deserialize)]
struct WireChunkChoice<'a> {
    #[serde(default)]
    index: Option<u32>,
    #[serde(borrow, default)]
    delta: Option<WireDelta<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
}

#[derive(serde::Deserialize, Default)]
struct WireDelta<'a> {
    #[serde(borrow, default)]
    role: Option<Cow<'a, str>>,
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    reasoning_content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(borrow, default)]
    tool_calls: Option<AtMost<WireCall<'a>, MOST>>,
}

#[derive(serde::Deserialize)]
struct WireCall<'a> {
    #[serde(default)]
    index: Option<u32>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    function: Option<WireFunction<'a>>,
}

#[derive(serde::Deserialize, Default)]
struct WireFunction<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(default)]
    arguments: Option<String>,
}

#[derive(serde::Deserialize)]
struct WireCompletion<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(default)]
    created: Option<u64>,
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    choices: Option<AtMost<WireChoice<'a>, MOST>>,
    #[serde(default)]
    usage: Option<WireUsage>,
    #[serde(borrow, default)]
    error: Option<WireError<'a>>,
}

#[derive(serde::Deserialize)]
struct WireChoice<'a> {
    #[serde(default)]
    index: Option<u32>,
    #[serde(borrow)]
    message: WireDelta<'a>,
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
}

#[derive(serde::Deserialize)]
struct WireUsage {
    #[serde(default)]
    prompt_tokens: Option<u32>,
    #[serde(default)]
    completion_tokens: Option<u32>,
    #[serde(default)]
    total_tokens: Option<u32>,
}

#[derive(serde::Deserialize)]
struct WireModels<'a> {
    #[serde(borrow)]
    data: AtMost<WireModel<'a>, MOST_MODELS>,
}

#[derive(serde::Deserialize)]
struct WireModel<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(default)]
    created: Option<u64>,
}

#[derive(serde::Deserialize)]
struct WireRefusal<'a> {
    #[serde(borrow, default)]
    error: Option<WireError<'a>>,
}

/// An upstream's error. Some send an object, some a bare text; codes are texts or numbers.
#[derive(Default)]
struct WireError<'a> {
    kind: Option<Cow<'a, str>>,
    code: Option<Cow<'a, str>>,
    /// Read only to recognise a request that is too long; never kept.
    message: Option<Cow<'a, str>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for WireError<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Scalar<'a> {
            Text(#[serde(borrow)] Cow<'a, str>),
            Number(i64),
            Other(de::IgnoredAny),
        }
        #[derive(serde::Deserialize)]
        struct Object<'a> {
            #[serde(borrow, default, rename = "type")]
            kind: Option<Scalar<'a>>,
            #[serde(borrow, default)]
            code: Option<Scalar<'a>>,
            #[serde(borrow, default)]
            message: Option<Scalar<'a>>,
        }
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Either<'a> {
            Object(#[serde(borrow)] Object<'a>),
            Other(#[serde(borrow)] Scalar<'a>),
        }
        let text = |scalar| match scalar {
            Scalar::Text(text) => Some(text),
            Scalar::Number(number) => Some(Cow::Owned(number.to_string())),
            Scalar::Other(de::IgnoredAny) => None,
        };
        Ok(match Either::deserialize(deserializer)? {
            Either::Object(object) => Self {
                kind: object.kind.and_then(text),
                code: object.code.and_then(text),
                message: object.message.and_then(text),
            },
            Either::Other(scalar) => Self { kind: None, code: None, message: text(scalar) },
        })
    }
}

impl WireError<'_> {
    /// Sorts the error by status and code. Within a stream there is no status, and a code may be one.
    fn into_error(self, status: Option<u16>) -> ModelError {
        let code = self.code.as_deref().or(self.kind.as_deref());
        let says = |wanted: &str| {
            [&self.code, &self.kind]
                .into_iter()
                .any(|text| text.as_deref().is_some_and(|t| t.contains(wanted)))
        };
        let number = status.or_else(|| self.code.as_deref().and_then(|code| code.parse().ok()));
        let kind = match number {
            _ if says("context_length") || says("exceed_context") || self.speaks_of_context() => {
                Kind::Rejected(Rejection::ContextLength)
            }
            Some(401 | 403) => Kind::Unauthorised,
            Some(404) => Kind::Rejected(Rejection::NotFound),
            Some(429 | 529) => Kind::Overloaded { retry_after: None },
            Some(408 | 500..=599) => Kind::Unavailable,
            Some(400..=499) => Kind::Rejected(Rejection::Other),
            Some(_) => Kind::Malformed,
            None if says("rate_limit") || says("overloaded") || says("insufficient_quota") => {
                Kind::Overloaded { retry_after: None }
            }
            None if says("invalid_request") => Kind::Rejected(Rejection::Other),
            None => Kind::Unavailable,
        };
        let error = ModelError::new(kind).code_was(code);
        match status {
            Some(status) => error.status_was(status),
            None => error,
        }
    }

    fn speaks_of_context(&self) -> bool {
        self.message.as_deref().is_some_and(|message| {
            ["maximum context length", "context window", "context size", "context length"]
                .iter()
                .any(|phrase| message.contains(phrase))
        })
    }
}

impl From<WireUsage> for Usage {
    fn from(wire: WireUsage) -> Self {
        let (prompt_tokens, completion_tokens) =
            (wire.prompt_tokens.unwrap_or(0), wire.completion_tokens.unwrap_or(0));
        let total_tokens = wire.total_tokens.unwrap_or(prompt_tokens.saturating_add(completion_tokens));
        Self { prompt_tokens, completion_tokens, total_tokens }
    }
}

impl WireChunkChoice<'_> {
    fn into_choice(self) -> Result<ChunkChoice, ModelError> {
        let delta = self.delta.unwrap_or_default();
        let calls = delta.tool_calls.map_or_else(Vec::new, |calls| calls.0);
        let delta = Delta {
            role: delta.role.map(|_| AnswerRole::Assistant),
            content: delta.content,
            reasoning_content: delta.reasoning_content,
            refusal: delta.refusal,
            tool_calls: calls.into_iter().map(WireCall::into_delta).collect::<Result<_, _>>()?,
        };
        Ok(ChunkChoice { index: place(self.index)?, delta, finish_reason: finish_reason(self.finish_reason) })
    }
}

impl WireCall<'_> {
    fn into_delta(self) -> Result<CallDelta, ModelError> {
        let function = self.function.unwrap_or_default();
        Ok(CallDelta {
            index: place(self.index)?,
            kind: self.id.as_ref().map(|_| CallKind::Function),
            id: self.id.is_some().then(|| plain(&self.id)),
            function: FunctionDelta {
                name: function.name.is_some().then(|| plain(&function.name)),
                arguments: function.arguments,
            },
        })
    }

    fn into_call(self) -> Result<ToolCall, ModelError> {
        let function =
            self.function.ok_or_else(|| ModelError::malformed("a tool call without a function"))?;
        Ok(ToolCall {
            id: plain(&self.id),
            function: FunctionCall {
                name: plain(&function.name),
                arguments: function.arguments.unwrap_or_default(),
            },
        })
    }
}

impl WireChoice<'_> {
    fn into_choice(self) -> Result<Choice, ModelError> {
        let WireDelta { role: _, content, reasoning_content, refusal, tool_calls } = self.message;
        let calls = tool_calls.map_or_else(Vec::new, |calls| calls.0);
        let message = AnswerMessage {
            role: AnswerRole::Assistant,
            content,
            reasoning_content,
            refusal,
            tool_calls: calls.into_iter().map(WireCall::into_call).collect::<Result<_, _>>()?,
        };
        Ok(Choice { index: place(self.index)?, message, finish_reason: finish_reason(self.finish_reason) })
    }
}

#[cfg(test)]
mod tests;
