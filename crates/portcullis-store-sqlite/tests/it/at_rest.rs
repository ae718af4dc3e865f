//! What lies in the data folder: encrypted, whole after a crash, and refused where it does not fit.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_core::seal::SealKey;
use portcullis_core::{Secret, SystemClock};
use portcullis_store::conformance::World;
use portcullis_store::conformance::world::document;
use portcullis_store::{Kind, NewMember};
use portcullis_store_sqlite::{OpenError, Options, SqliteStores};
use rusqlite::Connection;

use crate::harness::{Folder, MASTER};

/// Every file below a folder, with its bytes. The lock and the engine's shared memory hold no data.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("the folder is readable") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if !path.to_string_lossy().ends_with("-shm") {
            found.insert(path.clone(), fs::read(&path).expect("the file is readable"));
        }
    }
    found
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

fn open_with(folder: &Path, master: [u8; 32]) -> Result<SqliteStores, OpenError> {
    SqliteStores::open(Options::new(folder, Secret::new(master.to_vec()), Arc::new(SystemClock::new())))
}

pub(crate) fn copy(from: &Path, to: &Path) {
    for (path, bytes) in files(from) {
        let target = to.join(path.strip_prefix(from).expect("it is below the folder"));
        fs::create_dir_all(target.parent().expect("it has a parent")).expect("the folder is made");
        fs::write(target, bytes).expect("the copy is written");
    }
}

/// A connection to one of the instance's own files.
fn raw(folder: &Path, name: &str) -> Connection {
    let key = SealKey::derive(&MASTER, &format!("portcullis/{name}"));
    let hex: String = key.expose().iter().map(|byte| format!("{byte:02x}")).collect();
    let conn = Connection::open(folder.join(name)).expect("the file opens");
    conn.pragma_update(None, "key", format!("x'{hex}'")).expect("the key is set");
    conn
}

#[tokio::test]
async fn nothing_can_be_read_from_the_files() {
    let folder = Folder::on_disk();
    let world = World::new(folder.clone()).await;
    let scope = world.a.operator();
    let new = NewMember {
        name: "Quintessa Vandermolen".to_owned(),
        email: Some("quintessa@vandermolen.example".to_owned()),
        role: None,
    };
    world.stores.members.add(&scope, new).await.expect("added");
    let text = document(world.a.open, "secret", "Zanzibar protocol", &["The moonwick burns at midnight."]);
    world.stores.content.put(&scope, vec![text]).await.expect("stored");
    let written = files(folder.path());
    assert!(written.keys().any(|path| path.ends_with("platform.db")));
    assert!(written.values().map(Vec::len).sum::<usize>() > 100_000, "there is something to look at");
    for needle in [
        "Quintessa",
        "Vandermolen",
        "quintessa@vandermolen.example",
        "Zanzibar",
        "moonwick",
        "zanzibar",
        "alphamark",
        "alpha",
        "Plain Person",
        "example.org",
        "CREATE TABLE",
        "SQLite format 3",
        world.a.community.locator.as_str(),
    ] {
        for (path, bytes) in &written {
            assert!(!contains(bytes, needle.as_bytes()), "{needle:?} is readable in {}", path.display());
        }
    }
}

#[tokio::test]
async fn a_members_own_key_seals_them_even_from_who_has_the_communitys_key() {
    let folder = Folder::on_disk();
    let world = World::new(folder.clone()).await;
    let scope = world.a.operator();
    let stores = folder.open_stores(Arc::clone(&world.clock) as _);
    stores.destroy_member_key(world.a.community.id, world.a.plain).await.expect("destroyed");
    stores.destroy_member_key(world.a.community.id, world.a.plain).await.expect("twice is no error");
    let erased = world.stores.members.get(&scope, world.a.plain).await.expect("the row stays");
    assert_eq!((erased.name.as_str(), erased.email), ("(erased)", None));
    let others = world.stores.members.list(&scope).await.expect("listed");
    assert!(others.iter().filter(|member| member.id != world.a.plain).all(|member| member.email.is_some()));
    let same_id_elsewhere =
        world.stores.members.get(&world.b.operator(), world.b.plain).await.expect("there");
    assert_eq!(same_id_elsewhere.name, "Plain Person");
}

#[tokio::test]
async fn another_key_is_refused_and_changes_nothing() {
    let folder = Folder::on_disk();
    let stores = folder.open_stores(Arc::new(SystemClock::new()));
    stores.close().await;
    let before = files(folder.path());
    let refused = open_with(folder.path(), [0x11; 32]).expect_err("another key");
    assert!(matches!(refused, OpenError::WrongKey { .. }));
    assert!(refused.to_string().starts_with("ENCRYPTION_KEY is not the one this data was written with"));
    assert_eq!(files(folder.path()), before);
    open_with(folder.path(), MASTER).expect("the right key still opens it").close().await;
}

#[tokio::test]
async fn another_key_is_refused_while_the_log_still_holds_data_and_loses_none_of_it() {
    let folder = Folder::on_disk();
    let world = World::new(folder.clone()).await;
    let crashed = Folder::on_disk();
    copy(folder.path(), crashed.path());
    assert!(matches!(open_with(crashed.path(), [0x11; 32]), Err(OpenError::WrongKey { .. })));
    let again = open_with(crashed.path(), MASTER).expect("the right key opens it").stores();
    assert_eq!(again.directory.list().await.expect("listed").len(), 2);
    assert_eq!(again.members.list(&world.a.operator()).await.expect("listed").len(), 5);
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_crash() {
    let folder = Folder::on_disk();
    let world = World::new(folder.clone()).await;
    for number in 0..20 {
        let key = format!("note-{number}");
        let new = document(world.a.open, &key, "A note", &["It says zebrawood."]);
        world.stores.content.put(&world.a.operator(), vec![new]).await.expect("stored");
        // The files as they are at this moment are what a killed process leaves.
        let crashed = Folder::on_disk();
        copy(folder.path(), crashed.path());
        let again = open_with(crashed.path(), MASTER).expect("it opens").stores();
        let source = again.content.source(&world.a.operator(), "fixture").await.expect("listed");
        assert!(source.contains_key(&key), "{key} was acknowledged and is gone");
        assert_eq!(source.len(), 4 + number + 1);
    }
}

#[tokio::test]
async fn a_close_leaves_whole_files_and_an_unavailable_store() {
    let folder = Folder::on_disk();
    let stores = folder.open_stores(Arc::new(SystemClock::new()));
    let ports = stores.stores();
    ports.directory.ping().await.expect("it is open");
    stores.close().await;
    assert_eq!(ports.directory.ping().await.expect_err("closed").kind(), Kind::Unavailable);
    assert_eq!(ports.directory.list().await.expect_err("closed").kind(), Kind::Unavailable);
    assert!(files(folder.path()).keys().all(|path| !path.to_string_lossy().ends_with("-wal")));
}

#[tokio::test]
async fn only_the_owner_can_read_the_folder_and_its_files() {
    let folder = Folder::on_disk();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("set");
    let _world = World::new(folder.clone()).await;
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(folder.path()), 0o700);
    assert_eq!(mode(&folder.path().join("communities")), 0o700);
    let written = files(folder.path());
    assert!(written.len() >= 5);
    for path in written.keys() {
        assert_eq!(mode(path), 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn a_newer_schema_is_named_and_left_alone() {
    for name in ["platform.db", "keys.db"] {
        let folder = Folder::on_disk();
        folder.open_stores(Arc::new(SystemClock::new())).close().await;
        raw(folder.path(), name).pragma_update(None, "user_version", 99).expect("set");
        let refused = open_with(folder.path(), MASTER).expect_err("newer");
        assert!(matches!(refused, OpenError::NewerSchema { found: 99, .. }), "{refused}");
    }
}

#[tokio::test]
async fn half_of_an_instance_is_refused() {
    for name in ["platform.db", "keys.db"] {
        let folder = Folder::on_disk();
        let world = World::new(folder.clone()).await;
        let broken = Folder::on_disk();
        copy(folder.path(), broken.path());
        for suffix in ["", "-wal"] {
            fs::remove_file(broken.path().join(format!("{name}{suffix}"))).expect("it was there");
        }
        let refused = open_with(broken.path(), MASTER).expect_err("half is missing");
        assert!(matches!(refused, OpenError::Missing { .. }), "{refused}");
        assert!(!broken.path().join(name).exists(), "nothing was made in its place");
        drop(world);
    }
}

#[tokio::test]
async fn a_damaged_or_missing_community_is_corrupt_and_the_others_go_on() {
    let folder = Folder::on_disk();
    let world = World::new(folder.clone()).await;
    let broken = Folder::on_disk();
    copy(folder.path(), broken.path());
    let file = broken.path().join("communities").join(format!("{}.db", world.a.community.id));
    let _ =
        fs::remove_file(broken.path().join("communities").join(format!("{}.db-wal", world.a.community.id)));
    let mut bytes = fs::read(&file).expect("it is there");
    bytes.iter_mut().for_each(|byte| *byte ^= 0x55);
    fs::write(&file, bytes).expect("damaged");
    let stores = open_with(broken.path(), MASTER).expect("the instance opens").stores();
    let (a, b) = (world.a.operator(), world.b.operator());
    assert_eq!(stores.members.list(&a).await.expect_err("damaged").kind(), Kind::Corrupt);
    assert_eq!(stores.members.list(&b).await.expect("whole").len(), 5);
    fs::remove_file(&file).expect("removed");
    assert_eq!(stores.members.list(&a).await.expect_err("missing").kind(), Kind::Corrupt);
    assert!(!file.exists(), "no empty community is made in its place");
    let standing = stores.identity.standing(world.a.community.id, world.a.owner, world.now()).await;
    assert!(standing.is_err(), "an unreadable store is an error, never nobody");
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let folder = Folder::on_disk();
    let file = folder.path().join("file");
    fs::write(&file, "in the way").expect("written");
    let refused = open_with(&file, MASTER).expect_err("a file is no folder");
    assert!(refused.to_string().contains("file"), "{refused}");
}
