//! What was seen: answers for the check that asked, and redacted records for everyone else.
//!
//! [`Seen`], [`Exchange`] and [`Evidence`] are made only by the probe, so nothing can be claimed that was not asked.
//! A record never holds a credential, a cookie or more of a body than its beginning.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use serde::Serialize;

use crate::classify::{Kind, classify};
use crate::outcome::Inconclusive;

/// An answer, for the check that asked. It holds the target's own content and is never printed or stored.
pub struct Seen {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as text, at most [`super::MAX_BODY_BYTES`].
    pub body: String,
    /// From the first byte sent to the last one read.
    pub elapsed: Duration,
    pub(super) number: usize,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) credential: String,
}

impl Seen {
    /// The number of the exchange in this check's evidence.
    pub const fn number(&self) -> usize {
        self.number
    }

    /// Method and path, for messages.
    pub fn request_line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Whose credential was sent, in the target's words.
    pub fn credential(&self) -> &str {
        &self.credential
    }

    /// What kind of answer it is.
    pub fn kind(&self) -> Kind {
        classify(self.status, &self.headers, &self.body)
    }

    /// Status and kind, for messages: `200 with a sign-in page`.
    pub fn says(&self) -> String {
        format!("{} with {}", self.status.as_u16(), self.kind().name())
    }

    /// A header as text; empty when it is absent or not text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as JSON.
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_str(&self.body).ok()
    }

    /// Whether the answer refuses for want of a right: 401 or 403, by the application.
    pub fn refuses(&self) -> bool {
        matches!(self.status.as_u16(), 401 | 403) && self.kind() != Kind::Firewall
    }

    /// That the application itself answered, not something in front of it.
    ///
    /// # Errors
    /// Names what answered instead.
    pub fn must_be_the_application(&self) -> Result<(), Inconclusive> {
        let instead = match self.kind() {
            kind @ (Kind::Firewall | Kind::SignIn | Kind::Redirect) => kind.name(),
            Kind::HollowJson if self.status.is_success() => "empty JSON",
            Kind::Empty if self.status.is_success() && self.status != StatusCode::NO_CONTENT => {
                "an empty body"
            }
            _ => return Ok(()),
        };
        Err(Inconclusive::because(format!(
            "{} as `{}` was answered {} with {instead}, the application's own answer was wanted: check the credential \
             in target.toml and let the checker through to the application",
            self.request_line(),
            self.credential,
            self.status.as_u16(),
        )))
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seen({}: {} -> {})", self.number, self.request_line(), self.status.as_u16())
    }
}

/// One thing that was looked at, redacted, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Exchange {
    /// Its number, from 1 within one check.
    pub number: usize,
    /// Method and path, or what was looked at without a request.
    pub request: String,
    /// Whose credential was sent (`nobody`, `alice`, `alice, expired`).
    pub credential: String,
    /// The client address used, where the check chose one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The request's headers, credentials replaced.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub request_headers: Vec<(String, String)>,
    /// The beginning of the request's body.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub request_body: String,
    /// The status, or none when no answer came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What kind of answer, what was found without a request, or why none came.
    pub answer: String,
    /// The answer's headers, cookies and credentials replaced.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The beginning of the answer's body, credentials replaced.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
}

/// The record of a check: every exchange, in order. Only a probe makes it.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    exchanges: Vec<Exchange>,
}

impl Evidence {
    pub(super) const fn new(exchanges: Vec<Exchange>) -> Self {
        Self { exchanges }
    }

    /// The exchanges in order.
    pub fn exchanges(&self) -> &[Exchange] {
        &self.exchanges
    }
}
