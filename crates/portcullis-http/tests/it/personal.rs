//! What is a member's own: conversations, memories, limits. And members whom a host application vouches for.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Method, StatusCode};
use portcullis_core::{DocumentId, KeyAbility, Secret};
use portcullis_guard::jwt::{Algorithm, Issuer, IssuerKey, Issuers, KeyMaterial};
use portcullis_model::upstream::{self, Gullible, Sink, Slow, Upstream};
use portcullis_model::{OpenAi, OpenAiOptions};
use portcullis_store::{KeyActor, SpaceAccess, Status};
use serde_json::{Value, json};

use crate::app::{Answer, Setup, TestApp, World, question_body};

const KEY: &[u8] = b"fixed key of this test, 32 bytes or more";

async fn ask_in(app: &TestApp, key: &str, conversation: &str, question: &str, stream: bool) -> Answer {
    let request = app
        .request(Method::POST, "/v1/chat/completions", Some(key))
        .header("x-conversation-id", conversation)
        .body(Bytes::from(question_body(question, stream).to_string()));
    app.send(request.expect("a request")).await
}

async fn send(app: &TestApp, method: Method, path: &str, key: &str, body: Option<Value>) -> Answer {
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    app.send(app.request(method, path, Some(key)).body(Bytes::from(body)).expect("a request")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_goes_on_where_it_was_left_and_is_its_members_alone() {
    let upstream = Upstream::start(Gullible::new()).await.expect("an upstream");
    let model = OpenAi::new(OpenAiOptions::new(upstream.url())).expect("a client");
    let app =
        TestApp::start(Setup { model: Some(Arc::new(model)), ..Setup::default() }.nothing_held_back()).await;
    let (one, two) = (app.world("one").await, app.world("two").await);
    let (ada, _) = app.key_of(&one, app.member(&one, "Ada", None).await).await;
    let (bo, _) = app.key_of(&one, app.member(&one, "Bo", Some("plus")).await).await;
    let (cy, _) = app.key_of(&two, app.member(&two, "Cy", None).await).await;

    for stream in [false, true] {
        let first = ask_in(&app, &ada, "new", "ADAQUESTION about the kettle", stream).await;
        assert_eq!(first.status, StatusCode::OK, "{}", first.text());
        let id = first.headers["x-conversation-id"].to_str().expect("an id").to_owned();
        let before = upstream.requests().len();
        assert_eq!(ask_in(&app, &ada, &id, "and what else?", stream).await.status, StatusCode::OK);
        let heard = upstream.requests()[before].json();
        assert!(
            heard["messages"].to_string().contains("ADAQUESTION"),
            "the history is shown to the model: {heard}"
        );

        let path = format!("/v1/conversations/{id}");
        let own = send(&app, Method::GET, &path, &ada, None).await;
        assert_eq!(own.json()["messages"].as_array().map(Vec::len), Some(4), "{}", own.text());
        let mut refusals = std::collections::BTreeSet::new();
        for stranger in [&bo, &cy] {
            assert!(!send(&app, Method::GET, "/v1/conversations", stranger, None).await.text().contains(&id));
            for (method, body) in [
                (Method::GET, None),
                (Method::PATCH, Some(json!({ "title": "mine" }))),
                (Method::DELETE, None),
            ] {
                let answer = send(&app, method, &path, stranger, body).await;
                assert_eq!(answer.status, StatusCode::NOT_FOUND, "{}", answer.text());
                let mut body = answer.json();
                body.as_object_mut().expect("an object").remove("instance");
                refusals.insert(body.to_string());
            }
        }
        assert_eq!(refusals.len(), 1, "{refusals:?}");
        let renamed = send(&app, Method::PATCH, &path, &ada, Some(json!({ "title": "Kettles" }))).await;
        assert_eq!(renamed.json()["title"], "Kettles");
        assert_eq!(send(&app, Method::DELETE, &path, &ada, None).await.status, StatusCode::NO_CONTENT);
        assert_eq!(send(&app, Method::GET, &path, &ada, None).await.status, StatusCode::NOT_FOUND);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_withheld_once_its_sources_may_not_be_read() {
    let app = TestApp::start(Setup::default()).await;
    let world = app.world("one").await;
    let (key, _) = app.key_of(&world, app.member(&world, "Ada", Some("plus")).await).await;
    let first = ask_in(&app, &key, "new", "kettle", false).await;
    let id = first.headers["x-conversation-id"].to_str().expect("an id").to_owned();
    let path = format!("/v1/conversations/{id}");
    let read = send(&app, Method::GET, &path, &key, None).await.text();
    assert!(read.contains("canaryonepaid"), "{read}");
    app.stores.spaces.set_access(&world.operator, world.paid, SpaceAccess::Staff).await.expect("closed");
    let read = send(&app, Method::GET, &path, &key, None).await;
    assert!(!read.text().contains("canaryonepaid"), "{}", read.text());
    assert_eq!(read.json()["messages"][1]["withheld"], true);
    assert_eq!(read.json()["messages"][0]["text"], "kettle", "the member's own words stay");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_of_an_earlier_answer_rests_on_its_sources_too() {
    // It says again all that it is shown.
    let parrot = Sink::new(|heard| upstream::Answer::text(&heard.text(), 64).reply_to(heard));
    let upstream = Upstream::start(parrot).await.expect("an upstream");
    let model = OpenAi::new(OpenAiOptions::new(upstream.url())).expect("a client");
    let setup = Setup { model: Some(Arc::new(model)), ..Setup::default() };
    let app = TestApp::start(setup.nothing_held_back()).await;
    let world = app.world("one").await;
    let (key, _) = app.key_of(&world, app.member(&world, "Ada", Some("plus")).await).await;
    for stream in [false, true] {
        let first = ask_in(&app, &key, "new", "kettle", stream).await;
        let id = first.headers["x-conversation-id"].to_str().expect("an id").to_owned();
        // Nothing is recalled for this.
        let question = question_body("zzyzx?", stream).to_string();
        let again = async || {
            let request = app
                .request(Method::POST, "/v1/chat/completions", Some(&key))
                .header("x-conversation-id", &id)
                .header("idempotency-key", format!("again-{stream}"))
                .body(Bytes::from(question.clone()));
            app.send(request.expect("a request")).await
        };
        let told = again().await.text();
        assert!(told.contains("canaryonepaid"), "the earlier answer is said again: {told}");
        let path = format!("/v1/conversations/{id}");
        let read = send(&app, Method::GET, &path, &key, None).await.json();
        assert_eq!(read["messages"][3]["sources"], read["messages"][1]["sources"], "{read}");

        app.stores.spaces.set_access(&world.operator, world.paid, SpaceAccess::Staff).await.expect("closed");
        let read = send(&app, Method::GET, &path, &key, None).await;
        assert!(!read.text().contains("canaryonepaid"), "{}", read.text());
        assert_eq!(read.json()["messages"][3]["withheld"], true);
        // What is withheld is not shown to the model either.
        let third = ask_in(&app, &key, &id, "zzyzx once more?", stream).await.text();
        assert!(!third.contains("canaryonepaid"), "{third}");
        let plan = SpaceAccess::Plans(vec!["plus".to_owned()]);
        app.stores.spaces.set_access(&world.operator, world.paid, plan).await.expect("open again");
        assert!(again().await.text().contains("canaryonepaid"), "a retry is answered as before");

        if stream {
            let sources =
                send(&app, Method::GET, &path, &key, None).await.json()["messages"][1]["sources"].clone();
            let documents: Vec<DocumentId> = serde_json::from_value(sources).expect("ids");
            app.stores.content.remove(&world.operator, &documents).await.expect("removed");
            let retried = again().await.text();
            assert!(!retried.contains("canaryonepaid"), "{retried}");
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_ends_when_what_it_or_an_earlier_one_was_made_of_may_not_be_read_any_more() {
    let parrot = Sink::new(|heard| upstream::Answer::text(&heard.text(), 8).reply_to(heard));
    let upstream =
        Upstream::start(Slow::new(parrot).between(Duration::from_millis(50))).await.expect("an upstream");
    let model = OpenAi::new(OpenAiOptions::new(upstream.url())).expect("a client");
    let setup = Setup { model: Some(Arc::new(model)), ..Setup::default() };
    let app = TestApp::start(setup.nothing_held_back()).await;
    let world = app.world("one").await;
    let (key, _) = app.key_of(&world, app.member(&world, "Ada", Some("plus")).await).await;
    let first = ask_in(&app, &key, "new", "kettle", false).await;
    let id = first.headers["x-conversation-id"].to_str().expect("an id").to_owned();
    let ends =
        async |conversation: &str, question: &str, change: Pin<Box<dyn Future<Output = ()> + Send>>| {
            let request = app
                .request(Method::POST, "/v1/chat/completions", Some(&key))
                .header("x-conversation-id", conversation)
                .body(Bytes::from(question_body(question, true).to_string()));
            let mut stream = app.open(request.expect("a request")).await.into_body();
            stream.chunk().await.expect("a frame").expect("a frame");
            change.await;
            let mut rest = String::new();
            while let Some(Ok(piece)) = stream.chunk().await {
                rest.push_str(&String::from_utf8_lossy(&piece));
            }
            assert!(rest.contains("access_ended") && !rest.contains("[DONE]"), "{question}: {rest}");
        };
    let (spaces, content) = (Arc::clone(&app.stores.spaces), Arc::clone(&app.stores.content));
    let (operator, paid) = (world.operator.clone(), world.paid);
    let close = async move { spaces.set_access(&operator, paid, SpaceAccess::Staff).await.expect("closed") };
    ends(&id, "zzyzx?", Box::pin(close)).await;
    let (operator, document) = (world.operator.clone(), world.open_document);
    let remove = async move { assert_eq!(content.remove(&operator, &[document]).await.expect("removed"), 1) };
    ends("new", "kettle", Box::pin(remove)).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_memory_is_kept_at_the_members_wish_and_recalled_for_them_only() {
    let upstream = Upstream::start(Gullible::new()).await.expect("an upstream");
    let model = OpenAi::new(OpenAiOptions::new(upstream.url())).expect("a client");
    let app =
        TestApp::start(Setup { model: Some(Arc::new(model)), ..Setup::default() }.nothing_held_back()).await;
    let world = app.world("one").await;
    let (ada, _) = app.key_of(&world, app.member(&world, "Ada", None).await).await;
    let (bo, _) = app.key_of(&world, app.member(&world, "Bo", None).await).await;
    assert_eq!(app.ask(&ada, "Remember that I drink MEMORYCANARY tea.").await.status, StatusCode::OK);
    let added = send(&app, Method::POST, "/v1/memories", &ada, Some(json!({ "text": "SECONDCANARY" }))).await;
    assert_eq!(added.status, StatusCode::CREATED, "{}", added.text());
    let told = app.ask(&ada, "What do I drink? Repeat everything.").await.text();
    assert!(told.contains("MEMORYCANARY") && told.contains("SECONDCANARY"), "{told}");
    let other = app.ask(&bo, "What does Ada drink? Repeat everything.").await.text();
    assert!(!other.contains("MEMORYCANARY") && !other.contains("SECONDCANARY"), "{other}");

    let id = added.json()["id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/memories/{id}");
    for (method, body) in
        [(Method::GET, None), (Method::PATCH, Some(json!({ "text": "mine" }))), (Method::DELETE, None)]
    {
        assert_eq!(send(&app, method, &path, &bo, body).await.status, StatusCode::NOT_FOUND);
    }
    let changed = send(&app, Method::PATCH, &path, &ada, Some(json!({ "text": "changed" }))).await;
    assert_eq!(changed.json()["text"], "changed");
    assert_eq!(send(&app, Method::DELETE, &path, &ada, None).await.status, StatusCode::NO_CONTENT);
    for bad in
        [json!({ "text": "" }), json!({ "text": "x".repeat(1_001) }), json!({ "text": "a", "member": "b" })]
    {
        assert_eq!(
            send(&app, Method::POST, "/v1/memories", &ada, Some(bad)).await.status,
            StatusCode::BAD_REQUEST
        );
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_a_limit_is_told() {
    let app = TestApp::start(Setup { per_actor: 10, ..Setup::default() }).await;
    let world = app.world("one").await;
    let (key, _) = app.key_of(&world, app.member(&world, "Ada", None).await).await;
    app.get("/v1/me", &key).await;
    let limits = app.get("/v1/me/limits", &key).await.json();
    assert_eq!(limits["limits"][0]["limit"], 10);
    assert_eq!(limits["limits"][0]["remaining"], 8, "this request counts too");
    assert!(limits["limits"][0]["resets_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{limits}");
    app.stop().await;
}

fn token(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({ "alg": "HS256", "typ": "JWT" })), part(claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, KEY);
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, signed.as_bytes())))
}

fn host(grants_entitlements: bool, provisions_members: bool) -> Issuers {
    let issuer = Issuer {
        name: "https://host.example".to_owned(),
        audience: "portcullis".to_owned(),
        communities: vec!["one".to_owned()],
        keys: vec![IssuerKey {
            id: None,
            algorithm: Algorithm::Hs256,
            key: KeyMaterial::Secret(Secret::new(KEY.to_vec())),
        }],
        grants_entitlements,
        provisions_members,
        leeway: Duration::from_secs(5),
        longest_life: Duration::from_secs(3_600),
    };
    Issuers::new(vec![issuer]).expect("an issuer")
}

/// Claims of the host for `subject`, with what a test changes.
fn claims(app: &TestApp, subject: &str, more: &Value) -> Value {
    let now = app.clock.now().as_second();
    let mut claims = json!({
        "iss": "https://host.example", "aud": "portcullis", "sub": subject, "iat": now, "exp": now + 600,
    });
    for (name, value) in more.as_object().expect("an object") {
        claims[name] = value.clone();
    }
    claims
}

async fn seen(app: &TestApp, token: &str) -> (StatusCode, String) {
    let answer = app.post("/v1/search", token, &json!({ "query": "kettle" })).await;
    (answer.status, answer.text())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hosts_token_narrows_what_is_stored_and_never_widens_it() {
    let app = TestApp::start(Setup { issuers: host(false, false), ..Setup::default() }).await;
    let world: World = app.world("one").await;
    app.world("two").await;
    let member = app.member(&world, "Ada", Some("plus")).await;
    let plain = app.member(&world, "Bo", None).await;
    for (member, subject) in [(member, "ada"), (plain, "bo")] {
        app.stores
            .members
            .link(&world.operator, member, "https://host.example", subject)
            .await
            .expect("linked");
    }
    let say = |subject: &str, more: Value| token(&claims(&app, subject, &more));
    let (status, text) = seen(&app, &say("ada", json!({}))).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    assert!(
        text.contains("canaryoneopen") && text.contains("canaryonepaid") && !text.contains("canarytwo"),
        "{text}"
    );
    let (_, text) = seen(&app, &say("ada", json!({ "plans": [] }))).await;
    assert!(text.contains("canaryoneopen") && !text.contains("canaryonepaid"), "a claim narrows: {text}");
    let (_, text) = seen(&app, &say("ada", json!({ "spaces": ["paid"] }))).await;
    assert!(!text.contains("canaryoneopen") && text.contains("canaryonepaid"), "a claim narrows: {text}");
    let (_, text) = seen(&app, &say("bo", json!({ "plans": ["plus"], "role": "owner" }))).await;
    assert!(
        text.contains("canaryoneopen") && !text.contains("canaryonepaid"),
        "a claim never widens: {text}"
    );
    let me = app.get("/v1/me", &say("bo", json!({ "role": "owner" }))).await.json();
    assert_eq!(me["role"], "member");

    for (why, more) in [
        ("unknown subject", json!({ "sub": "stranger" })),
        ("another community", json!({ "community": "two" })),
        ("another audience", json!({ "aud": "elsewhere" })),
        ("expired", json!({ "exp": app.clock.now().as_second() - 60 })),
        ("another issuer", json!({ "iss": "https://evil.example" })),
    ] {
        assert_eq!(seen(&app, &say("ada", more)).await.0, StatusCode::UNAUTHORIZED, "{why}");
    }
    let good = say("ada", json!({}));
    let forged = format!("{}x", good.get(..good.len() - 1).expect("ASCII"));
    assert_eq!(seen(&app, &forged).await.0, StatusCode::UNAUTHORIZED);
    app.stores.members.set_status(&world.operator, member, Status::Suspended).await.expect("suspended");
    assert_eq!(
        seen(&app, &good).await.0,
        StatusCode::UNAUTHORIZED,
        "suspension ends every form of credential"
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_grants_entitlements_opens_what_its_plans_open() {
    let app = TestApp::start(Setup { issuers: host(true, true), ..Setup::default() }).await;
    app.world("one").await;
    let say = |more: Value| token(&claims(&app, "new-member", &more));
    let (status, text) = seen(&app, &say(json!({ "plans": ["plus"], "name": "Neo" }))).await;
    assert_eq!(status, StatusCode::OK, "a new member is made: {text}");
    assert!(text.contains("canaryonepaid"), "{text}");
    let ended = json!({ "plans": [{ "plan": "plus", "until": app.clock.now().as_second() - 1 }] });
    let (_, text) = seen(&app, &say(ended)).await;
    assert!(
        !text.contains("canaryonepaid") && text.contains("canaryoneopen"),
        "a plan ends at its end: {text}"
    );
    let me = app.get("/v1/me", &say(json!({ "role": "owner" }))).await.json();
    assert_eq!(me["role"], "member", "a new member has the lowest role, whatever the token says");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hosts_token_lets_its_member_in_whatever_it_calls_them() {
    let app = TestApp::start(Setup { issuers: host(false, true), ..Setup::default() }).await;
    let world = app.world("one").await;
    let long = format!(" {}", "\u{5c71}".repeat(300));
    for (subject, name, kept) in [
        ("blank", " \u{3000}".to_owned(), "Member".to_owned()),
        ("none", String::new(), "Member".to_owned()),
        ("spaced", "  Ada Example ".to_owned(), "Ada Example".to_owned()),
        ("long", long, "\u{5c71}".repeat(200)),
        ("cut", format!("{} {}", "a".repeat(199), "b".repeat(9)), "a".repeat(199)),
    ] {
        let token = token(&claims(&app, subject, &json!({ "name": name })));
        for _ in 0..2 {
            let (status, told) = seen(&app, &token).await;
            assert_eq!(status, StatusCode::OK, "{subject}: {told}");
        }
        let members = app.stores.members.list(&world.operator).await.expect("listed");
        assert_eq!(members.last().expect("a member").name, kept, "{subject}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_reads_no_conversations_begins_none() {
    let app = TestApp::start(Setup::default()).await;
    let world = app.world("one").await;
    let ada = app.member(&world, "Ada", None).await;
    let chat = [KeyAbility::Chat].into_iter().collect();
    let (key, _) = app.key(&world, KeyActor::Member(ada), chat, None).await;
    let (own, _) = app.key_of(&world, ada).await;
    let begun = app.conversation(&own).await;
    for conversation in ["new", &begun] {
        for stream in [false, true] {
            let answer = ask_in(&app, &key, conversation, "overheard", stream).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", answer.text());
            assert!(answer.text().contains("X-Conversation-Id"), "{}", answer.text());
        }
    }
    assert_eq!(app.ask(&key, "kettle").await.status, StatusCode::OK, "without one it may ask");
    let kept = app.get("/v1/conversations", &own).await.json();
    assert_eq!(kept["conversations"].as_array().expect("a list").len(), 1, "{kept}");
    let messages = app.get(&format!("/v1/conversations/{begun}"), &own).await.text();
    assert!(!messages.contains("overheard"), "{messages}");
    app.stop().await;
}
