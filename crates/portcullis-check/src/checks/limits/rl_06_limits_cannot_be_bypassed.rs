//! RL-06.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::Value;

use super::dimension::spoofs;
use super::minute::is_over;
use super::networks::{self, Tried};
use crate::check::{cases, check};
use crate::checks::{canary, deployment};
use crate::classify::Kind;
use crate::outcome::{Coverage, Finding, Inconclusive, PositiveControl, Verdict};
use crate::probe::{Call, Probe, ProbeError, Seen};
use crate::target::{Identity, Purpose, Target};

check! {
    /// ## What it checks
    /// Asks as one user, by all their sessions or keys, until each is refused with 429, and then tries to be admitted all the same in more than
    /// twenty ways: headers that claim another address, user or session, other keys of the same user, other spellings of the path, a query, other methods and
    /// overrides of the method, keys for idempotency, other agents, languages and content types, cookies, a stream, many at once, and where the target
    /// speaks HTTP/2 as many streams of one connection, alone and beside as many requests over HTTP/1.1. Before each
    /// it is seen that the plain request is still refused. Another user is admitted meanwhile. Where the target believes the checker
    /// what address a request comes from (`[forwarded]`), half as many requests again as an address may send come from as many
    /// addresses of one IPv6 network (/64): some must be refused, and an address of another network must be admitted.
    /// ## Why it matters
    /// A limit that counts what the client chooses is a limit for those who do not know.
    /// ## How to fix
    /// Count by who was identified and by the connection's address, after the path is in its one form, and before anything
    /// that a client may vary. Count IPv6 by networks.
    /// ## Limits
    /// Ways that are not in its list are not tried; several machines are for RL-02. Without
    /// `[forwarded]` no network of IPv6 addresses is tried, and the result says so; with it nothing is seen of addresses of
    /// connections. Whether HTTP/2 was spoken stands in the evidence.
    id: "RL-06", title: "Limits cannot be bypassed",
    area: Limits, severity: High, since: "0.1.0",
    needs: [Limits, Identity], touches: Load,
    maps: ["API4:2023 Unrestricted Resource Consumption", "LLM10:2025 Unbounded Consumption"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: ["limit-lifted-by-a-query", "limit-lifted-by-another-agent", "limit-lifted-by-idempotency", "limit-lifted-by-streaming", "limit-lifted-over-http2", "limit-lifted-over-http2-which-fails-at-first", "limit-counts-one-stream-of-a-connection", "no-rate-limit", "no-address-limit", "rate-limit-by-header", "limits-count-each-ipv6-address"],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man", "echo", "spa-shell"],
}

/// Requests under way at the same time, and in the burst at the end.
const AT_ONCE: usize = 8;
const BURST: usize = 32;
/// How often a limit is sent before it is taken not to be there.
const TIMES: u32 = 2;
/// Requests from one client address.
const FROM_ONE_ADDRESS: usize = 40;

/// Connections that fail before HTTP/2 is taken not to be spoken, and the time between them.
const HTTP2_ATTEMPTS: u32 = 3;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(200);

/// A way to be admitted all the same.
struct Way {
    what: String,
    call: Call,
}

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    let sessions = sessions(&target)?;
    let first = *sessions.first().ok_or_else(|| Inconclusive::because("no identity works"))?;
    let others = canary::askers(&target);
    let other = others.iter().copied().find(|other| other.user != first.user).ok_or_else(|| {
        Inconclusive::because("one more user is needed to see that others are admitted: add an [[identity]]")
    })?;
    let mut findings = probe.findings();
    let mut doubts = Vec::new();
    let stranger =
        probe.send_once(Call::to(&target, &target.chat.asking("ready"), &first.community)?).await?;
    if !deployment::is_turned_away(&stranger) {
        return Err(Inconclusive::because(format!(
            "a stranger is answered {}: nothing shows that the application answers",
            stranger.says()
        )));
    }
    let reached = exhaust(probe, &target, &sessions).await?;
    if !reached {
        findings.push(Finding::new(
            format!(
                "{} was never refused with 429 for one user, whatever was promised",
                target.chat.route.line()
            ),
            "count the requests of each user and refuse what comes after the limit",
        ));
    }
    let ways = if reached { ways(&target, &sessions)? } else { Vec::new() };
    let wanted = ways.len();
    let mut tried = 0;
    for way in ways {
        let call = plain(&target, first)?.from(probe.fresh_source());
        let plain = probe.send_once(call).await?;
        if let Some(doubt) = is_over(plain.status, &plain.says(), &way.what) {
            doubts.push(doubt);
            break;
        }
        let call = way.call.from(probe.fresh_source());
        let seen = probe.send_once(call).await?;
        tried += 1;
        if is_answered(&target, &seen) {
            findings.push(
                Finding::new(
                    format!(
                        "a user whose limit is reached is answered by {} with {}",
                        target.chat.route.line(),
                        way.what
                    ),
                    "count by who was identified, whatever the client sends beside it",
                )
                .shown_by([plain.number(), seen.number()]),
            );
        }
    }
    if reached {
        let mut bursts = vec![Burst::OverHttp1];
        if speaks_http2(probe, &target, first).await? {
            bursts.extend([Burst::OverHttp2, Burst::OverBoth]);
        }
        for burst in bursts {
            let call = plain(&target, first)?.from(probe.fresh_source());
            let plain = probe.send_once(call).await?;
            if let Some(doubt) = is_over(plain.status, &plain.says(), burst.words().trim_end_matches(',')) {
                doubts.push(doubt);
                break;
            }
            findings.extend(burst.judge(probe, &target, first).await?);
        }
    }
    let call = plain(&target, other)?.from(probe.fresh_source());
    let witness = probe.send(call).await?;
    let control = PositiveControl::from_success(&witness, "another user is admitted meanwhile");
    // What went wrong there hides nothing of what was found.
    let network = networks::judge(probe, &target).await.unwrap_or_else(Tried::from);
    findings.extend(network.finding);
    doubts.extend(network.doubt);
    Verdict::settle(probe.evidence(), findings, &doubts, || {
        let what = format!("ways around the limit of a user lead nowhere; {}", network.words);
        Ok((Coverage::complete(tried, wanted, what)?, control?))
    })
}

/// Many requests at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Burst {
    OverHttp1,
    OverHttp2,
    OverBoth,
}

impl Burst {
    const fn words(self) -> &'static str {
        match self {
            Self::OverHttp1 => "requests at once",
            Self::OverHttp2 => "streams of one HTTP/2 connection",
            Self::OverBoth => "requests at once, streams of HTTP/2 and HTTP/1.1 by turns,",
        }
    }

    async fn judge(
        self,
        probe: &mut Probe,
        target: &Target,
        who: &Identity,
    ) -> Result<Option<Finding>, Inconclusive> {
        let source = probe.fresh_source();
        let call = |place: usize| {
            let call = plain(target, who)?.from(source);
            let streamed = self == Self::OverHttp2 || self == Self::OverBoth && place % 2 == 1;
            Ok(if streamed { call.over_http2() } else { call })
        };
        let calls: Result<Vec<Call>, Inconclusive> = (0..BURST).map(call).collect();
        let answers = probe.burst(calls?, BURST).await?;
        let through: Vec<&Seen> = answers.iter().filter(|seen| is_answered(target, seen)).collect();
        // One may be a place that has just become free.
        Ok((through.len() > 1).then(|| {
            let said = format!(
                "of {BURST} {} {} were answered although the limit was reached",
                self.words(),
                through.len()
            );
            Finding::new(
                said,
                "decide and count in one atomic step, by who was identified and not by connection",
            )
            .shown_by(through.iter().map(|seen| seen.number()))
        }))
    }
}

/// Whether the target answers over HTTP/2 at all. One connection that fails shows nothing.
async fn speaks_http2(probe: &mut Probe, target: &Target, who: &Identity) -> Result<bool, Inconclusive> {
    for attempt in 1..=HTTP2_ATTEMPTS {
        let call = plain(target, who)?.from(probe.fresh_source()).over_http2();
        match probe.send_once(call).await {
            Ok(_) => return Ok(true),
            Err(ProbeError::NoAnswer { .. }) if attempt < HTTP2_ATTEMPTS => {
                tokio::time::sleep(BETWEEN_ATTEMPTS).await;
            }
            Err(ProbeError::NoAnswer { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let said = format!("not spoken in {HTTP2_ATTEMPTS} connections, so that its streams were not tried");
    probe.observe("HTTP/2", &said);
    Ok(false)
}

/// The sessions of the user with the most of them, of those set aside for limits if there are any.
fn sessions(target: &Target) -> Result<Vec<&Identity>, Inconclusive> {
    let mut by_user: BTreeMap<(bool, &str), Vec<&Identity>> = BTreeMap::new();
    for identity in target.valid().into_iter().filter(|identity| identity.purpose != Purpose::Named) {
        by_user.entry((identity.purpose == Purpose::Limits, &identity.user)).or_default().push(identity);
    }
    let most = by_user.into_iter().max_by_key(|((limits, _), sessions)| (*limits, sessions.len()));
    most.map(|(_, sessions)| sessions).ok_or_else(|| Inconclusive::because("no identity works"))
}

fn plain(target: &Target, who: &Identity) -> Result<Call, Inconclusive> {
    Call::by(target, &target.chat.asking("Reply with the one word: ready"), who)
}

/// Asks by all sessions in turn until each is refused; whether that came to be.
async fn exhaust(probe: &mut Probe, target: &Target, sessions: &[&Identity]) -> Result<bool, Inconclusive> {
    let limits = &target.limits;
    let limit = limits.user_per_minute.or(limits.session_per_minute).ok_or_else(|| {
        Inconclusive::because(
            "no limit for each user or session is promised: add it to [limits] of target.toml",
        )
    })?;
    let mut source = None;
    let mut sent = 0;
    while sent < limit.saturating_mul(TIMES) {
        let mut calls = Vec::new();
        for who in sessions.iter().copied().cycle().take(AT_ONCE.max(sessions.len())) {
            if (sent as usize).is_multiple_of(FROM_ONE_ADDRESS) {
                source = probe.fresh_source().or(source);
            }
            calls.push(plain(target, who)?.from(source));
            sent += 1;
        }
        let answers = probe.burst(calls, AT_ONCE).await?;
        let odd = answers
            .iter()
            .find(|seen| seen.status != StatusCode::TOO_MANY_REQUESTS && !seen.status.is_success());
        if let Some(seen) = odd {
            return Err(Inconclusive::because(format!(
                "{} was answered {}, a success or 429 was wanted",
                seen.request_line(),
                seen.says()
            )));
        }
        if answers
            .iter()
            .all(|seen| seen.status == StatusCode::TOO_MANY_REQUESTS && seen.kind() != Kind::Firewall)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn ways(target: &Target, sessions: &[&Identity]) -> Result<Vec<Way>, Inconclusive> {
    let mut ways = Vec::new();
    let Some(first) = sessions.first().copied() else { return Ok(ways) };
    let base = || plain(target, first);
    let mut add = |what: String, call: Call| ways.push(Way { what, call });
    let spoofs = spoofs();
    for (name, value) in &spoofs {
        add(format!("the header `{name}`"), base()?.header(name, value)?);
    }
    // Where users and sessions are both counted by what a header says, one of these alone meets the other limit.
    let together = spoofs.iter().try_fold(base()?, |call, (name, value)| call.header(name, value))?;
    add("all of these headers together".to_owned(), together);
    for (name, value) in [
        ("X-Forwarded-For", "203.0.113.81, 203.0.113.82, 127.0.0.1"),
        ("X-Forwarded-For", "2001:db8:5:6::1"),
        ("X-Originating-IP", "203.0.113.83"),
        ("X-Cluster-Client-IP", "203.0.113.84"),
        ("X-HTTP-Method-Override", "GET"),
        ("Idempotency-Key", "bypass-0001"),
        ("User-Agent", "another-agent/1.0"),
        ("Accept-Language", "xx"),
        ("Accept", "text/event-stream"),
        ("Cookie", "bypass=1"),
        ("Origin", "null"),
        ("Cache-Control", "no-cache"),
    ] {
        let mut call = base()?;
        if name == "Accept" {
            call.headers.remove(name);
        }
        add(format!("the header `{name}: {value}`"), call.header(name, value)?);
    }
    for other in sessions.iter().copied().skip(1) {
        add("another key or session of the same user".to_owned(), plain(target, other)?);
    }
    let path = target.chat.route.path.clone();
    for (what, spelled) in [
        ("the path in capitals", path.to_uppercase()),
        ("a slash at the end of the path", format!("{path}/")),
        ("two slashes in the path", path.replacen('/', "//", 1)),
        ("a dot in the path", format!("/.{path}")),
        ("a letter of the path encoded", encoded(&path)),
        ("a parameter in the path", format!("{path};a=1")),
        ("a query", format!("{path}?a=1")),
        ("another query", format!("{path}?nocache=2")),
    ] {
        let mut call = base()?;
        call.path = spelled;
        add(what.to_owned(), call);
    }
    for method in [Method::HEAD, Method::OPTIONS, Method::PUT, Method::PATCH] {
        let mut call = base()?;
        add(format!("the method {method}"), {
            call.method = method;
            call
        });
    }
    if let Some(streaming) = target.chat.streaming("Reply with the one word: ready") {
        add("a stream".to_owned(), Call::by(target, &streaming, first)?);
    }
    Ok(ways)
}

/// The path with its last letter percent-encoded.
fn encoded(path: &str) -> String {
    let mut letters = path.to_owned();
    match letters.pop() {
        Some(last) if last.is_ascii() => format!("{letters}%{:02X}", u32::from(last)),
        _ => path.to_owned(),
    }
}

/// Whether the chat answered: with an answer where one stands, or with a stream.
fn is_answered(target: &Target, seen: &Seen) -> bool {
    let answer = |told: Value| told.pointer(&target.chat.answer).is_some();
    let streamed = seen.body.lines().any(|line| line.starts_with("data:"));
    seen.status.is_success() && (streamed || seen.json().is_some_and(answer))
}

#[cfg(test)]
mod tests {
    use super::{encoded, sessions, ways};
    use crate::target::{Credential, Identity, Target};

    #[test]
    fn there_are_more_than_twenty_ways_and_another_key_is_among_them() {
        let mut target = Target::new("t", "http://127.0.0.1:9").unwrap();
        let who = |name: &str| Identity::new(name, "a", Credential::bearer("x")).for_limits();
        target.identities = vec![who("d"), who("c-1").session_of("c"), who("c-2").session_of("c")];
        let found = sessions(&target).unwrap();
        assert_eq!(found.len(), 2);
        let ways = ways(&target, &found).unwrap();
        assert!(ways.len() >= 20, "{}", ways.len());
        assert!(ways.iter().any(|way| way.what.contains("another key")));
        assert_eq!(encoded("/api/chat"), "/api/cha%74");
    }
}
