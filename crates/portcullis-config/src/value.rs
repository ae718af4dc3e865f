//! A value as it was given, before anyone knows whether it is right.

use std::fmt;

use crate::diagnostic::Origin;

/// One given value. It may be a secret in the wrong place, so `Debug` shows its type only.
#[derive(Clone, PartialEq)]
pub(crate) enum Value {
    Integer(i128),
    /// An integer beyond 128 bits.
    HugeInteger,
    Float,
    Switch(bool),
    Text(String),
    Moment,
    List(Vec<Given>),
    Table,
    /// The text of an environment variable or a flag: what type it stands for depends on the key.
    Words(String),
}

/// A value and where it was given.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Given {
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

impl Value {
    /// The type, as a diagnostic names it.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Integer(_) | Self::HugeInteger => "a whole number",
            Self::Float => "a decimal number",
            Self::Switch(_) => "a switch",
            Self::Text(_) => "text",
            Self::Moment => "a date or time",
            Self::List(_) => "a list",
            Self::Table => "a table",
            Self::Words(_) => "other text",
        }
    }

    /// The text, if it is text.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Words(text) => Some(text),
            _ => None,
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

/// The text as a TOML string on one line.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The text as a diagnostic shows it: in backticks, shortened. Several lines are not shown: a quotation mark that is
/// missing makes one value of other keys' lines, and one of them may hold a secret.
pub(crate) fn shown(text: &str) -> String {
    if text.contains('\n') {
        return "several lines".to_owned();
    }
    const LONGEST: usize = 60;
    let clean = |c: char| if c.is_control() || c == '`' { '\u{fffd}' } else { c };
    let short: String = text.chars().take(LONGEST).map(clean).collect();
    if text.chars().nth(LONGEST).is_some() { format!("`{short}...`") } else { format!("`{short}`") }
}

#[cfg(test)]
mod tests {
    use super::{Given, Value, quote, shown};
    use crate::diagnostic::Origin;

    #[test]
    fn quoted_text_reads_back_as_the_same_text() {
        let text = "a \"b\" \\ c\nd\te\u{1}\u{7f}é";
        let parsed: toml::Table = format!("x = {}", quote(text)).parse().expect("it is TOML");
        assert_eq!(parsed["x"].as_str(), Some(text));
    }

    #[test]
    fn a_given_value_does_not_print_what_it_holds() {
        let given = Given {
            value: Value::List(vec![Given { value: Value::Text("hunter2".into()), origin: Origin::Default }]),
            origin: Origin::Default,
        };
        assert!(!format!("{given:?}").contains("hunter2"));
    }

    #[test]
    fn shown_text_stays_on_one_line_and_short() {
        assert_eq!(shown("a\tb`"), "`a\u{fffd}b\u{fffd}`");
        assert_eq!(shown("a\nb"), "several lines");
        assert_eq!(shown(&"x".repeat(1000)).len(), 65);
    }
}
