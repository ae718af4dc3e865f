//! What the detectors of what leaves take for one frame, measured in a process of their own: which part of the guards' time for a
//! frame is theirs. The citation fence, and what a server does around them, are not in it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::workspace::Workspace;

/// Microseconds of processor time a frame of five characters, by the kind of text.
pub(super) fn measure(workspace: &Workspace) -> Result<BTreeMap<String, f64>> {
    let mut bench = process::cargo(workspace.root());
    bench.args(["bench", "--quiet", "--package", "portcullis-leak", "--bench", "frames", "--", "--json"]);
    let output = bench.output().context("`cargo bench -p portcullis-leak` cannot be started")?;
    if !output.status.success() {
        bail!("`cargo bench -p portcullis-leak` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).context("`cargo bench -p portcullis-leak` did not print JSON")
}
