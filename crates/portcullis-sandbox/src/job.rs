//! A job, its limits, and what became of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How much a job may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest time that it runs.
    pub time: Duration,
    /// The most bytes of memory.
    pub memory: usize,
    /// The most bytes that it says, on both streams together.
    pub output: usize,
    /// The most bytes of its files, their names counted.
    pub files: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Duration::from_secs(10), memory: 64 << 20, output: 1 << 20, files: 16 << 20 }
    }
}

/// Something to run.
#[derive(Clone)]
pub struct Job {
    /// The program, in the form that the backend runs: WebAssembly with WASI preview 1.
    pub program: Arc<[u8]>,
    /// Its arguments, its own name first.
    pub arguments: Vec<String>,
    /// What it reads as its standard input.
    pub input: Arc<[u8]>,
    /// Its files when it begins, by name: none, unless the caller gives some.
    pub files: Vec<(String, Arc<[u8]>)>,
    /// What its random numbers begin with: equal seeds, equal numbers.
    pub seed: u64,
    /// How much it may use.
    pub limits: Limits,
}

impl Job {
    /// A program without arguments, input and files, under the usual limits.
    pub fn new(program: impl Into<Arc<[u8]>>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            input: Arc::from([]),
            files: Vec::new(),
            seed: 0,
            limits: Limits::default(),
        }
    }

    /// The same under other limits.
    #[must_use]
    pub const fn within(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

/// Sizes only: what a job is and reads may be private.
impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("program", &self.program.len())
            .field("arguments", &self.arguments.len())
            .field("input", &self.input.len())
            .field("files", &self.files.len())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Which limit a job reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Its time.
    Time,
    /// Its memory.
    Memory,
    /// What it may say.
    Output,
    /// What its files may hold.
    Files,
}

impl Limit {
    /// The name in the audit and in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Memory => "memory",
            Self::Output => "output",
            Self::Files => "files",
        }
    }
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself, with this code.
    Exited(i32),
    /// By a fault of its own, such as an access outside its memory or a stack without end.
    Trapped,
    /// By a limit.
    Stopped(Limit),
}

/// What became of a job.
#[derive(Clone, PartialEq, Eq)]
pub struct Ran {
    /// How it ended.
    pub end: End,
    /// What it said, as far as it may say.
    pub output: Vec<u8>,
    /// What it said of errors.
    pub errors: Vec<u8>,
}

impl fmt::Debug for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ran")
            .field("end", &self.end)
            .field("output", &self.output.len())
            .field("errors", &self.errors.len())
            .finish()
    }
}

/// Why a job did not run at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The program is none that this backend runs, or it asks for something that no job gets.
    #[error("the program cannot be run here: {0}")]
    Refused(String),
    /// Too many jobs wait already.
    #[error("too many jobs wait; try again later")]
    Busy,
    /// The backend itself failed.
    #[error("the sandbox failed: {0}")]
    Failed(String),
}

/// What a backend is, for the operator and for checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// Its kind: `webassembly`. Never the name of another kind.
    pub kind: &'static str,
    /// What keeps a job inside, in one line.
    pub walls: &'static str,
}

/// A backend. A call blocks until the job has ended, at the latest a moment after its time is over.
///
/// No job sees anything of the machine, of the caller or of another job, and nothing of it is left when the call returns.
pub trait Sandbox: Send + Sync + fmt::Debug {
    /// What it is.
    fn describe(&self) -> Description;

    /// Gets a program ready, once, so that its jobs begin at once: those whose `program` is this very allocation, for as long as
    /// somebody holds it. What is kept is the program and nothing that a job did. A backend without such a step keeps nothing.
    ///
    /// # Errors
    /// [`Error::Refused`] where no job of it could run.
    fn prepare(&self, program: &Arc<[u8]>) -> Result<(), Error> {
        let _ = program;
        Ok(())
    }

    /// Runs a job to its end.
    ///
    /// # Errors
    /// See [`Error`]: the job has not begun, or nothing is known of it.
    fn run(&self, job: &Job) -> Result<Ran, Error>;
}
