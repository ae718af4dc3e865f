//! A few threads for the engine's blocking calls, so that they never block the async runtime.
//!
//! A pool runs every task it accepted, also after it was told to close; it accepts none after that.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};
use portcullis_store::Kind;
use tokio::sync::oneshot;

use crate::fault::Fault;

/// A way to hand tasks to threads, which run them in the order they came. Clones lead to the same threads.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

/// The threads of a pool.
///
/// Whoever drops them waits for them: SQLCipher frees its memory at the end of the process, whoever still uses it. So no task
/// may own them, which would be the thread that waits for itself.
#[derive(Debug)]
pub(crate) struct Threads {
    pool: Pool,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

struct State {
    tasks: VecDeque<Box<dyn FnOnce() + Send>>,
    closing: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("tasks", &self.tasks.len()).field("closing", &self.closing).finish()
    }
}

/// The pool takes no more tasks.
#[derive(Debug)]
pub(crate) struct Closed;

/// What a call gets when the store was closed under it.
pub(crate) fn closed() -> Fault {
    Fault::because(Kind::Unavailable, "the store is closed")
}

impl Pool {
    /// Hands a task to the next free thread.
    pub(crate) fn submit(&self, task: Box<dyn FnOnce() + Send>) -> Result<(), Closed> {
        let mut state = self.shared.state.lock();
        if state.closing {
            return Err(Closed);
        }
        state.tasks.push_back(task);
        drop(state);
        self.shared.wake.notify_one();
        Ok(())
    }

    /// Runs `work` on one of the threads and waits for its result. Work whose caller has gone is not begun.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (reply, answer) = oneshot::channel();
        let task = move || {
            if !reply.is_closed() {
                // A caller that left meanwhile does not want the answer.
                let _ = reply.send(work());
            }
        };
        self.submit(Box::new(task)).map_err(|Closed| closed())?;
        answer.await.unwrap_or_else(|_| Err(Fault::because(Kind::Unavailable, "a store call broke off")))
    }
}

impl Threads {
    /// Starts `count` threads.
    pub(crate) fn start(name: &str, count: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State { tasks: VecDeque::new(), closing: false }),
            wake: Condvar::new(),
        });
        let started = Self { pool: Pool { shared }, threads: Mutex::new(Vec::new()) };
        for number in 0..count {
            let shared = Arc::clone(&started.pool.shared);
            let thread = std::thread::Builder::new()
                .name(format!("{name}-{number}"))
                .spawn(move || shared.work_until_closed())?;
            started.threads.lock().push(thread);
        }
        Ok(started)
    }

    /// The way to hand them tasks.
    pub(crate) fn pool(&self) -> Pool {
        self.pool.clone()
    }

    /// Lets the threads finish what was submitted and waits for them, but not for the thread that asks. It blocks.
    pub(crate) fn close(&self) {
        self.pool.shared.close();
        let here = std::thread::current().id();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            // What holds the stores last may be dropped by the thread that answers it.
            if thread.thread().id() != here {
                // A thread ends by itself; its panic was reported where it happened.
                let _ = thread.join();
            }
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn close(&self) {
        self.state.lock().closing = true;
        self.wake.notify_all();
    }

    fn work_until_closed(&self) {
        loop {
            let mut state = self.state.lock();
            let task = loop {
                match state.tasks.pop_front() {
                    Some(task) => break task,
                    None if state.closing => return,
                    None => self.wake.wait(&mut state),
                }
            };
            drop(state);
            // The reply is dropped with the task, so its caller gets an error; the thread goes on.
            if catch_unwind(AssertUnwindSafe(task)).is_err() {
                tracing::error!("a store call panicked");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_store::Kind;

    use super::Threads;

    #[tokio::test]
    async fn a_panic_fails_its_own_call_only() {
        let threads = Threads::start("test", 1).expect("threads start");
        let pool = threads.pool();
        let broken = pool.run::<()>(|| panic!("on purpose")).await;
        assert_eq!(broken.expect_err("a panicking call fails").kind(), Kind::Unavailable);
        assert_eq!(pool.run(|| Ok(7)).await.expect("the thread lives on"), 7);
    }

    #[test]
    fn what_a_pool_took_is_done_when_its_threads_are_gone_whoever_may_still_hand_it_tasks() {
        let threads = Threads::start("test", 2).expect("threads start");
        let pool = threads.pool();
        let (tell, told) = std::sync::mpsc::channel();
        let (go, gone) = std::sync::mpsc::channel();
        // As a write holds its file, and that the way to the threads.
        let held = pool.clone();
        let slow = move || {
            gone.recv().expect("the test tells");
            std::thread::sleep(std::time::Duration::from_millis(20));
            tell.send("slow").expect("the test listens");
            drop(held);
        };
        pool.submit(Box::new(slow)).expect("open");
        go.send(()).expect("it waits");
        drop(threads);
        assert_eq!(told.try_recv(), Ok("slow"), "done before the drop was");
        assert!(pool.submit(Box::new(|| {})).is_err(), "there is nobody to do it");
    }

    #[test]
    fn a_thread_that_ends_its_pool_does_not_wait_for_itself() {
        let threads = Threads::start("test", 2).expect("threads start");
        let pool = threads.pool();
        let (tell, told) = std::sync::mpsc::channel();
        let ends_it = move || {
            drop(threads);
            tell.send("ended").expect("the test listens");
        };
        pool.submit(Box::new(ends_it)).expect("open");
        assert_eq!(told.recv(), Ok("ended"));
    }

    #[tokio::test]
    async fn a_closed_pool_refuses_work_but_finishes_what_it_took() {
        let threads = Threads::start("test", 1).expect("threads start");
        let pool = threads.pool();
        let (tell, told) = std::sync::mpsc::channel();
        for number in 0..10 {
            let tell = tell.clone();
            let _ = pool.submit(Box::new(move || tell.send(number).expect("the test listens")));
        }
        threads.close();
        assert_eq!(told.try_iter().count(), 10);
        assert_eq!(pool.run(|| Ok(())).await.expect_err("closed").kind(), Kind::Unavailable);
    }
}
