//! The protected routes, who may use them, and how they turn someone away.

use crate::checks::deployment;
use crate::jwt::Jwt;
use crate::outcome::{Inconclusive, PositiveControl};
use crate::probe::{Call, Probe, Seen};
use crate::target::{Auth, Effect, Identity, Route, RouteKind, Target};

/// Every protected route of the inventory.
pub(super) fn routes(target: &Target) -> Vec<Route> {
    let protected = target.routes().into_iter().filter(|route| route.auth == Auth::Required);
    protected
        .map(
            |route| {
                if route.is_same(&target.chat.route) { target.chat.asking("Hello") } else { route.clone() }
            },
        )
        .collect()
}

/// Why the list of routes may not be whole.
pub(super) fn inventory_doubts(target: &Target) -> Vec<String> {
    let mut doubts = target.inventory.gaps.clone();
    if target.inventory.confirmed_by().is_empty() {
        doubts.push(
            "nothing confirms that the list of routes is whole: add openapi, access_log or complete_by to [inventory] \
             in target.toml"
                .to_owned(),
        );
    }
    doubts
}

/// Records how many routes there are, and who says so.
pub(super) fn observe(probe: &mut Probe, target: &Target, routes: usize) {
    let confirmed = target.inventory.confirmed_by().join(" and ");
    probe.observe("the list of routes", &format!("{routes} protected routes, confirmed by {confirmed}"));
}

/// Why a route that changes something is not asked; none when it may be.
pub(super) fn doubt_if_it_writes(probe: &Probe, route: &Route) -> Option<String> {
    let held = route.effect == Effect::Writes && route.succeeds_with.is_none() && !probe.may_write();
    held.then(|| {
        format!(
            "{} was not asked because it writes: allow it with `--allow writes`, or give its [[route]] `effect = \
             \"reads\"` or `succeeds_with`",
            route.line()
        )
    })
}

/// The community whose id stands in a stranger's request: that of the identity which may use the route.
pub(super) fn home<'t>(target: &'t Target, route: &Route) -> &'t str {
    candidates(target, route).first().map_or("", |identity| identity.community.as_str())
}

fn candidates<'t>(target: &'t Target, route: &Route) -> Vec<&'t Identity> {
    let named = route.identity.as_ref();
    target.valid().into_iter().filter(|identity| named.is_none_or(|name| identity.name == *name)).collect()
}

/// The answer that a rightful member gets, by the first identity that gets it.
pub(super) async fn rightful(
    probe: &mut Probe,
    target: &Target,
    route: &Route,
) -> Result<(Seen, PositiveControl), Inconclusive> {
    let mut why = Inconclusive::because(format!("no working identity may use {}", route.line()));
    let mut candidates = candidates(target, route);
    // Of those who may do what the first one may, the one who was used least: nobody's limit is to be used up.
    if let (None, Some(first)) = (&route.identity, candidates.first().copied()) {
        candidates.sort_by_key(|other| {
            let peer = other.is_peer(first);
            (!peer, if peer { probe.sent_lately(other) } else { 0 })
        });
    }
    for identity in candidates {
        let seen = probe.send(Call::by(target, route, identity)?).await?;
        match shown(route, &seen, &identity.name) {
            Ok(control) => return Ok((seen, control)),
            Err(reason) if seen.refuses() => why = reason,
            Err(reason) => return Err(reason),
        }
    }
    Err(why)
}

/// The same, by whoever of those who may do the same was used least, so that nobody's limit is used up.
pub(super) async fn rightful_by_anyone(
    probe: &mut Probe,
    target: &Target,
    route: &Route,
) -> Result<PositiveControl, Inconclusive> {
    let peers = candidates(target, route).first().map(|first| target.peers(first)).unwrap_or_default();
    let asker =
        peers.into_iter().filter(|_| route.identity.is_none()).min_by_key(|peer| probe.sent_lately(peer));
    if let Some(asker) = asker {
        let seen = probe.send(Call::by(target, route, asker)?).await?;
        if !seen.refuses() {
            return shown(route, &seen, &asker.name);
        }
    }
    rightful(probe, target, route).await.map(|(_, control)| control)
}

/// That a rightful answer is one.
pub(super) fn shown(route: &Route, seen: &Seen, who: &str) -> Result<PositiveControl, Inconclusive> {
    let shown = format!("{} as `{who}`", route.line());
    match route.succeeds_with {
        Some(status) => PositiveControl::from_declared(seen, status, shown),
        None => PositiveControl::from_success(seen, shown),
    }
}

/// Whether a page sends a stranger to the page where people sign in.
pub(super) fn is_sent_to_sign_in(target: &Target, route: &Route, seen: &Seen) -> bool {
    matches!(route.kind, RouteKind::Page) && deployment::leads_to_sign_in(target, seen)
}

/// The credential with its proof damaged and its form kept.
pub(super) fn malformed(secret: &str) -> String {
    if let Some(jwt) = Jwt::parse(secret) {
        return jwt.with_random_signature();
    }
    let swapped = |c: char| match c {
        'a'..='y' | 'A'..='Y' | '0'..='8' => char::from_u32(u32::from(c) + 1).unwrap_or('x'),
        'z' => 'a',
        'Z' => 'A',
        '9' => '0',
        other => other,
    };
    let keep = secret.chars().count().saturating_sub(8);
    let damaged: String =
        secret.chars().enumerate().map(|(index, c)| if index < keep { c } else { swapped(c) }).collect();
    if damaged == secret { format!("{secret}x") } else { damaged }
}
