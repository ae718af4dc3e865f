//! TEN-07.

use std::collections::BTreeMap;

use crate::check::{cases, check};
use crate::checks::canary::{self, Answer, Crew, Errand, Leaks, Mark, Way};
use crate::checks::deployment;
use crate::outcome::{Coverage, Finding, Inconclusive, PositiveControl, Verdict};
use crate::probe::Probe;
use crate::target::{Canary, Identity, Target};

check! {
    /// ## What it checks
    /// Random texts (canaries) stand in spaces that are closed to some members of their community: by plan, or to all but
    /// staff. One member of each kind asks the chat for each of them (directly, in other words, with a story), searches for
    /// it, reads its document by id, and afterwards reads every other route that they may, such as their history. Who may
    /// not read the space must get nothing: no text, no id of the document, no title. Who may read it must get the text by
    /// the chat, by the search and by the id, in the same run.
    /// ## Why it matters
    /// A bot that answers from everything it has indexed sells each plan to everyone, and tells members what staff write.
    /// ## How to fix
    /// Give each chunk the space it stands in, and let the query that recalls content ask for the spaces that this
    /// request's role and plans open, looked up now. Do the same where a document is read by its id.
    /// ## Limits
    /// It asks for the spaces that the target file puts a canary into, and as one member of each combination of role, plans
    /// and spaces. What may be read is what the target file says of plans and spaces. Other communities are for TEN-01, and
    /// disguised answers beyond those TEN-01 lists are not recognised here either.
    id: "TEN-07", title: "Closed spaces stay closed to the bot",
    area: Tenancy, severity: Critical, since: "0.1.0",
    needs: [Identity, ClosedCanary], touches: Nothing,
    maps: ["API1:2023 Broken Object Level Authorization", "LLM02:2025 Sensitive Information Disclosure"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: [
        "chat-ignores-spaces",
        "search-ignores-spaces",
        "documents-ignore-spaces",
        "staff-space-open",
        "history-quotes-closed-spaces",
    ],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man", "echo", "spa-shell"],
}

/// A request, and the canaries of closed spaces that it is about.
#[derive(Debug, Clone)]
enum Look<'a> {
    /// By a member who may read the space.
    Inside(&'a Canary),
    /// By a member who may read none of the spaces.
    Outside(Vec<&'a Canary>),
}

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    deployment::tells_members_from_strangers(probe).await?;
    let mut doubts = Vec::new();
    let ways = canary::ways(probe, &target, &mut doubts);
    let closed: Vec<&Canary> = target.canaries.iter().filter(|canary| canary.is_closed()).collect();
    let mut errands = Vec::new();
    let mut guarded = 0;
    for canary in &closed {
        let kinds = kinds(&target, &canary.community);
        let opening = kinds.iter().filter(|kind| canary.opens_to(kind)).count();
        if opening == 0 || opening == kinds.len() {
            let who = if opening == 0 { "may" } else { "may not" };
            doubts.push(format!("no working identity {who} read {}: add one to target.toml", canary.place()));
            continue;
        }
        guarded += 1;
        for kind in kinds {
            errands.extend(requests(&target, canary, kind, &ways));
        }
    }
    let mut crew = Crew::of(&target);
    let mut answers = crew.ask(probe, errands).await?;
    let controls = controls(&answers, &mut doubts)?;
    // What the chat remembers of the questions above stands in other routes.
    answers.extend(crew.ask(probe, afterwards(&target, &closed)).await?);
    doubts.extend(answers.iter().filter_map(|answer| canary::shows_nothing_of_a_member(&answer.seen)));
    let findings = findings(&answers);
    let outside = answers.iter().filter(|answer| matches!(answer.tag, Look::Outside(_))).count();
    Verdict::settle(probe.evidence(), findings, &doubts, || {
        let what = format!(
            "closed spaces give nothing to members outside ({outside} requests) and their canary to those inside"
        );
        Ok((
            Coverage::complete(guarded, closed.len(), what)?,
            PositiveControl::all(
                controls,
                "whoever may read a space gets its canary by each route in the same run",
            )?,
        ))
    })
}

/// One working identity of each combination of role, plans and spaces.
fn kinds<'t>(target: &'t Target, community: &str) -> Vec<&'t Identity> {
    let mut kinds: Vec<&Identity> = Vec::new();
    for identity in canary::askers(target).into_iter().filter(|identity| identity.community == community) {
        if !kinds.iter().any(|kind| kind.is_peer(identity)) {
            kinds.push(identity);
        }
    }
    kinds
}

/// All that one kind of member asks about one space. Who may read it asks less: once is enough to be told.
fn requests<'t>(
    target: &'t Target,
    canary: &'t Canary,
    kind: &'t Identity,
    ways: &[Way],
) -> Vec<Errand<'t, Look<'t>>> {
    let opens = canary.opens_to(kind);
    let askers = target.peers(kind);
    let prompts = canary::few(canary);
    let wanted = if opens { 2 } else { prompts.len() };
    let tag = if opens { Look::Inside(canary) } else { Look::Outside(vec![canary]) };
    let mut errands: Vec<Errand<'t, Look<'t>>> = prompts
        .iter()
        .take(wanted)
        .map(|prompt| Errand {
            tag: tag.clone(),
            route: target.chat.asking(&prompt.text),
            values: None,
            askers: askers.clone(),
            call: None,
        })
        .collect();
    for way in ways {
        errands.extend(way.errands(target, canary, &askers, &tag));
    }
    errands
}

/// Every other route, by everyone who may not read all closed spaces: each may be told what they asked for before.
fn afterwards<'t>(target: &'t Target, closed: &[&'t Canary]) -> Vec<Errand<'t, Look<'t>>> {
    let mut errands = Vec::new();
    for identity in canary::askers(target) {
        let shut = closed.iter().copied();
        let shut: Vec<&Canary> = shut
            .filter(|canary| canary.community == identity.community && !canary.opens_to(identity))
            .collect();
        if shut.is_empty() {
            continue;
        }
        for route in canary::plain_routes(target, identity) {
            let tag = Look::Outside(shut.clone());
            errands.push(Errand { tag, route, values: None, askers: vec![identity], call: None });
        }
    }
    errands
}

/// That each space's canary came back to those inside, by each route that was asked.
fn controls(
    answers: &[Answer<'_, Look<'_>>],
    doubts: &mut Vec<String>,
) -> Result<Vec<PositiveControl>, Inconclusive> {
    let mut told: BTreeMap<(&str, String), Result<PositiveControl, Inconclusive>> = BTreeMap::new();
    for answer in answers {
        let (Look::Inside(canary), line) = (&answer.tag, &answer.line) else { continue };
        let shown = PositiveControl::from_success(&answer.seen, format!("{line} as `{}`", answer.who())).and_then(|control| {
            answer.tells_text(&Mark::of(canary)).map(|_| control).ok_or_else(|| {
                Inconclusive::because(format!(
                    "`{}` may read {} and is not given its canary by {line}: wait until it is indexed, or correct topic, \
                     text and document in target.toml",
                    answer.who(),
                    canary.place()
                ))
            })
        });
        let known = told.entry((line, canary.place())).or_insert_with(|| shown.clone());
        if known.is_err() {
            *known = shown;
        }
    }
    let mut controls = Vec::new();
    let mut why = None;
    for shown in told.into_values() {
        match shown {
            Ok(control) => controls.push(control),
            Err(reason) => {
                doubts.push(reason.reason().to_owned());
                why = Some(reason);
            }
        }
    }
    if controls.is_empty() {
        let unguarded = || {
            Inconclusive::because(
                doubts.first().cloned().unwrap_or_else(|| "no closed space can be asked for".to_owned()),
            )
        };
        return Err(why.unwrap_or_else(unguarded));
    }
    Ok(controls)
}

/// One finding for each route and space.
fn findings(answers: &[Answer<'_, Look<'_>>]) -> Vec<Finding> {
    let mut leaks = Leaks::none();
    for answer in answers {
        let Look::Outside(canaries) = &answer.tag else { continue };
        for canary in canaries {
            if let Some(what) = answer.tells_anything(&Mark::of(canary)) {
                let said = format!("`{}` {what} of a document", answer.who());
                leaks.add((&answer.line, canary.place()), answer.seen.number(), said);
            }
        }
    }
    leaks.into_findings(|(line, place), first| {
        let fix = format!(
            "let the query behind {line} ask only for spaces that the asker's role and plans open at that moment; {place} \
             is none of them"
        );
        (format!("{line} gave {first} in {place}, which they may not read"), fix)
    })
}
