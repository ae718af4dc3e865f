//! What the gate measures of its own work: how long each phase of a turn took, and what was refused by whom.
//!
//! Its cases are those of the code (a phase, a guard's name, a code), so nothing a request says can make another.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use portcullis_core::Clock;
use portcullis_core::measure::{Gauge, Times};

use crate::refusal::{Code, Refusal};

/// A part of a turn that is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// From the request's head to an authorised visit.
    Admit,
    /// The guards on the question.
    Screen,
    /// The search for passages.
    Recall,
    /// The guards on what was found.
    Ground,
    /// The opening record.
    Open,
    /// The wait for a place at the model.
    Queue,
    /// From the question to the first piece of the answer, or to all of one that is not streamed.
    Ask,
    /// The guards on a call of a tool, or the call itself.
    Tool,
    /// The guards on the answer.
    Release,
    /// The closing record.
    Close,
}

impl Phase {
    /// Every phase, in the order of a turn.
    pub const ALL: [Self; 10] = [
        Self::Admit,
        Self::Screen,
        Self::Recall,
        Self::Ground,
        Self::Open,
        Self::Queue,
        Self::Ask,
        Self::Tool,
        Self::Release,
        Self::Close,
    ];

    /// Its name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admit => "admit",
            Self::Screen => "screen",
            Self::Recall => "recall",
            Self::Ground => "ground",
            Self::Open => "open",
            Self::Queue => "queue",
            Self::Ask => "ask",
            Self::Tool => "tool",
            Self::Release => "release",
            Self::Close => "close",
        }
    }
}

/// What is measured.
#[derive(Debug, Default)]
pub struct Measures {
    phases: [Times; Phase::ALL.len()],
    refusals: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    streams: Arc<Gauge>,
}

impl Measures {
    /// Takes in how long a phase took.
    pub fn took(&self, phase: Phase, time: Duration) {
        if let Some(times) = self.phases.get(phase as usize) {
            times.add(time);
        }
    }

    /// Times a phase until the result is dropped, however it ends.
    pub fn time<'a>(&'a self, phase: Phase, clock: &'a dyn Clock) -> Timer<'a> {
        Timer { measures: self, clock, phase, began: clock.monotonic() }
    }

    pub(crate) fn refused(&self, refusal: &Refusal) {
        let mut refusals = self.refusals.lock();
        let count = refusals.entry((refusal.guard, refusal.code.name())).or_default();
        *count = count.saturating_add(1);
    }

    /// Each phase with its times.
    pub fn phases(&self) -> impl Iterator<Item = (Phase, &Times)> {
        Phase::ALL.into_iter().zip(&self.phases)
    }

    /// How often each guard refused with each code; the guard is `""` where none did. Only what happened is listed.
    pub fn refusals(&self) -> Vec<((&'static str, &'static str), u64)> {
        self.refusals.lock().iter().map(|(case, count)| (*case, *count)).collect()
    }

    /// How often requests were refused with that code.
    pub fn refused_with(&self, code: Code) -> u64 {
        self.refusals
            .lock()
            .iter()
            .filter(|((_, name), _)| *name == code.name())
            .map(|(_, count)| count)
            .sum()
    }

    /// The answers that are being streamed.
    pub fn streams(&self) -> &Arc<Gauge> {
        &self.streams
    }
}

/// A phase that is being timed.
#[derive(Debug)]
pub struct Timer<'a> {
    measures: &'a Measures,
    clock: &'a dyn Clock,
    phase: Phase,
    began: Duration,
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        self.measures.took(self.phase, self.clock.monotonic().saturating_sub(self.began));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use portcullis_core::ManualClock;

    use super::{Measures, Phase};
    use crate::refusal::{Code, Refusal};

    #[test]
    fn a_phase_is_timed_however_it_ends() {
        let clock = ManualClock::at("2026-01-02T03:04:05Z".parse().expect("a moment"));
        let measures = Measures::default();
        let early = || -> Option<()> {
            let _timer = measures.time(Phase::Recall, &clock);
            clock.advance(Duration::from_millis(20));
            None
        };
        assert_eq!(early(), None);
        for (index, (phase, times)) in measures.phases().enumerate() {
            assert_eq!(phase as usize, index);
            assert_eq!(times.read().count, u64::from(phase == Phase::Recall), "{phase:?}");
        }
        let names: BTreeSet<_> = Phase::ALL.iter().map(|phase| phase.name()).collect();
        assert_eq!(names.len(), Phase::ALL.len());
    }

    #[test]
    fn refusals_are_told_apart_by_guard_and_code_and_by_nothing_else() {
        let measures = Measures::default();
        for wrote in ["a", "b", "c"] {
            let detail = format!("no {wrote}");
            measures.refused(&Refusal::new(Code::NotFound, detail).param(wrote).by("authorise"));
        }
        measures.refused(&Refusal::new(Code::NotFound, "no"));
        let wanted = [(("", "not_found"), 1), (("authorise", "not_found"), 3)];
        assert_eq!(measures.refusals(), wanted);
        assert_eq!((measures.refused_with(Code::NotFound), measures.refused_with(Code::Internal)), (4, 0));
    }
}
