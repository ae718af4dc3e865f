//! `bench serve`: nginx, the gate and the full turn in front of the same scripted upstream, in one run.
//!
//! The flows take turns, round after round, so that whatever else the machine does meets all of them; what is printed is
//! the median of the rounds. How much other processes used meanwhile is printed too.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use tempfile::TempDir;

use super::instance::{self, Instance};
use super::nginx::{self, Nginx};
use super::open_loop::{self, Pace};
use super::phases::Phases;
use super::proc::{self, Tick};
use super::program::Program;
use super::promises;
use super::report::{Findings, Latency, Paced, Setting, Throughput};
use super::runs::{self, Closed, Flow, Meter, Mode, Target};
use super::spread::Difference;
use super::starts;
use super::{content, detectors, disk, stalls};
use crate::dist;
use crate::test;
use crate::workspace::Workspace;

/// Requests a second of the open loop: one at which a small machine idles, and the promised one.
const PACES: [u32; 2] = [100, promises::PACE];
/// What the upstream says: a hundred frames of four characters.
const SENTENCE: &str = "A mooring is picked up bow to tide. ";
const CHARACTERS: usize = 400;
/// Streams with guards on and off are compared so many times, for so long each: one such run differs from the next by more
/// than the guards may cost.
const PAIRS: u32 = 16;
const PAIRED: Duration = Duration::from_secs(2);
/// Between two frames of a paced stream, about as fast as a quick model writes.
const PAUSE_MS: u64 = 5;
/// How many paced streams there are at once.
const STREAMS: u32 = 64;
/// Different questions of members.
const QUESTIONS: usize = 64;
/// The communities of an instance such as the demo's.
const FEW: usize = 3;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Measure this program instead of building what is shipped
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Compare with this program, which has the feature `guard-off`, instead of building it
    #[arg(long, value_name = "FILE")]
    guards_off: Option<PathBuf>,
    /// How often each flow takes its turn
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: u32,
    /// How long one run of a flow is, in seconds
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=120))]
    seconds: u64,
    /// Connections of the closed loop. With much fewer, who writes durably waits for the disk and the processors for both
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=512))]
    connections: u32,
    /// Documents in the community that full turns are answered from
    #[arg(long, default_value_t = 4_000, value_parser = clap::value_parser!(u32).range(100..=100_000))]
    documents: u32,
    /// Communities of the large instance
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(20..=50_000))]
    communities: u32,
    /// Measure only this part; may be given again
    #[arg(long = "part", value_name = "PART", value_enum)]
    parts: Vec<Part>,
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

/// What is measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// As many requests as each flow takes
    Throughput,
    /// Times at a fixed pace, beside the disk's
    Latency,
    /// From the start of the process to its first answers
    Starts,
    /// Streams whose frames come one by one
    Frames,
}

impl Options {
    fn measures(&self, part: Part) -> bool {
        self.parts.is_empty() || self.parts.contains(&part)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Human,
    Json,
}

/// Everything that is running for the main part.
#[derive(Debug)]
struct Stand {
    upstream: (Program, SocketAddr),
    nginx: Nginx,
    serve: (Program, SocketAddr),
    tried: Option<Tried<(Program, SocketAddr)>>,
    keys: Keys,
    questions: Vec<String>,
}

#[derive(Debug, Clone)]
struct Keys {
    backend: String,
    tried: Option<Tried<String>>,
    member: String,
}

/// The instances that are put under load.
#[derive(Debug)]
struct Instances {
    gate: Instance,
    tried: Option<Tried<Instance>>,
}

/// The program that was built for tests, twice.
#[derive(Debug, Clone)]
struct Tried<T> {
    guarded: T,
    unguarded: T,
}

impl<T> Tried<T> {
    fn map<U>(&self, make: impl Fn(&T) -> Result<U>) -> Result<Tried<U>> {
        Ok(Tried { guarded: make(&self.guarded)?, unguarded: make(&self.unguarded)? })
    }
}

pub(super) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let folder = prepare(workspace)?;
    let (binary, guards_off) = programs(workspace, options)?;
    let began = Instant::now();
    let mut findings = measure(&binary, guards_off.as_deref(), folder.path(), options, began)?;
    if options.measures(Part::Frames) {
        eprintln!("bench: the detectors by themselves");
        findings.detectors = detectors::measure(workspace)?;
        findings.setting.minutes = began.elapsed().as_secs_f64() / 60.0;
    }
    match options.format {
        Format::Human => print!("{findings}"),
        Format::Json => println!("{}", serde_json::to_string_pretty(&findings.with_promises())?),
    }
    Ok(())
}

/// The load alone, a few seconds of each kind.
pub(super) fn train(workspace: &Workspace, binary: &Path) -> Result<()> {
    let options = Options {
        binary: None,
        guards_off: None,
        rounds: 1,
        seconds: 4,
        connections: 64,
        documents: 4_000,
        communities: 20,
        parts: vec![Part::Throughput, Part::Frames],
        format: Format::Human,
    };
    let folder = prepare(workspace)?;
    measure(binary, None, folder.path(), &options, Instant::now())?;
    Ok(())
}

/// What is needed, and a folder for the time of it.
fn prepare(workspace: &Workspace) -> Result<TempDir> {
    test::components::bring(workspace, &["nginx", "wrk"])?;
    // Beneath the target folder, because a system's temporary folder may be memory, where nothing is ever durable.
    let target = &workspace.metadata.target_directory;
    std::fs::create_dir_all(target).with_context(|| format!("`{}` cannot be made", target.display()))?;
    tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(target)
        .with_context(|| format!("no temporary folder in `{}`", target.display()))
}

/// The program, and the one with the feature `guard-off`: those that are named, or those that are shipped.
fn programs(workspace: &Workspace, options: &Options) -> Result<(PathBuf, Option<PathBuf>)> {
    if let Some(binary) = &options.binary {
        // Who brings a program of their own is not made to wait for another to be built.
        let guards_off = options.guards_off.as_ref().map(std::path::absolute).transpose()?;
        return Ok((std::path::absolute(binary)?, guards_off));
    }
    eprintln!("bench: building what is shipped, and the same with the feature guard-off");
    let profile = dist::make_profile(workspace, &[])?;
    let guards_off = match &options.guards_off {
        Some(binary) => std::path::absolute(binary)?,
        None => {
            let built = dist::by_profile(workspace, &["guard-off".to_owned()], &profile)?;
            // The next build writes where this one did.
            let kept = built.with_file_name("portcullis-guard-off");
            std::fs::copy(&built, &kept).with_context(|| format!("`{}` is gone", built.display()))?;
            kept
        }
    };
    Ok((dist::by_profile(workspace, &[], &profile)?, Some(guards_off)))
}

fn measure(
    binary: &Path,
    guards_off: Option<&Path>,
    folder: &Path,
    options: &Options,
    began: Instant,
) -> Result<Findings> {
    let tick = Tick::of_this_machine()?;
    eprintln!("bench: what the machine itself takes away");
    let stalls = stalls::measure()?;
    let documents = usize::try_from(options.documents).unwrap_or(usize::MAX);
    let text: String = SENTENCE.chars().cycle().take(CHARACTERS).collect();

    eprintln!("bench: importing {documents} documents");
    let instance = Instance::init(binary, folder.join("busy"))?;
    instance.create(&["bench".to_owned()])?;
    let texts = folder.join("texts");
    content::write(&texts, documents)?;
    let importing = Instant::now();
    instance.import("bench", &texts, documents)?;
    let import_seconds = importing.elapsed().as_secs_f64();
    let names = Tried { guarded: "guarded", unguarded: "unguarded" };
    let tried = guards_off.map(|binary| names.map(|name| Instance::init(binary, folder.join(name))));
    let tried = tried.transpose()?;
    let tried_keys = tried.as_ref().map(|tried| {
        tried.map(|instance| {
            instance.create(&["bench".to_owned()])?;
            instance.backend_key("bench")
        })
    });
    let keys = Keys {
        backend: instance.backend_key("bench")?,
        tried: tried_keys.transpose()?,
        member: instance.member_key("bench")?,
    };
    let instances = Instances { gate: instance, tried };

    let stand = Stand::start(binary, folder, &instances, &keys, &text, 0)?;
    let throughput = match options.measures(Part::Throughput) {
        true => throughput(&stand, folder, options, tick, &text)?,
        false => Vec::new(),
    };
    let times = match options.measures(Part::Latency) {
        true => latency(&stand, &instances.gate, options)?,
        false => Times::default(),
    };
    let upstream = stand.stop_but_upstream()?;

    let mut starts = Vec::new();
    if options.measures(Part::Starts) {
        eprintln!("bench: starts");
        starts.push(starts::measure(binary, folder, upstream.1, FEW)?);
        let many = usize::try_from(options.communities).unwrap_or(usize::MAX);
        eprintln!("bench: creating {many} communities");
        starts.push(starts::measure(binary, folder, upstream.1, many)?);
    }
    upstream.0.stop()?;

    let (mut paced, mut guards_per_frame) = (Vec::new(), None);
    if options.measures(Part::Frames) {
        let stand = Stand::start(binary, folder, &instances, &keys, &text, PAUSE_MS)?;
        (paced, guards_per_frame) = paced_streams(&stand, folder, options, tick, &text)?;
        stand.stop_but_upstream()?.0.stop()?;
    }

    let bytes = std::fs::metadata(binary).context("the program is gone")?.len();
    Ok(Findings {
        setting: Setting {
            machine: proc::machine(),
            nginx: nginx::version()?,
            program: instances.gate.run(&["--version"])?.trim().to_owned(),
            program_mb: u32::try_from(bytes / 1_000).map_or(f64::INFINITY, |kb| f64::from(kb) / 1e3),
            rounds: options.rounds,
            seconds: options.seconds,
            connections: options.connections,
            documents,
            import_seconds,
            minutes: began.elapsed().as_secs_f64() / 60.0,
        },
        stalls,
        throughput,
        disk: times.disk,
        latency: times.flows,
        phases: times.phases.rows(),
        paced,
        guards_per_frame,
        detectors: BTreeMap::new(),
        starts,
    })
}

impl Stand {
    fn start(
        binary: &Path,
        folder: &Path,
        instances: &Instances,
        keys: &Keys,
        text: &str,
        pause_ms: u64,
    ) -> Result<Self> {
        let upstream = instance::upstream(binary, folder, text, pause_ms)?;
        let nginx = Nginx::start(&folder.join(format!("nginx-{pause_ms}")), upstream.1)?;
        let serve = instances.gate.serve(upstream.1)?;
        let tried = match &instances.tried {
            Some(Tried { guarded, unguarded }) => Some(Tried {
                guarded: guarded.serve(upstream.1)?,
                unguarded: unguarded.serve_unguarded(upstream.1)?,
            }),
            None => None,
        };
        let questions = content::questions(QUESTIONS);
        Ok(Self { upstream, nginx, serve, tried, keys: keys.clone(), questions })
    }

    /// These flows, and with guards on and off where there is a program for it.
    fn flows(&self, flows: &[Flow]) -> Vec<Flow> {
        let tried = self.tried.as_ref().map(|_| [Flow::Guarded, Flow::Unguarded]);
        flows.iter().copied().chain(tried.into_iter().flatten()).collect()
    }

    fn target(&self, flow: Flow, mode: Mode) -> Result<Target> {
        let plain = || nginx::BUFFERED.to_owned();
        let own = || vec![runs::own_request(mode)];
        let backend = || self.keys.backend.clone();
        Ok(match flow {
            Flow::Upstream => Target {
                flow,
                address: self.upstream.1,
                path: plain(),
                key: backend(),
                bodies: own(),
                processes: Vec::new(),
            },
            Flow::Nginx => Target {
                flow,
                address: self.nginx.address,
                path: match mode {
                    Mode::Whole => plain(),
                    Mode::Stream => nginx::UNBUFFERED.to_owned(),
                },
                key: backend(),
                bodies: own(),
                processes: self.nginx.processes()?,
            },
            Flow::Gate => Target {
                flow,
                address: self.serve.1,
                path: plain(),
                key: backend(),
                bodies: own(),
                processes: vec![self.serve.0.id()],
            },
            Flow::Guarded | Flow::Unguarded => {
                let tried = self.tried.as_ref().zip(self.keys.tried.as_ref());
                let (programs, keys) = tried.context("no program has its guards off")?;
                let ((program, address), key) = match flow {
                    Flow::Guarded => (&programs.guarded, &keys.guarded),
                    _ => (&programs.unguarded, &keys.unguarded),
                };
                Target {
                    flow,
                    address: *address,
                    path: plain(),
                    key: key.clone(),
                    bodies: own(),
                    processes: vec![program.id()],
                }
            }
            Flow::Full => Target {
                flow,
                address: self.serve.1,
                path: plain(),
                key: self.keys.member.clone(),
                bodies: self.questions.iter().map(|text| runs::question(mode, text)).collect(),
                processes: vec![self.serve.0.id()],
            },
        })
    }

    fn stop_but_upstream(self) -> Result<(Program, SocketAddr)> {
        self.serve.0.stop()?;
        if let Some(Tried { guarded, unguarded }) = self.tried {
            guarded.0.stop()?;
            unguarded.0.stop()?;
        }
        self.nginx.stop()?;
        Ok(self.upstream)
    }
}

/// As many requests as each flow can take, all of them in turn.
fn throughput(
    stand: &Stand,
    folder: &Path,
    options: &Options,
    tick: Tick,
    text: &str,
) -> Result<Vec<Throughput>> {
    let meter = Meter { tick, upstream: stand.upstream.0.id() };
    let mut targets = Vec::new();
    for mode in Mode::ALL {
        for flow in stand.flows(&Flow::ALL) {
            let target = stand.target(flow, mode)?;
            target.prove(mode, text)?;
            meter.closed(folder, &target, options.connections, Duration::from_secs(1))?;
            targets.push((mode, target, Vec::<Closed>::new()));
        }
    }
    for round in 1..=options.rounds {
        for (mode, target, runs) in &mut targets {
            eprintln!("bench: round {round} of {}: {}, {}", options.rounds, target.flow.name(), mode.name());
            runs.push(meter.closed(
                folder,
                target,
                options.connections,
                Duration::from_secs(options.seconds),
            )?);
        }
    }
    Ok(targets.iter().map(|(mode, target, runs)| Throughput::of(target.flow, *mode, runs)).collect())
}

/// What runs at a fixed pace found.
#[derive(Debug, Default)]
struct Times {
    flows: Vec<Latency>,
    disk: Option<Latency>,
    phases: Phases,
}

/// The time that each flow takes at a fixed pace, beside the disk's own.
fn latency(stand: &Stand, gate: &Instance, options: &Options) -> Result<Times> {
    let plane = gate.plane()?;
    let mut phases = Phases::default();
    let mut flows = Vec::new();
    for due in PACES {
        for flow in Flow::ALL {
            flows.push((due, stand.target(flow, Mode::Whole)?, Vec::new()));
        }
    }
    let mut disk = Vec::new();
    for round in 1..=options.rounds {
        disk.push(disk::fdatasync(gate.folder())?);
        for (due, target, runs) in &mut flows {
            eprintln!("bench: round {round} of {}: {} at {due} a second", options.rounds, target.flow.name());
            let pace = Pace {
                per_second: *due,
                warm_up: Duration::from_secs(1),
                time: Duration::from_secs(options.seconds),
            };
            let before = plane.phases()?;
            let paced = open_loop::run(target, pace)?;
            if target.flow == Flow::Full && PACES.last() == Some(due) {
                phases.add(&plane.phases()?.since(&before));
            }
            runs.push((paced.times, paced.per_second));
        }
    }
    let flows = flows.into_iter().map(|(due, target, runs)| Latency::at(due, target.flow, runs)).collect();
    Ok(Times { flows, disk: Some(Latency::of("fdatasync of 4 KiB", &disk)), phases })
}

/// Streams whose frames come one by one, as a model writes them, and what a frame costs more with guards on.
fn paced_streams(
    stand: &Stand,
    folder: &Path,
    options: &Options,
    tick: Tick,
    text: &str,
) -> Result<(Vec<Paced>, Option<Difference>)> {
    let meter = Meter { tick, upstream: stand.upstream.0.id() };
    let frames = stand.target(Flow::Upstream, Mode::Stream)?.prove(Mode::Stream, text)?;
    let target = |flow| {
        let target = stand.target(flow, Mode::Stream)?;
        target.prove(Mode::Stream, text)?;
        Ok((target, Vec::new()))
    };
    let mut targets: Vec<_> =
        [Flow::Nginx, Flow::Gate, Flow::Full].into_iter().map(target).collect::<Result<_>>()?;
    for round in 1..=options.rounds {
        for (target, runs) in &mut targets {
            eprintln!("bench: round {round} of {}: {}, paced streams", options.rounds, target.flow.name());
            runs.push(meter.closed(folder, target, STREAMS, Duration::from_secs(options.seconds))?);
        }
    }
    let mut per_frame = None;
    if stand.tried.is_some() {
        let mut pair = [target(Flow::Guarded)?, target(Flow::Unguarded)?];
        for number in 1..=PAIRS {
            eprintln!("bench: pair {number} of {PAIRS}: guards on and off, paced streams");
            // Each is first as often as the other: what changes steadily meanwhile changes both alike.
            let [guarded, unguarded] = &mut pair;
            let in_turn = if number % 2 == 1 { [guarded, unguarded] } else { [unguarded, guarded] };
            for (target, runs) in in_turn {
                runs.push(meter.closed(folder, target, STREAMS, PAIRED)?);
            }
        }
        let [(_, guarded), (_, unguarded)] = &pair;
        let differences: Vec<f64> = guarded
            .iter()
            .zip(unguarded)
            .map(|(on, off)| (on.cpu_us - off.cpu_us) / f64::from(frames))
            .collect();
        per_frame = Difference::of(&differences);
        targets.extend(pair);
    }
    let rows = targets.iter().map(|(target, runs)| Paced::of(target.flow, frames, runs)).collect();
    Ok((rows, per_frame))
}
