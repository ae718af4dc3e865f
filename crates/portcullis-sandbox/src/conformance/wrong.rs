//! Sandboxes that are wrong on purpose. Each wraps a right one, changes one thing, and must be caught.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::attempts::ESCAPED;
use crate::job::{Description, End, Error, Job, Limit, Limits, Ran, Sandbox};

/// How a sandbox is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing runs: whatever is tried fails.
    Dead,
    /// Nothing is said, and every job ends well.
    Mute,
    /// It says that it was refused, whatever was run.
    YesMan,
    /// Memory is not limited.
    Roomy,
    /// Output is not limited.
    Chatty,
    /// Files are not limited.
    Hoarding,
    /// What is over its time is told to have ended by itself.
    Patient,
    /// The files of the last job are there for the next.
    Remembering,
    /// The files it is given are not there.
    Forgetful,
    /// What no job gets is told as got.
    Open,
    /// After a job was stopped none runs any more.
    Fragile,
    /// A program that was got ready runs once, and what it said then is told for every later job of it.
    Stale,
}

impl Flaw {
    /// Every flaw.
    pub const ALL: [Self; 12] = [
        Self::Dead,
        Self::Mute,
        Self::YesMan,
        Self::Roomy,
        Self::Chatty,
        Self::Hoarding,
        Self::Patient,
        Self::Remembering,
        Self::Forgetful,
        Self::Open,
        Self::Fragile,
        Self::Stale,
    ];
}

/// A sandbox with a flaw.
#[derive(Debug)]
pub struct Wrong<S> {
    flaw: Flaw,
    right: S,
    broken: Mutex<bool>,
    ready: Mutex<Vec<Ready>>,
}

/// A program that was got ready, and what it said first.
type Ready = (Arc<[u8]>, Option<Ran>);

impl<S: Sandbox> Wrong<S> {
    /// The right one with this flaw.
    pub const fn new(flaw: Flaw, right: S) -> Self {
        Self { flaw, right, broken: Mutex::new(false), ready: Mutex::new(Vec::new()) }
    }

    fn bent(&self, job: &Job) -> Job {
        let mut job = job.clone();
        let limits: Limits = job.limits;
        match self.flaw {
            Flaw::Roomy => job.limits.memory = 6_000 << 16,
            Flaw::Chatty => job.limits.output = limits.output.saturating_mul(4),
            Flaw::Hoarding => {
                job.limits.files = 1 << 30;
                job.limits.time = Duration::from_millis(200);
            }
            Flaw::Remembering => job.files.push(("notes.txt".to_owned(), Arc::from(*b"before"))),
            Flaw::Forgetful => job.files.clear(),
            _ => {}
        }
        job
    }
}

impl<S: Sandbox> Sandbox for Wrong<S> {
    fn describe(&self) -> Description {
        self.right.describe()
    }

    fn prepare(&self, program: &Arc<[u8]>) -> Result<(), Error> {
        if self.flaw == Flaw::Stale
            && let Ok(mut ready) = self.ready.lock()
        {
            ready.push((Arc::clone(program), None));
        }
        self.right.prepare(program)
    }

    fn run(&self, job: &Job) -> Result<Ran, Error> {
        if self.flaw == Flaw::Stale
            && let Ok(mut ready) = self.ready.lock()
            && let Some((_, first)) = ready.iter_mut().find(|(program, _)| Arc::ptr_eq(program, &job.program))
        {
            return match first {
                Some(first) => Ok(first.clone()),
                None => self.right.run(job).inspect(|ran| *first = Some(ran.clone())),
            };
        }
        let said = |text: &str| Ran { end: End::Exited(0), output: text.into(), errors: Vec::new() };
        match self.flaw {
            Flaw::Dead => return Err(Error::Failed("nothing runs here".to_owned())),
            Flaw::Mute => return Ok(said("")),
            Flaw::YesMan => return Ok(said("held\n")),
            _ => {}
        }
        if self.flaw == Flaw::Fragile && self.broken.lock().is_ok_and(|broken| *broken) {
            return Err(Error::Failed("it is broken".to_owned()));
        }
        let outcome = self.right.run(&self.bent(job));
        match (self.flaw, &outcome) {
            (Flaw::Patient, Ok(Ran { end: End::Stopped(Limit::Time), .. })) => Ok(said("")),
            (Flaw::Open, Err(Error::Refused(_))) => Ok(said(ESCAPED)),
            (Flaw::Fragile, Ok(Ran { end: End::Stopped(_), .. })) => {
                if let Ok(mut broken) = self.broken.lock() {
                    *broken = true;
                }
                outcome
            }
            _ => outcome,
        }
    }
}
