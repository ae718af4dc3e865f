//! The access watch: while an answer is made, it asks again and again whether the access that the question came under
//! still holds, and it knows when the time for an answer is over. It runs beside the answer and not within it, so that it
//! does not depend on a model that speaks or on a client that reads.

use std::time::Duration;

use portcullis_guard::{Code, Gate, Opened, Refusal, Turn, pipeline};
use tokio::time::MissedTickBehavior;

/// How an answer is watched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watch {
    /// How often access is asked about.
    pub(crate) every: Duration,
    /// The time that is left for the answer.
    pub(crate) left: Duration,
}

impl Watch {
    /// Resolves when the answer must end, with why.
    pub(crate) async fn ends(self, gate: &Gate, turn: &Turn<Opened>) -> Refusal {
        // The time is over even while a store is asked.
        tokio::time::timeout(self.left, self.access_ends(gate, turn)).await.unwrap_or_else(|_| {
            Refusal::new(Code::TimedOut, "the answer took longer than the limit").by("time-limit")
        })
    }

    async fn access_ends(self, gate: &Gate, turn: &Turn<Opened>) -> Refusal {
        let mut ticks = tokio::time::interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.reset();
        loop {
            ticks.tick().await;
            if let Err(refusal) = pipeline::still_holds(gate, turn).await {
                return refusal;
            }
        }
    }
}
