//! What the tests share: a sender, a message, certificates.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use portcullis_core::{Clock, ManualClock};
use portcullis_mail::{Error, Login, Message, Security, Sender, Smtp, SmtpOptions};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};

pub(crate) const TO: &str = "member@example.net";

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(ManualClock::at("2026-05-04T03:02:01Z".parse::<Timestamp>().expect("a time")))
}

pub(crate) fn sender() -> Sender {
    Sender::new("no-reply@example.org", Some("The Bäcker Club"), "chat.example.org").expect("a sender")
}

/// A message with everything that a transport could change: dots at the beginning of lines, long lines, white space at
/// the end of lines, letters outside ASCII, an empty last line.
pub(crate) fn message() -> Message {
    let text = format!(
        "Grüße,\n.\n..dots\n.QUIT\nhttps://chat.example.org/login/verify?token={}\nspace \ttab\t\nFrom here\n\n",
        "x".repeat(300)
    );
    Message { to: TO.to_owned(), subject: "Anmelden für „Bäcker“".to_owned(), text }
}

pub(crate) fn certificate(name: &str) -> CertifiedKey<KeyPair> {
    generate_simple_self_signed([name.to_owned()]).expect("a certificate")
}

/// A way to a server on this machine that trusts `roots` beside the web's.
pub(crate) fn smtp(port: u16, security: Security, roots: Option<&str>, login: Option<(&str, &str)>) -> Smtp {
    try_smtp("localhost", port, security, roots, login).expect("a way to the server")
}

pub(crate) fn try_smtp(
    host: &str,
    port: u16,
    security: Security,
    roots: Option<&str>,
    login: Option<(&str, &str)>,
) -> Result<Smtp, Error> {
    let options = options(host, port, security, roots, login);
    Smtp::new(options, sender(), clock())
}

/// As [`smtp`], without TLS roots and with another time-out.
pub(crate) fn within(timeout: Duration, port: u16, security: Security) -> Smtp {
    let options = SmtpOptions { timeout, ..options("localhost", port, security, None, None) };
    Smtp::new(options, sender(), clock()).expect("a way to the server")
}

pub(crate) fn options(
    host: &str,
    port: u16,
    security: Security,
    roots: Option<&str>,
    login: Option<(&str, &str)>,
) -> SmtpOptions {
    let secret = |text: &str| portcullis_core::Secret::new(text.to_owned());
    SmtpOptions {
        host: host.to_owned(),
        port,
        security,
        login: login.map(|(name, word)| Login { username: secret(name), password: secret(word) }),
        extra_roots_pem: roots.map(|pem| pem.as_bytes().to_vec()),
        timeout: Duration::from_secs(10),
    }
}
