//! What of a stream of events is written to the journal, and when. It reads no clock and writes nothing itself.
//!
//! Equal events (the same event, guard and community) share a window. The first is written at once and opens a window of
//! one second; what follows within it is only counted, and written as one number when the window ends. As long as they
//! keep coming the next window is twice as long, up to [`LONGEST_WINDOW`]; one in which nothing came ends the series.
//! So an attack of any size costs a record a minute, and a single event is there at once.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::time::Duration;

use portcullis_audit::{ActorRef, Event, Label, Record};
use portcullis_core::{CommunityId, RequestId};

use super::{LONGEST_WINDOW, Noticed, SecurityEvent};

const FIRST_WINDOW: Duration = Duration::from_secs(1);
/// How many events are written at once before they have been taken; more are only counted. It bounds both what waits in
/// memory and what many communities together can make the journal write.
const AT_ONCE: usize = 64;
/// How many windows there may be. Beyond, events of all communities share theirs.
const MOST: usize = 4_096;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Kind {
    event: SecurityEvent,
    guard: &'static str,
    community: Option<CommunityId>,
}

#[derive(Debug)]
struct Window {
    ends: Duration,
    length: Duration,
    held: u64,
    /// Who did what is held, if it was one.
    actor: ActorRef,
}

impl Window {
    const fn new(now: Duration) -> Self {
        let ends = now.saturating_add(FIRST_WINDOW);
        Self { ends, length: FIRST_WINDOW, held: 0, actor: ActorRef::Unknown }
    }

    fn hold(&mut self, actor: ActorRef) {
        self.actor = if self.held == 0 || self.actor == actor { actor } else { ActorRef::Unknown };
        self.held = self.held.saturating_add(1);
    }

    /// What is held, as one record.
    fn take(&mut self, kind: Kind) -> Option<Record> {
        let times = NonZeroU64::new(std::mem::take(&mut self.held))?;
        Some(record(kind, self.actor, times, None))
    }
}

/// The windows, and what is to be written at once.
#[derive(Debug, Default)]
pub(super) struct Windows {
    open: HashMap<Kind, Window>,
    at_once: Vec<Record>,
    /// Whether somebody takes what is due.
    tended: bool,
}

/// What a caller of [`Windows::take_in`] has to see to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// That [`Windows::due`] is asked from now on: nobody does.
    Begin,
    /// That it is asked now: there is something to write at once.
    Wake,
    /// Nothing.
    Rest,
}

/// What is to be written now, and how long until there is more.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) records: Vec<Record>,
    pub(super) wait: Duration,
}

impl Windows {
    /// Takes an event in.
    pub(super) fn take_in(&mut self, now: Duration, noticed: Noticed) -> Then {
        let Noticed { event, guard, community, actor, request } = noticed;
        let mut kind = Kind { event, guard, community };
        if self.open.len() >= MOST && !self.open.contains_key(&kind) {
            kind.community = None;
        }
        let folded = kind.community != community;
        let waiting = self.at_once.len();
        match self.open.get_mut(&kind) {
            Some(window) => window.hold(actor),
            None => {
                let mut window = Window::new(now);
                if self.at_once.len() < AT_ONCE && !folded {
                    self.at_once.push(record(kind, actor, NonZeroU64::MIN, request));
                } else {
                    window.hold(actor);
                }
                self.open.insert(kind, window);
            }
        }
        if !std::mem::replace(&mut self.tended, true) {
            Then::Begin
        } else if self.at_once.len() > waiting {
            Then::Wake
        } else {
            Then::Rest
        }
    }

    /// What is due. `None`: nothing is left to write or to wait for, and the next event says so again.
    pub(super) fn due(&mut self, now: Duration) -> Option<Due> {
        let mut records = std::mem::take(&mut self.at_once);
        self.open.retain(|kind, window| {
            if now < window.ends {
                return true;
            }
            let held = window.take(*kind);
            let goes_on = held.is_some();
            records.extend(held);
            window.length = window.length.saturating_mul(2).min(LONGEST_WINDOW);
            window.ends = now.saturating_add(window.length);
            goes_on
        });
        self.tended = !(records.is_empty() && self.open.is_empty());
        let next = self.open.values().map(|window| window.ends.saturating_sub(now)).min();
        self.tended.then(|| Due { records, wait: next.unwrap_or(Duration::ZERO) })
    }

    /// Everything that is not written yet, due or not.
    pub(super) fn end(&mut self) -> Vec<Record> {
        let mut records = std::mem::take(&mut self.at_once);
        records.extend(self.open.drain().filter_map(|(kind, mut window)| window.take(kind)));
        self.tended = false;
        records
    }
}

fn record(kind: Kind, actor: ActorRef, times: NonZeroU64, request: Option<RequestId>) -> Record {
    let event = Event::SecurityNoticed {
        code: kind.event.name().into(),
        guard: (!kind.guard.is_empty()).then(|| Label::from(kind.guard)),
        times,
        request,
        targets: Vec::new(),
    };
    Record { community: kind.community, actor, event }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use portcullis_audit::{ActorRef, Event, Record};
    use portcullis_core::{CommunityId, MemberId, SystemClock};

    use super::{AT_ONCE, LONGEST_WINDOW, MOST, Then, Windows};
    use crate::security::{Noticed, SecurityEvent};

    fn limit() -> Noticed {
        Noticed::new(SecurityEvent::LimitReached, "rate-limit")
    }

    fn times(records: &[Record]) -> Vec<u64> {
        let times = |record: &Record| match &record.event {
            Event::SecurityNoticed { times, .. } => times.get(),
            other => panic!("{other:?}"),
        };
        records.iter().map(times).collect()
    }

    #[test]
    fn the_first_is_written_at_once_and_the_rest_as_a_number() {
        let mut windows = Windows::default();
        let start = Duration::from_secs(100);
        assert_eq!(windows.take_in(start, limit()), Then::Begin);
        assert_eq!(times(&windows.due(start).expect("a window").records), [1]);
        for _ in 0..9_999 {
            assert_eq!(windows.take_in(start, limit()), Then::Rest);
        }
        let within = windows.due(start + Duration::from_millis(999)).expect("a window");
        assert!(within.records.is_empty());
        assert_eq!(within.wait, Duration::from_millis(1));
        assert_eq!(times(&windows.due(start + Duration::from_secs(1)).expect("a window").records), [9_999]);
        let over = start + Duration::from_secs(3);
        assert!(windows.due(over).is_none(), "a window in which nothing came ends the series");
        assert_eq!(windows.take_in(over, limit()), Then::Begin, "the next is a first again");
        assert_eq!(times(&windows.due(over).expect("a window").records), [1]);
    }

    #[test]
    fn an_attack_of_a_day_costs_a_record_a_minute_and_loses_no_count() {
        let mut windows = Windows::default();
        let (mut written, mut counted) = (0, 0);
        for tenth in 0..864_000_u64 {
            let now = Duration::from_millis(tenth * 100);
            windows.take_in(now, limit());
            let due = times(&windows.due(now).expect("a window").records);
            written += due.len();
            counted += due.iter().sum::<u64>();
        }
        counted += times(&windows.end()).iter().sum::<u64>();
        assert_eq!(counted, 864_000);
        assert!((1_440..1_460).contains(&written), "{written} records");
        assert_eq!(LONGEST_WINDOW, Duration::from_secs(60));
    }

    #[test]
    fn a_number_names_who_did_it_only_where_one_did_it_all() {
        let clock = SystemClock::new();
        let [one, two] = [(); 2].map(|()| ActorRef::Member(MemberId::new(&clock)));
        for (actors, named) in [([one, one], one), ([one, two], ActorRef::Unknown)] {
            let mut windows = Windows::default();
            windows.take_in(Duration::ZERO, limit());
            for actor in actors {
                windows.take_in(Duration::ZERO, Noticed { actor, ..limit() });
            }
            let records = windows.due(Duration::from_secs(1)).expect("a window").records;
            assert_eq!(times(&records), [1, 2]);
            assert_eq!(records[1].actor, named);
        }
    }

    #[test]
    fn one_kind_of_event_hides_no_other() {
        let mut windows = Windows::default();
        let community = CommunityId::new(&SystemClock::new());
        for _ in 0..1_000 {
            windows.take_in(Duration::ZERO, limit());
        }
        assert_eq!(windows.take_in(Duration::ZERO, limit().in_community(community)), Then::Wake);
        windows.take_in(Duration::ZERO, Noticed::new(SecurityEvent::LimitReached, "pre-meter"));
        windows.take_in(Duration::ZERO, Noticed::new(SecurityEvent::CredentialRefused, "identify"));
        assert_eq!(times(&windows.due(Duration::ZERO).expect("a window").records), [1, 1, 1, 1]);
    }

    #[test]
    fn a_flood_over_many_communities_is_bounded_and_counted_whole() {
        let (clock, mut windows) = (SystemClock::new(), Windows::default());
        for _ in 0..MOST + 500 {
            windows.take_in(Duration::ZERO, limit().in_community(CommunityId::new(&clock)));
        }
        assert_eq!(windows.open.len(), MOST + 1, "the rest share one window");
        assert_eq!(windows.due(Duration::ZERO).expect("a window").records.len(), AT_ONCE);
        let records = windows.due(Duration::from_secs(1)).expect("a window").records;
        assert_eq!(times(&records).iter().sum::<u64>() as usize, MOST + 500 - AT_ONCE);
        let shared = records.iter().find(|record| record.community.is_none()).expect("the shared window");
        assert_eq!(times(std::slice::from_ref(shared)), [500]);
        assert!(windows.due(Duration::from_secs(3)).is_none());
        assert!(windows.open.is_empty(), "nothing stays behind");
    }
}
