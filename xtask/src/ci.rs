//! What CI runs, as one command that a developer can run too.

use std::process::ExitCode;

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{check, test};

/// Runs `check`, then the tests whatever `check` said. The counts come last, alone on their line, and a failed `check`
/// is among them.
pub(crate) fn run(workspace: &Workspace) -> Result<ExitCode> {
    let checked = check::run(workspace);
    let mut report = test::run(workspace, &test::Options::everything_required())?;
    if let Err(error) = checked {
        report.fail(format!("{error:#}"));
    }
    report.print();
    Ok(report.exit_code())
}
