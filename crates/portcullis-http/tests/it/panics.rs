//! A bug in a route's code: the answer says no more than that, and the log names the request.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use portcullis_core::{CommunityId, MemoryId, Scope, Tier};
use portcullis_http::{operator_router, router};
use portcullis_store::{
    Community, CommunityRef, Directory, KeptSince, Memories, Memory, NewCommunity, Removed, Result, Stores,
};
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::app::{Setup, TestApp};
use crate::operator::{TOKEN, operator};

const SECRET: &str = "what somebody wrote";

/// Stores with two bugs.
#[derive(Debug)]
struct Buggy(Stores);

#[async_trait]
impl Memories for Buggy {
    async fn add(&self, _: &Scope, _: MemoryId, _: &str) -> Result<Memory> {
        panic!("{SECRET}")
    }

    async fn list(&self, scope: &Scope) -> Result<Vec<Memory>> {
        self.0.memories.list(scope).await
    }

    async fn get(&self, scope: &Scope, id: MemoryId) -> Result<Memory> {
        self.0.memories.get(scope, id).await
    }

    async fn change(&self, scope: &Scope, id: MemoryId, text: &str) -> Result<Memory> {
        self.0.memories.change(scope, id, text).await
    }

    async fn remove(&self, scope: &Scope, id: MemoryId) -> Result<()> {
        self.0.memories.remove(scope, id).await
    }
}

#[async_trait]
impl Directory for Buggy {
    async fn create(&self, new: NewCommunity) -> Result<Community> {
        self.0.directory.create(new).await
    }

    async fn find(&self, by: CommunityRef<'_>) -> Result<Option<Community>> {
        self.0.directory.find(by).await
    }

    async fn list(&self) -> Result<Vec<Community>> {
        self.0.directory.list().await
    }

    async fn set_tier(&self, _: CommunityId, _: Tier) -> Result<()> {
        panic!("{SECRET}")
    }

    async fn remove_due(&self, community: CommunityId, since: KeptSince) -> Result<Removed> {
        self.0.directory.remove_due(community, since).await
    }

    async fn ping(&self) -> Result<()> {
        self.0.directory.ping().await
    }
}

/// Keeps the errors that are logged on this thread.
#[derive(Debug, Clone, Default)]
struct Errors(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, "{field}={value:?} ").expect("text");
    }
}

impl Subscriber for Errors {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().expect("not poisoned").push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

// On one thread, whose log is heard.
#[tokio::test]
async fn what_panics_while_it_is_seen_through_is_logged_with_its_request_on_both_planes() {
    let buggy = |stores: Stores| {
        let buggy = Arc::new(Buggy(stores.clone()));
        Stores { memories: Arc::clone(&buggy) as _, directory: buggy, ..stores }
    };
    let app = TestApp::start(Setup { stores: Box::new(buggy), ..Setup::default() }).await;
    let world = app.world("one").await;
    let member = app.member(&world, "Ada", None).await;
    let (key, _) = app.key_of(&world, member).await;
    let request = |method, path: &str, token: &str, body: serde_json::Value| {
        let request = Request::builder().method(method).uri(path).header("host", "127.0.0.1");
        let request = request.header("authorization", format!("Bearer {token}"));
        request.body(Bytes::from(body.to_string())).expect("a request")
    };
    let operated = operator(&app);
    for (router, request) in [
        (router(&app.served), request(Method::POST, "/v1/memories", &key, json!({ "text": "rye" }))),
        (
            operator_router(&operated),
            request(Method::PUT, "/communities/one/tier", TOKEN, json!({ "tier": "enhanced" })),
        ),
    ] {
        let (errors, what) = (Errors::default(), request.uri().to_string());
        let heard = tracing::subscriber::set_default(errors.clone());
        let answer = app.answer(&router, request).await;
        drop(heard);
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{what}: {}", answer.text());
        assert!(!answer.text().contains(SECRET), "{what}");
        let problem = answer.json();
        let id = problem["instance"].as_str().and_then(|urn| urn.strip_prefix("urn:uuid:"));
        let id = id.expect("the request's id").to_owned();
        let lines = errors.0.lock().expect("not poisoned").clone();
        assert_eq!(lines.len(), 1, "{what}: {lines:?}");
        assert!(lines[0].contains(&format!("request.id={id}")), "{what}: {lines:?}");
        assert!(!lines[0].contains(SECRET), "{what}: {lines:?}");
    }
    app.stop().await;
}
