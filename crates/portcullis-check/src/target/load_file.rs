//! `[load]` of a target file.

use super::Credential;
use super::blocklist_file::{read_base, read_route};
use super::file::{Sources, resolve};
use super::load::{Drops, Load, Plan};
use super::read::Section;

/// More is no bounded burst.
const MOST_PER_SECOND: u32 = 2_000;

pub(super) fn read_load(root: &Section<'_, '_>, sources: &Sources<'_>) -> Option<Load> {
    let section = root.section("load")?;
    let consent = section.required("consent").map(str::to_owned);
    let rate = section.number("requests_per_second", 20..=MOST_PER_SECOND);
    if rate.is_none() && section.number("requests_per_second", 0..=u32::MAX).is_none() {
        section.wrong("requests_per_second", "nothing", "a value: this key is required");
    }
    let asked = read_route(&section, "asked");
    let drops = section.section("drops").and_then(|inner| {
        let at = read_base(&inner);
        let operator =
            inner.required("operator").and_then(|reference| resolve(&inner, "operator", reference, sources));
        let line = inner.required("line").map(str::to_owned);
        let route = read_route(&inner, "route");
        inner.finish();
        Some(Drops { at, operator: Credential::bearer(operator?), route: route?, line: line? })
    });
    let plan = section.section("plan").and_then(|inner| {
        let (who, evidence) = (inner.required("who"), inner.required("evidence"));
        let seen = inner.required("seen").and_then(|text| {
            let seen = text.parse().ok();
            if seen.is_none() {
                inner.wrong("seen", format!("`{text}`"), "a moment such as `2026-01-31T00:00:00Z`");
            }
            seen
        });
        inner.finish();
        Some(Plan { who: who?.to_owned(), evidence: evidence?.to_owned(), seen: seen? })
    });
    section.finish();
    Some(Load { consent: consent?, requests_per_second: rate?, asked: asked?, drops, plan })
}
