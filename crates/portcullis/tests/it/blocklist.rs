//! The blocklist of the running program: read again on SIGHUP, kept over restarts, from the real address of the connection.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use portcullis_egress::{AddressPolicy, Client, Options};
use serde_json::{Value, json};

use crate::clients::skip;
use crate::program::{Program, Serving, signal, text};

/// From an address of this machine.
fn from(source: &str) -> Client {
    let mut options = Options::new(AddressPolicy::Any);
    options.source = Some(source.parse().expect("an address"));
    Client::new(options).expect("a client")
}

async fn status(serving: &Serving, source: &str, forwarded: Option<&str>) -> StatusCode {
    let mut request = Request::get(format!("{}/login", serving.url));
    if let Some(forwarded) = forwarded {
        request = request.header("x-forwarded-for", forwarded);
    }
    from(source).send(request.body(Bytes::new()).expect("a request")).await.expect("an answer").status()
}

async fn operator(program: &Program, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
    let token = std::fs::read_to_string(program.path().join("secrets/operator_token")).expect("a token");
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{}{path}", program.operator()))
        .header("authorization", format!("Bearer {}", token.trim()));
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer =
        from("127.0.0.1").send(request.body(Bytes::from(body)).expect("a request")).await.expect("an answer");
    let status = answer.status();
    let body = answer.into_body().collect(1 << 20, std::time::Duration::from_secs(10)).await.expect("a body");
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// The configuration with this in place of its empty list.
fn configure(program: &Program, networks: &str) {
    let path = program.path().join("portcullis.toml");
    let before = std::fs::read_to_string(&path).expect("a configuration");
    let kept = before.lines().filter(|line| !line.starts_with("networks = "));
    let written: Vec<String> = kept
        .flat_map(|line| {
            let more = (line == "[blocklist]").then(|| format!("networks = {networks}"));
            std::iter::once(line.to_owned()).chain(more)
        })
        .collect();
    std::fs::write(path, written.join("\n")).expect("written");
}

/// Waits until that address is answered so.
async fn until(serving: &Serving, source: &str, wanted: StatusCode) {
    let waiting = async { while status(serving, source, None).await != wanted {} };
    let done = tokio::time::timeout(std::time::Duration::from_secs(20), waiting).await;
    done.unwrap_or_else(|_| panic!("{source} is never answered {wanted}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configured_list_is_read_again_on_sighup_and_one_with_a_fault_changes_nothing() {
    let program = Program::new();
    program.ok(&["community", "create", "bakers"]);
    configure(&program, "[\"127.0.9.1\"]");
    let serving = program.serve(&[]).await;
    assert_eq!(status(&serving, "127.0.9.1", None).await, StatusCode::FORBIDDEN);
    assert_eq!(
        status(&serving, "127.0.9.1", Some("127.0.9.2")).await,
        StatusCode::FORBIDDEN,
        "a claim lifts nothing"
    );
    assert_eq!(
        status(&serving, "127.0.9.2", Some("127.0.9.1")).await,
        StatusCode::OK,
        "and brings nothing on"
    );

    configure(&program, "[\"127.0.9.2\", \"nonsense\"]");
    signal(serving.id(), "HUP");
    let told = async { while !program.log().contains("stays as it was") {} };
    tokio::time::timeout(std::time::Duration::from_secs(20), told).await.expect("the fault is told");
    assert!(program.log().contains("CFG-014"), "{}", program.log());
    assert_eq!(status(&serving, "127.0.9.1", None).await, StatusCode::FORBIDDEN);
    assert_eq!(status(&serving, "127.0.9.2", None).await, StatusCode::OK);

    configure(&program, "[\"127.0.9.2/31\"]");
    signal(serving.id(), "HUP");
    until(&serving, "127.0.9.3", StatusCode::FORBIDDEN).await;
    assert_eq!(status(&serving, "127.0.9.2", None).await, StatusCode::FORBIDDEN);
    assert_eq!(status(&serving, "127.0.9.1", None).await, StatusCode::OK);
    assert_eq!(serving.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_lists_outlives_a_kill_and_abuse_a_stop() {
    let program = Program::new();
    program.ok(&["community", "create", "bakers"]);
    let serving = program.serve(&["--set", "blocklist.refused_credentials=5"]).await;
    let entry = json!({ "network": "127.0.9.0/29", "reason": "a flood" });
    let (made, body) = operator(&program, Method::POST, "/blocklist", entry).await;
    assert_eq!(made, StatusCode::CREATED, "{body}");
    assert_eq!(status(&serving, "127.0.9.7", None).await, StatusCode::FORBIDDEN);
    serving.kill();

    let serving = program.serve(&["--set", "blocklist.refused_credentials=5"]).await;
    assert_eq!(status(&serving, "127.0.9.7", None).await, StatusCode::FORBIDDEN);
    let (_, list) = operator(&program, Method::GET, "/blocklist", Value::Null).await;
    assert_eq!(list["entries"][0]["reason"], "a flood");
    let id = list["entries"][0]["id"].as_str().expect("an id");
    let (removed, _) = operator(&program, Method::DELETE, &format!("/blocklist/{id}"), Value::Null).await;
    assert_eq!(removed, StatusCode::NO_CONTENT);
    assert_eq!(status(&serving, "127.0.9.7", None).await, StatusCode::OK);
    for _ in 0..5 {
        let request = Request::get(format!("{}/v1/me", serving.url)).header("authorization", "Bearer wrong");
        let answer =
            from("127.0.9.9").send(request.body(Bytes::new()).expect("a request")).await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(status(&serving, "127.0.9.9", None).await, StatusCode::FORBIDDEN);
    assert_eq!(serving.stop(), Some(0));

    let serving = program.serve(&[]).await;
    assert_eq!(status(&serving, "127.0.9.9", None).await, StatusCode::FORBIDDEN, "a restart lifts nothing");
    assert_eq!(status(&serving, "127.0.9.7", None).await, StatusCode::OK);
    assert_eq!(serving.stop(), Some(0));
    assert!(!program.log().contains("127.0.9."), "no address is logged: {}", program.log());

    let path = program.path().join("data/blocklist.sealed");
    let mut sealed = std::fs::read(&path).expect("it is kept");
    *sealed.last_mut().expect("not empty") ^= 1;
    std::fs::write(&path, sealed).expect("written");
    let listen = format!("listen.member=127.0.0.1:{}", crate::program::free_port());
    let refused = program.run(&["serve", "--set", &listen, "--set", "listen.operator=127.0.0.1:0"]);
    assert!(!refused.status.success(), "a list that was changed is not believed");
    assert!(text(&refused.stderr).contains("blocklist.sealed"), "{}", text(&refused.stderr));
}

/// A program that listens on `::1` alone; none where this machine's loopback has no IPv6.
async fn over_ipv6(program: &Program, more: &[&str]) -> Option<Serving> {
    let Ok(address) = TcpListener::bind("[::1]:0").and_then(|listener| listener.local_addr()) else {
        skip("ipv6", "the loopback of this machine has no `::1`");
        return None;
    };
    program.ok(&["community", "create", "bakers"]);
    let listen = format!("listen.member={address}");
    let options = Options::new(AddressPolicy::Any);
    let more = [&["--set", listen.as_str()], more].concat();
    Some(program.serve_at(address.port(), options, "http://[::1]", &more).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_over_ipv6_is_blocked_by_its_own_address_and_not_by_one_that_it_claims() {
    let program = Program::new();
    let Some(serving) = over_ipv6(&program, &[]).await else { return };
    let block = async |network: &str| {
        let entry = json!({ "network": network, "reason": "a flood" });
        let (made, body) = operator(&program, Method::POST, "/blocklist", entry).await;
        assert_eq!(made, StatusCode::CREATED, "{body}");
        body["id"].as_str().expect("an id").to_owned()
    };
    block("2001:db8:9::/48").await;
    assert_eq!(status(&serving, "::1", None).await, StatusCode::OK);
    assert_eq!(
        status(&serving, "::1", Some("2001:db8:9::1")).await,
        StatusCode::OK,
        "a claim brings nothing on"
    );
    let own = block("::1").await;
    assert_eq!(status(&serving, "::1", None).await, StatusCode::FORBIDDEN);
    for claimed in ["2001:db8:7::1", "127.0.0.1", "::ffff:127.0.0.1"] {
        assert_eq!(status(&serving, "::1", Some(claimed)).await, StatusCode::FORBIDDEN, "{claimed}");
    }
    let (removed, _) = operator(&program, Method::DELETE, &format!("/blocklist/{own}"), Value::Null).await;
    assert_eq!(removed, StatusCode::NO_CONTENT);
    assert_eq!(status(&serving, "::1", None).await, StatusCode::OK);
    assert_eq!(serving.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_over_ipv6_share_the_limit_of_their_address_whatever_they_claim() {
    const LIMIT: u32 = 40;
    let program = Program::new();
    let limit = format!("limits.per_address_per_minute={LIMIT}");
    let Some(serving) = over_ipv6(&program, &["--set", &limit]).await else { return };
    let mut refused = 0;
    for number in 0..2 * LIMIT {
        match status(&serving, "::1", Some(&format!("2001:db8:{number:x}::1"))).await {
            StatusCode::OK => assert_eq!(refused, 0, "nobody is let in again"),
            other => {
                assert_eq!(other, StatusCode::TOO_MANY_REQUESTS);
                refused += 1;
            }
        }
    }
    assert_eq!(refused, LIMIT, "as many were served");
    assert_eq!(serving.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_over_ipv6_are_no_more_than_one_address_may_have() {
    const MOST: usize = 8;
    let program = Program::new();
    let most = format!("limits.max_connections_per_address={MOST}");
    let Some(serving) = over_ipv6(&program, &["--set", &most]).await else { return };
    let address = serving.url.trim_start_matches("http://").to_owned();
    let held = tokio::task::spawn_blocking(move || {
        let mut held = Vec::new();
        // Each is answered before the next one comes. Whoever waited until the program was there may hold some of them.
        while held.len() <= MOST {
            let mut stream = TcpStream::connect(&address).expect("connected");
            stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).expect("set");
            let asked = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
            let answered = asked.and_then(|()| stream.read(&mut [0; 1]));
            if !matches!(answered, Ok(1)) {
                break;
            }
            held.push(stream);
        }
        held.len()
    });
    let held = held.await.expect("it ends");
    assert!((1..=MOST).contains(&held), "{held} connections of {MOST}");
    assert_eq!(serving.stop(), Some(0));
}
