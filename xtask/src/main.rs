//! What a developer and CI run: `cargo xtask test`, `check`, `gen`, `deps`, `new-check`, `bless`,
//! `bench`, `dist`, `storm`, `crash`, `flood`, `train-screen`, `ci`.
//!
//! It knows the workspace only through `cargo metadata`, the files and the product's own `generate` command: it
//! links none of our crates, so that it still runs when they do not compile. It never judges by silence: a test
//! that was skipped, a tool that is missing and a rule nobody could look at are said by name.
//!
//! Start with [`test`] for the counts, [`deps`] for the crate boundaries and [`generate`] for the committed
//! generated files.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool speaks to its caller")]

mod bench;
mod bless;
mod check;
mod ci;
mod deps;
mod dist;
mod generate;
mod new_check;
mod process;
mod test;
mod train_screen;
mod trial;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Portcullis development tasks.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run every test and end with the counts of passed, failed and skipped
    Test(test::Options),
    /// Format, lints, crate boundaries, freshness of generated files
    Check,
    /// Write the generated files
    Gen {
        /// Compare instead of writing, and fail on any difference
        #[arg(long)]
        check: bool,
    },
    /// Judge crate edges, banned crates, licences and sources
    Deps {
        /// Print the crates and edges as ARCHITECTURE.md shows them, and judge nothing
        #[arg(long)]
        picture: bool,
    },
    /// Scaffold a check: its file and the module lists that name it
    NewCheck {
        /// The id, such as `TEN-08`
        id: String,
        /// A claim that is true when the check passes, such as "Memory stays inside its tenant"
        title: String,
    },
    /// Accept the current output of every snapshot test; read the difference before committing it
    Bless,
    /// Measure the program beside what people would use in its place; docs/benchmarks.md says how to read it
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Build what is shipped: with all of the optimiser, by a profile of the program under load
    Dist(dist::Options),
    /// Send random requests with every credential and id, and look for what nobody may be told
    Storm(trial::Storm),
    /// Kill the program under load, and cut its power, and look for what is lost
    Crash(trial::Crash),
    /// Send junk without end from addresses without end, and look whether the program grows
    Flood(trial::Flood),
    /// Make the weights of the screen, and the report in docs/screen.md, from the data set beside the workspace
    TrainScreen(train_screen::Options),
    /// Exactly what CI runs: `check`, then `test --require all`
    Ci,
}

fn main() -> ExitCode {
    match run(Args::parse().task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<ExitCode> {
    let workspace = Workspace::load()?;
    match task {
        Task::Test(options) => {
            let report = test::run(&workspace, &options)?;
            report.print();
            Ok(report.exit_code())
        }
        Task::Check => check::run(&workspace).map(|()| ExitCode::SUCCESS),
        Task::Gen { check: true } => generate::check(&workspace).map(|()| ExitCode::SUCCESS),
        Task::Gen { check: false } => generate::write(&workspace).map(|()| ExitCode::SUCCESS),
        Task::Deps { picture: true } => {
            print!("{}", deps::picture(&workspace.metadata));
            Ok(ExitCode::SUCCESS)
        }
        Task::Deps { picture: false } => deps::run(&workspace).map(|()| ExitCode::SUCCESS),
        Task::NewCheck { id, title } => new_check::run(&workspace, &id, &title).map(|()| ExitCode::SUCCESS),
        Task::Bless => bless::run(&workspace).map(|()| ExitCode::SUCCESS),
        Task::Bench(bench) => bench::run(&workspace, &bench).map(|()| ExitCode::SUCCESS),
        Task::Dist(options) => dist::run(&workspace, &options).map(|()| ExitCode::SUCCESS),
        Task::Storm(storm) => trial::storm(&workspace, &storm).map(|()| ExitCode::SUCCESS),
        Task::Crash(crash) => trial::crash(&workspace, &crash).map(|()| ExitCode::SUCCESS),
        Task::Flood(flood) => trial::flood(&workspace, &flood).map(|()| ExitCode::SUCCESS),
        Task::TrainScreen(options) => train_screen::run(&workspace, &options).map(|()| ExitCode::SUCCESS),
        Task::Ci => ci::run(&workspace),
    }
}
