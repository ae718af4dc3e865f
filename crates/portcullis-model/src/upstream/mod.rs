//! Test upstreams: models whose behaviour is known, hostile ones among them.
//!
//! They are part of the program: the demo answers with them, the benchmark measures against them, and the checks prove
//! against [`Gullible`] that what a model was given is all that it can leak. None of them is a language model.
//!
//! A [`Behaviour`] turns a request, as heard on the wire, into a [`Reply`], in the wire's own bytes. The same behaviour
//! can be used in two ways: as a [`Model`] in process, or behind a real socket with [`Upstream::start`]. Both go through
//! the code that reads real upstreams.
//!
//! | behaviour | does |
//! |---|---|
//! | [`Echo`] | repeats what the user said last |
//! | [`Scripted`] | gives the replies it was given, however broken |
//! | [`Slow`] | delays or hangs another behaviour |
//! | [`Sink`] | is no model: answers every path, as a tool or a trap |
//! | [`Gullible`] | recites all it was given and obeys every instruction it reads anywhere |

mod answer;
mod echo;
mod gullible;
mod heard;
mod reply;
mod scripted;
mod server;
mod sink;
mod slow;

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

pub use answer::Answer;
pub use echo::Echo;
pub use gullible::Gullible;
pub use heard::Heard;
pub use reply::{Cut, Hold, Reply, Step};
pub use scripted::{Scripted, Turn};
pub use server::Upstream;
pub use sink::Sink;
pub use slow::Slow;

use crate::answer::Completion;
use crate::error::ModelError;
use crate::model::{ChunkStream, Model, ModelInfo};
use crate::openai::{Bounds, Reading, Timeouts, stream_of, whole_of};
use crate::request::{ChatRequest, Delivery};

/// Turns what was heard into what is said. Everything that implements it is a [`Model`] too.
pub trait Behaviour: Send + Sync + fmt::Debug + 'static {
    /// The name under which the upstream lists itself as a model.
    fn name(&self) -> &'static str;

    /// The reply to one chat request.
    fn answer(&self, heard: &Heard) -> Reply;

    /// The reply to a request for anything else; none where there is nothing.
    fn elsewhere(&self, _heard: &Heard) -> Option<Reply> {
        None
    }

    /// What whoever may ask is told of a request; `null` for nothing.
    fn told(&self, heard: &Heard) -> serde_json::Value {
        heard.json()
    }
}

#[async_trait]
impl<B: Behaviour> Model for B {
    async fn complete(&self, request: &ChatRequest) -> Result<Completion, ModelError> {
        let reply = self.answer(&Heard::in_process(Bytes::from(request.for_upstream(Delivery::Whole))));
        reply.hold().await;
        whole_of(reply.into_response(), &unhurried()).await
    }

    async fn stream(&self, request: &ChatRequest) -> Result<ChunkStream, ModelError> {
        let reply = self.answer(&Heard::in_process(Bytes::from(request.for_upstream(Delivery::Stream))));
        reply.hold().await;
        stream_of(reply.into_response(), &unhurried()).await
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, ModelError> {
        Ok(vec![ModelInfo { id: self.name().to_owned(), created: answer::CREATED }])
    }

    async fn ping(&self) -> Result<(), ModelError> {
        Ok(())
    }
}

fn unhurried() -> Reading {
    Reading::starting_at(Instant::now(), Timeouts::default(), Bounds::default())
}
