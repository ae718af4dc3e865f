//! The one trait that every model answers to.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use futures_util::{Stream, stream};

use crate::answer::{Chunk, Completion};
use crate::error::ModelError;
use crate::request::ChatRequest;

/// Something that answers chat requests.
///
/// A model is never trusted: what it returns has the right shape, and nothing more is known about it.
#[async_trait]
pub trait Model: Send + Sync + fmt::Debug {
    /// The whole answer at once. Dropping the future stops the model.
    async fn complete(&self, request: &ChatRequest) -> Result<Completion, ModelError>;

    /// The answer in parts as they are made. The request's own `stream` field plays no part.
    async fn stream(&self, request: &ChatRequest) -> Result<ChunkStream, ModelError>;

    /// The models that can be named in a request.
    async fn models(&self) -> Result<Vec<ModelInfo>, ModelError>;

    /// Whether the model can be reached with our key, at no cost.
    async fn ping(&self) -> Result<(), ModelError>;
}

/// One model that an upstream offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// The name to put into a request.
    pub id: String,
    /// When it was made, in seconds since 1970; 0 when the upstream does not say.
    pub created: u64,
}

/// An answer as it is made. It ends after the first error, and without one only when the upstream said that the answer
/// is complete. Dropping it closes the upstream connection, which stops the model.
pub struct ChunkStream {
    chunks: Pin<Box<dyn Stream<Item = Result<Chunk, ModelError>> + Send>>,
    made: bool,
}

impl ChunkStream {
    /// Wraps a stream of chunks. The stream must end after its first error.
    pub fn new(chunks: impl Stream<Item = Result<Chunk, ModelError>> + Send + 'static) -> Self {
        Self { chunks: Box::pin(chunks), made: false }
    }

    /// The parts of an answer that came whole.
    pub fn of_whole(answer: Completion) -> Self {
        let chunks = stream::iter(answer.into_chunks().into_iter().map(Ok));
        Self { chunks: Box::pin(chunks), made: true }
    }

    /// Whether all of the answer was made before the first part of it was asked for.
    pub const fn is_made(&self) -> bool {
        self.made
    }
}

impl Stream for ChunkStream {
    type Item = Result<Chunk, ModelError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.chunks.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for ChunkStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkStream").finish_non_exhaustive()
    }
}
