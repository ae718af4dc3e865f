//! Where blocks are kept over restarts: one sealed file, written whole or not at all.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use portcullis_core::seal::SealKey;
use portcullis_guard::KeptBlocks;

const CONTEXT: &[u8] = b"blocklist";

/// The file. Addresses are personal data, so it is sealed like all that is kept.
#[derive(Debug)]
pub struct BlockFile {
    path: PathBuf,
    key: SealKey,
    /// Two writers would each replace what the other has written.
    writing: parking_lot::Mutex<()>,
}

impl BlockFile {
    /// The file of that data folder.
    pub fn new(data_dir: &Path, encryption_key: &[u8]) -> Self {
        let key = SealKey::derive(encryption_key, "portcullis/blocklist");
        Self { path: data_dir.join("blocklist.sealed"), key, writing: parking_lot::Mutex::new(()) }
    }

    /// Its path, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was kept; nothing where there is no file yet.
    ///
    /// # Errors
    /// When it cannot be read, or was changed, or is of another key or version.
    pub fn read(&self) -> io::Result<Option<KeptBlocks>> {
        let sealed = match std::fs::read(&self.path) {
            Ok(sealed) => sealed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let changed = || {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "it does not open: it was changed, or is of another key or version; remove it to begin with an empty list",
            )
        };
        let plain = self.key.open(CONTEXT, &sealed).map_err(|_| changed())?;
        KeptBlocks::decode(&plain).map(Some).map_err(|_| changed())
    }

    /// Keeps what `now` says once it is its turn: durable when this returns.
    ///
    /// # Errors
    /// When it cannot be written; what was kept before is still there.
    pub fn write(&self, now: impl FnOnce() -> KeptBlocks) -> io::Result<()> {
        let _turn = self.writing.lock();
        let sealed = self.key.seal(CONTEXT, &now().encode());
        let beside = self.path.with_extension("new");
        let mut file = File::create(&beside)?;
        file.write_all(&sealed)?;
        file.sync_all()?;
        std::fs::rename(&beside, &self.path)?;
        match self.path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_core::SystemClock;
    use portcullis_guard::{BlockSettings, Blocks};

    use super::BlockFile;

    #[test]
    fn what_was_changed_or_is_of_another_key_is_not_believed() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = BlockFile::new(folder.path(), &[7; 32]);
        assert!(file.read().expect("no file is no error").is_none());
        let blocks = Blocks::new(&BlockSettings::default());
        file.write(|| blocks.keep(&SystemClock::new())).expect("written");
        assert!(file.read().expect("it reads").is_some());
        assert!(BlockFile::new(folder.path(), &[8; 32]).read().is_err());
        let mut bytes = std::fs::read(file.path()).expect("bytes");
        *bytes.last_mut().expect("not empty") ^= 1;
        std::fs::write(file.path(), bytes).expect("written");
        assert!(file.read().is_err());
    }
}
