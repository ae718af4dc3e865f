//! The journal as the rest of the program sees it: append and wait until it is durable.
//!
//! A thread of its own writes. While one sync runs, further records queue up, and the next sync takes them all, so the
//! cost of a sync is shared. The queue is bounded: when the disk cannot keep up, callers wait.

use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use portcullis_core::lanes::{self, Errands};
use portcullis_core::measure::{Counter, Times};
use portcullis_core::{Clock, TurnId};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use crate::disk::{Disk, StdDisk};
use crate::error::Error;
use crate::frame::MAX_RECORDS;
use crate::merkle::TreeHash;
use crate::note::{Signer, Verifier};
use crate::park;
use crate::record::Record;
use crate::writer::Writer;

/// Records that were written together, from which on the next group is waited for: fewer and nobody is about to come.
const COMPANY: usize = 4;
/// How long a group gathers while many write at once: about as long as a sync takes. Each sync costs a write to the disk and
/// wakes everybody in it, so what a record costs falls with how many share one; but where all who write wait for the same sync,
/// nobody does anything else meanwhile.
const GATHER: Duration = Duration::from_micros(200);

/// After how many new records a checkpoint is signed, unless the options say otherwise.
pub(crate) const CHECKPOINT_RECORDS: u64 = 10_000;

/// The largest number of records after which a process that serves signs a checkpoint: what `audit.checkpoint_records` allows.
pub(crate) const MOST_CHECKPOINT_RECORDS: u64 = 1_000_000;

/// The most records that can stand unsigned, however whoever wrote them was stopped: no frame is added where a checkpoint is due.
pub(crate) const fn most_unsigned(checkpoint_records: u64) -> u64 {
    checkpoint_records.saturating_sub(1).saturating_add(MAX_RECORDS as u64)
}

/// What a process uses the journal for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It serves: it opens and closes turns, and closes those that a crash left open. One process at a time.
    Serving,
    /// It administers, such as a command on the command line, beside a server or without one.
    Administering,
}

/// How the journal is kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// What for.
    pub used_for: Use,
    /// A segment is finished once it has this many bytes. A start reads at most one segment.
    pub segment_bytes: u64,
    /// A checkpoint is signed after this many new records...
    pub checkpoint_records: u64,
    /// ...and this long after the last one, when there is anything new.
    pub checkpoint_interval: Duration,
    /// How many records may wait to be written.
    pub queue: usize,
    /// Keys that signed earlier parts of this journal.
    pub earlier_keys: Vec<Verifier>,
    /// The file layer.
    pub disk: Arc<dyn Disk>,
}

impl Options {
    /// The defaults for that use: segments of 16 MiB, checkpoints every 10,000 records or 30 s, 4,096 waiting records.
    pub fn new(used_for: Use) -> Self {
        Self {
            used_for,
            segment_bytes: 16 << 20,
            checkpoint_records: CHECKPOINT_RECORDS,
            checkpoint_interval: Duration::from_secs(30),
            queue: 4096,
            earlier_keys: Vec::new(),
            disk: Arc::new(StdDisk),
        }
    }
}

/// What was found when the journal was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// How many records there were.
    pub records: u64,
    /// How many of them a signed checkpoint covered.
    pub signed: u64,
    /// Bytes of a last write that was never finished, and never acknowledged, which were removed.
    pub unfinished_bytes: u64,
    /// Turns that were open and are now closed as interrupted, in the order in which they were opened. Always empty
    /// unless [`Use::Serving`].
    pub interrupted: Vec<TurnId>,
}

/// Proof that a record is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Its number in the journal.
    pub seq: u64,
    /// Its number in its community.
    pub community_seq: Option<u64>,
    /// When it was written.
    pub at: Timestamp,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "all jobs but the last one are records")]
enum Job {
    Append { record: Record, answer: Answer },
    Close { answer: oneshot::Sender<Result<(), Error>> },
}

/// Where what came of a record is waited for.
#[derive(Debug)]
struct Answer {
    to: oneshot::Sender<Result<Receipt, Error>>,
    /// The way into the lane that waits.
    way: Option<Errands>,
}

impl Answer {
    /// For whoever asks from this thread.
    fn here() -> (Self, oneshot::Receiver<Result<Receipt, Error>>) {
        let (to, receipt) = oneshot::channel();
        (Self { to, way: lanes::errands() }, receipt)
    }
}

/// What this process did to the journal so far, for whoever watches it.
#[derive(Debug, Default)]
pub struct Meter {
    /// Records that this process made durable.
    pub appended: Counter,
    /// How long it took to make records durable, once for all that were written together.
    pub syncs: Times,
    reached: Mutex<Reached>,
}

/// How far the journal goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reached {
    /// How many records there are.
    pub records: u64,
    /// How many of them the newest checkpoint covers, and their root; none before the first.
    pub checkpoint: Option<(u64, TreeHash)>,
}

impl Meter {
    /// How far the journal goes.
    pub fn reached(&self) -> Reached {
        *self.reached.lock()
    }

    pub(crate) fn reach(&self, records: u64) {
        self.reached.lock().records = records;
    }

    pub(crate) fn sign(&self, size: u64, root: TreeHash) {
        self.reached.lock().checkpoint = Some((size, root));
    }
}

/// The journal, open for appending. Share it in an `Arc`.
///
/// Dropping it does what [`Journal::close`] does and blocks meanwhile, but tells nobody when that fails.
#[derive(Debug)]
pub struct Journal {
    queue: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    meter: Arc<Meter>,
    /// Why nothing can be written any more.
    ended: Arc<Mutex<Option<Error>>>,
}

impl Journal {
    /// Opens the journal in `dir`, which is created where absent, and repairs what a crash leaves behind: see
    /// [`Recovery`]. It reads and writes files before it returns.
    ///
    /// # Errors
    /// [`Error::AlreadyServing`] when another process serves from it; [`Error::Damaged`] when anything else than an
    /// unfinished last write is wrong, in which case nothing was changed.
    pub fn open(
        dir: &Path,
        options: Options,
        signer: Signer,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Recovery), Error> {
        let (queue, jobs) = mpsc::channel(options.queue.max(1));
        let (writer, recovery) = Writer::open(dir, options, signer, clock)?;
        let meter = Arc::clone(writer.meter());
        let ended = Arc::new(Mutex::new(None));
        let batch = Vec::with_capacity(MAX_RECORDS);
        let desk = Desk { writer, jobs, ended: Arc::clone(&ended), batch, last_group: 0 };
        let thread = thread::Builder::new()
            .name("audit-journal".into())
            .spawn(move || desk.run())
            .map_err(Error::io("start the writer of", &dir.display().to_string()))?;
        Ok((Self { queue: Some(queue), thread: Some(thread), meter, ended }, recovery))
    }

    /// Records something. Once this resolves to a receipt the record is durable; on an error it must be taken as not
    /// recorded, and what it stands for must not happen.
    ///
    /// Dropping the future does not take the record back if it was queued already.
    ///
    /// # Errors
    /// [`Error::Stopped`] after any failed write, until the journal is opened again; [`Error::TurnAlreadyOpen`],
    /// [`Error::TurnNotOpen`], [`Error::NotServing`] and [`Error::TooLarge`] when the record itself is not valid, which
    /// leaves the journal in order.
    pub async fn append(&self, record: Record) -> Result<Receipt, Error> {
        let record = match self.append_now(record) {
            Ok(written) => return written.await,
            Err(record) => *record,
        };
        let (answer, receipt) = Answer::here();
        self.send(Job::Append { record, answer }).await?;
        receipt.await.unwrap_or_else(|_| Err(self.why_ended()))
    }

    /// Queues a record without waiting: it is on its way once this returns, whoever waits for what comes of it. That is what
    /// [`Journal::append`] resolves to.
    ///
    /// # Errors
    /// The record, when the queue has no room for it now.
    pub fn append_now(
        &self,
        record: Record,
    ) -> Result<impl Future<Output = Result<Receipt, Error>> + Send + use<'_>, Box<Record>> {
        let (answer, receipt) = Answer::here();
        let job = Job::Append { record, answer };
        if let Some(queue) = &self.queue
            && let Err(TrySendError::Full(Job::Append { record, .. })) = queue.try_send(job)
        {
            return Err(Box::new(record));
        }
        // Where nothing is taken any more the answer is gone, and why is known.
        Ok(async move { receipt.await.unwrap_or_else(|_| Err(self.why_ended())) })
    }

    /// [`Journal::append`] for code without a runtime, such as the command line. It blocks its thread.
    pub fn append_blocking(&self, record: Record) -> Result<Receipt, Error> {
        park::wait(self.append(record))
    }

    /// Writes what is queued, signs a checkpoint and releases the journal. Later appends fail with
    /// [`Error::Closed`]. Closing twice is no error.
    pub async fn close(&self) -> Result<(), Error> {
        let (answer, done) = oneshot::channel();
        match self.send(Job::Close { answer }).await {
            Err(Error::Closed) => Ok(()),
            Err(error) => Err(error),
            Ok(()) => done.await.unwrap_or_else(|_| match self.why_ended() {
                Error::Closed => Ok(()),
                error => Err(error),
            }),
        }
    }

    /// [`Journal::close`] for code without a runtime. It blocks its thread.
    pub fn close_blocking(&self) -> Result<(), Error> {
        park::wait(self.close())
    }

    /// What this process did to it so far.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Why nothing can be recorded any more; `None` while all is well. For readiness.
    pub fn failure(&self) -> Option<Error> {
        self.ended.lock().clone()
    }

    async fn send(&self, job: Job) -> Result<(), Error> {
        match &self.queue {
            Some(queue) => queue.send(job).await.map_err(|_| self.why_ended()),
            None => Err(Error::Closed),
        }
    }

    fn why_ended(&self) -> Error {
        self.failure().unwrap_or(Error::Closed)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the writer has been answered to every caller by then.
            let _ = thread.join();
        }
    }
}

/// The writer's thread.
struct Desk {
    writer: Writer,
    jobs: mpsc::Receiver<Job>,
    ended: Arc<Mutex<Option<Error>>>,
    batch: Vec<Job>,
    /// How many records the last group had.
    last_group: usize,
}

impl Desk {
    fn run(mut self) {
        let mut closing = Vec::new();
        loop {
            match self.receive() {
                Some(0) => break,
                Some(_) => {
                    self.gather();
                    let (records, answers) = self.sort(&mut closing);
                    self.write(&records, answers);
                }
                None => {}
            }
            if closing.is_empty() {
                self.attempt(Writer::checkpoint_if_due);
            } else {
                // What was queued before the close is still written.
                self.jobs.close();
            }
        }
        self.attempt(Writer::checkpoint);
        let outcome = self.ended.lock().get_or_insert(Error::Closed).clone();
        let Self { writer, .. } = self;
        // Release the locks before anyone is told.
        drop(writer);
        for answer in closing {
            let outcome = if matches!(outcome, Error::Closed) { Ok(()) } else { Err(outcome.clone()) };
            let _ = answer.send(outcome);
        }
    }

    /// Waits for jobs and takes all that are there, up to one frame. `Some(0)` is the end, `None` is time for a
    /// checkpoint.
    fn receive(&mut self) -> Option<usize> {
        let wait = if self.has_failed() { None } else { self.writer.checkpoint_wait() };
        let jobs = self.jobs.recv_many(&mut self.batch, MAX_RECORDS);
        // Under a clock that stands still the wait would never end, so it is never shorter than this.
        let shortest = Duration::from_millis(20);
        match wait {
            Some(wait) => park::wait_at_most(jobs, wait.max(shortest)),
            None => Some(park::wait(jobs)),
        }
    }

    /// While many write at once, lets a group gather. It sleeps meanwhile, so that nobody who comes has to wake it.
    fn gather(&mut self) {
        if self.last_group >= COMPANY && self.batch.len() < MAX_RECORDS {
            thread::sleep(GATHER);
            while self.batch.len() < MAX_RECORDS
                && let Ok(job) = self.jobs.try_recv()
            {
                self.batch.push(job);
            }
        }
        self.last_group = self.batch.len();
    }

    fn sort(&mut self, closing: &mut Vec<oneshot::Sender<Result<(), Error>>>) -> (Vec<Record>, Vec<Answer>) {
        let (mut records, mut answers) =
            (Vec::with_capacity(self.batch.len()), Vec::with_capacity(self.batch.len()));
        for job in self.batch.drain(..) {
            match job {
                Job::Append { record, answer } => {
                    records.push(record);
                    answers.push(answer);
                }
                Job::Close { answer } => closing.push(answer),
            }
        }
        (records, answers)
    }

    fn write(&mut self, records: &[Record], answers: Vec<Answer>) {
        if records.is_empty() {
            return;
        }
        let mut results = Vec::new();
        self.attempt(|writer| {
            results = writer.append(records.iter())?;
            Ok(())
        });
        let failure = self.ended.lock().clone();
        let stopped = || Err(failure.clone().unwrap_or(Error::Closed));
        let results = results.into_iter().chain(std::iter::repeat_with(stopped));
        deliver(answers.into_iter().zip(results));
    }

    /// Does some writing, unless writing failed before. A failure is kept, and ends all writing.
    fn attempt(&mut self, work: impl FnOnce(&mut Writer) -> Result<(), Error>) {
        if self.has_failed() {
            return;
        }
        if let Err(error) = work(&mut self.writer) {
            let why = error.in_one_line();
            tracing::error!(audit.failure = %why, "the audit journal cannot be written");
            *self.ended.lock() = Some(Error::Stopped { why: why.into() });
        }
    }

    fn has_failed(&self) -> bool {
        self.ended.lock().is_some()
    }
}

/// Tells everybody what came of their records, and wakes each lane once for all that wait in it.
fn deliver(answers: impl Iterator<Item = (Answer, Result<Receipt, Error>)>) {
    // A caller that has gone away does not want the answer.
    let tell = |to: oneshot::Sender<_>, result| drop(to.send(result));
    let mut lanes: Vec<(Errands, Vec<_>)> = Vec::new();
    for (Answer { to, way }, result) in answers {
        match way {
            None => tell(to, result),
            Some(way) => match lanes.iter_mut().find(|(known, _)| known.leads_where(&way)) {
                Some((_, waiting)) => waiting.push((to, result)),
                None => lanes.push((way, vec![(to, result)])),
            },
        }
    }
    for (way, waiting) in lanes {
        way.run(move || waiting.into_iter().for_each(|(to, result)| tell(to, result)));
    }
}

#[cfg(test)]
mod tests {
    use portcullis_core::{Lanes, RequestId, Secret, SystemClock, Tasks};

    use super::*;
    use crate::record::{ActorRef, Event};

    fn desk(dir: &Path, last_group: usize) -> (Desk, mpsc::Sender<Job>) {
        let signer = Signer::new("journal.test", &Secret::new([7; 32])).unwrap();
        let clock = Arc::new(SystemClock::new());
        let (writer, _) = Writer::open(dir, Options::new(Use::Serving), signer, clock).unwrap();
        let (queue, jobs) = mpsc::channel(64);
        (Desk { writer, jobs, ended: Arc::default(), batch: Vec::new(), last_group }, queue)
    }

    fn record(number: u8) -> Record {
        let request = RequestId::from_bytes([number; 16]);
        let event = Event::Refused { request, guard: "test".into(), code: "test".into() };
        Record { community: None, actor: ActorRef::Instance, event }
    }

    fn job(number: u8) -> Job {
        let (answer, _) = Answer::here();
        Job::Append { record: record(number), answer }
    }

    fn numbers(batch: &[Job]) -> Vec<Option<u8>> {
        let number = |job: &Job| match job {
            Job::Append { record: Record { event: Event::Refused { request, .. }, .. }, .. } => {
                request.as_bytes().first().copied()
            }
            Job::Append { .. } | Job::Close { .. } => None,
        };
        batch.iter().map(number).collect()
    }

    #[test]
    fn a_group_gathers_in_order_while_many_write_and_nobody_waits_for_company_that_does_not_come() {
        let dir = tempfile::tempdir().unwrap();
        for (last_group, gathered) in [(0, 1), (COMPANY - 1, 1), (COMPANY, 6_u8), (300, 6)] {
            let (mut desk, queue) = desk(dir.path(), last_group);
            (0..6).for_each(|number| queue.try_send(job(number)).unwrap());
            desk.batch.push(desk.jobs.try_recv().unwrap());
            desk.gather();
            let wanted: Vec<_> = (0..gathered).map(Some).collect();
            assert_eq!(numbers(&desk.batch), wanted, "after a group of {last_group}");
            assert_eq!(desk.last_group, usize::from(gathered));
        }
    }

    #[tokio::test]
    async fn whoever_waits_is_told_in_a_lane_and_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let signer = Signer::new("journal.test", &Secret::new([7; 32])).unwrap();
        let (journal, _) =
            Journal::open(dir.path(), Options::new(Use::Serving), signer, Arc::new(SystemClock::new()))
                .unwrap();
        let (journal, lanes, tasks) = (Arc::new(journal), Lanes::start().unwrap(), Tasks::new());
        let places: Vec<_> = (0..200_u8).filter_map(|_| lanes.place()).collect();
        let waiting: Vec<_> = (0..200_u8)
            .zip(&places)
            .map(|(number, place)| {
                let journal = Arc::clone(&journal);
                let append =
                    async move { (lanes::errands().is_some(), journal.append(record(number)).await) };
                let elsewhere = tokio::runtime::Handle::current();
                tasks.spawn_on(if number % 4 == 0 { &elsewhere } else { place.runtime() }, append)
            })
            .collect();
        let mut told = Vec::new();
        for (number, waits) in waiting.into_iter().enumerate() {
            let (in_a_lane, receipt) = waits.await.unwrap();
            assert_eq!(in_a_lane, number % 4 != 0);
            told.push(receipt.unwrap().seq);
        }
        told.sort_unstable();
        assert!(told.into_iter().eq(0..200), "each is told of one record, and no two of the same");
    }

    #[test]
    fn a_group_is_no_larger_than_a_frame() {
        let dir = tempfile::tempdir().unwrap();
        let (mut desk, queue) = desk(dir.path(), COMPANY);
        desk.batch.extend((1..MAX_RECORDS).map(|_| job(9)));
        (0..6).for_each(|number| queue.try_send(job(number)).unwrap());
        desk.gather();
        assert_eq!(desk.batch.len(), MAX_RECORDS);
    }

    #[test]
    fn what_is_queued_at_once_is_written_though_nobody_waits_for_it_and_a_full_queue_gives_it_back() {
        let dir = tempfile::tempdir().unwrap();
        let signer = Signer::new("journal.test", &Secret::new([7; 32])).unwrap();
        let options = Options { queue: 1, ..Options::new(Use::Serving) };
        let (mut journal, _) =
            Journal::open(dir.path(), options, signer, Arc::new(SystemClock::new())).unwrap();
        let mut queued = 0;
        let given_back = (0..100_000).find_map(|_| match journal.append_now(record(1)) {
            Ok(_) => {
                queued += 1;
                None
            }
            Err(record) => Some(record),
        });
        // A writer that syncs is slower than a queue of one.
        let given_back = given_back.expect("the queue is full once");
        assert!(matches!(given_back.event, Event::Refused { .. }));
        journal.close_blocking().unwrap();
        assert_eq!(journal.meter().reached().records, queued);
        let refused = journal.append_now(record(0)).map(park::wait);
        assert!(matches!(refused, Ok(Err(Error::Closed))), "{refused:?}");
        journal.queue = None;
        let refused = journal.append_now(record(0)).map(park::wait);
        assert!(matches!(refused, Ok(Err(Error::Closed))), "{refused:?}");
    }
}
