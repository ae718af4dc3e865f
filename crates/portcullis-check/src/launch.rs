//! The launch-ready scorecard: ten rows, each worth its worst control.
//!
//! A control without a check, or one that was not run, leaves its row inconclusive: a row is never hidden.

use serde::Serialize;

use crate::report::Judged;

/// One row of the scorecard.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// What the row is called.
    pub title: &'static str,
    /// The controls it stands for.
    pub controls: &'static [&'static str],
}

/// The ten rows, in the checklist's order.
pub const ROWS: [Row; 10] = [
    Row { title: "Auth on all member data routes", controls: &["AUTH-01", "AUTH-02", "AUTH-05"] },
    Row { title: "Secret handling", controls: &["SEC-01", "SEC-02", "SEC-05"] },
    Row { title: "SPF, DKIM and DMARC", controls: &["MAIL-01", "MAIL-02", "MAIL-03"] },
    Row { title: "Edge and SSL", controls: &["EDGE-01", "EDGE-02", "EDGE-06"] },
    Row { title: "Rate limiting", controls: &["RL-01"] },
    Row { title: "Prompt injection defence", controls: &["PI-01", "PI-02", "PI-03", "PI-04"] },
    Row { title: "Tenant isolation", controls: &["TEN-01", "TEN-02", "TEN-05", "TEN-07"] },
    Row { title: "Logging hygiene", controls: &["LOG-01"] },
    Row { title: "Monitoring and alerts", controls: &["MON-01", "MON-02"] },
    Row { title: "Rollback plan", controls: &["DR-04"] },
];

/// A row with its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JudgedRow {
    /// From 1 to 10.
    pub number: usize,
    /// What the row is called.
    pub title: &'static str,
    /// The outcome of its worst control.
    pub outcome: &'static str,
    /// How many of its controls are shown.
    pub shown: usize,
    /// How many controls it has.
    pub of: usize,
    /// What keeps it from passing; empty when nothing does.
    pub reason: String,
}

/// Judges the ten rows by the outcomes of a run.
pub fn judge(outcomes: &[Judged]) -> Vec<JudgedRow> {
    ROWS.iter().enumerate().map(|(index, row)| judge_row(index + 1, row, outcomes)).collect()
}

fn judge_row(number: usize, row: &Row, outcomes: &[Judged]) -> JudgedRow {
    let found: Vec<(&str, Option<&Judged>)> =
        row.controls.iter().map(|id| (*id, outcomes.iter().find(|judged| judged.id == *id))).collect();
    // A control that was not selected for this run was not looked at.
    let badness = |judged: &Option<&Judged>| judged.map_or(INCONCLUSIVE, |judged| judged.outcome.badness());
    let worst = found.iter().map(|(_, judged)| badness(judged)).max().unwrap_or(INCONCLUSIVE);
    let of_worst: Vec<&(&str, Option<&Judged>)> =
        found.iter().filter(|(_, judged)| badness(judged) == worst).collect();
    let outcome = of_worst
        .iter()
        .find_map(|(_, judged)| judged.map(|judged| judged.outcome.word()))
        .unwrap_or("inconclusive");
    let unchecked: Vec<&str> = of_worst
        .iter()
        .filter(|(_, judged)| judged.is_none_or(|judged| !judged.has_check))
        .map(|(id, _)| *id)
        .collect();
    let reason = if worst <= ATTESTED {
        String::new()
    } else if let Some((id, Some(judged))) = of_worst.iter().find(|(_, j)| j.is_some_and(|j| j.has_check)) {
        format!("{id}: {}", judged.outcome.reason())
    } else if worst == INCONCLUSIVE {
        format!("not judged yet: {}", unchecked.join(", "))
    } else {
        of_worst
            .first()
            .and_then(|(id, judged)| judged.map(|judged| format!("{id}: {}", judged.outcome.reason())))
            .unwrap_or_default()
    };
    JudgedRow {
        number,
        title: row.title,
        outcome,
        shown: found
            .iter()
            .filter(|(_, judged)| judged.is_some_and(|judged| judged.outcome.counts()))
            .count(),
        of: row.controls.len(),
        reason,
    }
}

const ATTESTED: u8 = 1;
const INCONCLUSIVE: u8 = 3;

#[cfg(test)]
mod tests {
    use super::{ROWS, judge};
    use crate::catalogue;
    use crate::outcome::Outcome;

    #[test]
    fn with_nothing_judged_all_ten_rows_stand_there_inconclusive() {
        let rows = judge(&[]);
        assert_eq!(rows.len(), 10);
        assert!(
            rows.iter().all(|row| row.outcome == "inconclusive" && row.shown == 0 && !row.reason.is_empty())
        );
    }

    #[test]
    fn every_control_of_a_row_is_in_the_catalogue() {
        for row in ROWS {
            assert!(row.controls.iter().all(|id| catalogue::find(id).is_some()), "{}", row.title);
        }
    }

    #[test]
    fn the_order_of_badness_is_the_one_the_rows_use() {
        let inconclusive =
            Outcome::Inconclusive { reason: String::new(), evidence: crate::probe::Evidence::default() };
        assert_eq!(inconclusive.badness(), super::INCONCLUSIVE);
        let attested = Outcome::Attested { who: String::new(), until: jiff::Timestamp::UNIX_EPOCH };
        assert_eq!(attested.badness(), super::ATTESTED);
    }
}
