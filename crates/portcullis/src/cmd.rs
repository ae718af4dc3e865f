//! The commands, one file each.

mod admin;
mod audit;
mod check;
mod config;
mod demo;
mod explain;
mod generate;
mod guard;
mod import;
mod init;
mod mail;
mod sandbox;
mod serve;
mod target;
mod tool;
mod upstream;

use std::future::Future;
use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::args::{Cli, Command};

/// Runs one command.
pub(crate) fn run(cli: Cli) -> Result<ExitCode> {
    // Nobody else installs one; a second call would only say so.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = &cli.configured;
    match cli.command {
        Command::Init { dir } => init::run(&dir),
        Command::Demo(args) => on_runtime(demo::run(args)),
        Command::Serve => on_runtime(serve::run(config)),
        Command::Check(args) => on_runtime(check::run(config, args)),
        Command::Controls { format } => explain::controls(format),
        Command::Explain { what } => explain::run(&what),
        Command::Config(command) => config::run(config, &command),
        Command::Community(command) => on_runtime(admin::community(config, command)),
        Command::Member(command) => on_runtime(admin::member(config, command)),
        Command::Plan(command) => on_runtime(admin::plan(config, command)),
        Command::Space(command) => on_runtime(admin::space(config, command)),
        Command::Key(command) => on_runtime(admin::key(config, command)),
        Command::Import(command) => on_runtime(import::run(config, command)),
        Command::Mail { to } => on_runtime(mail::run(config, to)),
        Command::Guard(command) => guard::run(config, command),
        Command::Tool(command) => on_runtime(tool::run(config, command)),
        Command::Sandbox(args) => on_runtime(sandbox::run(args)),
        Command::Audit(command) => on_runtime(audit::run(config, command)),
        Command::Upstream(args) => on_runtime(upstream::run(args)),
        Command::Generate { out } => generate::run(&out),
    }
}

fn on_runtime<F: Future<Output = Result<ExitCode>>>(work: F) -> Result<ExitCode> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the asynchronous runtime cannot be started")?
        .block_on(work)
}
