//! Pages about checks, made from the checks themselves.
//!
//! It gives text; whoever calls it writes or compares files.

use std::fmt::Write as _;

use crate::catalogue::{self, CONTROLS, Control};
use crate::check::Check;
use crate::checks::CHECKS;
use crate::launch::ROWS;

/// All generated pages as (path from the repository's root, text), sorted by path.
pub fn pages() -> Vec<(String, String)> {
    let mut pages: Vec<(String, String)> = CHECKS
        .iter()
        .map(|check| (format!("docs/checks/{}.md", check.id.to_lowercase()), check_page(check)))
        .collect();
    pages.push(("docs/checks/index.md".to_owned(), index()));
    pages.sort();
    pages
}

/// What `portcullis explain ID` prints; none for an unknown id.
pub fn explain(id: &str) -> Option<String> {
    let control = catalogue::find(id)?;
    CHECKS.iter().find(|check| check.id == control.id).map_or_else(
        || {
            Some(format!(
                "# {}: {}\n\nSeverity: {}. Due: {}.\n\nThere is no check for this control yet; reports show it as \
                 inconclusive.\n",
                control.id,
                control.title,
                control.severity,
                cadences(control)
            ))
        },
        |check| Some(check_page(check)),
    )
}

fn cadences(control: &Control) -> String {
    control.cadences.iter().map(|cadence| cadence.word()).collect::<Vec<_>>().join(", ")
}

fn check_page(check: &Check) -> String {
    let mut page = format!("# {}: {}\n\n", check.id, check.title);
    let due = catalogue::find(check.id).map(cadences).unwrap_or_default();
    let _ = writeln!(page, "Severity: {}. Due: {due}. Since {}.", check.severity, check.since);
    if let Some(flag) = check.touches.flag() {
        let _ = writeln!(page, "Runs only with `--allow {flag}`.");
    }
    if !check.maps.is_empty() {
        let _ = writeln!(page, "Bears on: {}.", check.maps.join("; "));
    }
    page.push('\n');
    page.push_str(docs(check).trim());
    page.push_str("\n\n## Proven on\n\n");
    let _ = writeln!(page, "Passes on: {}.", names(check.cases.passes_on));
    let _ = writeln!(page, "Fails on each of these single faults: {}.", names(check.cases.fails_on));
    let _ = writeln!(page, "Inconclusive on: {}.", names(check.cases.inconclusive_on));
    page
}

/// The documentation of a check without the space that a doc comment puts before each line.
pub(crate) fn docs(check: &Check) -> String {
    let lines = check.docs.lines().map(|line| line.strip_prefix(' ').unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}

fn names(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn index() -> String {
    let mut page =
        "# Checks\n\nGenerated from the code. A control without a check is shown as inconclusive in every \
                    report.\n\n## Launch-ready scorecard\n\n| # | row | controls |\n|---|---|---|\n"
            .to_owned();
    for (index, row) in ROWS.iter().enumerate() {
        let _ = writeln!(page, "| {} | {} | {} |", index + 1, row.title, row.controls.join(", "));
    }
    page.push_str("\n## Controls\n\n| id | claim | severity | due | check |\n|---|---|---|---|---|\n");
    for control in CONTROLS {
        let has_check = CHECKS.iter().any(|check| check.id == control.id);
        let link =
            if has_check { format!("[yes]({}.md)", control.id.to_lowercase()) } else { "not yet".to_owned() };
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {link} |",
            control.id,
            control.title,
            control.severity,
            cadences(control)
        );
    }
    page
}
