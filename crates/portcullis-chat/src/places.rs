//! Places at the model: a limited number at once, a bounded queue, and an end to waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use portcullis_guard::{Code, Refusal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Hands out places at the model, first come first served.
#[derive(Debug)]
pub struct Places {
    places: usize,
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
    queue: usize,
    patience: Duration,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Places {
    /// So many places, a queue of so many, and the longest wait in it.
    pub fn new(places: usize, queue: usize, patience: Duration) -> Self {
        let free = Arc::new(Semaphore::new(places));
        Self { places, free, waiting: AtomicUsize::new(0), queue, patience }
    }

    /// How many places there are.
    pub fn all(&self) -> usize {
        self.places
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.places.saturating_sub(self.free.available_permits())
    }

    /// How many requests wait for one.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Takes a place, waiting for one if the queue has room.
    pub async fn take(&self) -> Result<Place, Refusal> {
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok(Place { _permit: permit });
        }
        let _waiting = Waiting::join(&self.waiting, self.queue)
            .ok_or_else(|| busy("all places at the model are taken and the queue is full"))?;
        match tokio::time::timeout(self.patience, Arc::clone(&self.free).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Place { _permit: permit }),
            Ok(Err(_)) | Err(_) => Err(busy("no place at the model came free in time")),
        }
    }
}

fn busy(detail: &'static str) -> Refusal {
    Refusal::new(Code::ModelBusy, detail).retry_after(Duration::from_secs(2)).by("model-places")
}

/// One waiting request, counted until dropped: one that gives up leaves the queue at once.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn join(count: &'a AtomicUsize, most: usize) -> Option<Self> {
        count
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |waiting| {
                (waiting < most).then_some(waiting + 1)
            })
            .ok()
            .map(|_| Waiting(count))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use portcullis_guard::Code;

    use super::Places;

    #[tokio::test]
    async fn the_queue_is_bounded_and_waiting_ends() {
        let places = Places::new(1, 1, Duration::from_millis(50));
        let held = places.take().await.expect("the first place is free");
        let (waited, refused) = tokio::join!(places.take(), places.take());
        assert_eq!(refused.expect_err("the queue holds one").code, Code::ModelBusy);
        assert_eq!(waited.expect_err("the place is held for longer than the wait").code, Code::ModelBusy);
        drop(held);
        assert!(places.take().await.is_ok());
    }

    #[tokio::test]
    async fn who_gives_up_leaves_the_queue() {
        let places = Places::new(1, 1, Duration::from_secs(5));
        let held = places.take().await.expect("the first place is free");
        assert!(tokio::time::timeout(Duration::from_millis(50), places.take()).await.is_err());
        let (next, ()) = tokio::join!(places.take(), async { drop(held) });
        assert!(next.is_ok(), "the queue has room again");
    }
}
