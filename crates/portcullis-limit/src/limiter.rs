//! The limiter: what a request is counted against is decided in one step.

use std::num::NonZeroU32;
use std::time::Duration;

use parking_lot::Mutex;

use crate::snapshot::{Kept, Snapshot};
use crate::subject::{Share, Subject};
use crate::table::{Counter, PARTS, Table};
use crate::window::{Allowance, Rates, SLOTS, Window};

/// Moments are counted from at least so long before the clock's start, so that what is restored lies after zero.
const BEFORE: Duration = Duration::from_secs(2 * 86_400);
/// After so long the sub-windows of every window begin together again, as they do at [`BEFORE`].
const PHASES: Duration = Window::Day.width();
/// What the counters of the last resort may take, one for each of some fourteen kinds.
const ALL_BYTES: usize = 8 << 10;
/// How many decisions there are between two looks for counters that have become stale.
const SWEEP_EVERY: u64 = 64;

/// One thing to count something against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    /// What is counted.
    pub subject: Subject,
    /// How much is admitted.
    pub rates: Rates,
    /// How much there is to count: 1 for a request, more for tokens.
    pub amount: u32,
}

impl Charge {
    /// One request.
    pub const fn one(subject: Subject, rates: Rates) -> Self {
        Self { subject, rates, amount: 1 }
    }
}

/// A limit of a subject, and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// The subject.
    pub subject: Subject,
    /// Where its limit stands.
    pub allowance: Allowance,
}

/// What was decided: the tightest limit as it stands after counting; or, where nothing was counted, the one that refuses
/// and takes longest until the same would be admitted.
///
/// The tightest is the one with the least part of itself left. `None` where nothing is limited.
pub type Decision = Result<Option<Bound>, Bound>;

/// What a run that did not end in order may have counted without its being kept.
#[derive(Debug, Clone, Copy)]
struct Loss {
    /// Its number; later ones have greater ones.
    number: u32,
    /// The latest moment at which that may have been.
    at: Duration,
    /// How many minutes it may have lasted.
    minutes: NonZeroU32,
}

#[derive(Debug)]
struct State {
    /// Counters of members, keys, sessions and communities: as many as there are.
    known: Table,
    /// Counters that strangers can cause: addresses and mailboxes.
    strangers: Table,
    /// Counters that many share, who found no room for their own.
    shared: Table,
    /// The last resort: one a kind, which no ceiling is too low for.
    all: Table,
    decisions: u64,
    /// What moments are counted from: so long before the clock's start.
    origin: Duration,
    /// The latest time that was told. Threads read the clock before they are let in, and come in another order.
    latest: Duration,
    /// Those that may still be in a window, oldest first.
    losses: Vec<Loss>,
    /// The number of the last.
    last_loss: u32,
}

impl State {
    fn own(&mut self, subject: &Subject) -> &mut Table {
        match subject {
            Subject::Shared(_, Share::All) => &mut self.all,
            Subject::Shared(..) => &mut self.shared,
            Subject::Community(_)
            | Subject::Actor(..)
            | Subject::Session(..)
            | Subject::Key(..)
            | Subject::ActorTokens(..)
            | Subject::CommunityTokens(_)
            | Subject::ActorTool(..)
            | Subject::CommunityTool(..)
            | Subject::ActorCost(..)
            | Subject::CommunityCost(_) => &mut self.known,
            Subject::Address(_)
            | Subject::Refused(_)
            | Subject::Asking(_)
            | Subject::AskingFor(..)
            | Subject::Mailed(..) => &mut self.strangers,
        }
    }

    fn tables(&self) -> impl Iterator<Item = &Table> {
        [&self.known, &self.strangers, &self.shared, &self.all].into_iter()
    }

    /// The counter that a subject is counted in, if there is one.
    fn counted_in(&mut self, subject: Subject, now: Duration) -> Option<Subject> {
        if self.own(&subject).get(&subject).is_some() {
            return Some(subject);
        }
        self.share_of(subject, now)
    }

    /// The shared counter that may hold what was counted of a subject.
    ///
    /// Only the first that counts anything does: as long as one does, no narrower one is made.
    fn share_of(&mut self, subject: Subject, now: Duration) -> Option<Subject> {
        if self.shared.len() == 0 && self.all.len() == 0 {
            return None;
        }
        subject.shares().find(|share| {
            self.own(share).get_mut(share).is_some_and(|(counter, _)| {
                counter.advance(now);
                counter.is_live()
            })
        })
    }

    /// The counter that a subject is counted in, made if there is none.
    fn resolve(&mut self, subject: Subject, now: Duration) -> Subject {
        if self.own(&subject).hold(&subject) {
            return subject;
        }
        let share = self.share_of(subject, now);
        if self.own(&subject).make(subject, now) {
            // Part of what the share holds may be this subject's. It is taken along instead of staying with the share:
            // strangers who come without end would keep that one alive, and nobody would ever be apart again.
            if let Some(share) = share {
                let held = self.own(&share).get(&share).cloned().unwrap_or_default();
                if let Some((own, _)) = self.own(&subject).get_mut(&subject) {
                    own.begin_with(&held);
                }
            }
            return subject;
        }
        if let Some(share) = share {
            return share;
        }
        for share in subject.shares() {
            if self.own(&share).make(share, now) {
                return share;
            }
        }
        let all = Subject::Shared(subject.kind(), Share::All);
        self.all.make_anyway(all);
        all
    }

    /// Adds what crashes may have lost of a subject: what its minute admits, for as long as nothing was kept.
    fn add_losses(&mut self, subject: Subject, rates: Rates) {
        if self.losses.is_empty() {
            return;
        }
        let losses = self.losses.clone();
        let last = self.last_loss;
        let Some((counter, room)) = self.own(&subject).get_mut(&subject) else { return };
        // What is counted against the minute and what against hour and day may come one after the other.
        counter.most_a_minute = counter.most_a_minute.max(rates.minute.map_or(0, NonZeroU32::get));
        let a_minute = counter.most_a_minute;
        if a_minute == 0 || (rates.hour.is_none() && rates.day.is_none()) {
            return;
        }
        let seen = std::mem::replace(&mut counter.losses_seen, last);
        for loss in losses.iter().filter(|loss| loss.number > seen) {
            let amount = a_minute.saturating_mul(loss.minutes.get());
            for window in [Window::Hour, Window::Day] {
                counter.track_mut(window).add(window.slot(loss.at), amount, room);
            }
        }
    }

    /// The time that was told, or the latest before if it was later.
    fn moment(&mut self, now: Duration) -> Duration {
        self.latest = self.latest.max(now.saturating_add(self.origin));
        self.latest
    }

    /// Lets sub-windows begin where those of an earlier run did, which is so far into one by now. What is restored stays in
    /// its own then: each run would move it to a later one otherwise, and through many short runs nothing would age. Once
    /// anything is counted it is too late for that, and what is restored counts a little longer.
    fn align(&mut self, now: Duration, phase: Duration) {
        if self.tables().all(|table| table.len() == 0) {
            self.origin = BEFORE + phase_of(phase_of(phase) + PHASES - phase_of(now));
        }
    }

    fn tend(&mut self, now: Duration) {
        self.decisions = self.decisions.wrapping_add(1);
        for table in [&mut self.known, &mut self.strangers, &mut self.shared, &mut self.all] {
            table.step = table.step.wrapping_add(1);
        }
        if self.decisions.is_multiple_of(SWEEP_EVERY) {
            match self.decisions / SWEEP_EVERY % 4 {
                0 => self.known.sweep(now),
                1 => {
                    self.shared.sweep(now);
                    self.all.sweep(now);
                }
                _ => self.strangers.sweep(now),
            }
            let over = Window::Day.length() + Window::Day.width() * 2;
            self.losses.retain(|loss| now.saturating_sub(loss.at) <= over);
        }
    }
}

/// Counts, and says when to stop.
#[derive(Debug)]
pub struct Limiter {
    state: Mutex<State>,
}

impl Limiter {
    /// A limiter whose counters take at most `memory` bytes: half for members, keys, sessions and communities, two
    /// fifths for addresses and mailboxes, the rest for counters that are shared once those are full. Less than 8 KiB are
    /// taken as 8 KiB.
    pub fn new(memory: usize) -> Self {
        // Without memory to grow they count a little longer than they have to.
        let all = Table::new(0);
        let memory = memory.saturating_sub(ALL_BYTES);
        let state = State {
            known: Table::new(memory / 2),
            strangers: Table::new(memory / 5 * 2),
            shared: Table::new(memory / 10),
            all,
            decisions: 0,
            origin: BEFORE,
            latest: BEFORE,
            losses: Vec::new(),
            last_loss: 0,
        };
        Self { state: Mutex::new(state) }
    }

    /// Counts every charge, in each of its windows, or, if any limit would be passed, none in any.
    ///
    /// `now` is the time of a clock that never goes backwards.
    ///
    /// # Errors
    /// The limit that refuses.
    pub fn admit(&self, now: Duration, charges: &[Charge]) -> Decision {
        let mut state = self.state.lock();
        let now = state.moment(now);
        state.tend(now);
        let mut counted: Vec<(Subject, Charge)> = Vec::with_capacity(charges.len());
        let mut tightest: Option<Bound> = None;
        let mut refused: Option<Bound> = None;
        for charge in charges {
            let subject = state.resolve(charge.subject, now);
            state.add_losses(subject, charge.rates);
            // Charges that share a counter must fit into it together.
            let before: u32 = counted
                .iter()
                .filter(|(other, _)| *other == subject)
                .fold(0, |sum, (_, other)| sum.saturating_add(other.amount));
            let amount = before.saturating_add(charge.amount);
            counted.push((subject, *charge));
            let Some((counter, _)) = state.own(&subject).get_mut(&subject) else { continue };
            counter.advance(now);
            for allowance in standings(counter, charge.rates, amount, now) {
                if allowance.remaining < amount {
                    let longer = refused.is_none_or(|least| allowance.resets_in > least.allowance.resets_in);
                    if longer {
                        refused = Some(Bound { subject: charge.subject, allowance });
                    }
                } else {
                    let left = Allowance { remaining: allowance.remaining - amount, ..allowance };
                    if tightest.is_none_or(|least| is_tighter(&left, &least.allowance)) {
                        tightest = Some(Bound { subject: charge.subject, allowance: left });
                    }
                }
            }
        }
        if let Some(reached) = refused {
            return Err(reached);
        }
        for (subject, charge) in counted {
            let Some((counter, room)) = state.own(&subject).get_mut(&subject) else { continue };
            for (window, _) in charge.rates.iter() {
                counter.track_mut(window).add(window.slot(now), charge.amount, room);
            }
        }
        Ok(tightest)
    }

    /// Replaces what was counted for each charge at the moment `at` by what it was in the end. Less is taken back; more is
    /// counted now, whatever the limit: it has happened.
    pub fn settle(&self, now: Duration, at: Duration, charges: &[Charge], used: u32) {
        let mut state = self.state.lock();
        let (now, at) = (state.moment(now), at.saturating_add(state.origin));
        for charge in charges {
            let subject = state.resolve(charge.subject, now);
            let Some((counter, room)) = state.own(&subject).get_mut(&subject) else { continue };
            counter.advance(now);
            for (window, _) in charge.rates.iter() {
                let track = counter.track_mut(window);
                let slot = window.slot(at);
                match used.checked_sub(charge.amount) {
                    Some(more) => track.add(window.slot(now), more, room),
                    // What has left the window is no longer counted; what is there is somebody else's.
                    None if slot.saturating_add(SLOTS) < window.slot(now) => {}
                    None => track.take_back(slot, charge.amount - used),
                }
            }
        }
    }

    /// Where each limit of a subject stands, without counting anything, shortest window first.
    pub fn standing(&self, now: Duration, subject: Subject, rates: Rates) -> Vec<Allowance> {
        let mut state = self.state.lock();
        let now = state.moment(now);
        let counted = state.counted_in(subject, now);
        if let Some(counted) = counted {
            state.add_losses(counted, rates);
        }
        let found = counted.and_then(|counted| Some((counted, state.own(&counted).get_mut(&counted)?.0)));
        let mut none = Counter::default();
        let counter = found.map_or(&mut none, |(_, counter)| counter);
        counter.advance(now);
        standings(counter, rates, 1, now).collect()
    }

    /// How many counters there are.
    pub fn held(&self) -> usize {
        let state = self.state.lock();
        state.tables().map(Table::len).sum()
    }

    /// How many bytes the counters take, as far as they know.
    pub fn bytes(&self) -> usize {
        let state = self.state.lock();
        state.tables().map(|table| table.room.used).sum()
    }

    /// What is counted in hours and days, to be kept for a later run. `wall_ms` is the wall clock's time.
    ///
    /// It is taken part by part, so that nobody waits long; what is counted meanwhile may be missing, unless nothing is.
    pub fn snapshot(&self, now: Duration, wall_ms: i64) -> Snapshot {
        // In whole milliseconds, as all that is kept: a run that begins from it has its sub-windows where this one has them.
        let now = self.state.lock().moment(now).as_millis();
        let now = Duration::from_millis(u64::try_from(now).unwrap_or(u64::MAX));
        let (losses, last_loss) = {
            let state = self.state.lock();
            let age =
                |loss: &Loss| u32::try_from(now.saturating_sub(loss.at).as_millis()).unwrap_or(u32::MAX);
            let losses = state.losses.iter().map(|loss| (loss.number, age(loss), loss.minutes)).collect();
            (losses, state.last_loss)
        };
        let mut kept = Vec::new();
        for number in 0..PARTS {
            let state = self.state.lock();
            for (subject, counter) in state.tables().flat_map(|table| table.part(number)) {
                let tracks = [Window::Hour, Window::Day].map(|window| {
                    let from = window.slot(now).saturating_sub(SLOTS);
                    let entries = counter.track(window).entries().iter().filter(|entry| entry.slot >= from);
                    entries
                        .map(|entry| {
                            // When the last of it may have been.
                            let end = window.begins(entry.slot.saturating_add(1));
                            let last = end.saturating_sub(Duration::from_millis(1)).min(now);
                            let age = u32::try_from((now - last).as_millis()).unwrap_or(u32::MAX);
                            (age, entry.count)
                        })
                        .collect::<Vec<_>>()
                });
                if tracks.iter().any(|track| !track.is_empty()) {
                    let [hour, day] = tracks;
                    kept.push(Kept { subject: *subject, losses_seen: counter.losses_seen, hour, day });
                }
            }
        }
        let phase_ms = u32::try_from(phase_of(now).as_millis()).unwrap_or(0);
        Snapshot { wall_ms, phase_ms, losses, last_loss, kept }
    }

    /// Takes in what an earlier run has counted. A wall clock that went backwards makes nothing older.
    pub fn restore(&self, now: Duration, wall_ms: i64, snapshot: &Snapshot) {
        // Of two readings that are cut to milliseconds the later may be nearly one too late.
        let since = wall_ms.saturating_sub(snapshot.wall_ms).saturating_sub(1);
        let since = Duration::from_millis(u64::try_from(since).unwrap_or(0));
        let mut state = self.state.lock();
        state.align(now, since.saturating_add(Duration::from_millis(snapshot.phase_ms.into())));
        let now = state.moment(now);
        state.last_loss = snapshot.last_loss;
        state.losses = snapshot
            .losses
            .iter()
            .filter_map(|&(number, age, minutes)| {
                let at = now.checked_sub(since.saturating_add(Duration::from_millis(age.into())))?;
                Some(Loss { number, at, minutes })
            })
            .collect();
        for kept in &snapshot.kept {
            let windows = [(Window::Hour, &kept.hour), (Window::Day, &kept.day)];
            let counts = windows.into_iter().flat_map(|(window, ages)| {
                ages.iter().filter_map(move |&(age, count)| {
                    let age = since.saturating_add(Duration::from_millis(age.into()));
                    // The newest sub-window of those that it may have been in.
                    let at = now.checked_sub(age)?;
                    let old = window.slot(at).saturating_add(SLOTS) < window.slot(now);
                    (!old).then_some((window, at, count))
                })
            });
            let counts: Vec<_> = counts.collect();
            if counts.is_empty() {
                continue;
            }
            let subject = state.resolve(kept.subject, now);
            let Some((counter, room)) = state.own(&subject).get_mut(&subject) else { continue };
            // Where several come together, the one that has seen least decides.
            counter.losses_seen =
                if counter.is_live() { counter.losses_seen.min(kept.losses_seen) } else { kept.losses_seen };
            for (window, at, count) in counts {
                counter.track_mut(window).add(window.slot(at), count, room);
            }
        }
    }

    /// Makes good for an earlier run that did not end in order: for at most `minutes` before its end it may have counted
    /// what no snapshot holds. Each subject with a limit for a minute begins its hour and its day as if it had used all of
    /// that meanwhile. `wall_ms` is the wall clock's time now, `ended_ms` the latest at which that run may have ended.
    pub fn make_good(&self, now: Duration, wall_ms: i64, ended_ms: i64, minutes: NonZeroU32) {
        let since = Duration::from_millis(u64::try_from(wall_ms.saturating_sub(ended_ms)).unwrap_or(0));
        let mut state = self.state.lock();
        let at = now.saturating_add(state.origin).saturating_sub(since);
        state.last_loss = state.last_loss.saturating_add(1);
        let number = state.last_loss;
        state.losses.push(Loss { number, at, minutes });
    }
}

/// How far into the sub-windows a moment is.
fn phase_of(moment: Duration) -> Duration {
    let nanos = moment.as_nanos() % PHASES.as_nanos().max(1);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

fn standings(counter: &Counter, rates: Rates, amount: u32, now: Duration) -> impl Iterator<Item = Allowance> {
    rates.iter().map(move |(window, limit)| counter.track(window).standing(window, limit.get(), amount, now))
}

/// Whether less is left of one limit than of the other, by the part of it.
fn is_tighter(one: &Allowance, other: &Allowance) -> bool {
    let part = |of: &Allowance, by: &Allowance| u64::from(of.remaining) * u64::from(by.limit);
    part(one, other) < part(other, one)
}
