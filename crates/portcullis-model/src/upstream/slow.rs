//! The upstream that takes its time.

use std::time::Duration;

use super::Behaviour;
use super::heard::Heard;
use super::reply::{Hold, Reply, Step};

/// Delays another behaviour: before its head, before its first byte, between its steps, or for ever.
#[derive(Debug, Clone)]
pub struct Slow<B> {
    inner: B,
    head: Hold,
    first_byte: Duration,
    between: Duration,
    hang_after: Option<usize>,
}

impl<B: Behaviour> Slow<B> {
    /// The behaviour without any delay yet.
    pub const fn new(inner: B) -> Self {
        Self { inner, head: Hold::Not, first_byte: Duration::ZERO, between: Duration::ZERO, hang_after: None }
    }

    /// Waits before the status line.
    #[must_use]
    pub fn head(mut self, hold: Hold) -> Self {
        self.head = hold;
        self
    }

    /// Waits between the head and the first byte of the body.
    #[must_use]
    pub fn first_byte(mut self, time: Duration) -> Self {
        self.first_byte = time;
        self
    }

    /// Waits between two steps of the body; each frame of a stream is one step.
    #[must_use]
    pub fn between(mut self, time: Duration) -> Self {
        self.between = time;
        self
    }

    /// Says so many steps of the body and then nothing ever again, with the connection left open.
    #[must_use]
    pub fn hang_after(mut self, steps: usize) -> Self {
        self.hang_after = Some(steps);
        self
    }
}

impl<B: Behaviour> Behaviour for Slow<B> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn answer(&self, heard: &Heard) -> Reply {
        let mut reply = self.inner.answer(heard);
        reply.hold = self.head;
        let mut steps = Vec::with_capacity(reply.steps.len().saturating_mul(2));
        for (index, step) in reply.steps.into_iter().enumerate() {
            if self.hang_after == Some(index) {
                steps.push(Step::Hang);
                break;
            }
            let wait = if index == 0 { self.first_byte } else { self.between };
            if !wait.is_zero() {
                steps.push(Step::Wait(wait));
            }
            steps.push(step);
        }
        reply.steps = steps;
        reply
    }
}
