//! The tables of a target file that say who may do what: roles, accounts, what belongs to a member, and sign-up.

use std::collections::{BTreeMap, BTreeSet};

use super::{Sources, read_path, read_request, resolve, word};
use crate::target::read::Section;
use crate::target::{
    AccountKind, AccountList, Accounts, Act, Declared, Exercise, ID, Identity, MARKER, NewCredential,
    OwnStanding, Owned, OwnedKind, Roles, Route, SignUp, SignUpBy, Spot, Step, SystemMatrix, placeholders,
};

pub(super) fn read_roles_and_accounts(root: &Section<'_, '_>, sources: &Sources<'_>) -> (Roles, Accounts) {
    let mut roles = root.section("roles").map(|section| read_roles(&section, sources)).unwrap_or_default();
    roles.exercises = root
        .sections("permission")
        .iter()
        .filter_map(|section| {
            let name = section.required("name");
            let route = read_request(section);
            section.finish();
            Some(Exercise { permission: name?.to_owned(), route: route? })
        })
        .collect();
    let accounts = root.section("accounts").map(|section| {
        let accounts = Accounts {
            admins_at_most: section.number("admins_at_most", 1..=10_000).map(|most| most as usize),
            lists: section.sections("list").iter().filter_map(read_list).collect(),
        };
        section.finish();
        accounts
    });
    (roles, accounts.unwrap_or_default())
}

fn read_roles(section: &Section<'_, '_>, sources: &Sources<'_>) -> Roles {
    let order = section.texts("order");
    if order.is_empty() {
        section.wrong("order", "no roles", "the roles, the least first");
    }
    let admins = section.texts("admins");
    if let Some(unknown) = admins.iter().find(|role| !order.contains(role)) {
        section.wrong("admins", format!("`{unknown}`"), "roles that stand in `order`");
    }
    let admin_paths = section.texts("admin_paths");
    if let Some(wrong) = admin_paths.iter().find(|path| !path.starts_with('/')) {
        section.wrong("admin_paths", format!("`{wrong}`"), "paths that start with `/`");
    }
    let declared = read_declared(section, &order, sources);
    let system = section.section("system").and_then(|system| {
        let route = read_request(&system);
        let matrix = route.map(|route| SystemMatrix {
            route,
            roles: pointer(&system, "roles").unwrap_or_else(|| "/roles".to_owned()),
            role: pointer(&system, "role").unwrap_or_else(|| "/role".to_owned()),
            permissions: pointer(&system, "permissions").unwrap_or_else(|| "/permissions".to_owned()),
            routes: pointer(&system, "routes"),
            permission: pointer(&system, "route_permission").unwrap_or_else(|| "/permission".to_owned()),
        });
        system.finish();
        matrix
    });
    let own = section.section("own").and_then(|own| {
        let route = read_request(&own);
        let (role, permissions) = (pointer(&own, "role"), pointer(&own, "permissions"));
        if role.is_none() {
            own.wrong("role", "nothing", "a JSON pointer such as `/role`");
        }
        own.finish();
        Some(OwnStanding { route: route?, role: role?, permissions })
    });
    section.finish();
    Roles { order, admins, admin_paths, declared, system, exercises: Vec::new(), own }
}

fn read_declared(section: &Section<'_, '_>, order: &[String], sources: &Sources<'_>) -> Option<Declared> {
    let reference = section.text("declared");
    if reference.is_none() {
        for key in ["sha256", "signed_by"] {
            if section.has(key) {
                section.wrong(key, "a signature without `declared`", "the file that was signed");
            }
        }
        return None;
    }
    let (hash, who) = (section.required("sha256"), section.required("signed_by"));
    let is_hash = |hash: &&str| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hash.is_some_and(|hash| !is_hash(&hash)) {
        section.wrong(
            "sha256",
            "something else",
            "64 hexadecimal digits: `sha256sum` of the file when it was signed",
        );
    }
    let Some(path) = reference?.strip_prefix("file:") else {
        section.wrong("declared", "no file", "`file:PATH`, a file that somebody signed");
        return None;
    };
    // The hash is of every byte, so nothing is trimmed.
    let text = std::fs::read_to_string(sources.dir.join(path))
        .map_err(|error| section.wrong("declared", format!("`{path}`: {error}"), "a readable file"))
        .ok()?;
    let declared = Declared::new(&text, reference?, hash.filter(is_hash)?, who?)
        .map_err(|why| {
            let found = format!("`{path}`, which cannot be used ({why})");
            section.wrong("declared", found, "a table `[roles]` with a list of permissions for each role");
        })
        .ok()?;
    let named: BTreeSet<&String> = declared.matrix.0.keys().collect();
    if named != order.iter().collect() {
        section.wrong(
            "declared",
            format!("other roles in `{path}` than in `order`"),
            "the same roles in both",
        );
    }
    Some(declared)
}

fn pointer(section: &Section<'_, '_>, key: &'static str) -> Option<String> {
    let text = section.text(key)?;
    if !text.starts_with('/') {
        section.wrong(key, format!("`{text}`"), "a JSON pointer such as `/role`");
        return None;
    }
    Some(text.to_owned())
}

fn read_list(section: &Section<'_, '_>) -> Option<AccountList> {
    let kinds = [("people", AccountKind::People), ("keys", AccountKind::Keys)];
    if !section.has("kind") {
        section.wrong("kind", "nothing", "`people` or `keys`");
    }
    let kind = word(section, "kind", &kinds, AccountKind::People);
    let path = read_path(section);
    let askers = section.texts("as");
    if askers.is_empty() {
        section.wrong("as", "nobody", "the identities that may read the list, one for each community");
    }
    let items = pointer(section, "items");
    if !section.has("items") {
        section.wrong("items", "nothing", "a JSON pointer to the list, such as `/members`");
    }
    let next = section.section("next").and_then(|next| {
        let pair = next.required("query").map(str::to_owned).zip(pointer(&next, "value"));
        if pair.is_none() {
            next.wrong("value", "nothing", "a JSON pointer to what the next page is asked with");
        }
        next.finish();
        pair
    });
    let mut route = Route::new(http::Method::GET, path.clone().unwrap_or_default());
    route.query = section.text_map("query");
    let list = AccountList {
        kind,
        route,
        askers,
        items: items.clone().unwrap_or_default(),
        id: pointer(section, "id").unwrap_or_else(|| "/id".to_owned()),
        name: pointer(section, "name"),
        address: pointer(section, "address"),
        role: pointer(section, "role"),
        credential: pointer(section, "credential"),
        shared: pointer(section, "shared"),
        acts_for: pointer(section, "acts_for"),
        ended: pointer(section, "ended"),
        next,
        total: pointer(section, "total"),
    };
    section.finish();
    (path.is_some() && items.is_some()).then_some(list)
}

pub(super) fn read_owned(root: &Section<'_, '_>) -> Vec<Owned> {
    root.sections("owned").iter().filter_map(read_one_owned).collect()
}

fn read_one_owned(section: &Section<'_, '_>) -> Option<Owned> {
    let kind = section.required("kind").and_then(|text| {
        let kind = OwnedKind::ALL.into_iter().find(|kind| kind.word() == text);
        if kind.is_none() {
            section.wrong("kind", format!("`{text}`"), "`conversation`, `memory` or `file`");
        }
        kind
    });
    let id = section.required("id").and_then(|text| {
        let place = Spot::parse(text);
        if place.is_none() {
            section.wrong("id", format!("`{text}`"), "a JSON pointer such as `/id`, or `header:NAME`");
        }
        place
    });
    let request = |name: &'static str, holds: &[&str]| {
        let part = section.section(name)?;
        let route = read_request(&part);
        part.finish();
        let missing =
            route.as_ref().and_then(|route| holds.iter().find(|placeholder| !route.holds(placeholder)));
        if let Some(missing) = missing {
            section.wrong(name, format!("a request without `{missing}`"), "a request that holds it");
        }
        route
    };
    let create = request("create", &[MARKER]);
    let read = request("read", &[ID]);
    for (name, route) in [("create", &create), ("read", &read)] {
        if route.is_none() && !section.has(name) {
            section.wrong(name, "nothing", "a request: method and path");
        }
    }
    let update = request("update", &[ID, MARKER]);
    let delete = request("delete", &[ID]);
    let list = request("list", &[]);
    let batch = request("batch", &[ID]);
    let lacks = section.texts("lacks");
    if let Some(unknown) = lacks.iter().find(|word| !["update", "delete", "list"].contains(&word.as_str())) {
        section.wrong("lacks", format!("`{unknown}`"), "`update`, `delete`, `list`");
    }
    section.finish();
    Some(Owned { kind: kind?, create: create?, id: id?, read: read?, update, delete, list, batch, lacks })
}

pub(super) fn read_sign_ups(root: &Section<'_, '_>, sources: &Sources<'_>) -> Vec<SignUp> {
    let sections = root.free_sections("sign_up");
    sections.iter().filter_map(|(name, section)| read_sign_up(name, section, sources)).collect()
}

fn read_sign_up(name: &str, section: &Section<'_, '_>, sources: &Sources<'_>) -> Option<SignUp> {
    let community = section.required("community");
    let by = word(section, "by", &SignUpBy::ALL.map(|by| (by.word(), by)), SignUpBy::Self_);
    if !section.has("by") {
        section.wrong("by", "nothing", "`self` or `staff`: who begins it");
    }
    let mut known: BTreeSet<String> = ["name", "address", "community"].map(str::to_owned).into();
    let steps: Option<Vec<Step>> = {
        let steps: Vec<_> =
            section.sections("step").iter().map(|step| read_step(step, sources, &mut known)).collect();
        if steps.is_empty() {
            section.wrong("step", "nothing", "at least one step");
        }
        steps.into_iter().collect()
    };
    let undo: Option<Vec<Step>> =
        section.sections("undo").iter().map(|step| read_step(step, sources, &mut known)).collect();
    let headers = section.text_map("headers");
    for value in headers.values() {
        check_placeholders(section, "headers", value, &known);
    }
    let credential = read_new_credential(section, &known);
    section.finish();
    Some(SignUp {
        name: name.to_owned(),
        by,
        community: community?.to_owned(),
        steps: steps?,
        undo: undo?,
        credential: credential?,
        headers,
    })
}

fn read_new_credential(section: &Section<'_, '_>, known: &BTreeSet<String>) -> Option<NewCredential> {
    let bearer = section.text("bearer").map(|text| NewCredential::Bearer(text.to_owned()));
    let cookie = section.text("cookie").map(|name| NewCredential::Cookie(name.to_owned()));
    let header = section.section("header").and_then(|pair| {
        let (name, value) = (pair.required("name"), pair.required("value"));
        pair.finish();
        Some(NewCredential::Header { name: name?.to_owned(), value: value?.to_owned() })
    });
    let mut found: Vec<NewCredential> = [bearer, cookie, header].into_iter().flatten().collect();
    if found.len() != 1 {
        let wanted = "exactly one of `bearer`, `cookie`, `header`: what the new member is known by";
        section.wrong("cookie", format!("{} credentials", found.len()), wanted);
        return None;
    }
    let credential = found.pop()?;
    if let NewCredential::Bearer(text) | NewCredential::Header { value: text, .. } = &credential {
        let key = if matches!(credential, NewCredential::Bearer(_)) { "bearer" } else { "header" };
        if placeholders(text).is_empty() {
            section.wrong(key, "a value that no step captured", "`{{NAME}}` of a captured value");
        }
        check_placeholders(section, key, text, known);
    }
    Some(credential)
}

fn check_placeholders(section: &Section<'_, '_>, key: &'static str, text: &str, known: &BTreeSet<String>) {
    if let Some(unknown) = placeholders(text).into_iter().find(|name| !known.contains(*name)) {
        let names = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        section.wrong(key, format!("`{{{{{unknown}}}}}`"), &format!("what is known by then: {names}"));
    }
}

fn read_step(section: &Section<'_, '_>, sources: &Sources<'_>, known: &mut BTreeSet<String>) -> Option<Step> {
    let act = if let Some(folder) = section.text("mail") {
        let folder = match folder.strip_prefix("file:") {
            Some(path) => Some(sources.dir.join(path)),
            None if folder.starts_with("env:") => resolve(section, "mail", folder, sources).map(Into::into),
            None => {
                section.wrong(
                    "mail",
                    format!("`{folder}`"),
                    "`file:FOLDER` or `env:NAME` with a folder of `.eml` files",
                );
                None
            }
        };
        let link = section.required("link").map(str::to_owned);
        folder.zip(link).map(|(folder, link)| Act::Mail { folder, link })
    } else {
        let route = read_request(section);
        let form = section.text_map("form");
        if !form.is_empty() && section.has("body") {
            section.wrong("form", "`form` beside `body`", "one of both");
        }
        if let Some(route) = &route {
            let body = route.body.as_ref().map(ToString::to_string).unwrap_or_default();
            let texts = [
                ("params", &route.params),
                ("query", &route.query),
                ("headers", &route.headers),
                ("form", &form),
            ];
            for (key, text) in
                texts.into_iter().flat_map(|(key, map)| map.values().map(move |text| (key, text.as_str())))
            {
                check_placeholders(section, key, text, known);
            }
            check_placeholders(section, "body", &body, known);
        }
        route.map(|route| Act::Ask { route, form })
    };
    let mut captures = BTreeMap::new();
    for (name, text) in section.text_map("capture") {
        known.insert(name.clone());
        match Spot::parse(&text) {
            Some(place) => _ = captures.insert(name, place),
            None => section.wrong(
                "capture",
                format!("`{text}`"),
                "a JSON pointer such as `/token`, `header:NAME`, `cookie:NAME` or `query:NAME`",
            ),
        }
    }
    section.finish();
    Some(Step { act: act?, captures })
}

/// Everyone who is named must be there.
pub(super) fn check_askers(
    root: &Section<'_, '_>,
    identities: &[Identity],
    roles: &Roles,
    accounts: &Accounts,
    sign_ups: &[SignUp],
) {
    let unknown = |name: &String| !identities.iter().any(|identity| identity.name == *name);
    let reads = roles.system.iter().map(|system| &system.route).chain(roles.own.iter().map(|own| &own.route));
    let of_roles = reads.chain(roles.exercises.iter().map(|exercise| &exercise.route));
    let of_roles = of_roles.filter_map(|route| route.identity.as_ref()).map(|name| ("roles", name));
    let of_accounts = accounts.lists.iter().flat_map(|list| &list.askers).map(|name| ("accounts", name));
    let steps = sign_ups.iter().flat_map(|sign_up| sign_up.steps.iter().chain(&sign_up.undo));
    let of_steps = steps.filter_map(|step| match &step.act {
        Act::Ask { route, .. } => route.identity.as_ref().map(|name| ("sign_up", name)),
        Act::Mail { .. } => None,
    });
    for (key, name) in of_roles.chain(of_accounts).chain(of_steps).filter(|(_, name)| unknown(name)) {
        root.wrong(key, format!("the unknown identity `{name}`"), "a known identity");
    }
    if !roles.order.is_empty() {
        for identity in identities.iter().filter(|identity| !roles.order.contains(&identity.role)) {
            let found = format!("`{}` of `{}`", identity.role, identity.name);
            root.wrong("identity", found, "a role that stands in [roles] order");
        }
    }
}
