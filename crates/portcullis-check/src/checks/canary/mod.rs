//! What the checks share that look for canaries: how one is recognised, how it is asked for, and by whom.
//!
//! It finds and asks; whether a find is right or wrong is the checks' to say.

mod crew;
mod decode;
mod fold;
mod leaks;
mod mark;
mod prompts;
mod ways;
mod wire;

pub(super) use crew::{Answer, Crew, Errand};
pub(super) use leaks::Leaks;
pub(super) use mark::Mark;
pub(super) use prompts::{Manner, few, prompts};
pub(super) use ways::{Way, ways};
pub(super) use wire::Wire;

use std::collections::BTreeMap;

use http::StatusCode;

use crate::classify::Kind;
use crate::probe::Seen;
use crate::target::{Auth, Canary, DOCUMENT, Effect, Identity, Purpose, QUERY, Route, Target};

/// Working identities that are not set aside for something.
pub(super) fn askers(target: &Target) -> Vec<&Identity> {
    target.valid().into_iter().filter(|identity| identity.purpose == Purpose::Any).collect()
}

/// Those who may read a canary.
pub(super) fn owners<'t>(target: &'t Target, canary: &Canary) -> Vec<&'t Identity> {
    askers(target).into_iter().filter(|identity| canary.opens_to(identity)).collect()
}

/// Those of each other community.
pub(super) fn outsiders<'t>(target: &'t Target, canary: &Canary) -> Vec<Vec<&'t Identity>> {
    let mut by_community: BTreeMap<&str, Vec<&Identity>> = BTreeMap::new();
    for identity in askers(target).into_iter().filter(|identity| identity.community != canary.community) {
        by_community.entry(&identity.community).or_default().push(identity);
    }
    by_community.into_values().collect()
}

/// Why an answer shows nothing, if it does not: something in front of the application gave it, or the application broke.
pub(super) fn shows_nothing(seen: &Seen) -> Option<String> {
    (seen.kind() == Kind::Firewall || seen.status.is_server_error()).then(|| unclear(seen))
}

/// The same for someone whose credential must work: that it is not known shows nothing either.
pub(super) fn shows_nothing_of_a_member(seen: &Seen) -> Option<String> {
    let unknown =
        seen.status == StatusCode::UNAUTHORIZED || matches!(seen.kind(), Kind::SignIn | Kind::Redirect);
    shows_nothing(seen).or_else(|| unknown.then(|| unclear(seen)))
}

fn unclear(seen: &Seen) -> String {
    format!(
        "{} as `{}` was answered {}, an answer by the application was wanted",
        seen.request_line(),
        seen.credential(),
        seen.says()
    )
}

/// One identity of each community, the first.
pub(super) fn one_of_each_community(target: &Target) -> Vec<&Identity> {
    let mut first: Vec<&Identity> = Vec::new();
    for identity in askers(target) {
        if !first.iter().any(|known| known.community == identity.community) {
            first.push(identity);
        }
    }
    first
}

/// Protected routes that only read and that this identity may use, beside the chat and the ways to content.
pub(super) fn plain_routes(target: &Target, identity: &Identity) -> Vec<Route> {
    let routes = target.routes().into_iter().filter(|route| {
        route.auth == Auth::Required
            && route.effect == Effect::Reads
            && !route.is_same(&target.chat.route)
            && !route.holds(QUERY)
            && !route.holds(DOCUMENT)
            && route.identity.as_ref().is_none_or(|name| *name == identity.name)
    });
    routes.cloned().collect()
}
