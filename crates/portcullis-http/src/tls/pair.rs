//! A certificate chain and its key, read from their files and judged as a whole.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use ring::digest;
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use zeroize::Zeroizing;

use super::TlsOptions;
use super::der::Fields;

/// No chain and no key is as long.
const LARGEST_FILE: u64 = 256 * 1024;

/// Why a pair of files cannot be used. It holds the files' names and nothing of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFault {
    /// A file cannot be read.
    #[error("`{}` cannot be read: {kind}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        kind: io::ErrorKind,
    },
    /// Other accounts can read the key.
    #[error("`{}` can be read by other accounts (mode {mode:04o}); run `chmod 600`, and get a new key if others used this machine", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file holds no certificate in PEM.
    #[error("`{}` holds no certificate in PEM", .0.display())]
    NoCertificate(PathBuf),
    /// The file holds no private key in PEM.
    #[error("`{}` holds no private key in PEM that can be used", .0.display())]
    NoKey(PathBuf),
    /// A certificate of the chain is none; counted from 1.
    #[error("certificate {0} of the chain is malformed")]
    Malformed(usize),
    /// A certificate of the chain is not followed by its issuer's; counted from 1.
    #[error(
        "certificate {0} of the chain is not followed by the one that issued it; the listener's own comes first"
    )]
    Order(usize),
    /// The key is of a kind that cannot be used.
    #[error("the key is of a kind that TLS cannot use here; an ECDSA key on P-256 is usual")]
    Key,
    /// The key is another certificate's.
    #[error("the key does not belong to the first certificate of the chain")]
    Mismatch,
    /// A certificate of the chain does not count yet.
    #[error("certificate {number} of the chain only counts from {from}")]
    Early {
        /// Which, from 1.
        number: usize,
        /// From when.
        from: Timestamp,
    },
    /// A certificate of the chain has ended.
    #[error("certificate {number} of the chain ended at {at}")]
    Ended {
        /// Which, from 1.
        number: usize,
        /// When.
        at: Timestamp,
    },
    /// The certificate is for other names.
    #[error("the certificate is not for `{0}`, the host of `public_url`")]
    Name(String),
}

/// What two files hold, to see whether that changed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Fingerprint(Vec<u8>);

impl Fingerprint {
    /// Reads the files.
    pub(super) fn of(options: &TlsOptions) -> Result<Self, TlsFault> {
        Ok(Self::new(&Files::read(options)?))
    }

    fn new(files: &Files) -> Self {
        let Files { certificate, key, mode } = files;
        let mut sum = digest::Context::new(&digest::SHA256);
        for part in [&certificate.len().to_be_bytes()[..], certificate, key, &mode.to_be_bytes()[..]] {
            sum.update(part);
        }
        Self(sum.finish().as_ref().to_vec())
    }
}

/// A pair that can be used.
pub(super) struct Pair {
    pub(super) key: Arc<CertifiedKey>,
    /// When the first certificate of the chain to end does.
    pub(super) ends: Timestamp,
    pub(super) files: Fingerprint,
}

impl Pair {
    /// Reads and judges the files.
    pub(super) fn read(
        options: &TlsOptions,
        provider: &CryptoProvider,
        now: Timestamp,
    ) -> Result<Self, TlsFault> {
        let read = Files::read(options)?;
        let files = Fingerprint::new(&read);
        let Files { certificate, key, mode } = read;
        if mode & 0o077 != 0 {
            return Err(TlsFault::Exposed { path: options.key.clone(), mode });
        }
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&certificate)
            .collect::<Result<_, _>>()
            .map_err(|_| TlsFault::NoCertificate(options.certificate.clone()))?;
        let own = chain.first().ok_or_else(|| TlsFault::NoCertificate(options.certificate.clone()))?;
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| TlsFault::NoKey(options.key.clone()))?;

        let mut ends = Timestamp::MAX;
        let mut before: Option<Fields<'_>> = None;
        for (number, certificate) in (1..).zip(&chain) {
            let fields = Fields::read(certificate).ok_or(TlsFault::Malformed(number))?;
            if before.is_some_and(|before| before.issuer != fields.subject) {
                return Err(TlsFault::Order(number.saturating_sub(1)));
            }
            if now < fields.begins {
                return Err(TlsFault::Early { number, from: fields.begins });
            }
            if now > fields.ends {
                return Err(TlsFault::Ended { number, at: fields.ends });
            }
            ends = ends.min(fields.ends);
            before = Some(fields);
        }
        let parsed = ParsedCertificate::try_from(own).map_err(|_| TlsFault::Malformed(1))?;
        let host =
            ServerName::try_from(options.host.clone()).map_err(|_| TlsFault::Name(options.host.clone()))?;
        verify_server_name(&parsed, &host).map_err(|_| TlsFault::Name(options.host.clone()))?;
        let signing = provider.key_provider.load_private_key(key).map_err(|_| TlsFault::Key)?;
        let key = CertifiedKey::new(chain.clone(), signing);
        key.keys_match().map_err(|_| TlsFault::Mismatch)?;
        Ok(Self { key: Arc::new(key), ends, files })
    }
}

/// Both files and the mode of the key's.
struct Files {
    certificate: Zeroizing<Vec<u8>>,
    key: Zeroizing<Vec<u8>>,
    mode: u32,
}

impl Files {
    /// Where the chain cannot be read, its fault comes first.
    fn read(options: &TlsOptions) -> Result<Self, TlsFault> {
        let (certificate, _) = read(&options.certificate)?;
        let (key, mode) = read(&options.key)?;
        Ok(Self { certificate, key, mode })
    }
}

fn read(path: &Path) -> Result<(Zeroizing<Vec<u8>>, u32), TlsFault> {
    let failed = |kind| TlsFault::Unreadable { path: path.to_owned(), kind };
    // Opening a named pipe would wait for its writer, so the kind of file is looked at first.
    if !path.metadata().map_err(|error| failed(error.kind()))?.is_file() {
        return Err(failed(io::ErrorKind::InvalidInput));
    }
    let file = File::open(path).map_err(|error| failed(error.kind()))?;
    let mode = file.metadata().map_err(|error| failed(error.kind()))?.permissions().mode() & 0o7777;
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(|error| failed(error.kind()))?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(failed(io::ErrorKind::FileTooLarge));
    }
    Ok((bytes, mode))
}
