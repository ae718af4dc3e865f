//! AUTH-05.

use super::protected;
use crate::check::{cases, check};
use crate::checks::canary::{self, Answer, Crew, Errand, Leaks, Mark, Way};
use crate::checks::deployment;
use crate::outcome::{Coverage, Finding, Inconclusive, PositiveControl, Verdict};
use crate::probe::{Call, Probe};
use crate::target::{Audience, Canary, Identity, State, Target};

check! {
    /// ## What it checks
    /// Asks every route that searches, and every route that reads a document which a citation names, for canaries: random
    /// texts in one space each. Whoever may read the space must find every one. The same requests by nobody, by a member
    /// of each other community and by a member whose payment has ended must bring neither the text nor the document's id
    /// nor its title, in the body or in a header.
    /// ## Why it matters
    /// Search and citations reach content past the pages that guard it: a snippet is as good as the post it comes from.
    /// ## How to fix
    /// Decide access inside the query that finds the chunks, by the entitlements of this request's credential, and look
    /// them up on every request. Filtering hits afterwards forgets snippets, totals and the document route.
    /// ## Limits
    /// It asks with canaries that the target file names and the routes that hold `{{query}}` or `{{document}}`; numbers
    /// such as totals and scores are compared by TEN-02. A lapsed member is asked for spaces of the plans they had. That
    /// access ends in time after a payment fails is for AUTH-06.
    id: "AUTH-05", title: "Search results need entitlement",
    area: Auth, severity: Critical, since: "0.1.0",
    needs: [Canaries], touches: Nothing,
    maps: ["API1:2023 Broken Object Level Authorization", "LLM08:2025 Vector and Embedding Weaknesses"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: [
        "lapsed-keeps-plan",
        "search-open-to-strangers",
        "search-falls-back-to-all",
        "search-ignores-spaces",
        "documents-ignore-spaces",
        "documents-of-all-workspaces",
        "error-names-foreign-title",
    ],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man", "echo", "spa-shell"],
}

/// Who must not find anything, in the order of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stranger {
    Nobody,
    OtherCommunity,
    Lapsed,
}

impl Stranger {
    const fn words(self) -> &'static str {
        match self {
            Self::Nobody => "nobody in particular",
            Self::OtherCommunity => "a member of another community",
            Self::Lapsed => "a member whose payment has ended",
        }
    }
}

/// One look at one canary through one route.
#[derive(Debug, Clone, Copy)]
struct Look<'a> {
    canary: &'a Canary,
    /// The owner when none.
    by: Option<Stranger>,
}

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    let mut doubts = Vec::new();
    deployment::tells_members_from_strangers(probe).await?;
    let ways = canary::ways(probe, &target, &mut doubts);
    let mut crew = Crew::of(&target);

    let owners = looks(&target, &ways, &mut doubts);
    let looks = owners.len();
    let found = crew.ask(probe, owners).await?;
    let mut controls = Vec::new();
    for answer in &found {
        match shown_to_owner(answer) {
            Ok(control) => controls.push(control),
            Err(why) => doubts.push(why.reason().to_owned()),
        }
    }
    if controls.is_empty() {
        let why = doubts.into_iter().next_back().unwrap_or_else(|| "no canary can be looked for".to_owned());
        return Err(Inconclusive::because(why));
    }

    let lapsed = lapsed(probe, &target, &ways, &mut doubts).await?;
    let mut errands = Vec::new();
    for canary in &target.canaries {
        for way in &ways {
            let mut strangers = vec![(Stranger::Nobody, Vec::new())];
            let others = canary::outsiders(&target, canary).into_iter();
            strangers.extend(others.map(|outsiders| (Stranger::OtherCommunity, outsiders)));
            let lapsed = lapsed.iter().filter(|identity| had(identity, canary));
            strangers.extend(lapsed.map(|identity| (Stranger::Lapsed, vec![*identity])));
            for (by, askers) in strangers {
                errands.extend(way.errands(&target, canary, &askers, &Look { canary, by: Some(by) }));
            }
        }
    }
    let answers = crew.ask(probe, errands).await?;
    for answer in &answers {
        // A lapsed member may be refused; a member of another community who is not let in shows nothing.
        doubts.extend(match answer.tag.by {
            Some(Stranger::OtherCommunity) => canary::shows_nothing_of_a_member(&answer.seen),
            _ => canary::shows_nothing(&answer.seen),
        });
    }
    let findings = findings(&answers);
    Verdict::settle(probe.evidence(), findings, &doubts, || {
        let what = format!(
            "looks for canaries by search and by id find them for owners and for nobody else ({} by strangers)",
            answers.len()
        );
        let coverage = Coverage::complete(controls.len(), looks, what)?;
        Ok((
            coverage,
            PositiveControl::all(controls, "whoever may read a space finds its canary by each route")?,
        ))
    })
}

/// What the owner of each canary asks.
fn looks<'t>(target: &'t Target, ways: &[Way], doubts: &mut Vec<String>) -> Vec<Errand<'t, Look<'t>>> {
    let mut errands = Vec::new();
    for canary in &target.canaries {
        let owners = canary::owners(target, canary);
        if owners.is_empty() {
            doubts.push(format!("no working identity may read {}: add one to target.toml", canary.place()));
            continue;
        }
        for way in ways {
            let sent = way.errands(target, canary, &owners, &Look { canary, by: None });
            if sent.is_empty() {
                doubts.push(format!(
                    "the id of the document in {} is not known: add `document` to its [[canary]]",
                    canary.place()
                ));
            }
            errands.extend(sent);
        }
    }
    errands
}

fn shown_to_owner(answer: &Answer<'_, Look<'_>>) -> Result<PositiveControl, Inconclusive> {
    let Look { canary, .. } = answer.tag;
    let control =
        PositiveControl::from_success(&answer.seen, format!("{} as `{}`", answer.line, answer.who()))?;
    if answer.tells_text(&Mark::of(canary)).is_none() {
        return Err(Inconclusive::because(format!(
            "`{}` may read {} and does not find its canary by {}: wait until it is indexed, or correct topic, text and \
             document in target.toml",
            answer.who(),
            canary.place(),
            answer.line
        )));
    }
    Ok(control)
}

fn had(identity: &Identity, canary: &Canary) -> bool {
    let Audience::Plans(plans) = &canary.audience else { return false };
    identity.community == canary.community && plans.iter().any(|plan| identity.plans.contains(plan))
}

/// The lapsed members whose credentials are shown to be known to the target: a made-up one is refused in another way.
async fn lapsed<'t>(
    probe: &mut Probe,
    target: &'t Target,
    ways: &[Way],
    doubts: &mut Vec<String>,
) -> Result<Vec<&'t Identity>, Inconclusive> {
    let named = target.identities.iter().filter(|identity| identity.state == State::Lapsed);
    let named: Vec<&Identity> =
        named.filter(|identity| target.canaries.iter().any(|canary| had(identity, canary))).collect();
    if named.is_empty() {
        match target.lacks("lapsed") {
            Some(lacks) => {
                let said = format!("declared absent by {}: {}", lacks.approver, lacks.reason);
                probe.observe("a member whose payment has ended", &said);
            }
            None => doubts.push(
                "no member whose payment for a canary's space has ended: add an [[identity]] with `lapsed = true` and the \
                 plan they had to target.toml, or declare that payments do not end"
                    .to_owned(),
            ),
        }
    }
    let mut known = Vec::new();
    for identity in named {
        if is_known(probe, target, ways, identity).await? {
            known.push(identity);
        } else {
            doubts.push(format!(
                "`{}` is refused like a credential that never was, so nothing shows that their payment is the reason",
                identity.name
            ));
        }
    }
    Ok(known)
}

/// Whether some route answers this member, or refuses them in another way than a made-up credential.
async fn is_known(
    probe: &mut Probe,
    target: &Target,
    ways: &[Way],
    identity: &Identity,
) -> Result<bool, Inconclusive> {
    let Some(canary) = target.canaries.iter().find(|canary| had(identity, canary)) else { return Ok(false) };
    for errand in ways.iter().flat_map(|way| way.errands(target, canary, &[identity], &())) {
        let call = Call::filled(&errand.route, &errand.values.unwrap_or_default())?;
        let own = probe.send(call.clone().with(&identity.credential, &identity.name)).await?;
        let broken = protected::malformed(identity.credential.secret().expose());
        probe.keep_secret(&broken);
        let label = format!("{}, malformed", identity.name);
        let unknown = probe.send(call.with(&identity.credential.with_secret(broken), &label)).await?;
        let refused_otherwise = matches!(own.status.as_u16(), 402 | 403) && own.status != unknown.status;
        if own.status.is_success() && own.must_be_the_application().is_ok() || refused_otherwise {
            return Ok(true);
        }
    }
    Ok(false)
}

/// One finding for each route and kind of stranger.
fn findings(answers: &[Answer<'_, Look<'_>>]) -> Vec<Finding> {
    let mut leaks = Leaks::none();
    for answer in answers {
        let Look { canary, by: Some(by) } = answer.tag else { continue };
        if let Some(what) = answer.tells_anything(&Mark::of(canary)) {
            let said = format!("{what} of a document in {}", canary.place());
            leaks.add((&answer.line, by), answer.seen.number(), said);
        }
    }
    leaks.into_findings(|(line, by), first| {
        let fix = match by {
            Stranger::Nobody => format!("require a valid session before the handler of {line} runs"),
            Stranger::OtherCommunity => {
                format!("take the community from the credential and put it into the query behind {line}")
            }
            Stranger::Lapsed => format!(
                "put the spaces that this request's entitlements open into the query behind {line}; an entitlement whose \
                 end has passed opens none"
            ),
        };
        (format!("{line} gave {} {first}", by.words()), fix)
    })
}
