//! A data folder of its own for each test.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use portcullis_core::seal::SealKey;
use portcullis_core::{Clock, CommunityId, Secret};
use portcullis_store::Stores;
use portcullis_store::conformance::Harness;
use portcullis_store_sqlite::{Options, SqliteStores};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use tempfile::TempDir;

/// The master key of all tests.
pub(crate) const MASTER: [u8; 32] = [0x5a; 32];

/// A data folder that is removed at the end. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Folder(Arc<TempDir>);

impl Folder {
    /// A folder in memory where there is one: the suite writes thousands of times, and what it shows does not depend
    /// on the disk.
    pub(crate) fn fresh() -> Self {
        let memory = Path::new("/dev/shm");
        if !memory.is_dir() {
            return Self::on_disk();
        }
        Self(Arc::new(TempDir::new_in(memory).expect("a temporary folder")))
    }

    pub(crate) fn on_disk() -> Self {
        Self(Arc::new(TempDir::new().expect("a temporary folder")))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn options(&self, clock: Arc<dyn Clock>) -> Options {
        Options::new(self.path(), Secret::new(MASTER.to_vec()), clock)
    }

    pub(crate) fn open_stores(&self, clock: Arc<dyn Clock>) -> SqliteStores {
        SqliteStores::open(self.options(clock)).expect("the stores open")
    }
}

impl Folder {
    /// A connection to one of the instance's files, as who has its key opens it.
    pub(crate) fn open_file(&self, name: &str, key: &SealKey) -> Connection {
        let hex: String = key.expose().iter().map(|byte| format!("{byte:02x}")).collect();
        let conn = Connection::open(self.path().join(name)).expect("the file opens");
        conn.pragma_update(None, "key", format!("x'{hex}'")).expect("the key is set");
        conn
    }

    /// A connection to a community's file, as who has the master key and the key store opens it.
    pub(crate) fn open_community(&self, community: CommunityId) -> Connection {
        let keys = self.open_file("keys.db", &SealKey::derive(&MASTER, "portcullis/keys.db"));
        let wrapped: Vec<u8> = keys
            .query_row(
                "SELECT wrapped FROM community_keys WHERE community = ?",
                [community.as_bytes()],
                |row| row.get(0),
            )
            .expect("the community has a key");
        let place = [b"community-key".as_slice(), community.as_bytes()].concat();
        let key = SealKey::derive(&MASTER, "portcullis/keystore").open(&place, &wrapped).expect("it unwraps");
        let key = SealKey::from_bytes(key.try_into().expect("32 bytes"));
        self.open_file(&format!("communities/{community}.db"), &key)
    }
}

#[async_trait]
impl Harness for Folder {
    async fn open(&self, clock: Arc<dyn Clock>) -> Stores {
        self.open_stores(clock).stores()
    }

    async fn at_rest(&self, community: CommunityId) -> Vec<u8> {
        let conn = self.open_community(community);
        conn.execute_batch("CREATE VIRTUAL TABLE temp.words USING fts5vocab (main, search, row)")
            .expect("the words of the index");
        let mut names = conn
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' UNION ALL SELECT 'words'")
            .expect("the list of tables");
        let names = names.query_map([], |row| row.get::<_, String>(0)).expect("the names of tables");
        let mut stored = Vec::new();
        for name in names {
            let name = name.expect("a name");
            let mut table = conn.prepare(&format!("SELECT * FROM \"{name}\"")).expect("a table");
            let columns = table.column_count();
            let mut rows = table.query([]).expect("its rows");
            while let Some(row) = rows.next().expect("a row") {
                for column in 0..columns {
                    match row.get_ref(column).expect("a value") {
                        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => stored.extend_from_slice(bytes),
                        ValueRef::Integer(number) => stored.extend_from_slice(&number.to_be_bytes()),
                        ValueRef::Real(_) | ValueRef::Null => {}
                    }
                    stored.push(b'\n');
                }
            }
        }
        stored
    }
}
