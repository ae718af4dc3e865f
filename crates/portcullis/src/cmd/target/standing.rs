//! Who may do what here, as the project signed it, and how that is asked for.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use portcullis_check::target::{
    AccountKind, AccountList, Accounts, Act, Declaration, Declared, Exercise, ID, MARKER, Method,
    NewCredential, OwnStanding, Owned, OwnedKind, Roles, Route, SignUp, SignUpBy, Spot, Step, SystemMatrix,
    Target,
};
use portcullis_config::{Config, MailRoute};
use portcullis_core::{AbilitySet, KeyAbility, Role};
use portcullis_http::Cookies;
use serde_json::{Value, json};

use super::APPROVER;
use super::ground::Ground;
use super::people::{self, ADMINS, CO_OWNERS};

/// The table as it was decided.
const SIGNED: &str = include_str!("roles.toml");
/// SHA-256 of `roles.toml` when it was last read by somebody who may decide it.
const SIGNED_SHA256: &str = "29e7bf8e9701c1a8c6b7a85086de211ce2d844ac1a3d6dcb96fd72a91bfdf898";

/// Everything that the checks of roles, accounts and owners need to know. The first community's people are the ones that
/// requests name.
pub(super) fn describe(target: &mut Target, grounds: &[Ground], config: &Config) -> Result<()> {
    let first = grounds.first().context("the checks have no community")?;
    target.roles = roles(first)?;
    let passes_on = passes_on(target, first, config);
    target.accounts = accounts(grounds);
    target.owned = vec![conversation(target.chat.route.body.as_ref()), memory()];
    target.sign_ups = vec![by_staff(first, passes_on)];
    target.sign_ups.extend(by_mail(first, config));
    if config.sign_in.open.is_empty() {
        let why = "no community lets strangers join: `sign_in.open` is empty";
        target.declarations.push(Declaration::new("self-sign-up", why, APPROVER));
    }
    target.declarations.extend([
        Declaration::new("uploads", "this instance takes no files", APPROVER),
        Declaration::new(
            "permission:write-content",
            "content comes from the command line; no route changes it",
            APPROVER,
        ),
    ]);
    Ok(())
}

fn roles(ground: &Ground) -> Result<Roles> {
    let declared =
        Declared::new(SIGNED, "crates/portcullis/src/cmd/target/roles.toml", SIGNED_SHA256, APPROVER)
            .map_err(|why| anyhow::anyhow!("the signed table of roles cannot be read: {why}"))?;
    let keeper = people::keeper(ground);
    // Whoever may make staff is told that the address is none; whoever may not is refused before it is looked at.
    let staff = Route::new(Method::POST, "/admin/members")
        .body(json!({ "name": "nobody", "role": "moderator", "email": "no address" }))
        .succeeds_with(400);
    let exercises = vec![Exercise { permission: "write-staff".to_owned(), route: staff }];
    Ok(Roles {
        order: Role::ALL.map(|role| role.name().to_owned()).to_vec(),
        admins: [Role::Admin, Role::Owner].map(|role| role.name().to_owned()).to_vec(),
        admin_paths: vec!["/admin".to_owned()],
        declared: Some(declared),
        system: Some(SystemMatrix {
            route: Route::new(Method::GET, "/admin/roles").only_for(&keeper),
            roles: "/roles".to_owned(),
            role: "/role".to_owned(),
            permissions: "/actions".to_owned(),
            routes: Some("/routes".to_owned()),
            permission: "/action".to_owned(),
        }),
        exercises,
        own: Some(OwnStanding {
            route: Route::new(Method::GET, "/v1/me"),
            role: "/role".to_owned(),
            permissions: Some("/actions".to_owned()),
        }),
    })
}

/// Adds how a request of one's own is sent to the model, or that there is none. What a key may do that passes everything
/// on comes back.
fn passes_on(target: &mut Target, ground: &Ground, config: &Config) -> AbilitySet {
    let Some(model) = &config.model else {
        let why = "no model is configured, so there is nothing to pass a request on to";
        target.declarations.push(Declaration::new("permission:own-request", why, APPROVER));
        return AbilitySet::SESSION;
    };
    let body = json!({
        "model": model.name.as_str(),
        "max_tokens": 16,
        "messages": [
            { "role": "system", "content": "Answer in one word." },
            { "role": "user", "content": "Hello" },
        ],
    });
    target.roles.exercises.extend(Role::ALL.map(|role| {
        Exercise {
            permission: "own-request".to_owned(),
            route: Route::new(Method::POST, "/v1/chat/completions")
                .reads()
                .body(body.clone())
                .only_for(&people::builder(ground, role)),
        }
    }));
    KeyAbility::ALL.into_iter().collect()
}

fn accounts(grounds: &[Ground]) -> Accounts {
    let list = |kind, path: &str, items: &str| AccountList {
        kind,
        route: Route::new(Method::GET, path),
        askers: grounds.iter().map(people::keeper).collect(),
        items: items.to_owned(),
        id: "/id".to_owned(),
        name: None,
        address: None,
        role: Some("/role".to_owned()),
        credential: None,
        shared: None,
        acts_for: None,
        ended: None,
        next: None,
        total: None,
    };
    let people = AccountList {
        name: Some("/name".to_owned()),
        address: Some("/email".to_owned()),
        next: Some(("after".to_owned(), "/next".to_owned())),
        ..list(AccountKind::People, "/admin/members", "/members")
    };
    let keys = AccountList {
        acts_for: Some("/member".to_owned()),
        ended: Some("/revoked".to_owned()),
        ..list(AccountKind::Keys, "/admin/keys", "/keys")
    };
    // The one who keeps the community, those who own it with them, and the admins.
    Accounts { admins_at_most: Some(1 + CO_OWNERS + ADMINS), lists: vec![people, keys] }
}

/// A conversation begins with a question; only its title can be changed.
fn conversation(question: Option<&Value>) -> Owned {
    let mut body = question.cloned().unwrap_or_default();
    if let Some(map) = body.as_object_mut() {
        map.insert("messages".to_owned(), json!([{ "role": "user", "content": MARKER }]));
    }
    let one = |method| Route::new(method, "/v1/conversations/{conversation}").param("conversation", ID);
    Owned {
        kind: OwnedKind::Conversation,
        create: Route::new(Method::POST, "/v1/chat/completions")
            .body(body)
            .header("X-Conversation-Id", "new"),
        id: Spot::Header("x-conversation-id".to_owned()),
        read: one(Method::GET),
        update: Some(one(Method::PATCH).body(json!({ "title": MARKER }))),
        delete: Some(one(Method::DELETE)),
        list: Some(Route::new(Method::GET, "/v1/conversations")),
        batch: None,
        lacks: Vec::new(),
    }
}

fn memory() -> Owned {
    let one = |method| Route::new(method, "/v1/memories/{memory}").param("memory", ID);
    Owned {
        kind: OwnedKind::Memory,
        create: Route::new(Method::POST, "/v1/memories").body(json!({ "text": MARKER })),
        id: Spot::Pointer("/id".to_owned()),
        read: one(Method::GET),
        update: Some(one(Method::PATCH).body(json!({ "text": MARKER }))),
        delete: Some(one(Method::DELETE)),
        list: Some(Route::new(Method::GET, "/v1/memories")),
        batch: None,
        lacks: Vec::new(),
    }
}

/// A stranger asks for a link, finds it in the outbox, and presses the button. Only where the checks' own community is open
/// to strangers and mail goes into a folder: what a mail server took cannot be read back.
fn by_mail(ground: &Ground, config: &Config) -> Option<SignUp> {
    let slug = &ground.community.slug;
    let MailRoute::Outbox { folder } = &config.mail.as_ref()?.route else { return None };
    if !config.sign_in.open.iter().any(|open| open.as_str() == slug) {
        return None;
    }
    let captured = |captures: &[(&str, Spot)]| -> BTreeMap<String, Spot> {
        captures.iter().map(|(name, spot)| ((*name).to_owned(), spot.clone())).collect()
    };
    let form = |path: &str, field: &str, value: &str, status| {
        let route = Route::new(Method::POST, path).param("community", slug).succeeds_with(status);
        Act::Ask { route, form: [(field.to_owned(), value.to_owned())].into() }
    };
    let read = |path: &str, name: &str, at: &str| Step {
        act: Act::Ask { route: Route::new(Method::GET, path), form: [].into() },
        captures: captured(&[(name, Spot::Pointer(at.to_owned()))]),
    };
    let suspended = json!({ "status": "suspended" });
    let suspend = Route::new(Method::PATCH, "/admin/members/{member}")
        .param("member", "{{newcomer}}")
        .body(suspended)
        .only_for(&people::keeper(ground));
    Some(SignUp {
        name: "a mailed link".to_owned(),
        by: SignUpBy::Self_,
        community: slug.clone(),
        steps: vec![
            Step { act: form("/c/{community}/login", "email", "{{address}}", 200), captures: [].into() },
            Step {
                act: Act::Mail { folder: folder.clone(), link: "/login/link?token=".to_owned() },
                captures: captured(&[("token", Spot::Query("token".to_owned()))]),
            },
            Step { act: form("/login/link", "token", "{{token}}", 303), captures: [].into() },
            read("/v1/session", "csrf", "/csrf_token"),
            read("/v1/me", "newcomer", "/actor/id"),
        ],
        undo: vec![Step { act: Act::Ask { route: suspend, form: [].into() }, captures: [].into() }],
        credential: NewCredential::Cookie(
            Cookies::under(&config.public_url.url().origin()).session().to_owned(),
        ),
        headers: [("X-CSRF-Token".to_owned(), "{{csrf}}".to_owned())].into(),
    })
}

/// An owner adds a member and makes them a key for everything: what the member may not do, their role forbids.
fn by_staff(ground: &Ground, abilities: AbilitySet) -> SignUp {
    let keeper = people::keeper(ground);
    let ask = |method, path: &str, body: Option<Value>, captures: &[(&str, &str)]| {
        let route = Route { body, ..Route::new(method, path).only_for(&keeper) };
        let captures =
            captures.iter().map(|(name, at)| ((*name).to_owned(), Spot::Pointer((*at).to_owned())));
        Step { act: Act::Ask { route, form: [].into() }, captures: captures.collect() }
    };
    let of = |mut step: Step, name: &str, value: &str| {
        if let Act::Ask { route, .. } = &mut step.act {
            route.params.insert(name.to_owned(), value.to_owned());
        }
        step
    };
    let abilities: Vec<&str> = abilities.iter().map(KeyAbility::name).collect();
    let member = json!({ "name": "{{name}}", "email": "{{address}}" });
    let key = json!({ "name": "check run", "member": "{{newcomer}}", "abilities": abilities, "days": 1 });
    let suspended = json!({ "status": "suspended" });
    SignUp {
        name: "an owner".to_owned(),
        by: SignUpBy::Staff,
        community: ground.community.slug.clone(),
        steps: vec![
            ask(Method::POST, "/admin/members", Some(member), &[("newcomer", "/id")]),
            ask(Method::POST, "/admin/keys", Some(key), &[("key", "/key"), ("key_id", "/id")]),
        ],
        undo: vec![
            of(ask(Method::DELETE, "/admin/keys/{key}", None, &[]), "key", "{{key_id}}"),
            of(ask(Method::PATCH, "/admin/members/{member}", Some(suspended), &[]), "member", "{{newcomer}}"),
        ],
        credential: NewCredential::Bearer("{{key}}".to_owned()),
        headers: [].into(),
    }
}
