//! The listener with a certificate: what it speaks, to whom, for how long, and with which pair.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use jiff::{SignedDuration, Timestamp};
use portcullis_config::Environment;
use portcullis_core::{Clock, SystemClock, Tasks};
use portcullis_http::{Looked, OldestTls, Server, ServerLimits, Tls, TlsFault, TlsOptions};
use rcgen::date_time_ymd;
use rustls::client::Resumption;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, SupportedProtocolVersion};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::pairs::{HOST, Pairs};

const INSIDE: &str = "what only an encrypted request is told";

fn now() -> Timestamp {
    SystemClock::new().now()
}

/// A listener with a certificate.
struct Listener {
    address: SocketAddr,
    tls: Arc<Tls>,
    tasks: Tasks,
    pairs: Pairs,
}

impl Listener {
    async fn start(connections: usize, timeout: Duration, oldest: OldestTls) -> Self {
        let pairs = Pairs::new();
        let tls =
            Tls::open(TlsOptions { oldest, ..pairs.options() }, now()).expect("a pair that can be used");
        let tls = Arc::new(tls);
        let limits = ServerLimits {
            connections,
            per_address: connections,
            header_timeout: timeout,
            header_bytes: 16_384,
            write_timeout: Duration::from_secs(5),
            drain: Duration::from_secs(10),
        };
        let server = Server::bind("127.0.0.1:0".parse().expect("an address"), limits).await.expect("a port");
        let address = server.address().expect("an address");
        let tasks = Tasks::new();
        let router = Router::new().fallback(|| async { INSIDE });
        // Not counted, as in the program: it is what waits for the counted ones.
        #[expect(clippy::disallowed_methods, reason = "ends with the test")]
        tokio::spawn(server.with_tls(Arc::clone(&tls)).serve(router, tasks.clone()));
        Self { address, tls, tasks, pairs }
    }

    fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(self.pairs.roots())
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config
    }

    async fn connect(&self, config: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from(HOST).expect("a name");
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    async fn modern(&self) -> std::io::Result<TlsStream<TcpStream>> {
        self.connect(self.client(&[&rustls::version::TLS13])).await
    }
}

async fn usual() -> Listener {
    Listener::start(100, Duration::from_secs(10), OldestTls::Tls13).await
}

async fn ask(stream: &mut TlsStream<TcpStream>) -> String {
    let request = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(INSIDE.as_bytes()) {
        let mut buffer = [0; 1024];
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(read) => answer.extend_from_slice(&buffer[..read]),
        }
    }
    String::from_utf8(answer).expect("text")
}

#[tokio::test]
async fn tls_1_3_is_spoken_and_nothing_older() {
    let listener = usual().await;
    let mut stream = listener.connect(listener.client(rustls::ALL_VERSIONS)).await.expect("a connection");
    let session = stream.get_ref().1;
    assert_eq!(session.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert!(ask(&mut stream).await.starts_with("HTTP/1.1 200 OK"));
    let refused = listener.connect(listener.client(&[&rustls::version::TLS12])).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn tls_1_2_is_spoken_where_it_was_asked_for() {
    let listener = Listener::start(100, Duration::from_secs(10), OldestTls::Tls12).await;
    let mut stream =
        listener.connect(listener.client(&[&rustls::version::TLS12])).await.expect("a connection");
    let session = stream.get_ref().1;
    assert_eq!(session.protocol_version(), Some(ProtocolVersion::TLSv1_2));
    let suite = format!("{:?}", session.negotiated_cipher_suite().expect("a suite").suite());
    assert!(
        suite.starts_with("TLS_ECDHE_") && (suite.contains("GCM") || suite.contains("POLY1305")),
        "{suite}"
    );
    assert!(ask(&mut stream).await.contains(INSIDE));
    let modern = listener.connect(listener.client(rustls::ALL_VERSIONS)).await.expect("a connection");
    assert_eq!(modern.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_3));
}

#[tokio::test]
async fn plain_http_on_the_port_of_tls_is_told_nothing() {
    let listener = usual().await;
    for request in [
        "GET / HTTP/1.1\r\nHost: chat.example.org\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\0\0\0\0\0\0\0\0",
    ] {
        let mut stream = TcpStream::connect(listener.address).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        // At most a TLS alert.
        assert!(answer.len() <= 7 && !answer.starts_with(b"HTTP"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_session_is_resumed_without_early_data() {
    let listener = usual().await;
    let mut config = listener.client(&[&rustls::version::TLS13]);
    config.enable_early_data = true;
    config.resumption = Resumption::in_memory_sessions(8);
    let config = Arc::new(config);
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let stream = TcpStream::connect(listener.address).await.expect("a connection");
        let name = ServerName::try_from(HOST).expect("a name");
        let connector = TlsConnector::from(Arc::clone(&config));
        let mut stream = connector.connect(name, stream).await.expect("a handshake");
        assert!(ask(&mut stream).await.contains(INSIDE));
        kinds.push(stream.get_ref().1.handshake_kind());
    }
    assert_eq!(kinds, [Some(HandshakeKind::Full), Some(HandshakeKind::Resumed)]);
    // What the server gave to resume with allows no early data.
    let name = ServerName::try_from(HOST).expect("a name");
    let mut next = ClientConnection::new(config, name).expect("a connection");
    assert!(next.early_data().is_none());
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_and_a_bad_one_is_not() {
    let listener = usual().await;
    let shown = async || {
        let stream = listener.modern().await.expect("a connection");
        stream.get_ref().1.peer_certificates().expect("a certificate")[0].clone()
    };
    let first = shown().await;
    let mut open = listener.modern().await.expect("a connection");
    assert_eq!(listener.tls.look(now()), Looked::Same);

    let second = listener.pairs.made(HOST);
    listener.pairs.put(&second);
    assert_eq!(shown().await, first, "nothing changes before somebody looks");
    assert_eq!(listener.tls.look(now()), Looked::Renewed);
    assert_eq!(shown().await, second.der);
    assert!(ask(&mut open).await.contains(INSIDE), "a connection from before goes on");

    let third = listener.pairs.made(HOST);
    listener.pairs.put_files(&third.certificate, &second.key, 0o600);
    assert_eq!(listener.tls.look(now()), Looked::Kept(TlsFault::Mismatch));
    assert_eq!(listener.tls.look(now()), Looked::Same, "told once");
    assert_eq!(shown().await, second.der);
    listener.pairs.put_files("", "", 0o600);
    assert!(matches!(listener.tls.look(now()), Looked::Kept(TlsFault::NoCertificate(_))));
    std::fs::remove_file(listener.pairs.options().key).expect("removed");
    assert!(matches!(listener.tls.look(now()), Looked::Kept(TlsFault::Unreadable { .. })));
    assert_eq!(listener.tls.look(now()), Looked::Same, "told once");
    assert_eq!(shown().await, second.der);

    listener.pairs.put(&third);
    assert_eq!(listener.tls.look(now()), Looked::Renewed);
    assert_eq!(shown().await, third.der);
}

#[test]
fn a_certificate_that_counts_from_tomorrow_is_taken_tomorrow() {
    let pairs = Pairs::new();
    let today: Timestamp = "2026-05-04T12:00:00Z".parse().expect("a time");
    let tls = Tls::open(pairs.options(), today).expect("a pair");
    pairs.put(&pairs.with(HOST, |params| params.not_before = date_time_ymd(2026, 5, 5)));
    assert!(matches!(tls.look(today), Looked::Kept(TlsFault::Early { number: 1, .. })));
    assert_eq!(tls.look(today), Looked::Same);
    assert_eq!(tls.look(today + SignedDuration::from_hours(12)), Looked::Renewed);
    // At its end it stays: there is nothing better, and the log says so.
    assert_eq!(tls.look("2090-01-02T00:00:00Z".parse().expect("a time")), Looked::Same);
}

#[test]
fn a_pair_is_judged_before_it_is_used() {
    let pairs = Pairs::new();
    let today: Timestamp = "2026-05-04T12:00:00Z".parse().expect("a time");
    let open = || Tls::open(pairs.options(), today).map(|tls| tls.ends());
    assert_eq!(open().expect("a pair").to_string(), "2090-01-01T00:00:00Z");

    let (good, other) = (pairs.made(HOST), pairs.made("other.example.org"));
    let root = pairs.root_pem();
    let chain = format!("{}{root}", good.certificate);
    let fault = |certificate: &str, key: &str, mode| {
        pairs.put_files(certificate, key, mode);
        open().expect_err("the pair is refused")
    };
    assert_eq!(fault(&chain, &other.key, 0o600), TlsFault::Mismatch);
    assert_eq!(fault(&format!("{root}{}", good.certificate), &good.key, 0o600), TlsFault::Order(1));
    assert_eq!(
        fault(&format!("{}{}", good.certificate, other.certificate), &good.key, 0o600),
        TlsFault::Order(1)
    );
    assert_eq!(fault(&other.certificate, &other.key, 0o600), TlsFault::Name(HOST.to_owned()));
    for mode in [0o640, 0o604, 0o660] {
        assert!(matches!(fault(&chain, &good.key, mode), TlsFault::Exposed { .. }));
    }
    assert!(matches!(fault(&good.key, &good.key, 0o600), TlsFault::NoCertificate(_)));
    assert!(matches!(fault(&chain, &good.certificate, 0o600), TlsFault::NoKey(_)));
    assert!(matches!(fault(&chain, "", 0o600), TlsFault::NoKey(_)));
    let cut = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n";
    assert_eq!(fault(cut, &good.key, 0o600), TlsFault::Malformed(1));

    let ended = pairs.with(HOST, |params| params.not_after = date_time_ymd(2026, 5, 4));
    let at = "2026-05-04T00:00:00Z".parse().expect("a time");
    assert_eq!(fault(&ended.certificate, &ended.key, 0o600), TlsFault::Ended { number: 1, at });
    let early = pairs.with(HOST, |params| params.not_before = date_time_ymd(2026, 5, 5));
    assert!(matches!(fault(&early.certificate, &early.key, 0o600), TlsFault::Early { number: 1, .. }));
    let wild = pairs.made("*.example.org");
    pairs.put(&wild);
    assert!(open().is_ok());
    let address = pairs.made("127.0.0.1");
    pairs.put(&address);
    assert!(Tls::open(TlsOptions { host: "127.0.0.1".to_owned(), ..pairs.options() }, today).is_ok());
    assert_eq!(open(), Err(TlsFault::Name(HOST.to_owned())));
    let told =
        format!("{:?}", Tls::open(TlsOptions { host: "127.0.0.1".to_owned(), ..pairs.options() }, today));
    assert!(!told.contains("PRIVATE"), "{told}");
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_ended() {
    let listener = Listener::start(100, Duration::from_millis(200), OldestTls::Tls13).await;
    // Nothing, and the head of a record that never comes.
    for beginning in [&b""[..], &[0x16, 0x03, 0x01, 0x40, 0x00, 0x01]] {
        let mut stream = TcpStream::connect(listener.address).await.expect("a connection");
        stream.write_all(beginning).await.expect("sent");
        let began = Instant::now();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.is_empty() && began.elapsed() < Duration::from_secs(5), "{answer:?}");
    }
}

#[tokio::test]
async fn half_open_connections_do_not_hold_up_others() {
    let listener = Listener::start(50, Duration::from_secs(60), OldestTls::Tls13).await;
    let mut silent = Vec::new();
    for _ in 0..49 {
        silent.push(TcpStream::connect(listener.address).await.expect("a connection"));
    }
    for _ in 0..20 {
        let asked = tokio::time::timeout(Duration::from_secs(10), async {
            ask(&mut listener.modern().await.expect("a connection")).await
        });
        assert!(asked.await.expect("in time").contains(INSIDE));
    }
    drop(silent);

    // At the bound they are ended by their time.
    let listener = Listener::start(20, Duration::from_millis(200), OldestTls::Tls13).await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(TcpStream::connect(listener.address).await.expect("a connection"));
    }
    let asked = tokio::time::timeout(Duration::from_secs(10), async {
        ask(&mut listener.modern().await.expect("a connection")).await
    });
    assert!(asked.await.expect("in time").contains(INSIDE));
}

#[tokio::test]
async fn a_stop_does_not_wait_for_handshakes() {
    let listener = Listener::start(100, Duration::from_secs(60), OldestTls::Tls13).await;
    let _silent = TcpStream::connect(listener.address).await.expect("a connection");
    // Once another is served, the silent one before it has been accepted.
    ask(&mut listener.modern().await.expect("a connection")).await;
    let began = Instant::now();
    assert_eq!(listener.tasks.close(Duration::from_secs(30)).await, 0);
    assert!(began.elapsed() < Duration::from_secs(5));
}

/// Says that a test was skipped, or fails it where the component is required.
fn skip(what: &str, why: &str) {
    let required = Environment::from_process().text("PORTCULLIS_REQUIRE").unwrap_or_default().to_owned();
    let wanted = required.split(',').any(|word| word == what || word == "all");
    assert!(!wanted, "{what} is required and not there: {why}");
    println!("SKIPPED {what}: {why}");
}

/// Another implementation sees the same.
#[tokio::test]
async fn openssl_is_offered_what_it_should_be() {
    let found = Command::new("openssl").arg("version").stdout(Stdio::null()).status().await;
    if !found.is_ok_and(|status| status.success()) {
        return skip("openssl", "there is no such command");
    }
    let client = async |listener: &Listener, arguments: &[&str]| {
        let output = Command::new("openssl")
            .args([
                "s_client",
                "-connect",
                &listener.address.to_string(),
                "-servername",
                HOST,
                "-verify_hostname",
                HOST,
            ])
            .args(["-verify_return_error", "-CAfile"])
            .arg(listener.pairs.root_file())
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .await
            .expect("openssl runs");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let strict = usual().await;
    let (fine, told) = client(&strict, &["-tls1_3", "-alpn", "http/1.1"]).await;
    assert!(fine && told.contains("TLSv1.3") && told.contains("ALPN protocol: http/1.1"), "{told}");
    let (fine, told) = client(&strict, &["-tls1_2"]).await;
    assert!(!fine && !told.contains("BEGIN CERTIFICATE"), "{told}");

    let lenient = Listener::start(100, Duration::from_secs(10), OldestTls::Tls12).await;
    let (fine, told) = client(&lenient, &["-tls1_2"]).await;
    assert!(fine && told.contains("TLSv1.2") && told.contains("ECDHE"), "{told}");
    for weak in ["AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES128-SHA"] {
        let (fine, told) = client(&lenient, &["-tls1_2", "-cipher", weak]).await;
        assert!(!fine, "{weak}: {told}");
    }
    let (fine, _) = client(&lenient, &["-tls1_1"]).await;
    assert!(!fine);
}
