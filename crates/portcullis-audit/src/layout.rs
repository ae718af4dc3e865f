//! The names of the journal's files, and opening them.
//!
//! | file | content |
//! |---|---|
//! | `00000000000000000000.log` | a segment, named by the number of its first record |
//! | `00000000000000000000.seal` | the signed state at the end of that segment, once it is finished |
//! | `checkpoints` | every signed checkpoint |
//! | `journal.lock` | held while one batch or checkpoint is written |
//! | `serve.lock` | held for the life of the serving process |

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Access, Disk, LogFile};
use crate::error::{Error, Fault};
use crate::journal::{MOST_CHECKPOINT_RECORDS, most_unsigned};
use crate::note::{NoteError, Verifier};
use crate::state::Seal;

pub(crate) const CHECKPOINTS: &str = "checkpoints";
pub(crate) const LOCK: &str = "journal.lock";
pub(crate) const SERVE_LOCK: &str = "serve.lock";

/// Larger than any seal: room for a million communities.
const MAX_SEAL: u64 = 128 * 1024 * 1024;

/// The journal's directory on its disk.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
}

pub(crate) fn segment_name(first: u64) -> String {
    format!("{first:020}.log")
}

pub(crate) fn seal_name(first: u64) -> String {
    format!("{first:020}.seal")
}

impl Folder {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: &Path) -> Self {
        Self { disk, dir: dir.to_owned() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(crate) fn name(&self) -> String {
        self.dir.display().to_string()
    }

    pub(crate) fn open(&self, name: &str, access: Access) -> Result<Box<dyn LogFile>, Error> {
        self.disk.open(&self.path(name), access).map_err(Error::io("open", name))
    }

    pub(crate) fn exists(&self, name: &str) -> Result<bool, Error> {
        self.disk.exists(&self.path(name)).map_err(Error::io("look for", name))
    }

    pub(crate) fn sync_names(&self) -> Result<(), Error> {
        self.disk.sync_dir(&self.dir).map_err(Error::io("sync", &self.name()))
    }

    /// Whether more records stand unsigned than whoever wrote them leaves so. A process that serves may have been started with
    /// another number than ours, so beside one the largest counts.
    pub(crate) fn is_too_much_unsigned(&self, records: u64, checkpoint_records: u64) -> Result<bool, Error> {
        Ok(records > most_unsigned(checkpoint_records)
            && !(records <= most_unsigned(MOST_CHECKPOINT_RECORDS) && self.is_served()?))
    }

    /// Whether a process serves, and it is not this one that asks.
    fn is_served(&self) -> Result<bool, Error> {
        if !self.exists(SERVE_LOCK)? {
            return Ok(false);
        }
        let lock = self.disk.open_lock(&self.path(SERVE_LOCK), Access::Read);
        let taken = lock.and_then(|mut lock| lock.try_lock()).map_err(Error::io("lock", SERVE_LOCK))?;
        Ok(!taken)
    }

    /// The first record's number of every segment, in order.
    pub(crate) fn segments(&self) -> Result<Vec<u64>, Error> {
        let names = self.disk.list(&self.dir).map_err(Error::io("list", &self.name()))?;
        let mut firsts: Vec<u64> = names
            .iter()
            .filter_map(|name| {
                let first = name.strip_suffix(".log")?.parse().ok()?;
                (segment_name(first) == *name).then_some(first)
            })
            .collect();
        firsts.sort_unstable();
        Ok(firsts)
    }

    /// The seal of the segment that begins with record `first`; `None` when there is none.
    pub(crate) fn seal(&self, first: u64, trusted: &[Verifier]) -> Result<Option<Seal>, Error> {
        let name = seal_name(first);
        if !self.exists(&name)? {
            return Ok(None);
        }
        let mut file = self.open(&name, Access::Read)?;
        let len = file.length().map_err(Error::io("read", &name))?;
        if len > MAX_SEAL {
            return Err(Error::damaged(&name, 0, Fault::NoteMalformed));
        }
        let mut window = crate::disk::Window::new(0, len);
        let want = usize::try_from(len).unwrap_or(usize::MAX);
        window.fill(&mut *file, want).map_err(Error::io("read", &name))?;
        let seal = Seal::open(window.unread(), trusted).map_err(|error| {
            let fault = match error {
                NoteError::Malformed => Fault::NoteMalformed,
                NoteError::Signature => Fault::NoteSignature,
            };
            Error::damaged(&name, 0, fault)
        })?;
        if seal.first == first { Ok(Some(seal)) } else { Err(Error::damaged(&name, 0, Fault::Seal)) }
    }
}
