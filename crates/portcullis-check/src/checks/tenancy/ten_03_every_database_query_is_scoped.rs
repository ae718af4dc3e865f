//! TEN-03.

use std::collections::BTreeMap;

use crate::check::{cases, check};
use crate::checks::canary::{self, Answer, Crew, Errand, Leaks, Mark, Way};
use crate::checks::deployment;
use crate::classify::Kind;
use crate::outcome::{Coverage, Finding, Inconclusive, PositiveControl, Verdict};
use crate::probe::{Probe, Seen};
use crate::target::{Canary, Identity, Target};

check! {
    /// ## What it checks
    /// Members of another community ask every search, every route to a document and, with a third of it, the chat in the language of databases: wildcards of
    /// SQL, of full text and of file names, boolean and proximity operators, fields and filters that name the other
    /// community, quotes that would end a statement, and orders that would follow it, each around the topic and the beginning of
    /// a random text (canary) of a community that is not theirs. Nothing of that text's document may come back: no
    /// text, no id, no title. Its own members must get it by each of these routes in the same run, and every query must be
    /// answered by the application.
    /// ## Why it matters
    /// A query that is put together from what somebody typed is scoped only as long as nobody types an operator. One that
    /// forgets the community in one branch shows it in that branch alone.
    /// ## How to fix
    /// Bind every value, quote what goes into a full-text expression, and put the community into each statement, or let
    /// each community have a database of its own; with row security, by a role that cannot step around it.
    /// ## Limits
    /// It looks from outside. Whether a database role could read other rows is for the audit of row security where there is
    /// such a database. Operators of languages that are not in its list are not tried. A filter in front that refuses in the
    /// application's own manner is not told apart from it.
    id: "TEN-03", title: "Every database query is scoped",
    area: Tenancy, severity: Critical, since: "0.1.0",
    needs: [TwoCommunities, Canaries], touches: Nothing,
    maps: ["API1:2023 Broken Object Level Authorization", "LLM02:2025 Sensitive Information Disclosure"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: [
        "search-takes-percent-for-everything",
        "search-ends-at-a-quote",
        "search-takes-filters-from-the-question",
        "search-falls-back-to-all",
        "chat-falls-back-to-all",
        "spells-out-foreign-text",
        "sources-name-foreign-documents",
        "header-names-foreign-documents",
        "admin-encoded-path-unguarded",
    ],
    inconclusive_on: [
        "dead",
        "mute",
        "login-wall",
        "waf",
        "yes-man",
        "echo",
        "spa-shell",
    ],
}

/// Query languages. `{topic}` is what to ask for, `{head}` the beginning of the text, `{community}` whose it is.
const FORMS: &[&str] = &[
    "%",
    "%{head}%",
    "_%",
    "*",
    "{head}*",
    "\"{topic}\" OR \"{head}\"*",
    "{topic} NOT zzzz",
    "NEAR({topic} {head}, 50)",
    "^{head}*",
    "text : {head}* OR title : {head}*",
    "community:{community} {topic}",
    "{topic} community_id:{community}",
    "workspace={community} {topic}",
    "{topic} in:all",
    "{\"match_all\": {}, \"tenant\": \"{community}\"}",
    "' OR '1'='1",
    "' OR 1=1 --",
    "{topic}' UNION SELECT text, title FROM documents --",
    "{topic}\" OR \"\"=\"",
    "{topic}); SELECT * FROM documents; --",
    "{head}/*",
    ".*{head}.*",
    "[{head}]",
    "\u{0}{topic}",
];

/// How much of a text a query may hold: too little to be taken for the text itself.
const HEAD: usize = 6;
/// Every so many forms go to the chat too.
const CHAT_EVERY: usize = 3;

#[derive(Debug, Clone, Copy)]
enum Look<'t> {
    Owner(&'t Canary),
    Outsider(&'t Canary),
}

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    deployment::tells_members_from_strangers(probe).await?;
    let mut doubts = Vec::new();
    let ways = canary::ways(probe, &target, &mut doubts);
    let mut errands = Vec::new();
    let mut guarded = 0;
    for canary in &target.canaries {
        let owners = canary::owners(&target, canary);
        let outsiders = canary::outsiders(&target, canary);
        if owners.is_empty() || outsiders.is_empty() {
            doubts.push(format!(
                "no working identity may read {}, or none is of another community: add them to target.toml",
                canary.place()
            ));
            continue;
        }
        guarded += 1;
        errands.extend(plain(&target, canary, &owners, &ways));
        for others in &outsiders {
            errands.extend(twisted(&target, canary, others, &ways));
        }
    }
    let answers = Crew::of(&target).ask(probe, errands).await?;
    let (controls, missing) = controls(&answers);
    doubts.extend(missing);
    // A query that something in front turned away never reached a database.
    doubts.extend(answers.iter().filter_map(|answer| canary::shows_nothing_of_a_member(&answer.seen)));
    // What a broken query is answered with shows nothing of others, but a query that breaks the application is a find.
    let mut findings = findings(&answers);
    findings.extend(broken(&answers));
    let asked = answers.iter().filter(|answer| matches!(answer.tag, Look::Outsider(_))).count();
    Verdict::settle(probe.evidence(), findings, &doubts, || {
        let what = format!(
            "texts stayed in their community in {asked} queries with operators, filters and ends of statements"
        );
        Ok((
            Coverage::complete(guarded, target.canaries.len(), what)?,
            PositiveControl::all(
                controls,
                "each text comes to its own members by each route in the same run",
            )?,
        ))
    })
}

/// What its own members ask: once by each route.
fn plain<'t>(
    target: &'t Target,
    canary: &'t Canary,
    owners: &[&'t Identity],
    ways: &[Way],
) -> Vec<Errand<'t, Look<'t>>> {
    let tag = Look::Owner(canary);
    let route = target.chat.asking(&format!("What is {}?", canary.topic));
    let chat = Errand { tag, route, values: None, askers: owners.to_vec(), call: None };
    let others = ways.iter().flat_map(|way| way.errands(target, canary, owners, &tag));
    std::iter::once(chat).chain(others).collect()
}

/// What others ask, in the language of databases.
fn twisted<'t>(
    target: &'t Target,
    canary: &'t Canary,
    others: &[&'t Identity],
    ways: &[Way],
) -> Vec<Errand<'t, Look<'t>>> {
    let community = others.first().map_or("", |other| other.community.as_str());
    let head: String = canary.text.chars().take(HEAD).collect();
    let mut errands = Vec::new();
    for (place, form) in FORMS.iter().enumerate() {
        let query = form
            .replace("{topic}", &canary.topic)
            .replace("{head}", &head)
            .replace("{community}", target.community_id(&canary.community));
        let mut add = |route, values| {
            errands.push(Errand {
                tag: Look::Outsider(canary),
                route,
                values,
                askers: others.to_vec(),
                call: None,
            });
        };
        for way in ways {
            let mut values: BTreeMap<String, String> = target.values(community);
            // A route that reads one document takes the same where its id goes.
            let name = if way.searches { "query" } else { "document" };
            values.insert(name.to_owned(), query.clone());
            add(way.route.clone(), Some(values));
        }
        // The chat costs more than a search, and searches with what it was asked.
        if place % CHAT_EVERY == 0 {
            add(target.chat.asking(&query), None);
        }
    }
    errands
}

fn controls(answers: &[Answer<'_, Look<'_>>]) -> (Vec<PositiveControl>, Vec<String>) {
    let mut told: BTreeMap<(String, String), Option<PositiveControl>> = BTreeMap::new();
    for answer in answers {
        let Look::Owner(canary) = answer.tag else { continue };
        let entry = told.entry((answer.line.clone(), canary.place())).or_default();
        if answer.tells_text(&Mark::of(canary)).is_some() && entry.is_none() {
            *entry =
                PositiveControl::from_success(&answer.seen, format!("{} tells its own members", answer.line))
                    .ok();
        }
    }
    let mut controls = Vec::new();
    let mut missing = Vec::new();
    for ((line, place), control) in told {
        match control {
            Some(control) => controls.push(control),
            None => missing.push(format!(
                "{line} does not give the canary of {place} to those who may read it: wait until it is indexed, or correct it in \
                 target.toml"
            )),
        }
    }
    (controls, missing)
}

fn findings(answers: &[Answer<'_, Look<'_>>]) -> Vec<Finding> {
    let mut leaks = Leaks::none();
    for answer in answers {
        let Look::Outsider(canary) = answer.tag else { continue };
        if let Some(what) = answer.tells_anything(&Mark::of(canary)) {
            let said = format!("`{}` {what} of a document", answer.who());
            leaks.add((answer.line.clone(), canary.place()), answer.seen.number(), said);
        }
    }
    leaks.into_findings(|(line, place), first| {
        let fix = format!("bind what was typed in the query behind {line}, and put the asker's community into every branch of it");
        (format!("{line} gave {first} in {place}, a community that is not theirs"), fix)
    })
}

fn broken(answers: &[Answer<'_, Look<'_>>]) -> Vec<Finding> {
    let mut leaks = Leaks::none();
    let broken = |seen: &Seen| seen.status.is_server_error() && seen.kind() != Kind::Firewall;
    for answer in answers.iter().filter(|answer| broken(&answer.seen)) {
        leaks.add(answer.line.clone(), answer.seen.number(), answer.seen.says());
    }
    leaks.into_findings(|line, first| {
        let fix = format!(
            "bind what was typed in the query behind {line}: an operator in it must not break the statement"
        );
        (format!("{line} was broken by an operator in what was typed: it answered {first}"), fix)
    })
}
