//! The one error of all models: what a caller can act on, and what the operator needs to know.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use portcullis_egress as egress;

/// What went wrong, as far as a caller can act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The upstream cannot be reached or failed.
    Unavailable,
    /// The upstream takes no more requests for now.
    Overloaded {
        /// How long the upstream asks to wait.
        retry_after: Option<Duration>,
    },
    /// A phase took longer than allowed.
    TimedOut(Phase),
    /// The upstream will not answer this request, however often it is asked.
    Rejected(Rejection),
    /// The upstream does not accept our key: for the operator to mend, not for the caller.
    Unauthorised,
    /// The answer is not what an OpenAI-compatible upstream sends.
    Malformed,
    /// The stream ended without `[DONE]`: what was received is not the whole answer.
    Truncated,
    /// The answer is larger than allowed.
    TooLarge,
}

/// What was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// A connection: name look-up, TCP and TLS.
    Connect,
    /// The first byte of a streamed answer.
    FirstByte,
    /// More of a streamed answer.
    Idle,
    /// The whole answer.
    Total,
}

/// Why the upstream will not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// The messages are longer than the model can read (`context_length_exceeded`).
    ContextLength,
    /// The upstream has no such model or no such address.
    NotFound,
    /// Anything else that it calls a bad request.
    Other,
}

/// A model could not answer. `Display` holds the upstream's status and code, never its words and never a prompt.
#[derive(Debug, Clone)]
pub struct ModelError {
    kind: Kind,
    status: Option<u16>,
    code: Option<String>,
    detail: Option<&'static str>,
    /// Whether the request may have reached the upstream.
    sent: bool,
    cause: Option<Arc<dyn StdError + Send + Sync>>,
}

/// What the upstream may have made of a question before it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// Nothing: no question came to it.
    NotAsked,
    /// No answer: it refused the question.
    NoAnswer,
    /// Any part of an answer, or all of it.
    Unknown,
}

impl ModelError {
    /// An error of that kind with nothing more known about it.
    pub const fn new(kind: Kind) -> Self {
        Self { kind, status: None, code: None, detail: None, sent: true, cause: None }
    }

    pub(crate) const fn malformed(detail: &'static str) -> Self {
        Self::new(Kind::Malformed).detail(detail)
    }

    #[must_use]
    pub(crate) const fn detail(mut self, detail: &'static str) -> Self {
        self.detail = Some(detail);
        self
    }

    #[must_use]
    pub(crate) const fn status_was(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Keeps the upstream's code when it looks like one: prose, which could quote a prompt, does not.
    #[must_use]
    pub(crate) fn code_was(mut self, code: Option<&str>) -> Self {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        self.code = code
            .filter(|code| !code.is_empty() && code.len() <= 64 && code.bytes().all(plain))
            .map(str::to_owned);
        self
    }

    #[must_use]
    pub(crate) fn cause(mut self, cause: impl StdError + Send + Sync + 'static) -> Self {
        self.cause = Some(Arc::new(cause));
        self
    }

    #[must_use]
    pub(crate) fn overloaded(self, retry_after: Option<Duration>) -> Self {
        Self { kind: Kind::Overloaded { retry_after }, ..self }
    }

    /// What a caller can act on.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The upstream's HTTP status, where it gave one. For the operator's log.
    pub const fn status(&self) -> Option<u16> {
        self.status
    }

    /// The upstream's own error code, where it gave a plain one. For the operator's log.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// What the upstream may have made before it failed. Where that is not sure it is [`Made::Unknown`].
    pub const fn made(&self) -> Made {
        match self.status {
            _ if !self.sent => Made::NotAsked,
            // With these a server between here and the model tells that its wait was over.
            Some(408 | 499) => Made::Unknown,
            // The upstream cannot take the question: too much to do, or nothing that answers. A 502 is not among these: something
            // between got no sense out of the model, which may have been at work.
            Some(400..=499 | 503 | 529) => Made::NoAnswer,
            _ => Made::Unknown,
        }
    }
}

impl From<egress::Error> for ModelError {
    fn from(error: egress::Error) -> Self {
        let kind = match error.kind() {
            egress::Kind::TimedOut(egress::Phase::Dns | egress::Phase::Connect | egress::Phase::Tls) => {
                Kind::TimedOut(Phase::Connect)
            }
            egress::Kind::TimedOut(egress::Phase::Head | egress::Phase::Body) => Kind::TimedOut(Phase::Total),
            egress::Kind::TooLarge => Kind::TooLarge,
            egress::Kind::Malformed => Kind::Malformed,
            // What the client adds later is, until sorted here, an upstream that gave no answer.
            _ => Kind::Unavailable,
        };
        // Without a connection nothing is sent. In all other cases it may have been.
        let sent = !matches!(
            error.kind(),
            egress::Kind::Refused
                | egress::Kind::Dns
                | egress::Kind::Tls
                | egress::Kind::AddressRefused
                | egress::Kind::TimedOut(egress::Phase::Dns | egress::Phase::Connect | egress::Phase::Tls)
        );
        Self { sent, ..Self::new(kind) }.cause(error)
    }
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Unavailable => "the model's upstream is unavailable",
            Kind::Overloaded { .. } => "the model's upstream is overloaded",
            Kind::TimedOut(Phase::Connect) => "timed out while connecting to the model's upstream",
            Kind::TimedOut(Phase::FirstByte) => "timed out before the model's answer began",
            Kind::TimedOut(Phase::Idle) => "timed out between two parts of the model's answer",
            Kind::TimedOut(Phase::Total) => "the model's whole answer took too long",
            Kind::Rejected(Rejection::ContextLength) => "the request is longer than the model can read",
            Kind::Rejected(Rejection::NotFound) => "the upstream has no such model or address",
            Kind::Rejected(Rejection::Other) => "the model's upstream rejected the request",
            Kind::Unauthorised => "the model's upstream does not accept the configured key",
            Kind::Malformed => "the model's answer is not in the OpenAI format",
            Kind::Truncated => "the model's answer broke off",
            Kind::TooLarge => "the model's answer is larger than allowed",
        })?;
        if let Some(detail) = self.detail {
            write!(f, ": {detail}")?;
        }
        match (self.status, &self.code) {
            (Some(status), Some(code)) => write!(f, " (status {status}, code `{code}`)"),
            (Some(status), None) => write!(f, " (status {status})"),
            (None, Some(code)) => write!(f, " (code `{code}`)"),
            (None, None) => Ok(()),
        }
    }
}

impl StdError for ModelError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_ref().map(|cause| &**cause as _)
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, ModelError};

    #[test]
    fn a_code_that_could_be_prose_is_not_kept() {
        let kept = |code: &str| ModelError::new(Kind::Unavailable).code_was(Some(code)).code().is_some();
        assert!(kept("rate_limit_exceeded"));
        assert!(kept("model-not.found1"));
        for prose in ["", "your prompt was: hello", "a\nb", "ünknown", &"x".repeat(65)] {
            assert!(!kept(prose), "{prose:?}");
        }
    }
}
