//! Everything that is judged without running a test. All steps run, so that one report names every problem.

use anyhow::{Result, bail};

use crate::workspace::Workspace;
use crate::{deps, generate, process};

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let steps = [
        ("fmt", format(workspace)),
        ("clippy", lint(workspace)),
        ("deps", deps::run(workspace)),
        ("gen --check", generate::check(workspace)),
        ("deny", deny(workspace)),
    ];
    let mut failed = Vec::new();
    for (name, outcome) in &steps {
        if let Err(error) = outcome {
            eprintln!("check: {name}: {error:#}");
            failed.push(*name);
        }
    }
    if failed.is_empty() {
        println!("check: {} steps passed", steps.len());
        return Ok(());
    }
    bail!("check failed in: {}", failed.join(", "))
}

fn format(workspace: &Workspace) -> Result<()> {
    process::run(process::cargo(workspace.root()).args(["fmt", "--all", "--check"]))
}

fn lint(workspace: &Workspace) -> Result<()> {
    for selection in workspace.selections() {
        let arguments =
            [&["clippy", "--quiet", "--all-targets"], &*selection, &["--", "-D", "warnings"]].concat();
        process::run(process::cargo(workspace.root()).args(arguments))?;
    }
    Ok(())
}

/// `cargo deny` reads the same `deny.toml` that `deps` enforced already; what it adds is the advisories.
fn deny(workspace: &Workspace) -> Result<()> {
    if !process::succeeds("cargo", &["deny", "--version"]) {
        println!(
            "deny: NOT JUDGED: security advisories, because `cargo deny` is not installed \
             (`cargo install --locked cargo-deny`); bans, licences and sources were judged by `deps`"
        );
        return Ok(());
    }
    process::run(process::cargo(workspace.root()).args(["deny", "check", "bans", "licenses", "sources"]))?;
    // `cargo deny` exits alike on a finding and on a database that it cannot fetch; only its words differ.
    let mut unreachable = false;
    let status = process::stream(
        process::cargo(workspace.root()).args(["deny", "check", "advisories"]),
        |_, line| {
            unreachable |= line.contains("failed to fetch advisory database");
            println!("{line}");
        },
    )?;
    if !status.success() {
        if !unreachable {
            bail!("`cargo deny check advisories` failed ({status})");
        }
        println!("deny: NOT JUDGED: security advisories, because their database is not reachable");
    }
    Ok(())
}
