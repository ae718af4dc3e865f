//! Where this program prints.
//!
//! A reader that went away, such as `head`, is no error: what it does not want to read it does not get.

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};

/// Prints to standard output.
pub(crate) fn print(text: impl fmt::Display) {
    let _ = write!(io::stdout().lock(), "{text}");
}

/// Prints a line to standard output.
pub(crate) fn line(text: impl fmt::Display) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// Prints a line to standard error: progress, warnings, what is not the result.
pub(crate) fn note(text: impl fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints why a command could not do its work, with every cause.
pub(crate) fn error(error: &anyhow::Error) {
    let mut causes = error.chain();
    let Some(first) = causes.next() else { return };
    note(format_args!("error: {first}"));
    let mut last = first.to_string();
    for cause in causes {
        let text = cause.to_string();
        // A wrapper that only repeats its cause tells nothing new.
        if !last.contains(&text) {
            note(format_args!("  because: {text}"));
        }
        last = text;
    }
}

/// Whether a person is watching standard error.
pub(crate) fn watched() -> bool {
    io::stderr().is_terminal()
}
