//! The configuration: `portcullis.toml`, the environment and flags become one [`Config`] that cannot be wrong.
//!
//! Three shapes. *Raw*: what the file says, every key with its place (`raw.rs`). [`Resolved`]: default, file, environment
//! and flags laid over one another, every value with its origin. [`Config`]: typed values, which the rest of the program uses.
//! All problems are reported at once as [`Diagnostics`]. Start reading at `keys.rs`, the one table of keys.
//!
//! This is the only crate that reads the environment. It never prints, never holds a secret in a message, and never
//! starts with a missing or weak secret.

mod blocklist;
mod codes;
mod config;
mod diagnostic;
mod entry;
mod environment;
mod generate;
mod handover;
mod init;
mod issuers;
mod keys;
mod mail;
mod money;
mod near;
mod network;
mod rates;
mod raw;
mod release;
mod resolve;
mod rules;
mod screen;
mod secrets;
mod shape;
mod text;
mod tools;
mod url;
mod value;

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

pub use blocklist::Blocklist;
pub use codes::{Code, errors_markdown, explain};
pub use config::{
    Audit, Config, Danger, Limits, Listen, Log, LogFormat, LogLevel, Model, Proxies, SignIn, Tls, TlsVersion,
    WeakSecrets,
};
pub use diagnostic::{Diagnostic, Diagnostics, Origin, Severity};
pub use environment::{Environment, Flags};
pub use generate::{example_toml, reference_markdown};
pub use handover::{Handover, HandoverMode, HandoverReason};
pub use init::{InitError, Initialised, init};
pub use issuers::{Issuer, IssuerKeys, PublicKeyAlgorithm};
pub use mail::{Mail, MailAddress, MailLogin, MailRoute, MailSecurity, MailServer};
pub use money::{Currency, Price, Prices};
pub use network::{Cidr, CidrFault};
pub use rates::{Tiers, Windows};
pub use release::{LeakAction, OwnRequest, PersonalKind, Release, ReleaseMode};
pub use resolve::Resolved;
pub use screen::{Screen, ScreenMode, ScreenThresholds, SecretMode};
pub use secrets::{SecretReport, Secrets};
pub use text::{Name, SystemText};
pub use tools::{ProgramFile, Tool, ToolApproval, ToolWay, Tools};
pub use url::{BaseUrl, Host, PublicUrl, Scheme, UrlFault};

/// No configuration is larger; a larger file is something else.
const LARGEST_FILE: u64 = 1024 * 1024;

/// A configuration without errors.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Loaded {
    /// What the program uses.
    pub config: Config,
    /// What does not stop the program and should be printed.
    pub warnings: Diagnostics,
    /// Where every value comes from.
    pub resolved: Resolved,
}

/// Reads the file, lays environment and flags over it, fetches and judges the secrets.
///
/// Relative paths are taken from the folder of the file.
///
/// # Errors
/// Every problem at once, warnings among them.
pub fn load(path: &Path, environment: &Environment, flags: &Flags) -> Result<Loaded, Diagnostics> {
    let mut diagnostics = Diagnostics::default();
    let name: Arc<Path> = path.into();
    let text = match read(path) {
        Ok(text) => text,
        Err(why) => {
            let fault = Diagnostic::error(
                Code::Unreadable,
                Origin::Path(name),
                format!("the configuration file {why}"),
            );
            diagnostics.push(fault.help("`portcullis init` writes one with fresh keys"));
            return Err(diagnostics);
        }
    };
    let raw = raw::Raw::read(&name, &text, &mut diagnostics);
    let resolved = Resolved::new(raw, environment, flags, &mut diagnostics);
    let base = path.parent().unwrap_or_else(|| Path::new(""));
    let config = config::build(&resolved, base, environment, &mut diagnostics);
    if !resolved.broken.is_nowhere() {
        // A broken line takes keys away, so only faults that stand on their own are told until it is repaired.
        diagnostics.retain(|diagnostic| match &diagnostic.origin {
            _ if diagnostic.code == Code::Syntax => true,
            Origin::File { line, .. } => diagnostic.code.stands_alone() && resolved.broken.spares(*line),
            _ => diagnostic.code.stands_alone(),
        });
    }
    let diagnostics = diagnostics.sorted();
    match config {
        Some(config) if diagnostics.errors() == 0 => Ok(Loaded { config, warnings: diagnostics, resolved }),
        _ => {
            debug_assert!(diagnostics.errors() > 0, "a configuration is refused without a reason");
            Err(diagnostics)
        }
    }
}

impl Loaded {
    /// Holds the names of switched-off guards against the guards there are.
    ///
    /// # Errors
    /// Every name that is none of them, with its place.
    pub fn check_guard_names(&self, known: &[&str]) -> Result<(), Diagnostics> {
        let key = keys::DANGER_GUARDS_OFF.name;
        let mut diagnostics = Diagnostics::default();
        for name in &self.config.danger.guards_off {
            if known.contains(&name.as_str()) {
                continue;
            }
            let origin = self.resolved.origin(key).cloned().unwrap_or(Origin::Default);
            let found = value::shown(name.as_str());
            let fault = Diagnostic::error(Code::UnknownGuard, origin, "names a guard that does not exist");
            let help = match near::nearest(name.as_str(), known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the guards are {}", known.join(", ")),
            };
            diagnostics.push(fault.key(key).found(found).help(help));
        }
        if diagnostics.is_empty() { Ok(()) } else { Err(diagnostics) }
    }
}

fn read(path: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "does not exist".to_owned(),
        kind => format!("cannot be read: {kind}"),
    };
    // Opening a named pipe would wait for its writer, so the kind of file is looked at first.
    if !path.metadata().map_err(failed)?.is_file() {
        return Err("is not a plain file".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err("is larger than 1 MiB".to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned())
}
