//! What is sent, and what is made of an answer.

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use portcullis_egress::Kind;

use crate::raw::{Listener, Then, client, get, ok};

const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn the_address_is_sent_exactly_as_given() {
    let mut server = Listener::start(Then::Answer(ok("x"))).await;
    let client = client(|_| {});
    for path in [
        "/",
        "//",
        "//double//slash",
        "/a/../b/./c",
        "/%2e%2e/%2E%2e%2f",
        "/a%00b",
        "/p;v=1?x=%20+y&&z=#",
        "/?q=/../",
        "/UPPER/%c3%28",
        "/..%5c..%5c",
    ] {
        client.send(get(&server.url(path))).await.unwrap().into_body().collect(10, SOON).await.unwrap();
        let (request, _) = server.heard.recv().await.unwrap();
        let line = request.lines().next().unwrap();
        assert_eq!(line, format!("GET {} HTTP/1.1", path.trim_end_matches('#')));
    }
}

#[tokio::test]
async fn nothing_is_added_but_host_length_and_at_most_one_user_agent() {
    let mut server = Listener::start(Then::Answer(
        b"HTTP/1.1 200 OK\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n".to_vec(),
    ))
    .await;
    let plain = client(|_| {});
    let named = client(|options| options.user_agent = Some("portcullis/1".parse().unwrap()));
    let heads = |request: String| {
        let mut names: Vec<_> = request
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": ").map(|(n, v)| format!("{n}={v}")))
            .collect();
        names.sort();
        names.join(" ")
    };
    let host = format!("host={}", server.address);

    for _ in 0..2 {
        plain.send(get(&server.url("/"))).await.unwrap();
        assert_eq!(heads(server.heard.recv().await.unwrap().0), host, "no cookie comes back either");
    }
    let post = Request::post(server.url("/")).body(Bytes::from_static(b"hello")).unwrap();
    plain.send(post).await.unwrap();
    let (request, _) = server.heard.recv().await.unwrap();
    assert!(request.ends_with("\r\n\r\nhello"));
    assert_eq!(heads(request), format!("content-length=5 {host}"));

    named.send(get(&server.url("/"))).await.unwrap();
    assert_eq!(heads(server.heard.recv().await.unwrap().0), format!("{host} user-agent=portcullis/1"));

    let two = Request::get(server.url("/")).header("user-agent", "mine").header("user-agent", "other");
    named.send(two.body(Bytes::new()).unwrap()).await.unwrap();
    assert_eq!(heads(server.heard.recv().await.unwrap().0), format!("{host} user-agent=mine"));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let elsewhere = Listener::start(Then::Answer(ok("secret"))).await;
    let answer =
        format!("HTTP/1.1 302 Found\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", elsewhere.url("/"));
    let server = Listener::start(Then::Answer(answer.into_bytes())).await;
    let response = client(|_| {}).send(get(&server.url("/"))).await.unwrap();
    assert_eq!(response.status(), StatusCode::FOUND);
    assert_eq!(response.body().peer(), Some(server.address));
    assert_eq!((server.connections(), elsewhere.connections()), (1, 0));
}

#[tokio::test]
async fn connections_are_pooled_unless_told_otherwise() {
    for (idle, wanted) in [(8, 1), (0, 3)] {
        let server = Listener::start(Then::Answer(ok("x"))).await;
        let client = client(|options| options.pool_idle_per_host = idle);
        for _ in 0..3 {
            let body = client.send(get(&server.url("/"))).await.unwrap().into_body();
            assert_eq!(body.collect(1, SOON).await.unwrap(), "x");
            // The connection goes back to the pool in a task of its own.
            tokio::task::yield_now().await;
        }
        assert_eq!(server.connections(), wanted);
    }
}

#[tokio::test]
async fn a_body_is_bounded_whether_its_length_is_announced_or_not() {
    let chunked =
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n4\r\nefgh\r\n0\r\n\r\n".to_vec();
    for answer in [ok("abcdefgh"), chunked] {
        let server = Listener::start(Then::Answer(answer)).await;
        let client = client(|_| {});
        let body = async || client.send(get(&server.url("/"))).await.unwrap().into_body();
        assert_eq!(body().await.collect(8, SOON).await.unwrap(), "abcdefgh");
        assert_eq!(body().await.collect(7, SOON).await.unwrap_err().kind(), Kind::TooLarge);
        let prefix = body().await.collect_prefix(6, SOON).await;
        assert_eq!(prefix.bytes, "abcdef");
        assert_eq!(prefix.stopped.unwrap().kind(), Kind::TooLarge);
        assert!(body().await.collect_prefix(8, SOON).await.stopped.is_none());
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_is_no_http_is_told_apart() {
    let cases: [(&[u8], Kind); 4] = [
        (b"", Kind::Closed),
        (b"HTTP/1.1 200 OK\r\ncontent-le", Kind::Closed),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Kind::Malformed),
        (b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n", Kind::Malformed),
    ];
    for (answer, kind) in cases {
        let server = Listener::start(Then::AnswerAndClose(answer.to_vec())).await;
        let error = client(|_| {}).send(get(&server.url("/"))).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}: {:?}", error.source());
        assert_eq!(server.connections(), 1, "a request that the server has seen is never repeated");
    }
    let bodies: [(&[u8], Kind); 3] = [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", Kind::Closed),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", Kind::Closed),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n", Kind::Malformed),
    ];
    for (answer, kind) in bodies {
        let server = Listener::start(Then::AnswerAndClose(answer.to_vec())).await;
        let body = client(|_| {}).send(get(&server.url("/"))).await.unwrap().into_body();
        let prefix = body.collect_prefix(100, SOON).await;
        assert_eq!(prefix.bytes, "abc");
        assert_eq!(prefix.stopped.unwrap().kind(), kind);
    }
}

#[tokio::test]
async fn a_head_that_never_ends_is_too_large() {
    let mut answer = b"HTTP/1.1 200 OK\r\n".to_vec();
    answer.extend(std::iter::repeat_n(b'a', 400_000));
    let server = Listener::start(Then::AnswerAndHang(answer)).await;
    let error = client(|_| {}).send(get(&server.url("/"))).await.unwrap_err();
    assert_eq!(error.kind(), Kind::TooLarge, "{error}");
}

#[tokio::test]
async fn dropping_an_answer_or_the_wait_for_one_closes_the_connection() {
    let mut server =
        Listener::start(Then::AnswerAndHang(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc".to_vec()))
            .await;
    let client = client(|_| {});
    let mut body = client.send(get(&server.url("/"))).await.unwrap().into_body();
    assert_eq!(body.chunk().await.unwrap().unwrap(), "abc");
    drop(body);
    tokio::time::timeout(SOON, server.closed.recv()).await.expect("the server sees the connection close");

    let mut mute = Listener::start(Then::AnswerAndHang(Vec::new())).await;
    {
        let exchange = client.send(get(&mute.url("/")));
        tokio::pin!(exchange);
        tokio::select! {
            _ = &mut exchange => panic!("a mute server gave an answer"),
            heard = mute.heard.recv() => assert!(heard.is_some()),
        }
    }
    tokio::time::timeout(SOON, mute.closed.recv()).await.expect("the server sees the connection close");
}

#[tokio::test]
async fn an_error_shows_neither_path_nor_query_nor_header_nor_body() {
    let server = Listener::start(Then::AnswerAndClose(b"PRIVATE-CANARY garbage\r\n\r\n".to_vec())).await;
    let closed_port = "http://127.0.0.1:1/PRIVATE-CANARY?k=PRIVATE-CANARY".to_owned();
    for url in
        [server.url("/PRIVATE-CANARY?k=PRIVATE-CANARY"), closed_port, "http://PRIVATE-CANARY@h/".to_owned()]
    {
        let request = Request::post(url)
            .header("authorization", "PRIVATE-CANARY")
            .body(Bytes::from_static(b"PRIVATE-CANARY"))
            .unwrap();
        let error = client(|_| {}).send(request).await.unwrap_err();
        let mut text = format!("{error} {error:?}");
        let mut source = error.source();
        while let Some(inner) = source {
            text.push_str(&format!(" {inner} {inner:?}"));
            source = inner.source();
        }
        assert!(!text.contains("PRIVATE-CANARY"), "{text}");
    }
}
