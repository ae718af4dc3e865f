//! RL-09.

use std::collections::BTreeSet;

use http::StatusCode;
use serde_json::Value;

use crate::check::{cases, check};
use crate::checks::{canary, deployment};
use crate::outcome::{Coverage, Finding, Inconclusive, PositiveControl, Verdict};
use crate::probe::{Call, Probe, Seen};
use crate::target::{Cap, Capped, Identity, Target};

check! {
    /// ## What it checks
    /// Uses up each budget that is declared for it (`[[cap]]`: one of tokens and one of what they cost): one member asks, several questions
    /// at once, until no more is answered, and the tokens that the answers tell of are added up. They may pass the budget by 1 % at most. Then
    /// the member asks for a whole answer and for a stream again and must be refused with 402 or 429, while another
    /// member is answered.
    /// ## Why it matters
    /// A script, a loop between two bots or one member with a long evening spends in a night what was meant for a year.
    /// ## How to fix
    /// Reserve the most that an answer may cost before the model is asked, in one step with the comparison, and put what
    /// was used in its place afterwards, also when the client leaves. Count tokens as well as money: prices go out of date.
    /// ## Limits
    /// What was used is what the answers tell. Budgets are driven where they were declared, which may be a copy with smaller ones;
    /// that the numbers of the deployment itself are as somebody wants them is not judged. The bill of a model's provider is not read.
    id: "RL-09", title: "Model costs are capped",
    area: Limits, severity: High, since: "0.1.0",
    needs: [Identity, Caps], touches: Load,
    maps: ["API4:2023 Unrestricted Resource Consumption", "LLM10:2025 Unbounded Consumption"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: ["costs-are-not-counted", "tokens-are-not-counted", "budget-is-looked-at-and-then-used", "streams-are-free", "one-budget-for-all"],
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
const QUESTION: &str = "Tell me, in a few sentences, all that you know of boats.";

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    let mut findings = Vec::new();
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

async fn drive(
    probe: &mut Probe,
    target: &Target,
    cap: &Cap,
    findings: &mut Vec<Finding>,
) -> Result<PositiveControl, Inconclusive> {
    let ask = |who: Option<&Identity>, streamed: bool| -> Result<Call, Inconclusive> {
        let streaming = streamed.then(|| cap.chat.streaming(QUESTION)).flatten();
        let route = streaming.unwrap_or_else(|| cap.chat.asking(QUESTION));
        let call = Call::to(target, &route, &cap.spender.community)?;
        let call = cap.at.iter().fold(call, |call, at| call.at(at));
        Ok(who.iter().fold(call, |call, who| call.with(&who.credential, &who.name)))
    };
    let stranger = probe.send(ask(None, false)?).await?;
    if !deployment::is_turned_away(&stranger) {
        return Err(Inconclusive::because(format!(
            "where budgets are used up a stranger is answered {}",
            stranger.says()
        )));
    }
    let mut used = 0_u64;
    let mut answered = 0_usize;
    let mut refused: Vec<usize> = Vec::new();
    for _ in 0..BURSTS {
        let calls: Result<Vec<Call>, _> = (0..AT_ONCE).map(|_| ask(Some(&cap.spender), false)).collect();
        for seen in probe.burst(calls?, AT_ONCE).await? {
            if is_refused(&seen) {
                refused.push(seen.number());
                continue;
            }
            let (question, answer) = usage(cap, &seen)?;
            used = used.saturating_add(cap.used(question, answer));
            answered += 1;
        }
        if !refused.is_empty() || used > cap.limit.saturating_mul(2) {
            break;
        }
    }
    // What was under way had reserved its part: once it is settled, one more may fit.
    for _ in 0..if refused.is_empty() { 0 } else { SINGLE } {
        let seen = probe.send_once(ask(Some(&cap.spender), false)?).await?;
        if is_refused(&seen) {
            break;
        }
        let (question, answer) = usage(cap, &seen)?;
        used = used.saturating_add(cap.used(question, answer));
        answered += 1;
    }
    let (word, limit, line) = (cap.what.word(), cap.limit, cap.chat.route.line());
    probe.observe(
        &format!("the budget of {word}"),
        &format!("{used} of {limit} used by {answered} answers, {} refused", refused.len()),
    );
    if u128::from(used) * 100 > u128::from(limit) * 101 {
        findings.push(
            Finding::new(
                format!("{used} of a budget of {limit} {word} were used through {line} before it stopped, or it never did"),
                format!("reserve what an answer may cost before {line} asks the model, in one step with the comparison"),
            )
            .shown_by(refused.iter().copied()),
        );
        return other(probe, ask(Some(&cap.other), false)?).await;
    }
    if refused.is_empty() {
        return Err(Inconclusive::because(format!(
            "{answered} answers used {used} of a budget of {limit} {word}: declare a smaller one in [[cap]]"
        )));
    }
    if used * 100 < limit * LEAST_PERCENT {
        return Err(Inconclusive::because(format!(
            "the budget of {limit} {word} refuses after {used}: something else refuses, or an answer reserves too much of it"
        )));
    }
    for streamed in [false, true] {
        let seen = probe.send_once(ask(Some(&cap.spender), streamed)?).await?;
        let how = if streamed { "a stream" } else { "a whole answer" };
        if seen.status.is_success() {
            findings.push(
                Finding::new(
                    format!("{line} gives {how} to a member whose budget of {word} is used up"),
                    format!("count {how} of {line} against the same budget as every other answer"),
                )
                .shown_by([seen.number()]),
            );
        } else if !is_refused(&seen) {
            return Err(Inconclusive::because(format!(
                "{} answered {}, 402 or 429 was wanted",
                seen.request_line(),
                seen.says()
            )));
        }
    }
    let seen = probe.send_once(ask(Some(&cap.other), false)?).await?;
    if is_refused(&seen) {
        let fix = format!("keep a budget of {word} for each member, beside the one of the whole");
        let said = format!("once one member has used up {limit} {word}, {line} refuses another member too");
        findings.push(Finding::new(said, fix).shown_by([seen.number()]));
        return PositiveControl::all(Vec::new(), "");
    }
    PositiveControl::from_success(&seen, "another member is answered")
}

async fn other(probe: &mut Probe, call: Call) -> Result<PositiveControl, Inconclusive> {
    PositiveControl::from_success(&probe.send_once(call).await?, "another member is answered")
}

fn is_refused(seen: &Seen) -> bool {
    matches!(seen.status, StatusCode::PAYMENT_REQUIRED | StatusCode::TOO_MANY_REQUESTS)
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
