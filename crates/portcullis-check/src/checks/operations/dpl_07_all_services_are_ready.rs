//! DPL-07.

use std::collections::BTreeSet;

use http::{Method, StatusCode};
use serde_json::Value;

use super::versions;
use crate::check::{cases, check};
use crate::checks::deployment;
use crate::classify::Kind;
use crate::outcome::{Coverage, Finding, Findings, Inconclusive, PositiveControl, Verdict};
use crate::probe::{Call, Probe, Seen};
use crate::target::{Route, RouteKind, Target};

check! {
    /// ## What it checks
    /// Every route that says whether a service runs or is ready must answer a success, and a part that readiness names must
    /// not be said to be down. None may tell a version, in the body or in a header. Readiness must be able to say no: an
    /// instance of the same build whose dependency cannot be reached, which the target file names, must answer 503 there
    /// while it still says that it runs. A path that is not there must not be answered like one of them.
    /// ## Why it matters
    /// A readiness route that always says yes sends members to an instance that cannot answer, and hides the outage.
    /// ## How to fix
    /// Let readiness ask each dependency now, with a short time-out, and answer 503 when one does not answer. Let liveness
    /// ask none, or an outage of the database restarts every instance. Say the state of the parts and no version.
    /// ## Limits
    /// It sees the routes of the inventory and the parts that readiness names; a dependency that is not among them is not
    /// seen. The blocked instance shows one dependency being noticed, not each of them, and that both are the same build is
    /// the word of who wrote the target file. Nothing is blocked on the judged instance itself.
    id: "DPL-07", title: "All services are ready",
    area: Operations, severity: High, since: "0.1.0",
    needs: [Identity, Health], touches: Nothing,
    maps: ["API8:2023 Security Misconfiguration"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: [
        "ready-is-static",
        "not-ready",
        "live-asks-dependencies",
        "health-names-version",
        "server-header-names-version",
    ],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man", "echo", "spa-shell"],
}

/// A path that no deployment has.
const UNKNOWN_PATH: &str = "/portcullis-check/no-such-page";
/// Words by which a part says that it is down.
const DOWN: &[&str] = &[
    "down",
    "fail",
    "failed",
    "failing",
    "error",
    "unhealthy",
    "unavailable",
    "unreachable",
    "not ready",
    "not_ready",
    "degraded",
    "critical",
];

/// Names under which the states of parts stand.
const GROUPS: &[&str] =
    &["parts", "checks", "components", "dependencies", "services", "details", "entries", "info", "error"];

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    deployment::tells_members_from_strangers(probe).await?;
    let unknown = probe.send(Call::new(Method::GET, UNKNOWN_PATH)).await?;
    if unknown.status.is_success() {
        return Err(Inconclusive::because(format!(
            "the target answers {} to a path that is not there, so an answer to a health route shows nothing",
            unknown.says()
        )));
    }
    let routes = health_routes(&target);
    let mut findings = probe.findings();
    let mut doubts = Vec::new();
    let mut controls = Vec::new();
    let mut names = BTreeSet::new();
    for route in &routes {
        let seen = probe.send(Call::to(&target, route, "")?).await?;
        controls.extend(judge(route, &seen, &mut findings, &mut doubts));
        if route.kind == RouteKind::Ready {
            names.extend(parts(&seen).into_iter().map(|(name, _)| name));
        }
    }
    let named = names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    match &target.blocked {
        Some(base) => {
            for route in &routes {
                let seen = probe.send(Call::to(&target, route, "")?.at(base)).await?;
                judge_blocked(route, &seen, &names, &mut findings, &mut doubts);
            }
        }
        None => doubts.push(format!(
            "readiness was not seen to say no{}: start the same build with a dependency it cannot reach and add [health] \
             blocked_url to target.toml",
            if named.is_empty() { String::new() } else { format!(", although it names {named}") }
        )),
    }
    let asked = routes.len();
    Verdict::settle(probe.evidence(), findings, &doubts, || {
        let parts = if named.is_empty() { String::new() } else { format!(" ({named})") };
        let what = format!(
            "health routes say yes{parts}, tell no version, and readiness says no where a dependency is blocked"
        );
        let coverage = Coverage::complete(controls.len(), asked, what)?;
        Ok((
            coverage,
            PositiveControl::all(controls, "each answers a success, a path that is not there does not")?,
        ))
    })
}

/// Readiness last.
fn health_routes(target: &Target) -> Vec<Route> {
    let kinds = [RouteKind::Live, RouteKind::Ready];
    let of = |kind| target.routes().into_iter().filter(move |route| route.kind == kind);
    kinds.into_iter().flat_map(of).cloned().collect()
}

fn judge(
    route: &Route,
    seen: &Seen,
    findings: &mut Findings,
    doubts: &mut Vec<String>,
) -> Option<PositiveControl> {
    let line = route.line();
    if seen.kind() == Kind::Firewall {
        doubts.push(format!("{line} was answered by a firewall, a state was wanted"));
        return None;
    }
    if let Some(place) = versions::told(seen) {
        findings.push(
            Finding::new(
                format!("{line} tells a version by {place}"),
                format!("leave {place} out of the answer of {line}, in the proxy too"),
            )
            .shown_by([seen.number()]),
        );
    }
    let down = parts(seen)
        .into_iter()
        .filter(|(_, says)| DOWN.contains(&says.to_lowercase().as_str()))
        .map(|(name, _)| name);
    let down: Vec<String> = down.collect();
    if !down.is_empty() || seen.status == StatusCode::SERVICE_UNAVAILABLE {
        let which = if down.is_empty() { String::new() } else { format!(": {}", down.join(", ")) };
        let what = if down.is_empty() {
            "what it depends on".to_owned()
        } else {
            format!("`{}`", down.join("`, `"))
        };
        findings.push(
            Finding::new(
                format!("{line} says that the service is not ready ({}){which}", seen.status.as_u16()),
                format!(
                    "bring {what} back, and keep this instance out of the load balancer until {line} says yes"
                ),
            )
            .shown_by([seen.number()]),
        );
        return None;
    }
    match PositiveControl::from_success(seen, line) {
        Ok(control) if !matches!(seen.kind(), Kind::Shell | Kind::Html) => Some(control),
        Ok(_) => {
            doubts.push(format!("{} was answered {}, a state was wanted", seen.request_line(), seen.says()));
            None
        }
        Err(why) => {
            doubts.push(why.reason().to_owned());
            None
        }
    }
}

/// What an answer says of parts: their states by name, as the usual frameworks write them.
fn parts(seen: &Seen) -> Vec<(String, String)> {
    let mut parts = Vec::new();
    let body = seen.json();
    for group in GROUPS {
        match body.as_ref().and_then(|body| body.get(group)) {
            Some(Value::Object(map)) => {
                parts.extend(map.iter().filter_map(|(name, state)| Some((name.clone(), state_of(state)?))));
            }
            Some(Value::Array(items)) => parts.extend(
                items
                    .iter()
                    .filter_map(|item| Some((item.get("name")?.as_str()?.to_owned(), state_of(item)?))),
            ),
            _ => {}
        }
    }
    parts
}

fn state_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(up) => Some(if *up { "up" } else { "down" }.to_owned()),
        Value::Object(map) => {
            ["status", "state", "ready", "healthy", "ok"].iter().find_map(|name| match map.get(*name)? {
                Value::Object(_) => None,
                state => state_of(state),
            })
        }
        _ => None,
    }
}

/// The blocked instance: readiness says no, liveness goes on saying yes, and it names the same parts.
fn judge_blocked(
    route: &Route,
    seen: &Seen,
    names: &BTreeSet<String>,
    findings: &mut Findings,
    doubts: &mut Vec<String>,
) {
    let line = route.line();
    let is_live = route.kind == RouteKind::Live;
    if seen.kind() == Kind::Firewall || !(seen.status.is_success() || seen.status.is_server_error()) {
        doubts.push(format!("the blocked instance answered {line} {}, its state was wanted", seen.says()));
    } else if is_live && seen.status.is_server_error() {
        findings.push(
            Finding::new(
                format!("{line} says no ({}) where a dependency is blocked", seen.status.as_u16()),
                format!("let {line} speak of the process alone, or an outage restarts every instance"),
            )
            .shown_by([seen.number()]),
        );
    } else if !is_live && seen.status.is_success() {
        findings.push(
            Finding::new(
                format!("{line} says {} where a dependency is blocked", seen.status.as_u16()),
                format!(
                    "let {line} ask each dependency now, with a short time-out, and answer 503 when one fails"
                ),
            )
            .shown_by([seen.number()]),
        );
    } else if !is_live {
        let blocked: Vec<String> = parts(seen).into_iter().map(|(name, _)| name).collect();
        if let Some(missing) = names.iter().find(|name| !blocked.contains(name)) {
            doubts.push(format!(
                "the blocked instance does not name `{missing}` in {line}: is it the same build?"
            ));
        }
    }
}
