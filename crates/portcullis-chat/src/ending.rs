//! From when on an answer is brought to its end, whoever waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tells whether the model has said its last word. What is left then is short: the answer is kept in its conversation and the turn
/// is closed. To break off there would leave one without the other, and a client that asks again would be charged again.
#[derive(Debug, Clone, Default)]
pub struct Ending(Arc<AtomicBool>);

impl Ending {
    pub(crate) fn begin(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
