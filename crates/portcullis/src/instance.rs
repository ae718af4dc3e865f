//! Puts the parts of an instance together from a valid configuration.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use jiff::Timestamp;
use portcullis_audit::{Change, Event, Journal, Record, Signer, Target, Use};
use portcullis_chat::{PlaceLimits, Places, Service, ServiceParts};
use portcullis_config::{Cidr, Config, Diagnostics, Flags, IssuerKeys, Loaded, PublicKeyAlgorithm};
use portcullis_core::secret::KnownToken;
use portcullis_core::{
    AbilitySet, Actor, Clock, CommunityId, Grant, KeyAbility, KeyId, Role, Scope, Secret, SystemClock, Tasks,
    Token, TokenKind,
};
use portcullis_guard::jwt::{self, Algorithm, Issuer, IssuerFault, IssuerKey, Issuers, KeyMaterial};
use portcullis_guard::switches::{ALL as ALL_GUARDS, SWITCHABLE};
use portcullis_guard::{CsrfKey, Gate, GateParts, Switches};
use portcullis_http::{
    App, AppParts, BodyPace, Operator, OperatorParts, ServerLimits, Settings, SignInSettings, TrustedProxies,
};
use portcullis_mail::{Mail, Postman, PostmanOptions};
use portcullis_model::{Model, OpenAi, OpenAiOptions, Timeouts};
use portcullis_store::{Community, CommunityRef, KeyActor, NewKey, Stores};
use portcullis_store_sqlite::SqliteStores;

use crate::args::Configured;
use crate::limits::{self, KeptCounts, Run};
use crate::{blocklist, handover, mail, release, screen, tools};

/// How many passages one question is answered from.
const PASSAGES: usize = 6;
/// How often a stream asks whether its access still holds.
const WATCH: Duration = Duration::from_secs(1);
/// How long after the start what is kept no longer is removed, and how often from then on.
const FIRST_REMOVAL: Duration = Duration::from_secs(60);
const REMOVAL: Duration = Duration::from_secs(24 * 3_600);
/// How long a stop waits for running requests.
pub(crate) const DRAIN: Duration = Duration::from_secs(25);

/// Reads and judges the configuration. Every problem is shown at once.
pub(crate) fn configuration(configured: &Configured) -> Result<Config> {
    let loaded = loaded(configured).map_err(|problems| {
        crate::out::note(&problems);
        anyhow!("the configuration cannot be used; nothing was started")
    })?;
    if !loaded.warnings.is_empty() {
        crate::out::note(&loaded.warnings);
    }
    Ok(loaded.config)
}

/// The configuration with the origin of every value.
pub(crate) fn loaded(configured: &Configured) -> Result<Loaded, Diagnostics> {
    let environment = portcullis_config::Environment::from_process();
    let flags = configured.set.iter().fold(Flags::none(), |flags, argument| flags.with_set(argument));
    let loaded = portcullis_config::load(&configured.config, &environment, &flags)?;
    loaded.check_guard_names(&[SWITCHABLE, &[ALL_GUARDS]].concat())?;
    Ok(loaded)
}

/// What every command that touches data works with.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stores: Stores,
    pub(crate) journal: Arc<Journal>,
    engine: SqliteStores,
}

/// A key that the operator makes.
#[derive(Debug)]
pub(crate) struct Wanted<'n> {
    pub(crate) name: &'n str,
    pub(crate) actor: KeyActor,
    /// The highest role that a member's key acts with; `None`: that of the member now.
    pub(crate) ceiling: Option<Role>,
    pub(crate) abilities: AbilitySet,
    pub(crate) expires: Option<Timestamp>,
}

impl Kept {
    /// Opens stores and journal.
    pub(crate) fn open(config: &Config, used_for: Use) -> Result<Self> {
        Self::open_at(config, used_for, Arc::new(SystemClock::new()))
    }

    /// The same by another clock than the machine's.
    fn open_at(config: &Config, used_for: Use, clock: Arc<dyn Clock>) -> Result<Self> {
        let engine = stores(config, &clock)?;
        let (journal, recovery) = journal(config, used_for, &clock).with_context(|| {
            format!("the audit journal in {} cannot be opened", journal_dir(config).display())
        })?;
        if recovery.unfinished_bytes > 0 || !recovery.interrupted.is_empty() {
            tracing::warn!(
                unfinished_bytes = recovery.unfinished_bytes,
                interrupted_turns = recovery.interrupted.len(),
                "the last run did not end in order; the journal was put right"
            );
        }
        Ok(Self { clock, stores: engine.stores(), journal: Arc::new(journal), engine })
    }

    /// The community of that short name.
    pub(crate) async fn community(&self, slug: &str) -> Result<Community> {
        community(&self.stores, slug).await
    }

    /// The operator's scope in a community.
    pub(crate) fn operator(community: &Community) -> Scope {
        #[expect(clippy::disallowed_methods, reason = "the operator's own command line")]
        Scope::grant(Grant {
            community: community.id,
            actor: Actor::Operator,
            role: Role::Owner,
            abilities: KeyAbility::ALL.into_iter().collect::<AbilitySet>(),
            spaces: Arc::from([]),
            tier: community.tier,
        })
    }

    /// Makes a key. Its text is to be shown once and kept nowhere.
    pub(crate) async fn issue_key(
        &self,
        community: &Community,
        wanted: Wanted<'_>,
    ) -> Result<(Secret<String>, KeyId)> {
        let Wanted { name, actor, ceiling, abilities, expires } = wanted;
        let (text, token) = Token::issue(TokenKind::ApiKey, &community.locator);
        let (hash, hint) = (token.hash(), token.hint());
        let new = NewKey { name: name.to_owned(), actor, ceiling, abilities, expires, hash, hint };
        let made = self.stores.keys.create(&Self::operator(community), new).await?;
        let (member, plans) = match &made.actor {
            KeyActor::Member(member) => (Some(*member), &[][..]),
            KeyActor::Backend { plans, .. } => (None, plans.as_slice()),
        };
        let targets = std::iter::once(made.id.into()).chain(member.map(Into::into)).collect();
        let change = Change::new("key.created", targets)
            .to(made.ceiling.name())
            .abilities(made.abilities)
            .plans(plans.iter().map(String::as_str));
        self.record_in_full(community, change).await?;
        Ok((text, made.id))
    }

    /// Records what the operator changed.
    pub(crate) async fn record(
        &self,
        community: &Community,
        action: &'static str,
        targets: Vec<Target>,
        detail: Option<&'static str>,
    ) -> Result<()> {
        let change = Change::new(action, targets);
        self.record_in_full(community, detail.into_iter().fold(change, Change::to)).await
    }

    /// Records what the operator changed, with more than one word on it.
    pub(crate) async fn record_in_full(&self, community: &Community, change: Change) -> Result<()> {
        self.note(community, Event::Administered(change)).await
    }

    /// Records an event of a community.
    pub(crate) async fn note(&self, community: &Community, event: Event) -> Result<()> {
        let record = Record { community: Some(community.id), actor: Actor::Operator.into(), event };
        self.journal
            .append(record)
            .await
            .context("the change was made, but the audit journal could not record it")?;
        Ok(())
    }

    /// Ends in order: everything durable, a checkpoint signed.
    pub(crate) async fn close(self) -> Result<()> {
        let closed = self.journal.close().await.context("the audit journal could not be closed");
        self.engine.close().await;
        closed
    }
}

fn stores(config: &Config, clock: &Arc<dyn Clock>) -> Result<SqliteStores> {
    let dir = &config.data_dir;
    let key = Secret::new(config.secrets.encryption_key.expose().to_vec());
    SqliteStores::open(portcullis_store_sqlite::Options::new(dir.clone(), key, Arc::clone(clock)))
        .with_context(|| format!("the stores in {} cannot be opened", dir.display()))
}

async fn community(stores: &Stores, slug: &str) -> Result<Community> {
    let found = stores.directory.find(CommunityRef::Slug(slug)).await?;
    found.ok_or_else(|| {
        anyhow!("there is no community `{slug}`; `portcullis community list` shows those there are")
    })
}

/// The id of the community of that short name, from the stores alone: the journal is not opened.
pub(crate) async fn community_id(config: &Config, slug: &str) -> Result<CommunityId> {
    let engine = stores(config, &(Arc::new(SystemClock::new()) as _))?;
    let found = community(&engine.stores(), slug).await;
    engine.close().await;
    Ok(found?.id)
}

/// The key pair that signs the journal's checkpoints.
pub(crate) fn signer(config: &Config) -> Result<Signer> {
    Ok(Signer::new("portcullis.audit", &config.secrets.audit_key)?)
}

/// Where the journal is.
pub(crate) fn journal_dir(config: &Config) -> PathBuf {
    config.data_dir.join("audit")
}

fn journal(
    config: &Config,
    used_for: Use,
    clock: &Arc<dyn Clock>,
) -> Result<(Journal, portcullis_audit::Recovery)> {
    let options = portcullis_audit::Options {
        checkpoint_records: config.audit.checkpoint_records.get().into(),
        checkpoint_interval: config.audit.checkpoint_interval,
        ..portcullis_audit::Options::new(used_for)
    };
    Ok(Journal::open(&journal_dir(config), options, signer(config)?, Arc::clone(clock))?)
}

/// A gate that is ready to serve.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) kept: Kept,
    pub(crate) app: Arc<App>,
    /// What the operator reads, where there is a token for it.
    pub(crate) operator: Option<Arc<Operator>>,
    pub(crate) tasks: Tasks,
    counts: Arc<KeptCounts>,
}

impl Instance {
    /// Opens everything that `serve` needs.
    pub(crate) fn open(config: &Config) -> Result<Self> {
        Self::with_mail(config, |way| way)
    }

    /// The same by another clock than the machine's: for the instance on which tiers are tried out, and for no other.
    pub(crate) fn at(config: &Config, clock: Arc<dyn Clock>) -> Result<Self> {
        Self::with(config, Kept::open_at(config, Use::Serving, clock)?, |way| way)
    }

    /// The same, with what `watched` makes of the way that mail goes.
    pub(crate) fn with_mail(
        config: &Config,
        watched: impl FnOnce(Arc<dyn Mail>) -> Arc<dyn Mail>,
    ) -> Result<Self> {
        Self::with(config, Kept::open(config, Use::Serving)?, watched)
    }

    fn with(
        config: &Config,
        kept: Kept,
        watched: impl FnOnce(Arc<dyn Mail>) -> Arc<dyn Mail>,
    ) -> Result<Self> {
        let model = model(config)?;
        let tools = Arc::new(tools::registry(config)?);
        let tasks = Tasks::new();
        let sign_in = &config.sign_in;
        let mail = mail::way(config, Arc::clone(&kept.clock))?.map(|way| -> Arc<dyn Mail> {
            let options = PostmanOptions { life: sign_in.link_life, ..PostmanOptions::default() };
            Arc::new(Postman::start(watched(way), &tasks, options))
        });
        let gate = Arc::new(Gate::new(GateParts {
            stores: kept.stores.clone(),
            issuers: issuers(config)?,
            csrf: CsrfKey::new(config.secrets.csrf_secret.expose().as_bytes()),
            origin: config.public_url.url().origin(),
            journal: Arc::clone(&kept.journal),
            clock: Arc::clone(&kept.clock),
            tasks: tasks.clone(),
            limits: limits::of(config),
            shared: None,
            blocks: blocklist::settings(config),
            models: match &config.model {
                Some(model) => models(model),
                None => vec!["extracts".to_owned()],
            },
            switches: switches(config)?,
            screening: screen::settings(config),
            tools: Arc::clone(&tools),
            tool_limits: tools::limits(config),
            handing: handover::settings(config)?,
            prices: limits::prices(config),
        }));
        tasks.spawn(tools::watch(tools, tasks.closing()));
        let counts = Arc::new(KeptCounts::new(&config.data_dir, config.secrets.encryption_key.expose()));
        counts.restore(&gate)?;
        tasks.spawn(remove_due(Arc::clone(&gate)));
        let blocks = blocklist::restore(config, &gate)?;
        tasks.spawn(blocklist::watch(Arc::clone(&blocks), Arc::clone(&gate)));
        let chat = Service::new(ServiceParts {
            gate: Arc::clone(&gate),
            stores: kept.stores.clone(),
            model,
            places: Places::new(places(config)),
            settings: portcullis_chat::Settings {
                system: config
                    .model
                    .as_ref()
                    .and_then(|model| model.system.as_ref())
                    .map(|text| text.as_str().to_owned()),
                max_tokens: config.model.as_ref().map_or(2_048, |model| model.max_tokens.get()),
                passages: PASSAGES,
                watch: WATCH,
                release: release::settings(config),
                longest: config.limits.request_timeout,
            },
        });
        let app = App::new(AppParts {
            gate,
            chat,
            stores: kept.stores.clone(),
            mail,
            settings: Settings {
                proxies: proxies(config),
                origin: config.public_url.url().origin(),
                body_bytes: config.limits.body_bytes,
                body: BodyPace {
                    timeout: config.limits.body_timeout,
                    bytes_per_second: config.limits.body_bytes_per_second,
                },
                request_timeout: config.limits.request_timeout,
                idempotency_entries: config.limits.idempotency_entries.get() as usize,
                idempotency_bytes: config.limits.idempotency_bytes,
                idempotency_ttl: config.limits.idempotency_ttl,
                sign_in: SignInSettings {
                    link_life: sign_in.link_life,
                    session_life: sign_in.session_life,
                    session_idle: sign_in.session_idle,
                    open: sign_in.open.iter().map(|slug| slug.as_str().to_owned()).collect(),
                },
            },
        });
        let operator = config.secrets.operator_token.as_ref().map(|token| {
            Operator::new(OperatorParts {
                app: Arc::clone(&app),
                token: KnownToken::new(token.expose().as_bytes()),
                version: env!("CARGO_PKG_VERSION"),
                blocks: Arc::clone(&blocks),
            })
        });
        Ok(Self { kept, app, operator, tasks, counts })
    }

    /// From here on requests are counted, and what is counted is kept while the process runs.
    pub(crate) fn count(&self) -> Result<()> {
        let (counts, gate) = (Arc::clone(&self.counts), self.app.gate_handle());
        counts.begin(&gate)?;
        self.tasks.spawn(counts.watch(gate));
        Ok(())
    }

    /// The bounds of its connections.
    pub(crate) fn server_limits(config: &Config) -> ServerLimits {
        ServerLimits {
            connections: config.limits.max_connections.get() as usize,
            per_address: config.limits.max_connections_per_address.get() as usize,
            header_timeout: config.limits.header_timeout,
            header_bytes: config.limits.header_bytes,
            write_timeout: config.limits.write_timeout,
            drain: DRAIN,
        }
    }

    /// Stops in order: requests end, then everything is made durable.
    pub(crate) async fn close(self) -> Result<()> {
        let Self { kept, app, operator, tasks, counts } = self;
        let left = tasks.close(DRAIN + Duration::from_secs(5)).await;
        if left > 0 {
            tracing::warn!(left, "tasks were still running when the time to stop was over");
        }
        // Nothing is counted any more, so this holds all of it.
        let counted = Arc::clone(&app);
        let counts = tokio::task::spawn_blocking(move || counts.keep(counted.gate(), Run::Ends)).await;
        drop((app, operator));
        let closed = kept.close().await;
        let counts = counts.map_err(anyhow::Error::from).and_then(|kept| Ok(kept?));
        closed.and(counts.context("the counts of limits could not be kept"))
    }
}

/// Removes what is kept no longer, a while after the start and then each day.
async fn remove_due(gate: Arc<Gate>) {
    let mut closing = std::pin::pin!(gate.tasks().closing());
    let mut wait = FIRST_REMOVAL;
    loop {
        tokio::select! {
            () = &mut closing => return,
            () = tokio::time::sleep(wait) => {}
        }
        tokio::select! {
            () = &mut closing => return,
            () = gate.remove_due() => wait = REMOVAL,
        }
    }
}

/// The proxies before this instance.
pub(crate) fn proxies(config: &Config) -> TrustedProxies {
    TrustedProxies::new(config.proxies.trusted.iter().map(Cidr::network))
}

/// How the model is shared. Without one nobody takes a place.
fn places(config: &Config) -> PlaceLimits {
    let none = PlaceLimits { places: 0, per_member: 0, per_community: 0, queue: 0, patience: Duration::ZERO };
    config.model.as_ref().map_or(none, |model| PlaceLimits {
        places: model.max_concurrent.get() as usize,
        per_member: model.max_concurrent_per_member.get() as usize,
        per_community: model.max_concurrent_per_community.get() as usize,
        queue: model.queue,
        patience: model.queue_timeout,
    })
}

#[cfg(feature = "guard-off")]
fn switches(config: &Config) -> Result<Switches> {
    let names: Vec<&str> = config.danger.guards_off.iter().map(|name| name.as_str()).collect();
    let switches = Switches::without(&names)?;
    Ok(match crate::felt::Ledger::of_process()? {
        Some(ledger) => switches.told_to(move |guard| ledger.note(guard)),
        None => switches,
    })
}

#[cfg(not(feature = "guard-off"))]
fn switches(config: &Config) -> Result<Switches> {
    if config.danger.guards_off.is_empty() {
        Ok(Switches::all_on())
    } else {
        anyhow::bail!("this build cannot switch guards off")
    }
}

fn models(model: &portcullis_config::Model) -> Vec<String> {
    // The default first; `allow` holds it too.
    let others = model.allow.iter().filter(|name| **name != model.name);
    std::iter::once(&model.name).chain(others).map(|name| name.as_str().to_owned()).collect()
}

fn model(config: &Config) -> Result<Option<Arc<dyn Model>>> {
    let Some(model) = &config.model else { return Ok(None) };
    let mut options = OpenAiOptions {
        timeouts: Timeouts {
            connect: model.connect_timeout,
            first_byte: model.first_byte_timeout,
            idle: model.idle_timeout,
            total: model.total_timeout,
        },
        key: model.api_key.clone(),
        ..OpenAiOptions::new(model.url.as_str())
    };
    // With fewer, some of those who ask at once would open a connection of their own each time.
    options.egress.pool_idle_per_host = usize::try_from(model.max_concurrent.get()).unwrap_or(usize::MAX);
    let client = OpenAi::new(options).map_err(|problem| anyhow!("`model.url`: {problem}"))?;
    Ok(Some(Arc::new(client)))
}

/// The host applications of the configuration, as the identify phase verifies them.
fn issuers(config: &Config) -> Result<Issuers> {
    let convert = |issuer: &portcullis_config::Issuer| -> Result<Issuer> {
        let algorithm = |configured: PublicKeyAlgorithm| match configured {
            PublicKeyAlgorithm::Rs256 => Algorithm::Rs256,
            PublicKeyAlgorithm::Es256 => Algorithm::Es256,
        };
        let id = |name: &Option<portcullis_config::Name>| name.as_ref().map(|name| name.as_str().to_owned());
        let keys = match &issuer.keys {
            IssuerKeys::Secret { id: key, secret } => vec![IssuerKey {
                id: id(key),
                algorithm: Algorithm::Hs256,
                key: KeyMaterial::Secret(Secret::new(secret.expose().as_bytes().to_vec())),
            }],
            IssuerKeys::Pem { algorithm: configured, id: key, pem } => {
                vec![IssuerKey {
                    id: id(key),
                    algorithm: algorithm(*configured),
                    key: KeyMaterial::Pem(pem.clone()),
                }]
            }
            IssuerKeys::KeySet { algorithm: configured, document } => {
                jwt::read_key_set(document, algorithm(*configured))
                    .map_err(|problem| issuer.refused(&problem))?
            }
            _ => {
                return Err(anyhow!(
                    "the issuer `{}` has keys of a kind that is not known here",
                    issuer.name.as_str()
                ));
            }
        };
        let converted = Issuer {
            name: issuer.name.as_str().to_owned(),
            audience: issuer.audience.as_str().to_owned(),
            communities: issuer.communities.iter().map(|community| community.as_str().to_owned()).collect(),
            keys,
            grants_entitlements: issuer.grants_entitlements,
            provisions_members: issuer.provisions_members,
            leeway: issuer.leeway,
            longest_life: issuer.longest_life,
        };
        // One at a time first, so that a key that cannot be used is told at its line.
        Issuers::new(vec![converted.clone()]).map_err(|problem| match problem.fault {
            IssuerFault::Key(key) => issuer.refused(&key),
            other => issuer.refused(&other),
        })?;
        Ok(converted)
    };
    let issuers = config.issuers.iter().map(convert).collect::<Result<Vec<_>>>()?;
    Ok(Issuers::new(issuers)?)
}
