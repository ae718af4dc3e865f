//! Work that goes on when nobody waits for it any more.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::response::Response;
use futures_util::future::ready;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _, stream};
use portcullis_chat::Ending;
use portcullis_core::Tasks;
use portcullis_guard::{Code, Refusal};

/// An answer that its client waits for. One that leaves once the ending has begun leaves the rest to a task of its own.
pub(crate) struct Lasting<T: Send + 'static> {
    work: Option<BoxStream<'static, T>>,
    ending: Ending,
    tasks: Tasks,
}

impl<T: Send + 'static> Lasting<T> {
    pub(crate) fn new(work: impl Stream<Item = T> + Send + 'static, ending: Ending, tasks: &Tasks) -> Self {
        Self { work: Some(work.boxed()), ending, tasks: tasks.clone() }
    }
}

/// Waits for an answer, which is made to its end once that has begun.
pub(crate) async fn answered(
    answering: impl Future<Output = Result<Response, Refusal>> + Send + 'static,
    ending: Ending,
    tasks: &Tasks,
) -> Result<Response, Refusal> {
    let lost = || Err(Refusal::new(Code::Internal, "an answer was not made"));
    Lasting::new(stream::once(answering), ending, tasks).next().await.unwrap_or_else(lost)
}

impl<T: Send + 'static> Stream for Lasting<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let Some(work) = &mut self.work else { return Poll::Ready(None) };
        let polled = work.poll_next_unpin(context);
        if matches!(polled, Poll::Ready(None)) {
            self.work = None;
        }
        polled
    }
}

impl<T: Send + 'static> Drop for Lasting<T> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take().filter(|_| self.ending.has_begun()) {
            self.tasks.spawn(work.for_each(|_| ready(())));
        }
    }
}
