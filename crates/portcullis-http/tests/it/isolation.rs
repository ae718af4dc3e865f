//! What one community, space or member has, nobody else is told.

use std::time::Duration;

use http::StatusCode;
use jiff::ToSpan as _;
use portcullis_store::{Entitlement, SpaceAccess, Status};
use serde_json::json;

use crate::app::{Setup, TestApp};

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_document_looks_like_one_that_does_not_exist() {
    let app = TestApp::start(Setup::default()).await;
    let one = app.world("one").await;
    let two = app.world("two").await;
    let (key, _) = app.key_of(&one, app.member(&one, "Ada", None).await).await;
    let mut refusals = std::collections::BTreeSet::new();
    for id in [
        two.open_document.to_string(),
        two.paid_document.to_string(),
        one.paid_document.to_string(),
        "01890a5d-ac96-774b-bcce-b302099a8057".to_owned(),
        "no-id".to_owned(),
    ] {
        let answer = app.get(&format!("/v1/documents/{id}"), &key).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{id}");
        let mut body = answer.json();
        body.as_object_mut().expect("an object").remove("instance");
        refusals.insert(body.to_string());
    }
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    assert_eq!(app.get(&format!("/v1/documents/{}", one.open_document), &key).await.status, StatusCode::OK);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn search_and_chat_reach_what_the_plan_opens_and_nothing_else() {
    let app = TestApp::start(Setup::default()).await;
    let one = app.world("one").await;
    let two = app.world("two").await;
    let (plain, _) = app.key_of(&one, app.member(&one, "Ada", None).await).await;
    let (payer, _) = app.key_of(&one, app.member(&one, "Bo", Some("plus")).await).await;
    for (key, seen, unseen) in [
        (&plain, vec!["canaryoneopen"], vec!["canaryonepaid", "canarytwo"]),
        (&payer, vec!["canaryoneopen", "canaryonepaid"], vec!["canarytwo"]),
    ] {
        let search = app.post("/v1/search", key, &json!({ "query": "kettle" })).await;
        let chat = app.ask(key, "kettle").await;
        for answer in [&search, &chat] {
            let text = answer.text();
            assert_eq!(answer.status, StatusCode::OK, "{text}");
            assert!(seen.iter().all(|canary| text.contains(canary)), "{text}");
            assert!(!unseen.iter().any(|canary| text.contains(canary)), "{text}");
            assert!(!text.contains("score") && !text.contains("total\""), "{text}");
        }
        assert!(chat.json()["citations"].as_array().is_some_and(|list| list.len() == seen.len()));
    }
    drop(two);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_holds_from_the_next_request_on() {
    let app = TestApp::start(Setup::default()).await;
    let world = app.world("one").await;
    let member = app.member(&world, "Ada", None).await;
    let (key, _) = app.key_of(&world, member).await;
    let sees = async |canary: &str| {
        let answer = app.post("/v1/search", &key, &json!({ "query": "kettle" })).await;
        answer.text().contains(canary)
    };
    assert!(!sees("canaryonepaid").await);
    let soon = app.clock.now() + 400.milliseconds();
    let entitlement = Entitlement { plan: "plus".to_owned(), until: Some(soon) };
    app.stores.members.entitle(&world.operator, member, entitlement).await.expect("an entitlement");
    assert!(sees("canaryonepaid").await, "a plan opens its space at once");
    while app.clock.now() < soon {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!sees("canaryonepaid").await, "a plan ends at its end");
    app.stores.spaces.set_access(&world.operator, world.open, SpaceAccess::Staff).await.expect("closed");
    assert!(!sees("canaryoneopen").await, "a closed space is closed at once");
    app.stores.spaces.set_access(&world.operator, world.paid, SpaceAccess::Members).await.expect("opened");
    assert!(sees("canaryonepaid").await);
    app.stores.members.set_status(&world.operator, member, Status::Suspended).await.expect("suspended");
    assert_eq!(app.get("/v1/me", &key).await.status, StatusCode::UNAUTHORIZED);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_a_request_says_chooses_the_community() {
    let app = TestApp::start(Setup::default()).await;
    let one = app.world("one").await;
    let two = app.world("two").await;
    let (key, _) = app.key_of(&one, app.member(&one, "Ada", None).await).await;
    let id = two.community.id.to_string();
    for (path, headers) in [
        (
            "/v1/me".to_owned(),
            vec!["x-community", "x-workspace-id", "x-tenant-id", "x-org-id", "host", "x-forwarded-host"],
        ),
        (format!("/v1/me?community={id}&tenant={id}&workspace_id={id}"), vec![]),
    ] {
        let mut request = app.request(http::Method::GET, &path, Some(&key));
        for name in headers {
            request = request.header(name, if name.contains("host") { "two" } else { id.as_str() });
        }
        let answer = app.send(request.body(bytes::Bytes::new()).expect("a request")).await;
        assert_eq!(answer.json()["community"]["slug"], "one", "{path}");
    }
    let body = json!({ "query": "kettle", "community": id });
    assert_eq!(
        app.post("/v1/search", &key, &body).await.status,
        StatusCode::BAD_REQUEST,
        "unknown fields are refused"
    );
    app.stop().await;
}
