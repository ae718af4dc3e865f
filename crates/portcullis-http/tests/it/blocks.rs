//! Who is refused by address: from which address a request really comes, what the operator lists while the gate runs, and
//! who is blocked for what they did.

use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use portcullis_audit::Event;
use portcullis_core::{Role, Token, TokenKind};
use portcullis_guard::{BlockSettings, Blocks, Prefix, Thresholds};
use portcullis_http::{Access, BlockFile, ROUTES};
use portcullis_model::upstream::{Scripted, Slow};
use portcullis_store::Status;
use serde_json::{Value, json};

use crate::app::{Answer, Setup, TestApp, member_scope, question_body};
use crate::operator::{TOKEN, plane};
use crate::raw::Raw;

const LISTED: &str = "127.0.7.1";
const GOOD: &str = "127.0.7.2";
const PROXY: &str = "127.0.7.3";
const OFFENDER: &str = "127.0.7.4";

fn prefix(text: &str) -> Prefix {
    text.parse().expect("a network")
}

fn listing() -> BlockSettings {
    BlockSettings {
        proxies: vec![prefix(PROXY)],
        blocked: vec![prefix(LISTED), prefix("203.0.113.0/24"), prefix("2001:db8:bad::/48")],
        ..BlockSettings::default()
    }
}

/// Three of each offence are too many, within a minute, for a second.
fn automatic() -> BlockSettings {
    let three = NonZeroU32::new(3).expect("not zero");
    BlockSettings {
        allowed: vec![prefix(GOOD)],
        proxies: vec![prefix(PROXY)],
        automatic: Some(Thresholds {
            credentials: three,
            refused: three,
            malformed: three,
            window: Duration::from_secs(60),
            lasts: Duration::from_secs(1),
        }),
        ..BlockSettings::default()
    }
}

async fn get(app: &TestApp, source: &str, path: &str, key: Option<&str>, headers: &[(&str, &str)]) -> Answer {
    let mut request = app.request(Method::GET, path, key);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    app.send_from(source, request.body(Bytes::new()).expect("a request")).await
}

fn is_block(answer: &Answer) -> bool {
    answer.status == StatusCode::FORBIDDEN && answer.text().contains("address_blocked")
}

/// The key of a member.
async fn member(app: &TestApp) -> String {
    let world = app.world("one").await;
    let member = app.member(&world, "Ada", None).await;
    app.key_of(&world, member).await.0
}

#[tokio::test(flavor = "multi_thread")]
async fn no_route_serves_a_listed_address_and_nothing_is_looked_up_for_it() {
    let app = TestApp::start(Setup { blocks: listing(), ..Setup::default() }).await;
    let key = member(&app).await;
    // Whatever is looked up now fails, and is told as an outage.
    app.close_stores().await;
    for route in ROUTES {
        let path = route.path.replace(['{', '}'], "");
        let request = app.request(route.method.clone(), &path, Some(&key));
        let request = request.body(Bytes::from(route.example.unwrap_or_default())).expect("a request");
        let answer = app.send_from(LISTED, request).await;
        match route.access {
            // An orchestrator would restart what does not answer.
            Access::Public => assert_eq!(answer.status, StatusCode::OK, "{route:?}"),
            _ => assert!(answer.status == StatusCode::FORBIDDEN, "{route:?}: {}", answer.status),
        }
    }
    for path in ["/nowhere", "/v1/models/../nowhere"] {
        assert!(is_block(&get(&app, LISTED, path, None, &[]).await), "{path}");
    }
    let answer = get(&app, LISTED, "/v1/me", Some(&key), &[]).await;
    assert!(is_block(&answer), "{}", answer.text());
    assert!(!answer.text().contains(LISTED), "{}", answer.text());
    assert_eq!(answer.headers["connection"], "close");
    assert!(!answer.headers.contains_key("retry-after"), "it does not end by itself");
    let openai = app.request(Method::POST, "/v1/chat/completions", Some(&key));
    let openai = openai.body(Bytes::from(question_body("hello", false).to_string())).expect("a request");
    assert_eq!(app.send_from(LISTED, openai).await.json()["error"]["code"], "address_blocked");
    assert_eq!(get(&app, GOOD, "/v1/me", Some(&key), &[]).await.status, StatusCode::SERVICE_UNAVAILABLE);
    let noticed = app.served.gate().events().counts().find(|(event, _)| event.name() == "address_blocked");
    assert!(noticed.expect("every event is counted").1 > 10);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_trusted_proxy_says_whose_request_it_is() {
    let setup = Setup { blocks: listing(), proxies: vec!["127.0.7.3/32"], ..Setup::default() };
    let app = TestApp::start(setup).await;
    let key = member(&app).await;
    let asked = async |source: &str, forwarded: &str| {
        let headers =
            [("x-forwarded-for", forwarded), ("forwarded", "for=203.0.113.9"), ("x-real-ip", LISTED)];
        let headers = if forwarded.is_empty() { &headers[1..] } else { &headers[..] };
        get(&app, source, "/v1/me", Some(&key), headers).await
    };
    for (source, forwarded) in [
        (LISTED, GOOD),
        (LISTED, PROXY),
        (LISTED, "127.0.0.1"),
        (PROXY, LISTED),
        (PROXY, "198.51.100.1, 203.0.113.9"),
        (PROXY, "198.51.100.1, ::ffff:203.0.113.9"),
        (PROXY, "2001:db8:bad:7::1"),
        (PROXY, "203.0.113.9, 127.0.7.3"),
    ] {
        assert!(is_block(&asked(source, forwarded).await), "{source} {forwarded}");
    }
    for (source, forwarded) in [
        (GOOD, LISTED),
        (GOOD, "203.0.113.9"),
        (PROXY, ""),
        (PROXY, "198.51.100.1"),
        (PROXY, "203.0.113.9, 198.51.100.1"),
        (PROXY, "unknown"),
    ] {
        assert_eq!(asked(source, forwarded).await.status, StatusCode::OK, "{source} {forwarded}");
    }
    app.stop().await;
}

/// The operator's requests.
struct Desk<'a> {
    app: &'a TestApp,
    plane: std::net::SocketAddr,
}

impl Desk<'_> {
    async fn send(&self, method: Method, path: &str, body: String) -> Answer {
        let request = http::Request::builder().method(method).uri(format!("http://{}{path}", self.plane));
        let request = request.header("authorization", format!("Bearer {TOKEN}"));
        self.app.send(request.body(Bytes::from(body)).expect("a request")).await
    }

    async fn add(&self, body: Value) -> Answer {
        self.send(Method::POST, "/blocklist", body.to_string()).await
    }

    async fn remove(&self, id: &Value) -> StatusCode {
        let id = id.as_str().expect("an id");
        self.send(Method::DELETE, &format!("/blocklist/{id}"), String::new()).await.status
    }

    async fn list(&self) -> Value {
        self.send(Method::GET, "/blocklist", String::new()).await.json()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_lists_counts_at_once_is_recorded_without_the_address_and_outlives_the_process() {
    let app = TestApp::start(Setup { blocks: listing(), ..Setup::default() }).await;
    let desk = Desk { app: &app, plane: plane(&app).await };
    let key = member(&app).await;
    let served = async || get(&app, OFFENDER, "/v1/me", Some(&key), &[]).await;
    assert_eq!(served().await.status, StatusCode::OK);
    let made = desk.add(json!({ "network": "127.0.7.4/32", "reason": "scans for keys" })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let made = made.json();
    assert_eq!((&made["network"], &made["until"]), (&json!("127.0.7.4"), &Value::Null));
    assert!(is_block(&served().await), "from the next request on");
    assert_eq!(get(&app, GOOD, "/v1/me", Some(&key), &[]).await.status, StatusCode::OK);
    let passing =
        desk.add(json!({ "network": "198.51.100.0/24", "reason": "a flood", "seconds": 3600 })).await;
    assert_eq!(passing.status, StatusCode::CREATED, "{}", passing.text());

    let list = desk.list().await;
    assert_eq!(list["configured"], json!([LISTED, "203.0.113.0/24", "2001:db8:bad::/48"]));
    let networks: Vec<&Value> =
        list["entries"].as_array().expect("a list").iter().map(|e| &e["network"]).collect();
    assert_eq!(networks, ["198.51.100.0/24", "127.0.7.4"]);
    assert_eq!(list["entries"][1]["reason"], "scans for keys");

    // Another process with the same file.
    let file = BlockFile::new(app.path(), &[7; 32]);
    let again = Blocks::new(&BlockSettings::default());
    again.restore(&*app.clock, file.read().expect("it reads").expect("it is there"));
    assert!(again.find(&*app.clock, OFFENDER.parse().expect("an address")).is_some());
    assert!(again.find(&*app.clock, "198.51.100.7".parse().expect("an address")).is_some());
    let sealed = std::fs::read(file.path()).expect("bytes");
    let holds = |text: &str| sealed.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(!holds("127.0.7.4") && !holds("scans"), "addresses are not kept in the clear");

    assert_eq!(desk.remove(&made["id"]).await, StatusCode::NO_CONTENT);
    assert_eq!(served().await.status, StatusCode::OK);
    assert_eq!(desk.remove(&made["id"]).await, StatusCode::NOT_FOUND);
    assert_eq!(
        file.read()
            .expect("it reads")
            .expect("it is there")
            .encode()
            .windows(9)
            .filter(|w| w == b"127.0.7.4")
            .count(),
        0
    );

    let changes: Vec<_> = app
        .records()
        .into_iter()
        .filter_map(|entry| match entry.event {
            Some(Event::Administered(change)) if change.action.as_str().starts_with("block") => {
                Some((entry.actor.to_string(), change))
            }
            _ => None,
        })
        .collect();
    let actions: Vec<&str> = changes.iter().map(|(_, change)| change.action.as_str()).collect();
    assert_eq!(actions, ["block.added", "block.added", "block.removed"]);
    assert!(changes.iter().all(|(actor, _)| actor == "operator"));
    assert_eq!(changes[0].1.targets[0].to_string(), format!("block:{}", made["id"].as_str().expect("an id")));
    let written = format!("{changes:?}");
    assert!(!written.contains("127.0.7.4") && !written.contains("scans"), "{written}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_ends_by_itself() {
    let app = TestApp::start(Setup::default()).await;
    let desk = Desk { app: &app, plane: plane(&app).await };
    let key = member(&app).await;
    let served = async || get(&app, OFFENDER, "/v1/me", Some(&key), &[]).await;
    let made = desk.add(json!({ "network": "127.0.7.4", "reason": "a while", "seconds": 1 })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    assert!(is_block(&served().await));
    let ended = async { while is_block(&served().await) {} };
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("it ends");
    assert_eq!(desk.list().await["entries"], json!([]));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_entry_is_refused_with_what_is_wrong_and_changes_nothing() {
    let app = TestApp::start(Setup { blocks: listing(), ..Setup::default() }).await;
    let desk = Desk { app: &app, plane: plane(&app).await };
    let before = desk.list().await;
    for (body, names) in [
        (json!({}), "network"),
        (json!({ "network": "127.0.7.4" }), "reason"),
        (json!({ "network": "localhost", "reason": "x" }), "CIDR"),
        (json!({ "network": "0.0.0.0/0", "reason": "x" }), "prefix of at least"),
        (json!({ "network": "::/0", "reason": "x" }), "prefix of at least"),
        (json!({ "network": "127.0.7.4/24", "reason": "x" }), "outside its prefix"),
        (json!({ "network": PROXY, "reason": "x" }), "trusted proxy"),
        (json!({ "network": "127.0.0.0/8", "reason": "x" }), "trusted proxy"),
        (json!({ "network": "127.0.7.4", "reason": "" }), "reason"),
        (json!({ "network": "127.0.7.4", "reason": "two\nlines" }), "reason"),
        (json!({ "network": "127.0.7.4", "reason": "x".repeat(201) }), "reason"),
        (json!({ "network": "127.0.7.4", "reason": "x", "seconds": 0 }), "seconds"),
        (json!({ "network": "127.0.7.4", "reason": "x", "until": "tomorrow" }), "seconds"),
    ] {
        let answer = desk.add(body.clone()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}: {}", answer.text());
        assert!(answer.text().contains(names), "{body}: {}", answer.text());
    }
    let large = desk.add(json!({ "network": "127.0.7.4", "reason": "x".repeat(100_000) })).await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(large.headers["connection"], "close", "what is left of the body is not read");
    assert_eq!(desk.list().await, before);
    app.journal.close().await.expect("the journal closes");
    let unrecorded = desk.add(json!({ "network": "127.0.7.4", "reason": "x" })).await;
    assert_eq!(unrecorded.status, StatusCode::SERVICE_UNAVAILABLE, "{}", unrecorded.text());
    assert_eq!(desk.list().await, before, "what cannot be recorded is not done");
    app.tasks.close(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_is_not_done() {
    let app = TestApp::start(Setup::default()).await;
    let desk = Desk { app: &app, plane: plane(&app).await };
    // Where the new file would be written there is a folder.
    std::fs::create_dir(app.path().join("blocklist.new")).expect("a folder");
    let answer = desk.add(json!({ "network": "127.0.7.4", "reason": "x" })).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.text());
    assert_eq!(desk.list().await["entries"], json!([]));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_block_their_address_at_the_threshold_for_a_while_and_nobody_else() {
    let app = TestApp::start(Setup { blocks: automatic(), ..Setup::default() }).await;
    let desk = Desk { app: &app, plane: plane(&app).await };
    let key = member(&app).await;
    for _ in 0..3 {
        let answer = get(&app, OFFENDER, "/v1/me", Some("pcl_wrong"), &[]).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", answer.text());
    }
    let blocked = get(&app, OFFENDER, "/v1/me", Some(&key), &[("x-forwarded-for", GOOD)]).await;
    assert!(is_block(&blocked), "with the right key too: {}", blocked.text());
    assert!(blocked.headers.contains_key("retry-after"));
    let list = desk.list().await;
    assert_eq!(
        (&list["automatic"][0]["network"], &list["automatic"][0]["offence"]),
        (&json!(OFFENDER), &json!("credentials"))
    );
    assert_eq!(get(&app, "127.0.7.5", "/v1/me", Some(&key), &[]).await.status, StatusCode::OK);
    let ended = async { while is_block(&get(&app, OFFENDER, "/v1/me", Some(&key), &[]).await) {} };
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("it ends by itself");
    for exempt in [GOOD, PROXY] {
        for _ in 0..20 {
            get(&app, exempt, "/v1/me", Some("pcl_wrong"), &[]).await;
        }
        assert_eq!(get(&app, exempt, "/v1/me", Some(&key), &[]).await.status, StatusCode::OK, "{exempt}");
    }
    app.stop().await;
}

/// Members of one address whose browsers come back with what has ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_whose_session_has_ended_is_no_offence_and_is_taken_away_and_a_made_up_one_is() {
    let app = TestApp::start(Setup { blocks: automatic(), ..Setup::default() }).await;
    let world = app.world("one").await;
    let ada = app.person(&world, "ada", Role::Member).await;
    app.stores.sessions.end(&member_scope(&world, ada.member), ada.session).await.expect("ended");
    let brought = |token: &str| format!("portcullis-session={token}");
    let cookie = brought(&ada.cookie);
    for _ in 0..5 {
        for path in ["/", "/v1/me"] {
            let answer = get(&app, OFFENDER, path, None, &[("cookie", &cookie)]).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}: {}", answer.text());
            let cleared = answer.headers.get("set-cookie").and_then(|cookie| cookie.to_str().ok());
            let wanted =
                (path == "/").then_some("portcullis-session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
            assert_eq!(cleared, wanted, "{path}");
        }
    }
    let refused = app.served.gate().events().counts().find(|(event, _)| event.name() == "credential_refused");
    assert_eq!(refused.expect("every event is counted").1, 0);
    let nobody = get(&app, OFFENDER, "/", None, &[]).await;
    assert!(nobody.status == StatusCode::UNAUTHORIZED && !nobody.headers.contains_key("set-cookie"));
    // What only looks like it, and what a suspension ended.
    let eve = app.person(&world, "eve", Role::Member).await;
    app.stores.members.set_status(&world.operator, eve.member, Status::Suspended).await.expect("suspended");
    let made_up = Token::issue(TokenKind::Session, &world.community.locator).0;
    for (source, token) in [("127.0.8.1", made_up.expose()), ("127.0.8.2", &eve.cookie)] {
        let cookie = brought(token);
        for _ in 0..3 {
            let answer = get(&app, source, "/v1/me", None, &[("cookie", &cookie)]).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", answer.text());
        }
        assert!(is_block(&get(&app, source, "/v1/me", None, &[]).await), "{source}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_takes_a_block_off_that_began_by_itself() {
    let mut blocks = automatic();
    if let Some(thresholds) = &mut blocks.automatic {
        thresholds.lasts = Duration::from_secs(3_600);
    }
    let app = TestApp::start(Setup { blocks, ..Setup::default() }).await;
    let desk = Desk { app: &app, plane: plane(&app).await };
    let key = member(&app).await;
    for _ in 0..3 {
        get(&app, OFFENDER, "/v1/me", Some("pcl_wrong"), &[]).await;
    }
    assert!(is_block(&get(&app, OFFENDER, "/v1/me", Some(&key), &[]).await));
    let id = desk.list().await["automatic"][0]["id"].clone();
    assert_eq!(desk.remove(&id).await, StatusCode::NO_CONTENT);
    assert_eq!(get(&app, OFFENDER, "/v1/me", Some(&key), &[]).await.status, StatusCode::OK);
    app.stop().await;
}

/// How many times something can be done before its address is blocked; `most` when it never is.
async fn until_blocked(app: &TestApp, source: &str, most: usize, offend: impl AsyncFn()) -> usize {
    for number in 0..most {
        if is_block(&get(app, source, "/assets/portcullis.css", None, &[]).await) {
            return number;
        }
        offend().await;
    }
    most
}

#[tokio::test(flavor = "multi_thread")]
async fn each_offence_counts_by_itself_and_what_is_none_does_not() {
    let app = TestApp::start(Setup { blocks: automatic(), ..Setup::default() }).await;
    let key = member(&app).await;
    let asking = async |source: &str, path: &str, key: Option<&str>, headers: &[(&str, &str)]| {
        until_blocked(&app, source, 8, async || drop(get(&app, source, path, key, headers).await)).await
    };
    assert_eq!(asking("127.0.8.1", "/nowhere", None, &[]).await, 3, "paths that are not there");
    assert_eq!(asking("127.0.8.2", "/v1/me", Some("no token"), &[]).await, 3);
    assert_eq!(
        asking("127.0.8.3", "/nowhere", None, &[("sec-fetch-site", "cross-site")]).await,
        8,
        "another site's page"
    );
    assert_eq!(asking("127.0.8.4", "/v1/me", None, &[]).await, 8, "nothing was presented");
    assert_eq!(asking("127.0.8.5", "/v1/documents/none", Some(&key), &[]).await, 8, "a member's own mistake");
    let link = async |source: &str, site: &str| {
        until_blocked(&app, source, 8, async || {
            let request = app.request(Method::POST, "/login/link", None).header("sec-fetch-site", site);
            let request = request.header("content-type", "application/x-www-form-urlencoded");
            drop(app.send_from(source, request.body(Bytes::from("token=wrong")).expect("a request")).await);
        })
        .await
    };
    assert_eq!(link("127.0.8.6", "same-origin").await, 3, "links that do not work");
    assert_eq!(link("127.0.8.7", "cross-site").await, 8);
    let garbage = until_blocked(&app, "127.0.8.8", 8, async || {
        let mut raw = Raw::from(app.address, "127.0.8.8").await;
        raw.send(b"\x16\x03\x01 this is no HTTP\r\n\r\n").await;
        raw.read_to("nothing of the kind").await;
        // Counted when the connection has ended on this side too.
        tokio::task::yield_now().await;
    })
    .await;
    assert!((3..=5).contains(&garbage), "{garbage}");
    let gone = until_blocked(&app, "127.0.8.9", 8, async || {
        drop(Raw::from(app.address, "127.0.8.9").await);
    })
    .await;
    assert_eq!(gone, 8, "a client that leaves");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hammers_on_after_a_limit_is_blocked_and_that_is_no_429() {
    let setup = Setup { blocks: automatic(), per_address: 5, ..Setup::default() };
    let app = TestApp::start(setup).await;
    let mut statuses = Vec::new();
    for _ in 0..10 {
        statuses.push(get(&app, OFFENDER, "/assets/portcullis.css", None, &[]).await.status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429, 429, 403, 403]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_streams_ends_when_its_address_is_blocked() {
    let (app, _upstream) = crate::chat::with(
        Slow::new(Scripted::text("one two three four five six seven eight")).hang_after(2),
        Setup::default(),
    )
    .await;
    let desk = Desk { app: &app, plane: plane(&app).await };
    let key = member(&app).await;
    let streaming = async {
        let request = app.request(Method::POST, "/v1/chat/completions", Some(&key));
        let request = request.body(Bytes::from(question_body("hello", true).to_string())).expect("a request");
        app.send_from(OFFENDER, request).await
    };
    let blocking = async {
        while app.served.gate().measures().streams().value() == 0 {
            tokio::task::yield_now().await;
        }
        desk.add(json!({ "network": OFFENDER, "reason": "now" })).await
    };
    let (answer, made) = tokio::join!(streaming, blocking);
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    assert!(answer.text().contains("access_ended") && !answer.text().contains("[DONE]"), "{}", answer.text());
    app.stop().await;
}

/// The path of every route that has a parameter, with one in its place that is no text.
fn unreadable() -> impl Iterator<Item = (Method, String)> {
    ROUTES.iter().filter(|route| route.parameters().next().is_some()).map(|route| {
        let parts = route.path.split('/').map(|part| if part.starts_with('{') { "%FF" } else { part });
        (route.method.clone(), parts.collect::<Vec<_>>().join("/"))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_that_is_no_text_comes_past_no_list_no_limit_and_no_count() {
    let app = TestApp::start(Setup { blocks: listing(), ..Setup::default() }).await;
    let key = member(&app).await;
    let ask = async |app: &TestApp, source: &str, method: &Method, path: &str| {
        let request = app.request(method.clone(), path, Some(&key));
        app.send_from(source, request.body(Bytes::new()).expect("a request")).await
    };
    let mut tried = 0;
    for (method, path) in unreadable() {
        let answer = ask(&app, LISTED, &method, &path).await;
        assert!(is_block(&answer), "{method} {path}: {}", answer.text());
        let answer = ask(&app, GOOD, &method, &path).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{method} {path}: {}", answer.text());
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{method} {path}");
        assert_eq!(answer.json()["code"], "invalid_request", "{method} {path}");
        tried += 1;
    }
    assert!(tried > 20, "only {tried} routes have a parameter");
    app.stop().await;

    let app = TestApp::start(Setup { per_address: 5, ..Setup::default() }).await;
    let (method, path) = unreadable().next().expect("a route");
    let mut statuses = Vec::new();
    for _ in 0..7 {
        statuses.push(ask(&app, OFFENDER, &method, &path).await.status.as_u16());
    }
    assert_eq!(statuses, [400, 400, 400, 400, 400, 429, 429]);
    app.stop().await;

    let app = TestApp::start(Setup { blocks: automatic(), ..Setup::default() }).await;
    let offended =
        until_blocked(&app, OFFENDER, 8, async || drop(ask(&app, OFFENDER, &method, &path).await)).await;
    assert_eq!(offended, 3, "it counts as malformed");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_began_by_itself_stays_where_its_end_cannot_be_kept() {
    let mut blocks = automatic();
    if let Some(thresholds) = &mut blocks.automatic {
        thresholds.lasts = Duration::from_secs(3_600);
    }
    let app = TestApp::start(Setup { blocks, ..Setup::default() }).await;
    let desk = Desk { app: &app, plane: plane(&app).await };
    for _ in 0..3 {
        get(&app, OFFENDER, "/v1/me", Some("pcl_wrong"), &[]).await;
    }
    let blocked = async || is_block(&get(&app, OFFENDER, "/assets/portcullis.css", None, &[]).await);
    assert!(blocked().await);
    let before = desk.list().await;
    let id = before["automatic"][0]["id"].clone();
    // Where the new file would be written there is a folder.
    let in_the_way = app.path().join("blocklist.new");
    std::fs::create_dir(&in_the_way).expect("a folder");
    assert_eq!(desk.remove(&id).await, StatusCode::SERVICE_UNAVAILABLE);
    assert!(blocked().await, "it was said that nothing is changed");
    let after = desk.list().await;
    for what in ["id", "network", "offence"] {
        assert_eq!(after["automatic"][0][what], before["automatic"][0][what], "{what}");
    }
    std::fs::remove_dir(&in_the_way).expect("removed");
    assert_eq!(desk.remove(&id).await, StatusCode::NO_CONTENT);
    assert!(!blocked().await);
    app.stop().await;
}
