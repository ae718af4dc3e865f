//! Sending mail: sign-in links and invitations, each to one person.
//!
//! Behind one trait, [`Mail`]: [`Smtp`] hands a message to a mail server, [`Outbox`] writes it into a folder, and
//! [`Postman`] holds messages in a bounded queue before either, so that the time an answer takes does not tell
//! whether a mail was sent. No error, log line or `Debug` output here holds an address, a subject or a text: a sign-in
//! link is a credential.
//!
//! It never sends in the clear over a network, never falls back to a weaker security, and never lets a text become a
//! header. Start reading at [`Mail`], then `letter.rs` for what a message looks like.

mod error;
mod letter;
mod lines;
mod message;
mod outbox;
mod postman;
mod smtp;

pub use error::Error;
pub use letter::{Sender, SenderFault, subject};
pub use message::{Mail, Message};
pub use outbox::Outbox;
pub use postman::{Counts, Postman, PostmanOptions};
pub use smtp::{Login, Security, Smtp, SmtpOptions};
