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
    /// Every route that says whether a service runs or is ready must answer a success, and neither the service nor a part that it
    /// names may be said to be down there, in JSON or in lines of text. None may tell a version, in the body or in a header. Readiness must be able to say no: an
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
        "ready-says-degraded",
        "live-asks-dependencies",
        "health-names-version",
        "server-header-names-version",
    ],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man", "echo", "spa-shell"],
}

/// A path that no deployment has.
const UNKNOWN_PATH: &str = "/portcullis-check/no-such-page";
/// Words by which a service or a part says that it is down.
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
    "disconnected",
    "not connected",
    "connection refused",
    "offline",
    "timeout",
    "timed out",
    "dead",
    "stopped",
    "not ok",
];
/// What an answer may say of itself by yes and no. `false` for anything else that is no part says nothing that is known.
const STATES: &[&str] = &["status", "state", "ready", "healthy", "ok"];
const YES_IS_UP: &[&str] = &[
    "up",
    "alive",
    "live",
    "available",
    "connected",
    "reachable",
    "success",
    "started",
    "running",
    "online",
];
const YES_IS_DOWN: &[&str] =
    &["down", "error", "failed", "degraded", "unhealthy", "offline", "shutting_down"];
/// Names that parts usually have.
const PARTS: &[&str] = &[
    "db",
    "database",
    "postgres",
    "postgresql",
    "mysql",
    "sqlite",
    "mongo",
    "mongodb",
    "redis",
    "cache",
    "queue",
    "broker",
    "kafka",
    "rabbitmq",
    "storage",
    "store",
    "disk",
    "s3",
    "search",
    "index",
    "vector",
    "vectors",
    "qdrant",
    "model",
    "llm",
    "mail",
    "smtp",
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
            names.extend(parts(seen.json().as_ref()).into_iter().map(|(name, _)| name));
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
    let states = states(&seen.body);
    let down = states.iter().filter(|(_, state)| *state == State::Down);
    let down: Vec<&str> = down.map(|(name, _)| name.as_str()).collect();
    if let Some((name, _)) = states.iter().find(|(_, state)| *state == State::Unclear) {
        doubts.push(format!(
            "{line} says `{name}` is false, and nothing tells whether that is good: let it name a state, such as `\"{name}\": \"up\"`"
        ));
    }
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

/// Whether something is said to be down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Up,
    Down,
    /// It is said to be `false`, and no more.
    Unclear,
}

/// What an answer says of the service and of its parts, by name: as the usual frameworks write it, in JSON or in lines of text.
fn states(body: &str) -> Vec<(String, State)> {
    let said = |text: &str| if DOWN.contains(&plain(text).as_str()) { State::Down } else { State::Up };
    let json: Option<Value> = serde_json::from_str(body).ok();
    let mut states: Vec<(String, State)> =
        parts(json.as_ref()).into_iter().map(|(name, says)| (name, said(&says))).collect();
    match &json {
        Some(Value::Object(members)) => {
            for (name, value) in members.iter().filter(|(name, _)| !is_group(name, json.as_ref())) {
                let state = match value {
                    Value::Bool(yes) => by_name(&name.to_lowercase(), *yes),
                    value => state_of(value).map_or(State::Up, |says| said(&says)),
                };
                states.push((name.clone(), state));
            }
        }
        Some(Value::String(text)) => states.push(("the service".to_owned(), said(text))),
        Some(Value::Bool(false)) => states.push(("the service".to_owned(), State::Down)),
        Some(_) => {}
        None => {
            // A word alone speaks of the service, one behind a name of a part.
            for line in body.lines() {
                let (name, says) = line.split_once([':', '=']).unwrap_or(("the service", line));
                states.push((name.trim().to_owned(), said(says)));
            }
        }
    }
    states
}

/// What yes or no means for a name.
fn by_name(name: &str, yes: bool) -> State {
    let is_up = STATES.iter().chain(YES_IS_UP).chain(PARTS).any(|known| *known == name);
    let is_down = YES_IS_DOWN.contains(&name);
    match (yes, is_up, is_down) {
        (true, _, true) | (false, true, _) => State::Down,
        (false, false, false) => State::Unclear,
        (true, _, false) | (false, _, true) => State::Up,
    }
}

/// A state's word alone, in lower case.
fn plain(text: &str) -> String {
    text.trim().trim_end_matches(['.', '!']).to_lowercase()
}

/// Whether parts stand under this name.
fn is_group(name: &str, body: Option<&Value>) -> bool {
    GROUPS.contains(&name)
        && body.and_then(|body| body.get(name)).is_some_and(|value| value.is_object() || value.is_array())
}

/// What an answer says of parts: their states by name.
fn parts(body: Option<&Value>) -> Vec<(String, String)> {
    let mut parts = Vec::new();
    for group in GROUPS {
        match body.and_then(|body| body.get(group)) {
            Some(Value::Object(map)) => {
                for (name, state) in map {
                    // Of some parts there are several.
                    let states = state.as_array().map_or(std::slice::from_ref(state), Vec::as_slice);
                    parts.extend(states.iter().filter_map(|state| Some((name.clone(), state_of(state)?))));
                }
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
        Value::Object(map) => STATES.iter().find_map(|name| match map.get(*name)? {
            Value::Object(_) => None,
            state => state_of(state),
        }),
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
        let blocked: Vec<String> = parts(seen.json().as_ref()).into_iter().map(|(name, _)| name).collect();
        if let Some(missing) = names.iter().find(|name| !blocked.contains(name)) {
            doubts.push(format!(
                "the blocked instance does not name `{missing}` in {line}: is it the same build?"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{State, states};

    fn down(body: &str) -> Vec<String> {
        let down = states(body).into_iter().filter(|(_, state)| *state == State::Down);
        down.map(|(name, _)| name).collect()
    }

    #[test]
    fn a_service_or_a_part_that_is_said_to_be_down_is_found_wherever_it_stands() {
        for (body, name) in [
            (r#"{"status":"DOWN"}"#, "status"),
            (r#"{"status":"degraded","parts":{"db":"up"}}"#, "status"),
            (r#"{"db":"down","status":"ok"}"#, "db"),
            (r#"{"db":false}"#, "db"),
            (r#"{"ready":false}"#, "ready"),
            (r#"{"error":true}"#, "error"),
            (r#"{"error":"timeout"}"#, "error"),
            (r#"{"redis":{"status":"offline"}}"#, "redis"),
            (r#"{"checks":{"db":"disconnected"}}"#, "db"),
            (r#"{"checks":[{"name":"db","status":"timed out"}]}"#, "db"),
            (r#"{"checks":{"db":[{"status":"pass"},{"status":"fail"}]}}"#, "db"),
            (r#"{"components":{"db":{"status":"DOWN"}}}"#, "db"),
            (r#""Unhealthy""#, "the service"),
            ("false", "the service"),
            ("Unhealthy", "the service"),
            ("Service status: ok\ndb: down.\n", "db"),
        ] {
            assert_eq!(down(body), [name], "{body}");
        }
    }

    #[test]
    fn what_is_up_or_no_state_is_not_said_to_be_down() {
        for body in [
            r#"{"status":"UP","components":{"db":{"status":"UP"}},"error":{}}"#,
            r#"{"ok":true,"db":"connected","errors":0,"error":null,"down":false,"name":"error tracker"}"#,
            "Healthy",
            "ok\nfailed jobs: 0\nerrors: none\n",
            "",
        ] {
            assert!(states(body).iter().all(|(_, state)| *state == State::Up), "{body}");
        }
    }

    #[test]
    fn no_to_something_unknown_is_neither() {
        let said = states(r#"{"status":"ok","maintenance":false}"#);
        assert!(said.contains(&("maintenance".to_owned(), State::Unclear)), "{said:?}");
        assert!(down(r#"{"status":"ok","maintenance":false}"#).is_empty());
    }
}
