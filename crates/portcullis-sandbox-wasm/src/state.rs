//! What one job has while it runs.

use std::sync::Arc;

use portcullis_sandbox::Job;

use crate::files::Files;
use crate::limits::Room;

/// All that a job can reach by a call.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) arguments: Vec<String>,
    pub(crate) input: Arc<[u8]>,
    pub(crate) read: usize,
    pub(crate) output: Vec<u8>,
    pub(crate) errors: Vec<u8>,
    pub(crate) most_output: usize,
    pub(crate) files: Files,
    pub(crate) room: Room,
    /// The code that it ended itself with.
    pub(crate) exited: Option<i32>,
    ticks: u64,
    random: u64,
}

impl State {
    pub(crate) fn new(job: &Job) -> Self {
        Self {
            arguments: job.arguments.clone(),
            input: Arc::clone(&job.input),
            read: 0,
            output: Vec::new(),
            errors: Vec::new(),
            most_output: job.limits.output,
            files: Files::new(job.limits.files, &job.files),
            room: Room::new(job.limits.memory),
            exited: None,
            ticks: 0,
            random: job.seed,
        }
    }

    /// A time that tells nothing of the machine: it begins at 2000-01-01 and goes on by a microsecond with each look.
    pub(crate) fn time(&mut self) -> u64 {
        const BEGIN: u64 = 946_684_800_000_000_000;
        self.ticks = self.ticks.saturating_add(1_000);
        BEGIN.saturating_add(self.ticks)
    }

    /// Numbers that follow from the seed alone (SplitMix64, which is no source of secrets).
    pub(crate) fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Takes in what is said; less than all of it where the limit is reached.
    pub(crate) fn say(&mut self, errors: bool, bytes: &[u8]) -> bool {
        let room = self.most_output.saturating_sub(self.output.len() + self.errors.len());
        let taken = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        let stream = if errors { &mut self.errors } else { &mut self.output };
        stream.extend_from_slice(taken);
        taken.len() == bytes.len()
    }
}
