//! `[mail]`: a mail server or a folder, each with what it takes and nothing of the other.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use portcullis_core::Secret;
use portcullis_core::mail_address::is_mail_address;

use crate::codes::Code;
use crate::config::Reader;
use crate::diagnostic::{Diagnostic, Origin, Severity};
use crate::issuers::read_public;
use crate::keys;
use crate::secrets::{NamedSecrets, equal_secrets, material};
use crate::shape::{Fault, Shape, text};
use crate::text::Name;
use crate::url::Host;
use crate::value::{Value, quote, shown};

/// How mail is sent.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Mail {
    /// The address that mail comes from.
    pub from: MailAddress,
    /// The name that mail programs show beside it.
    pub from_name: Option<Name>,
    /// Where mail goes.
    pub route: MailRoute,
}

/// Where mail goes.
#[derive(Debug, Clone)]
pub enum MailRoute {
    /// To a mail server.
    Smtp(MailServer),
    /// Into a folder, for trying things out.
    Outbox {
        /// The folder.
        folder: PathBuf,
    },
}

/// A mail server and how it is spoken to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MailServer {
    /// Its name or address, which its certificate must be for.
    pub host: Host,
    /// Its port.
    pub port: u16,
    /// How the connection is protected; [`MailSecurity::None`] only where the host is a loopback address.
    pub security: MailSecurity,
    /// The login, if it wants one.
    pub login: Option<MailLogin>,
    /// Root certificates in PEM that are trusted beside those of the web.
    pub roots: Option<String>,
    /// The longest time for one message.
    pub timeout: Duration,
}

/// A login at a mail server.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MailLogin {
    /// The name.
    pub username: Name,
    /// The password, on one line.
    pub password: Secret<String>,
}

/// How a connection to a mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailSecurity {
    /// It begins in the clear and turns to TLS before anything is said.
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// None.
    None,
}

impl MailSecurity {
    pub(crate) const WORDS: &[(&str, Self)] =
        &[("starttls", Self::StartTls), ("tls", Self::Tls), ("none", Self::None)];

    /// The port that servers listen on for it (RFC 6409, RFC 8314, RFC 5321).
    const fn port(self) -> u16 {
        match self {
            Self::StartTls => 587,
            Self::Tls => 465,
            Self::None => 25,
        }
    }
}

/// The kinds that may be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MailKind {
    Smtp,
    Outbox,
}

impl MailKind {
    pub(crate) const WORDS: &[(&str, Self)] = &[("smtp", Self::Smtp), ("outbox", Self::Outbox)];
}

/// A mail address that can stand in a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailAddress(String);

impl MailAddress {
    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One mail address.
#[derive(Debug)]
pub(crate) struct OneMailAddress;

impl Shape for OneMailAddress {
    type Value = MailAddress;

    fn read(&self, value: &Value) -> Result<Self::Value, Vec<Fault>> {
        let text = text(value, "a mail address in quotes")?;
        if is_mail_address(text) {
            return Ok(MailAddress(text.to_owned()));
        }
        let wanted = "must be a mail address alone, such as `no-reply@example.org`";
        let fault = Fault::new(Code::Malformed, wanted).found(shown(text));
        Err(vec![if text.contains('<') { fault.help("put the name into `mail.from_name`") } else { fault }])
    }

    fn show(&self, value: &Self::Value) -> String {
        quote(value.as_str())
    }

    fn kind(&self) -> &'static str {
        "mail address"
    }
}

/// The name or address of a host.
#[derive(Debug)]
pub(crate) struct OneHost;

impl Shape for OneHost {
    type Value = Host;

    fn read(&self, value: &Value) -> Result<Self::Value, Vec<Fault>> {
        let text = text(value, "a host name in quotes")?;
        Host::parse(text).ok_or_else(|| {
            let wanted = "must be a host by DNS name or address, without scheme and port";
            let fault = Fault::new(Code::Malformed, wanted);
            // What stands before an `@` may be a password.
            vec![if text.contains('@') { fault } else { fault.found(shown(text)) }]
        })
    }

    fn show(&self, value: &Self::Value) -> String {
        quote(&value.to_string())
    }

    fn kind(&self) -> &'static str {
        "host"
    }

    fn range(&self) -> String {
        "DNS name or address, one of version 6 in brackets".to_owned()
    }
}

/// The settings of a mail server, which mean nothing to a folder.
const OF_SMTP: [&str; 7] = [
    keys::MAIL_HOST.name,
    keys::MAIL_PORT.name,
    keys::MAIL_SECURITY.name,
    keys::MAIL_USERNAME.name,
    keys::MAIL_PASSWORD.name,
    keys::MAIL_CA_FILE.name,
    keys::MAIL_TIMEOUT.name,
];

/// How mail is sent, if there is a `[mail]`; none if a fault was reported.
#[expect(
    clippy::option_option,
    reason = "the outer says whether it can be read, the inner whether it is set"
)]
pub(crate) fn read(r: &mut Reader<'_>, own: &NamedSecrets) -> Option<Option<Mail>> {
    let kind = r.optional(&keys::MAIL_KIND);
    let from = r.optional(&keys::MAIL_FROM);
    let from_name = r.optional(&keys::MAIL_FROM_NAME);
    let server = Server::read(r, own);
    let outbox = r.optional(&keys::MAIL_OUTBOX);
    if r.resolved.section("mail").is_none() {
        return Some(None);
    }
    r.require_in_table(&kind, &keys::MAIL_KIND);
    r.require_in_table(&from, &keys::MAIL_FROM);
    let route = match kind?? {
        MailKind::Smtp => {
            exclude(r, &[keys::MAIL_OUTBOX.name], "is for `outbox`; `smtp` takes `host`");
            r.require_in_table(&server.host, &keys::MAIL_HOST);
            server.finish().map(MailRoute::Smtp)
        }
        MailKind::Outbox => {
            exclude(r, &OF_SMTP, "is for `smtp`; `outbox` takes `outbox`");
            r.require_in_table(&outbox, &keys::MAIL_OUTBOX);
            outbox.flatten().map(|folder| MailRoute::Outbox { folder: r.base.join(folder) })
        }
    };
    Some(Some(Mail { from: from??, from_name: from_name?, route: route? }))
}

/// Refuses what was set and belongs to the other kind.
fn exclude(r: &mut Reader<'_>, names: &[&'static str], why: &str) {
    for name in names {
        if r.origin(name) != Origin::Default {
            r.report(name, Fault::new(Code::Excluded, why).help("remove it"), Severity::Error);
        }
    }
}

/// What was read of a server, each none if a fault was reported.
#[expect(clippy::option_option, reason = "as in `read`")]
struct Server {
    host: Option<Option<Host>>,
    port: Option<Option<usize>>,
    security: Option<MailSecurity>,
    login: Option<Option<MailLogin>>,
    roots: Option<Option<String>>,
    timeout: Option<Duration>,
}

impl Server {
    fn read(r: &mut Reader<'_>, own: &NamedSecrets) -> Self {
        Self {
            host: r.optional(&keys::MAIL_HOST),
            port: r.optional(&keys::MAIL_PORT),
            security: r.required(&keys::MAIL_SECURITY),
            login: login(r, own),
            roots: match r.optional(&keys::MAIL_CA_FILE) {
                Some(Some(path)) => roots(r, &path).map(Some),
                Some(None) => Some(None),
                None => None,
            },
            timeout: r.required(&keys::MAIL_TIMEOUT),
        }
    }

    fn finish(self) -> Option<MailServer> {
        let security = self.security?;
        let port = self.port?.map_or(Some(security.port()), |port| u16::try_from(port).ok());
        Some(MailServer {
            host: self.host.flatten()?,
            port: port?,
            security,
            login: self.login?,
            roots: self.roots?,
            timeout: self.timeout?,
        })
    }
}

#[expect(clippy::option_option, reason = "as in `read`")]
fn login(r: &mut Reader<'_>, own: &NamedSecrets) -> Option<Option<MailLogin>> {
    let username = r.optional(&keys::MAIL_USERNAME);
    let reference = r.optional(&keys::MAIL_PASSWORD);
    match (username?, reference?) {
        (None, None) => Some(None),
        (Some(username), Some(reference)) => {
            let password = r.fetch(keys::MAIL_PASSWORD.name, &reference)?;
            let mut faults = Vec::new();
            if password.expose().chars().any(char::is_control) {
                faults.push(Fault::new(Code::Malformed, "must refer to a password on one line"));
            }
            let bytes = Secret::new(material(password.expose()));
            if let Some((key, _)) = own.materials().find(|(_, secret)| secret.expose() == bytes.expose()) {
                faults.push(equal_secrets(&format!("`{key}`")));
            }
            let sound = faults.is_empty();
            faults.into_iter().for_each(|fault| r.report(keys::MAIL_PASSWORD.name, fault, Severity::Error));
            sound.then_some(Some(MailLogin { username, password }))
        }
        (username, _) => {
            let (missing, given) = match username {
                Some(_) => (keys::MAIL_PASSWORD.name, keys::MAIL_USERNAME.name),
                None => (keys::MAIL_USERNAME.name, keys::MAIL_PASSWORD.name),
            };
            let wanted = format!("is missing: a login is `{given}` and it");
            let fault = Diagnostic::error(Code::HalfPair, r.origin(given), wanted).key(missing);
            r.diagnostics.push(fault.help("add it, or remove both for a server that wants no login"));
            None
        }
    }
}

fn roots(r: &mut Reader<'_>, path: &std::path::Path) -> Option<String> {
    let judged = read_public(&r.base.join(path)).and_then(|text| {
        if text.contains("-----BEGIN CERTIFICATE-----") && !text.contains("PRIVATE KEY-----") {
            return Ok(text);
        }
        let wanted = "must name a file with certificates in PEM, and with no private key";
        Err(Fault::new(Code::WrongKey, wanted)
            .help("name the certificate of the authority that signs the server's"))
    });
    judged.map_err(|fault| r.report(keys::MAIL_CA_FILE.name, fault, Severity::Error)).ok()
}
