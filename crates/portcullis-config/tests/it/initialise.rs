//! `init` writes a configuration that works, once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use portcullis_config::{Environment, Flags, InitError, init, load};

fn contents(dir: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path.clone());
                found.insert(path, None);
            } else {
                found.insert(path.clone(), fs::read(path).ok());
            }
        }
    }
    found
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_new_folder_gets_a_configuration_that_loads_and_private_keys() {
    let dir = tempfile::tempdir().unwrap();
    let written = init(&dir.path().join("a/b")).unwrap();
    let loaded = load(&written.config, &Environment::default(), &Flags::none()).unwrap();
    assert!(loaded.warnings.is_empty());
    assert!(loaded.config.secrets.operator_token.is_some(), "a new instance has an operator plane");
    assert_eq!(written.secrets.len(), 5);
    assert_eq!(mode(&dir.path().join("a/b/secrets")), 0o700);
    let keys: BTreeSet<String> = written
        .secrets
        .iter()
        .map(|path| {
            assert_eq!(mode(path), 0o600);
            fs::read_to_string(path).unwrap()
        })
        .collect();
    assert_eq!(keys.len(), 5);
    assert!(keys.iter().all(|key| key.len() >= 43));
    assert!(fs::read_to_string(&written.gitignore).unwrap().lines().any(|line| line == "*"));
}

#[test]
fn a_second_init_names_the_file_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path()).unwrap();
    let before = contents(dir.path());
    let error = init(dir.path()).unwrap_err();
    assert!(matches!(&error, InitError::Exists { path } if path.starts_with(dir.path())), "{error}");
    assert!(error.to_string().contains("exists already, and nothing was written"));
    assert_eq!(contents(dir.path()), before);
}

#[test]
fn any_one_existing_file_stops_everything() {
    for name in ["portcullis.toml", "secrets/jwt_secret", "secrets/audit_key", "secrets/.gitignore"] {
        let dir = tempfile::tempdir().unwrap();
        let secrets = dir.path().join("secrets");
        fs::create_dir(&secrets).unwrap();
        fs::set_permissions(&secrets, fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(dir.path().join(name), "mine").unwrap();
        let before = contents(dir.path());
        let error = init(dir.path()).unwrap_err();
        assert!(matches!(&error, InitError::Exists { path } if path.ends_with(name)), "{error}");
        assert_eq!(contents(dir.path()), before);
    }
}

#[test]
fn a_folder_for_keys_that_others_can_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let secrets = dir.path().join("secrets");
    fs::create_dir(&secrets).unwrap();
    fs::set_permissions(&secrets, fs::Permissions::from_mode(0o755)).unwrap();
    let error = init(dir.path()).unwrap_err();
    assert!(error.to_string().contains("chmod 700"), "{error}");
    assert_eq!(contents(dir.path()).len(), 1);
}

#[test]
fn keys_are_not_written_through_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(elsewhere.path(), dir.path().join("secrets")).unwrap();
    assert!(matches!(init(dir.path()), Err(InitError::Exists { .. })));
    let dangling = tempfile::tempdir().unwrap();
    symlink("/nowhere", dangling.path().join("portcullis.toml")).unwrap();
    assert!(matches!(init(dangling.path()), Err(InitError::Exists { .. })));
    assert_eq!(contents(elsewhere.path()), BTreeMap::new());
    assert!(!dangling.path().join("secrets").exists());
}

#[test]
fn a_failure_on_the_way_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "mine").unwrap();
    let before = contents(dir.path());
    assert!(matches!(init(&dir.path().join("file/below")), Err(InitError::Io { .. })));
    assert!(matches!(init(&dir.path().join("new/\0/below")), Err(InitError::Io { .. })));
    assert_eq!(contents(dir.path()), before);
}
