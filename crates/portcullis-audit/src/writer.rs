//! Writing: catch up with what other processes wrote, commit a batch with one sync, sign checkpoints, finish segments.
//!
//! All of it happens under the journal's lock, on one thread. Nothing is ever written over: the only bytes that are
//! removed are those of a last write that was never finished, and only when no signed checkpoint covers them.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use portcullis_core::{Clock, TurnId};

use crate::checkpoint::{Checkpoint, Next, Notes};
use crate::disk::{Access, FileLock, LogFile, append_all};
use crate::error::{Error, Fault};
use crate::frame::{Bad, Found, FrameWriter, Frames, MAX_RECORD, MAX_RECORDS};
use crate::journal::{Meter, Options, Receipt, Recovery, Use, most_unsigned};
use crate::layout::{CHECKPOINTS, Folder, LOCK, SERVE_LOCK, seal_name, segment_name};
use crate::merkle::TreeHash;
use crate::note::{Signer, Verifier};
use crate::record::{ActorRef, Event, Mark, Outcome, Record, Skim, encode};
use crate::state::{Seal, State};

/// From which lead on of the journal's newest time over the clock it is told.
const CLOCK_SET_BACK: SignedDuration = SignedDuration::from_secs(60);

/// How the end of a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    /// Without the lock: another process may be writing there, so stop at what does not read.
    Leave,
    /// With the lock: what does not read is judged.
    Judge,
}

#[derive(Debug)]
struct Segment {
    first: u64,
    name: String,
    file: Box<dyn LogFile>,
    /// Up to where it was read or written.
    len: u64,
}

impl Segment {
    fn open(folder: &Folder, first: u64) -> Result<Self, Error> {
        let name = segment_name(first);
        let file = folder.open(&name, Access::Append)?;
        Ok(Self { first, name, file, len: 0 })
    }
}

/// The newest checkpoint.
#[derive(Debug, Clone, Copy)]
struct Signed {
    size: u64,
    /// Where in the file it begins.
    offset: u64,
    /// When it was written or read, on the monotonic clock.
    at: Duration,
}

#[derive(Debug)]
struct Awaited {
    size: u64,
    root: TreeHash,
    offset: u64,
}

#[derive(Debug)]
pub(crate) struct Writer {
    folder: Folder,
    options: Options,
    signer: Signer,
    trusted: Vec<Verifier>,
    clock: Arc<dyn Clock>,
    lock: Box<dyn FileLock>,
    /// Held, never used: it goes with the writer.
    _serving: Option<Box<dyn FileLock>>,
    segment: Segment,
    notes: Box<dyn LogFile>,
    /// Up to where the checkpoints were read or written.
    notes_len: u64,
    signed: Signed,
    /// Where reading began: after how many records, and where in the file of checkpoints.
    base: (u64, u64),
    /// Checkpoints that were read, for records that were not read yet.
    awaited: VecDeque<Awaited>,
    /// The largest size among the records that were read for which a checkpoint stands.
    noted: u64,
    state: State,
    /// That the clock was set back was told.
    told_set_back: bool,
    /// Something was read that another process may have written and never synced before it was killed.
    unsettled: bool,
    frames_read: u64,
    frame: FrameWriter,
    meter: Arc<Meter>,
}

impl Writer {
    pub(crate) fn open(
        dir: &Path,
        options: Options,
        signer: Signer,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Recovery), Error> {
        let folder = Folder::new(Arc::clone(&options.disk), dir);
        folder.disk.create_dir(dir).map_err(Error::io("create", &folder.name()))?;
        let open_lock = |name: &str| {
            folder.disk.open_lock(&folder.path(name), Access::Append).map_err(Error::io("open", name))
        };
        let mut serving = None;
        if options.used_for == Use::Serving {
            let mut held = open_lock(SERVE_LOCK)?;
            if !held.try_lock().map_err(Error::io("lock", SERVE_LOCK))? {
                return Err(Error::AlreadyServing { dir: folder.name() });
            }
            serving = Some(held);
        }
        let mut lock = open_lock(LOCK)?;
        lock.lock().map_err(Error::io("lock", LOCK))?;
        let notes = folder.open(CHECKPOINTS, Access::Append)?;
        if folder.segments()?.is_empty() {
            drop(folder.open(&segment_name(0), Access::Append)?);
        }
        lock.unlock().map_err(Error::io("unlock", LOCK))?;

        let trusted: Vec<_> = options.earlier_keys.iter().chain([signer.verifier()]).cloned().collect();
        let (first, state, notes_len) = base(&folder, &trusted)?;
        let mut writer = Self {
            segment: Segment::open(&folder, first)?,
            signed: Signed { size: state.size(), offset: notes_len, at: clock.monotonic() },
            base: (state.size(), notes_len),
            awaited: VecDeque::new(),
            noted: state.size(),
            told_set_back: false,
            unsettled: false,
            frames_read: 0,
            frame: FrameWriter::new(),
            meter: Arc::default(),
            _serving: serving,
            folder,
            options,
            signer,
            trusted,
            clock,
            lock,
            notes,
            notes_len,
            state,
        };
        // Most of it is read without the lock, so that a running server does not wait for a command that starts.
        writer.catch_up(Tail::Leave)?;
        let recovery = writer.locked(Self::recover)?;
        Ok((writer, recovery))
    }

    pub(crate) fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    fn recover(&mut self) -> Result<Recovery, Error> {
        let unfinished_bytes = self.catch_up(Tail::Judge)?;
        let last = self.folder.segments()?.last().copied().unwrap_or(0);
        if last != self.segment.first {
            let fault = Fault::Discontinuous { expected: self.state.size(), found: last };
            return Err(Error::damaged(&segment_name(last), 0, fault));
        }
        // A seal says where the checkpoint of its size stands.
        let (sealed, notes_at) = self.base;
        if sealed > 0 && self.notes_len <= notes_at {
            let fault = Fault::Shortened { expected: notes_at + 1, found: self.notes_len };
            return Err(Error::damaged(CHECKPOINTS, notes_at, fault));
        }
        // The first frame is signed before a second is written, so this is not what a crash leaves behind.
        if self.signed.size == 0 && self.frames_read > 1 {
            return Err(Error::damaged(CHECKPOINTS, 0, Fault::Unsigned { records: self.state.size() }));
        }
        let records = self.state.size().saturating_sub(self.signed.size);
        let most = self.options.checkpoint_records;
        let too_many = match self.options.used_for {
            Use::Serving => records > most_unsigned(most),
            Use::Administering => self.folder.is_too_much_unsigned(records, most)?,
        };
        if too_many {
            return Err(Error::damaged(CHECKPOINTS, self.notes_len, Fault::Unsigned { records }));
        }
        let mut recovery = Recovery {
            records: self.state.size(),
            signed: self.signed.size,
            unfinished_bytes,
            interrupted: Vec::new(),
        };
        if self.options.used_for == Use::Serving {
            recovery.interrupted = self.close_open_turns()?;
            if self.state.size() > self.signed.size {
                self.write_checkpoint()?;
            }
        }
        self.meter.reach(self.state.size());
        Ok(recovery)
    }

    fn close_open_turns(&mut self) -> Result<Vec<TurnId>, Error> {
        let open = self.state.open_turns();
        let closing: Vec<Record> = open
            .iter()
            .map(|open| Record {
                community: open.community,
                actor: ActorRef::Instance,
                event: Event::TurnClosed { turn: open.turn, outcome: Outcome::Interrupted, usage: None },
            })
            .collect();
        for batch in closing.chunks(MAX_RECORDS) {
            for written in self.append_locked(batch.iter())? {
                written?;
            }
        }
        Ok(open.iter().map(|open| open.turn).collect())
    }

    /// Writes the records in one frame, at most [`MAX_RECORDS`]. Once it returns they are durable, apart from those
    /// that were not valid. When it fails the writer is of no use any more.
    pub(crate) fn append<'r>(
        &mut self,
        records: impl Iterator<Item = &'r Record>,
    ) -> Result<Vec<Result<Receipt, Error>>, Error> {
        self.locked(|writer| writer.append_locked(records))
    }

    /// Signs a checkpoint if one is due.
    pub(crate) fn checkpoint_if_due(&mut self) -> Result<(), Error> {
        if self.checkpoint_wait() == Some(Duration::ZERO) { self.checkpoint() } else { Ok(()) }
    }

    /// Signs a checkpoint if there is anything new.
    pub(crate) fn checkpoint(&mut self) -> Result<(), Error> {
        self.locked(|writer| {
            writer.catch_up(Tail::Judge)?;
            if writer.state.size() > writer.signed.size { writer.write_checkpoint() } else { Ok(()) }
        })
    }

    /// How long until a checkpoint is due; `None` while there is nothing new.
    pub(crate) fn checkpoint_wait(&self) -> Option<Duration> {
        if self.state.size() <= self.signed.size {
            return None;
        }
        if self.is_checkpoint_due() {
            return Some(Duration::ZERO);
        }
        let since = self.clock.monotonic().saturating_sub(self.signed.at);
        Some(self.options.checkpoint_interval.saturating_sub(since))
    }

    /// Whether no more may be written before a checkpoint is signed: after the first frame, and after enough new records.
    fn is_checkpoint_due(&self) -> bool {
        let new = self.state.size().saturating_sub(self.signed.size);
        new > 0 && (self.signed.size == 0 || new >= self.options.checkpoint_records)
    }

    fn locked<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        self.lock.lock().map_err(Error::io("lock", LOCK))?;
        let outcome = work(self);
        let unlocked = self.lock.unlock().map_err(Error::io("unlock", LOCK));
        outcome.and_then(|value| unlocked.map(|()| value))
    }

    fn append_locked<'r>(
        &mut self,
        records: impl Iterator<Item = &'r Record>,
    ) -> Result<Vec<Result<Receipt, Error>>, Error> {
        self.catch_up(Tail::Judge)?;
        self.settle()?;
        // Whoever wrote before may have been stopped before it signed, and what stands unsigned is bounded.
        if self.is_checkpoint_due() {
            self.write_checkpoint()?;
        }
        if self.segment.len >= self.options.segment_bytes {
            self.roll()?;
        }
        let at = self.time();
        let at_text = format!("{at:.6}");
        let first = self.state.size();
        self.frame.clear();
        let results: Vec<_> =
            records.take(MAX_RECORDS).map(|record| self.add(record, at, &at_text)).collect();
        if self.frame.is_empty() {
            return Ok(results);
        }
        let bytes = self.frame.finish(first);
        let segment = &mut self.segment;
        let began = self.clock.monotonic();
        let written = append_all(&mut *segment.file, bytes).and_then(|()| segment.file.sync());
        if let Err(error) = written {
            // Best effort: what stays is an unfinished write to whoever opens the journal next.
            let _ = segment.file.truncate(segment.len).and_then(|()| segment.file.sync());
            return Err(Error::io("write", &segment.name)(error));
        }
        // A file's name becomes durable with its first content, whichever process created it.
        if segment.len == 0 {
            self.folder.sync_names()?;
        }
        segment.len += bytes.len() as u64;
        self.meter.syncs.add(self.clock.monotonic().saturating_sub(began));
        self.meter.appended.add(self.state.size().saturating_sub(first));
        self.meter.reach(self.state.size());
        Ok(results)
    }

    /// The time of the next record: the clock's, or the newest in the journal while the clock is behind it. Clocks are set, and
    /// the times in the journal never go back.
    fn time(&mut self) -> Timestamp {
        let now = self.clock.now();
        let now = Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now);
        let reached = self.state.last_at().map_or(now, |last| last.max(now));
        let behind = reached.duration_since(now);
        if behind < CLOCK_SET_BACK {
            self.told_set_back = false;
        } else if !self.told_set_back {
            self.told_set_back = true;
            tracing::warn!(
                audit.clock_behind_ms = i64::try_from(behind.as_millis()).unwrap_or(i64::MAX),
                "the clock is behind the audit journal's newest record, whose time all records get until it has passed"
            );
        }
        reached
    }

    fn add(&mut self, record: &Record, at: Timestamp, at_text: &str) -> Result<Receipt, Error> {
        let mark = record.event.mark();
        match mark {
            Mark::Opens(_) if self.options.used_for != Use::Serving => return Err(Error::NotServing),
            Mark::Opens(turn) if self.state.is_open(turn) => return Err(Error::TurnAlreadyOpen(turn)),
            Mark::Closes(turn) if !self.state.is_open(turn) => return Err(Error::TurnNotOpen(turn)),
            _ => {}
        }
        let seq = self.state.size();
        let community_seq = record.community.map(|community| self.state.next_in(community));
        let leaf = self
            .frame
            .add(|into| encode(record, seq, community_seq, at_text, into))
            .map_err(|error| Error::io("encode a record for", &self.segment.name)(error.into()))?
            .map_err(|large| Error::TooLarge { bytes: large.0, limit: MAX_RECORD })?;
        self.state.push(record.community, mark, Some(at), leaf);
        Ok(Receipt { seq, community_seq, at })
    }

    /// Makes durable what was read: nothing may be signed, sealed or built upon that a crash could still take back.
    fn settle(&mut self) -> Result<(), Error> {
        if self.unsettled {
            self.segment.file.sync().map_err(Error::io("sync", &self.segment.name))?;
            self.notes.sync().map_err(Error::io("sync", CHECKPOINTS))?;
            self.folder.sync_names()?;
            self.unsettled = false;
        }
        Ok(())
    }

    fn write_checkpoint(&mut self) -> Result<(), Error> {
        self.settle()?;
        let (size, root) = (self.state.size(), self.state.root());
        let origin = self.signer.verifier().name().to_owned();
        let note = self.signer.sign(&Checkpoint { origin, size, root }.text()) + "\n";
        let written = append_all(&mut *self.notes, note.as_bytes()).and_then(|()| self.notes.sync());
        if let Err(error) = written {
            let _ = self.notes.truncate(self.notes_len);
            return Err(Error::io("write", CHECKPOINTS)(error));
        }
        if self.notes_len == 0 {
            self.folder.sync_names()?;
        }
        self.signed = Signed { size, offset: self.notes_len, at: self.clock.monotonic() };
        self.noted = size;
        self.meter.sign(size, root);
        self.notes_len += note.len() as u64;
        Ok(())
    }

    /// Finishes the segment: a checkpoint at its end, its seal, and only then the next segment.
    fn roll(&mut self) -> Result<(), Error> {
        if self.signed.size < self.state.size() {
            self.write_checkpoint()?;
        }
        let origin = self.signer.verifier().name();
        let seal = Seal::new(origin, self.segment.first, self.signed.offset, &self.state);
        let name = seal_name(self.segment.first);
        let note = seal.sign(&self.signer).map_err(|error| Error::io("encode", &name)(error.into()))?;
        let draft = format!("{name}.new");
        let mut file = self.folder.open(&draft, Access::Append)?;
        file.truncate(0)
            .and_then(|()| append_all(&mut *file, note.as_bytes()))
            .and_then(|()| file.sync())
            .and_then(|()| self.folder.disk.rename(&self.folder.path(&draft), &self.folder.path(&name)))
            .map_err(Error::io("write", &name))?;
        self.folder.sync_names()?;
        self.segment = Segment::open(&self.folder, self.state.size())?;
        Ok(())
    }

    /// Takes in what others wrote since. Returns how many bytes of an unfinished write were removed.
    fn catch_up(&mut self, tail: Tail) -> Result<u64, Error> {
        Ok(self.read_notes(tail)? + self.read_records(tail)?)
    }

    fn read_notes(&mut self, tail: Tail) -> Result<u64, Error> {
        let len = self.notes.length().map_err(Error::io("read", CHECKPOINTS))?;
        if len < self.notes_len {
            let fault = Fault::Shortened { expected: self.notes_len, found: len };
            return Err(Error::damaged(CHECKPOINTS, len, fault));
        }
        if len == self.notes_len {
            return Ok(0);
        }
        let mut notes = Notes::new(self.notes_len, len);
        loop {
            let next = notes.next(&mut *self.notes, &self.trusted).map_err(Error::io("read", CHECKPOINTS))?;
            match next {
                Next::End => return Ok(0),
                Next::Note(offset, Ok(checkpoint)) => {
                    let Checkpoint { size, root, .. } = checkpoint;
                    if size < self.signed.size {
                        let fault = Fault::NoteOrder { previous: self.signed.size, found: size };
                        return Err(Error::damaged(CHECKPOINTS, offset, fault));
                    }
                    self.signed = Signed { size, offset, at: self.clock.monotonic() };
                    self.meter.sign(size, root);
                    self.unsettled = true;
                    self.notes_len = notes.offset();
                    // One for fewer records than were read was written while we read without the lock.
                    self.awaited.push_back(Awaited { size, root, offset });
                    self.compare_awaited()?;
                }
                Next::Note(..) | Next::Unfinished(_) if tail == Tail::Leave => return Ok(0),
                Next::Note(offset, Err(fault)) => return Err(Error::damaged(CHECKPOINTS, offset, fault)),
                Next::Unfinished(offset) => {
                    let cut = self.notes.truncate(offset).and_then(|()| self.notes.sync());
                    cut.map_err(Error::io("repair", CHECKPOINTS))?;
                    return Ok(len - offset);
                }
            }
        }
    }

    /// Compares the root with every checkpoint that was signed for as many records as were read by now.
    fn compare_awaited(&mut self) -> Result<(), Error> {
        while let Some(awaited) = self.awaited.pop_front_if(|awaited| awaited.size <= self.state.size()) {
            if awaited.size < self.state.size() {
                continue;
            }
            if awaited.root != self.state.root() {
                let fault = Fault::Root { size: awaited.size };
                return Err(Error::damaged(CHECKPOINTS, awaited.offset, fault));
            }
            self.noted = awaited.size;
        }
        Ok(())
    }

    fn read_records(&mut self, tail: Tail) -> Result<u64, Error> {
        let mut removed = 0;
        loop {
            let len = self.segment.file.length().map_err(Error::io("read", &self.segment.name))?;
            if len < self.segment.len {
                let fault = Fault::Shortened { expected: self.segment.len, found: len };
                return Err(Error::damaged(&self.segment.name, len, fault));
            }
            let mut frames = Frames::new(self.segment.len, len);
            while self.segment.len < len {
                let next = frames.next(&mut *self.segment.file);
                match next.map_err(Error::io("read", &self.segment.name))? {
                    Found::End => break,
                    Found::Frame { offset, first } => self.take_frame(&frames, offset, first)?,
                    Found::Bad { .. } if tail == Tail::Leave => return Ok(0),
                    Found::Bad { offset, bad } => {
                        self.remove_unfinished(&mut frames, offset, bad)?;
                        removed = len - offset;
                        break;
                    }
                }
                self.segment.len = frames.end();
            }
            let next = segment_name(self.state.size());
            if next == self.segment.name || !self.folder.exists(&next)? {
                break;
            }
            // A segment's end is signed before the next segment is there, maybe since the checkpoints were read.
            self.read_notes(tail)?;
            if self.noted != self.state.size() {
                let fault = Fault::UnsignedEnd { size: self.state.size() };
                return Err(Error::damaged(&self.segment.name, self.segment.len, fault));
            }
            self.segment = Segment::open(&self.folder, self.state.size())?;
        }
        if tail == Tail::Judge {
            self.refuse_missing()?;
        }
        Ok(removed)
    }

    fn take_frame(&mut self, frames: &Frames, offset: u64, first: u64) -> Result<(), Error> {
        let name = &self.segment.name;
        let expected = self.state.size();
        if first != expected {
            return Err(Error::damaged(name, offset, Fault::Discontinuous { expected, found: first }));
        }
        for (payload, leaf) in frames.records() {
            let mut fault = None;
            match Skim::parse(payload) {
                Some(record) => {
                    self.state.take(&record, leaf, |violation| fault = Some(Fault::Record(violation)))
                }
                None => fault = Some(Fault::Record(crate::Violation::Malformed)),
            }
            if let Some(fault) = fault {
                return Err(Error::damaged(&self.segment.name, offset, fault));
            }
            self.compare_awaited()?;
        }
        self.unsettled = true;
        self.frames_read += 1;
        Ok(())
    }

    /// Removes an unfinished last write; anything else that does not read is an error.
    fn remove_unfinished(&mut self, frames: &mut Frames, offset: u64, bad: Bad) -> Result<(), Error> {
        let name = self.segment.name.clone();
        let is_last = self.folder.segments()?.last() == Some(&self.segment.first);
        let unfinished =
            frames.is_unfinished(&mut *self.segment.file, bad).map_err(Error::io("read", &name))?;
        if !(is_last && unfinished) {
            return Err(Error::damaged(&name, offset, bad.into()));
        }
        // A checkpoint is signed only after its records are durable: if it covers more than is there, records are lost.
        self.refuse_missing()?;
        let cut = self.segment.file.truncate(offset).and_then(|()| self.segment.file.sync());
        cut.map_err(Error::io("repair", &name))
    }

    fn refuse_missing(&self) -> Result<(), Error> {
        let found = self.state.size();
        self.awaited.front().map_or(Ok(()), |awaited| {
            let fault = Fault::Missing { signed: awaited.size, found };
            Err(Error::damaged(&self.segment.name, self.segment.len, fault))
        })
    }
}

/// Where reading begins: after the last segment that has a seal. Gives the next segment, the state before it, and the
/// place of its first checkpoint.
fn base(folder: &Folder, trusted: &[Verifier]) -> Result<(u64, State, u64), Error> {
    let segments = folder.segments()?;
    for first in segments.iter().rev().skip(1) {
        let Some(seal) = folder.seal(*first, trusted)? else { continue };
        let state = seal.state().ok_or_else(|| Error::damaged(&seal_name(*first), 0, Fault::Seal))?;
        let next = segments.iter().find(|next| *next > first).copied().unwrap_or(seal.size);
        if next != seal.size {
            let fault = Fault::Discontinuous { expected: seal.size, found: next };
            return Err(Error::damaged(&segment_name(next), 0, fault));
        }
        return Ok((next, state, seal.checkpoint_at));
    }
    match segments.first() {
        Some(0) | None => Ok((0, State::new(), 0)),
        Some(found) => {
            let fault = Fault::Discontinuous { expected: 0, found: *found };
            Err(Error::damaged(&segment_name(*found), 0, fault))
        }
    }
}
