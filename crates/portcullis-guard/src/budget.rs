//! Token budgets: what a model may be asked for, reserved before it is, and settled when it is known what was used.
//!
//! Nobody is exempt, whatever their role. A reservation that is dropped, as when a client leaves, settles itself by what
//! the model had said until then.

use std::sync::Arc;
use std::time::Duration;

use portcullis_core::{Actor, Scope};
use portcullis_limit::{Charge, Subject};

use crate::gate::Gate;
use crate::limit::Held;
use crate::refusal::{Code, Refusal};

/// Where the upstream does not tell how many tokens it used, one is taken to be so many bytes of text. Prose in English
/// has about four, code and most other languages have fewer.
const BYTES_PER_TOKEN: u64 = 3;

/// What the model may use for one answer, counted against everybody whose budget it is.
#[derive(Debug)]
pub struct Reservation {
    gate: Arc<Gate>,
    charges: Vec<Charge>,
    held: Held,
    prompt: u32,
    amount: u32,
    produced_bytes: u64,
    begun: Option<Comes>,
    settled: bool,
}

/// How an answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comes {
    /// Piece by piece, each of which is noted.
    InPieces,
    /// At once, at its end.
    Whole,
}

/// How many tokens so many bytes of text are taken to be.
pub fn tokens_of(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(BYTES_PER_TOKEN)).unwrap_or(u32::MAX)
}

impl Reservation {
    /// Reserves a question of `prompt_bytes` and an answer of at most `answer_tokens`. `None`: there is no budget.
    ///
    /// # Errors
    /// A budget is used up, or what is left of it is less than that.
    pub async fn make(
        gate: &Arc<Gate>,
        scope: &Scope,
        prompt_bytes: usize,
        answer_tokens: u32,
    ) -> Result<Option<Self>, Refusal> {
        let prompt = tokens_of(u64::try_from(prompt_bytes).unwrap_or(u64::MAX));
        let amount = prompt.saturating_add(answer_tokens);
        let budgets = gate.parts.limits.budgets(scope);
        let charges: Vec<_> =
            budgets.map(|budget| Charge { subject: budget.subject, rates: budget.rates, amount }).collect();
        if charges.is_empty() {
            return Ok(None);
        }
        let (decision, held, _) = gate.counters.admit(gate.clock().monotonic(), &charges).await;
        match decision {
            Ok(_) => Ok(Some(Self {
                gate: Arc::clone(gate),
                charges,
                held,
                prompt,
                amount,
                produced_bytes: 0,
                begun: None,
                settled: false,
            })),
            Err(reached) => {
                let whose = match reached.subject {
                    Subject::CommunityTokens(_) => "this community",
                    Subject::ActorTokens(_, Actor::Key(_)) => "this key",
                    _ => "this member",
                };
                let detail = format!(
                    "the token budget of {whose} for a day has {} left and up to {amount} are asked for; ask for fewer with \
                     `max_tokens`, or wait",
                    reached.allowance.remaining
                );
                let refusal = Refusal::new(Code::BudgetExhausted, detail).by("token-budget");
                Err(refusal.limited(reached, gate.clock().now()))
            }
        }
    }

    /// Notes that the model is asked now, and how its answer comes: from here on it costs something.
    pub fn begin(&mut self, comes: Comes) {
        self.begun = Some(comes);
    }

    /// Notes that the model said so much more.
    pub fn produced(&mut self, bytes: usize) {
        self.produced_bytes = self.produced_bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Puts what was used in the place of what was reserved: as the upstream tells it, or as it is taken to be.
    pub fn settle(mut self, told: Option<u64>) {
        let taken = match self.begun {
            Some(_) => self.prompt.saturating_add(tokens_of(self.produced_bytes)),
            None => 0,
        };
        self.settle_once(told.map_or(taken, |told| u32::try_from(told).unwrap_or(u32::MAX)));
    }

    fn settle_once(&mut self, used: u32) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        let now: Duration = self.gate.clock().monotonic();
        let charges = std::mem::take(&mut self.charges);
        self.gate.counters.settle(self.gate.tasks(), now, self.held, charges, used);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.settle_once(match self.begun {
            None => 0,
            Some(Comes::InPieces) => self.prompt.saturating_add(tokens_of(self.produced_bytes)),
            // What it had made until then is not known here.
            Some(Comes::Whole) => self.amount,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::tokens_of;

    #[test]
    fn tokens_are_rounded_up() {
        assert_eq!([0, 1, 3, 4, 300].map(tokens_of), [0, 1, 1, 2, 100]);
        assert_eq!(tokens_of(u64::MAX), u32::MAX);
    }
}
