//! The host applications whose tokens are accepted: `[[issuer]]` tables become typed issuers with their keys read.
//!
//! A key is read and judged by its form here: that it is there, is a secret or a public key as its algorithm wants, is
//! strong and nobody else's. Whether a public key is one that tokens can be verified with is for the verifier to say;
//! [`Issuer::refused`] puts its answer at the place where the key is named.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use portcullis_core::Secret;

use crate::codes::Code;
use crate::config::{Reader, WeakSecrets};
use crate::diagnostic::{Diagnostic, Diagnostics, Origin, Severity};
use crate::entry::EntryReader;
use crate::keys::{self, Key};
use crate::secrets::{self, NamedSecrets, SecretRef, Use};
use crate::shape::{Fault, Shape};
use crate::text::Name;
use crate::value::shown;

/// The largest file of public keys, in bytes: certificate chains beside the keys make some sets long.
const LARGEST_FILE: u64 = 256 * 1024;

/// A host application that signs tokens for its members.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Issuer {
    /// The `iss` of its tokens; no other issuer has it.
    pub name: Name,
    /// What the `aud` of its tokens must hold.
    pub audience: Name,
    /// The communities it may speak for, by short name; at least one.
    pub communities: Vec<Name>,
    /// What its tokens are verified with.
    pub keys: IssuerKeys,
    /// Whether its claims may widen what is stored about a member.
    pub grants_entitlements: bool,
    /// Whether a member whom it names for the first time is made.
    pub provisions_members: bool,
    /// How far its clock may be off.
    pub leeway: Duration,
    /// How long its tokens may be valid.
    pub longest_life: Duration,
    /// The setting that names the key, and where it stands.
    key: (&'static str, Origin),
}

/// What an issuer's tokens are verified with: each algorithm with what it takes.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum IssuerKeys {
    /// HS256. The text's bytes are the key: at least 32, and not those of another secret.
    Secret {
        /// The `kid` of its tokens.
        id: Option<Name>,
        /// The secret.
        secret: Secret<String>,
    },
    /// One public key.
    Pem {
        /// What it verifies.
        algorithm: PublicKeyAlgorithm,
        /// The `kid` of its tokens.
        id: Option<Name>,
        /// The text of the file.
        pem: String,
    },
    /// A JWK Set, whose keys have their own ids.
    KeySet {
        /// What its keys verify.
        algorithm: PublicKeyAlgorithm,
        /// The text of the file.
        document: String,
    },
}

/// An algorithm that verifies with a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicKeyAlgorithm {
    /// RSA with PKCS #1 v1.5 padding and SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
}

/// The algorithms that may be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IssuerAlgorithm {
    Hs256,
    Rs256,
    Es256,
}

impl IssuerAlgorithm {
    pub(crate) const WORDS: &[(&str, Self)] =
        &[("HS256", Self::Hs256), ("RS256", Self::Rs256), ("ES256", Self::Es256)];
}

impl Issuer {
    /// The problem that a verifier finds with the issuer's key, at the place where the key is named. `why` continues a
    /// sentence that begins with the setting, and holds nothing of the key.
    pub fn refused(&self, why: &dyn fmt::Display) -> Diagnostics {
        let (key, origin) = &self.key;
        let wanted = format!("names a key that cannot be used: {why}");
        let mut diagnostics = Diagnostics::default();
        diagnostics.push(Diagnostic::error(Code::WrongKey, origin.clone(), wanted).key(*key));
        diagnostics
    }
}

/// The issuers of a configuration; none if a fault was reported.
pub(crate) fn read(
    r: &mut Reader<'_>,
    weak: WeakSecrets,
    own: &NamedSecrets,
    model_key: Option<&Secret<String>>,
) -> Option<Vec<Issuer>> {
    let resolved = r.resolved;
    let entries = resolved.entries(keys::ISSUER_NAME.name.split('.').next().unwrap_or_default());
    let read: Vec<Option<Issuer>> = entries.iter().map(|entry| EntryReader { r, entry }.issuer()).collect();

    let mut named: BTreeMap<Name, Origin> = BTreeMap::new();
    for entry in entries {
        // A name counts as taken also where the rest of its table is wrong.
        let Some(given) = entry.keys.get(keys::ISSUER_NAME.name) else { continue };
        let Ok(name) = keys::ISSUER_NAME.shape.read(&given.value) else { continue };
        if let Some(first) = named.get(&name) {
            let fault =
                Fault::new(Code::Duplicate, format!("names an issuer that stands at {first} already"))
                    .help("give one table all of its communities");
            r.report_at(given.origin.clone(), keys::ISSUER_NAME.name, fault, Severity::Error);
        } else {
            named.insert(name, given.origin.clone());
        }
    }

    let model_key =
        model_key.map(|key| (keys::MODEL_API_KEY.name, Secret::new(secrets::material(key.expose()))));
    let mut seen: Vec<(String, Secret<Vec<u8>>)> =
        own.materials().chain(model_key).map(|(key, secret)| (format!("`{key}`"), secret)).collect();
    for issuer in read.iter().flatten() {
        let IssuerKeys::Secret { secret, .. } = &issuer.keys else { continue };
        let (key, origin) = &issuer.key;
        let mut faults = secrets::faults(secret.expose(), Use::Text);
        let material = Secret::new(secrets::material(secret.expose()));
        if let Some((other, _)) = seen.iter().find(|(_, seen)| seen.expose() == material.expose()) {
            faults.push(secrets::equal_secrets(other));
        }
        seen.push((format!("the key of the issuer {}", shown(issuer.name.as_str())), material));
        for fault in faults {
            // A key that is shorter cannot be used at all, so no switch accepts it.
            let severity = match weak {
                WeakSecrets::Allowed if fault.code != Code::ShortSecret => Severity::Warning,
                WeakSecrets::Allowed | WeakSecrets::Refused => Severity::Error,
            };
            r.report_at(origin.clone(), key, fault, severity);
        }
    }
    read.into_iter().collect()
}

/// One `[[issuer]]`.
impl EntryReader<'_, '_> {
    fn issuer(mut self) -> Option<Issuer> {
        let name = self.required(&keys::ISSUER_NAME);
        let audience = self.required(&keys::ISSUER_AUDIENCE);
        let communities = self.required(&keys::ISSUER_COMMUNITIES);
        let keys = self.keys();
        let grants_entitlements = self.required(&keys::ISSUER_GRANTS);
        let provisions_members = self.required(&keys::ISSUER_PROVISIONS);
        let leeway = self.required(&keys::ISSUER_LEEWAY);
        let longest_life = self.required(&keys::ISSUER_LONGEST_LIFE);
        let (keys, key) = keys?;
        Some(Issuer {
            name: name?,
            audience: audience?,
            communities: communities?,
            keys,
            grants_entitlements: grants_entitlements?,
            provisions_members: provisions_members?,
            leeway: leeway?,
            longest_life: longest_life?,
            key,
        })
    }

    /// The keys, with the setting that names them.
    fn keys(&mut self) -> Option<(IssuerKeys, (&'static str, Origin))> {
        let algorithm = self.required(&keys::ISSUER_ALGORITHM);
        let secret = self.optional(&keys::ISSUER_KEY);
        let pem = self.optional(&keys::ISSUER_PUBLIC_KEY);
        let set = self.optional(&keys::ISSUER_JWKS);
        let id = self.optional(&keys::ISSUER_KEY_ID);
        let algorithm = match algorithm? {
            IssuerAlgorithm::Hs256 => {
                for (given, key) in [
                    (matches!(pem, Some(Some(_))), keys::ISSUER_PUBLIC_KEY.name),
                    (matches!(set, Some(Some(_))), keys::ISSUER_JWKS.name),
                ] {
                    if given {
                        self.excluded(key, "is for `RS256` and `ES256`; `HS256` takes `key`");
                    }
                }
                return self.secret(secret?, id?);
            }
            IssuerAlgorithm::Rs256 => PublicKeyAlgorithm::Rs256,
            IssuerAlgorithm::Es256 => PublicKeyAlgorithm::Es256,
        };
        if matches!(secret, Some(Some(_))) {
            self.excluded(
                keys::ISSUER_KEY.name,
                "is for `HS256`; `RS256` and `ES256` take `public_key` or `jwks`",
            );
        }
        match (pem?, set?) {
            (Some(_), Some(_)) => {
                self.excluded(keys::ISSUER_JWKS.name, "excludes `public_key`: only one of them can count");
                None
            }
            (Some(path), None) => {
                let pem = self.public_file(&keys::ISSUER_PUBLIC_KEY, &path, judge_pem)?;
                let keys = IssuerKeys::Pem { algorithm, id: id?, pem };
                Some((keys, (keys::ISSUER_PUBLIC_KEY.name, self.origin(keys::ISSUER_PUBLIC_KEY.name))))
            }
            (None, Some(path)) => {
                if matches!(id, Some(Some(_))) {
                    self.excluded(keys::ISSUER_KEY_ID.name, "excludes `jwks`, whose keys have their own ids");
                }
                let document = self.public_file(&keys::ISSUER_JWKS, &path, judge_set)?;
                let keys = IssuerKeys::KeySet { algorithm, document };
                Some((keys, (keys::ISSUER_JWKS.name, self.origin(keys::ISSUER_JWKS.name))))
            }
            (None, None) => {
                self.missing(&keys::ISSUER_PUBLIC_KEY, "`RS256` and `ES256` need it, or `jwks`");
                None
            }
        }
    }

    fn secret(
        &mut self,
        reference: Option<SecretRef>,
        id: Option<Name>,
    ) -> Option<(IssuerKeys, (&'static str, Origin))> {
        let Some(reference) = reference else {
            self.missing(&keys::ISSUER_KEY, "`HS256` needs it");
            return None;
        };
        let (key, origin) = (keys::ISSUER_KEY.name, self.origin(keys::ISSUER_KEY.name));
        let secret = match reference.fetch(self.r.base, self.r.environment) {
            Ok(secret) => secret,
            Err(fault) => {
                let help = "make a key, `head -c 32 /dev/urandom | base64`, and give it to this host application only";
                let fault = if fault.code == Code::MissingSecret { fault.help(help) } else { fault };
                self.r.report_at(origin, key, fault, Severity::Error);
                return None;
            }
        };
        if secret.expose().contains("-----BEGIN ") {
            let wanted =
                "must refer to a secret that the host shares, and this is the text of a key or certificate";
            let fault = Fault::new(Code::WrongKey, wanted)
                .help("name a public key with `public_key` and its algorithm; anyone may know it");
            self.r.report_at(origin, key, fault, Severity::Error);
            return None;
        }
        Some((IssuerKeys::Secret { id, secret }, (key, origin)))
    }

    fn public_file<S>(
        &mut self,
        key: &Key<S>,
        path: &Path,
        judge: fn(&str) -> Result<(), Fault>,
    ) -> Option<String> {
        let read = read_public(&self.r.base.join(path)).and_then(|text| judge(&text).map(|()| text));
        read.map_err(|fault| self.r.report_at(self.origin(key.name), key.name, fault, Severity::Error)).ok()
    }
}

/// Reads a file that everybody may read and nobody else may write. A name that leads to no file is not shown: it may be a
/// key that stands where its file's name belongs.
pub(crate) fn read_public(path: &Path) -> Result<String, Fault> {
    let bytes = read_public_bytes(path, LARGEST_FILE, "256 KiB")?;
    String::from_utf8(bytes).map_err(|_| bad_path("is not text"))
}

/// The same for a file that need not be text, of so many bytes at most.
pub(crate) fn read_public_bytes(path: &Path, largest: u64, largest_shown: &str) -> Result<Vec<u8>, Fault> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => bad_path("does not exist"),
        kind => bad_path(&format!("cannot be read: {kind}")),
    };
    // Opening a named pipe would wait for its writer, so the kind of file is looked at first.
    if !path.metadata().map_err(failed)?.is_file() {
        return Err(bad_path("is not a plain file"));
    }
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    if mode & 0o022 != 0 {
        let fault = Fault::new(Code::WritableKey, "must be a file that only its owner can write")
            .found(format!("mode {:04o}", mode & 0o7777));
        let help =
            format!("run `chmod go-w '{}'`, and compare its content with its origin's", path.display());
        return Err(fault.help(help));
    }
    let mut bytes = Vec::new();
    file.take(largest + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > largest {
        return Err(bad_path(&format!("is larger than {largest_shown}")));
    }
    Ok(bytes)
}

fn bad_path(why: &str) -> Fault {
    Fault::new(Code::BadPath, format!("names a file that {why}"))
        .help("give its path, relative to the folder of this file")
}

fn judge_pem(text: &str) -> Result<(), Fault> {
    private(text)?;
    if text.contains("-----BEGIN PUBLIC KEY-----") {
        return Ok(());
    }
    let wanted = "must name a file with a public key in PEM, which begins with `-----BEGIN PUBLIC KEY-----`";
    let help = "`openssl pkey -in private.pem -pubout` or `openssl x509 -in certificate.pem -pubkey -noout` prints it";
    Err(Fault::new(Code::WrongKey, wanted).help(help))
}

fn judge_set(text: &str) -> Result<(), Fault> {
    private(text)?;
    if text.trim_start().starts_with('{') {
        return Ok(());
    }
    let wanted = "must name a file with a JWK Set, which is a JSON object with a list `keys`";
    Err(Fault::new(Code::WrongKey, wanted).help("name a key in PEM with `public_key`"))
}

fn private(text: &str) -> Result<(), Fault> {
    if !text.contains("PRIVATE KEY-----") {
        return Ok(());
    }
    let wanted = "must name a file with a public key, and this one holds a private key";
    Err(Fault::new(Code::WrongKey, wanted)
        .help("make a new pair, since this one has left its host, and put its public key here"))
}
