//! A new instance's configuration: a commented file and fresh keys, all or nothing.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portcullis_core::Secret;
use portcullis_core::secret::random_bytes;
use portcullis_core::strength;

use crate::generate::example_toml;

/// The names of the keys, each a file in `secrets/`.
const SECRETS: [&str; 5] = ["jwt_secret", "encryption_key", "csrf_secret", "audit_key", "operator_token"];

/// What `init` wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Initialised {
    /// The configuration file.
    pub config: PathBuf,
    /// The files of the keys.
    pub secrets: Vec<PathBuf>,
    /// Keeps the keys out of a repository.
    pub gitignore: PathBuf,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// Something stands where a file would be written.
    #[error("`{}` exists already, and nothing was written; choose another folder or move it away", path.display())]
    Exists {
        /// What stands there.
        path: PathBuf,
    },
    /// A folder for the keys is there, and other accounts can use it.
    #[error("other accounts can use the folder `{}` (mode {mode:04o}), and nothing was written; run `chmod 700 '{}'`", path.display(), path.display())]
    Exposed {
        /// The folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The system refused.
    #[error("cannot write `{}`, and nothing is left behind", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// Writes `portcullis.toml` and `secrets/`, with a fresh key in each of its files, into `dir`, which is made if it is not
/// there.
///
/// # Errors
/// An existing file is named and left alone. After any error nothing that this call wrote is left.
pub fn init(dir: &Path) -> Result<Initialised, InitError> {
    let folder = dir.join("secrets");
    let written = Initialised {
        config: dir.join("portcullis.toml"),
        secrets: SECRETS.iter().map(|name| folder.join(name)).collect(),
        gitignore: folder.join(".gitignore"),
    };
    let files = || written.secrets.iter().chain([&written.gitignore, &written.config]);
    if let Some(path) = files().find(|path| path.symlink_metadata().is_ok()) {
        return Err(InitError::Exists { path: path.clone() });
    }
    let mut undo = Undo::default();
    make_folders(dir, 0o777, &mut undo)?;
    make_private_folder(&folder, &mut undo)?;
    for path in &written.secrets {
        write_new(path, 0o600, fresh_key().expose(), &mut undo)?;
    }
    write_new(&written.gitignore, 0o600, "# Keys never belong in a repository.\n*\n", &mut undo)?;
    // Last, so that a configuration that is there has its keys.
    write_new(&written.config, 0o644, &example_toml(), &mut undo)?;
    undo.keep();
    Ok(written)
}

fn fresh_key() -> Secret<String> {
    loop {
        let bytes = Secret::new(random_bytes::<32>());
        let text = Secret::new(STANDARD.encode(bytes.expose()));
        // One in ten million random keys holds a word such as `secret` and would be refused at the start.
        if strength::judge_aes256(text.expose()).is_empty() {
            return text;
        }
    }
}

fn make_folders(dir: &Path, mode: u32, undo: &mut Undo) -> Result<(), InitError> {
    if dir.as_os_str().is_empty() || dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        make_folders(parent, mode, undo)?;
    }
    let made = DirBuilder::new().mode(mode).create(dir);
    made.map_err(|source| InitError::Io { path: dir.to_owned(), source })?;
    undo.folders.push(dir.to_owned());
    Ok(())
}

fn make_private_folder(folder: &Path, undo: &mut Undo) -> Result<(), InitError> {
    let path = folder.to_owned();
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => {
            undo.folders.push(path);
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let metadata =
                folder.symlink_metadata().map_err(|source| InitError::Io { path: path.clone(), source })?;
            let mode = metadata.permissions().mode() & 0o7777;
            match () {
                () if !metadata.is_dir() => Err(InitError::Exists { path }),
                () if mode & 0o077 != 0 => Err(InitError::Exposed { path, mode }),
                () => Ok(()),
            }
        }
        Err(source) => Err(InitError::Io { path, source }),
    }
}

fn write_new(path: &Path, mode: u32, text: &str, undo: &mut Undo) -> Result<(), InitError> {
    let failed = |source: std::io::Error| {
        let path = path.to_owned();
        match source.kind() {
            ErrorKind::AlreadyExists => InitError::Exists { path },
            _ => InitError::Io { path, source },
        }
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(failed)?;
    undo.files.push(path.to_owned());
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

/// Removes what was written unless it is told to keep it.
#[derive(Default)]
struct Undo {
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

impl Undo {
    fn keep(&mut self) {
        self.files.clear();
        self.folders.clear();
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        // What cannot be removed stays: the caller's error says what went wrong, and a second error would hide it.
        self.files.iter().rev().for_each(|path| drop(std::fs::remove_file(path)));
        self.folders.iter().rev().for_each(|path| drop(std::fs::remove_dir(path)));
    }
}
