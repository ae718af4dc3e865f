//! The queue before a sandbox: so many jobs at once, so many that wait, and when each of them ran.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_core::Clock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::job::{Description, Error, Job, Ran, Sandbox};

/// A job that ran, and when, on the monotonic clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// What became of it.
    pub ran: Ran,
    /// When it was handed in.
    pub asked: Duration,
    /// When it began.
    pub began: Duration,
    /// When it ended.
    pub ended: Duration,
}

/// A sandbox with places for so many jobs. What comes when all are taken waits its turn.
#[derive(Debug)]
pub struct Queue {
    sandbox: Arc<dyn Sandbox>,
    clock: Arc<dyn Clock>,
    places: Arc<Semaphore>,
    at_once: usize,
    waiting: AtomicUsize,
    most_waiting: usize,
    parties: Mutex<BTreeMap<String, Arc<Party>>>,
}

/// One of several whose jobs come here, with its share of the places.
#[derive(Debug)]
struct Party {
    share: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// A place for one job. Dropped before that, it is free again.
#[derive(Debug)]
pub struct Place {
    sandbox: Arc<dyn Sandbox>,
    clock: Arc<dyn Clock>,
    asked: Duration,
    place: OwnedSemaphorePermit,
    share: Option<OwnedSemaphorePermit>,
}

/// One of those who wait, however the waiting ends.
struct Waiting<'q>(&'q AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn take(
    places: &Arc<Semaphore>,
    waiting: &AtomicUsize,
    most_waiting: usize,
) -> Result<OwnedSemaphorePermit, Error> {
    if let Ok(place) = Arc::clone(places).try_acquire_owned() {
        return Ok(place);
    }
    let before = waiting.fetch_add(1, Ordering::Relaxed);
    let _waiting = Waiting(waiting);
    if before >= most_waiting {
        return Err(Error::Busy);
    }
    let place = Arc::clone(places).acquire_owned().await;
    place.map_err(|_| Error::Failed("the queue is closed".to_owned()))
}

impl Queue {
    /// `at_once` jobs run at a time, at least 1; `most_waiting` wait behind them.
    pub fn new(
        sandbox: Arc<dyn Sandbox>,
        clock: Arc<dyn Clock>,
        at_once: usize,
        most_waiting: usize,
    ) -> Self {
        let at_once = at_once.max(1);
        let places = Arc::new(Semaphore::new(at_once));
        let parties = Mutex::default();
        Self { sandbox, clock, places, at_once, waiting: AtomicUsize::new(0), most_waiting, parties }
    }

    /// What runs the jobs.
    pub fn describe(&self) -> Description {
        self.sandbox.describe()
    }

    /// How many run at once.
    pub const fn at_once(&self) -> usize {
        self.at_once
    }

    /// Gets a program ready, on a thread where that may take its time.
    ///
    /// # Errors
    /// See [`Sandbox::prepare`].
    pub async fn prepare(&self, program: Arc<[u8]>) -> Result<(), Error> {
        let sandbox = Arc::clone(&self.sandbox);
        let preparing = tokio::task::spawn_blocking(move || sandbox.prepare(&program));
        preparing.await.unwrap_or_else(|_| Err(Error::Failed("the program was not made ready".to_owned())))
    }

    /// A place for one job, when there is one.
    ///
    /// # Errors
    /// [`Error::Busy`] when too many wait.
    pub async fn place(&self) -> Result<Place, Error> {
        self.enter(None).await
    }

    /// The same for a job of one of several parties. However many jobs one has, it takes half of the places at most, and one at
    /// least; what it has beyond that waits apart and stands before nobody else. Parties are remembered, so there must be few.
    ///
    /// # Errors
    /// [`Error::Busy`] when too many wait, of all or of this one.
    pub async fn place_of(&self, party: &str) -> Result<Place, Error> {
        let party = {
            let mut parties = self.parties.lock().unwrap_or_else(PoisonError::into_inner);
            let share = (self.at_once / 2).max(1);
            let known = parties.entry(party.to_owned()).or_insert_with(|| {
                Arc::new(Party { share: Arc::new(Semaphore::new(share)), waiting: AtomicUsize::new(0) })
            });
            Arc::clone(known)
        };
        let share = take(&party.share, &party.waiting, self.most_waiting).await?;
        self.enter(Some(share)).await
    }

    async fn enter(&self, share: Option<OwnedSemaphorePermit>) -> Result<Place, Error> {
        let asked = self.clock.monotonic();
        let place = take(&self.places, &self.waiting, self.most_waiting).await?;
        let (sandbox, clock) = (Arc::clone(&self.sandbox), Arc::clone(&self.clock));
        Ok(Place { sandbox, clock, asked, place, share })
    }

    /// Runs a job when there is a place; see [`Place::run`].
    ///
    /// # Errors
    /// [`Error::Busy`] when too many wait, and what the sandbox says.
    pub async fn run(&self, job: Job) -> Result<Held, Error> {
        self.place().await?.run(job).await
    }
}

impl Place {
    /// Runs a job. Whoever leaves while it runs leaves it running: it ends by its limits, and its place is taken until then.
    ///
    /// # Errors
    /// What the sandbox says.
    pub async fn run(self, job: Job) -> Result<Held, Error> {
        let running = tokio::task::spawn_blocking(move || {
            let Self { sandbox, clock, asked, place, share } = self;
            let began = clock.monotonic();
            let ran = sandbox.run(&job);
            let ended = clock.monotonic();
            // After it ended: whoever takes the place begins later than that.
            drop((place, share));
            ran.map(|ran| Held { ran, asked, began, ended })
        });
        running.await.unwrap_or_else(|_| Err(Error::Failed("the job broke off".to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use portcullis_core::{SystemClock, Tasks};

    use super::*;
    use crate::job::End;

    /// Runs nothing; counts how many are inside at once, and ends when `gate` lets it.
    #[derive(Debug)]
    struct Counting {
        inside: AtomicUsize,
        most: AtomicUsize,
        pair: Barrier,
        seen: Mutex<Vec<u64>>,
    }

    impl Sandbox for Counting {
        fn describe(&self) -> Description {
            Description { kind: "counting", walls: "none" }
        }

        fn run(&self, job: &Job) -> Result<Ran, Error> {
            let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(inside, Ordering::SeqCst);
            // Two are always inside together, or this waits for ever.
            self.pair.wait();
            self.seen.lock().expect("not poisoned").push(job.seed);
            self.inside.fetch_sub(1, Ordering::SeqCst);
            Ok(Ran { end: End::Exited(0), output: Vec::new(), errors: Vec::new() })
        }
    }

    fn queue(most_waiting: usize) -> (Arc<Counting>, Arc<Queue>) {
        let counting = Arc::new(Counting {
            inside: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            pair: Barrier::new(2),
            seen: Mutex::default(),
        });
        let sandbox = Arc::clone(&counting) as Arc<dyn Sandbox>;
        (counting, Arc::new(Queue::new(sandbox, Arc::new(SystemClock::new()), 2, most_waiting)))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn as_many_run_at_once_as_there_are_places_and_the_others_wait() {
        let (counting, queue) = queue(100);
        let tasks = Tasks::new();
        let jobs = (0..10).map(|seed| {
            let queue = Arc::clone(&queue);
            tasks.spawn(async move { queue.run(Job { seed, ..Job::new([]) }).await })
        });
        let mut held = Vec::new();
        for job in jobs.collect::<Vec<_>>() {
            held.push(job.await.expect("no task fails").expect("it ran"));
        }
        assert_eq!(counting.most.load(Ordering::SeqCst), 2);
        assert_eq!(counting.seen.lock().expect("not poisoned").len(), 10);
        assert!(held.iter().all(|held| held.asked <= held.began && held.began <= held.ended));
        let overlap = |one: &Held, other: &Held| one.began < other.ended && other.began < one.ended;
        assert!(
            held.iter().enumerate().any(|(at, one)| held[at + 1..].iter().any(|other| overlap(one, other)))
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_finds_too_many_waiting_is_told_so_at_once() {
        let (_, queue) = queue(0);
        let tasks = Tasks::new();
        let other = Arc::clone(&queue);
        let first = tasks.spawn(async move { other.run(Job::new([])).await });
        while queue.places.available_permits() == 2 {
            tokio::task::yield_now().await;
        }
        // The second place lets the first go on; what finds none waits for nothing.
        let held = Arc::clone(&queue.places).try_acquire_owned().expect("a place");
        assert_eq!(queue.run(Job::new([])).await, Err(Error::Busy));
        drop(held);
        queue.run(Job::new([])).await.expect("it ran");
        first.await.expect("no task fails").expect("it ran");
    }

    #[tokio::test]
    async fn who_has_more_jobs_than_its_share_keeps_nobody_else_from_a_place() {
        let (_, queue) = queue(1);
        let held = queue.place_of("one").await.expect("a place");
        // Its second waits for its own share, its third finds one that waits; the other place is free for somebody else.
        let mut second = std::pin::pin!(queue.place_of("one"));
        tokio::select! {
            biased;
            place = &mut second => panic!("more than its share: {place:?}"),
            () = std::future::ready(()) => {}
        }
        assert_eq!(queue.place_of("one").await.map(drop), Err(Error::Busy));
        drop(queue.place_of("two").await.expect("a place"));
        drop(held);
        second.await.expect("its share is free again");
    }
}
