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
    "not healthy",
    "not serving",
    "not_serving",
    "out of service",
    "out_of_service",
];
/// Names under which an answer tells a state of what it is about. `false` for anything else that is no part says nothing that is known.
const STATES: &[&str] = &["status", "state", "ready", "healthy", "ok", "health", "result"];
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
const GROUPS: &[&str] = &[
    "parts",
    "checks",
    "components",
    "dependencies",
    "services",
    "details",
    "entries",
    "results",
    "info",
    "error",
];
/// Names under which the answer itself stands.
const WRAPPERS: &[&str] = &["data", "response", "body", "payload"];
/// Names by which one of several parts is called.
const CALLED: &[&str] = &["name", "service", "component", "check", "id"];
/// What a line of text that names nothing speaks of.
const SERVICE: &str = "the service";

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
            names.extend(parts(&seen.body));
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
            "what {line} says of `{name}` may mean that something is down, or not: let it name a state, such as `\"{name}\": \"up\"`"
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
    /// What is said may mean either.
    Unclear,
}

/// What an answer says of the service and of its parts, by name: as the usual frameworks write it, in JSON or in lines of text.
fn states(body: &str) -> Vec<(String, State)> {
    let mut states: Vec<(String, State)> = Vec::new();
    for Said { name, state, .. } in said(body) {
        if !states.contains(&(name.clone(), state)) {
            states.push((name, state));
        }
    }
    states
}

/// The names of the parts of which an answer says something.
fn parts(body: &str) -> BTreeSet<String> {
    said(body).into_iter().filter(|said| said.is_part).map(|said| said.name).collect()
}

#[derive(Debug)]
struct Said {
    name: String,
    state: State,
    is_part: bool,
}

/// Where a member stands.
#[derive(Debug, Clone, Copy)]
enum Place<'n> {
    /// Among what is said of the service.
    Service,
    /// Among parts.
    Group,
    /// Among what is said of this part. Where its state is told, `false` for something else says nothing of it.
    Part { name: &'n str, has_state: bool },
}

fn said(body: &str) -> Vec<Said> {
    let mut all = Vec::new();
    match serde_json::from_str(body) {
        Ok(Value::Object(members)) => {
            members.iter().for_each(|(name, value)| member(name, value, Place::Service, &mut all));
        }
        Ok(value @ Value::Array(_)) => member(SERVICE, &value, Place::Group, &mut all),
        Ok(value @ (Value::String(_) | Value::Bool(_))) => member(SERVICE, &value, Place::Service, &mut all),
        Ok(Value::Number(_) | Value::Null) => {}
        Err(_) => {
            // A word alone speaks of the service, one behind a name of what is named.
            for line in body.lines() {
                let (name, says) = line.split_once([':', '=']).unwrap_or((SERVICE, line));
                member(name.trim(), &Value::String(says.to_owned()), Place::Service, &mut all);
            }
        }
    }
    all
}

/// Judges a member by its name and its value, and what stands in it.
fn member(name: &str, value: &Value, place: Place<'_>, all: &mut Vec<Said>) {
    let word = name.to_lowercase();
    let is = |names: &[&str]| names.contains(&word.as_str());
    match value {
        Value::String(text) => scalar(name, text_state(name, text, place), place, all),
        Value::Bool(yes) => scalar(name, by_name(name, *yes, place), place, all),
        Value::Array(items) => {
            for item in items {
                let called = CALLED.iter().find_map(|key| item.get(*key)?.as_str());
                match (called, item) {
                    (Some(part), Value::Object(members)) => part_of(part, members, all),
                    _ => member(name, item, place, all),
                }
                if is(YES_IS_DOWN) && !item.is_object() && !item.is_null() {
                    scalar(name, Some(State::Unclear), place, all);
                }
            }
        }
        Value::Object(members) if is(WRAPPERS) && matches!(place, Place::Service) => {
            members.iter().for_each(|(name, value)| member(name, value, Place::Service, all));
        }
        Value::Object(members) if is(GROUPS) || is(STATES) => {
            for (name, value) in members {
                let inner = match place {
                    Place::Service | Place::Group => Place::Group,
                    // Of a part, only what has members of its own is another one.
                    Place::Part { name, .. } => Place::Part { name, has_state: true },
                };
                member(name, value, inner, all);
            }
        }
        Value::Object(members) => part_of(name, members, all),
        Value::Number(_) | Value::Null => {}
    }
}

fn part_of(part: &str, members: &serde_json::Map<String, Value>, all: &mut Vec<Said>) {
    let has_state = members.keys().any(|name| is_state(&name.to_lowercase()));
    for (name, value) in members.iter().filter(|(name, _)| !CALLED.contains(&name.as_str())) {
        member(name, value, Place::Part { name: part, has_state }, all);
    }
}

/// Notes what a text or a yes or no says, under the name of what it is said of.
fn scalar(name: &str, state: Option<State>, place: Place<'_>, all: &mut Vec<Said>) {
    let Some(state) = state else { return };
    let word = name.to_lowercase();
    let (name, is_part) = match place {
        Place::Part { name: part, .. } if is_state(&word) => (part, true),
        Place::Part { .. } | Place::Service => (name, PARTS.contains(&word.as_str())),
        Place::Group => (name, !is_state(&word) && name != SERVICE),
    };
    all.push(Said { name: name.to_owned(), state, is_part });
}

/// Whether a name says that a state follows, and not what it is of.
fn is_state(word: &str) -> bool {
    [STATES, YES_IS_UP, YES_IS_DOWN].iter().any(|names| names.contains(&word))
}

/// What a text under a name says; nothing where it says nothing of any state.
fn text_state(name: &str, text: &str, place: Place<'_>) -> Option<State> {
    let word = name.to_lowercase();
    let last = last_word(name);
    let is_known = name == SERVICE
        || matches!(place, Place::Group)
        || is_state(&word)
        || PARTS.contains(&word.as_str())
        || last.is_some_and(|last| STATES.contains(&last.as_str()) || PARTS.contains(&last.as_str()));
    let text = text.trim().trim_end_matches(['.', '!']).to_lowercase();
    let is_down = match text.as_str() {
        "true" | "yes" => return by_name(name, true, place),
        "false" | "no" => return by_name(name, false, place),
        text => begins_down(text),
    };
    match (is_down, is_known) {
        (State::Down, true) => Some(State::Down),
        // Under any other name it may be of yesterday, or a choice.
        (State::Down, false) => Some(State::Unclear),
        (state, true) => Some(state),
        (_, false) => None,
    }
}

/// Whether a text in lower case begins with a word by which something says that it is down, and ends or explains it there. Where it goes
/// on otherwise, it may mean something else.
fn begins_down(text: &str) -> State {
    let mut state = State::Up;
    for rest in DOWN.iter().filter_map(|word| text.strip_prefix(word)) {
        let tail = rest.trim_start();
        let is_dash = tail.starts_with(['\u{2013}', '\u{2014}'])
            || tail
                .strip_prefix('-')
                .is_some_and(|after| tail != rest || after.is_empty() || after.starts_with(' '));
        if rest.is_empty() || is_dash || tail.starts_with([':', '(', '[', ',', ';']) {
            return State::Down;
        }
        if rest.starts_with(char::is_whitespace) {
            state = State::Unclear;
        }
    }
    state
}

/// What yes or no under a name says; nothing where it says nothing of any state.
fn by_name(name: &str, yes: bool, place: Place<'_>) -> Option<State> {
    let word = name.to_lowercase();
    let is = |names: &[&str]| names.contains(&word.as_str());
    let is_up = name == SERVICE
        || is(STATES)
        || is(YES_IS_UP)
        || last_word(name).is_some_and(|last| STATES.contains(&last.as_str()));
    let is_of_part = matches!(place, Place::Part { has_state: true, .. });
    let is_part = matches!(place, Place::Group) || is(PARTS) && !is_of_part;
    match yes {
        yes if is(YES_IS_DOWN) => Some(if yes { State::Down } else { State::Up }),
        true => (is_up || is_part).then_some(State::Up),
        false if is_up || is_part => Some(State::Down),
        false => (!is_of_part).then_some(State::Unclear),
    }
}

/// The last word of a name of several, in lower case; none where it is about something past.
fn last_word(name: &str) -> Option<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in name.chars() {
        if !c.is_alphanumeric() || c.is_uppercase() && before.is_lowercase() {
            words.push(String::new());
        }
        if c.is_alphanumeric() {
            words.last_mut()?.extend(c.to_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    let is_past = words.first().is_some_and(|first| matches!(first.as_str(), "last" | "previous"));
    words.pop().filter(|_| !is_past && !words.is_empty())
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
        let blocked = parts(&seen.body);
        if let Some(missing) = names.iter().find(|name| !blocked.contains(*name)) {
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
            (r#"{"status":"error: database unreachable"}"#, "status"),
            (r#"{"status":"Down (since 12:04)"}"#, "status"),
            (r#"{"status":"ok","billing":{"status":"failed - no licence"}}"#, "billing"),
            ("service: ok\nredis: error: ECONNREFUSED\n", "redis"),
            ("db status: down\n", "db status"),
            (r#"{"status":"ok","database":{"connected":false}}"#, "database"),
            (r#"{"checks":{"db":{"up":false}}}"#, "db"),
            (r#"{"checks":{"billing":false}}"#, "billing"),
            (r#"{"success":true,"data":{"database":"disconnected"}}"#, "database"),
            (r#"{"results":{"db":{"status":"Unhealthy"}}}"#, "db"),
            (r#"{"results":{"billing":"Unhealthy"}}"#, "billing"),
            (r#"[{"name":"db","status":"down"}]"#, "db"),
            (
                r#"{"status":"UP","components":{"db":{"components":{"replica":{"status":"OUT_OF_SERVICE"}}}}}"#,
                "replica",
            ),
            (r#"{"ready":"false"}"#, "ready"),
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
            r#"{"status":"ok","message":"error rates are low","mode":"fail-over","error":"none"}"#,
            r#"{"status":"UP","components":{"disk":{"status":"UP","details":{"total":1,"read_only":false}}}}"#,
            r#"{"status":"ok","info":{"db":{"status":"up"}},"error":{},"details":{"db":{"status":"up"}}}"#,
        ] {
            assert!(states(body).iter().all(|(_, state)| *state == State::Up), "{body}");
        }
    }

    #[test]
    fn no_to_something_unknown_is_neither() {
        let said = states(r#"{"status":"ok","maintenance":false}"#);
        assert!(said.contains(&("maintenance".to_owned(), State::Unclear)), "{said:?}");
        assert!(down(r#"{"status":"ok","maintenance":false}"#).is_empty());
        for (body, name) in [
            (r#"{"status":"ok","log_level":"error"}"#, "log_level"),
            (r#"{"status":"ok","last_error":"timeout"}"#, "last_error"),
            (r#"{"db":{"status":"up","last_error":"timeout"}}"#, "last_error"),
            ("ok\nlast error: timeout\n", "last error"),
            (r#"{"status":"error connecting to the database"}"#, "status"),
        ] {
            let said = states(body);
            assert!(said.contains(&(name.to_owned(), State::Unclear)), "{body}: {said:?}");
            assert!(down(body).is_empty(), "{body}");
        }
    }
}
