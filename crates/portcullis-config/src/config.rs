//! The configuration that the program uses: every value has a type that cannot be wrong.
//!
//! It is only made from a [`Resolved`] configuration without errors. Rules that span several keys stand in `rules.rs`.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_core::Secret;

use crate::blocklist::{self, Blocklist};
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Diagnostics, Origin, Severity};
use crate::environment::Environment;
use crate::handover::{self, Handover};
use crate::issuers::{self, Issuer};
use crate::keys::{self, Key};
use crate::mail::{self, Mail};
use crate::money::{Currency, Prices};
use crate::network::Cidr;
use crate::rates::{self, Tiers, Windows};
use crate::release::{self, Release};
use crate::resolve::Resolved;
use crate::rules;
use crate::screen::{self, Screen};
use crate::secrets::{NamedSecret, NamedSecrets, SecretRef, Secrets, Use};
use crate::shape::{Fault, Shape};
use crate::text::{Name, SystemText};
use crate::tools::{self, Tools};
use crate::url::{BaseUrl, PublicUrl};
use crate::value::Given;

/// A valid configuration. `Debug` masks secrets and the system text.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Folder of the databases and of the audit journal.
    pub data_dir: PathBuf,
    /// The address that members type.
    pub public_url: PublicUrl,
    /// Where the program listens.
    pub listen: Listen,
    /// The listeners' certificate; without one they speak plain HTTP.
    pub tls: Option<Tls>,
    /// Proxies in front of the program.
    pub proxies: Proxies,
    /// The instance's own keys.
    pub secrets: Secrets,
    /// The model that answers; without one answers are extracts.
    pub model: Option<Model>,
    /// What may leave in an answer.
    pub release: Release,
    /// What is done about attempts to instruct the model.
    pub screen: Screen,
    /// What is done about questions that a person should see.
    pub handover: Handover,
    /// The host applications whose tokens are accepted, in the order of the file.
    pub issuers: Vec<Issuer>,
    /// The tools that the model may ask for.
    pub tools: Tools,
    /// How mail is sent; without it nobody can sign in by mail.
    pub mail: Option<Mail>,
    /// Signing in by mail.
    pub sign_in: SignIn,
    /// How much one caller may use.
    pub limits: Limits,
    /// Addresses that are refused.
    pub blocklist: Blocklist,
    /// How much a whole community may use.
    pub tiers: Tiers,
    /// The audit journal.
    pub audit: Audit,
    /// The program's own log.
    pub log: Log,
    /// Options that weaken safety.
    pub danger: Danger,
}

/// Where the program listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listen {
    /// The members' listener.
    pub member: SocketAddr,
    /// The operator's listener.
    pub operator: SocketAddr,
    /// The listener that only sends members on to the public address.
    pub redirect: Option<SocketAddr>,
}

/// The listeners' certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tls {
    /// The certificate chain in PEM.
    pub certificate: PathBuf,
    /// The private key in PEM; the file is the owner's alone.
    pub key: PathBuf,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

impl TlsVersion {
    pub(crate) const WORDS: &[(&str, Self)] = &[("1.3", Self::Tls13), ("1.2", Self::Tls12)];
}

/// Proxies in front of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proxies {
    /// The networks whose forwarding headers are believed.
    pub trusted: Vec<Cidr>,
}

/// The model that answers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Model {
    /// Base URL of its OpenAI-compatible API.
    pub url: BaseUrl,
    /// The model that answers when a caller names none.
    pub name: Name,
    /// Its API key: one line of visible ASCII.
    pub api_key: Option<Secret<String>>,
    /// The models that a caller may choose; always holds `name`.
    pub allow: Vec<Name>,
    /// What each costs. With a budget of costs, each of `allow` has a price.
    pub prices: Prices,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long to wait for the first byte of an answer.
    pub first_byte_timeout: Duration,
    /// How long an answer may pause.
    pub idle_timeout: Duration,
    /// How long an answer may take in all.
    pub total_timeout: Duration,
    /// How many answers it works on at once.
    pub max_concurrent: NonZeroU32,
    /// How many of them are one member's at once.
    pub max_concurrent_per_member: NonZeroU32,
    /// How many of them are one community's at once.
    pub max_concurrent_per_community: NonZeroU32,
    /// How many questions wait when it is busy.
    pub queue: usize,
    /// How long a question waits.
    pub queue_timeout: Duration,
    /// The most tokens of an answer.
    pub max_tokens: NonZeroU32,
    /// The system text of members' chats.
    pub system: Option<SystemText>,
}

/// Signing in by a link that is sent by mail, and the sessions that begin so.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignIn {
    /// How long a link works.
    pub link_life: Duration,
    /// How long a session lasts however it is used.
    pub session_life: Duration,
    /// How long a session may lie unused; never longer than it lasts.
    pub session_idle: Duration,
    /// The communities that strangers may join by signing in, by short name.
    pub open: Vec<Name>,
    /// How many links one client may ask for one mail address within an hour.
    pub links_per_address_per_hour: NonZeroU32,
    /// How many links one client address may ask for within an hour.
    pub links_per_client_per_hour: NonZeroU32,
}

/// How much one caller may use.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Requests of one member, or of one key that acts for none.
    pub per_key: Windows,
    /// Requests in one session, or with one key of a member.
    pub per_session: Windows,
    /// Requests from one client address.
    pub per_address: Windows,
    /// Requests a minute from one client address without a valid credential.
    pub unauthenticated_per_address_per_minute: NonZeroU32,
    /// Tokens that the model may use for one member, or for one key that acts for none, in a day.
    pub tokens_per_member_per_day: Option<NonZeroU32>,
    /// Tokens that the model may use for a whole community in a day.
    pub tokens_per_community_per_day: Option<NonZeroU32>,
    /// The currency of prices and of budgets of costs.
    pub currency: Currency,
    /// What the model may cost for one member, or for one key that acts for none, in a day: in millionths of the
    /// currency's unit.
    pub cost_per_member_per_day: Option<NonZeroU32>,
    /// The same for a whole community.
    pub cost_per_community_per_day: Option<NonZeroU32>,
    /// The most memory that counters take, in bytes.
    pub memory_bytes: usize,
    /// How many instances serve the same communities.
    pub instances: NonZeroU32,
    /// The largest request body, in bytes.
    pub body_bytes: usize,
    /// How long a request body may take, if it does not come fast enough for longer.
    pub body_timeout: Duration,
    /// The bytes of a body that must come in each second beyond that.
    pub body_bytes_per_second: NonZeroU32,
    /// The largest request head, in bytes.
    pub header_bytes: usize,
    /// How long a client may take to send a request's head.
    pub header_timeout: Duration,
    /// How long a request may take in all.
    pub request_timeout: Duration,
    /// How long a client may read nothing of what is sent to it.
    pub write_timeout: Duration,
    /// How many connections are open at once.
    pub max_connections: NonZeroU32,
    /// How many of them are one client address's; at most half of them.
    pub max_connections_per_address: NonZeroU32,
    /// How many answers to requests with an `Idempotency-Key` are remembered.
    pub idempotency_entries: NonZeroU32,
    /// How many bytes they may take.
    pub idempotency_bytes: usize,
    /// How long they are remembered.
    pub idempotency_ttl: Duration,
}

/// The audit journal.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Audit {
    /// A checkpoint is signed after so many records...
    pub checkpoint_records: NonZeroU32,
    /// ... or after so long, if there are new records.
    pub checkpoint_interval: Duration,
}

/// The program's own log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Log {
    /// The form of a line.
    pub format: LogFormat,
    /// The least severe line that is written.
    pub level: LogLevel,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

impl LogFormat {
    pub(crate) const WORDS: &[(&str, Self)] = &[("json", Self::Json), ("text", Self::Text)];
}

/// How severe a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something needs attention.
    Warn,
    /// What an operator wants to know.
    Info,
    /// What a developer wants to know.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    pub(crate) const WORDS: &[(&str, Self)] = &[
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];

    /// Its name, as a log filter spells it.
    pub fn as_str(self) -> &'static str {
        Self::WORDS.iter().find(|(_, level)| *level == self).map_or("info", |(word, _)| word)
    }
}

/// Options that weaken safety; all empty in a build without the feature `guard-off`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Danger {
    /// Guards that are switched off, by name.
    pub guards_off: Vec<Name>,
    /// Whether weak secrets only warn.
    pub weak_secrets: WeakSecrets,
}

/// What becomes of a weak secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeakSecrets {
    /// The program does not start.
    Refused,
    /// The program starts with a warning.
    Allowed,
}

impl Config {
    /// The options that weaken safety and are on, in words for the log and for `check`.
    pub fn dangers(&self) -> Vec<String> {
        self.danger.active()
    }
}

impl Danger {
    pub(crate) fn active(&self) -> Vec<String> {
        let guards =
            self.guards_off.iter().map(|name| format!("danger.danger_guards_off: the guard `{name}` is off"));
        let weak = (self.weak_secrets == WeakSecrets::Allowed)
            .then(|| "danger.danger_allow_weak_secrets: weak secrets are accepted".to_owned());
        guards.chain(weak).collect()
    }
}

/// Reads every field before the first missing one ends it, so that all faults of a table are found.
macro_rules! all {
    ($name:ident { $($field:ident: $value:expr),+ $(,)? }) => {{
        $(let $field = $value;)+
        Some(()).and_then(|()| Some($name { $($field: $field?),+ }))
    }};
}

/// Makes the configuration, or none if there was an error, which is then among the diagnostics.
pub(crate) fn build(
    resolved: &Resolved,
    base: &Path,
    environment: &Environment,
    diagnostics: &mut Diagnostics,
) -> Option<Config> {
    let mut reader = Reader { resolved, base, environment, diagnostics };
    let r = &mut reader;
    let danger = danger(r);
    let data_dir = r.required(&keys::DATA_DIR).map(|path| base.join(path));
    let public_url = r.required(&keys::PUBLIC_URL);
    let listen = all!(Listen {
        member: r.required(&keys::LISTEN_MEMBER),
        operator: r.required(&keys::LISTEN_OPERATOR),
        redirect: r.optional(&keys::LISTEN_REDIRECT),
    });
    let tls = tls(r);
    let proxies = all!(Proxies { trusted: r.required(&keys::PROXIES_TRUSTED) });
    let model = model(r);
    let release = release::read(r);
    let screen = screen::read(r);
    let handover = handover::read(r);
    let sign_in = sign_in(r);
    let limits = limits(r);
    let blocklist = blocklist::read(r, proxies.as_ref());
    let tiers = rates::tiers(r);
    let audit = all!(Audit {
        checkpoint_records: r.required(&keys::AUDIT_CHECKPOINT_RECORDS),
        checkpoint_interval: r.required(&keys::AUDIT_CHECKPOINT_SECONDS),
    });
    let log = all!(Log { format: r.required(&keys::LOG_FORMAT), level: r.required(&keys::LOG_LEVEL) });
    let weak = danger.as_ref().map_or(WeakSecrets::Refused, |danger| danger.weak_secrets);
    let (named, secrets) = secrets(r, weak);
    let model_key = model.iter().flatten().find_map(|model| model.api_key.as_ref());
    let issuers = issuers::read(r, weak, &named, model_key);
    let tools = tools::read(r);
    let mail = mail::read(r, &named);

    if let (Some(listen), Some(public_url), Some(tls), Some(proxies)) = (&listen, &public_url, &tls, &proxies)
    {
        rules::listeners(r, *listen, public_url, tls.as_ref(), proxies);
    }
    if let (Some(Some(mail)), Some(public_url)) = (&mail, &public_url) {
        rules::mail(r, mail, public_url);
    }
    if let (Some(Some(model)), Some(limits)) = (&model, &limits) {
        rules::model(r, model, limits);
    }
    let config = Config {
        data_dir: data_dir?,
        public_url: public_url?,
        listen: listen?,
        tls: tls?,
        proxies: proxies?,
        secrets: secrets?,
        model: model?,
        release: release?,
        screen: screen?,
        handover: handover?,
        issuers: issuers?,
        tools: tools?,
        mail: mail?,
        sign_in: sign_in?,
        limits: limits?,
        blocklist: blocklist?,
        tiers: tiers?,
        audit: audit?,
        log: log?,
        danger: danger?,
    };
    (diagnostics.errors() == 0).then_some(config)
}

fn danger(r: &mut Reader<'_>) -> Option<Danger> {
    let guards_off = r.required(&keys::DANGER_GUARDS_OFF);
    let allow = r.required(&keys::DANGER_WEAK_SECRETS);
    if !cfg!(feature = "guard-off") {
        if guards_off.as_ref().is_some_and(|guards| !guards.is_empty()) {
            r.refuse_danger(keys::DANGER_GUARDS_OFF.name);
        }
        if allow == Some(true) {
            r.refuse_danger(keys::DANGER_WEAK_SECRETS.name);
        }
        return Some(Danger { guards_off: Vec::new(), weak_secrets: WeakSecrets::Refused });
    }
    let guards_off = guards_off?;
    // The strength of secrets is a guard too, judged here: switching it off by name is the same as allowing them.
    let off = guards_off.iter().any(|guard| guard.as_str() == "secret-strength");
    let weak_secrets = if allow? || off { WeakSecrets::Allowed } else { WeakSecrets::Refused };
    let danger = Danger { guards_off, weak_secrets };
    for active in danger.active() {
        let key = active.split_once(':').map_or(active.as_str(), |(key, _)| key).to_owned();
        let warning = Diagnostic::warning(Code::Danger, r.origin(&key), active);
        r.diagnostics.push(warning.help("never for members: a start with this proves that a check notices"));
    }
    Some(danger)
}

fn tls(r: &mut Reader<'_>) -> Option<Option<Tls>> {
    let certificate = r.optional(&keys::TLS_CERTIFICATE);
    let key = r.optional(&keys::TLS_KEY);
    let min_version = r.required(&keys::TLS_MIN_VERSION);
    let table = r.resolved.section("tls").cloned();
    match (certificate?, key?, table) {
        (Some(certificate), Some(key), _) => {
            let tls = Tls {
                certificate: r.base.join(certificate),
                key: r.base.join(key),
                min_version: min_version?,
            };
            rules::tls_files(r, &tls);
            Some(Some(tls))
        }
        (None, None, None) => Some(None),
        (certificate, key, table) => {
            let origin = table.unwrap_or(Origin::Default);
            for (given, name) in
                [(certificate.is_some(), keys::TLS_CERTIFICATE.name), (key.is_some(), keys::TLS_KEY.name)]
            {
                if !given {
                    let fault = Diagnostic::error(
                        Code::HalfPair,
                        origin.clone(),
                        "is missing: `[tls]` needs both of its keys",
                    );
                    r.diagnostics.push(fault.key(name).help("add it, or remove `[tls]` to speak plain HTTP"));
                }
            }
            None
        }
    }
}

fn model(r: &mut Reader<'_>) -> Option<Option<Model>> {
    let present = r.resolved.section("model").is_some();
    let url = r.optional(&keys::MODEL_URL);
    let name = r.optional(&keys::MODEL_NAME);
    if present {
        r.require_in_table(&url, &keys::MODEL_URL);
        r.require_in_table(&name, &keys::MODEL_NAME);
    }
    let api_key = match r.optional(&keys::MODEL_API_KEY) {
        Some(Some(reference)) => r.fetch(keys::MODEL_API_KEY.name, &reference).map(Some),
        Some(None) => Some(None),
        None => None,
    };
    let at_once = r.required(&keys::MODEL_MAX_CONCURRENT);
    let part = |given: Option<Option<NonZeroU32>>, default: fn(u32) -> u32| {
        let default = || NonZeroU32::new(default(at_once?.get()));
        given?.or_else(default)
    };
    let per_member = r.optional(&keys::MODEL_PER_MEMBER);
    let per_community = r.optional(&keys::MODEL_PER_COMMUNITY);
    let model = all!(Model {
        url: url.flatten(),
        name: name.flatten(),
        api_key: api_key,
        allow: r.required(&keys::MODEL_ALLOW),
        prices: r.optional(&keys::MODEL_PRICES).map(Option::unwrap_or_default),
        connect_timeout: r.required(&keys::MODEL_CONNECT_TIMEOUT),
        first_byte_timeout: r.required(&keys::MODEL_FIRST_BYTE_TIMEOUT),
        idle_timeout: r.required(&keys::MODEL_IDLE_TIMEOUT),
        total_timeout: r.required(&keys::MODEL_TOTAL_TIMEOUT),
        max_concurrent: at_once,
        max_concurrent_per_member: part(per_member, |all| (all / 8).max(2)),
        max_concurrent_per_community: part(per_community, |all| all - all / 4),
        queue: r.required(&keys::MODEL_QUEUE),
        queue_timeout: r.required(&keys::MODEL_QUEUE_TIMEOUT),
        max_tokens: r.required(&keys::MODEL_MAX_TOKENS),
        system: r.optional(&keys::MODEL_SYSTEM),
    });
    if !present {
        return Some(None);
    }
    model.map(|mut model| {
        if model.allow.is_empty() {
            model.allow.push(model.name.clone());
        }
        Some(model)
    })
}

fn sign_in(r: &mut Reader<'_>) -> Option<SignIn> {
    let sign_in = all!(SignIn {
        link_life: r.required(&keys::SIGN_IN_LINK),
        session_life: r.required(&keys::SIGN_IN_SESSION),
        session_idle: r.required(&keys::SIGN_IN_IDLE),
        open: r.required(&keys::SIGN_IN_OPEN),
        links_per_address_per_hour: r.required(&keys::SIGN_IN_PER_ADDRESS),
        links_per_client_per_hour: r.required(&keys::SIGN_IN_PER_CLIENT),
    });
    sign_in.map(|mut sign_in| {
        rules::sessions(r, &sign_in);
        sign_in.session_idle = sign_in.session_idle.min(sign_in.session_life);
        sign_in
    })
}

fn limits(r: &mut Reader<'_>) -> Option<Limits> {
    let member = rates::windows(r, [&keys::LIMITS_KEY, &keys::LIMITS_KEY_HOUR, &keys::LIMITS_KEY_DAY]);
    let limits = all!(Limits {
        per_key: member,
        per_session: rates::session(r, member),
        per_address: rates::windows(
            r,
            [&keys::LIMITS_ADDRESS, &keys::LIMITS_ADDRESS_HOUR, &keys::LIMITS_ADDRESS_DAY]
        ),
        unauthenticated_per_address_per_minute: r.required(&keys::LIMITS_UNAUTHENTICATED),
        tokens_per_member_per_day: r.optional(&keys::LIMITS_TOKENS_MEMBER),
        tokens_per_community_per_day: r.optional(&keys::LIMITS_TOKENS_COMMUNITY),
        currency: r.required(&keys::LIMITS_CURRENCY),
        cost_per_member_per_day: r.optional(&keys::LIMITS_COST_MEMBER),
        cost_per_community_per_day: r.optional(&keys::LIMITS_COST_COMMUNITY),
        memory_bytes: r.required(&keys::LIMITS_MEMORY),
        instances: r.required(&keys::LIMITS_INSTANCES),
        body_bytes: r.required(&keys::LIMITS_BODY),
        body_timeout: r.required(&keys::LIMITS_BODY_TIMEOUT),
        body_bytes_per_second: r.required(&keys::LIMITS_BODY_RATE),
        header_bytes: r.required(&keys::LIMITS_HEADER),
        header_timeout: r.required(&keys::LIMITS_HEADER_TIMEOUT),
        request_timeout: r.required(&keys::LIMITS_REQUEST_TIMEOUT),
        write_timeout: r.required(&keys::LIMITS_WRITE_TIMEOUT),
        max_connections: r.required(&keys::LIMITS_CONNECTIONS),
        max_connections_per_address: r.required(&keys::LIMITS_CONNECTIONS_PER_ADDRESS),
        idempotency_entries: r.required(&keys::LIMITS_IDEMPOTENCY_ENTRIES),
        idempotency_bytes: r.required(&keys::LIMITS_IDEMPOTENCY_BYTES),
        idempotency_ttl: r.required(&keys::LIMITS_IDEMPOTENCY_TTL),
    });
    limits.map(|mut limits| {
        let half = NonZeroU32::new(limits.max_connections.get().div_ceil(2)).unwrap_or(NonZeroU32::MIN);
        limits.max_connections_per_address = limits.max_connections_per_address.min(half);
        rules::limits(r, &limits);
        limits
    })
}

fn secrets(r: &mut Reader<'_>, weak: WeakSecrets) -> (NamedSecrets, Option<Secrets>) {
    let mut named = |key: &'static Key<_>, purpose| {
        let reference = r.required(key);
        let value = reference.and_then(|reference| r.fetch(key.name, &reference));
        NamedSecret { key: key.name, purpose, value }
    };
    let required = [
        named(&keys::JWT_SECRET, Use::Text),
        named(&keys::ENCRYPTION_KEY, Use::Key256),
        named(&keys::CSRF_SECRET, Use::Text),
        named(&keys::AUDIT_KEY, Use::Key256),
    ];
    let operator = &keys::OPERATOR_TOKEN;
    let value = r.optional(operator).flatten().and_then(|reference| r.fetch(operator.name, &reference));
    if value.as_ref().is_some_and(|token| !token.expose().bytes().all(|b| b.is_ascii_graphic())) {
        let fault = Fault::new(Code::NotAHeader, "must refer to one line of visible ASCII characters");
        r.report(operator.name, fault, Severity::Error);
    }
    let [jwt, encryption, csrf, audit] = required;
    let operator = NamedSecret { key: operator.name, purpose: Use::Text, value };
    let named = NamedSecrets([jwt, encryption, csrf, audit, operator]);
    for (key, fault) in named.judge() {
        // A key of another length cannot be used at all, so no switch accepts it.
        let severity = match weak {
            WeakSecrets::Allowed if fault.code != Code::NotAKey => Severity::Warning,
            WeakSecrets::Allowed | WeakSecrets::Refused => Severity::Error,
        };
        r.report(key, fault, severity);
    }
    let secrets = Secrets::new(&named);
    (named, secrets)
}

/// Reads keys out of a resolved configuration and collects what is wrong.
pub(crate) struct Reader<'a> {
    pub(crate) resolved: &'a Resolved,
    pub(crate) base: &'a Path,
    pub(crate) environment: &'a Environment,
    pub(crate) diagnostics: &'a mut Diagnostics,
}

impl Reader<'_> {
    /// The value of a key that has a default; none if a fault was reported.
    pub(crate) fn required<S: Shape>(&mut self, key: &Key<S>) -> Option<S::Value> {
        let value = self.optional(key)?;
        if value.is_none() {
            let fault = Diagnostic::error(Code::Missing, Origin::Default, "is missing");
            self.diagnostics.push(fault.key(key.name));
        }
        value
    }

    /// The value of a key, if it is set; none if a fault was reported. Values that a later layer overrides are
    /// judged too: a file with a fault is a fault waiting for the variable to go.
    #[expect(
        clippy::option_option,
        reason = "the outer says whether it can be read, the inner whether it is set"
    )]
    pub(crate) fn optional<S: Shape>(&mut self, key: &Key<S>) -> Option<Option<S::Value>> {
        let resolved = self.resolved;
        self.last_of(key, resolved.layers(key.name))
    }

    /// The last of the values that a key was given, as `optional`.
    #[expect(clippy::option_option, reason = "as in `optional`")]
    pub(crate) fn last_of<S: Shape>(&mut self, key: &Key<S>, layers: &[Given]) -> Option<Option<S::Value>> {
        let mut value = None;
        let mut sound = true;
        for given in layers {
            match key.shape.read(&given.value) {
                Ok(read) => value = Some(read),
                Err(faults) => {
                    sound = false;
                    faults.into_iter().for_each(|fault| self.fault(key, given, fault));
                }
            }
        }
        sound.then_some(value)
    }

    fn fault<S>(&mut self, key: &Key<S>, given: &Given, fault: Fault) {
        let origin = fault.origin.unwrap_or_else(|| given.origin.clone());
        let help = fault.help.or_else(|| {
            let default = key.preset.toml()?;
            Some(match &given.origin {
                Origin::Environment { .. } => {
                    format!("unset the variable to use the file's value or the default ({default})")
                }
                Origin::Flag { .. } => {
                    format!("leave the flag out to use the file's value or the default ({default})")
                }
                _ => format!("remove the key to use the default ({default})"),
            })
        });
        let help =
            help.or_else(|| key.preset.example().map(|example| format!("write for example `{example}`")));
        let diagnostic = Diagnostic::error(fault.code, origin, fault.wanted).key(key.name);
        self.diagnostics.push(Diagnostic { found: fault.found, help, ..diagnostic });
    }

    pub(crate) fn require_in_table<T, S>(&mut self, value: &Option<Option<T>>, key: &Key<S>) {
        if let Some(None) = value {
            let section = keys::section_of(key.name);
            let origin = self.resolved.section(section).cloned().unwrap_or(Origin::Default);
            let wanted = format!("is missing: `[{section}]` needs it");
            let fault = Diagnostic::error(Code::Missing, origin, wanted).key(key.name);
            self.diagnostics.push(match key.preset.example() {
                Some(example) => fault.help(format!("write for example `{} = {example}`", key.name)),
                None => fault,
            });
        }
    }

    pub(crate) fn fetch(&mut self, key: &str, reference: &SecretRef) -> Option<Secret<String>> {
        let fetched = reference.fetch(self.base, self.environment);
        fetched.map_err(|fault| self.report(key, fault, Severity::Error)).ok()
    }

    fn refuse_danger(&mut self, key: &str) {
        let fault = Fault::new(Code::NoSwitch, "is not possible: this build has no such switch")
            .help("remove the key");
        self.report(key, fault, Severity::Error);
    }

    /// Where a key's value comes from.
    pub(crate) fn origin(&self, key: &str) -> Origin {
        self.resolved.origin(key).cloned().unwrap_or(Origin::Default)
    }

    /// Reports a fault at the place a key's value comes from.
    pub(crate) fn report(&mut self, key: &str, fault: Fault, severity: Severity) {
        let origin = self.origin(key);
        self.report_at(origin, key, fault, severity);
    }

    /// Reports a fault at a place.
    pub(crate) fn report_at(&mut self, origin: Origin, key: &str, fault: Fault, severity: Severity) {
        let diagnostic = Diagnostic::error(fault.code, origin, fault.wanted).key(key);
        self.diagnostics.push(Diagnostic { severity, found: fault.found, help: fault.help, ..diagnostic });
    }
}
