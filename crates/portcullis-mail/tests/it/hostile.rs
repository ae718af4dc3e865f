//! Servers that misbehave, and strangers in the middle.

use std::sync::Arc;
use std::time::Duration;

use portcullis_mail::{Error, Mail, Security};
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::world::{certificate, message, smtp, try_smtp, within};

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

/// Speaks the given answers, one for the connection and one for each command; returns the commands. The message
/// itself gets the answer after that of `DATA`.
async fn speak<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, answers: &[&str]) -> Vec<String> {
    let mut stream = BufReader::new(stream);
    let mut heard: Vec<String> = Vec::new();
    for (number, answer) in answers.iter().enumerate() {
        if number > 0 {
            let in_message = heard.last().is_some_and(|last| last == "DATA");
            let mut line = String::new();
            while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
                if !in_message || line.ends_with("\r\n.\r\n") {
                    break;
                }
            }
            heard.push(line.trim_end().to_owned());
        }
        stream.write_all(answer.as_bytes()).await.expect("sent");
    }
    heard
}

const PLAIN: &[&str] =
    &["220 mx\r\n", "250 mx\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n", "250 taken\r\n"];

#[tokio::test]
async fn a_server_that_falls_silent_is_given_up_in_time_wherever_it_does() {
    for known in 0..PLAIN.len() {
        let (listener, port) = listener().await;
        let smtp = within(Duration::from_millis(150), port, Security::Loopback);
        let (sent, ()) = tokio::join!(smtp.send(message()), async {
            let mut stream = listener.accept().await.expect("a connection").0;
            speak(&mut stream, PLAIN.get(..known).expect("answers")).await;
            // Until the client has left.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        });
        assert_eq!(sent, Err(Error::TimedOut), "silent after {known} answers");
    }
}

#[tokio::test]
async fn a_taken_message_is_sent_though_the_server_says_no_goodbye() {
    for goodbye in ["", "500 what\r\n"] {
        let (listener, port) = listener().await;
        let smtp = smtp(port, Security::Loopback, None, None);
        let (sent, heard) = tokio::join!(smtp.send(message()), async {
            let mut stream = listener.accept().await.expect("a connection").0;
            let answers = PLAIN.iter().copied().chain([goodbye]).collect::<Vec<_>>();
            speak(&mut stream, &answers).await
        });
        assert_eq!(sent, Ok(()));
        assert_eq!(heard.first().map(String::as_str), Some("EHLO chat.example.org"));
        assert_eq!(heard.last().map(String::as_str), Some("QUIT"));
    }
}

/// CVE-2011-0411 and its kin, from the client's side: words behind the answer to `STARTTLS` are not the server's.
#[tokio::test]
async fn words_slipped_in_before_the_handshake_break_it() {
    let made = certificate("localhost");
    let (listener, port) = listener().await;
    let smtp = smtp(port, Security::StartTls, Some(&made.cert.pem()), Some(("portcullis", "word")));
    let (sent, heard) = tokio::join!(smtp.send(message()), async {
        let mut stream = listener.accept().await.expect("a connection").0;
        let slipped = "220 go\r\n250-mx\r\n250 AUTH LOGIN\r\n235 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n221 bye\r\n";
        let heard = speak(&mut stream, &["220 mx\r\n", "250-mx\r\n250 STARTTLS\r\n", slipped]).await;
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let _ = secured(stream, made.cert.der().clone(), key).await;
        heard
    });
    assert_eq!(sent, Err(Error::Tls));
    assert_eq!(heard, ["EHLO chat.example.org", "STARTTLS"]);
}

async fn secured(
    stream: TcpStream,
    certificate: rustls_pki_types::CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
) -> std::io::Result<tokio_rustls::server::TlsStream<TcpStream>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a pair");
    TlsAcceptor::from(Arc::new(config)).accept(stream).await
}

#[tokio::test]
async fn an_offer_that_is_withdrawn_ends_the_connection() {
    for (answers, error) in [
        (&["220 mx\r\n", "250-mx\r\n250 AUTH PLAIN\r\n"][..], Error::NotOffered("encryption (`STARTTLS`)")),
        (
            &["220 mx\r\n", "250-mx\r\n250 STARTTLS\r\n", "454 4.7.0 not now\r\n", "221 bye\r\n"][..],
            Error::Later(454),
        ),
        (&["220 mx\r\n", "250-mx\r\n250 STARTTLS\r\n", "502 no\r\n", "221 bye\r\n"][..], Error::Refused(502)),
    ] {
        let (listener, port) = listener().await;
        let smtp = smtp(port, Security::StartTls, None, Some(("portcullis", "word")));
        let (sent, heard) = tokio::join!(smtp.send(message()), async {
            let mut stream = listener.accept().await.expect("a connection").0;
            speak(&mut stream, answers).await
        });
        assert_eq!(sent, Err(error));
        assert!(heard.iter().all(|line| !line.starts_with("AUTH") && !line.starts_with("MAIL")), "{heard:?}");
    }
}

#[tokio::test]
async fn a_server_without_a_login_gets_no_message_from_one_who_should_have_one() {
    for offers in ["250 mx\r\n", "250-mx\r\n250 AUTH XOAUTH2 GSSAPI\r\n"] {
        let (listener, port) = listener().await;
        let smtp = smtp(port, Security::Loopback, None, Some(("portcullis", "word")));
        let (sent, heard) = tokio::join!(smtp.send(message()), async {
            let mut stream = listener.accept().await.expect("a connection").0;
            speak(&mut stream, &["220 mx\r\n", offers, "250 ok\r\n"]).await
        });
        assert_eq!(sent, Err(Error::NotOffered("a login with a password")));
        assert_eq!(heard, ["EHLO chat.example.org", ""], "the connection is closed");
    }
}

#[tokio::test]
async fn what_is_no_mail_server_is_told_apart() {
    let endless = format!("220-{}\r\n", "x".repeat(500)).repeat(1_000);
    for (greeting, error) in [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", Error::Malformed),
        (endless.as_str(), Error::Malformed),
        ("", Error::Malformed),
        ("421 too busy\r\n", Error::Later(421)),
        ("554 go away\r\n", Error::Refused(554)),
    ] {
        let (listener, port) = listener().await;
        let smtp = smtp(port, Security::Loopback, None, None);
        let (pinged, ()) = tokio::join!(smtp.ping(), async {
            let mut stream = listener.accept().await.expect("a connection").0;
            // The client may leave in the middle of the endless one.
            let _ = stream.write_all(greeting.as_bytes()).await;
        });
        assert_eq!(pinged, Err(error), "{}", greeting.get(..10).unwrap_or(greeting));
    }
    let (listener, port) = listener().await;
    drop(listener);
    assert_eq!(smtp(port, Security::StartTls, None, None).ping().await, Err(Error::Unreachable));
}

#[tokio::test]
async fn nothing_is_sent_in_the_clear_to_another_machine() {
    // From the range for documentation: it must be refused before anything is dialled.
    for host in ["192.0.2.1", "[2001:db8::1]"] {
        let smtp = try_smtp(host, 25, Security::Loopback, None, Some(("portcullis", "word"))).expect("a way");
        let refused = tokio::time::timeout(Duration::from_secs(1), smtp.send(message())).await;
        assert_eq!(refused, Ok(Err(Error::NotLoopback)));
    }
}

#[test]
fn roots_that_are_none_are_refused_at_the_start() {
    for roots in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let made = try_smtp("localhost", 25, Security::Tls, Some(roots), None);
        assert_eq!(made.err(), Some(Error::Tls), "{roots}");
    }
}
