//! The queue before a mail server, so that nobody waits for it.
//!
//! Taking a message costs the same few instructions whatever the server does, so the time of an answer does not tell
//! whether a mail was sent. What cannot be sent in time is dropped and counted: a sign-in link that arrives after
//! it has expired helps nobody, and its asker asks again.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use portcullis_core::Tasks;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout_at};

use crate::error::Error;
use crate::message::{Mail, Message};

/// The bounds of a queue.
#[derive(Debug, Clone, Copy)]
pub struct PostmanOptions {
    /// The most messages that wait; more are refused.
    pub queue: usize,
    /// The most messages that are being sent at once, so that one slow server does not hold up all.
    pub at_once: usize,
    /// How often a message is tried.
    pub attempts: u32,
    /// How long to wait after the first failure; each further wait is twice as long.
    pub back_off: Duration,
    /// How long a message is worth sending: the life of the link in it.
    pub life: Duration,
    /// How long a stop waits for what is left. Shorter than what the whole program's stop waits.
    pub drain: Duration,
}

impl Default for PostmanOptions {
    fn default() -> Self {
        Self {
            queue: 1_000,
            at_once: 8,
            attempts: 6,
            back_off: Duration::from_secs(2),
            life: Duration::from_secs(15 * 60),
            drain: Duration::from_secs(10),
        }
    }
}

/// What became of the messages so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Handed to the mail server.
    pub sent: u64,
    /// Tries that failed and were made again.
    pub retried: u64,
    /// Given up: refused, or not sent within their life and their tries.
    pub failed: u64,
    /// Refused because the queue was full.
    pub dropped: u64,
    /// Not sent when the program stopped.
    pub lost: u64,
}

#[derive(Debug, Default)]
struct Counters {
    sent: AtomicU64,
    retried: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    lost: AtomicU64,
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// A message with the moment it was taken.
struct Held {
    message: Message,
    taken: Instant,
}

/// Takes messages at once and sends them in the background.
#[derive(Clone)]
pub struct Postman {
    queue: mpsc::Sender<Held>,
    mail: Arc<dyn Mail>,
    counters: Arc<Counters>,
}

impl Postman {
    /// Starts sending what it is given through `mail`, until `tasks` closes.
    pub fn start(mail: Arc<dyn Mail>, tasks: &Tasks, options: PostmanOptions) -> Self {
        let (queue, waiting) = mpsc::channel(options.queue.max(1));
        let counters = Arc::new(Counters::default());
        let round = Round {
            mail: Arc::clone(&mail),
            counters: Arc::clone(&counters),
            options,
            stopping: watch::Sender::new(false),
        };
        tasks.spawn(round.run(waiting, tasks.closing()));
        Self { queue, mail, counters }
    }

    /// What became of the messages so far.
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            sent: read(&self.counters.sent),
            retried: read(&self.counters.retried),
            failed: read(&self.counters.failed),
            dropped: read(&self.counters.dropped),
            lost: read(&self.counters.lost),
        }
    }

    /// How many messages wait.
    pub fn waiting(&self) -> usize {
        self.queue.max_capacity().saturating_sub(self.queue.capacity())
    }
}

#[async_trait]
impl Mail for Postman {
    /// Takes the message; never waits.
    async fn send(&self, message: Message) -> Result<(), Error> {
        match self.queue.try_send(Held { message, taken: Instant::now() }) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => {
                add(&self.counters.dropped);
                Err(Error::Full)
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Error::Closed),
        }
    }

    async fn ping(&self) -> Result<(), Error> {
        self.mail.ping().await
    }
}

impl fmt::Debug for Postman {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postman")
            .field("mail", &self.mail)
            .field("waiting", &self.waiting())
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

/// The background work.
struct Round {
    mail: Arc<dyn Mail>,
    counters: Arc<Counters>,
    options: PostmanOptions,
    /// Ends the waits between tries.
    stopping: watch::Sender<bool>,
}

impl Round {
    async fn run(self, mut waiting: mpsc::Receiver<Held>, closing: impl Future<Output = ()>) {
        let mut closing = std::pin::pin!(closing);
        let mut under_way = FuturesUnordered::new();
        loop {
            let has_room = under_way.len() < self.options.at_once.max(1);
            tokio::select! {
                () = &mut closing => break,
                Some(()) = under_way.next() => {}
                held = waiting.recv(), if has_room => match held {
                    Some(held) => under_way.push(self.deliver(held)),
                    // Whoever could give more is gone.
                    None => break,
                },
            }
        }
        waiting.close();
        let stops = Instant::now() + self.options.drain;
        self.stopping.send_replace(true);
        let rest = async {
            loop {
                while under_way.len() < self.options.at_once.max(1) {
                    let Ok(held) = waiting.try_recv() else { break };
                    under_way.push(self.deliver(held));
                }
                if under_way.next().await.is_none() {
                    break;
                }
            }
        };
        let ended = timeout_at(stops, rest).await;
        let mut left = if ended.is_ok() { 0 } else { under_way.len() };
        while waiting.try_recv().is_ok() {
            left = left.saturating_add(1);
        }
        self.counters.lost.fetch_add(u64::try_from(left).unwrap_or(u64::MAX), Ordering::Relaxed);
        let lost = self.counters.lost.load(Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(mails = lost, "the program stopped before these mails were sent");
        }
    }

    async fn deliver(&self, held: Held) {
        let ends = held.taken + self.options.life;
        let mut wait = self.options.back_off;
        let mut attempt = 0_u32;
        let mut stopping = self.stopping.subscribe();
        loop {
            attempt = attempt.saturating_add(1);
            let tried = timeout_at(ends, self.mail.send(held.message.clone()));
            let error = match tried.await.unwrap_or(Err(Error::TimedOut)) {
                Ok(()) => return add(&self.counters.sent),
                Err(error) => error,
            };
            let over =
                !error.is_temporary() || attempt >= self.options.attempts || Instant::now() + wait >= ends;
            if over {
                // The boundary that logs: whoever gave the message got its answer long ago.
                tracing::error!(%error, attempts = attempt, "a mail could not be sent and is given up");
                return add(&self.counters.failed);
            }
            if *stopping.borrow() {
                return add(&self.counters.lost);
            }
            tracing::warn!(%error, attempts = attempt, "a mail could not be sent and is tried again");
            add(&self.counters.retried);
            tokio::select! {
                () = sleep(wait) => {}
                // One more try at once, then it is lost.
                _ = stopping.wait_for(|stopping| *stopping) => {}
            }
            wait = wait.saturating_mul(2);
        }
    }
}
