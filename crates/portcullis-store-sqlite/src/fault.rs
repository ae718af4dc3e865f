//! The engine's errors in the store's terms: what a caller can act on, with the engine's own error as the cause.

use std::sync::Arc;

use portcullis_store::{Error, Kind};
use rusqlite::ErrorCode;

/// A failure inside a store call that does not know yet which call it was. [`Fault::at`] names it.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    kind: Kind,
    detail: Option<String>,
    // Shared, because one failed commit fails every call that was in it.
    cause: Option<Arc<rusqlite::Error>>,
}

impl Fault {
    pub(crate) const fn new(kind: Kind) -> Self {
        Self { kind, detail: None, cause: None }
    }

    /// A fault with words that hold no member's data.
    pub(crate) fn because(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: Some(detail.into()), cause: None }
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    /// The store's error for the operation `op`.
    pub(crate) fn at(self, op: &'static str) -> Error {
        let mut error = Error::new(self.kind, op);
        if let Some(detail) = self.detail {
            error = error.detail(detail);
        }
        if let Some(cause) = self.cause {
            error = error.cause(cause);
        }
        error
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self { kind: kind_of(&error), detail: None, cause: Some(Arc::new(error)) }
    }
}

fn kind_of(error: &rusqlite::Error) -> Kind {
    use rusqlite::Error as E;
    match error {
        E::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::ConstraintViolation => match failure.extended_code {
                rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY => {
                    Kind::Conflict
                }
                _ => Kind::Invalid,
            },
            ErrorCode::TooBig => Kind::Invalid,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Kind::Corrupt,
            // Full, busy, locked, unreadable, read-only, out of memory, and what nobody foresaw: nothing was
            // written, and nothing is admitted.
            _ => Kind::Unavailable,
        },
        E::QueryReturnedNoRows => Kind::NotFound,
        E::FromSqlConversionFailure(..)
        | E::IntegralValueOutOfRange(..)
        | E::InvalidColumnType(..)
        | E::Utf8Error(..) => Kind::Corrupt,
        _ => Kind::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use portcullis_store::{Kind, Retry};
    use rusqlite::Error;
    use rusqlite::ffi;

    use super::Fault;

    #[test]
    fn the_engines_errors_become_what_a_caller_can_act_on() {
        let of = |code| Fault::from(Error::SqliteFailure(ffi::Error::new(code), None)).kind();
        for code in [
            ffi::SQLITE_FULL,
            ffi::SQLITE_BUSY,
            ffi::SQLITE_LOCKED,
            ffi::SQLITE_IOERR,
            ffi::SQLITE_CANTOPEN,
            ffi::SQLITE_READONLY,
            ffi::SQLITE_NOMEM,
            ffi::SQLITE_ERROR,
        ] {
            assert_eq!(of(code), Kind::Unavailable, "code {code}");
        }
        assert_eq!(of(ffi::SQLITE_CORRUPT), Kind::Corrupt);
        assert_eq!(of(ffi::SQLITE_NOTADB), Kind::Corrupt);
        assert_eq!(of(ffi::SQLITE_CONSTRAINT_UNIQUE), Kind::Conflict);
        assert_eq!(of(ffi::SQLITE_CONSTRAINT_CHECK), Kind::Invalid);
        assert_eq!(Fault::from(Error::QueryReturnedNoRows).at("x.y").retry(), Retry::Never);
    }
}
