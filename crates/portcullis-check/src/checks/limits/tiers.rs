//! One engine for the three tiers: drives the windows of a community against what the deployment checklist promises.
//!
//! The minute is driven live. For the hour and the day most of the limit is counted beforehand and the clock is moved until
//! the shorter windows are empty again; what is left is driven live, so that each window is seen to stop by itself.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::checks::deployment;
use crate::classify::Kind;
use crate::outcome::{Coverage, Finding, Findings, Inconclusive, PositiveControl, Verdict};
use crate::probe::{Call, Probe, Seen};
use crate::target::{Hooks, Target, TierPlace};

/// Requests under way at the same time.
const AT_ONCE: usize = 16;
/// Requests from one client address.
const FROM_ONE_ADDRESS: usize = 100;
/// What is driven live of an hour and of a day, and what is sent for it.
const LIVE: u32 = 50;
const SENT: u32 = 60;
/// A burst that takes longer says nothing about a minute.
const SLOWEST_BURST: Duration = Duration::from_secs(45);
/// After so long nothing of the past is counted in any window.
const REST: Duration = Duration::from_secs(90_000);

/// A window, with how far the clock is moved so that the shorter ones are empty.
struct Window {
    name: &'static str,
    limit: u32,
    moved: Duration,
}

/// Judges a tier by minute, hour and day.
pub(super) async fn judge(
    probe: &mut Probe,
    tier: &'static str,
    [minute, hour, day]: [u32; 3],
) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    let place = target.tiers.iter().find(|place| place.tier == tier).ok_or_else(|| {
        Inconclusive::because(format!(
            "no community of the tier `{tier}` is known whose clock may be moved: add [[tier]] to target.toml"
        ))
    })?;
    let mut driver = Driver { target: &target, place, sent: 0 };
    driver.advance(probe, REST).await?;
    let control = driver.control(probe).await?;
    let mut findings = probe.findings();
    let mut doubts = Vec::new();
    let told = driver.limits(probe).await?;
    let promised = [minute, hour, day].map(u64::from);
    if told != promised {
        findings.push(Finding::new(
            format!("the tier `{tier}` is configured with {} in a minute, an hour and a day", words(told)),
            format!("configure the tier `{tier}` with {}", words(promised)),
        ));
    }
    let windows = [
        Window { name: "minute", limit: minute, moved: Duration::ZERO },
        Window { name: "hour", limit: hour, moved: Duration::from_secs(62) },
        Window { name: "day", limit: day, moved: Duration::from_secs(3_700) },
    ];
    let mut driven = 0;
    for window in &windows {
        match driver.drive(probe, window, &mut findings).await {
            Ok(()) => driven += 1,
            Err(why) => doubts.push(format!("the {} was not driven: {}", window.name, why.reason())),
        }
    }
    Verdict::settle(probe.evidence(), findings, &doubts, || {
        let what = format!(
            "windows of the tier `{tier}` admit what they promise, and its configuration says the same"
        );
        Ok((Coverage::complete(driven, windows.len(), what)?, control))
    })
}

/// Judges the minute of the tier `standard`, which is `limit`, while `background` requests of the tier `dedicated` come among its
/// own.
pub(super) async fn judge_under_load(
    probe: &mut Probe,
    limit: u32,
    background: u32,
) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    let place = |tier: &str| {
        target.tiers.iter().find(|place| place.tier == tier).ok_or_else(|| {
            Inconclusive::because(format!(
                "no community of the tier `{tier}` is known: add [[tier]] to target.toml"
            ))
        })
    };
    let mut driven = Driver { target: &target, place: place("standard")?, sent: 0 };
    let mut others = Driver { target: &target, place: place("dedicated")?, sent: 0 };
    driven.advance(probe, REST).await?;
    others.advance(probe, REST).await?;
    let control = driven.control(probe).await?;
    driven.advance(probe, REST).await?;
    let own = limit + limit.div_ceil(5);
    let between = (background / own).max(1) as usize;
    let (mut calls, mut is_own) = (Vec::new(), Vec::new());
    let mut source = None;
    for number in 0..(own + background) as usize {
        if number.is_multiple_of(FROM_ONE_ADDRESS) {
            source = probe.fresh_source();
        }
        // Some load comes first, and goes on until the last of those that are counted.
        let mine =
            number % (between + 1) == between && is_own.iter().filter(|own| **own).count() < own as usize;
        calls.push(if mine { driven.call()? } else { others.call()? }.from(source));
        is_own.push(mine);
    }
    let sent = calls.len();
    let started = probe.clock().monotonic();
    let answers = probe.burst(calls, AT_ONCE).await?;
    let took = probe.clock().monotonic().saturating_sub(started);
    let (mine, theirs): (Vec<_>, Vec<_>) = answers.into_iter().zip(is_own).partition(|(_, own)| *own);
    let seen = |answers: Vec<(Seen, bool)>| answers.into_iter().map(|(seen, _)| seen).collect::<Vec<_>>();
    let (mine, theirs) = (seen(mine), seen(theirs));
    let rate = f64::from(u32::try_from(sent).unwrap_or(u32::MAX)) / took.as_secs_f64().max(0.001);
    let (admitted, refused) = count(&mine)?;
    let (theirs_admitted, theirs_refused) = count(&theirs)?;
    probe.observe(
        "the load",
        &format!(
            "{sent} requests in {} ms, {rate:.0} a second, {} of them background; {admitted} of {} counted ones admitted, \
             {refused} refused",
            took.as_millis(),
            theirs.len(),
            mine.len()
        ),
    );
    if took > SLOWEST_BURST {
        return Err(Inconclusive::because(format!(
            "{sent} requests took {} s, too long for a minute",
            took.as_secs()
        )));
    }
    let mut findings = probe.findings();
    if admitted > limit || u64::from(admitted) * 100 < u64::from(limit) * 98 {
        findings.push(Finding::new(
            format!("while another community asked {} times, {admitted} requests were admitted in a minute, {limit} are promised", theirs.len()),
            "count and compare the requests of each community in one atomic step",
        ));
    }
    if theirs_refused > 0 {
        findings.push(Finding::new(
            format!("{theirs_refused} requests of another community were refused, beneath its own limit"),
            "keep a counter for each community",
        ));
    }
    Verdict::settle(probe.evidence(), findings, &[], || {
        let what = format!("requests were counted rightly at {rate:.0} requests a second");
        let all = mine.len() + theirs_admitted as usize;
        Ok((Coverage::complete(all, all, what)?, control))
    })
}

fn words([minute, hour, day]: [u64; 3]) -> String {
    format!("{minute}, {hour} and {day}")
}

struct Driver<'t> {
    target: &'t Target,
    place: &'t TierPlace,
    sent: usize,
}

impl Driver<'_> {
    fn there(&self, call: Call) -> Call {
        self.place.at.iter().fold(call, |call, at| call.at(at))
    }

    /// The next request, by each of those who may ask in turn.
    fn call(&mut self) -> Result<Call, Inconclusive> {
        let askers = &self.place.askers;
        let asker = askers.get(self.sent.checked_rem(askers.len()).unwrap_or(0));
        let asker = asker.ok_or_else(|| Inconclusive::because("nobody may ask: add `as` to [[tier]]"))?;
        self.sent = self.sent.wrapping_add(1);
        Ok(self.there(Call::by(self.target, &self.place.route, asker)?))
    }

    /// That a member is answered there, and a stranger is not.
    async fn control(&mut self, probe: &mut Probe) -> Result<PositiveControl, Inconclusive> {
        let member = self.call()?.from(probe.fresh_source());
        let member = probe.send_once(member).await?;
        let control = PositiveControl::from_success(
            &member,
            "a member is answered beneath the limits, a stranger is not",
        )?;
        let community = self.place.askers.first().map_or("", |asker| asker.community.as_str());
        let stranger =
            self.there(Call::to(self.target, &self.place.route, community)?).from(probe.fresh_source());
        let stranger = probe.send_once(stranger).await?;
        if !deployment::is_turned_away(&stranger) || stranger.body == member.body {
            return Err(Inconclusive::because(format!(
                "a stranger is answered {} like a member",
                stranger.says()
            )));
        }
        Ok(control)
    }

    /// One burst against one window.
    async fn drive(
        &mut self,
        probe: &mut Probe,
        window: &Window,
        findings: &mut Findings,
    ) -> Result<(), Inconclusive> {
        self.advance(probe, REST).await?;
        let live = if window.moved.is_zero() { window.limit } else { LIVE };
        let sent = if window.moved.is_zero() { window.limit + window.limit.div_ceil(5) } else { SENT };
        if !window.moved.is_zero() {
            self.preload(probe, window.limit - live).await?;
            self.advance(probe, window.moved).await?;
        }
        let mut calls = Vec::new();
        let mut source = None;
        for number in 0..sent as usize {
            if number.is_multiple_of(FROM_ONE_ADDRESS) {
                source = probe.fresh_source();
            }
            calls.push(self.call()?.from(source));
        }
        let started = probe.clock().monotonic();
        let answers = probe.burst(calls, AT_ONCE).await?;
        let took = probe.clock().monotonic().saturating_sub(started);
        let offered = f64::from(sent) / took.as_secs_f64().max(0.001) * 60.0;
        let (admitted, refused) = count(&answers)?;
        probe.observe(
            &format!("the {} of the tier `{}`", window.name, self.place.tier),
            &format!(
                "{} counted beforehand; {sent} sent in {} ms, which is {offered:.0} a minute; {admitted} admitted, {refused} refused",
                window.limit - live,
                took.as_millis()
            ),
        );
        if took > SLOWEST_BURST || offered <= f64::from(live) {
            return Err(Inconclusive::because(format!(
                "{sent} requests took {} s, too long to reach it",
                took.as_secs()
            )));
        }
        let (tier, name, limit) = (&self.place.tier, window.name, window.limit);
        if admitted > live {
            findings.push(Finding::new(
                format!(
                    "the tier `{tier}` admitted at least {} in {}, {limit} are promised",
                    limit - live + admitted,
                    a(name)
                ),
                format!(
                    "count requests of a community in each rolling {name} and refuse what comes after {limit}"
                ),
            ));
        } else if u64::from(admitted) * 100 < u64::from(live) * 98 {
            findings.push(Finding::new(
                format!(
                    "the tier `{tier}` admitted only {} in {}, {limit} are promised",
                    limit - live + admitted,
                    a(name)
                ),
                format!("let a community of the tier `{tier}` have all of its {limit} in {}", a(name)),
            ));
        }
        Ok(())
    }

    async fn limits(&self, probe: &mut Probe) -> Result<[u64; 3], Inconclusive> {
        match &self.place.hooks {
            Hooks::Here(here) => {
                let limits = here.limits();
                probe.observe("the configured limits", &words(limits));
                Ok(limits)
            }
            Hooks::At(_) => {
                let told = self.hook(probe, Method::GET, "/limits", None).await?;
                let told = told.json().unwrap_or_default();
                let number = |name: &str| told.get(name).and_then(Value::as_u64);
                match (number("minute"), number("hour"), number("day")) {
                    (Some(minute), Some(hour), Some(day)) => Ok([minute, hour, day]),
                    _ => Err(Inconclusive::because(
                        "`/limits` of `hooks` does not tell `minute`, `hour` and `day`",
                    )),
                }
            }
        }
    }

    async fn advance(&self, probe: &mut Probe, by: Duration) -> Result<(), Inconclusive> {
        match &self.place.hooks {
            Hooks::Here(here) => here.advance(by),
            Hooks::At(_) => {
                _ = self
                    .hook(probe, Method::POST, "/advance", Some(json!({ "seconds": by.as_secs() })))
                    .await?;
            }
        }
        Ok(())
    }

    async fn preload(&self, probe: &mut Probe, amount: u32) -> Result<(), Inconclusive> {
        match &self.place.hooks {
            Hooks::Here(here) => here.preload(amount),
            Hooks::At(_) => {
                _ = self.hook(probe, Method::POST, "/preload", Some(json!({ "amount": amount }))).await?;
            }
        }
        Ok(())
    }

    async fn hook(
        &self,
        probe: &mut Probe,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Seen, Inconclusive> {
        let Hooks::At(base) = &self.place.hooks else {
            return Err(Inconclusive::because("the hooks are in this process"));
        };
        let mut call = Call::new(method, path).at(base);
        call.body = body;
        let seen = probe.send_once(call).await?;
        if seen.status.is_success() && seen.json().is_some_and(|told| told.is_object()) {
            Ok(seen)
        } else {
            let why = format!("`{path}` of `hooks` answered {}", seen.says());
            Err(Inconclusive::because(why))
        }
    }
}

const fn a(window: &str) -> &'static str {
    match window.as_bytes() {
        b"minute" => "a minute",
        b"hour" => "an hour",
        _ => "a day",
    }
}

/// How many were admitted, and how many refused. Anything else shows nothing about a limit.
fn count(answers: &[Seen]) -> Result<(u32, u32), Inconclusive> {
    let (mut admitted, mut refused) = (0, 0);
    for seen in answers {
        if seen.status == StatusCode::TOO_MANY_REQUESTS && seen.kind() != Kind::Firewall {
            refused += 1;
        } else if seen.status.is_success() {
            admitted += 1;
        } else {
            let line = seen.request_line();
            return Err(Inconclusive::because(format!(
                "{line} answered {}, a success or 429 was wanted",
                seen.says()
            )));
        }
    }
    Ok((admitted, refused))
}
