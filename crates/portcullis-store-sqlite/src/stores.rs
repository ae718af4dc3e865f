//! [`SqliteStores`]: opening, sharing and closing the embedded stores.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_core::seal::SealKey;
use portcullis_core::{Action, Clock, CommunityId, MemberId, Scope, Secret};
use portcullis_store::{Kind, Result, Stores};

use crate::communities::{Communities, Community};
use crate::db::{Db, Pools};
use crate::directory::Platform;
use crate::fault::Fault;
use crate::file::{FolderLock, Place, Purpose, private_folder};
use crate::keystore::KeyStore;
use crate::pool::Threads;
use crate::schema::{KEYS, PLATFORM, Schema, Standing};

/// Descriptors kept for everything else the process does, such as connections.
const RESERVED_DESCRIPTORS: usize = 256;
/// The most descriptors one open community holds: four connections of two files each, the shared log
/// index, and the counts of commits.
const DESCRIPTORS_A_COMMUNITY: usize = 10;

/// How to open the embedded stores.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder that holds everything. It is created, and closed to other users of the machine.
    pub data_dir: PathBuf,
    /// The bytes of `ENCRYPTION_KEY`, from which every key that is not random is derived.
    pub master_key: Secret<Vec<u8>>,
    /// Where times and the times in ids come from.
    pub clock: Arc<dyn Clock>,
    /// The most files of communities open at a time, at least 1. The process's limit on descriptors lowers it
    /// (`ulimit -n`; nine a community).
    pub max_open: usize,
}

impl Options {
    /// The usual options: at most 128 communities open.
    pub fn new(data_dir: impl Into<PathBuf>, master_key: Secret<Vec<u8>>, clock: Arc<dyn Clock>) -> Self {
        Self { data_dir: data_dir.into(), master_key, clock, max_open: 128 }
    }
}

/// The stores could not be opened. Nothing was changed in an existing folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The folder or a file in it cannot be made or used.
    #[error("the data folder `{}` cannot be used: check that it exists, is writable and is on a local disk", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The data was written with another key, or its first page is damaged.
    #[error("ENCRYPTION_KEY is not the one this data was written with: `{}` does not open; give the key it was created with", path.display())]
    WrongKey {
        /// The file that does not open.
        path: PathBuf,
    },
    /// One of the two files of the instance is gone.
    #[error("`{}` is missing while other data is there: restore it from a backup", path.display())]
    Missing {
        /// The missing file.
        path: PathBuf,
    },
    /// A newer program wrote the data.
    #[error("`{}` has schema {found}, this program knows up to {known}: use the program that wrote it", path.display())]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The schema it has.
        found: usize,
        /// The newest schema this program knows.
        known: usize,
    },
    /// The engine failed.
    #[error(transparent)]
    Store(#[from] portcullis_store::Error),
}

/// What all ports work on.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) platform: Platform,
    pub(crate) communities: Communities,
    pub(crate) keys: KeyStore,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) pools: Arc<Pools>,
    keys_db: Arc<Db>,
    writers: Threads,
    readers: Threads,
}

impl Engine {
    /// The scope's community, if the scope may do `action` there.
    pub(crate) async fn allowed(&self, scope: &Scope, action: Action) -> Result<Arc<Community>, Fault> {
        allow(scope, action)?;
        self.communities.of_scope(scope.community()).await
    }
}

/// Refuses a scope that may not do `action`.
pub(crate) fn allow(scope: &Scope, action: Action) -> Result<(), Fault> {
    if scope.may(action) {
        return Ok(());
    }
    Err(Fault::because(Kind::Forbidden, format!("the scope does not cover `{}`", action.name())))
}

/// The embedded stores of one instance. Clones share everything.
#[derive(Debug, Clone)]
pub struct SqliteStores {
    engine: Arc<Engine>,
}

impl SqliteStores {
    /// Opens the stores in a folder, and creates what is missing in a new one. It opens no community, and blocks for
    /// a few milliseconds.
    ///
    /// # Errors
    /// See [`OpenError`]; a wrong key leaves the folder as it was.
    pub fn open(options: Options) -> Result<Self, OpenError> {
        let Options { data_dir, master_key, clock, max_open } = options;
        let folder = |source| OpenError::Folder { path: data_dir.clone(), source };
        private_folder(&data_dir).map_err(folder)?;
        private_folder(&data_dir.join("communities")).map_err(folder)?;
        let place = |name: &str, purpose: &str, schema: &'static Schema| Place {
            path: data_dir.join(name),
            key: SealKey::derive(master_key.expose(), purpose),
            schema,
        };
        let platform = place("platform.db", "portcullis/platform.db", &PLATFORM);
        let keys = place("keys.db", "portcullis/keys.db", &KEYS);
        let lock = FolderLock::wait(&data_dir).map_err(folder)?;
        prepare(&platform, &keys)?;
        drop(lock);

        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        let readers = Threads::start("store-read", threads.clamp(2, 16)).map_err(folder)?;
        let writers = Threads::start("store-write", (threads * 2).clamp(4, 16)).map_err(folder)?;
        let pools = Arc::new(Pools { readers: readers.pool(), writers: writers.pool() });
        let keys_db = Db::new(keys, Arc::clone(&pools));
        let keys = KeyStore::new(Arc::clone(&keys_db), master_key.expose(), Arc::clone(&clock));
        let platform =
            Platform::open(Db::new(platform, Arc::clone(&pools))).map_err(|fault| fault.at("store.open"))?;
        let max_open = max_open.min(descriptor_room()).max(1);
        let communities = Communities::new(data_dir, keys.clone(), Arc::clone(&pools), max_open);
        Ok(Self {
            engine: Arc::new(Engine { platform, communities, keys, clock, pools, keys_db, writers, readers }),
        })
    }

    /// The stores behind their ports.
    pub fn stores(&self) -> Stores {
        Stores {
            directory: Arc::clone(&self.engine) as _,
            identity: Arc::clone(&self.engine) as _,
            members: Arc::clone(&self.engine) as _,
            spaces: Arc::clone(&self.engine) as _,
            keys: Arc::clone(&self.engine) as _,
            content: Arc::clone(&self.engine) as _,
            sessions: Arc::clone(&self.engine) as _,
            conversations: Arc::clone(&self.engine) as _,
            memories: Arc::clone(&self.engine) as _,
            handovers: Arc::clone(&self.engine) as _,
            approvals: Arc::clone(&self.engine) as _,
        }
    }

    /// Destroys a member's own key. What it sealed (name, address, and whatever else is kept for them) cannot be read
    /// again from this data, nor from a copy of it without `keys.db`. A copy with that file holds the key still.
    ///
    /// # Errors
    /// `Unavailable` when the key store cannot be written: then the key is still there.
    pub async fn destroy_member_key(&self, community: CommunityId, member: MemberId) -> Result<()> {
        let destroyed = self.engine.keys.destroy_member(community, member).await;
        destroyed.map_err(|fault| fault.at("keystore.destroy_member"))
    }

    /// How many files of communities are open.
    pub fn open_communities(&self) -> usize {
        self.engine.communities.count()
    }

    /// Finishes the writes that were begun, writes all logs back and closes every file. Later calls are
    /// `Unavailable`. Dropping without closing loses nothing that was acknowledged.
    pub async fn close(&self) {
        let engine = Arc::clone(&self.engine);
        let closed = tokio::task::spawn_blocking(move || {
            engine.writers.close();
            engine.readers.close();
            engine.communities.close();
            engine.platform.close();
            engine.keys_db.close();
        });
        if closed.await.is_err() {
            tracing::error!("closing the stores broke off");
        }
    }
}

/// Creates both files of the instance or checks and upgrades both. A key that does not open an existing one changes
/// nothing. The caller holds the folder's lock.
fn prepare(platform: &Place, keys: &Place) -> Result<(), OpenError> {
    match (started(&platform.path)?, started(&keys.path)?) {
        (false, false) => {}
        (true, true) => {
            check(platform)?;
            check(keys)?;
        }
        // Keys come first, so a key store that holds nothing yet is an interrupted first start.
        (false, true) => {
            check(keys)?;
            if has_communities(keys)? {
                return Err(OpenError::Missing { path: platform.path.clone() });
            }
        }
        (true, false) => return Err(OpenError::Missing { path: keys.path.clone() }),
    }
    for place in [keys, platform] {
        let ready = if started(&place.path)? {
            place.upgrade()
        } else {
            // What an interrupted first start left is empty.
            place.remove();
            place.create()
        };
        ready.map_err(|fault| fault.at("store.open"))?;
    }
    Ok(())
}

/// Whether there is a file with something in it.
fn started(path: &Path) -> Result<bool, OpenError> {
    match std::fs::metadata(path) {
        Ok(file) => Ok(file.len() > 0),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(OpenError::Folder { path: path.to_owned(), source }),
    }
}

/// Checks that the key opens the file and that the program knows its schema.
fn check(place: &Place) -> Result<(), OpenError> {
    let standing =
        place.connect(Purpose::Read).and_then(|conn| Ok(place.schema.standing(&conn)?)).map_err(|fault| {
            match fault.kind() {
                Kind::Corrupt => OpenError::WrongKey { path: place.path.clone() },
                _ => fault.at("store.open").into(),
            }
        })?;
    match standing {
        Standing::Current | Standing::Behind => Ok(()),
        Standing::Newer { found, known } => {
            Err(OpenError::NewerSchema { path: place.path.clone(), found, known })
        }
    }
}

fn has_communities(keys: &Place) -> Result<bool, OpenError> {
    let count = keys.connect(Purpose::Read).and_then(|conn| {
        let tables: i64 =
            conn.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'community_keys'", [], |row| {
                row.get(0)
            })?;
        if tables == 0 {
            return Ok(0);
        }
        Ok(conn.query_row("SELECT count(*) FROM community_keys", [], |row| row.get::<_, i64>(0))?)
    });
    Ok(count.map_err(|fault| fault.at("store.open"))? > 0)
}

/// How many communities the process's limit on descriptors has room for.
fn descriptor_room() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    limits
        .lines()
        .find_map(|line| {
            line.strip_prefix("Max open files")?.split_whitespace().next()?.parse::<usize>().ok()
        })
        .map_or(usize::MAX, |soft| soft.saturating_sub(RESERVED_DESCRIPTORS) / DESCRIPTORS_A_COMMUNITY)
}
