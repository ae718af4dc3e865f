//! One report, and pure functions that render it.

mod evidence;
mod human;
mod json;

use jiff::Timestamp;

pub use evidence::write_evidence;
pub use human::{human, progress_line};
pub use json::json;

use crate::catalogue::Control;
use crate::check::Check;
use crate::launch::JudgedRow;
use crate::outcome::{Outcome, Severity};
use crate::run::Profile;

/// What a run found.
#[derive(Debug, Clone)]
pub struct Report {
    /// The target's name.
    pub target: String,
    /// Where it is.
    pub base_url: String,
    /// Names this run, by its start.
    pub run: String,
    /// When it started.
    pub started_at: Timestamp,
    /// Which checklist it was for.
    pub profile: Profile,
    /// The ten rows of the launch-ready checklist.
    pub rows: Vec<JudgedRow>,
    /// Every selected control, sorted by id.
    pub outcomes: Vec<Judged>,
}

/// A control with its outcome.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The control's id.
    pub id: &'static str,
    /// The claim.
    pub title: &'static str,
    /// How much harm its failure allows.
    pub severity: Severity,
    /// Whether there is a check for it at all.
    pub has_check: bool,
    /// The outcome.
    pub outcome: Outcome,
}

impl Judged {
    pub(crate) const fn of_check(check: &Check, outcome: Outcome) -> Self {
        Self { id: check.id, title: check.title, severity: check.severity, has_check: true, outcome }
    }

    pub(crate) const fn of_control(control: &Control, outcome: Outcome) -> Self {
        Self { id: control.id, title: control.title, severity: control.severity, has_check: false, outcome }
    }
}

/// How many controls have which outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Summary {
    /// Shown.
    pub pass: usize,
    /// Wrong.
    pub fail: usize,
    /// Judged without a result.
    pub inconclusive: usize,
    /// Declared absent.
    pub not_applicable: usize,
    /// Answered for by a person.
    pub attested: usize,
    /// Crashed.
    pub broken: usize,
    /// Inconclusive because no check exists yet; these are not counted in `inconclusive`.
    pub without_check: usize,
}

/// What decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gate {
    /// The checks that exist and were selected.
    #[default]
    Checks,
    /// Every selected control of severity critical or high, those without a check included.
    Launch,
}

impl Report {
    /// The counts.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for judged in &self.outcomes {
            let count = match &judged.outcome {
                Outcome::Pass { .. } => &mut summary.pass,
                Outcome::Fail { .. } => &mut summary.fail,
                Outcome::NotApplicable { .. } => &mut summary.not_applicable,
                Outcome::Attested { .. } => &mut summary.attested,
                Outcome::Broken { .. } => &mut summary.broken,
                Outcome::Inconclusive { .. } if !judged.has_check => &mut summary.without_check,
                Outcome::Inconclusive { .. } => &mut summary.inconclusive,
            };
            *count += 1;
        }
        summary
    }

    /// 0 when all that the gate looks at is in order, 1 with a failure, 3 when something stayed inconclusive, 2 when a
    /// check crashed and nothing failed.
    pub fn exit_code(&self, gate: Gate) -> u8 {
        let looked_at: Vec<&Judged> = self
            .outcomes
            .iter()
            .filter(|judged| match gate {
                Gate::Checks => judged.has_check,
                Gate::Launch => judged.severity >= Severity::High,
            })
            .collect();
        let any = |word: &str| looked_at.iter().any(|judged| judged.outcome.word() == word);
        if any("fail") {
            1
        } else if any("broken") {
            2
        } else if any("inconclusive") || looked_at.is_empty() {
            3
        } else {
            0
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Gate, Judged, Report};
    use crate::launch;
    use crate::outcome::{Finding, Outcome, Severity};
    use crate::probe::Evidence;
    use crate::run::Profile;

    pub(crate) fn report(outcomes: Vec<Judged>) -> Report {
        Report {
            target: "harbour-bot".to_owned(),
            base_url: "http://127.0.0.1:8088".to_owned(),
            run: "20260110T120000Z".to_owned(),
            started_at: "2026-01-10T12:00:00Z".parse().unwrap(),
            profile: Profile::Both,
            rows: launch::judge(&outcomes),
            outcomes,
        }
    }

    pub(crate) fn judged(id: &'static str, severity: Severity, has_check: bool, outcome: Outcome) -> Judged {
        Judged { id, title: "A claim", severity, has_check, outcome }
    }

    pub(crate) fn pass() -> Outcome {
        Outcome::Pass { reason: "4 of 4 routes; control: alice".to_owned(), evidence: Evidence::default() }
    }

    fn unsure() -> Outcome {
        Outcome::Inconclusive { reason: "no check yet".to_owned(), evidence: Evidence::default() }
    }

    fn fail() -> Outcome {
        Outcome::Fail { findings: vec![Finding::new("seen", "fix")], evidence: Evidence::default() }
    }

    #[test]
    fn exit_codes_say_what_happened() {
        let code = |outcomes: Vec<Outcome>| {
            let list = outcomes.into_iter().map(|outcome| judged("AUTH-01", Severity::High, true, outcome));
            report(list.collect()).exit_code(Gate::Checks)
        };
        assert_eq!(code(vec![pass()]), 0);
        assert_eq!(code(vec![pass(), fail(), unsure()]), 1);
        assert_eq!(code(vec![pass(), unsure()]), 3);
        assert_eq!(code(vec![Outcome::Broken { reason: String::new() }, unsure()]), 2);
        assert_eq!(code(vec![]), 3, "a run that looked at nothing is not in order");
    }

    #[test]
    fn the_launch_gate_counts_controls_that_no_check_judges() {
        let shown = judged("AUTH-01", Severity::Critical, true, pass());
        let silent = judged("PI-01", Severity::Critical, false, unsure());
        let minor = judged("MON-06", Severity::Low, false, unsure());
        assert_eq!(report(vec![shown.clone(), silent.clone()]).exit_code(Gate::Checks), 0);
        assert_eq!(report(vec![shown.clone(), silent]).exit_code(Gate::Launch), 3);
        assert_eq!(report(vec![shown, minor]).exit_code(Gate::Launch), 0);
    }
}
