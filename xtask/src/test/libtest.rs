//! Reads the output of `cargo test`: for each binary a list of outcomes, the output of each test, a result line.

use super::count::{Counts, Echo, Reader, number_and_word, skip_marker};

const OPTIONS: &[&str] = &["--no-fail-fast", "--", "--show-output", "--color=never"];

/// Cargo's arguments for the tests of the selected crates, without documentation examples.
pub(super) fn tests<'a>(selection: &[&'a str]) -> Vec<&'a str> {
    [&["test", "--tests"], selection, OPTIONS].concat()
}

/// Cargo's arguments for the documentation examples, which `cargo nextest` cannot run.
pub(super) fn examples() -> Vec<&'static str> {
    [&["test", "--doc", "--workspace"], OPTIONS].concat()
}

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Output {
    counts: Counts,
    /// How many binaries were begun: two of them may hold tests of one name.
    binary: u64,
    part: Part,
    test: Option<String>,
}

/// Where in the output of one binary the reader stands.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Part {
    #[default]
    Outcomes,
    Successes,
    Failures,
}

impl Reader for Output {
    fn line(&mut self, line: &str) -> Echo {
        if let Some(parts) = line.strip_prefix("test result: ") {
            self.part = Part::Outcomes;
            self.test = None;
            self.add(parts);
            return Echo::Show;
        }
        match line {
            "successes:" => self.part = Part::Successes,
            "failures:" => self.part = Part::Failures,
            _ if is_start(line) => {
                self.binary = self.binary.saturating_add(1);
                self.part = Part::Outcomes;
                self.test = None;
            }
            _ => {
                if let Some(test) =
                    line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"))
                {
                    self.test = Some(format!("{test} (binary {})", self.binary));
                }
            }
        }
        if self.part == Part::Failures {
            return Echo::Show;
        }
        match skip_marker(line) {
            Some(reason) => {
                self.counts.skip(self.test.as_deref(), reason);
                Echo::Show
            }
            None if self.part == Part::Successes => Echo::Hide,
            None => Echo::Show,
        }
    }

    fn finish(self) -> Counts {
        self.counts.without_skips()
    }
}

impl Output {
    /// Counts from `ok. 3 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.12s`.
    fn add(&mut self, parts: &str) {
        let parts = parts.split_once(". ").map_or(parts, |(_, numbers)| numbers);
        for part in parts.split(';') {
            match number_and_word(part) {
                Some((number, "passed")) => self.counts.passed = self.counts.passed.saturating_add(number),
                Some((number, "failed")) => self.counts.failed = self.counts.failed.saturating_add(number),
                Some((number, "ignored" | "filtered out")) => {
                    self.counts.ignored = self.counts.ignored.saturating_add(number);
                }
                Some(_) | None => {}
            }
        }
    }
}

/// `running 5 tests` opens the output of a binary.
fn is_start(line: &str) -> bool {
    line.strip_prefix("running ")
        .and_then(number_and_word)
        .is_some_and(|(_, word)| word == "test" || word == "tests")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Counts, String) {
        let mut output = Output::default();
        let shown: Vec<&str> = text.lines().filter(|line| output.line(line) == Echo::Show).collect();
        (output.finish(), shown.join("\n"))
    }

    const BINARY: &str = "
running 5 tests
test tests::fails ... FAILED
test tests::ignored ... ignored
test tests::passes ... ok
test tests::skips ... ok

successes:

---- tests::passes stdout ----
hello

---- tests::skips stdout ----
SKIPPED data: no folder
SKIPPED node: none


successes:
    tests::passes
    tests::skips

failures:

---- tests::fails stdout ----
SKIPPED x: y
panicked

failures:
    tests::fails

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.12s
";

    #[test]
    fn a_binary_with_every_outcome_is_counted() {
        let (counts, shown) = read(BINARY);
        assert_eq!((counts.passed, counts.failed, counts.ignored, counts.skips.len()), (1, 1, 1, 1));
        assert_eq!(counts.skips[0].reasons, ["data: no folder", "node: none"]);
        assert!(
            shown.contains("panicked") && shown.contains("SKIPPED data") && !shown.contains("hello"),
            "{shown}"
        );
    }

    #[test]
    fn two_binaries_with_a_test_of_one_name_are_two_skips() {
        let (counts, _) = read(&format!("{BINARY}{BINARY}"));
        assert_eq!((counts.passed, counts.failed, counts.ignored, counts.skips.len()), (2, 2, 2, 2));
    }

    #[test]
    fn a_marker_that_escaped_the_capture_is_counted() {
        let text = "running 1 test\ntest a ... SKIPPED node: none\nok\n\ntest result: ok. 1 passed; 0 failed; \
                    0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
        let (counts, _) = read(text);
        assert_eq!((counts.passed, counts.skips.len()), (0, 1));
    }

    #[test]
    fn a_test_named_like_a_heading_does_not_confuse_the_counts() {
        let text = "running 2 tests\nrunning away\ntest a ... ok\n\
                    test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 1.00s\n";
        let (counts, _) = read(text);
        assert_eq!((counts.passed, counts.ignored), (2, 3));
    }
}
