//! Tokens that must verify, and the attacks that must not.
//!
//! `attacks` holds every attack as a row that differs from a token that verifies in one thing. The keys in `tests/keys/`
//! were made for these tests alone with `openssl genpkey`; they protect nothing. Keys on P-256 are fresh in every run.

mod attacks;
mod configuration;
mod forge;
mod good;
mod key_sets;
mod random;
