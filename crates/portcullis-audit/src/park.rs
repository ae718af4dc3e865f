//! Waiting for a future on a plain thread: for the writer, which does blocking I/O and so is no task, and for callers
//! on the command line.
//!
//! Only futures that need no runtime may be waited for here, such as those of channels.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for the future.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// Waits for the future, at most so long. `None` when it was not ready by then.
pub(crate) fn wait_at_most<F: Future>(future: F, limit: Duration) -> Option<F::Output> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    let start = Instant::now();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        let left = limit.checked_sub(start.elapsed()).filter(|left| !left.is_zero())?;
        thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn a_wait_ends_with_the_value_or_with_the_limit() {
        let (send, receive) = oneshot::channel();
        let sender = thread::spawn(move || send.send(5));
        assert_eq!(wait(receive), Ok(5));
        assert_eq!(sender.join().unwrap(), Ok(()));
        let (_send, receive) = oneshot::channel::<u8>();
        assert_eq!(wait_at_most(receive, Duration::from_millis(1)), None);
        assert_eq!(wait_at_most(std::future::ready(7), Duration::ZERO), Some(7));
    }
}
