//! The file layer beneath the journal, as a trait, so that tests can lose unsynced writes, run out of room or write
//! only a part of what was asked. [`StdDisk`] is the real one.
//!
//! The contract is what POSIX gives and no more: an append may be short, nothing is durable before
//! [`LogFile::sync`], and a new or renamed name is not durable before [`Disk::sync_dir`].

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It must exist and is only read.
    Read,
    /// It is created where absent, read, and written at its end only.
    Append,
}

/// Directories, names and locks.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Creates the directory and its parents where absent, readable by the owner only, durably.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// The names of the files in the directory, in any order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Whether the file exists.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// Opens a file. A created one is readable by the owner only, and its name is durable after
    /// [`Disk::sync_dir`].
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn LogFile>>;

    /// Gives a file another name, replacing what had it. Durable after [`Disk::sync_dir`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes the names in the directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Opens an advisory lock that excludes other openings of the same file, in this process or another.
    fn open_lock(&self, path: &Path, access: Access) -> io::Result<Box<dyn FileLock>>;
}

/// One open file that only grows at its end.
pub trait LogFile: Send + fmt::Debug {
    /// Its length in bytes now, whoever wrote it.
    fn length(&self) -> io::Result<u64>;

    /// Reads from `offset` on, possibly less than asked; 0 is the end of the file.
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize>;

    /// Writes at the end of the file, possibly less than asked. Returns how many bytes were written.
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Cuts the file to `len` bytes.
    fn truncate(&mut self, len: u64) -> io::Result<()>;

    /// Returns once content and length are durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// An advisory lock on a file. Dropping it releases it.
pub trait FileLock: Send + fmt::Debug {
    /// Waits until nobody else holds the lock.
    fn lock(&mut self) -> io::Result<()>;

    /// Waits until nobody holds the lock exclusively.
    fn lock_shared(&mut self) -> io::Result<()>;

    /// Takes the lock if nobody holds it, and says whether it did.
    fn try_lock(&mut self) -> io::Result<bool>;

    /// Releases the lock.
    fn unlock(&mut self) -> io::Result<()>;
}

/// Appends all of `bytes`, however short the single writes are.
pub(crate) fn append_all(file: &mut dyn LogFile, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.append(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The machine's own files.
#[derive(Debug, Clone, Copy, Default)]
pub struct StdDisk;

fn options(access: Access) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true);
    if access == Access::Append {
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    options
}

impl Disk for StdDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(dir)?;
        dir.parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .map_or(Ok(()), |parent| self.sync_dir(parent))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        // A name that is not Unicode is none of ours.
        let names = fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
        names.filter_map(Result::transpose).collect()
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(StdFile(options(access).open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn open_lock(&self, path: &Path, access: Access) -> io::Result<Box<dyn FileLock>> {
        Ok(Box::new(StdLock(options(access).open(path)?)))
    }
}

#[derive(Debug)]
struct StdFile(File);

impl LogFile for StdFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.0.seek(SeekFrom::Start(offset))?;
        self.0.read(into)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[derive(Debug)]
struct StdLock(File);

impl FileLock for StdLock {
    fn lock(&mut self) -> io::Result<()> {
        self.0.lock()
    }

    fn lock_shared(&mut self) -> io::Result<()> {
        self.0.lock_shared()
    }

    fn try_lock(&mut self) -> io::Result<bool> {
        match self.0.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn unlock(&mut self) -> io::Result<()> {
        self.0.unlock()
    }
}

/// The part of a file that is being looked at, read in large pieces.
#[derive(Debug)]
pub(crate) struct Window {
    buffer: Vec<u8>,
    /// Where in the buffer the unread part begins.
    at: usize,
    /// Where in the file the unread part begins.
    offset: u64,
    /// Where in the file reading ends, whatever follows there.
    limit: u64,
}

const PIECE: usize = 256 * 1024;

impl Window {
    pub(crate) const fn new(offset: u64, limit: u64) -> Self {
        Self { buffer: Vec::new(), at: 0, offset, limit }
    }

    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) const fn limit(&self) -> u64 {
        self.limit
    }

    /// What was read and not passed yet.
    pub(crate) fn unread(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }

    /// Passes `count` bytes that were read.
    pub(crate) fn pass(&mut self, count: usize) {
        let count = count.min(self.buffer.len().saturating_sub(self.at));
        self.at += count;
        self.offset += count as u64;
    }

    /// Reads until `want` bytes are there or the limit is reached, and says whether they are there.
    pub(crate) fn fill(&mut self, file: &mut dyn LogFile, want: usize) -> io::Result<bool> {
        if self.unread().len() >= want {
            return Ok(true);
        }
        self.buffer.drain(..self.at);
        self.at = 0;
        let left = usize::try_from(self.limit - self.offset).unwrap_or(usize::MAX);
        let target = want.max(PIECE).min(left);
        let mut filled = self.buffer.len();
        self.buffer.resize(target.max(filled), 0);
        while filled < target {
            let rest = self.buffer.get_mut(filled..).unwrap_or_default();
            match file.read_at(self.offset + filled as u64, rest) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.buffer.truncate(filled);
                    return Err(error);
                }
            }
        }
        self.buffer.truncate(filled);
        Ok(filled >= want)
    }
}

/// The unit in which a disk loses writes.
const SECTOR: u64 = 512;

/// Whether the part of a sector that these bytes cover is all zeros somewhere. `start` is their place in the file.
pub(crate) fn has_lost_sector(start: u64, bytes: &[u8]) -> bool {
    let lead = usize::try_from(SECTOR - start % SECTOR).unwrap_or(0).min(bytes.len());
    let (head, tail) = bytes.split_at_checked(lead).unwrap_or((bytes, &[]));
    let sector = usize::try_from(SECTOR).unwrap_or(1);
    std::iter::once(head)
        .chain(tail.chunks(sector))
        .any(|part| !part.is_empty() && part.iter().all(|b| *b == 0))
}
