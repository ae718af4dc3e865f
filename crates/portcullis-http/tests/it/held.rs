//! Requests that are held back: heads and bodies that come slowly or not whole, and connections that only wait.

use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use portcullis_core::Role;
use portcullis_http::{Access, ROUTES};
use portcullis_store::Status;
use serde_json::json;

use crate::app::{Setup, TestApp, World, member_scope};
use crate::raw::{GO_ON, PATIENCE, Raw, bearer, head};
use crate::routes::path;

/// A request that the server reads and whose last byte is still to come.
struct HeldBack {
    client: Raw,
    last: Vec<u8>,
}

async fn hold_back(
    app: &TestApp,
    method: &str,
    path: &str,
    headers: &[(&str, String)],
    body: &str,
) -> HeldBack {
    let mut client = Raw::connect(app.address).await;
    assert!(client.send(head(method, path, headers, body.len()).as_bytes()).await);
    // The server asks for the body only once the request was admitted.
    assert_eq!(client.read_to(GO_ON).await, GO_ON, "{method} {path}");
    let (begun, last) = body.as_bytes().split_at(body.len() - 1);
    assert!(client.send(begun).await);
    HeldBack { client, last: last.to_vec() }
}

impl HeldBack {
    /// Sends the last byte and reads the head of the answer and, if it has one, its body.
    async fn finish(mut self) -> String {
        assert!(self.client.send(&self.last).await);
        let answered = self.client.read_to("\r\n\r\n").await;
        // Whatever is told beyond the head stands in one piece that ends like JSON.
        if answered.contains("content-length: 0\r\n") || answered.starts_with("HTTP/1.1 204") {
            return answered;
        }
        answered + &self.client.read_to("}").await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_loses_access_while_a_body_is_held_back_is_not_served() {
    let app = TestApp::start(Setup::default()).await;
    let world = app.world("one").await;
    let boss = app.person(&world, "boss", Role::Owner).await;
    let mut tried = 0;
    for route in ROUTES {
        let (Access::Needs(_), Some(example)) = (route.access, route.example) else { continue };
        let asker = app.person(&world, route.name, Role::Owner).await;
        let there = path(&app, route, &world, &boss, &asker).await;
        let held = hold_back(&app, route.method.as_str(), &there, &asker.headers(), example).await;
        app.stores
            .members
            .set_status(&world.operator, asker.member, Status::Suspended)
            .await
            .expect("suspended");
        let answer = held.finish().await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{route:?}: {answer}");
        tried += 1;
    }
    assert!(tried > 10, "only {tried} routes take a body");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lapses_while_a_body_is_held_back_does_not_count_and_what_stays_does() {
    let app = TestApp::start(Setup { per_actor: 4, ..Setup::default() }).await;
    let world = app.world("one").await;
    let search = json!({ "query": "kettle" }).to_string();

    // Nothing changes: served, with all that the member may see, and counted once.
    let payer = app.member(&world, "Ada", Some("plus")).await;
    let (key, id) = app.key_of(&world, payer).await;
    let held = hold_back(&app, "POST", "/v1/search", &bearer(&key), &search).await;
    let mut client = held.client;
    assert!(client.send(&held.last).await);
    let answer_head = client.read_to("\r\n\r\n").await;
    assert!(answer_head.starts_with("HTTP/1.1 200 ") && answer_head.contains("r=3;"), "{answer_head}");
    let told = client.read_to("]}").await;
    assert!(told.contains("canaryoneopen") && told.contains("canaryonepaid"), "{told}");

    // The plan ends: what is left is what the rest of the membership opens.
    let held = hold_back(&app, "POST", "/v1/search", &bearer(&key), &search).await;
    app.stores.members.end_entitlement(&world.operator, payer, "plus").await.expect("ended");
    let mut client = held.client;
    assert!(client.send(&held.last).await);
    let told = client.read_to("\r\n\r\n").await + &client.read_to("]}").await;
    assert!(told.contains("canaryoneopen") && !told.contains("canaryonepaid"), "{told}");

    // The key is revoked.
    let held = hold_back(&app, "POST", "/v1/search", &bearer(&key), &search).await;
    app.stores.keys.revoke(&world.operator, id).await.expect("revoked");
    assert!(held.finish().await.starts_with("HTTP/1.1 401 "));

    // The role is taken away.
    let admin = app.person(&world, "admin", Role::Admin).await;
    let member = json!({ "name": "Mia" }).to_string();
    let held = hold_back(&app, "POST", "/admin/members", &admin.headers(), &member).await;
    app.stores.members.set_role(&world.operator, admin.member, Role::Member).await.expect("demoted");
    assert!(held.finish().await.starts_with("HTTP/1.1 403 "));
    let members = app.stores.members.list(&world.operator).await.expect("listed");
    assert!(members.iter().all(|member| member.name != "Mia"), "a member without the role added one");

    // The session is ended.
    let person = app.person(&world, "person", Role::Member).await;
    let note = json!({ "text": "note" }).to_string();
    let held = hold_back(&app, "POST", "/v1/memories", &person.headers(), &note).await;
    app.stores.sessions.end(&member_scope(&world, person.member), person.session).await.expect("ended");
    assert!(held.finish().await.starts_with("HTTP/1.1 401 "));
    app.stop().await;
}

async fn searcher(app: &TestApp, world: &World) -> String {
    app.key_of(world, app.member(world, "Ada", None).await).await.0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_drips_is_ended_and_one_that_flows_is_not() {
    let app = TestApp::start(Setup { body_timeout: Duration::from_millis(300), ..Setup::default() }).await;
    let world = app.world("one").await;
    let key = searcher(&app, &world).await;
    let body = format!("{:<900}", json!({ "query": "kettle" }).to_string());

    let mut client = Raw::connect(app.address).await;
    assert!(client.send(head("POST", "/v1/search", &bearer(&key), body.len()).as_bytes()).await);
    assert_eq!(client.read_to(GO_ON).await, GO_ON);
    let sent = client.drip(body.as_bytes(), Duration::from_millis(20)).await;
    assert!(sent < body.len(), "all {sent} bytes were waited for");
    let answer = client.read_all().await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("connection: close"), "{answer}");
    assert!(answer.contains("\"code\":\"timed_out\""), "{answer}");

    // Later than the time for a start, and fast enough for as long as it takes.
    let mut client = Raw::connect(app.address).await;
    assert!(client.send(head("POST", "/v1/search", &bearer(&key), 16_000).as_bytes()).await);
    assert_eq!(client.read_to(GO_ON).await, GO_ON);
    let body = format!("{:<16000}", json!({ "query": "kettle" }).to_string());
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    for piece in body.as_bytes().chunks(2_000) {
        ticks.tick().await;
        assert!(client.send(piece).await);
    }
    let answer = client.read_to("\r\n\r\n").await + &client.read_to("}").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_drips_and_a_connection_that_only_waits_are_ended() {
    let setup = Setup { header_timeout: Duration::from_millis(400), ..Setup::default() };
    let app = TestApp::start(setup).await;
    let slow = format!("GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nx: {}\r\n\r\n", "x".repeat(2_000));
    let mut client = Raw::connect(app.address).await;
    let sent = client.drip(slow.as_bytes(), Duration::from_millis(20)).await;
    assert!(sent < slow.len(), "all {sent} bytes were waited for");
    // Before a first request, and between two.
    assert!(Raw::connect(app.address).await.is_closed().await);
    let mut client = Raw::connect(app.address).await;
    for _ in 0..2 {
        assert!(client.send(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").await);
        assert!(client.read_to("}").await.starts_with("HTTP/1.1 200 "));
    }
    let waited = Instant::now();
    assert!(client.is_closed().await);
    assert!(waited.elapsed() < PATIENCE);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_cannot_take_all_connections() {
    let setup = Setup { connections: (8, 3), ..Setup::default() };
    let app = TestApp::start(setup).await;
    let greet = async |client: &mut Raw| {
        client.send(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").await
            && client.read_to("}").await.starts_with("HTTP/1.1 200 ")
    };
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut client = Raw::connect(app.address).await;
        assert!(greet(&mut client).await);
        held.push(client);
    }
    for _ in 0..20 {
        let mut over = Raw::connect(app.address).await;
        assert!(!greet(&mut over).await, "a fourth connection from one address was served");
    }
    let mut neighbour = Raw::from(app.address, "127.0.0.2").await;
    assert!(greet(&mut neighbour).await, "another address is not touched");
    drop(held.pop());
    let again = async { while !greet(&mut Raw::connect(app.address).await).await {} };
    tokio::time::timeout(PATIENCE, again).await.expect("a connection that ended leaves its place");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_all_connections_whoever_comes_waits_and_costs_nothing() {
    let app = TestApp::start(Setup { connections: (3, 100), ..Setup::default() }).await;
    let greeting = b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
    let mut held = Vec::new();
    for last in 1..=3 {
        let mut client = Raw::from(app.address, &format!("127.0.6.{last}")).await;
        assert!(client.send(greeting).await);
        assert!(client.read_to("}").await.starts_with("HTTP/1.1 200 "), "{last}");
        held.push(client);
    }
    // No address has more than one, and the bound holds for all of them together.
    let mut over = Raw::from(app.address, "127.0.6.4").await;
    assert!(over.send(greeting).await);
    let mut answered = std::pin::pin!(over.read_to("}"));
    let early = tokio::time::timeout(Duration::from_millis(500), &mut answered).await;
    assert!(early.is_err(), "a fourth connection was served: {early:?}");
    for client in &mut held {
        assert!(client.send(greeting).await);
        assert!(client.read_to("}").await.starts_with("HTTP/1.1 200 "), "who is there is served on");
    }
    drop(held.pop());
    assert!(answered.await.starts_with("HTTP/1.1 200 "), "a connection that ended leaves its place");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_over_its_bound_is_refused_and_its_connection_closed() {
    // What every test allows, and more than any part of a head is.
    const BOUND: usize = 16 << 10;
    let app = TestApp::start(Setup::default()).await;
    let head = |path: &str, headers: &str| format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}\r\n");
    let long = |length: usize| "x".repeat(length);
    let below = head("/healthz", &format!("x: {}\r\n", long(BOUND - 1_000)));
    let mut client = Raw::connect(app.address).await;
    assert!(client.send(below.as_bytes()).await);
    assert!(client.read_to("}").await.starts_with("HTTP/1.1 200 "));
    for (what, over) in [
        ("one long header", head("/healthz", &format!("x: {}\r\n", long(BOUND)))),
        ("many headers", head("/healthz", &"x: y\r\n".repeat(BOUND / 6 + 1))),
        (
            "a long cookie and a body",
            head("/v1/search", &format!("cookie: {}\r\ncontent-length: 9\r\n", long(BOUND))),
        ),
        ("a long path", head(&format!("/{}", long(BOUND)), "")),
    ] {
        let mut client = Raw::connect(app.address).await;
        // No more than the bound is needed to refuse, so that nothing unread resets the connection before its answer.
        client.send(&over.as_bytes()[..BOUND.min(over.len())]).await;
        let answer = client.read_all().await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{what}: {answer:?}");
        assert!(client.is_closed().await, "{what}");
    }
    // One that never ends is not taken in until it does.
    let mut client = Raw::connect(app.address).await;
    assert!(client.send(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nx: ").await);
    let piece = long(64 << 10);
    let mut sent = 0;
    while sent < 64 << 20 && client.send(piece.as_bytes()).await {
        sent += piece.len();
    }
    assert!(sent < 64 << 20, "{sent} bytes of a header were taken in");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_of_somebody_unknown_is_still_not_read() {
    let app = TestApp::start(Setup::default()).await;
    let mut client = Raw::connect(app.address).await;
    assert!(client.send(head("POST", "/v1/search", &bearer("pcl_wrong"), 100).as_bytes()).await);
    let answer = client.read_to("\r\n\r\n").await;
    assert!(answer.starts_with(&format!("HTTP/1.1 {} ", StatusCode::UNAUTHORIZED.as_u16())), "{answer}");
    assert_eq!(
        app.send(app.request(Method::GET, "/healthz", None).body("".into()).expect("a request")).await.status,
        StatusCode::OK
    );
    app.stop().await;
}

/// What a stranger's body may have: the largest form of the sign-in pages.
const FORM: usize = 8 << 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_sends_a_form_and_no_more_and_nothing_with_what_only_reads() {
    let app = TestApp::start(Setup { body_bytes: 1 << 20, ..Setup::default() }).await;
    app.world("one").await;
    let mut tried = 0;
    for route in ROUTES.iter().filter(|route| route.access == Access::Open) {
        let there = route.path.replace("{community}", "one");
        let most = if route.method.is_safe() { 0 } else { FORM };
        let line = format!("{} {there} HTTP/1.1\r\nhost: 127.0.0.1\r\n", route.method);
        let piece =
            format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{}\r\n", most + 1, "x".repeat(most + 1));
        for rest in [format!("content-length: {}\r\n\r\n", most + 1), piece] {
            let mut client = Raw::connect(app.address).await;
            assert!(client.send(format!("{line}{rest}").as_bytes()).await);
            let answer = client.read_to("\r\n\r\n").await;
            assert!(answer.starts_with("HTTP/1.1 413 "), "{route:?}: {answer}");
            assert!(client.is_closed().await, "what is left of the body is not read");
        }
        tried += 1;
    }
    assert!(tried > 10, "only {tried} routes are open");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_who_holds_a_form_back_earns_no_time_with_it() {
    let setup = Setup {
        body_timeout: Duration::from_millis(300),
        // What has come would be worth a quarter of an hour.
        body_bytes_per_second: 10,
        ..Setup::default()
    };
    let app = TestApp::start(setup).await;
    app.world("one").await;
    for path in ["/login", "/c/one/login", "/login/link"] {
        let form = format!("email={}", "x".repeat(FORM - 6));
        let held = hold_back(&app, "POST", path, &[], &form).await;
        let mut client = held.client;
        let answer = client.read_all().await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{path}: {answer}");
    }
    app.stop().await;
}
