//! What a server that stops still does, and what it does not begin.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use portcullis_audit::{Event, Outcome};
use portcullis_model::upstream::{Scripted, Slow, Upstream};
use portcullis_model::{OpenAi, OpenAiOptions};
use serde_json::json;

use crate::app::{Setup, TestApp, question_body};
use crate::raw::{PATIENCE, Raw};

/// An answer that streams, and the key it was asked with.
async fn streaming(
    behaviour: Slow<Scripted>,
    setup: Setup,
) -> (TestApp, Upstream, String, portcullis_egress::Body) {
    let upstream = Upstream::start(behaviour).await.expect("an upstream");
    let model = OpenAi::new(OpenAiOptions::new(upstream.url())).expect("a client");
    let app = TestApp::start(Setup { model: Some(Arc::new(model)), ..setup }).await;
    let world = app.world("one").await;
    let key = app.key_of(&world, app.member(&world, "Ada", None).await).await.0;
    let request = app.request(Method::POST, "/v1/chat/completions", Some(&key));
    let request = request.body(Bytes::from(question_body("kettle", true).to_string())).expect("a request");
    let body = app.open(request).await.into_body();
    (app, upstream, key, body)
}

async fn ask(app: &TestApp, request: &str) -> String {
    let mut client = Raw::connect(app.address).await;
    assert!(client.send(request.as_bytes()).await, "the listener is still there");
    client.read_all().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_says_so_and_begins_nothing_new() {
    let slow = Slow::new(Scripted::text(&"word ".repeat(12))).between(Duration::from_millis(100));
    let (app, upstream, key, body) = streaming(slow, Setup::default()).await;
    let whole = body.collect(1 << 20, PATIENCE);
    let meanwhile = async {
        let ready = ask(&app, "GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(ready.starts_with("HTTP/1.1 503 ") && ready.contains("connection: close"), "{ready}");
        let live = ask(&app, "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(live.starts_with("HTTP/1.1 200 ") && live.contains("connection: close"), "{live}");
        let body = json!({ "query": "kettle" }).to_string();
        let (head, length) = ("POST /v1/search HTTP/1.1\r\nhost: a\r\nauthorization: Bearer", body.len());
        let refused = ask(&app, &format!("{head} {key}\r\ncontent-length: {length}\r\n\r\n{body}")).await;
        assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("connection: close"), "{refused}");
        assert!(refused.contains("shutting_down") && refused.contains("retry-after: 1"), "{refused}");
        assert!(!refused.contains("canary"), "{refused}");
    };
    let (left, whole, ()) = tokio::join!(app.tasks.close(PATIENCE), whole, meanwhile);
    assert_eq!(left, 0, "every task has ended");
    let text = String::from_utf8_lossy(&whole.expect("a body")).into_owned();
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    assert_eq!(upstream.abandoned(), 0);
    assert!(tokio::net::TcpStream::connect(app.address).await.is_err(), "the listener is closed in the end");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_has_an_end_and_what_it_cuts_is_recorded() {
    let slow = Slow::new(Scripted::text("one two three")).hang_after(2);
    let setup = Setup { drain: Duration::from_millis(300), ..Setup::default() };
    let (app, upstream, _, mut body) = streaming(slow, setup).await;
    assert!(body.chunk().await.is_some(), "the answer begins");
    assert_eq!(app.tasks.close(PATIENCE).await, 0, "every task has ended");
    assert!(body.collect(1 << 20, PATIENCE).await.is_err(), "an answer that was cut is not taken for whole");
    tokio::time::timeout(PATIENCE, upstream.wait_abandoned(1)).await.expect("the model is stopped");
    let closed = app.recorded(|entry| matches!(&entry.event, Some(Event::TurnClosed { .. }))).await;
    assert!(matches!(closed.event, Some(Event::TurnClosed { outcome: Outcome::Cancelled, .. })));
    app.stop().await;
}
