//! The product's own listener under its own checks: HTTPS forced, certificate, its end, and the versions of TLS.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use portcullis_check::target::{CertificateFile, Edge, Inventory, Route, RouteKind, Target};
use portcullis_check::{Options, Quiet, Selector, run};
use portcullis_core::{Clock as _, SystemClock};
use portcullis_egress::{AddressPolicy, Options as ClientOptions, Pin};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::program::{Program, Serving, free_port, text};

const HOST: &str = "chat.example.org";
const IDS: [&str; 4] = ["EDGE-01", "EDGE-02", "EDGE-03", "EDGE-04"];
const DAY: u64 = 24 * 3600;

/// What differs from an instance in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Nothing,
    /// Its certificate ends in three weeks.
    EndsSoon,
    /// The issuer's certificate is not in the file.
    NoIntermediate,
    /// Members' own port speaks plain HTTP, as in front of nothing.
    NoRedirect,
    /// TLS 1.2 is spoken beside 1.3, which is allowed and told.
    AlsoTls12,
}

/// Puts a certificate in place and gives the root.
fn put(program: &Program, change: Change) -> String {
    let authority = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).expect("an authority");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    };
    let key = || KeyPair::generate().expect("a key");
    let (root, root_key) = (authority("Own Root"), key());
    let root_pem = root.self_signed(&root_key).expect("a root").pem();
    let root = Issuer::new(root, root_key);
    let (middle, middle_key) = (authority("Own Issuing"), key());
    let middle_pem = middle.signed_by(&middle_key, &root).expect("an issuer").pem();
    let middle = Issuer::new(middle, middle_key);

    let now = u64::try_from(SystemClock::new().now().as_second()).expect("after 1970");
    let at = |seconds: u64| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
    let days = if change == Change::EndsSoon { 21 } else { 90 };
    let mut params = CertificateParams::new(vec![HOST.to_owned()]).expect("names");
    params.distinguished_name.push(DnType::CommonName, HOST);
    (params.not_before, params.not_after) = (at(now - DAY), at(now + days * DAY));
    let own_key = key();
    let own = params.signed_by(&own_key, &middle).expect("a certificate").pem();

    let folder = program.path().join("tls");
    std::fs::create_dir_all(&folder).expect("a folder");
    let chain = if change == Change::NoIntermediate { own } else { own + &middle_pem };
    std::fs::write(folder.join("chain.pem"), chain).expect("written");
    std::fs::write(folder.join("key.pem"), own_key.serialize_pem()).expect("written");
    std::fs::set_permissions(folder.join("key.pem"), std::fs::Permissions::from_mode(0o600)).expect("a mode");
    // A client of the test needs the issuer where the server does not send it.
    root_pem + if change == Change::NoIntermediate { &middle_pem } else { "" }
}

async fn serve(program: &Program, roots: &str, redirect: u16, change: Change) -> Serving {
    let mut client = ClientOptions::new(AddressPolicy::Any);
    client.pins = vec![Pin { host: HOST.to_owned(), addresses: vec![[127, 0, 0, 1].into()] }];
    client.extra_roots_pem = Some(roots.as_bytes().to_vec());
    let port = free_port();
    let mut sets = vec![
        "tls.certificate=tls/chain.pem".to_owned(),
        "tls.key=tls/key.pem".to_owned(),
        format!("public_url=https://{HOST}:{port}"),
    ];
    if change == Change::AlsoTls12 {
        sets.push("tls.min_version=1.2".to_owned());
    }
    if change != Change::NoRedirect {
        sets.push(format!("listen.redirect=127.0.0.1:{redirect}"));
    }
    let args: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    program.serve_at(port, client, &format!("https://{HOST}"), &args).await
}

/// The four outcomes, and all that was recorded.
async fn judged(change: Change) -> (Vec<(&'static str, String)>, String) {
    let program = Program::new();
    let roots = put(&program, change);
    let redirect = free_port();
    let serving = serve(&program, &roots, redirect, change).await;
    // What stands on the plain port where no redirect does: an instance without TLS.
    let careless = Program::new();
    let plain = if change == Change::NoRedirect { Some(careless.serve(&[]).await) } else { None };
    let plain_port = plain.as_ref().map_or(redirect, |plain| port_of(&plain.url));

    let mut target = Target::new("own", &serving.url).expect("a URL");
    let live = Route::new(Method::GET, "/healthz").public().kind(RouteKind::Live);
    target.inventory = Inventory::generated(vec![live], "the test");
    let root = roots.split_inclusive("-----END CERTIFICATE-----\n").next().expect("a root").to_owned();
    target.edge = Some(Edge {
        http_port: Some(plain_port),
        ca: Some(CertificateFile { origin: "the test".to_owned(), pem: root }),
        resolve: [(HOST.to_owned(), vec![[127, 0, 0, 1].into()])].into(),
        complete_by: Some("the test".to_owned()),
        ..Edge::default()
    });
    let mut options = Options::new(Arc::new(SystemClock::new()));
    options.only = IDS.iter().map(|id| Selector::parse(id).expect("an id")).collect();
    let report = Box::pin(run(target, &options, &Quiet)).await;
    let told = format!("{report:?}");
    let outcomes = report.outcomes.iter().map(|one| (one.outcome.word(), one.outcome.reason())).collect();
    for running in [Some(serving), plain].into_iter().flatten() {
        running.stop();
    }
    (outcomes, told)
}

fn port_of(url: &str) -> u16 {
    url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_listener_passes_the_checks_of_its_edge_and_each_is_red_when_it_is_broken() {
    let cases = [
        (Change::Nothing, ["pass", "pass", "pass", "pass"], "strong suites not taken; weak suites not taken"),
        (Change::AlsoTls12, ["pass", "pass", "pass", "pass"], "strong suites taken, with TLS_"),
        (Change::EndsSoon, ["pass", "pass", "fail", "pass"], "renew it now"),
        (Change::NoIntermediate, ["pass", "fail", "pass", "pass"], "Own Issuing`, which was not sent"),
        (Change::NoRedirect, ["fail", "pass", "pass", "pass"], "a redirect to HTTPS is wanted"),
    ];
    for (change, wanted, says) in cases {
        let (outcomes, told) = Box::pin(judged(change)).await;
        let words: Vec<&str> = outcomes.iter().map(|(word, _)| *word).collect();
        assert_eq!(words, wanted, "{change:?}: {outcomes:#?}");
        assert!(told.contains(says), "{change:?}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_cannot_take_all_connections_of_the_operator_plane() {
    let program = Program::new();
    let serving = program.serve(&["--set", "limits.header_timeout_ms=60000"]).await;
    let plane: std::net::SocketAddr = program.operator().parse().expect("an address");
    let mut held = Vec::new();
    for _ in 0..70 {
        held.push(tokio::net::TcpStream::connect(plane).await.expect("connected"));
    }
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.2:0".parse().expect("an address")).expect("an address of this machine");
    let mut other = socket.connect(plane).await.expect("connected");
    other.write_all(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").await.expect("sent");
    let mut answer = [0; 9];
    let answered = tokio::time::timeout(Duration::from_secs(20), other.read_exact(&mut answer)).await;
    answered.expect("another address is answered").expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 ");
    drop(held);
    assert_eq!(serving.stop(), Some(0));
}

/// The outcome of the drill EDGE-11 on a served instance with these settings, and what was said of it.
async fn drilled(settings: &[&str]) -> (String, String) {
    let program = Program::new();
    program.ok(&["community", "create", "bakers"]);
    let key = program.ok(&["key", "create", "--community", "bakers", "ada", "--ability", "chat,personal"]);
    std::fs::write(program.path().join("ada.key"), key.trim()).expect("a file");
    let settings: Vec<&str> = settings.iter().flat_map(|set| ["--set", set]).collect();
    let serving = program.serve(&settings).await;
    let target = format!(
        r#"name = "own"
base_url = "{url}"
inventory = {{ complete_by = "the test" }}
identity = [{{ name = "ada", community = "bakers", role = "member", bearer = "file:ada.key" }}]
route = [{{ method = "GET", path = "/v1/me", auth = "required" }}]
[load]
consent = "the test"
requests_per_second = 100
asked = {{ method = "GET", path = "/readyz", auth = "public" }}
plan = {{ who = "the test", evidence = "none", seen = "{now}" }}
[load.drops]
base_url = "http://{operator}"
operator = "file:secrets/operator_token"
route = {{ method = "GET", path = "/metrics" }}
line = 'status="4xx"'
"#,
        url = serving.url,
        now = SystemClock::new().now(),
        operator = program.operator(),
    );
    std::fs::write(program.path().join("target.toml"), target).expect("a file");
    let (program, output) = tokio::task::spawn_blocking(move || {
        let args = [
            "check",
            "--target",
            "target.toml",
            "--allow",
            "drills",
            "--only",
            "EDGE-11",
            "--format",
            "json",
        ];
        let output = program.run(&args);
        (program, output)
    })
    .await
    .expect("the check ran");
    let told = format!("{}\n{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(serving.stop(), Some(0), "{}", program.log());
    let report: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {told}"));
    let outcomes = report["outcomes"].as_array().expect("outcomes");
    let drill = outcomes.iter().find(|outcome| outcome["id"] == "EDGE-11").expect("it was judged");
    (drill["outcome"].as_str().expect("a word").to_owned(), drill.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_finds_a_served_instance_up_under_a_flood() {
    let (outcome, told) = Box::pin(drilled(&[])).await;
    assert_eq!(outcome, "pass", "{told}");
    assert!(told.contains("50 slow connections"), "{told}");
}
