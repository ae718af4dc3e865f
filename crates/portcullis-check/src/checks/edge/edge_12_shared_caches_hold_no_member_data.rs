//! EDGE-12.

use std::collections::{BTreeMap, BTreeSet};

use http::{Method, StatusCode};

use crate::check::{cases, check};
use crate::checks::saying::lines;
use crate::checks::{canary, deployment, standing};
use crate::outcome::{Coverage, Finding, Inconclusive, PositiveControl, Verdict};
use crate::probe::{Call, Probe, Seen};
use crate::target::{Auth, Effect, Identity, Route, RouteKind, State, Target};

check! {
    /// ## What it checks
    /// Every route that a member reads with `GET` is asked twice by one member. Its answer must say `Cache-Control: no-store`,
    /// and must not say that a cache gave it (`Age`, `X-Cache` and their like). Then, with whatever caches there are warm, the same URL
    /// is asked by nobody, who must be turned away without a byte of the answers, and by a member of another community, who must
    /// not be given one of the first member's answers, nor a text of them that was not in this member's own answer before.
    /// Once it is asked by somebody whose session was ended (`revoked`), who must not be given one either.
    /// Public pages and assets are asked by nobody twice, cold and warm, and one of them must come out of the cache: that shows that
    /// there is one on the way, or somebody says that there is none (`shared-cache` in `[[declares]]`). A public page that is another one for a
    /// member and that a cache may keep must name the credential's header in `Vary`.
    /// ## Why it matters
    /// A cache in front of the application does not know who asks. Once it keeps a member's answer, it hands it to the
    /// next one, and the application never hears of it.
    /// ## How to fix
    /// Answer everything that needs a credential with `Cache-Control: no-store`, in one place and as the default, and let the
    /// edge pass such requests by its cache (`proxy_no_cache` and `proxy_cache_bypass` on the session's cookie and on
    /// `Authorization` in nginx).
    /// ## Limits
    /// Only the caches on the way from here are met; a cache elsewhere is bound by `no-store` alone. What is no JSON is compared as a
    /// whole alone, so that a page with a changing part out of a cache is not known again. Ways to fool a cache about
    /// the path are for TEN-06. What a browser keeps after a member signed out is not seen; what was kept for the ended session itself
    /// before it ended is not warm.
    id: "EDGE-12", title: "Shared caches hold no member data",
    area: Edge, severity: High, since: "0.1.0",
    needs: [TwoCommunities, Routes], touches: Nothing,
    maps: ["API8:2023 Security Misconfiguration"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: [
        "history-may-be-stored",
        "search-came-from-a-cache",
        "files-say-public-cache",
        "search-open-to-strangers",
        "accepts-revoked",
        "home-page-greets-and-may-be-kept",
        "edge-stores-what-it-passes-by",
    ],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man", "echo", "spa-shell", "no-auth-on-history"],
}

/// What is wrong with a route's answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Storable,
    Cached,
    ToStranger,
    ToOther,
    ToEnded,
    Unvaried,
}

impl Fault {
    const fn seen(self) -> &'static str {
        match self {
            Self::Storable => "is answered without `Cache-Control: no-store`",
            Self::Cached => "is answered to a member out of a cache",
            Self::ToStranger => "gives nobody what a member was given before",
            Self::ToEnded => "gives an ended session what a member was given before",
            Self::Unvaried => {
                "is another page for a member, may be kept by a shared cache and does not say so in `Vary`"
            }
            Self::ToOther => "gives a member of another community what a member was given before",
        }
    }

    const fn fix(self) -> &'static str {
        match self {
            Self::Storable => {
                "answer with `Cache-Control: no-store` whatever needs a credential, as the default for all routes"
            }
            Self::ToEnded => {
                "refuse ended sessions before anything is answered, and let the edge pass requests with a session's cookie or \
                 `Authorization` by its cache"
            }
            Self::Unvaried => {
                "answer with `Cache-Control: private` or `no-store` where the page depends on who asks, or name `Cookie` and \
                 `Authorization` in `Vary`"
            }
            Self::Cached | Self::ToStranger | Self::ToOther => {
                "let the edge pass requests with a session's cookie or `Authorization` by its cache, and answer them with \
                 `Cache-Control: no-store`"
            }
        }
    }
}

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    let gate = deployment::tells_members_from_strangers(probe).await?;
    let routes: Vec<Route> =
        deployment::readable(&target).into_iter().filter(|route| route.method == Method::GET).collect();
    let mut doubts = Vec::new();
    let mut controls = vec![gate];
    let mut faults: BTreeMap<Fault, Vec<(String, usize)>> = BTreeMap::new();
    let mut looked = 0;
    let mut ended_asked = false;
    for route in &routes {
        let Some(member) = deployment::asker(probe, &target, route) else {
            doubts.push(format!("nobody may ask {}: correct `as` of its [[route]]", route.line()));
            continue;
        };
        let call = Call::by(&target, route, member)?;
        // The very URL that a cache would know.
        let mut bare = Call::new(call.method.clone(), call.path.clone());
        bare.headers = call.headers.clone();
        let other = other(&target, route, member);
        let others = match other {
            Some(other) => Some(probe.send(bare.clone().with(&other.credential, &other.name)).await?),
            None => None,
        };
        let first = probe.send(call.clone()).await?;
        match PositiveControl::from_success(&first, format!("{} answers `{}`", route.line(), member.name)) {
            Ok(control) => controls.push(control),
            Err(why) => {
                doubts.push(why.reason().to_owned());
                continue;
            }
        }
        looked += 1;
        let mut add =
            |fault, seen: &Seen| faults.entry(fault).or_default().push((route.line(), seen.number()));
        let again = probe.send(call.clone()).await?;
        for seen in [&first, &again].into_iter().filter(|seen| seen.status.is_success()) {
            if !is_never_stored(seen) {
                add(Fault::Storable, seen);
            }
            if came_from_a_cache(seen) {
                add(Fault::Cached, seen);
            }
        }
        // A cache may have kept either of them.
        let given = Given::of([&first, &again]);
        let stranger = probe.send(bare.clone()).await?;
        if !deployment::is_turned_away(&stranger) {
            if given.is_in(&stranger, &BTreeSet::new()) {
                add(Fault::ToStranger, &stranger);
            } else if stranger.status != StatusCode::NOT_FOUND {
                doubts.push(format!(
                    "{} is not refused to nobody but answered {}, which tells nothing of a cache: correct its [[route]]",
                    route.line(),
                    stranger.says()
                ));
            }
        }
        // Once: whoever sends ended credentials again and again is blocked by some.
        if let Some(ended) = ended(&target, route, member).filter(|_| !ended_asked) {
            ended_asked = true;
            let seen = probe.send(bare.clone().with(&ended.credential, &ended.name)).await?;
            if !deployment::is_turned_away(&seen) && given.is_in(&seen, &BTreeSet::new()) {
                add(Fault::ToEnded, &seen);
            }
        }
        if let Some((other, before)) = other.zip(others) {
            let seen = probe.send(bare.with(&other.credential, &other.name)).await?;
            doubts.extend(canary::shows_nothing_of_a_member(&seen));
            // Where the first answer is not theirs, nothing tells which texts are.
            let own = before.status.is_success().then(|| standing::texts(&before));
            let is_given = match own {
                Some(own) => given.is_in(&seen, &own),
                None => given.is_whole_in(&seen),
            };
            if seen.status.is_success() && is_given {
                add(Fault::ToOther, &seen);
            }
        }
    }
    public(probe, &target, &mut faults, &mut doubts).await?;
    let findings: Vec<Finding> = faults.into_iter().map(|(fault, places)| finding(fault, &places)).collect();
    Verdict::settle(probe.evidence(), findings, &doubts, || {
        Ok((
            Coverage::complete(looked, routes.len(), "routes that members read are kept by no cache")?,
            PositiveControl::all(controls, "each answers its member, and a stranger is refused")?,
        ))
    })
}

/// Asks for what is public, cold and warm: whether a cache answers at all, and whether it could keep what is a member's.
async fn public(
    probe: &mut Probe,
    target: &Target,
    faults: &mut BTreeMap<Fault, Vec<(String, usize)>>,
    doubts: &mut Vec<String>,
) -> Result<(), Inconclusive> {
    let is_page = |route: &Route| matches!(route.kind, RouteKind::Page | RouteKind::Login);
    let is_public = |route: &&Route| {
        route.auth == Auth::Public
            && route.method == Method::GET
            && route.effect == Effect::Reads
            && (is_page(route) || route.kind == RouteKind::Asset)
    };
    let routes: Vec<Route> = target.routes().into_iter().filter(is_public).cloned().collect();
    let mut cached = None;
    for route in &routes {
        let call = Call::to(target, route, "")?;
        let cold = probe.send(call.clone()).await?;
        let warm = probe.send(call.clone()).await?;
        if [&cold, &warm].into_iter().any(|seen| seen.status.is_success() && came_from_a_cache(seen)) {
            cached = cached.or_else(|| Some(route.line()));
        }
        let Some(member) = deployment::asker(probe, target, route).filter(|_| is_page(route)) else {
            continue;
        };
        let call = call.with(&member.credential, &member.name);
        let own = probe.send(call.clone()).await?;
        if !may_be_kept(&own) || names_credentials(&own) {
            continue;
        }
        let again = probe.send(call).await?;
        let everybodys: BTreeSet<String> = [&cold, &warm].iter().flat_map(|seen| lines(&seen.body)).collect();
        let steady = |line: &String| !everybodys.contains(line) && again.body.contains(line.as_str());
        if own.status.is_success() && lines(&own.body).iter().any(steady) {
            faults.entry(Fault::Unvaried).or_default().push((route.line(), own.number()));
        }
    }
    let found = match (cached, target.lacks("shared-cache")) {
        (Some(line), _) => format!("{line} came out of it"),
        (None, Some(lacks)) => format!("declared absent by {}: {}", lacks.approver, lacks.reason),
        (None, None) => {
            doubts.push(format!(
                "none of {} public pages and assets came out of a cache when it was asked for twice, so nothing shows that one was \
                 met: let the edge keep one and say so (`Age`, `X-Cache`), or declare that there is no `shared-cache`",
                routes.len()
            ));
            "none was met".to_owned()
        }
    };
    probe.observe("a shared cache on the way", &found);
    Ok(())
}

/// Whether a shared cache may keep an answer for some time (RFC 9111).
fn may_be_kept(seen: &Seen) -> bool {
    let said = seen.header("cache-control").to_ascii_lowercase();
    let mut directives = said.split(',').map(str::trim);
    let is_kept = |directive: &str| {
        directive == "public" || directive.starts_with("max-age=") || directive.starts_with("s-maxage=")
    };
    let never = ["no-store", "private", "no-cache", "max-age=0", "s-maxage=0"];
    !directives.clone().any(|directive| never.contains(&directive)) && directives.any(is_kept)
}

/// Whether an answer says that it depends on who asks.
fn names_credentials(seen: &Seen) -> bool {
    let varies = seen.header("vary").to_ascii_lowercase();
    varies.split(',').any(|name| matches!(name.trim(), "*" | "cookie" | "authorization"))
}

/// Somebody whose session was ended, best the member's own, where the route is not another one's alone.
fn ended<'t>(target: &'t Target, route: &Route, member: &Identity) -> Option<&'t Identity> {
    let ended = target.identities.iter().filter(|identity| {
        identity.state == State::Revoked
            && identity.community == member.community
            && (route.identity.is_none() || identity.user == member.user)
    });
    ended.min_by_key(|identity| identity.user != member.user)
}

/// What a member was given.
struct Given<'s> {
    bodies: Vec<&'s str>,
    texts: BTreeSet<String>,
}

impl<'s> Given<'s> {
    fn of(answers: [&'s Seen; 2]) -> Self {
        let answers = || answers.into_iter().filter(|seen| seen.status.is_success());
        let bodies = answers().map(|seen| seen.body.as_str()).filter(|body| !body.is_empty()).collect();
        let texts = answers().flat_map(standing::texts).filter(|text| !is_a_moment(text)).collect();
        Self { bodies, texts }
    }

    fn is_whole_in(&self, seen: &Seen) -> bool {
        self.bodies.contains(&seen.body.as_str())
    }

    /// Whether somebody was given one of these answers, or a text of them that is not `known` to be theirs as well.
    fn is_in(&self, seen: &Seen, known: &BTreeSet<String>) -> bool {
        let told = standing::texts(seen);
        let known: BTreeSet<String> = known.iter().map(|text| without_counts(text)).collect();
        let is_theirs = |text: &String| told.contains(text) && !known.contains(&without_counts(text));
        self.is_whole_in(seen) || self.texts.iter().any(is_theirs)
    }
}

/// A sentence without the numbers in it: what is left of a limit counts down for everybody in the same way. What is no sentence stays.
fn without_counts(text: &str) -> String {
    let words = || text.split_whitespace().filter(|word| !word.bytes().all(|byte| byte.is_ascii_digit()));
    if words().count() < 3 { text.to_owned() } else { words().collect::<Vec<_>>().join(" ") }
}

/// A time of the day: two answers of one second may tell the same, whoever they are for.
fn is_a_moment(text: &str) -> bool {
    let is_clock = |part: &[u8]| matches!(part, [before, b':', after] if before.is_ascii_digit() && after.is_ascii_digit());
    text.as_bytes().windows(3).any(is_clock) || !text.chars().any(char::is_alphabetic)
}

/// Somebody of another community who would be answered otherwise.
fn other<'t>(target: &'t Target, route: &Route, member: &Identity) -> Option<&'t Identity> {
    // What one member alone may ask, what is alike for everybody, and what names a thing of one community tell nothing.
    if route.identity.is_some() || route.shared || !route.params.is_empty() {
        return None;
    }
    canary::one_of_each_community(target).into_iter().find(|other| other.community != member.community)
}

fn is_never_stored(seen: &Seen) -> bool {
    seen.header("cache-control").split(',').any(|directive| directive.trim().eq_ignore_ascii_case("no-store"))
}

/// What caches say of themselves: an age (RFC 9111), or a hit in the header of their make.
fn came_from_a_cache(seen: &Seen) -> bool {
    let aged = seen.header("age").trim().parse::<u64>().is_ok_and(|age| age > 0);
    let said =
        ["x-cache", "x-cache-status", "cf-cache-status", "x-proxy-cache", "cache-status", "x-drupal-cache"];
    aged || said.iter().any(|name| {
        let value = seen.header(name).to_ascii_lowercase();
        value.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == "hit")
    })
}

fn finding(fault: Fault, places: &[(String, usize)]) -> Finding {
    let mut lines: Vec<&str> = places.iter().map(|(line, _)| line.as_str()).collect();
    lines.dedup();
    let listed = lines.iter().take(4).copied().collect::<Vec<_>>().join(", ");
    let more = if lines.len() > 4 { format!(" and {} more", lines.len() - 4) } else { String::new() };
    Finding::new(format!("{listed}{more} {}", fault.seen()), fault.fix())
        .shown_by(places.iter().map(|(_, number)| *number))
}

#[cfg(test)]
mod tests {
    use super::{is_a_moment, without_counts};

    #[test]
    fn what_counts_down_for_everybody_is_told_from_what_names_somebody() {
        assert_eq!(without_counts("9 requests left today"), without_counts("8 requests left today"));
        for [one, other] in
            [["member 1", "member 2"], ["ann1@example.org", "ann2@example.org"], ["1 2 3", "4 5 6"]]
        {
            assert_ne!(without_counts(one), without_counts(other));
        }
    }

    #[test]
    fn a_time_tells_nobody_and_a_sentence_does() {
        for text in ["2026-01-10T07:30:00Z", "Sat, 10 Jan 2026 07:30:00 GMT", "1768030200"] {
            assert!(is_a_moment(text), "{text}");
        }
        for text in ["Boats are stored in hall 7", "doc-harbour-commons", "note: the gate"] {
            assert!(!is_a_moment(text), "{text}");
        }
    }
}
