//! PI-09.

use std::time::Duration;

use serde_json::Value;

use super::alarms::{self, Looks};
use crate::check::{cases, check};
use crate::checks::canary::{self, Answer, Crew, Errand, Mark};
use crate::checks::deployment;
use crate::outcome::{Coverage, Finding, Inconclusive, PositiveControl, Verdict};
use crate::probe::Probe;
use crate::target::{Canary, Identity, Route, Target, encode};

check! {
    /// ## What it checks
    /// Puts what would break, turn or delay a statement behind every parameter of every protected route that reads, the
    /// chat included: in the path, in the query and in the texts of the body, however deep. No answer may be a server's error or tell a database's
    /// message, hold a text (canary) of another community, or differ between a true and a false condition where it is
    /// otherwise the answer to the plain request, whatever it repeats of what was sent and whatever differs between the answers to two plain
    /// requests. Delays count when the request with the delay is slow three times and the same without it is
    /// fast three times. Each parameter must work with its plain value in the same run.
    /// Where the target counts questions that hold injected SQL (`[alarms]`), each must be counted, and questions about SQL must not.
    /// ## Why it matters
    /// Whoever can end a statement reads, changes and deletes what the application can, every community's included.
    /// ## How to fix
    /// Bind every value. Quote what goes into a full-text expression. Never put a statement together from text.
    /// ## Limits
    /// It looks from outside, at routes that read and at parameters that are declared with a value. Routes that write, headers and cookies are not
    /// tried, nor are databases that call out. Where a model puts each answer to the question in other words, a condition in the question is not
    /// seen. A firewall that blocks the checker's requests hides what others could do.
    id: "PI-09", title: "SQL injection is prevented",
    area: Injection, severity: Critical, since: "0.1.0",
    needs: [Identity, Routes], touches: Load,
    maps: ["LLM05:2025 Improper Output Handling", "API8:2023 Security Misconfiguration"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: ["sql-errors-are-told", "sql-conditions-are-evaluated", "sql-conditions-are-evaluated-in-a-pattern", "sql-delays-are-carried-out", "search-ends-at-a-quote", "nobody-is-told-of-sql", "every-question-is-an-alarm"],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man", "echo", "spa-shell"],
}

/// What breaks a statement that is put together from text, and what would add rows to it.
const BREAKING: &[&str] =
    &["'", "\"", "')", "';--", "\\", "' OR '1'='1", "' UNION SELECT NULL, NULL, NULL--", "1 OR 1=1"];
/// A condition that is true and one that is not: behind a value, and behind one that is a part of a pattern.
const CONDITIONS: [[&str; 2]; 2] =
    [["' AND 'zq'='zq", "' AND 'zq'='zx"], ["%' AND 'zq' LIKE 'zq", "%' AND 'zq' LIKE 'zx"]];
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
    /// By its JSON pointer.
    Body(String),
    Message,
}

impl Spot {
    fn words(&self) -> String {
        match self {
            Self::Path(name) => format!("`{name}` in the path"),
            Self::Query(name) => format!("the query parameter `{name}`"),
            Self::Body(at) => format!("`{}` in the body", at.trim_start_matches('/')),
            Self::Message => "the question".to_owned(),
        }
    }
}

/// What is put there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Put {
    Nothing,
    /// Nothing once more.
    Again,
    Breaking,
    /// A pair of conditions, and whether it is the true one.
    Condition(usize, bool),
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
        add(Put::Again, "");
        BREAKING.iter().for_each(|text| add(Put::Breaking, text));
        for (number, [yes, no]) in CONDITIONS.iter().enumerate() {
            add(Put::Condition(number, true), yes);
            add(Put::Condition(number, false), no);
        }
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
        match of.iter().find(|answer| answer.tag.put == Put::Again).and_then(|again| Steady::of(plain, again)) {
            Some(steady) => {
                for (number, shown_by) in turned(plain, &steady, &of) {
                    if is_evaluated(probe, &mut crew, &target, route, spot, plain, &steady, number).await? {
                        let said = format!("{} evaluates a condition that stands in {}", route.line(), spot.words());
                        let fix = format!("bind {} of {}", spot.words(), route.line());
                        findings.push(Finding::new(said, fix).shown_by(shown_by));
                    }
                }
            }
            // A model may put every answer in other words.
            None if *spot == Spot::Message => {}
            None => doubts.push(format!(
                "{} answers each time otherwise with its plain value for {}, so nothing shows whether a condition there \
                 decides: give it a value whose answer stays the same",
                route.line(),
                spot.words()
            )),
        }
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
            BREAKING.len() + CONDITIONS.as_flattened().len() + DELAYS.len()
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
            if let Some(body) = &route.body {
                texts(body, "", &mut spots);
            }
        }
        places.extend(spots.into_iter().map(|spot| (route.clone(), spot)));
    }
    places
}

/// Every text of a body, by what leads there.
fn texts(value: &Value, at: &str, spots: &mut Vec<Spot>) {
    match value {
        Value::String(_) => spots.push(Spot::Body(at.to_owned())),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| texts(item, &format!("{at}/{index}"), spots));
        }
        Value::Object(members) => {
            for (name, member) in members {
                texts(member, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), spots);
            }
        }
        _ => {}
    }
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
        Spot::Body(at) => {
            if let Some(Value::String(value)) = route.body.as_mut().and_then(|body| body.pointer_mut(at)) {
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
    // Whoever reads escapes twice is broken by the percent sign alone. A statement is broken by the other quotes, too.
    let is_escape = matches!(answer.tag.put, Put::Condition(number, _)
        if CONDITIONS.get(number).is_some_and(|[yes, _]| yes.starts_with('%')));
    let said = if answer.seen.status.is_server_error() && !is_escape {
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

/// What of a plain answer stays the same from one to the next: its pieces, none where they differ.
#[derive(Debug)]
struct Steady(Vec<Option<String>>);

impl Steady {
    /// None where nothing of it can be compared.
    fn of(plain: &Answer<'_, Shot>, again: &Answer<'_, Shot>) -> Option<Self> {
        Self::between(&plain.seen.body, &again.seen.body)
    }

    fn between(plain: &str, again: &str) -> Option<Self> {
        let (plain, again) = (pieces(plain), pieces(again));
        if plain.len() != again.len() {
            return None;
        }
        let pairs = plain.iter().zip(&again);
        let steady: Vec<_> = pairs.map(|(one, other)| (one == other).then(|| (*one).to_owned())).collect();
        // An answer without any words stays the same, too.
        (steady.is_empty() || steady.iter().any(Option::is_some)).then_some(Self(steady))
    }

    /// Whether another answer is the plain one, but for the text that was sent.
    fn is<T>(&self, plain: &Answer<'_, Shot>, answer: &Answer<'_, T>, sent: &str) -> bool {
        answer.seen.status == plain.seen.status && self.has(&answer.seen.body, sent)
    }

    fn has(&self, body: &str, sent: &str) -> bool {
        let without = without(body, sent);
        let pieces = pieces(&without);
        let mut both = self.0.iter().zip(&pieces);
        self.0.len() == pieces.len()
            && both.all(|(steady, piece)| steady.as_ref().is_none_or(|own| own == piece))
    }
}

/// Words and numbers, as markup, JSON and sentences set them apart.
fn pieces(body: &str) -> Vec<&str> {
    let apart = |c: char| c.is_whitespace() || "\"'<>{}[](),:;=&?/".contains(c);
    body.split(apart).filter(|piece| !piece.is_empty()).collect()
}

/// The body without what it repeats of a text that was sent, however it is escaped there.
fn without(body: &str, sent: &str) -> String {
    let json = Value::String(sent.to_owned()).to_string();
    let mut forms = vec![json.trim_matches('"').to_owned(), encode(sent), encode(sent).replace("%20", "+")];
    forms.extend(["\\u0027", "&#39;", "&#039;", "&#x27;", "&apos;"].map(|quote| sent.replace('\'', quote)));
    forms.iter().fold(body.replace(sent, ""), |body, form| body.replace(form, ""))
}

/// The pairs of conditions that seem to decide about the answer, with what shows it: with the true one it is the plain answer,
/// with the false one another.
fn turned(plain: &Answer<'_, Shot>, steady: &Steady, of: &[&Answer<'_, Shot>]) -> Vec<(usize, [usize; 3])> {
    let find = |put| of.iter().find(|answer| answer.tag.put == put);
    let seems = |(number, [true_one, false_one]): (usize, &[&str; 2])| {
        let (yes, no) = (find(Put::Condition(number, true))?, find(Put::Condition(number, false))?);
        let turned = plain.seen.status.is_success()
            && steady.is(plain, yes, true_one)
            && !steady.is(plain, no, false_one);
        turned.then(|| (number, [plain.seen.number(), yes.seen.number(), no.seen.number()]))
    };
    CONDITIONS.iter().enumerate().filter_map(seems).collect()
}

/// Whether a condition decides each time: what differs between answers by chance does so at one time and not at another.
#[expect(clippy::too_many_arguments, reason = "a place, what is put there and what it is held against")]
async fn is_evaluated<'t>(
    probe: &mut Probe,
    crew: &mut Crew<'t>,
    target: &'t Target,
    route: &Route,
    spot: &Spot,
    plain: &Answer<'t, Shot>,
    steady: &Steady,
    number: usize,
) -> Result<bool, Inconclusive> {
    let Some([yes, no]) = CONDITIONS.get(number) else { return Ok(false) };
    for _ in 1..REPEATS {
        let errands = [yes, no].map(|text| errand(target, route, spot, text));
        let answers = crew.ask(probe, errands.into()).await?;
        let [true_one, false_one] = answers.as_slice() else { return Ok(false) };
        if !steady.is(plain, true_one, yes) || steady.is(plain, false_one, no) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The request with a text behind what stands at a spot, as it is asked once more.
fn errand<'t>(target: &'t Target, route: &Route, spot: &Spot, text: &str) -> Errand<'t, ()> {
    Errand {
        tag: (),
        route: with(target, route, spot, text),
        values: None,
        askers: askers(target, route),
        call: None,
    }
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
    for _ in 0..REPEATS {
        // One after the other, so that they do not slow each other down.
        let with_it = crew.ask(probe, vec![errand(target, route, spot, slow)]).await?;
        let without = crew.ask(probe, vec![errand(target, route, spot, fast)]).await?;
        let took = |answers: &[Answer<'_, ()>]| {
            answers.first().map(|answer| answer.seen.elapsed).unwrap_or_default()
        };
        if took(&with_it) < took(&without) + SLOW {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{CONDITIONS, Spot, Steady, texts};

    #[test]
    fn every_text_of_a_body_is_a_place_however_deep() {
        let body = json!({ "search": { "text": "x", "k": 5 }, "any": [{ "a/b~c": "y" }, "z", true] });
        let mut spots = Vec::new();
        texts(&body, "", &mut spots);
        for (spot, text) in spots.iter().zip(["y", "z", "x"]) {
            let Spot::Body(at) = spot else { panic!("{spot:?}") };
            assert_eq!(body.pointer(at), Some(&json!(text)));
        }
        assert_eq!(spots.len(), 3);
    }

    #[test]
    fn what_an_answer_repeats_and_what_differs_each_time_is_not_compared() {
        let [yes, _] = CONDITIONS[0];
        let plain = r#"{"id":"a7","asked":"tide","hits":["High water is at noon."]}"#;
        let again = plain.replace("a7", "b8");
        let steady = Steady::between(plain, &again).expect("most of it stays");
        for escaped in
            [yes.to_owned(), yes.replace('\'', "\\u0027"), yes.replace('\'', "&#39;"), super::encode(yes)]
        {
            let repeats = plain.replace("a7", "c9").replace("tide", &format!("tide{escaped}"));
            assert!(steady.has(&repeats, yes), "{repeats}");
        }
        assert!(!steady.has(&plain.replace("High water is at noon.", ""), yes), "nothing was found");
        assert!(!steady.has(&plain.replace("noon", "dusk"), yes), "another answer");
    }

    #[test]
    fn answers_that_grow_or_have_nothing_in_common_are_not_compared() {
        assert!(Steady::between(r#"{"seen":["a"]}"#, r#"{"seen":["a","b"]}"#).is_none());
        assert!(Steady::between("one two", "three four").is_none());
        assert!(Steady::between("[]", "[]").is_some_and(|steady| !steady.has(r#"["a"]"#, "")));
    }
}
