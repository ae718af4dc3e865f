//! Whether somebody got what a route is for, and the requests that exercise a permission.
//!
//! Three answers, not two: what is neither reached nor refused shows nothing, and a check that meets it says so.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use serde_json::Value;

use super::canary::{Answer, Crew, Errand};
use super::deployment;
use super::saying::gist;
use crate::classify::Kind;
use crate::outcome::{Inconclusive, PositiveControl};
use crate::probe::{Call, Probe, Seen};
use crate::target::{Exercise, Route, Target};

/// Shorter texts stand in answers by chance.
const SHORTEST_TEXT: usize = 8;

/// How a request was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Got {
    /// The route did what it is for.
    Reached,
    /// The application refused.
    Refused,
    /// Neither can be said.
    Unclear,
}

/// Judges an answer to a route's own request.
pub(super) fn got(route: &Route, seen: &Seen) -> Got {
    let status = seen.status.as_u16();
    match seen.kind() {
        Kind::Firewall => return Got::Unclear,
        // Whoever gets this with a working credential was not let in; with status 200 nothing is refused either.
        Kind::SignIn if seen.status.is_success() => return Got::Unclear,
        _ => {}
    }
    if route.succeeds_with == Some(status) || seen.status.is_success() {
        return Got::Reached;
    }
    if deployment::is_turned_away(seen) || status == 404 { Got::Refused } else { Got::Unclear }
}

/// Whether an answer shows that its route was reached by a thing that is not there, which a plane that is hidden says too.
pub(super) fn says_nothing_is_there(route: &Route, seen: &Seen) -> bool {
    seen.status == StatusCode::NOT_FOUND && got(route, seen) == Got::Reached
}

/// The same of such an answer, beside that of somebody whom the route is for and beside what `seen`'s own asker is told at a
/// path with nothing. Who is told what the one is was let in; who is told the other was not. Words of their own show neither: they
/// may name whoever asked.
///
/// # Errors
/// When neither can be said, with what to do.
pub(super) fn got_beside(seen: &Seen, rightful: &Seen, nothing: &Seen) -> Result<Got, Inconclusive> {
    let said = match (is_alike(seen, rightful), is_alike(seen, nothing)) {
        (true, false) => return Ok(Got::Reached),
        (false, true) => return Ok(Got::Refused),
        (true, true) => "as a path at which there is nothing, and so is whoever may ask it",
        (false, false) => {
            "in words that are neither those of whoever may ask it nor those of a path at which there is nothing"
        }
    };
    Err(Inconclusive::because(format!(
        "{} as `{}` was answered 404 {said}, so nothing shows whether they got in: let its [[route]] ask for something else",
        seen.request_line(),
        seen.credential()
    )))
}

/// Whether two answers say the same, but for the paths that were asked.
pub(super) fn is_alike(one: &Seen, other: &Seen) -> bool {
    let said = |seen: &Seen| {
        let line = seen.request_line();
        let path =
            line.split(' ').nth(1).unwrap_or_default().split('?').next().unwrap_or_default().to_owned();
        gist(&if path.len() > 1 { seen.body.replace(&path, " ") } else { seen.body.clone() })
    };
    one.status == other.status && said(one) == said(other)
}

/// A request like the route's for a path of the same plane at which there is nothing. Its path is three parts long, so that no route
/// takes one of them for the id of a thing.
pub(super) fn nowhere(target: &Target, route: &Route) -> Route {
    let planes = target.roles.admin_paths.iter().map(|plane| plane.trim_end_matches('/'));
    let plane =
        planes.filter(|plane| target.roles.is_admin_path(&route.path) && route.path.starts_with(plane));
    let plane = plane.max_by_key(|plane| plane.len()).map(str::to_owned);
    let first = || {
        format!("/{}", route.path.split('/').nth(1).filter(|part| !part.contains('{')).unwrap_or_default())
    };
    let plane = plane.unwrap_or_else(first);
    Route::new(route.method.clone(), format!("{}/no-such-route/of/anyone", plane.trim_end_matches('/')))
        .kind(route.kind)
}

/// What is answered where there is nothing, by who asked and what they asked.
#[derive(Debug, Default)]
pub(super) struct Nothing(BTreeMap<(String, String), Seen>);

impl Nothing {
    /// The answer to a request for [`nowhere`] by whoever got `seen`.
    pub(super) async fn told(
        &mut self,
        probe: &mut Probe,
        seen: &Seen,
        call: Call,
    ) -> Result<&Seen, Inconclusive> {
        match self.0.entry((seen.credential().to_owned(), call.line())) {
            Entry::Occupied(told) => Ok(told.into_mut()),
            Entry::Vacant(place) => Ok(place.insert(probe.send(call).await?)),
        }
    }
}

/// That somebody got what a route is for, as a positive control.
pub(super) fn shown(route: &Route, seen: &Seen, who: &str) -> Result<PositiveControl, Inconclusive> {
    let shown = format!("{} as `{who}`", route.line());
    match route.succeeds_with {
        Some(status) => PositiveControl::from_declared(seen, status, shown),
        None => PositiveControl::from_success(seen, shown),
    }
}

/// Why an answer shows nothing, in words.
pub(super) fn unclear(seen: &Seen) -> String {
    format!(
        "{} as `{}` was answered {}, which neither lets in nor refuses",
        seen.request_line(),
        seen.credential(),
        seen.says()
    )
}

/// The roles that must not use a route: those without its permission where it is declared; else those below the role of
/// whom the route names, or below all administrators.
pub(super) fn kept_out<'t>(target: &'t Target, route: &Route) -> Vec<&'t str> {
    let order = target.roles.order.iter().map(String::as_str);
    if let Some((declared, permission)) = target.roles.declared.as_ref().zip(route.permission.as_ref()) {
        return order.filter(|role| !declared.matrix.allows(role, permission)).collect();
    }
    let named = target.identities.iter().find(|identity| Some(&identity.name) == route.identity.as_ref());
    let named = named.map(|identity| identity.role.as_str());
    let allowed = |role: &str| match named {
        Some(named) => role == named,
        None => target.roles.admins.iter().any(|admin| admin == role),
    };
    order.take_while(|role| !allowed(role)).collect()
}

/// Working identities of these roles that the target knows: each reads something that every member may.
pub(super) async fn known<'t>(
    probe: &mut Probe,
    crew: &mut Crew<'t>,
    target: &'t Target,
    roles: &BTreeSet<&str>,
    doubts: &mut Vec<String>,
) -> Result<Vec<Answer<'t, ()>>, Inconclusive> {
    let plain = deployment::readable(target).into_iter().find(|route| {
        route.identity.is_none()
            && !target.roles.is_admin_path(&route.path)
            && !route.is_same(&target.chat.route)
            && target.roles.least().is_none_or(|least| !kept_out_of_plain(target, route).contains(&least))
    });
    let plain = plain.ok_or_else(|| {
        Inconclusive::because(
            "no route is known that every member may read, so nothing shows that a refused credential works: add a \
             [[route]] outside the admin paths to target.toml",
        )
    })?;
    let mut errands = Vec::new();
    for role in roles {
        let askers = target.with_role(role);
        if askers.is_empty() {
            doubts.push(format!(
                "no working identity has the role `{role}`: add an [[identity]] with `role = \"{role}\"` to target.toml"
            ));
        }
        errands.extend(askers.into_iter().map(|asker| Errand {
            tag: (),
            route: plain.clone(),
            values: None,
            askers: vec![asker],
            call: None,
        }));
    }
    let mut known = Vec::new();
    for answer in crew.ask(probe, errands).await? {
        match shown(&plain, &answer.seen, answer.who()) {
            Ok(_) => known.push(answer),
            Err(why) => doubts.push(why.reason().to_owned()),
        }
    }
    Ok(known)
}

fn kept_out_of_plain<'t>(target: &'t Target, route: &Route) -> Vec<&'t str> {
    match route.permission {
        Some(_) => kept_out(target, route),
        None => Vec::new(),
    }
}

/// The texts of a successful JSON answer that are long enough to be told from others.
pub(super) fn texts(seen: &Seen) -> BTreeSet<String> {
    fn collect(value: &Value, texts: &mut BTreeSet<String>) {
        match value {
            Value::String(text) if text.chars().count() >= SHORTEST_TEXT => _ = texts.insert(text.clone()),
            Value::Array(items) => items.iter().for_each(|item| collect(item, texts)),
            Value::Object(map) => map.values().for_each(|item| collect(item, texts)),
            _ => {}
        }
    }
    let mut texts = BTreeSet::new();
    if let Some(value) = seen.json().filter(|_| seen.status.is_success()) {
        collect(&value, &mut texts);
    }
    texts
}

/// Whether somebody who may do it can be asked to: what is asked for a thing of somebody else's cannot.
pub(super) fn is_for_anyone(target: &Target, exercise: &Exercise) -> bool {
    let route = &exercise.route;
    route.identity.is_none() || target.roles.is_admin_path(&route.path) || !route.carries_community()
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::kept_out;
    use crate::target::{Credential, Declared, Identity, Route, Target};

    #[test]
    fn who_is_kept_out_follows_the_declared_matrix_and_without_it_the_order() {
        let mut target = Target::new("t", "http://127.0.0.1:9").unwrap();
        target.roles.order = ["member", "staff", "admin"].map(str::to_owned).to_vec();
        target.roles.admins = vec!["admin".to_owned()];
        target.identities = vec![Identity::new("sue", "a", Credential::bearer("x")).role("staff")];
        let route = Route::new(Method::GET, "/admin/members");
        assert_eq!(kept_out(&target, &route), ["member", "staff"]);
        assert_eq!(kept_out(&target, &route.clone().only_for("sue")), ["member"]);
        let text = "[roles]\nmember = []\nstaff = []\nadmin = [\"read-members\"]\n";
        target.roles.declared = Some(Declared::new(text, "file:x", "", "the test").unwrap());
        assert_eq!(kept_out(&target, &route.only_for("sue").needs("read-members")), ["member", "staff"]);
    }
}
