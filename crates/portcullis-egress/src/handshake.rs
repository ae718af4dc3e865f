//! Single TLS handshakes, for looking at what a server presents to strangers.
//!
//! This is the only place where a certificate is taken without being believed: [`present`] records what came and judges
//! nothing, because an invalid certificate is what its caller wants to see. Nothing is ever sent over such a connection.
//! [`Trust`] then judges what was recorded, at a time that the caller names.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::ring;
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, ProtocolVersion, RootCertStore, SignatureScheme,
    SupportedProtocolVersion, version,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::error::{Error, Kind, Phase};
use crate::tls;

/// What a handshake offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The name that the server is asked for (SNI); none is sent without one, nor for an address.
    pub server_name: Option<String>,
    /// The protocol versions.
    pub versions: Versions,
}

/// Protocol versions of an offer. Older ones than these cannot be spoken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versions {
    /// TLS 1.3 and 1.2.
    Both,
    /// TLS 1.3 only.
    Only13,
    /// TLS 1.2 only.
    Only12,
}

impl Versions {
    fn supported(self) -> Vec<&'static SupportedProtocolVersion> {
        match self {
            Self::Both => vec![&version::TLS13, &version::TLS12],
            Self::Only13 => vec![&version::TLS13],
            Self::Only12 => vec![&version::TLS12],
        }
    }
}

/// What a server presented in a handshake that came to its end.
#[derive(Clone, PartialEq, Eq)]
pub struct Presented {
    /// Whether TLS 1.3 was agreed on; it was TLS 1.2 otherwise.
    pub is_tls13: bool,
    /// The cipher suite's name.
    pub suite: String,
    /// The certificates as sent, DER, the server's own first.
    pub certificates: Vec<Vec<u8>>,
    /// The revocation answer that was stapled; empty when none was.
    pub stapled_ocsp: Vec<u8>,
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Presented({}, {} certificates)", self.suite, self.certificates.len())
    }
}

/// The addresses of a name, by the system's resolver, each once; an address is its own.
///
/// # Errors
/// [`Kind::Dns`] when there is none, [`Kind::TimedOut`].
pub async fn look_up(host: &str, longest: Duration) -> Result<Vec<IpAddr>, Error> {
    let plain = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(literal) = plain.parse() {
        return Ok(vec![literal]);
    }
    let found = timeout(longest, tokio::net::lookup_host((plain, 0)))
        .await
        .map_err(|_| Error::new(Kind::TimedOut(Phase::Dns), host))?
        .map_err(|error| Error::new(Kind::Dns, host).cause(error))?;
    let mut addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() {
        return Err(Error::new(Kind::Dns, host).detail("it has no address"));
    }
    Ok(addresses)
}

/// A plain connection to one address, which must be one that an operator named.
///
/// # Errors
/// [`Kind::Refused`] when it is refused, [`Kind::TimedOut`] when nothing answers.
pub async fn dial(address: SocketAddr, longest: Duration) -> Result<TcpStream, Error> {
    let refused = |error: io::Error| match error.kind() {
        io::ErrorKind::TimedOut => Error::new(Kind::TimedOut(Phase::Connect), address.to_string()),
        _ => Error::new(Kind::Refused, address.to_string()).cause(error),
    };
    let stream = timeout(longest, TcpStream::connect(address))
        .await
        .map_err(|_| Error::new(Kind::TimedOut(Phase::Connect), address.to_string()))?
        .map_err(refused)?;
    stream.set_nodelay(true).map_err(refused)?;
    Ok(stream)
}

/// That nothing came from an address in time, as an error.
pub fn silence(address: SocketAddr) -> Error {
    Error::new(Kind::TimedOut(Phase::Tls), address.to_string())
}

/// Makes one handshake over a fresh connection and gives what was presented, whatever it is worth.
///
/// # Errors
/// [`Kind::Tls`] when the server refuses the offer, [`Kind::Closed`] when it hangs up, [`Kind::TimedOut`] when it says
/// nothing, [`Kind::Malformed`] when what it says is not TLS or the name cannot be asked for.
pub async fn present(stream: TcpStream, offer: &Offer, longest: Duration) -> Result<Presented, Error> {
    let at = stream.peer_addr().map_or_else(|_| String::new(), |address| address.to_string());
    let recorder = Arc::new(Recorder::default());
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&offer.versions.supported())
        .map_err(|error| Error::new(Kind::Malformed, &at).cause(error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&recorder) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    config.enable_sni = offer.server_name.is_some();
    let name = match &offer.server_name {
        Some(host) => name_of(host)?,
        None => ServerName::from(IpAddr::from([127, 0, 0, 1])),
    };
    let shaken = timeout(longest, TlsConnector::from(Arc::new(config)).connect(name, stream))
        .await
        .map_err(|_| Error::new(Kind::TimedOut(Phase::Tls), &at))?
        .map_err(|error| why(error, &at))?;
    let (_, connection) = shaken.get_ref();
    let suite = connection.negotiated_cipher_suite();
    let (certificates, stapled_ocsp) = recorder.take();
    Ok(Presented {
        is_tls13: connection.protocol_version() == Some(ProtocolVersion::TLSv1_3),
        suite: suite.and_then(|suite| suite.suite().as_str()).unwrap_or("an unnamed suite").to_owned(),
        certificates,
        stapled_ocsp,
    })
}

fn name_of(host: &str) -> Result<ServerName<'static>, Error> {
    let plain = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    ServerName::try_from(plain).map_err(|error| {
        Error::new(Kind::Malformed, host).detail("no certificate can be for this host").cause(error)
    })
}

/// Sorts what ended a handshake: a refusal is an answer, what is not TLS is none.
fn why(error: io::Error, at: &str) -> Error {
    let kind = match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::AlertReceived(_) | rustls::Error::PeerIncompatible(_)) => Kind::Tls,
        Some(_) => Kind::Malformed,
        None => Kind::Closed,
    };
    Error::new(kind, at).detail(error.to_string()).cause(error)
}

/// Keeps what the server sent and believes all of it.
#[derive(Debug, Default)]
struct Recorder {
    seen: Mutex<(Vec<Vec<u8>>, Vec<u8>)>,
}

impl Recorder {
    fn take(&self) -> (Vec<Vec<u8>>, Vec<u8>) {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = std::iter::once(end_entity).chain(intermediates);
        let seen = (chain.map(|certificate| certificate.to_vec()).collect(), ocsp_response.to_vec());
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        Ok(ServerCertVerified::assertion())
    }

    // A signature by a key that is too short cannot be checked by ring, and the key is what is to be seen. Whether the
    // server holds its key is shown by the verified requests that are made besides.
    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        // SHA-1 too: a server with nothing else must not look like one that refuses the version.
        let mut schemes = ring::default_provider().signature_verification_algorithms.supported_schemes();
        schemes.extend([SignatureScheme::RSA_PKCS1_SHA1, SignatureScheme::ECDSA_SHA1_Legacy]);
        schemes
    }
}

/// Why a chain is not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Distrust {
    /// A certificate of the path has ended or has not begun.
    Outdated,
    /// No path leads to a trusted root.
    UnknownIssuer,
    /// Something else, in the verifier's words.
    Other(String),
}

/// Roots that chains are judged by.
#[derive(Debug, Clone)]
pub struct Trust {
    roots: Arc<RootCertStore>,
}

impl Trust {
    /// The public web roots, and those in `extra_roots_pem`.
    ///
    /// # Errors
    /// [`Kind::Malformed`] when the extra roots cannot be used.
    pub fn new(extra_roots_pem: Option<&[u8]>) -> Result<Self, Error> {
        Ok(Self { roots: Arc::new(tls::root_store(extra_roots_pem)?) })
    }

    /// Whether a path leads from the first certificate over the others to a root, at a time in seconds since 1970.
    /// Names and revocation are not looked at.
    ///
    /// # Errors
    /// Why there is no such path.
    pub fn path(&self, chain: &[Vec<u8>], at_unix_seconds: u64) -> Result<(), Distrust> {
        let chain: Vec<CertificateDer<'_>> =
            chain.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        let Some((own, intermediates)) = chain.split_first() else {
            return Err(Distrust::Other("no certificate was sent".to_owned()));
        };
        let now = UnixTime::since_unix_epoch(Duration::from_secs(at_unix_seconds));
        let algorithms = ring::default_provider().signature_verification_algorithms.all;
        let judged = ParsedCertificate::try_from(own).and_then(|parsed| {
            verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms)
        });
        judged.map_err(|error| match error {
            rustls::Error::InvalidCertificate(
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. },
            ) => Distrust::Outdated,
            rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => Distrust::UnknownIssuer,
            other => Distrust::Other(other.to_string()),
        })
    }
}

/// Whether a certificate is for this host, by its subject alternative names alone.
pub fn names_host(certificate: &[u8], host: &str) -> bool {
    let der = CertificateDer::from(certificate);
    let Ok(parsed) = ParsedCertificate::try_from(&der) else { return false };
    name_of(host).is_ok_and(|name| verify_server_name(&parsed, &name).is_ok())
}
