//! AUTH-03.

use std::collections::BTreeSet;

use http::{Method, StatusCode};

use super::protected;
use super::tampering::{Shows, Tampered, every_way};
use crate::check::{cases, check};
use crate::checks::canary::{Answer, Crew, Errand, Leaks};
use crate::checks::deployment;
use crate::checks::saying::gist;
use crate::checks::standing::{self, Got};
use crate::classify::Kind;
use crate::outcome::{Coverage, Finding, Inconclusive, PositiveControl, Verdict};
use crate::probe::{Call, Probe, Seen};
use crate::target::{Auth, Identity, Route, Target, encode};

check! {
    /// ## What it checks
    /// Asks every route of the admin plane as each role that must not use it: plainly, and in some thirty other ways that
    /// a guard and a router may read differently (capitals, slashes, encoded letters and dots, `;`, other verbs, method
    /// override headers, HEAD and OPTIONS, rewriting headers, a role that the client claims). None may succeed, and no
    /// answer may hold what only the administrator's own answer holds. The administrator's request must succeed in the same
    /// run, and whoever is refused must be shown to be known. Nothing for members may stand in the admin plane, and nothing
    /// that members must not do outside it.
    /// ## Why it matters
    /// Whoever can ask for the list of members, change a role or make a key owns the community.
    /// ## How to fix
    /// Decide by route and role in one place behind the router, on the route that was matched and not on the path as it came.
    /// Name the permission beside each route, refuse where none is named, and take the role from the session alone.
    /// ## Limits
    /// It asks the routes of the inventory under `admin_paths`. Middle roles are asked plainly and the least role in every
    /// way. Routes that change something are asked for things that are not there, so whether a role may change one thing and
    /// not another is for RBAC-03. Requests that HTTP clients cannot send (smuggling) are not tried.
    id: "AUTH-03", title: "Members cannot reach admin routes",
    area: Auth, severity: Critical, since: "0.1.0",
    needs: [Identity, Routes, Roles], touches: Nothing,
    maps: ["API5:2023 Broken Function Level Authorization", "A01:2021 Broken Access Control"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: [
        "admin-data-in-refusal",
        "admin-encoded-path-unguarded",
        "admin-head-unguarded",
        "admin-method-override-unguarded",
        "admin-open-to-members",
        "admin-path-case-unguarded",
        "admin-slashes-unguarded",
        "member-removal-unguarded",
        "staff-writes-members",
        "write-members-unguarded",
    ],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man", "echo", "spa-shell", "route-names-unknown-permission"],
}

/// An admin route and what its administrator got.
struct Closed {
    route: Route,
    admin: Seen,
    /// Texts of that answer.
    marks: BTreeSet<String>,
}

/// One request by somebody who must not make it.
#[derive(Debug, Clone)]
struct Try<'t> {
    closed: usize,
    role: &'t str,
    how: String,
    shows: Shows,
}

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    deployment::tells_members_from_strangers(probe).await?;
    let mut doubts = protected::inventory_doubts(&target);
    let mut findings = misplaced(&target);
    let mut crew = Crew::of(&target);

    let routes: Vec<Route> = admin_routes(&target);
    if routes.is_empty() && findings.is_empty() {
        return Err(Inconclusive::because(
            "no route stands in the admin plane: list them as [[route]], or correct `admin_paths` of [roles] in target.toml",
        ));
    }
    let (closed, controls) = administrators(probe, &target, &routes, &mut doubts).await?;

    let lower: BTreeSet<&str> =
        closed.iter().flat_map(|closed| standing::kept_out(&target, &closed.route)).collect();
    if lower.is_empty() {
        doubts.push("no role is kept out of any admin route: correct [roles] in target.toml".to_owned());
    }
    let known = standing::known(probe, &mut crew, &target, &lower, &mut doubts).await?;
    let own_words: Vec<&str> = known.iter().map(|answer| answer.seen.body.as_str()).collect();
    let nothing = nothing_there(probe, &target, &known).await?;

    let mut tried = BTreeSet::new();
    let mut errands = Vec::new();
    for (index, entry) in closed.iter().enumerate() {
        for role in standing::kept_out(&target, &entry.route) {
            let askers: Vec<&Identity> =
                known.iter().filter_map(|answer| answer.asker).filter(|asker| asker.role == role).collect();
            let homes: BTreeSet<&str> = askers.iter().map(|asker| asker.community.as_str()).collect();
            for (turn, home) in homes.iter().enumerate() {
                let askers: Vec<&Identity> =
                    askers.iter().copied().filter(|asker| asker.community == *home).collect();
                let ways = ways(&target, &entry.route, home, target.roles.least() == Some(role))?;
                tried.insert((index, role));
                // Every community asks plainly, and they share the other ways: nobody reaches a limit so soon.
                let own = ways.into_iter().enumerate().filter(|(at, _)| *at == 0 || at % homes.len() == turn);
                errands.extend(own.map(|(_, Tampered { how, call, shows })| Errand {
                    tag: Try { closed: index, role, how, shows },
                    route: entry.route.clone(),
                    values: None,
                    askers: askers.clone(),
                    call: Some(call),
                }));
            }
        }
    }
    let answers = crew.ask(probe, errands).await?;
    let mut leaks = Leaks::none();
    let mut hidden = standing::Nothing::default();
    for answer in &answers {
        let Some(entry) = closed.get(answer.tag.closed) else { continue };
        let judged = match told_apart(probe, &target, entry, answer, &mut hidden).await {
            Ok(got) => judge(entry, answer, got, &own_words, nothing.as_ref()),
            Err(why) => Err(why),
        };
        match judged {
            Ok(None) => {}
            Ok(Some(said)) => leaks.add((entry.route.line(), answer.tag.role), answer.seen.number(), said),
            Err(why) => doubts.push(why.reason().to_owned()),
        }
    }
    findings.extend(leaks.into_findings(|(line, role), first| {
        let seen = format!("{line} did not keep the role `{role}` out: {first}");
        (seen, format!("decide behind the router whether `{role}` may use {line}, on the route that was matched, and answer 403"))
    }));
    Verdict::settle(probe.evidence(), findings, &doubts, || {
        let wanted = closed.iter().map(|entry| standing::kept_out(&target, &entry.route).len()).sum();
        let what = format!(
            "admin routes and roles that must not use them: none got in ({} routes, {} requests)",
            closed.len(),
            answers.len()
        );
        let coverage = Coverage::complete(tried.len(), wanted, what)?;
        Ok((
            coverage,
            PositiveControl::all(
                controls,
                "each admin route succeeds for whom it is for, and everyone who was refused reads a route of their own",
            )?,
        ))
    })
}

fn admin_routes(target: &Target) -> Vec<Route> {
    let routes = target.routes().into_iter().filter(|route| target.roles.is_admin_path(&route.path));
    routes.filter(|route| route.auth == Auth::Required).cloned().collect()
}

/// Routes on the wrong side: the admin plane and what members use have no route in common.
fn misplaced(target: &Target) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(least) = target.roles.least() else { return findings };
    for route in target.routes() {
        let inside = target.roles.is_admin_path(&route.path);
        let line = route.line();
        if inside && route.auth == Auth::Public {
            findings.push(Finding::new(
                format!("{line} stands in the admin plane and is public"),
                format!("let {line} need a credential and a permission, or move it out of the admin plane"),
            ));
        }
        let declared = target.roles.declared.as_ref().zip(route.permission.as_ref());
        let Some((declared, permission)) = declared else { continue };
        let of_members = declared.matrix.allows(least, permission);
        if inside && of_members {
            findings.push(Finding::new(
                format!("{line} stands in the admin plane and needs `{permission}`, which every `{least}` has"),
                format!("move {line} out of the admin plane, or let it need a permission that a `{least}` does not have"),
            ));
        } else if !inside && !of_members && declared.matrix.permissions().contains(permission.as_str()) {
            findings.push(Finding::new(
                format!("{line} needs `{permission}`, which a `{least}` does not have, and stands outside the admin plane"),
                format!("move {line} under one of the admin paths {}", target.roles.admin_paths.join(", ")),
            ));
        }
    }
    findings
}

/// What each route answers to whom it is for: the highest role that there is.
async fn administrators(
    probe: &mut Probe,
    target: &Target,
    routes: &[Route],
    doubts: &mut Vec<String>,
) -> Result<(Vec<Closed>, Vec<PositiveControl>), Inconclusive> {
    let (mut closed, mut controls) = (Vec::new(), Vec::new());
    for route in routes {
        if let Some(doubt) = protected::doubt_if_it_writes(probe, route) {
            doubts.push(doubt);
            continue;
        }
        let kept_out = standing::kept_out(target, route);
        let roles = target.roles.order.iter().rev().filter(|role| !kept_out.contains(&role.as_str()));
        let may: Vec<&Identity> = roles.flat_map(|role| target.with_role(role)).collect();
        // Others may read some of it too; those whose plane it is stand for it, whoever of them was used least.
        let is_admin = |who: &&Identity| target.roles.admins.contains(&who.role);
        let admins: Vec<&Identity> = may.iter().copied().filter(is_admin).collect();
        let may = if admins.is_empty() { may } else { admins };
        let Some(admin) = may.iter().min_by_key(|admin| probe.sent_lately(admin)) else {
            doubts.push(format!(
                "no working identity may use {}: add an [[identity]] of an admin role to target.toml",
                route.line()
            ));
            continue;
        };
        let seen = probe.send(Call::by(target, route, admin)?).await?;
        match protected::shown(route, &seen, &admin.name) {
            Ok(control) => {
                controls.push(control);
                closed.push(Closed { route: route.clone(), marks: standing::texts(&seen), admin: seen });
            }
            Err(why) => doubts.push(why.reason().to_owned()),
        }
    }
    Ok((closed, controls))
}

/// What is answered where there is nothing.
struct Nothing {
    /// In the admin plane.
    inside: Seen,
    /// Outside of it.
    outside: Seen,
}

/// What paths answer, of the admin plane and outside of it, at which there is nothing.
async fn nothing_there(
    probe: &mut Probe,
    target: &Target,
    known: &[Answer<'_, ()>],
) -> Result<Option<Nothing>, Inconclusive> {
    let Some(asker) = known.iter().find_map(|answer| answer.asker) else { return Ok(None) };
    let Some(plane) = target.roles.admin_paths.first() else { return Ok(None) };
    let call = |path: &str| {
        let nowhere = standing::nowhere(target, &Route::new(Method::GET, path));
        Call::new(Method::GET, nowhere.path).with(&asker.credential, &asker.name)
    };
    let inside = probe.send(call(plane)).await?;
    let outside = probe.send(call("/")).await?;
    Ok(Some(Nothing { inside, outside }))
}

/// The ways for the least role; for others the plain one.
fn ways(target: &Target, route: &Route, community: &str, all: bool) -> Result<Vec<Tampered>, Inconclusive> {
    let plain = Call::to(target, route, community)?;
    let plane = target.roles.admin_paths.iter().find(|plane| plain.path.starts_with(plane.as_str()));
    let plane = plane.map_or("/", String::as_str);
    let front =
        target.routes().into_iter().find(|route| route.auth == Auth::Public && !route.path.contains('{'));
    let front = front.map_or("/", |route| route.path.as_str());
    let mut ways = every_way(route, &plain, plane, front)?;
    if !all {
        ways.truncate(1);
    }
    Ok(ways)
}

/// Whether the route itself let somebody in; a 404 is held against what they are told where there is nothing.
async fn told_apart(
    probe: &mut Probe,
    target: &Target,
    entry: &Closed,
    answer: &Answer<'_, Try<'_>>,
    hidden: &mut standing::Nothing,
) -> Result<Got, Inconclusive> {
    let (route, seen) = (&entry.route, &answer.seen);
    let Some(asker) =
        answer.asker.filter(|_| answer.tag.how.is_empty() && standing::says_nothing_is_there(route, seen))
    else {
        return Ok(standing::got(route, seen));
    };
    let call = Call::by(target, &standing::nowhere(target, route), asker)?;
    standing::got_beside(seen, &entry.admin, hidden.told(probe, seen, call).await?)
}

/// What is wrong with an answer to somebody who must not use the route.
fn judge(
    entry: &Closed,
    answer: &Answer<'_, Try<'_>>,
    got: Got,
    own_words: &[&str],
    nothing: Option<&Nothing>,
) -> Result<Option<String>, Inconclusive> {
    let Closed { route, admin, marks } = entry;
    let (seen, how) = (&answer.seen, &answer.tag.how);
    let written = if how.is_empty() { String::new() } else { format!(" {how}") };
    let asked = format!("`{}` asked{written}", answer.who());
    if let Some(data) = told(marks, seen, own_words) {
        return Ok(Some(format!(
            "{asked} and was answered {} with {} characters that only the administrator's answer holds",
            seen.says(),
            data.chars().count()
        )));
    }
    let page = matches!(seen.kind(), Kind::SignIn | Kind::Shell | Kind::Html | Kind::Firewall);
    // An application that runs in the browser is sent for paths at which there is nothing too.
    let shell = page
        && nothing.is_some_and(|Nothing { outside, .. }| {
            outside.status == seen.status
                && gist(&outside.body) == gist(&seen.body)
                && gist(&outside.body) != gist(&admin.body)
        });
    // Where a thing that is not there is not found for the administrator either, the words tell.
    let as_unknown = nothing.is_some_and(|Nothing { inside, .. }| standing::is_alike(inside, admin));
    if how.is_empty() {
        return match got {
            Got::Reached if shell => Ok(None),
            Got::Reached => Ok(Some(format!("{asked} and was answered {}", seen.says()))),
            Got::Refused => Ok(None),
            Got::Unclear => Err(Inconclusive::because(standing::unclear(seen))),
        };
    }
    if answer.tag.shows == Shows::Data {
        return Ok(None);
    }
    let success = seen.status.is_success() && !shell && !(page && admin.kind() == Kind::Json);
    let declared = route.succeeds_with == Some(seen.status.as_u16()) && !as_unknown;
    let same = gist(&seen.body) == gist(&admin.body);
    if success || declared && same && seen.status != StatusCode::NOT_ACCEPTABLE {
        return Ok(Some(format!("{asked} and was answered {}", seen.says())));
    }
    // What names whoever asked differs from what administrators are told, and says the same.
    // Where a path with nothing is answered by a page, nothing tells what a missing thing is not told in.
    let own = nothing.filter(|Nothing { inside, .. }| inside.status == seen.status);
    let own = own.map(|Nothing { inside, .. }| gist(&inside.body));
    let (wanted, said) = (gist(&admin.body), gist(&seen.body));
    let (told, lacking): (Vec<&String>, Vec<&String>) =
        wanted.keys().partition(|word| said.contains_key(*word));
    let is_named =
        lacking.len() <= 1 && own.is_some_and(|own| told.iter().any(|word| !own.contains_key(*word)));
    if declared && !same && seen.status == StatusCode::NOT_FOUND && is_named {
        return Err(Inconclusive::because(format!(
            "{asked} for {} and was answered in words of the administrator's answer that no path without a route is answered in, \
             so nothing shows whether they got in: let its [[route]] ask for something else",
            route.line()
        )));
    }
    Ok(None)
}

/// A text of the administrator's answer that stands in another one, and neither in its request nor in what everyone gets.
fn told<'m>(marks: &'m BTreeSet<String>, seen: &Seen, own_words: &[&str]) -> Option<&'m str> {
    let headers =
        seen.headers.iter().map(|(_, value)| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let texts: Vec<String> = headers.chain([seen.body.clone()]).collect();
    let asked = seen.request_line();
    let found = marks.iter().find(|mark| {
        texts.iter().any(|text| text.contains(mark.as_str()))
            && !asked.contains(&encode(mark))
            && !asked.contains(mark.as_str())
            && !own_words.iter().any(|words| words.contains(mark.as_str()))
    });
    found.map(String::as_str)
}
