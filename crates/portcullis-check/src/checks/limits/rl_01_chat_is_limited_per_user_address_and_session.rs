//! RL-01.

use std::net::Ipv4Addr;
use std::time::Duration;

use http::StatusCode;
use http::header::RETRY_AFTER;

use super::dimension::{Dimension, PROVIDER_SIGNS, spoofs};
use super::minute::{SLOWEST_BURST, is_over, wait_for_the_minute};
use super::users::Users;
use crate::check::{cases, check};
use crate::classify::Kind;
use crate::outcome::{Coverage, Finding, Findings, Inconclusive, PositiveControl, Verdict};
use crate::probe::{Call, Probe, Seen};
use crate::target::{Identity, Route, Target};

check! {
    /// ## What it checks
    /// Sends chat requests up to a fifth more than the promised limit, for one session, for one user over several sessions,
    /// and from one address. At least 98 % of the limit and never more than the limit may be admitted; the rest must be
    /// answered 429 with `Retry-After`, by the gate itself and not by a model provider. Meanwhile another user must be
    /// admitted, and headers that claim another address or user must change nothing.
    /// ## Why it matters
    /// One script over night can spend the model's budget and shut everyone else out.
    /// ## How to fix
    /// Count and compare in one atomic step before the model is asked, with a bucket for each session, each user and each
    /// client address. Take the address from the connection, or from a forwarding header of a trusted proxy only.
    /// ## Limits
    /// The address is shown by requests without a credential where there are not enough users to reach its limit. Only the
    /// window of a minute is driven; tiers and bypasses are for RL-03 to RL-06, several machines for RL-02. What is promised
    /// for a whole community is not driven: it is waited until the rest fits beneath it. From outside, a
    /// 429 of a gate that hides its provider's answer behind its own is not told apart. Headers show something while the limit
    /// still refuses: where it is over by then, because the model is slow or what was used comes back bit by bit, it is inconclusive.
    id: "RL-01", title: "Chat is limited per user, address and session",
    area: Limits, severity: High, since: "0.1.0",
    needs: [Limits, Identity], touches: Load,
    maps: ["API4:2023 Unrestricted Resource Consumption", "LLM10:2025 Unbounded Consumption"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: [
        "no-rate-limit",
        "rate-limit-off-by-20-percent",
        "rate-limit-too-low",
        "rate-limit-by-header",
        "shared-bucket",
        "no-retry-after",
        "provider-429",
        "no-address-limit",
        "no-user-limit",
        "no-session-limit",
    ],
    inconclusive_on: ["dead", "mute", "login-wall", "waf"],
}

/// Requests under way at the same time.
const AT_ONCE: usize = 8;
/// While it is waited until requests are a minute old.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// A window, and a moment more.
const WINDOW: Duration = Duration::from_secs(61);

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    let route = target.chat.asking("Reply with the one word: ready");
    let mut users = Users::of(&target);
    let first = users.first().ok_or_else(|| Inconclusive::because("no identity works"))?;
    let source = probe.fresh_source();
    let member = probe.send(Call::by(&target, &route, first)?.from(source)).await?;
    let control =
        PositiveControl::from_success(&member, format!("{} answers below the limit", route.line()))?;
    let mut findings = probe.findings();
    let mut doubts = Vec::new();
    let mut driven = 0;
    let mut wanted = 0;
    if target.limits.marker.is_none() {
        doubts.push(
            "a 429 of the gate cannot be told from one of a model provider: add [limits] marker to target.toml".to_owned(),
        );
    }
    for dimension in Dimension::ALL {
        let Some(limit) = dimension.limit(&target.limits) else {
            match target.lacks(dimension.feature()) {
                Some(lacks) => {
                    let said = format!("declared absent by {}: {}", lacks.approver, lacks.reason);
                    probe.observe(&format!("a limit for each {}", dimension.word()), &said);
                }
                None => doubts.push(format!(
                    "no limit for each {0} is promised: add [limits] {0}_per_minute to target.toml",
                    dimension.word()
                )),
            }
            continue;
        };
        wanted += 1;
        let mut judge = Judge { target: &target, route: &route, users: &mut users, findings: &mut findings };
        match judge.drive(probe, dimension, limit).await {
            Ok(()) => driven += 1,
            Err(why) => doubts.push(why.reason().to_owned()),
        }
    }
    Verdict::settle(probe.evidence(), findings, &doubts, || {
        Ok((Coverage::complete(driven, wanted, "limits hold and refuse in their own name")?, control))
    })
}

struct Judge<'a, 't> {
    target: &'t Target,
    route: &'a Route,
    users: &'a mut Users<'t>,
    findings: &'a mut Findings,
}

/// What is sent against one limit: a request's asker and its address.
struct Driven<'t> {
    askers: Vec<Option<&'t Identity>>,
    sources: Vec<Option<Ipv4Addr>>,
    /// The most that may be admitted.
    expected: u32,
}

impl<'t> Judge<'_, 't> {
    async fn drive(
        &mut self,
        probe: &mut Probe,
        dimension: Dimension,
        limit: u32,
    ) -> Result<(), Inconclusive> {
        let driven = self.plan(probe, dimension, limit).await?;
        let count = beyond(driven.expected);
        self.wait_for_the_community(probe, &driven, count).await?;
        wait_for_the_minute(probe).await;
        let mut calls = Vec::new();
        for index in 0..count {
            calls.push(self.call(&driven, index)?);
        }
        let started = probe.clock().monotonic();
        let answers = probe.burst(calls, AT_ONCE).await?;
        let took = probe.clock().monotonic().saturating_sub(started);
        if took > SLOWEST_BURST {
            return Err(Inconclusive::because(format!(
                "{count} requests took {} s, too long to show a limit per minute",
                took.as_secs()
            )));
        }
        let by_nobody = driven.askers.iter().all(Option::is_none);
        let (admitted, refused) = count_answers(&answers, by_nobody)?;
        self.judge_count(dimension, &driven, admitted, count);
        self.judge_refusals(dimension, &refused);
        let spoofed =
            if refused.is_empty() { Ok(()) } else { self.judge_spoofing(probe, dimension, &driven).await };
        // What went wrong there hides nothing of what is found here.
        self.judge_witness(probe, dimension).await.and(spoofed)
    }

    /// Waits until the burst fits beneath what the community of those who send it may ask for, if that is promised.
    async fn wait_for_the_community(
        &self,
        probe: &Probe,
        driven: &Driven<'_>,
        count: u32,
    ) -> Result<(), Inconclusive> {
        let Some(limit) = self.target.limits.community_per_minute else { return Ok(()) };
        let Some(asker) = driven.askers.iter().copied().flatten().next() else { return Ok(()) };
        // Refused requests are tried with other headers, and others ask meanwhile.
        let needed = count as usize + 50;
        if needed > limit as usize {
            return Err(Inconclusive::because(format!(
                "{count} requests would reach the limit of the whole community, {limit} a minute, first: put the community \
                 of the checks into a larger tier"
            )));
        }
        let sent = || {
            let theirs =
                self.target.identities.iter().filter(|identity| identity.community == asker.community);
            theirs.map(|identity| probe.sent_lately(identity)).sum::<usize>()
        };
        while sent() + needed > limit as usize {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// Who asks from where, so that the limit under test is the only one that can be reached.
    async fn plan(
        &mut self,
        probe: &mut Probe,
        dimension: Dimension,
        limit: u32,
    ) -> Result<Driven<'t>, Inconclusive> {
        let limits = &self.target.limits;
        let expected = match dimension {
            // A session belongs to a user, so it never gets more than the user.
            Dimension::Session => limits.user_per_minute.map_or(limit, |user| user.min(limit)),
            Dimension::User | Dimension::Address => limit,
        };
        let count = beyond(expected);
        if dimension == Dimension::Address {
            let askers = self.crowd(count);
            return Ok(Driven { askers, sources: vec![probe.fresh_source()], expected });
        }
        let sessions = match (dimension, limits.session_per_minute) {
            (Dimension::User, Some(session)) if session < count => count.div_ceil(session).max(2),
            // One session would not tell a limit for each user from one for each session.
            (Dimension::User, _) => 2,
            _ => 1,
        };
        let user = self.user(sessions as usize).await?;
        let askers = self.users.sessions_of(user).iter().take(sessions as usize).map(|i| Some(*i)).collect();
        // Each address stays at half of its own limit; a limit that is not promised may be there all the same.
        let known = limits.address_per_minute;
        let addresses = count.div_ceil(known.map_or(8, |address| (address / 2).max(1)));
        let sources: Vec<_> = (0..addresses).map(|_| probe.fresh_source()).collect();
        if known.is_some() && addresses > 1 && sources.iter().any(Option::is_none) {
            return Err(Inconclusive::because(format!(
                "the limit for each address would be reached before the one for each {}, and there is only one client \
                 address: run the checker on the target's machine",
                dimension.word()
            )));
        }
        Ok(Driven { askers, sources, expected })
    }

    /// As many users as it takes to reach an address's limit while each stays at half of their own, one left over for
    /// comparison; nobody when there are not that many.
    fn crowd(&mut self, count: u32) -> Vec<Option<&'t Identity>> {
        let limits = &self.target.limits;
        let own = [limits.user_per_minute, limits.session_per_minute].into_iter().flatten().min();
        let needed = own.map_or(1, |own| count.div_ceil((own / 2).max(1))) as usize;
        if !self.users.can_spare(needed) {
            return vec![None];
        }
        let crowd: Vec<_> = (0..needed).filter_map(|_| self.users.take(1)).collect();
        crowd.into_iter().map(|user| self.users.sessions_of(user).first().copied()).collect()
    }

    /// A user whose window is unused, after waiting for one if need be.
    async fn user(&mut self, sessions: usize) -> Result<usize, Inconclusive> {
        if !self.users.has(sessions) {
            return Err(Inconclusive::because(format!(
                "one user with {sessions} sessions is needed: add [[identity]] tables with the same `user` to target.toml"
            )));
        }
        if let Some(user) = self.users.take(sessions) {
            return Ok(user);
        }
        tokio::time::sleep(WINDOW).await;
        self.users.refresh();
        self.users.take(sessions).ok_or_else(|| Inconclusive::because("no user is free"))
    }

    fn call(&self, driven: &Driven<'_>, index: u32) -> Result<Call, Inconclusive> {
        let pick = |len: usize| (index as usize).checked_rem(len).unwrap_or(0);
        let source = driven.sources.get(pick(driven.sources.len())).copied().flatten();
        let asker = driven.askers.get(pick(driven.askers.len())).copied().flatten();
        let call = match asker {
            Some(identity) => Call::by(self.target, self.route, identity)?,
            None => Call::to(self.target, self.route, "")?,
        };
        Ok(call.from(source))
    }

    fn judge_count(&mut self, dimension: Dimension, driven: &Driven<'_>, admitted: u32, sent: u32) {
        let (word, expected, line) = (dimension.word(), driven.expected, self.route.line());
        if admitted > expected {
            self.findings.push(Finding::new(
                format!("{admitted} of {sent} requests to {line} by one {word} were admitted, {expected} are promised"),
                format!("count requests to {line} for each {word} in one atomic step and answer 429 after {expected}"),
            ));
        } else if u64::from(admitted) * 100 < u64::from(expected) * 98 {
            self.findings.push(Finding::new(
                format!("only {admitted} of {sent} requests to {line} by one {word} were admitted, {expected} are promised"),
                format!("give each {word} a bucket of its own with {expected} requests a minute"),
            ));
        }
    }

    fn judge_refusals(&mut self, dimension: Dimension, refused: &[&Seen]) {
        let (word, line) = (dimension.word(), self.route.line());
        if refused.iter().any(|seen| !says_when(seen)) {
            self.findings.push(Finding::new(
                format!("{line} answers 429 for each {word} without a usable Retry-After"),
                format!("add `Retry-After: <seconds>` to the 429 of {line}"),
            ));
        }
        let marker = self.target.limits.marker.as_deref().map(str::to_lowercase);
        let foreign = refused.iter().any(|seen| {
            let body = seen.body.to_lowercase();
            let in_headers = |text: &str| {
                seen.headers.iter().any(|(name, value)| {
                    name.as_str().contains(text)
                        || value.to_str().is_ok_and(|value| value.to_lowercase().contains(text))
                })
            };
            let own = marker.as_ref().is_none_or(|marker| body.contains(marker) || in_headers(marker));
            !own || PROVIDER_SIGNS.iter().any(|sign| body.contains(sign) || in_headers(sign))
        });
        if foreign {
            self.findings.push(Finding::new(
                format!("the 429 of {line} for each {word} is not the gate's own: it looks like a model provider's"),
                format!("limit {line} before the model is asked, so that a refused request costs nothing"),
            ));
        }
    }

    /// What the client claims to be must not give it a new bucket.
    async fn judge_spoofing(
        &mut self,
        probe: &mut Probe,
        dimension: Dimension,
        driven: &Driven<'_>,
    ) -> Result<(), Inconclusive> {
        let refused = |seen: &Seen| seen.status == StatusCode::TOO_MANY_REQUESTS;
        for (number, (name, value)) in spoofs().into_iter().enumerate() {
            // The address that has been exhausted, or for users one that has not.
            let call = self.call(driven, u32::try_from(number).unwrap_or(0))?;
            let plain = probe.send_once(call.clone()).await?;
            if let Some(doubt) = is_over(plain.status, &plain.says(), name) {
                return Err(Inconclusive::because(doubt));
            }
            let seen = probe.send_once(call.header(name, &value)?).await?;
            if !refused(&seen) && !seen.status.is_server_error() {
                self.findings.push(Finding::new(
                    format!(
                        "the limit of {} for each {} is lifted by the header `{name}`",
                        self.route.line(),
                        dimension.word()
                    ),
                    format!("ignore `{name}` unless the connection comes from a trusted proxy"),
                ));
            }
        }
        Ok(())
    }

    /// While one is refused, another user from another address is not.
    async fn judge_witness(&mut self, probe: &mut Probe, dimension: Dimension) -> Result<(), Inconclusive> {
        let source = probe.fresh_source();
        if dimension == Dimension::Address && source.is_none() {
            return Err(Inconclusive::because(
                "a second client address is needed to see that others are not refused too: run the checker on the \
                 target's machine",
            ));
        }
        let witnesses = self.users.witnesses();
        if witnesses.is_empty() {
            return Err(Inconclusive::because(
                "one more user is needed to see that others are not refused too: add an [[identity]] to target.toml",
            ));
        }
        let mut refusals = Vec::new();
        for witness in witnesses {
            let seen = probe.send_once(Call::by(self.target, self.route, witness)?.from(source)).await?;
            if seen.status != StatusCode::TOO_MANY_REQUESTS {
                return PositiveControl::from_success(&seen, "another user is admitted").map(|_| ());
            }
            refusals.push(seen.number());
        }
        self.findings.push(
            Finding::new(
                format!(
                    "while one {} is over its limit on {}, every other user is refused too",
                    dimension.word(),
                    self.route.line()
                ),
                format!("keep a bucket for each {} instead of one for all", dimension.word()),
            )
            .shown_by(refusals),
        );
        Ok(())
    }
}

/// The limit and a fifth more, at least one more.
const fn beyond(limit: u32) -> u32 {
    let fifth = limit.div_ceil(5);
    limit + if fifth == 0 { 1 } else { fifth }
}

/// How many were admitted, and the refusals. Anything else shows nothing about a limit.
fn count_answers(answers: &[Seen], by_nobody: bool) -> Result<(u32, Vec<&Seen>), Inconclusive> {
    let mut admitted = 0;
    let mut refused = Vec::new();
    for seen in answers {
        if seen.status == StatusCode::TOO_MANY_REQUESTS && seen.kind() != Kind::Firewall {
            refused.push(seen);
        } else if seen.status.is_success() || by_nobody && seen.refuses() {
            admitted += 1;
        } else {
            return Err(Inconclusive::because(format!(
                "{} answered {} during the burst, a success or 429 was wanted",
                seen.request_line(),
                seen.says()
            )));
        }
    }
    Ok((admitted, refused))
}

/// Whether the refusal says when to come back: within an hour, in seconds or as a date.
fn says_when(seen: &Seen) -> bool {
    let Some(text) = seen.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let text = text.trim();
    text.parse::<u32>().is_ok_and(|seconds| (1..=3600).contains(&seconds)) || text.ends_with(" GMT")
}
