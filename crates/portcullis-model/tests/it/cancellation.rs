//! When a caller leaves, the upstream notices and can stop working.

use std::time::Duration;

use futures_util::StreamExt as _;
use portcullis_model::Model as _;
use portcullis_model::upstream::{Echo, Hold, Reply, Scripted, Slow, Step, Upstream};

use crate::support::{SOON, frame, hello, send, serve};

async fn let_go(upstream: &Upstream) {
    tokio::time::timeout(SOON, upstream.wait_abandoned(1)).await.expect("the upstream sees the caller leave");
}

#[tokio::test]
async fn dropping_a_stream_reaches_the_upstream() {
    let (upstream, model) =
        serve(Slow::new(Scripted::text(&"x".repeat(4000))).between(Duration::from_millis(5))).await;
    let mut stream = model.stream(&hello()).await.unwrap();
    stream.next().await.unwrap().unwrap();
    assert_eq!(upstream.abandoned(), 0);
    drop(stream);
    let_go(&upstream).await;
}

#[tokio::test]
async fn dropping_a_stream_that_says_nothing_reaches_the_upstream() {
    let (upstream, model) = serve(Scripted::raw(Reply::events(vec![frame("x"), Step::Hang]))).await;
    let mut stream = model.stream(&hello()).await.unwrap();
    stream.next().await.unwrap().unwrap();
    drop(stream);
    let_go(&upstream).await;
}

#[tokio::test]
async fn leaving_before_the_answer_begins_reaches_the_upstream() {
    let (upstream, model) = serve(Slow::new(Echo).head(Hold::Forever)).await;
    let request = hello();
    tokio::select! {
        _ = model.complete(&request) => panic!("a mute upstream gave an answer"),
        () = upstream.wait_served(1) => {}
    }
    let_go(&upstream).await;
    let (upstream, model) = serve(Slow::new(Echo).head(Hold::Forever)).await;
    tokio::select! {
        _ = model.stream(&request) => panic!("a mute upstream gave an answer"),
        () = upstream.wait_served(1) => {}
    }
    let_go(&upstream).await;
}

#[tokio::test]
async fn a_bad_frame_lets_the_upstream_go_before_the_caller_does() {
    let (upstream, model) = serve(Scripted::raw(Reply::events(vec![send("data: {}\n\n"), Step::Hang]))).await;
    let mut stream = model.stream(&hello()).await.unwrap();
    stream.next().await.unwrap().unwrap_err();
    let_go(&upstream).await;
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn an_upstream_that_stays_open_after_the_end_does_not_hold_the_caller() {
    let (upstream, model) =
        serve(Scripted::raw(Reply::events(vec![frame("x"), crate::support::done(), Step::Hang]))).await;
    let answer =
        tokio::time::timeout(SOON, crate::support::put_together(model.stream(&hello()).await.unwrap())).await;
    assert_eq!(crate::support::text(&answer.unwrap().unwrap()), "x");
    let_go(&upstream).await;
}

#[tokio::test]
async fn a_stopped_upstream_is_unavailable() {
    let (upstream, model) = serve(Echo).await;
    model.ping().await.unwrap();
    let url = upstream.url();
    upstream.stop().await;
    let fresh = crate::support::client(&url, |_| {});
    assert_eq!(fresh.ping().await.unwrap_err().kind(), portcullis_model::Kind::Unavailable);
    assert_eq!(model.ping().await.unwrap_err().kind(), portcullis_model::Kind::Unavailable);
}
