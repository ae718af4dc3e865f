//! RL-09.

use std::collections::BTreeSet;

use http::StatusCode;
use serde_json::Value;

use crate::check::{cases, check};
use crate::checks::{canary, deployment};
use crate::classify::Kind;
use crate::outcome::{Coverage, Finding, Findings, Inconclusive, PositiveControl, Verdict};
use crate::probe::{Call, Probe, Seen};
use crate::target::{Cap, Capped, Identity, Target};

check! {
    /// ## What it checks
    /// Uses up each budget that is declared for it (`[[cap]]`: one of tokens and one of what they cost): one member asks, several questions
    /// at once, until no more is answered, and the tokens that the answers tell of are added up. They may pass the budget by 1 % at most. Then
    /// the member asks for a whole answer and for a stream again and must be refused, while another
    /// member is answered. 402 is a budget's refusal. 429 is one where it holds the budget's `marker`, or, where none is declared,
    /// where it is still there a minute later: else it is a limit of requests, after which the member goes on asking.
    /// ## Why it matters
    /// A script, a loop between two bots or one member with a long evening spends in a night what was meant for a year.
    /// ## How to fix
    /// Reserve the most that an answer may cost before the model is asked, in one step with the comparison, and put what
    /// was used in its place afterwards, also when the client leaves. Count tokens as well as money: prices go out of date.
    /// ## Limits
    /// What was used is what the answers tell. Without a `marker` a 429 of a limit of requests that is longer than a minute is
    /// not told from a budget's. Budgets are driven where they were declared, which may be a copy with smaller ones;
    /// that the numbers of the deployment itself are as somebody wants them is not judged. The bill of a model's provider is not read.
    id: "RL-09", title: "Model costs are capped",
    area: Limits, severity: High, since: "0.1.0",
    needs: [Identity, Caps], touches: Load,
    maps: ["API4:2023 Unrestricted Resource Consumption", "LLM10:2025 Unbounded Consumption"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: ["costs-are-not-counted", "costs-are-only-rate-limited", "tokens-are-not-counted", "budget-is-looked-at-and-then-used", "streams-are-free", "one-budget-for-all"],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man", "echo", "spa-shell"],
}

/// Questions under way at the same time.
const AT_ONCE: usize = 8;
/// Bursts at most: a budget that takes longer is too large to be used up by a check.
const BURSTS: usize = 60;
/// Questions one after the other, when those at once were refused.
const SINGLE: usize = 40;
/// The least part of a budget that is used when it refuses, in percent: one that refuses at once shows nothing.
const LEAST_PERCENT: u64 = 50;
/// How often something is asked again that a limit of requests refused.
const PATIENCE: usize = 3;
const QUESTION: &str = "Tell me, in a few sentences, all that you know of boats.";

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    let mut findings = probe.findings();
    let mut doubts = Vec::new();
    let mut controls = Vec::new();
    let kinds: BTreeSet<&str> = target.caps.iter().map(|cap| cap.what.word()).collect();
    for (word, kind) in Capped::ALL {
        if !kinds.contains(word) {
            match target.lacks(&format!("{word}-budget")) {
                Some(lacks) if kind == Capped::Cost => {
                    let said = format!("declared absent by {}: {}", lacks.approver, lacks.reason);
                    _ = probe.observe("a budget of costs", &said);
                }
                // Prices go out of date: tokens count in any case.
                _ => doubts.push(format!(
                    "no budget of {word} is declared: add [[cap]] with `what = \"{word}\"` to target.toml"
                )),
            }
        }
    }
    for cap in &target.caps {
        match drive(probe, &target, cap, &mut findings).await {
            Ok(control) => controls.push(control),
            Err(why) => doubts.push(why.reason().to_owned()),
        }
    }
    let driven = controls.len();
    Verdict::settle(probe.evidence(), findings, &doubts, || {
        let control =
            PositiveControl::all(controls, "another member was answered while one had used up theirs")?;
        Ok((
            Coverage::complete(driven, target.caps.len(), "budgets stop within 1 % of what they promise")?,
            control,
        ))
    })
}

/// Why somebody is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    OfTheBudget,
    /// A 429 that may be about how often somebody asks.
    OfRequests,
}

/// How a budget is used up.
struct Spending<'t> {
    target: &'t Target,
    cap: &'t Cap,
    used: u64,
    answered: usize,
    /// The answers in which the budget refused.
    refused: Vec<usize>,
    /// How many other answers were 429.
    limited: usize,
    /// Whether a 429 was still there when a limit of so many requests a minute would have been over.
    stays: bool,
}

impl Spending<'_> {
    fn call(&self, who: Option<&Identity>, streamed: bool) -> Result<Call, Inconclusive> {
        let cap = self.cap;
        let streaming = streamed.then(|| cap.chat.streaming(QUESTION)).flatten();
        let route = streaming.unwrap_or_else(|| cap.chat.asking(QUESTION));
        let call = Call::to(self.target, &route, &cap.spender.community)?;
        let call = cap.at.iter().fold(call, |call, at| call.at(at));
        Ok(who.iter().fold(call, |call, who| call.with(&who.credential, &who.name)))
    }

    /// Whether an answer refuses, and what for. A 402 says it; a 429 does by the budget's marker, or by staying.
    fn refusal(&self, seen: &Seen) -> Option<Refusal> {
        if seen.kind() == Kind::Firewall {
            return None;
        }
        let tells = || self.cap.marker.as_ref().map_or(self.stays, |marker| seen.body.contains(marker));
        match seen.status {
            StatusCode::PAYMENT_REQUIRED => Some(Refusal::OfTheBudget),
            StatusCode::TOO_MANY_REQUESTS if tells() => Some(Refusal::OfTheBudget),
            StatusCode::TOO_MANY_REQUESTS => Some(Refusal::OfRequests),
            _ => None,
        }
    }

    /// Adds up what an answer used, where it is one.
    fn count(&mut self, seen: &Seen) -> Result<Option<Refusal>, Inconclusive> {
        let refusal = self.refusal(seen);
        match refusal {
            Some(Refusal::OfTheBudget) => self.refused.push(seen.number()),
            Some(Refusal::OfRequests) => self.limited += 1,
            None => {
                let (question, answer) = usage(self.cap, seen)?;
                self.used = self.used.saturating_add(self.cap.used(question, answer));
                self.answered += 1;
            }
        }
        Ok(refusal)
    }

    /// Whether more was used than a budget may let through.
    fn is_passed(&self) -> bool {
        u128::from(self.used) * 100 > u128::from(self.cap.limit) * 101
    }

    fn goes_on(&self) -> bool {
        self.refused.is_empty() && !self.is_passed()
    }

    async fn use_up(&mut self, probe: &mut Probe) -> Result<(), Inconclusive> {
        for _ in 0..BURSTS {
            let calls = (0..AT_ONCE).map(|_| self.call(Some(&self.cap.spender), false));
            let calls: Vec<Call> = calls.collect::<Result<_, _>>()?;
            let mut limited = None;
            for seen in probe.burst(calls, AT_ONCE).await? {
                if self.count(&seen)? == Some(Refusal::OfRequests) {
                    limited = Some(seen);
                }
            }
            if let Some(seen) = limited.filter(|_| self.goes_on()) {
                self.wait_for_more(probe, &seen).await?;
            }
            if !self.goes_on() {
                break;
            }
        }
        // What was under way had reserved its part: once it is settled, one more may fit.
        for _ in 0..if self.refused.is_empty() { 0 } else { SINGLE } {
            let seen = self.past_limits(probe, self.call(Some(&self.cap.spender), false)?).await?;
            if self.count(&seen)?.is_some() {
                break;
            }
        }
        Ok(())
    }

    /// Waits until a limit of requests would be over. Where nothing else tells a budget's 429 from one of those, it is
    /// the budget's when it is still there.
    async fn wait_for_more(&mut self, probe: &mut Probe, refused: &Seen) -> Result<(), Inconclusive> {
        if self.cap.marker.is_some() {
            tokio::time::sleep(probe.patience_asked(refused)).await;
            return Ok(());
        }
        // Until nothing that is under way has reserved a part of the budget, one more may fit.
        for _ in 0..SINGLE {
            let seen = probe.send_once(self.call(Some(&self.cap.spender), false)?).await?;
            if self.count(&seen)?.is_some() || self.is_passed() {
                break;
            }
        }
        if !self.goes_on() {
            return Ok(());
        }
        let window = probe.budget().limit_window;
        if window > probe.budget().longest_wait {
            return Err(Inconclusive::because(format!(
                "{} answers 429, which may be a limit of requests: add to [[cap]] the `marker` by which a used-up budget \
                 is told from one",
                self.cap.chat.route.line()
            )));
        }
        tokio::time::sleep(window).await;
        let seen = probe.send_once(self.call(Some(&self.cap.spender), false)?).await?;
        self.stays = self.refusal(&seen) == Some(Refusal::OfRequests);
        self.count(&seen).map(|_| ())
    }

    /// The answer to a request, asked for again while a limit of requests refuses it.
    async fn past_limits(&self, probe: &mut Probe, call: Call) -> Result<Seen, Inconclusive> {
        for _ in 0..PATIENCE {
            let seen = probe.send_once(call.clone()).await?;
            if self.refusal(&seen) != Some(Refusal::OfRequests) {
                return Ok(seen);
            }
            tokio::time::sleep(probe.patience_asked(&seen)).await;
        }
        Err(Inconclusive::because(format!(
            "{} keeps answering 429 without telling that a budget is used up",
            call.line()
        )))
    }
}

async fn drive(
    probe: &mut Probe,
    target: &Target,
    cap: &Cap,
    findings: &mut Findings,
) -> Result<PositiveControl, Inconclusive> {
    let mut spending =
        Spending { target, cap, used: 0, answered: 0, refused: Vec::new(), limited: 0, stays: false };
    let stranger = probe.send(spending.call(None, false)?).await?;
    if !deployment::is_turned_away(&stranger) {
        return Err(Inconclusive::because(format!(
            "where budgets are used up a stranger is answered {}",
            stranger.says()
        )));
    }
    spending.use_up(probe).await?;
    let (word, limit, line) = (cap.what.word(), cap.limit, cap.chat.route.line());
    let (used, answered, limited) = (spending.used, spending.answered, spending.limited);
    probe.observe(
        &format!("the budget of {word}"),
        &format!(
            "{used} of {limit} used by {answered} answers, {} refused by it, {limited} by another 429",
            spending.refused.len()
        ),
    );
    if spending.is_passed() {
        findings.push(
            Finding::new(
                format!("{used} of a budget of {limit} {word} were used through {line} before it stopped, or it never did"),
                format!("reserve what an answer may cost before {line} asks the model, in one step with the comparison"),
            )
            .shown_by(spending.refused.iter().copied()),
        );
        let seen = spending.past_limits(probe, spending.call(Some(&cap.other), false)?).await?;
        return PositiveControl::from_success(&seen, "another member is answered");
    }
    if spending.refused.is_empty() {
        let between = if limited == 0 { "" } else { ", with limits of requests between them" };
        return Err(Inconclusive::because(format!(
            "{answered} answers used {used} of a budget of {limit} {word}{between}: declare a smaller one in [[cap]]"
        )));
    }
    if used * 100 < limit * LEAST_PERCENT {
        return Err(Inconclusive::because(format!(
            "the budget of {limit} {word} refuses after {used}: something else refuses, or an answer reserves too much of it"
        )));
    }
    for streamed in [false, true] {
        let seen = spending.past_limits(probe, spending.call(Some(&cap.spender), streamed)?).await?;
        let how = if streamed { "a stream" } else { "a whole answer" };
        if seen.status.is_success() {
            findings.push(
                Finding::new(
                    format!("{line} gives {how} to a member whose budget of {word} is used up"),
                    format!("count {how} of {line} against the same budget as every other answer"),
                )
                .shown_by([seen.number()]),
            );
        } else if spending.refusal(&seen).is_none() {
            return Err(Inconclusive::because(format!(
                "{} answered {}, 402 or 429 was wanted",
                seen.request_line(),
                seen.says()
            )));
        }
    }
    let seen = spending.past_limits(probe, spending.call(Some(&cap.other), false)?).await?;
    if spending.refusal(&seen).is_some() {
        let fix = format!("keep a budget of {word} for each member, beside the one of the whole");
        let said = format!("once one member has used up {limit} {word}, {line} refuses another member too");
        findings.push(Finding::new(said, fix).shown_by([seen.number()]));
        return PositiveControl::all(Vec::new(), "");
    }
    PositiveControl::from_success(&seen, "another member is answered")
}

/// The tokens that an answer tells of.
fn usage(cap: &Cap, seen: &Seen) -> Result<(u64, u64), Inconclusive> {
    if let Some(why) = canary::shows_nothing_of_a_member(seen) {
        return Err(Inconclusive::because(why));
    }
    let told = seen.json().filter(|_| seen.status.is_success());
    let number = |pointer: &str| told.as_ref()?.pointer(pointer).and_then(Value::as_u64);
    match (number(&cap.question_tokens), number(&cap.answer_tokens)) {
        (Some(question), Some(answer)) if question + answer > 0 => Ok((question, answer)),
        _ => Err(Inconclusive::because(format!(
            "{} does not tell at `{}` and `{}` how many tokens were used",
            seen.request_line(),
            cap.question_tokens,
            cap.answer_tokens
        ))),
    }
}
