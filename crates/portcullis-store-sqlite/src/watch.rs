//! Whether anything was committed to a file since it was last asked, mostly without asking the engine.
//!
//! The engine's own answer (`PRAGMA data_version`) takes two locks and a few microseconds, on every request. So every writer of
//! ours, in whatever process, counts its commits in a small file beside the database: before a commit, while nobody else can
//! write, and after it. As long as both counts agree and are those of last time, nothing was committed. Counts that do not
//! agree, that cannot be read, or that are old send the question to the engine.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;

/// How long the counts are trusted without the engine's word. What of ours commits is counted; only a writer that knows nothing
/// of the counts is seen as late as this.
const TRUSTED: Duration = Duration::from_millis(100);

/// The counts of one file's commits. It has no lock and needs none: the engine lets one writer in at a time.
#[derive(Debug)]
pub(crate) struct Commits(File);

/// How often commits ended, while none is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count(u64);

/// A commit that is counted as begun.
#[derive(Debug)]
pub(crate) struct Begun(u64);

impl Commits {
    /// The counts beside the database at `path`, made where there are none.
    pub(crate) fn beside(path: &Path) -> std::io::Result<Self> {
        let mut path = path.as_os_str().to_owned();
        path.push(Self::SUFFIX);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        options.open(path).map(Self)
    }

    /// What the name of the file ends with.
    pub(crate) const SUFFIX: &str = "-commits";

    /// The count, unless a commit is under way or one was broken off.
    pub(crate) fn settled(&self) -> Option<Count> {
        let [begun, ended] = self.read()?;
        (begun == ended).then_some(Count(ended))
    }

    /// How many commits began and ended; none where that cannot be read. In one piece: a commit that begins meanwhile is one that
    /// was made after this was asked.
    fn read(&self) -> Option<[u64; 2]> {
        let mut bytes = [[0; 8]; 2];
        match self.0.read_at(bytes.as_flattened_mut(), 0) {
            // What was never written is 0.
            Ok(0 | 8 | 16) => Some(bytes.map(u64::from_le_bytes)),
            Ok(_) | Err(_) => None,
        }
    }

    /// Counts a commit that is about to be made. Only who holds the file's write lock may.
    pub(crate) fn begin(&self) -> std::io::Result<Begun> {
        let [begun, ended] = self.read().unwrap_or_default();
        // Higher than both: one that was broken off counts as one that was made.
        let number = begun.max(ended).wrapping_add(1);
        self.0.write_all_at(&number.to_le_bytes(), 0)?;
        Ok(Begun(number))
    }

    /// Counts it as ended, whatever became of it. Where that fails the engine is asked until the next one.
    pub(crate) fn end(&self, Begun(number): Begun) {
        let _ = self.0.write_all_at(&number.to_le_bytes(), 8);
    }
}

/// A connection that never writes, and the state of the file that it saw last.
pub(crate) struct Watch {
    connection: Connection,
    commits: Arc<Commits>,
    version: i64,
    seen: Option<Count>,
    asked: Instant,
}

impl Watch {
    /// Watches through a connection of its own.
    pub(crate) fn new(connection: Connection, commits: Arc<Commits>) -> Result<Self, rusqlite::Error> {
        let (seen, asked) = (commits.settled(), Instant::now());
        let version = engines_version(&connection)?;
        Ok(Self { connection, commits, version, seen, asked })
    }

    /// A number that differs from the last one if another connection has committed in between.
    pub(crate) fn version(&mut self) -> Result<i64, rusqlite::Error> {
        // Before the engine is asked: a commit in between shows as another count next time.
        let settled = self.commits.settled();
        let now = Instant::now();
        let known = settled.is_some() && settled == self.seen && now.duration_since(self.asked) < TRUSTED;
        if !known {
            self.version = engines_version(&self.connection)?;
            (self.seen, self.asked) = (settled, now);
        }
        Ok(self.version)
    }

    /// The connection.
    pub(crate) const fn connection(&self) -> &Connection {
        &self.connection
    }
}

fn engines_version(connection: &Connection) -> Result<i64, rusqlite::Error> {
    connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use portcullis_core::seal::SealKey;
    use rusqlite::Connection;
    use tempfile::TempDir;

    use super::{Commits, Watch};
    use crate::file::{Place, Purpose};
    use crate::schema::KEYS;

    /// A file with a watch, and a writer with its own view of the counts, as another process has.
    struct Watched {
        _folder: TempDir,
        watch: Watch,
        writer: Connection,
        counts: Commits,
    }

    impl Watched {
        fn new() -> Self {
            let folder = TempDir::new().expect("a folder");
            let place = Place { path: folder.path().join("test.db"), key: SealKey::random(), schema: &KEYS };
            place.create().expect("the file is created");
            let counts = || Commits::beside(&place.path).expect("counts");
            let reader = place.connect(Purpose::Watch).expect("opened");
            let watch = Watch::new(reader, Arc::new(counts())).expect("watched");
            let writer = place.connect(Purpose::Write).expect("a writer");
            Self { counts: counts(), _folder: folder, watch, writer }
        }

        fn insert(&self, number: u8) {
            let sql = "INSERT INTO community_keys (community, wrapped, created) VALUES (?1, x'00', 0)";
            self.writer.execute(sql, [vec![number; 16]]).expect("written");
        }

        fn version(&mut self) -> i64 {
            self.watch.version().expect("asked")
        }
    }

    #[test]
    fn a_commit_that_is_counted_shows_at_once() {
        let mut file = Watched::new();
        let mut before = file.version();
        assert!(file.watch.seen.is_some(), "that nothing was counted yet is a count too");
        for number in 0..50 {
            assert_eq!(file.version(), before, "nothing was committed");
            let begun = file.counts.begin().expect("counted");
            assert_eq!(file.version(), before, "nothing was committed yet");
            file.insert(number);
            let version = file.version();
            assert_ne!(version, before, "committed, and not counted as ended yet");
            file.counts.end(begun);
            assert_eq!(file.version(), version);
            before = version;
        }
    }

    #[test]
    fn a_commit_whose_process_died_before_it_had_counted_it_shows_all_the_same() {
        let mut file = Watched::new();
        let _never_ended = file.counts.begin().expect("counted");
        let before = file.version();
        file.insert(1);
        let broken_off = file.version();
        assert_ne!(broken_off, before);
        let begun = file.counts.begin().expect("counted");
        file.insert(2);
        file.counts.end(begun);
        assert_ne!(file.version(), broken_off);
    }

    #[test]
    fn a_writer_that_counts_nothing_is_seen_once_the_counts_are_old() {
        let mut file = Watched::new();
        let before = file.version();
        file.insert(1);
        std::thread::sleep(super::TRUSTED);
        assert_ne!(file.version(), before);
    }
}
