//! Addresses and networks that are refused: those that the configuration and the operator list, and those that are
//! blocked for a while for what they did.
//!
//! A look-up is a look into memory, and comes before everything that costs more. An address is that of the client as far as
//! trusted proxies tell it; a proxy itself is never blocked, since its address is everybody's. Start with [`Blocks`].

mod kept;
mod networks;
mod offenders;
mod prefix;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use portcullis_core::{BlockId, Clock};

pub use kept::{KeptBlocks, UnreadableBlocks};
use networks::Networks;
pub use offenders::{Offence, Thresholds};
use offenders::{Offenders, millis};
pub use prefix::{MalformedPrefix, Prefix};

/// How many entries the operator may have: a list that is longer belongs into a firewall.
pub const MOST_ENTRIES: usize = 10_000;

/// What the configuration says about blocks.
#[derive(Debug, Clone, Default)]
pub struct BlockSettings {
    /// Trusted proxies: they are never blocked, by whatever list.
    pub proxies: Vec<Prefix>,
    /// Networks that are refused.
    pub blocked: Vec<Prefix>,
    /// Networks that are never blocked for what they did.
    pub allowed: Vec<Prefix>,
    /// When somebody is blocked for what they did; `None`: nobody is.
    pub automatic: Option<Thresholds>,
}

/// An entry that the operator made while the instance ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockEntry {
    /// Its id.
    pub id: BlockId,
    /// What is refused.
    pub network: Prefix,
    /// Why, in the operator's words.
    pub reason: String,
    /// When it was made.
    pub added: Timestamp,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
}

impl BlockEntry {
    fn is_live(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// A block that began by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AutomaticBlock {
    /// Its id.
    pub id: BlockId,
    /// What is refused.
    pub network: Prefix,
    /// What it is for.
    pub offence: Offence,
    /// How long it still lasts.
    pub ends_in: Duration,
}

/// Why an address is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocked {
    /// It is on a list.
    Listed,
    /// It is blocked for what it did, and for how long.
    Automatic(Duration),
}

/// Why an entry cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CannotBlock {
    /// A trusted proxy is in the network.
    #[error("the network holds a trusted proxy, behind which everybody is")]
    Proxy,
    /// It is there already.
    #[error("the network is on the list already, as {0}")]
    Listed(BlockId),
    /// The list is full.
    #[error("the list is full at {MOST_ENTRIES} entries")]
    Full,
}

#[derive(Debug, Default)]
struct Lists {
    proxies: Networks<()>,
    blocked: Networks<()>,
    allowed: Networks<()>,
    automatic: Option<Thresholds>,
    entries: Networks<BlockEntry>,
}

/// Who is refused, and who is about to be.
#[derive(Debug)]
pub struct Blocks {
    lists: RwLock<Lists>,
    offenders: Mutex<Offenders>,
    /// Whether a look-up can find anything: most instances block nobody most of the time.
    any_listed: AtomicBool,
    any_automatic: AtomicBool,
    begun: [AtomicU64; Offence::ALL.len()],
    /// How often something changed that is kept.
    changes: AtomicU64,
}

impl Blocks {
    /// What the configuration says, with nobody else blocked.
    pub fn new(settings: &BlockSettings) -> Self {
        let blocks = Self {
            lists: RwLock::default(),
            offenders: Mutex::default(),
            any_listed: AtomicBool::new(false),
            any_automatic: AtomicBool::new(false),
            begun: Default::default(),
            changes: AtomicU64::new(0),
        };
        blocks.configure(settings);
        blocks
    }

    /// Takes what the configuration says in the place of what it said before. What the operator listed, and who is blocked
    /// for what they did, stays.
    pub fn configure(&self, settings: &BlockSettings) {
        let set = |prefixes: &[Prefix]| prefixes.iter().map(|prefix| (*prefix, ())).collect();
        let mut lists = self.lists.write();
        lists.proxies = set(&settings.proxies);
        lists.blocked = set(&settings.blocked);
        lists.allowed = set(&settings.allowed);
        lists.automatic = settings.automatic;
        self.look(&lists);
    }

    fn look(&self, lists: &Lists) {
        let any = !lists.blocked.is_empty() || !lists.entries.is_empty();
        self.any_listed.store(any, Ordering::Release);
    }

    /// Whether an address is refused, and why.
    pub fn find(&self, clock: &dyn Clock, address: IpAddr) -> Option<Blocked> {
        let (listed, automatic) =
            (self.any_listed.load(Ordering::Acquire), self.any_automatic.load(Ordering::Acquire));
        if !listed && !automatic {
            return None;
        }
        let one = Prefix::of(address);
        let lists = self.lists.read();
        if lists.proxies.around(one).next().is_some() {
            return None;
        }
        if lists.blocked.around(one).next().is_some() {
            return Some(Blocked::Listed);
        }
        let mut entries = lists.entries.around(one).peekable();
        if entries.peek().is_some() {
            let now = clock.now();
            if entries.any(|entry| entry.is_live(now)) {
                return Some(Blocked::Listed);
            }
        }
        if !automatic || lists.automatic.is_none() || lists.allowed.around(one).next().is_some() {
            return None;
        }
        let now_ms = millis(clock.monotonic());
        let offenders = self.offenders.lock();
        let found = offenders.find(Prefix::of_client(address), now_ms)?;
        Some(Blocked::Automatic(Duration::from_millis(found.until_ms.saturating_sub(now_ms))))
    }

    /// Counts what an address did. Says so when it is blocked for it from now on.
    pub fn offend(&self, clock: &dyn Clock, address: IpAddr, offence: Offence) -> Option<AutomaticBlock> {
        let one = Prefix::of(address);
        let thresholds = {
            let lists = self.lists.read();
            let exempt =
                [&lists.proxies, &lists.allowed].into_iter().any(|list| list.around(one).next().is_some());
            if exempt {
                return None;
            }
            lists.automatic?
        };
        let client = Prefix::of_client(address);
        let (network, block) = self.offenders.lock().offend(client, offence, &thresholds, clock)?;
        self.any_automatic.store(true, Ordering::Release);
        if let Some(begun) = self.begun.get(offence as usize) {
            begun.fetch_add(1, Ordering::Relaxed);
        }
        self.changes.fetch_add(1, Ordering::Release);
        Some(AutomaticBlock { id: block.id, network, offence, ends_in: thresholds.lasts })
    }

    /// Lists a network from now on.
    ///
    /// # Errors
    /// When it holds a trusted proxy, is listed already, or there are too many.
    pub fn add(&self, entry: BlockEntry) -> Result<(), CannotBlock> {
        let mut lists = self.lists.write();
        if lists.proxies.iter().any(|(proxy, ())| proxy.meets(entry.network)) {
            return Err(CannotBlock::Proxy);
        }
        lists.entries.retain(|there| there.is_live(entry.added));
        if let Some(there) = lists.entries.get(entry.network) {
            return Err(CannotBlock::Listed(there.id));
        }
        if lists.entries.len() >= MOST_ENTRIES {
            return Err(CannotBlock::Full);
        }
        lists.entries.insert(entry.network, entry);
        self.look(&lists);
        self.changes.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Takes a block off: one that the operator made, or one that began by itself. Says what it was.
    pub fn remove(&self, id: BlockId) -> Option<Removed> {
        let mut lists = self.lists.write();
        let found = lists.entries.iter().find(|(_, entry)| entry.id == id).map(|(network, _)| network);
        let removed = match found {
            Some(network) => Removed::Entry(Box::new(lists.entries.remove(network)?)),
            None => Removed::Automatic(Pardoned(self.offenders.lock().pardon(id)?)),
        };
        self.look(&lists);
        self.changes.fetch_add(1, Ordering::Release);
        Some(removed)
    }

    /// Puts back what was taken off just now, as it was.
    pub fn put_back(&self, removed: Removed) {
        match removed {
            // There is room where it was, and nothing else is there.
            Removed::Entry(entry) => drop(self.add(*entry)),
            Removed::Automatic(Pardoned((network, block))) => {
                self.offenders.lock().restore(network, block);
                self.any_automatic.store(true, Ordering::Release);
                self.changes.fetch_add(1, Ordering::Release);
            }
        }
    }

    /// What the configuration lists.
    pub fn configured(&self) -> Vec<Prefix> {
        let mut networks: Vec<Prefix> =
            self.lists.read().blocked.iter().map(|(network, ())| network).collect();
        networks.sort_unstable();
        networks
    }

    /// What the operator listed and has not ended, the newest first.
    pub fn entries(&self, now: Timestamp) -> Vec<BlockEntry> {
        let lists = self.lists.read();
        let live = lists.entries.iter().map(|(_, entry)| entry).filter(|entry| entry.is_live(now));
        let mut entries: Vec<BlockEntry> = live.cloned().collect();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.id));
        entries
    }

    /// Who is blocked for what they did, the newest first.
    pub fn automatic(&self, clock: &dyn Clock) -> Vec<AutomaticBlock> {
        let now_ms = millis(clock.monotonic());
        let offenders = self.offenders.lock();
        let blocks = offenders.blocked(now_ms).map(|(network, block)| AutomaticBlock {
            id: block.id,
            network,
            offence: block.offence,
            ends_in: Duration::from_millis(block.until_ms.saturating_sub(now_ms)),
        });
        let mut blocks: Vec<AutomaticBlock> = blocks.collect();
        blocks.sort_by_key(|block| std::cmp::Reverse(block.id));
        blocks
    }

    /// How many blocks began by themselves since the start, by what they were for.
    pub fn begun(&self) -> impl Iterator<Item = (Offence, u64)> + '_ {
        Offence::ALL.into_iter().zip(self.begun.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    /// A number that is another one after each change of what is kept.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// What is to outlive the process.
    pub fn keep(&self, clock: &dyn Clock) -> KeptBlocks {
        let now = clock.now();
        KeptBlocks::new(now, self.entries(now), &self.automatic(clock))
    }

    /// Takes in what an earlier run kept.
    pub fn restore(&self, clock: &dyn Clock, kept: KeptBlocks) {
        let (now, now_ms) = (clock.now(), millis(clock.monotonic()));
        let mut lists = self.lists.write();
        let mut offenders = self.offenders.lock();
        let longest = lists.automatic.map_or(Duration::MAX, |thresholds| thresholds.lasts);
        for (network, block, left) in kept.automatic(now) {
            // A clock that was set back makes no block longer than one that begins now.
            let until_ms = now_ms.saturating_add(millis(left.min(longest)));
            offenders.restore(network, offenders::Automatic { until_ms, ..block });
            self.any_automatic.store(true, Ordering::Release);
        }
        for entry in kept.into_entries().into_iter().filter(|entry| entry.is_live(now)) {
            lists.entries.insert(entry.network, entry);
        }
        self.look(&lists);
    }

    /// Drops what has decayed, so that a quiet instance looks nothing up.
    pub fn tend(&self, clock: &dyn Clock) {
        let now_ms = millis(clock.monotonic());
        let mut offenders = self.offenders.lock();
        offenders.sweep(now_ms);
        // Under the lock, so that no block that begins meanwhile is missed.
        self.any_automatic.store(offenders.blocked(now_ms).next().is_some(), Ordering::Release);
    }
}

/// What was taken off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// An entry of the operator's.
    Entry(Box<BlockEntry>),
    /// A block that had begun by itself.
    Automatic(Pardoned),
}

/// A block that had begun by itself and was taken off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pardoned((Prefix, offenders::Automatic));

#[cfg(test)]
mod tests;
