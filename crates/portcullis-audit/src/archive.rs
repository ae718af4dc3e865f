//! Reading the journal without writing to it: queries, exports and proofs, while a server may be appending.
//!
//! Everything streams: no call holds more than one frame in memory, apart from a proof's few hashes.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use portcullis_core::{CommunityId, TurnId};

use crate::checkpoint::{Checkpoint, Next, Notes};
use crate::disk::{Access, Disk, LogFile, StdDisk};
use crate::error::{Error, Fault, Violation};
use crate::frame::{Found, Frames};
use crate::layout::{CHECKPOINTS, Folder, LOCK, segment_name};
use crate::merkle::{RangeRoots, TreeHash, consistency_ranges, inclusion_ranges};
use crate::note::Verifier;
use crate::record::{Entry, Skim};

/// Which entries to read. The default is all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Only those of this community.
    pub community: Option<CommunityId>,
    /// Only those of this turn.
    pub turn: Option<TurnId>,
    /// Only those of this kind, see [`crate::Event::KINDS`].
    pub kind: Option<String>,
    /// Only those written at this time or later.
    pub from: Option<Timestamp>,
    /// Only those written before this time.
    pub until: Option<Timestamp>,
    /// Only those with this number or a later one.
    pub from_seq: u64,
}

impl Filter {
    /// `None`: the time does not read.
    fn takes(&self, record: &Skim<'_>) -> Option<bool> {
        let named = record.seq >= self.from_seq
            && self.community.is_none_or(|community| record.community == Some(community))
            && self.turn.is_none_or(|turn| record.turn() == Some(turn))
            && self.kind.as_ref().is_none_or(|kind| record.kind() == kind);
        if !named || (self.from.is_none() && self.until.is_none()) {
            return Some(named);
        }
        let at: Timestamp = record.at.parse().ok()?;
        Some(self.from.is_none_or(|from| at >= from) && self.until.is_none_or(|until| at < until))
    }
}

/// A journal's directory, open for reading.
#[derive(Debug, Clone)]
pub struct Archive {
    pub(crate) folder: Folder,
}

/// How much of each file belongs to the moment at which one looked.
#[derive(Debug, Clone)]
pub(crate) struct Moment {
    /// The first record and the length of every segment, in order.
    pub(crate) segments: Vec<(u64, u64)>,
    /// The length of the file of checkpoints; `None` when there is none.
    pub(crate) notes: Option<u64>,
}

impl Archive {
    /// The journal in `dir`.
    pub fn new(dir: &Path) -> Self {
        Self::on(Arc::new(StdDisk), dir)
    }

    /// The journal in `dir` on another file layer.
    pub fn on(disk: Arc<dyn Disk>, dir: &Path) -> Self {
        Self { folder: Folder::new(disk, dir) }
    }

    /// Looks at the files while nobody writes. A copy without a lock file has no writer.
    pub(crate) fn look(&self) -> Result<Moment, Error> {
        let folder = &self.folder;
        let mut lock = None;
        if folder.exists(LOCK)? {
            let opened = folder.disk.open_lock(&folder.path(LOCK), Access::Read);
            let mut held = opened.map_err(Error::io("open", LOCK))?;
            held.lock_shared().map_err(Error::io("lock", LOCK))?;
            lock = Some(held);
        }
        let len = |name: &str| folder.open(name, Access::Read)?.length().map_err(Error::io("read", name));
        let segments = folder.segments()?;
        let segments: Result<_, Error> =
            segments.into_iter().map(|first| Ok((first, len(&segment_name(first))?))).collect();
        let notes = if folder.exists(CHECKPOINTS)? { Some(len(CHECKPOINTS)?) } else { None };
        drop(lock);
        Ok(Moment { segments: segments?, notes })
    }

    /// The entries that the filter takes, oldest first. Frames are checked as they are read; for signatures and
    /// completeness there is [`Archive::verify`].
    pub fn read(&self, filter: Filter) -> Result<Entries, Error> {
        let segments = self.look()?.segments;
        // A segment whose successor begins at or before the first number wanted holds none that is wanted.
        let skipped = segments.iter().skip(1).take_while(|(first, _)| *first <= filter.from_seq).count();
        let segments = segments.into_iter().skip(skipped).collect::<Vec<_>>().into_iter();
        Ok(Entries { folder: self.folder.clone(), segments, filter, current: None, ended: false })
    }

    /// The newest checkpoint that a trusted key signed, with its note, to be kept elsewhere.
    pub fn latest_checkpoint(&self, trusted: &[Verifier]) -> Result<Option<(Checkpoint, String)>, Error> {
        let Some(limit) = self.look()?.notes else { return Ok(None) };
        let mut file = self.folder.open(CHECKPOINTS, Access::Read)?;
        let mut notes = Notes::new(0, limit);
        let mut latest = None;
        loop {
            match notes.next(&mut *file, trusted).map_err(Error::io("read", CHECKPOINTS))? {
                Next::Note(offset, Ok(checkpoint)) => latest = Some((checkpoint, offset..notes.offset())),
                Next::Note(offset, Err(fault)) => return Err(Error::damaged(CHECKPOINTS, offset, fault)),
                Next::End | Next::Unfinished(_) => break,
            }
        }
        let Some((checkpoint, range)) = latest else { return Ok(None) };
        let mut window = crate::disk::Window::new(range.start, range.end);
        let want = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        window.fill(&mut *file, want).map_err(Error::io("read", CHECKPOINTS))?;
        let note = String::from_utf8_lossy(window.unread()).trim_end().to_owned() + "\n";
        Ok(Some((checkpoint, note)))
    }

    /// The leaf hash of record `index` and the proof that it is among the first `size` records, for
    /// [`crate::verify_inclusion`].
    pub fn prove_inclusion(&self, index: u64, size: u64) -> Result<(TreeHash, Vec<TreeHash>), Error> {
        let missing = || self.out_of_range();
        let mut ranges = inclusion_ranges(index, size).ok_or_else(missing)?;
        // The leaf itself is a range of one.
        ranges.push(index..index + 1);
        let mut roots = self.roots(ranges)?;
        let leaf = roots.pop().ok_or_else(missing)?;
        Ok((leaf, roots))
    }

    /// The proof that the first `old` records stand unchanged at the beginning of the first `new` ones, for
    /// [`crate::verify_consistency`].
    pub fn prove_consistency(&self, old: u64, new: u64) -> Result<Vec<TreeHash>, Error> {
        self.roots(consistency_ranges(old, new).ok_or_else(|| self.out_of_range())?)
    }

    fn out_of_range(&self) -> Error {
        let size = self.size();
        size.map_or_else(|error| error, |size| Error::OutOfRange { size })
    }

    /// How many records there are.
    pub fn size(&self) -> Result<u64, Error> {
        let moment = self.look()?;
        let Some(last) = moment.segments.last() else { return Ok(0) };
        let mut size = last.0;
        self.leaves(std::iter::once(*last), |_, _| {
            size += 1;
            true
        })?;
        Ok(size)
    }

    fn roots(&self, ranges: Vec<Range<u64>>) -> Result<Vec<TreeHash>, Error> {
        let mut roots = RangeRoots::new(ranges);
        let end = roots.end();
        if end > 0 {
            self.leaves(self.look()?.segments.into_iter(), |index, leaf| {
                roots.push(index, leaf);
                index + 1 < end
            })?;
        }
        roots.finish().ok_or_else(|| self.out_of_range())
    }

    /// Gives every leaf in order until told to stop.
    fn leaves(
        &self,
        segments: impl Iterator<Item = (u64, u64)>,
        mut each: impl FnMut(u64, TreeHash) -> bool,
    ) -> Result<(), Error> {
        for (first, limit) in segments {
            let mut segment = OpenSegment::open(&self.folder, first, limit)?;
            while segment.next_frame()? {
                for (index, (_, leaf)) in (segment.number..).zip(segment.frames.records()) {
                    if !each(index, leaf) {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }
}

#[derive(Debug)]
struct OpenSegment {
    name: String,
    file: Box<dyn LogFile>,
    frames: Frames,
    /// Where the current frame begins.
    offset: u64,
    /// The number of the current frame's first record.
    number: u64,
    /// The next record within the current frame.
    next: usize,
}

impl OpenSegment {
    fn open(folder: &Folder, first: u64, limit: u64) -> Result<Self, Error> {
        let name = segment_name(first);
        let file = folder.open(&name, Access::Read)?;
        Ok(Self { name, file, frames: Frames::new(0, limit), offset: 0, number: first, next: 0 })
    }

    /// Goes on to the next frame. `false` is the end of the segment.
    fn next_frame(&mut self) -> Result<bool, Error> {
        let expected = self.number + self.frames.record_count() as u64;
        let limit = self.frames.limit();
        match self.frames.next(&mut *self.file).map_err(Error::io("read", &self.name))? {
            Found::End => Ok(false),
            Found::Frame { offset, first } if first == expected => {
                (self.offset, self.number, self.next) = (offset, first, 0);
                Ok(true)
            }
            Found::Frame { offset, first } => {
                let fault = Fault::Discontinuous { expected, found: first };
                Err(Error::damaged(&self.name, offset, fault))
            }
            Found::Bad { offset, bad } => {
                let unfinished = self.frames.is_unfinished(&mut *self.file, bad);
                let unfinished = unfinished.map_err(Error::io("read", &self.name))?;
                let fault = if unfinished { Fault::Unfinished { bytes: limit - offset } } else { bad.into() };
                Err(Error::damaged(&self.name, offset, fault))
            }
        }
    }
}

/// Entries of the journal, oldest first. It ends after the first error.
#[derive(Debug)]
pub struct Entries {
    folder: Folder,
    segments: std::vec::IntoIter<(u64, u64)>,
    filter: Filter,
    current: Option<OpenSegment>,
    ended: bool,
}

impl Entries {
    fn advance(&mut self) -> Result<Option<Entry>, Error> {
        loop {
            let Some(segment) = &mut self.current else {
                let Some((first, limit)) = self.segments.next() else { return Ok(None) };
                self.current = Some(OpenSegment::open(&self.folder, first, limit)?);
                continue;
            };
            let Some((payload, _)) = segment.frames.record(segment.next) else {
                if !segment.next_frame()? {
                    self.current = None;
                }
                continue;
            };
            segment.next += 1;
            let malformed =
                || Error::damaged(&segment.name, segment.offset, Fault::Record(Violation::Malformed));
            let record = Skim::parse(payload).ok_or_else(malformed)?;
            if self.filter.takes(&record).ok_or_else(malformed)? {
                return Entry::parse(payload).ok_or_else(malformed).map(Some);
            }
        }
    }
}

impl Iterator for Entries {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.advance().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}
