//! Accepts the current output of snapshot tests. Never in CI, where nobody reads the difference.

use anyhow::{Result, bail};

use crate::process;
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    refuse_in_ci(in_ci())?;
    for selection in workspace.selections() {
        let mut command = process::cargo(workspace.root());
        command.env("INSTA_UPDATE", "always").env("INSTA_FORCE_PASS", "1");
        process::run(command.args([&["test", "--no-fail-fast"], &*selection].concat()))?;
    }
    println!("bless: snapshots now hold the current output; read `git diff` before committing them");
    Ok(())
}

/// Where the command was started.
#[derive(Debug, Clone, Copy)]
enum Place {
    Ci,
    Elsewhere,
}

#[expect(clippy::disallowed_methods, reason = "CI systems announce themselves in the environment only")]
fn in_ci() -> Place {
    match std::env::var_os("CI") {
        Some(value) if !value.is_empty() && value != "false" => Place::Ci,
        Some(_) | None => Place::Elsewhere,
    }
}

fn refuse_in_ci(place: Place) -> Result<()> {
    match place {
        Place::Ci => {
            bail!("`bless` accepts output that nobody has read, so it does not run where `CI` is set")
        }
        Place::Elsewhere => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_are_never_accepted_in_ci() {
        assert!(refuse_in_ci(Place::Ci).is_err());
        assert!(refuse_in_ci(Place::Elsewhere).is_ok());
    }
}
