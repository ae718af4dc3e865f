//! Counters by subject, within a ceiling of memory.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

use crate::subject::Subject;
use crate::window::{ALLOCATION_BYTES, Room, Track, Window};

/// In how many parts a table is kept, so that growing and sweeping one takes microseconds.
pub(crate) const PARTS: usize = 32;

/// What is counted of one subject.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counter {
    tracks: [Track; 3],
    /// The number of the last loss that was added.
    pub(crate) losses_seen: u32,
    /// The highest limit for a minute that it was counted against; 0 for none.
    pub(crate) most_a_minute: u32,
    /// The last step that needed it.
    step: u32,
}

impl Counter {
    pub(crate) fn track(&self, window: Window) -> &Track {
        let [minute, hour, day] = &self.tracks;
        match window {
            Window::Minute => minute,
            Window::Hour => hour,
            Window::Day => day,
        }
    }

    pub(crate) fn track_mut(&mut self, window: Window) -> &mut Track {
        let [minute, hour, day] = &mut self.tracks;
        match window {
            Window::Minute => minute,
            Window::Hour => hour,
            Window::Day => day,
        }
    }

    pub(crate) fn advance(&mut self, now: Duration) {
        for window in Window::ALL {
            self.track_mut(window).advance(window.slot(now));
        }
    }

    /// Takes over what another one holds, in no more room than a new one has: what does not fit is counted for longer.
    pub(crate) fn begin_with(&mut self, other: &Self) {
        for window in Window::ALL {
            let own = self.track_mut(window);
            for entry in other.track(window).entries() {
                own.add(entry.slot, entry.count, &mut Room::new(0));
            }
        }
    }

    /// Whether anything is counted.
    pub(crate) fn is_live(&self) -> bool {
        self.tracks.iter().any(|track| track.total() > 0)
    }

    fn bytes(&self) -> usize {
        let entries: usize = self.tracks.iter().map(Track::bytes).sum();
        size_of::<Self>() + ALLOCATION_BYTES + entries
    }
}

/// A part of a table.
#[derive(Debug, Default)]
struct Part {
    counters: HashMap<Subject, Box<Counter>>,
    /// For how many elements the hash table has memory: the most that it ever said, as it says less for each place that
    /// an element has left and that it has not cleaned up yet.
    room: usize,
}

impl Part {
    fn bytes(&self) -> usize {
        part_bytes(self.room)
    }

    /// What one more element takes in the hash table itself.
    fn growth(&self) -> usize {
        // When it says that it is full and at most half is taken it cleans up instead of growing.
        let is_full = self.counters.len() == self.counters.capacity();
        if !is_full || self.counters.len() < self.room / 2 {
            return 0;
        }
        part_bytes((self.room * 2).max(1)) - self.bytes()
    }

    /// Gives back half of the hash table's memory if three quarters of the other half are enough.
    fn shrink(&mut self) {
        if self.counters.len() * 8 < self.room * 3 {
            self.counters.shrink_to(self.room / 2);
            self.room = self.counters.capacity();
        }
    }
}

/// What a hash table takes for as many elements as it says it has room for: a power of two of places, an eighth of them
/// kept empty, and a byte for each.
fn part_bytes(room: usize) -> usize {
    if room == 0 {
        return 0;
    }
    let places = if room < 4 { 4 } else { (room * 8 / 7).next_power_of_two() };
    places * (size_of::<(Subject, Box<Counter>)>() + 1) + ALLOCATION_BYTES
}

/// Counters that share a ceiling.
#[derive(Debug)]
pub(crate) struct Table {
    parts: Vec<Part>,
    hasher: RandomState,
    pub(crate) room: Room,
    next_swept: usize,
    swept_whole: Option<u32>,
    /// The number of the step that is being decided: what it needs is not swept.
    pub(crate) step: u32,
}

impl Table {
    pub(crate) fn new(ceiling: usize) -> Self {
        Self {
            parts: (0..PARTS).map(|_| Part::default()).collect(),
            hasher: RandomState::new(),
            room: Room::new(ceiling),
            next_swept: 0,
            swept_whole: None,
            step: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.parts.iter().map(|part| part.counters.len()).sum()
    }

    fn place(&self, subject: &Subject) -> usize {
        usize::try_from(self.hasher.hash_one(subject) % PARTS as u64).unwrap_or(0)
    }

    pub(crate) fn get(&self, subject: &Subject) -> Option<&Counter> {
        self.parts.get(self.place(subject))?.counters.get(subject).map(|counter| &**counter)
    }

    /// The counter with the memory that it grows in.
    pub(crate) fn get_mut(&mut self, subject: &Subject) -> Option<(&mut Counter, &mut Room)> {
        let place = self.place(subject);
        let counter = self.parts.get_mut(place)?.counters.get_mut(subject)?;
        Some((counter, &mut self.room))
    }

    /// Makes a counter, if there is memory for it or for what can be swept. Returns whether it is there.
    pub(crate) fn make(&mut self, subject: Subject, now: Duration) -> bool {
        if self.hold(&subject) {
            return true;
        }
        if !self.room.fits(self.cost(&subject)) {
            self.sweep_whole(now);
            if !self.room.fits(self.cost(&subject)) {
                return false;
            }
        }
        self.make_anyway(subject);
        true
    }

    /// Makes a counter whether there is memory for it or not.
    pub(crate) fn make_anyway(&mut self, subject: Subject) {
        let place = self.place(&subject);
        let Some(part) = self.parts.get_mut(place) else { return };
        let before = part.bytes();
        part.counters.entry(subject).or_insert_with(|| {
            let counter = Box::new(Counter { step: self.step, ..Counter::default() });
            self.room.take(counter.bytes());
            counter
        });
        part.room = part.room.max(part.counters.capacity());
        self.room.take(part.bytes() - before);
    }

    /// What a new counter takes.
    fn cost(&self, subject: &Subject) -> usize {
        let grows = self.parts.get(self.place(subject)).map_or(0, Part::growth);
        grows + Counter::default().bytes()
    }

    /// Keeps a counter until the step has ended, though it may count nothing yet. Returns whether it is there.
    pub(crate) fn hold(&mut self, subject: &Subject) -> bool {
        let step = self.step;
        self.get_mut(subject).map(|(counter, _)| counter.step = step).is_some()
    }

    /// Drops the counters of one part that count nothing any more. One that counts anything is never dropped.
    pub(crate) fn sweep(&mut self, now: Duration) {
        self.next_swept = (self.next_swept + 1) % PARTS;
        let Some(part) = self.parts.get_mut(self.next_swept) else { return };
        let (room, step) = (&mut self.room, self.step);
        part.counters.retain(|_, counter| {
            counter.advance(now);
            let live = counter.is_live() || counter.step == step;
            if live {
                for window in Window::ALL {
                    counter.track_mut(window).shrink(room);
                }
            } else {
                room.give(counter.bytes());
            }
            live
        });
        let before = part.bytes();
        part.shrink();
        room.give(before - part.bytes());
    }

    /// The same for all parts, at most once in the shortest sub-window: in between nothing can have become stale.
    fn sweep_whole(&mut self, now: Duration) {
        let slot = Window::Minute.slot(now);
        if self.swept_whole.replace(slot) != Some(slot) {
            for _ in 0..PARTS {
                self.sweep(now);
            }
        }
    }

    /// The counters of one part.
    pub(crate) fn part(&self, number: usize) -> impl Iterator<Item = (&Subject, &Counter)> {
        let counters = self.parts.get(number).into_iter().flat_map(|part| &part.counters);
        counters.map(|(subject, counter)| (subject, &**counter))
    }
}
