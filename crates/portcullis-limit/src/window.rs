//! Windows of time, and how much of one subject falls into each.

use std::num::NonZeroU32;
use std::time::Duration;

use smallvec::SmallVec;

/// How many sub-windows a window has. The oldest is counted whole, so a client that never rests gets 120 parts of 121.
pub const SLOTS: u32 = 120;
/// How many entries of a track are in the counter itself.
const FIRST_ROOM: usize = 3;
/// The most entries that a track can have: a window's sub-windows, and the one that is partly in.
const MOST_ROOM: usize = SLOTS as usize + 1;
/// What an allocation costs beside its own size, roughly.
pub(crate) const ALLOCATION_BYTES: usize = 16;

/// A rolling window of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Window {
    /// 60 seconds.
    Minute,
    /// 3,600 seconds.
    Hour,
    /// 86,400 seconds.
    Day,
}

impl Window {
    /// Every window, shortest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// Its length.
    pub const fn length(self) -> Duration {
        Duration::from_secs(match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        })
    }

    /// Its name in the API, in configuration and in headers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// The length of a sub-window.
    pub(crate) const fn width(self) -> Duration {
        Duration::from_millis(self.length().as_millis() as u64 / SLOTS as u64)
    }

    /// The number of the sub-window that a moment falls into.
    pub(crate) fn slot(self, moment: Duration) -> u32 {
        let width = self.width().as_nanos().max(1);
        u32::try_from(moment.as_nanos() / width).unwrap_or(u32::MAX)
    }

    /// When a sub-window begins.
    pub(crate) fn begins(self, slot: u32) -> Duration {
        self.width().saturating_mul(slot)
    }
}

/// How much is admitted in each window; a window without a number is not limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rates {
    /// In any rolling minute.
    pub minute: Option<NonZeroU32>,
    /// In any rolling hour.
    pub hour: Option<NonZeroU32>,
    /// In any rolling day.
    pub day: Option<NonZeroU32>,
}

impl Rates {
    /// So many in any rolling minute, and nothing else.
    pub const fn per_minute(limit: NonZeroU32) -> Self {
        Self { minute: Some(limit), hour: None, day: None }
    }

    /// So many in any rolling hour, and nothing else.
    pub const fn per_hour(limit: NonZeroU32) -> Self {
        Self { minute: None, hour: Some(limit), day: None }
    }

    /// So many in any rolling day, and nothing else.
    pub const fn per_day(limit: NonZeroU32) -> Self {
        Self { minute: None, hour: None, day: Some(limit) }
    }

    /// Each window that has a limit, shortest first.
    pub fn iter(self) -> impl Iterator<Item = (Window, NonZeroU32)> {
        [(Window::Minute, self.minute), (Window::Hour, self.hour), (Window::Day, self.day)]
            .into_iter()
            .filter_map(|(window, limit)| Some((window, limit?)))
    }

    /// The limit of a window.
    pub const fn of(self, window: Window) -> Option<NonZeroU32> {
        match window {
            Window::Minute => self.minute,
            Window::Hour => self.hour,
            Window::Day => self.day,
        }
    }

    /// A part of each limit, and never less than one: what one of several instances may admit on its own.
    #[must_use]
    pub fn shared_by(self, instances: NonZeroU32) -> Self {
        let part = |limit: Option<NonZeroU32>| {
            limit.map(|limit| NonZeroU32::new(limit.get() / instances).unwrap_or(NonZeroU32::MIN))
        };
        Self { minute: part(self.minute), hour: part(self.hour), day: part(self.day) }
    }
}

/// What is left of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// The window.
    pub window: Window,
    /// The limit.
    pub limit: u32,
    /// How much more would be admitted now.
    pub remaining: u32,
    /// When what is refused now may be admitted, or, where something is left, when the window is as good as empty.
    pub resets_in: Duration,
}

/// Memory that may be taken, and what is.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) used: usize,
    pub(crate) ceiling: usize,
}

impl Room {
    pub(crate) const fn new(ceiling: usize) -> Self {
        Self { used: 0, ceiling }
    }

    pub(crate) const fn fits(&self, bytes: usize) -> bool {
        self.used.saturating_add(bytes) <= self.ceiling
    }

    /// Takes it whether there is room or not.
    pub(crate) const fn take(&mut self, bytes: usize) {
        self.used = self.used.saturating_add(bytes);
    }

    pub(crate) const fn give(&mut self, bytes: usize) {
        self.used = self.used.saturating_sub(bytes);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) slot: u32,
    pub(crate) count: u32,
}

/// One subject's counts in one window: the sub-windows in which anything was counted, oldest first.
///
/// Whatever happens to an entry, it only ever moves to a later sub-window: it may be counted for longer than it should,
/// never for less.
#[derive(Debug, Clone, Default)]
pub(crate) struct Track {
    /// The first few are in the counter itself, so that every window of it can be counted in without more memory.
    entries: SmallVec<[Entry; FIRST_ROOM]>,
    total: u64,
}

impl Track {
    /// What so many entries take beside the counter itself.
    const fn cost(room: usize) -> usize {
        if room <= FIRST_ROOM { 0 } else { room * size_of::<Entry>() + ALLOCATION_BYTES }
    }

    pub(crate) fn bytes(&self) -> usize {
        Self::cost(self.entries.capacity())
    }

    pub(crate) const fn total(&self) -> u64 {
        self.total
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Forgets what has left the window by the sub-window `now`.
    pub(crate) fn advance(&mut self, now: u32) {
        let gone = self.entries.partition_point(|entry| entry.slot.saturating_add(SLOTS) < now);
        if gone > 0 {
            for entry in self.entries.drain(..gone) {
                self.total = self.total.saturating_sub(entry.count.into());
            }
        }
    }

    /// Gives back room that is no longer used.
    pub(crate) fn shrink(&mut self, room: &mut Room) {
        if self.entries.spilled() && self.entries.len() <= FIRST_ROOM {
            let before = self.bytes();
            self.entries.shrink_to_fit();
            room.give(before.saturating_sub(self.bytes()));
        }
    }

    /// Counts `amount` in a sub-window, which is the newest or, for what is restored, any.
    pub(crate) fn add(&mut self, slot: u32, amount: u32, room: &mut Room) {
        if amount == 0 {
            return;
        }
        let at = self.entries.partition_point(|entry| entry.slot < slot);
        let met = self.entries.get_mut(at).filter(|entry| entry.slot == slot);
        if let Some(entry) = met {
            self.total += u64::from(entry.count.saturating_add(amount) - entry.count);
            entry.count = entry.count.saturating_add(amount);
            return;
        }
        self.make_room(room);
        // Only now: merging may have moved what stands before.
        let at = self.entries.partition_point(|entry| entry.slot < slot);
        self.entries.insert(at, Entry { slot, count: amount });
        self.total += u64::from(amount);
    }

    /// Sees to it that one more entry fits. Without memory for it, the two neighbours that are closest in time become
    /// one, at the later's time.
    fn make_room(&mut self, room: &mut Room) {
        if self.entries.len() < self.entries.capacity() {
            return;
        }
        let held = self.entries.capacity();
        let wanted = (held * 2).min(MOST_ROOM.max(held + 1));
        if room.fits(Self::cost(wanted) - Self::cost(held)) {
            self.entries.reserve_exact(wanted - self.entries.len());
            room.take(self.bytes() - Self::cost(held));
            return;
        }
        let pairs = self.entries.iter().zip(self.entries.iter().skip(1)).enumerate();
        let closest = pairs.min_by_key(|(_, (one, two))| two.slot - one.slot).map(|(at, _)| at);
        if let Some(at) = closest {
            let earlier = self.entries.remove(at);
            if let Some(later) = self.entries.get_mut(at) {
                let sum = later.count.saturating_add(earlier.count);
                // What does not fit into the number is beyond every limit already.
                self.total -= u64::from(later.count) + u64::from(earlier.count) - u64::from(sum);
                later.count = sum;
            }
        }
    }

    /// Takes back what was counted in that sub-window or was moved from it to a later one.
    pub(crate) fn take_back(&mut self, slot: u32, amount: u32) {
        let mut left = amount;
        let from = self.entries.partition_point(|entry| entry.slot < slot);
        for entry in self.entries.iter_mut().skip(from) {
            let taken = left.min(entry.count);
            entry.count -= taken;
            self.total -= u64::from(taken);
            left -= taken;
            if left == 0 {
                break;
            }
        }
        self.entries.retain(|entry| entry.count > 0);
    }

    /// When `amount` more fits under `limit` if nothing else comes. `None`: never, it is more than the limit.
    fn fits_at(&self, window: Window, limit: u32, amount: u32) -> Option<Duration> {
        let most = u64::from(limit.checked_sub(amount)?);
        if self.total <= most {
            return Some(Duration::ZERO);
        }
        let mut left = self.total;
        for entry in &self.entries {
            left -= u64::from(entry.count);
            if left <= most {
                return Some(window.begins(entry.slot.saturating_add(SLOTS + 1)));
            }
        }
        None
    }

    /// Where the window stands, for something of the size `amount`, at a moment.
    pub(crate) fn standing(&self, window: Window, limit: u32, amount: u32, now: Duration) -> Allowance {
        let remaining = u32::try_from(u64::from(limit).saturating_sub(self.total)).unwrap_or(0);
        let wanted = if remaining < amount { amount } else { limit };
        let at = self.fits_at(window, limit, wanted).map(|at| at.saturating_sub(now));
        Allowance { window, limit, remaining, resets_in: at.unwrap_or(window.length()) }
    }
}
