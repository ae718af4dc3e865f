//! TEN-06.

use std::collections::BTreeSet;

use http::header::CACHE_CONTROL;

use crate::check::{cases, check};
use crate::checks::belongings::{self, Cast, Thing};
use crate::checks::canary::{self, Answer, Crew, Errand, Leaks};
use crate::checks::{deployment, standing};
use crate::outcome::{Coverage, Finding, Findings, Inconclusive, PositiveControl, Verdict};
use crate::probe::{Call, Probe, Seen};
use crate::target::{Auth, Credential, Effect, Identity, Owned, Route, State, Target};

check! {
    /// ## What it checks
    /// Makes a thing of one member (a conversation, a memory, a file) and asks for it as another member, as members and an
    /// administrator of another community, as nobody, and with ended credentials of its owner: first cold, then after the
    /// owner has read it in the same way, so that a cache in front would have it. The ways are those by which caches are
    /// fooled: a version in the query, a `.css` at the end, forwarded hosts. The same with the readable routes of the admin
    /// plane, warmed by an administrator. Nothing of the thing or of the administrator's answer may come back, and what the
    /// owner gets must forbid shared caching (`Cache-Control: no-store` or `private`).
    /// ## Why it matters
    /// A cache that keys by path alone hands one member's file to whoever asks next, while every test of the application
    /// itself passes.
    /// ## How to fix
    /// Answer everything that needs a credential with `Cache-Control: no-store`, let the edge bypass its cache for those
    /// paths, route by exact path, and take the host from the configuration. Sign links to files, and let them end soon.
    /// ## Limits
    /// Only the cache on the way from here is met. Links that are valid without a credential are tried as far as [[owned]]
    /// reads through them. Whether an administrator of the same community may see a member's things is not judged.
    id: "TEN-06", title: "Uploads and workspaces open only to their members",
    area: Tenancy, severity: Critical, since: "0.1.0",
    needs: [TwoCommunities, Owned], touches: Writes,
    maps: ["API1:2023 Broken Object Level Authorization"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: [
        "accepts-expired",
        "accepts-revoked",
        "admin-data-in-refusal",
        "admin-open-to-members",
        "cache-by-path-with-suffix",
        "cache-by-path-with-version",
        "conversations-open-to-community",
        "files-say-public-cache",
        "forwarded-host-is-trusted",
        "refusal-quotes-conversation",
    ],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man", "echo", "spa-shell", "login-page-200"],
}

/// How many of one kind of stranger ask.
const STRANGERS: usize = 2;

/// Somebody who must get nothing.
struct Stranger<'t> {
    words: &'static str,
    /// Who sends it, with a credential that works.
    asker: Option<&'t Identity>,
    /// What is sent, where it is not a working identity's.
    credential: Option<(&'t Credential, &'t str)>,
}

#[derive(Debug, Clone)]
struct Look {
    who: &'static str,
    how: &'static str,
    plain: bool,
}

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    deployment::tells_members_from_strangers(probe).await?;
    let cast = Cast::of(&target, |identity| probe.sent_lately(identity))?;
    let mut tally = Tally { findings: probe.findings(), ..Tally::default() };
    belongings::kinds(probe, &target, &mut tally.doubts);
    let strangers = strangers(probe, &target, &cast, &mut tally.doubts);
    for owned in &target.owned {
        if let Err(why) = judge_thing(probe, &target, &cast, owned, &strangers, &mut tally).await {
            tally.doubts.push(why.reason().to_owned());
        }
    }
    let admin = admin_routes(&target);
    for route in &admin {
        // Everybody has a limit of their own. What is to be doubted of their kinds was said above.
        let strangers = self::strangers(probe, &target, &cast, &mut Vec::new());
        if let Err(why) = judge_admin_route(probe, &target, route, &strangers, &mut tally).await {
            tally.doubts.push(why.reason().to_owned());
        }
    }
    let Tally { findings, doubts, controls, judged, asked } = tally;
    Verdict::settle(probe.evidence(), findings, &doubts, || {
        let what = format!(
            "kinds of things and admin routes, cold and warm: nobody else gets anything ({asked} requests)"
        );
        let coverage = Coverage::complete(judged, target.owned.len() + admin.len(), what)?;
        Ok((coverage, PositiveControl::all(controls, "whoever it is for gets each in the same way")?))
    })
}

#[derive(Default)]
struct Tally {
    findings: Findings,
    doubts: Vec<String>,
    controls: Vec<PositiveControl>,
    judged: usize,
    asked: usize,
}

/// Everyone who must get nothing of the owner's: of each kind those who were used least.
fn strangers<'t>(
    probe: &mut Probe,
    target: &'t Target,
    cast: &Cast<'t>,
    doubts: &mut Vec<String>,
) -> Vec<Stranger<'t>> {
    let member = |words, asker| Stranger { words, asker: Some(asker), credential: None };
    let mut list = vec![Stranger { words: "nobody in particular", asker: None, credential: None }];
    let rested = |mut people: Vec<&'t Identity>| {
        people.sort_by_key(|person| probe.sent_lately(person));
        people.into_iter().take(STRANGERS)
    };
    let (near, far) = (rested(cast.near.clone()), rested(cast.far.clone()));
    list.extend(near.map(|asker| member("another member of the community", asker)));
    list.extend(far.map(|asker| member("a member of another community", asker)));
    let admins = target.roles.admins.iter().flat_map(|role| target.with_role(role));
    let far_admins = admins.filter(|admin| admin.community != cast.owner.community).collect();
    let far_admins: Vec<&Identity> = rested(far_admins).collect();
    if far_admins.is_empty() && !target.roles.admins.is_empty() {
        doubts.push(
            "no administrator of another community: add an [[identity]] with an admin role to target.toml"
                .to_owned(),
        );
    }
    list.extend(far_admins.into_iter().map(|asker| member("an administrator of another community", asker)));
    for (state, words) in [
        (State::Expired, "the owner's expired credential"),
        (State::Revoked, "the owner's revoked credential"),
    ] {
        let ended =
            target.identities.iter().filter(|other| other.state == state && other.user == cast.owner.user);
        let ended: Vec<&Identity> = ended.collect();
        if ended.is_empty() {
            match target.lacks(state.word()) {
                Some(lacks) => {
                    let said = format!("declared absent by {}: {}", lacks.approver, lacks.reason);
                    probe.observe(words, &said);
                }
                None => doubts.push(format!(
                    "no {} credential of `{}`: add an [[identity]] with the same `user` and `{} = true` to target.toml",
                    state.word(),
                    cast.owner.user,
                    state.word()
                )),
            }
        }
        list.extend(ended.into_iter().map(|other| Stranger {
            words,
            asker: None,
            credential: Some((&other.credential, other.name.as_str())),
        }));
    }
    list
}

/// The ways in which a cache or a router in front is fooled.
fn ways(plain: &Call, salt: &str) -> Result<Vec<(&'static str, Call)>, Inconclusive> {
    let ending = |ending: &str| {
        let mut call = plain.clone();
        let (path, query) =
            plain.path.split_once('?').map_or((plain.path.as_str(), None), |(p, q)| (p, Some(q)));
        call.path =
            query.map_or_else(|| format!("{path}{ending}"), |query| format!("{path}{ending}?{query}"));
        call
    };
    Ok(vec![
        ("", plain.clone()),
        (" with a version in the query", plain.clone().query("v", salt)),
        (" with `.css` at its end", ending(".css")),
        (" with `/x.css` at its end", ending("/x.css")),
        (" with `;x.css` at its end", ending(";x.css")),
        (" with `%2Fx.css` at its end", ending("%2Fx.css")),
        (" with `X-Forwarded-Host: localhost`", plain.clone().header("X-Forwarded-Host", "localhost")?),
        (" with `X-Forwarded-For: 127.0.0.1`", plain.clone().header("X-Forwarded-For", "127.0.0.1")?),
        (" with `X-Original-URL: /`", plain.clone().header("X-Original-URL", "/")?),
    ])
}

async fn judge_thing(
    probe: &mut Probe,
    target: &Target,
    cast: &Cast<'_>,
    owned: &Owned,
    strangers: &[Stranger<'_>],
    tally: &mut Tally,
) -> Result<(), Inconclusive> {
    let thing = belongings::make(probe, target, owned, cast.owner).await?;
    let plain = |community: &str| belongings::request(target, &owned.read, community, &thing.id, "", "");
    // Cold: nobody has read it yet.
    let mut found =
        asked(probe, target, strangers, |community| Ok(vec![("", plain(community)?)]), &thing, tally).await?;
    let (seen, control) = thing.read(probe, target).await?;
    tally.controls.push(control);
    let (line, what) = (owned.read.line(), thing.words());
    tally.findings.extend(shared_caching(&seen, &line, &what));
    // Warm: the owner asks in every way first.
    let salt = belongings::random_text();
    for (_, call) in ways(&plain(&cast.owner.community)?, &salt)? {
        probe.send(call.with(&cast.owner.credential, &cast.owner.name)).await?;
    }
    found.extend(
        asked(probe, target, strangers, |community| ways(&plain(community)?, &salt), &thing, tally).await?,
    );
    thing.read(probe, target).await?;
    thing.remove(probe, target).await?;
    let mut leaks = Leaks::none();
    for (who, number, said) in found {
        leaks.add(who, number, said);
    }
    tally.findings.extend(leaks.into_findings(|who, first| {
        let fix = format!(
            "answer {line} with `Cache-Control: no-store`, keep it out of every cache, and put the owner from the session \
             into the query behind it"
        );
        (format!("{who} got at {what}: {first}"), fix)
    }));
    tally.judged += 1;
    Ok(())
}

type Found = Vec<(&'static str, usize, String)>;

/// Asks as every stranger in these ways; whoever was told the thing's text comes back.
async fn asked<'t>(
    probe: &mut Probe,
    target: &'t Target,
    strangers: &[Stranger<'t>],
    ways: impl Fn(&str) -> Result<Vec<(&'static str, Call)>, Inconclusive>,
    thing: &Thing<'_>,
    tally: &mut Tally,
) -> Result<Found, Inconclusive> {
    let mut errands = Vec::new();
    for stranger in strangers {
        let community =
            stranger.asker.map_or(thing.owner.community.as_str(), |asker| asker.community.as_str());
        for (how, call) in ways(community)? {
            errands.push(Errand {
                tag: Look { who: stranger.words, how, plain: how.is_empty() },
                route: thing.owned.read.clone(),
                values: None,
                askers: stranger.asker.into_iter().collect(),
                call: Some(belongings::sent_by(call, stranger.credential)),
            });
        }
    }
    let answers = Crew::of(target).ask(probe, errands).await?;
    tally.asked += answers.len();
    let mark = thing.mark();
    let mut found = Vec::new();
    for answer in &answers {
        let Look { who, how, plain } = answer.tag;
        if answer.tells_text(&mark).is_some() {
            found.push((who, answer.seen.number(), format!("{}{how} gave its text", answer.line)));
            continue;
        }
        if !plain {
            continue;
        }
        tally.doubts.extend(shows_nothing(answer));
        if answer.seen.status.is_success() {
            tally.doubts.push(no_refusal(answer));
        }
    }
    Ok(found)
}

/// Why an answer shows nothing about whoever asked, if it does not.
fn shows_nothing(answer: &Answer<'_, Look>) -> Option<String> {
    match answer.asker {
        Some(_) => canary::shows_nothing_of_a_member(&answer.seen),
        None => canary::shows_nothing(&answer.seen),
    }
}

fn no_refusal(answer: &Answer<'_, Look>) -> String {
    format!(
        "{} by {} was answered {} without the text, a refusal was wanted",
        answer.seen.request_line(),
        answer.tag.who,
        answer.seen.says()
    )
}

/// What is wrong with what an answer for one person says about caching.
fn shared_caching(seen: &Seen, line: &str, what: &str) -> Option<Finding> {
    let all = seen.headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let said = all.collect::<Vec<_>>().join(", ").to_lowercase();
    let words: BTreeSet<&str> =
        said.split(',').filter_map(|word| word.split('=').next()).map(str::trim).collect();
    let forbids = words.contains("no-store") || words.contains("private") && !words.contains("s-maxage");
    if forbids && !words.contains("public") {
        return None;
    }
    let shown =
        if said.is_empty() { "no `Cache-Control`".to_owned() } else { format!("`Cache-Control: {said}`") };
    let seen_text = format!("{line} gives {what} with {shown}, so a shared cache may keep it");
    let fix =
        format!("answer {line} with `Cache-Control: no-store`, or `private` where a browser may keep it");
    Some(Finding::new(seen_text, fix).shown_by([seen.number()]))
}

/// Routes of the admin plane that only read.
fn admin_routes(target: &Target) -> Vec<Route> {
    let routes = target.routes().into_iter().filter(|route| {
        target.roles.is_admin_path(&route.path)
            && route.auth == Auth::Required
            && route.effect == Effect::Reads
            && !route.shared
    });
    routes.cloned().collect()
}

async fn judge_admin_route(
    probe: &mut Probe,
    target: &Target,
    route: &Route,
    strangers: &[Stranger<'_>],
    tally: &mut Tally,
) -> Result<(), Inconclusive> {
    let admins: Vec<&Identity> = target.roles.admins.iter().flat_map(|role| target.with_role(role)).collect();
    let named =
        admins.iter().find(|admin| Some(&admin.name) == route.identity.as_ref()).or_else(|| admins.first());
    let admin = *named.ok_or_else(|| {
        Inconclusive::because(format!(
            "no administrator may use {}: add an [[identity]] with an admin role to target.toml",
            route.line()
        ))
    })?;
    let plain = Call::by(target, route, admin)?;
    let seen = probe.send(plain.clone()).await?;
    tally
        .controls
        .push(PositiveControl::from_success(&seen, format!("{} as `{}`", route.line(), admin.name))?);
    tally.findings.extend(shared_caching(&seen, &route.line(), "an administrator's answer"));
    // What is the same for the administrator of another community gives nothing away.
    let mut marks = standing::texts(&seen);
    if let Some(other) = admins.iter().find(|other| other.community != admin.community) {
        let others = probe.send(Call::by(target, route, other)?).await?;
        let known = standing::texts(&others);
        marks.retain(|mark| !known.contains(mark));
    }
    if marks.is_empty() {
        return Err(Inconclusive::because(format!(
            "{} answers administrators of both communities alike, so nothing shows whose answer comes back: mark its \
             [[route]] `shared = true` if that is meant",
            route.line()
        )));
    }
    let salt = belongings::random_text();
    for (_, call) in ways(&plain, &salt)? {
        probe.send(call).await?;
    }
    let mut errands = Vec::new();
    let mut kinds = BTreeSet::new();
    // One of each kind: a member's requests are limited, and admin routes are many.
    for stranger in strangers.iter().filter(|stranger| kinds.insert(stranger.words)) {
        // The administrator's own request, by somebody else.
        for (how, call) in ways(&Call::to(target, route, &admin.community)?, &salt)? {
            errands.push(Errand {
                tag: Look { who: stranger.words, how, plain: how.is_empty() },
                route: route.clone(),
                values: None,
                askers: stranger.asker.into_iter().collect(),
                call: Some(belongings::sent_by(call, stranger.credential)),
            });
        }
    }
    let answers = Crew::of(target).ask(probe, errands).await?;
    tally.asked += answers.len();
    let mut leaks = Leaks::none();
    for answer in &answers {
        let Look { who, how, plain } = answer.tag;
        let asked = answer.seen.request_line();
        let told = marks
            .iter()
            .any(|mark| answer.seen.body.contains(mark.as_str()) && !asked.contains(mark.as_str()));
        if told {
            let said = format!("{}{how} gave what only the administrator gets", answer.line);
            leaks.add(who, answer.seen.number(), said);
            continue;
        }
        if !plain {
            continue;
        }
        tally.doubts.extend(shows_nothing(answer));
        // An administrator of another community may ask for the same of their own.
        let is_admin = answer.asker.is_some_and(|asker| target.roles.admins.contains(&asker.role));
        if answer.seen.status.is_success() && !is_admin {
            tally.doubts.push(no_refusal(answer));
        }
    }
    let line = route.line();
    tally.findings.extend(leaks.into_findings(|who, first| {
        let fix = format!(
            "answer {line} with `Cache-Control: no-store`, and decide on every request who may have it"
        );
        (format!("{who} got an administrator's answer: {first}"), fix)
    }));
    tally.judged += 1;
    Ok(())
}
