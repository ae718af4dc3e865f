//! Lanes: runtimes of one thread each, and what belongs to one connection stays in one of them.
//!
//! Where all threads share all work they wake each other for each small piece of it, and each piece finds the processor's
//! caches filled with something else, which together cost more than most pieces do. In a lane, a connection's requests, what
//! they ask of the model and the answers are done by one thread. The price is that a lane does not help another.
//! So lanes are filled one after the other: while there are few connections one thread does all, and with many each has
//! its share.

use std::cell::RefCell;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;

/// With so many connections a lane has enough, while another has fewer.
const ENOUGH: usize = 64;

/// How long the end of a lane waits for threads that do for it what would block it.
const PATIENCE: Duration = Duration::from_secs(1);

thread_local! {
    static HERE: RefCell<Option<Errands>> = const { RefCell::new(None) };
}

/// The number of the lane whose thread this is, below [`most`]; 0 on a thread that is none. What has one part for each lane,
/// such as connections to a model, is chosen by it.
pub fn here() -> usize {
    HERE.with_borrow(|here| here.as_ref().map_or(0, |errands| errands.lane))
}

/// A way back into the lane whose thread this is, for other threads. None on a thread that is no lane's.
pub fn errands() -> Option<Errands> {
    HERE.with_borrow(Clone::clone)
}

/// A way into a lane for threads that have something for many who wait there: to wake the lane once, instead of once for each.
#[derive(Clone)]
pub struct Errands {
    lane: usize,
    send: UnboundedSender<Errand>,
}

type Errand = Box<dyn FnOnce() + Send>;

impl Errands {
    /// Does this on the lane's thread, soon; here and now if the lane has ended. It must not block and not panic.
    pub fn run(&self, errand: impl FnOnce() + Send + 'static) {
        if let Err(mpsc::error::SendError(errand)) = self.send.send(Box::new(errand)) {
            errand();
        }
    }

    /// Whether both lead into one lane.
    pub fn leads_where(&self, other: &Self) -> bool {
        self.send.same_channel(&other.send)
    }
}

impl fmt::Debug for Errands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Errands").field("lane", &self.lane).finish_non_exhaustive()
    }
}

/// How many lanes a process has at most: one for each processor.
pub fn most() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// Lanes that take connections in. Dropping them ends what is still done in them, and waits for their threads.
#[derive(Debug)]
pub struct Lanes {
    lanes: Vec<Lane>,
    /// Its loss ends the threads.
    running: Option<watch::Sender<()>>,
}

#[derive(Debug)]
struct Lane {
    runtime: Handle,
    taken: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

/// A connection's place in a lane, until it is dropped.
#[derive(Debug)]
pub struct LanePlace {
    runtime: Handle,
    taken: Arc<AtomicUsize>,
}

impl Lanes {
    /// Starts one lane for each processor.
    ///
    /// # Errors
    /// What the system says when it gives no thread, or nothing to wait with.
    pub fn start() -> std::io::Result<Self> {
        Self::start_with(|| {})
    }

    /// The same. Each lane's thread calls `before_rest` when there is nothing left to do for now.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(before_rest: fn()) -> std::io::Result<Self> {
        Self::start_many(most(), before_rest)
    }

    fn start_many(count: NonZeroUsize, before_rest: fn()) -> std::io::Result<Self> {
        let (running, ended) = watch::channel(());
        let mut lanes = Self { lanes: Vec::new(), running: Some(running) };
        for number in 0..count.get() {
            lanes.lanes.push(Lane::start(number, ended.clone(), before_rest)?);
        }
        Ok(lanes)
    }

    /// A place in the first lane that has not enough, else in the one with the fewest.
    pub fn place(&self) -> Option<LanePlace> {
        let taken = |lane: &&Lane| lane.taken.load(Ordering::Relaxed);
        let free = self.lanes.iter().find(|lane| taken(lane) < ENOUGH);
        let lane = free.or_else(|| self.lanes.iter().min_by_key(taken))?;
        lane.taken.fetch_add(1, Ordering::Relaxed);
        Some(LanePlace { runtime: lane.runtime.clone(), taken: Arc::clone(&lane.taken) })
    }
}

impl Lane {
    fn start(number: usize, ended: watch::Receiver<()>, before_rest: fn()) -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().on_thread_park(before_rest).build()?;
        let handle = runtime.handle().clone();
        let (send, errands) = mpsc::unbounded_channel();
        let thread = thread::Builder::new().name(format!("lane-{number}")).spawn(move || {
            HERE.set(Some(Errands { lane: number, send }));
            runtime.block_on(run(errands, ended));
            // Threads that are busy with files for it may end what they do; one that hangs holds up nobody.
            runtime.shutdown_timeout(PATIENCE);
        })?;
        Ok(Self { runtime: handle, taken: Arc::default(), thread: Some(thread) })
    }
}

/// Does what comes until the lanes end.
async fn run(mut errands: UnboundedReceiver<Errand>, mut ended: watch::Receiver<()>) {
    loop {
        tokio::select! {
            Some(errand) = errands.recv() => errand(),
            // Nothing is sent; what comes is that the sender is gone.
            _ = ended.changed() => break,
        }
    }
    // What came before the end is done all the same, and what comes now is done by who brings it.
    errands.close();
    while let Ok(errand) = errands.try_recv() {
        errand();
    }
}

impl LanePlace {
    /// The lane's runtime.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

impl Drop for LanePlace {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.running = None;
        for lane in &mut self.lanes {
            if let Some(thread) = lane.thread.take() {
                // A panic of what it ran was caught there.
                let _ = thread.join();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tasks;

    fn lanes(count: usize) -> Lanes {
        Lanes::start_many(NonZeroUsize::new(count).expect("not none"), || {}).expect("threads")
    }

    /// In which lane the place is.
    async fn number(place: &LanePlace) -> usize {
        Tasks::new().spawn_on(place.runtime(), async { here() }).await.expect("it ran")
    }

    #[tokio::test]
    async fn lanes_are_filled_one_after_the_other_and_then_evenly() {
        let lanes = lanes(3);
        let mut places: Vec<_> = (0..3 * ENOUGH).filter_map(|_| lanes.place()).collect();
        for (at, place) in places.iter().enumerate() {
            assert_eq!(number(place).await, at / ENOUGH, "{at}");
        }
        let more: Vec<_> = (0..3).filter_map(|_| lanes.place()).collect();
        let mut counts = [0; 3];
        for place in &more {
            counts[number(place).await] += 1;
        }
        assert_eq!(counts, [1, 1, 1], "all have enough");
        drop(more);
        drop(places.remove(ENOUGH + 1));
        let again = lanes.place().expect("a place");
        assert_eq!(number(&again).await, 1, "the place that came free");
    }

    #[tokio::test]
    async fn what_is_done_in_a_lane_stays_on_its_thread() {
        let lanes = lanes(2);
        let place = lanes.place().expect("a place");
        let tasks = Tasks::new();
        let inner = tasks.clone();
        let names = tasks.spawn_on(place.runtime(), async move {
            let named = || (here(), thread::current().name().map(str::to_owned));
            let first = named();
            // What it starts itself is done there too.
            let second = inner.spawn(async move { named() }).await.expect("it ran");
            (first, second)
        });
        let wanted = (0, Some("lane-0".to_owned()));
        assert_eq!(names.await.expect("it ran"), (wanted.clone(), wanted));
        assert_eq!(here(), 0, "no lane");
        assert_ne!(thread::current().name(), Some("lane-0"));
    }

    #[tokio::test]
    async fn what_still_runs_ends_with_its_lanes() {
        let lanes = lanes(2);
        let place = lanes.place().expect("a place");
        let (held, lost) = tokio::sync::oneshot::channel::<()>();
        let endless = Tasks::new().spawn_on(place.runtime(), async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        drop(lanes);
        assert!(lost.await.is_err(), "it was dropped");
        assert!(endless.await.is_err_and(|error| error.is_cancelled()));
    }

    #[tokio::test]
    async fn an_errand_is_done_on_the_thread_that_it_is_for_even_after_its_end() {
        let lanes = lanes(2);
        assert!(errands().is_none(), "no lane");
        let tasks = Tasks::new();
        let mut ways = Vec::new();
        let places: Vec<_> = (0..ENOUGH + 2).filter_map(|_| lanes.place()).collect();
        for place in [&places[0], &places[1], &places[ENOUGH]] {
            ways.extend(tasks.spawn_on(place.runtime(), async { errands() }).await.expect("it ran"));
        }
        let [first, same, other] = &ways[..] else { panic!("{ways:?}") };
        assert!(first.leads_where(same) && !first.leads_where(other));
        let done_in = async |way: &Errands| {
            let (tell, told) = tokio::sync::oneshot::channel();
            way.run(move || drop(tell.send(thread::current().name().map(str::to_owned))));
            told.await.expect("it was done")
        };
        assert_eq!(done_in(first).await.as_deref(), Some("lane-0"));
        assert_eq!(done_in(other).await.as_deref(), Some("lane-1"));
        let (tell, mut told) = mpsc::unbounded_channel();
        for number in 0..64 {
            let tell = tell.clone();
            first.run(move || tell.send(number).expect("somebody waits"));
        }
        drop((places, lanes, tell));
        for number in 0..64 {
            assert_eq!(told.recv().await, Some(number), "none is lost that was brought before the end");
        }
        assert_eq!(done_in(first).await.as_deref(), thread::current().name());
    }

    #[tokio::test]
    async fn a_panic_ends_its_own_work_alone() {
        let lanes = lanes(1);
        let place = lanes.place().expect("a place");
        let broken = Tasks::new().spawn_on(place.runtime(), async { panic!("on purpose") });
        assert!(broken.await.is_err_and(|error| error.is_panic()));
        assert_eq!(number(&place).await, 0);
    }
}
