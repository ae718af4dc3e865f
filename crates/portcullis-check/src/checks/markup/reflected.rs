//! Puts texts into requests whose answers may repeat them: into what paths and queries name, into what nobody asked for, into
//! paths that are not there and into bodies that are wrong.

use std::collections::BTreeMap;

use http::Method;
use http::header::{ACCEPT, HeaderValue};
use serde_json::Value;

use super::payloads::Payload;
use super::sinks::{Author, Sink, sinks, stands_in_script};
use super::{is_not_guessed, opens_as_page};
use crate::checks::canary::{self, Answer, Crew, Errand};
use crate::classify::Kind;
use crate::outcome::{Finding, Inconclusive};
use crate::probe::{Call, Probe};
use crate::target::{Auth, Effect, Identity, Route, RouteKind, Target, encode};

/// Names of parameters that pages repeat as often as not.
const NAMES: &[&str] = &[
    "q",
    "s",
    "query",
    "search",
    "next",
    "return_to",
    "redirect",
    "error",
    "message",
    "name",
    "title",
    "lang",
    "callback",
];
/// How many of the texts are tried everywhere: those that become elements in text and in attributes.
const FEW: usize = 2;
/// Where nothing is.
const NOWHERE: &str = "/portcullis-check/no-such-page";

/// One request.
#[derive(Debug, Clone)]
pub(in crate::checks) struct Shot {
    payload: Payload,
    spot: String,
}

/// What came of it.
#[derive(Default)]
pub(in crate::checks) struct Reflected {
    pub(in crate::checks) asked: usize,
    /// In how many answers the text came back.
    pub(in crate::checks) repeated: usize,
    pub(in crate::checks) findings: Vec<Finding>,
    pub(in crate::checks) doubts: Vec<String>,
    /// Answers that browsers open as pages, the first of each kind of error.
    pub(in crate::checks) pages: Vec<(String, http::HeaderMap, usize)>,
}

/// Sends them all.
pub(in crate::checks) async fn ask_all(
    probe: &mut Probe,
    target: &Target,
) -> Result<Reflected, Inconclusive> {
    let mut errands = Vec::new();
    for (place, payload) in Payload::reflected().into_iter().enumerate() {
        errands.extend(of_payload(target, &payload, place < FEW)?);
    }
    let mut crew = Crew::of(target);
    let answers = crew.ask(probe, errands).await?;
    let mut reflected = Reflected { asked: answers.len(), ..Reflected::default() };
    for answer in &answers {
        judge(answer, &mut reflected);
    }
    Ok(reflected)
}

fn of_payload<'t>(
    target: &'t Target,
    payload: &Payload,
    everywhere: bool,
) -> Result<Vec<Errand<'t, Shot>>, Inconclusive> {
    let mut errands = Vec::new();
    let text = payload.bait.as_str();
    for route in routes(target).filter(|route| everywhere || is_tried_with_all(route)) {
        let askers = askers(target, route);
        let community = askers.first().map_or("", |asker| asker.community.as_str());
        let values = target.values(community);
        let mut add = |route: Route, spot: String, more: Option<String>| -> Result<(), Inconclusive> {
            let Ok(mut call) = Call::filled(&route, &values) else {
                // A parameter without a value is for the checks that need one to name.
                return Ok(());
            };
            if let Some(more) = more {
                call.path.push(if call.path.contains('?') { '&' } else { '?' });
                call.path.push_str(&more);
            }
            call.headers.insert(ACCEPT, HeaderValue::from_static("text/html"));
            let tag = Shot { payload: payload.clone(), spot };
            errands.push(Errand { tag, route, values: None, askers: askers.clone(), call: Some(call) });
            Ok(())
        };
        if route.method == Method::GET {
            for name in route.params.keys() {
                let mut route = route.clone();
                route.params.insert(name.clone(), text.to_owned());
                add(route, format!("`{name}` in the path"), None)?;
            }
            for name in route.query.keys() {
                let mut route = route.clone();
                route.query.insert(name.clone(), text.to_owned());
                add(route, format!("the query parameter `{name}`"), None)?;
            }
            let pairs = NAMES.iter().filter(|name| !route.query.contains_key(**name));
            let pairs: Vec<String> = pairs.map(|name| format!("{name}={}", encode(text))).collect();
            add(route.clone(), "query parameters that it does not have".to_owned(), Some(pairs.join("&")))?;
        } else if let Some(Value::Object(body)) = &route.body {
            let mut body = body.clone();
            body.insert(text.to_owned(), Value::String(text.to_owned()));
            let route = Route { body: Some(Value::Object(body)), ..route.clone() };
            add(route, "the body".to_owned(), None)?;
        }
    }
    let nowhere = Route::new(Method::GET, NOWHERE).public();
    for (path, spot) in [
        (format!("{NOWHERE}/{}", encode(text)), "the path"),
        (format!("{NOWHERE}?{}={}", encode(text), encode(text)), "the query"),
    ] {
        let mut call = Call::filled(&nowhere, &BTreeMap::new())?;
        call.path = path;
        call.headers.insert(ACCEPT, HeaderValue::from_static("text/html"));
        let tag = Shot { payload: payload.clone(), spot: spot.to_owned() };
        errands.push(Errand {
            tag,
            route: nowhere.clone(),
            values: None,
            askers: Vec::new(),
            call: Some(call),
        });
    }
    Ok(errands)
}

/// A page that several may open. Where only one may ask, their limit is for other checks too; and what is no page has no
/// attributes to end, so that a text which becomes an element shows it.
fn is_tried_with_all(route: &Route) -> bool {
    matches!(route.kind, RouteKind::Page | RouteKind::Login) && route.identity.is_none()
}

/// What reads, and what changes nothing because its request is wrong.
fn routes(target: &Target) -> impl Iterator<Item = &Route> {
    target.routes().into_iter().filter(|route| {
        let reads = route.method == Method::GET && route.effect == Effect::Reads;
        let is_wrong = route.effect == Effect::Writes && matches!(route.succeeds_with, Some(400 | 404 | 422));
        !route.is_same(&target.chat.route)
            && !route.signs_out
            && !matches!(route.kind, RouteKind::Asset | RouteKind::Live | RouteKind::Ready)
            && (reads || is_wrong)
    })
}

fn askers<'t>(target: &'t Target, route: &Route) -> Vec<&'t Identity> {
    if route.auth == Auth::Public {
        return Vec::new();
    }
    let all = canary::askers(target);
    if let Some(name) = &route.identity {
        return target.valid().into_iter().filter(|asker| asker.name == *name).collect();
    }
    all.first().map(|first| target.peers(first)).unwrap_or_default()
}

fn judge(answer: &Answer<'_, Shot>, reflected: &mut Reflected) {
    let Shot { payload, spot } = &answer.tag;
    let seen = &answer.seen;
    if seen.kind() == Kind::Firewall {
        reflected.doubts.push(format!(
            "{} was answered by a firewall: let the checker through to the application",
            answer.line
        ));
        return;
    }
    if seen.status.is_server_error() {
        reflected.doubts.push(format!(
            "{} was answered {} for a text in {spot}, so that nothing shows what it does with one",
            answer.line,
            seen.says()
        ));
        return;
    }
    let comes_back = seen.body.to_lowercase().contains(&payload.word);
    reflected.repeated += usize::from(comes_back);
    let fix = || format!("escape {spot} of {} where it is repeated, or leave it out", answer.line);
    if opens_as_page(seen) {
        let place = match seen.status.is_success() {
            true => answer.line.clone(),
            false => format!("{} ({})", answer.line, seen.status.as_u16()),
        };
        if reflected.pages.iter().all(|(known, ..)| *known != place) {
            reflected.pages.push((place, seen.headers.clone(), seen.number()));
        }
        if !comes_back {
            return;
        }
        let found = sinks(&seen.body, &payload.word, Author::Member);
        if stands_in_script(&seen.body, &payload.word) && !found.contains(&Sink::Script) {
            reflected.doubts.push(format!(
                "{} puts {spot} into a script of its own, where it cannot be told whether it is data or code",
                answer.line
            ));
        }
        for sink in found {
            let said = format!("{} makes {} of {spot}", answer.line, sink.words());
            reflected.findings.push(Finding::new(said, fix()).shown_by([seen.number()]));
        }
    } else if comes_back && seen.body.contains(&payload.bait) && !is_not_guessed(seen) {
        let said = format!("{} repeats {spot} as it came and lets browsers guess what that is", answer.line);
        let fix = format!("send `X-Content-Type-Options: nosniff` with every answer of {}", answer.line);
        reflected.findings.push(Finding::new(said, fix).shown_by([seen.number()]));
    }
}
