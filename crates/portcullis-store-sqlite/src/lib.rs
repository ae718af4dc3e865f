//! Every store port on SQLite, with no service beside it: the embedded store, and what other stores are measured by.
//!
//! A data folder holds `platform.db` (the communities), `keys.db` (their keys, wrapped) and one file a community. All
//! of them are encrypted with SQLCipher under raw 256-bit keys. Several processes may use one folder; what one of them
//! has acknowledged shows in the next answer of every other.
//!
//! It never decides who may ask: a [`Scope`](portcullis_core::Scope) says that, and each statement is bound to it.
//! Start with `stores.rs`; `db.rs` has the threads and the group commit, `identity_cache.rs` the hot path of every
//! request, `search/` how passages are found and ranked.

mod approvals;
mod communities;
mod content;
mod conversations;
mod db;
mod directory;
mod fault;
mod file;
mod handovers;
mod identity;
mod identity_cache;
mod invitations;
mod joining;
mod keys;
mod keystore;
mod members;
mod memories;
mod own;
mod pool;
mod queue;
mod schema;
mod search;
mod session_identity;
mod sessions;
mod spaces;
mod stores;
mod subjects;
mod value;
mod watch;

pub use stores::{OpenError, Options, SqliteStores};
