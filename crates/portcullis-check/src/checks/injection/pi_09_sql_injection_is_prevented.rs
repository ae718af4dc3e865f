//! PI-09.

use std::collections::BTreeMap;
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
    /// requests; one member asks all of these. Conditions stand behind a value, behind a part of a pattern, inside the brackets of a function and,
    /// where the value is a number, behind one without quotes. Delays count when the request with the delay is slow three times and the same without it is
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
    fails_on: [
        "sql-errors-are-told",
        "sql-conditions-are-evaluated",
        "sql-conditions-are-evaluated-behind-a-number",
        "sql-conditions-are-evaluated-in-a-function",
        "sql-conditions-are-evaluated-in-a-function-of-a-pattern",
        "sql-conditions-are-evaluated-in-a-pattern",
        "sql-delays-are-carried-out",
        "search-ends-at-a-quote",
        "nobody-is-told-of-sql",
        "every-question-is-an-alarm",
    ],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man", "echo", "spa-shell"],
}

/// What breaks a statement that is put together from text, and what would add rows to it.
const BREAKING: &[&str] =
    &["'", "\"", "')", "';--", "\\", "' OR '1'='1", "' UNION SELECT NULL, NULL, NULL--", "1 OR 1=1"];
/// A condition that is true and one that is not: behind a value and behind one that is a part of a pattern, the same inside the
/// brackets of a function, and behind a number without quotes.
const CONDITIONS: [[&str; 2]; 5] = [
    ["' AND 'zq'='zq", "' AND 'zq'='zx"],
    ["%' AND 'zq' LIKE 'zq", "%' AND 'zq' LIKE 'zx"],
    ["') AND ('zq'='zq", "') AND ('zq'='zx"],
    ["%') AND ('zq' LIKE 'zq", "%') AND ('zq' LIKE 'zx"],
    [" AND 1=1", " AND 1=2"],
];
/// Which of them is for numbers alone.
const BEHIND_A_NUMBER: usize = 4;
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

impl Put {
    /// Whether its answer is held against others: members may have kept different things, so that one of them asks all of these.
    const fn is_compared(self) -> bool {
        matches!(self, Self::Nothing | Self::Again | Self::Condition(..))
    }
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
    let mut planned = BTreeMap::new();
    for (place, (route, spot)) in places.iter().enumerate() {
        let all = askers(&target, route);
        let one = one_of(probe, &target, &all, &mut planned);
        let mut add = |put: Put, text: &str| {
            let route = with(&target, route, spot, text);
            let askers = if put.is_compared() { one.clone() } else { all.clone() };
            errands.push(Errand { tag: Shot { place, put }, route, values: None, askers, call: None });
        };
        add(Put::Nothing, "");
        add(Put::Again, "");
        BREAKING.iter().for_each(|text| add(Put::Breaking, text));
        let is_number = is_number(&target, route, spot, one.first().copied());
        for (number, [yes, no]) in CONDITIONS.iter().enumerate() {
            if number != BEHIND_A_NUMBER || is_number {
                add(Put::Condition(number, true), yes);
                add(Put::Condition(number, false), no);
            }
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
            "parameters took {} texts or more each as texts",
            BREAKING.len() + 2 * BEHIND_A_NUMBER + DELAYS.len()
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

/// Of those who may ask, the one who was used least and is planned for least.
fn one_of<'t>(
    probe: &Probe,
    target: &Target,
    askers: &[&'t Identity],
    planned: &mut BTreeMap<&'t str, usize>,
) -> Vec<&'t Identity> {
    let used = |asker: &Identity| {
        let places = planned.get(asker.user.as_str()).copied().unwrap_or(0);
        probe.sent_lately(asker) + places * (2 + CONDITIONS.as_flattened().len())
    };
    let one = askers.iter().min_by_key(|asker| (target.is_spared(asker), used(asker))).copied();
    if let Some(one) = one {
        *planned.entry(&one.user).or_default() += 1;
    }
    one.into_iter().collect()
}

/// Whether what stands at a spot is a number.
fn is_number(target: &Target, route: &Route, spot: &Spot, asker: Option<&Identity>) -> bool {
    let text = match spot {
        Spot::Path(name) => route.params.get(name).map(String::as_str),
        Spot::Query(name) => route.query.get(name).map(String::as_str),
        Spot::Body(at) => route.body.as_ref().and_then(|body| body.pointer(at)).and_then(Value::as_str),
        Spot::Message => None,
    };
    let values = target.values(asker.map_or("", |asker| asker.community.as_str()));
    let filled = text.and_then(|text| route.filled(text, &values).ok());
    filled.is_some_and(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
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

/// What of a plain answer stays the same from one to the next: of each of its leaves the pieces, none where they differ.
#[derive(Debug)]
struct Steady(Vec<Option<Vec<Option<String>>>>);

impl Steady {
    /// None where nothing of it can be compared.
    fn of(plain: &Answer<'_, Shot>, again: &Answer<'_, Shot>) -> Option<Self> {
        Self::between(&plain.seen.body, &again.seen.body)
    }

    fn between(plain: &str, again: &str) -> Option<Self> {
        let (plain, again) = (leaves(plain, ""), leaves(again, ""));
        if plain.len() != again.len() {
            return None;
        }
        let both = plain.iter().zip(&again);
        let steady: Vec<_> = both.map(|(one, other)| steady_pieces(one, other)).collect();
        // An answer without any words stays the same, too.
        (steady.is_empty() || steady.iter().flatten().flatten().any(Option::is_some)).then_some(Self(steady))
    }

    /// Whether another answer is the plain one, but for the text that was sent.
    fn is<T>(&self, plain: &Answer<'_, Shot>, answer: &Answer<'_, T>, sent: &str) -> bool {
        answer.seen.status == plain.seen.status && self.has(&answer.seen.body, sent)
    }

    fn has(&self, body: &str, sent: &str) -> bool {
        let leaves = leaves(body, sent);
        self.0.len() == leaves.len()
            && self.0.iter().zip(&leaves).all(|(own, leaf)| own.as_ref().is_none_or(|own| is_same(own, leaf)))
    }
}

/// What two leaves have in common: none where one has more pieces than the other, so that which is which cannot be said.
fn steady_pieces(one: &str, other: &str) -> Option<Vec<Option<String>>> {
    let (one, other) = (pieces(one), pieces(other));
    let both = one.iter().zip(&other);
    (one.len() == other.len())
        .then(|| both.map(|(one, other)| (one == other).then(|| (*one).to_owned())).collect())
}

fn is_same(own: &[Option<String>], leaf: &str) -> bool {
    let pieces = pieces(leaf);
    let mut both = own.iter().zip(&pieces);
    own.len() == pieces.len() && both.all(|(own, piece)| own.as_ref().is_none_or(|own| own == piece))
}

/// The names and values of JSON, or all of anything else, without what they repeat of a text that was sent.
fn leaves(body: &str, sent: &str) -> Vec<String> {
    match serde_json::from_str(body) {
        Ok(value) => {
            let mut leaves = Vec::new();
            gather(&value, sent, &mut leaves);
            leaves
        }
        Err(_) => vec![without(body, sent)],
    }
}

fn gather(value: &Value, sent: &str, leaves: &mut Vec<String>) {
    match value {
        Value::String(text) => leaves.push(without(text, sent)),
        Value::Array(items) => items.iter().for_each(|item| gather(item, sent, leaves)),
        Value::Object(members) => {
            for (name, member) in members {
                leaves.push(without(name, sent));
                gather(member, sent, leaves);
            }
        }
        other => leaves.push(other.to_string()),
    }
}

/// From this length on what is written like Base64 is taken for one piece: its signs stand in it by chance.
const TOKEN: usize = 12;

/// Words and numbers, as markup and sentences set them apart.
fn pieces(text: &str) -> Vec<&str> {
    let apart = |c: char| c.is_whitespace() || "\"'<>{}[](),:;&?".contains(c);
    let is_of_token = |c: char| c.is_ascii_alphanumeric() || "+/_=-".contains(c);
    let mut pieces = Vec::new();
    for chunk in text.split(apart) {
        if chunk.split(|c: char| !is_of_token(c)).any(|run| run.len() >= TOKEN) {
            pieces.push(chunk);
        } else {
            pieces.extend(chunk.split(['/', '=']).filter(|piece| !piece.is_empty()));
        }
    }
    pieces
}

/// The text without what it repeats of one that was sent, however it is escaped there and in whatever case.
fn without(text: &str, sent: &str) -> String {
    if sent.is_empty() {
        return text.to_owned();
    }
    let json = Value::String(sent.to_owned()).to_string();
    let mut forms = vec![sent.to_owned(), json.trim_matches('"').to_owned()];
    forms.extend(["\\u0027", "&#39;", "&#039;", "&#x27;", "&apos;"].map(|quote| sent.replace('\'', quote)));
    // What need not be escaped in an address is escaped by some and not by others.
    let mut escaped = vec![encode(sent)];
    for (code, sign) in [("%27", "'"), ("%3D", "="), ("%20", "+")] {
        escaped.extend(escaped.clone().iter().map(|form| form.replace(code, sign)));
    }
    escaped.extend(escaped.clone().iter().map(|form| form.replace("%28", "(").replace("%29", ")")));
    forms.extend(escaped);
    forms.iter().fold(text.to_owned(), |text, form| cut(text, &form.to_ascii_lowercase()))
}

/// The text without a form of it that is in lower case.
fn cut(mut text: String, form: &str) -> String {
    let mut from = 0;
    while let Some(at) =
        text.get(from..).and_then(|rest| rest.to_ascii_lowercase().find(form)).map(|at| from + at)
    {
        text.replace_range(at..at + form.len(), "");
        from = at;
    }
    text
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
        let errands = [yes, no].map(|text| Errand {
            askers: plain.asker.into_iter().collect(),
            ..errand(target, route, spot, text)
        });
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
    use http::Method;
    use serde_json::json;

    use super::{CONDITIONS, Spot, Steady, texts};
    use crate::target::{Credential, Identity, Route, Target};

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
        let in_address = super::encode(yes).replace("%27", "'");
        for escaped in [
            yes.to_owned(),
            yes.replace('\'', "\\u0027"),
            yes.replace('\'', "&#39;"),
            super::encode(yes),
            in_address.to_lowercase(),
            in_address,
        ] {
            let repeats = plain.replace("a7", "c9").replace("tide", &format!("tide{escaped}"));
            assert!(steady.has(&repeats, yes), "{repeats}");
        }
        assert!(!steady.has(&plain.replace("High water is at noon.", ""), yes), "nothing was found");
        assert!(!steady.has(&plain.replace("noon", "dusk"), yes), "another answer");
    }

    #[test]
    fn a_token_is_one_piece_whatever_signs_stand_in_it_by_chance() {
        let one = "kZ/8Qw=+aaaa/1b2c3d4e5f==";
        let other = "/9x8w7v6u5t4=3/+r2q1p0==";
        for form in [
            r#"{"token":"TOKEN","hits":["High water is at noon."]}"#,
            r#"{"said":"Request TOKEN was: High water is at noon."}"#,
            r#"<p id="TOKEN">High water is at noon.</p>"#,
        ] {
            let [one, other, third] =
                [one, other, "AAAA/BBBB/CCCC/DDDD/EEEE"].map(|token| form.replace("TOKEN", token));
            let steady = Steady::between(&one, &other).expect(form);
            assert!(steady.has(&third, ""), "{third}");
            assert!(!steady.has(&third.replace("noon", "dusk"), ""), "{third}");
        }
        // A leaf that has more words at one time than at another tells nothing of the others.
        let steady = Steady::between(r#"["a b", "noon"]"#, r#"["a", "noon"]"#).expect("the other leaf stays");
        assert!(steady.has(r#"["x y z", "noon"]"#, "") && !steady.has(r#"["a b", "dusk"]"#, ""));
    }

    #[test]
    fn a_number_is_told_from_other_values() {
        let mut target = Target::new("t", "http://127.0.0.1:9").unwrap();
        target
            .tenancy
            .values
            .entry("harbour".to_owned())
            .or_default()
            .insert("thing".to_owned(), "101".to_owned());
        let asker = Identity::new("alice", "harbour", Credential::bearer("x"));
        let route = Route::new(Method::GET, "/things/{id}").param("id", "{{thing}}");
        let route = Route { query: [("q".to_owned(), "tide 7".to_owned())].into(), ..route };
        let is_number = |spot: Spot| super::is_number(&target, &route, &spot, Some(&asker));
        assert!(is_number(Spot::Path("id".to_owned())));
        assert!(!is_number(Spot::Query("q".to_owned())) && !is_number(Spot::Message));
    }

    #[test]
    fn answers_that_grow_or_have_nothing_in_common_are_not_compared() {
        assert!(Steady::between(r#"{"seen":["a"]}"#, r#"{"seen":["a","b"]}"#).is_none());
        assert!(Steady::between("one two", "three four").is_none());
        assert!(Steady::between("[]", "[]").is_some_and(|steady| !steady.has(r#"["a"]"#, "")));
    }
}
