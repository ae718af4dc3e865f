//! Against a real mail server.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use portcullis_config::Environment;
use portcullis_core::Tasks;
use portcullis_mail::{Error, Mail, Message, Outbox, Postman, PostmanOptions, Security, Smtp};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::world::{TO, certificate, clock, message, options, sender, smtp};

const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/server.py");
const PASSWORD: &str = "Rk2vN8xQ5tZ7mC4wL9pJ3hY6";

/// Says that a test was skipped, or fails it where the component is required.
fn skip(what: &str, why: &str) {
    let required = Environment::from_process().text("PORTCULLIS_REQUIRE").unwrap_or_default().to_owned();
    let wanted = required.split(',').any(|word| word == what || word == "all");
    assert!(!wanted, "{what} is required and not there: {why}");
    println!("SKIPPED {what}: {why}");
}

/// The server, which ends with its value.
struct Server {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    port: u16,
    /// The certificate that it shows.
    root: String,
    _folder: TempDir,
}

impl Server {
    /// Starts it, or says that there is none.
    async fn start(name: &str, security: &str, more: Value) -> Option<Self> {
        let environment = Environment::from_process();
        let Some(python) = environment.text("PORTCULLIS_TEST_SMTP_PYTHON") else {
            skip("aiosmtpd", "PORTCULLIS_TEST_SMTP_PYTHON names no interpreter");
            return None;
        };
        let folder = tempfile::tempdir().expect("a folder");
        let made = certificate(name);
        let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        std::fs::write(&cert, made.cert.pem()).expect("the certificate is written");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("the key is written");
        let mut settings = json!({ "security": security, "certificate": cert, "key": key });
        for (name, value) in more.as_object().expect("a table") {
            settings[name] = value.clone();
        }
        let mut child = Command::new(python)
            .args([SERVER, &settings.to_string()])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the server starts");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut server = Self { _child: child, lines, port: 0, root: made.cert.pem(), _folder: folder };
        let port = server.line().await["port"].as_u64().expect("a port");
        server.port = u16::try_from(port).expect("a port");
        Some(server)
    }

    async fn line(&mut self) -> Value {
        let line = timeout(Duration::from_secs(30), self.lines.next_line()).await.expect("the server speaks");
        serde_json::from_str(&line.expect("its output").expect("it is running")).expect("JSON")
    }
}

/// What the message is, byte for byte: the outbox writes it from the same sender at the same time.
async fn written(smtp_sender: portcullis_mail::Sender) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let outbox = Outbox::open(folder.path().join("out"), smtp_sender, clock()).expect("an outbox");
    outbox.send(message()).await.expect("written");
    let file = std::fs::read_dir(folder.path().join("out")).expect("a folder").next().expect("a file");
    std::fs::read_to_string(file.expect("a file").path()).expect("text")
}

#[tokio::test]
async fn a_message_arrives_byte_for_byte_over_each_kind_of_tls() {
    for (word, security) in [("starttls", Security::StartTls), ("tls", Security::Tls)] {
        let Some(mut server) = Server::start("localhost", word, json!({ "password": PASSWORD })).await else {
            return;
        };
        let sender = sender();
        let options =
            options("localhost", server.port, security, Some(&server.root), Some(("portcullis", PASSWORD)));
        let smtp = Smtp::new(options, sender.clone(), clock()).expect("a way");
        smtp.ping().await.expect("the server is there");
        smtp.send(message()).await.expect("the server takes it");
        let taken = server.line().await;
        assert_eq!(taken["content"].as_str().expect("text"), written(sender).await);
        assert_eq!((&taken["from"], &taken["to"]), (&json!("no-reply@example.org"), &json!([TO])));
        assert_eq!((&taken["tls"], &taken["login"]), (&json!(true), &json!("portcullis")));
    }
}

#[tokio::test]
async fn a_certificate_that_does_not_hold_is_refused_before_a_word_is_said() {
    for (word, security) in [("starttls", Security::StartTls), ("tls", Security::Tls)] {
        // Trusted, for another name; and for this name, not trusted.
        let Some(other) = Server::start("mail.example.org", word, json!({})).await else { return };
        let root = other.root.clone();
        let refused =
            smtp(other.port, security, Some(&root), Some(("portcullis", PASSWORD))).send(message()).await;
        assert_eq!(refused, Err(Error::Tls), "{word}");
        let Some(unknown) = Server::start("localhost", word, json!({})).await else { return };
        let refused = smtp(unknown.port, security, None, None).send(message()).await;
        assert_eq!(refused, Err(Error::Tls), "{word}");
        let refused = smtp(unknown.port, security, Some(&root), None).ping().await;
        assert_eq!(refused, Err(Error::Tls), "{word}");
    }
}

#[tokio::test]
async fn a_server_that_offers_no_encryption_is_told_nothing() {
    let Some(server) = Server::start("localhost", "none", json!({ "password": PASSWORD })).await else {
        return;
    };
    let root = server.root.clone();
    let refused = smtp(server.port, Security::StartTls, Some(&root), Some(("portcullis", PASSWORD)))
        .send(message())
        .await;
    assert_eq!(refused, Err(Error::NotOffered("encryption (`STARTTLS`)")));
    let refused = smtp(server.port, Security::Tls, Some(&root), None).send(message()).await;
    assert_eq!(refused, Err(Error::Tls));
    // On loopback and by name it may be plain.
    smtp(server.port, Security::Loopback, None, Some(("portcullis", PASSWORD)))
        .send(message())
        .await
        .expect("taken");
}

#[tokio::test]
async fn a_wrong_login_is_told_apart_and_not_repeated() {
    let Some(server) = Server::start("localhost", "starttls", json!({ "password": PASSWORD })).await else {
        return;
    };
    for login in [Some(("portcullis", "wrong")), None] {
        let error = smtp(server.port, Security::StartTls, Some(&server.root), login)
            .send(message())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Login(530 | 535)), "{error}");
        assert!(!error.is_temporary());
    }
}

#[tokio::test]
async fn a_temporary_refusal_is_tried_again_and_a_final_one_is_not() {
    let answers =
        json!({ "answers": ["451 4.3.0 later", "250 taken", "550 5.1.1 <member@example.net> is unknown"] });
    let Some(mut server) = Server::start("localhost", "starttls", answers).await else { return };
    let smtp = smtp(server.port, Security::StartTls, Some(&server.root), None);
    let tasks = Tasks::new();
    let options = PostmanOptions { back_off: Duration::from_millis(1), ..PostmanOptions::default() };
    let postman = Postman::start(Arc::new(smtp), &tasks, options);

    postman.send(message()).await.expect("taken");
    let (first, second) = (server.line().await, server.line().await);
    assert_eq!(first["answer"], "451 4.3.0 later");
    let id = |taken: &Value| {
        let content = taken["content"].as_str().expect("text").to_owned();
        content.lines().find(|line| line.starts_with("Message-ID: ")).expect("an id").to_owned()
    };
    assert_eq!(id(&first), id(&second), "tried again is the same message");

    postman.send(Message { subject: "second".to_owned(), ..message() }).await.expect("taken");
    assert!(server.line().await["answer"].as_str().expect("text").starts_with("550"));
    assert_eq!(tasks.close(Duration::from_secs(20)).await, 0);
    let counts = postman.counts();
    assert_eq!((counts.sent, counts.retried, counts.failed, counts.lost), (1, 1, 1, 0));
    assert_eq!(postman.send(message()).await, Err(Error::Closed));
}

#[tokio::test]
async fn an_error_holds_nothing_that_the_server_wrote() {
    let answers = json!({ "answers": ["550 5.1.1 <member@example.net> is unknown"] });
    let Some(server) = Server::start("localhost", "starttls", answers).await else { return };
    let error =
        smtp(server.port, Security::StartTls, Some(&server.root), None).send(message()).await.unwrap_err();
    assert_eq!(error, Error::Refused(550));
    assert!(!format!("{error} {error:?}").contains("member"));
}
