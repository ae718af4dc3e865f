//! What a rate can be counted by, and how counting goes wrong.

use crate::checks::forwarded::CLAIMS;
use crate::target::Limits;

/// What requests are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dimension {
    /// One session or key.
    Session,
    /// One user over all sessions.
    User,
    /// One client address.
    Address,
}

impl Dimension {
    pub(super) const ALL: [Self; 3] = [Self::Session, Self::User, Self::Address];

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::User => "user",
            Self::Address => "address",
        }
    }

    /// How its absence is declared.
    pub(super) const fn feature(self) -> &'static str {
        match self {
            Self::Session => "session-limit",
            Self::User => "user-limit",
            Self::Address => "address-limit",
        }
    }

    pub(super) const fn limit(self, limits: &Limits) -> Option<u32> {
        match self {
            Self::Session => limits.session_per_minute,
            Self::User => limits.user_per_minute,
            Self::Address => limits.address_per_minute,
        }
    }
}

/// By what a model provider's 429 gives itself away, in headers or body, in lower case.
pub(super) const PROVIDER_SIGNS: &[&str] = &[
    "openai-organization",
    "openai-processing-ms",
    "x-ratelimit-remaining-tokens",
    "anthropic-ratelimit",
    "rate limit reached for ",
    "please try again in ",
    "platform.openai.com",
    "exceeded your current quota",
];

/// The first of the addresses that are claimed, which are reserved for documentation (RFC 5737).
const FIRST_CLAIMED: u8 = 71;

/// Headers that claim to be someone else, and what they say.
pub(super) fn spoofs() -> Vec<(&'static str, String)> {
    let addresses = CLAIMS.iter().zip(FIRST_CLAIMED..);
    let addresses = addresses.map(|((name, before), last)| (*name, format!("{before}203.0.113.{last}")));
    let people = [("X-User-Id", "someone-else"), ("X-Session-Id", "another-session")];
    addresses.chain(people.map(|(name, value)| (name, value.to_owned()))).collect()
}
