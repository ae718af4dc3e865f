//! The configuration as its callers use it: files in a folder, an environment and flags in, a configuration or
//! diagnostics out.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests"
)]

mod blocklist;
mod danger;
mod documents;
mod faults;
mod handover;
mod hostile;
mod initialise;
mod issuers;
mod layers;
mod mail;
mod screen;
mod secrets;
mod site;
mod tools;
