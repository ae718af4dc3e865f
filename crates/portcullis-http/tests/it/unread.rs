//! Answers that nobody reads: the connection, the place at the model and the record of the turn come to an end all the
//! same.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use portcullis_audit::{Event, Outcome};
use portcullis_core::KeyId;
use portcullis_model::upstream::{Reply, Scripted, Step, Turn, Upstream};
use portcullis_model::{OpenAi, OpenAiOptions};
use serde_json::json;

use crate::app::{Setup, TestApp, World, question_body};
use crate::raw::{PATIENCE, Raw, bearer, head};

/// More than all buffers between the gate and a client that does not read.
const PIECES: usize = 200;
const PIECE_BYTES: usize = 60 << 10;

/// A stream too long for any buffer first, then short answers.
fn endless() -> Scripted {
    let frame = json!({ "id": "x", "object": "chat.completion.chunk", "created": 7, "model": "m",
        "choices": [{ "index": 0, "delta": { "content": "word ".repeat(PIECE_BYTES / 5) }, "finish_reason": null }] });
    let piece = Bytes::from(format!("data: {frame}\n\n"));
    let mut steps = vec![Step::Send(piece); PIECES];
    steps.push(Step::Hang);
    let short = portcullis_model::upstream::Answer::text("short", 4);
    Scripted::new(vec![Turn::Raw(Reply::events(steps)), Turn::Answer(short)])
}

struct Asking {
    app: TestApp,
    upstream: Upstream,
    world: World,
    key: String,
    id: KeyId,
    /// Who asked and does not read.
    client: Raw,
}

/// Somebody asks, the answer begins, and they read nothing of it.
async fn asking(setup: Setup) -> Asking {
    let upstream = Upstream::start(endless()).await.expect("an upstream");
    let model = OpenAi::new(OpenAiOptions::new(upstream.url())).expect("a client");
    let app = TestApp::start(Setup { model: Some(Arc::new(model)), places: (1, 4), ..setup }).await;
    let world = app.world("one").await;
    let (key, id) = app.key_of(&world, app.member(&world, "Ada", None).await).await;
    let body = question_body("kettle", true).to_string();
    let mut client = Raw::connect(app.address).await;
    let head = head("POST", "/v1/chat/completions", &bearer(&key), body.len())
        .replace("expect: 100-continue\r\n", "");
    assert!(client.send(format!("{head}{body}").as_bytes()).await);
    upstream.wait_served(1).await;
    Asking { app, upstream, world, key, id, client }
}

impl Asking {
    /// The model's connection is closed, the turn ends in the journal like that, and the place is free.
    async fn is_settled(&self, wanted: fn(&Outcome) -> bool) {
        tokio::time::timeout(PATIENCE, self.upstream.wait_abandoned(1)).await.expect("the model is stopped");
        let closed = self.app.recorded(|entry| matches!(&entry.event, Some(Event::TurnClosed { .. }))).await;
        let Some(Event::TurnClosed { outcome, .. }) = closed.event else { unreachable!("asked for") };
        assert!(wanted(&outcome), "{outcome:?}");
        let next = self.app.key_of(&self.world, self.app.member(&self.world, "Bo", None).await).await.0;
        assert_eq!(self.app.ask(&next, "kettle").await.status, StatusCode::OK, "the place came free");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_loses_its_connection() {
    let asking = asking(Setup { write_timeout: Duration::from_millis(500), ..Setup::default() }).await;
    asking.is_settled(|outcome| *outcome == Outcome::Cancelled).await;
    let mut client = asking.client;
    assert!(client.is_closed().await);
    asking.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn access_ends_for_a_client_that_does_not_read() {
    let asking = asking(Setup::default()).await;
    asking.client.wait_stalled().await;
    asking.app.stores.keys.revoke(&asking.world.operator, asking.id).await.expect("revoked");
    let refused =
        |outcome: &Outcome| matches!(outcome, Outcome::Refused { code } if code.as_str() == "access_ended");
    asking.is_settled(refused).await;
    assert_eq!(asking.app.ask(&asking.key, "kettle").await.status, StatusCode::UNAUTHORIZED);
    // Once it reads, it is told, and nothing that was still to come.
    let mut client = asking.client;
    let rest = client.read_to("\"access_ended\"").await;
    assert!(rest.ends_with("\"access_ended\"") && rest.len() < PIECES * PIECE_BYTES, "{} bytes", rest.len());
    asking.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_has_an_end_however_it_is_read() {
    let asking = asking(Setup { request_timeout: Duration::from_secs(1), ..Setup::default() }).await;
    let late =
        |outcome: &Outcome| matches!(outcome, Outcome::Failed { code } if code.as_str() == "timed_out");
    asking.is_settled(late).await;
    asking.app.stop().await;
}
