//! `serve`: the gate.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use portcullis_audit::{ActorRef, Event, Record};
use portcullis_config::{Config, LogFormat};
use portcullis_http::Server;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::Configured;
use crate::instance::{self, Instance};
use crate::out;

pub(super) async fn run(path: &Configured) -> Result<ExitCode> {
    let config = instance::configuration(path)?;
    log(&config);
    let instance = Instance::open(&config)?;
    for danger in config.dangers() {
        tracing::warn!("{danger}");
    }
    let serving = start(&instance, &config).await?;
    out::note(format_args!("portcullis serves on http://{}", serving.address));
    asked_to_stop().await?;
    tracing::info!("stopping: running requests may end");
    stop(instance, serving).await?;
    Ok(ExitCode::SUCCESS)
}

/// A listener that is being served.
#[derive(Debug)]
pub(super) struct Serving {
    pub(super) address: std::net::SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

/// Listens and serves, and records that it does.
pub(super) async fn start(instance: &Instance, config: &Config) -> Result<Serving> {
    let wanted = config.listen.member;
    let server = Server::bind(wanted, Instance::server_limits(config))
        .await
        .with_context(|| format!("cannot listen on {wanted} (`listen.member`)"))?;
    let address = server.address().context("the listener has no address")?;
    instance
        .kept
        .journal
        .append(Record {
            community: None,
            actor: ActorRef::Instance,
            event: Event::ServeStarted { version: env!("CARGO_PKG_VERSION").into() },
        })
        .await
        .context("the audit journal cannot be written, so nothing is served")?;
    let router = portcullis_http::router(&instance.app);
    // Its own handle and not a counted task: it is what closes the counted ones.
    #[expect(
        clippy::disallowed_methods,
        reason = "awaited by name in `stop`, before the tracked tasks are closed"
    )]
    let task = tokio::spawn(server.serve(router, instance.tasks.clone()));
    Ok(Serving { address, task })
}

/// Drains and closes everything.
pub(super) async fn stop(instance: Instance, serving: Serving) -> Result<()> {
    let tasks = instance.tasks.clone();
    let (_, served) = tokio::join!(tasks.close(instance::DRAIN), serving.task);
    served.context("the listener ended badly")?;
    let stopped = Record { community: None, actor: ActorRef::Instance, event: Event::ServeStopped };
    instance.kept.journal.append(stopped).await.context("the audit journal cannot be written")?;
    instance.close().await
}

/// Resolves when the process is asked to stop.
pub(super) async fn asked_to_stop() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("signals cannot be received")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("signals cannot be received")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

fn log(config: &Config) {
    let filter = tracing_subscriber::EnvFilter::new(config.log.level.as_str());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second subscriber in one process only happens in tests, where the first one serves as well.
    let _ = match config.log.format {
        LogFormat::Json => log.json().flatten_event(true).try_init(),
        LogFormat::Text => log.try_init(),
    };
}
