//! A message as it goes over the wire: RFC 5322, one recipient, plain text.
//!
//! Everything that could begin a header is refused before it is composed, whoever composed it.

use std::fmt;
use std::net::IpAddr;
use std::time::SystemTime;

use jiff::Timestamp;
use lettre::message::header::{
    ContentTransferEncoding, ContentType, HeaderName, HeaderValue, MIME_VERSION_1_0,
};
use lettre::message::{Body, Mailbox};
use lettre::{Address, Message as Letter};
use portcullis_core::mail_address::{is_host_name, is_mail_address};
use portcullis_core::secret::random_bytes;
use portcullis_core::unseen::is_unseen;
use ring::hmac;

use crate::error::Error;
use crate::message::Message;

/// Subjects are one short line; RFC 5322 section 2.1.1 allows 998 octets.
const LONGEST_SUBJECT: usize = 200;
/// No text that is sent from here comes near it.
const LONGEST_TEXT: usize = 64 * 1024;

/// Who sends, and how its messages are numbered.
#[derive(Clone)]
pub struct Sender {
    mailbox: Mailbox,
    host: String,
    /// Numbers messages; new for each run.
    number: hmac::Key,
}

/// Why nobody can send like this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SenderFault {
    /// The address is no address.
    #[error("the sender's address is not a mail address")]
    Address,
    /// The name is too long or holds control characters.
    #[error("the sender's name is not a short line of text")]
    Name,
    /// The host cannot stand in a message id.
    #[error("the host of message ids is not a host name")]
    Host,
}

impl Sender {
    /// A sender with an address, a name that mail programs show, and the host that message ids end with (the public
    /// one, so that they do not tell a machine's inner name).
    ///
    /// # Errors
    /// Which of them cannot be used.
    pub fn new(address: &str, name: Option<&str>, host: &str) -> Result<Self, SenderFault> {
        let address = parse_address(address).ok_or(SenderFault::Address)?;
        let is_line = |name: &&str| !name.trim().is_empty() && one_line(name, LONGEST_SUBJECT);
        if name.is_some_and(|name| !is_line(&name)) {
            return Err(SenderFault::Name);
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let host = match bare.parse::<IpAddr>() {
            // RFC 5321 section 4.1.3: an address stands in brackets, the newer kind with its name.
            Ok(IpAddr::V4(v4)) => format!("[{v4}]"),
            Ok(IpAddr::V6(v6)) => format!("[IPv6:{v6}]"),
            Err(_) if is_host_name(host) => host.to_owned(),
            Err(_) => return Err(SenderFault::Host),
        };
        let number = hmac::Key::new(hmac::HMAC_SHA256, &random_bytes::<32>());
        Ok(Self { mailbox: Mailbox::new(name.map(str::to_owned), address), host, number })
    }

    /// The host, an address in brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The message as it is sent. The same message has the same id, however often it is tried, so that a server
    /// that took it twice can tell.
    pub(crate) fn compose(&self, message: &Message, now: Timestamp) -> Result<Letter, Error> {
        let to = parse_address(&message.to).ok_or(Error::Recipient)?;
        if message.subject.trim().is_empty() || !one_line(&message.subject, LONGEST_SUBJECT) {
            return Err(Error::Subject);
        }
        let is_text = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
        if message.text.len() > LONGEST_TEXT || !message.text.chars().all(is_text) {
            return Err(Error::Text);
        }
        let body = Body::new_with_encoding(message.text.clone(), ContentTransferEncoding::QuotedPrintable)
            .map_err(|_| Error::Text)?;
        Letter::builder()
            .from(self.mailbox.clone())
            .to(Mailbox::new(None, to))
            .subject(message.subject.clone())
            .date(SystemTime::from(now))
            .message_id(Some(self.id(message)))
            .header(MIME_VERSION_1_0)
            .header(ContentType::TEXT_PLAIN)
            .raw_header(HeaderValue::new(
                // RFC 3834: holidays' and other automatic answers to it are not wanted.
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ))
            .body(body)
            .map_err(|_| Error::Text)
    }

    fn id(&self, message: &Message) -> String {
        let mut context = hmac::Context::with_key(&self.number);
        for part in [&message.to, &message.subject, &message.text] {
            context.update(&part.len().to_be_bytes());
            context.update(part.as_bytes());
        }
        let tag = context.sign();
        let number: String = tag.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        format!("<{number}@{}>", self.host)
    }
}

/// The host only.
impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("host", &self.host).finish_non_exhaustive()
    }
}

fn parse_address(text: &str) -> Option<Address> {
    if is_mail_address(text) { text.parse().ok() } else { None }
}

/// A subject that ends with a name as people give one: what would break the line or change how it is shown is a space, and what
/// there is no room for is left out.
pub fn subject(opening: &str, name: &str) -> String {
    let shown = name.chars().map(|c| if is_unseen(c) || c == '\n' || c == '\t' { ' ' } else { c });
    let whole: String = opening.chars().chain(shown).collect();
    if whole.len() <= LONGEST_SUBJECT {
        return whole;
    }
    let room = whole.floor_char_boundary(LONGEST_SUBJECT - '\u{2026}'.len_utf8());
    format!("{}\u{2026}", whole.get(..room).unwrap_or_default().trim_end())
}

/// Whether a text is one line: no control character, among them CR, LF and NEL, and neither of the separators that
/// some mail programs break a line at.
fn one_line(text: &str, longest: usize) -> bool {
    text.len() <= longest && !text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender() -> Sender {
        Sender::new("no-reply@example.org", Some("Bäcker, Club"), "chat.example.org").unwrap()
    }

    fn message(to: &str, subject: &str, text: &str) -> Message {
        Message { to: to.to_owned(), subject: subject.to_owned(), text: text.to_owned() }
    }

    fn compose(to: &str, subject: &str, text: &str) -> Result<String, Error> {
        let letter = sender().compose(&message(to, subject, text), Timestamp::UNIX_EPOCH)?;
        Ok(String::from_utf8(letter.formatted()).unwrap())
    }

    #[test]
    fn a_letter_has_the_headers_of_an_automatic_message() {
        let text =
            compose("member@example.net", "Sign in", "Grüße\nhttps://chat.example.org/x?a=b\n").unwrap();
        for line in [
            "To: member@example.net\r\n",
            "Subject: Sign in\r\n",
            "Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "Content-Type: text/plain; charset=utf-8\r\n",
            "Content-Transfer-Encoding: quoted-printable\r\n",
            "MIME-Version: 1.0\r\n",
            "\r\n\r\nGr=C3=BC=C3=9Fe\r\nhttps://chat.example.org/x?a=3Db\r\n",
        ] {
            assert!(text.contains(line), "{line:?} in {text}");
        }
        assert!(text.contains("<no-reply@example.org>") && text.contains("@chat.example.org>\r\n"), "{text}");
        assert!(text.is_ascii() && text.lines().all(|line| line.len() <= 78), "{text}");
    }

    #[test]
    fn the_same_message_has_the_same_id_and_another_has_another() {
        let sender = sender();
        let id = |message| {
            let letter = sender.compose(&message, Timestamp::UNIX_EPOCH).unwrap();
            letter.headers().get_raw("Message-ID").unwrap().to_owned()
        };
        assert_eq!(id(message("a@example.org", "b", "c")), id(message("a@example.org", "b", "c")));
        assert_ne!(id(message("a@example.org", "b", "c")), id(message("a@example.org", "bc", "")));
    }

    #[test]
    fn nothing_begins_a_header() {
        for subject in ["a\r\nBcc: x@example.org", "a\nb", "a\rb", "a\u{85}b", "a\u{2028}b", "a\0b", "", " "]
        {
            assert_eq!(compose("a@example.org", subject, ""), Err(Error::Subject), "{subject:?}");
        }
        assert_eq!(compose("a@example.org", &"s".repeat(201), ""), Err(Error::Subject));
        for text in ["a\0b", "\u{1b}[31m", &"t".repeat(70_000)] {
            assert_eq!(compose("a@example.org", "s", text), Err(Error::Text));
        }
        // A text that looks like a header stays text.
        let text = compose("a@example.org", "s", "Bcc: x@example.org\n\n.\nQUIT").unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(!head.contains("Bcc") && body.starts_with("Bcc: x@example.org\r\n"));
        for name in ["a\r\nBcc: x@example.org", "\t", ""] {
            let made = Sender::new("a@example.org", Some(name), "example.org");
            assert_eq!(made.unwrap_err(), SenderFault::Name);
        }
        assert_eq!(Sender::new("a@example.org", None, "a b").unwrap_err(), SenderFault::Host);
        assert_eq!(Sender::new("a@b\r\n", None, "example.org").unwrap_err(), SenderFault::Address);
    }

    #[test]
    fn every_name_gives_a_subject_that_can_be_sent() {
        for (name, wanted) in [
            ("Bäcker & Co", "Sign in to Bäcker & Co"),
            ("a\r\nBcc: x@example.org", "Sign in to a  Bcc: x@example.org"),
            ("a\u{2028}b\u{85}c\u{202e}d\te", "Sign in to a b c d e"),
            ("", "Sign in to "),
        ] {
            assert_eq!(subject("Sign in to ", name), wanted);
            assert!(compose("a@example.org", wanted, "").is_ok());
        }
        for (name, kept) in [("s", 189), ("é", 94), ("山", 63), ("🏮", 47)] {
            let whole = subject("Sign in to ", &name.repeat(kept));
            assert_eq!(whole, format!("Sign in to {}", name.repeat(kept)));
            assert!(compose("a@example.org", &whole, "").is_ok(), "{whole}");
            let cut = subject("Sign in to ", &name.repeat(kept + 1));
            assert!(cut.starts_with("Sign in to ") && cut.ends_with("\u{2026}"), "{cut}");
            assert!(cut.len() > 190 && compose("a@example.org", &cut, "").is_ok(), "{cut}");
        }
    }

    #[test]
    fn only_a_plain_address_receives() {
        for to in [
            "member@example.org",
            "a.b+c@sub.example.org",
            "o'neil@example.org",
            "é@example.org",
            "a@xn--bcher-kva.example",
        ] {
            assert!(compose(to, "s", "").is_ok(), "{to}");
        }
        for to in [
            "",
            "member",
            "@example.org",
            "a@",
            "a@b@example.org",
            "a b@example.org",
            "a@example.org\r\nBcc: b@example.org",
            "a@example.org, b@example.org",
            "A <a@example.org>",
            "\"a b\"@example.org",
            "a@[127.0.0.1]",
            "a@127.0.0.1",
            "a(b)@example.org",
            "a@example..org",
            "a..b@example.org",
            ".a@example.org",
            "a@-example.org",
            "a@example.org>",
            "a\0@example.org",
        ] {
            assert_eq!(compose(to, "s", ""), Err(Error::Recipient), "{to:?}");
        }
        let long = format!("{}@example.org", "a".repeat(250));
        assert_eq!(compose(&long, "s", ""), Err(Error::Recipient));
    }

    #[test]
    fn an_address_as_host_stands_in_brackets() {
        let host = |host| Sender::new("a@example.org", None, host).unwrap().host().to_owned();
        assert_eq!(
            [host("127.0.0.1"), host("[::1]"), host("localhost")],
            ["[127.0.0.1]", "[IPv6:::1]", "localhost"]
        );
    }

    #[test]
    fn nothing_of_a_message_or_of_a_sender_is_shown() {
        let shown = format!("{:?} {:?}", message("a@example.org", "secret", "link"), sender());
        assert!(
            ["a@example.org", "secret", "link", "no-reply"].iter().all(|word| !shown.contains(word)),
            "{shown}"
        );
    }
}
