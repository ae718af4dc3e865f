//! Security events: what is tried at the gate stands in the journal, by kind, guard and pseudonym.

use http::{Method, StatusCode};
use portcullis_audit::{ActorRef, Entry, Event};
use portcullis_core::{CommunityId, Role};
use portcullis_guard::SecurityEvent;
use serde_json::json;

use crate::app::{Person, Setup, TestApp};

/// What one record of an event says: the guard, the community, the actor.
type Said = (String, Option<CommunityId>, ActorRef);

fn said(entry: &Entry, wanted: SecurityEvent) -> Option<Said> {
    match &entry.event {
        Some(Event::SecurityNoticed { code, guard, .. }) if code.as_str() == wanted.name() => {
            let guard = guard.as_ref().map(|guard| guard.as_str().to_owned()).unwrap_or_default();
            Some((guard, entry.community, entry.actor))
        }
        _ => None,
    }
}

async fn noticed(app: &TestApp, wanted: SecurityEvent) -> Said {
    let entry = app.recorded(|entry| said(entry, wanted).is_some()).await;
    said(&entry, wanted).expect("the record that was waited for")
}

fn times(app: &TestApp, wanted: SecurityEvent) -> u64 {
    app.served.gate().events().counts().find(|(event, _)| *event == wanted).expect("every event is counted").1
}

/// A page of ours sends something.
async fn send(
    app: &TestApp,
    person: &Person,
    method: Method,
    path: &str,
    body: &serde_json::Value,
) -> StatusCode {
    let mut request = app.request(method, path, None).header("content-type", "application/json");
    for (name, value) in person.headers() {
        request = request.header(name, value);
    }
    app.send(request.body(body.to_string().into()).expect("a request")).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_credential_is_noticed_without_the_credential_or_an_address() {
    let app = TestApp::start(Setup::default()).await;
    let world = app.world("one").await;
    let wrong = "pcl_notakey";
    assert_eq!(app.get("/v1/me", wrong).await.status, StatusCode::UNAUTHORIZED);
    let at = noticed(&app, SecurityEvent::CredentialRefused).await;
    assert_eq!(at, ("identify".to_owned(), None, ActorRef::Unknown));
    let request = app.request(Method::GET, "/v1/me", None).body(bytes::Bytes::new());
    assert_eq!(app.send(request.expect("a request")).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(times(&app, SecurityEvent::CredentialRefused), 1, "nobody without a credential is an event");
    let (key, _) = app.key_of(&world, app.member(&world, "Ada", None).await).await;
    assert_eq!(app.get("/v1/me", &key).await.status, StatusCode::OK);
    assert_eq!(times(&app, SecurityEvent::CredentialRefused), 1);
    for entry in app.records() {
        assert!(
            !entry.payload.contains("notakey") && !entry.payload.contains("127.0.0.1"),
            "{}",
            entry.payload
        );
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_fails_is_noticed_in_its_community_and_one_that_works_is_not() {
    let app = TestApp::start(Setup::default()).await;
    let world = app.world("one").await;
    app.member_at(&world, "Ada", "ada@example.org").await;
    let form = |path: &str, cookie: Option<&str>, body: String| {
        let mut request = app
            .request(Method::POST, path, None)
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded");
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        request.body(bytes::Bytes::from(body)).expect("a request")
    };
    let asked = app.send(form("/c/one/login", None, "email=ada%40example.org".to_owned())).await;
    let mark =
        asked.headers["set-cookie"].to_str().expect("text").split(';').next().expect("a pair").to_owned();
    let mail = app.mailbox.take().pop().expect("a mail").text;
    let (_, rest) = mail.split_once("token=").expect("a link");
    let token = rest.split_whitespace().next().expect("a token");
    let press = async |cookie| app.send(form("/login/link", cookie, format!("token={token}"))).await.status;
    assert_eq!(press(None).await, StatusCode::FORBIDDEN, "another browser");
    let at = noticed(&app, SecurityEvent::SignInFailed).await;
    assert_eq!(at, ("sign-in".to_owned(), Some(world.community.id), ActorRef::Unknown));
    assert_eq!(press(Some(&mark)).await, StatusCode::SEE_OTHER);
    assert_eq!(times(&app, SecurityEvent::SignInFailed), 1);
    assert_eq!(press(Some(&mark)).await, StatusCode::FORBIDDEN, "used up");
    assert_eq!(times(&app, SecurityEvent::SignInFailed), 2);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_not_enough_and_a_role_above_ones_own_are_told_apart() {
    let app = TestApp::start(Setup::default()).await;
    let world = app.world("one").await;
    let (member, admin) =
        (app.person(&world, "mia", Role::Member).await, app.person(&world, "alma", Role::Admin).await);
    let new = |role: &str| json!({ "name": "Eve", "role": role });
    assert_eq!(
        send(&app, &member, Method::POST, "/admin/members", &new("member")).await,
        StatusCode::FORBIDDEN
    );
    let at = noticed(&app, SecurityEvent::RoleRefused).await;
    assert_eq!(at, ("authorise".to_owned(), Some(world.community.id), ActorRef::Member(member.member)));
    assert_eq!(send(&app, &admin, Method::POST, "/admin/members", &new("member")).await, StatusCode::CREATED);
    assert_eq!(times(&app, SecurityEvent::RoleEscalationRefused), 0);
    assert_eq!(
        send(&app, &admin, Method::POST, "/admin/members", &new("owner")).await,
        StatusCode::FORBIDDEN
    );
    let (_, community, actor) = noticed(&app, SecurityEvent::RoleEscalationRefused).await;
    assert_eq!((community, actor), (Some(world.community.id), ActorRef::Member(admin.member)));
    assert_eq!(times(&app, SecurityEvent::RoleRefused), 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_write_is_noticed() {
    let app = TestApp::start(Setup::default()).await;
    let world = app.world("one").await;
    let mut person = app.person(&world, "mia", Role::Member).await;
    person.csrf.push('x');
    let memory = json!({ "text": "I bake." });
    assert_eq!(send(&app, &person, Method::POST, "/v1/memories", &memory).await, StatusCode::FORBIDDEN);
    let at = noticed(&app, SecurityEvent::ForeignPage).await;
    assert_eq!(at, ("csrf".to_owned(), Some(world.community.id), ActorRef::Member(person.member)));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_over_a_limit_is_counted_whole_and_leaves_few_records() {
    let app = TestApp::start(Setup { per_actor: 5, ..Setup::default() }).await;
    let world = app.world("one").await;
    let member = app.member(&world, "Ada", None).await;
    let (key, _) = app.key_of(&world, member).await;
    let mut refused = 0;
    for _ in 0..200 {
        refused += u64::from(app.get("/v1/me", &key).await.status == StatusCode::TOO_MANY_REQUESTS);
    }
    assert_eq!(refused, 195);
    assert_eq!(times(&app, SecurityEvent::LimitReached), refused);
    let at = noticed(&app, SecurityEvent::LimitReached).await;
    assert_eq!(at, ("rate-limit".to_owned(), Some(world.community.id), ActorRef::Member(member)));
    app.tasks.close(std::time::Duration::from_secs(10)).await;
    let told: Vec<u64> = app
        .records()
        .iter()
        .filter_map(|entry| match &entry.event {
            Some(Event::SecurityNoticed { times, .. }) => Some(times.get()),
            _ => None,
        })
        .collect();
    assert_eq!(told.iter().sum::<u64>(), refused, "{told:?}");
    assert!(told.len() < 20, "{told:?}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_is_noticed() {
    let app = TestApp::start(Setup::default()).await;
    let world = app.world("one").await;
    let (key, _) = app.key_of(&world, app.member(&world, "Ada", None).await).await;
    app.close_stores().await;
    assert_eq!(app.get("/v1/me", &key).await.status, StatusCode::SERVICE_UNAVAILABLE);
    let (_, _, actor) = noticed(&app, SecurityEvent::StoreFailed).await;
    assert_eq!(actor, ActorRef::Unknown);
    assert_eq!(times(&app, SecurityEvent::CredentialRefused), 0, "an outage is no failed sign-in");
    app.stop().await;
}
