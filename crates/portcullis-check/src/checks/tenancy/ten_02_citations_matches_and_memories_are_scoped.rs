//! TEN-02.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;

use super::counts::{counts, decoy};
use crate::check::{cases, check};
use crate::checks::canary::{self, Answer, Crew, Errand, Leaks, Mark, Way};
use crate::checks::deployment;
use crate::outcome::{Coverage, Finding, Inconclusive, PositiveControl, Verdict};
use crate::probe::Probe;
use crate::target::{Canary, Identity, Route, Target};

check! {
    /// ## What it checks
    /// Looks at every byte of an answer, headers included, not only at its text. Members of one community ask the chat for
    /// canaries of another one, whole and as a stream of events; they search for them, read their documents by id, read
    /// every other route that they may (memories, history and admin views too, where there are any), and send broken
    /// requests for the sake of the error texts. Neither a canary's text nor its document's id nor its title may stand
    /// anywhere. It also searches for the canary's exact text and, before and after, for random texts of the same form: no total, no length
    /// of a list and no number in a header may tell the two apart, times aside. The owner of each canary is told it by each route.
    /// ## Why it matters
    /// A title in a citation, an id in a stream's first event or a total that counts everyone's posts tells members of one
    /// community what another one talks about.
    /// ## How to fix
    /// Scope the query, not its result: totals, suggestions, citations and progress events are then made of scoped rows.
    /// Let an object of another community look like one that does not exist, with the same fixed text.
    /// ## Limits
    /// Scores of one's own hits are not compared, nor how long answers take. Numbers are compared on routes that search
    /// and only where a hit of one's own moves them. Routes that write are not asked. What stands in an image or behind a
    /// link is not followed.
    id: "TEN-02", title: "Citations, matches and memories are scoped",
    area: Tenancy, severity: Critical, since: "0.1.0",
    needs: [Canaries], touches: Nothing,
    maps: ["API1:2023 Broken Object Level Authorization", "API3:2023 Broken Object Property Level Authorization"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: [
        "sources-name-foreign-documents",
        "stream-names-foreign-titles",
        "header-names-foreign-documents",
        "counts-all-workspaces",
        "counts-all-workspaces-beside-a-clock",
        "error-names-foreign-title",
        "chat-falls-back-to-all",
        "spells-out-foreign-text",
        "search-falls-back-to-all",
        "documents-of-all-workspaces",
    ],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man", "echo", "spa-shell"],
}

/// A path that no deployment has; what stands below it is suggested by careless error pages.
const UNKNOWN_PATH: &str = "/portcullis-check/no-such-page";

/// What is asked for, by those who may have it and by others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Surface {
    Chat,
    Stream,
    Way,
    Other,
    Error,
}

#[derive(Debug, Clone, Copy)]
struct Look<'a> {
    surface: Surface,
    canary: Option<&'a Canary>,
}

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    deployment::tells_members_from_strangers(probe).await?;
    let mut doubts = Vec::new();
    let ways = canary::ways(probe, &target, &mut doubts);
    let surfaces = surfaces(probe, &target, &mut doubts);
    let mut crew = Crew::of(&target);

    // The owners go first: what they are told may stay in a cache that others are answered from.
    let mut errands = Vec::new();
    for canary in &target.canaries {
        let owners = canary::owners(&target, canary);
        if owners.is_empty() {
            doubts.push(format!("no working identity may read {}: add one to target.toml", canary.place()));
            continue;
        }
        errands.extend(requests(&target, canary, &owners, &surfaces, &ways));
    }
    let wanted = errands.len();
    let told = crew.ask(probe, errands).await?;
    let controls = controls(&told, &mut doubts)?;
    observe_what_owners_see(probe, &target, &told);

    let mut errands = Vec::new();
    for canary in &target.canaries {
        for outsiders in canary::outsiders(&target, canary) {
            errands.extend(requests(&target, canary, &outsiders, &surfaces, &ways));
        }
    }
    for identity in canary::askers(&target) {
        let first = canary::one_of_each_community(&target).iter().any(|first| first.name == identity.name);
        // Routes that one identity alone may use are asked as that one.
        let routes = canary::plain_routes(&target, identity)
            .into_iter()
            .filter(|route| first || route.identity.is_some());
        let look = |surface| Look { surface, canary: None };
        let routes: Vec<Route> = routes.collect();
        for route in routes {
            errands.push(Errand {
                tag: look(Surface::Other),
                route,
                values: None,
                askers: vec![identity],
                call: None,
            });
        }
        if first {
            let broken = broken(&target).into_iter();
            errands.extend(broken.map(|route| Errand {
                tag: look(Surface::Error),
                route,
                values: None,
                askers: target.peers(identity),
                call: None,
            }));
        }
    }
    let answers = crew.ask(probe, errands).await?;
    doubts.extend(answers.iter().filter_map(|answer| canary::shows_nothing_of_a_member(&answer.seen)));
    let mut findings = findings(&target, told.iter().chain(&answers));
    findings.extend(count_findings(probe, &target, &mut crew, &ways, &mut doubts).await?);
    let looked = answers.len();
    Verdict::settle(probe.evidence(), findings, &doubts, || {
        let what = format!(
            "requests tell owners their canary and others nothing of it ({looked} requests by others)"
        );
        let coverage = Coverage::complete(controls.len(), wanted, what)?;
        Ok((coverage, PositiveControl::all(controls, "owners are told by each route, streams included")?))
    })
}

/// The ways to ask the chat.
fn surfaces(probe: &mut Probe, target: &Target, doubts: &mut Vec<String>) -> Vec<Surface> {
    if deployment::is_streamed(probe, target, &target.chat, doubts) {
        vec![Surface::Chat, Surface::Stream]
    } else {
        vec![Surface::Chat]
    }
}

fn requests<'t>(
    target: &'t Target,
    canary: &'t Canary,
    askers: &[&'t Identity],
    surfaces: &[Surface],
    ways: &[Way],
) -> Vec<Errand<'t, Look<'t>>> {
    let mut errands = Vec::new();
    let question = canary::few(canary).into_iter().next().map(|prompt| prompt.text).unwrap_or_default();
    for surface in surfaces {
        let route = match surface {
            Surface::Stream => target.chat.streaming(&question),
            _ => Some(target.chat.asking(&question)),
        };
        let tag = Look { surface: *surface, canary: Some(canary) };
        errands.extend(route.map(|route| Errand {
            tag,
            route,
            values: None,
            askers: askers.to_vec(),
            call: None,
        }));
    }
    let tag = Look { surface: Surface::Way, canary: Some(canary) };
    errands.extend(ways.iter().flat_map(|way| way.errands(target, canary, askers, &tag)));
    errands
}

/// Requests that the application should refuse with an error: without the query or the body they need, and to a path
/// that is not there.
fn broken(target: &Target) -> Vec<Route> {
    let mut routes = vec![Route::new(Method::GET, UNKNOWN_PATH)];
    for route in target.routes().into_iter().filter(|route| route.effect == crate::target::Effect::Reads) {
        let mut without = route.clone();
        without.query.clear();
        without.body = route.body.as_ref().map(|_| serde_json::json!({}));
        if without.query.len() != route.query.len() || route.body.is_some() {
            routes.push(without);
        }
    }
    routes
}

fn controls(
    told: &[Answer<'_, Look<'_>>],
    doubts: &mut Vec<String>,
) -> Result<Vec<PositiveControl>, Inconclusive> {
    let mut controls = Vec::new();
    let mut why = None;
    for answer in told {
        let Some(canary) = answer.tag.canary else { continue };
        let shown =
            PositiveControl::from_success(&answer.seen, format!("{} as `{}`", answer.line, answer.who()));
        let is_stream = answer.seen.header("content-type").contains("event-stream")
            || answer.seen.body.contains("\ndata:");
        let reason = match shown {
            Err(reason) => reason,
            Ok(_) if answer.tag.surface == Surface::Stream && !is_stream => Inconclusive::because(format!(
                "{} was asked for a stream and answered without events",
                answer.line
            )),
            Ok(control) if answer.tells_text(&Mark::of(canary)).is_some() => {
                controls.push(control);
                continue;
            }
            Ok(_) => Inconclusive::because(format!(
                "`{}` may read {} and is not told its canary by {}: wait until it is indexed, or correct topic, text and \
                 document in target.toml",
                answer.who(),
                canary.place(),
                answer.line
            )),
        };
        doubts.push(reason.reason().to_owned());
        why = Some(reason);
    }
    if controls.is_empty() {
        let nothing = || Inconclusive::because("no canary can be asked for");
        return Err(why.unwrap_or_else(nothing));
    }
    Ok(controls)
}

/// What can be recognised at all: an id or a title that not even owners are shown is not missed elsewhere.
fn observe_what_owners_see(probe: &mut Probe, target: &Target, told: &[Answer<'_, Look<'_>>]) {
    for canary in &target.canaries {
        let own =
            told.iter().filter(|answer| answer.tag.canary.is_some_and(|other| other.text == canary.text));
        let says = |text: &Option<String>| {
            text.as_ref()
                .is_some_and(|text| own.clone().any(|answer| answer.seen.body.contains(text.as_str())))
        };
        let kinds = [("the id", says(&canary.document)), ("the title", says(&canary.title))];
        let seen: Vec<&str> = kinds.iter().filter(|(_, says)| *says).map(|(kind, _)| *kind).collect();
        let found = if seen.is_empty() {
            "the text alone".to_owned()
        } else {
            format!("the text, {}", seen.join(", "))
        };
        probe.observe(&format!("what owners are shown of the document in {}", canary.place()), &found);
    }
}

/// One finding for each route and community.
fn findings<'a, 't: 'a>(
    target: &'t Target,
    answers: impl Iterator<Item = &'a Answer<'t, Look<'t>>>,
) -> Vec<Finding> {
    let marks: Vec<Mark<'_>> = target.canaries.iter().map(Mark::of).collect();
    let mut leaks = Leaks::none();
    for answer in answers {
        let Some(asker) = answer.asker else { continue };
        for mark in marks.iter().filter(|mark| mark.canary.community != asker.community) {
            let Some(what) = answer.tells_anything(mark) else { continue };
            let manner = match answer.tag.surface {
                Surface::Stream => " in a stream",
                Surface::Error => " in an error",
                Surface::Chat | Surface::Way | Surface::Other => "",
            };
            let said = format!("`{}`{manner} {what} of a document in {}", asker.name, mark.canary.place());
            leaks.add((&answer.line, &mark.canary.community), answer.seen.number(), said);
        }
    }
    leaks.into_findings(|(line, community), first| {
        let fix = format!(
            "make every field, header, event and error of {line} from rows that the asker's community owns; nothing of \
             {community} may be read for others"
        );
        (format!("{line} told {first}"), fix)
    })
}

/// Searches for the exact text and for random ones, before it and after. Where the owner's numbers tell them apart and an outsider's do
/// too, the search counts what the outsider may not see.
async fn count_findings<'t>(
    probe: &mut Probe,
    target: &'t Target,
    crew: &mut Crew<'t>,
    ways: &[Way],
    doubts: &mut Vec<String>,
) -> Result<Vec<Finding>, Inconclusive> {
    let mut findings = Vec::new();
    for way in ways.iter().filter(|way| way.searches).collect::<Vec<_>>() {
        for canary in &target.canaries {
            let owners = canary::owners(target, canary);
            let own = moved(probe, target, crew, way, canary, &owners, doubts).await?;
            let Some(own) = own else { continue };
            if own.places.is_empty() {
                let what = format!("numbers of {} for {}", way.route.line(), canary.place());
                probe
                    .observe(&what, "the same for a hit of one's own and for none, so they are not compared");
                continue;
            }
            for outsiders in canary::outsiders(target, canary) {
                let told = moved(probe, target, crew, way, canary, &outsiders, doubts).await?;
                let Some(told) = told.filter(|told| !told.places.is_empty()) else { continue };
                // What moves by itself may have stood still for two searches: what counts moves again.
                let again = moved(probe, target, crew, way, canary, &outsiders, doubts).await?;
                let again = again.map(|again| again.places).unwrap_or_default();
                findings
                    .extend(told.places.intersection(&again).map(|place| counted(way, canary, place, &told)));
            }
        }
    }
    Ok(findings)
}

fn counted(way: &Way, canary: &Canary, place: &str, told: &Moved) -> Finding {
    let line = way.route.line();
    Finding::new(
        format!("{line} tells `{}` by {place} that a text of {} is there", told.who, canary.place()),
        format!("let {line} count only rows that the asker may read"),
    )
    .shown_by(told.numbers.iter().copied())
}

/// Numbers that differ between a search for the text and searches for nothing.
struct Moved {
    places: BTreeSet<String>,
    who: String,
    numbers: Vec<usize>,
}

/// Compares the numbers that are the same for all searches for nothing. None when no number is, or nobody can ask.
async fn moved<'t>(
    probe: &mut Probe,
    target: &'t Target,
    crew: &mut Crew<'t>,
    way: &Way,
    canary: &Canary,
    askers: &[&'t Identity],
    doubts: &mut Vec<String>,
) -> Result<Option<Moved>, Inconclusive> {
    // One person asks them all: others may see another part of their own community.
    let Some(asker) = askers.iter().min_by_key(|asker| probe.sent_lately(asker)) else { return Ok(None) };
    let errand = |text: &str| {
        let mut values = target.values(&asker.community);
        values.insert("query".to_owned(), text.to_owned());
        Errand { tag: (), route: way.route.clone(), values: Some(values), askers: vec![*asker], call: None }
    };
    let texts = [decoy(&canary.text), decoy(&canary.text), canary.text.clone()];
    let mut answers = crew.ask(probe, texts.iter().map(|text| errand(text)).collect()).await?;
    let [first, second, third] = answers.as_slice() else { return Ok(None) };
    if !third.seen.status.is_success() {
        return Ok(None);
    }
    let (nothing, again, hit) = (counts(&first.seen), counts(&second.seen), counts(&third.seen));
    let Some(mut places) = differing(&nothing, &again, &hit) else {
        doubts.push(format!(
            "no number of {} is the same in two searches for nothing as `{}`, so what it counts cannot be compared",
            way.route.line(),
            asker.name
        ));
        return Ok(None);
    };
    if !places.is_empty() {
        // What moves by itself may have stood still before, and moved since.
        let texts = [decoy(&canary.text), decoy(&canary.text)];
        let later = crew.ask(probe, texts.iter().map(|text| errand(text)).collect()).await?;
        let after: Vec<Counts> = later.iter().map(|answer| counts(&answer.seen)).collect();
        still(&mut places, &nothing, &after);
        answers.extend(later);
    }
    let numbers = answers.iter().map(|answer| answer.seen.number()).collect();
    Ok(Some(Moved { places, who: asker.name.clone(), numbers }))
}

type Counts = BTreeMap<String, u64>;

/// The places whose numbers are the same in two searches for nothing, and not in one that finds something. None when there are
/// numbers, and all of them move by themselves.
fn differing(nothing: &Counts, again: &Counts, hit: &Counts) -> Option<BTreeSet<String>> {
    let stands = |place: &&String| nothing.get(*place) == again.get(*place);
    if nothing != again && !nothing.keys().any(|place| stands(&place)) {
        return None;
    }
    let places = nothing.keys().chain(hit.keys()).filter(stands);
    Some(places.filter(|place| nothing.get(*place) != hit.get(*place)).cloned().collect())
}

/// Leaves the places whose numbers are the same in later searches for nothing.
fn still(places: &mut BTreeSet<String>, nothing: &Counts, after: &[Counts]) {
    places.retain(|place| after.iter().all(|later| later.get(place) == nothing.get(place)));
}

#[cfg(test)]
mod tests {
    use super::{Counts, differing, still};

    #[test]
    fn numbers_that_move_by_themselves_hide_no_other_and_tell_nothing() {
        let counts = |total: u64, total_ms: u64| -> Counts {
            [("total".to_owned(), total), ("total_ms".to_owned(), total_ms)].into()
        };
        let moved = differing(&counts(0, 3), &counts(0, 4), &counts(1, 5)).unwrap();
        assert_eq!(moved.into_iter().collect::<Vec<_>>(), ["total"]);
        assert!(differing(&counts(0, 3), &counts(0, 4), &counts(0, 5)).unwrap().is_empty());
        assert!(differing(&counts(1, 3), &counts(2, 4), &counts(3, 5)).is_none());
        assert!(differing(&Counts::new(), &Counts::new(), &Counts::new()).unwrap().is_empty());
        // What moved for the text and did not move back moves by itself.
        let mut moved = differing(&counts(0, 3), &counts(0, 3), &counts(1, 4)).unwrap();
        still(&mut moved, &counts(0, 3), &[counts(0, 3), counts(0, 4)]);
        assert_eq!(moved.into_iter().collect::<Vec<_>>(), ["total"]);
    }
}
