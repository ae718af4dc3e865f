//! The limiter against an exact one, against threads, against a ceiling of memory and across restarts; and the suite of
//! shared stores, tested on stores that are right and wrong.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod adversary;
mod exact;
mod memory;
mod restart;
mod shared;
mod threads;

use std::num::NonZeroU32;

use portcullis_core::CommunityId;
use portcullis_limit::{Rates, Subject};

fn number(number: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(number)
}

fn minute(limit: u32) -> Rates {
    Rates { minute: number(limit), ..Rates::default() }
}

fn community(number: u64) -> CommunityId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    CommunityId::from_bytes(bytes)
}

fn subject(number: u64) -> Subject {
    Subject::Community(community(number))
}
