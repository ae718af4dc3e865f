//! The counts, the skip marker, and what every reader of a runner's output offers.

/// What a runner's output said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Tests that ran and passed; a skipped one is not among them.
    pub(super) passed: u64,
    pub(super) failed: u64,
    /// Tests that the runner left out by itself.
    pub(super) ignored: u64,
    /// Tests that said so themselves.
    pub(super) skips: Vec<Skip>,
}

impl Counts {
    pub(super) fn add(&mut self, other: Self) {
        self.passed = self.passed.saturating_add(other.passed);
        self.failed = self.failed.saturating_add(other.failed);
        self.ignored = self.ignored.saturating_add(other.ignored);
        self.skips.extend(other.skips);
    }

    /// Records one marker of `test`. A test counts once, however many markers it prints; `None` is output that
    /// belongs to no test, where each marker counts.
    pub(super) fn skip(&mut self, test: Option<&str>, reason: &str) {
        let known = test.and_then(|test| self.skips.iter_mut().find(|skip| skip.test == test));
        match known {
            Some(skip) => skip.reasons.push(reason.to_owned()),
            None => self.skips.push(Skip {
                test: test.unwrap_or("a test that the runner did not name").to_owned(),
                reasons: vec![reason.to_owned()],
            }),
        }
    }

    /// The runner counted skipped tests as passed: takes them out.
    pub(super) fn without_skips(mut self) -> Self {
        let skipped = u64::try_from(self.skips.len()).unwrap_or(u64::MAX);
        self.passed = self.passed.saturating_sub(skipped);
        self
    }
}

/// One test that was skipped.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Skip {
    pub(super) test: String,
    /// Each `<what>: <why>`.
    pub(super) reasons: Vec<String>,
}

impl Skip {
    /// What was lacking, by the names that `--require` takes.
    pub(super) fn whats(&self) -> impl Iterator<Item = &str> {
        self.reasons.iter().map(|reason| reason.split(':').next().unwrap_or_default().trim())
    }
}

/// Whether a line is shown as it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Echo {
    Show,
    Hide,
}

/// Reads a runner's output line by line.
pub(super) trait Reader {
    fn line(&mut self, line: &str) -> Echo;

    fn finish(self) -> Counts;
}

/// The text after a skip marker. With one test thread the runner prints `test NAME ... ` on the same line first.
pub(super) fn skip_marker(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let own =
        if line.starts_with("test ") { line.split_once(" ... ").map_or(line, |(_, own)| own) } else { line };
    own.strip_prefix("SKIPPED ").map(str::trim)
}

/// A leading number and the word after it: `3 passed` is `(3, "passed")`.
pub(super) fn number_and_word(text: &str) -> Option<(u64, &str)> {
    let (number, word) = text.trim().split_once(' ')?;
    Some((number.parse().ok()?, word.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_found_only_at_the_start_of_what_a_test_printed() {
        assert_eq!(skip_marker("SKIPPED node: not found"), Some("node: not found"));
        assert_eq!(skip_marker("    SKIPPED node: not found"), Some("node: not found"));
        assert_eq!(skip_marker("test a::b ... SKIPPED node: not found"), Some("node: not found"));
        assert_eq!(skip_marker("it was SKIPPED node: not found"), None);
        assert_eq!(skip_marker("test a::b ... ok"), None);
    }

    #[test]
    fn a_test_with_two_markers_is_one_skipped_test() {
        let mut counts = Counts { passed: 5, ..Counts::default() };
        counts.skip(Some("a"), "node: no");
        counts.skip(Some("a"), "zstd: no");
        counts.skip(None, "data: no");
        counts.skip(None, "data: no");
        let counts = counts.without_skips();
        assert_eq!((counts.passed, counts.skips.len()), (2, 3));
        assert_eq!(counts.skips[0].whats().collect::<Vec<_>>(), ["node", "zstd"]);
    }
}
