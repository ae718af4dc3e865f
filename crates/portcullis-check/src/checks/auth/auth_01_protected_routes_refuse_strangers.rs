//! AUTH-01.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use serde_json::{Value, json};

use super::protected;
use crate::check::{cases, check};
use crate::checks::deployment;
use crate::checks::saying;
use crate::classify::Kind;
use crate::jwt::Jwt;
use crate::outcome::{Coverage, Finding, Inconclusive, PositiveControl, Verdict};
use crate::probe::{Call, Probe, Seen};
use crate::target::{Auth, Credential, Identity, Route, RouteKind, State, Target};

check! {
    /// ## What it checks
    /// Asks every protected route of the inventory with no credential, with a malformed one, and with ones that are
    /// expired, revoked and meant for another service. Each must be answered 401 or 403, without data. The same request
    /// with a working credential must succeed first. Expired and foreign tokens are made from the signing secret where
    /// it is known, after showing that a token made in the same way is accepted.
    /// ## Why it matters
    /// One forgotten route hands what members pay for to anyone who finds its address.
    /// ## How to fix
    /// Check the session before any handler runs, closed by default: a route is protected unless a list says that it is
    /// public. Check signature, end date, revocation and audience in that one place. Hiding a button protects nothing.
    /// ## Limits
    /// It asks the routes of the inventory; what confirms the inventory is named in the evidence. A route declared public
    /// is believed. A page may answer with a redirect to the sign-in page instead. One set of parameters is tried a
    /// route, and whether a member sees only their own is for AUTH-04 and TEN-01.
    id: "AUTH-01", title: "Protected routes refuse strangers",
    area: Auth, severity: Critical, since: "0.1.0",
    needs: [Identity, Routes], touches: Nothing,
    maps: ["API2:2023 Broken Authentication", "API5:2023 Broken Function Level Authorization"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: [
        "no-auth-on-history",
        "accepts-expired",
        "accepts-revoked",
        "accepts-any-signature",
        "accepts-wrong-audience",
        "login-page-200",
        "data-in-refusal",
        "data-in-plain-refusal",
        "account-page-in-redirect",
        "search-open-to-strangers",
    ],
    inconclusive_on: ["dead", "mute", "login-wall", "waf"],
}

/// Shorter texts stand in refusals by chance.
const SHORTEST_TEXT: usize = 16;
/// So many refusals of other routes show what the frame of all of them is.
const REFUSALS: usize = 3;
/// A path that no deployment has.
const UNKNOWN_PATH: &str = "/portcullis-check/no-such-page";

/// In what way a credential must not work, in the order of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Word {
    Nobody,
    Malformed,
    Expired,
    Revoked,
    WrongAudience,
}

impl Word {
    const fn text(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Malformed => "malformed",
            Self::Expired => State::Expired.word(),
            Self::Revoked => State::Revoked.word(),
            Self::WrongAudience => State::WrongAudience.word(),
        }
    }
}

/// A route that did not refuse.
struct Open {
    line: String,
    says: String,
    number: usize,
}

/// A credential that must not work.
struct Stranger {
    word: Word,
    label: String,
    credential: Option<Credential>,
}

/// What was seen so far.
#[derive(Default)]
struct Tally {
    asked: usize,
    controls: Vec<PositiveControl>,
    /// By kind of stranger: the routes that did not refuse, and what they said.
    open: BTreeMap<Word, Vec<Open>>,
    findings: Vec<Finding>,
    doubts: Vec<String>,
    /// Requests in a row without an answer.
    silent: usize,
    /// The bodies of pages that everybody may see, once they were wanted.
    shown_to_all: Option<Vec<String>>,
    /// How some routes refuse nobody in particular, by their line, once that was wanted.
    refusals: Option<Vec<(String, Seen)>>,
}

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    let mut tally = Tally { doubts: protected::inventory_doubts(&target), ..Tally::default() };
    let routes = protected::routes(&target);
    let strangers = strangers(probe, &target, &mut tally.doubts).await?;
    let mut words: Vec<&str> = strangers.iter().map(|stranger| stranger.word.text()).collect();
    words.dedup();
    protected::observe(probe, &target, routes.len());
    for route in &routes {
        if tally.silent >= 2 {
            tally.doubts.push("the target stopped answering".to_owned());
            break;
        }
        judge_route(probe, &target, route, &strangers, &mut tally).await;
    }
    let total = routes.len();
    let Tally { asked, controls, open, mut findings, doubts, .. } = tally;
    // A route that is open to nobody in particular is open to everyone: one finding says it.
    let open_to_all: Vec<String> =
        open.get(&Word::Nobody).into_iter().flatten().map(|open| open.line.clone()).collect();
    for (word, mut places) in open {
        places.retain(|open| word == Word::Nobody || !open_to_all.contains(&open.line));
        if !places.is_empty() {
            findings.push(open_finding(word, &places, total));
        }
    }
    Verdict::settle(probe.evidence(), findings, &doubts, || {
        let what = format!("protected routes refuse {}", words.join(", "));
        let coverage = Coverage::complete(asked, total, what)?;
        Ok((coverage, PositiveControl::all(controls, "each route succeeds for a rightful member")?))
    })
}

async fn judge_route(
    probe: &mut Probe,
    target: &Target,
    route: &Route,
    strangers: &[Stranger],
    tally: &mut Tally,
) {
    if let Some(doubt) = protected::doubt_if_it_writes(probe, route) {
        return tally.doubts.push(doubt);
    }
    let rightful = match protected::rightful(probe, target, route).await {
        Ok((seen, control)) => {
            tally.controls.push(control);
            tally.silent = 0;
            seen
        }
        Err(why) => {
            tally.silent += usize::from(why.reason().contains("got no answer"));
            tally.doubts.push(why.reason().to_owned());
            return;
        }
    };
    // Strangers of every route come from an address of their own: refused credentials are counted by address, and what is
    // refused for their number says nothing of the route.
    let source = probe.fresh_source();
    for stranger in strangers {
        let call = match Call::to(target, route, protected::home(target, route)) {
            Ok(call) => call,
            Err(why) => return tally.doubts.push(why.reason().to_owned()),
        };
        let call = match &stranger.credential {
            Some(credential) => call.with(credential, &stranger.label),
            None => call,
        };
        match probe.send(call.from(source)).await {
            Ok(seen) => judge_answer(probe, target, route, stranger, &rightful, &seen, tally).await,
            Err(why) => {
                tally.silent += 1;
                return tally.doubts.push(why.to_string());
            }
        }
    }
    tally.asked += 1;
}

async fn judge_answer(
    probe: &mut Probe,
    target: &Target,
    route: &Route,
    stranger: &Stranger,
    rightful: &Seen,
    seen: &Seen,
    tally: &mut Tally,
) {
    tally.silent = 0;
    let who = stranger.word.text();
    if seen.kind() == Kind::Firewall || seen.status.is_server_error() {
        tally.doubts.push(format!(
            "{} answered {who} {}, an answer by the application was wanted",
            route.line(),
            seen.says()
        ));
    } else if seen.refuses() || protected::is_sent_to_sign_in(target, route, seen) {
        if let Some(leaf) = leaked(probe, target, route, rightful, seen, tally).await {
            tally.findings.push(Finding::new(
                format!(
                    "{} refused {who} with {} and gave data all the same: its `{leaf}` is the one that a member gets",
                    route.line(),
                    seen.status.as_u16()
                ),
                format!("let {} answer a refusal before it reads any data, with a fixed body", route.line()),
            ).shown_by([seen.number()]));
        }
    } else {
        let open = tally.open.entry(stranger.word).or_default();
        let line = route.line();
        if !open.iter().any(|open| open.line == line) {
            open.push(Open { line, says: seen.says(), number: seen.number() });
        }
    }
}

/// The place in a refusal's body of something that only a rightful answer should hold.
async fn leaked(
    probe: &mut Probe,
    target: &Target,
    route: &Route,
    rightful: &Seen,
    seen: &Seen,
    tally: &mut Tally,
) -> Option<String> {
    if target.canaries.iter().any(|canary| seen.body.contains(&canary.text)) {
        return Some("canary".to_owned());
    }
    let mut data = Vec::new();
    let is_json = rightful.json().map(|value| collect(&value, "", &mut data)).is_some();
    let texts: BTreeSet<String> = if is_json {
        data.into_iter().map(|(_, text)| text).collect()
    } else {
        let lines = saying::lines(&rightful.body).into_iter();
        lines.filter(|line| line.chars().count() >= SHORTEST_TEXT).collect()
    };
    if let Some(value) = seen.json().filter(|_| is_json) {
        let mut given = Vec::new();
        collect(&value, "", &mut given);
        return given.into_iter().find(|(_, text)| texts.contains(text)).map(|(place, _)| place);
    }
    let told: Vec<&String> = texts.iter().filter(|text| seen.body.contains(text.as_str())).collect();
    if told.is_empty() {
        return None;
    }
    // The frame of all pages is nobody's data.
    if tally.shown_to_all.is_none() {
        tally.shown_to_all = Some(shown_to_all(probe, target).await);
    }
    let shown = tally.shown_to_all.iter().flatten();
    let is_common = |text: &str| shown.clone().any(|page| page.contains(text));
    let told: Vec<&String> = told.into_iter().filter(|text| !is_common(text)).collect();
    if told.is_empty() {
        return None;
    }
    // And neither is the frame of all refusals.
    if tally.refusals.is_none() {
        tally.refusals = Some(refusals(probe, target, route).await);
    }
    let others = tally.refusals.iter().flatten();
    let others: Vec<&Seen> = others
        .filter(|(line, other)| *line != route.line() && other.kind() == seen.kind())
        .map(|(_, other)| other)
        .collect();
    let is_frame = |text: &str| !others.is_empty() && others.iter().all(|other| other.body.contains(text));
    told.iter().any(|text| !is_frame(text)).then(|| "text".to_owned())
}

/// How routes like this one and others that read refuse nobody in particular.
async fn refusals(probe: &mut Probe, target: &Target, route: &Route) -> Vec<(String, Seen)> {
    let mut others: Vec<Route> = protected::routes(target)
        .into_iter()
        .filter(|other| other.method == Method::GET && other.line() != route.line())
        .collect();
    others.sort_by_key(|other| other.kind != route.kind);
    let mut refusals = Vec::new();
    for other in others {
        if refusals.len() == REFUSALS {
            break;
        }
        let Ok(call) = Call::to(target, &other, protected::home(target, &other)) else { continue };
        let seen = probe.send(call).await.ok();
        refusals.extend(seen.filter(Seen::refuses).map(|seen| (other.line(), seen)));
    }
    refusals
}

/// What the sign-in page, other public pages and a path that is not there show to nobody in particular.
async fn shown_to_all(probe: &mut Probe, target: &Target) -> Vec<String> {
    let pages = target.routes().into_iter().filter(|route| {
        route.auth == Auth::Public
            && route.method == Method::GET
            && matches!(route.kind, RouteKind::Page | RouteKind::Login)
            && !route.path.contains('{')
    });
    let calls = pages.filter_map(|route| Call::to(target, route, "").ok());
    let calls: Vec<Call> = calls.chain([Call::new(Method::GET, UNKNOWN_PATH)]).collect();
    let mut bodies = Vec::new();
    for call in calls {
        bodies.extend(probe.send(call).await.ok().map(|seen| seen.body));
    }
    bodies
}

/// Texts long enough to be content, with the place where they stand.
fn collect(value: &Value, place: &str, texts: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) if text.chars().count() >= SHORTEST_TEXT => {
            texts.push((place.to_owned(), text.clone()))
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, &format!("{place}[]"), texts)),
        Value::Object(map) => {
            for (name, item) in map {
                let dot = if place.is_empty() { "" } else { "." };
                collect(item, &format!("{place}{dot}{name}"), texts);
            }
        }
        _ => {}
    }
}

fn open_finding(word: Word, open: &[Open], total: usize) -> Finding {
    let shown: Vec<&Open> = open.iter().take(4).collect();
    let listed =
        shown.iter().map(|open| format!("{} ({})", open.line, open.says)).collect::<Vec<_>>().join(", ");
    let more = if open.len() > 4 { format!(" and {} more", open.len() - 4) } else { String::new() };
    let routes = shown.iter().map(|open| format!("`{}`", open.line)).collect::<Vec<_>>().join(", ");
    let fix = match word {
        Word::Nobody => {
            format!("require a valid session before the handler of {routes} runs, and answer 401")
        }
        Word::Malformed => {
            format!(
                "verify the credential's signature or hash on {routes} and answer 401 when it does not match"
            )
        }
        Word::Expired => format!("compare the end date (`exp`) with the time on every request to {routes}"),
        Word::Revoked => {
            format!("look up revocation on every request to {routes}; a valid signature is not enough")
        }
        Word::WrongAudience => format!("compare the audience (`aud`) with this service's name on {routes}"),
    };
    let who = match word {
        Word::Nobody => "a request without a credential".to_owned(),
        word => format!("a credential that is {}", word.text()),
    };
    Finding::new(format!("{} of {total} routes did not refuse {who}: {listed}{more}", open.len()), fix)
        .shown_by(open.iter().map(|open| open.number))
}

/// Every credential that must not work: made from a working one, named by the target, or made with its secret.
async fn strangers(
    probe: &mut Probe,
    target: &Target,
    doubts: &mut Vec<String>,
) -> Result<Vec<Stranger>, Inconclusive> {
    let mut list = vec![Stranger { word: Word::Nobody, label: "nobody".to_owned(), credential: None }];
    let mut kinds = Vec::new();
    for identity in target.valid() {
        // One of each form: a cookie and a bearer token are judged by different code.
        let kind = std::mem::discriminant(&identity.credential);
        if kinds.contains(&kind) {
            continue;
        }
        kinds.push(kind);
        let broken = protected::malformed(identity.credential.secret().expose());
        probe.keep_secret(&broken);
        list.push(Stranger {
            word: Word::Malformed,
            label: format!("{}, malformed", identity.name),
            credential: Some(identity.credential.with_secret(broken)),
        });
    }
    let mut minted = None;
    let states = [
        (State::Expired, Word::Expired),
        (State::Revoked, Word::Revoked),
        (State::WrongAudience, Word::WrongAudience),
    ];
    for (state, word) in states {
        let named: Vec<&Identity> =
            target.identities.iter().filter(|identity| identity.state == state).collect();
        for identity in &named {
            match fault_of(identity, target, probe.clock().now().as_second()) {
                Some(fault) => doubts.push(fault),
                None => list.push(Stranger {
                    word,
                    label: format!("{}, {}", identity.name, state.word()),
                    credential: Some(identity.credential.clone()),
                }),
            }
        }
        if !named.is_empty() {
            continue;
        }
        if state != State::Revoked {
            if minted.is_none() {
                minted = Some(mint(probe, target).await?);
            }
            let token = minted.as_ref().and_then(|minted| match state {
                State::Expired => minted.expired.clone(),
                _ => minted.foreign.clone(),
            });
            if let Some((identity, token)) = token {
                probe.keep_secret(&token);
                list.push(Stranger {
                    word,
                    label: format!("{}, {}", identity.name, state.word()),
                    credential: Some(identity.credential.with_secret(token)),
                });
                continue;
            }
        }
        match target.lacks(state.word()) {
            Some(lacks) => {
                let said = format!("declared absent by {}: {}", lacks.approver, lacks.reason);
                probe.observe(&format!("a credential that is {}", state.word()), &said);
            }
            None => doubts.push(format!(
                "no credential that is {0}: add an [[identity]] with `{1} = true` to target.toml, or declare that there \
                 is none",
                state.word(),
                state.word().replace('-', "_")
            )),
        }
    }
    Ok(list)
}

/// Why a credential does not show what it is said to show.
fn fault_of(identity: &Identity, target: &Target, now: i64) -> Option<String> {
    let secret = identity.credential.secret().expose();
    if target.valid().iter().any(|valid| valid.credential.secret().expose() == secret) {
        return Some(format!("`{}` has the same credential as a working identity", identity.name));
    }
    let ends = Jwt::parse(secret)?.expires_at();
    match identity.state {
        State::Expired if ends.is_none_or(|ends| ends >= now) => {
            Some(format!("the token of `{}` has not expired", identity.name))
        }
        State::Revoked if ends.is_some_and(|ends| ends <= now) => Some(format!(
            "the token of `{}` has expired, so its refusal does not show that it was revoked",
            identity.name
        )),
        _ => None,
    }
}

/// Tokens made as a working identity's is made, as far as they can be.
#[derive(Default)]
struct Minted<'t> {
    expired: Option<(&'t Identity, String)>,
    foreign: Option<(&'t Identity, String)>,
}

async fn mint<'t>(probe: &mut Probe, target: &'t Target) -> Result<Minted<'t>, Inconclusive> {
    let Some(secret) = target.secrets.jwt.as_ref().map(|held| held.value.expose().as_bytes()) else {
        return Ok(Minted::default());
    };
    let signed = target.valid().into_iter().find_map(|identity| {
        let jwt = Jwt::parse(identity.credential.secret().expose())?;
        jwt.is_signed_with(secret).then_some((identity, jwt))
    });
    let Some((identity, jwt)) = signed else { return Ok(Minted::default()) };
    let now = probe.clock().now().as_second();
    let with = |name: &str, value: Value| {
        let mut claims = jwt.claims.clone();
        if let Some(map) = claims.as_object_mut() {
            map.insert(name.to_owned(), value);
        }
        jwt.resigned(&claims, secret)
    };
    // A token made in this way must be accepted, or the refusal of an expired one would show nothing.
    let Some(fresh) = with("exp", json!(now + 600)) else { return Ok(Minted::default()) };
    probe.keep_secret(&fresh);
    let mut accepted = false;
    for route in deployment::readable(target) {
        let call = Call::to(target, &route, &identity.community)?;
        if !deployment::is_turned_away(&probe.send(call.clone()).await?) {
            continue;
        }
        let label = format!("{}, made anew", identity.name);
        let seen = probe.send(call.with(&identity.credential.with_secret(fresh.clone()), &label)).await?;
        if PositiveControl::from_success(&seen, "a token made anew").is_ok() {
            accepted = true;
            break;
        }
    }
    if !accepted {
        return Ok(Minted::default());
    }
    let expired = with("exp", json!(now - 3600)).map(|token| (identity, token));
    let foreign = jwt.claims.get("aud").and_then(|_| with("aud", json!("another-service.invalid")));
    Ok(Minted { expired, foreign: foreign.map(|token| (identity, token)) })
}
