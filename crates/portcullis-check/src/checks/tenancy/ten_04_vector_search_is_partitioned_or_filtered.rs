//! TEN-04.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::counts::lengths;
use crate::check::{cases, check};
use crate::checks::canary::{self, Answer, Crew, Errand, Leaks, Mark, Way};
use crate::checks::deployment;
use crate::outcome::{Coverage, Finding, Inconclusive, PositiveControl, Verdict};
use crate::probe::{Call, Probe};
use crate::target::{Canary, Identity, Target};

check! {
    /// ## What it checks
    /// Members of another community ask every search for what lies nearest to a random text (canary) that is not theirs: the
    /// text itself, its topic with it, its halves, and the text with letters changed, as an index of vectors would bring it
    /// up; each for 1, 5, 20, 50 and 1,000 results (`how_many` of `[tenancy]` names the parameter). Nothing of that text's
    /// document may come back at any number. Its own members must get it by the same question in the same run, and fewer
    /// results of a broad question when they want one than when they want 50.
    /// ## Why it matters
    /// An index answers with whatever lies nearest. One that ranks first and leaves out what is not allowed afterwards
    /// shows it as soon as somebody asks for more, for less, or for the very thing.
    /// ## How to fix
    /// Give each community an index of its own, or put the community into the query that ranks, never into a filter
    /// behind it; let the role that asks be refused by the index for every other community.
    /// ## Limits
    /// It looks from outside, whatever kind of index stands there. What the index's own access rules say is for the
    /// checks of that product. That nothing comes at any number is shown for the numbers above.
    id: "TEN-04", title: "Vector search is partitioned or filtered",
    area: Tenancy, severity: Critical, since: "0.1.0",
    needs: [TwoCommunities, Canaries], touches: Nothing,
    maps: ["LLM08:2025 Vector and Embedding Weaknesses", "API1:2023 Broken Object Level Authorization"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: [
        "search-fills-up-with-neighbours",
        "search-gives-everything-to-who-wants-much",
        "search-names-the-nearest-of-all",
        "search-falls-back-to-all",
    ],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man", "echo", "spa-shell"],
}

/// Between these a search that is told how many results it is to give must differ.
const FEW: u32 = 1;
const MANY: u32 = 50;
/// How many results are asked for.
const NUMBERS: &[u32] = &[1, 5, 20, 50, 1_000];
/// At so many of them a search must answer: one that refuses every other number was not looked at.
const FEWEST_NUMBERS: usize = 3;

#[derive(Debug, Clone, Copy)]
struct Look<'t> {
    canary: &'t Canary,
    number: u32,
    who: Who,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Owner,
    Outsider,
}

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    deployment::tells_members_from_strangers(probe).await?;
    let name = target.tenancy.how_many.clone().ok_or_else(|| {
        Inconclusive::because(
            "how a search is told how many results it is to give is not known: add `how_many` to [tenancy] of target.toml",
        )
    })?;
    let mut doubts = Vec::new();
    let mut ways = canary::ways(probe, &target, &mut doubts);
    ways.retain(|way| way.searches);
    let mut errands = Vec::new();
    let mut guarded = 0;
    for canary in &target.canaries {
        let owners = canary::owners(&target, canary);
        let outsiders = canary::outsiders(&target, canary);
        if owners.is_empty() || outsiders.is_empty() {
            doubts.push(format!("nobody may read {}, or nobody is of another community", canary.place()));
            continue;
        }
        guarded += 1;
        for way in &ways {
            for number in NUMBERS {
                let look = |who| Look { canary, number: *number, who };
                errands.push(errand(&target, way, &name, look(Who::Owner), &canary.text, &owners)?);
                for others in &outsiders {
                    for text in nearest(canary) {
                        errands.push(errand(&target, way, &name, look(Who::Outsider), &text, others)?);
                    }
                }
            }
        }
    }
    let mut crew = Crew::of(&target);
    for way in &ways {
        if !is_told_how_many(probe, &target, &mut crew, way, &name).await? {
            doubts.push(format!(
                "{} gives as many results to who wants {FEW} as to who wants {MANY}: correct `how_many` of [tenancy] in \
                 target.toml, or put more into a space that somebody may read",
                way.route.line()
            ));
        }
    }
    let answers = crew.ask(probe, errands).await?;
    let controls = controls(&answers, &mut doubts);
    let findings = findings(&answers);
    let asked = answers.iter().filter(|answer| answer.tag.who == Who::Outsider).count();
    doubts.extend(answers.iter().filter_map(|answer| canary::shows_nothing_of_a_member(&answer.seen)));
    Verdict::settle(probe.evidence(), findings, &doubts, || {
        let what =
            format!("texts were not brought up by {asked} questions of others that lie nearest to them");
        let control =
            PositiveControl::all(controls, "each text comes to its own members by the same question")?;
        Ok((Coverage::complete(guarded, target.canaries.len(), what)?, control))
    })
}

/// Whether a search gives fewer results to somebody who wants one than to the same who wants many.
async fn is_told_how_many<'t>(
    probe: &mut Probe,
    target: &'t Target,
    crew: &mut Crew<'t>,
    way: &Way,
    name: &str,
) -> Result<bool, Inconclusive> {
    for canary in &target.canaries {
        let owners = canary::owners(target, canary);
        // One person asks both times: others may read other spaces.
        let Some(asker) = owners.iter().min_by_key(|owner| probe.sent_lately(owner)).copied() else {
            continue;
        };
        for text in broad(target, asker) {
            let look = |number| Look { canary, number, who: Who::Owner };
            let errands = [FEW, MANY].map(|number| errand(target, way, name, look(number), &text, &[asker]));
            let errands = errands.into_iter().collect::<Result<Vec<_>, _>>()?;
            let answers = crew.ask(probe, errands).await?;
            let [few, many] = answers.as_slice() else { continue };
            let (few, many) = (lengths(&few.seen), lengths(&many.seen));
            if many.iter().any(|(place, many)| few.get(place).is_some_and(|few| few < many)) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Questions that more than one document should answer, for somebody who may read them: all topics at once, which a search
/// that ranks takes, and single words, for one that wants all of them in one document.
fn broad(target: &Target, asker: &Identity) -> Vec<String> {
    let readable = target.canaries.iter().filter(|canary| canary.opens_to(asker));
    let topics: Vec<&str> = readable.map(|canary| canary.topic.as_str()).collect();
    let question = &target.tenancy.question;
    let mut broad = vec![format!("{question} {}", topics.join(" ")), question.clone()];
    let words = question.split(|c: char| !c.is_alphanumeric());
    broad.extend(words.filter(|word| word.chars().count() >= 4).map(str::to_owned));
    broad
}

/// Questions that lie near a canary in letters, in words or in meaning.
fn nearest(canary: &Canary) -> Vec<String> {
    let text = &canary.text;
    let letters: Vec<char> = text.chars().collect();
    let half: String = letters.iter().take(letters.len() / 2).collect();
    let rest: String = letters.iter().skip(letters.len() / 2).collect();
    let changed: String =
        letters.iter().enumerate().map(|(at, letter)| if at % 5 == 2 { 'e' } else { *letter }).collect();
    vec![text.clone(), format!("{} {text}", canary.topic), half, rest, changed, canary.topic.clone()]
}

fn errand<'t>(
    target: &'t Target,
    way: &Way,
    name: &str,
    look: Look<'t>,
    text: &str,
    askers: &[&'t Identity],
) -> Result<Errand<'t, Look<'t>>, Inconclusive> {
    let community = askers.first().map_or("", |asker| asker.community.as_str());
    let mut values: BTreeMap<String, String> = target.values(community);
    values.insert("query".to_owned(), text.to_owned());
    let mut call = Call::filled(&way.route, &values)?;
    match &mut call.body {
        Some(Value::Object(map)) => _ = map.insert(name.to_owned(), look.number.into()),
        _ => call = call.query(name, &look.number.to_string()),
    }
    Ok(Errand {
        tag: look,
        route: way.route.clone(),
        values: Some(values),
        askers: askers.to_vec(),
        call: Some(call),
    })
}

/// That owners get each text, and that a search takes several numbers.
fn controls(answers: &[Answer<'_, Look<'_>>], doubts: &mut Vec<String>) -> Vec<PositiveControl> {
    let mut told: BTreeMap<(String, String), (BTreeSet<u32>, Option<PositiveControl>)> = BTreeMap::new();
    for answer in answers.iter().filter(|answer| answer.tag.who == Who::Owner) {
        let Look { canary, number, .. } = answer.tag;
        let (numbers, control) = told.entry((answer.line.clone(), canary.place())).or_default();
        // What they asked for may be repeated, so it is the document that tells.
        let gives = answer.tells_anything(&Mark::of(canary)).is_some();
        if answer.seen.status.is_success() {
            numbers.insert(number);
            if gives && control.is_none() {
                let shown = format!("{} gives it to its own members", answer.line);
                *control = PositiveControl::from_success(&answer.seen, shown).ok();
            }
        }
    }
    let mut controls = Vec::new();
    for ((line, place), (numbers, control)) in told {
        if numbers.len() < FEWEST_NUMBERS {
            doubts.push(format!("{line} answered {} of {} numbers of results", numbers.len(), NUMBERS.len()));
        }
        match control {
            Some(control) => controls.push(control),
            None => doubts.push(format!(
                "{line} does not give the document in {place} to its own members who ask for the text in it: name its \
                 `document` and `title` in its [[canary]], and wait until it is indexed"
            )),
        }
    }
    controls
}

fn findings(answers: &[Answer<'_, Look<'_>>]) -> Vec<Finding> {
    let mut leaks = Leaks::none();
    for answer in answers.iter().filter(|answer| answer.tag.who == Who::Outsider) {
        let Look { canary, number, .. } = answer.tag;
        if let Some(what) = answer.tells_anything(&Mark::of(canary)) {
            let said = format!("`{}`, who wanted {number} results, {what} of a document", answer.who());
            leaks.add((answer.line.clone(), canary.place()), answer.seen.number(), said);
        }
    }
    leaks.into_findings(|(line, place), first| {
        let fix = format!(
            "put the asker's community into the query that ranks behind {line}, not into a filter after it"
        );
        (format!("{line} gave {first} in {place}, a community that is not theirs"), fix)
    })
}

#[cfg(test)]
mod tests {
    use super::nearest;
    use crate::target::Canary;

    #[test]
    fn neighbours_differ_and_hold_the_text_itself() {
        let canary = Canary::new("harbour", "deck", "the Tarnwick ledger", "qzvkxwpjmfhdbtlr");
        let near = nearest(&canary);
        assert!(near.contains(&canary.text) && near.len() == 6, "{near:?}");
        assert!(near.iter().any(|text| text.len() == canary.text.len() && *text != canary.text));
    }
}
