//! What is sent, and the trait of those who send it.

use std::fmt;

use async_trait::async_trait;

use crate::error::Error;

/// A message to one person. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The address of the one who receives it.
    pub to: String,
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Message(***)")
    }
}

/// Sends messages.
#[async_trait]
pub trait Mail: Send + Sync + fmt::Debug {
    /// Sends a message, or takes it for sending.
    ///
    /// # Errors
    /// Why it was not sent. [`Error::is_temporary`] says whether the same message may be sent later.
    async fn send(&self, message: Message) -> Result<(), Error>;

    /// Whether messages could be sent now; sends none.
    ///
    /// # Errors
    /// What is in the way.
    async fn ping(&self) -> Result<(), Error>;
}
