//! The one error of the client: what a caller can act on, and the cause for the operator's log.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// What went wrong, as far as a caller can act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// No connection could be made: refused, unreachable, or no usable local address.
    Refused,
    /// A phase took longer than allowed.
    TimedOut(Phase),
    /// The name has no address, or the look-up failed.
    Dns,
    /// The TLS handshake failed: certificate not trusted, not valid for the name, or no TLS spoken there.
    Tls,
    /// An address of the name is one that the client may not connect to.
    AddressRefused,
    /// The answer's head or body is larger than allowed.
    TooLarge,
    /// The server closed the connection before its answer was complete.
    Closed,
    /// The request cannot be sent as given, or the answer is not HTTP.
    Malformed,
}

/// What the client was waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The look-up of the name.
    Dns,
    /// The TCP connection.
    Connect,
    /// The TLS handshake.
    Tls,
    /// The answer's status line and headers, counted from the call, connecting included.
    Head,
    /// The answer's body.
    Body,
}

/// A request failed. `Display` names the host and the kind, never a path, a query, a header or a body.
#[derive(Debug, Clone)]
pub struct Error {
    kind: Kind,
    target: String,
    detail: Option<String>,
    cause: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: Kind, target: impl Into<String>) -> Self {
        Self { kind, target: target.into(), detail: None, cause: None }
    }

    #[must_use]
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    #[must_use]
    pub(crate) fn cause(mut self, cause: impl StdError + Send + Sync + 'static) -> Self {
        self.cause = Some(Arc::new(cause));
        self
    }

    /// What a caller can act on.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Host and port that the request was for; empty when the request named none.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Sorts an error of the pooled client: ours when connecting failed, hyper's when the exchange did.
    pub(crate) fn from_exchange(error: hyper_util::client::legacy::Error, target: &str) -> Self {
        let mut source: Option<&(dyn StdError + 'static)> = error.source();
        while let Some(error) = source {
            if let Some(ours) = error.downcast_ref::<Self>() {
                return ours.clone();
            }
            if let Some(hyper) = error.downcast_ref::<hyper::Error>() {
                return Self::new(exchange_kind(hyper), target).cause(Described(hyper.to_string()));
            }
            source = error.source();
        }
        // What is left are requests that hyper will not send, such as one for HTTP/2.
        Self::new(Kind::Malformed, target).cause(error)
    }

    pub(crate) fn from_body(error: hyper::Error, target: &str) -> Self {
        Self::new(exchange_kind(&error), target).cause(error)
    }
}

fn exchange_kind(error: &hyper::Error) -> Kind {
    if error.is_parse_too_large() {
        Kind::TooLarge
    } else if error.is_parse() || error.is_user() {
        Kind::Malformed
    } else {
        let mut source = error.source();
        while let Some(inner) = source {
            if let Some(io) = inner.downcast_ref::<std::io::Error>() {
                return match io.kind() {
                    // A chunk size that is no number, or one that never ends.
                    std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData => Kind::Malformed,
                    _ => Kind::Closed,
                };
            }
            source = inner.source();
        }
        Kind::Closed
    }
}

/// The words of an error that is only borrowed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Described(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.target.is_empty() {
            write!(f, "`{}`: ", self.target)?;
        }
        f.write_str(match self.kind {
            Kind::Refused => "no connection could be made",
            Kind::TimedOut(Phase::Dns) => "timed out while looking up the name",
            Kind::TimedOut(Phase::Connect) => "timed out while connecting",
            Kind::TimedOut(Phase::Tls) => "timed out during the TLS handshake",
            Kind::TimedOut(Phase::Head) => "timed out before the answer began",
            Kind::TimedOut(Phase::Body) => "timed out before the answer ended",
            Kind::Dns => "the name could not be looked up",
            Kind::Tls => "the TLS handshake failed",
            Kind::AddressRefused => "connecting to this address is not allowed",
            Kind::TooLarge => "the answer is larger than allowed",
            Kind::Closed => "the connection was closed before the answer was complete",
            Kind::Malformed => "not a request or an answer that can be handled",
        })?;
        self.detail.as_ref().map_or(Ok(()), |detail| write!(f, ": {detail}"))
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_ref().map(|cause| &**cause as _)
    }
}
