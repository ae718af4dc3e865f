//! The client for any OpenAI-compatible upstream.
//!
//! It asks once and never repeats a request: whether to ask again, and who pays, is for its caller to decide. Each part
//! of an answer is waited for within a time-out of its own, and everything that is read is bounded.

mod frames;
mod reply;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Request, Response, Uri};
use portcullis_core::{Secret, lanes};
use portcullis_egress as egress;
use tokio::time::{Instant, timeout_at};

pub(crate) use reply::{Reading, stream_of, whole_of};

use crate::answer::{Completion, read};
use crate::error::{Kind, ModelError, Phase};
use crate::model::{ChunkStream, Model, ModelInfo};
use crate::request::{ChatRequest, Delivery};

/// How long each part of an answer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Name look-up, TCP connection and TLS handshake together.
    pub connect: Duration,
    /// From asking to the first byte of a streamed answer's body.
    pub first_byte: Duration,
    /// Between two arrivals of bytes of a streamed answer; a comment that only keeps the connection open counts.
    pub idle: Duration,
    /// The whole answer, streamed or not.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(60),
            idle: Duration::from_secs(30),
            total: Duration::from_mins(10),
        }
    }
}

/// How much of an answer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// One frame of a stream, in bytes.
    pub frame_bytes: usize,
    /// A whole answer with everything around it, streamed or not, in bytes.
    pub answer_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { frame_bytes: 1 << 20, answer_bytes: 16 << 20 }
    }
}

/// Where the upstream is and how it is asked.
#[derive(Debug, Clone)]
pub struct OpenAiOptions {
    /// The address up to and with the version, such as `http://127.0.0.1:8080/v1`.
    pub base_url: String,
    /// The key, sent as a bearer token. An upstream on the same machine may need none.
    pub key: Option<Secret<String>>,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// How much to read.
    pub bounds: Bounds,
    /// How to connect. The two time-outs in it are taken from `timeouts`.
    pub egress: egress::Options,
}

impl OpenAiOptions {
    /// An upstream at an address that the operator chose: any address may be connected to.
    pub fn new(base_url: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            key: None,
            timeouts: Timeouts::default(),
            bounds: Bounds::default(),
            egress: egress::Options::new(egress::AddressPolicy::Any),
        }
    }
}

/// The options cannot be used. The text names what is wrong and never holds the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OptionsProblem(String);

/// An OpenAI-compatible upstream.
pub struct OpenAi {
    client: egress::Client,
    /// Those of the lanes but the first.
    others: Vec<egress::Client>,
    chat: Uri,
    models: Uri,
    authorization: Option<HeaderValue>,
    timeouts: Timeouts,
    bounds: Bounds,
}

/// Largest list of models that is read, in bytes.
const MODELS_BYTES: usize = 1 << 20;

impl OpenAi {
    /// A client with connections of its own. Nothing is connected to yet.
    ///
    /// # Errors
    /// When the address is not one that requests can be sent to, or the key cannot stand in a header.
    pub fn new(options: OpenAiOptions) -> Result<Self, OptionsProblem> {
        let problem = |text: String| OptionsProblem(text);
        let base: Uri = options.base_url.parse().map_err(|_| {
            problem("the model's base URL must be an address such as `https://host/v1`".into())
        })?;
        let scheme_known = matches!(base.scheme_str(), Some("http" | "https"));
        let authority = base.authority().map_or("", |authority| authority.as_str());
        if !scheme_known || authority.is_empty() {
            return Err(problem(
                "the model's base URL must begin with `http://` or `https://` and a host".into(),
            ));
        }
        if authority.contains('@') {
            return Err(problem(
                "the model's base URL must hold no user name or password, use the key".into(),
            ));
        }
        if base.query().is_some() {
            return Err(problem("the model's base URL must not hold a query".into()));
        }
        let below = |path: &str| -> Result<Uri, OptionsProblem> {
            let root = options.base_url.trim_end_matches('/');
            format!("{root}/{path}")
                .parse()
                .map_err(|_| problem("the model's base URL cannot be extended by a path".into()))
        };
        let authorization = options.key.as_ref().map(|key| {
            HeaderValue::try_from(format!("Bearer {}", key.expose())).map(|mut value| {
                value.set_sensitive(true);
                value
            })
        });
        let authorization = authorization
            .transpose()
            .map_err(|_| problem("the model's key holds characters that a header cannot hold".into()))?;
        let mut egress = options.egress;
        egress.connect_timeout = options.timeouts.connect;
        // An answer that is not streamed begins only when it is complete, so only the whole bounds its head. For a
        // streamed one the first byte is waited for below.
        egress.head_timeout = options.timeouts.total;
        egress
            .user_agent
            .get_or_insert(HeaderValue::from_static(concat!("portcullis/", env!("CARGO_PKG_VERSION"))));
        let client = || egress::Client::new(egress.clone()).map_err(|error| problem(error.to_string()));
        Ok(Self {
            client: client()?,
            others: (1..lanes::most().get()).map(|_| client()).collect::<Result<_, _>>()?,
            chat: below("chat/completions")?,
            models: below("models")?,
            authorization,
            timeouts: options.timeouts,
            bounds: options.bounds,
        })
    }

    /// The client of this lane, with connections of its own: who waits for an answer and who reads it are one thread.
    fn client(&self) -> &egress::Client {
        self.others.get(lanes::here().wrapping_sub(1)).unwrap_or(&self.client)
    }

    async fn ask(
        &self,
        request: &ChatRequest,
        delivery: Delivery,
    ) -> Result<Response<egress::Body>, ModelError> {
        let accept = match delivery {
            Delivery::Whole => "application/json",
            Delivery::Stream => "text/event-stream",
        };
        let mut asked = Request::post(self.chat.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(ACCEPT, HeaderValue::from_static(accept))
            .body(Bytes::from(request.for_upstream(delivery)))
            .map_err(|error| ModelError::new(Kind::Unavailable).cause(error))?;
        self.authorise(&mut asked);
        Ok(self.client().send(asked).await?)
    }

    fn authorise(&self, request: &mut Request<Bytes>) {
        if let Some(value) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, value.clone());
        }
    }

    fn reading(&self) -> Reading {
        Reading::starting_at(Instant::now(), self.timeouts, self.bounds)
    }
}

#[async_trait]
impl Model for OpenAi {
    async fn complete(&self, request: &ChatRequest) -> Result<Completion, ModelError> {
        let reading = self.reading();
        let response = timeout_at(reading.total, self.ask(request, Delivery::Whole))
            .await
            .map_err(|_| ModelError::new(Kind::TimedOut(Phase::Total)))??;
        whole_of(response, &reading).await
    }

    async fn stream(&self, request: &ChatRequest) -> Result<ChunkStream, ModelError> {
        let reading = self.reading();
        let phase = if reading.first_byte < reading.total { Phase::FirstByte } else { Phase::Total };
        let response = timeout_at(reading.first_byte, self.ask(request, Delivery::Stream))
            .await
            .map_err(|_| ModelError::new(Kind::TimedOut(phase)))??;
        stream_of(response, &reading).await
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, ModelError> {
        let mut reading = self.reading();
        reading.total = reading.first_byte;
        reading.bounds.answer_bytes = MODELS_BYTES;
        let mut request = Request::get(self.models.clone())
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .body(Bytes::new())
            .map_err(|error| ModelError::new(Kind::Unavailable).cause(error))?;
        self.authorise(&mut request);
        let response = timeout_at(reading.total, self.client().send(request))
            .await
            .map_err(|_| ModelError::new(Kind::TimedOut(Phase::Total)))??;
        read::models(&reply::accepted(response, &reading).await?)
    }

    async fn ping(&self) -> Result<(), ModelError> {
        self.models().await.map(|_| ())
    }
}

impl fmt::Debug for OpenAi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAi")
            .field("chat", &self.chat)
            .field("timeouts", &self.timeouts)
            .field("bounds", &self.bounds)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use portcullis_core::Secret;

    use super::{OpenAi, OpenAiOptions};

    #[test]
    fn an_address_or_key_that_cannot_be_used_is_refused_without_showing_the_key() {
        for url in [
            "",
            "host/v1",
            "ftp://h/v1",
            "http://",
            "http://u:CANARY@h/v1",
            "http://h/v1?k=CANARY",
            "http://h /",
        ] {
            let problem = OpenAi::new(OpenAiOptions::new(url)).unwrap_err();
            assert!(!problem.to_string().contains("CANARY"), "{url}");
        }
        let mut options = OpenAiOptions::new("http://127.0.0.1:1/v1/");
        assert!(!format!("{options:?}").contains("CANARY"));
        options.key = Some(Secret::new("CANARY".into()));
        let client = OpenAi::new(options.clone()).unwrap();
        assert_eq!(client.chat, "http://127.0.0.1:1/v1/chat/completions");
        assert!(!format!("{options:?} {client:?}").contains("CANARY"));
        options.key = Some(Secret::new("CANARY\n".into()));
        assert!(!OpenAi::new(options).unwrap_err().to_string().contains("CANARY"));
    }
}
