//! The upstream that repeats.

use super::Behaviour;
use super::answer::Answer;
use super::heard::{Heard, message_text, messages};
use super::reply::Reply;

/// Repeats what the user said last, in pieces of a few characters.
#[derive(Debug, Clone, Copy, Default)]
pub struct Echo;

/// Characters of one piece of a stream.
const PIECE: usize = 4;

impl Behaviour for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn answer(&self, heard: &Heard) -> Reply {
        let body = heard.json();
        let said = messages(&body)
            .iter()
            .rev()
            .find(|message| message.get("role").and_then(serde_json::Value::as_str) == Some("user"))
            .map(message_text)
            .unwrap_or_default();
        Answer::text(&said, PIECE).reply_to(heard)
    }
}
