//! The report for people: the ten launch-ready rows, then what failed, what could not be said, and what is shown.

use super::{Judged, Report};
use crate::outcome::Outcome;

/// Below this the columns cannot stand side by side.
const NARROWEST: usize = 60;

/// Renders the report for a terminal of `width` columns; wider than 120 is not used.
pub fn human(report: &Report, width: usize) -> String {
    let width = width.clamp(NARROWEST, 120);
    let mut out = String::new();
    let mut line = |text: &str| {
        out.push_str(text.trim_end());
        out.push('\n');
    };
    line(&format!("{} at {}", report.target, report.base_url));
    line("");
    line("Launch ready");
    for row in &report.rows {
        let left = format!(
            "  {:>2}  {:<30}  {:<12}  {} of {}",
            row.number,
            row.title,
            shown(row.outcome),
            row.shown,
            row.of
        );
        line(&left);
        for text in wrap(&row.reason, width.saturating_sub(6)) {
            line(&format!("      {text}"));
        }
    }
    let sections: [(&str, &[&str]); 4] = [
        ("Failed", &["fail", "broken"]),
        ("Inconclusive", &["inconclusive"]),
        ("Shown", &["pass", "attested"]),
        ("Not applicable", &["not_applicable"]),
    ];
    for (title, words) in sections {
        let mut listed: Vec<&Judged> = report
            .outcomes
            .iter()
            .filter(|judged| words.contains(&judged.outcome.word()) && !is_silent(judged))
            .collect();
        if listed.is_empty() {
            continue;
        }
        listed.sort_by_key(|judged| (std::cmp::Reverse(judged.severity), judged.id));
        line("");
        line(title);
        for judged in listed {
            for text in lines_of(judged, width) {
                line(&text);
            }
        }
    }
    let summary = report.summary();
    line("");
    line(&format!(
        "{} passed, {} failed, {} inconclusive, {} broken, {} attested, {} not applicable",
        summary.pass,
        summary.fail,
        summary.inconclusive,
        summary.broken,
        summary.attested,
        summary.not_applicable
    ));
    if summary.without_check > 0 {
        let (have, they) = if summary.without_check == 1 {
            ("control has", "it counts")
        } else {
            ("controls have", "they count")
        };
        line(&format!("{} more {have} no check yet; {they} as inconclusive", summary.without_check));
    }
    out
}

/// One line for a check that ended, while others run.
pub fn progress_line(judged: &Judged) -> String {
    format!("{:<12}  {:<8}  {}", shown(judged.outcome.word()), judged.id, judged.title)
}

/// Inconclusive only because nobody wrote a check: counted, not listed.
const fn is_silent(judged: &Judged) -> bool {
    !judged.has_check && matches!(judged.outcome, Outcome::Inconclusive { .. })
}

fn shown(word: &str) -> &'static str {
    match word {
        "pass" => "PASS",
        "fail" => "FAIL",
        "attested" => "ATTESTED",
        "broken" => "BROKEN",
        "not_applicable" => "N/A",
        _ => "INCONCLUSIVE",
    }
}

fn lines_of(judged: &Judged, width: usize) -> Vec<String> {
    let head = format!("{:<12}  {:<8}  {}", shown(judged.outcome.word()), judged.id, judged.title);
    let severity = judged.severity.word();
    let gap = width.saturating_sub(head.chars().count() + severity.len()).max(2);
    let mut lines = vec![format!("{head}{}{severity}", " ".repeat(gap))];
    let mut indented = |text: &str| {
        lines.extend(wrap(text, width.saturating_sub(6)).into_iter().map(|text| format!("      {text}")));
    };
    match &judged.outcome {
        Outcome::Fail { findings, evidence } => {
            for finding in findings.iter().take(SHOWN) {
                indented(&format!("{}{}", finding.seen, cited(&finding.shown_by)));
                indented(&format!("fix: {}", finding.fix));
            }
            if findings.len() > SHOWN {
                indented(&format!("and {} more findings", findings.len() - SHOWN));
            }
            indented(&format!(
                "{} exchanges in evidence; see docs/checks/{}.md",
                evidence.exchanges().len(),
                judged.id.to_lowercase()
            ));
        }
        outcome => indented(&outcome.reason()),
    }
    lines
}

/// The numbers of the exchanges that show a finding.
fn cited(numbers: &[usize]) -> String {
    let listed = numbers.iter().take(4).map(usize::to_string).collect::<Vec<_>>().join(", ");
    match numbers.len() {
        0 => String::new(),
        1..=4 => format!(" (evidence {listed})"),
        _ => format!(" (evidence {listed}, ...)"),
    }
}

/// How many findings of one check are spelled out.
const SHOWN: usize = 5;

/// Breaks a text at spaces; words longer than the width stand alone.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::human;
    use crate::outcome::{Finding, Outcome, Severity};
    use crate::probe::Evidence;
    use crate::report::tests::{judged, pass, report};

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let findings =
            vec![Finding::new("a long sentence about what was seen ".repeat(9), "do this ".repeat(30))];
        let failed = Outcome::Fail { findings, evidence: Evidence::default() };
        let report = report(vec![
            judged("AUTH-01", Severity::Critical, true, failed),
            judged("EDGE-07", Severity::Medium, true, pass()),
        ]);
        for width in [80, 100, 120] {
            let text = human(&report, width);
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= width, "{widest} > {width}:\n{text}");
        }
    }

    #[test]
    fn the_ten_rows_come_first_and_failures_before_the_rest() {
        let failed =
            Outcome::Fail { findings: vec![Finding::new("seen", "fix")], evidence: Evidence::default() };
        let text = human(
            &report(vec![
                judged("AUTH-01", Severity::Critical, true, pass()),
                judged("EDGE-07", Severity::Medium, true, failed),
            ]),
            80,
        );
        let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what} is missing in\n{text}"));
        assert!(at("Launch ready") < at("Rollback plan"));
        assert!(at("Rollback plan") < at("FAIL          EDGE-07"));
        assert!(at("FAIL          EDGE-07") < at("PASS          AUTH-01"));
    }
}
