//! The access watch: while an answer is made, it asks again and again whether the access that the question came under
//! still holds, and it knows when the time for an answer is over. It runs beside the answer and not within it, so that it
//! does not depend on a model that speaks or on a client that reads.

use std::time::Duration;

use portcullis_guard::{Code, Gate, Opened, Refusal, Turn, pipeline};
use tokio::time::Instant;

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
        let end = Instant::now() + self.left;
        loop {
            let next = Instant::now() + self.every;
            tokio::time::sleep_until(next.min(end)).await;
            // The time is over even while a store is asked.
            match tokio::time::timeout_at(end, pipeline::still_holds(gate, turn)).await {
                Ok(Ok(())) if next < end => {}
                Ok(Err(refusal)) => return refusal,
                Ok(Ok(())) | Err(_) => {
                    return Refusal::new(Code::TimedOut, "the answer took longer than the limit")
                        .by("time-limit");
                }
            }
        }
    }
}
