//! The tracked spawner: background work that shutdown waits for.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

/// Spawns tasks and waits for them. Clones share one count.
#[derive(Clone)]
pub struct Tasks {
    running: watch::Sender<usize>,
    closing: watch::Sender<bool>,
}

/// One task among those that run, from before it is begun until it has ended, however it ends.
struct Running(watch::Sender<usize>);

impl Running {
    fn among(all: &watch::Sender<usize>) -> Self {
        all.send_modify(|running| *running += 1);
        Self(all.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

impl Tasks {
    /// An empty set of tasks.
    pub fn new() -> Self {
        Self { running: watch::Sender::new(0), closing: watch::Sender::new(false) }
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
        let running = Running::among(&self.running);
        runtime.spawn(async move {
            let _running = running;
            work.await
        })
    }

    /// How many tasks run now.
    pub fn running(&self) -> usize {
        *self.running.borrow()
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

    /// Asks all tasks to stop and waits for them, and for those that they begin meanwhile, at most `limit`. Returns how many
    /// were still running.
    pub async fn close(&self, limit: Duration) -> usize {
        self.closing.send_replace(true);
        let mut running = self.running.subscribe();
        let _ = tokio::time::timeout(limit, running.wait_for(|running| *running == 0)).await;
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::task::yield_now;

    use super::Tasks;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_stop_waits_for_what_begins_while_it_waits_and_counts_it() {
        let (tasks, counted, done) =
            (Tasks::new(), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (own, seen, last) = (tasks.clone(), Arc::clone(&counted), Arc::clone(&done));
        tasks.spawn(async move {
            own.closing().await;
            // The stop waits by now.
            yield_now().await;
            let late = own.clone();
            own.spawn(async move {
                for _ in 0..100 {
                    yield_now().await;
                }
                // The one that began it has ended.
                seen.store(late.running(), Ordering::SeqCst);
                last.store(true, Ordering::SeqCst);
            });
        });
        assert_eq!(tasks.close(LONG).await, 0);
        assert!(done.load(Ordering::SeqCst), "it was not waited for");
        assert_eq!(counted.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_stop_that_takes_too_long_says_how_many_still_run() {
        let tasks = Tasks::new();
        let stuck = tasks.spawn(std::future::pending::<()>());
        tasks.spawn(async {});
        assert_eq!(tasks.close(Duration::from_millis(50)).await, 1);
        assert_eq!(tasks.running(), 1);
        stuck.abort();
        assert_eq!(tasks.close(LONG).await, 0, "one that was ended is no longer counted");
    }
}
