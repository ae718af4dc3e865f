//! Where a deployment writes what it did: logs, the audit, metrics, what a proxy or a tracer keeps.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use http::Uri;

use super::Credential;

/// Everything that is written about requests, and about which.
#[derive(Debug, Clone, Default)]
pub struct Logs {
    /// Whose requests these sinks are told.
    pub of: Logged,
    /// The sinks.
    pub sinks: Vec<Sink>,
}

/// Whose requests are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Logged {
    /// Those of the target.
    #[default]
    Target,
    /// Those of the instance where attacks are tried, which is of the same build and settings.
    Rehearsal,
}

/// One place.
#[derive(Debug, Clone)]
pub struct Sink {
    /// What findings call it: `application log`, `proxy log`.
    pub name: String,
    /// Where it is read.
    pub at: SinkAt,
    /// How it is seen that it took in the checks' requests.
    pub shown: Shown,
}

/// Where a sink is read.
#[derive(Clone)]
pub enum SinkAt {
    /// A file on this machine.
    File(PathBuf),
    /// An address that gives its text.
    Url(Uri, Option<Credential>),
    /// In this process.
    Here(Arc<dyn Fn() -> Result<String, String> + Send + Sync>),
}

impl fmt::Debug for SinkAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File(_) => "File",
            Self::Url(..) => "Url",
            Self::Here(_) => "Here",
        })
    }
}

/// How it is seen that a sink took in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// The request's id stands in it.
    RequestId,
    /// It holds numbers alone, and one of those in lines that begin so rises: for metrics.
    Number(String),
}

impl Sink {
    /// A sink of this process.
    pub fn here(
        name: &str,
        shown: Shown,
        read: impl Fn() -> Result<String, String> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.to_owned(), at: SinkAt::Here(Arc::new(read)), shown }
    }
}
