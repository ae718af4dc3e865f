//! What is wrong with a target file: every problem at once, each with its line.

use std::fmt;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1; none for a target built in code.
    pub line: Option<usize>,
    /// The key, as a path (`route[2].method`).
    pub key: String,
    /// What stands there.
    pub found: String,
    /// What should stand there.
    pub wanted: String,
}

impl Problem {
    /// A problem without a line.
    pub fn new(key: impl Into<String>, found: impl Into<String>, wanted: impl Into<String>) -> Self {
        Self { line: None, key: key.into(), found: found.into(), wanted: wanted.into() }
    }

    /// At this line.
    #[must_use]
    pub const fn at(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }
}

/// Why a target cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct TargetError {
    /// The file, when there is one.
    pub file: Option<String>,
    /// All problems, in the order of the file.
    pub problems: Vec<Problem>,
}

impl TargetError {
    pub(crate) fn single(problem: Problem) -> Self {
        Self { file: None, problems: vec![problem] }
    }
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            let Problem { line, key, found, wanted } = problem;
            write!(f, "error: `{key}`: found {found}, wanted {wanted}")?;
            let file = self.file.as_deref().unwrap_or("target");
            if let Some(line) = line {
                write!(f, "\n  --> {file}:{line}")?;
            }
        }
        Ok(())
    }
}
