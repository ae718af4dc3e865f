//! How long the disk itself takes to make a small write durable.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};

use super::spread::Spread;

/// How many writes, and how large each.
const WRITES: usize = 1_000;
const BYTES: usize = 4_096;

/// Appends and makes durable, one after the other, in that folder.
pub(super) fn fdatasync(folder: &Path) -> Result<Spread> {
    let path = folder.join("fdatasync.bin");
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path)
        .with_context(|| format!("`{}` cannot be written", path.display()))?;
    let block = [0x5a_u8; BYTES];
    let mut times = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        let began = Instant::now();
        file.write_all(&block).and_then(|()| file.sync_data()).context("the disk refused a write")?;
        times.push(began.elapsed());
    }
    drop(file);
    std::fs::remove_file(&path).with_context(|| format!("`{}` cannot be removed", path.display()))?;
    Ok(Spread::of(times))
}
