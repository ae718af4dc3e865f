//! What strangers may do: every route that asks for no credential is counted by address too.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode};
use portcullis_core::Role;
use portcullis_model::upstream::{Echo, Hold, Reply, Sink, Upstream};
use portcullis_model::{OpenAi, OpenAiOptions};

use portcullis_http::{Access, ROUTES};

use crate::app::{Answer, Setup, TestApp};

async fn get(app: &TestApp, method: Method, path: &str) -> Answer {
    app.send(app.request(method, path, None).body(Bytes::new()).expect("a request")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_asks_for_no_credential_is_counted_by_address() {
    for (method, path, served) in [
        (Method::GET, "/readyz", 200),
        (Method::GET, "/openapi.json", 200),
        (Method::GET, "/assets/portcullis.css", 200),
        (Method::GET, "/assets/portcullis.js", 200),
        (Method::GET, "/assets/portcullis.svg", 200),
        (Method::GET, "/login", 200),
        (Method::GET, "/nowhere", 404),
        (Method::PUT, "/healthz", 405),
    ] {
        let app = TestApp::start(Setup { per_address: 5, ..Setup::default() }).await;
        app.world("one").await;
        let mut statuses = Vec::new();
        for _ in 0..6 {
            statuses.push(get(&app, method.clone(), path).await.status.as_u16());
        }
        assert_eq!(statuses, [served, served, served, served, served, 429], "{method} {path}");
        let refused = get(&app, method.clone(), path).await;
        assert!(refused.headers.contains_key("retry-after"), "{method} {path}");
        // Whether the process runs is told all the same: an orchestrator would restart what does not answer.
        assert_eq!(get(&app, Method::GET, "/healthz").await.status, StatusCode::OK);
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_asks_too_often_is_refused_before_anything_is_looked_up() {
    let app = TestApp::start(Setup { per_address: 1, ..Setup::default() }).await;
    let world = app.world("one").await;
    let key = app.key_of(&world, app.member(&world, "Ada", None).await).await.0;
    let person = app.person(&world, "Olga", Role::Owner).await;
    let cookie = person.headers();
    let bearer = |credential: &str| vec![("authorization", format!("Bearer {credential}"))];
    // A JWT that would be verified if it came so far.
    let jwt = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsifQ.eyJpc3MiOiJodHRwczovL2hvc3QuZXhhbXBsZSJ9.AAAA";
    // Whatever is looked up now fails, and is told as an outage.
    app.close_stores().await;
    let mut last = 0_u16;
    let mut tried = 0;
    for route in ROUTES.iter().filter(|route| matches!(route.access, Access::Needs(_))) {
        for (credential, headers) in
            [("key", bearer(&key)), ("session", cookie.clone()), ("JWT", bearer(jwt))]
        {
            last += 1;
            let address = format!("127.0.{}.{}", 16 + last / 200, 1 + last % 200);
            let path = route.path.replace(['{', '}'], "");
            let ask = async || {
                let request = app.request(route.method.clone(), &path, None);
                let request =
                    headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
                let body = Bytes::from(route.example.unwrap_or_default());
                app.send_from(&address, request.body(body).expect("a request")).await
            };
            let first = ask().await.status;
            // What names no id is refused as unreadable before its sender is.
            let unread = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::UNAUTHORIZED, StatusCode::BAD_REQUEST];
            assert!(unread.contains(&first), "{route:?} by {credential}: {first}");
            tried += usize::from(first == StatusCode::SERVICE_UNAVAILABLE);
            for _ in 0..2 {
                let answer = ask().await;
                assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{route:?} by {credential}");
                assert!(answer.headers.contains_key("retry-after"), "{route:?} by {credential}");
            }
        }
    }
    assert!(tried > 40, "only {tried} requests would have been looked up");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_with_too_many_refused_credentials_is_refused_before_anything_is_looked_up() {
    let app = TestApp::start(Setup { refused_per_address: 3, ..Setup::default() }).await;
    let world = app.world("one").await;
    let key = app.key_of(&world, app.member(&world, "Ada", None).await).await.0;
    for _ in 0..3 {
        assert_eq!(app.get("/v1/me", "pcl_wrong").await.status, StatusCode::UNAUTHORIZED);
    }
    app.close_stores().await;
    assert_eq!(app.get("/v1/me", &key).await.status, StatusCode::TOO_MANY_REQUESTS, "with the right key too");
    let other = app.request(Method::GET, "/v1/me", Some(&key)).body(Bytes::new()).expect("a request");
    assert_eq!(app.send_from("127.0.15.1", other).await.status, StatusCode::SERVICE_UNAVAILABLE);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_questions_about_readiness_is_not_passed_on() {
    let upstream = Upstream::start(Echo).await.expect("an upstream");
    let model = OpenAi::new(OpenAiOptions::new(upstream.url())).expect("a client");
    let app = TestApp::start(Setup { model: Some(Arc::new(model)), ..Setup::default() }).await;
    let started = std::time::Instant::now();
    let flood = (0..90).map(|_| get(&app, Method::GET, "/readyz"));
    let answers = futures_util::future::join_all(flood).await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK));
    let asked = upstream.served();
    // One question a second, however many ask.
    assert!((1..=2 + started.elapsed().as_secs()).contains(&asked), "the model was asked {asked} times");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_told_within_seconds() {
    let upstream = Upstream::start(Echo).await.expect("an upstream");
    let model = OpenAi::new(OpenAiOptions::new(upstream.url())).expect("a client");
    let app = TestApp::start(Setup { model: Some(Arc::new(model)), ..Setup::default() }).await;
    assert_eq!(get(&app, Method::GET, "/readyz").await.status, StatusCode::OK);
    upstream.stop().await;
    let told = async { while get(&app, Method::GET, "/readyz").await.status == StatusCode::OK {} };
    tokio::time::timeout(std::time::Duration::from_secs(5), told).await.expect("the outage is told");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_readiness_while_it_is_found_out_is_told_what_was_found() {
    // Longer than an answer counts, and shorter than a dependency may take.
    let slow = |_: &_| Reply {
        hold: Hold::For(std::time::Duration::from_millis(1_300)),
        ..Reply::json(StatusCode::OK, &serde_json::json!({ "object": "list", "data": [] }))
    };
    let upstream = Upstream::start(Sink::new(slow)).await.expect("an upstream");
    let model = OpenAi::new(OpenAiOptions::new(upstream.url())).expect("a client");
    let app = TestApp::start(Setup { model: Some(Arc::new(model)), ..Setup::default() }).await;
    let flood = (0..20).map(|_| get(&app, Method::GET, "/readyz"));
    let answers = futures_util::future::join_all(flood).await;
    assert_eq!(answers.len(), 20);
    assert_eq!(upstream.served(), 1, "one question is asked for all who wait");
    app.stop().await;
}
