//! The program's own log: on standard error while it serves, in memory while it judges itself.
//!
//! A thread that says when it rests ([`write_gathered`]) writes what it has to tell then, in one piece: a system call for each
//! line costs as much as making the line. Warnings and errors do not wait.

use std::cell::RefCell;
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_config::{Config, LogFormat};
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// The most of a log that is kept in memory, in bytes: its end.
const KEPT: usize = 32 << 20;
/// How many bytes a thread gathers at most, even if it never rests.
const GATHERED: usize = 16 << 10;

thread_local! {
    static LINES: RefCell<Lines> = const { RefCell::new(Lines { bytes: Vec::new(), rests: false }) };
}

/// Writes to standard error from here on.
pub(crate) fn to_standard_error(config: &Config) {
    // A second subscriber in one process only happens in tests, where the first one serves as well.
    let _ = install(config, StandardError);
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

/// Writes what this thread has gathered. From the first time on it gathers, and has to call this whenever it rests.
pub(crate) fn write_gathered() {
    // A thread that is ending has written everything.
    let _ = LINES.try_with(|lines| {
        if let Ok(mut lines) = lines.try_borrow_mut() {
            lines.rests = true;
            lines.write();
        }
    });
}

/// What a thread has gathered.
#[derive(Debug)]
struct Lines {
    bytes: Vec<u8>,
    rests: bool,
}

impl Lines {
    fn write(&mut self) {
        if !self.bytes.is_empty() {
            // Whoever closed it wants no log.
            let _ = io::stderr().write_all(&self.bytes);
            self.bytes.clear();
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.write();
    }
}

/// Standard error, of which each thread writes whole lines.
#[derive(Debug, Clone, Copy)]
struct StandardError;

/// One line on its way there.
#[derive(Debug)]
struct Line {
    urgent: bool,
}

impl io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let gathered = LINES.try_with(|lines| {
            let mut lines = lines.try_borrow_mut().ok()?;
            lines.bytes.extend_from_slice(bytes);
            if self.urgent || !lines.rests || lines.bytes.len() > GATHERED {
                lines.write();
            }
            Some(bytes.len())
        });
        match gathered {
            Ok(Some(written)) => Ok(written),
            Ok(None) | Err(_) => io::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for StandardError {
    type Writer = Line;

    fn make_writer(&'w self) -> Line {
        Line { urgent: true }
    }

    fn make_writer_for(&'w self, about: &Metadata<'_>) -> Line {
        Line { urgent: *about.level() <= Level::WARN }
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
