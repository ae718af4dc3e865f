//! What a model is told of a tool.

use std::fmt;
use std::str::FromStr;

use crate::schema::Schema;

/// A tool's name, as the model says it: 1 to 48 of `a-z`, `0-9`, `_` and `-`, beginning with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ToolName(String);

/// Text that is no name of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 48 characters of `a-z`, `0-9`, `_` and `-`, beginning with a letter or digit")]
pub struct MalformedName;

impl ToolName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ToolName {
    type Err = MalformedName;

    fn from_str(text: &str) -> Result<Self, MalformedName> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
        let begins = text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
        let sound = begins && text.len() <= 48 && text.bytes().all(plain);
        sound.then(|| Self(text.to_owned())).ok_or(MalformedName)
    }
}

impl fmt::Display for ToolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a model is told of a tool, as it was approved.
#[derive(Clone)]
pub struct Spec {
    /// What it does.
    pub description: String,
    /// What it takes.
    pub schema: Schema,
}

impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spec").field("description_bytes", &self.description.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::ToolName;

    #[test]
    fn a_name_is_a_plain_word() {
        for good in ["weather", "tide_table", "a", "9-to-5"] {
            assert!(good.parse::<ToolName>().is_ok(), "{good}");
        }
        for bad in ["", "_x", "-x", "Weather", "a b", "a.b", "ä", "a\n", &"x".repeat(49)] {
            assert!(bad.parse::<ToolName>().is_err(), "{bad}");
        }
    }
}
