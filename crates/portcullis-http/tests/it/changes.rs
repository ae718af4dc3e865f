//! What the administration of a community is given, and what the journal holds of it.

use bytes::Bytes;
use http::{Method, StatusCode};
use portcullis_audit::{Change, Event};
use portcullis_core::Role;
use portcullis_store::{Plan, SpaceAccess};
use serde_json::{Value, json};

use crate::app::{Answer, Person, Setup, TestApp};

/// More than any community has, and too many for one record.
const TOO_MANY: usize = 400;

async fn send(app: &TestApp, by: &Person, method: Method, path: &str, body: &Value) -> Answer {
    let mut request = app.request(method, path, None);
    for (name, value) in by.headers() {
        request = request.header(name, value);
    }
    app.send(request.body(Bytes::from(body.to_string())).expect("a request")).await
}

fn changes(app: &TestApp) -> Vec<Change> {
    let change = |event| match event {
        Some(Event::Administered(change)) => Some(change),
        _ => None,
    };
    app.records().into_iter().filter_map(|entry| change(entry.event)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_plans_that_no_record_could_hold_is_refused_before_anything_is_done() {
    let app = TestApp::start(Setup { in_memory: true, ..Setup::default() }).await;
    let world = app.world("one").await;
    let owner = app.person(&world, "owner", Role::Owner).await;
    let plans: Vec<String> =
        (0..TOO_MANY).map(|number| format!("plan-with-a-name-of-its-own-{number}")).collect();
    for slug in &plans {
        let plan = Plan { slug: slug.clone(), name: slug.clone() };
        app.stores.spaces.create_plan(&world.operator, plan).await.expect("a plan");
    }
    let given: Vec<Value> = plans.iter().map(|plan| json!({ "plan": plan })).collect();
    let there = format!("/admin/spaces/{}", world.paid);
    for (method, path, body) in [
        (Method::PATCH, there.as_str(), json!({ "access": "plans", "plans": plans })),
        (
            Method::POST,
            "/admin/spaces",
            json!({ "slug": "new", "name": "New", "access": "plans", "plans": plans }),
        ),
        (Method::POST, "/admin/keys", json!({ "name": "website", "plans": plans, "abilities": ["chat"] })),
        (Method::POST, "/admin/invitations", json!({ "plans": given })),
        // Of a plan with two ends nobody knows when it ends.
        (
            Method::POST,
            "/admin/invitations",
            json!({ "plans": [{ "plan": "plus" }, { "plan": "plus", "until": "2031-01-31T00:00:00Z" }] }),
        ),
    ] {
        let answer = send(&app, &owner, method, path, &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}: {}", answer.text());
        assert!(answer.text().contains("`plans`"), "{path}: {}", answer.text());
    }
    let (stores, by) = (&app.stores, &world.operator);
    let spaces = stores.spaces.list(by).await.expect("listed");
    let paid = spaces.iter().find(|space| space.id == world.paid).expect("there");
    assert_eq!((spaces.len(), &paid.access), (2, &SpaceAccess::Plans(vec!["plus".to_owned()])));
    assert!(stores.keys.list(by).await.expect("listed").is_empty());
    assert!(stores.sessions.invitations(by).await.expect("listed").is_empty());
    assert!(changes(&app).is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_is_named_again_and_again_counts_once_and_is_recorded() {
    let app = TestApp::start(Setup { in_memory: true, ..Setup::default() }).await;
    let world = app.world("one").await;
    let owner = app.person(&world, "owner", Role::Owner).await;
    let again = vec!["plus"; 2_400];
    let given: Vec<Value> = again.iter().map(|plan| json!({ "plan": plan })).collect();
    let there = format!("/admin/spaces/{}", world.open);
    for (method, path, body) in [
        (Method::PATCH, there.as_str(), json!({ "access": "plans", "plans": again })),
        (Method::POST, "/admin/invitations", json!({ "plans": given })),
    ] {
        let answer = send(&app, &owner, method, path, &body).await;
        assert!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.text());
        let recorded = changes(&app).pop().expect("a record");
        let plans: Vec<&str> = recorded.plans.iter().map(|plan| plan.as_str()).collect();
        assert_eq!(plans, ["plus"], "{path}");
    }
    app.stop().await;
}
