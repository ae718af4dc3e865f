//! PI-11.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use http::StatusCode;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use serde_json::Value;

use crate::check::{cases, check};
use crate::checks::canary::Leaks;
use crate::checks::deployment;
use crate::checks::roles::joining::{self, Newcomer};
use crate::checks::standing::{self, Got, got, shown};
use crate::classify::Kind;
use crate::outcome::{Coverage, Finding, Inconclusive, PositiveControl, Verdict};
use crate::probe::{Call, Probe, Seen};
use crate::target::{Auth, Effect, NewCredential, Route, SignUp, Target};

check! {
    /// ## What it checks
    /// New members sign up, two at least and as many as it takes to stay within a promised limit, and are known by a
    /// cookie, as browsers are. Every route that changes something and that they may use is asked with that cookie as pages
    /// of other sites would make a browser ask: as a form's text, as its fields and as JSON, from a foreign site, from a sibling host, from a
    /// host whose name begins like the target's, from a sandboxed frame (`Origin: null`), as new browsers and as old ones
    /// say where a request comes from. Where requests carry a token (`headers` of `[sign_up]`), also without it, with an
    /// empty one, with a changed one, with that of another member's session, and with the right one from a foreign site.
    /// All must be refused. The same request from the target's own page must be served, before and after them: what can be done
    /// once is refused the second time whoever asks. What leads elsewhere than to a page for signing in shows no refusal, and 404
    /// shows one only in the words in which a path with nothing is answered.
    /// ## Why it matters
    /// A browser sends its cookies with every request to a host, whoever wrote the page that makes it. A member who opens the
    /// wrong page while signed in then changes what that page's author wants.
    /// ## How to fix
    /// Refuse changes by cookie that the browser says another site made (`Sec-Fetch-Site`, then `Origin`, compared as a
    /// whole), and ask for a token of the session that only your own pages can read. `SameSite` on the cookie helps and is
    /// not enough.
    /// ## Limits
    /// It asks as a member, in ways that change nothing even where they are let through. What only staff may do is guarded
    /// by the same cookie and is not asked here. Credentials in `Authorization` cannot be forged this way and are not
    /// looked at.
    id: "PI-11", title: "Forged form posts are refused",
    area: Injection, severity: High, since: "0.1.0",
    needs: [Routes, SignUp], touches: Writes,
    maps: ["API8:2023 Security Misconfiguration"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: [
        "cookie-writes-unguarded",
        "cookie-writes-take-form-fields",
        "cookie-writes-take-null-origin",
        "cookie-writes-take-sibling-hosts",
        "cookie-writes-compare-the-beginning-of-origin",
    ],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man", "echo", "spa-shell"],
}

/// The most that join. With more routes than they can ask for within a limit, what the target asks for is waited.
const MOST_MEMBERS: usize = 6;
/// What a new member's own sign-up counts for, at most.
const TO_JOIN: usize = 4;

/// What a request says of the page that made it.
#[derive(Debug, Clone)]
struct Page {
    words: &'static str,
    origin: Option<String>,
    site: Option<&'static str>,
    made_by: MadeBy,
}

/// What on the page makes it. A browser lets forms of all sites send; a script of another site it asks first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum MadeBy {
    Script,
    /// A form that sends text, which reads like JSON.
    TextForm,
    /// A form that sends fields.
    FieldForm,
}

/// What it carries as a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Right,
    None,
    Empty,
    Changed,
    OfAnother,
}

impl Token {
    const fn words(self) -> &'static str {
        match self {
            Self::Right => "with the right token",
            Self::None => "without a token",
            Self::Empty => "with an empty token",
            Self::Changed => "with a changed token",
            Self::OfAnother => "with the token of another session",
        }
    }
}

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    let sign_up =
        target.sign_ups.iter().find(|sign_up| matches!(sign_up.credential, NewCredential::Cookie(_)));
    let sign_up = sign_up.ok_or_else(|| {
        Inconclusive::because(
            "no way to a new account ends in a cookie, so no browser's session can be looked at: add one to [sign_up], or \
             declare PI-11 lacking where nothing is known by a cookie",
        )
    })?;
    let mut members = Vec::new();
    let judged = judge(probe, &target, sign_up, &mut members).await;
    for member in members {
        member.leave(probe, &target).await;
    }
    judged
}

/// How many members are asked for: each asks for as many of the routes as leave them within a promised limit. Where nothing
/// refuses forged requests, all of them count.
fn how_many(target: &Target, routes: &[Route], with_tokens: bool) -> usize {
    // Of another one is the token that must not work.
    let least = if with_tokens { 2 } else { 1 };
    let limits = &target.limits;
    let Some(most) = limits.user_per_minute.into_iter().chain(limits.session_per_minute).min() else {
        return least;
    };
    let each = 2 + forgeries(target, with_tokens).len();
    let of_one = ((most as usize).saturating_sub(TO_JOIN) / each).max(1);
    let counted = routes.iter().filter(|route| target.counts(&route.path)).count();
    counted.div_ceil(of_one).clamp(least, MOST_MEMBERS)
}

/// Who joined stands in `members`, whatever comes of it.
async fn judge<'t>(
    probe: &mut Probe,
    target: &Target,
    sign_up: &'t SignUp,
    members: &mut Vec<Newcomer<'t>>,
) -> Result<Verdict, Inconclusive> {
    let with_tokens = !sign_up.headers.is_empty();
    let routes = routes(target);
    for _ in 0..how_many(target, &routes, with_tokens) {
        members.push(joining::join(probe, target, sign_up, None).await?);
    }
    let (in_turn, others) = (members.iter().cycle(), members.iter().cycle().skip(1));
    let own = own_origin(target);
    let mut doubts = Vec::new();
    let mut controls = Vec::new();
    let mut asked = 0;
    let mut leaks: Leaks<String> = Leaks::none();
    for (route, (member, other)) in routes.iter().zip(in_turn.zip(others)) {
        let own_page = Page {
            words: "its own page",
            origin: Some(own.clone()),
            site: Some("same-origin"),
            made_by: MadeBy::Script,
        };
        let seen = send(probe, call(member, other, route, &own_page, Token::Right)?).await?;
        if got(route, &seen) != Got::Reached {
            doubts.push(format!(
                "{} from the target's own page was answered {}, so nothing shows that a forged one is refused as such: correct \
                 `succeeds_with` of its [[route]]",
                route.line(),
                seen.says()
            ));
            continue;
        }
        controls.push(shown(route, &seen, "a signed-in browser")?);
        // What 404 is held against.
        let mut beside: BTreeMap<MadeBy, (Seen, Seen)> = BTreeMap::new();
        for (page, token) in forgeries(target, with_tokens) {
            let seen = send(probe, call(member, other, route, &page, token)?).await?;
            asked += 1;
            let from = if with_tokens {
                format!("{}, {}", page.words, token.words())
            } else {
                page.words.to_owned()
            };
            let judged = if seen.status == StatusCode::NOT_FOUND {
                let (own, nothing) = match beside.entry(page.made_by) {
                    Entry::Occupied(told) => told.into_mut(),
                    Entry::Vacant(place) => {
                        let own = Page { made_by: page.made_by, ..own_page.clone() };
                        let own = send(probe, call(member, other, route, &own, Token::Right)?).await?;
                        let nowhere = call(member, other, &standing::nowhere(target, route), &page, token)?;
                        place.insert((own, send(probe, nowhere).await?))
                    }
                };
                standing::got_beside(&seen, own, nothing).map_err(|why| why.reason().to_owned())
            } else {
                judged(target, route, &seen)
            };
            match judged {
                Ok(Got::Reached) => leaks.add(route.line(), seen.number(), from),
                Ok(Got::Refused) => {}
                Ok(Got::Unclear) => doubts.push(format!("from {from}: {}", standing::unclear(&seen))),
                Err(why) => doubts.push(format!("from {from}: {why}")),
            }
        }
        let again = send(probe, call(member, other, route, &own_page, Token::Right)?).await?;
        if got(route, &again) != Got::Reached {
            doubts.push(format!(
                "{} once more from the target's own page was answered {}, so what refused forged ones may have been that it was \
                 done before: let its [[route]] ask for what can be repeated and changes nothing, and say what it `succeeds_with`",
                route.line(),
                again.says()
            ));
        }
    }
    let findings: Vec<Finding> = leaks.into_findings(|line, first| {
        let fix = format!(
            "before {line}, refuse what the browser says another site made (`Sec-Fetch-Site`, then the whole of `Origin`), and ask \
             for the session's token"
        );
        (format!("{line} by cookie was let through from {first}"), fix)
    });
    let shown = controls.len();
    Verdict::settle(probe.evidence(), findings, &doubts, || {
        let what = format!(
            "routes that change something refuse {asked} requests that other sites' pages would make"
        );
        Ok((
            Coverage::complete(shown, routes.len(), what)?,
            PositiveControl::all(controls, "each is served the same request from its own page")?,
        ))
    })
}

/// Judges the answer to a forged request.
fn judged(target: &Target, route: &Route, seen: &Seen) -> Result<Got, String> {
    // What a form did often ends by leading to a page.
    if seen.kind() == Kind::Redirect && !deployment::leads_to_sign_in(target, seen) {
        if route.succeeds_with == Some(seen.status.as_u16()) {
            return Ok(Got::Reached);
        }
        return Err(format!(
            "{} was answered {} that does not lead to a page where people sign in, so nothing shows that it was not carried out: \
             refuse it with 403",
            route.line(),
            seen.says()
        ));
    }
    match got(route, seen) {
        Got::Unclear if seen.status.is_client_error() => Ok(Got::Refused),
        got => Ok(got),
    }
}

async fn send(probe: &mut Probe, call: Call) -> Result<Seen, Inconclusive> {
    Ok(probe.send(call).await?)
}

/// What changes something and is for every member.
fn routes(target: &Target) -> Vec<Route> {
    let routes = target.routes().into_iter().filter(|route| {
        route.auth == Auth::Required
            && route.effect == Effect::Writes
            && route.identity.is_none()
            && !route.signs_out
            && !target.roles.is_admin_path(&route.path)
            && !route.is_same(&target.chat.route)
    });
    routes.cloned().collect()
}

fn own_origin(target: &Target) -> String {
    let scheme = target.base_url.scheme_str().unwrap_or("https");
    format!("{scheme}://{}", target.base_url.authority().map_or("", http::uri::Authority::as_str))
}

/// Pages of others, and what their requests would carry.
fn forgeries(target: &Target, with_tokens: bool) -> Vec<(Page, Token)> {
    use MadeBy::{FieldForm, Script, TextForm};
    let own = own_origin(target);
    let host = target.base_url.host().unwrap_or_default();
    let page = |words, origin: Option<&str>, site, made_by| Page {
        words,
        origin: origin.map(str::to_owned),
        site,
        made_by,
    };
    let (foreign, sibling) = ("https://prize.example", format!("https://blog.{host}"));
    let alike = format!("{own}.prize.example");
    let mut all: Vec<(Page, Token)> = [
        page("a form of a foreign site", Some(foreign), Some("cross-site"), TextForm),
        page("a form with fields of a foreign site", Some(foreign), Some("cross-site"), FieldForm),
        page("a script of a foreign site", Some(foreign), Some("cross-site"), Script),
        page("a form of a foreign site in an old browser", Some(foreign), None, TextForm),
        page("a form with fields of a foreign site in an old browser", Some(foreign), None, FieldForm),
        page("a script of a foreign site in an old browser", Some(foreign), None, Script),
        page("a sandboxed frame", Some("null"), Some("cross-site"), TextForm),
        page("a sandboxed frame in an old browser", Some("null"), None, Script),
        page("a page of a sibling host", Some(&sibling), Some("same-site"), Script),
        page("a host whose name begins alike, in an old browser", Some(&alike), None, Script),
        page("a link that was opened into a form, without an origin", None, Some("cross-site"), Script),
    ]
    .into_iter()
    .map(|page| (page, Token::None))
    .collect();
    if with_tokens {
        let own = page("a page that claims to be its own", Some(&own), Some("same-origin"), Script);
        let tokens = [Token::None, Token::Empty, Token::Changed, Token::OfAnother];
        all.extend(tokens.map(|token| (own.clone(), token)));
        all.push((page("a foreign site", Some(foreign), Some("cross-site"), Script), Token::Right));
        all.push((page("a foreign site in an old browser", Some(foreign), None, Script), Token::Right));
    }
    all
}

fn call(
    member: &Newcomer<'_>,
    other: &Newcomer<'_>,
    route: &Route,
    page: &Page,
    token: Token,
) -> Result<Call, Inconclusive> {
    let mut call = member.bare(route)?;
    for (name, value) in member.own_headers() {
        let value = match token {
            Token::None => continue,
            Token::Right => value.clone(),
            Token::Empty => String::new(),
            Token::Changed => changed(value),
            Token::OfAnother => match other.own_headers().get(name) {
                Some(value) => value.clone(),
                None => continue,
            },
        };
        call = call.header(name, &value)?;
    }
    if let Some(origin) = &page.origin {
        call = call.header("Origin", origin)?;
    }
    if let Some(site) = page.site {
        call = call
            .header("Sec-Fetch-Site", site)?
            .header("Sec-Fetch-Mode", if page.made_by == MadeBy::Script { "cors" } else { "navigate" })?;
    }
    if page.made_by != MadeBy::Script {
        call.headers.insert(ACCEPT, HeaderValue::from_static("text/html"));
    }
    match page.made_by {
        MadeBy::Script => {}
        MadeBy::TextForm => _ = call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain")),
        MadeBy::FieldForm => {
            let fields = fields(call.body.take());
            call = call.form(&fields);
        }
    }
    Ok(call)
}

/// What a form would send in place of a JSON body: its members, one a field.
fn fields(body: Option<Value>) -> BTreeMap<String, String> {
    let Some(Value::Object(members)) = body else { return BTreeMap::new() };
    let text = |value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    members.into_iter().map(|(name, value)| (name, text(value))).collect()
}

/// The same text with its first letter or digit turned into another one.
fn changed(token: &str) -> String {
    let mut chars = token.chars();
    let first = if chars.next() == Some('A') { 'B' } else { 'A' };
    std::iter::once(first).chain(chars).collect()
}

#[cfg(test)]
mod tests {
    use http::Method;

    use serde_json::json;

    use super::{MOST_MEMBERS, Token, changed, fields, forgeries, how_many};
    use crate::target::{Counted, Route, Target};

    #[test]
    fn as_many_members_ask_as_stay_within_a_promised_limit() {
        let mut target = Target::new("t", "https://bot.example").unwrap();
        let routes: Vec<Route> =
            (0..7).map(|number| Route::new(Method::POST, format!("/v1/{number}"))).collect();
        assert_eq!(how_many(&target, &routes, true), 2, "nothing is promised");
        assert_eq!(how_many(&target, &routes, false), 1, "no token is another's");
        target.limits.counted = Counted::Everything;
        target.limits.user_per_minute = Some(60);
        let each = 2 + forgeries(&target, true).len();
        assert_eq!(how_many(&target, &routes, true), 4);
        assert!(routes.len().div_ceil(4) * each <= 60);
        target.limits.session_per_minute = Some(10);
        assert_eq!(how_many(&target, &routes, true), MOST_MEMBERS);
        target.limits.counted = Counted::Chat;
        assert_eq!(how_many(&target, &routes, true), 2, "nothing of it is counted");
    }

    #[test]
    fn a_form_sends_the_members_of_a_body_as_fields() {
        let wanted = [("a", "x y"), ("b", "7"), ("c", "[true]")];
        let wanted = wanted.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(fields(Some(json!({ "a": "x y", "b": 7, "c": [true] }))), wanted.into());
        assert!(fields(Some(json!(["a"]))).is_empty() && fields(None).is_empty());
    }

    #[test]
    fn a_changed_token_is_another_one_of_the_same_length() {
        for token in ["Abc", "xbc"] {
            assert!(changed(token) != token && changed(token).len() == token.len());
        }
    }

    #[test]
    fn no_forgery_looks_like_the_targets_own_page_with_its_own_token() {
        let target = Target::new("t", "https://bot.example").unwrap();
        let own = |origin: &Option<String>| origin.as_deref() == Some("https://bot.example");
        for with_tokens in [false, true] {
            let all = forgeries(&target, with_tokens);
            assert!(
                all.iter().all(|(page, token)| !own(&page.origin) || (*token != Token::Right && with_tokens))
            );
        }
    }
}
