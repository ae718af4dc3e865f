//! `serve`: the gate.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use portcullis_audit::{ActorRef, Event, Record};
use portcullis_config::Config;
use portcullis_core::Lanes;
use portcullis_guard::Offence;
use portcullis_http::{Server, ServerLimits};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::Configured;
use crate::instance::{self, Instance};
use crate::{blocklist, descriptors, limits, log, out, tls};

/// Connections that are only sent elsewhere, each for one short answer.
const REDIRECT_CONNECTIONS: usize = 1_000;
/// Connections of the operator and of what scrapes the metrics.
const OPERATOR_CONNECTIONS: usize = 64;

pub(super) async fn run(path: &Configured) -> Result<ExitCode> {
    let mut stopping = Stopping::listen()?;
    let hangup = signal(SignalKind::hangup()).context("signals cannot be received")?;
    let config = instance::configuration(path)?;
    log::to_standard_error(&config);
    descriptors::raise(config.limits.max_connections.get());
    let instance = Instance::open(&config)?;
    for danger in config.dangers() {
        tracing::warn!("{danger}");
    }
    if let Some(apart) = limits::apart(config.limits.instances) {
        tracing::warn!("{apart}");
        out::note(format_args!("WARNING: {apart}"));
    }
    instance.tasks.spawn(blocklist::reload(hangup, path.clone(), instance.app.gate_handle()));
    let serving = start(&instance, &config).await?;
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    out::note(format_args!("portcullis serves on {scheme}://{}", serving.address));
    if let Some(operator) = &serving.operator {
        out::note(format_args!("the operator plane is at {}", operator.url));
    }
    stopping.asked().await;
    tracing::info!("stopping: running requests may end");
    stop(instance, serving).await?;
    Ok(ExitCode::SUCCESS)
}

/// A listener that is being served.
#[derive(Debug)]
pub(super) struct Serving {
    pub(super) address: SocketAddr,
    /// The operator plane, if there is one.
    pub(super) operator: Option<OperatorServing>,
    task: tokio::task::JoinHandle<()>,
    redirect: Option<tokio::task::JoinHandle<()>>,
    /// Where members' connections are served, and what they began goes on.
    lanes: Arc<Lanes>,
}

/// The operator plane's listener.
#[derive(Debug)]
pub(super) struct OperatorServing {
    /// Where it is, as the operator on this machine types it.
    pub(super) url: String,
    pub(super) address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

/// Listens and serves, and records that it does.
pub(super) async fn start(instance: &Instance, config: &Config) -> Result<Serving> {
    let clock = &instance.kept.clock;
    // First, so that a certificate that cannot be used is told before anything listens.
    let tls = tls::open(config, clock.now())?.map(Arc::new);
    let limits = Instance::server_limits(config);
    let proxies = instance::proxies(config);
    let server = listen(config.listen.member, "listen.member", limits).await?;
    let gate = instance.app.gate_handle();
    let mut server =
        server.behind(proxies.clone()).telling(move |peer| gate.offended(peer, Offence::Malformed, None));
    let lanes =
        Arc::new(Lanes::start_with(log::write_gathered).context("the threads that serve cannot be started")?);
    server = server.in_lanes(Arc::clone(&lanes));
    let address = server.address().context("the listener has no address")?;
    let redirect = match config.listen.redirect {
        Some(wanted) => {
            let limits = within(limits, limits.connections.min(REDIRECT_CONNECTIONS));
            Some(listen(wanted, "listen.redirect", limits).await?.behind(proxies))
        }
        None => None,
    };
    let mut operator = match &instance.operator {
        Some(operator) => {
            let limits = within(limits, OPERATOR_CONNECTIONS);
            let server = listen(config.listen.operator, "listen.operator", limits).await?;
            Some((server, portcullis_http::operator_router(operator)))
        }
        None => None,
    };
    if let Some(tls) = tls {
        // On loopback what scrapes the metrics is on this machine, and the certificate is for another name.
        operator = operator.map(|(server, router)| {
            let local = config.listen.operator.ip().to_canonical().is_loopback();
            (if local { server } else { server.with_tls(Arc::clone(&tls)) }, router)
        });
        server = server.with_tls(Arc::clone(&tls));
        instance.tasks.spawn(tls::watch(tls, Arc::clone(clock), instance.tasks.closing()));
    }
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
    // Last of what can fail: a start that served nothing has counted nothing that could be lost.
    instance.count()?;
    let router = portcullis_http::router(&instance.app);
    // Its own handle and not a counted task: it is what closes the counted ones.
    #[expect(
        clippy::disallowed_methods,
        reason = "awaited by name in `stop`, before the tracked tasks are closed"
    )]
    let task = tokio::spawn(server.serve(router, instance.tasks.clone()));
    let router = portcullis_http::redirect(&instance.app);
    #[expect(clippy::disallowed_methods, reason = "as above")]
    let redirect = redirect.map(|server| tokio::spawn(server.serve(router, instance.tasks.clone())));
    let operator = match operator {
        Some((server, router)) => {
            let local = config.tls.is_none() || config.listen.operator.ip().to_canonical().is_loopback();
            let address = server.address().context("the operator's listener has no address")?;
            let url = format!("{}://{address}", if local { "http" } else { "https" });
            #[expect(clippy::disallowed_methods, reason = "as above")]
            let task = tokio::spawn(server.serve(router, instance.tasks.clone()));
            Some(OperatorServing { url, address, task })
        }
        None => None,
    };
    Ok(Serving { address, operator, task, redirect, lanes })
}

/// The same bounds for a listener with fewer connections, of which one address gets half at most.
fn within(limits: ServerLimits, connections: usize) -> ServerLimits {
    let per_address = limits.per_address.min(connections.div_ceil(2));
    ServerLimits { connections, per_address, ..limits }
}

async fn listen(wanted: SocketAddr, key: &str, limits: ServerLimits) -> Result<Server> {
    Server::bind(wanted, limits).await.with_context(|| format!("cannot listen on {wanted} (`{key}`)"))
}

/// Drains and closes everything, whatever fails of it: what is left open would pass for a crash at the next start. Tells what
/// failed first.
pub(super) async fn stop(instance: Instance, serving: Serving) -> Result<()> {
    let tasks = instance.tasks.clone();
    let (_, served) = tokio::join!(tasks.close(instance::DRAIN), serving.task);
    let mut outcome = served.context("the listener ended badly");
    if let Some(redirect) = serving.redirect {
        outcome = outcome.and(redirect.await.context("the redirecting listener ended badly"));
    }
    if let Some(operator) = serving.operator {
        outcome = outcome.and(operator.task.await.context("the operator's listener ended badly"));
    }
    let stopped = Record { community: None, actor: ActorRef::Instance, event: Event::ServeStopped };
    let recorded = instance.kept.journal.append(stopped).await.context("the audit journal cannot be written");
    let closed = instance.close().await;
    // Last: what a request began and left behind may still have been at work there.
    drop(serving.lanes);
    outcome.and(recorded.map(drop)).and(closed)
}

/// The signals that ask the process to stop. From [`Stopping::listen`] on they are kept instead of ending the process
/// on the spot, so it comes first: whoever sees the process answer may stop it, and nothing is left half done.
#[derive(Debug)]
pub(super) struct Stopping {
    terminate: Signal,
    interrupt: Signal,
}

impl Stopping {
    pub(super) fn listen() -> Result<Self> {
        let kept = |kind| signal(kind).context("signals cannot be received");
        Ok(Self { terminate: kept(SignalKind::terminate())?, interrupt: kept(SignalKind::interrupt())? })
    }

    /// Resolves when the process is asked to stop, at once if it was before.
    pub(super) async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
