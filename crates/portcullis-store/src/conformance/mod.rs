//! The suite that every adapter passes, one file a port, and stores that are wrong on purpose.
//!
//! Each case is a plain function over a [`World`]: two communities of the same shape, with members, plans, spaces and
//! documents. An adapter runs them all with [`conformance!`](crate::conformance!), each as a test of its own. The
//! suite is tested too: every store in [`wrong`] must fail the case that was written against it.
//!
//! It is compiled for tests only, behind the feature `conformance`, and is the only code here that may panic.

#![expect(clippy::expect_used, reason = "a suite of tests: a case fails by panicking")]

pub mod approvals;
pub mod content;
pub mod conversations;
pub mod directory;
pub mod handovers;
pub mod identity;
pub mod instances;
pub mod invitations;
pub mod keys;
pub mod members;
pub mod memories;
pub mod sealed;
pub mod search;
pub mod sessions;
pub mod sign_in;
pub mod spaces;
pub mod subjects;
mod suite;
pub mod together;
pub mod visits;
pub mod withheld;
pub mod world;
pub mod wrong;
pub mod wrong_people;

pub use world::{Harness, Side, World};

use crate::{Kind, Result};

/// What kind of error a call gave, if it gave one.
fn refusal<T>(result: Result<T>) -> Option<Kind> {
    result.err().map(|error| error.kind())
}
