//! Why a message was not sent, as far as a caller or an operator can act on it.

use std::io;

/// A message was not sent. It holds nothing of the message and nothing that the server wrote but a number: servers
/// repeat addresses in their answers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The queue is at its bound.
    #[error("the mail queue is full")]
    Full,
    /// The program is stopping.
    #[error("no mail is taken any more: the program is stopping")]
    Closed,
    /// The recipient is not an address that mail is sent to.
    #[error("the recipient is not a mail address")]
    Recipient,
    /// The subject is empty, too long, or would begin another header.
    #[error("the subject is not one line of text")]
    Subject,
    /// The text is too long, or holds control characters.
    #[error("the text is not plain text of a reasonable length")]
    Text,
    /// The mail server refused the message for good.
    #[error("the mail server refused the message (code {0})")]
    Refused(u16),
    /// The mail server could not take the message now.
    #[error("the mail server does not take the message now (code {0})")]
    Later(u16),
    /// The mail server did not accept the login.
    #[error("the mail server refused the login (code {0})")]
    Login(u16),
    /// The mail server offers no encryption, or no login that this program knows.
    #[error("the mail server does not offer {0}")]
    NotOffered(&'static str),
    /// TLS failed: the certificate is not trusted or not for this name, or no TLS is spoken there.
    #[error(
        "the mail server's TLS cannot be trusted: its certificate does not hold, or no TLS is spoken there"
    )]
    Tls,
    /// No connection, or one that broke.
    #[error("the mail server cannot be reached, or closed the connection")]
    Unreachable,
    /// The server took longer than allowed.
    #[error("the mail server did not answer in time")]
    TimedOut,
    /// What answers is not a mail server, or its answer broke off.
    #[error("the mail server's answer broke off, or what answers is none")]
    Malformed,
    /// A server without encryption is not on this machine.
    #[error("a mail server without encryption is only used on this machine's loopback address")]
    NotLoopback,
    /// Other accounts could read the outbox.
    #[error("other accounts can use the outbox folder (mode {0:04o})")]
    Exposed(u32),
    /// The outbox cannot be written.
    #[error("the outbox folder cannot be written: {0}")]
    Folder(io::ErrorKind),
}

impl Error {
    /// Whether the same message may be taken a little later. What an operator has to repair first is not temporary.
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Later(_) | Self::Unreachable | Self::TimedOut | Self::Malformed | Self::Full)
    }
}
