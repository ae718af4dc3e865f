//! Why a request is refused, in the words that the caller reads.

use std::fmt;

/// What is wrong with a request. The text form is part of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProblemCode {
    /// The body is not JSON in UTF-8, or nested too deeply.
    InvalidJson,
    /// A key stands twice in one object.
    DuplicateKey,
    /// A parameter that is not on the allow-list.
    UnknownParameter,
    /// A parameter that must be there is not.
    MissingParameter,
    /// A value of another type than wanted.
    InvalidType,
    /// A value of the right type that cannot be used.
    InvalidValue,
}

impl ProblemCode {
    /// The `code` of the error body.
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::DuplicateKey => "duplicate_key",
            Self::UnknownParameter => "unknown_parameter",
            Self::MissingParameter => "missing_required_parameter",
            Self::InvalidType => "invalid_type",
            Self::InvalidValue => "invalid_value",
        }
    }
}

/// Longest parameter name or path that is repeated to the caller, in characters.
const LONGEST_NAME: usize = 64;

/// Why a request is refused. It names parameters, and never repeats a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestProblem {
    code: ProblemCode,
    param: Option<String>,
    message: String,
}

impl RequestProblem {
    pub(crate) fn new(code: ProblemCode, message: impl Into<String>) -> Self {
        Self { code, param: None, message: message.into() }
    }

    /// The same problem, seen from the object or list that holds the value.
    #[must_use]
    pub(crate) fn within(mut self, holder: &str) -> Self {
        self.param = Some(match self.param {
            None => holder.to_owned(),
            Some(inner) if inner.starts_with('[') => format!("{holder}{inner}"),
            Some(inner) => format!("{holder}.{inner}"),
        });
        self
    }

    #[must_use]
    pub(crate) fn at(self, index: usize) -> Self {
        self.within(&format!("[{index}]"))
    }

    /// What is wrong, as the `code` of an OpenAI-shaped error.
    pub const fn code(&self) -> ProblemCode {
        self.code
    }

    /// Where it is, such as `messages[0].content`: the `param` of an OpenAI-shaped error.
    pub fn param(&self) -> Option<&str> {
        self.param.as_deref()
    }

    /// A sentence for the caller, as the `message` of an OpenAI-shaped error.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for RequestProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(param) = &self.param {
            write!(f, "`{param}`: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for RequestProblem {}

/// A caller's own key as it may be shown back: shortened, and without characters that have no place in a name.
pub(crate) fn shown(key: &str) -> String {
    let plain = |c: char| if c.is_ascii_graphic() && c != '`' { c } else { '?' };
    let mut name: String = key.chars().take(LONGEST_NAME).map(plain).collect();
    if key.chars().nth(LONGEST_NAME).is_some() {
        name.push_str("...");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn a_key_is_shown_back_short_and_plain() {
        assert_eq!(shown("top_k"), "top_k");
        assert_eq!(shown("a\u{1b}[31m b`é"), "a?[31m?b??");
        assert_eq!(shown(&"k".repeat(1000)).len(), 67);
    }
}
