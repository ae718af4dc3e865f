//! The files of communities: at most so many open at a time, each opened when first used.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lru::LruCache;
use parking_lot::Mutex;
use portcullis_core::CommunityId;
use portcullis_core::mail_address::folded;
use portcullis_core::seal::SealKey;
use portcullis_store::Kind;
use ring::hmac;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

use crate::db::{Db, Pools};
use crate::fault::Fault;
use crate::file::{FolderLock, Place, Purpose, unavailable};
use crate::identity_cache::IdentityCache;
use crate::keystore::KeyStore;
use crate::pool::closed;
use crate::schema::{COMMUNITY, Standing};
use crate::search;
use crate::watch::Watch;

/// One open community.
pub(crate) struct Community {
    pub(crate) id: CommunityId,
    pub(crate) db: Arc<Db>,
    pub(crate) identities: Mutex<IdentityCache>,
    /// What searches keep of the file.
    pub(crate) search: Arc<search::Memory>,
    /// Seals the addresses of those who ask for a sign-in link, who may be no members.
    pub(crate) sign_in_key: SealKey,
    /// Seals what a key asks that acts for no member, who have no key of their own.
    pub(crate) handover_key: SealKey,
    /// The same for calls of tools that such a key has waiting.
    pub(crate) approval_key: SealKey,
    email_index: hmac::Key,
    subject_index: hmac::Key,
    // The last field, so that the files are closed before their place is given to another community.
    _place: OwnedSemaphorePermit,
}

impl Community {
    /// What an address is found by: a keyed hash of it without regard to the case of ASCII letters, different in every
    /// community.
    pub(crate) fn email_index(&self, email: &str) -> [u8; 32] {
        let mut index = [0; 32];
        index.copy_from_slice(hmac::sign(&self.email_index, folded(email).as_bytes()).as_ref());
        index
    }

    /// What the name that an issuer's tokens give a member is found by: a keyed hash of both, exactly as they are.
    pub(crate) fn subject_index(&self, issuer: &str, subject: &str) -> [u8; 32] {
        let mut hash = hmac::Context::with_key(&self.subject_index);
        // The length in front, so that no other issuer and subject run together to the same bytes.
        hash.update(&u64::try_from(issuer.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(issuer.as_bytes());
        hash.update(subject.as_bytes());
        let mut index = [0; 32];
        index.copy_from_slice(hash.sign().as_ref());
        index
    }
}

impl fmt::Debug for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Community").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The open communities, most recently used first.
pub(crate) struct Communities {
    data_dir: PathBuf,
    keys: KeyStore,
    pools: Arc<Pools>,
    max_open: usize,
    /// What the searches of all open files keep in memory together.
    search: Arc<search::Budget>,
    /// One for each file that may still be opened.
    places: Arc<Semaphore>,
    /// Held by the one call that waits for a place; the others wait behind it.
    next: tokio::sync::Mutex<()>,
    /// `None` once closed.
    open: Mutex<Option<LruCache<CommunityId, Slot>>>,
}

/// How often a call that waits for a place looks whether a file has fallen idle.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Holds a community once it is open; who comes while it is being opened waits for that.
#[derive(Clone, Default)]
struct Slot(Arc<OnceCell<Arc<Community>>>);

impl Slot {
    /// Whether the community is open and nobody uses it, or is about to.
    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.0) == 1
            && self.0.get().is_some_and(|community| {
                Arc::strong_count(community) == 1 && Arc::strong_count(&community.db) == 1
            })
    }
}

impl Communities {
    pub(crate) fn new(data_dir: PathBuf, keys: KeyStore, pools: Arc<Pools>, max_open: usize) -> Self {
        Self {
            data_dir,
            keys,
            pools,
            max_open,
            search: search::Budget::new(search::MEMORY_BYTES),
            places: Arc::new(Semaphore::new(max_open)),
            next: tokio::sync::Mutex::new(()),
            open: Mutex::new(Some(LruCache::unbounded())),
        }
    }

    /// The open community, if there is one with that id. While as many as may be open are all in use, it waits.
    pub(crate) async fn find(&self, id: CommunityId) -> Result<Option<Arc<Community>>, Fault> {
        if let Some(community) = self.already_open(id)? {
            return Ok(Some(community));
        }
        let Some(key) = self.keys.community(id).await? else { return Ok(None) };
        let slot = {
            let mut open = self.open.lock();
            let open = open.as_mut().ok_or_else(closed)?;
            open.get_or_insert(id, Slot::default).clone()
        };
        let opened = slot.0.get_or_try_init(|| self.open_file(id, key)).await.map(Arc::clone);
        if opened.is_err() {
            self.forget_empty(id);
        }
        opened.map(Some)
    }

    /// The community of a scope; an unknown one is not found.
    pub(crate) async fn of_scope(&self, id: CommunityId) -> Result<Arc<Community>, Fault> {
        self.find(id).await?.ok_or(Fault::new(Kind::NotFound))
    }

    /// The community if it is open: no waiting, no reading.
    pub(crate) fn already_open(&self, id: CommunityId) -> Result<Option<Arc<Community>>, Fault> {
        let mut open = self.open.lock();
        let open = open.as_mut().ok_or_else(closed)?;
        Ok(open.get(&id).and_then(|slot| slot.0.get()).map(Arc::clone))
    }

    /// How many are open now.
    pub(crate) fn count(&self) -> usize {
        self.max_open.saturating_sub(self.places.available_permits())
    }

    /// The file of a community, existing or not.
    pub(crate) fn place(&self, id: CommunityId, key: SealKey) -> Place {
        Place { path: self.data_dir.join("communities").join(format!("{id}.db")), key, schema: &COMMUNITY }
    }

    /// Closes every file for good. It blocks.
    pub(crate) fn close(&self) {
        let open = self.open.lock().take();
        for (_, slot) in open.into_iter().flatten() {
            if let Some(community) = slot.0.get() {
                community.db.close();
                community.identities.lock().close();
            }
        }
    }

    async fn open_file(&self, id: CommunityId, key: SealKey) -> Result<Arc<Community>, Fault> {
        let room = self.room().await?;
        let place = self.place(id, key);
        let data_dir = self.data_dir.clone();
        let pools = Arc::clone(&self.pools);
        let search = search::Memory::new(&self.search);
        let open = move || {
            let mut watch = place.connect(Purpose::Watch)?;
            match COMMUNITY.standing(&watch)? {
                Standing::Current => {}
                Standing::Newer { found, known } => return Err(Standing::newer(found, known)),
                Standing::Behind => {
                    drop(watch);
                    let lock = FolderLock::wait(&data_dir)
                        .map_err(|error| unavailable("the data folder cannot be locked", &error))?;
                    place.upgrade()?;
                    drop(lock);
                    watch = place.connect(Purpose::Watch)?;
                }
            }
            let index = |purpose| {
                hmac::Key::new(hmac::HMAC_SHA256, SealKey::derive(place.key.expose(), purpose).expose())
            };
            let (email_index, subject_index) =
                (index("portcullis/email-index"), index("portcullis/subject-index"));
            let sign_in_key = SealKey::derive(place.key.expose(), "portcullis/sign-in");
            let handover_key = SealKey::derive(place.key.expose(), "portcullis/handovers");
            let approval_key = SealKey::derive(place.key.expose(), "portcullis/approvals");
            let db = Db::new(place, pools);
            let watch = Watch::new(watch, db.commits()?)?;
            Ok(Arc::new(Community {
                id,
                db,
                identities: Mutex::new(IdentityCache::new(watch)?),
                search,
                sign_in_key,
                handover_key,
                approval_key,
                email_index,
                subject_index,
                _place: room,
            }))
        };
        self.pools.readers.run(open).await
    }

    /// Waits until one more file may be open. Files in use stay open: closing them would gain nothing, and two
    /// writers of one file in one process would only wait for each other.
    async fn room(&self) -> Result<OwnedSemaphorePermit, Fault> {
        let _next = self.next.lock().await;
        loop {
            if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
                return Ok(place);
            }
            let closing = self.close_idle()?;
            let free = Arc::clone(&self.places).acquire_owned();
            // A file falls idle without telling, so this looks again; but one that is being closed never fails to give its place
            // back, however long that takes, and a second one would be closed for nothing.
            let place = if closing { Ok(free.await) } else { tokio::time::timeout(LOOK_AGAIN, free).await };
            if let Ok(Ok(place)) = place {
                return Ok(place);
            }
        }
    }

    /// Closes the least recently used file that nobody uses. Whether there is one.
    fn close_idle(&self) -> Result<bool, Fault> {
        let idle = {
            let mut open = self.open.lock();
            let open = open.as_mut().ok_or_else(closed)?;
            let idle = open.iter().rev().find(|(_, slot)| slot.is_idle()).map(|(id, _)| *id);
            idle.and_then(|id| open.pop(&id))
        };
        let Some(slot) = idle else { return Ok(false) };
        // Closing writes the log back, so it is not done here. A closed pool drops it at once instead.
        let _ = self.pools.writers.submit(Box::new(move || drop(slot)));
        Ok(true)
    }

    /// Forgets a community that could not be opened, unless another call is trying to.
    fn forget_empty(&self, id: CommunityId) {
        if let Some(open) = self.open.lock().as_mut()
            && open.peek(&id).is_some_and(|slot| slot.0.get().is_none() && Arc::strong_count(&slot.0) <= 2)
        {
            open.pop(&id);
        }
    }
}

impl fmt::Debug for Communities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Communities")
            .field("open", &self.count())
            .field("max_open", &self.max_open)
            .finish_non_exhaustive()
    }
}
