//! The environment and the command line as values, so that tests pass their own.
//!
//! [`Environment::from_process`] is the only place in the program that reads the process's environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

use portcullis_core::Secret;

/// The environment variables. `Debug` shows their names only: any of them may be a secret.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, Variable>);

/// The value of a variable.
#[derive(Clone)]
pub(crate) enum Variable {
    Text(Secret<String>),
    NotUnicode,
}

impl Environment {
    /// The environment of this process.
    pub fn from_process() -> Self {
        let read = |(name, value): (OsString, OsString)| {
            // A variable whose name is not UTF-8 cannot be one of ours.
            let name = name.into_string().ok()?;
            let value = match value.into_string() {
                Ok(text) => Variable::Text(Secret::new(text)),
                Err(_) => Variable::NotUnicode,
            };
            Some((name, value))
        };
        Self(std::env::vars_os().filter_map(read).collect())
    }

    /// An environment of exactly these variables.
    pub fn of<N: Into<String>, V: Into<String>>(variables: impl IntoIterator<Item = (N, V)>) -> Self {
        let variable = |(name, value): (N, V)| (name.into(), Variable::Text(Secret::new(value.into())));
        Self(variables.into_iter().map(variable).collect())
    }

    /// The value of a variable, for what is no configuration of this program, such as the secrets of a target file.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.look_up(name)? {
            Variable::Text(text) => Some(text.expose()),
            Variable::NotUnicode => None,
        }
    }

    pub(crate) fn look_up(&self, name: &str) -> Option<&Variable> {
        self.0.get(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What the command line overrides, which wins over the environment and the file.
#[derive(Clone, Default)]
pub struct Flags(Vec<Flag>);

#[derive(Clone)]
pub(crate) struct Flag {
    /// The flag as it was typed, such as `--data-dir`.
    pub(crate) flag: String,
    /// The key; none when `--set` had no `=`.
    pub(crate) key: Option<String>,
    pub(crate) value: String,
}

impl Flags {
    /// No overrides.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds the override of `key` by a flag of its own, such as `--data-dir`.
    #[must_use]
    pub fn with(mut self, flag: &str, key: &str, value: impl Into<String>) -> Self {
        self.0.push(Flag { flag: flag.to_owned(), key: Some(key.to_owned()), value: value.into() });
        self
    }

    /// Adds the argument of a `--set key=value`.
    #[must_use]
    pub fn with_set(mut self, argument: &str) -> Self {
        let (key, value) = match argument.split_once('=') {
            Some((key, value)) => (Some(key.trim().to_owned()), value.to_owned()),
            None => (None, String::new()),
        };
        self.0.push(Flag { flag: "--set".to_owned(), key, value });
        self
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Flag> {
        self.0.iter()
    }
}

/// Names only: a value may be a secret in the wrong place.
impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|flag| &flag.flag)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{Environment, Flags};

    #[test]
    fn neither_environment_nor_flags_print_their_values() {
        let environment = Environment::of([("A", "hunter2")]);
        let flags = Flags::none().with_set("secrets.jwt_secret=hunter2").with("--x", "y", "hunter2");
        assert_eq!(format!("{environment:?} {flags:?}"), r#"{"A"} ["--set", "--x"]"#);
    }
}
