//! The blocklist of the running program: from the configuration, read again on SIGHUP, and kept over restarts.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use portcullis_audit::{ActorRef, Change, Event, Record};
use portcullis_config::{Cidr, Config};
use portcullis_guard::{BlockSettings, Gate, Prefix, Thresholds};
use portcullis_http::BlockFile;
use tokio::signal::unix::Signal;

use crate::args::Configured;
use crate::instance;

/// How often blocks that began by themselves are kept. One that a crash takes begins again when it is earned again.
const EVERY: Duration = Duration::from_secs(20);

/// What the configuration says.
pub(crate) fn settings(config: &Config) -> BlockSettings {
    let prefixes = |networks: &[Cidr]| {
        let prefix = |cidr: &Cidr| Prefix::around(cidr.network().addr(), cidr.network().prefix_len());
        networks.iter().map(prefix).collect()
    };
    let list = &config.blocklist;
    BlockSettings {
        proxies: prefixes(&config.proxies.trusted),
        blocked: prefixes(&list.networks),
        allowed: prefixes(&list.allow),
        automatic: list.automatic.then_some(Thresholds {
            credentials: list.refused_credentials,
            refused: list.refused_requests,
            malformed: list.malformed_requests,
            window: list.window,
            lasts: list.lasts,
        }),
    }
}

/// The file, and what an earlier run kept in it taken in.
pub(crate) fn restore(config: &Config, gate: &Gate) -> Result<Arc<BlockFile>> {
    let file = BlockFile::new(&config.data_dir, config.secrets.encryption_key.expose());
    let kept =
        file.read().with_context(|| format!("the blocklist in {} cannot be used", file.path().display()))?;
    if let Some(kept) = kept {
        gate.blocks().restore(gate.clock(), kept);
    }
    Ok(Arc::new(file))
}

/// Keeps what changed until the process stops. What the operator changes is kept at once elsewhere.
pub(crate) async fn watch(file: Arc<BlockFile>, gate: Arc<Gate>) {
    let mut closing = std::pin::pin!(gate.tasks().closing());
    let mut kept = gate.blocks().changes();
    loop {
        let ends = tokio::select! {
            () = &mut closing => true,
            () = tokio::time::sleep(EVERY) => false,
        };
        gate.blocks().tend(gate.clock());
        let changes = gate.blocks().changes();
        if changes != kept {
            let (file, of) = (Arc::clone(&file), Arc::clone(&gate));
            let written =
                tokio::task::spawn_blocking(move || file.write(|| of.blocks().keep(of.clock()))).await;
            match written {
                Ok(Ok(())) => kept = changes,
                Ok(Err(error)) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the blocklist cannot be kept; after a restart blocks that began by themselves are gone"
                    );
                }
                Err(_) => {}
            }
        }
        if ends {
            return;
        }
    }
}

/// Reads the configuration again on every SIGHUP and takes its `[blocklist]`. One with a fault changes nothing.
pub(crate) async fn reload(mut hangup: Signal, configured: Configured, gate: Arc<Gate>) {
    let mut closing = std::pin::pin!(gate.tasks().closing());
    loop {
        tokio::select! {
            () = &mut closing => return,
            _ = hangup.recv() => {}
        }
        let of = configured.clone();
        let Ok(loaded) = tokio::task::spawn_blocking(move || instance::loaded(&of)).await else { continue };
        match loaded {
            Ok(loaded) => {
                gate.blocks().configure(&settings(&loaded.config));
                tracing::info!(
                    networks = loaded.config.blocklist.networks.len(),
                    "the blocklist of the configuration was read again; other settings wait for a restart"
                );
                let event = Event::Administered(Change::new("blocklist.reloaded", Vec::new()));
                let record = Record { community: None, actor: ActorRef::Operator, event };
                // A journal that fails says so itself.
                let _ = gate.journal().append(record).await;
            }
            Err(problems) => {
                crate::out::note(&problems);
                tracing::error!(
                    problems = problems.errors(),
                    "the configuration has faults, so the blocklist stays as it was; `portcullis config check` names them"
                );
            }
        }
    }
}
