//! Three tests of the suite at their full length: the storm of random requests, the kills under load, and the flood of junk.
//!
//! The suite runs them shorter. How long is told to the tests in variables, which they read like all others.

use anyhow::Result;

use crate::process;
use crate::workspace::Workspace;

/// How long, and the same as which run.
#[derive(Debug, clap::Args)]
pub(crate) struct Storm {
    /// Random requests to send
    #[arg(long, default_value_t = 100_000)]
    requests: u64,
    /// The seed that an earlier run printed
    #[arg(long)]
    seed: Option<u64>,
}

/// How long.
#[derive(Debug, clap::Args)]
pub(crate) struct Crash {
    /// Kills under load, and as many losses of power
    #[arg(long, default_value_t = 100)]
    rounds: u64,
}

/// How much.
#[derive(Debug, clap::Args)]
pub(crate) struct Flood {
    /// Requests with made-up keys, models and paths, a tenth as many of each, from as many addresses
    #[arg(long, default_value_t = 1_000_000)]
    requests: u64,
    /// The ceiling of the counters (`limits.memory_bytes`); without it the lowest that there may be, which is full at once. The
    /// program's own default is 67108864
    #[arg(long)]
    memory_bytes: Option<u64>,
}

pub(crate) fn storm(workspace: &Workspace, options: &Storm) -> Result<()> {
    let mut variables = vec![("PORTCULLIS_STORM", options.requests)];
    variables.extend(options.seed.map(|seed| ("PORTCULLIS_SEED", seed)));
    run(workspace, "portcullis-http", "storm::nothing_of_another", &variables)
}

pub(crate) fn crash(workspace: &Workspace, options: &Crash) -> Result<()> {
    run(workspace, "portcullis", "crash::", &[("PORTCULLIS_CRASHES", options.rounds)])
}

pub(crate) fn flood(workspace: &Workspace, options: &Flood) -> Result<()> {
    let mut variables = vec![("PORTCULLIS_FLOOD", options.requests)];
    variables.extend(options.memory_bytes.map(|bytes| ("PORTCULLIS_FLOOD_MEMORY", bytes)));
    run(workspace, "portcullis", "flood::", &variables)
}

fn run(workspace: &Workspace, package: &str, test: &str, variables: &[(&str, u64)]) -> Result<()> {
    let mut command = process::cargo(workspace.root());
    command.args([
        "test",
        "--package",
        package,
        "--test",
        "it",
        "--",
        test,
        "--nocapture",
        "--test-threads=1",
    ]);
    command.envs(variables.iter().map(|(name, value)| (name, value.to_string())));
    process::run(&mut command)
}
