//! TEN-05.

use std::collections::BTreeSet;

use http::header::COOKIE;
use serde_json::Value;

use crate::check::{cases, check};
use crate::checks::deployment;
use crate::checks::saying::Pieces;
use crate::classify::Kind;
use crate::outcome::{Coverage, Finding, Findings, Inconclusive, Verdict};
use crate::probe::{Call, Probe, Seen};
use crate::target::{Identity, Route, Target, encode};

check! {
    /// ## What it checks
    /// As a member of one community it asks every protected route that reads, the chat included, with the id of another
    /// community: in the path, in query parameters, in headers, in cookies and in the JSON body, under the usual names and
    /// those the target declares; and with the ids of the other community's objects where the target names them. Nothing that
    /// only the other community gets may come back. A route counts only when its answer differs between the communities in a
    /// way that stays the same when asked again, and in more than how it calls whoever asks: by what another member gets too, or by
    /// what it lists.
    /// ## Why it matters
    /// A server that takes the community from the request instead of the session hands every community to every member.
    /// ## How to fix
    /// Take the community from the credential alone. Where an id stands in the path, compare it with the credential's and
    /// answer 403 or 404. Drop or refuse the parameter everywhere else, and scope the query in the store.
    /// ## Limits
    /// Routes that only write are not asked (TEN-06, AUTH-04). Names that are neither usual nor declared are not tried, nor
    /// are WebSockets. A route marked `shared` is compared, but need not differ. A model that paraphrases may carry content
    /// past the comparison: TEN-01 asks with canaries.
    id: "TEN-05", title: "Community ids from the client are ignored",
    area: Tenancy, severity: Critical, since: "0.1.0",
    needs: [TwoCommunities, Routes], touches: Nothing,
    maps: ["API1:2023 Broken Object Level Authorization"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: [
        "honours-workspace-query",
        "honours-workspace-header",
        "honours-workspace-body",
        "honours-workspace-cookie",
        "honours-workspace-path",
        "filter-hides-honoured-workspace",
        "documents-of-all-workspaces",
        "error-names-foreign-title",
    ],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man", "echo", "spa-shell", "conversation-list-of-all"],
}

/// Names under which clients send the id of a community.
const NAMES: &[&str] = &[
    "workspace",
    "workspace_id",
    "workspaceId",
    "tenant",
    "tenant_id",
    "tenantId",
    "community",
    "community_id",
    "communityId",
    "org",
    "org_id",
    "organization_id",
    "team_id",
    "account_id",
    "group_id",
];
const HEADERS: &[&str] = &[
    "X-Workspace",
    "X-Workspace-Id",
    "X-Tenant",
    "X-Tenant-Id",
    "X-Community",
    "X-Community-Id",
    "X-Org-Id",
    "X-Organization-Id",
    "X-Account-Id",
];

/// Where a request can carry an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carrier {
    Query,
    Header,
    Cookie,
    Body,
}

impl Carrier {
    const ALL: [Self; 4] = [Self::Query, Self::Header, Self::Cookie, Self::Body];

    const fn word(self) -> &'static str {
        match self {
            Self::Query => "query parameter",
            Self::Header => "header",
            Self::Cookie => "cookie",
            Self::Body => "body member",
        }
    }
}

/// What the other community gets and the asker must not, for one route.
struct Foreign {
    marks: BTreeSet<String>,
}

impl Foreign {
    /// Whether the answer holds a mark.
    fn found_in(&self, seen: &Seen) -> bool {
        let pieces = Pieces::of(seen);
        self.marks.iter().any(|mark| holds(seen, &pieces, mark))
    }

    /// What of it is not in that answer.
    fn without(&self, seen: &Seen) -> Self {
        let pieces = Pieces::of(seen);
        Self { marks: self.marks.iter().filter(|mark| !holds(seen, &pieces, mark)).cloned().collect() }
    }
}

fn holds(seen: &Seen, pieces: &Pieces, mark: &str) -> bool {
    pieces.contains(mark) || mark.chars().count() >= 12 && seen.body.contains(mark)
}

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    let control = deployment::tells_members_from_strangers(probe).await?;
    let routes = deployment::readable(&target);
    let mut findings = probe.findings();
    let mut doubts = Vec::new();
    let mut baselines = Vec::new();
    let mut silent = 0;
    for route in &routes {
        if silent >= 2 {
            doubts.push("the target stopped answering".to_owned());
            break;
        }
        match baseline(probe, &target, route).await {
            Ok(baseline) => baselines.push(baseline),
            Err(why) => {
                silent += usize::from(why.reason().contains("got no answer"));
                doubts.push(why.reason().to_owned());
            }
        }
    }
    let (mut sensitive, mut shared) = (0, 0);
    for baseline in &baselines {
        if silent >= 2 {
            break;
        }
        let left = match judge_route(probe, &target, baseline, &mut findings, &mut doubts).await {
            Ok(left) => left,
            Err(why) => {
                silent += usize::from(why.reason().contains("got no answer"));
                doubts.push(why.reason().to_owned());
                continue;
            }
        };
        if baseline.has_content(&left, &baselines) {
            sensitive += 1;
        } else if baseline.route.shared {
            shared += 1;
        } else {
            doubts.push(format!(
                "{} answers both communities alike, names of who asks aside, so swapping ids shows nothing there: put content \
                 into both, or mark its [[route]] `shared = true`",
                baseline.route.line()
            ));
        }
    }
    Verdict::settle(probe.evidence(), findings, &doubts, || {
        if sensitive == 0 {
            return Err(Inconclusive::because("no route answers the two communities differently"));
        }
        let what = format!("protected routes that read ignore foreign ids ({sensitive} differ by community)");
        Ok((Coverage::complete(sensitive + shared, routes.len(), what)?, control))
    })
}

/// What one route answers to its own members.
struct Baseline<'t> {
    route: &'t Route,
    asker: &'t Identity,
    owner: &'t Identity,
    /// What the asker gets each time.
    own: BTreeSet<String>,
    foreign: Foreign,
    /// What the owner gets.
    owners: Pieces,
    /// What of it another member of the owner's community gets, where there is one who is answered.
    common: Option<BTreeSet<String>>,
}

impl Baseline<'_> {
    /// Whether something of this that the owner gets is their community's, or something of their own: names of whoever asks, which stand
    /// beside what is listed and in many answers, are neither.
    fn has_content(&self, foreign: &Foreign, all: &[Self]) -> bool {
        let mut marks = foreign.marks.iter();
        marks.any(|mark| match &self.common {
            Some(common) if common.contains(mark) => true,
            Some(_) if !self.owners.lists(mark) => false,
            _ => *mark != self.owner.name && *mark != self.owner.user && !self.repeats(mark, all),
        })
    }

    /// Whether it stands beside what is listed in two of the owner's answers, or in most pages.
    fn repeats(&self, mark: &str, all: &[Self]) -> bool {
        let alike = |other: &&Self| {
            other.owner.name == self.owner.name && other.owners.is_text == self.owners.is_text
        };
        let times = all.iter().filter(alike).filter(|other| other.owners.puts_beside(mark)).count();
        times > 1 && (!self.owners.is_text || times * 2 > all.iter().filter(alike).count())
    }
}

/// The two members that ask a route: the one whom [`deployment::asker`] names, and one of the same role elsewhere.
fn askers<'t>(probe: &Probe, target: &'t Target, route: &Route) -> Option<(&'t Identity, &'t Identity)> {
    let asker = deployment::asker(probe, target, route)?;
    let valid = target.valid();
    let elsewhere = || valid.iter().filter(|identity| identity.community != asker.community);
    let owner = elsewhere().find(|identity| identity.role == asker.role).or_else(|| elsewhere().next())?;
    Some((asker, owner))
}

async fn baseline<'t>(
    probe: &mut Probe,
    target: &'t Target,
    route: &'t Route,
) -> Result<Baseline<'t>, Inconclusive> {
    let (asker, owner) = askers(probe, target, route).ok_or_else(|| {
        Inconclusive::because(format!("no identities of two communities may use {}", route.line()))
    })?;
    let mut said = BTreeSet::new();
    let mut said_text = String::new();
    let mut own: Option<BTreeSet<String>> = None;
    let mut owners = Pieces::default();
    let mut marks: Option<BTreeSet<String>> = None;
    let both = |before: Option<BTreeSet<String>>, now: BTreeSet<String>| match before {
        Some(before) => before.intersection(&now).cloned().collect(),
        None => now,
    };
    for _ in 0..2 {
        let seen = answered(probe, Call::by(target, route, asker)?).await?;
        let pieces = Pieces::of(&seen).all();
        said.extend(pieces.iter().cloned());
        said_text.push_str(&seen.body);
        own = Some(both(own, pieces));
        let seen = answered(probe, Call::by(target, route, owner)?).await?;
        owners = Pieces::of(&seen);
        let mut pieces = owners.all();
        let canaries = target.canaries_of(&owner.community).map(|canary| &canary.text);
        // A canary counts only where the owner sees it.
        pieces.extend(canaries.filter(|text| seen.body.contains(text.as_str())).cloned());
        marks = Some(both(marks, pieces));
    }
    let mut marks = marks.unwrap_or_default();
    // What the request itself says may come back in any answer.
    let mut sent: Vec<String> = target.values(&owner.community).into_values().collect();
    sent.push(owner.community.clone());
    marks.retain(|mark| {
        !said.contains(mark)
            && !said_text.contains(mark.as_str())
            && !sent.iter().any(|sent| mark.contains(sent.as_str()))
            && !target.tenancy.question.contains(mark.as_str())
    });
    let common = match neighbour(probe, target, owner) {
        Some(neighbour) if !marks.is_empty() => {
            let seen = probe.send(Call::by(target, route, neighbour)?).await?;
            let pieces = Pieces::of(&seen);
            let is_common = |mark: &&String| pieces.contains(mark) || seen.body.contains(mark.as_str());
            seen.status.is_success().then(|| marks.iter().filter(is_common).cloned().collect())
        }
        _ => None,
    };
    let own = own.unwrap_or_default();
    Ok(Baseline { route, asker, owner, own, foreign: Foreign { marks }, owners, common })
}

/// Another member who may do what this one may, whoever was used least.
fn neighbour<'t>(probe: &Probe, target: &'t Target, owner: &'t Identity) -> Option<&'t Identity> {
    let peers = target.peers(owner).into_iter().filter(|peer| peer.user != owner.user);
    peers.min_by_key(|peer| (target.is_spared(peer), probe.sent_lately(peer)))
}

/// What was looked for comes back: what only the other community gets still.
async fn judge_route(
    probe: &mut Probe,
    target: &Target,
    baseline: &Baseline<'_>,
    findings: &mut Findings,
    doubts: &mut Vec<String>,
) -> Result<Foreign, Inconclusive> {
    let Baseline { route, asker, owner, .. } = baseline;
    if baseline.foreign.marks.is_empty() {
        return Ok(Foreign { marks: BTreeSet::new() });
    }
    let id = target.community_id(&owner.community);
    // All routes were asked by now, the chat too: what was asked there may stand in the asker's own history.
    let now = answered(probe, Call::by(target, route, asker)?).await?;
    let foreign = baseline.foreign.without(&now);
    if foreign.marks.is_empty() {
        doubts.push(format!(
            "{} told its own member what only the other community was told before",
            route.line()
        ));
        return Ok(foreign);
    }
    let now = Pieces::of(&now);
    // Where one thing is asked for by its id, all of it is content, though lists in it may be empty.
    let is_thing = route.path.ends_with('}');
    let shows =
        |said: &Pieces, piece: &String| if is_thing { said.contains(piece) } else { said.shows(piece) };
    let own: Vec<&String> = baseline.own.iter().filter(|piece| shows(&now, piece)).collect();
    if route.carries_community() {
        let call = Call::to(target, route, &owner.community)?.with(&asker.credential, &asker.name);
        let seen = probe.send(call).await?;
        doubt_if_not_the_application(&seen, doubts);
        if foreign.found_in(&seen) {
            findings.push(
                Finding::new(
                    format!(
                        "{} answered `{}` of {} with content of {} when its id was swapped",
                        route.line(),
                        asker.name,
                        asker.community,
                        owner.community
                    ),
                    format!(
                        "compare the id in {} with the community of the credential and answer 403 or 404",
                        route.line()
                    ),
                )
                .shown_by([seen.number()]),
            );
        }
    }
    for carrier in Carrier::ALL {
        if carrier == Carrier::Body && !route.body.as_ref().is_some_and(Value::is_object) {
            continue;
        }
        let base = Call::by(target, route, asker)?;
        let names = names(target, carrier);
        let all = names.iter().try_fold(base.clone(), |call, name| carry(call, carrier, name, id))?;
        let seen = probe.send(all).await?;
        doubt_if_not_the_application(&seen, doubts);
        // One unknown name can make the whole request refused, or filter everything out, and hide a known one.
        let said = Pieces::of(&seen);
        let as_ever = !own.is_empty() && own.iter().all(|piece| shows(&said, piece));
        if seen.status.is_success() && as_ever && !foreign.found_in(&seen) {
            continue;
        }
        let (together, number) = (foreign.found_in(&seen), seen.number());
        let before = findings.len();
        for name in &names {
            let seen = probe.send(carry(base.clone(), carrier, name, id)?).await?;
            doubt_if_not_the_application(&seen, doubts);
            if foreign.found_in(&seen) {
                findings.push(honoured(route, carrier, name, asker, owner).shown_by([seen.number()]));
            }
        }
        if together && findings.len() == before {
            findings.push(honoured(route, carrier, &names.join("`, `"), asker, owner).shown_by([number]));
        }
    }
    Ok(foreign)
}

fn honoured(route: &Route, carrier: Carrier, name: &str, asker: &Identity, owner: &Identity) -> Finding {
    Finding::new(
        format!(
            "{} honours the {} `{name}`: `{}` of {} got content of {}",
            route.line(),
            carrier.word(),
            asker.name,
            asker.community,
            owner.community
        ),
        format!(
            "take the community from the credential in {} and ignore or refuse the {} `{name}`",
            route.line(),
            carrier.word()
        ),
    )
}

fn doubt_if_not_the_application(seen: &Seen, doubts: &mut Vec<String>) {
    if seen.kind() == Kind::Firewall || seen.status.is_server_error() {
        doubts.push(format!(
            "{} answered {}, an answer by the application was wanted",
            seen.request_line(),
            seen.says()
        ));
    }
}

/// An answer to the rightful member; anything else shows nothing.
async fn answered(probe: &mut Probe, call: Call) -> Result<Seen, Inconclusive> {
    let seen = probe.send(call).await?;
    crate::outcome::PositiveControl::from_success(&seen, "the member's own answer")?;
    Ok(seen)
}

fn names(target: &Target, carrier: Carrier) -> Vec<String> {
    let usual = if carrier == Carrier::Header { HEADERS } else { NAMES };
    let mut names: Vec<String> = usual.iter().map(|name| (*name).to_owned()).collect();
    for declared in &target.tenancy.id_names {
        if !names.iter().any(|name| name.eq_ignore_ascii_case(declared)) {
            names.push(declared.clone());
        }
    }
    names
}

fn carry(call: Call, carrier: Carrier, name: &str, id: &str) -> Result<Call, Inconclusive> {
    match carrier {
        Carrier::Query => Ok(call.query(name, id)),
        Carrier::Header => call.header(&name.replace('_', "-"), id),
        Carrier::Body => Ok(call.body_member(name, id)),
        Carrier::Cookie => {
            let before = call.headers.get(COOKIE).and_then(|value| value.to_str().ok()).unwrap_or_default();
            let separator = if before.is_empty() { "" } else { "; " };
            let cookies = format!("{before}{separator}{name}={}", encode(id));
            let mut call = call;
            call.headers.remove(COOKIE);
            call.header("Cookie", &cookies)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use http::Method;
    use serde_json::{Value, json};

    use super::{Baseline, Foreign};
    use crate::checks::saying::Pieces;
    use crate::target::{Credential, Identity, Route};

    #[test]
    fn a_name_of_whoever_asks_is_no_content() {
        let route = Route::new(Method::GET, "/posts");
        let asker = Identity::new("alice", "harbour", Credential::bearer("x"));
        let owner = Identity::new("oren-ash", "orchard", Credential::bearer("y"));
        let baseline = |said: &Value, common: Option<&str>| {
            let owners = Pieces::of_json(said);
            let foreign = Foreign { marks: owners.all() };
            let common = common.map(|text| BTreeSet::from([text.to_owned()]));
            let own = BTreeSet::new();
            Baseline { route: &route, asker: &asker, owner: &owner, own, foreign, owners, common }
        };
        let empty = json!({ "viewer": "Oren Ash", "posts": [] });
        let board = json!({ "title": "The orchard's board", "posts": [] });
        let own = json!({ "viewer": "Oren Ash", "posts": [{ "text": "My ladder is broken." }] });
        let one = json!({ "post": "My ladder is broken." });
        // Beside another member's answer a name is nobody else's, and what is listed may be.
        let has_content =
            |baseline: &Baseline<'_>, all: &[Baseline<'_>]| baseline.has_content(&baseline.foreign, all);
        assert!(!has_content(&baseline(&empty, Some("")), &[]));
        assert!(has_content(&baseline(&board, Some("The orchard's board")), &[]));
        assert!(has_content(&baseline(&own, Some("")), &[]));
        // What the asker was told meanwhile is nobody's alone.
        let left = Foreign { marks: BTreeSet::from(["Oren Ash".to_owned()]) };
        assert!(!baseline(&own, Some("")).has_content(&left, &[]));
        // Without one a name is told by its place in other answers, or is the one of the target file.
        let all = [baseline(&empty, None), baseline(&own, None), baseline(&one, None)];
        assert_eq!(all.each_ref().map(|baseline| has_content(baseline, &all)), [false, true, true]);
        assert!(!has_content(&baseline(&json!({ "viewer": "oren-ash" }), None), &[]));
    }
}
