//! `Idempotency-Key`: a client that sends the same request again gets the same answer, and is charged once.
//!
//! A key belongs to the actor who sent it, as far as they reach at that moment: once they reach less or more, the same
//! key asks anew, so that nobody is sent again what they may no longer read. While the first request runs, a second one is told so; with another body it
//! is refused; an answer that failed is forgotten, so that the retry runs. An answer goes with its conversation: once that
//! is removed, a retry finds nothing, and begins nothing either. Whoever sends a kept answer first asks whether its sources
//! may still be read ([`Kept`]).
//!
//! Answers are kept in memory, so many and so many bytes, and of these at most a sixteenth for one actor: what is over is
//! forgotten, the least recently used first, of the actor's own before anybody else's. That a request runs is never
//! forgotten while it does: there are no more of them than connections.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderValue;
use lru::LruCache;
use parking_lot::Mutex;
use portcullis_core::{Actor, CommunityId, ConversationId, DocumentId, Scope};
use portcullis_guard::{Code, Refusal};
use ring::digest::{Context, SHA256};

/// The longest answer that is kept, in bytes; a longer one is not replayed.
const LONGEST: usize = 1 << 20;
/// The part of all answers that one actor may have kept.
const PART: usize = 16;
/// What an entry costs beside its answer's body, roughly.
const ENTRY_BYTES: usize = 512;

type Digest = [u8; 32];
type Holder = (CommunityId, Actor);

#[derive(Debug)]
struct Entry {
    holder: Holder,
    request: Digest,
    state: State,
}

#[derive(Debug)]
enum State {
    Done {
        kept: Kept,
        number: Number,
        until: Duration,
    },
    /// The answer's conversation was removed. The key is remembered, so that a late retry does not begin it anew.
    Gone {
        until: Duration,
    },
}

/// An answer that is kept. Before it is sent again, its conversation must still be there and its sources readable.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Its content type.
    pub content_type: HeaderValue,
    /// The conversation it was kept in.
    pub conversation: Option<ConversationId>,
    /// Every document that the model was shown for it.
    pub sources: Vec<DocumentId>,
    /// Its body, whole.
    pub body: Bytes,
}

/// Which kept answer it is, among all that were ever kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number(u64);

/// Answers kept for clients that retry.
#[derive(Debug)]
pub struct Idempotency {
    shelf: Mutex<Shelf>,
    ttl: Duration,
    longest: usize,
}

/// What to do with a request that carries a key.
#[derive(Debug)]
pub enum Start {
    /// Run it, and tell the ticket how it ended.
    Run(Ticket),
    /// Send this again.
    Replay(Kept, Number),
}

/// A request that carries an idempotency key.
#[derive(Debug, Clone, Copy)]
pub struct Retry<'a> {
    /// Who sends it.
    pub scope: &'a Scope,
    /// The key.
    pub key: &'a HeaderValue,
    /// What the request says besides its body of where its answer belongs.
    pub wanted: &'a [u8],
    /// The body.
    pub body: &'a [u8],
}

impl Retry<'_> {
    fn holder(&self) -> Holder {
        (self.scope.community(), self.scope.actor())
    }

    /// What the key stands for: it is its sender's own, as far as they reach now.
    fn name(&self) -> Digest {
        let (role, spaces) = (self.scope.role(), self.scope.spaces());
        let owner = format!("{}/{:?}/{role:?}/{spaces:?}", self.scope.community(), self.scope.actor());
        digest(&[owner.as_bytes(), self.key.as_bytes()])
    }
}

impl Idempotency {
    /// Room for so many answers and so many bytes of them, each kept so long.
    pub fn new(entries: usize, bytes: usize, ttl: Duration) -> Self {
        let shelf = Shelf {
            running: HashMap::new(),
            entries: LruCache::unbounded(),
            holders: HashMap::new(),
            bytes: 0,
            kept: 0,
            most: (entries.max(1), bytes),
        };
        let longest = LONGEST.min((bytes / PART).saturating_sub(ENTRY_BYTES));
        Self { shelf: Mutex::new(shelf), ttl, longest }
    }

    /// Looks a key up. `now` is the clock's monotonic time.
    pub fn start(self: &Arc<Self>, now: Duration, retry: Retry<'_>) -> Result<Start, Refusal> {
        let text = retry.key.as_bytes();
        if text.is_empty() || text.len() > 255 || !text.iter().all(u8::is_ascii_graphic) {
            return Err(Refusal::new(
                Code::InvalidRequest,
                "`Idempotency-Key` must be 1 to 255 visible ASCII characters",
            )
            .param("Idempotency-Key"));
        }
        let (name, request) = (retry.name(), digest(&[retry.wanted, retry.body]));
        let mut shelf = self.shelf.lock();
        let mismatch = || {
            Refusal::new(Code::IdempotencyMismatch, "this idempotency key was used with another request")
                .param("Idempotency-Key")
        };
        if let Some(running) = shelf.running.get(&name) {
            return Err(if *running == request {
                Refusal::new(
                    Code::IdempotencyInFlight,
                    "the first request with this idempotency key still runs",
                )
                .retry_after(Duration::from_secs(1))
                .param("Idempotency-Key")
            } else {
                mismatch()
            });
        }
        let found = shelf.entries.get(&name).filter(|entry| match entry.state {
            State::Done { until, .. } | State::Gone { until } => now < until,
        });
        match found {
            Some(entry) if entry.request != request => Err(mismatch()),
            Some(Entry { state: State::Done { kept, number, .. }, .. }) => {
                Ok(Start::Replay(kept.clone(), *number))
            }
            Some(Entry { state: State::Gone { .. }, .. }) => Err(removed()),
            None => {
                shelf.running.insert(name, request);
                Ok(Start::Run(Ticket {
                    owner: Arc::clone(self),
                    holder: retry.holder(),
                    name,
                    request,
                    recorded: Some(Recorded::default()),
                }))
            }
        }
    }

    /// Forgets that answer to a request, since it may not be sent again. The next such request runs, unless another answer
    /// is there by now.
    pub fn discard(&self, retry: Retry<'_>, judged: Number) {
        let (name, mut shelf) = (retry.name(), self.shelf.lock());
        let is_it = |entry: &Entry| matches!(entry.state, State::Done { number, .. } if number == judged);
        if shelf.entries.peek(&name).is_some_and(is_it) {
            shelf.remove(&name);
        }
    }

    /// Forgets every answer of a conversation that was removed. Who retries one is told that it is gone.
    pub fn forget(&self, scope: &Scope, conversation: ConversationId) {
        let holder = (scope.community(), scope.actor());
        let mut shelf = self.shelf.lock();
        let names: Vec<Digest> =
            shelf.holders.get(&holder).into_iter().flat_map(|held| held.names.clone()).collect();
        for name in names {
            let of_it = shelf.entries.peek(&name).and_then(|entry| match &entry.state {
                State::Done { kept, until, .. } if kept.conversation == Some(conversation) => {
                    Some((entry.request, *until))
                }
                _ => None,
            });
            if let Some((request, until)) = of_it {
                shelf.put(name, Entry { holder, request, state: State::Gone { until } });
            }
        }
    }
}

/// What a retry is told once the conversation of its answer is gone.
pub(crate) fn removed() -> Refusal {
    Refusal::new(Code::NotFound, "the conversation that this was answered in was removed")
        .param("Idempotency-Key")
}

/// The entries, with what each actor has of them.
#[derive(Debug)]
struct Shelf {
    /// The requests that run, by their keys.
    running: HashMap<Digest, Digest>,
    entries: LruCache<Digest, Entry>,
    holders: HashMap<Holder, Held>,
    bytes: usize,
    /// How many answers were kept so far.
    kept: u64,
    /// The most entries, and the most bytes.
    most: (usize, usize),
}

#[derive(Debug, Default)]
struct Held {
    bytes: usize,
    /// The oldest first.
    names: VecDeque<Digest>,
}

impl Entry {
    fn bytes(&self) -> usize {
        match &self.state {
            State::Done { kept, .. } => ENTRY_BYTES + kept.body.len(),
            State::Gone { .. } => ENTRY_BYTES,
        }
    }
}

impl Shelf {
    fn put(&mut self, name: Digest, entry: Entry) {
        self.remove(&name);
        let (size, holder) = (entry.bytes(), entry.holder);
        let (most, most_bytes) = self.most;
        let held = |shelf: &Self| {
            shelf
                .holders
                .get(&holder)
                .map_or((0, 0, None), |held| (held.names.len(), held.bytes, held.names.front().copied()))
        };
        while let (names, bytes, Some(oldest)) = held(self) {
            if names < most.div_ceil(PART) && bytes + size <= most_bytes / PART {
                break;
            }
            self.remove(&oldest);
        }
        while self.entries.len() >= most || self.bytes + size > most_bytes {
            let Some((oldest, _)) = self.entries.peek_lru() else { break };
            let oldest = *oldest;
            self.remove(&oldest);
        }
        self.bytes += size;
        let held = self.holders.entry(holder).or_default();
        held.bytes += size;
        held.names.push_back(name);
        self.entries.put(name, entry);
    }

    fn remove(&mut self, name: &Digest) {
        let Some(entry) = self.entries.pop(name) else { return };
        self.bytes -= entry.bytes();
        if let Some(held) = self.holders.get_mut(&entry.holder) {
            held.bytes -= entry.bytes();
            held.names.retain(|held| held != name);
            if held.names.is_empty() {
                self.holders.remove(&entry.holder);
            }
        }
    }
}

/// One running request with a key. Dropped without [`Ticket::keep`], the key is free again.
#[derive(Debug)]
pub struct Ticket {
    owner: Arc<Idempotency>,
    holder: Holder,
    name: Digest,
    request: Digest,
    recorded: Option<Recorded>,
}

#[derive(Debug, Default)]
struct Recorded {
    body: BytesMut,
    too_long: bool,
}

impl Ticket {
    /// Remembers a piece of the answer.
    pub fn record(&mut self, piece: &[u8]) {
        if let Some(recorded) = &mut self.recorded {
            if recorded.body.len() + piece.len() > self.owner.longest {
                recorded.too_long = true;
                recorded.body = BytesMut::new();
            } else if !recorded.too_long {
                recorded.body.extend_from_slice(piece);
            }
        }
    }

    /// The answer is complete: keep it for clients that retry. The body of `kept` is what was recorded.
    pub fn keep(mut self, now: Duration, kept: Kept) {
        let Some(recorded) = self.recorded.take() else { return };
        let mut shelf = self.owner.shelf.lock();
        shelf.running.remove(&self.name);
        if recorded.too_long {
            shelf.remove(&self.name);
            return;
        }
        shelf.kept += 1;
        let state = State::Done {
            kept: Kept { body: recorded.body.freeze(), ..kept },
            number: Number(shelf.kept),
            until: now + self.owner.ttl,
        };
        shelf.put(self.name, Entry { holder: self.holder, request: self.request, state });
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.recorded.is_some() {
            self.owner.shelf.lock().running.remove(&self.name);
        }
    }
}

fn digest(parts: &[&[u8]]) -> Digest {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use http::HeaderValue;
    use portcullis_core::{
        AbilitySet, Actor, CommunityId, ConversationId, Grant, KeyId, Role, Scope, SpaceId, Tier,
    };
    use portcullis_guard::Code;

    use super::{Idempotency, Kept, Retry, Start, Ticket};

    const TTL: Duration = Duration::from_secs(60);

    #[expect(clippy::disallowed_methods, reason = "a test's own scope")]
    fn scope(key: u8, spaces: &[SpaceId]) -> Scope {
        Scope::grant(Grant {
            community: CommunityId::from_bytes([1; 16]),
            actor: Actor::Key(KeyId::from_bytes([key; 16])),
            role: Role::Member,
            abilities: AbilitySet::NONE,
            spaces: spaces.into(),
            tier: Tier::Standard,
        })
    }

    fn usual() -> Arc<Idempotency> {
        Arc::new(Idempotency::new(160, 16 << 20, TTL))
    }

    fn kept(conversation: Option<ConversationId>) -> Kept {
        let content_type = HeaderValue::from_static("text/plain");
        Kept { content_type, conversation, sources: Vec::new(), body: Bytes::new() }
    }

    fn asked(
        store: &Arc<Idempotency>,
        seconds: u64,
        scope: &Scope,
        key: &str,
        parts: [&[u8]; 2],
    ) -> Result<Start, Code> {
        let key = HeaderValue::from_str(key).expect("a key");
        let retry = Retry { scope, key: &key, wanted: parts[0], body: parts[1] };
        store.start(Duration::from_secs(seconds), retry).map_err(|refusal| refusal.code)
    }

    fn start(store: &Arc<Idempotency>, seconds: u64, actor: u8, body: &[u8]) -> Result<Start, Code> {
        asked(store, seconds, &scope(actor, &[]), "k-1", [b"", body])
    }

    fn run(started: Result<Start, Code>) -> Ticket {
        let Ok(Start::Run(ticket)) = started else { panic!("it runs") };
        ticket
    }

    /// Whether the answer to that key is kept.
    fn replays(store: &Arc<Idempotency>, scope: &Scope, key: &str) -> bool {
        matches!(asked(store, 2, scope, key, [b"", b"a"]), Ok(Start::Replay(..)))
    }

    #[test]
    fn a_retry_gets_the_same_answer_once_it_is_there_and_only_its_own() {
        let store = usual();
        let mut ticket = run(start(&store, 0, 1, b"a"));
        assert!(matches!(start(&store, 1, 1, b"a"), Err(Code::IdempotencyInFlight)));
        assert!(matches!(start(&store, 1, 1, b"b"), Err(Code::IdempotencyMismatch)));
        assert!(matches!(start(&store, 1, 2, b"a"), Ok(Start::Run(_))), "another actor's key is another key");
        ticket.record(b"answer");
        ticket.keep(Duration::from_secs(1), kept(None));
        assert!(matches!(start(&store, 2, 1, b"a"), Ok(Start::Replay(kept, _)) if kept.body == "answer"));
        assert!(matches!(start(&store, 2, 1, b"b"), Err(Code::IdempotencyMismatch)));
        assert!(
            matches!(start(&store, 61, 1, b"a"), Ok(Start::Run(_))),
            "an old answer is not kept for ever"
        );
    }

    #[test]
    fn only_the_answer_that_was_judged_is_forgotten() {
        let (store, actor) = (usual(), scope(1, &[]));
        let key = HeaderValue::from_static("k-1");
        let retry = Retry { scope: &actor, key: &key, wanted: b"", body: b"a" };
        let answer = |text: &[u8]| {
            let mut ticket = run(start(&store, 0, 1, b"a"));
            ticket.record(text);
            ticket.keep(Duration::from_secs(1), kept(None));
        };
        answer(b"first");
        // Two retries find it, and each learns that a source of it may not be read any more.
        let [one, two] = [(); 2].map(|()| match start(&store, 2, 1, b"a") {
            Ok(Start::Replay(_, number)) => number,
            other => panic!("it is kept: {other:?}"),
        });
        store.discard(retry, one);
        answer(b"second");
        store.discard(retry, two);
        let again = start(&store, 2, 1, b"a");
        assert!(matches!(&again, Ok(Start::Replay(kept, _)) if kept.body == "second"), "{again:?}");
    }

    #[test]
    fn what_was_answered_before_access_ended_is_not_sent_again() {
        let store = usual();
        let (paid, lapsed) = (scope(1, &[SpaceId::from_bytes([9; 16])]), scope(1, &[]));
        let mut ticket = run(asked(&store, 1, &paid, "k-1", [b"", b"a"]));
        ticket.record(b"what is paid for");
        ticket.keep(Duration::from_secs(1), kept(None));
        assert!(replays(&store, &paid, "k-1"));
        assert!(!replays(&store, &lapsed, "k-1"));
    }

    #[test]
    fn a_retry_in_another_conversation_is_another_request() {
        let store = usual();
        let _ticket = asked(&store, 1, &scope(1, &[]), "k-1", [b"one", b"a"]);
        let other = asked(&store, 1, &scope(1, &[]), "k-1", [b"on", b"ea"]);
        assert!(matches!(other, Err(Code::IdempotencyMismatch)), "{other:?}");
    }

    #[test]
    fn a_request_that_failed_may_be_tried_again() {
        let store = usual();
        drop(start(&store, 0, 1, b"a"));
        assert!(matches!(start(&store, 0, 1, b"a"), Ok(Start::Run(_))));
    }

    #[test]
    fn an_answer_goes_with_its_conversation_and_no_other() {
        let store = usual();
        let (here, there) = (ConversationId::from_bytes([1; 16]), ConversationId::from_bytes([2; 16]));
        for (actor, key, conversation) in [(1, "k-1", here), (1, "k-2", there), (2, "k-1", here)] {
            let mut ticket = run(asked(&store, 1, &scope(actor, &[]), key, [b"", b"a"]));
            ticket.record(b"answer");
            ticket.keep(Duration::from_secs(1), kept(Some(conversation)));
        }
        store.forget(&scope(1, &[]), here);
        let gone = asked(&store, 2, &scope(1, &[]), "k-1", [b"", b"a"]);
        assert!(matches!(gone, Err(Code::NotFound)), "{gone:?}");
        assert!(replays(&store, &scope(1, &[]), "k-2"), "another conversation");
        assert!(replays(&store, &scope(2, &[]), "k-1"), "another member's conversation of the same id");
        assert!(matches!(start(&store, 62, 1, b"a"), Ok(Start::Run(_))), "not for ever");
    }

    #[test]
    fn one_actor_fills_their_part_and_pushes_nobody_out() {
        let store = usual();
        let (other, busy) = (scope(2, &[]), scope(1, &[]));
        let mut ticket = run(asked(&store, 1, &other, "k-1", [b"", b"a"]));
        ticket.record(b"answer");
        ticket.keep(Duration::from_secs(1), kept(None));
        for number in 0..1_000 {
            let mut ticket = run(asked(&store, 1, &busy, &format!("k-{number}"), [b"", b"a"]));
            ticket.record(&[7; 1_000]);
            ticket.keep(Duration::from_secs(1), kept(None));
        }
        assert!(replays(&store, &other, "k-1"), "somebody else's answer was pushed out");
        assert_eq!(store.shelf.lock().entries.len(), 1 + 10, "a sixteenth of 160");
        assert!(replays(&store, &busy, "k-999") && !replays(&store, &busy, "k-0"), "the oldest go first");
    }

    #[test]
    fn that_a_request_runs_is_never_forgotten_while_it_does() {
        let store = usual();
        let (patient, busy) = (scope(1, &[]), scope(2, &[]));
        let running = run(asked(&store, 0, &patient, "slow", [b"", b"a"]));
        for number in 0..1_000 {
            for scope in [&patient, &busy] {
                let mut ticket = run(asked(&store, 1, scope, &format!("k-{number}"), [b"", b"a"]));
                ticket.record(&[7; 100_000]);
                ticket.keep(Duration::from_secs(1), kept(None));
            }
        }
        let retried = asked(&store, 3_600, &patient, "slow", [b"", b"a"]);
        assert!(matches!(retried, Err(Code::IdempotencyInFlight)), "{retried:?}");
        running.keep(Duration::from_secs(2), kept(None));
        assert!(replays(&store, &patient, "slow"));
        assert!(store.shelf.lock().running.is_empty());
    }

    #[test]
    fn bytes_are_bounded_for_one_actor_and_for_all() {
        let store = Arc::new(Idempotency::new(10_000, 16 * 10_000, TTL));
        for actor in 0..100 {
            for number in 0..10 {
                let mut ticket =
                    run(asked(&store, 1, &scope(actor, &[]), &format!("k-{number}"), [b"", b"a"]));
                ticket.record(&[7; 3_000]);
                ticket.keep(Duration::from_secs(1), kept(None));
                let shelf = store.shelf.lock();
                assert!(shelf.bytes <= 160_000, "{} bytes", shelf.bytes);
                assert!(shelf.holders.values().all(|held| held.bytes <= 10_000), "one actor has more");
                let sum: usize = shelf.entries.iter().map(|(_, entry)| entry.bytes()).sum();
                assert_eq!(shelf.bytes, sum);
            }
        }
        let mut ticket = run(start(&store, 1, 1, b"a"));
        (0..100).for_each(|_| ticket.record(&[7; 100]));
        ticket.keep(Duration::from_secs(1), kept(None));
        assert!(matches!(start(&store, 1, 1, b"a"), Ok(Start::Run(_))), "more than a part is not kept");
    }
}
