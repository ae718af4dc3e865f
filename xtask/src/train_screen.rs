//! The weights of the screen, made again: the trainer is an example of its crate, run in a release build.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::process;
use crate::workspace::Workspace;

/// From where, and whether to write.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The folder with `injection/` and `communities/`; beside the workspace if not given
    #[arg(long)]
    data: Option<PathBuf>,
    /// Compare instead of writing, and fail on any difference
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let data = options.data.clone().unwrap_or_else(|| workspace.root().join("../shared/data"));
    if !data.join("injection/train.jsonl.zst").is_file() {
        bail!("the data set is not in `{}`; say where with `--data`", data.display());
    }
    let mut command = process::cargo(workspace.root());
    command.args(["run", "--release", "--package", "portcullis-screen", "--example", "train", "--"]);
    command.arg(std::path::absolute(&data)?);
    if options.check {
        command.arg("--check");
    }
    process::run(&mut command)
}
