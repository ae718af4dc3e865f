//! The upstream that says what it was told to say, however broken.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::Behaviour;
use super::answer::Answer;
use super::heard::Heard;
use super::reply::Reply;

/// One reply of a script.
#[derive(Debug, Clone)]
pub enum Turn {
    /// A well-formed answer, streamed if the request asks for it.
    Answer(Answer),
    /// Exactly these bytes, whatever the request asks for.
    Raw(Reply),
}

/// Gives its turns in order, and the last one again once they are used up.
#[derive(Debug)]
pub struct Scripted {
    turns: Vec<Turn>,
    next: AtomicUsize,
}

impl Scripted {
    /// A script of several turns. An empty script gives empty answers.
    pub const fn new(turns: Vec<Turn>) -> Self {
        Self { turns, next: AtomicUsize::new(0) }
    }

    /// Always the same text, streamed in pieces of a few characters.
    pub fn text(text: &str) -> Self {
        Self::new(vec![Turn::Answer(Answer::text(text, 4))])
    }

    /// Always exactly this reply.
    pub fn raw(reply: Reply) -> Self {
        Self::new(vec![Turn::Raw(reply)])
    }
}

impl Behaviour for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn answer(&self, heard: &Heard) -> Reply {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        match self.turns.get(turn).or_else(|| self.turns.last()) {
            Some(Turn::Answer(answer)) => answer.reply_to(heard),
            Some(Turn::Raw(reply)) => reply.clone(),
            None => Answer::default().reply_to(heard),
        }
    }
}
