//! The instance's own keys: references in the configuration, values from files and variables, judged before use.
//!
//! A secret never stands in the configuration, is never printed, and is never replaced by a weaker mode: one that is
//! missing or weak stops the program.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use portcullis_core::Secret;
use portcullis_core::seal::SealKey;
use portcullis_core::secret::random_bytes;
use portcullis_core::strength::{self, MIN_BITS, MIN_CHARS, Weakness};
use ring::hmac;

use crate::codes::Code;
use crate::environment::{Environment, Variable};
use crate::shape::Fault;
use crate::value::shown;

/// No key is as long; a larger file is something else.
const LARGEST_FILE: u64 = 64 * 1024;

const NEW_KEY: &str = "make a new key: `head -c 32 /dev/urandom | base64`";

/// Where a secret is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SecretRef {
    /// In the environment variable of that name.
    Variable(String),
    /// In the file of that path, relative to the folder of the configuration file.
    File(PathBuf),
}

impl SecretRef {
    /// Parses `env:NAME` or `file:PATH`. Anything else may be a secret, so no fault holds the text.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        if let Some(name) = text.strip_prefix("env:") {
            // Capitals only: a key pasted behind `env:` is then refused here, where its text is not shown.
            let plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
            let begins = name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
            return if begins && name.bytes().all(plain) {
                Ok(Self::Variable(name.to_owned()))
            } else {
                let wanted = "must name a variable of capitals, digits and underscores after `env:`";
                Err(Fault::new(Code::BadReference, wanted).help("write for example `env:JWT_SECRET`"))
            };
        }
        if let Some(path) = text.strip_prefix("file:") {
            return if path.trim().is_empty() || path.chars().any(char::is_control) {
                Err(Fault::new(Code::BadReference, "must name a file after `file:`"))
            } else {
                Ok(Self::File(PathBuf::from(path)))
            };
        }
        Err(Fault::new(Code::LiteralSecret, "must be a reference, `env:NAME` or `file:PATH`")
            .found("a literal value, which is not shown")
            .help("make a new key in a file of mode 0600 and write `file:PATH`; what stood here counts as known"))
    }

    /// Fetches the value, without the white space around it that editors and shells leave.
    pub(crate) fn fetch(&self, base: &Path, environment: &Environment) -> Result<Secret<String>, Fault> {
        match self {
            Self::Variable(name) => match environment.look_up(name) {
                Some(Variable::Text(text)) if !text.expose().trim().is_empty() => {
                    Ok(Secret::new(text.expose().trim().to_owned()))
                }
                Some(Variable::Text(_)) => {
                    Err(missing(format!("refers to the variable `{name}`, which is empty")))
                }
                Some(Variable::NotUnicode) => {
                    let wanted = format!("refers to the variable `{name}`, which is not text");
                    Err(Fault::new(Code::UnreadableSecret, wanted))
                }
                None => Err(missing(format!("refers to the variable `{name}`, which is not set"))),
            },
            Self::File(path) => read_private(&base.join(path)),
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

fn missing(wanted: String) -> Fault {
    Fault::new(Code::MissingSecret, wanted)
        .help("`portcullis init` in an empty folder makes a configuration with fresh keys")
}

/// Refuses a file that other accounts can read, with the command that repairs it.
pub(crate) fn require_private(path: &Path, mode: u32) -> Result<(), Fault> {
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let wanted = format!("must be a file that only its owner can use ({})", shown(&path.to_string_lossy()));
    Err(Fault::new(Code::ExposedSecret, wanted).found(format!("mode {:04o}", mode & 0o7777)).help(format!(
        "run `chmod 600 '{}'`, and make a new key if others used this machine",
        path.display()
    )))
}

/// Whether a part of the path may be a secret that somebody wrote in the place of a file's name.
fn is_random(path: &Path) -> bool {
    path.iter().map(std::ffi::OsStr::as_encoded_bytes).any(|part| {
        let has = |is: fn(&u8) -> bool| part.iter().any(is);
        part.len() >= 8
            && part.iter().all(u8::is_ascii_alphanumeric)
            && has(u8::is_ascii_lowercase)
            && has(u8::is_ascii_uppercase)
            && has(u8::is_ascii_digit)
    })
}

fn read_private(path: &Path) -> Result<Secret<String>, Fault> {
    let name = shown(&path.to_string_lossy());
    let unreadable =
        |why: &str| Fault::new(Code::UnreadableSecret, format!("refers to the file {name}, which {why}"));
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound if is_random(path) => missing(
            "refers to a file that does not exist, and whose name is unusual and not shown".to_owned(),
        ),
        std::io::ErrorKind::NotFound => missing(format!("refers to the file {name}, which does not exist")),
        _ => unreadable(&format!("cannot be read: {}", error.kind())),
    };
    // Opening a named pipe would wait for its writer, so the kind of file is looked at first.
    if !path.metadata().map_err(failed)?.is_file() {
        return Err(unreadable("is not a plain file"));
    }
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    require_private(path, metadata.permissions().mode())?;
    let mut bytes = Vec::new();
    let read = file.take(LARGEST_FILE + 1).read_to_end(&mut bytes);
    let bytes = Secret::new(bytes);
    read.map_err(failed)?;
    if bytes.expose().len() as u64 > LARGEST_FILE {
        return Err(unreadable("is larger than 64 KiB"));
    }
    let Ok(text) = std::str::from_utf8(bytes.expose()) else {
        return Err(unreadable("is not text"));
    };
    if text.trim().is_empty() {
        return Err(missing(format!("refers to the file {name}, which is empty")));
    }
    Ok(Secret::new(text.trim().to_owned()))
}

/// The instance's own keys, each strong enough and different from the others.
#[derive(Clone)]
pub struct Secrets {
    /// Signs the instance's own tokens: the text's bytes are the key.
    pub jwt_secret: Secret<String>,
    /// Seals stored data.
    pub encryption_key: SealKey,
    /// Protects forms: the text's bytes are the key.
    pub csrf_secret: Secret<String>,
    /// Signs the checkpoints of the audit journal.
    pub audit_key: Secret<[u8; 32]>,
    /// What the operator plane wants with every request: one line of visible ASCII. Without it there is no such plane.
    pub operator_token: Option<Secret<String>>,
    reports: Vec<SecretReport>,
}

impl Secrets {
    pub(crate) fn new(named: &NamedSecrets) -> Option<Self> {
        let [jwt_secret, encryption_key, csrf_secret, audit_key, operator_token] = &named.0;
        Some(Self {
            jwt_secret: jwt_secret.value.clone()?,
            encryption_key: SealKey::from_bytes(*key(encryption_key.value.as_ref()?)?.expose()),
            csrf_secret: csrf_secret.value.clone()?,
            audit_key: key(audit_key.value.as_ref()?)?,
            operator_token: operator_token.value.clone(),
            reports: named.reports(),
        })
    }

    /// What can be said of each key without telling it, for `check`. Fingerprints compare within one load only.
    pub fn reports(&self) -> &[SecretReport] {
        &self.reports
    }
}

/// Names only.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Secrets");
        for report in &self.reports {
            shown.field(report.name, &format_args!("***"));
        }
        shown.finish()
    }
}

fn key(text: &Secret<String>) -> Option<Secret<[u8; 32]>> {
    let bytes = Secret::new(strength::decode(text.expose())?);
    bytes.expose().as_slice().try_into().ok().map(Secret::new)
}

/// Whether a secret's text is used as it is, or stands for 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Text,
    Key256,
}

/// One of them with its value, if it could be fetched.
#[derive(Debug)]
pub(crate) struct NamedSecret {
    /// The key in the configuration.
    pub(crate) key: &'static str,
    pub(crate) purpose: Use,
    pub(crate) value: Option<Secret<String>>,
}

/// `jwt_secret`, `encryption_key`, `csrf_secret`, `audit_key`, `operator_token`.
#[derive(Debug)]
pub(crate) struct NamedSecrets(pub(crate) [NamedSecret; 5]);

impl NamedSecrets {
    fn reports(&self) -> Vec<SecretReport> {
        let salt = hmac::Key::new(hmac::HMAC_SHA256, &random_bytes::<32>());
        let report = |secret: &NamedSecret| {
            let value = secret.value.as_ref()?;
            let name = secret.key.rsplit('.').next().unwrap_or(secret.key);
            Some(SecretReport::new(name, value.expose(), secret.purpose, &salt))
        };
        self.0.iter().filter_map(report).collect()
    }

    /// What each secret stands for, to compare others with it.
    pub(crate) fn materials(&self) -> impl Iterator<Item = (&'static str, Secret<Vec<u8>>)> {
        self.0.iter().filter_map(|secret| {
            secret.value.as_ref().map(|value| (secret.key, Secret::new(material(value.expose()))))
        })
    }

    /// Every weakness of every secret, and every pair of equal ones.
    pub(crate) fn judge(&self) -> Vec<(&'static str, Fault)> {
        let mut faults = Vec::new();
        let mut earlier: Vec<(&'static str, Secret<Vec<u8>>)> = Vec::new();
        for secret in &self.0 {
            let Some(value) = &secret.value else { continue };
            let weak = self::faults(value.expose(), secret.purpose);
            faults.extend(weak.into_iter().map(|fault| (secret.key, fault)));
            let material = Secret::new(material(value.expose()));
            if let Some((equal, _)) = earlier.iter().find(|(_, seen)| seen.expose() == material.expose()) {
                faults.push((secret.key, equal_secrets(&format!("`{equal}`"))));
            }
            earlier.push((secret.key, material));
        }
        faults
    }
}

/// The fault of a secret that is equal to another.
pub(crate) fn equal_secrets(other: &str) -> Fault {
    Fault::new(Code::EqualSecrets, format!("must differ from {other}, and is equal to it")).help(NEW_KEY)
}

/// Everything that is wrong with the text of a secret.
pub(crate) fn faults(text: &str, purpose: Use) -> Vec<Fault> {
    weaknesses(text, purpose).iter().map(fault).collect()
}

/// The bytes that a text stands for, so that one key in hex and in base64 counts as equal.
pub(crate) fn material(text: &str) -> Vec<u8> {
    strength::decode(text).unwrap_or_else(|| text.as_bytes().to_vec())
}

fn weaknesses(text: &str, purpose: Use) -> Vec<Weakness> {
    match purpose {
        Use::Text => strength::judge(text),
        Use::Key256 => strength::judge_aes256(text),
    }
}

fn fault(weakness: &Weakness) -> Fault {
    let fault = match weakness {
        Weakness::Short { chars } => {
            Fault::new(Code::ShortSecret, format!("must have at least {MIN_CHARS} characters"))
                .found(chars.to_string())
        }
        Weakness::Repetitive { bits } => {
            let wanted = format!("must have characters that allow at least {MIN_BITS} bits of randomness");
            Fault::new(Code::RepetitiveSecret, wanted).found(format!("{bits} bits"))
        }
        Weakness::Example => Fault::new(
            Code::ExampleSecret,
            "must not hold a phrase that stands in documentation and word lists",
        ),
        Weakness::NotAes256 { bits } => {
            Fault::new(Code::NotAKey, "must decode to 256 bits (32 bytes as hex or base64)")
                .found(format!("{bits} bits"))
        }
    };
    fault.help(NEW_KEY)
}

/// What can be said of a secret without telling it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecretReport {
    /// Its name, such as `jwt_secret`.
    pub name: &'static str,
    /// How many characters it has.
    pub characters: usize,
    /// How many bits its text decodes to as hex or base64; nothing if it is neither.
    pub decoded_bits: Option<usize>,
    /// The most bits of randomness that its characters allow.
    pub estimated_bits: u32,
    /// What is wrong with it; empty when it is strong enough.
    pub weaknesses: Vec<String>,
    /// Equal for equal secrets of one load, and useless outside it: keyed with a random salt that is thrown away.
    pub fingerprint: String,
}

impl SecretReport {
    fn new(name: &'static str, text: &str, purpose: Use, salt: &hmac::Key) -> Self {
        let tag = hmac::sign(salt, &material(text));
        Self {
            name,
            characters: text.chars().count(),
            decoded_bits: strength::decode(text).map(|bytes| bytes.len() * 8),
            estimated_bits: strength::estimated_bits(text),
            weaknesses: weaknesses(text, purpose).iter().map(Weakness::to_string).collect(),
            fingerprint: tag.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}
