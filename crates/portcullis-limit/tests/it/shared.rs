//! The suite of shared stores on the one in memory, and on each that is wrong on purpose.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use portcullis_core::{Clock, ManualClock, Tasks};
use portcullis_limit::conformance::wrong::{Flaw, Wrong};
use portcullis_limit::conformance::{Harness, cases};
use portcullis_limit::{CounterStore, MemoryCounters};

struct InMemory {
    clock: Arc<ManualClock>,
    store: Arc<MemoryCounters>,
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH))
}

fn right() -> InMemory {
    let clock = clock();
    let store = Arc::new(MemoryCounters::new(8 << 20, Arc::clone(&clock) as Arc<dyn Clock>));
    InMemory { clock, store }
}

#[async_trait]
impl Harness for InMemory {
    async fn instance(&self) -> Arc<dyn CounterStore> {
        Arc::clone(&self.store) as _
    }

    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }
}

mod in_memory {
    portcullis_limit::counter_store!(super::right());
}

struct OnPurpose {
    flaw: Flaw,
    clock: Arc<ManualClock>,
    one: Arc<Wrong>,
}

#[async_trait]
impl Harness for OnPurpose {
    async fn instance(&self) -> Arc<dyn CounterStore> {
        if self.flaw == Flaw::CountsApart {
            return Arc::new(Wrong::new(self.flaw, Arc::clone(&self.clock) as Arc<dyn Clock>));
        }
        Arc::clone(&self.one) as _
    }

    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }
}

fn wrong(flaw: Flaw) -> Arc<dyn Harness> {
    let clock = clock();
    let one = Arc::new(Wrong::new(flaw, Arc::clone(&clock) as Arc<dyn Clock>));
    Arc::new(OnPurpose { flaw, clock, one })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wrong_store_fails_the_case_written_against_it() {
    let tasks = Tasks::new();
    for (flaw, case) in Flaw::ALL {
        let way = wrong(flaw);
        let run = match case {
            "no_rolling_window_holds_more_than_the_limit" => {
                tasks.spawn(cases::no_rolling_window_holds_more_than_the_limit(way))
            }
            "all_at_once_get_exactly_the_limit" => tasks.spawn(cases::all_at_once_get_exactly_the_limit(way)),
            "what_is_refused_counts_nowhere" => tasks.spawn(cases::what_is_refused_counts_nowhere(way)),
            "instances_share_their_counters" => tasks.spawn(cases::instances_share_their_counters(way)),
            "every_window_holds" => tasks.spawn(cases::every_window_holds(way)),
            "what_was_not_used_is_given_back" => tasks.spawn(cases::what_was_not_used_is_given_back(way)),
            "what_was_used_beyond_counts" => tasks.spawn(cases::what_was_used_beyond_counts(way)),
            "who_never_rests_gets_nearly_all" => tasks.spawn(cases::who_never_rests_gets_nearly_all(way)),
            "asking_counts_nothing" => tasks.spawn(cases::asking_counts_nothing(way)),
            other => panic!("no case `{other}`"),
        };
        let ended = run.await;
        assert!(ended.is_err_and(|error| error.is_panic()), "{flaw:?} passes `{case}`");
    }
}
