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

/// Threads that run tasks in the order they came.
#[derive(Debug)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
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
    /// Starts `count` threads.
    pub(crate) fn start(name: &str, count: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State { tasks: VecDeque::new(), closing: false }),
            wake: Condvar::new(),
        });
        let pool = Self { shared, threads: Mutex::new(Vec::new()) };
        for number in 0..count {
            let shared = Arc::clone(&pool.shared);
            let thread = std::thread::Builder::new()
                .name(format!("{name}-{number}"))
                .spawn(move || shared.work_until_closed())?;
            pool.threads.lock().push(thread);
        }
        Ok(pool)
    }

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

    /// Lets the threads finish what was submitted and waits for them. It blocks.
    pub(crate) fn close(&self) {
        self.shared.close();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            // A thread ends by itself; its panic was reported where it happened.
            let _ = thread.join();
        }
    }
}

/// The threads end by themselves; dropping does not wait, as it may happen on one of them.
impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.close();
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

    use super::Pool;

    #[tokio::test]
    async fn a_panic_fails_its_own_call_only() {
        let pool = Pool::start("test", 1).expect("threads start");
        let broken = pool.run::<()>(|| panic!("on purpose")).await;
        assert_eq!(broken.expect_err("a panicking call fails").kind(), Kind::Unavailable);
        assert_eq!(pool.run(|| Ok(7)).await.expect("the thread lives on"), 7);
    }

    #[tokio::test]
    async fn a_closed_pool_refuses_work_but_finishes_what_it_took() {
        let pool = Pool::start("test", 1).expect("threads start");
        let (tell, told) = std::sync::mpsc::channel();
        for number in 0..10 {
            let tell = tell.clone();
            let _ = pool.submit(Box::new(move || tell.send(number).expect("the test listens")));
        }
        pool.close();
        assert_eq!(told.try_iter().count(), 10);
        assert_eq!(pool.run(|| Ok(())).await.expect_err("closed").kind(), Kind::Unavailable);
    }
}
