//! The plain-HTTP listener that only redirects.

use std::net::SocketAddr;
use std::time::Duration;

use portcullis_core::{Tasks, Tier};
use portcullis_http::{Server, ServerLimits, redirect};
use portcullis_store::NewCommunity;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::app::{Setup, TestApp};

struct Redirecting {
    address: SocketAddr,
    app: TestApp,
}

async fn start(origin: &str) -> Redirecting {
    let app = TestApp::start(Setup { origin: origin.to_owned(), ..Setup::default() }).await;
    let limits = ServerLimits {
        connections: 10,
        per_address: 10,
        header_timeout: Duration::from_secs(5),
        header_bytes: 16_384,
        write_timeout: Duration::from_secs(5),
        drain: Duration::from_secs(1),
    };
    let server = Server::bind("127.0.0.1:0".parse().expect("an address"), limits).await.expect("a port");
    let address = server.address().expect("an address");
    #[expect(clippy::disallowed_methods, reason = "ends with the test")]
    tokio::spawn(server.serve(redirect(&app.served), Tasks::new()));
    Redirecting { address, app }
}

async fn say(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let request = request.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("text");
    answer
}

fn location(answer: &str) -> Option<&str> {
    answer.lines().find_map(|line| line.strip_prefix("location: "))
}

#[tokio::test]
async fn every_method_and_path_leads_to_the_same_place_behind_tls() {
    let redirecting = start("https://chat.example.org").await;
    let address = redirecting.address;
    for method in ["GET", "POST", "DELETE", "OPTIONS", "BREW"] {
        for (path, host) in [
            ("/", "chat.example.org"),
            ("/v1/chat?a=b&c=%0d%0ad", "CHAT.example.org:80"),
            ("//evil.example/x", "chat.example.org"),
            ("/\\evil.example", "chat.example.org"),
            ("/.well-known/acme-challenge/x", "chat.example.org"),
        ] {
            let answer = say(address, &format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
            assert!(answer.starts_with("HTTP/1.1 308 "), "{method} {path}: {answer}");
            assert_eq!(location(&answer), Some(&*format!("https://chat.example.org{path}")));
            assert!(answer.ends_with("\r\n\r\n"), "no body: {answer}");
            assert!(!answer.to_lowercase().contains("strict-transport"), "RFC 6797 section 7.2");
        }
    }
    let port = start("https://chat.example.org:8443").await;
    let answer = say(port.address, "GET /a HTTP/1.1\r\nHost: chat.example.org\r\n\r\n").await;
    assert_eq!(location(&answer), Some("https://chat.example.org:8443/a"));
    let v6 = start("https://[::1]:8443").await;
    assert_eq!(
        location(&say(v6.address, "GET /a HTTP/1.1\r\nHost: [::1]\r\n\r\n").await),
        Some("https://[::1]:8443/a")
    );
}

#[tokio::test]
async fn another_host_is_not_answered_for_and_never_repeated() {
    let redirecting = start("https://chat.example.org").await;
    let address = redirecting.address;
    for (head, status) in [
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n", "421"),
        ("GET / HTTP/1.1\r\nHost: chat.example.org.evil.example\r\n", "421"),
        ("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n", "421"),
        // The target counts where it names a host.
        ("GET http://evil.example/ HTTP/1.1\r\nHost: chat.example.org\r\n", "421"),
        ("GET / HTTP/1.1\r\nHost: chat.example.org@evil.example\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: evil.example\r\nHost: chat.example.org\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: evil.example/x\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost:\r\n", "400"),
        ("GET / HTTP/1.1\r\n", "400"),
        ("GET / HTTP/1.0\r\n", "400"),
        ("OPTIONS * HTTP/1.1\r\nHost: chat.example.org\r\n", "400"),
    ] {
        let answer = say(address, &format!("{head}X-Forwarded-Host: evil.example\r\n\r\n")).await;
        assert_eq!(answer.split(' ').nth(1), Some(status), "{head}: {answer}");
        assert!(location(&answer).is_none() && !answer.contains("evil"), "{answer}");
    }
    let answer =
        say(address, "GET http://chat.example.org/x HTTP/1.1\r\nHost: chat.example.org\r\n\r\n").await;
    assert_eq!(location(&answer), Some("https://chat.example.org/x"));
}

#[tokio::test]
async fn a_body_is_neither_wanted_nor_repeated() {
    let redirecting = start("https://chat.example.org").await;
    let address = redirecting.address;
    let body = "PRIVATE-CANARY".repeat(10);
    let request = format!(
        "POST /v1 HTTP/1.1\r\nHost: chat.example.org\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = say(address, &request).await;
    assert!(answer.starts_with("HTTP/1.1 308 ") && !answer.contains("CANARY"), "{answer}");
}

#[tokio::test]
async fn the_host_of_a_community_leads_to_its_own_address() {
    let redirecting = start("https://chat.example.org:8443").await;
    let own = NewCommunity {
        slug: "bakers".to_owned(),
        name: "Bakers".to_owned(),
        host: Some("bot.bakers.example".to_owned()),
        tier: Tier::Standard,
    };
    redirecting.app.stores.directory.create(own).await.expect("a community");
    for host in ["bot.bakers.example", "BOT.bakers.example:80"] {
        let answer = say(redirecting.address, &format!("GET /a?b HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(location(&answer), Some("https://bot.bakers.example:8443/a?b"), "{answer}");
    }
    let other = say(redirecting.address, "GET / HTTP/1.1\r\nHost: bot.potters.example\r\n\r\n").await;
    assert!(other.starts_with("HTTP/1.1 421 "), "{other}");
}
