//! Texts that a configuration names things with or hands on.

use std::fmt;

use crate::codes::Code;
use crate::shape::Fault;
use crate::value::shown;

/// A short name of something that is defined elsewhere, such as a model or a guard.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// Reads a name: not empty, on one line, without white space around it.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        const LONGEST: usize = 200;
        let chars = text.chars().count();
        if chars == 0 || chars > LONGEST || text.trim() != text || text.chars().any(char::is_control) {
            let wanted =
                format!("must be a name of 1 to {LONGEST} characters on one line, without spaces around it");
            return Err(Fault::new(Code::Malformed, wanted).found(format!("{chars} characters")));
        }
        Ok(Self(text.to_owned()))
    }

    /// Reads the short name of a community.
    pub(crate) fn parse_slug(text: &str) -> Result<Self, Fault> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(2..=40).contains(&text.len()) || !text.bytes().all(plain) {
            let wanted = "must be a short name of 2 to 40 characters of `a-z`, `0-9` and `-`";
            return Err(Fault::new(Code::Malformed, wanted).found(shown(text)));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The system text of the members' chats. It is not shown: it is what attackers ask the model for.
#[derive(Clone, PartialEq, Eq)]
pub struct SystemText(String);

impl SystemText {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SystemText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} characters)", self.0.chars().count())
    }
}
