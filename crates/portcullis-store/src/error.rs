//! The one error of all ports: what a caller can act on, and the cause for the operator's log.

use std::fmt;

/// The result of a store call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What went wrong, as far as a caller can act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// It does not exist, or the scope does not reach it; the two look the same on purpose.
    NotFound,
    /// It exists already, under a name that must be unique.
    Conflict,
    /// The scope's role or credential does not allow the call.
    Forbidden,
    /// A value cannot be stored as given.
    Invalid,
    /// It would leave the community without an active owner, and nobody could appoint one.
    LastOwner,
    /// The store cannot be reached or is out of room: nothing was admitted or written.
    Unavailable,
    /// Stored data does not read back: damaged, or sealed with another key.
    Corrupt,
}

/// Whether the same call may succeed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same call may succeed after a pause.
    Later,
    /// The same call will fail again.
    Never,
}

/// A store call failed. `Display` names the operation and the kind; the cause is for the operator's log only.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    op: &'static str,
    detail: Option<String>,
    cause: Option<Cause>,
}

impl Error {
    /// A failure of the operation `op`, named `port.call`, such as `content.search`.
    pub const fn new(kind: Kind, op: &'static str) -> Self {
        Self { kind, op, detail: None, cause: None }
    }

    /// Adds what was wrong, in words that hold no member's data.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds the engine's own error.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<Cause>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// What a caller can act on.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The operation that failed.
    pub const fn op(&self) -> &'static str {
        self.op
    }

    /// Whether the same call may succeed later.
    pub const fn retry(&self) -> Retry {
        match self.kind {
            Kind::Unavailable => Retry::Later,
            Kind::NotFound
            | Kind::Conflict
            | Kind::Forbidden
            | Kind::Invalid
            | Kind::LastOwner
            | Kind::Corrupt => Retry::Never,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            Kind::NotFound => "not found",
            Kind::Conflict => "exists already",
            Kind::Forbidden => "not allowed",
            Kind::Invalid => "cannot be stored",
            Kind::LastOwner => "the community would have no active owner",
            Kind::Unavailable => "store unavailable",
            Kind::Corrupt => "stored data is damaged",
        };
        write!(f, "{}: {what}", self.op)?;
        self.detail.as_ref().map_or(Ok(()), |detail| write!(f, ": {detail}"))
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_ref().map(|cause| &**cause as _)
    }
}
