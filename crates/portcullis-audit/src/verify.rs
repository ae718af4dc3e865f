//! Verification: everything recomputed from the bytes, and every problem reported with its place.
//!
//! It reads nothing but the files and trusts nothing but the keys and anchors it is given. It changes nothing.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use portcullis_core::CommunityId;

use crate::archive::{Archive, Moment};
use crate::checkpoint::{Checkpoint, Next, Notes};
use crate::disk::{Access, LogFile};
use crate::error::{Error, Fault, Violation};
use crate::frame::{Bad, Found, Frames};
use crate::journal::CHECKPOINT_RECORDS;
use crate::layout::{CHECKPOINTS, seal_name, segment_name};
use crate::merkle::TreeHash;
use crate::note::Verifier;
use crate::record::{Entry, Skim};
use crate::state::{OpenTurn, State};

/// More problems than these are counted, not listed.
const LISTED: usize = 1000;
/// Where an anchor's problems are reported.
const ANCHOR: &str = "anchor";

/// What to verify against.
#[derive(Debug, Clone)]
pub struct VerifyOptions {
    /// The keys whose signatures count: the journal's, and earlier ones of it.
    pub trusted: Vec<Verifier>,
    /// Checkpoints that were kept elsewhere. The journal must still begin with the records they were signed for.
    pub anchors: Vec<Checkpoint>,
    /// By how much time may go back from one record to the next, since clocks are set.
    pub clock_tolerance: Duration,
    /// After how many new records the journal signs a checkpoint, see [`crate::Options::checkpoint_records`]. With fewer than
    /// these unsigned, one frame more may have been written before whoever wrote it was stopped.
    pub checkpoint_records: u64,
}

impl VerifyOptions {
    /// With these keys, no anchors, a tolerance of 60 s, and checkpoints as by [`crate::Options::new`].
    pub fn new(trusted: Vec<Verifier>) -> Self {
        Self {
            trusted,
            anchors: Vec::new(),
            clock_tolerance: Duration::from_secs(60),
            checkpoint_records: CHECKPOINT_RECORDS,
        }
    }
}

/// What was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// How many records there are.
    pub records: u64,
    /// The root of all of them.
    pub root: TreeHash,
    /// How many signed checkpoints match.
    pub checkpoints: u64,
    /// How many records the newest of them covers. Those after it are in order, but not signed yet.
    pub signed: u64,
    /// How many records each community has.
    pub communities: HashMap<CommunityId, u64>,
    /// Turns that were opened and not closed yet.
    pub open_turns: Vec<OpenTurn>,
    /// When the first record was written.
    pub first_at: Option<Timestamp>,
    /// When the last record was written.
    pub last_at: Option<Timestamp>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file's name, or `anchor` for a checkpoint that was given.
    pub file: String,
    /// Where in the file; for an anchor, its place in the list.
    pub offset: u64,
    /// What is wrong there.
    pub fault: Fault,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` at byte {}: {}", self.file, self.offset, self.fault)
    }
}

/// Everything that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// The problems, in the order in which they were found, at most 1,000.
    pub listed: Vec<Problem>,
    /// How many more there are.
    pub omitted: u64,
    /// How many records could be read all the same.
    pub records: u64,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.listed.len() as u64 + self.omitted;
        write!(f, "the audit journal does not verify: {count} problems")?;
        self.listed.iter().try_for_each(|problem| write!(f, "\n{problem}"))
    }
}

impl std::error::Error for Problems {}

impl Archive {
    /// Verifies the whole journal: every frame, the root at every checkpoint and anchor and its signature, every
    /// seal, the numbers of records and communities, the times, the opening and closing of turns.
    ///
    /// # Errors
    /// The outer error is that the files could not be read. The inner one holds what is wrong with them.
    pub fn verify(&self, options: &VerifyOptions) -> Result<Result<Verified, Problems>, Error> {
        let moment = self.look()?;
        let mut pass = Pass::new(self, options);
        pass.read_notes(&moment)?;
        pass.read_segments(&moment)?;
        Ok(pass.finish())
    }
}

/// A signed size and root that the records must have.
struct Claim {
    file: &'static str,
    offset: u64,
    size: u64,
    root: TreeHash,
}

struct Pass<'a> {
    archive: &'a Archive,
    options: &'a VerifyOptions,
    state: State,
    /// By size.
    claims: VecDeque<Claim>,
    checkpoints: u64,
    signed: u64,
    /// The largest size up to here for which a checkpoint stands.
    noted: u64,
    /// Records were missing or unreadable, so no root after them can be computed.
    broken: bool,
    first_at: Option<Timestamp>,
    last_at: Option<Timestamp>,
    problems: Problems,
}

impl<'a> Pass<'a> {
    fn new(archive: &'a Archive, options: &'a VerifyOptions) -> Self {
        Self {
            archive,
            options,
            state: State::new(),
            claims: VecDeque::new(),
            checkpoints: 0,
            signed: 0,
            noted: 0,
            broken: false,
            first_at: None,
            last_at: None,
            problems: Problems { listed: Vec::new(), omitted: 0, records: 0 },
        }
    }

    fn report(&mut self, file: &str, offset: u64, fault: Fault) {
        if self.problems.listed.len() < LISTED {
            self.problems.listed.push(Problem { file: file.to_owned(), offset, fault });
        } else {
            self.problems.omitted += 1;
        }
    }

    fn read_notes(&mut self, moment: &Moment) -> Result<(), Error> {
        let anchors = (0..).zip(&self.options.anchors);
        let mut claims: Vec<_> = anchors
            .map(|(offset, anchor)| Claim { file: ANCHOR, offset, size: anchor.size, root: anchor.root })
            .collect();
        if let Some(limit) = moment.notes {
            let mut file = self.archive.folder.open(CHECKPOINTS, Access::Read)?;
            let mut notes = Notes::new(0, limit);
            let mut previous = 0;
            loop {
                let next = notes.next(&mut *file, &self.options.trusted);
                match next.map_err(Error::io("read", CHECKPOINTS))? {
                    Next::End => break,
                    Next::Unfinished(offset) => {
                        self.report(CHECKPOINTS, offset, Fault::Unfinished { bytes: limit - offset });
                        break;
                    }
                    Next::Note(offset, Err(fault)) => self.report(CHECKPOINTS, offset, fault),
                    Next::Note(offset, Ok(Checkpoint { size, root, .. })) => {
                        if size < previous {
                            self.report(CHECKPOINTS, offset, Fault::NoteOrder { previous, found: size });
                        }
                        previous = size.max(previous);
                        self.checkpoints += 1;
                        claims.push(Claim { file: CHECKPOINTS, offset, size, root });
                    }
                }
            }
            self.signed = previous;
        }
        claims.sort_by_key(|claim| claim.size);
        self.claims = claims.into();
        self.compare_claims();
        Ok(())
    }

    /// Compares the root with every claim about as many records as there are by now.
    fn compare_claims(&mut self) {
        let size = self.state.next();
        while let Some(claim) = self.claims.pop_front_if(|claim| claim.size <= size) {
            if claim.file == CHECKPOINTS {
                self.noted = claim.size;
            }
            if self.broken {
                self.report(claim.file, claim.offset, Fault::Unjudged);
            } else if claim.root != self.state.root() {
                self.report(claim.file, claim.offset, Fault::Root { size: claim.size });
            }
        }
    }

    fn read_segments(&mut self, moment: &Moment) -> Result<(), Error> {
        let last = moment.segments.last().map(|(first, _)| *first);
        for (first, limit) in &moment.segments {
            let name = segment_name(*first);
            self.expect(&name, 0, *first);
            let mut file = self.archive.folder.open(&name, Access::Read)?;
            let mut frames = Frames::new(0, *limit);
            self.read_frames(&name, &mut *file, &mut frames, last == Some(*first))?;
            let size = self.state.next();
            if last != Some(*first) && !self.broken && self.noted != size {
                self.report(&name, *limit, Fault::UnsignedEnd { size });
            }
            self.judge_seal(*first, last == Some(*first))?;
        }
        let found = self.state.next();
        while let Some(claim) = self.claims.pop_front() {
            self.report(claim.file, claim.offset, Fault::Missing { signed: claim.size, found });
        }
        let records = found.saturating_sub(self.signed);
        let folder = &self.archive.folder;
        if (self.checkpoints == 0 && found > 0)
            || folder.is_too_much_unsigned(records, self.options.checkpoint_records)?
        {
            self.report(CHECKPOINTS, moment.notes.unwrap_or(0), Fault::Unsigned { records });
        }
        Ok(())
    }

    /// Compares the number at which something starts with the one it should start at.
    fn expect(&mut self, name: &str, offset: u64, found: u64) {
        let expected = self.state.next();
        if found != expected {
            self.report(name, offset, Fault::Discontinuous { expected, found });
            self.broken = true;
            self.state.expect(found);
        }
    }

    fn read_frames(
        &mut self,
        name: &str,
        file: &mut dyn LogFile,
        frames: &mut Frames,
        is_last: bool,
    ) -> Result<(), Error> {
        loop {
            match frames.next(file).map_err(Error::io("read", name))? {
                Found::End => return Ok(()),
                Found::Frame { offset, first } => {
                    self.expect(name, offset, first);
                    for (payload, leaf) in frames.records() {
                        self.take(name, offset, payload, leaf);
                    }
                }
                Found::Bad { offset, bad } => {
                    if is_last && frames.is_unfinished(file, bad).map_err(Error::io("read", name))? {
                        let bytes = frames.limit() - offset;
                        self.report(name, offset, Fault::Unfinished { bytes });
                        return Ok(());
                    }
                    self.report(name, offset, bad.into());
                    self.broken = true;
                    if let Bad::Body { len, first, count } = bad {
                        // The header is good, so it is known what follows.
                        frames.skip(len);
                        self.state.expect(first.saturating_add(u64::from(count)));
                    } else {
                        frames.resync(file).map_err(Error::io("read", name))?;
                        if frames.end() == offset {
                            return Ok(());
                        }
                    }
                    self.compare_claims();
                }
            }
        }
    }

    fn take(&mut self, name: &str, offset: u64, payload: &[u8], leaf: TreeHash) {
        self.problems.records += 1;
        let record = Skim::parse(payload).filter(|_| Entry::parse(payload).is_some());
        let at = record.as_ref().and_then(|record| record.at.parse::<Timestamp>().ok());
        let (Some(record), Some(at)) = (record, at) else {
            self.state.take_unreadable(leaf);
            self.report(name, offset, Fault::Record(Violation::Malformed));
            self.compare_claims();
            return;
        };
        let mut violations = Vec::new();
        self.state.take(&record, leaf, |violation| violations.push(violation));
        let tolerated = i64::try_from(self.options.clock_tolerance.as_millis()).unwrap_or(i64::MAX);
        let back_ms = self.last_at.map_or(0, |last| last.as_millisecond() - at.as_millisecond());
        if back_ms > tolerated {
            violations.push(Violation::TimeWentBack { back_ms });
        }
        self.first_at.get_or_insert(at);
        self.last_at = Some(at);
        for violation in violations {
            self.report(name, offset, Fault::Record(violation));
        }
        self.compare_claims();
    }

    /// A segment with a successor has a seal; a lost one can be done without, as a checkpoint stands for the segment's end. A
    /// wrong one cannot.
    fn judge_seal(&mut self, first: u64, is_last: bool) -> Result<(), Error> {
        let name = seal_name(first);
        match self.archive.folder.seal(first, &self.options.trusted) {
            Ok(Some(_)) if self.broken => self.report(&name, 0, Fault::Unjudged),
            // A crash can leave the seal of a segment that had no successor yet, and more may have been appended.
            Ok(Some(seal)) if !seal.matches(first, &self.state) && !is_last => {
                self.report(&name, 0, Fault::Seal);
            }
            Ok(_) => {}
            Err(Error::Damaged { file, offset, fault }) => self.report(&file, offset, fault),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn finish(self) -> Result<Verified, Problems> {
        if !self.problems.listed.is_empty() {
            return Err(self.problems);
        }
        Ok(Verified {
            records: self.state.size(),
            root: self.state.root(),
            checkpoints: self.checkpoints,
            signed: self.signed,
            communities: self.state.communities().clone(),
            open_turns: self.state.open_turns(),
            first_at: self.first_at,
            last_at: self.last_at,
        })
    }
}
