//! The blocklist of the running program: read again on SIGHUP, kept over restarts, from the real address of the connection.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use portcullis_egress::{AddressPolicy, Client, Options};
use serde_json::{Value, json};

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
