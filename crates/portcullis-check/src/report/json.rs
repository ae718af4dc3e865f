//! The report for machines. The same report always gives the same bytes.

use serde::Serialize;

use super::{Judged, Report, Summary};
use crate::launch::JudgedRow;
use crate::outcome::{Finding, Outcome};
use crate::probe::{Evidence, Exchange};

#[derive(Serialize)]
struct Document<'r> {
    schema: u32,
    target: &'r str,
    base_url: &'r str,
    run: &'r str,
    started_at: String,
    profile: &'static str,
    summary: Summary,
    launch_ready: &'r [JudgedRow],
    outcomes: Vec<Row<'r>>,
}

#[derive(Serialize)]
struct Row<'r> {
    id: &'r str,
    title: &'r str,
    outcome: &'static str,
    severity: &'static str,
    has_check: bool,
    reason: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    findings: Vec<Found<'r>>,
    evidence: Pointers<'r>,
    fix: Option<&'r str>,
}

#[derive(Serialize)]
struct Found<'r> {
    seen: &'r str,
    fix: &'r str,
    shown_by: &'r [usize],
}

/// What was asked, without what differs between runs; the evidence files hold the rest.
#[derive(Serialize)]
struct Pointers<'r> {
    exchanges: usize,
    /// Those that show the findings, or the first ones.
    shown: Vec<Pointer<'r>>,
}

#[derive(Serialize)]
struct Pointer<'r> {
    number: usize,
    request: &'r str,
    credential: &'r str,
    status: Option<u16>,
    answer: &'r str,
}

/// How many exchanges stand in the report itself.
const SHOWN: usize = 8;

/// Renders the report as JSON, indented, with a final newline.
pub fn json(report: &Report) -> String {
    let document = Document {
        schema: 1,
        target: &report.target,
        base_url: &report.base_url,
        run: &report.run,
        started_at: report.started_at.to_string(),
        profile: report.profile.word(),
        summary: report.summary(),
        launch_ready: &report.rows,
        outcomes: report.outcomes.iter().map(row).collect(),
    };
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_else(|_| "{}".to_owned());
    text.push('\n');
    text
}

fn row(judged: &Judged) -> Row<'_> {
    let (findings, evidence) = match &judged.outcome {
        Outcome::Fail { findings, evidence } => (findings.as_slice(), Some(evidence)),
        Outcome::Pass { evidence, .. } | Outcome::Inconclusive { evidence, .. } => (&[][..], Some(evidence)),
        Outcome::NotApplicable { .. } | Outcome::Attested { .. } | Outcome::Broken { .. } => (&[][..], None),
    };
    let exchanges = evidence.map_or(&[][..], Evidence::exchanges);
    let cited = |exchange: &&Exchange| {
        let mut finding = findings.iter().flat_map(|finding| &finding.shown_by);
        finding.clone().next().is_none() || finding.any(|number| *number == exchange.number)
    };
    let shown = exchanges.iter().filter(cited);
    Row {
        id: judged.id,
        title: judged.title,
        outcome: judged.outcome.word(),
        severity: judged.severity.word(),
        has_check: judged.has_check,
        reason: judged.outcome.reason(),
        findings: findings.iter().map(found).collect(),
        evidence: Pointers { exchanges: exchanges.len(), shown: shown.take(SHOWN).map(pointer).collect() },
        fix: findings.first().map(|finding| finding.fix.as_str()),
    }
}

fn found(finding: &Finding) -> Found<'_> {
    Found { seen: &finding.seen, fix: &finding.fix, shown_by: &finding.shown_by }
}

fn pointer(exchange: &Exchange) -> Pointer<'_> {
    Pointer {
        number: exchange.number,
        request: &exchange.request,
        credential: &exchange.credential,
        status: exchange.status,
        answer: &exchange.answer,
    }
}
