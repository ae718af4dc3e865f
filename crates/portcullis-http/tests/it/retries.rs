//! Answers that are kept for clients that retry, and what they must not bring back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use portcullis_model::upstream::{Scripted, Upstream};
use portcullis_model::{OpenAi, OpenAiOptions};
use portcullis_store::SpaceAccess;
use serde_json::Value;

use crate::app::{Answer, Setup, TestApp, question_body};

/// Asks with an idempotency key, in a conversation.
async fn ask(app: &TestApp, key: &str, conversation: &str, stream: bool) -> Answer {
    let request = app
        .request(Method::POST, "/v1/chat/completions", Some(key))
        .header("idempotency-key", format!("retry-{stream}"))
        .header("x-conversation-id", conversation);
    let body = Bytes::from(question_body("kettle", stream).to_string());
    app.send(request.body(body).expect("a request")).await
}

async fn delete(app: &TestApp, key: &str, path: &str) -> StatusCode {
    let request = app.request(Method::DELETE, path, Some(key));
    app.send(request.body(Bytes::new()).expect("a request")).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_brings_no_removed_conversation_back() {
    let app = TestApp::start(Setup::default()).await;
    let world = app.world("one").await;
    for stream in [false, true] {
        let key = app.key_of(&world, app.member(&world, "Ada", None).await).await.0;
        let first = ask(&app, &key, "new", stream).await;
        assert_eq!(first.status, StatusCode::OK, "{}", first.text());
        let id = first.headers["x-conversation-id"].to_str().expect("an id").to_owned();
        let again = ask(&app, &key, "new", stream).await;
        assert_eq!(
            (again.text(), &again.headers["idempotency-replayed"]),
            (first.text(), &"true".parse().expect("a value"))
        );
        assert_eq!(delete(&app, &key, &format!("/v1/conversations/{id}")).await, StatusCode::NO_CONTENT);
        let late = ask(&app, &key, "new", stream).await;
        assert_eq!(late.status, StatusCode::NOT_FOUND, "{}", late.text());
        assert!(!late.text().contains("canary") && !late.headers.contains_key("x-conversation-id"));
        let left = app.get("/v1/conversations", &key).await.json();
        assert_eq!(left["conversations"], Value::Array(Vec::new()), "the conversation is back");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leaves_at_any_moment_and_asks_again_has_one_answer() {
    let upstream = Upstream::start(Scripted::text("The kettle is red.")).await.expect("an upstream");
    let model = OpenAi::new(OpenAiOptions::new(upstream.url())).expect("a client");
    let app =
        TestApp::start(Setup { model: Some(Arc::new(model)), ..Setup::default() }.nothing_held_back()).await;
    let world = app.world("one").await;
    let key = app.key_of(&world, app.member(&world, "Ada", None).await).await.0;
    for stream in [false, true] {
        let conversation = app.conversation(&key).await;
        let ask = async |moment: u64| {
            let request = app
                .request(Method::POST, "/v1/chat/completions", Some(&key))
                .header("idempotency-key", format!("{stream}-{moment}"))
                .header("x-conversation-id", &conversation);
            let body = question_body(&format!("kettle {moment}."), stream).to_string();
            app.send(request.body(Bytes::from(body)).expect("a request")).await
        };
        let (mut replayed, mut answered_anew) = (0, 0);
        for moment in 0..60 {
            let left = tokio::time::timeout(Duration::from_micros(100 * moment), ask(moment)).await;
            drop(left);
            let answer = loop {
                let answer = ask(moment).await;
                if answer.status != StatusCode::CONFLICT {
                    break answer;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            };
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
            if answer.headers.contains_key("idempotency-replayed") {
                replayed += 1
            } else {
                answered_anew += 1
            }
        }
        println!("{replayed} answers were kept for who had left, {answered_anew} questions were asked anew");
        let kept = app.get(&format!("/v1/conversations/{conversation}"), &key).await.json();
        let texts = kept["messages"]
            .as_array()
            .expect("messages")
            .iter()
            .filter_map(|message| message["text"].as_str());
        let mut asked = BTreeMap::<&str, usize>::new();
        texts
            .filter(|text| text.starts_with("kettle "))
            .for_each(|text| *asked.entry(text).or_default() += 1);
        assert!(asked.len() >= 20 && asked.values().all(|times| *times == 1), "{asked:?}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_in_a_removed_conversation_does_not_begin_it_anew() {
    let app = TestApp::start(Setup::default()).await;
    let world = app.world("one").await;
    let key = app.key_of(&world, app.member(&world, "Ada", None).await).await.0;
    let conversation = app.conversation(&key).await;
    assert_eq!(ask(&app, &key, &conversation, false).await.status, StatusCode::OK);
    assert_eq!(
        delete(&app, &key, &format!("/v1/conversations/{conversation}")).await,
        StatusCode::NO_CONTENT
    );
    assert_eq!(ask(&app, &key, &conversation, false).await.status, StatusCode::NOT_FOUND);
    let left = app.get("/v1/conversations", &key).await.json();
    assert_eq!(left["conversations"], Value::Array(Vec::new()));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_whose_source_is_gone_or_closed_is_not_sent_again() {
    let app = TestApp::start(Setup::default()).await;
    let world = app.world("one").await;
    let post = async |key: &str, stream: bool| {
        let request = app
            .request(Method::POST, "/v1/chat/completions", Some(key))
            .header("idempotency-key", format!("retry-{stream}"));
        app.send(request.body(Bytes::from(question_body("kettle", stream).to_string())).expect("a request"))
            .await
    };
    for stream in [false, true] {
        let extra =
            app.document(&world.operator, world.open, &format!("extra canaryextra{stream} kettle")).await;
        let key = app.key_of(&world, app.member(&world, "Ada", None).await).await.0;
        let first = post(&key, stream).await.text();
        assert!(first.contains(&format!("canaryextra{stream}")), "{first}");
        assert_eq!(post(&key, stream).await.text(), first);
        app.stores.content.remove(&world.operator, &[extra]).await.expect("removed");
        let anew = post(&key, stream).await;
        assert_eq!(anew.status, StatusCode::OK);
        assert!(!anew.headers.contains_key("idempotency-replayed"));
        assert!(
            !anew.text().contains("canaryextra") && anew.text().contains("canaryoneopen"),
            "{}",
            anew.text()
        );
    }
    // A space that closes takes its documents out of every kept answer.
    let key = app.key_of(&world, app.member(&world, "Bo", None).await).await.0;
    assert!(post(&key, false).await.text().contains("canaryoneopen"));
    app.stores.spaces.set_access(&world.operator, world.open, SpaceAccess::Staff).await.expect("closed");
    assert!(!post(&key, false).await.text().contains("canaryoneopen"));
    app.stop().await;
}
