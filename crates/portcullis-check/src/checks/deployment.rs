//! A control that several checks share: the target itself is there, and tells members from strangers.
//!
//! A target that is down, that answers everyone alike or that repeats what it is told fails it.

use crate::classify::Kind;
use crate::outcome::{Inconclusive, PositiveControl};
use crate::probe::{Call, Probe, Seen};
use crate::target::{Auth, Chat, Effect, Identity, Route, RouteKind, Target};

/// Protected routes that only read, the chat last because it costs most.
pub(super) fn readable(target: &Target) -> Vec<Route> {
    let mut routes: Vec<Route> = target
        .routes()
        .into_iter()
        .filter(|route| route.auth == Auth::Required && route.effect == Effect::Reads)
        .cloned()
        .collect();
    routes.sort_by_key(|route| route.is_same(&target.chat.route));
    for route in &mut routes {
        if route.is_same(&target.chat.route) {
            *route = target.chat.asking(&target.tenancy.question);
        }
    }
    routes
}

/// Finds a protected route that a working identity reads and a stranger does not.
///
/// # Errors
/// When there is no such route.
pub(super) async fn tells_members_from_strangers(probe: &mut Probe) -> Result<PositiveControl, Inconclusive> {
    let target = probe.target();
    let mut why =
        Inconclusive::because("no protected route that only reads is known: add [[route]] to target.toml");
    for route in readable(&target) {
        let Some(identity) = asker(probe, &target, &route) else { continue };
        let member = probe.send(Call::by(&target, &route, identity)?).await?;
        let control = PositiveControl::from_success(
            &member,
            format!("{} answers `{}` and refuses strangers", route.line(), identity.name),
        );
        let control = match control {
            Ok(control) => control,
            Err(reason) => {
                why = reason;
                continue;
            }
        };
        let stranger = probe.send(Call::to(&target, &route, &identity.community)?).await?;
        if is_turned_away(&stranger) && stranger.body != member.body {
            return Ok(control);
        }
        why = Inconclusive::because(format!(
            "the target does not tell members from strangers: {} answered nobody {}",
            route.line(),
            stranger.says()
        ));
    }
    Err(why)
}

/// The one whom the route is for; else, of those who may do what the first may do, the one who was used least: everybody
/// has a limit of their own.
pub(super) fn asker<'t>(probe: &Probe, target: &'t Target, route: &Route) -> Option<&'t Identity> {
    let valid = target.valid();
    match &route.identity {
        Some(name) => valid.into_iter().find(|identity| identity.name == *name),
        None => target
            .peers(valid.first()?)
            .into_iter()
            .min_by_key(|peer| (target.is_spared(peer), probe.sent_lately(peer))),
    }
}

/// Whether it is known how an answer is asked for as a stream. Where it is not, somebody says that there is none, or that is a doubt.
pub(super) fn is_streamed(probe: &mut Probe, target: &Target, chat: &Chat, doubts: &mut Vec<String>) -> bool {
    if chat.stream.is_some() {
        return true;
    }
    match target.lacks("streaming") {
        Some(lacks) => {
            let said = format!("declared absent by {}: {}", lacks.approver, lacks.reason);
            probe.observe("an answer as a stream", &said);
        }
        None => doubts.push(
            "how an answer is streamed is not known: add `stream` to [chat] in target.toml, or declare that it is not"
                .to_owned(),
        ),
    }
    false
}

/// Whether somebody is sent to a page where people sign in.
pub(super) fn leads_to_sign_in(target: &Target, seen: &Seen) -> bool {
    if seen.kind() != Kind::Redirect {
        return false;
    }
    let place = seen.header("location");
    let base = target.base_url.to_string();
    let path = place.strip_prefix(base.trim_end_matches('/')).unwrap_or(place);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    target.routes().iter().any(|route| route.kind == RouteKind::Login && route.path == path)
}

/// Refused, or sent to sign in.
pub(super) fn is_turned_away(seen: &Seen) -> bool {
    seen.refuses() || matches!(seen.kind(), Kind::Redirect | Kind::SignIn)
}
