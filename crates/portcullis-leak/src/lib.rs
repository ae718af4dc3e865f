//! What may leave in the text of an answer: pure text in, pure text out.
//!
//! A model is hostile: it says whatever somebody talked it into. Two classes of detectors look at what it says, and both
//! give the same result however the text is cut into pieces.
//!
//! - *Streaming* ([`stream`]): the canary, secrets, personal data, links. Each is recognised by its beginning, and nothing
//!   from a match's first character leaves. Text is held back only while it may still become a match.
//! - *Whole answer* ([`echo`]): the system text, as it is and in the disguises that `docs/leaks.md` lists. The answer ends
//!   at detection, before 40 consecutive characters of the system text have left.
//!
//! It reads no configuration, logs nothing and never returns what it matched. Start with [`Leak`].

mod arguments;
pub mod echo;
mod leak;
mod links;
mod numbers;
mod pairs;
mod personal;
mod policy;
mod secrets;
pub mod stream;

pub use arguments::Unescape;
pub use echo::{Canary, SystemText};
pub use leak::{Leak, Vault};
pub use policy::{Action, Class, Hosts, Kind, Policy};
pub use secrets::published;

/// The text from that byte on; empty past the end.
fn tail(text: &str, from: usize) -> &str {
    text.get(from..).unwrap_or_default()
}
