//! Measures the program beside what people would use in its place, in one run on one machine.
//!
//! It judges no commit and no test depends on it: a measured time is a fact about a machine, printed beside the
//! number that the product promises. Everything it starts listens on 127.0.0.1, keeps its data in a temporary folder and
//! is stopped by its process id. `docs/benchmarks.md` says how to read the result.

mod content;
mod detectors;
mod disk;
mod instance;
mod nginx;
mod open_loop;
mod phases;
mod proc;
mod program;
mod promises;
mod report;
mod runs;
mod serve;
mod spread;
mod stalls;
mod starts;
mod wire;
mod words;
mod wrk;

use std::path::Path;

use anyhow::Result;
use clap::Subcommand;

use crate::workspace::Workspace;

#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// The gate and the full turn beside nginx, both in front of the same scripted upstream
    Serve(serve::Options),
}

/// Puts a program under the load that benchmarks put it under, for what it notes meanwhile by itself.
pub(crate) fn train(workspace: &Workspace, binary: &Path) -> Result<()> {
    serve::train(workspace, binary)
}

/// Runs one benchmark and prints what it found.
pub(crate) fn run(workspace: &Workspace, bench: &Bench) -> Result<()> {
    match bench {
        Bench::Serve(options) => serve::run(workspace, options),
    }
}
