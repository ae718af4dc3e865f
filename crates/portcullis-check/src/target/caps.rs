//! Budgets of a model's use that may be used up, to see that they hold.

use http::Uri;

use super::{Chat, Identity};

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capped {
    /// Tokens.
    Tokens,
    /// What they cost.
    Cost,
}

impl Capped {
    /// The words used in files.
    pub const ALL: [(&'static str, Self); 2] = [("tokens", Self::Tokens), ("cost", Self::Cost)];

    /// The word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Cost => "cost",
        }
    }
}

/// What a million tokens cost, in millionths of the currency's unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenPrice {
    /// Of a question.
    pub input: u64,
    /// Of an answer.
    pub output: u64,
}

/// A budget of one member for a day.
#[derive(Debug, Clone)]
pub struct Cap {
    /// What it limits.
    pub what: Capped,
    /// How much: tokens, or millionths of the currency's unit.
    pub limit: u64,
    /// What tokens cost, for a budget of costs.
    pub price: Option<TokenPrice>,
    /// Where it is, when it is not the target itself: scheme, host and port.
    pub at: Option<Uri>,
    /// How a question is asked there.
    pub chat: Chat,
    /// Whose budget may be used up.
    pub spender: Identity,
    /// Somebody else, with a budget of their own.
    pub other: Identity,
    /// JSON pointer to the number of tokens of the question.
    pub question_tokens: String,
    /// JSON pointer to the number of tokens of the answer.
    pub answer_tokens: String,
    /// Text in the body of its refusals and of no other 429. 402 needs none.
    pub marker: Option<String>,
}

impl Cap {
    /// How much of it so many tokens use, rounded up.
    pub fn used(&self, question: u64, answer: u64) -> u64 {
        match (self.what, self.price) {
            (Capped::Cost, Some(price)) => {
                let millionths = u128::from(price.input) * u128::from(question)
                    + u128::from(price.output) * u128::from(answer);
                u64::try_from(millionths.div_ceil(1_000_000)).unwrap_or(u64::MAX)
            }
            _ => question.saturating_add(answer),
        }
    }
}
