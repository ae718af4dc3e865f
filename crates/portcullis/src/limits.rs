//! Limits of hours and days outlive the process: what was counted is kept in a sealed file.
//!
//! The file is written when serving begins, every few seconds and at the end, and says whether it was the end. After a
//! crash at most [`LONGEST_UNKEPT`] was counted that it does not hold; that is made good for, so that nobody gets more than
//! a limit by making the process crash. A start that fails before anything is served has lost nothing, and leaves the file as
//! it is, unless something was made good for.

use std::io::{self, Write as _};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use portcullis_config::{Config, Windows};
use portcullis_core::seal::SealKey;
use portcullis_guard::{Gate, Limits, Price, Prices, Rates, Snapshot, Tiers};

/// How often it is written.
const EVERY: Duration = Duration::from_secs(20);
/// What a crash can lose: one interval, and the time that writing takes. A minute's limit covers it.
const LONGEST_UNKEPT: Duration = Duration::from_secs(50);
const CONTEXT: &[u8] = b"limits";
/// The first byte of what is sealed.
const RUNNING: u8 = 0;
const ENDED: u8 = 1;

/// The limits that the configuration sets.
pub(crate) fn of(config: &Config) -> Limits {
    let (limits, sign_in, tiers) = (&config.limits, &config.sign_in, &config.tiers);
    let rates = |windows: Windows| Rates {
        minute: Some(windows.minute),
        hour: Some(windows.hour),
        day: Some(windows.day),
    };
    Limits {
        tiers: Tiers {
            standard: rates(tiers.standard),
            enhanced: rates(tiers.enhanced),
            dedicated: rates(tiers.dedicated),
        },
        per_actor: rates(limits.per_key),
        per_session: rates(limits.per_session),
        per_address: rates(limits.per_address),
        refused_per_address: Rates::per_minute(limits.unauthenticated_per_address_per_minute),
        links_per_address: Rates::per_hour(sign_in.links_per_address_per_hour),
        links_per_client: Rates::per_hour(sign_in.links_per_client_per_hour),
        tokens_per_actor: Rates { day: limits.tokens_per_member_per_day, ..Rates::default() },
        tokens_per_community: Rates { day: limits.tokens_per_community_per_day, ..Rates::default() },
        cost_per_actor: Rates { day: limits.cost_per_member_per_day, ..Rates::default() },
        cost_per_community: Rates { day: limits.cost_per_community_per_day, ..Rates::default() },
        memory: limits.memory_bytes,
        instances: limits.instances,
    }
}

/// What models cost, as the configuration says.
pub(crate) fn prices(config: &Config) -> Prices {
    let price =
        |price: portcullis_config::Price| Price { input: price.input.get(), output: price.output.get() };
    let prices = config.model.as_ref().map(|model| &model.prices);
    Prices {
        own: prices
            .iter()
            .flat_map(|prices| prices.own())
            .map(|(model, own)| (model.to_owned(), price(own)))
            .collect(),
        any: prices.and_then(|prices| prices.any()).map(price),
        currency: config.limits.currency.as_str().to_owned(),
    }
}

/// What whoever starts one of several instances must know, where they share no counters.
pub(crate) fn apart(instances: NonZeroU32) -> Option<String> {
    (instances > NonZeroU32::MIN).then(|| {
        format!(
            "LIMITS ARE NOT SHARED: `limits.instances` is {instances} and there is no shared counter store, so each instance \
             admits a part of 1/{instances} of every limit, and a client that always meets the same instance gets no more"
        )
    })
}

/// The file in which counts are kept.
#[derive(Debug)]
pub(crate) struct KeptCounts {
    path: PathBuf,
    key: SealKey,
}

/// Whether the process goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Run {
    GoesOn,
    Ends,
}

impl KeptCounts {
    /// The file of that data folder.
    pub(crate) fn new(data_dir: &Path, encryption_key: &[u8]) -> Self {
        let key = SealKey::derive(encryption_key, "portcullis/limits");
        Self { path: data_dir.join("limits.sealed"), key }
    }

    /// Takes in what the last run counted. Nothing counts yet that could be lost, so what may have been lost before is made
    /// good for once, however many starts it takes until one serves.
    pub(crate) fn restore(&self, gate: &Gate) -> Result<()> {
        let sealed = match std::fs::read(&self.path) {
            Ok(sealed) => sealed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                return Err(error).with_context(|| format!("{} cannot be read", self.path.display()));
            }
        };
        let (run, snapshot) = self.open(&sealed).ok_or_else(|| {
            anyhow!(
                "the counts of limits in {} do not open: the file was changed, or is of another key or version; remove it to \
                 let every limit begin anew",
                self.path.display()
            )
        })?;
        take_in(gate, run, &snapshot);
        match run {
            Run::GoesOn => self.keep(gate, Run::Ends).with_context(|| self.unkept()),
            Run::Ends => Ok(()),
        }
    }

    /// Notes that from now on more is counted than is kept.
    pub(crate) fn begin(&self, gate: &Gate) -> Result<()> {
        self.keep(gate, Run::GoesOn).with_context(|| self.unkept())
    }

    fn unkept(&self) -> String {
        format!("the counts of limits cannot be kept in {}", self.path.display())
    }

    fn open(&self, sealed: &[u8]) -> Option<(Run, Snapshot)> {
        let plain = self.key.open(CONTEXT, sealed).ok()?;
        let (&run, rest) = plain.split_first()?;
        let run = match run {
            RUNNING => Run::GoesOn,
            ENDED => Run::Ends,
            _ => return None,
        };
        Some((run, Snapshot::decode(rest).ok()?))
    }

    /// Writes what is counted now: whole or not at all.
    pub(crate) fn keep(&self, gate: &Gate, run: Run) -> io::Result<()> {
        let (now, wall) = (gate.clock().monotonic(), gate.clock().now().as_millisecond());
        let snapshot = gate.counters().local().snapshot(now, wall);
        let first = match run {
            Run::GoesOn => RUNNING,
            Run::Ends => ENDED,
        };
        let plain = [&[first], snapshot.encode().as_slice()].concat();
        let sealed = self.key.seal(CONTEXT, &plain);
        let beside = self.path.with_extension("new");
        let mut file = std::fs::File::create(&beside)?;
        file.write_all(&sealed)?;
        file.sync_all()?;
        std::fs::rename(&beside, &self.path)?;
        match self.path.parent() {
            Some(folder) => std::fs::File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }

    /// Writes it again and again until the process stops.
    pub(crate) async fn watch(self: Arc<Self>, gate: Arc<Gate>) {
        let mut closing = std::pin::pin!(gate.tasks().closing());
        loop {
            tokio::select! {
                () = &mut closing => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            let (kept, counted) = (Arc::clone(&self), Arc::clone(&gate));
            let written = tokio::task::spawn_blocking(move || kept.keep(&counted, Run::GoesOn)).await;
            if let Ok(Err(error)) = written {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the counts of limits cannot be kept; after a crash hours and days may be admitted twice"
                );
            }
        }
    }
}

fn take_in(gate: &Gate, run: Run, snapshot: &Snapshot) {
    let (now, wall) = (gate.clock().monotonic(), gate.clock().now().as_millisecond());
    let limiter = gate.counters().local();
    limiter.restore(now, wall, snapshot);
    if run == Run::GoesOn {
        let longest = i64::try_from(LONGEST_UNKEPT.as_millis()).unwrap_or(i64::MAX);
        let ended = snapshot.taken_ms().saturating_add(longest).min(wall);
        tracing::warn!("the last run did not end in order; limits take it to have used one more minute");
        limiter.make_good(now, wall, ended, NonZeroU32::MIN);
    }
}
