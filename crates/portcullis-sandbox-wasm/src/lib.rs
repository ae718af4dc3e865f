//! The embedded sandbox: WebAssembly in this process, with as much of WASI preview 1 as a program needs to read its input,
//! work on files of its own in memory, and say something.
//!
//! A job has the memory that its limits give and no other: the language has no way to name what is outside. Of the machine it is
//! given nothing: no file, socket, clock, environment or other process has a name here, since [`wasi`] answers every call from
//! memory. It ends when its time is over, whatever it does, by the engine's own epochs. It is a sandbox of this kind and is never
//! told to be another: a fault in the engine would be a fault in the process. Start with [`engine`].

pub mod engine;
mod files;
mod limits;
mod state;
mod wasi;

pub use engine::{Unusable, Wasm};
