//! Certificates for tests: an authority, and pairs that it signs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use portcullis_http::{OldestTls, TlsOptions};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use tempfile::TempDir;

pub(crate) const HOST: &str = "chat.example.org";

/// An authority and a folder with a pair that it signed.
pub(crate) struct Pairs {
    folder: TempDir,
    authority: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    root_pem: String,
}

/// A pair in PEM.
pub(crate) struct Made {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) der: CertificateDer<'static>,
}

impl Pairs {
    /// With a pair for [`HOST`] in place.
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "the authority of a test");
        let key = KeyPair::generate().expect("a key");
        let made = params.self_signed(&key).expect("a certificate");
        let pairs = Self {
            folder: tempfile::tempdir().expect("a folder"),
            root: made.der().clone(),
            root_pem: made.pem(),
            authority: Issuer::new(params, key),
        };
        pairs.put(&pairs.made(HOST));
        pairs
    }

    /// A pair for a host.
    pub(crate) fn made(&self, host: &str) -> Made {
        self.with(host, |_| {})
    }

    pub(crate) fn with(&self, host: &str, change: impl FnOnce(&mut CertificateParams)) -> Made {
        let mut params = CertificateParams::new([host.to_owned()]).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, host);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2090, 1, 1);
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let made = params.signed_by(&key, &self.authority).expect("a certificate");
        Made { certificate: made.pem(), key: key.serialize_pem(), der: made.der().clone() }
    }

    /// Puts a pair with the authority's certificate behind it where the listener looks.
    pub(crate) fn put(&self, made: &Made) {
        self.put_files(&format!("{}{}", made.certificate, self.root_pem), &made.key, 0o600);
    }

    pub(crate) fn put_files(&self, certificate: &str, key: &str, mode: u32) {
        let options = self.options();
        fs::write(&options.certificate, certificate).expect("the certificate is written");
        fs::write(&options.key, key).expect("the key is written");
        fs::set_permissions(&options.key, fs::Permissions::from_mode(mode)).expect("the mode is set");
    }

    pub(crate) fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// The authority's certificate as a file.
    pub(crate) fn root_file(&self) -> PathBuf {
        let path = self.folder.path().join("root.pem");
        fs::write(&path, &self.root_pem).expect("the root is written");
        path
    }

    /// Trust in the authority.
    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).expect("a root");
        roots
    }

    pub(crate) fn options(&self) -> TlsOptions {
        TlsOptions {
            certificate: self.folder.path().join("chain.pem"),
            key: self.folder.path().join("key.pem"),
            host: HOST.to_owned(),
            oldest: OldestTls::Tls13,
        }
    }
}
