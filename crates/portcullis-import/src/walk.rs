//! The files of a folder, in a fixed order, and their bytes. Links are never followed, nothing but regular files is
//! opened, and everything that is passed over is told.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use crate::entry::{Reason, Rejected, Stored};
use crate::error::Error;
use crate::limits::Limits;

/// A file to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its path below the root, with `/` between the parts.
    pub(crate) path: String,
    pub(crate) full: PathBuf,
    pub(crate) bytes: u64,
}

/// One thing that stands in the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    File(Found),
    Rejected(Rejected),
}

/// What an import makes of the names of files.
pub(crate) trait Naming {
    /// Whether it reads files of that name at all.
    fn wants(&self, name: &str) -> bool;

    /// What an earlier import may have stored of the file at that path.
    fn stored(&self, path: &str) -> Stored;

    /// What an earlier import may have stored of the folder at that path.
    fn stored_below(&self, folder: &str) -> Stored;
}

/// Lists a folder.
pub(crate) fn walk(root: &Path, limits: &Limits, naming: &dyn Naming) -> Result<Vec<Item>, Error> {
    let unreadable = |kind: io::ErrorKind| Error::Directory { path: root.display().to_string(), kind };
    let root_is = fs::metadata(root).map_err(|error| unreadable(error.kind()))?;
    if !root_is.is_dir() {
        return Err(unreadable(io::ErrorKind::NotADirectory));
    }
    let mut walk = Walk { root, limits, naming, items: Vec::new(), files: 0, bytes: 0 };
    let mut entries = WalkDir::new(root).min_depth(1).max_open(16).sort_by_file_name().into_iter();
    while let Some(entry) = entries.next() {
        match entry {
            Ok(entry) => match walk.look_at(&entry) {
                Next::Go => {}
                Next::SkipFolder => entries.skip_current_dir(),
                Next::Stop => break,
            },
            Err(error) => {
                let kind = error.io_error().map_or(io::ErrorKind::Other, io::Error::kind);
                match error.path().and_then(|path| below(root, path)) {
                    Some(path) if error.depth() > 0 => {
                        let stored = walk.naming.stored_below(&path);
                        walk.reject(path, Reason::Unreadable { kind }, stored);
                    }
                    _ => return Err(unreadable(kind)),
                }
            }
        }
    }
    Ok(walk.items)
}

enum Next {
    Go,
    SkipFolder,
    Stop,
}

struct Walk<'a> {
    root: &'a Path,
    limits: &'a Limits,
    naming: &'a dyn Naming,
    items: Vec<Item>,
    files: usize,
    bytes: u64,
}

impl Walk<'_> {
    fn reject(&mut self, path: String, why: Reason, stored: Stored) {
        self.items.push(Item::Rejected(Rejected { path, why, stored }));
    }

    fn look_at(&mut self, entry: &DirEntry) -> Next {
        let is_folder = entry.file_type().is_dir();
        let skip = if is_folder { Next::SkipFolder } else { Next::Go };
        let Some(path) = below(self.root, entry.path()).filter(|path| path.len() <= self.limits.path_bytes)
        else {
            let path = entry.path().strip_prefix(self.root).unwrap_or(entry.path());
            self.reject(
                path.as_os_str().as_encoded_bytes().escape_ascii().to_string(),
                Reason::Name,
                Stored::Gone,
            );
            return skip;
        };
        let name = path.rsplit('/').next().unwrap_or_default();
        if entry.path_is_symlink() {
            self.reject(path, Reason::Link, Stored::Gone);
            return Next::Go;
        }
        if name.starts_with('.') {
            self.reject(path, Reason::Hidden, Stored::Gone);
            return skip;
        }
        if is_folder {
            if entry.depth() > self.limits.path_depth {
                let stored = self.naming.stored_below(&path);
                self.reject(path, Reason::Deep { limit: self.limits.path_depth }, stored);
                return Next::SkipFolder;
            }
            return Next::Go;
        }
        if !entry.file_type().is_file() {
            self.reject(path, Reason::Special, Stored::Gone);
            return Next::Go;
        }
        if self.files >= self.limits.files {
            self.reject(path, Reason::TooMany { limit: self.limits.files }, Stored::Unknown);
            return Next::Stop;
        }
        self.files += 1;
        if !self.naming.wants(name) {
            self.reject(path, Reason::Kind, Stored::Gone);
            return Next::Go;
        }
        let bytes = entry.metadata().map_or(0, |about| about.len());
        let why = if bytes > self.limits.file_bytes {
            Reason::Large { bytes, limit: self.limits.file_bytes }
        } else if self.bytes.saturating_add(bytes) > self.limits.total_bytes {
            Reason::Budget { limit: self.limits.total_bytes }
        } else {
            self.bytes += bytes;
            self.items.push(Item::File(Found { path, full: entry.path().to_owned(), bytes }));
            return Next::Go;
        };
        let stored = self.naming.stored(&path);
        self.reject(path, why, stored);
        Next::Go
    }
}

/// The path below the root with `/` between its parts; `None` if it is not UTF-8.
fn below(root: &Path, path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> =
        path.strip_prefix(root).ok()?.components().map(|part| part.as_os_str().to_str()).collect();
    parts.map(|parts| parts.join("/"))
}

/// Reads a file of at most `limit` bytes. What became a link, a pipe or a device since it was listed is not opened.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Reason> {
    let file = open(path)?;
    let unreadable = |error: io::Error| Reason::Unreadable { kind: error.kind() };
    let about = file.metadata().map_err(unreadable)?;
    if !about.is_file() {
        return Err(Reason::Special);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(about.len().min(limit)).unwrap_or(0));
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > limit {
        return Err(Reason::Large { bytes: about.len().max(limit.saturating_add(1)), limit });
    }
    Ok(bytes)
}

#[cfg(unix)]
fn open(path: &Path) -> Result<File, Reason> {
    use std::os::unix::fs::OpenOptionsExt;
    // Without waiting: opening a pipe that nobody writes to would never return.
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    opened.map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP) => Reason::Link,
        _ => Reason::Unreadable { kind: error.kind() },
    })
}

#[cfg(not(unix))]
fn open(path: &Path) -> Result<File, Reason> {
    let unreadable = |error: io::Error| Reason::Unreadable { kind: error.kind() };
    if fs::symlink_metadata(path).map_err(unreadable)?.is_symlink() {
        return Err(Reason::Link);
    }
    OpenOptions::new().read(true).open(path).map_err(unreadable)
}

#[cfg(all(test, unix))]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::{fs, process};

    use super::{Item, Naming, read, walk};
    use crate::Limits;
    use crate::entry::{Reason, Stored};

    struct Text;

    impl Naming for Text {
        fn wants(&self, name: &str) -> bool {
            name.ends_with(".txt")
        }

        fn stored(&self, path: &str) -> Stored {
            Stored::Key(path.to_owned())
        }

        fn stored_below(&self, folder: &str) -> Stored {
            Stored::Prefix(format!("{folder}/"))
        }
    }

    fn list(items: &[Item]) -> Vec<String> {
        items
            .iter()
            .map(|item| match item {
                Item::File(file) => file.path.clone(),
                Item::Rejected(rejected) => format!("{}: {}", rejected.path, rejected.why),
            })
            .collect()
    }

    #[test]
    fn everything_that_is_not_a_plain_file_of_a_wanted_kind_is_told_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let secret = tempfile::NamedTempFile::new().unwrap();
        fs::create_dir_all(at("b/c/d")).unwrap();
        for name in ["z.txt", "a.txt", "b/one.txt", "b/c/two.txt", "b/c/d/deep.txt", ".hidden.txt", "x.exe"] {
            fs::write(at(name), "text").unwrap();
        }
        fs::write(at("large.txt"), "x".repeat(101)).unwrap();
        fs::write(folder.path().join(OsStr::from_bytes(b"odd\xff.txt")), "text").unwrap();
        symlink(secret.path(), at("link.txt")).unwrap();
        symlink("/", at("root")).unwrap();
        symlink("b", at("loop")).unwrap();
        let made = process::Command::new("mkfifo").arg(at("pipe.txt")).status().unwrap();
        assert!(made.success());
        let limits = Limits { file_bytes: 100, path_depth: 2, ..Limits::default() };
        insta::assert_snapshot!(list(&walk(folder.path(), &limits, &Text).unwrap()).join("\n"), @r#"
    .hidden.txt: hidden: its name starts with a dot
    a.txt
    b/c/d: more than 2 folders deep
    b/c/two.txt
    b/one.txt
    large.txt: 101 bytes, at most 100 are read
    link.txt: a symbolic link; links are not followed
    loop: a symbolic link; links are not followed
    odd\xff.txt: its name is not UTF-8 or too long; rename it
    pipe.txt: not a regular file; pipes, sockets and devices are not opened
    root: a symbolic link; links are not followed
    x.exe: not a kind of file that this import reads
    z.txt
    "#);
        assert_eq!(read(&at("link.txt"), 100), Err(Reason::Link));
        assert_eq!(read(&at("pipe.txt"), 100), Err(Reason::Special));
        assert_eq!(read(&at("large.txt"), 100), Err(Reason::Large { bytes: 101, limit: 100 }));
        assert_eq!(read(&at("a.txt"), 100), Ok(b"text".to_vec()));
    }

    #[test]
    fn the_limits_of_all_files_and_all_bytes_hold() {
        let folder = tempfile::tempdir().unwrap();
        for index in 0..5 {
            fs::write(folder.path().join(format!("{index}.txt")), "12345").unwrap();
        }
        let few = Limits { files: 2, ..Limits::default() };
        assert_eq!(
            list(&walk(folder.path(), &few, &Text).unwrap()),
            [
                "0.txt",
                "1.txt",
                "2.txt: the limit of 2 files was reached: it and all files after it were not looked at"
            ]
        );
        let small = Limits { total_bytes: 20, ..Limits::default() };
        assert_eq!(
            list(&walk(folder.path(), &small, &Text).unwrap()).last().unwrap(),
            "4.txt: with it more than 20 bytes would be read in all"
        );
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(walk(&folder.path().join("none"), &Limits::default(), &Text).is_err());
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(walk(&folder.path().join("file"), &Limits::default(), &Text).is_err());
    }
}
