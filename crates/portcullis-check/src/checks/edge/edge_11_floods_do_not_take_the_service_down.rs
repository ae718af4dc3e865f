//! EDGE-11.

use std::net::Ipv4Addr;
use std::time::Duration;

use http::Method;
use serde_json::json;

use super::blocking::two_sources;
use crate::check::{cases, check};
use crate::checks::deployment;
use crate::outcome::{Coverage, Finding, Findings, Inconclusive, PositiveControl, Verdict};
use crate::probe::{Call, Probe, ProbeError, Seen};
use crate::target::{Auth, Load, Target};

check! {
    /// ## What it checks
    /// With the written consent and the rate that the target file names, it measures how long a good client waits: three times
    /// alone, and three times while others, from addresses of their own, send bursts of wrong credentials and unknown paths at the
    /// agreed rate and hold 50 connections in the middle of a request's head. The 95th percentile of the good client, as the median of the three, may
    /// at most double, counted from 50 ms, and hardly any of its requests may fail. Requests with headers of 64 KB and a body of
    /// 4 MB must be refused in order. What was refused must be counted where the target says so. What stands in front against
    /// larger floods is the word of a person, not older than a year.
    /// ## Why it matters
    /// A flood costs its sender nothing. If a small one already slows everybody down, a large one ends the service.
    /// ## How to fix
    /// Refuse before anything is looked up, bound connections in all and by address, headers, bodies and the time that each may
    /// take, and put a provider in front that takes what no single machine can.
    /// ## Limits
    /// The rate is bounded by what was agreed on, so it shows how the service behaves and not how much it withstands. What of the
    /// flood gets no answer is not counted as sent. Nothing comes from more than one machine, and only on the target's own has the
    /// checker addresses enough to be a good client beside a flood. The good client asks one route.
    id: "EDGE-11", title: "Floods do not take the service down",
    area: Edge, severity: High, since: "0.1.0",
    needs: [Load, Identity], touches: Drills,
    maps: ["API4:2023 Unrestricted Resource Consumption", "LLM10:2025 Unbounded Consumption"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: [
        "flood-slows-everybody",
        "flood-of-slow-heads-takes-all-places",
        "flood-of-large-bodies-breaks-it",
        "flood-is-not-counted",
    ],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man", "echo", "spa-shell"],
}

/// Measurements alone, and as many under the flood, in turn.
const ROUNDS: usize = 3;
/// Slices of one measurement.
const SLICES: usize = 10;
const SLICE: Duration = Duration::from_millis(100);
/// Requests of the good client in each slice.
const GOOD: usize = 4;
/// Connections that are held in the middle of a request's head.
const SLOW: usize = 50;
/// Addresses that the flood comes from, where the checker has so many.
const FLOODERS: usize = 4;
/// What is shorter nobody feels: to twice of it is no harm, and what a busy machine adds to it says nothing.
const LEAST: Duration = Duration::from_millis(50);
/// How much of the agreed rate must have been answered, in hundredths: a smaller flood shows nothing.
const ENOUGH: u64 = 80;
const LARGE_HEADER: usize = 64 << 10;
const LARGE_BODY: usize = 4 << 20;
/// How long a person's word counts: 365 days, as control EDGE-11 says.
const PLAN_DAYS: i64 = 365;

/// One measurement.
#[derive(Debug, Default)]
struct Measured {
    times: Vec<Duration>,
    failed: Vec<String>,
    sent: u64,
    refused: u64,
    took: Duration,
}

impl Measured {
    fn add_good(&mut self, answer: &Result<Seen, ProbeError>) {
        match answer {
            Ok(seen) if seen.status.is_success() => self.times.push(seen.elapsed),
            Ok(seen) => self.failed.push(seen.says()),
            Err(_) => self.failed.push("no answer".to_owned()),
        }
    }

    /// What got no answer may never have arrived.
    fn add_bad(&mut self, answer: &Result<Seen, ProbeError>) {
        let Ok(seen) = answer else { return };
        self.sent += 1;
        self.refused += u64::from(seen.status.is_client_error());
    }
}

struct Flood<'t> {
    target: &'t Target,
    load: &'t Load,
    good: Option<Ipv4Addr>,
    flooders: Vec<Option<Ipv4Addr>>,
    number: usize,
}

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    let load = target.load.as_deref().ok_or_else(|| Inconclusive::because("nobody has allowed a flood"))?;
    // From one address, a right service blocks the good client with the flood.
    let (good, flooder) = two_sources(probe)?;
    probe.observe(
        "the consent to send a flood",
        &format!("{}: {} requests a second", load.consent, load.requests_per_second),
    );
    deployment::tells_members_from_strangers(probe).await?;
    let others = (1..FLOODERS).map(|_| probe.fresh_source());
    let flooders = std::iter::once(Some(flooder)).chain(others).collect();
    let slow = probe.fresh_source();
    let mut flood = Flood { target: &target, load, good: Some(good), flooders, number: 0 };
    let seen = probe.send(flood.good()?).await?;
    let control =
        PositiveControl::from_success(&seen, format!("{} answers a good client", load.asked.line()))?;
    let (mut findings, mut doubts) = (probe.findings(), Vec::new());
    let before = counted(probe, load, &mut doubts).await?;
    let (mut alone, mut under) = (Vec::new(), Vec::new());
    let mut held = SLOW;
    for _ in 0..ROUNDS {
        alone.push(flood.measure(probe, 0).await?);
        let mut dawdlers = probe.dawdle(SLOW, slow).await;
        dawdlers.drip().await;
        held = held.min(dawdlers.held());
        probe.observe("connections held in the middle of a request's head", &dawdlers.held().to_string());
        under.push(flood.measure(probe, load.requests_per_second as usize).await?);
        dawdlers.drip().await;
    }
    let large = flood.large(probe, &mut findings).await?;
    let still = probe.send_once(flood.good()?).await?;
    if !still.status.is_success() {
        findings.push(
            Finding::new(
                format!("after the flood a good client is answered {}", still.says()),
                "refuse what is too much without failing what is not",
            )
            .shown_by([still.number()]),
        );
    }
    let refused: u64 = under.iter().map(|measured| measured.refused).sum::<u64>() + large;
    let after = counted(probe, load, &mut doubts).await?;
    judge_count(load, before, after, refused, &mut findings);
    let told = judge_times(load, &alone, &under, held, &mut findings, &mut doubts);
    probe.observe("how long a good client waited", &told);
    judge_plan(probe, &target, load, &mut doubts);
    Verdict::settle(probe.evidence(), findings, &doubts, || {
        Ok((Coverage::complete(ROUNDS, ROUNDS, told)?, control))
    })
}

impl Flood<'_> {
    /// A request of the good client.
    fn good(&self) -> Result<Call, Inconclusive> {
        let valid = self.target.valid();
        let call = match valid.first() {
            Some(asker) if self.load.asked.auth == Auth::Required => {
                Call::by(self.target, &self.load.asked, asker)?
            }
            _ => Call::to(self.target, &self.load.asked, "")?,
        };
        Ok(call.from(self.good))
    }

    /// One request of the flood.
    fn bad(&mut self) -> Result<Call, Inconclusive> {
        self.number = self.number.wrapping_add(1);
        let source = self.flooders.get(self.number % self.flooders.len().max(1)).copied().flatten();
        let call = if self.number.is_multiple_of(2) {
            Call::new(Method::GET, format!("/portcullis-check/nowhere-{}", self.number))
        } else {
            let route = self.target.chat.asking("hello");
            let call = Call::to(self.target, &route, "")?;
            call.header("authorization", &format!("Bearer portcullis-check-guess-{}", self.number))?
        };
        Ok(call.from(source))
    }

    /// How long the good client waits while so many requests a second are sent beside it.
    async fn measure(&mut self, probe: &mut Probe, rate: usize) -> Result<Measured, Inconclusive> {
        let mut measured = Measured::default();
        let each = rate.div_ceil(SLICES);
        let began = probe.clock().monotonic();
        for number in 0..SLICES {
            // Each of the good client's behind its share of the flood: who comes first need not wait for anybody.
            let (mut calls, mut is_good) = (Vec::new(), Vec::new());
            for nth in 0..GOOD {
                for _ in each * nth / GOOD..each * (nth + 1) / GOOD {
                    calls.push(self.bad()?);
                    is_good.push(false);
                }
                calls.push(self.good()?);
                is_good.push(true);
            }
            let at_once = calls.len();
            for (answer, is_good) in probe.burst_each(calls, at_once).await?.iter().zip(is_good) {
                if is_good {
                    measured.add_good(answer);
                } else {
                    measured.add_bad(answer);
                }
            }
            let due = SLICE.saturating_mul(u32::try_from(number + 1).unwrap_or(u32::MAX));
            let elapsed = probe.clock().monotonic().saturating_sub(began);
            tokio::time::sleep(due.saturating_sub(elapsed)).await;
        }
        measured.took = probe.clock().monotonic().saturating_sub(began);
        Ok(measured)
    }

    /// Requests that are too large; how many were refused.
    async fn large(&mut self, probe: &mut Probe, findings: &mut Findings) -> Result<u64, Inconclusive> {
        let source = self.flooders.first().copied().flatten();
        let header = Call::new(Method::GET, "/").header("x-portcullis-check", &"a".repeat(LARGE_HEADER))?;
        let mut body = Call::to(self.target, &self.target.chat.asking("hello"), "")?;
        body.body = Some(json!({ "message": "a".repeat(LARGE_BODY) }));
        let mut refused = 0;
        for (call, what) in [(header, "headers of 64 KB"), (body, "a body of 4 MB")] {
            // One that closes the connection has refused as well.
            let Ok(seen) = probe.send_once(call.from(source)).await else { continue };
            refused += u64::from(seen.status.is_client_error());
            if seen.status.is_server_error() {
                findings.push(
                    Finding::new(
                        format!("a request with {what} is answered {}", seen.says()),
                        "bound headers and bodies before they are read, and answer 431 or 413",
                    )
                    .shown_by([seen.number()]),
                );
            }
        }
        Ok(refused)
    }
}

/// What was counted as refused so far; none where it cannot be seen.
async fn counted(
    probe: &mut Probe,
    load: &Load,
    doubts: &mut Vec<String>,
) -> Result<Option<u64>, Inconclusive> {
    let Some(drops) = &load.drops else {
        if doubts.is_empty() {
            doubts.push(
                "whether what is refused is counted cannot be seen: add [load.drops] to target.toml"
                    .to_owned(),
            );
        }
        return Ok(None);
    };
    let target = probe.target();
    let call = Call::to(&target, &drops.route, "")?.with(&drops.operator, "operator");
    let seen = probe
        .send(match &drops.at {
            Some(base) => call.at(base),
            None => call,
        })
        .await?;
    let lines = seen.body.lines().filter(|line| line.contains(&drops.line));
    let numbers = lines.filter_map(|line| line.split_whitespace().last()?.parse::<f64>().ok());
    if !seen.status.is_success() {
        return Err(Inconclusive::because(format!("{} answers {}", drops.route.line(), seen.says())));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts, as text has them")]
    let sum = numbers.sum::<f64>() as u64;
    Ok(Some(sum))
}

fn judge_count(load: &Load, before: Option<u64>, after: Option<u64>, refused: u64, findings: &mut Findings) {
    let (Some(before), Some(after), Some(drops)) = (before, after, &load.drops) else { return };
    let grown = after.saturating_sub(before);
    // What a proxy refuses by itself, such as headers that are too large, it may count elsewhere.
    if grown.saturating_mul(100) < refused.saturating_mul(90) {
        findings.push(Finding::new(
            format!("{refused} requests were refused and {grown} were counted by {}", drops.route.line()),
            "count every request that is refused, so that a flood is seen while it lasts",
        ));
    }
}

/// Judges the good client's waits, and says what was measured.
fn judge_times(
    load: &Load,
    alone: &[Measured],
    under: &[Measured],
    held: usize,
    findings: &mut Findings,
    doubts: &mut Vec<String>,
) -> String {
    let (calm, stormy) = (median_of_p95(alone), median_of_p95(under));
    let sent: u64 = under.iter().map(|measured| measured.sent).sum();
    let refused: u64 = under.iter().map(|measured| measured.refused).sum();
    let took: Duration = under.iter().map(|measured| measured.took).sum();
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
    let rate = sent.saturating_mul(1_000) / took_ms;
    let percent = rate.saturating_mul(100) / u64::from(load.requests_per_second.max(1));
    let told = format!(
        "a good client's p95 is {} ms alone and {} ms under {rate} answered requests a second ({percent} % of the {} agreed on, \
         {refused} of {sent} refused) and {held} slow connections",
        calm.as_millis(),
        stormy.as_millis(),
        load.requests_per_second,
    );
    if stormy > calm.max(LEAST) * 2 {
        findings.push(Finding::new(
            told.clone(),
            "refuse before anything is looked up, and bound what one address may hold",
        ));
    }
    let asked: usize = under.iter().map(|measured| measured.times.len() + measured.failed.len()).sum();
    let failed: Vec<&String> = under.iter().flat_map(|measured| &measured.failed).collect();
    if failed.len() * 20 > asked {
        let first = failed.first().map_or("", |first| first.as_str());
        findings.push(Finding::new(
            format!("under the flood {} of {asked} requests of a good client fail: {first}", failed.len()),
            "limit the flood by its addresses, and leave places for everybody else",
        ));
    }
    let failed_alone = alone.iter().any(|measured| !measured.failed.is_empty());
    if failed_alone {
        doubts.push(
            "requests of the good client fail without any flood, so there is nothing to compare with"
                .to_owned(),
        );
    }
    if percent < ENOUGH {
        doubts.push(format!(
            "only {rate} requests a second were answered, {} were agreed on: the flood was too small to show anything",
            load.requests_per_second
        ));
    }
    if held < SLOW {
        doubts.push(format!(
            "only {held} of {SLOW} slow connections could be opened: nothing shows what so many would do"
        ));
    }
    told
}

/// The word of a person for what no check can send.
fn judge_plan(probe: &mut Probe, target: &Target, load: &Load, doubts: &mut Vec<String>) {
    if let Some(lacks) = target.lacks("flood-plan") {
        let said = format!("declared absent by {}: {}", lacks.approver, lacks.reason);
        probe.observe("what stands in front against larger floods", &said);
        return;
    }
    match &load.plan {
        Some(plan) => {
            let age = probe.clock().now().duration_since(plan.seen);
            if age.as_hours() > PLAN_DAYS * 24 || age.is_negative() {
                doubts.push(format!("the word of {} for what stands in front is of {}: look again", plan.who, plan.seen));
            }
            let said = format!("{}: {} ({})", plan.who, plan.evidence, plan.seen);
            probe.observe("what stands in front against larger floods", &said);
        }
        None => doubts.push(
            "what stands in front against larger floods is not said: add [load.plan] with `who`, `evidence` and `seen` to \
             target.toml"
                .to_owned(),
        ),
    }
}

/// Of several measurements the one in the middle: one that was disturbed changes nothing.
fn median_of_p95(measured: &[Measured]) -> Duration {
    let mut each: Vec<Duration> = measured.iter().map(|one| p95(&one.times)).collect();
    each.sort_unstable();
    each.get(each.len() / 2).copied().unwrap_or_default()
}

fn p95(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let place = (sorted.len() * 95).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Measured, SLOW, judge_times, median_of_p95, p95};
    use crate::outcome::Findings;
    use crate::probe::ProbeError;
    use crate::target::{Load, Method, Route};

    /// What is doubted of a flood of so many requests in a second, beside so many slow connections.
    fn doubts(sent: u64, held: usize) -> Vec<String> {
        let load = Load {
            consent: "the test".to_owned(),
            requests_per_second: 100,
            asked: Route::new(Method::GET, "/login").public(),
            drops: None,
            plan: None,
        };
        let under = Measured { sent, took: Duration::from_secs(1), ..Measured::default() };
        let mut doubts = Vec::new();
        judge_times(&load, &[], &[under], held, &mut Findings::default(), &mut doubts);
        doubts
    }

    #[test]
    fn a_flood_that_did_not_come_about_is_doubted() {
        assert_eq!(doubts(100, SLOW), Vec::<String>::new());
        assert!(doubts(100, SLOW - 1)[0].contains("49 of 50 slow connections"));
        let mut measured = Measured::default();
        for _ in 0..100 {
            measured.add_bad(&Err(ProbeError::Limited { request: "GET /".to_owned() }));
        }
        assert!(doubts(measured.sent, SLOW)[0].contains("only 0 requests a second were answered"));
    }

    #[test]
    fn one_disturbed_measurement_of_three_changes_nothing() {
        let of = |ms: u64| Measured { times: vec![Duration::from_millis(ms); 40], ..Measured::default() };
        assert_eq!(median_of_p95(&[of(5), of(900), of(7)]), Duration::from_millis(7));
        let mut times: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        times.reverse();
        assert_eq!(p95(&times), Duration::from_millis(95));
        assert_eq!(p95(&[]), Duration::ZERO);
    }
}
