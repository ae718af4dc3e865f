//! Upstreams that lie, break off, flood or leak.

use std::error::Error as _;
use std::time::Duration;

use futures_util::StreamExt as _;
use http::StatusCode;
use http::header::{LOCATION, RETRY_AFTER};
use portcullis_model::upstream::{Echo, Reply, Scripted, Step, Upstream};
use portcullis_model::{Kind, Model as _, ModelError, Rejection};
use serde_json::json;

use crate::support::{client, done, frame, hello, send, serve, streamed, text};

async fn whole(reply: Reply) -> Result<portcullis_model::Completion, ModelError> {
    let (_upstream, model) = serve(Scripted::raw(reply)).await;
    model.complete(&hello()).await
}

#[tokio::test]
async fn a_stream_without_its_end_is_truncated() {
    let finished = send("data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");
    for steps in [
        vec![frame("par"), frame("t")],
        vec![frame("par"), frame("t"), finished],
        vec![frame("par"), frame("t"), Step::Cut],
        vec![frame("par"), frame("t"), send("data: {\"choices\":[{\"del"), Step::Cut],
        vec![frame("par"), frame("t"), send("data: {\"choices\":[{\"del")],
        vec![frame("par"), frame("t"), send("data: [DON")],
        vec![frame("par"), frame("t"), send(": [DONE]\n\n")],
    ] {
        let (error, text) = streamed(steps).await.unwrap_err();
        assert_eq!((error.kind(), text.as_str()), (Kind::Truncated, "part"));
    }
    assert_eq!(streamed(vec![]).await.unwrap_err().0.kind(), Kind::Truncated);
    assert_eq!(streamed(vec![send(": hi\n"), Step::Cut]).await.unwrap_err().0.kind(), Kind::Truncated);
    assert_eq!(streamed(vec![done()]).await.unwrap_err().0.kind(), Kind::Malformed);
}

#[tokio::test]
async fn a_malformed_frame_ends_the_stream() {
    let deep = format!("data: {{\"choices\":[],\"x\":{}\n\n", "[".repeat(500_000));
    for bad in [
        "data: {}\n\n",
        "data: NaN\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":NaN}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":7}}]}\n\n",
        "data: {\"choices\":[{\"index\":1e9,\"delta\":{}}]}\n\n",
        "data: hello\n\n",
        "data: [DONE] \n\n",
        "data:\n\n",
        &deep,
    ] {
        let (error, text) = streamed(vec![frame("good"), send(bad), frame("bad"), done()]).await.unwrap_err();
        assert_eq!((error.kind(), text.as_str()), (Kind::Malformed, "good"), "{bad:.60}");
    }
    let not_utf8 =
        Step::Send(b"data: {\"choices\":[{\"delta\":{\"content\":\"\xff\xfe\"}}]}\n\n".as_slice().into());
    assert_eq!(streamed(vec![not_utf8, done()]).await.unwrap_err().0.kind(), Kind::Malformed);
}

#[tokio::test]
async fn a_flood_is_too_large_whatever_its_shape() {
    let (megabyte, less) = ("x".repeat(1 << 20), "x".repeat(900_000));
    let one_event: Vec<Step> = std::iter::once(send("data: {\"choices\":[{\"delta\":{\"content\":\""))
        .chain((0..10).map(|_| send(&megabyte)))
        .chain([send("\"}}]}\n\n"), done()])
        .collect();
    let comment = std::iter::once(send(": ")).chain((0..10).map(|_| send(&megabyte))).collect();
    let many_comments = (0..40).map(|_| send(&format!(": {less}\n\n"))).collect();
    let many_frames = (0..40).map(|_| frame(&less)).collect();
    for steps in [one_event, comment, many_comments, many_frames] {
        assert_eq!(streamed(steps).await.unwrap_err().0.kind(), Kind::TooLarge);
    }
    let body = json!({"choices": [{"message": {"content": megabyte.repeat(17)}}]});
    assert_eq!(whole(Reply::json(StatusCode::OK, &body)).await.unwrap_err().kind(), Kind::TooLarge);
    let endless =
        Reply { steps: (0..40).map(|_| send(&megabyte)).collect(), ..Reply::json(StatusCode::OK, &json!(0)) };
    assert_eq!(whole(endless).await.unwrap_err().kind(), Kind::TooLarge);
}

#[tokio::test]
async fn no_field_outside_the_allow_list_comes_through() {
    let canary = json!({"deep": ["CANARY", {"CANARY": "CANARY"}]});
    let frame = json!({"id": "x", "choices": [{"index": 0, "delta": {"content": "ok", "x_secret": canary}, "logprobs": canary}],
        "system_fingerprint": "CANARY", "prompt": "CANARY", "x_secret": canary, "object": "CANARY"});
    let answer = json!({"id": "x", "choices": [{"message": {"content": "ok", "x_secret": canary}, "logprobs": canary}],
        "system_fingerprint": "CANARY", "prompt": "CANARY", "x_secret": canary, "object": "CANARY"});
    let steps = vec![send(&format!(": CANARY\nid: CANARY\nevent: CANARY\ndata: {frame}\n\n")), done()];
    let (_upstream, model) = serve(Scripted::raw(Reply::events(steps))).await;
    let mut out = Vec::new();
    let mut stream = model.stream(&hello()).await.unwrap();
    while let Some(chunk) = stream.next().await {
        out.extend(serde_json::to_vec(&chunk.unwrap()).unwrap());
    }
    out.extend(whole(Reply::json(StatusCode::OK, &answer)).await.unwrap().to_json());
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains("\"ok\"") && !out.contains("CANARY"), "{out}");
}

#[tokio::test]
async fn every_status_has_its_kind_and_no_words_of_the_upstream_come_through() {
    let cases = [
        (400, "invalid_value", Kind::Rejected(Rejection::Other)),
        (400, "context_length_exceeded", Kind::Rejected(Rejection::ContextLength)),
        (401, "invalid_api_key", Kind::Unauthorised),
        (403, "forbidden", Kind::Unauthorised),
        (404, "model_not_found", Kind::Rejected(Rejection::NotFound)),
        (413, "too_large", Kind::Rejected(Rejection::Other)),
        (422, "bad", Kind::Rejected(Rejection::Other)),
        (429, "rate_limit_exceeded", Kind::Overloaded { retry_after: Some(Duration::from_secs(7)) }),
        (500, "server_error", Kind::Unavailable),
        (502, "bad_gateway", Kind::Unavailable),
        (503, "overloaded", Kind::Overloaded { retry_after: Some(Duration::from_secs(7)) }),
        (204, "x", Kind::Malformed),
        (201, "x", Kind::Malformed),
    ];
    for (status, code, kind) in cases {
        let reply = Reply::error(StatusCode::from_u16(status).unwrap(), code, "your prompt was CANARY")
            .with_header(RETRY_AFTER, "7".parse().unwrap());
        let (_upstream, model) = serve(Scripted::raw(reply)).await;
        for error in [model.complete(&hello()).await.unwrap_err(), model.stream(&hello()).await.unwrap_err()]
        {
            assert_eq!((error.kind(), error.status()), (kind, Some(status)));
            let mut all = format!("{error} {error:?}");
            let mut source = error.source();
            while let Some(inner) = source {
                all.push_str(&format!("{inner} {inner:?}"));
                source = inner.source();
            }
            assert!(!all.contains("CANARY"), "{all}");
        }
    }
    let endless = Reply {
        steps: vec![send("{\"error\": {\"message\": \""), Step::Hang],
        ..Reply::error(StatusCode::TOO_MANY_REQUESTS, "x", "x")
    };
    assert_eq!(whole(endless).await.unwrap_err().kind(), Kind::Overloaded { retry_after: None });
}

#[tokio::test]
async fn an_error_in_the_middle_of_a_stream_is_that_error() {
    for (bad, kind) in [
        (
            "data: {\"error\":{\"message\":\"CANARY\",\"code\":\"rate_limit_exceeded\"}}\n\n",
            Kind::Overloaded { retry_after: None },
        ),
        ("data: {\"error\":\"CANARY\"}\n\n", Kind::Unavailable),
        (
            "event: error\ndata: {\"error\":{\"message\":\"CANARY\",\"code\":\"context_length_exceeded\"}}\n\n",
            Kind::Rejected(Rejection::ContextLength),
        ),
        ("event: error\ndata: CANARY\n\n", Kind::Unavailable),
    ] {
        let (error, text) = streamed(vec![frame("a"), send(bad), frame("b"), done()]).await.unwrap_err();
        assert_eq!((error.kind(), text.as_str()), (kind, "a"), "{bad}");
        assert!(!format!("{error} {error:?}").contains("CANARY"));
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_key_goes_nowhere_else() {
    let elsewhere = Upstream::start(Echo).await.unwrap();
    let there = format!("{}/chat/completions", elsewhere.url());
    for status in [301, 302, 303, 307, 308] {
        let reply = Reply::new(StatusCode::from_u16(status).unwrap(), "text/html", "moved")
            .with_header(LOCATION, there.parse().unwrap());
        assert_eq!(whole(reply).await.unwrap_err().kind(), Kind::Malformed);
    }
    assert_eq!((elsewhere.connections(), elsewhere.served()), (0, 0));
}

#[tokio::test]
async fn a_page_or_an_empty_yes_is_no_answer() {
    let page = Reply::new(StatusCode::OK, "text/html", "<h1>Sign in</h1>");
    for reply in [
        page,
        Reply::json(StatusCode::OK, &json!({})),
        Reply::json(StatusCode::OK, &json!({"choices": []})),
        Reply::json(StatusCode::OK, &json!(true)),
        Reply::new(StatusCode::OK, "application/json", ""),
    ] {
        let (_upstream, model) = serve(Scripted::raw(reply)).await;
        assert_eq!(model.complete(&hello()).await.unwrap_err().kind(), Kind::Malformed);
        let streamed = model.stream(&hello()).await;
        assert_eq!(streamed.unwrap_err().kind(), Kind::Malformed);
        assert_eq!(model.ping().await.map_err(|error| error.kind()), Ok(()));
    }
}

#[tokio::test]
async fn what_follows_the_end_is_not_part_of_the_answer() {
    let answer = streamed(vec![frame("a"), done(), frame("CANARY"), done()]).await.unwrap();
    assert_eq!(text(&answer), "a");
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_unavailable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    drop(listener);
    let model = client(&url, |_| {});
    let error = model.stream(&hello()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.source().unwrap().to_string().contains("no connection"), "the operator sees why");
    let model = client("http://nowhere.invalid/v1", |_| {});
    assert_eq!(model.complete(&hello()).await.unwrap_err().kind(), Kind::Unavailable);
}
