//! TEN-05.

use std::collections::BTreeSet;

use http::header::COOKIE;
use serde_json::Value;

use crate::check::{cases, check};
use crate::checks::deployment;
use crate::classify::Kind;
use crate::outcome::{Coverage, Finding, Findings, Inconclusive, Verdict};
use crate::probe::{Call, Probe, Seen};
use crate::target::{Identity, Route, Target, encode};

check! {
    /// ## What it checks
    /// As a member of one community it asks every protected route that reads, the chat included, with the id of another
    /// community: in the path, in query parameters, in headers, in cookies and in the JSON body, under the usual names and
    /// those the target declares; and with the ids of the other community's objects where the target names them. Nothing that only the other community gets may come back. A route counts only when its
    /// answer differs between the communities in a way that stays the same when asked again.
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
    /// A mark that the answer holds.
    fn found_in(&self, seen: &Seen) -> bool {
        let pieces = pieces(seen);
        self.marks
            .iter()
            .any(|mark| pieces.contains(mark) || mark.chars().count() >= 12 && seen.body.contains(mark))
    }
}

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    let control = deployment::tells_members_from_strangers(probe).await?;
    let routes = deployment::readable(&target);
    let mut findings = probe.findings();
    let mut doubts = Vec::new();
    let mut sensitive = 0;
    let mut shared = 0;
    let mut silent = 0;
    for route in &routes {
        if silent >= 2 {
            doubts.push("the target stopped answering".to_owned());
            break;
        }
        match judge_route(probe, &target, route, &mut findings, &mut doubts).await {
            Ok(Sensitivity::Differs) => sensitive += 1,
            Ok(Sensitivity::Same) if route.shared => shared += 1,
            Ok(Sensitivity::Same) => doubts.push(format!(
                "{} answers both communities alike, so swapping ids shows nothing there: put content into both, or mark \
                 its [[route]] `shared = true`",
                route.line()
            )),
            Err(why) => {
                silent += usize::from(why.reason().contains("got no answer"));
                doubts.push(why.reason().to_owned());
            }
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

enum Sensitivity {
    Differs,
    Same,
}

/// The two members that ask a route: the one whom [`deployment::asker`] names, and one of the same role elsewhere.
fn askers<'t>(probe: &Probe, target: &'t Target, route: &Route) -> Option<(&'t Identity, &'t Identity)> {
    let asker = deployment::asker(probe, target, route)?;
    let valid = target.valid();
    let elsewhere = || valid.iter().filter(|identity| identity.community != asker.community);
    let owner = elsewhere().find(|identity| identity.role == asker.role).or_else(|| elsewhere().next())?;
    Some((asker, owner))
}

async fn judge_route(
    probe: &mut Probe,
    target: &Target,
    route: &Route,
    findings: &mut Findings,
    doubts: &mut Vec<String>,
) -> Result<Sensitivity, Inconclusive> {
    let (asker, owner) = askers(probe, target, route).ok_or_else(|| {
        Inconclusive::because(format!("no identities of two communities may use {}", route.line()))
    })?;
    let mut own = BTreeSet::new();
    let mut own_text = String::new();
    let mut marks: Option<BTreeSet<String>> = None;
    for _ in 0..2 {
        let seen = answered(probe, Call::by(target, route, asker)?).await?;
        own.extend(pieces(&seen));
        own_text.push_str(&seen.body);
        let seen = answered(probe, Call::by(target, route, owner)?).await?;
        let mut pieces = pieces(&seen);
        let canaries = target.canaries_of(&owner.community).map(|canary| &canary.text);
        // A canary counts only where the owner sees it.
        pieces.extend(canaries.filter(|text| seen.body.contains(text.as_str())).cloned());
        marks = Some(
            marks.map_or_else(|| pieces.clone(), |before| before.intersection(&pieces).cloned().collect()),
        );
    }
    let id = target.community_id(&owner.community);
    let mut marks = marks.unwrap_or_default();
    // What the request itself says may come back in any answer.
    let mut sent: Vec<String> = target.values(&owner.community).into_values().collect();
    sent.push(owner.community.clone());
    marks.retain(|mark| {
        !own.contains(mark)
            && !own_text.contains(mark.as_str())
            && !sent.iter().any(|sent| mark.contains(sent.as_str()))
            && *mark != target.tenancy.question
    });
    if marks.is_empty() {
        return Ok(Sensitivity::Same);
    }
    let foreign = Foreign { marks };
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
        // One unknown name can make the whole request refused, and hide a known one.
        if seen.status.is_success() && !foreign.found_in(&seen) {
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
    Ok(Sensitivity::Differs)
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

/// What an answer says, in pieces that can be compared: JSON texts cut into sentences, or the lines of a text.
fn pieces(seen: &Seen) -> BTreeSet<String> {
    let mut pieces = BTreeSet::new();
    match seen.json() {
        Some(value) => collect(&value, &mut pieces),
        None => cut(&seen.body, &mut pieces),
    }
    pieces
}

fn collect(value: &Value, pieces: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            if text.chars().count() >= 6 {
                pieces.insert(text.clone());
            }
            cut(text, pieces);
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, pieces)),
        Value::Object(map) => map.values().for_each(|item| collect(item, pieces)),
        _ => {}
    }
}

fn cut(text: &str, pieces: &mut BTreeSet<String>) {
    let parts = text.split(['\n', '.', '!', '?', ';']).map(str::trim);
    pieces.extend(parts.filter(|part| part.chars().count() >= 12).map(str::to_owned));
}
