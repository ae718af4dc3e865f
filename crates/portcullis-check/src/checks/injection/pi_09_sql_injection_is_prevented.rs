//! PI-09.

use std::time::Duration;

use serde_json::Value;

use super::alarms::{self, Looks};
use crate::check::{cases, check};
use crate::checks::canary::{self, Answer, Crew, Errand, Mark};
use crate::checks::deployment;
use crate::outcome::{Coverage, Finding, Inconclusive, PositiveControl, Verdict};
use crate::probe::Probe;
use crate::target::{Canary, Identity, Route, Target};

check! {
    /// ## What it checks
    /// Puts what would break, turn or delay a statement behind every parameter of every protected route that reads, the
    /// chat included: in the path, in the query and in the texts of the body. No answer may be a server's error or tell a database's
    /// message, hold a text (canary) of another community, or differ between a true and a false condition where it is
    /// otherwise the answer to the plain request. Delays count when the request with the delay is slow three times and the same without it is
    /// fast three times. Each parameter must work with its plain value in the same run.
    /// Where the target counts questions that hold injected SQL (`[alarms]`), each must be counted, and questions about SQL must not.
    /// ## Why it matters
    /// Whoever can end a statement reads, changes and deletes what the application can, every community's included.
    /// ## How to fix
    /// Bind every value. Quote what goes into a full-text expression. Never put a statement together from text.
    /// ## Limits
    /// It looks from outside, at routes that read and at parameters that are declared with a value. Routes that write, headers and cookies are not
    /// tried, nor are databases that call out. A firewall that blocks the checker's requests hides what others could do.
    id: "PI-09", title: "SQL injection is prevented",
    area: Injection, severity: Critical, since: "0.1.0",
    needs: [Identity, Routes], touches: Load,
    maps: ["LLM05:2025 Improper Output Handling", "API8:2023 Security Misconfiguration"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: ["sql-errors-are-told", "sql-conditions-are-evaluated", "sql-delays-are-carried-out", "search-ends-at-a-quote", "nobody-is-told-of-sql", "every-question-is-an-alarm"],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man", "echo", "spa-shell"],
}

/// What breaks a statement that is put together from text, and what would add rows to it.
const BREAKING: &[&str] =
    &["'", "\"", "')", "';--", "\\", "' OR '1'='1", "' UNION SELECT NULL, NULL, NULL--", "1 OR 1=1"];
/// A condition that is true and one that is not.
const CONDITIONS: [&str; 2] = ["' AND 'zq'='zq", "' AND 'zq'='zx"];
/// What delays a statement by a second and a half, and the same without a delay.
const DELAYS: &[(&str, &str)] = &[
    ("' AND (SELECT 1 FROM pg_sleep(1.5))=1--", "' AND (SELECT 1 FROM pg_sleep(0))=1--"),
    ("' AND SLEEP(1.5)-- -", "' AND SLEEP(0)-- -"),
    ("'; WAITFOR DELAY '0:0:1.5'--", "'; WAITFOR DELAY '0:0:0'--"),
];
/// From how much longer than the plain request a delay is suspected.
const SLOW: Duration = Duration::from_millis(1_000);
const REPEATS: usize = 3;
/// By what databases give themselves away, in lower case.
const SIGNS: &[&str] = &[
    "sql syntax",
    "sqlite_error",
    "sqlite3.",
    "sqlstate",
    "syntax error at or near",
    "unterminated quoted string",
    "unclosed quotation mark",
    "unrecognized token",
    "ora-0",
    "psycopg",
    "fts5: syntax error",
    "mysql server version",
];

/// Where a text goes into a request.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Spot {
    Path(String),
    Query(String),
    Body(String),
    Message,
}

impl Spot {
    fn words(&self) -> String {
        match self {
            Self::Path(name) => format!("`{name}` in the path"),
            Self::Query(name) => format!("the query parameter `{name}`"),
            Self::Body(name) => format!("`{name}` in the body"),
            Self::Message => "the question".to_owned(),
        }
    }
}

/// What is put there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Put {
    Nothing,
    Breaking,
    Condition(bool),
    Delay(usize),
}

/// One request.
#[derive(Debug, Clone)]
struct Shot {
    place: usize,
    put: Put,
}

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    let control = deployment::tells_members_from_strangers(probe).await?;
    let places = places(&target);
    if places.is_empty() {
        return Err(Inconclusive::because(
            "no protected route that reads takes a parameter: add [[route]] to target.toml",
        ));
    }
    let mut errands = Vec::new();
    for (place, (route, spot)) in places.iter().enumerate() {
        let askers = askers(&target, route);
        let mut add = |put, text: &str| {
            let route = with(&target, route, spot, text);
            errands.push(Errand {
                tag: Shot { place, put },
                route,
                values: None,
                askers: askers.clone(),
                call: None,
            });
        };
        add(Put::Nothing, "");
        BREAKING.iter().for_each(|text| add(Put::Breaking, text));
        CONDITIONS.iter().zip([true, false]).for_each(|(text, truth)| add(Put::Condition(truth), text));
        DELAYS.iter().enumerate().for_each(|(number, (text, _))| add(Put::Delay(number), text));
    }
    let mut crew = Crew::of(&target);
    let answers = crew.ask(probe, errands).await?;
    let mut findings = Vec::new();
    let mut doubts = Vec::new();
    let mut worked = 0;
    for (place, (route, spot)) in places.iter().enumerate() {
        let of: Vec<&Answer<'_, Shot>> = answers.iter().filter(|answer| answer.tag.place == place).collect();
        let Some(plain) = of.iter().find(|answer| answer.tag.put == Put::Nothing) else { continue };
        let fine = plain.seen.status.is_success() || route.succeeds_with == Some(plain.seen.status.as_u16());
        if !fine || plain.seen.must_be_the_application().is_err() {
            doubts.push(format!(
                "{} was answered {} with its plain value for {}",
                route.line(),
                plain.seen.says(),
                spot.words()
            ));
            continue;
        }
        worked += 1;
        findings.extend(of.iter().filter_map(|answer| told(&target, route, spot, plain, answer)));
        findings.extend(turned(route, spot, plain, &of));
        for (number, _) in DELAYS.iter().enumerate() {
            let slow = of.iter().find(|answer| answer.tag.put == Put::Delay(number));
            let suspected = slow.filter(|slow| slow.seen.elapsed > plain.seen.elapsed + SLOW);
            if suspected.is_some() && is_delayed(probe, &mut crew, &target, route, spot, number).await? {
                findings.push(Finding::new(
                    format!("{} carries out a delay that stands in {}", route.line(), spot.words()),
                    format!("bind {} of {}", spot.words(), route.line()),
                ));
            }
        }
    }
    findings.extend(alarms::judge(probe, &target, Looks::LikeSql, &mut doubts).await?);
    let firewalled = answers.iter().find(|answer| answer.seen.kind() == crate::classify::Kind::Firewall);
    if let Some(answer) = firewalled {
        doubts.push(format!(
            "{} was answered by a firewall: let the checker through to the application",
            answer.line
        ));
    }
    Verdict::settle(probe.evidence(), findings, &doubts, || {
        let what = format!(
            "parameters took {} texts each as texts",
            BREAKING.len() + CONDITIONS.len() + DELAYS.len()
        );
        let control = PositiveControl::all(
            vec![control],
            "each parameter works with its plain value, and strangers are refused",
        )?;
        Ok((Coverage::complete(worked, places.len(), what)?, control))
    })
}

/// Each parameter of each route.
fn places(target: &Target) -> Vec<(Route, Spot)> {
    let mut places = Vec::new();
    for route in deployment::readable(target) {
        let mut spots: Vec<Spot> = Vec::new();
        if route.is_same(&target.chat.route) {
            spots.push(Spot::Message);
        } else {
            spots.extend(route.params.keys().cloned().map(Spot::Path));
            spots.extend(route.query.keys().cloned().map(Spot::Query));
            let texts = route.body.as_ref().and_then(Value::as_object);
            let texts = texts.into_iter().flatten().filter(|(_, value)| value.is_string());
            spots.extend(texts.map(|(name, _)| Spot::Body(name.clone())));
        }
        places.extend(spots.into_iter().map(|spot| (route.clone(), spot)));
    }
    places
}

fn askers<'t>(target: &'t Target, route: &Route) -> Vec<&'t Identity> {
    let all = canary::askers(target);
    if let Some(name) = &route.identity {
        return all.into_iter().filter(|asker| asker.name == *name).collect();
    }
    all.first().map(|first| target.peers(first)).unwrap_or_default()
}

/// The route's request with a text behind what stands at a spot.
fn with(target: &Target, route: &Route, spot: &Spot, text: &str) -> Route {
    let mut route = route.clone();
    let behind = |value: Option<&mut String>| {
        if let Some(value) = value {
            value.push_str(text);
        }
    };
    match spot {
        Spot::Path(name) => behind(route.params.get_mut(name)),
        Spot::Query(name) => behind(route.query.get_mut(name)),
        Spot::Body(name) => {
            if let Some(Value::String(value)) = route.body.as_mut().and_then(|body| body.get_mut(name)) {
                value.push_str(text);
            }
        }
        Spot::Message => route.body = target.chat.asking(&format!("{}{text}", target.tenancy.question)).body,
    }
    route
}

/// What an answer tells that it must not.
fn told(
    target: &Target,
    route: &Route,
    spot: &Spot,
    plain: &Answer<'_, Shot>,
    answer: &Answer<'_, Shot>,
) -> Option<Finding> {
    let fix = || {
        format!(
            "bind {} of {}, and let a broken request be answered without the database's words",
            spot.words(),
            route.line()
        )
    };
    let lower = answer.seen.body.to_lowercase();
    let before = plain.seen.body.to_lowercase();
    let sign = SIGNS.iter().find(|sign| lower.contains(**sign) && !before.contains(**sign));
    let foreign = |canary: &&Canary| {
        answer.asker.is_none_or(|asker| asker.community != canary.community)
            && answer.tells_anything(&Mark::of(canary)).is_some()
            && plain.tells_anything(&Mark::of(canary)).is_none()
    };
    let said = if answer.seen.status.is_server_error() {
        format!(
            "{} was broken by a text in {}: it answered {}",
            route.line(),
            spot.words(),
            answer.seen.says()
        )
    } else if sign.is_some() {
        format!("{} tells a database's message about a text in {}", route.line(), spot.words())
    } else if target.canaries.iter().any(|canary| foreign(&canary)) {
        format!("{} gave what belongs to another community for a text in {}", route.line(), spot.words())
    } else {
        return None;
    };
    Some(Finding::new(said, fix()).shown_by([answer.seen.number()]))
}

/// Whether a condition decides about the answer: with a true one it is the plain answer, with a false one another.
fn turned(route: &Route, spot: &Spot, plain: &Answer<'_, Shot>, of: &[&Answer<'_, Shot>]) -> Option<Finding> {
    let find = |truth| of.iter().find(|answer| answer.tag.put == Put::Condition(truth));
    let (yes, no) = (find(true)?, find(false)?);
    // An answer that repeats what was asked, or that is random, is never the plain one.
    let same = |answer: &Answer<'_, Shot>| {
        answer.seen.status == plain.seen.status && answer.seen.body == plain.seen.body
    };
    (plain.seen.status.is_success() && same(yes) && !same(no)).then(|| {
        Finding::new(
            format!("{} evaluates a condition that stands in {}", route.line(), spot.words()),
            format!("bind {} of {}", spot.words(), route.line()),
        )
        .shown_by([plain.seen.number(), yes.seen.number(), no.seen.number()])
    })
}

/// Whether a delay is carried out: three times slow with it, three times fast without.
async fn is_delayed<'t>(
    probe: &mut Probe,
    crew: &mut Crew<'t>,
    target: &'t Target,
    route: &Route,
    spot: &Spot,
    number: usize,
) -> Result<bool, Inconclusive> {
    let Some((slow, fast)) = DELAYS.get(number) else { return Ok(false) };
    let errand = |text: &str| Errand {
        tag: (),
        route: with(target, route, spot, text),
        values: None,
        askers: askers(target, route),
        call: None,
    };
    for _ in 0..REPEATS {
        // One after the other, so that they do not slow each other down.
        let with_it = crew.ask(probe, vec![errand(slow)]).await?;
        let without = crew.ask(probe, vec![errand(fast)]).await?;
        let took = |answers: &[Answer<'_, ()>]| {
            answers.first().map(|answer| answer.seen.elapsed).unwrap_or_default()
        };
        if took(&with_it) < took(&without) + SLOW {
            return Ok(false);
        }
    }
    Ok(true)
}
