//! Writes what was recorded, one file an exchange: `<dir>/<run>/<id>/<number>.json`.

use std::io;
use std::path::{Path, PathBuf};

use super::Report;
use crate::outcome::Outcome;

/// Writes the evidence of all outcomes and gives the folder of the run.
///
/// # Errors
/// When a file cannot be written.
pub fn write_evidence(report: &Report, dir: &Path) -> io::Result<PathBuf> {
    let run = dir.join(&report.run);
    for judged in &report.outcomes {
        let (Outcome::Pass { evidence, .. }
        | Outcome::Fail { evidence, .. }
        | Outcome::Inconclusive { evidence, .. }) = &judged.outcome
        else {
            continue;
        };
        if evidence.exchanges().is_empty() {
            continue;
        }
        let folder = run.join(judged.id);
        std::fs::create_dir_all(&folder)?;
        for exchange in evidence.exchanges() {
            let text = serde_json::to_string_pretty(exchange).map_err(io::Error::other)?;
            std::fs::write(folder.join(format!("{:05}.json", exchange.number)), format!("{text}\n"))?;
        }
    }
    std::fs::create_dir_all(&run)?;
    Ok(run)
}
