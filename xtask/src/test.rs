//! Runs every test and counts what passed, failed and was skipped, from what the runner prints.
//!
//! A test that lacks something prints a line `SKIPPED <what>: <why>` and returns; the runner calls that a pass, this
//! module does not. Both runners hide the output of passing tests by default, so both are asked to show it, and
//! it is read here and shown only where it matters. With `--require`, a skip is a failure. No test executed is a
//! failure. What the tests need is prepared by [`components`].

pub(crate) mod components;
mod count;
mod libtest;
mod nextest;

use std::collections::BTreeMap;
use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::{Args, ValueEnum};

use self::components::{Prepared, Require, Supply};
use self::count::{Counts, Echo, Reader};
use crate::process::{self, Stream};
use crate::workspace::Workspace;

/// The environment variable by which a test learns that it must fail instead of skipping.
const REQUIRE: &str = "PORTCULLIS_REQUIRE";

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Install nothing and start nothing: tests that lack something are skipped
    #[arg(long)]
    no_services: bool,
    /// What must not be skipped: component names with commas between, or `all`
    #[arg(long, value_name = "LIST")]
    require: Option<String>,
    /// What runs the tests; without it `nextest` where that is installed, else `libtest`
    #[arg(long, value_enum)]
    runner: Option<Runner>,
}

impl Options {
    /// What CI asks for.
    pub(crate) fn everything_required() -> Self {
        Self { no_services: false, require: Some("all".to_owned()), runner: None }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Runner {
    /// `cargo nextest`: a process for each test
    Nextest,
    /// `cargo test`, which every toolchain has
    Libtest,
}

impl Runner {
    /// The better one of those that are here.
    fn found() -> Self {
        if process::succeeds("cargo", &["nextest", "--version"]) {
            return Self::Nextest;
        }
        println!("test: `cargo nextest` is not installed, so `cargo test` runs the tests");
        Self::Libtest
    }
}

/// Prepares what the tests need, runs them all, and counts.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<Report> {
    let require = Require::parse(options.require.as_deref())?;
    let supply = if options.no_services { Supply::FindOnly } else { Supply::Install };
    let prepared = components::prepare(workspace, supply, &require);
    let mut report = Report { problems: require.absent(&prepared), ..Report::default() };

    let cargo = |arguments: &[&str]| {
        let mut command = process::cargo(workspace.root());
        command.args(arguments).envs(prepared.variables());
        if let Some(words) = require.words(&prepared) {
            command.env(REQUIRE, words);
        }
        command
    };
    let runner = options.runner.unwrap_or_else(Runner::found);
    // Of the tests with all features on, those that exist only with them are worth the time: nobody is shipped the others.
    let mut ran = nextest::Listed::default();
    for selection in workspace.selections() {
        match runner {
            Runner::Nextest => {
                let listed = process::capture(&mut cargo(&nextest::list(&selection)));
                let all = match listed.and_then(|text| nextest::Listed::read(&text)) {
                    Ok(all) => all,
                    Err(error) => {
                        report.fail(format!("{error:#}"));
                        continue;
                    }
                };
                let (filter, elsewhere) = all.beyond(&ran);
                report.follow(
                    cargo(&nextest::tests(&selection, filter.as_deref())),
                    Stream::Stderr,
                    nextest::Output::without(elsewhere),
                )?;
                ran = all;
            }
            Runner::Libtest => {
                report.follow(
                    cargo(&libtest::tests(&selection)),
                    Stream::Stdout,
                    libtest::Output::default(),
                )?;
            }
        }
    }
    report.follow(cargo(&libtest::examples()), Stream::Stdout, libtest::Output::default())?;
    report.judge_skips(&require, &prepared);
    Ok(report)
}

/// What a whole run comes to.
#[derive(Debug, Default)]
pub(crate) struct Report {
    counts: Counts,
    /// Failures that are no test's own: a runner that broke, a required component that is absent, a required test
    /// that was skipped.
    problems: Vec<String>,
    /// How many tests were skipped for each reason that is allowed.
    reasons: BTreeMap<String, u64>,
    skipped: u64,
}

impl Report {
    /// Runs the command, shows its output as it comes, and reads the counts from the stream that holds them.
    fn follow(&mut self, mut command: Command, stream: Stream, mut reader: impl Reader) -> Result<()> {
        let status = process::stream(&mut command, |from, line| {
            let echo = if from == stream { reader.line(line) } else { Echo::Show };
            match (echo, from) {
                (Echo::Hide, _) => {}
                (Echo::Show, Stream::Stdout) => println!("{line}"),
                (Echo::Show, Stream::Stderr) => eprintln!("{line}"),
            }
        })?;
        let counts = reader.finish();
        if !status.success() && counts.failed == 0 {
            self.problems
                .push(format!("`cargo` ended with {status} though no test failed; see its output above"));
        }
        self.counts.add(counts);
        Ok(())
    }

    fn judge_skips(&mut self, require: &Require, prepared: &Prepared) {
        for skip in &self.counts.skips {
            let reasons = skip.reasons.join("; ");
            if skip.whats().any(|what| require.forbids(what, prepared)) {
                self.problems
                    .push(format!("`{}` was skipped, and that was not allowed: {reasons}", skip.test));
            } else {
                self.skipped = self.skipped.saturating_add(1);
                let count = self.reasons.entry(reasons).or_default();
                *count = count.saturating_add(1);
            }
        }
        if self.counts.ignored > 0 {
            self.skipped = self.skipped.saturating_add(self.counts.ignored);
            self.reasons.insert("marked `#[ignore]`".to_owned(), self.counts.ignored);
        }
        if self.counts.passed == 0 && self.counts.failed == 0 && self.problems.is_empty() {
            self.problems.push("no test was executed".to_owned());
        }
    }

    /// Adds a failure that is no test's.
    pub(crate) fn fail(&mut self, problem: String) {
        self.problems.push(problem);
    }

    fn failed(&self) -> u64 {
        self.counts.failed.saturating_add(u64::try_from(self.problems.len()).unwrap_or(u64::MAX))
    }

    /// Ends with the counts, alone on their line.
    pub(crate) fn print(&self) {
        for problem in &self.problems {
            println!("FAILED {problem}");
        }
        for (reason, tests) in &self.reasons {
            println!("SKIPPED {reason} ({tests} tests)");
        }
        println!("{} passed, {} failed, {} skipped", self.counts.passed, self.failed(), self.skipped);
    }

    /// Success exactly when the printed line says that nothing failed.
    pub(crate) fn exit_code(&self) -> ExitCode {
        if self.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

#[cfg(test)]
mod tests {
    use super::count::Skip;
    use super::*;

    fn report(passed: u64, skips: &[&str], require: Option<&str>) -> Report {
        let mut report = Report::default();
        report.counts.passed = passed;
        report.counts.skips = skips
            .iter()
            .map(|reason| Skip { test: "t".to_owned(), reasons: vec![(*reason).to_owned()] })
            .collect();
        report.judge_skips(&Require::parse(require).unwrap(), &Prepared::default());
        report
    }

    #[test]
    fn a_skip_is_counted_apart_and_does_not_fail_a_run_that_requires_nothing() {
        let report = report(3, &["node: not found"], None);
        assert_eq!((report.failed(), report.skipped), (0, 1));
    }

    #[test]
    fn a_skip_of_what_is_required_is_a_failure_and_no_skip() {
        for require in ["all", "node", "zstd,node"] {
            let report = report(3, &["node: not found"], Some(require));
            assert_eq!((report.failed(), report.skipped), (1, 0), "{require}");
        }
        assert_eq!(report(3, &["node: not found"], Some("zstd")).failed(), 0);
    }

    #[test]
    fn under_all_a_skip_without_a_known_name_is_a_failure_too() {
        assert_eq!(report(3, &["moon phase: waning"], Some("all")).failed(), 1);
        assert_eq!(report(3, &["no colon"], Some("all")).failed(), 1);
    }

    #[test]
    fn a_run_without_a_test_is_a_failure() {
        assert_eq!(report(0, &[], None).failed(), 1);
        assert_eq!(report(0, &["node: not found"], None).failed(), 1);
        assert_eq!(report(1, &[], None).failed(), 0);
    }

    #[test]
    fn a_failure_beside_the_tests_is_counted() {
        let mut report = report(1, &[], None);
        report.fail("check failed in: fmt".to_owned());
        assert_eq!(report.failed(), 1);
    }

    #[test]
    fn a_runner_that_fails_without_a_failed_test_is_a_failure() {
        let mut report = Report::default();
        let mut command = Command::new("cargo");
        command.args(["no-such-command-of-cargo"]);
        report.follow(command, Stream::Stdout, libtest::Output::default()).unwrap();
        assert_eq!(report.failed(), 1);
    }
}
