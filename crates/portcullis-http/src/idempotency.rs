//! `Idempotency-Key`: a client that sends the same request again gets the same answer, and is charged once.
//!
//! A key belongs to the actor who sent it, as far as they reach at that moment: once they reach less or more, the same
//! key asks anew, so that nobody is sent again what they may no longer read. While the first request runs, a second one is told so; with another body it
//! is refused; an answer that failed is forgotten, so that the retry runs.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderValue;
use lru::LruCache;
use parking_lot::Mutex;
use portcullis_core::{ConversationId, Scope};
use portcullis_guard::{Code, Refusal};
use ring::digest::{Context, SHA256};

/// The longest answer that is kept, in bytes; a longer one is not replayed.
const LONGEST: usize = 1 << 20;

type Digest = [u8; 32];

#[derive(Debug)]
enum Entry {
    InFlight { request: Digest },
    Done { request: Digest, kept: Kept, until: Duration },
}

/// An answer that is kept.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Its content type.
    pub content_type: HeaderValue,
    /// The conversation it was kept in.
    pub conversation: Option<ConversationId>,
    /// Its body, whole.
    pub body: Bytes,
}

/// Answers kept for clients that retry, at most a fixed number, the least recently used forgotten first.
#[derive(Debug)]
pub struct Idempotency {
    entries: Mutex<LruCache<Digest, Entry>>,
    ttl: Duration,
}

/// What to do with a request that carries a key.
#[derive(Debug)]
pub enum Start {
    /// Run it, and tell the ticket how it ended.
    Run(Ticket),
    /// Send this again.
    Replay(Kept),
}

impl Idempotency {
    /// Room for so many answers, each kept so long.
    pub fn new(entries: usize, ttl: Duration) -> Self {
        let most = NonZeroUsize::new(entries).unwrap_or(NonZeroUsize::MIN);
        Self { entries: Mutex::new(LruCache::new(most)), ttl }
    }

    /// Looks a key up. `now` is the clock's monotonic time, `wanted` what the request says besides its body of where its
    /// answer belongs.
    pub fn start(
        self: &Arc<Self>,
        now: Duration,
        scope: &Scope,
        key: &HeaderValue,
        wanted: &[u8],
        body: &[u8],
    ) -> Result<Start, Refusal> {
        let text = key.as_bytes();
        if text.is_empty() || text.len() > 255 || !text.iter().all(u8::is_ascii_graphic) {
            return Err(Refusal::new(
                Code::InvalidRequest,
                "`Idempotency-Key` must be 1 to 255 visible ASCII characters",
            )
            .param("Idempotency-Key"));
        }
        let (role, spaces) = (scope.role(), scope.spaces());
        let owner = format!("{}/{:?}/{role:?}/{spaces:?}", scope.community(), scope.actor());
        let name = digest(&[owner.as_bytes(), text]);
        let request = digest(&[wanted, body]);
        let mut entries = self.entries.lock();
        match entries.get(&name) {
            Some(Entry::InFlight { request: first } | Entry::Done { request: first, .. })
                if *first != request =>
            {
                Err(Refusal::new(
                    Code::IdempotencyMismatch,
                    "this idempotency key was used with another request",
                )
                .param("Idempotency-Key"))
            }
            Some(Entry::InFlight { .. }) => Err(Refusal::new(
                Code::IdempotencyInFlight,
                "the first request with this idempotency key still runs",
            )
            .retry_after(Duration::from_secs(1))
            .param("Idempotency-Key")),
            Some(Entry::Done { kept, until, .. }) if now < *until => Ok(Start::Replay(kept.clone())),
            Some(Entry::Done { .. }) | None => {
                entries.put(name, Entry::InFlight { request });
                Ok(Start::Run(Ticket {
                    owner: Arc::clone(self),
                    name,
                    request,
                    state: Some(State::default()),
                }))
            }
        }
    }
}

/// One running request with a key. Dropped without [`Ticket::keep`], the key is free again.
#[derive(Debug)]
pub struct Ticket {
    owner: Arc<Idempotency>,
    name: Digest,
    request: Digest,
    state: Option<State>,
}

#[derive(Debug, Default)]
struct State {
    body: BytesMut,
    too_long: bool,
}

impl Ticket {
    /// Remembers a piece of the answer.
    pub fn record(&mut self, piece: &[u8]) {
        if let Some(state) = &mut self.state {
            if state.body.len() + piece.len() > LONGEST {
                state.too_long = true;
                state.body.clear();
            } else if !state.too_long {
                state.body.extend_from_slice(piece);
            }
        }
    }

    /// The answer is complete: keep it for clients that retry.
    pub fn keep(mut self, now: Duration, content_type: HeaderValue, conversation: Option<ConversationId>) {
        if let Some(state) = self.state.take().filter(|state| !state.too_long) {
            let kept = Kept { content_type, conversation, body: state.body.freeze() };
            let entry = Entry::Done { request: self.request, kept, until: now + self.owner.ttl };
            self.owner.entries.lock().put(self.name, entry);
        } else {
            self.owner.entries.lock().pop(&self.name);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.state.is_some() {
            self.owner.entries.lock().pop(&self.name);
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

    use http::HeaderValue;
    use portcullis_core::{AbilitySet, Actor, CommunityId, Grant, KeyId, Role, Scope, SpaceId, Tier};
    use portcullis_guard::Code;

    use super::{Idempotency, Start};

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

    fn start(store: &Arc<Idempotency>, seconds: u64, actor: u8, body: &[u8]) -> Result<Start, Code> {
        let key = HeaderValue::from_static("k-1");
        let now = Duration::from_secs(seconds);
        store.start(now, &scope(actor, &[]), &key, b"", body).map_err(|refusal| refusal.code)
    }

    #[test]
    fn a_retry_gets_the_same_answer_once_it_is_there_and_only_its_own() {
        let store = Arc::new(Idempotency::new(10, Duration::from_secs(60)));
        let Ok(Start::Run(mut ticket)) = start(&store, 0, 1, b"a") else { panic!("the first request runs") };
        assert!(matches!(start(&store, 1, 1, b"a"), Err(Code::IdempotencyInFlight)));
        assert!(matches!(start(&store, 1, 1, b"b"), Err(Code::IdempotencyMismatch)));
        assert!(matches!(start(&store, 1, 2, b"a"), Ok(Start::Run(_))), "another actor's key is another key");
        ticket.record(b"answer");
        ticket.keep(Duration::from_secs(1), HeaderValue::from_static("text/plain"), None);
        assert!(matches!(start(&store, 2, 1, b"a"), Ok(Start::Replay(kept)) if kept.body == "answer"));
        assert!(matches!(start(&store, 2, 1, b"b"), Err(Code::IdempotencyMismatch)));
        assert!(
            matches!(start(&store, 61, 1, b"a"), Ok(Start::Run(_))),
            "an old answer is not kept for ever"
        );
    }

    #[test]
    fn what_was_answered_before_access_ended_is_not_sent_again() {
        let store = Arc::new(Idempotency::new(10, Duration::from_secs(60)));
        let key = HeaderValue::from_static("k-1");
        let (paid, lapsed) = (scope(1, &[SpaceId::from_bytes([9; 16])]), scope(1, &[]));
        let now = Duration::from_secs(1);
        let Ok(Start::Run(mut ticket)) = store.start(now, &paid, &key, b"", b"a") else { panic!("it runs") };
        ticket.record(b"what is paid for");
        ticket.keep(now, HeaderValue::from_static("text/plain"), None);
        assert!(matches!(store.start(now, &paid, &key, b"", b"a"), Ok(Start::Replay(_))));
        assert!(matches!(store.start(now, &lapsed, &key, b"", b"a"), Ok(Start::Run(_))));
    }

    #[test]
    fn a_retry_in_another_conversation_is_another_request() {
        let store = Arc::new(Idempotency::new(10, Duration::from_secs(60)));
        let key = HeaderValue::from_static("k-1");
        let now = Duration::from_secs(1);
        let _ticket = store.start(now, &scope(1, &[]), &key, b"one", b"a");
        let other = store.start(now, &scope(1, &[]), &key, b"on", b"ea").map_err(|refusal| refusal.code);
        assert!(matches!(other, Err(Code::IdempotencyMismatch)), "{other:?}");
    }

    #[test]
    fn a_request_that_failed_may_be_tried_again() {
        let store = Arc::new(Idempotency::new(10, Duration::from_secs(60)));
        drop(start(&store, 0, 1, b"a"));
        assert!(matches!(start(&store, 0, 1, b"a"), Ok(Start::Run(_))));
    }
}
