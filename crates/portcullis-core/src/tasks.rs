//! The tracked spawner: background work that shutdown waits for.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

/// Spawns tasks and waits for them. Clones share one count.
#[derive(Clone)]
pub struct Tasks {
    slots: Arc<Semaphore>,
    closing: watch::Sender<bool>,
}

/// More tasks than one process can hold; the semaphore only counts.
const SLOTS: u32 = 1 << 24;

impl Tasks {
    /// An empty set of tasks.
    pub fn new() -> Self {
        Self { slots: Arc::new(Semaphore::new(SLOTS as usize)), closing: watch::Sender::new(false) }
    }

    /// Starts `work` in the background and counts it until it ends.
    pub fn spawn<F>(&self, work: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_on(&Handle::current(), work)
    }

    /// The same on that runtime.
    #[expect(clippy::disallowed_methods, reason = "the one tracked spawner")]
    pub fn spawn_on<F>(&self, runtime: &Handle, work: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let slot = Arc::clone(&self.slots).try_acquire_owned();
        runtime.spawn(async move {
            let _slot = slot;
            work.await
        })
    }

    /// How many tasks run now.
    pub fn running(&self) -> usize {
        (SLOTS as usize).saturating_sub(self.slots.available_permits())
    }

    /// Whether [`Tasks::close`] was called: what is new is not begun any more.
    pub fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Resolves once [`Tasks::close`] was called: a long-running task waits on this to stop by itself.
    pub fn closing(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut closing = self.closing.subscribe();
        async move {
            // The sender lives as long as any clone of `Tasks`; its loss means shutdown too.
            let _ = closing.wait_for(|closing| *closing).await;
        }
    }

    /// Asks all tasks to stop and waits for them, at most `limit`. Returns how many were still running.
    pub async fn close(&self, limit: Duration) -> usize {
        self.closing.send_replace(true);
        let _ = tokio::time::timeout(limit, self.slots.acquire_many(SLOTS)).await;
        self.running()
    }
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks").field("running", &self.running()).finish_non_exhaustive()
    }
}
