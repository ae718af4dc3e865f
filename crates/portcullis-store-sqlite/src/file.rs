//! Opening the engine's files: raw key, settings of every connection, creation and migration.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use portcullis_core::Secret;
use portcullis_core::seal::SealKey;
use portcullis_store::Kind;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};

use crate::fault::Fault;
use crate::schema::{Schema, Standing};
use crate::watch::Commits;

/// What the engine tries to stay under in all open files together: above it, pages give way to pages.
const HEAP_BYTES: i64 = 64 << 20;
/// How long a call waits for another process that writes to the same file: the longest import batch, and room.
const BUSY: Duration = Duration::from_secs(15);

/// Where a file is, what opens it and what is in it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The database file; `-wal`, `-shm` and `-commits` stand beside it.
    pub(crate) path: PathBuf,
    /// Its raw key.
    pub(crate) key: SealKey,
    /// Its schema.
    pub(crate) schema: &'static Schema,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The one writer of a file.
    Write,
    /// Reads of any length.
    Read,
    /// Short reads on the caller's own thread: it holds almost no pages and never waits for a lock.
    Watch,
}

impl Purpose {
    /// The page cache in KiB. Pages are decrypted when they come in, so searches want room.
    const fn cache_kib(self) -> i64 {
        match self {
            Self::Write => 2_048,
            Self::Read => 4_096,
            Self::Watch => 64,
        }
    }
}

impl Place {
    /// Creates the file with its whole schema. It must not be there yet.
    pub(crate) fn create(&self) -> Result<(), Fault> {
        create_private(&self.path)
            .map_err(|error| unavailable("a database file cannot be created", &error))?;
        let mut conn = self.connect(Purpose::Write)?;
        self.schema.migrate(&mut conn)?;
        close(conn)
    }

    /// Brings an existing file up to date. The caller holds the folder's lock.
    pub(crate) fn upgrade(&self) -> Result<(), Fault> {
        let mut conn = self.connect(Purpose::Write)?;
        match self.schema.standing(&conn)? {
            Standing::Current => {}
            Standing::Behind => self.schema.migrate(&mut conn)?,
            Standing::Newer { found, known } => return Err(Standing::newer(found, known)),
        }
        close(conn)
    }

    /// Opens a connection to an existing file; it never creates one.
    pub(crate) fn connect(&self, purpose: Purpose) -> Result<Connection, Fault> {
        if !self.path.exists() {
            return Err(Fault::because(
                Kind::Corrupt,
                "a database file is missing: restore it from a backup",
            ));
        }
        start_engine();
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&self.path, flags)?;
        conn.busy_timeout(if purpose == Purpose::Watch { Duration::ZERO } else { BUSY })?;
        // The cipher would write to standard error by itself; its errors come back from the calls all the same.
        conn.pragma_update_and_check(None, "cipher_log_level", "NONE", |_| Ok(()))?;
        // A raw key of 32 bytes skips the slow derivation that pass phrases need.
        conn.pragma_update(None, "key", hex_key(&self.key).expose())?;
        // Locking and wiping every allocation costs a third of the speed; the key itself is wiped all the same.
        conn.pragma_update(None, "cipher_memory_security", false)?;
        conn.pragma_update(None, "trusted_schema", false)?;
        conn.pragma_update(None, "foreign_keys", true)?;
        conn.pragma_update(None, "cache_size", -purpose.cache_kib())?;
        conn.pragma_update_and_check(None, "soft_heap_limit", HEAP_BYTES, |_| Ok(()))?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
        conn.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
        conn.set_prepared_statement_cache_capacity(64);
        if purpose == Purpose::Write {
            let mode: String = conn.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
            if mode != "wal" {
                return Err(Fault::because(
                    Kind::Unavailable,
                    format!("the file system gives journal mode `{mode}`, `wal` is wanted: use a local disk"),
                ));
            }
            conn.pragma_update(None, "synchronous", "full")?;
            conn.pragma_update(None, "secure_delete", true)?;
            // After a large import the log is cut back to this many bytes.
            conn.pragma_update(None, "journal_size_limit", 8 << 20)?;
        } else {
            conn.pragma_update(None, "query_only", true)?;
        }
        Ok(conn)
    }

    /// Removes the file and what stands beside it. Nothing may have it open.
    pub(crate) fn remove(&self) {
        for suffix in ["", "-wal", "-shm", Commits::SUFFIX] {
            let mut path = self.path.clone().into_os_string();
            path.push(suffix);
            // What is not there need not be removed.
            let _ = fs::remove_file(path);
        }
    }
}

/// Starts the engine once, before anything is opened. The engine calls itself started before its cipher is, so a file
/// that a second thread opened at that moment would seem to have no key.
pub(crate) fn start_engine() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        // If even this fails, the first file to be opened tells why.
        let _ = Connection::open_in_memory();
    });
}

/// Closes a connection, which writes the log back if it is the last one.
pub(crate) fn close(conn: Connection) -> Result<(), Fault> {
    conn.close().map_err(|(_, error)| Fault::from(error))
}

/// A folder that only its owner can enter; an existing one is closed to others.
pub(crate) fn private_folder(path: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// A new empty file that only its owner can read. The engine gives its log the same mode.
fn create_private(path: &Path) -> std::io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map(drop)
}

/// Holds other processes back from creating or upgrading files until it is dropped.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Waits for the lock of a data folder.
    pub(crate) fn wait(folder: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(folder.join(".lock"))?;
        file.lock()?;
        Ok(Self { _file: file })
    }
}

/// An unavailable store, with the operating system's word on it.
pub(crate) fn unavailable(what: &str, error: &std::io::Error) -> Fault {
    Fault::because(Kind::Unavailable, format!("{what}: {}", error.kind()))
}

fn hex_key(key: &SealKey) -> Secret<String> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(67);
    text.push_str("x'");
    for byte in key.expose() {
        for half in [byte >> 4, byte & 15] {
            text.extend(DIGITS.get(usize::from(half)).map(|&digit| char::from(digit)));
        }
    }
    text.push('\'');
    Secret::new(text)
}
