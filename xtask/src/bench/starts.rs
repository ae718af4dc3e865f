//! How soon a server is ready, what it takes while idle, and how soon a community that nobody used yet answers.

use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::instance::Instance;
use super::nginx;
use super::program::Program;
use super::runs::{Mode, question};
use super::spread::{Spread, median};
use super::wire::{Ask, Connection};
use super::{content, proc};

/// Starts of which the middle one counts.
const STARTS: usize = 5;
/// Communities whose first turn is timed.
const COLD: usize = 10;
/// Documents in each community that answers here.
const DOCUMENTS: usize = 24;
/// An idle server is one that has had nothing to do for so long.
const IDLE: Duration = Duration::from_secs(2);

/// A start, and what follows it.
#[derive(Debug, Serialize)]
pub(super) struct Start {
    pub(super) communities: usize,
    /// From the start of the process to the first `/readyz` that says so.
    pub(super) ready_ms: f64,
    /// Resident memory two seconds later, in units of 1,000,000 bytes.
    pub(super) idle_mb: f64,
    /// The first turn of a member in a community that no request has touched since the start.
    pub(super) first_turn_ms: Cold,
    /// What creating one of these communities took, over all.
    pub(super) create_ms: f64,
}

/// Several first turns, each in a community of its own.
#[derive(Debug, Serialize)]
pub(super) struct Cold {
    pub(super) median: f64,
    pub(super) worst: f64,
}

/// Makes an instance of so many communities, a few of them with content and a member, and starts it.
pub(super) fn measure(
    binary: &Path,
    folder: &Path,
    upstream: SocketAddr,
    communities: usize,
) -> Result<Start> {
    let instance = Instance::init(binary, folder.join(format!("start-{communities}")))?;
    let slugs: Vec<String> = (0..communities).map(|number| format!("community-{number:05}")).collect();
    let began = Instant::now();
    instance.create(&slugs)?;
    let created = began.elapsed();

    let texts = instance.folder().join("texts");
    content::write(&texts, DOCUMENTS)?;
    // Spread over the whole instance. The first one is for warming up what all communities share.
    let step = (communities / (COLD + 1)).max(1);
    let used = || slugs.iter().step_by(step).take(COLD + 1);
    let mut keys = Vec::new();
    for slug in used() {
        instance.import(slug, &texts, DOCUMENTS)?;
        keys.push(instance.member_key(slug)?);
    }

    let mut ready = Vec::new();
    for _ in 1..STARTS {
        let (server, _, took) = start(&instance, upstream)?;
        ready.push(took);
        server.stop()?;
    }
    let (server, address, took) = start(&instance, upstream)?;
    ready.push(took);
    thread::sleep(IDLE);
    let resident = proc::resident(server.id())?;
    let turns = first_turns(address, &keys)?;
    server.stop()?;
    let count = u32::try_from(communities).unwrap_or(u32::MAX);
    Ok(Start {
        communities,
        ready_ms: median(ready.into_iter().map(millis)).context("nothing was started")?,
        idle_mb: u32::try_from(resident / 1_000).map_or(f64::INFINITY, |kb| f64::from(kb) / 1e3),
        first_turn_ms: Cold { median: millis(turns.p50()), worst: millis(turns.max()) },
        create_ms: millis(created) / f64::from(count.max(1)),
    })
}

fn start(instance: &Instance, upstream: SocketAddr) -> Result<(Program, SocketAddr, Duration)> {
    let began = Instant::now();
    let (server, address) = instance.serve(upstream)?;
    let answer = Connection::open(address)?.read("/readyz")?;
    let took = began.elapsed();
    if answer.status != 200 {
        bail!("`/readyz` answered with status {}, wanted 200", answer.status);
    }
    Ok((server, address, took))
}

fn first_turns(address: SocketAddr, keys: &[String]) -> Result<Spread> {
    let mut connection = Connection::open(address)?;
    let text = content::questions(1).into_iter().next().context("no question")?;
    let body = question(Mode::Whole, &text);
    let mut times = Vec::new();
    for (index, key) in keys.iter().enumerate() {
        let path = nginx::BUFFERED.to_owned();
        let request = Ask { address, path, key: key.clone(), body: body.clone() }.bytes();
        let began = Instant::now();
        let answer = connection.exchange(&request)?;
        let took = began.elapsed();
        let cites = answer.body.windows(14).any(|window| window == br#""citations":[{"#);
        if answer.status != 200 || !cites {
            bail!("a first turn answered with status {} and cited nothing", answer.status);
        }
        if index > 0 {
            times.push(took);
        }
    }
    Ok(Spread::of(times))
}

/// A time in milliseconds.
pub(super) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
