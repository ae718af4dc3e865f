//! What a disk may hold after the power was cut: everything that was synced, and any part of the rest.
//!
//! The program runs with `fixtures/powercut/powercut.c` loaded, which writes down every change to its files. After a kill
//! the files are built anew from what stood there before: each write that was not synced is there, is not, or is there
//! in part, and names that were not synced are there up to some point. That is what POSIX promises and no more.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis_core::secret::random_bytes;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// The layer, built.
pub(crate) struct Layer {
    folder: tempfile::TempDir,
    /// The folder whose files can lose what was not synced.
    data: PathBuf,
    /// What stood there when the log began.
    before: Files,
}

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// What becomes of syncs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disk {
    /// What was synced is there.
    Honest,
    /// It takes the syncs of files whose names hold this text, and does nothing.
    DeafTo(&'static str),
}

/// A change, or a sync.
enum Record {
    Write { path: PathBuf, offset: usize, bytes: Vec<u8> },
    Truncate { path: PathBuf, length: usize },
    Sync { path: PathBuf, upto: u64 },
    Create { path: PathBuf },
    Rename { from: PathBuf, to: PathBuf },
    Unlink { path: PathBuf },
}

/// A file, whatever its name is.
#[derive(Default)]
struct Inode {
    before: Vec<u8>,
    changes: Vec<(u64, Change)>,
    synced: u64,
}

enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate { length: usize },
}

/// A change of names: in which folder, and what.
struct Naming {
    number: u64,
    folder: PathBuf,
    change: Names,
}

enum Names {
    Put { path: PathBuf, inode: usize },
    Move { from: PathBuf, to: PathBuf, inode: usize },
    Take { path: PathBuf },
}

impl Layer {
    /// Builds the layer for a folder that is there.
    pub(crate) fn over(data: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/powercut/powercut.c");
        let built = Command::new("cc")
            .args(["-O1", "-shared", "-fPIC", "-o"])
            .arg(folder.path().join("powercut.so"))
            .arg(source)
            .args(["-ldl", "-lpthread"])
            .status()
            .expect("a C compiler, which building the program needs too");
        assert!(built.success(), "the layer is not built: {built}");
        Self { folder, data: data.canonicalize().expect("a folder"), before: Files::new() }
    }

    /// From here on the log begins.
    pub(crate) fn begin(&mut self) {
        self.before = read_all(&self.data);
        drop(fs::remove_file(self.log()));
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// The variables under which a program runs on this layer.
    pub(crate) fn variables(&self) -> [(&'static str, PathBuf); 3] {
        [
            ("LD_PRELOAD", self.folder.path().join("powercut.so")),
            ("POWERCUT_DIR", self.data.clone()),
            ("POWERCUT_LOG", self.log()),
        ]
    }

    /// Puts in place of the files what the disk holds once the power was cut; one that is deaf has kept nothing of what it
    /// did not hear. Returns how many changes were not synced.
    pub(crate) fn cut(&self, disk: Disk) -> usize {
        let mut chance = match disk {
            Disk::Honest => Chance::random(),
            Disk::DeafTo(_) => Chance::Nothing,
        };
        let (files, unsynced) = self.rebuilt(disk, &mut chance);
        for path in read_all(&self.data).into_keys() {
            fs::remove_file(path).expect("it is removed");
        }
        for (path, bytes) in files {
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, bytes).expect("it is written");
        }
        unsynced
    }

    /// Whether the log tells everything that happened to the files, seen by what it makes of them when nothing is lost.
    pub(crate) fn saw_everything(&self) -> bool {
        self.rebuilt(Disk::Honest, &mut Chance::Everything).0 == read_all(&self.data)
    }

    fn rebuilt(&self, disk: Disk, chance: &mut Chance) -> (Files, usize) {
        let mut inodes: Vec<Inode> = Vec::new();
        let mut names: BTreeMap<PathBuf, usize> = BTreeMap::new();
        for (path, bytes) in &self.before {
            names.insert(path.clone(), inodes.len());
            inodes.push(Inode { before: bytes.clone(), ..Inode::default() });
        }
        let durable_names = names.clone();
        let (mut namings, mut synced_folders) = (Vec::new(), BTreeMap::<PathBuf, u64>::new());
        for (number, record) in records(&fs::read(self.log()).expect("the log")) {
            let folder_of = |path: &Path| path.parent().expect("a folder").to_owned();
            match record {
                // An open file without a name is gone whatever happens.
                Record::Write { path, .. } | Record::Truncate { path, .. } | Record::Sync { path, .. }
                    if path.to_string_lossy().ends_with(" (deleted)") => {}
                Record::Write { path, offset, bytes } => {
                    let inode = &mut inodes[names[&path]];
                    inode.changes.push((number, Change::Write { offset, bytes }));
                }
                Record::Truncate { path, length } => {
                    let inode = &mut inodes[names[&path]];
                    inode.changes.push((number, Change::Truncate { length }));
                }
                Record::Sync { path, upto } => match (names.get(&path), disk) {
                    (_, Disk::DeafTo(text)) if path.to_string_lossy().contains(text) => {}
                    (Some(inode), _) => inodes[*inode].synced = upto,
                    (None, _) => drop(synced_folders.insert(path, upto)),
                },
                Record::Create { path } => {
                    let inode = inodes.len();
                    inodes.push(Inode::default());
                    names.insert(path.clone(), inode);
                    let folder = folder_of(&path);
                    namings.push(Naming { number, folder, change: Names::Put { path, inode } });
                }
                Record::Rename { from, to } => {
                    let inode = names.remove(&from).expect("what is renamed is there");
                    names.insert(to.clone(), inode);
                    let folder = folder_of(&to);
                    namings.push(Naming { number, folder, change: Names::Move { from, to, inode } });
                }
                Record::Unlink { path } => {
                    names.remove(&path);
                    let folder = folder_of(&path);
                    namings.push(Naming { number, folder, change: Names::Take { path } });
                }
            }
        }
        let (names, mut unsynced) = kept_names(durable_names, namings, &synced_folders, chance);
        let mut files = Files::new();
        for (path, inode) in names {
            let inode = &inodes[inode];
            unsynced += inode.changes.iter().filter(|(number, _)| *number > inode.synced).count();
            files.insert(path, inode.after(chance));
        }
        (files, unsynced)
    }
}

/// Changes of names are kept in their order up to some point, as file systems with a journal keep them.
fn kept_names(
    mut names: BTreeMap<PathBuf, usize>,
    namings: Vec<Naming>,
    synced: &BTreeMap<PathBuf, u64>,
    chance: &mut Chance,
) -> (BTreeMap<PathBuf, usize>, usize) {
    let is_synced = |naming: &Naming| synced.get(&naming.folder).is_some_and(|upto| naming.number <= *upto);
    let durable = namings.iter().rposition(is_synced).map_or(0, |last| last + 1);
    let kept = durable + chance.some_of(namings.len() - durable);
    let unsynced = namings.len() - durable;
    for Naming { change, .. } in namings.into_iter().take(kept) {
        match change {
            Names::Put { path, inode } => drop(names.insert(path, inode)),
            Names::Move { from, to, inode } => {
                names.remove(&from);
                names.insert(to, inode);
            }
            Names::Take { path } => drop(names.remove(&path)),
        }
    }
    (names, unsynced)
}

impl Inode {
    fn after(&self, chance: &mut Chance) -> Vec<u8> {
        let mut bytes = self.before.clone();
        for (number, change) in &self.changes {
            let is_synced = *number <= self.synced;
            match change {
                Change::Write { offset, bytes: written } => {
                    let kept = if is_synced { written.len() } else { chance.part_of(written.len()) };
                    let end = offset + kept;
                    if kept > 0 {
                        bytes.resize(bytes.len().max(end), 0);
                        bytes[*offset..end].copy_from_slice(&written[..kept]);
                    }
                }
                Change::Truncate { length } => {
                    if is_synced || chance.part_of(1) == 1 {
                        bytes.resize(*length, 0);
                    }
                }
            }
        }
        bytes
    }
}

/// What is kept of what was not synced.
enum Chance {
    Everything,
    Nothing,
    Some,
}

impl Chance {
    fn random() -> Self {
        match below(4) {
            0 => Self::Nothing,
            1 => Self::Everything,
            _ => Self::Some,
        }
    }

    /// How many of so many, from 0 to all.
    fn some_of(&mut self, all: usize) -> usize {
        match self {
            Self::Everything => all,
            Self::Nothing => 0,
            Self::Some => below(all + 1),
        }
    }

    /// How much of a write: none, all, or its first sectors.
    fn part_of(&mut self, whole: usize) -> usize {
        match self {
            Self::Everything => whole,
            Self::Nothing => 0,
            Self::Some => match below(3) {
                0 => 0,
                1 => whole,
                _ => (below(whole / SECTOR + 1) * SECTOR).min(whole),
            },
        }
    }
}

fn below(end: usize) -> usize {
    usize::try_from(u32::from_be_bytes(random_bytes())).expect("it fits") % end
}

/// Every file below a folder, but for the index that SQLite builds anew.
fn read_all(folder: &Path) -> Files {
    let mut files = Files::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(read_all(&path));
        } else if !path.to_string_lossy().ends_with("-shm") {
            let bytes = fs::read(&path).expect("a file");
            files.insert(path, bytes);
        }
    }
    files
}

/// The records of a log, whose last one may be cut.
fn records(mut log: &[u8]) -> Vec<(u64, Record)> {
    const HEAD: usize = 25;
    let mut records = Vec::new();
    while log.len() >= HEAD {
        let (head, rest) = log.split_at(HEAD);
        let long = |at: usize| u64::from_ne_bytes(head[at..at + 8].try_into().expect("eight bytes"));
        let short = |at: usize| u32::from_ne_bytes(head[at..at + 4].try_into().expect("four bytes")) as usize;
        let (number, place, path, data) = (long(1), long(9), short(17), short(21));
        if rest.len() < path + data {
            break;
        }
        let (path, rest) = rest.split_at(path);
        let (data, rest) = rest.split_at(data);
        log = rest;
        let text = |bytes: &[u8]| PathBuf::from(String::from_utf8(bytes.to_vec()).expect("a path"));
        let (path, size) = (text(path), usize::try_from(place).expect("a size"));
        records.push((
            number,
            match head[0] {
                b'W' => Record::Write { path, offset: size, bytes: data.to_vec() },
                b'T' => Record::Truncate { path, length: size },
                b'S' => Record::Sync { path, upto: place },
                b'C' => Record::Create { path },
                b'R' => Record::Rename { from: path, to: text(data) },
                b'U' => Record::Unlink { path },
                other => panic!("no record begins with {other}"),
            },
        ));
    }
    records
}
