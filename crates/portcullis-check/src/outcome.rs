//! What a check may say, and what it must hold in hand to say it.
//!
//! A check returns a [`Verdict`]; the engine turns it into an [`Outcome`]. A passing verdict takes a [`Coverage`]
//! (all of what there was, at least one thing), a [`PositiveControl`] (the same looking succeeds where it must) and
//! [`Evidence`] of recorded exchanges, so a pass that looked at nothing cannot be written.
//! This module never decides what is right or wrong about a target; `checks` does.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::probe::{Evidence, ProbeError, Seen};

/// How much harm a failed control allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// A nuisance, or a gap that needs two others to matter.
    Low,
    /// Weakens another control.
    Medium,
    /// Harms members or the operator by itself.
    High,
    /// Opens member data or the deployment to a stranger.
    Critical,
}

impl Severity {
    /// The word reports use.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Why a check cannot say anything. Never a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inconclusive {
    reason: String,
}

impl Inconclusive {
    /// Says why, in lower case: what was seen, what was wanted, what to do.
    pub fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }

    /// The reason.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl From<ProbeError> for Inconclusive {
    fn from(error: ProbeError) -> Self {
        Self::because(error.to_string())
    }
}

/// Proof that all of what there is was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    looked_at: usize,
    what: String,
}

impl Coverage {
    /// All `total` of `what` were looked at.
    ///
    /// # Errors
    /// When nothing was looked at, or less than everything.
    pub fn complete(looked_at: usize, total: usize, what: impl Into<String>) -> Result<Self, Inconclusive> {
        let what = what.into();
        if looked_at == 0 {
            return Err(Inconclusive::because(format!("nothing was looked at: 0 {what}")));
        }
        if looked_at != total {
            return Err(Inconclusive::because(format!("only {looked_at} of {total} {what} were looked at")));
        }
        Ok(Self { looked_at, what })
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{0} of {0} {1}", self.looked_at, self.what)
    }
}

/// Proof that the same looking succeeds where it must: a refusal counts only beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PositiveControl {
    shown: String,
}

impl PositiveControl {
    /// A request that had to succeed and did: an answer by the application, and a success.
    ///
    /// # Errors
    /// When it did not succeed, or when a sign-in page, a firewall page or nothing at all answered.
    pub fn from_success(seen: &Seen, shown: impl Into<String>) -> Result<Self, Inconclusive> {
        seen.must_be_the_application()?;
        if !seen.status.is_success() {
            return Err(Inconclusive::because(format!(
                "the positive control failed: {} answered {}, a success was wanted",
                seen.request_line(),
                seen.status.as_u16()
            )));
        }
        Ok(Self { shown: shown.into() })
    }

    /// A request whose harmless positive answer the target declares to be `declared` (an unknown object's 404, a
    /// refused empty body's 422), which a stranger must not get.
    ///
    /// # Errors
    /// When the answer is another one, or not by the application.
    pub fn from_declared(seen: &Seen, declared: u16, shown: impl Into<String>) -> Result<Self, Inconclusive> {
        if seen.status.as_u16() != declared || !matches!(declared, 200..=299 | 400 | 404 | 409 | 422) {
            return Err(Inconclusive::because(format!(
                "the positive control failed: {} answered {}, the target declares {declared}",
                seen.request_line(),
                seen.status.as_u16()
            )));
        }
        seen.must_be_the_application()?;
        Ok(Self { shown: shown.into() })
    }

    /// Several controls as one; there must be at least one.
    ///
    /// # Errors
    /// When there is none.
    pub fn all(controls: Vec<Self>, shown: impl Into<String>) -> Result<Self, Inconclusive> {
        if controls.is_empty() {
            return Err(Inconclusive::because("no positive control was made"));
        }
        Ok(Self { shown: shown.into() })
    }
}

impl fmt::Display for PositiveControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// One thing that is wrong: what was seen, and what to change, naming the target's real things.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// What was seen, in lower case.
    pub seen: String,
    /// What to do about it.
    pub fix: String,
    /// The numbers of the exchanges that show it.
    pub shown_by: Vec<usize>,
}

impl Finding {
    /// A finding.
    pub fn new(seen: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { seen: seen.into(), fix: fix.into(), shown_by: Vec::new() }
    }

    /// These exchanges show it.
    #[must_use]
    pub fn shown_by(mut self, exchanges: impl IntoIterator<Item = usize>) -> Self {
        self.shown_by.extend(exchanges);
        self
    }
}

/// What a check found to be wrong so far. Its probe keeps the same list, so that a check that cannot come to its end fails with
/// what it had found by then. Only what stays found whatever comes later belongs here.
#[derive(Debug, Clone, Default)]
pub struct Findings(Arc<Mutex<Vec<Finding>>>);

impl Findings {
    fn list(&self) -> MutexGuard<'_, Vec<Finding>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more.
    pub fn push(&mut self, finding: Finding) {
        self.list().push(finding);
    }

    /// More of them.
    pub fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        // Before the list is locked: making them may look at it.
        let findings: Vec<Finding> = findings.into_iter().collect();
        self.list().extend(findings);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list().is_empty()
    }

    /// Whether this one is among them.
    pub fn contains(&self, finding: &Finding) -> bool {
        self.list().contains(finding)
    }
}

impl From<Findings> for Vec<Finding> {
    fn from(findings: Findings) -> Self {
        findings.list().clone()
    }
}

/// What a check that came to an end says. Only [`Verdict::pass`] and [`Verdict::fail`] make one.
#[derive(Debug, Clone)]
pub struct Verdict(pub(crate) Said);

#[derive(Debug, Clone)]
pub(crate) enum Said {
    Pass { coverage: Coverage, control: PositiveControl, evidence: Evidence },
    Fail { evidence: Evidence, findings: Vec<Finding> },
}

impl Verdict {
    /// Everything was looked at, the control succeeded and nothing was wrong.
    pub const fn pass(coverage: Coverage, control: PositiveControl, evidence: Evidence) -> Self {
        Self(Said::Pass { coverage, control, evidence })
    }

    /// Something is wrong.
    pub fn fail(evidence: Evidence, finding: Finding) -> Self {
        Self(Said::Fail { evidence, findings: vec![finding] })
    }

    /// The usual end of a check: any finding fails it, else any doubt makes it inconclusive, else it passes with
    /// what `proof` can show.
    ///
    /// # Errors
    /// When there is a doubt, or when the proof does not hold.
    pub fn settle(
        evidence: Evidence,
        findings: impl Into<Vec<Finding>>,
        doubts: &[String],
        proof: impl FnOnce() -> Result<(Coverage, PositiveControl), Inconclusive>,
    ) -> Result<Self, Inconclusive> {
        let mut findings = findings.into();
        if !findings.is_empty() {
            findings.dedup();
            return Ok(Self(Said::Fail { evidence, findings }));
        }
        if let Some(first) = doubts.first() {
            let rest = doubts.len() - 1;
            let more = if rest == 0 { String::new() } else { format!(" (and {rest} more like it)") };
            return Err(Inconclusive::because(format!("{first}{more}")));
        }
        let (coverage, control) = proof()?;
        Ok(Self::pass(coverage, control, evidence))
    }
}

/// What the engine reports for a control. Only `Pass` and an unexpired `Attested` count.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Looked at, and right.
    Pass {
        /// What was looked at, and the control.
        reason: String,
        /// The recorded exchanges.
        evidence: Evidence,
    },
    /// Looked at, and wrong.
    Fail {
        /// What is wrong; at least one.
        findings: Vec<Finding>,
        /// The recorded exchanges.
        evidence: Evidence,
    },
    /// The target declares that it does not have what the control is about.
    NotApplicable {
        /// Why.
        reason: String,
        /// Who says so.
        approver: String,
    },
    /// Nothing can be said.
    Inconclusive {
        /// Why, and what would change it.
        reason: String,
        /// What was recorded until then.
        evidence: Evidence,
    },
    /// A person answers for it, for now.
    Attested {
        /// Who.
        who: String,
        /// Until when.
        until: Timestamp,
    },
    /// The check itself crashed.
    Broken {
        /// What the crash said.
        reason: String,
    },
}

impl Outcome {
    /// The word reports use.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Pass { .. } => "pass",
            Self::Fail { .. } => "fail",
            Self::NotApplicable { .. } => "not_applicable",
            Self::Inconclusive { .. } => "inconclusive",
            Self::Attested { .. } => "attested",
            Self::Broken { .. } => "broken",
        }
    }

    /// Whether the control counts as shown.
    pub const fn counts(&self) -> bool {
        matches!(self, Self::Pass { .. } | Self::Attested { .. })
    }

    /// Worse is greater; a row of the scorecard shows its worst control.
    pub const fn badness(&self) -> u8 {
        match self {
            Self::Pass { .. } => 0,
            Self::Attested { .. } => 1,
            Self::NotApplicable { .. } => 2,
            Self::Inconclusive { .. } => 3,
            Self::Broken { .. } => 4,
            Self::Fail { .. } => 5,
        }
    }

    /// One line that says why.
    pub fn reason(&self) -> String {
        match self {
            Self::Pass { reason, .. } | Self::Inconclusive { reason, .. } | Self::Broken { reason } => {
                reason.clone()
            }
            Self::Fail { findings, .. } => {
                let first = findings.first().map_or("", |finding| finding.seen.as_str());
                match findings.len() {
                    0 | 1 => first.to_owned(),
                    n => format!("{first} (and {} more)", n - 1),
                }
            }
            Self::NotApplicable { reason, approver } => format!("{reason} (says {approver})"),
            Self::Attested { who, until } => format!("{who} answers for it until {until}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Coverage;

    #[test]
    fn coverage_of_nothing_or_of_a_part_is_no_coverage() {
        assert!(Coverage::complete(0, 0, "routes").is_err());
        assert!(Coverage::complete(3, 4, "routes").is_err());
        assert_eq!(Coverage::complete(4, 4, "routes").unwrap().to_string(), "4 of 4 routes");
    }
}
