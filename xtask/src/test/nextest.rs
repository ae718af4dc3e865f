//! Reads the output of `cargo nextest`: a status line for each test, its output indented below, a summary.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::count::{Counts, Echo, Reader, number_and_word, skip_marker};

/// Cargo's arguments for the tests of the selected crates, or for those of them that a filter picks. All output goes to
/// standard error, without colour, so that it can be read.
pub(super) fn tests<'a>(selection: &[&'a str], filter: Option<&'a str>) -> Vec<&'a str> {
    let options = [
        "--no-fail-fast",
        "--no-tests=pass",
        "--color=never",
        "--status-level=pass",
        "--final-status-level=fail",
        "--success-output=immediate",
        "--failure-output=immediate",
    ];
    let filter: Vec<&str> = filter.map(|filter| vec!["--filterset", filter]).unwrap_or_default();
    [&["nextest", "run"], selection, &options, &filter].concat()
}

/// Cargo's arguments for the list of the tests of the selected crates, which [`Listed`] reads.
pub(super) fn list<'a>(selection: &[&'a str]) -> Vec<&'a str> {
    [&["nextest", "list"], selection, &["--message-format", "json"]].concat()
}

/// The tests of one selection: those of each test binary.
#[derive(Debug, Default)]
pub(super) struct Listed(BTreeMap<String, BTreeSet<String>>);

impl Listed {
    /// Reads what `cargo nextest list` printed.
    pub(super) fn read(text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        struct List {
            rust_suites: BTreeMap<String, Suite>,
        }
        #[derive(Deserialize)]
        struct Suite {
            testcases: BTreeMap<String, serde::de::IgnoredAny>,
        }
        let list: List =
            serde_json::from_str(text).context("`cargo nextest list` answered in an unknown form")?;
        let suites = list.rust_suites.into_iter();
        Ok(Self(suites.map(|(id, suite)| (id, suite.testcases.into_keys().collect())).collect()))
    }

    /// The filter that picks the tests that `ran` lacks, and how many it leaves out; no filter where it would leave out none.
    pub(super) fn beyond(&self, ran: &Self) -> (Option<String>, u64) {
        let mut picked = Vec::new();
        let mut left_out = 0_u64;
        for (binary, tests) in &self.0 {
            let others = ran.0.get(binary);
            for test in tests {
                if others.is_some_and(|others| others.contains(test)) {
                    left_out = left_out.saturating_add(1);
                } else {
                    picked.push(format!("(binary_id(={binary}) & test(={test}))"));
                }
            }
        }
        let filter = if picked.is_empty() { "none()".to_owned() } else { picked.join(" | ") };
        ((left_out > 0).then_some(filter), left_out)
    }
}

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Output {
    counts: Counts,
    /// The test whose output is being printed, if it passed. What a failed test says about skipping does not count.
    passed: Option<String>,
    /// Tests that a filter leaves out since they ran elsewhere: the runner calls them skipped, and they are not.
    elsewhere: u64,
}

impl Reader for Output {
    fn line(&mut self, line: &str) -> Echo {
        if let Some((status, test)) = status(line) {
            self.passed = matches!(status, "PASS" | "LEAK").then(|| test.to_owned());
            return Echo::Show;
        }
        if let Some(parts) = summary(line) {
            self.passed = None;
            self.add(&parts);
            return Echo::Show;
        }
        if !line.is_empty() && !line.starts_with(' ') {
            self.passed = None;
        }
        let Some(test) = self.passed.as_deref() else { return Echo::Show };
        let Some(reason) = skip_marker(line) else { return Echo::Hide };
        self.counts.skip(Some(test), reason);
        Echo::Show
    }

    fn finish(self) -> Counts {
        let mut counts = self.counts.without_skips();
        counts.ignored = counts.ignored.saturating_sub(self.elsewhere);
        counts
    }
}

impl Output {
    /// Reads the output of a run whose filter leaves so many tests out.
    pub(super) fn without(elsewhere: u64) -> Self {
        Self { elsewhere, ..Self::default() }
    }

    /// Counts from the summary: passed, left out, and everything else (failed, timed out, could not be executed).
    fn add(&mut self, parts: &str) {
        for part in parts.split(',') {
            match number_and_word(part) {
                Some((number, "passed")) => self.counts.passed = self.counts.passed.saturating_add(number),
                Some((number, "skipped")) => self.counts.ignored = self.counts.ignored.saturating_add(number),
                Some((number, _)) => self.counts.failed = self.counts.failed.saturating_add(number),
                None => {}
            }
        }
    }
}

/// The status and the test of a line such as `    PASS [   0.007s] (1/4) portcullis-core ids::tests::sorts`.
fn status(line: &str) -> Option<(&str, &str)> {
    let (status, rest) = line.trim_start().split_once(" [")?;
    let is_status = status.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || " -/".contains(c));
    let (time, test) = rest.split_once("s] ")?;
    let is_time = time.chars().all(|c| c.is_ascii_digit() || " .>".contains(c));
    (is_status && is_time && line.starts_with(' ')).then_some((status, test))
}

/// The counts of a line such as `     Summary [   0.261s] 4 tests run: 3 passed (1 slow), 1 failed, 1 skipped`,
/// without what stands in parentheses.
fn summary(line: &str) -> Option<String> {
    let (_, parts) = line.trim_start().strip_prefix("Summary [")?.split_once(" run: ")?;
    let mut depth = 0_u32;
    let mut kept = String::new();
    for c in parts.chars() {
        match c {
            '(' => depth = depth.saturating_add(1),
            ')' => depth = depth.saturating_sub(1),
            other if depth == 0 => kept.push(other),
            _ => {}
        }
    }
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::super::count::Skip;
    use super::*;

    fn read(text: &str) -> (Counts, Vec<String>) {
        let mut output = Output::default();
        let shown = text
            .lines()
            .filter(|line| output.line(line) == Echo::Show)
            .map(str::to_owned)
            .collect::<Vec<_>>();
        (output.finish(), shown)
    }

    const RUN: &str = "\
    Starting 4 tests across 1 binary (1 test skipped)
        PASS [   0.007s] (1/4) nx tests::passes
  stdout ───

    running 1 test
    hello
    test tests::passes ... ok

        PASS [   0.012s] (2/4) nx tests::skips
  stdout ───

    running 1 test
    SKIPPED data: no folder
    test tests::skips ... ok

        PASS [   0.007s] (3/4) nx tests::skips_on_the_other_stream
  stderr ───
    SKIPPED node: none
    more

        FAIL [   0.259s] (4/4) nx tests::fails
  stdout ───

    running 1 test
    SKIPPED x: y
    test tests::fails ... FAILED

  stderr ───
    thread 'tests::fails' panicked at src/lib.rs:8:52:

────────────
     Summary [   0.261s] 4 tests run: 3 passed, 1 failed, 1 skipped
        FAIL [   0.259s] (4/4) nx tests::fails
error: test run failed
";

    #[test]
    fn a_run_with_every_outcome_is_counted() {
        let (counts, _) = read(RUN);
        let skip =
            |test: &str, reason: &str| Skip { test: test.to_owned(), reasons: vec![reason.to_owned()] };
        assert_eq!(
            counts,
            Counts {
                passed: 1,
                failed: 1,
                ignored: 1,
                skips: vec![
                    skip("(2/4) nx tests::skips", "data: no folder"),
                    skip("(3/4) nx tests::skips_on_the_other_stream", "node: none"),
                ],
            }
        );
    }

    #[test]
    fn the_output_of_passing_tests_is_hidden_but_for_skips_and_that_of_failing_ones_is_shown() {
        let (_, shown) = read(RUN);
        let shown = shown.join("\n");
        assert!(!shown.contains("hello") && !shown.contains("more"), "{shown}");
        assert!(shown.contains("SKIPPED data: no folder") && shown.contains("panicked at"), "{shown}");
    }

    #[test]
    fn a_slow_or_interrupted_run_is_counted_from_its_summary() {
        let line = "     Summary [  61.0s] 7/9 tests run: 4 passed (1 slow, 1 leaky), 1 failed, 2 timed out, 3 skipped";
        let (counts, _) = read(line);
        assert_eq!((counts.passed, counts.failed, counts.ignored), (4, 3, 3));
    }

    #[test]
    fn what_ran_elsewhere_is_neither_run_again_nor_counted_as_skipped() {
        let of = |tests: &str| format!(r#"{{"rust-suites": {{"nx": {{"testcases": {{{tests}}}}}}}}}"#);
        let shipped = Listed::read(&of(r#""a": {}, "b::c": {}"#)).unwrap();
        let featured = Listed::read(&of(r#""a": {}, "b::c": {}, "b::d": {}"#)).unwrap();
        let (filter, elsewhere) = featured.beyond(&shipped);
        assert_eq!((filter.as_deref(), elsewhere), (Some("(binary_id(=nx) & test(=b::d))"), 2));
        assert_eq!(shipped.beyond(&featured), (Some("none()".to_owned()), 2));
        assert_eq!(featured.beyond(&Listed::default()), (None, 0));
        let mut output = Output::without(elsewhere);
        // One of the three was marked `#[ignore]`.
        output.line("     Summary [   0.261s] 1 test run: 1 passed, 3 skipped");
        assert_eq!(output.finish().ignored, 1);
        assert!(Listed::read("{}").is_err());
    }

    #[test]
    fn a_scorecard_that_a_test_prints_is_no_status_line() {
        assert_eq!(status("    PASS  TEN-02  Memory stays inside its tenant [critical]"), None);
        assert_eq!(status("        SLOW [> 60.000s] nx tests::a"), Some(("SLOW", "nx tests::a")));
        assert_eq!(status("   Compiling nx v0.1.0 (/tmp/nx)"), None);
    }

    #[test]
    fn a_run_that_never_reached_its_summary_counts_nothing() {
        let (counts, _) = read("        PASS [   0.007s] (1/4) nx tests::passes\nerror: could not compile\n");
        assert_eq!(counts, Counts::default());
    }
}
