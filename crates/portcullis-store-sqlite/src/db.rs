//! One open file: a writer that commits in groups, readers, and a connection that watches for changes.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use portcullis_store::Kind;
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::fault::Fault;
use crate::file::{Place, Purpose, unavailable};
use crate::pool::{Pool, closed};
use crate::watch::Commits;

/// The most calls that share one commit.
const GROUP: usize = 256;
/// The most idle readers an open file keeps.
const IDLE_READERS: usize = 2;

/// The ways to the threads that all files share. Reads and writes do not wait for each other.
#[derive(Debug)]
pub(crate) struct Pools {
    pub(crate) readers: Pool,
    pub(crate) writers: Pool,
}

/// One open file.
pub(crate) struct Db {
    place: Place,
    pools: Arc<Pools>,
    /// Opened when the file is first written to or watched.
    commits: OnceLock<Arc<Commits>>,
    readers: Mutex<Option<Vec<Connection>>>,
    writer: Mutex<Writer>,
    queue: Mutex<Queue>,
}

enum Writer {
    /// Opened with the first write, so that a file that is only read holds one connection less.
    Idle,
    Open(Connection),
    Closed,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Box<dyn Job>>,
    running: bool,
}

/// A write that waits for its turn, for its commit, and then to be answered.
trait Job: Send {
    /// Does the write inside the open transaction.
    fn run(&mut self, conn: &Connection) -> Result<(), ()>;
    /// Answers the caller, after the commit or with what prevented it.
    fn answer(self: Box<Self>, committed: Result<(), Fault>);
}

struct Write<T, F> {
    work: Option<F>,
    result: Option<Result<T, Fault>>,
    reply: oneshot::Sender<Result<T, Fault>>,
}

impl<T, F> Job for Write<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, Fault> + Send,
{
    fn run(&mut self, conn: &Connection) -> Result<(), ()> {
        let Some(work) = self.work.take() else { return Err(()) };
        let result = catch_unwind(AssertUnwindSafe(|| work(conn)))
            .unwrap_or_else(|_| Err(Fault::because(Kind::Unavailable, "a store call panicked")));
        let outcome = result.as_ref().map(drop).map_err(drop);
        self.result = Some(result);
        outcome
    }

    fn answer(self: Box<Self>, committed: Result<(), Fault>) {
        let result = match (self.result, committed) {
            // The call's own failure says more than the group's.
            (Some(Err(own)), _) => Err(own),
            (_, Err(fault)) => Err(fault),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (None, Ok(())) => Err(closed()),
        };
        // A caller that has gone does not want the answer; the write holds.
        let _ = self.reply.send(result);
    }
}

impl Db {
    /// A file that is opened when it is first used.
    pub(crate) fn new(place: Place, pools: Arc<Pools>) -> Arc<Self> {
        Arc::new(Self {
            place,
            pools,
            commits: OnceLock::new(),
            readers: Mutex::new(Some(Vec::new())),
            writer: Mutex::new(Writer::Idle),
            queue: Mutex::default(),
        })
    }

    /// Runs a read in one snapshot of the file, on a reader's thread.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let db = Arc::clone(self);
        self.pools.readers.run(move || db.read_now(work)).await
    }

    /// The same on the calling thread, which it blocks.
    pub(crate) fn read_now<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Fault> {
        let idle = self.readers.lock().as_mut().ok_or_else(closed)?.pop();
        let conn = idle.map_or_else(|| self.place.connect(Purpose::Read), Ok)?;
        conn.prepare_cached("BEGIN")?.execute([])?;
        let result = work(&conn);
        let ended = conn.prepare_cached("COMMIT").and_then(|mut end| end.execute([]));
        let sound =
            !matches!(&result, Err(fault) if matches!(fault.kind(), Kind::Unavailable | Kind::Corrupt));
        // A connection that the engine failed on is not used again.
        if sound && ended.is_ok() && conn.is_autocommit() {
            let mut readers = self.readers.lock();
            if let Some(readers) = readers.as_mut().filter(|readers| readers.len() < IDLE_READERS) {
                readers.push(conn);
            }
        }
        result
    }

    /// Runs a write. It returns once the write is on disk; writes that come together share one commit, and one that
    /// fails takes nothing of the others with it.
    pub(crate) async fn write<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (reply, answer) = oneshot::channel();
        self.enqueue(Box::new(Write { work: Some(work), result: None, reply }));
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Begins a write whose outcome nobody waits for. It is done before any write that is begun later.
    pub(crate) fn write_later(
        self: &Arc<Self>,
        work: impl FnOnce(&Connection) -> Result<(), Fault> + Send + 'static,
    ) {
        let (reply, _) = oneshot::channel();
        self.enqueue(Box::new(Write { work: Some(work), result: None, reply }));
    }

    fn enqueue(self: &Arc<Self>, job: Box<dyn Job>) {
        let start = {
            let mut queue = self.queue.lock();
            queue.jobs.push_back(job);
            !std::mem::replace(&mut queue.running, true)
        };
        if start {
            let db = Arc::clone(self);
            if self.pools.writers.submit(Box::new(move || db.drain())).is_err() {
                let queue = std::mem::take(&mut *self.queue.lock());
                queue.jobs.into_iter().for_each(|job| job.answer(Err(closed())));
            }
        }
    }

    /// Commits one group and comes back for the next, after other files have had their turn.
    fn drain(self: Arc<Self>) {
        loop {
            let jobs = {
                let mut queue = self.queue.lock();
                if queue.jobs.is_empty() {
                    queue.running = false;
                    return;
                }
                let count = queue.jobs.len().min(GROUP);
                queue.jobs.drain(..count).collect()
            };
            self.commit_group(jobs);
            let next = Arc::clone(&self);
            if self.pools.writers.submit(Box::new(move || next.drain())).is_ok() {
                return;
            }
            // Closing: what was accepted is still written, here.
        }
    }

    fn commit_group(&self, jobs: VecDeque<Box<dyn Job>>) {
        let mut writer = self.writer.lock();
        let opened = match &*writer {
            Writer::Open(_) => self.commits(),
            Writer::Closed => Err(closed()),
            Writer::Idle => self.commits().and_then(|commits| {
                *writer = Writer::Open(self.place.connect(Purpose::Write)?);
                Ok(commits)
            }),
        };
        let mut waiting = jobs;
        if let (Writer::Open(conn), Ok(commits)) = (&*writer, &opened) {
            while !waiting.is_empty() {
                commit_some(conn, commits, &mut waiting);
            }
            // A transaction that could be neither committed nor rolled back dies with its connection.
            if !conn.is_autocommit() {
                *writer = Writer::Idle;
            }
        }
        let fault = opened.err().unwrap_or_else(closed);
        waiting.into_iter().for_each(|job| job.answer(Err(fault.clone())));
    }

    /// Closes the file for good.
    pub(crate) fn close(&self) {
        let writer = std::mem::replace(&mut *self.writer.lock(), Writer::Closed);
        let readers = self.readers.lock().take();
        drop(readers);
        // The writer last: the last connection to close writes the log back.
        drop(writer);
    }

    /// The counts of its commits.
    pub(crate) fn commits(&self) -> Result<Arc<Commits>, Fault> {
        if let Some(commits) = self.commits.get() {
            return Ok(Arc::clone(commits));
        }
        let opened = Commits::beside(&self.place.path)
            .map_err(|error| unavailable("the counts of commits cannot be opened", &error))?;
        Ok(Arc::clone(self.commits.get_or_init(|| Arc::new(opened))))
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db").field("file", &self.place.path).finish_non_exhaustive()
    }
}

/// Runs as many of the waiting jobs as one transaction takes, commits, and answers them.
fn commit_some(conn: &Connection, commits: &Commits, waiting: &mut VecDeque<Box<dyn Job>>) {
    let mut ran = Vec::with_capacity(waiting.len());
    let mut group = step(conn, "BEGIN IMMEDIATE");
    if group.is_err() {
        // Nothing ran; all of them learn why.
        ran.extend(waiting.drain(..));
    }
    while let Some(mut job) = waiting.pop_front() {
        let savepoint = step(conn, "SAVEPOINT call");
        let outcome = savepoint.is_ok().then(|| job.run(conn));
        ran.push(job);
        // On a full disk and the like the engine has given up the whole transaction, earlier calls included.
        if conn.is_autocommit() {
            group = Err(Fault::because(Kind::Unavailable, "the transaction was rolled back by the engine"));
            break;
        }
        let ended = match outcome {
            Some(Ok(())) => step(conn, "RELEASE call"),
            Some(Err(())) => step(conn, "ROLLBACK TO call").and_then(|()| step(conn, "RELEASE call")),
            None => savepoint,
        };
        if let Err(fault) = ended {
            group = Err(fault);
            break;
        }
    }
    if group.is_ok() {
        group = commit(conn, commits);
    }
    if group.is_err() && !conn.is_autocommit() {
        // Its failure shows in `is_autocommit`, and then the connection is given up.
        let _ = step(conn, "ROLLBACK");
    }
    ran.into_iter().for_each(|job| job.answer(group.clone()));
}

/// Commits, and counts it: without a count that it is about to be, those who watch would not see it.
fn commit(conn: &Connection, commits: &Commits) -> Result<(), Fault> {
    let begun =
        commits.begin().map_err(|error| unavailable("the counts of commits cannot be written", &error))?;
    let committed = step(conn, "COMMIT");
    commits.end(begun);
    committed
}

fn step(conn: &Connection, sql: &str) -> Result<(), Fault> {
    conn.prepare_cached(sql)?.execute([])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use parking_lot::Mutex;
    use portcullis_core::Tasks;
    use portcullis_core::seal::SealKey;
    use portcullis_store::Kind;
    use rusqlite::hooks::Wal;
    use tempfile::TempDir;

    use super::{Db, Pools, Writer};
    use crate::fault::Fault;
    use crate::file::{Place, Purpose};
    use crate::pool::Threads;
    use crate::schema::KEYS;
    use crate::watch::{Commits, Watch};

    /// What a file needs for as long as it is used.
    #[expect(dead_code, reason = "it is only kept")]
    struct Held {
        threads: [Threads; 2],
        folder: TempDir,
    }

    fn open() -> (Held, Arc<Db>) {
        let folder = TempDir::new().expect("a temporary folder");
        let place = Place { path: folder.path().join("test.db"), key: SealKey::random(), schema: &KEYS };
        place.create().expect("the file is created");
        let readers = Threads::start("test-read", 2).expect("threads start");
        let writers = Threads::start("test-write", 1).expect("threads start");
        let db = Db::new(place, Arc::new(Pools { readers: readers.pool(), writers: writers.pool() }));
        (Held { threads: [readers, writers], folder }, db)
    }

    async fn insert(db: &Arc<Db>, number: u8, bytes: i64) -> Result<(), Fault> {
        db.write(move |conn| {
            conn.prepare_cached(
                "INSERT INTO community_keys (community, wrapped, created) VALUES (?1, zeroblob(?2), 0)",
            )?
            .execute((vec![number; 16], bytes))?;
            Ok(())
        })
        .await
    }

    async fn count(db: &Arc<Db>) -> i64 {
        db.read(|conn| Ok(conn.query_row("SELECT count(*) FROM community_keys", [], |row| row.get(0))?))
            .await
            .expect("it reads")
    }

    #[tokio::test]
    async fn writes_that_come_together_share_commits_and_fail_alone() {
        let (_folder, db) = open();
        // The writer is held up, so that the others gather behind it.
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let (begin, begun) = tokio::sync::oneshot::channel::<()>();
        let tasks = Tasks::new();
        let held = {
            let db = Arc::clone(&db);
            tasks.spawn(async move {
                db.write(move |_| {
                    begin.send(()).expect("the test waits");
                    Ok(wait.recv().is_ok())
                })
                .await
            })
        };
        begun.await.expect("the writer is held up");
        let mut running = Vec::new();
        for number in 0..40u8 {
            let db = Arc::clone(&db);
            // Every fourth repeats the number before it, which a unique key refuses.
            let number = if number % 4 == 3 { number - 1 } else { number };
            running.push(tasks.spawn(async move { insert(&db, number, 8).await }));
        }
        while db.queue.lock().jobs.len() < 40 {
            tokio::task::yield_now().await;
        }
        go.send(()).expect("the writer waits");
        assert!(held.await.expect("it ends").expect("it is written"));
        let mut refused = 0;
        for task in running {
            if let Err(fault) = task.await.expect("it ends") {
                assert_eq!(fault.kind(), Kind::Conflict);
                refused += 1;
            }
        }
        assert_eq!((refused, count(&db).await), (10, 30));
    }

    #[tokio::test]
    async fn what_is_acknowledged_is_counted() {
        let (_folder, db) = open();
        let commits = db.commits().expect("counted");
        let mut before = commits.settled();
        for number in 0..20 {
            insert(&db, number, 8).await.expect("written");
            let after = commits.settled();
            assert!(after.is_some(), "no commit is under way");
            assert_ne!(after, before);
            before = after;
        }
    }

    /// What somebody who watches the file sees at one moment, by counts of their own, as another process has them.
    struct Watcher {
        watch: Watch,
        counts: Commits,
    }

    /// The version that they are told, and whether the counts say that no commit is under way.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct Seen {
        version: i64,
        settled: bool,
    }

    impl Watcher {
        fn of(db: &Db) -> Self {
            let counts = || Commits::beside(&db.place.path).expect("counts");
            let connection = db.place.connect(Purpose::Watch).expect("opened");
            Self { watch: Watch::new(connection, Arc::new(counts())).expect("watched"), counts: counts() }
        }

        fn look(&mut self) -> Seen {
            let version = self.watch.version().expect("asked");
            Seen { version, settled: self.counts.settled().is_some() }
        }
    }

    #[tokio::test]
    async fn who_watches_sees_a_commit_from_the_moment_that_it_is_made_and_not_earlier() {
        let (_folder, db) = open();
        insert(&db, 0, 8).await.expect("the writer is opened");
        let watcher = Arc::new(Mutex::new(Watcher::of(&db)));
        // The engine calls the one when it is about to commit, and the other when it has, before `COMMIT` returns.
        let (about_to, has) = (Arc::new(Mutex::new(None)), Arc::new(Mutex::new(None)));
        {
            let mut writer = db.writer.lock();
            let Writer::Open(conn) = &mut *writer else { panic!("the writer is open") };
            let (looks, noted) = (Arc::clone(&watcher), Arc::clone(&about_to));
            let before = move || {
                *noted.lock() = Some(looks.lock().look());
                false
            };
            conn.commit_hook(Some(before)).expect("hooked");
            let (looks, noted) = (Arc::clone(&watcher), Arc::clone(&has));
            let after = move |_: &mut Wal, _| {
                *noted.lock() = Some(looks.lock().look());
                Ok(())
            };
            conn.wal_hook(Some(after)).expect("hooked");
        }
        for number in 1..=20 {
            let earlier = watcher.lock().look();
            assert!(earlier.settled);
            insert(&db, number, 8).await.expect("written");
            let about_to = about_to.lock().take().expect("the engine told");
            assert_eq!(about_to, Seen { settled: false, ..earlier }, "counted as begun, and not made yet");
            let has = has.lock().take().expect("the engine told");
            assert_ne!(has.version, earlier.version, "made");
            assert!(!has.settled, "not counted as ended yet");
            assert_eq!(watcher.lock().look(), Seen { settled: true, ..has }, "counted as ended");
        }
    }

    #[tokio::test]
    async fn nothing_is_counted_while_somebody_else_writes() {
        let (_folder, db) = open();
        insert(&db, 0, 8).await.expect("the writer is opened");
        if let Writer::Open(conn) = &*db.writer.lock() {
            conn.busy_timeout(Duration::ZERO).expect("it waits for nobody");
        }
        let other = db.place.connect(Purpose::Write).expect("opened");
        let counts = db.commits().expect("counted");
        let before = counts.settled();
        assert!(before.is_some());
        other.execute_batch("BEGIN IMMEDIATE").expect("nobody writes");
        insert(&db, 1, 8).await.expect_err("somebody else writes");
        assert_eq!(counts.settled(), before);
        other.execute_batch("COMMIT").expect("nothing was written");
        insert(&db, 1, 8).await.expect("nobody else writes");
        assert_ne!(counts.settled(), before);
    }

    #[tokio::test]
    async fn a_full_disk_is_unavailable_and_loses_nothing_acknowledged() {
        let (_folder, db) = open();
        insert(&db, 1, 8).await.expect("there is room");
        let limit = |pages: i64| {
            let db = Arc::clone(&db);
            async move {
                db.write(move |conn| {
                    conn.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
                    Ok(())
                })
                .await
            }
        };
        limit(8).await.expect("the limit is set");
        assert_eq!(insert(&db, 2, 1 << 20).await.expect_err("no room").kind(), Kind::Unavailable);
        assert_eq!(count(&db).await, 1);
        limit(1 << 20).await.expect("the limit is lifted");
        insert(&db, 3, 1 << 20).await.expect("there is room again");
        assert_eq!(count(&db).await, 2);
    }

    #[tokio::test]
    async fn a_panicking_write_is_undone_and_the_next_one_works() {
        let (_folder, db) = open();
        let broken = db
            .write::<()>(|conn| {
                conn.execute("INSERT INTO community_keys VALUES (zeroblob(16), x'00', 0)", [])?;
                panic!("on purpose")
            })
            .await;
        assert_eq!(broken.expect_err("it panicked").kind(), Kind::Unavailable);
        assert_eq!(count(&db).await, 0);
        insert(&db, 1, 8).await.expect("the writer lives on");
    }

    #[tokio::test]
    async fn a_reader_cannot_write() {
        let (_folder, db) = open();
        let written = db.read(|conn| Ok(conn.execute("DELETE FROM community_keys", [])?)).await;
        assert!(written.is_err());
    }

    #[tokio::test]
    async fn a_closed_file_is_unavailable() {
        let (_folder, db) = open();
        insert(&db, 1, 8).await.expect("it is open");
        db.close();
        assert_eq!(insert(&db, 2, 8).await.expect_err("closed").kind(), Kind::Unavailable);
        let read = db.read(|_| Ok(())).await;
        assert_eq!(read.expect_err("closed").kind(), Kind::Unavailable);
    }
}
