//! RBAC-01.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::listing;
use crate::check::{cases, check};
use crate::checks::deployment;
use crate::outcome::{Coverage, Finding, Inconclusive, PositiveControl, Verdict};
use crate::probe::{Call, Probe};
use crate::target::{AccountKind, Declared, Matrix, SystemMatrix, Target, text_at};

check! {
    /// ## What it checks
    /// Compares what the running target says about its roles and their permissions with a file that somebody signed: the
    /// target file holds that file's SHA-256. Nothing may be in the target that is not in the file, and nothing in the file
    /// that is not in the target. The permissions that routes name (in the same answer and in the OpenAPI document) and the
    /// roles that accounts have must stand in the file too.
    /// ## Why it matters
    /// A role nobody decided on is how a support login comes to read every conversation. A copy made from the system agrees
    /// with it by construction and shows nothing; one that a person signed shows every change since.
    /// ## How to fix
    /// Write the change into the declared file, have its owner read and sign it, and put the new SHA-256 into the target
    /// file; or take the role or permission away from the system.
    /// ## Limits
    /// It compares words: whether the target does what it says is for RBAC-03. Who signed the file, and whether they read
    /// it, is for the person named in the evidence to answer.
    id: "RBAC-01", title: "Roles and permissions are declared",
    area: Roles, severity: High, since: "0.1.0",
    needs: [Identity, Roles, DeclaredRoles], touches: Nothing,
    maps: ["A01:2021 Broken Access Control"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: [
        "matrix-gives-members-more",
        "matrix-names-support-role",
        "member-has-unknown-role",
        "route-names-unknown-permission",
    ],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man", "echo", "spa-shell"],
}

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    deployment::tells_members_from_strangers(probe).await?;
    let Some(declared) = &target.roles.declared else {
        return Err(Inconclusive::because("no declared matrix"));
    };
    let said = format!("signed by {}, SHA-256 {}", declared.signed_by, declared.sha256);
    let shown = probe.observe(&declared.origin, &said);
    let mut findings = Vec::new();
    let mut doubts = Vec::new();
    if !declared.is_the_signed_one() {
        findings.push(
            Finding::new(
                format!("{} is not the file that {} signed", declared.origin, declared.signed_by),
                format!(
                    "have the change to {} read and signed, and put its SHA-256 into target.toml",
                    declared.origin
                ),
            )
            .shown_by([shown]),
        );
    }
    let Some(system) = &target.roles.system else {
        return Err(Inconclusive::because(
            "where the running target says who may do what is not known: add `system` to [roles] in target.toml",
        ));
    };
    let (matrix, on_routes, number, control) = ask(probe, &target, system).await?;
    findings.extend(differences(declared, &matrix, system, number));

    let mut named: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (permission, place) in on_routes {
        named.entry(permission).or_default().push(place);
    }
    for route in target.routes() {
        if let Some(permission) = &route.permission {
            named.entry(permission.clone()).or_default().push(route.line());
        }
    }
    if named.is_empty() {
        doubts.push(
            "no route names the permission it needs: add `permission_key` to [inventory], `routes` to [roles] system, or \
             `permission` to [[route]] in target.toml"
                .to_owned(),
        );
    }
    let known = declared.matrix.permissions();
    for (permission, places) in named.iter().filter(|(permission, _)| !known.contains(permission.as_str())) {
        let first = places.first().map_or("a route", String::as_str);
        findings.push(
            Finding::new(
                format!("{first} needs `{permission}`, which no role has according to {}", declared.origin),
                format!("let {first} need a declared permission, or declare `{permission}` and have {} signed again", declared.origin),
            )
            .shown_by([number]),
        );
    }
    let accounts = roles_of_accounts(probe, &target, declared, &mut findings, &mut doubts).await;
    Verdict::settle(probe.evidence(), findings, &doubts, || {
        let cells: usize = matrix.0.values().map(BTreeSet::len).sum();
        let what = format!(
            "permissions of {} roles are those of {}, as {} signed it ({} permissions of routes, {accounts} accounts)",
            matrix.0.len(),
            declared.origin,
            declared.signed_by,
            named.len()
        );
        Ok((Coverage::complete(cells, declared.matrix.0.values().map(BTreeSet::len).sum(), what)?, control))
    })
}

type Asked = (Matrix, Vec<(String, String)>, usize, PositiveControl);

/// What the target says, and the permissions that it says its routes need.
async fn ask(probe: &mut Probe, target: &Target, system: &SystemMatrix) -> Result<Asked, Inconclusive> {
    let named = target.valid().into_iter().find(|who| Some(&who.name) == system.route.identity.as_ref());
    let asker = named.or_else(|| target.roles.admins.iter().flat_map(|role| target.with_role(role)).next());
    let asker = asker.ok_or_else(|| {
        Inconclusive::because(
            "no administrator may ask who may do what: add an [[identity]] with an admin role to target.toml",
        )
    })?;
    let seen = probe.send(Call::by(target, &system.route, asker)?).await?;
    let control =
        PositiveControl::from_success(&seen, format!("{} as `{}`", system.route.line(), asker.name))?;
    let body = seen.json().unwrap_or_default();
    let matrix = matrix(&body, system).ok_or_else(|| {
        Inconclusive::because(format!(
            "{} does not say who may do what where target.toml says: correct `roles`, `role` and `permissions` of [roles] \
             system",
            system.route.line()
        ))
    })?;
    let mut on_routes = Vec::new();
    if let Some(at) = &system.routes {
        let items = body.pointer(at).and_then(Value::as_array).filter(|items| !items.is_empty()).ok_or_else(
            || Inconclusive::because(format!("{} has no list of routes at `{at}`", system.route.line())),
        )?;
        for item in items {
            let place = |name: &str| text_at(item, name).unwrap_or_default();
            if let Some(permission) = text_at(item, &system.permission) {
                on_routes.push((permission, format!("{} {}", place("/method"), place("/path"))));
            }
        }
    }
    Ok((matrix, on_routes, seen.number(), control))
}

/// The matrix in an answer: a list of roles, or an object of them.
fn matrix(body: &Value, system: &SystemMatrix) -> Option<Matrix> {
    let permissions = |value: &Value| -> Option<BTreeSet<String>> {
        let items = value.as_array()?.iter();
        items.map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let rows = match body.pointer(&system.roles)? {
        Value::Array(items) => items
            .iter()
            .map(|item| {
                Some((text_at(item, &system.role)?, permissions(item.pointer(&system.permissions)?)?))
            })
            .collect::<Option<BTreeMap<_, _>>>()?,
        Value::Object(map) => map
            .iter()
            .map(|(role, item)| {
                let list = if item.is_array() { item } else { item.pointer(&system.permissions)? };
                Some((role.clone(), permissions(list)?))
            })
            .collect::<Option<BTreeMap<_, _>>>()?,
        _ => return None,
    };
    (!rows.is_empty()).then_some(Matrix(rows))
}

/// One finding for each role that differs.
fn differences(declared: &Declared, matrix: &Matrix, system: &SystemMatrix, number: usize) -> Vec<Finding> {
    let (line, origin) = (system.route.line(), &declared.origin);
    let mut findings = Vec::new();
    let mut add = |seen: String, fix: String| findings.push(Finding::new(seen, fix).shown_by([number]));
    for (role, held) in &matrix.0 {
        let Some(signed) = declared.matrix.0.get(role) else {
            add(
                format!("the target has the role `{role}`, which {origin} does not declare"),
                format!("remove the role `{role}`, or declare it and have {origin} signed again"),
            );
            continue;
        };
        let list =
            |names: Vec<&String>| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let more: Vec<&String> = held.difference(signed).collect();
        if !more.is_empty() {
            let more = list(more);
            add(
                format!("`{role}` may {more} according to {line}, and not according to {origin}"),
                format!("take {more} away from `{role}`, or declare it and have {origin} signed again"),
            );
        }
        let less: Vec<&String> = signed.difference(held).collect();
        if !less.is_empty() {
            let less = list(less);
            add(
                format!("`{role}` may {less} according to {origin}, and not according to {line}"),
                format!(
                    "take {less} of `{role}` out of {origin} and have it signed again, or give it to the role"
                ),
            );
        }
    }
    for role in declared.matrix.0.keys().filter(|role| !matrix.0.contains_key(*role)) {
        add(
            format!("{origin} declares the role `{role}`, which the target does not have"),
            format!("take `{role}` out of {origin} and have it signed again"),
        );
    }
    findings
}

/// Roles that accounts have and nobody declared; how many accounts there are comes back.
async fn roles_of_accounts(
    probe: &mut Probe,
    target: &Target,
    declared: &Declared,
    findings: &mut Vec<Finding>,
    doubts: &mut Vec<String>,
) -> usize {
    if !target.accounts.lists.iter().any(|list| list.kind == AccountKind::People) {
        doubts.push(
            "which roles accounts have is not known: add [[accounts.list]] with `kind = \"people\"` to target.toml"
                .to_owned(),
        );
    }
    // Whether the lists are whole is for RBAC-02 to say.
    let (accounts, _) = listing::everyone(probe, target, &mut Vec::new()).await;
    if accounts.is_empty() && !target.accounts.lists.is_empty() {
        doubts.push("no list of accounts could be read, so nothing shows which roles they have".to_owned());
    }
    let mut unknown: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for account in &accounts {
        if let Some(role) = account.role.as_deref().filter(|role| !declared.matrix.0.contains_key(*role)) {
            unknown.entry(role).or_default().push(account.number);
        }
    }
    findings.extend(unknown.into_iter().map(|(role, numbers)| {
        Finding::new(
            format!(
                "{} accounts have the role `{role}`, which {} does not declare",
                numbers.len(),
                declared.origin
            ),
            format!(
                "give these accounts a declared role, or declare `{role}` and have {} signed again",
                declared.origin
            ),
        )
        .shown_by(numbers)
    }));
    accounts.len()
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::json;

    use super::{differences, matrix};
    use crate::target::{Declared, Route, SystemMatrix};

    fn system() -> SystemMatrix {
        SystemMatrix {
            route: Route::new(Method::GET, "/roles"),
            roles: "/roles".to_owned(),
            role: "/role".to_owned(),
            permissions: "/may".to_owned(),
            routes: None,
            permission: "/permission".to_owned(),
        }
    }

    #[test]
    fn a_list_and_an_object_say_the_same() {
        let list =
            json!({"roles": [{"role": "member", "may": ["ask"]}, {"role": "admin", "may": ["ask", "ban"]}]});
        let object = json!({"roles": {"member": ["ask"], "admin": {"may": ["ban", "ask"]}}});
        assert_eq!(matrix(&list, &system()).unwrap(), matrix(&object, &system()).unwrap());
        for nothing in
            [json!({}), json!({"roles": []}), json!({"roles": [{"role": "x"}]}), json!({"roles": "admin"})]
        {
            assert_eq!(matrix(&nothing, &system()), None, "{nothing}");
        }
    }

    #[test]
    fn every_difference_is_found_in_both_directions() {
        let text = "[roles]\nmember = [\"ask\"]\nowner = [\"ask\"]\nadmin = [\"ask\", \"ban\"]\n";
        let declared = Declared::new(text, "file:roles.toml", "", "Jo Ito").unwrap();
        let body = json!({"roles": {"member": ["ask", "ban"], "admin": ["ask"], "support": ["ask"]}});
        let found = differences(&declared, &matrix(&body, &system()).unwrap(), &system(), 1);
        let seen: Vec<&str> = found.iter().map(|finding| finding.seen.as_str()).collect();
        assert_eq!(
            seen,
            [
                "`admin` may `ban` according to file:roles.toml, and not according to GET /roles",
                "`member` may `ban` according to GET /roles, and not according to file:roles.toml",
                "the target has the role `support`, which file:roles.toml does not declare",
                "file:roles.toml declares the role `owner`, which the target does not have",
            ]
        );
    }
}
