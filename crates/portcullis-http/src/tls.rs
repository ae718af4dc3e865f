//! TLS on the listener: what is offered, and a certificate that is replaced while the listener runs.
//!
//! TLS 1.3 unless the operator asked for 1.2 too, and of 1.2 only ephemeral key exchange with authenticated
//! encryption, which is all that rustls has. No early data: it can be replayed (RFC 8446 section 8). Sessions are resumed
//! from a small table in memory, so that no ticket key has to be kept or rotated.
//!
//! A pair of files that cannot be used never replaces one that can: [`Tls::look`] keeps the old one and says why.

mod der;
mod pair;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{ClientHello, ResolvesServerCert, ServerSessionMemoryCache};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use tokio_rustls::TlsAcceptor;

pub use self::pair::TlsFault;
use self::pair::{Fingerprint, Pair};

/// How many sessions are remembered for resumption; a kilobyte or two each.
const SESSIONS: usize = 4_096;
/// From when on the end of a certificate is warned of. Renewal by ACME clients begins at 30 days.
const SOON: SignedDuration = SignedDuration::from_hours(21 * 24);
/// How often it is.
const WARN_EVERY: SignedDuration = SignedDuration::from_hours(24);

/// The oldest version that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldestTls {
    /// TLS 1.3 alone.
    Tls13,
    /// TLS 1.2 too, for clients of before 2018.
    Tls12,
}

/// Where the certificate is, and what it must be for.
#[derive(Debug, Clone)]
pub struct TlsOptions {
    /// The chain in PEM, the listener's own certificate first.
    pub certificate: PathBuf,
    /// Its private key in PEM; the file is the owner's alone.
    pub key: PathBuf,
    /// The host that members type: a name, or an address without brackets.
    pub host: String,
    /// The oldest version that is spoken.
    pub oldest: OldestTls,
}

/// What [`Tls::look`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Looked {
    /// Nothing that was not told before: mostly the files in use.
    Same,
    /// The files are new, and in use from now on.
    Renewed,
    /// The files are new and cannot be used; the pair before them stays in use.
    Kept(TlsFault),
}

/// A certificate in use.
pub struct Tls {
    options: TlsOptions,
    config: Arc<ServerConfig>,
    provider: Arc<CryptoProvider>,
    current: Arc<Current>,
    seen: Mutex<Seen>,
}

/// What is in use, and what was told, so that a log is not filled with it.
struct Seen {
    /// The files that are in use.
    files: Fingerprint,
    ends: Timestamp,
    warned: Option<Timestamp>,
    /// Why the files that are there now are not in use.
    told: Option<TlsFault>,
}

/// The pair that handshakes use.
struct Current(Mutex<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.lock()))
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current")
    }
}

impl Tls {
    /// Reads and judges the pair.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn open(options: TlsOptions, now: Timestamp) -> Result<Self, TlsFault> {
        let provider = Arc::new(ring::default_provider());
        let pair = Pair::read(&options, &provider, now)?;
        let current = Arc::new(Current(Mutex::new(pair.key)));
        let versions = match options.oldest {
            OldestTls::Tls13 => &[&TLS13][..],
            OldestTls::Tls12 => &[&TLS13, &TLS12][..],
        };
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .map_err(|_| TlsFault::Key)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        config.max_early_data_size = 0;
        let seen = Seen { files: pair.files, ends: pair.ends, warned: None, told: None };
        let tls = Self { options, config: Arc::new(config), provider, current, seen: Mutex::new(seen) };
        tls.warn_of_the_end(now);
        Ok(tls)
    }

    /// Looks whether the files have changed and takes the new pair if it can be used. To be called every now and then;
    /// it reads two small files. What it finds is logged once.
    pub fn look(&self, now: Timestamp) -> Looked {
        let looked = self.compare(now);
        match &looked {
            Looked::Same => {}
            Looked::Renewed => tracing::info!("the TLS certificate was renewed"),
            Looked::Kept(fault) => {
                tracing::error!(%fault, "the new TLS certificate cannot be used; the one before it stays in use");
            }
        }
        self.warn_of_the_end(now);
        looked
    }

    /// When the certificate in use ends.
    pub fn ends(&self) -> Timestamp {
        self.seen.lock().ends
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }

    fn compare(&self, now: Timestamp) -> Looked {
        let mut seen = self.seen.lock();
        // Judged anew each time, since what only counts from tomorrow does so tomorrow.
        let fault = match Pair::read(&self.options, &self.provider, now) {
            Ok(pair) if pair.files == seen.files => {
                seen.told = None;
                return Looked::Same;
            }
            Ok(pair) => {
                *self.current.0.lock() = pair.key;
                *seen = Seen { files: pair.files, ends: pair.ends, warned: None, told: None };
                return Looked::Renewed;
            }
            // Nothing new: the pair in use has come to its end, which is told once a day.
            Err(TlsFault::Ended { .. }) if Fingerprint::of(&self.options).as_ref() == Ok(&seen.files) => {
                return Looked::Same;
            }
            Err(fault) => fault,
        };
        let told = seen.told.replace(fault.clone()).is_some_and(|told| told == fault);
        if told { Looked::Same } else { Looked::Kept(fault) }
    }

    fn warn_of_the_end(&self, now: Timestamp) {
        let mut seen = self.seen.lock();
        let left = seen.ends.duration_since(now);
        let quiet = seen.warned.is_some_and(|warned| now.duration_since(warned) < WARN_EVERY);
        if left >= SOON || quiet {
            return;
        }
        seen.warned = Some(now);
        if left.is_positive() {
            tracing::warn!(tls.ends = %seen.ends, tls.days_left = left.as_hours() / 24, "the TLS certificate ends soon");
        } else {
            tracing::error!(tls.ends = %seen.ends, "the TLS certificate has ended; clients refuse it");
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("options", &self.options)
            .field("ends", &self.ends())
            .finish_non_exhaustive()
    }
}
