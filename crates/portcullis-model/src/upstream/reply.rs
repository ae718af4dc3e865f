//! What an upstream says, in the wire's own bytes and at its own pace.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use serde_json::{Value, json};
use tokio::time::{Sleep, sleep};

use crate::error::{Kind, ModelError};

/// One step of saying a body.
#[derive(Clone, PartialEq, Eq)]
pub enum Step {
    /// Sends these bytes and flushes them.
    Send(Bytes),
    /// Says nothing for a while.
    Wait(Duration),
    /// Says nothing ever again, and leaves the connection open.
    Hang,
    /// Closes the connection in the middle of the body.
    Cut,
}

/// How long to wait before the status line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Not at all.
    Not,
    /// That long.
    For(Duration),
    /// For ever.
    Forever,
}

/// A whole reply: a wait, a head, and the steps of the body.
#[derive(Clone)]
pub struct Reply {
    /// The wait before the head.
    pub hold: Hold,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub steps: Vec<Step>,
}

impl Reply {
    /// A reply of those bytes at once.
    pub fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Self { hold: Hold::Not, status, headers, steps: vec![Step::Send(body.into())] }
    }

    /// A JSON reply.
    pub fn json(status: StatusCode, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    /// An error as OpenAI words it.
    pub fn error(status: StatusCode, code: &str, message: &str) -> Self {
        Self::json(
            status,
            &json!({"error": {"message": message, "type": "error", "param": null, "code": code}}),
        )
    }

    /// A stream of events, sent in the steps given. Nothing is added: no `[DONE]` either.
    pub fn events(steps: Vec<Step>) -> Self {
        Self { steps, ..Self::new(StatusCode::OK, "text/event-stream", Bytes::new()) }
    }

    /// The same reply with one more header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// The same bytes sent in pieces of `size`, wherever that splits them. Waits and cuts stay where they are.
    #[must_use]
    pub fn split_every(mut self, size: usize) -> Self {
        let size = size.max(1);
        self.steps = self
            .steps
            .into_iter()
            .flat_map(|step| match step {
                Step::Send(bytes) => {
                    bytes.chunks(size).map(|piece| Step::Send(bytes.slice_ref(piece))).collect()
                }
                other => vec![other],
            })
            .collect();
        self
    }

    /// Waits as long as the reply is to be held back.
    pub(crate) async fn hold(&self) {
        match self.hold {
            Hold::Not => {}
            Hold::For(time) => sleep(time).await,
            Hold::Forever => std::future::pending().await,
        }
    }

    pub(crate) fn into_response(self) -> Response<Playback> {
        let mut response = Response::new(Playback::new(self.steps));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(bytes) => write!(f, "Send(<{} bytes>)", bytes.len()),
            Self::Wait(time) => write!(f, "Wait({time:?})"),
            Self::Hang => f.write_str("Hang"),
            Self::Cut => f.write_str("Cut"),
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("hold", &self.hold)
            .field("status", &self.status)
            .field("steps", &self.steps.len())
            .finish_non_exhaustive()
    }
}

/// The body was cut on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the upstream cut its answer as told")]
pub struct Cut;

impl From<Cut> for ModelError {
    fn from(cut: Cut) -> Self {
        Self::new(Kind::Unavailable).cause(cut)
    }
}

/// A body that plays its steps.
pub(crate) struct Playback {
    steps: VecDeque<Step>,
    timer: Option<Pin<Box<Sleep>>>,
    /// Bytes went out and are to be flushed before the next step.
    flush: bool,
}

impl Playback {
    fn new(steps: Vec<Step>) -> Self {
        Self { steps: steps.into(), timer: None, flush: false }
    }

    /// Whether there is nothing left to play.
    pub(super) fn is_over(&self) -> bool {
        self.steps.is_empty() && self.timer.is_none()
    }
}

impl Body for Playback {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        loop {
            if let Some(timer) = &mut self.timer {
                if timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                self.timer = None;
            }
            // A server writes out what it has when its body is not ready: so each step goes out by itself.
            if std::mem::take(&mut self.flush) && !self.steps.is_empty() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match self.steps.front() {
                None => return Poll::Ready(None),
                Some(Step::Hang) => return Poll::Pending,
                Some(Step::Send(_) | Step::Wait(_) | Step::Cut) => {}
            }
            match self.steps.pop_front() {
                Some(Step::Send(bytes)) if bytes.is_empty() => {}
                Some(Step::Send(bytes)) => {
                    self.flush = true;
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Some(Step::Wait(time)) => self.timer = Some(Box::pin(sleep(time))),
                Some(Step::Cut) => return Poll::Ready(Some(Err(Cut))),
                Some(Step::Hang) | None => return Poll::Ready(None),
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        // One piece has a known length, as a JSON answer does; a stream has none.
        match self.steps.len() {
            0 => SizeHint::with_exact(0),
            1 => match self.steps.front() {
                Some(Step::Send(bytes)) => {
                    SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
                }
                _ => SizeHint::default(),
            },
            _ => SizeHint::default(),
        }
    }
}
