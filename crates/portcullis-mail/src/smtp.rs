//! Handing messages to a mail server, each over a connection of its own.
//!
//! A connection is not used twice: one that was given up in the middle of a message must not meet the next one, and
//! sign-in mails are too few to be worth it. With `STARTTLS` nothing but the greeting is said in the clear; a server
//! that does not offer it, or a stranger in the middle who takes the offer out, gets nothing.

use std::error::Error as StdError;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use portcullis_core::{Clock, Secret};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::error::Error;
use crate::letter::Sender;
use crate::lines::Lines;
use crate::message::{Mail, Message};

/// How long a server may take to say goodbye. The message is its own then, whatever it says.
const GOODBYE: Duration = Duration::from_secs(2);

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// It begins in the clear and turns to TLS before anything is said; without that it ends (RFC 3207).
    StartTls,
    /// TLS from the first byte (RFC 8314).
    Tls,
    /// None. Only to this machine's own loopback addresses.
    Loopback,
}

/// A login at the mail server.
#[derive(Debug, Clone)]
pub struct Login {
    /// The name.
    pub username: Secret<String>,
    /// The password.
    pub password: Secret<String>,
}

/// A mail server and how it is spoken to.
#[derive(Debug, Clone)]
pub struct SmtpOptions {
    /// Its name or address (the newer kind with or without brackets), which its certificate must be for.
    pub host: String,
    /// Its port: usually 587 for [`Security::StartTls`] and 465 for [`Security::Tls`].
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
    /// The login, if it wants one.
    pub login: Option<Login>,
    /// Root certificates in PEM that are trusted beside those of the web.
    pub extra_roots_pem: Option<Vec<u8>>,
    /// The longest time for a whole message, from the connection to the server's receipt.
    pub timeout: Duration,
}

/// Sends through a mail server.
pub struct Smtp {
    options: SmtpOptions,
    sender: Sender,
    hello: ClientId,
    tls: Option<TlsParameters>,
    clock: Arc<dyn Clock>,
}

impl Smtp {
    /// A way to the server; connects to nothing yet.
    ///
    /// # Errors
    /// [`Error::Tls`] when the extra root certificates cannot be used.
    pub fn new(options: SmtpOptions, sender: Sender, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let tls = match options.security {
            Security::Loopback => None,
            Security::StartTls | Security::Tls => Some(parameters(&options)?),
        };
        let hello = ClientId::Domain(sender.host().to_owned());
        Ok(Self { options, sender, hello, tls, clock })
    }

    /// A connection that is protected and logged in.
    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let host = self.options.host.as_str();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let server = (bare, self.options.port);
        let mut connection = match (&self.tls, self.options.security) {
            (Some(tls), Security::Tls) => {
                let tls = Some(tls.clone());
                AsyncSmtpConnection::connect_tokio1(server, None, &self.hello, tls, None)
                    .await
                    .map_err(sorted)?
            }
            (tls, _) => {
                let found = lookup_host(server).await.map_err(|_| Error::Unreachable)?;
                let addresses: Vec<SocketAddr> = found.collect();
                // Judged on the very addresses that are then dialled.
                if tls.is_none() && !addresses.iter().all(|address| address.ip().to_canonical().is_loopback())
                {
                    return Err(Error::NotLoopback);
                }
                let stream = TcpStream::connect(&*addresses).await.and_then(Lines::new);
                let stream = stream.map_err(|_| Error::Unreachable)?;
                let mut connection =
                    AsyncSmtpConnection::connect_with_transport(Box::new(stream), &self.hello)
                        .await
                        .map_err(sorted)?;
                if let Some(tls) = tls {
                    if !connection.can_starttls() {
                        return Err(Error::NotOffered("encryption (`STARTTLS`)"));
                    }
                    connection.starttls(tls.clone(), &self.hello).await.map_err(sorted)?;
                }
                connection
            }
        };
        if let Some(login) = &self.options.login {
            const KNOWN: &[Mechanism] = &[Mechanism::Plain, Mechanism::Login];
            if connection.server_info().get_auth_mechanism(KNOWN).is_none() {
                return Err(Error::NotOffered("a login with a password"));
            }
            let credentials =
                Credentials::new(login.username.expose().clone(), login.password.expose().clone());
            connection.auth(KNOWN, &credentials).await.map_err(sorted)?;
        }
        Ok(connection)
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        timeout(self.options.timeout, work).await.unwrap_or(Err(Error::TimedOut))
    }
}

#[async_trait]
impl Mail for Smtp {
    async fn send(&self, message: Message) -> Result<(), Error> {
        let letter = self.sender.compose(&message, self.clock.now())?;
        let sent = self.in_time(async {
            let mut connection = Box::pin(self.connect()).await?;
            let bytes = letter.formatted();
            // The end of the last line is sent with the dot that ends the message; twice would add an empty line.
            let bytes = bytes.strip_suffix(b"\r\n").unwrap_or(&bytes);
            connection.send(letter.envelope(), bytes).await.map_err(sorted)?;
            Ok(connection)
        });
        let mut connection = Box::pin(sent).await?;
        // It was taken; a goodbye that fails must not make it be sent again.
        let _ = timeout(GOODBYE, connection.quit()).await;
        Ok(())
    }

    async fn ping(&self) -> Result<(), Error> {
        let mut connection = self.in_time(Box::pin(self.connect())).await?;
        let _ = timeout(GOODBYE, connection.quit()).await;
        Ok(())
    }
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smtp")
            .field("host", &self.options.host)
            .field("port", &self.options.port)
            .field("security", &self.options.security)
            .finish_non_exhaustive()
    }
}

/// Without it a file holds no certificate, which would otherwise be as good as an empty one.
const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

fn parameters(options: &SmtpOptions) -> Result<TlsParameters, Error> {
    let mut builder = TlsParameters::builder(options.host.trim_matches(['[', ']']).to_owned())
        .certificate_store(CertificateStore::WebpkiRoots);
    if let Some(pem) = &options.extra_roots_pem {
        if !pem.windows(BEGIN.len()).any(|text| text == BEGIN) {
            return Err(Error::Tls);
        }
        builder = builder.add_root_certificate(Certificate::from_pem(pem).map_err(|_| Error::Tls)?);
    }
    builder.build_rustls().map_err(|_| Error::Tls)
}

/// RFC 4954 section 6: what a server answers when it wants a login, or another one.
const LOGIN_CODES: [u16; 4] = [530, 534, 535, 538];

fn sorted(error: lettre::transport::smtp::Error) -> Error {
    if let Some(code) = error.status().map(u16::from) {
        return match code {
            code if LOGIN_CODES.contains(&code) => Error::Login(code),
            code if error.is_transient() => Error::Later(code),
            code => Error::Refused(code),
        };
    }
    if error.is_tls() || is_from_tls(&error) {
        Error::Tls
    } else if error.is_response() {
        Error::Malformed
    } else if error.is_client() {
        // Its words are the client's own: an address outside ASCII at a server that does not know such addresses.
        Error::Recipient
    } else {
        Error::Unreachable
    }
}

/// Whether the cause is the handshake: rustls hides its errors in those of the stream.
fn is_from_tls(error: &(dyn StdError + 'static)) -> bool {
    let mut next = error.source();
    while let Some(error) = next {
        let hidden = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if error.is::<rustls::Error>() || hidden.is_some_and(|hidden| hidden.is::<rustls::Error>()) {
            return true;
        }
        next = error.source();
    }
    false
}
