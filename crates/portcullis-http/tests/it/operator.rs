//! The operator plane: who gets in, what it tells, and that its numbers are right and bounded.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{Method, Request, StatusCode};
use portcullis_audit::{ActorRef, Event};
use portcullis_core::secret::KnownToken;
use portcullis_core::{Role, Tier};
use portcullis_guard::{Rates, Tiers};
use portcullis_http::operator::metrics::METRICS;
use portcullis_http::{
    BlockFile, OPERATOR_ROUTES, Operator, OperatorParts, ROUTES, Server, ServerLimits, operator_router,
};
use serde_json::json;

use crate::app::{Answer, Setup, TestApp, question_body};
use crate::chat;

pub(crate) const TOKEN: &str = "Zt6vQ1mD9sXb4Kp0r8Wn2Hc7Lf5Jg3Ty6Ue1Ia9Ov4Bm0";

/// The operator plane of a running gate.
pub(crate) fn operator(app: &TestApp) -> Arc<Operator> {
    Operator::new(OperatorParts {
        app: Arc::clone(&app.served),
        token: KnownToken::new(TOKEN.as_bytes()),
        version: "0.0.0-test",
        blocks: Arc::new(BlockFile::new(app.path(), &[7; 32])),
    })
}

/// The operator plane beside a running gate.
pub(crate) async fn plane(app: &TestApp) -> SocketAddr {
    let operator = operator(app);
    let limits = ServerLimits {
        connections: 20,
        per_address: 20,
        write_timeout: Duration::from_secs(5),
        header_timeout: Duration::from_secs(5),
        header_bytes: 16 << 10,
        drain: Duration::from_secs(5),
    };
    let server = Server::bind("127.0.0.1:0".parse().expect("an address"), limits).await.expect("a free port");
    let address = server.address().expect("an address");
    app.tasks.spawn(server.serve(operator_router(&operator), app.tasks.clone()));
    address
}

fn get(plane: SocketAddr, path: &str, token: Option<&str>) -> http::request::Builder {
    let request = Request::get(format!("http://{plane}{path}"));
    match token {
        Some(token) => request.header("authorization", format!("Bearer {token}")),
        None => request,
    }
}

async fn send(app: &TestApp, request: http::request::Builder) -> Answer {
    app.send(request.body(Bytes::new()).expect("a request")).await
}

/// What a scrape holds: a line a number, its name with labels first.
struct Scrape(String);

impl Scrape {
    async fn of(app: &TestApp, plane: SocketAddr) -> Self {
        let answer = send(app, get(plane, "/metrics", Some(TOKEN))).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        Self(answer.text())
    }

    fn lines(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.rsplit_once(' ').expect("a number"))
    }

    fn series(&self) -> BTreeSet<String> {
        self.lines().map(|(series, _)| series.to_owned()).collect()
    }

    fn number(&self, series: &str) -> f64 {
        let found = self.lines().find(|(found, _)| *found == series);
        found.unwrap_or_else(|| panic!("no {series} in {}", self.0)).1.parse().expect("a number")
    }

    /// The sum over the series of that name.
    fn sum(&self, name: &str) -> f64 {
        let of = |series: &str| series.split('{').next() == Some(name);
        self.lines()
            .filter(|(series, _)| of(series))
            .map(|(_, number)| number.parse::<f64>().expect("a number"))
            .sum()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operator_route_wants_the_operators_token() {
    let app = TestApp::start(Setup::default()).await;
    let world = app.world("one").await;
    let owner = app.person(&world, "olga", Role::Owner).await;
    let (key, _) = app.key_of(&world, owner.member).await;
    for route in OPERATOR_ROUTES {
        // One for each, since wrong tokens are slowed down.
        let plane = plane(&app).await;
        let path = &route
            .path
            .replace("{block}", "01890a5d-ac96-774b-bcce-b302099a8057")
            .replace("{community}", "one");
        let body = route.example.unwrap_or_default();
        let request = |token: Option<&str>| {
            let request = get(plane, path, token).method(route.method.clone());
            request.header("content-type", "application/json")
        };
        let send = async |request: http::request::Builder| {
            app.send(request.body(Bytes::from(body)).expect("a request")).await
        };
        let status = async |token| send(request(token)).await.status;
        assert_eq!(status(None).await, StatusCode::UNAUTHORIZED, "{route:?}");
        assert_eq!(status(Some(&key)).await, StatusCode::UNAUTHORIZED, "{route:?}: a member's key");
        assert_eq!(status(TOKEN.get(1..)).await, StatusCode::UNAUTHORIZED, "{route:?}");
        let cookie = request(None).header("cookie", format!("portcullis-session={}", owner.cookie));
        assert_eq!(send(cookie).await.status, StatusCode::UNAUTHORIZED, "{route:?}: an owner's session");
        let foreign = request(Some(TOKEN)).header("origin", "https://evil.example");
        assert_eq!(send(foreign).await.status, StatusCode::FORBIDDEN, "{route:?}: a foreign page");
        let answer = send(request(Some(TOKEN))).await;
        let of_nothing = route.path.contains("{block}") && answer.status == StatusCode::NOT_FOUND;
        assert!(answer.status.is_success() || of_nothing, "{route:?}: {}", answer.text());
        assert!(!answer.text().contains(TOKEN));
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(send(request(None).method("PATCH")).await.status, StatusCode::UNAUTHORIZED, "{route:?}");
        let patch = send(request(Some(TOKEN)).method("PATCH")).await;
        assert_eq!(patch.status, StatusCode::METHOD_NOT_ALLOWED, "{route:?}");
        let allowed = patch.headers["allow"].to_str().expect("text");
        assert!(allowed.split(", ").any(|method| method == route.method.as_str()), "{allowed}");
    }
    let plane = plane(&app).await;
    for route in ROUTES.iter().filter(|route| OPERATOR_ROUTES.iter().all(|ours| ours.path != route.path)) {
        assert_eq!(
            send(&app, get(plane, route.path, None)).await.status,
            StatusCode::UNAUTHORIZED,
            "{route:?}"
        );
        let there = send(&app, get(plane, route.path, Some(TOKEN))).await.status;
        assert_eq!(there, StatusCode::NOT_FOUND, "{route:?} is the members'");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_members_listener_has_no_operator_route_and_the_token_opens_nothing_there() {
    let app = TestApp::start(Setup::default()).await;
    for path in ["/metrics", "/status"] {
        assert!(ROUTES.iter().all(|route| route.path != path));
        assert_eq!(app.get(path, TOKEN).await.status, StatusCode::NOT_FOUND);
    }
    assert_eq!(app.get("/v1/me", TOKEN).await.status, StatusCode::UNAUTHORIZED);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_page_or_name_is_refused_with_the_right_token_too() {
    let app = TestApp::start(Setup::default()).await;
    let plane = plane(&app).await;
    let status = async |name: &'static str, value: &'static str| {
        let request = get(plane, "/metrics", Some(TOKEN)).header(name, value);
        send(&app, request).await.status
    };
    assert_eq!(status("host", "rebound.example").await, StatusCode::FORBIDDEN);
    assert_eq!(status("origin", "https://evil.example").await, StatusCode::FORBIDDEN);
    assert_eq!(status("origin", "null").await, StatusCode::FORBIDDEN);
    assert_eq!(status("sec-fetch-site", "cross-site").await, StatusCode::FORBIDDEN);
    assert_eq!(status("host", "localhost:1").await, StatusCode::OK);
    assert_eq!(status("sec-fetch-site", "none").await, StatusCode::OK);
    let scrape = Scrape::of(&app, plane).await;
    assert!((scrape.number("portcullis_security_events_total{event=\"foreign_page\"}") - 4.0).abs() < 0.5);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_tokens_are_slowed_down_and_do_not_keep_the_operator_out() {
    let app = TestApp::start(Setup::default()).await;
    let plane = plane(&app).await;
    let mut last = None;
    for _ in 0..30 {
        last = Some(send(&app, get(plane, "/status", Some("wrong"))).await);
    }
    let last = last.expect("an answer");
    assert_eq!(last.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(last.headers.contains_key("retry-after"));
    let answer = send(&app, get(plane, "/status", Some(TOKEN))).await;
    assert_eq!(answer.status, StatusCode::OK);
    let noticed = app.served.gate().events().counts().find(|(event, _)| event.name() == "credential_refused");
    assert_eq!(noticed.expect("every event is counted").1, 30);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_tells_what_the_instance_is_and_names_nobody() {
    let app = TestApp::start(Setup::default()).await;
    let plane = plane(&app).await;
    for slug in ["one", "two", "three"] {
        app.world(slug).await;
    }
    let status = send(&app, get(plane, "/status", Some(TOKEN))).await.json();
    assert_eq!(status["version"], "0.0.0-test");
    assert_eq!((&status["communities"], &status["model"]), (&json!(3), &json!("none")));
    assert_eq!(status["journal"]["status"], "ready");
    let world = app.world("four").await;
    let (key, _) = app.key_of(&world, app.member(&world, "Ada", None).await).await;
    assert_eq!(app.ask(&key, "kettle").await.status, StatusCode::OK);
    let status = send(&app, get(plane, "/status", Some(TOKEN))).await;
    assert_eq!(status.json()["journal"]["records"], app.records().len());
    assert!(status.json()["journal"]["checkpoint"]["root"].is_string(), "{}", status.text());
    assert!(!status.text().contains("four") && !status.text().contains("Ada"), "{}", status.text());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_of_the_list_is_there_with_its_kind_and_its_labels_alone() {
    let (app, _upstream) = chat::with(portcullis_model::upstream::Echo, Setup::default()).await;
    let plane = plane(&app).await;
    let world = app.world("one").await;
    let (key, _) = app.key_of(&world, app.member(&world, "Ada", None).await).await;
    assert_eq!(app.ask(&key, "kettle").await.status, StatusCode::OK);
    app.get("/v1/me", "pcl_wrong").await;
    let scrape = Scrape::of(&app, plane).await;
    for metric in METRICS {
        let (name, kind) = (metric.name, metric.kind.word());
        assert!(scrape.0.contains(&format!("# HELP {name} {}\n", metric.help)), "{name}\n{}", scrape.0);
        assert!(scrape.0.contains(&format!("# TYPE {name} {kind}\n")), "{name}");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
        let of_it = |series: &&str| {
            let bare = series.split('{').next().unwrap_or_default();
            let endings = if kind == "histogram" { &["_bucket", "_sum", "_count"][..] } else { &[""] };
            endings.iter().any(|ending| bare.strip_suffix(ending) == Some(name))
        };
        let series: Vec<&str> = scrape.lines().map(|(series, _)| series).filter(of_it).collect();
        assert!(!series.is_empty(), "{name} has no number");
        for series in series {
            let labels = series.split_once('{').map_or("", |(_, labels)| labels.trim_end_matches('}'));
            let names = labels.split("\",").filter_map(|label| label.split_once('=')).map(|(name, _)| name);
            let names: Vec<&str> = names.filter(|name| *name != "le").collect();
            assert_eq!(names, metric.labels, "{series}");
        }
    }
    assert!(!scrape.0.contains("Ada") && !scrape.0.contains(&world.community.id.to_string()));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_right_when_many_ask_at_once() {
    let (app, _upstream) = chat::with(portcullis_model::upstream::Echo, Setup::default()).await;
    let plane = plane(&app).await;
    let world = app.world("one").await;
    let (key, _) = app.key_of(&world, app.member(&world, "Ada", None).await).await;
    let asked = stream::iter(0..200_u32).map(|number| {
        let (app, key) = (&app, &key);
        async move { app.post("/v1/chat/completions", key, &question_body("kettle", number % 2 == 0)).await }
    });
    let answers: Vec<Answer> = asked.buffer_unordered(16).collect().await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK));
    let scrape = Scrape::of(&app, plane).await;
    let wanted = [
        ("portcullis_requests_total{method=\"POST\",route=\"/v1/chat/completions\",status=\"2xx\"}", 200.0),
        ("portcullis_chat_start_seconds_count", 200.0),
        ("portcullis_turn_phase_seconds_count{phase=\"admit\"}", 200.0),
        ("portcullis_turn_phase_seconds_count{phase=\"screen\"}", 200.0),
        ("portcullis_turn_phase_seconds_count{phase=\"recall\"}", 200.0),
        ("portcullis_turn_phase_seconds_count{phase=\"ground\"}", 200.0),
        ("portcullis_turn_phase_seconds_count{phase=\"open\"}", 200.0),
        ("portcullis_turn_phase_seconds_count{phase=\"queue\"}", 200.0),
        ("portcullis_turn_phase_seconds_count{phase=\"ask\"}", 200.0),
        ("portcullis_turn_phase_seconds_count{phase=\"release\"}", 200.0),
        ("portcullis_turn_phase_seconds_count{phase=\"close\"}", 200.0),
        ("portcullis_journal_appended_total", 400.0),
        ("portcullis_streams_open", 0.0),
        ("portcullis_model_places", 64.0),
        ("portcullis_model_places_taken", 0.0),
        ("portcullis_model_waiting", 0.0),
        ("portcullis_store_errors_total", 0.0),
    ];
    for (series, number) in wanted {
        assert!((scrape.number(series) - number).abs() < 0.5, "{series} is {}", scrape.number(series));
    }
    let syncs = scrape.number("portcullis_journal_sync_seconds_count");
    assert!((1.0..=400.0).contains(&syncs), "{syncs} syncs");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_made_up_paths_models_and_ids_add_no_series() {
    let app = TestApp::start(Setup::default()).await;
    let plane = plane(&app).await;
    let world = app.world("one").await;
    let (key, _) = app.key_of(&world, app.member(&world, "Ada", None).await).await;
    let junk = async |number: usize| {
        let request = match number % 5 {
            0 => app.request(Method::GET, &format!("/made-up/{number}"), None),
            1 => app.request(
                Method::from_bytes(format!("X{number}").as_bytes()).expect("a method"),
                "/v1/me",
                None,
            ),
            2 => app.request(Method::GET, &format!("/v1/documents/{number}"), Some(&key)),
            3 => app.request(Method::GET, "/v1/me", Some(&format!("pcl_{number:012}_x"))),
            _ => {
                let mut body = question_body("kettle", false);
                body["model"] = json!(format!("model-{number}"));
                let request = app.request(Method::POST, "/v1/chat/completions", Some(&key));
                return app
                    .send(request.body(Bytes::from(body.to_string())).expect("a request"))
                    .await
                    .status;
            }
        };
        app.send(request.body(Bytes::new()).expect("a request")).await.status
    };
    for number in 0..5 {
        assert!(junk(number).await.is_client_error());
    }
    let before = Scrape::of(&app, plane).await;
    let refused = stream::iter(5..10_000).map(junk).buffer_unordered(16);
    let refused = refused.filter(|status| std::future::ready(status.is_client_error())).count().await;
    assert_eq!(refused, 9_995);
    let after = Scrape::of(&app, plane).await;
    assert_eq!(after.series(), before.series());
    assert!((after.sum("portcullis_requests_total") - 10_000.0).abs() < 0.5, "nothing is lost");
    app.stop().await;
}

fn set(plane: SocketAddr, community: &str, body: &'static str) -> Request<Bytes> {
    let request = get(plane, &format!("/communities/{community}/tier"), Some(TOKEN)).method(Method::PUT);
    request.header("content-type", "application/json").body(Bytes::from(body)).expect("a request")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tier_that_is_set_holds_from_the_next_request_on_and_is_recorded() {
    let rates = |minute| Rates::per_minute(NonZeroU32::new(minute).expect("not zero"));
    let tiers = Tiers { standard: rates(3), enhanced: rates(7), dedicated: rates(1_000) };
    let app = TestApp::start(Setup { tiers, ..Setup::default() }).await;
    let plane = plane(&app).await;
    let world = app.world("one").await;
    app.stores.directory.set_tier(world.community.id, Tier::Standard).await.expect("it is set");
    let (key, _) = app.key_of(&world, app.member(&world, "Ada", None).await).await;
    let admitted = async || {
        let mut admitted = 0;
        while app.get("/v1/models", &key).await.status == StatusCode::OK {
            admitted += 1;
        }
        admitted
    };
    assert_eq!(admitted().await, 3);
    let answer = app.send(set(plane, "one", r#"{"tier":"enhanced"}"#)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.json()["limits"]["minute"], 7);
    let told = send(&app, get(plane, "/communities/one/tier", Some(TOKEN))).await.json();
    assert_eq!(told["tier"], "enhanced");
    assert_eq!(app.get("/v1/me", &key).await.json()["tier"], "enhanced", "the next request");
    assert_eq!(admitted().await, 3, "what was counted before still counts");
    let changes: Vec<_> = app
        .records()
        .into_iter()
        .filter_map(|entry| match entry.event {
            Some(Event::Administered(change)) if change.action.as_str() == "community.tier" => {
                Some((entry.actor, change))
            }
            _ => None,
        })
        .collect();
    let [(actor, change)] = changes.as_slice() else { panic!("one change is recorded: {changes:?}") };
    assert_eq!(*actor, ActorRef::Operator);
    let words =
        [&change.before, &change.detail].map(|word| word.as_ref().map(|word| word.as_str().to_owned()));
    assert_eq!(words, [Some("standard".to_owned()), Some("enhanced".to_owned())]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_tier_or_community_changes_nothing_and_is_told_what_is_known() {
    let app = TestApp::start(Setup::default()).await;
    let plane = plane(&app).await;
    app.world("one").await;
    let before = send(&app, get(plane, "/communities", Some(TOKEN))).await.text();
    for body in ["", "{}", r#"{"tier":"gold"}"#, r#"{"tier":"enhanced","more":1}"#] {
        let answer = app.send(set(plane, "one", body)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(answer.text().contains("dedicated"), "{}", answer.text());
    }
    assert_eq!(app.send(set(plane, "none", r#"{"tier":"enhanced"}"#)).await.status, StatusCode::NOT_FOUND);
    let large: &'static str = Box::leak(format!("{{\"tier\":\"{}\"}}", "x".repeat(5_000)).into_boxed_str());
    assert_eq!(app.send(set(plane, "one", large)).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(send(&app, get(plane, "/communities", Some(TOKEN))).await.text(), before);
    app.stop().await;
}
