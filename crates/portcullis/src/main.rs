//! `portcullis`: the gate for an AI chatbot in a paid membership community.
//!
//! The only crate that prints, ends the process or reads its arguments. [`args`] is the command line, `cmd/` holds one
//! file a command, [`instance`] puts the parts of a running gate together.

mod args;
mod blocklist;
mod cmd;
mod descriptors;
#[cfg(feature = "guard-off")]
mod felt;
mod handover;
mod instance;
mod limits;
mod log;
mod mail;
mod out;
mod release;
#[cfg(feature = "sandbox")]
mod sandbox;
mod screen;
mod tls;
mod tools;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Cli;

/// A turn makes hundreds of short-lived texts on several threads, which the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cmd::run(cli) {
        Ok(code) => code,
        Err(error) => {
            out::error(&error);
            // 1 is a check that failed; everything that kept a command from its work is 2.
            ExitCode::from(2)
        }
    }
}
