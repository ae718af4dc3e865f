//! `serve` with a certificate: what members and their browsers meet.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use portcullis_egress::{AddressPolicy, Options, Pin};
use rcgen::generate_simple_self_signed;

use crate::program::{Program, free_port, signal, text};

const HOST: &str = "chat.example.org";

/// Puts a certificate for a host in place and gives it, to be trusted.
fn put(program: &Program, host: &str) -> String {
    let made = generate_simple_self_signed([host.to_owned()]).expect("a certificate");
    fs::create_dir_all(program.path().join("tls")).expect("a folder");
    fs::write(program.path().join("tls/chain.pem"), made.cert.pem()).expect("written");
    let key = program.path().join("tls/key.pem");
    fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    fs::set_permissions(key, fs::Permissions::from_mode(0o600)).expect("a mode");
    made.cert.pem()
}

const TLS: &[&str] = &[
    "--set",
    "tls.certificate=tls/chain.pem",
    "--set",
    "tls.key=tls/key.pem",
    "--set",
    "public_url=https://chat.example.org",
];

fn client(roots: &[&str]) -> Options {
    let mut options = Options::new(AddressPolicy::Any);
    options.pins = vec![Pin { host: HOST.to_owned(), addresses: vec![IpAddr::from([127, 0, 0, 1])] }];
    options.extra_roots_pem = Some(roots.concat().into_bytes());
    options.pool_idle_per_host = 0;
    options
}

fn say(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    text(&answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_served_over_tls_and_led_there_from_http() {
    let program = Program::new();
    let root = put(&program, HOST);
    let port = free_port();
    let redirect = format!("listen.redirect=127.0.0.1:{port}");
    let serving = program
        .serve_to(client(&[&root]), "https://chat.example.org", &[TLS, &["--set", &redirect]].concat())
        .await;
    let (status, _) = serving.send(Method::GET, "/healthz", "", None).await;
    assert_eq!(status, StatusCode::OK);
    assert!(program.log().contains("serves on https://"), "{}", program.log());

    let request = "GET /healthz?a=b HTTP/1.1\r\nHost: chat.example.org\r\nConnection: close\r\n\r\n";
    let led = say(port, request);
    assert!(led.starts_with("HTTP/1.1 308 "), "{led}");
    assert!(led.contains("\r\nlocation: https://chat.example.org/healthz?a=b\r\n"), "{led}");
    let tls_port: u16 = serving.url.rsplit(':').next().expect("a port").parse().expect("a port");
    assert!(!say(tls_port, request).contains("HTTP/"), "plain HTTP on the port of TLS");

    // It judges itself over TLS, with the certificate that it has.
    let listen = format!("listen.member=127.0.0.1:{tls_port}");
    let check = ["check", "--only", "EDGE-07,DPL-07", "--format", "json", "--set", &listen];
    let judged = program.run(&[&check, TLS].concat());
    let report: serde_json::Value = serde_json::from_slice(&judged.stdout).expect("a report");
    assert_eq!(judged.status.code(), Some(0), "{report:#}");

    // As many files as the system allows.
    let limits = fs::read_to_string(format!("/proc/{}/limits", serving.id())).expect("limits");
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("a line");
    let mut files = files.split_whitespace();
    assert_eq!(files.next(), files.next());
    assert_eq!(serving.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_taken_on_a_signal() {
    let program = Program::new();
    let first = put(&program, HOST);
    let made = generate_simple_self_signed([HOST.to_owned()]).expect("a certificate");
    // Trusts the one that is to come, and the one that is there.
    let second = made.cert.pem();
    let serving = program.serve_to(client(&[&first, &second]), "https://chat.example.org", TLS).await;
    let wait = |words: &'static str| {
        let started = Instant::now();
        while !program.log().contains(words) {
            assert!(started.elapsed() < Duration::from_secs(20), "{}", program.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    fs::write(program.path().join("tls/chain.pem"), &second).expect("written");
    signal(serving.id(), "HUP");
    wait("the one before it stays in use");
    assert_eq!(serving.send(Method::GET, "/healthz", "", None).await.0, StatusCode::OK);
    fs::write(program.path().join("tls/key.pem"), made.signing_key.serialize_pem()).expect("written");
    signal(serving.id(), "HUP");
    wait("the TLS certificate was renewed");
    assert_eq!(serving.send(Method::GET, "/healthz", "", None).await.0, StatusCode::OK);
    assert!(!program.log().contains("PRIVATE KEY"));
    assert_eq!(serving.stop(), Some(0));
}

#[test]
fn a_certificate_that_cannot_be_used_is_told_before_anything_listens() {
    let program = Program::new();
    put(&program, "other.example.org");
    for command in [&["serve"][..], &["config", "check"]] {
        let refused = program.run(&[command, TLS].concat());
        assert_eq!(refused.status.code(), Some(2));
        let told = text(&refused.stderr);
        assert!(told.contains("is not for `chat.example.org`, the host of `public_url`"), "{told}");
    }
    put(&program, HOST);
    program.ok(&[&["config", "check"], TLS].concat());
}
