//! Writes down where guards make a difference: for the guard matrix, in builds whose guards can be switched off.
//!
//! Every process that serves, and the one that checks, appends to one file: `check PI-05` when a check begins, and the name of a
//! guard each time that it makes a difference. Between two checks stand the guards without which the first of them might have
//! ended otherwise.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use portcullis_check::report::Judged;
use portcullis_check::{Check, Progress};
use portcullis_config::Environment;

/// Names the file. Without it nothing is written.
const VARIABLE: &str = "PORTCULLIS_TEST_GUARDS_FELT";

/// The file.
#[derive(Debug)]
pub(crate) struct Ledger(File);

impl Ledger {
    /// The file that the environment names, if it does.
    pub(crate) fn of_process() -> Result<Option<Self>> {
        let environment = Environment::from_process();
        let open = |path| {
            let file = OpenOptions::new().append(true).create(true).open(Path::new(path));
            file.map(Self).with_context(|| format!("the file of `{VARIABLE}` cannot be written"))
        };
        environment.text(VARIABLE).map(open).transpose()
    }

    /// One line, in one write, so that no other process writes into it.
    pub(crate) fn note(&self, line: &str) {
        if let Err(error) = (&self.0).write_all(format!("{line}\n").as_bytes()) {
            tracing::error!(%error, "where a guard makes a difference cannot be written down");
        }
    }
}

impl Progress for Ledger {
    fn started(&self, check: &Check, _: usize, _: usize) {
        self.note(&format!("check {}", check.id));
    }

    fn finished(&self, _: &Judged) {}
}
