//! Answers about identities, kept in memory for as long as nothing they are made of has changed.
//!
//! Each lookup first asks whether any connection, of this process or another, has committed to the file since the last
//! one ([`Watch::version`]), and if so whether that touched an identity (`identity_epoch`). An
//! answer also ends with the first entitlement or key expiry in it. A lookup costs a few microseconds and no page.

use std::fmt;
use std::num::NonZeroUsize;

use jiff::Timestamp;
use lru::LruCache;
use portcullis_core::{MemberId, TokenHash};
use portcullis_store::{KeyIdentity, Standing};
use rusqlite::Connection;

use crate::fault::Fault;
use crate::session_identity::Remembered;
use crate::value::micros;
use crate::watch::Watch;

/// The most keys, and the most members, remembered for one community.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(4_096).unwrap();

/// An answer and the time within which it is right, in microseconds: from the first up to before the second.
#[derive(Debug, Clone)]
pub(crate) struct Dated<T> {
    pub(crate) answer: T,
    pub(crate) from: i64,
    pub(crate) until: i64,
}

/// Which state of the file an answer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Epoch(i64);

/// The remembered identities of one community.
pub(crate) struct IdentityCache {
    watch: Option<Watch>,
    version: i64,
    epoch: Epoch,
    keys: LruCache<TokenHash, Dated<KeyIdentity>>,
    standings: LruCache<MemberId, Dated<Standing>>,
    sessions: LruCache<TokenHash, Remembered>,
    subjects: LruCache<[u8; 32], MemberId>,
}

impl IdentityCache {
    /// An empty cache that watches the file through its own connection, which never writes.
    pub(crate) fn new(mut watch: Watch) -> Result<Self, Fault> {
        let (version, epoch) = (watch.version()?, epoch(watch.connection())?);
        // It reads next to nothing from now on, and there is one for every open community.
        watch.connection().release_memory()?;
        Ok(Self {
            watch: Some(watch),
            version,
            epoch,
            keys: LruCache::new(REMEMBERED),
            standings: LruCache::new(REMEMBERED),
            sessions: LruCache::new(REMEMBERED),
            subjects: LruCache::new(REMEMBERED),
        })
    }

    /// Forgets what may have changed, and tells which state of the file the rest belongs to. `None` when that
    /// cannot be told now: then nothing remembered may be used.
    pub(crate) fn refresh(&mut self) -> Option<Epoch> {
        let watch = self.watch.as_mut()?;
        // The version is read before the epoch: a commit in between shows as another version next time.
        let version = watch.version().ok()?;
        if version != self.version {
            let epoch = epoch(watch.connection()).ok()?;
            if epoch != self.epoch {
                self.keys.clear();
                self.standings.clear();
                self.sessions.clear();
                self.subjects.clear();
                self.epoch = epoch;
            }
            self.version = version;
        }
        Some(self.epoch)
    }

    /// The remembered key, if it is still right at `now`. Call [`IdentityCache::refresh`] before.
    pub(crate) fn key(&mut self, hash: &TokenHash, now: Timestamp) -> Option<KeyIdentity> {
        current(self.keys.get(hash), now)
    }

    /// The remembered standing, if it is still right at `now`. Call [`IdentityCache::refresh`] before.
    pub(crate) fn standing(&mut self, member: MemberId, now: Timestamp) -> Option<Standing> {
        current(self.standings.get(&member), now)
    }

    /// Remembers a key that was looked up after `seen` was the state of the file.
    pub(crate) fn remember_key(&mut self, seen: Epoch, hash: TokenHash, found: Dated<KeyIdentity>) {
        if seen == self.epoch {
            self.keys.put(hash, found);
        }
    }

    /// Remembers a standing that was looked up after `seen` was the state of the file.
    pub(crate) fn remember_standing(&mut self, seen: Epoch, member: MemberId, found: Dated<Standing>) {
        if seen == self.epoch {
            self.standings.put(member, found);
        }
    }

    /// The remembered session, which tells itself whether it is still right. Call [`IdentityCache::refresh`] before.
    pub(crate) fn session(&mut self, hash: &TokenHash) -> Option<&mut Remembered> {
        self.sessions.get_mut(hash)
    }

    /// Remembers a session that was looked up after `seen` was the state of the file.
    pub(crate) fn remember_session(&mut self, seen: Epoch, hash: TokenHash, found: Remembered) {
        if seen == self.epoch {
            self.sessions.put(hash, found);
        }
    }

    /// The remembered member of a subject. Call [`IdentityCache::refresh`] before.
    pub(crate) fn subject(&mut self, hash: &[u8; 32]) -> Option<MemberId> {
        self.subjects.get(hash).copied()
    }

    /// Remembers whose a subject is, looked up after `seen` was the state of the file.
    pub(crate) fn remember_subject(&mut self, seen: Epoch, hash: [u8; 32], found: MemberId) {
        if seen == self.epoch {
            self.subjects.put(hash, found);
        }
    }

    /// Closes the connection; nothing remembered is used any more.
    pub(crate) fn close(&mut self) {
        self.watch = None;
    }
}

impl fmt::Debug for IdentityCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityCache").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

fn current<T: Clone>(remembered: Option<&Dated<T>>, now: Timestamp) -> Option<T> {
    let now = micros(now);
    remembered.filter(|dated| dated.from <= now && now < dated.until).map(|dated| dated.answer.clone())
}

fn epoch(watch: &Connection) -> Result<Epoch, rusqlite::Error> {
    watch.prepare_cached("SELECT epoch FROM identity_epoch")?.query_row([], |row| row.get(0).map(Epoch))
}
