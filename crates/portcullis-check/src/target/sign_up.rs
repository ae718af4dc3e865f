//! The ways in which somebody new gets an account.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Route, Spot};

/// The domain of every new member's address: a name that is nobody's (RFC 2606).
pub const NEWCOMERS: &str = "checks.example";

/// Who begins a way to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SignUpBy {
    /// The new member alone.
    Self_,
    /// Staff, by an invitation or by making the account.
    Staff,
}

impl SignUpBy {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Self_, Self::Staff];

    /// The word in target files.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Self_ => "self",
            Self::Staff => "staff",
        }
    }

    /// What a target declares that has no such way.
    pub const fn feature(self) -> &'static str {
        match self {
            Self::Self_ => "self-sign-up",
            Self::Staff => "staff-sign-up",
        }
    }
}

/// A way to an account, step by step. `{{name}}` and `{{address}}` stand for those of the new member, other names for
/// what earlier steps captured.
#[derive(Debug, Clone)]
pub struct SignUp {
    /// What reports call it.
    pub name: String,
    /// Who begins it.
    pub by: SignUpBy,
    /// The community that the new member joins.
    pub community: String,
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// What takes the account away again.
    pub undo: Vec<Step>,
    /// What the new member is known by afterwards.
    pub credential: NewCredential,
    /// Headers beside the credential.
    pub headers: BTreeMap<String, String>,
}

/// One step.
#[derive(Debug, Clone)]
pub struct Step {
    /// What is done.
    pub act: Act,
    /// By name: what is taken from the answer, the mail or its link.
    pub captures: BTreeMap<String, Spot>,
}

/// What a step does.
#[derive(Debug, Clone)]
pub enum Act {
    /// Sends a request, with the cookies of earlier ones; [`Route::identity`] says who sends it, the new member when
    /// none.
    Ask {
        /// The request.
        route: Route,
        /// Fields of a form to send in place of a body.
        form: BTreeMap<String, String>,
    },
    /// Waits for the mail to the new member's address in a folder of `.eml` files.
    Mail {
        /// The folder.
        folder: PathBuf,
        /// What the wanted link holds.
        link: String,
    },
}

/// What somebody new is known by.
#[derive(Debug, Clone)]
pub enum NewCredential {
    /// A bearer token; the text holds a captured value.
    Bearer(String),
    /// A cookie that a step set.
    Cookie(String),
    /// A header of its own; the text holds a captured value.
    Header {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
}

/// Replaces `{{name}}` by its value for every known name.
pub(crate) fn filled(text: &str, values: &BTreeMap<String, String>) -> String {
    values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{{{name}}}}}"), value))
}

/// The names of the placeholders in a text.
pub(crate) fn placeholders(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some((name, tail)) = rest.split_once("{{").and_then(|(_, tail)| tail.split_once("}}")) {
        names.push(name);
        rest = tail;
    }
    names
}

#[cfg(test)]
mod tests {
    use super::{filled, placeholders};

    #[test]
    fn placeholders_are_found_and_filled() {
        let text = "{\"a\": \"{{name}}\", \"b\": \"{{token}}-{{name}}\"}";
        assert_eq!(placeholders(text), ["name", "token", "name"]);
        let values = [("name".to_owned(), "x".to_owned())].into();
        assert_eq!(filled(text, &values), "{\"a\": \"x\", \"b\": \"{{token}}-x\"}");
    }
}
