//! The embedded store against the suite of its ports, and what only this store promises.

#![expect(clippy::expect_used, reason = "tests fail by panicking")]

mod at_rest;
mod harness;
mod many;
mod people;
mod wrong;
mod wrong_people;

mod conformance {
    portcullis_store::conformance!(crate::harness::Folder::fresh());
}
