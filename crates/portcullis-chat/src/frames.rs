//! Answers that stream: from the model's chunks to the frames that leave.
//!
//! Chunks that are ready together leave together. Between them the stream asks whether the access it began under still
//! holds, and ends when it does not. The closing record is durable before the last frame.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, BoxStream, ReadyChunks, Stream, StreamExt};
use portcullis_audit::{Outcome, Usage};
use portcullis_core::ConversationId;
use portcullis_core::measure::Present;
use portcullis_guard::guards::citation_fence::CitationFence;
use portcullis_guard::{Gate, Opened, Phase, Refusal, Turn, pipeline};
use portcullis_model::{Chunk, ChunkStream, ModelError};
use portcullis_store::Stores;
use tokio::time::{Interval, MissedTickBehavior};

use crate::keeping;
use crate::ledger::{Ledger, recorded};
use crate::places::Place;
use crate::release::{Citation, Whole, citations, refused};

/// How many chunks may leave in one piece.
const TOGETHER: usize = 64;

/// A piece of a streaming answer.
#[derive(Debug)]
pub enum Frame {
    /// A part of the answer.
    Chunk(Chunk),
    /// What the answer relies on.
    Citations {
        /// The answer's id, as every chunk has it.
        id: String,
        /// The model's name, as every chunk has it.
        model: String,
        /// When the answer began, in seconds since 1970.
        created: u64,
        /// The citations.
        citations: Vec<Citation>,
    },
    /// The end. It comes only after the closing record is durable.
    Done,
}

/// A streaming answer: batches of frames, ended by [`Frame::Done`] or by one refusal.
pub struct Frames(BoxStream<'static, Result<Vec<Frame>, Refusal>>);

impl Frames {
    /// The frames of an answer that is complete already.
    pub(crate) fn of_whole(whole: Whole) -> Self {
        let Whole { completion, citations } = whole;
        let (id, model, created) = (completion.id.clone(), completion.model.clone(), completion.created);
        let mut frames: Vec<Frame> = completion.into_chunks().into_iter().map(Frame::Chunk).collect();
        if let Some(citations) = citations {
            frames.push(Frame::Citations { id, model, created, citations });
        }
        frames.push(Frame::Done);
        Self(stream::once(async { Ok(frames) }).boxed())
    }

    /// The frames of an answer that the model is still giving.
    pub(crate) fn live(live: Live) -> Self {
        let mut watch = tokio::time::interval(live.watch);
        watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
        watch.reset();
        let Live { gate, turn, ledger, chunks, place, asked, fence, keeping, .. } = live;
        let open = gate.measures().streams().enter();
        let state = Streaming {
            gate,
            turn,
            ledger: Some(ledger),
            chunks: chunks.ready_chunks(TOGETHER),
            _place: place,
            fence,
            watch,
            usage: None,
            created: 0,
            keeping,
            said: String::new(),
            asked: Some(asked),
            releasing: Duration::ZERO,
            _open: open,
        };
        Self(stream::unfold(state, Streaming::next).boxed())
    }
}

impl Stream for Frames {
    type Item = Result<Vec<Frame>, Refusal>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

impl std::fmt::Debug for Frames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Frames")
    }
}

/// What a live answer is made of.
pub(crate) struct Live {
    pub(crate) gate: Arc<Gate>,
    pub(crate) turn: Turn<Opened>,
    pub(crate) ledger: Ledger,
    pub(crate) chunks: ChunkStream,
    pub(crate) place: Place,
    /// When the model was asked, on the monotonic clock.
    pub(crate) asked: Duration,
    /// Set when the context is ours.
    pub(crate) fence: Option<CitationFence>,
    pub(crate) watch: Duration,
    /// Where the question and the answer are kept, if they are.
    pub(crate) keeping: Option<(ConversationId, Stores)>,
}

struct Streaming {
    gate: Arc<Gate>,
    turn: Turn<Opened>,
    /// Taken when the turn is closed; a stream without it has ended.
    ledger: Option<Ledger>,
    chunks: ReadyChunks<ChunkStream>,
    _place: Place,
    fence: Option<CitationFence>,
    watch: Interval,
    usage: Option<Usage>,
    created: u64,
    keeping: Option<(ConversationId, Stores)>,
    /// The answer so far, when it is kept.
    said: String,
    /// When the model was asked, until its first piece came.
    asked: Option<Duration>,
    /// How long the release guards took so far.
    releasing: Duration,
    _open: Present,
}

impl Streaming {
    async fn next(mut self) -> Option<(Result<Vec<Frame>, Refusal>, Self)> {
        self.ledger.as_ref()?;
        let step = loop {
            tokio::select! {
                // Access first: a model that sends without pause must not keep the question from being asked.
                biased;
                _ = self.watch.tick() => {
                    if let Err(refusal) = pipeline::still_holds(&self.gate, &self.turn).await {
                        break self.end(Err(refusal)).await;
                    }
                }
                batch = self.chunks.next() => break match batch {
                    Some(batch) => self.pass(batch).await,
                    None => self.end(Ok(())).await,
                },
            }
        };
        Some((step, self))
    }

    async fn pass(&mut self, batch: Vec<Result<Chunk, ModelError>>) -> Result<Vec<Frame>, Refusal> {
        let came = self.gate.clock().monotonic();
        if let Some(asked) = self.asked.take() {
            self.gate.measures().took(Phase::Ask, came.saturating_sub(asked));
        }
        let mut frames = Vec::with_capacity(batch.len());
        for chunk in batch {
            match chunk {
                Ok(chunk) => frames.push(Frame::Chunk(self.released(chunk))),
                // What came before the failure in this batch is not worth a second path: the answer is void anyway.
                Err(error) => return self.end(Err(refused(&error))).await,
            }
        }
        self.releasing += self.gate.clock().monotonic().saturating_sub(came);
        Ok(frames)
    }

    /// The release guards on one chunk. Its id and model are ours; what fields it has was decided by its type.
    fn released(&mut self, mut chunk: Chunk) -> Chunk {
        chunk.id = self.id();
        chunk.model.clone_from(&self.turn.question().model);
        if self.created == 0 {
            self.created = chunk.created;
        }
        if let Some(usage) = &chunk.usage {
            self.usage = Some(recorded(usage));
        }
        if let Some(fence) = &mut self.fence {
            for choice in &mut chunk.choices {
                // No tools were offered and no thinking was asked for: what comes all the same is not passed on.
                choice.delta.tool_calls.clear();
                choice.delta.reasoning_content = None;
                let mut text = choice.delta.content.take().map(|piece| fence.push(&piece));
                if choice.finish_reason.is_some() {
                    let held = fence.finish();
                    if !held.is_empty() {
                        text.get_or_insert_default().push_str(&held);
                    }
                }
                if let (Some(_), Some(text)) = (&self.keeping, &text) {
                    self.said.push_str(text);
                }
                choice.delta.content = text;
            }
        }
        chunk
    }

    /// Closes the turn, then gives the last frames.
    async fn end(&mut self, how: Result<(), Refusal>) -> Result<Vec<Frame>, Refusal> {
        let Some(ledger) = self.ledger.take() else { return how.map(|()| Vec::new()) };
        self.gate.measures().took(Phase::Release, self.releasing);
        match how {
            Ok(()) => {
                if let Some((id, stores)) = &self.keeping {
                    let said = std::mem::take(&mut self.said);
                    let kept = keeping::keep(stores, self.gate.clock(), &self.turn, *id, said).await;
                    if let Err(refusal) = kept {
                        let code = refusal.code.name().into();
                        ledger.close(Outcome::Failed { code }, self.usage).await?;
                        return Err(refusal);
                    }
                }
                ledger.close(Outcome::Answered, self.usage).await?;
                let mut frames = Vec::with_capacity(2);
                if let Some(fence) = &self.fence {
                    let citations = citations(self.turn.passages(), fence.cited());
                    let (id, model) = (self.id(), self.turn.question().model.clone());
                    frames.push(Frame::Citations { id, model, created: self.created, citations });
                }
                frames.push(Frame::Done);
                Ok(frames)
            }
            Err(refusal) => {
                let code = refusal.code.name().into();
                let outcome = if refusal.guard == "access-watch" {
                    Outcome::Refused { code }
                } else {
                    Outcome::Failed { code }
                };
                ledger.close(outcome, self.usage).await?;
                Err(refusal)
            }
        }
    }

    fn id(&self) -> String {
        format!("chatcmpl-{}", self.turn.id())
    }
}
