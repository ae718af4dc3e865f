//! AUTH-02.

use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;

use super::protected;
use crate::check::{cases, check};
use crate::checks::deployment;
use crate::classify::Kind;
use crate::jwt::Jwt;
use crate::outcome::{Coverage, Finding, Inconclusive, PositiveControl, Verdict};
use crate::probe::{Call, Probe, Seen};
use crate::target::{Identity, Route, State, Target};

check! {
    /// ## What it checks
    /// Asks every protected route of the inventory with a credential that ends a few seconds later: it must succeed. Then
    /// it waits for the end and asks again with the very same credential: each route must answer 401 within 60 seconds
    /// (a page may send to the sign-in page), while another credential that has not ended still succeeds there.
    /// ## Why it matters
    /// A session that outlives its end keeps a stolen token and a lapsed member inside for as long as they like.
    /// ## How to fix
    /// Compare the end of the session or token with the time on every request, in the place that verifies credentials.
    /// A cache of verified credentials must not keep one beyond its end, and use must not move an absolute end.
    /// ## Limits
    /// It shows one end of one credential of each form that the target file names. Idle ends and ends far away are not
    /// waited for. A stream that was opened before the end is not watched. It asks the routes of the inventory.
    id: "AUTH-02", title: "Expired sessions are refused",
    area: Auth, severity: Critical, since: "0.1.0",
    needs: [Identity, Routes, Expiring], touches: Nothing,
    maps: ["API2:2023 Broken Authentication"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: [
        "accepts-expired",
        "expiry-not-looked-at-again",
        "use-extends-an-expiring-token",
        "expired-answered-403",
        "login-page-200",
        "no-auth-on-history",
        "search-open-to-strangers",
    ],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man", "echo", "spa-shell"],
}

/// How far the target's clock may be behind.
const SKEW: Duration = Duration::from_secs(1);
/// Between two looks at a route that still answers.
const AGAIN: Duration = Duration::from_secs(2);

/// A route that answered a credential before its end.
struct Pair<'a> {
    route: &'a Route,
    identity: &'a Identity,
    ends: Timestamp,
    before: usize,
}

/// What a route said after the end.
enum After {
    Refused,
    Wrong(Seen),
    Unclear(String),
}

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    let mut doubts = protected::inventory_doubts(&target);
    let routes = protected::routes(&target);
    protected::observe(probe, &target, routes.len());
    deployment::tells_members_from_strangers(probe).await?;
    let expiring = expiring(probe, &target, &mut doubts)?;
    let mut pairs = Vec::new();
    let mut controls = Vec::new();
    for route in &routes {
        match before(probe, &target, route, &expiring).await {
            Ok((pair, control)) => {
                pairs.push(pair);
                controls.push(control);
            }
            // Nothing that gets no answer now will get a better one after the end.
            Err(why) if why.reason().contains("got no answer") => return Err(why),
            Err(why) => doubts.push(why.reason().to_owned()),
        }
    }
    if pairs.is_empty() {
        let why = doubts.into_iter().next_back().unwrap_or_else(|| "no protected route is known".to_owned());
        return Err(Inconclusive::because(why));
    }
    wait_for_the_end(probe, &pairs).await?;
    let (wrong, unclear) = after(probe, &target, &pairs).await?;
    doubts.extend(unclear);
    let findings: Vec<Finding> = wrong.iter().map(|(pair, seen)| finding(probe, pair, seen)).collect();
    if findings.is_empty() {
        for pair in &pairs {
            // The refusal is the end's only if others are still let in.
            if let Err(why) = protected::rightful_by_anyone(probe, &target, pair.route).await {
                doubts.push(why.reason().to_owned());
            }
        }
    }
    Verdict::settle(probe.evidence(), findings, &doubts, || {
        let what = "protected routes answer 401 once the credential they accepted has ended";
        let coverage = Coverage::complete(pairs.len(), routes.len(), what)?;
        Ok((
            coverage,
            PositiveControl::all(controls, "the same credential succeeded on each route before its end")?,
        ))
    })
}

/// The credentials that end during the run, as far as they can be waited for.
fn expiring<'t>(
    probe: &Probe,
    target: &'t Target,
    doubts: &mut Vec<String>,
) -> Result<Vec<(&'t Identity, Timestamp)>, Inconclusive> {
    let now = probe.clock().now();
    let longest = probe.budget().check_timeout / 2;
    let mut usable = Vec::new();
    for identity in target.identities.iter().filter(|identity| identity.state == State::Expiring) {
        let name = &identity.name;
        let says = Jwt::parse(identity.credential.secret().expose()).and_then(|jwt| jwt.expires_at());
        let Some(ends) = identity.ends else {
            doubts.push(format!(
                "when the credential of `{name}` ends is not known: add `ends` to its [[identity]]"
            ));
            continue;
        };
        let left = Duration::try_from(ends.duration_since(now)).unwrap_or_default();
        if says.is_some_and(|says| says.abs_diff(ends.as_second()) > 1) {
            doubts.push(format!("the token of `{name}` ends at another time than target.toml says"));
        } else if left.is_zero() {
            doubts.push(format!(
                "the credential of `{name}` had ended before it could be used: make it just before the run"
            ));
        } else if left > longest {
            doubts.push(format!(
                "the credential of `{name}` ends in {} s, which is not waited for: make one that ends within {} s",
                left.as_secs(),
                longest.as_secs()
            ));
        } else {
            usable.push((identity, ends));
        }
    }
    if usable.is_empty() {
        let why = doubts.pop().unwrap_or_else(|| "no credential ends during the run".to_owned());
        return Err(Inconclusive::because(why));
    }
    Ok(usable)
}

/// The route's answer before the end, by the first credential that it answers.
async fn before<'a>(
    probe: &mut Probe,
    target: &Target,
    route: &'a Route,
    expiring: &[(&'a Identity, Timestamp)],
) -> Result<(Pair<'a>, PositiveControl), Inconclusive> {
    if let Some(doubt) = protected::doubt_if_it_writes(probe, route) {
        return Err(Inconclusive::because(doubt));
    }
    let mut why = Inconclusive::because(format!("no credential that ends may use {}", route.line()));
    // Those of the one whom the route is for come first, then those used least: everyone has a limit of their own.
    let mut expiring: Vec<_> = expiring.iter().collect();
    expiring.sort_by_key(|(identity, _)| (!belongs(route, identity), probe.sent_lately(identity)));
    for (identity, ends) in expiring {
        let seen = probe.send(Call::by(target, route, identity)?).await?;
        if probe.clock().now() >= *ends {
            return Err(Inconclusive::because(format!(
                "the credential of `{}` ended before every route was asked: make it last longer",
                identity.name
            )));
        }
        match protected::shown(route, &seen, &identity.name) {
            Ok(control) => {
                return Ok((Pair { route, identity, ends: *ends, before: seen.number() }, control));
            }
            Err(reason) => why = reason,
        }
    }
    Err(why)
}

/// Whether it is a credential of the one whom the route is for.
fn belongs(route: &Route, identity: &Identity) -> bool {
    route.identity.as_ref().is_some_and(|name| [&identity.name, &identity.user].contains(&name))
}

async fn wait_for_the_end(probe: &mut Probe, pairs: &[Pair<'_>]) -> Result<(), Inconclusive> {
    let Some(last) = pairs.iter().map(|pair| pair.ends).max() else { return Ok(()) };
    let left = Duration::try_from(last.duration_since(probe.clock().now())).unwrap_or_default();
    tokio::time::sleep(left + SKEW).await;
    if probe.clock().now() < last {
        return Err(Inconclusive::because("the clock of this run stands still, so nothing ends"));
    }
    probe.observe("the end of the credentials", &format!("waited {} ms", (left + SKEW).as_millis()));
    Ok(())
}

/// Asks again until every route refuses or the time is over. What is still wrong then, and what shows nothing.
async fn after<'p, 'a>(
    probe: &mut Probe,
    target: &Target,
    pairs: &'p [Pair<'a>],
) -> Result<(Vec<(&'p Pair<'a>, Seen)>, Vec<String>), Inconclusive> {
    let started = probe.clock().monotonic();
    let mut open: Vec<&Pair<'_>> = pairs.iter().collect();
    loop {
        let mut wrong = Vec::new();
        let mut unclear = Vec::new();
        for pair in open {
            match judge(probe, target, pair).await? {
                After::Refused => {}
                After::Wrong(seen) => wrong.push((pair, seen)),
                After::Unclear(why) => unclear.push((pair, why)),
            }
        }
        let waited = probe.clock().monotonic().saturating_sub(started) + SKEW;
        if wrong.is_empty() && unclear.is_empty() || waited >= probe.budget().expiry_grace {
            return Ok((wrong, unclear.into_iter().map(|(_, why)| why).collect()));
        }
        open = wrong.iter().map(|(pair, _)| *pair).chain(unclear.iter().map(|(pair, _)| *pair)).collect();
        tokio::time::sleep(AGAIN.min(probe.budget().expiry_grace.saturating_sub(waited))).await;
    }
}

async fn judge(probe: &mut Probe, target: &Target, pair: &Pair<'_>) -> Result<After, Inconclusive> {
    let call = Call::to(target, pair.route, &pair.identity.community)?;
    let label = format!("{}, after its end", pair.identity.name);
    // Each from an address of its own: refused credentials are counted by address.
    let call = call.with(&pair.identity.credential, &label).from(probe.fresh_source());
    let seen = probe.send(call).await?;
    let by_the_application = seen.kind() != Kind::Firewall && !seen.status.is_server_error();
    if !by_the_application {
        let why = format!(
            "{} answered {} after the end, an answer by the application was wanted",
            pair.route.line(),
            seen.says()
        );
        return Ok(After::Unclear(why));
    }
    let refused =
        seen.status == StatusCode::UNAUTHORIZED || protected::is_sent_to_sign_in(target, pair.route, &seen);
    Ok(if refused { After::Refused } else { After::Wrong(seen) })
}

fn finding(probe: &Probe, pair: &Pair<'_>, seen: &Seen) -> Finding {
    let line = pair.route.line();
    let late = probe.clock().now().duration_since(pair.ends).as_secs();
    let (seen_text, fix) = if seen.refuses() {
        (
            format!(
                "{line} refused the ended credential of `{}` with {}, 401 was wanted",
                pair.identity.name,
                seen.status.as_u16()
            ),
            format!(
                "answer 401 on {line} when a credential has ended, so that clients know to sign in again"
            ),
        )
    } else {
        (
            format!(
                "{line} answered the credential of `{}` with {}, {late} s after it ended",
                pair.identity.name,
                seen.says()
            ),
            format!(
                "compare the credential's end with the time on every request to {line}, also where a verified credential \
                 is remembered"
            ),
        )
    };
    Finding::new(seen_text, fix).shown_by([pair.before, seen.number()])
}
