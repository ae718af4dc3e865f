//! Risky tools wait for a person: held, decided by somebody else, made once by who asked, and every step in the journal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use jiff::Timestamp;
use portcullis_audit::{CallOutcome, Event};
use portcullis_core::{AbilitySet, Actor, ApprovalId, ConversationId, KeyAbility, MemberId, Role, Scope};
#[cfg(feature = "guard-off")]
use portcullis_guard::Switches;
use portcullis_guard::{Approving, Handing, HandoverMode, SecurityEvent, ToolLimits};
use portcullis_model::upstream::{Answer as Said, Behaviour, Hold, Reply, Scripted, Sink, Turn};
use portcullis_model::{OpenAi, OpenAiOptions};
use portcullis_store::{
    Conversation, Conversations, Decision, KeyActor, NewMember, NewMessage, Result as Stored, SpaceAccess,
    Status, Step, StoredMessage, Stores,
};
use portcullis_tools::{ApprovalRule, Egress, Pin, Registry, Settings};
use serde_json::{Value, json};

use crate::app::{Answer, Setup, TestApp, World, member_scope, question_body};
use crate::tools::{Stage, TIDE, calls, once, recorded, words};

/// What must stand in no journal, no answer and nobody's list but theirs who decide.
const SECRET: &str = "lanternquay";

fn call() -> Vec<(&'static str, &'static str)> {
    vec![("tide", "{\"place\":\"lanternquay\"}")]
}

/// The tide is for people to approve.
fn risky(mut settings: Vec<Settings>) -> Vec<Settings> {
    settings[0].approval = ApprovalRule::Human;
    settings
}

fn asks_once() -> Scripted {
    once(&call())
}

/// A model that asks for the call at every first round, and then says something.
fn asks_always() -> Scripted {
    let rounds = |_| [Turn::Answer(calls(&call())), Turn::Answer(Said::text("That is all.", 4))];
    Scripted::new((0..20).flat_map(rounds).collect())
}

/// A model that asks for nothing else than the call.
fn only_asks() -> Scripted {
    Scripted::new(vec![Turn::Answer(calls(&call()))])
}

async fn stage(model: impl Behaviour, setup: Setup) -> Stage {
    Stage::of(model, setup, Sink::text(TIDE), risky).await
}

async fn somebody(app: &TestApp, world: &World, role: Role) -> (MemberId, String) {
    let new = NewMember { name: "Mo".to_owned(), email: None, role: Some(role) };
    let member = app.stores.members.add(&world.operator, new).await.expect("a member").id;
    let abilities: AbilitySet =
        [KeyAbility::Chat, KeyAbility::Personal, KeyAbility::Manage].into_iter().collect();
    (member, app.key(world, KeyActor::Member(member), abilities, None).await.0)
}

async fn send(app: &TestApp, key: &str, method: Method, path: &str) -> Answer {
    let request = app.request(method, path, Some(key)).body(bytes::Bytes::new()).expect("a request");
    app.send(request).await
}

/// Asks, and has a call wait: its id.
async fn held(stage: &Stage) -> String {
    let answer = stage.ask("Send it", false).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let approval = &answer.json()["approval"];
    assert_eq!(approval["status"], "pending", "{}", answer.text());
    approval["id"].as_str().expect("an id").to_owned()
}

/// Asks in a conversation that begins with it, and has a call wait: the conversation's id and the call's.
async fn held_in_a_conversation(stage: &Stage) -> (String, String) {
    let request = stage
        .app
        .request(Method::POST, "/v1/chat/completions", Some(&stage.key))
        .header("x-conversation-id", "new")
        .body(question_body("Send it", false).to_string().into())
        .expect("a request");
    let answer = stage.app.send(request).await;
    let conversation = answer.headers["x-conversation-id"].to_str().expect("an id").to_owned();
    (conversation, answer.json()["approval"]["id"].as_str().expect("an id").to_owned())
}

async fn step(app: &TestApp, key: &str, id: &str, what: &str) -> Answer {
    let whose = if what == "resume" { "/v1/me/approvals" } else { "/v1/approvals" };
    send(app, key, Method::POST, &format!("{whose}/{id}/{what}")).await
}

async fn state(stage: &Stage, id: &str) -> Value {
    send(&stage.app, &stage.key, Method::GET, &format!("/v1/me/approvals/{id}")).await.json()["state"].clone()
}

/// The kinds of records about approvals, and the actions that were taken on them.
fn steps(stage: &Stage) -> Vec<String> {
    let step = |entry: &portcullis_audit::Entry| match &entry.event {
        Some(Event::ApprovalRequested { queue, .. }) => Some(format!("requested:{queue}")),
        Some(Event::ApprovalExpired { .. }) => Some("expired".to_owned()),
        Some(Event::ToolCalled { approval: Some(_), .. }) => Some("called".to_owned()),
        Some(Event::Administered(change)) if change.action.as_str().starts_with("approval.") => {
            Some(change.action.as_str().to_owned())
        }
        _ => None,
    };
    stage.app.records().iter().filter_map(step).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_risky_call_waits_is_approved_by_somebody_else_and_made_once() {
    let stage = stage(asks_once(), Setup::default()).await;
    let answer = stage.ask("Send it", false).await;
    let body = answer.json();
    assert_eq!((answer.status, &body["choices"][0]["finish_reason"]), (StatusCode::OK, &json!("stop")));
    assert_eq!(body["approval"]["tool"], "tide");
    assert_eq!(body["approval"]["status"], "pending");
    assert!(
        words(&answer).contains("has to approve") && !answer.text().contains(SECRET),
        "{}",
        answer.text()
    );
    assert_eq!((stage.shore.tide.served(), stage.upstream.served()), (0, 1), "neither tool nor model");
    let id = body["approval"]["id"].as_str().expect("an id").to_owned();

    let (_, moderator) = somebody(&stage.app, &stage.world, Role::Moderator).await;
    let listed = send(&stage.app, &moderator, Method::GET, "/v1/approvals").await.json();
    let entry = &listed["approvals"][0];
    assert_eq!(entry["arguments"], json!({ "place": SECRET }), "who decides sees what it is");
    assert_eq!(
        (&entry["id"], &entry["state"], &entry["question"]),
        (&json!(id), &json!("pending"), &Value::Null)
    );
    assert_eq!(entry["asker"], json!({ "kind": "member", "id": stage.member.to_string() }));
    let own = send(&stage.app, &stage.key, Method::GET, "/v1/me/approvals").await.json();
    assert_eq!(
        (&own["approvals"][0]["state"], &own["approvals"][0]["question"]),
        (&json!("pending"), &json!("Send it"))
    );
    assert_eq!(step(&stage.app, &stage.key, &id, "resume").await.status, StatusCode::CONFLICT);

    let approved = step(&stage.app, &moderator, &id, "approve").await;
    assert_eq!((approved.status, &approved.json()["state"]), (StatusCode::OK, &json!("approved")));
    assert_eq!(stage.shore.tide.served(), 0, "it is made when its asker goes on");
    for _ in 0..3 {
        let resumed = step(&stage.app, &stage.key, &id, "resume").await;
        assert_eq!((resumed.status, words(&resumed)), (StatusCode::OK, "That is all.".to_owned()));
        assert_eq!(resumed.json()["approval"], json!({ "id": id, "tool": "tide", "status": "done" }));
        assert!(stage.shown()[0].contains("14:20"), "{:?}", stage.shown());
        assert_eq!(stage.shore.tide.served(), 1, "once");
    }
    assert_eq!(stage.shore.tide.requests()[0].json(), json!({ "place": SECRET }));
    assert_eq!(state(&stage, &id).await, "done");
    assert_eq!(steps(&stage), ["requested:queued", "approval.approved", "called"]);
    assert_eq!(recorded(&stage.app.records()).1, [CallOutcome::Returned]);
    assert_eq!(stage.noticed(SecurityEvent::ApprovalRequested), 1);
    for entry in stage.app.records() {
        assert!(!entry.payload.contains(SECRET), "{}", entry.payload);
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_told_the_same_in_a_stream_and_in_their_conversation() {
    let stage = stage(only_asks(), Setup::default()).await;
    let whole = words(&stage.ask("Send it", false).await);
    let streamed = stage.ask("Send it", true).await.text();
    let (mut said, mut told) = (String::new(), Value::Null);
    for frame in
        streamed.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]")
    {
        let frame: Value = serde_json::from_str(frame).expect("JSON");
        said.push_str(frame["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
        if !frame["approval"].is_null() {
            told = frame["approval"].clone();
        }
    }
    assert_eq!((said.as_str(), &told["status"]), (whole.as_str(), &json!("pending")));
    stage.stop().await;

    let stage = self::stage(asks_once(), Setup::default()).await;
    let (conversation, id) = held_in_a_conversation(&stage).await;
    let (_, moderator) = somebody(&stage.app, &stage.world, Role::Moderator).await;
    step(&stage.app, &moderator, &id, "approve").await;
    let resumed = step(&stage.app, &stage.key, &id, "resume").await;
    assert_eq!(resumed.headers["x-conversation-id"], conversation.as_str());
    let kept = stage.app.get(&format!("/v1/conversations/{conversation}"), &stage.key).await.json();
    let texts: Vec<&str> = kept["messages"]
        .as_array()
        .expect("messages")
        .iter()
        .filter_map(|said| said["text"].as_str())
        .collect();
    assert_eq!(texts, ["Send it", whole.as_str(), "Send it", "That is all."]);
    stage.stop().await;
}

/// The frames of a stream.
fn frames(text: &str) -> Vec<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).expect("JSON")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_on_with_a_call_and_has_another_wait_is_told_of_both() {
    let stage = stage(only_asks(), Setup::default()).await;
    let (_, moderator) = somebody(&stage.app, &stage.world, Role::Moderator).await;
    let first = stage.ask("Send it", false).await;
    assert_eq!(first.json()["approvals"], Value::Null, "one is told once");
    let first = first.json()["approval"]["id"].clone();
    let id = first.as_str().expect("an id");
    step(&stage.app, &moderator, id, "approve").await;
    let resumed = step(&stage.app, &stage.key, id, "resume").await;
    let body = resumed.json();
    let second = &body["approval"]["id"];
    assert_ne!(*second, first);
    let both = json!([
        { "id": first, "tool": "tide", "status": "done" },
        { "id": second, "tool": "tide", "status": "pending" },
    ]);
    assert_eq!(body["approvals"], both, "{}", resumed.text());
    let said = words(&resumed);
    assert!(said.contains("was gone on with") && said.contains("has to approve first"), "{said}");
    assert!(!resumed.text().contains(SECRET), "{}", resumed.text());

    // The same in a stream.
    let asked = stage.ask("Send it", true).await.text();
    let [waits] =
        &frames(&asked).into_iter().filter(|frame| !frame["approval"].is_null()).collect::<Vec<_>>()[..]
    else {
        panic!("{asked}")
    };
    assert_eq!((&waits["approval"]["status"], &waits["approvals"]), (&json!("pending"), &Value::Null));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_to_be_remembered_is_remembered_once_though_its_question_is_asked_again() {
    let stage = stage(asks_once(), Setup::default()).await;
    let (_, moderator) = somebody(&stage.app, &stage.world, Role::Moderator).await;
    let answer = stage.ask("Remember that I bake with rye.", false).await;
    let id = answer.json()["approval"]["id"].as_str().expect("an id").to_owned();
    step(&stage.app, &moderator, &id, "approve").await;
    for _ in 0..2 {
        let resumed = step(&stage.app, &stage.key, &id, "resume").await;
        assert_eq!(resumed.status, StatusCode::OK, "{}", resumed.text());
    }
    let scope = member_scope(&stage.world, stage.member);
    let kept = stage.app.stores.memories.list(&scope).await.expect("listed");
    let kept: Vec<&str> = kept.iter().map(|memory| memory.text.as_str()).collect();
    assert_eq!(kept, ["I bake with rye."]);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_denied_or_decided_too_late_is_not_made() {
    let stage = stage(asks_always(), Setup::default()).await;
    let (_, moderator) = somebody(&stage.app, &stage.world, Role::Moderator).await;
    let (_, admin) = somebody(&stage.app, &stage.world, Role::Admin).await;
    let id = held(&stage).await;
    assert_eq!(step(&stage.app, &moderator, &id, "deny").await.json()["state"], "denied");
    for (who, what) in
        [(&admin, "approve"), (&moderator, "approve"), (&admin, "deny"), (&stage.key, "resume")]
    {
        let answer = step(&stage.app, who, &id, what).await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{what}: {}", answer.text());
        assert!(answer.text().contains("was denied"), "{}", answer.text());
    }
    assert_eq!(state(&stage, &id).await, "denied");
    assert_eq!(stage.shore.tide.served(), 0);
    assert_eq!(steps(&stage), ["requested:queued", "approval.denied"]);
    stage.stop().await;

    let approving = Approving { wait: Duration::ZERO, ..Approving::default() };
    let tool_limits = ToolLimits { approving, ..ToolLimits::default() };
    let stage = self::stage(asks_always(), Setup { tool_limits, ..Setup::default() }).await;
    let (_, moderator) = somebody(&stage.app, &stage.world, Role::Moderator).await;
    let id = held(&stage).await;
    let late = step(&stage.app, &moderator, &id, "approve").await;
    assert_eq!(
        (late.status, late.text().contains("in time")),
        (StatusCode::CONFLICT, true),
        "{}",
        late.text()
    );
    assert_eq!(step(&stage.app, &stage.key, &id, "resume").await.status, StatusCode::CONFLICT);
    assert_eq!(state(&stage, &id).await, "expired");
    assert_eq!(steps(&stage), ["requested:queued", "expired"], "told of once");
    // Approved in time, and gone on with too late.
    let scope = member_scope(&stage.world, stage.member);
    let until = stage.app.clock.now();
    let new = portcullis_store::NewApproval {
        id: ApprovalId::new(&*stage.app.clock),
        tool: "tide".to_owned(),
        pin: "sha256:00".to_owned(),
        arguments: "{}".to_owned(),
        question: "{\"text\":\"Send it\",\"model\":\"test-model\"}".to_owned(),
        expires: until.checked_add(Duration::from_secs(60)).expect("a time"),
        conversation: None,
    };
    let (approvals, id) = (&stage.app.stores.approvals, new.id);
    let room = portcullis_store::Room { open: 9, of_one: 9, since: jiff::Timestamp::MIN };
    approvals.request(&scope, new, room).await.expect("it waits");
    approvals.decide(&stage.world.operator, id, Decision::Approve { until }).await.expect("approved");
    let late = step(&stage.app, &stage.key, &id.to_string(), "resume").await;
    assert_eq!((late.status, stage.shore.tide.served()), (StatusCode::CONFLICT, 0), "{}", late.text());
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_decides_on_their_own_call_and_nobody_goes_on_with_anothers() {
    let stage = stage(only_asks(), Setup::default()).await;
    let (_, moderator) = somebody(&stage.app, &stage.world, Role::Moderator).await;
    let own = stage.app.post("/v1/chat/completions", &moderator, &question_body("Send it", false)).await;
    let own = own.json()["approval"]["id"].as_str().expect("an id").to_owned();
    for what in ["approve", "deny"] {
        let answer = step(&stage.app, &moderator, &own, what).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{what}: {}", answer.text());
        assert_eq!(step(&stage.app, &stage.key, &own, what).await.status, StatusCode::FORBIDDEN);
    }
    let id = held(&stage).await;
    let two = stage.app.world("two").await;
    let (_, foreign) = somebody(&stage.app, &two, Role::Owner).await;
    let (_, other) = somebody(&stage.app, &stage.world, Role::Member).await;
    for what in ["approve", "deny", "resume"] {
        assert_eq!(step(&stage.app, &foreign, &id, what).await.status, StatusCode::NOT_FOUND, "{what}");
    }
    for who in [&foreign, &other, &moderator] {
        let seen = send(&stage.app, who, Method::GET, &format!("/v1/me/approvals/{id}")).await;
        assert_eq!((seen.status, seen.text().contains(SECRET)), (StatusCode::NOT_FOUND, false));
    }
    let path = format!("/v1/approvals/{id}");
    assert_eq!(send(&stage.app, &moderator, Method::GET, &path).await.json()["state"], "pending");
    for (who, status) in [(&foreign, StatusCode::NOT_FOUND), (&other, StatusCode::FORBIDDEN)] {
        let seen = send(&stage.app, who, Method::GET, &path).await;
        assert_eq!((seen.status, seen.text().contains(SECRET)), (status, false));
        let listed = send(&stage.app, who, Method::GET, "/v1/me/approvals").await;
        assert_eq!(listed.json()["approvals"], json!([]));
    }
    assert_eq!(send(&stage.app, &foreign, Method::GET, "/v1/approvals").await.json()["approvals"], json!([]));
    assert_eq!(send(&stage.app, &other, Method::GET, "/v1/approvals").await.status, StatusCode::FORBIDDEN);
    step(&stage.app, &moderator, &id, "approve").await;
    for who in [&foreign, &other, &moderator] {
        assert_eq!(step(&stage.app, who, &id, "resume").await.status, StatusCode::NOT_FOUND);
    }
    assert_eq!((state(&stage, &id).await, stage.shore.tide.served()), (json!("approved"), 0));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_decide_one_counts_and_of_many_who_go_on_one_makes_the_call() {
    let stage = stage(asks_once(), Setup::default()).await;
    let id = held(&stage).await;
    let mut deciders = Vec::new();
    for role in [Role::Moderator, Role::Admin, Role::Owner, Role::Moderator] {
        deciders.push(somebody(&stage.app, &stage.world, role).await.1);
    }
    let deciding = deciders.iter().map(|key| step(&stage.app, key, &id, "approve"));
    let decided = futures_util::future::join_all(deciding).await;
    let counted =
        |answers: &[Answer], status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((counted(&decided, StatusCode::OK), counted(&decided, StatusCode::CONFLICT)), (1, 3));
    assert_eq!(steps(&stage), ["requested:queued", "approval.approved"]);
    let going = (0..8).map(|_| step(&stage.app, &stage.key, &id, "resume"));
    let gone = futures_util::future::join_all(going).await;
    assert_eq!(stage.shore.tide.served(), 1, "of all who go on at once");
    assert!(counted(&gone, StatusCode::OK) >= 1);
    assert_eq!(counted(&gone, StatusCode::OK) + counted(&gone, StatusCode::CONFLICT), 8);
    assert_eq!(recorded(&stage.app.records()).0, ["tide"]);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_call_once_more_is_another_call_that_waits_by_itself() {
    let stage = stage(only_asks(), Setup::default()).await;
    let (_, moderator) = somebody(&stage.app, &stage.world, Role::Moderator).await;
    let id = held(&stage).await;
    step(&stage.app, &moderator, &id, "approve").await;
    for _ in 0..3 {
        // The model asks for it again, in the same turn and with the same arguments.
        let resumed = step(&stage.app, &stage.key, &id, "resume").await;
        assert_eq!(resumed.json()["approval"]["status"], "pending", "{}", resumed.text());
        assert_ne!(resumed.json()["approval"]["id"], json!(id));
        assert_eq!(stage.shore.tide.served(), 1);
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_call_passes_every_guard_again_when_it_is_made() {
    let stage = stage(asks_always(), Setup::default()).await;
    let (_, moderator) = somebody(&stage.app, &stage.world, Role::Moderator).await;
    let id = held(&stage).await;
    step(&stage.app, &moderator, &id, "approve").await;

    // The same data, served with other tools.
    let changed = async |change: fn(&mut Vec<Settings>)| {
        let mut settings = risky(stage.shore.settings());
        change(&mut settings);
        let tools = Registry::new(settings, &Egress::default()).expect("a registry");
        let model = OpenAi::new(OpenAiOptions::new(stage.upstream.url())).expect("a client");
        let stores = stage.app.stores.clone();
        let stores = Box::new(move |_| stores);
        let app = TestApp::start(Setup {
            model: Some(std::sync::Arc::new(model)),
            tools,
            stores,
            ..Setup::default()
        })
        .await;
        let answer = step(&app, &stage.key, &id, "resume").await;
        app.stop().await;
        answer
    };
    for change in [
        // Somebody approved another description since.
        |settings: &mut Vec<Settings>| {
            settings[0].description.push_str(" And pays for it.");
            let schema = settings[0].schema.clone().expect("a schema");
            settings[0].pin = Some(Pin::of("tide", &settings[0].description, &schema));
        },
        |settings: &mut Vec<Settings>| settings[0].pin = None,
        |settings: &mut Vec<Settings>| settings[0].roles = [Role::Owner].into(),
        |settings: &mut Vec<Settings>| settings[0].communities = ["two".to_owned()].into(),
        |settings: &mut Vec<Settings>| drop(settings.remove(0)),
        |settings: &mut Vec<Settings>| settings.clear(),
    ] {
        let answer = changed(change).await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.text());
        assert_eq!(stage.shore.tide.served(), 0);
    }
    let members = &stage.app.stores.members;
    members.set_status(&stage.world.operator, stage.member, Status::Suspended).await.expect("suspended");
    assert_eq!(step(&stage.app, &stage.key, &id, "resume").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(stage.shore.tide.served(), 0, "whose access lapsed has nothing made");
    members.set_status(&stage.world.operator, stage.member, Status::Active).await.expect("restored");
    let answer = changed(|_| {}).await;
    assert_eq!((answer.status, stage.shore.tide.served()), (StatusCode::OK, 1), "{}", answer.text());

    // What came of it is shown again by the same rules.
    for change in [
        |settings: &mut Vec<Settings>| settings[0].pin = None,
        |settings: &mut Vec<Settings>| settings[0].roles = [Role::Owner].into(),
        |settings: &mut Vec<Settings>| drop(settings.remove(0)),
    ] {
        let answer = changed(change).await;
        assert_eq!((answer.status, answer.text().contains("14:20")), (StatusCode::CONFLICT, false));
    }
    assert_eq!(changed(|_| {}).await.status, StatusCode::OK);
    assert_eq!(stage.shore.tide.served(), 1);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_reads_no_conversations_reads_no_calls_and_goes_on_with_none() {
    let stage = stage(asks_once(), Setup::default()).await;
    let (_, moderator) = somebody(&stage.app, &stage.world, Role::Moderator).await;
    let id = held(&stage).await;
    step(&stage.app, &moderator, &id, "approve").await;
    let abilities = AbilitySet::NONE.with(KeyAbility::Chat);
    let (key, _) = stage.app.key(&stage.world, KeyActor::Member(stage.member), abilities, None).await;
    for path in ["/v1/me/approvals".to_owned(), format!("/v1/me/approvals/{id}"), "/waiting".to_owned()] {
        let answer = send(&stage.app, &key, Method::GET, &path).await;
        assert_eq!((answer.status, answer.text().contains(SECRET)), (StatusCode::FORBIDDEN, false), "{path}");
    }
    assert_eq!(step(&stage.app, &key, &id, "resume").await.status, StatusCode::FORBIDDEN);
    assert_eq!(stage.shore.tide.served(), 0);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_call_was_made_of_has_to_be_readable_still() {
    let stage = stage(asks_once(), Setup::default()).await;
    let (_, moderator) = somebody(&stage.app, &stage.world, Role::Moderator).await;
    let request = stage
        .app
        .request(Method::POST, "/v1/chat/completions", Some(&stage.key))
        .header("x-conversation-id", "new")
        .body(question_body("kettle", false).to_string().into())
        .expect("a request");
    let answer = stage.app.send(request).await;
    let conversation = answer.headers["x-conversation-id"].to_str().expect("an id").to_owned();
    let id = answer.json()["approval"]["id"].as_str().expect("an id").to_owned();
    step(&stage.app, &moderator, &id, "approve").await;
    let access = async |access| {
        let spaces = &stage.app.stores.spaces;
        spaces.set_access(&stage.world.operator, stage.world.open, access).await.expect("changed");
    };
    let own = async || {
        let path = format!("/v1/me/approvals/{id}");
        let one = send(&stage.app, &stage.key, Method::GET, &path).await.json();
        let all = send(&stage.app, &stage.key, Method::GET, "/v1/me/approvals").await.json();
        assert_eq!(one, all["approvals"][0]);
        (one["arguments"].clone(), one["question"].clone())
    };
    assert_eq!(own().await, (json!({ "place": SECRET }), json!("kettle")));
    access(SpaceAccess::Staff).await;
    assert_eq!(own().await, (Value::Null, Value::Null));
    let refused = step(&stage.app, &stage.key, &id, "resume").await;
    assert_eq!((refused.status, stage.shore.tide.served()), (StatusCode::CONFLICT, 0), "{}", refused.text());
    access(SpaceAccess::Members).await;
    let resumed = step(&stage.app, &stage.key, &id, "resume").await;
    assert_eq!((resumed.status, stage.shore.tide.served()), (StatusCode::OK, 1), "{}", resumed.text());
    access(SpaceAccess::Staff).await;
    assert_eq!(step(&stage.app, &stage.key, &id, "resume").await.status, StatusCode::CONFLICT, "nor again");
    let kept = stage.app.get(&format!("/v1/conversations/{conversation}"), &stage.key).await.json();
    assert_eq!(kept["messages"][3]["withheld"], true, "{kept}");
    access(SpaceAccess::Members).await;

    // A conversation that was removed does not come back.
    let path = format!("/v1/conversations/{conversation}");
    assert_eq!(send(&stage.app, &stage.key, Method::DELETE, &path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(step(&stage.app, &stage.key, &id, "resume").await.status, StatusCode::NOT_FOUND);
    assert_eq!(send(&stage.app, &stage.key, Method::GET, &path).await.status, StatusCode::NOT_FOUND);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_goes_with_the_conversation_that_it_waits_in() {
    let stage = stage(only_asks(), Setup::default()).await;
    let (_, moderator) = somebody(&stage.app, &stage.world, Role::Moderator).await;
    let elsewhere = held(&stage).await;
    let (conversation, id) = held_in_a_conversation(&stage).await;
    let path = format!("/v1/conversations/{conversation}");
    assert_eq!(send(&stage.app, &stage.key, Method::DELETE, &path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(step(&stage.app, &moderator, &id, "approve").await.status, StatusCode::NOT_FOUND);
    let listed = send(&stage.app, &moderator, Method::GET, "/v1/approvals").await.json();
    let ids: Vec<_> =
        listed["approvals"].as_array().expect("a list").iter().map(|entry| &entry["id"]).collect();
    assert_eq!(ids, [&json!(elsewhere)]);
    assert_eq!(steps(&stage), ["requested:queued", "requested:queued", "approval.withdrawn"]);
    assert_eq!(stage.shore.tide.served(), 0);
    stage.stop().await;
}

/// Conversations, each removed as if in another window at once after this has been read of it.
#[derive(Debug)]
struct RemovedAfter(&'static str, Arc<dyn Conversations>);

impl RemovedAfter {
    fn setup(read: &'static str) -> Setup {
        let handing = Handing { mode: HandoverMode::HandOver, ..Handing::default() };
        let stores = move |stores: Stores| Stores {
            conversations: Arc::new(Self(read, Arc::clone(&stores.conversations))),
            ..stores
        };
        Setup { handing, stores: Box::new(stores), ..Setup::default() }
    }

    async fn read(&self, what: &str, scope: &Scope, id: ConversationId) {
        if what == self.0 {
            self.1.remove(scope, id).await.expect("removed");
        }
    }
}

#[async_trait::async_trait]
impl Conversations for RemovedAfter {
    async fn begin(&self, scope: &Scope, id: ConversationId, title: &str) -> Stored<Conversation> {
        self.1.begin(scope, id, title).await
    }

    async fn list(
        &self,
        scope: &Scope,
        before: Option<Timestamp>,
        limit: usize,
    ) -> Stored<Vec<Conversation>> {
        self.1.list(scope, before, limit).await
    }

    async fn get(&self, scope: &Scope, id: ConversationId) -> Stored<Conversation> {
        let found = self.1.get(scope, id).await?;
        self.read("itself", scope, id).await;
        Ok(found)
    }

    async fn append(&self, scope: &Scope, id: ConversationId, messages: Vec<NewMessage>) -> Stored<()> {
        self.1.append(scope, id, messages).await
    }

    async fn messages(&self, scope: &Scope, id: ConversationId, limit: usize) -> Stored<Vec<StoredMessage>> {
        let found = self.1.messages(scope, id, limit).await?;
        self.read("messages", scope, id).await;
        Ok(found)
    }

    async fn rename(&self, scope: &Scope, id: ConversationId, title: &str) -> Stored<()> {
        self.1.rename(scope, id, title).await
    }

    async fn remove(&self, scope: &Scope, id: ConversationId) -> Stored<Vec<ApprovalId>> {
        self.1.remove(scope, id).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_wanted_after_its_conversation_was_removed_does_not_wait() {
    let stage = stage(only_asks(), RemovedAfter::setup("messages")).await;
    let request = stage
        .app
        .request(Method::POST, "/v1/chat/completions", Some(&stage.key))
        .header("x-conversation-id", "new")
        .body(question_body("Send it", false).to_string().into())
        .expect("a request");
    let answer = stage.app.send(request).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND, "{}", answer.text());
    assert_eq!(stage.upstream.served(), 1, "the model wanted it");
    let waits = stage.app.stores.approvals.list(&stage.world.operator, Timestamp::MIN).await;
    assert_eq!(waits.expect("listed"), []);
    assert_eq!(steps(&stage), [""; 0]);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_on_brings_no_conversation_back_that_is_removed_meanwhile() {
    let stage = stage(asks_once(), RemovedAfter::setup("itself")).await;
    let scope = member_scope(&stage.world, stage.member);
    let (approvals, conversations) = (&stage.app.stores.approvals, &stage.app.stores.conversations);
    // The second is handed to a person when it is asked again.
    for question in ["Send it", "Nobody knows it, but I want to kill myself."] {
        let conversation = ConversationId::new(&*stage.app.clock);
        conversations.begin(&scope, conversation, "Mine").await.expect("begun");
        let until = stage.app.clock.now().checked_add(Duration::from_secs(60)).expect("a time");
        let kept = json!({ "text": question, "model": "test-model", "conversation": conversation });
        let new = portcullis_store::NewApproval {
            id: ApprovalId::new(&*stage.app.clock),
            tool: "tide".to_owned(),
            pin: "sha256:00".to_owned(),
            arguments: "{}".to_owned(),
            question: kept.to_string(),
            expires: until,
            conversation: Some(conversation),
        };
        let id = new.id;
        let room = portcullis_store::Room { open: 9, of_one: 9, since: Timestamp::MIN };
        approvals.request(&scope, new, room).await.expect("it waits");
        approvals.decide(&stage.world.operator, id, Decision::Approve { until }).await.expect("approved");
        let resumed = step(&stage.app, &stage.key, &id.to_string(), "resume").await;
        assert_eq!(resumed.status, StatusCode::NOT_FOUND, "{}", resumed.text());
        assert_eq!(conversations.list(&scope, None, 9).await.expect("listed"), [], "{question}");
        assert_eq!((stage.upstream.served(), stage.shore.tide.served()), (0, 0));
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_and_is_kept_no_longer_is_not_decided_and_is_recorded_as_expired() {
    for (removed, told) in [(true, StatusCode::NOT_FOUND), (false, StatusCode::CONFLICT)] {
        let approving = Approving { keep: Duration::ZERO, ..Approving::default() };
        let tool_limits = ToolLimits { approving, ..ToolLimits::default() };
        let stage = stage(only_asks(), Setup { tool_limits, ..Setup::default() }).await;
        let (_, moderator) = somebody(&stage.app, &stage.world, Role::Moderator).await;
        let id = held(&stage).await;
        if removed {
            stage.app.served.gate().remove_due().await;
        }
        for what in ["approve", "deny"] {
            let late = step(&stage.app, &moderator, &id, what).await;
            assert_eq!(late.status, told, "{}", late.text());
        }
        stage.app.served.gate().remove_due().await;
        let kept = stage.app.stores.approvals.list(&stage.world.operator, Timestamp::MIN).await;
        assert_eq!(kept.expect("listed"), []);
        assert_eq!(steps(&stage), ["requested:queued", "expired"], "once");
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_begun_and_not_ended_is_never_made_again() {
    // The process is gone between beginning and sending: the store says begun, and nothing was sent.
    let stage = stage(asks_always(), Setup::default()).await;
    let (_, moderator) = somebody(&stage.app, &stage.world, Role::Moderator).await;
    let id = held(&stage).await;
    step(&stage.app, &moderator, &id, "approve").await;
    let scope = member_scope(&stage.world, stage.member);
    let begun = stage.app.stores.approvals.begin(&scope, id.parse().expect("an id")).await.expect("begun");
    assert!(matches!(begun, Step::Taken(_)));
    for _ in 0..2 {
        assert_eq!(step(&stage.app, &stage.key, &id, "resume").await.status, StatusCode::CONFLICT);
    }
    assert_eq!((state(&stage, &id).await, stage.shore.tide.served()), (json!("running"), 0));
    stage.stop().await;

    // Whoever asked leaves while the tool works.
    let slow = Sink::new(|_| {
        let mut reply = Reply::new(StatusCode::OK, "text/plain", "late");
        reply.hold = Hold::Forever;
        reply
    });
    let stage = Stage::of(asks_always(), Setup::default(), slow, risky).await;
    let (_, moderator) = somebody(&stage.app, &stage.world, Role::Moderator).await;
    let id = held(&stage).await;
    step(&stage.app, &moderator, &id, "approve").await;
    let leaving = async {
        tokio::select! {
            answer = step(&stage.app, &stage.key, &id, "resume") => panic!("it cannot be answered: {}", answer.text()),
            () = async { while stage.shore.tide.served() == 0 { tokio::time::sleep(Duration::from_millis(5)).await; } } => {}
        }
    };
    tokio::time::timeout(Duration::from_secs(10), leaving).await.expect("the tool was called");
    stage.app.recorded(|entry| matches!(&entry.event, Some(Event::ToolReturned { .. }))).await;
    let ended = async {
        while state(&stage, &id).await != "failed" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), ended).await.expect("it is noted as failed");
    let again = step(&stage.app, &stage.key, &id, "resume").await;
    assert_eq!((again.status, stage.shore.tide.served()), (StatusCode::OK, 1), "{}", again.text());
    assert!(stage.shown()[0].contains("was cut off"), "{:?}", stage.shown());
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leaves_at_any_moment_leaves_no_call_without_an_end() {
    // It asks for the call until it has what came of it.
    let asks = Sink::new(|heard| {
        let messages = heard.json()["messages"].as_array().cloned().unwrap_or_default();
        let has_it = messages.iter().any(|message| message["role"] == "tool");
        let said = if has_it { Said::text("That is all.", 4) } else { calls(&call()) };
        said.reply_to(heard)
    });
    let approving = Approving { of_one: 100, open: 100, ..Approving::default() };
    let tool_limits = ToolLimits { approving, ..ToolLimits::default() };
    let stage = stage(asks, Setup { tool_limits, ..Setup::default() }).await;
    let (_, moderator) = somebody(&stage.app, &stage.world, Role::Moderator).await;
    let mut ends = BTreeMap::<String, usize>::new();
    for moment in 0..60 {
        let id = held(&stage).await;
        step(&stage.app, &moderator, &id, "approve").await;
        let patience = Duration::from_micros(150 * moment);
        let left = tokio::time::timeout(patience, step(&stage.app, &stage.key, &id, "resume")).await;
        drop(left);
        let settled = async {
            loop {
                let state = state(&stage, &id).await;
                if state != "running" {
                    break state;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let state = tokio::time::timeout(Duration::from_secs(10), settled).await.expect("it has an end");
        *ends.entry(state.to_string()).or_default() += 1;
    }
    println!("{ends:?}");
    let calls = || {
        let (mut called, mut returned) = (BTreeSet::new(), BTreeSet::new());
        for entry in stage.app.records() {
            match entry.event {
                Some(Event::ToolCalled { call, .. }) => drop(called.insert(call)),
                Some(Event::ToolReturned { call, .. }) => drop(returned.insert(call)),
                _ => {}
            }
        }
        (called, returned)
    };
    let all_ended = async {
        while calls().0 != calls().1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(10), all_ended).await.is_ok(), "{:?}", calls());
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_wait_is_bounded_and_who_gets_no_place_is_told() {
    let approving = Approving { of_one: 2, open: 3, ..Approving::default() };
    let tool_limits = ToolLimits { approving, ..ToolLimits::default() };
    let stage = stage(only_asks(), Setup { tool_limits, ..Setup::default() }).await;
    let other = somebody(&stage.app, &stage.world, Role::Member).await.1;
    let mut told = Vec::new();
    for key in [&stage.key, &stage.key, &stage.key, &other, &other] {
        let answer = stage.app.post("/v1/chat/completions", key, &question_body("Send it", false)).await;
        told.push(answer.json()["approval"]["status"].as_str().expect("a status").to_owned());
        let lost = words(&answer).to_lowercase().contains("nothing more will come");
        assert_eq!(lost, told.last().is_some_and(|status| status != "pending"), "{}", answer.text());
    }
    assert_eq!(told, ["pending", "pending", "enough", "pending", "full"]);
    assert_eq!(stage.noticed(SecurityEvent::ApprovalLost), 2);
    assert_eq!(stage.shore.tide.served(), 0);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_after_one_that_waits_are_given_up_and_calls_that_need_nobody_are_made() {
    let list = [("pages", "{\"url\":\"PAGE\"}"), call()[0], ("pages", "{\"url\":\"PAGE\"}"), call()[0]];
    // Where pages are is known once they are served, so the model asks for a page that is refused.
    let stage = Stage::of(once(&list), Setup::default(), Sink::text(TIDE), risky).await;
    let answer = stage.ask("Send it", false).await;
    assert_eq!(answer.json()["approval"]["status"], "pending");
    let refused: u64 = recorded(&stage.app.records()).2.iter().map(|(_, times)| times).sum();
    let made = recorded(&stage.app.records()).0.len() as u64;
    assert_eq!(refused + made, 3, "every other call was decided on");
    assert_eq!(stage.shore.tide.served(), 0);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_key_without_a_member_has_waiting_is_decided_and_gone_on_with_alike() {
    let stage = stage(asks_once(), Setup::default()).await;
    let abilities = AbilitySet::NONE.with(KeyAbility::Chat).with(KeyAbility::Personal);
    let actor = KeyActor::Backend { role: Role::Member, plans: Vec::new() };
    let (key, id) = stage.app.key(&stage.world, actor, abilities, None).await;
    let answer = stage.app.post("/v1/chat/completions", &key, &question_body("Send it", false)).await;
    let approval = answer.json()["approval"]["id"].as_str().expect("an id").to_owned();
    let (_, moderator) = somebody(&stage.app, &stage.world, Role::Moderator).await;
    let listed = send(&stage.app, &moderator, Method::GET, "/v1/approvals").await.json();
    assert_eq!(listed["approvals"][0]["asker"], json!({ "kind": "key", "id": null }));
    assert_eq!(listed["approvals"][0]["arguments"], json!({ "place": SECRET }));
    step(&stage.app, &moderator, &approval, "approve").await;
    let resumed = step(&stage.app, &key, &approval, "resume").await;
    assert_eq!((resumed.status, stage.shore.tide.served()), (StatusCode::OK, 1), "{}", resumed.text());
    let called = stage.app.recorded(|entry| matches!(&entry.event, Some(Event::ToolCalled { .. }))).await;
    assert_eq!(called.actor, Actor::Key(id).into());
    stage.stop().await;
}

/// The proof that this guard, and nothing else, is what holds the call.
#[tokio::test(flavor = "multi_thread")]
#[cfg(feature = "guard-off")]
async fn without_its_guard_the_call_is_made_at_once() {
    let switches = Switches::without(&["tool-approval"]).expect("a guard");
    let stage = stage(asks_once(), Setup { switches, ..Setup::default() }).await;
    let answer = stage.ask("Send it", false).await;
    assert_eq!((words(&answer), stage.shore.tide.served()), ("That is all.".to_owned(), 1));
    stage.stop().await;
}
