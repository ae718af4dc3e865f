//! Who may do what here, as the project signed it, and how that is asked for.

use anyhow::{Context as _, Result};
use portcullis_check::target::{
    AccountKind, AccountList, Accounts, Act, Declaration, Declared, Exercise, ID, MARKER, Method,
    NewCredential, OwnStanding, Owned, OwnedKind, Roles, Route, SignUp, SignUpBy, Spot, Step, SystemMatrix,
    Target,
};
use portcullis_config::{Config, MailRoute};
use portcullis_core::Role;
use portcullis_http::Cookies;
use serde_json::{Value, json};

use super::APPROVER;
use super::ground::Ground;
use super::people::{self, ADMINS, CO_OWNERS};

/// The table as it was decided.
const SIGNED: &str = include_str!("roles.toml");
/// SHA-256 of `roles.toml` when it was last read by somebody who may decide it.
const SIGNED_SHA256: &str = "6af3ea481b9d1c7c745865ce91fa9c07ce7dab5d8a95cabcb46f7bf9c3bd6672";

/// Everything that the checks of roles, accounts and owners need to know. The first community's people are the ones that
/// requests name.
pub(super) fn describe(
    target: &mut Target,
    grounds: &[Ground],
    quiet: &Ground,
    config: &Config,
) -> Result<()> {
    let first = grounds.first().context("the checks have no community")?;
    target.roles = roles(first)?;
    target.accounts = accounts(grounds.iter().chain([quiet]));
    target.owned = vec![conversation(target.chat.route.body.as_ref()), memory()];
    target.sign_ups = by_staff(first, config).into_iter().chain(by_mail(first, config)).collect();
    if config.sign_in.open.is_empty() {
        let why = "no community lets strangers join: `sign_in.open` is empty";
        target.declarations.push(Declaration::new("self-sign-up", why, APPROVER));
    }
    target.declarations.extend([
        Declaration::new("shared-cache", "its own listener is asked, with nothing in front of it", APPROVER),
        Declaration::new("uploads", "this instance takes no files", APPROVER),
        Declaration::new(
            "permission:write-content",
            "content comes from the command line; no route changes it",
            APPROVER,
        ),
        Declaration::new(
            "permission:own-request",
            "a key has it or has it not, whatever the role; no session has it",
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
        admin_paths: ["/admin", "/v1/handovers", "/handovers", "/v1/approvals", "/approvals"]
            .map(str::to_owned)
            .to_vec(),
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

fn accounts<'g>(grounds: impl Iterator<Item = &'g Ground>) -> Accounts {
    let askers: Vec<String> = grounds.map(people::keeper).collect();
    let list = |kind, path: &str, items: &str| AccountList {
        kind,
        route: Route::new(Method::GET, path),
        askers: askers.clone(),
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
    if !config.sign_in.open.iter().any(|open| open.as_str() == slug) {
        return None;
    }
    let mut sign_up = signing_in(ground, config)?;
    let told = Route::new(Method::GET, "/v1/me");
    sign_up.steps.push(step(Act::Ask { route: told, form: [].into() }, &[("newcomer", at("/actor/id"))]));
    Some(sign_up)
}

/// An owner adds a member, who signs in by a mailed link: nobody else gets what acts as that member. Only where mail goes
/// into a folder.
fn by_staff(ground: &Ground, config: &Config) -> Option<SignUp> {
    let signing_in = signing_in(ground, config)?;
    let member = json!({ "name": "{{name}}", "email": "{{address}}" });
    let add = Route::new(Method::POST, "/admin/members").body(member).only_for(&people::keeper(ground));
    let added = step(Act::Ask { route: add, form: [].into() }, &[("newcomer", at("/id"))]);
    Some(SignUp {
        name: "an owner".to_owned(),
        by: SignUpBy::Staff,
        steps: std::iter::once(added).chain(signing_in.steps).collect(),
        ..signing_in
    })
}

/// Signing in by a mailed link, and what takes the account away again once its id is captured as `newcomer`.
fn signing_in(ground: &Ground, config: &Config) -> Option<SignUp> {
    let slug = &ground.community.slug;
    let MailRoute::Outbox { folder } = &config.mail.as_ref()?.route else { return None };
    let form = |path: &str, field: &str, value: &str, status| {
        let route = Route::new(Method::POST, path).param("community", slug).succeeds_with(status);
        step(Act::Ask { route, form: [(field.to_owned(), value.to_owned())].into() }, &[])
    };
    let mail = Act::Mail { folder: folder.clone(), link: "/login/link?token=".to_owned() };
    let session = Act::Ask { route: Route::new(Method::GET, "/v1/session"), form: [].into() };
    let suspend = Route::new(Method::PATCH, "/admin/members/{member}")
        .param("member", "{{newcomer}}")
        .body(json!({ "status": "suspended" }))
        .only_for(&people::keeper(ground));
    Some(SignUp {
        name: "a mailed link".to_owned(),
        by: SignUpBy::Self_,
        community: slug.clone(),
        steps: vec![
            form("/c/{community}/login", "email", "{{address}}", 200),
            step(mail, &[("token", Spot::Query("token".to_owned()))]),
            form("/login/link", "token", "{{token}}", 303),
            step(session, &[("csrf", at("/csrf_token"))]),
        ],
        undo: vec![step(Act::Ask { route: suspend, form: [].into() }, &[])],
        credential: NewCredential::Cookie(
            Cookies::under(&config.public_url.url().origin()).session().to_owned(),
        ),
        headers: [("X-CSRF-Token".to_owned(), "{{csrf}}".to_owned())].into(),
    })
}

fn at(pointer: &str) -> Spot {
    Spot::Pointer(pointer.to_owned())
}

fn step(act: Act, captures: &[(&str, Spot)]) -> Step {
    let captures = captures.iter().map(|(name, spot)| ((*name).to_owned(), spot.clone())).collect();
    Step { act, captures }
}
