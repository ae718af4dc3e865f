//! Budgets of tokens and of what they cost: what a model may be asked for, reserved before it is, and settled when it is known
//! what was used. Both are decided in one step.
//!
//! Nobody is exempt, whatever their role. A reservation that is dropped, as when a client leaves, settles itself by what
//! the model had said until then; where that cannot be known, by all that was reserved.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use portcullis_core::{Actor, Scope};
use portcullis_limit::{Bound, Charge, Kind, Subject};

use crate::gate::Gate;
use crate::limit::{Applied, Held};
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
    /// What a million tokens of the model cost, where that is known.
    price: Option<Price>,
    most: Tokens,
    produced_bytes: u64,
    asked: Asked,
    settled: bool,
}

/// What is known of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// The model was not asked.
    No,
    /// What was noted of it is what was made.
    Noted,
    /// Any part of it may have been made.
    Unknown,
}

/// How many tokens so many bytes of text are taken to be.
pub fn tokens_of(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(BYTES_PER_TOKEN)).unwrap_or(u32::MAX)
}

/// What a million tokens of a model cost, in millionths of the currency's unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// Of a question, with everything that goes to the model beside it.
    pub input: u64,
    /// Of an answer.
    pub output: u64,
}

impl Price {
    /// What so many tokens cost, rounded up.
    fn of(self, tokens: Tokens) -> u32 {
        const MILLION: u128 = 1_000_000;
        let input = u128::from(self.input) * u128::from(tokens.question);
        let output = u128::from(self.output) * u128::from(tokens.answer);
        u32::try_from((input + output).div_ceil(MILLION)).unwrap_or(u32::MAX)
    }
}

/// What models cost.
#[derive(Debug, Clone, Default)]
pub struct Prices {
    /// By the name of the model.
    pub own: BTreeMap<String, Price>,
    /// Of every model without a price of its own.
    pub any: Option<Price>,
    /// The currency's code.
    pub currency: String,
}

impl Prices {
    fn of(&self, model: &str) -> Option<Price> {
        self.own.get(model).copied().or(self.any)
    }
}

/// Tokens of a question, with everything that goes to the model beside it, and of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tokens {
    /// Of the question.
    pub question: u32,
    /// Of the answer.
    pub answer: u32,
}

impl Tokens {
    const NONE: Self = Self { question: 0, answer: 0 };

    const fn all(self) -> u32 {
        self.question.saturating_add(self.answer)
    }
}

impl Reservation {
    /// Reserves a question of `prompt_bytes` to a model and an answer of at most `answer_tokens`. `None`: there is no budget.
    ///
    /// # Errors
    /// A budget is used up, or what is left of it is less than that.
    pub async fn make(
        gate: &Arc<Gate>,
        scope: &Scope,
        model: &str,
        prompt_bytes: usize,
        answer_tokens: u32,
    ) -> Result<Option<Self>, Refusal> {
        let question = tokens_of(u64::try_from(prompt_bytes).unwrap_or(u64::MAX));
        let most = Tokens { question, answer: answer_tokens };
        let budgets = gate.parts.limits.budgets(scope);
        let budgets: Vec<Applied> =
            budgets.filter(|budget| gate.switches().on(guard_of(&budget.subject))).collect();
        let price = gate.prices().of(model);
        // The configuration is refused where a model lacks a price, so this cannot be: closed all the same.
        if price.is_none() && budgets.iter().any(|budget| is_cost(&budget.subject)) {
            let detail = "what this model costs is not known, and costs are limited";
            return Err(Refusal::new(Code::BudgetExhausted, detail).by("cost-budget"));
        }
        let charge = |budget: &Applied| {
            let amount = if is_cost(&budget.subject) {
                price.map_or(u32::MAX, |price| price.of(most))
            } else {
                most.all()
            };
            Charge { subject: budget.subject, rates: budget.rates, amount }
        };
        let charges: Vec<_> = budgets.iter().map(charge).collect();
        if charges.is_empty() {
            return Ok(None);
        }
        let (decision, held, _) = gate.counters.admit(gate.clock().monotonic(), &charges).await;
        match decision {
            Ok(_) => Ok(Some(Self {
                gate: Arc::clone(gate),
                charges,
                held,
                price,
                most,
                produced_bytes: 0,
                asked: Asked::No,
                settled: false,
            })),
            Err(reached) => {
                let wanted = charges.iter().find(|charge| charge.subject == reached.subject);
                let wanted = wanted.map_or(0, |charge| charge.amount);
                Err(exhausted(gate, &reached, wanted))
            }
        }
    }

    /// Notes that the model is asked now: from here on it costs something, and until its answer comes nobody knows how much
    /// of it was made.
    pub fn begin(&mut self) {
        self.asked = Asked::Unknown;
    }

    /// Notes that the answer comes piece by piece, each of which is noted.
    pub fn comes_in_pieces(&mut self) {
        self.asked = Asked::Noted;
    }

    /// Notes that the model said so much more. Of an answer that comes whole it is all.
    pub fn produced(&mut self, bytes: usize) {
        self.asked = Asked::Noted;
        self.produced_bytes = self.produced_bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Notes that the model was not asked after all: it costs nothing.
    pub fn not_asked(&mut self) {
        self.asked = Asked::No;
    }

    /// Puts what was used in the place of what was reserved: as the upstream tells it, or as it is taken to be.
    pub fn settle(mut self, told: Option<Tokens>) {
        self.settle_once(told.unwrap_or_else(|| self.taken()));
    }

    /// What is taken to be used where nobody tells it.
    fn taken(&self) -> Tokens {
        match self.asked {
            Asked::No => Tokens::NONE,
            Asked::Noted => Tokens { question: self.most.question, answer: tokens_of(self.produced_bytes) },
            Asked::Unknown => self.most,
        }
    }

    fn settle_once(&mut self, used: Tokens) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        let now: Duration = self.gate.clock().monotonic();
        let charges = std::mem::take(&mut self.charges);
        let (costs, tokens): (Vec<_>, Vec<_>) =
            charges.into_iter().partition(|charge| is_cost(&charge.subject));
        let cost = self.price.map_or(0, |price| price.of(used));
        for (charges, used) in [(tokens, used.all()), (costs, cost)] {
            if !charges.is_empty() {
                self.gate.counters.settle(self.gate.tasks(), now, self.held, charges, used);
            }
        }
    }
}

/// The guard that a budget is.
const fn guard_of(subject: &Subject) -> &'static str {
    if is_cost(subject) { "cost-budget" } else { "token-budget" }
}

const fn is_cost(subject: &Subject) -> bool {
    matches!(subject.kind(), Kind::ActorCost | Kind::CommunityCost)
}

/// Who asks too much, of what, and how much is left.
fn exhausted(gate: &Gate, reached: &Bound, wanted: u32) -> Refusal {
    let whose = match reached.subject {
        Subject::CommunityTokens(_) | Subject::CommunityCost(_) => "this community",
        Subject::ActorTokens(_, Actor::Key(_)) | Subject::ActorCost(_, Actor::Key(_)) => "this key",
        _ => "this member",
    };
    let left = reached.allowance.remaining;
    let (budget, left, wanted) = if is_cost(&reached.subject) {
        let currency = &gate.prices().currency;
        let amount =
            |millionths: u32| format!("{}.{:06} {currency}", millionths / 1_000_000, millionths % 1_000_000);
        ("budget of costs", amount(left), amount(wanted))
    } else {
        ("token budget", left.to_string(), wanted.to_string())
    };
    let detail = format!(
        "the {budget} of {whose} for a day has {left} left and up to {wanted} are asked for; ask for fewer with `max_tokens`, \
         or wait"
    );
    Refusal::new(Code::BudgetExhausted, detail)
        .by(guard_of(&reached.subject))
        .limited(*reached, gate.clock().now())
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.settle_once(self.taken());
    }
}

#[cfg(test)]
mod tests {
    use super::{Price, Tokens, tokens_of};

    #[test]
    fn a_cost_is_rounded_up_and_never_wraps() {
        let price = Price { input: 150_000, output: 600_000 };
        let of = |question, answer| price.of(Tokens { question, answer });
        assert_eq!((of(0, 0), of(1, 0), of(1_000_000, 1_000_000)), (0, 1, 750_000));
        let dear = Price { input: u64::MAX, output: u64::MAX };
        assert_eq!(dear.of(Tokens { question: u32::MAX, answer: u32::MAX }), u32::MAX);
    }

    #[test]
    fn tokens_are_rounded_up() {
        assert_eq!([0, 1, 3, 4, 300].map(tokens_of), [0, 1, 1, 2, 100]);
        assert_eq!(tokens_of(u64::MAX), u32::MAX);
    }
}
