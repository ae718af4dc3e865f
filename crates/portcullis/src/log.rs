//! The program's own log: on standard error while it serves, in memory while it judges itself.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_config::{Config, LogFormat};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// The most of a log that is kept in memory, in bytes: its end.
const KEPT: usize = 32 << 20;

/// Writes to standard error from here on.
pub(crate) fn to_standard_error(config: &Config) {
    // A second subscriber in one process only happens in tests, where the first one serves as well.
    let _ = install(config, io::stderr);
}

/// What is logged from here on, with the form and level of the configuration, in memory. None where the process logs
/// already.
pub(crate) fn in_memory(config: &Config) -> Option<Kept> {
    let kept = Kept::default();
    install(config, kept.clone()).then_some(kept)
}

fn install<W>(config: &Config, writer: W) -> bool
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::new(config.log.level.as_str());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match config.log.format {
        LogFormat::Json => log.json().flatten_event(true).try_init().is_ok(),
        LogFormat::Text => log.with_ansi(false).try_init().is_ok(),
    }
}

/// A log in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    /// What it holds.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() > KEPT {
            let half = kept.len() / 2;
            kept.drain(..half);
        }
        kept.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Kept {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}
