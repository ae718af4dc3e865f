//! AUTH-04.

use std::collections::BTreeSet;

use super::reaching::{Reach, carried, neighbours};
use crate::check::{cases, check};
use crate::checks::belongings::{self, Cast, Thing, random_text};
use crate::checks::canary::{self, Crew, Errand, Leaks};
use crate::checks::deployment;
use crate::outcome::{Coverage, Finding, Findings, Inconclusive, PositiveControl, Verdict};
use crate::probe::{Probe, Seen};
use crate::target::{Identity, Owned, Route, Target};

check! {
    /// ## What it checks
    /// As one member it makes a conversation, a memory, a file (whatever the target lists as owned) with a random text in
    /// it. Then other members of the same community, nobody, and members of another community ask for it: by its id in the
    /// path; with its id in a query parameter, a header or the body of a request for a thing of their own; by lists and
    /// batches; with the owner's name in the request; and by the ids next to it. They also change it and remove it, and ask
    /// for it once more. The text may stand in no byte of any answer, nor its id in one to who did not name it, and the owner
    /// must read the thing before and after every attempt, unchanged. Lists and batches must tell the owner of it, and at
    /// last the owner changes and removes it, which shows that all of this can be done.
    /// ## Why it matters
    /// What somebody asks a bot is private. An id that is enough to read it is published by every log and every link.
    /// ## How to fix
    /// Put the owner into the query that finds the object, taken from the session: `WHERE id = ? AND owner = ?`, for reading,
    /// changing, removing and listing alike. Answer 404 where nothing is found, and take ids from one place only.
    /// ## Limits
    /// It knows the requests of [[owned]]; other routes that take an id are asked only by the checks that know them. Whether
    /// an administrator may read it is for the operator to say. GraphQL is tried only where a [[owned]] request is one.
    /// A text that comes back encrypted or translated is not recognised.
    id: "AUTH-04", title: "Conversations open only to their owner",
    area: Auth, severity: Critical, since: "0.1.0",
    needs: [TwoCommunities, Owned], touches: Writes,
    maps: ["API1:2023 Broken Object Level Authorization", "API3:2023 Broken Object Property Level Authorization"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: [
        "conversation-batch-unscoped",
        "conversation-id-from-query",
        "conversation-list-names-ids-of-all",
        "conversation-list-of-all",
        "conversations-deletable-by-anyone",
        "conversations-open-to-community",
        "conversations-writable-by-anyone",
        "refusal-quotes-conversation",
        "writing-opens-conversations",
    ],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man", "echo", "spa-shell", "login-page-200"],
}

/// How many of each kind of stranger make things of their own and try.
const STRANGERS: usize = 3;

/// Who must not get at it, in the order of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stranger {
    Nobody,
    Near,
    Far,
}

impl Stranger {
    const ALL: [Self; 3] = [Self::Nobody, Self::Near, Self::Far];

    const fn words(self) -> &'static str {
        match self {
            Self::Nobody => "nobody in particular",
            Self::Near => "another member of the same community",
            Self::Far => "a member of another community",
        }
    }
}

/// One attempt to read.
#[derive(Debug, Clone)]
struct Try {
    by: Stranger,
    reach: Reach,
    how: String,
}

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    deployment::tells_members_from_strangers(probe).await?;
    let cast = Cast::of(&target, |identity| probe.sent_lately(identity))?;
    let mut state = State { findings: probe.findings(), ..State::default() };
    belongings::kinds(probe, &target, &mut state.doubts);
    for owned in &target.owned {
        if let Err(why) = judge_kind(probe, &target, &cast, owned, &mut state).await {
            state.doubts.push(why.reason().to_owned());
            if why.reason().contains("got no answer") {
                break;
            }
        }
    }
    let State { findings, doubts, controls, judged, tried } = state;
    Verdict::settle(probe.evidence(), findings, &doubts, || {
        let what = format!("kinds of things of one member open to nobody else ({tried} attempts)");
        let coverage = Coverage::complete(judged, target.owned.len(), what)?;
        Ok((
            coverage,
            PositiveControl::all(
                controls,
                "the owner reads each before and after, and changes and removes it",
            )?,
        ))
    })
}

#[derive(Default)]
struct State {
    findings: Findings,
    doubts: Vec<String>,
    controls: Vec<PositiveControl>,
    judged: usize,
    tried: usize,
}

async fn judge_kind(
    probe: &mut Probe,
    target: &Target,
    cast: &Cast<'_>,
    owned: &Owned,
    state: &mut State,
) -> Result<(), Inconclusive> {
    let thing = belongings::make(probe, target, owned, cast.owner).await?;
    let (_, control) = thing.read(probe, target).await?;
    state.controls.push(control);
    gathered_by_its_owner(probe, target, &thing, state).await?;
    // Each stranger has something of their own, which shows that their credential works and gives ids to mix.
    let mut strangers = Vec::new();
    for (by, people) in [(Stranger::Near, &cast.near), (Stranger::Far, &cast.far)] {
        for asker in people.iter().copied().take(STRANGERS) {
            strangers.push((by, belongings::make(probe, target, owned, asker).await?));
        }
    }
    read_by_strangers(probe, target, &thing, &strangers, state).await?;
    let there = changed_by_strangers(probe, target, &thing, &strangers, state).await?;
    if there {
        by_its_owner(probe, target, thing, state).await?;
    }
    for (_, own) in strangers {
        own.remove(probe, target).await?;
    }
    state.judged += 1;
    Ok(())
}

/// That lists and batches tell the owner of it: others may be told nothing only because the request is a wrong one.
async fn gathered_by_its_owner(
    probe: &mut Probe,
    target: &Target,
    thing: &Thing<'_>,
    state: &mut State,
) -> Result<(), Inconclusive> {
    let owned = thing.owned;
    for (word, route) in [("list", &owned.list), ("batch", &owned.batch)] {
        let Some(route) = route else { continue };
        let seen = thing.ask(probe, target, route, "").await?;
        if !seen.status.is_success() || !(seen.body.contains(&thing.mark.text) || thing.is_named_in(&seen)) {
            state.doubts.push(format!(
                "{} gives its owner neither its text nor its id and was answered {}: correct `{word}` of the [[owned]] {}",
                route.line(),
                seen.says(),
                owned.kind.word()
            ));
        }
    }
    Ok(())
}

async fn read_by_strangers(
    probe: &mut Probe,
    target: &Target,
    thing: &Thing<'_>,
    strangers: &[(Stranger, Thing<'_>)],
    state: &mut State,
) -> Result<(), Inconclusive> {
    let mut errands = Vec::new();
    for by in Stranger::ALL {
        let mine = strangers.iter().filter(|(kind, _)| *kind == by).map(|(_, own)| own).collect::<Vec<_>>();
        let none: Option<&Thing<'_>> = None;
        let mut turn = mine.iter().copied().map(Some).chain(mine.is_empty().then_some(none)).cycle();
        let community =
            mine.first().map_or(thing.owner.community.as_str(), |own| own.owner.community.as_str());
        for way in carried(target, thing, community)? {
            let own = turn.next().flatten();
            let call = way.call(target, thing, community, own.map_or("", |own| own.id.as_str()))?;
            errands.push(Errand {
                tag: Try { by, reach: way.reach, how: way.how },
                route: thing.owned.read.clone(),
                values: None,
                askers: own.map(|own| own.owner).into_iter().collect(),
                call: Some(call),
            });
        }
    }
    let answers = Crew::of(target).ask(probe, errands).await?;
    state.tried += answers.len();
    let mark = thing.mark();
    let mut leaks = Leaks::none();
    for answer in &answers {
        let Try { by, reach, how } = &answer.tag;
        if let Some(disguise) = answer.tells_text(&mark) {
            let disguise = if disguise.is_empty() { String::new() } else { format!(" {disguise}") };
            let said = format!("{} {how} gave its text{disguise}", answer.seen.request_line());
            leaks.add(*by, answer.seen.number(), said);
            continue;
        }
        // An id that the request holds may come back in any answer, and a number stands in many by chance.
        let is_number = thing.id.chars().all(|c| c.is_ascii_digit());
        let named = !is_number && answer.tells_anything(&mark).is_some() || thing.is_named_in(&answer.seen);
        if named && !answer.asked_for(&thing.id) {
            let said = format!("{} {how} gave its id", answer.seen.request_line());
            leaks.add(*by, answer.seen.number(), said);
            continue;
        }
        state.doubts.extend(match by {
            Stranger::Nobody => canary::shows_nothing(&answer.seen),
            _ => canary::shows_nothing_of_a_member(&answer.seen),
        });
        if *reach == Reach::Plain && answer.seen.status.is_success() {
            state.doubts.push(format!(
                "{} as `{}` was answered {} without the text, a refusal was wanted",
                answer.seen.request_line(),
                answer.who(),
                answer.seen.says()
            ));
        }
    }
    let near = near_ids(probe, target, thing, strangers, state).await?;
    state.findings.extend(near);
    state.findings.extend(leaks.into_findings(|by, first| {
        let fix = format!(
            "put the owner from the session into the query behind {} and its lists",
            thing.owned.read.line()
        );
        (format!("{} got at {}: {first}", by.words(), thing.words()), fix)
    }));
    Ok(())
}

/// The ids next to the thing's: whoever gets an answer must find the id among their own.
async fn near_ids(
    probe: &mut Probe,
    target: &Target,
    thing: &Thing<'_>,
    strangers: &[(Stranger, Thing<'_>)],
    state: &mut State,
) -> Result<Option<Finding>, Inconclusive> {
    let Some((_, own)) = strangers.iter().find(|(by, _)| *by == Stranger::Near) else { return Ok(None) };
    let asker: &Identity = own.owner;
    let made: BTreeSet<&str> =
        strangers.iter().map(|(_, own)| own.id.as_str()).chain([thing.id.as_str()]).collect();
    for id in neighbours(&thing.id).iter().filter(|id| !made.contains(id.as_str())) {
        let call = belongings::request(target, &thing.owned.read, &asker.community, id, "", &own.id)?;
        let seen = probe.send(call.with(&asker.credential, &asker.name)).await?;
        state.tried += 1;
        if !seen.status.is_success() || seen.must_be_the_application().is_err() {
            continue;
        }
        let Some(list) = &thing.owned.list else { continue };
        let listed = own.ask(probe, target, list, "").await?;
        if !listed.body.contains(id.as_str()) {
            return Ok(Some(
                Finding::new(
                    format!(
                        "`{}` asked for the id next to that of {} and was answered {}, though it is none of theirs",
                        asker.name,
                        thing.words(),
                        seen.says()
                    ),
                    format!("put the owner from the session into the query behind {}", thing.owned.read.line()),
                )
                .shown_by([seen.number(), listed.number()]),
            ));
        }
    }
    Ok(None)
}

/// Every kind of stranger changes and removes it; whether it is still there comes back.
async fn changed_by_strangers(
    probe: &mut Probe,
    target: &Target,
    thing: &Thing<'_>,
    strangers: &[(Stranger, Thing<'_>)],
    state: &mut State,
) -> Result<bool, Inconclusive> {
    let owned = thing.owned;
    for (word, route) in [("update", &owned.update), ("delete", &owned.delete), ("list", &owned.list)] {
        if route.is_none() && !owned.lacks.iter().any(|lacks| lacks == word) {
            state.doubts.push(format!(
                "`{word}` of a {} is not known: add it to its [[owned]] in target.toml, or to its `lacks`",
                owned.kind.word()
            ));
        }
    }
    for by in Stranger::ALL {
        let own = strangers.iter().find(|(kind, _)| *kind == by).map(|(_, own)| own);
        for (verb, route) in [("changed", &owned.update), ("removed", &owned.delete)] {
            let Some(route) = route else { continue };
            let text = random_text();
            let number = attempt(probe, target, thing, own, route, &text, state).await?;
            let seen = thing.ask(probe, target, &owned.read, "").await?;
            let still = seen.body.contains(&thing.mark.text) && !seen.body.contains(&text);
            if seen.status.is_success() && still {
                if let Some(finding) = opened_by(probe, target, thing, by, own, route, state).await? {
                    state.findings.push(finding);
                    return Ok(false);
                }
                continue;
            }
            state.findings.push(
                Finding::new(
                    format!("{} {verb} {}: its owner is answered {}", by.words(), thing.words(), seen.says()),
                    format!("put the owner from the session into the query behind {}", route.line()),
                )
                .shown_by([number, seen.number()]),
            );
            return Ok(false);
        }
    }
    let (_, control) = thing.read(probe, target).await?;
    state.controls.push(control);
    Ok(true)
}

/// Reads as whoever just tried to change or remove it: that may have opened it to them.
async fn opened_by(
    probe: &mut Probe,
    target: &Target,
    thing: &Thing<'_>,
    by: Stranger,
    own: Option<&Thing<'_>>,
    route: &Route,
    state: &mut State,
) -> Result<Option<Finding>, Inconclusive> {
    let asker = own.map(|own| own.owner);
    let community = asker.map_or(thing.owner.community.as_str(), |asker| asker.community.as_str());
    let call = belongings::request(target, &thing.owned.read, community, &thing.id, "", "")?;
    let credential = asker.map(|asker| (&asker.credential, asker.name.as_str()));
    let seen = probe.send(belongings::sent_by(call, credential)).await?;
    state.tried += 1;
    if seen.body.contains(&thing.mark.text) {
        let found = format!("{} reads {} after {}", by.words(), thing.words(), route.line());
        let fix = format!("put the owner from the session into the query behind {}", route.line());
        return Ok(Some(Finding::new(found, fix).shown_by([seen.number()])));
    }
    if seen.status.is_success() {
        state.doubts.push(no_refusal(&seen));
    }
    Ok(None)
}

fn no_refusal(seen: &Seen) -> String {
    format!(
        "{} as `{}` was answered {}, a refusal was wanted",
        seen.request_line(),
        seen.credential(),
        seen.says()
    )
}

/// A change by somebody else: plainly, and by way of a thing of their own with the other id beside it.
async fn attempt(
    probe: &mut Probe,
    target: &Target,
    thing: &Thing<'_>,
    own: Option<&Thing<'_>>,
    route: &Route,
    text: &str,
    state: &mut State,
) -> Result<usize, Inconclusive> {
    let asker = own.map(|own| own.owner);
    let community = asker.map_or(thing.owner.community.as_str(), |asker| asker.community.as_str());
    let credential = asker.map(|asker| (&asker.credential, asker.name.as_str()));
    let call = belongings::request(target, route, community, &thing.id, text, "")?;
    let seen = probe.send(belongings::sent_by(call, credential)).await?;
    state.tried += 1;
    state.doubts.extend(canary::shows_nothing(&seen));
    if seen.status.is_success() {
        state.doubts.push(no_refusal(&seen));
    }
    // Removing one's own is for the owner's turn; changing it with another id in the body is not.
    if let Some(own) = own.filter(|_| Some(route.line()) == thing.owned.update.as_ref().map(Route::line)) {
        let call =
            belongings::request(target, route, community, &own.id, text, "")?.body_member("id", &thing.id);
        let call = belongings::sent_by(call.query("id", &thing.id), credential);
        let seen = probe.send(call).await?;
        state.tried += 1;
        state.doubts.extend(canary::shows_nothing(&seen));
    }
    Ok(seen.number())
}

/// What strangers could not do can be done: the owner changes it and removes it.
async fn by_its_owner(
    probe: &mut Probe,
    target: &Target,
    thing: Thing<'_>,
    state: &mut State,
) -> Result<(), Inconclusive> {
    let owned = thing.owned;
    if let Some(route) = &owned.update {
        let text = random_text();
        let changed = thing.ask(probe, target, route, &text).await?;
        let read = thing.ask(probe, target, &owned.read, "").await?;
        if !changed.status.is_success() || !read.body.contains(&text) {
            state.doubts.push(format!(
                "`{}` could not change {} by {}, so that others could not shows nothing: correct `update` of its [[owned]]",
                thing.owner.name,
                thing.words(),
                route.line()
            ));
        }
    }
    let Some(route) = &owned.delete else { return thing.remove(probe, target).await };
    let removed = thing.ask(probe, target, route, "").await?;
    let read = thing.ask(probe, target, &owned.read, "").await?;
    if !removed.status.is_success() || read.status.is_success() {
        state.doubts.push(format!(
            "`{}` could not remove {} by {}, so that others could not shows nothing: correct `delete` of its [[owned]]",
            thing.owner.name,
            thing.words(),
            route.line()
        ));
    }
    Ok(())
}
