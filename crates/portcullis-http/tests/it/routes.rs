//! Every route of the table, whoever calls it.

use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use http::{Method, StatusCode};
use jiff::ToSpan as _;
use portcullis_core::{AbilitySet, KeyAbility, Role, Scope};
use portcullis_http::problem::Shape;
use portcullis_http::{Access, ROUTES, Route};
use portcullis_store::{KeyActor, Status};

use serde_json::{Value, json};

use crate::app::{Answer, Person, Setup, TestApp, World, member_scope, question_body};

/// The route's path, with ids of things that are there and that whoever sends these headers may reach. What is used up
/// by the call is made anew each time; what only staff reach is made by the community's owner.
pub(crate) async fn path(
    app: &TestApp,
    route: &Route,
    world: &World,
    owner: &Person,
    own: &Person,
) -> String {
    let mut path = route.path.replace("{document}", &world.open_document.to_string());
    for parameter in route.parameters() {
        let id = match parameter {
            "conversation" => {
                let body = question_body("hello", false);
                let mut headers = own.headers();
                headers.push(("x-conversation-id", "new".to_owned()));
                let answer = send(app, Method::POST, "/v1/chat/completions", &headers, &body).await;
                answer.headers["x-conversation-id"].to_str().expect("an id").to_owned()
            }
            "memory" => made(app, "/v1/memories", own, &json!({ "text": "canary" })).await,
            "session" => own.session.to_string(),
            // Nobody decides on a call of their own.
            "approval" if matches!(route.name, "approve" | "deny") => {
                app.waiting(&world.operator, "canary").await.to_string()
            }
            "approval" => app.waiting(&scope_of(world, own), "canary").await.to_string(),
            "handover" => app.hand_over(&scope_of(world, own), "canary").await.to_string(),
            "member" => made(app, "/admin/members", owner, &json!({ "name": "canary" })).await,
            "plan" => "plus".to_owned(),
            "invitation" => made(app, "/admin/invitations", owner, &json!({})).await,
            "space" => world.paid.to_string(),
            "key" => {
                let key = json!({ "name": "canary", "abilities": ["chat"] });
                made(app, "/admin/keys", owner, &key).await
            }
            "community" => world.community.slug.clone(),
            "document" => continue,
            other => panic!("the tests do not know how to make a {other}"),
        };
        path = path.replace(&format!("{{{parameter}}}"), &id);
    }
    path
}

/// The id of what a request makes.
async fn made(app: &TestApp, path: &str, by: &Person, body: &Value) -> String {
    let answer = send(app, Method::POST, path, &by.headers(), body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{path}: {}", answer.text());
    answer.json()["id"].as_str().expect("an id").to_owned()
}

async fn send(
    app: &TestApp,
    method: Method,
    path: &str,
    headers: &[(&'static str, String)],
    body: &Value,
) -> Answer {
    let mut request = app.request(method, path, None);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    app.send(request.body(Bytes::from(body.to_string())).expect("a request")).await
}

async fn call(app: &TestApp, route: &Route, path: &str, headers: &[(&str, String)]) -> Answer {
    let mut request = app.request(route.method.clone(), path, None);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let mut body =
        route.example.map(|example| serde_json::from_str::<serde_json::Value>(example).expect("JSON"));
    match (&mut body, route.name) {
        (Some(body), "chat") => body["model"] = "test-model".into(),
        // Names that are taken are refused, and every call makes one.
        (Some(body), "add-space" | "add-plan") => {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            body["slug"] = format!("new-{}", NEXT.fetch_add(1, Ordering::Relaxed)).into();
        }
        _ => {}
    }
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    app.send(request.body(Bytes::from(body)).expect("a request")).await
}

/// Whether that is what a route answers to whoever may use it. Nobody has decided on the call that would be gone on with.
fn works(route: &Route, status: StatusCode) -> bool {
    if route.name == "resume" { status == StatusCode::CONFLICT } else { status.is_success() }
}

fn scope_of(world: &World, person: &Person) -> Scope {
    member_scope(world, person.member)
}

fn bearer(key: &str) -> [(&'static str, String); 1] {
    [("authorization", format!("Bearer {key}"))]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_closed_route_refuses_every_bad_credential_and_takes_a_good_one() {
    let app = TestApp::start(Setup::default()).await;
    let world = app.world("one").await;
    let other = app.world("two").await;
    let boss = app.person(&world, "boss", Role::Owner).await;
    let owner = app.person(&world, "owner", Role::Owner).await;
    let member = owner.member;
    let (good, _) = app.key_of(&world, member).await;
    let (foreign, _) = app.key_of(&other, app.member(&other, "Bo", None).await).await;

    let all: AbilitySet = KeyAbility::ALL.into_iter().collect();
    let past = app.clock.now() - 1.hour();
    let (expired, _) = app.key(&world, KeyActor::Member(member), all, Some(past)).await;
    let (revoked, revoked_id) = app.key_of(&world, member).await;
    app.stores.keys.revoke(&world.operator, revoked_id).await.expect("revoked");
    let suspended_member = app.member(&world, "Cy", None).await;
    let (suspended, _) = app.key_of(&world, suspended_member).await;
    app.stores
        .members
        .set_status(&world.operator, suspended_member, Status::Suspended)
        .await
        .expect("suspended");
    // The secret of one community's key behind the locator of another.
    let moved = good.replacen(world.community.locator.as_str(), other.community.locator.as_str(), 1);
    let mut flipped = good.clone();
    flipped.replace_range(flipped.len() - 1.., if good.ends_with('0') { "1" } else { "0" });

    let mut bad: Vec<(&str, Vec<(&str, String)>)> = vec![
        ("none", vec![]),
        (
            "two",
            vec![("authorization", format!("Bearer {good}")), ("authorization", format!("Bearer {foreign}"))],
        ),
        (
            "the same twice",
            vec![("authorization", format!("Bearer {good}")), ("authorization", format!("Bearer {good}"))],
        ),
        ("basic", vec![("authorization", format!("Basic {good}"))]),
        ("bare", vec![("authorization", good.clone())]),
        ("in another header", vec![("x-api-key", good.clone())]),
        ("in a cookie", vec![("cookie", format!("portcullis-session={good}"))]),
        ("a session as a bearer", vec![("authorization", format!("Bearer {}", owner.cookie))]),
        (
            "a session in the cookie of https",
            vec![("cookie", format!("__Host-portcullis-session={}", owner.cookie))],
        ),
    ];
    let mut both = owner.headers();
    both.push(("authorization", format!("Bearer {good}")));
    bad.push(("a session and a key", both));
    let mut twice = owner.headers();
    twice.push(("cookie", format!("portcullis-session={}", owner.cookie)));
    bad.push(("a session twice", twice));
    let ended = app.sign_in(&world, member, "owner@example.org").await;
    app.stores.sessions.end(&scope_of(&world, &ended), ended.session).await.expect("ended");
    bad.push(("an ended session", ended.headers()));
    let mut moved_session = owner.headers();
    let (here, there) = (world.community.locator.as_str(), other.community.locator.as_str());
    moved_session[0].1 = moved_session[0].1.replacen(here, there, 1);
    bad.push(("a session moved to another community", moved_session));
    for (name, key) in [
        ("expired", &expired),
        ("revoked", &revoked),
        ("suspended", &suspended),
        ("moved", &moved),
        ("flipped", &flipped),
    ] {
        bad.push((name, vec![("authorization", format!("Bearer {key}"))]));
    }
    bad.push(("a long one", vec![("authorization", format!("Bearer {}", "a".repeat(7_000)))]));

    let mut closed = 0;
    for route in ROUTES {
        match route.access {
            Access::Needs(_) => {}
            Access::Public => {
                assert!(call(&app, route, route.path, &[]).await.status.is_success(), "{route:?}");
                continue;
            }
            Access::Open => continue,
        }
        closed += 1;
        // A session of its own, since the route may be the one that ends it.
        let asks = app.sign_in(&world, member, "owner@example.org").await;
        let there = path(&app, route, &world, &boss, &asks).await;
        for (name, headers) in &bad {
            let refused = call(&app, route, &there, headers).await;
            assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{route:?} with {name}");
            assert!(refused.headers.contains_key("www-authenticate"), "{route:?} with {name}");
            assert!(!refused.text().contains("canary"), "{route:?} with {name} told content");
        }
        // Why a credential is refused is not told: all of them look the same.
        let texts: std::collections::BTreeSet<String> = {
            let mut texts = std::collections::BTreeSet::new();
            for key in [&expired, &revoked, &suspended, &moved, &flipped] {
                let answer = call(&app, route, &there, &bearer(key)).await;
                if route.shape == Shape::Page {
                    texts.insert(answer.text());
                    continue;
                }
                let mut body = answer.json();
                body.as_object_mut().expect("an object").remove("instance");
                texts.insert(body.to_string());
            }
            texts
        };
        assert_eq!(texts.len(), 1, "{route:?}: {texts:?}");
        // Last, since the route may remove what it names: none of the refused ones did.
        let positive = call(&app, route, &there, &asks.headers()).await;
        assert!(works(route, positive.status), "{route:?}: {} {}", positive.status, positive.text());
    }
    assert!(closed >= 5);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_does_only_what_it_was_issued_for() {
    let app = TestApp::start(Setup::default()).await;
    let world = app.world("one").await;
    let owner = app.person(&world, "owner", Role::Owner).await;
    for ability in KeyAbility::ALL {
        let set: AbilitySet = [ability].into_iter().collect();
        let (key, _) = app.key(&world, KeyActor::Member(owner.member), set, None).await;
        for route in ROUTES {
            let Access::Needs(action) = route.access else { continue };
            let own = app.sign_in(&world, owner.member, "owner@example.org").await;
            let there = path(&app, route, &world, &own, &own).await;
            let status = call(&app, route, &there, &bearer(&key)).await.status;
            let as_expected = match (set.covers(action), route.name) {
                // A key is no session, so there is none to end.
                (true, "sign-out") => status == StatusCode::BAD_REQUEST,
                // Nor does it make one that does what it cannot.
                (true, "add-key") => status == StatusCode::FORBIDDEN,
                (true, _) => works(route, status),
                (false, _) => status == StatusCode::FORBIDDEN,
            };
            assert!(as_expected, "{route:?} with a key for {}: {status}", ability.name());
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_does_what_the_table_says_and_nothing_more() {
    let app = TestApp::start(Setup::default()).await;
    let world = app.world("one").await;
    let owner = app.person(&world, "boss", Role::Owner).await;
    let (mut allowed, mut denied) = (0, 0);
    for role in Role::ALL {
        let person = app.person(&world, role.name(), role).await;
        let email = format!("{}@example.org", role.name());
        for route in ROUTES {
            let Access::Needs(action) = route.access else { continue };
            let own = app.sign_in(&world, person.member, &email).await;
            let there = path(&app, route, &world, &owner, &own).await;
            let status = call(&app, route, &there, &own.headers()).await.status;
            let may = role.allows(action);
            let as_expected = if may { works(route, status) } else { status == StatusCode::FORBIDDEN };
            assert!(as_expected, "{route:?} as {}: {status}", role.name());
            *(if may { &mut allowed } else { &mut denied }) += 1;
        }
    }
    assert!(allowed > 60 && denied > 30, "{allowed} allowed, {denied} denied");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_by_cookie_needs_proof_that_our_own_page_made_it() {
    let app = TestApp::start(Setup::default()).await;
    let world = app.world("one").await;
    let owner = app.person(&world, "owner", Role::Owner).await;
    let other = app.person(&world, "other", Role::Owner).await;
    let cookie = || owner.headers().remove(0);
    let with = |extra: &[(&'static str, &str)]| {
        let extra = extra.iter().map(|(name, value)| (*name, (*value).to_owned()));
        std::iter::once(cookie()).chain(extra).collect::<Vec<_>>()
    };
    let (token, foreign) = (owner.csrf.as_str(), other.csrf.as_str());
    let forged = [
        ("no token", with(&[])),
        (
            "no token from our own origin",
            with(&[("sec-fetch-site", "same-origin"), ("origin", "http://127.0.0.1")]),
        ),
        ("another session's token", with(&[("x-csrf-token", foreign)])),
        ("an empty token", with(&[("x-csrf-token", "")])),
        (
            "a token that another site read",
            with(&[("x-csrf-token", token), ("sec-fetch-site", "cross-site")]),
        ),
        ("a sibling host", with(&[("x-csrf-token", token), ("sec-fetch-site", "same-site")])),
        ("an address bar", with(&[("x-csrf-token", token), ("sec-fetch-site", "none")])),
        ("another origin", with(&[("x-csrf-token", token), ("origin", "http://evil.example")])),
        ("a hidden origin", with(&[("x-csrf-token", token), ("origin", "null")])),
        ("our host, another port", with(&[("x-csrf-token", token), ("origin", "http://127.0.0.1:81")])),
    ];
    let mut writes = 0;
    for route in ROUTES {
        if route.method.is_safe() || !matches!(route.access, Access::Needs(_)) {
            continue;
        }
        writes += 1;
        let own = app.sign_in(&world, owner.member, "owner@example.org").await;
        let there = path(&app, route, &world, &owner, &own).await;
        for (name, headers) in &forged {
            let answer = call(&app, route, &there, headers).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{route:?} with {name}");
            assert!(answer.text().contains("foreign_page"), "{route:?} with {name}: {}", answer.text());
        }
    }
    assert!(writes > 15);
    // The same with everything in its place, from browsers old and new; and reading needs no token.
    for headers in [
        with(&[("x-csrf-token", token), ("sec-fetch-site", "same-origin")]),
        with(&[("x-csrf-token", token), ("origin", "http://127.0.0.1")]),
        with(&[("x-csrf-token", token)]),
    ] {
        let made = send(&app, Method::POST, "/v1/memories", &headers, &json!({ "text": "note" })).await;
        assert_eq!(made.status, StatusCode::CREATED);
    }
    assert_eq!(send(&app, Method::GET, "/v1/me", &with(&[]), &Value::Null).await.status, StatusCode::OK);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_response_carries_the_security_headers_and_an_id() {
    let app = TestApp::start(Setup::default()).await;
    let world = app.world("one").await;
    let owner = app.person(&world, "owner", Role::Owner).await;
    let mut answers = Vec::new();
    for route in ROUTES {
        let own = app.sign_in(&world, owner.member, "owner@example.org").await;
        let there = path(&app, route, &world, &own, &own).await;
        answers.push(call(&app, route, &there, &own.headers()).await);
        answers.push(call(&app, route, &there, &[]).await);
    }
    for (method, path) in
        [(Method::GET, "/nowhere"), (Method::DELETE, "/v1/me"), (Method::GET, "/v1/%2e%2e/x")]
    {
        answers.push(app.send(app.request(method, path, None).body(Bytes::new()).expect("a request")).await);
    }
    for answer in answers {
        for name in [
            "content-security-policy",
            "x-content-type-options",
            "x-frame-options",
            "referrer-policy",
            "permissions-policy",
            "cross-origin-opener-policy",
            "cross-origin-resource-policy",
            "cache-control",
            "x-request-id",
        ] {
            assert_eq!(answer.headers.get_all(name).iter().count(), 1, "{name} on {}", answer.status);
        }
        assert!(!answer.headers.contains_key("server"));
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_refuses_with_a_wait_and_touches_nobody_else() {
    let app = TestApp::start(Setup { per_actor: 5, ..Setup::default() }).await;
    let world = app.world("one").await;
    let busy = app.member(&world, "Ada", None).await;
    let (first, _) = app.key_of(&world, busy).await;
    let (second, _) = app.key_of(&world, busy).await;
    let (other, _) = app.key_of(&world, app.member(&world, "Bo", None).await).await;
    let mut statuses = Vec::new();
    for turn in 0..7 {
        let key = if turn % 2 == 0 { &first } else { &second };
        statuses.push(app.get("/v1/me", key).await.status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429], "two keys of one member share one limit");
    let refused = app.get("/v1/me", &first).await;
    let wait: u64 = refused.headers["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((1..=61).contains(&wait), "{wait}");
    assert_eq!(refused.json()["code"], "rate_limited");
    let fine = app.get("/v1/me", &other).await;
    assert_eq!(fine.status, StatusCode::OK);
    assert!(fine.headers["ratelimit"].to_str().expect("text").contains("r=4"), "{:?}", fine.headers);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_credentials_is_slowed_before_any_look_up() {
    let app = TestApp::start(Setup { refused_per_address: 3, ..Setup::default() }).await;
    let world = app.world("one").await;
    let (key, _) = app.key_of(&world, app.member(&world, "Ada", None).await).await;
    for _ in 0..3 {
        assert_eq!(app.get("/v1/me", "pcl_wrong").await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(app.get("/v1/me", "pcl_wrong").await.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        app.get("/v1/me", &key).await.status,
        StatusCode::TOO_MANY_REQUESTS,
        "the address waits, whatever it sends"
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_refused_whether_it_says_so_or_not() {
    let app = TestApp::start(Setup { body_bytes: 1_000, ..Setup::default() }).await;
    let world = app.world("one").await;
    let (key, _) = app.key_of(&world, app.member(&world, "Ada", None).await).await;
    let large = serde_json::json!({ "query": "x".repeat(2_000) });
    assert_eq!(app.post("/v1/search", &key, &large).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(app.get("/healthz", &key).await.status, StatusCode::OK);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openapi_document_lists_exactly_the_table() {
    let app = TestApp::start(Setup::default()).await;
    let document = app.get("/openapi.json", "x").await.json();
    let mut listed: Vec<String> = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for method in methods.as_object().expect("methods").keys() {
            listed.push(format!("{} {path}", method.to_uppercase()));
        }
    }
    let mut table: Vec<String> =
        ROUTES.iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    listed.sort();
    table.sort();
    assert_eq!(listed, table);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openapi_document_says_what_a_route_takes() {
    let app = TestApp::start(Setup::default()).await;
    let document = app.get("/openapi.json", "x").await.json();
    let cookie = json!({ "type": "apiKey", "in": "cookie", "name": "portcullis-session" });
    assert_eq!(document["components"]["securitySchemes"]["session"], cookie);
    for route in ROUTES {
        let operation = &document["paths"][route.path][route.method.as_str().to_lowercase()];
        let parameters = operation["parameters"].as_array().expect("a list");
        let of = |kind: &'static str| parameters.iter().filter(move |parameter| parameter["in"] == kind);
        let named: Vec<_> = of("path").map(|parameter| parameter["name"].as_str().expect("a name")).collect();
        assert_eq!(named, route.parameters().collect::<Vec<_>>(), "{route:?}");
        for parameter in of("path") {
            let name = parameter["name"].as_str().expect("a name");
            let is_id = !["plan", "community"].contains(&name);
            assert_eq!(parameter["schema"]["format"] == "uuid", is_id, "{route:?}: {parameter}");
        }
        let schemes: Vec<_> = operation["security"].as_array().expect("a list").iter().collect();
        let headers: Vec<_> =
            of("header").map(|parameter| parameter["name"].as_str().expect("a name")).collect();
        let mut wanted = Vec::new();
        if matches!(route.access, Access::Needs(_)) {
            assert_eq!(schemes, [&json!({ "bearer": [] }), &json!({ "session": [] })]);
            if !route.method.is_safe() {
                wanted.push("X-CSRF-Token");
            }
        } else {
            assert!(schemes.is_empty(), "{route:?}");
        }
        if route.name == "chat" {
            wanted.extend(["Idempotency-Key", "X-Conversation-Id"]);
        }
        assert_eq!(headers, wanted, "{route:?}");
        assert!(of("header").all(|parameter| parameter["description"].is_string()), "{route:?}");
    }
    app.stop().await;
}
