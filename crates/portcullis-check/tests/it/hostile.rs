//! Targets that answer wrongly on purpose: no check may pass on any of them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::ToSpan as _;
use portcullis_check::checks::CHECKS;
use portcullis_check::target::{
    AccountKind, AccountList, Accounts, Act, Audience, AutoBlock, Blocklist, Canary, Cap, Capped, Chat,
    Confirmation, Counted, Credential, DOCUMENT, Declared, DeclaredTool, Display, Drops, ENTRY, Edge, Form,
    HandoverQueue, HeldSecret, Here, Holds, Hooks, ID, Identity, Inventory, Limits, Listener, Load, MARKER,
    NETWORK, NUMBER, NewCredential, OwnStanding, Owned, OwnedKind, Place, Plan, Planted, PlantedKind,
    Protocol, QUERY, Rehearsal, Roles, Route, RouteKind, Runtime, SandboxApi, Screened, ScreenedDocument,
    Shown, SignUp, SignUpBy, Sink, Spot, Staffed, State, Step, SystemMatrix, Thread, TierPlace, TokenPrice,
    ToolInventory, WORD, Wording,
};
use portcullis_check::{Quiet, Report, Target, run};
use portcullis_core::secret::random_bytes;
use portcullis_core::{Clock, SystemClock, Tasks};
use ring::hmac;
use serde_json::json;
use tokio::net::TcpListener;

use crate::settings::{options, outcome};

const SHELL: &str = "<!doctype html><html><head><title>App</title></head><body><div id=\"root\"></div>\
                     <script src=\"/app.js\"></script></body></html>";
const LOGIN: &str = "<!doctype html><html><head><title>Sign in</title></head><body><form method=\"post\">\
                     <input type=\"password\" name=\"p\"></form></body></html>";
const WAF: &str = "<!doctype html><html><head><title>Forbidden</title></head><body><h1>Request blocked by our \
                   security service</h1></body></html>";

/// Answers with headers that are all in order, so that nothing fails for their sake.
fn answer(status: u16, kind: &str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header("content-type", kind)
        .header("content-security-policy", "default-src 'self'; frame-ancestors 'none'")
        .header("x-content-type-options", "nosniff")
        .header("referrer-policy", "no-referrer")
        .header("permissions-policy", "camera=()")
        .header("cross-origin-opener-policy", "same-origin")
        .body(Full::new(body.into()))
        .expect("an answer")
}

async fn respond(what: &'static str, request: Request<Incoming>) -> Response<Full<Bytes>> {
    match what {
        "yes-man" => answer(200, "application/json", "{}"),
        "spa-shell" => answer(200, "text/html", SHELL),
        "waf" => answer(403, "text/html", WAF),
        "login-wall" if request.uri().path() == "/login" => answer(200, "text/html", LOGIN),
        "login-wall" => {
            let mut response = answer(302, "text/html", "");
            response.headers_mut().insert("location", "/login".parse().expect("a path"));
            response
        }
        "echo" => {
            let (head, body) = request.into_parts();
            let body = body.collect().await.expect("a body").to_bytes();
            let headers: Vec<String> =
                head.headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
            let text = json!({
                "method": head.method.as_str(),
                "path": head.uri.to_string(),
                "headers": headers,
                "body": String::from_utf8_lossy(&body),
            });
            answer(200, "application/json", text.to_string())
        }
        other => panic!("unknown hostile target {other}"),
    }
}

/// Starts a hostile target and gives its address.
async fn start(what: &'static str, tasks: &Tasks) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    if what == "dead" {
        return address;
    }
    let own = tasks.clone();
    tasks.spawn(async move {
        let mut held = Vec::new();
        loop {
            let Ok((stream, _)) = listener.accept().await else { return };
            if what == "mute" {
                held.push(stream);
                continue;
            }
            own.spawn(async move {
                let service = service_fn(move |request| async move {
                    Ok::<_, std::convert::Infallible>(respond(what, request).await)
                });
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

fn token(name: &str, secret: &str, exp: i64) -> String {
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!(
        "{}.{}",
        part(json!({"alg": "HS256", "typ": "JWT"})),
        part(json!({"sub": name, "aud": "bot", "exp": exp}))
    );
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
}

/// Says that everything is as promised.
struct NoHooks;

impl Here for NoHooks {
    fn limits(&self) -> [u64; 3] {
        [60, 2_000, 20_000]
    }

    fn advance(&self, _: Duration) {}

    fn preload(&self, _: u32) {}
}

/// A target that lacks nothing: strong secrets, every identity, every kind of route.
fn complete_target(address: SocketAddr) -> Target {
    let secret = STANDARD.encode(random_bytes::<32>());
    let mut target = Target::new("hostile", &format!("http://{address}")).expect("a URL");
    let mut chat = Chat::openai();
    chat.answer = "/choices/0/message/content".to_owned();
    target.chat = chat;
    let routes = vec![
        Route::new(Method::GET, "/").public().kind(RouteKind::Page),
        Route::new(Method::GET, "/login").public().kind(RouteKind::Login),
        Route::new(Method::GET, "/app.js").public().kind(RouteKind::Asset),
        Route::new(Method::GET, "/api/history"),
        Route::new(Method::GET, "/api/spaces/{space}").param("space", "{{community}}"),
        Route::new(Method::GET, "/api/models").shared(),
        Route::new(Method::GET, "/api/search").query("q", QUERY),
        Route::new(Method::GET, "/api/documents/{id}").param("id", DOCUMENT),
        Route::new(Method::GET, "/healthz").public().kind(RouteKind::Live),
        Route::new(Method::GET, "/readyz").public().kind(RouteKind::Ready),
    ];
    target.inventory = Inventory::generated(routes, "the test's list");
    target.inventory.confirmations.push(Confirmation::Person("the test".to_owned()));
    let later = 4_000_000_000;
    let bearer = |name: &str, exp| Credential::bearer(token(name, &secret, exp));
    target.identities = vec![
        Identity::new("alice", "harbour", bearer("alice", later)),
        Identity::new("bob", "orchard", bearer("bob", later)),
        Identity::new("carol-1", "harbour", bearer("carol-1", later)).session_of("carol").for_limits(),
        Identity::new("carol-2", "harbour", bearer("carol-2", later)).session_of("carol").for_limits(),
        Identity::new("dave", "harbour", bearer("dave", later)).for_limits(),
        Identity::new("old", "harbour", bearer("old", 1_000_000_000)).state(State::Expired),
        Identity::new("gone", "harbour", bearer("gone", later)).state(State::Revoked),
        Identity::new("other", "harbour", bearer("other", later)).state(State::WrongAudience),
        Identity::new("pia", "harbour", bearer("pia", later)).plans(&["plus"]),
        Identity::new("lars", "harbour", bearer("lars", later)).plans(&["plus"]).state(State::Lapsed),
    ];
    let ends = SystemClock::new().now() + jiff::SignedDuration::from_secs(2);
    let short = Identity::new("short", "harbour", bearer("short", ends.as_second()));
    target.identities.push(short.expiring(ends));
    target.canaries = vec![
        Canary::new("harbour", "deck", "the Tarnwick ledger", "qzvkxwpjmfhdbtlr")
            .in_document("doc-deck", "Kept dry"),
        Canary::new("harbour", "lounge", "the Osprey signal", "wjxqhvzkmpdfgtbn")
            .for_audience(Audience::Plans(vec!["plus".to_owned()]))
            .in_document("doc-lounge", "For crews who pay"),
        Canary::new("orchard", "press", "the Quince almanac", "zxjvqkwhmpfdbgtl")
            .in_document("doc-press", "Kept cool"),
    ];
    for community in ["harbour", "orchard"] {
        let values = [("document".to_owned(), "doc-deck".to_owned())].into();
        target.tenancy.values.insert(community.to_owned(), values);
    }
    people(&mut target, bearer);
    let planted = PlantedKind::ALL.map(|(word, kind)| {
        let topic = format!("the {word} of the Larkspur rota");
        Planted::in_document(kind, &topic, &format!("hqzwvxjkpmdtf{word}"), "painted green")
    });
    let orders = Form::ALL.map(|(word, form)| {
        let topic = format!("the {word} of the Foxglove signal");
        let order = Planted::in_document(PlantedKind::Order, &topic, "hqzwvxjkpmdtf", "swung thrice");
        order.hidden_in(form)
    });
    target.rehearsal = Some(Rehearsal {
        at: None,
        chat: target.chat.clone(),
        askers: vec![Identity::new("ann", "harbour", bearer("ann", later))],
        system: Some("Speak of boats and tides alone, and of fees and quarrels to nobody.".repeat(2)),
        planted: planted.into_iter().chain(orders).collect(),
        insider: Some(Identity::new("stan", "harbour", bearer("stan", later))),
        trace: Some(format!("http://{address}/trace").parse().expect("a URL")),
        mark_after: Some("bears the mark ".to_owned()),
        citation: Some(format!("[{NUMBER}]")),
        thread: Some(Thread {
            at: Spot::Pointer("/conversation".to_owned()),
            begin: None,
            id: Spot::Pointer("/id".to_owned()),
        }),
        tools: Some(tools(address)),
    });
    target.handovers = Some(Box::new(HandoverQueue {
        at: None,
        chat: target.chat.clone(),
        askers: vec![Identity::new("ann", "harbour", bearer("ann", later))],
        list: Route::new(Method::GET, "/queue"),
        reader: Identity::new("stan", "harbour", bearer("stan", later)),
        trace: Some(format!("http://{address}/trace").parse().expect("a URL")),
        within: Duration::from_secs(1),
        staffed: Some(Staffed { by: "the test".to_owned(), until: SystemClock::new().now() + 1.hours() }),
    }));
    let asked = Route::new(Method::GET, "/api/me");
    target.blocklist = Some(Box::new(Blocklist {
        at: None,
        operator: Credential::bearer("tok-operator-42"),
        add: Route::new(Method::POST, "/ops/blocks").body(json!({ "network": NETWORK })),
        entry: Some("/id".to_owned()),
        remove: Route::new(Method::DELETE, "/ops/blocks/{entry}").param("entry", ENTRY),
        list: Route::new(Method::GET, "/ops/blocks"),
        asked: asked.clone(),
        marker: "address_is_blocked".to_owned(),
    }));
    target.auto_block = Some(Box::new(AutoBlock {
        at: None,
        asker: Identity::new("ann", "harbour", bearer("ann", later)),
        asked,
        threshold: 10,
        lasts: Duration::from_secs(1),
        marker: "address_is_blocked".to_owned(),
    }));
    target.load = Some(Box::new(Load {
        consent: "the test".to_owned(),
        requests_per_second: 40,
        asked: Route::new(Method::GET, "/login").public(),
        drops: Some(Drops {
            at: None,
            operator: Credential::bearer("tok-operator-42"),
            route: Route::new(Method::GET, "/ops/dropped"),
            line: "dropped".to_owned(),
        }),
        plan: Some(Plan {
            who: "the test".to_owned(),
            evidence: "none".to_owned(),
            seen: SystemClock::new().now(),
        }),
    }));
    target.sandbox = Some(Box::new(SandboxApi {
        at: target.base_url.clone(),
        credential: Some(Credential::bearer("tok-operator-42")),
        runtime: Runtime::Python,
        at_once: 2,
        tenants: ["harbour", "orchard"].map(str::to_owned),
        reach: Vec::new(),
        planted: Vec::new(),
        called: None,
    }));
    target.blocked = Some(format!("http://{address}").parse().expect("a URL"));
    let listener =
        |protocol| Listener { place: Place { host: "127.0.0.1".to_owned(), port: address.port() }, protocol };
    target.edge = Some(Edge {
        hosts: vec!["127.0.0.1".to_owned()],
        http_port: Some(address.port()),
        https_port: Some(address.port()),
        listeners: vec![
            listener(Protocol::Tls),
            listener(Protocol::Postgres),
            listener(Protocol::SmtpStartTls),
        ],
        complete_by: Some("the test".to_owned()),
        ..Edge::default()
    });
    target.limits = Limits {
        counted: Counted::Everything,
        user_per_minute: Some(12),
        address_per_minute: Some(24),
        session_per_minute: Some(10),
        community_per_minute: None,
        marker: Some("limited".to_owned()),
    };
    target.tenancy.how_many = Some("k".to_owned());
    // One that would take in whatever it is asked about, and one whose number rises with every look.
    target.logs.sinks = vec![
        Sink::here("log", Shown::RequestId, || Ok(String::new())),
        Sink::here("metrics", Shown::Number("requests".to_owned()), {
            let looks = AtomicU32::new(0);
            move || Ok(format!("requests {}", looks.fetch_add(1, Ordering::Relaxed)))
        }),
    ];
    let who = |name: &str| {
        let found = target.identities.iter().find(|identity| identity.name == name);
        found.expect("a known identity").clone()
    };
    let cap = |what| Cap {
        what,
        limit: 1_000,
        price: Some(TokenPrice { input: 1_000_000, output: 1_000_000 }),
        at: None,
        chat: target.chat.clone(),
        spender: who("alice"),
        other: who("dave"),
        question_tokens: "/usage/prompt_tokens".to_owned(),
        answer_tokens: "/usage/completion_tokens".to_owned(),
        marker: None,
    };
    let tier = |tier: &str| TierPlace {
        tier: tier.to_owned(),
        at: None,
        route: target.chat.asking("ready"),
        askers: vec![who("alice")],
        hooks: Hooks::Here(Arc::new(NoHooks)),
    };
    target.tiers = ["standard", "enhanced", "dedicated"].map(tier).to_vec();
    let document = |topic: &str, holds| ScreenedDocument {
        topic: topic.to_owned(),
        text: "qzvkxwpj".to_owned(),
        marker: None,
        holds,
    };
    target.screen = Some(Screened {
        at: None,
        chat: target.chat.clone(),
        askers: vec![who("alice")],
        recall_percent: 50,
        false_positive_percent: Some(1),
        private_attacks: Vec::new(),
        threshold: "0.5".to_owned(),
        marker: "refused".to_owned(),
        documents: vec![document("the ledger", Holds::Order), document("the notes", Holds::Nothing)],
        trace: Some(target.base_url.clone()),
    });
    target.caps = vec![cap(Capped::Tokens), cap(Capped::Cost)];
    target.secrets.jwt = Some(HeldSecret::served(&secret, "the test"));
    target.secrets.encryption = Some(HeldSecret::served(&STANDARD.encode(random_bytes::<32>()), "the test"));
    target.secrets.csrf = Some(HeldSecret::served(&STANDARD.encode(random_bytes::<32>()), "the test"));
    target
}

/// Tools, whose sinks and traps it answers for too.
fn tools(address: SocketAddr) -> ToolInventory {
    let at = |path: &str| format!("http://{address}{path}").parse().expect("a URL");
    let tool = |name: &str, allowed, approval| DeclaredTool {
        name: name.to_owned(),
        arguments: format!("{{\"place\": \"{WORD}\"}}"),
        allowed,
        approval,
    };
    ToolInventory {
        askers: Vec::new(),
        tools: vec![
            tool("tide_table", true, false),
            tool("ledger", false, false),
            tool("send_letter", true, true),
        ],
        sinks: vec![at("/calls")],
        trapped: vec![at("/trapped")],
        decisions: Some(at("/decisions")),
        reader: Some(("read_page".to_owned(), "url".to_owned())),
        traps: vec![format!("http://{address}/trap?w={WORD}")],
        pages: vec![format!("http://{address}/page?w={WORD}")],
        visited: vec![at("/visited")],
    }
}

/// Roles, accounts, owners and a way to a new account.
fn people(target: &mut Target, bearer: impl Fn(&str, i64) -> Credential) {
    let later = 4_000_000_000;
    for (name, community, role) in [
        ("ann", "harbour", "member"),
        ("stan", "harbour", "staff"),
        ("sue", "orchard", "staff"),
        ("ada", "harbour", "admin"),
        ("odo", "orchard", "admin"),
    ] {
        target.identities.push(Identity::new(name, community, bearer(name, later)).role(role));
    }
    let old = Identity::new("ann, old", "harbour", bearer("ann", 1_000_000_000)).session_of("ann");
    target.identities.push(old.state(State::Expired));
    target.inventory.routes.extend([
        Route::new(Method::GET, "/api/admin/members").needs("read-members").only_for("ada"),
        Route::new(Method::GET, "/api/admin/roles").needs("read-members").only_for("ada"),
        Route::new(Method::GET, "/api/me").needs("ask"),
    ]);
    let matrix = "[roles]\nmember = [\"ask\"]\nstaff = [\"ask\"]\nadmin = [\"ask\", \"read-members\"]\n";
    let unsigned = Declared::new(matrix, "the test's matrix", "", "the test").expect("a matrix");
    let declared = Declared { signed_sha256: unsigned.sha256.clone(), ..unsigned };
    target.roles = Roles {
        order: ["member", "staff", "admin"].map(str::to_owned).to_vec(),
        admins: vec!["admin".to_owned()],
        admin_paths: vec!["/api/admin".to_owned()],
        declared: Some(declared),
        system: Some(SystemMatrix {
            route: Route::new(Method::GET, "/api/admin/roles").only_for("ada"),
            roles: "/roles".to_owned(),
            role: "/role".to_owned(),
            permissions: "/permissions".to_owned(),
            routes: None,
            permission: "/permission".to_owned(),
        }),
        exercises: Vec::new(),
        own: Some(OwnStanding {
            route: Route::new(Method::GET, "/api/me"),
            role: "/role".to_owned(),
            permissions: None,
        }),
    };
    let list = |kind, path: &str| AccountList {
        kind,
        route: Route::new(Method::GET, path),
        askers: ["ada", "odo"].map(str::to_owned).to_vec(),
        items: "/items".to_owned(),
        id: "/id".to_owned(),
        name: Some("/name".to_owned()),
        address: None,
        role: Some("/role".to_owned()),
        credential: None,
        shared: None,
        acts_for: None,
        ended: None,
        next: None,
        total: None,
    };
    target.accounts = Accounts {
        admins_at_most: Some(1),
        lists: vec![
            list(AccountKind::People, "/api/admin/members"),
            list(AccountKind::Keys, "/api/admin/keys"),
        ],
    };
    target.owned = OwnedKind::ALL
        .map(|kind| Owned {
            kind,
            create: Route::new(Method::POST, "/api/things").body(json!({ "text": MARKER })),
            // The echo has one of these in every answer.
            id: Spot::Pointer("/path".to_owned()),
            read: Route::new(Method::GET, "/api/things/{id}").param("id", ID),
            update: Some(
                Route::new(Method::PUT, "/api/things/{id}").param("id", ID).body(json!({ "text": MARKER })),
            ),
            delete: Some(Route::new(Method::DELETE, "/api/things/{id}").param("id", ID)),
            list: Some(Route::new(Method::GET, "/api/things")),
            batch: None,
            lacks: Vec::new(),
        })
        .to_vec();
    let ask = |path: &str| {
        let route = Route::new(Method::POST, path).body(json!({ "name": "{{name}}" }));
        Step { act: Act::Ask { route, form: [].into() }, captures: [].into() }
    };
    let stan = target.identities.iter().find(|identity| identity.name == "stan").expect("somebody").clone();
    target.displays = Wording::ALL
        .map(|(word, wording)| Display {
            what: format!("what the {word} says"),
            wording,
            at: None,
            writer: stan.clone(),
            create: Route::new(Method::POST, "/api/things").body(json!({ "text": MARKER })),
            id: Some(Spot::Pointer("/path".to_owned())),
            change: None,
            remove: None,
            pages: vec![Route::new(Method::GET, "/things/{id}").param("id", ID).kind(RouteKind::Page)],
            reader: stan.clone(),
        })
        .to_vec();
    target.sign_ups = SignUpBy::ALL
        .map(|by| SignUp {
            name: by.word().to_owned(),
            by,
            community: "harbour".to_owned(),
            steps: vec![ask("/api/sign-up")],
            undo: vec![ask("/api/leave")],
            credential: NewCredential::Bearer("{{name}}".to_owned()),
            headers: [].into(),
        })
        .to_vec();
}

async fn report_on(what: &'static str) -> Report {
    let tasks = Tasks::new();
    let address = start(what, &tasks).await;
    let mut options = options();
    options.allow.drills = true;
    options.budget.connect_timeout = Duration::from_millis(300);
    options.budget.answer_timeout = Duration::from_millis(if what == "mute" { 150 } else { 3_000 });
    run(complete_target(address), &options, &Quiet).await
}

/// No check passes, and those that name the target are inconclusive on it.
async fn assert_nothing_passes(what: &'static str) {
    let report = Box::pin(report_on(what)).await;
    for check in CHECKS {
        let outcome = outcome(&report, check.id);
        assert!(!outcome.counts(), "{} counts on `{what}`: {}", check.id, outcome.reason());
        assert_ne!(outcome.word(), "broken", "{} on `{what}`: {}", check.id, outcome.reason());
        assert_ne!(outcome.word(), "not_applicable", "{} on `{what}`", check.id);
        if check.cases.inconclusive_on.contains(&what) {
            assert_eq!(outcome.word(), "inconclusive", "{} on `{what}`: {}", check.id, outcome.reason());
        }
        assert!(!outcome.reason().is_empty(), "{} on `{what}` says why", check.id);
    }
    assert!(report.rows.iter().all(|row| row.outcome != "pass"), "no row passes on `{what}`");
    assert_ne!(report.exit_code(portcullis_check::Gate::Checks), 0);
    assert_ne!(report.exit_code(portcullis_check::Gate::Launch), 0);
}

#[tokio::test]
async fn a_dead_target_never_passes() {
    assert_nothing_passes("dead").await;
}

#[tokio::test]
async fn a_mute_target_never_passes() {
    assert_nothing_passes("mute").await;
}

#[tokio::test]
async fn a_target_that_says_yes_to_everything_never_passes() {
    assert_nothing_passes("yes-man").await;
}

#[tokio::test]
async fn a_login_wall_never_passes() {
    assert_nothing_passes("login-wall").await;
}

#[tokio::test]
async fn a_target_that_repeats_its_input_never_passes() {
    assert_nothing_passes("echo").await;
}

#[tokio::test]
async fn the_shell_of_an_application_never_passes() {
    assert_nothing_passes("spa-shell").await;
}

#[tokio::test]
async fn a_firewall_never_passes() {
    assert_nothing_passes("waf").await;
}

#[test]
fn every_hostile_target_that_a_check_names_exists() {
    let hostile = ["dead", "mute", "yes-man", "login-wall", "echo", "spa-shell", "waf"];
    // A single fault of the foreign chatbot may keep a check from looking.
    let faults: Vec<_> = CHECKS.iter().flat_map(|check| check.cases.fails_on).collect();
    for check in CHECKS {
        let named = check.cases.inconclusive_on.iter();
        let unknown: Vec<_> =
            named.filter(|name| !hostile.contains(name) && !faults.contains(name)).collect();
        assert!(unknown.is_empty(), "{}: {unknown:?}", check.id);
    }
}
