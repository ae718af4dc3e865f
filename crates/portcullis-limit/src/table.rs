//! Counters by subject, within a ceiling of memory.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

use crate::subject::Subject;
use crate::window::{ALLOCATION_BYTES, Rates, Room, Track, Window};

/// In how many parts a table is kept, so that growing and sweeping one takes microseconds.
const PARTS: usize = 32;

/// What is counted of one subject.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    tracks: [Track; 3],
    /// The number of the last loss that was added.
    pub(crate) losses_seen: u32,
}

impl Counter {
    /// With room for something in each window.
    fn new(rates: Rates) -> Self {
        let mut counter = Self::default();
        for (window, _) in rates.iter() {
            *counter.track_mut(window) = Track::with_room();
        }
        counter
    }

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

    /// Whether anything is counted.
    pub(crate) fn is_live(&self) -> bool {
        self.tracks.iter().any(|track| track.total() > 0)
    }

    fn bytes(&self) -> usize {
        let entries: usize = self.tracks.iter().map(Track::bytes).sum();
        size_of::<Self>() + ALLOCATION_BYTES + entries
    }
}

type Part = HashMap<Subject, Box<Counter>>;

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
}

impl Table {
    pub(crate) fn new(ceiling: usize) -> Self {
        Self {
            parts: (0..PARTS).map(|_| Part::new()).collect(),
            hasher: RandomState::new(),
            room: Room::new(ceiling),
            next_swept: 0,
            swept_whole: None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.parts.iter().map(HashMap::len).sum()
    }

    fn place(&self, subject: &Subject) -> usize {
        usize::try_from(self.hasher.hash_one(subject) % PARTS as u64).unwrap_or(0)
    }

    pub(crate) fn get(&self, subject: &Subject) -> Option<&Counter> {
        self.parts.get(self.place(subject))?.get(subject).map(|counter| &**counter)
    }

    /// The counter with the memory that it grows in.
    pub(crate) fn get_mut(&mut self, subject: &Subject) -> Option<(&mut Counter, &mut Room)> {
        let place = self.place(subject);
        let counter = self.parts.get_mut(place)?.get_mut(subject)?;
        Some((counter, &mut self.room))
    }

    /// Makes a counter, if there is memory for it or for what can be swept. Returns whether it is there.
    pub(crate) fn make(&mut self, subject: Subject, rates: Rates, now: Duration) -> bool {
        if !self.room.fits(self.cost(&subject, rates)) {
            self.sweep_whole(now);
            if !self.room.fits(self.cost(&subject, rates)) {
                return false;
            }
        }
        self.make_anyway(subject, rates);
        true
    }

    /// Makes a counter whether there is memory for it or not.
    pub(crate) fn make_anyway(&mut self, subject: Subject, rates: Rates) {
        let place = self.place(&subject);
        let Some(part) = self.parts.get_mut(place) else { return };
        let before = part_bytes(part.capacity());
        part.entry(subject).or_insert_with(|| {
            let counter = Box::new(Counter::new(rates));
            self.room.take(counter.bytes());
            counter
        });
        self.room.take(part_bytes(part.capacity()).saturating_sub(before));
    }

    /// What a new counter takes until it has counted something in each window.
    fn cost(&self, subject: &Subject, rates: Rates) -> usize {
        let grows = self.parts.get(self.place(subject)).map_or(0, |part| {
            if part.len() < part.capacity() {
                0
            } else {
                part_bytes((part.capacity() + 1).max(part.capacity() * 2)) - part_bytes(part.capacity())
            }
        });
        let own = size_of::<Counter>() + ALLOCATION_BYTES + rates.iter().count() * Track::first_cost();
        grows + own
    }

    /// Drops the counters of one part that count nothing any more. One that counts anything is never dropped.
    pub(crate) fn sweep(&mut self, now: Duration) {
        self.next_swept = (self.next_swept + 1) % PARTS;
        let Some(part) = self.parts.get_mut(self.next_swept) else { return };
        let room = &mut self.room;
        part.retain(|_, counter| {
            counter.advance(now);
            let live = counter.is_live();
            if live {
                for window in Window::ALL {
                    counter.track_mut(window).shrink(room);
                }
            } else {
                room.give(counter.bytes());
            }
            live
        });
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
    pub(crate) fn part(&self, number: usize) -> Option<impl Iterator<Item = (&Subject, &Counter)>> {
        Some(self.parts.get(number)?.iter().map(|(subject, counter)| (subject, &**counter)))
    }
}
