//! RBAC-03.

use std::collections::{BTreeMap, BTreeSet};

use super::cells::{self, Cell, Judged};
use crate::check::{cases, check};
use crate::checks::canary::{Crew, Errand};
use crate::checks::deployment;
use crate::checks::standing;
use crate::outcome::{Coverage, Inconclusive, PositiveControl, Verdict};
use crate::probe::Probe;
use crate::target::{Exercise, Identity};

check! {
    /// ## What it checks
    /// The whole declared matrix by behaviour. For every role and every permission it sends the requests that exercise the
    /// permission, as a working identity of the role: where the matrix allows it they must succeed, where it does not they
    /// must be refused. Nobody in particular may do anything. Every cell is needed: one without a request, or whose answer
    /// neither lets in nor refuses, leaves the check inconclusive and is named.
    /// ## Why it matters
    /// A table in a document protects nothing. Testing only what is forbidden passes on a target that refuses everything, and
    /// testing only what is allowed passes on one that refuses nothing.
    /// ## How to fix
    /// Decide in one place from one table, and let each route name the permission it needs. A route that names none must not
    /// exist.
    /// ## Limits
    /// One request may stand for a permission that has many; every route that names a permission is asked. Requests that
    /// would change something are sent for things that are not there, where the target file says what answer shows that the
    /// decision was passed (`succeeds_with`).
    id: "RBAC-03", title: "Permissions are enforced",
    area: Roles, severity: Critical, since: "0.1.0",
    needs: [Identity, Roles, DeclaredRoles], touches: Nothing,
    maps: ["API5:2023 Broken Function Level Authorization", "API1:2023 Broken Object Level Authorization"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: [
        "admin-open-to-members",
        "member-removal-unguarded",
        "no-auth-on-history",
        "search-open-to-strangers",
        "staff-cannot-read-members",
        "staff-writes-members",
        "write-members-unguarded",
    ],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man", "echo", "spa-shell", "login-page-200"],
}

/// The row of those who have no credential.
const NOBODY: &str = "nobody";

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    deployment::tells_members_from_strangers(probe).await?;
    let Some(declared) = &target.roles.declared else {
        return Err(Inconclusive::because("no declared matrix"));
    };
    let mut judged = Judged::default();
    let exercises = cells::exercises(probe, &target, &declared.matrix, &mut judged.doubts);
    let mut crew = Crew::of(&target);
    let mut wanted = BTreeSet::new();
    let mut errands: Vec<Errand<'_, (Exercise, Cell)>> = Vec::new();
    for role in target.roles.order.iter().map(String::as_str).chain([NOBODY]) {
        let askers = target.with_role(role);
        if askers.is_empty() && role != NOBODY {
            judged.doubts.push(format!(
                "no working identity has the role `{role}`: add an [[identity]] with `role = \"{role}\"` to target.toml"
            ));
        }
        for (permission, exercises) in &exercises {
            let allowed = declared.matrix.allows(role, permission);
            let cell = Cell { role: role.to_owned(), permission: permission.clone(), allowed };
            wanted.insert(cell.clone());
            // Somebody of this role whom a request names goes before everyone who could do the same.
            let of_role = |exercise: &Exercise| {
                let named = target
                    .valid()
                    .into_iter()
                    .find(|who| Some(&who.name) == exercise.route.identity.as_ref());
                let away = !target.roles.is_admin_path(&exercise.route.path);
                named
                    .map(|who| &who.name)
                    .filter(|_| away && named.is_some_and(|who| who.role == role))
                    .cloned()
            };
            let has_named = exercises.iter().any(|exercise| of_role(exercise).is_some());
            for exercise in exercises {
                let fit: Vec<&Identity> = match of_role(exercise) {
                    Some(name) => target.valid().into_iter().filter(|who| who.name == name).collect(),
                    None if !allowed => askers.clone(),
                    None if exercise.route.identity.is_some() && has_named => Vec::new(),
                    None if standing::is_for_anyone(&target, exercise) => askers.clone(),
                    None => Vec::new(),
                };
                if fit.is_empty() && role != NOBODY {
                    continue;
                }
                let values = fit.is_empty().then(|| nobody_asks(&target, exercise));
                errands.push(Errand {
                    tag: (exercise.clone(), cell.clone()),
                    route: exercise.route.clone(),
                    values,
                    askers: fit,
                    call: None,
                });
            }
        }
    }
    let answers = crew.ask(probe, errands).await?;
    judged.take_answers(probe, &answers).await?;
    let Judged { findings, mut doubts, controls, cells, asked } = judged;
    // A refusal shows something only of a role that is let in somewhere.
    for role in &target.roles.order {
        if !cells.iter().any(|cell| cell.role == *role && cell.allowed) && findings.is_empty() {
            doubts
                .push(format!("nothing that `{role}` may do succeeded, so that it is refused shows nothing"));
        }
    }
    if let Some(left) = wanted.difference(&cells).next().filter(|_| findings.is_empty() && doubts.is_empty())
    {
        doubts.push(format!(
            "no request shows whether `{}` may `{}`: add [[permission]] to target.toml",
            left.role, left.permission
        ));
    }
    Verdict::settle(probe.evidence(), findings, &doubts, || {
        let allowed = cells.iter().filter(|cell| cell.allowed).count();
        let what = format!("cells of roles and permissions hold ({allowed} allow, {asked} requests)");
        let coverage = Coverage::complete(cells.len(), wanted.len(), what)?;
        Ok((coverage, PositiveControl::all(controls, "every allowed cell succeeds as its role")?))
    })
}

/// What stands for the ids in a request of nobody's: those of the identity that the route names, or of any community.
fn nobody_asks(target: &crate::target::Target, exercise: &Exercise) -> BTreeMap<String, String> {
    let valid = target.valid();
    let named = valid.iter().find(|identity| Some(&identity.name) == exercise.route.identity.as_ref());
    let home = named.or_else(|| valid.first()).map_or("", |identity| identity.community.as_str());
    target.values(home)
}
