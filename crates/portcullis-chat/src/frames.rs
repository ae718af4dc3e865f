//! Answers that stream: from the model's chunks to the frames that leave.
//!
//! Chunks that are ready together leave together. Beside them runs the access watch, which ends the model's
//! answer, gives the place back and closes the turn whether or not anybody reads. The closing record is durable before the
//! last frame.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, BoxStream, ReadyChunks, Stream, StreamExt};
use portcullis_audit::{Outcome, Usage};
use portcullis_core::ConversationId;
use portcullis_core::measure::Present;
use portcullis_guard::{Gate, Opened, Phase, Refusal, Turn};
use portcullis_model::{Chunk, ChunkChoice, ChunkStream, Delta, FinishReason, ModelError};
use portcullis_store::Stores;
use tokio::sync::{Mutex, oneshot, watch};

use crate::ending::Ending;
use crate::exit::Exit;
use crate::keeping;
use crate::ledger::{Ledger, outcome_of, recorded};
use crate::places::Place;
use crate::release::{Approval, Citation, Handover, STOPPED, WITHHELD, Whole, citations, refused, report};
use crate::watch::Watch;

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
    /// That a person answers in the model's place.
    HandedOver {
        /// The answer's id, as every chunk has it.
        id: String,
        /// The model's name, as every chunk has it.
        model: String,
        /// When the answer was made, in seconds since 1970.
        created: u64,
        /// Why.
        handover: Handover,
    },
    /// How calls stand that a person has to approve.
    Approvals {
        /// The answer's id, as every chunk has it.
        id: String,
        /// The model's name, as every chunk has it.
        model: String,
        /// When the answer was made, in seconds since 1970.
        created: u64,
        /// How they stand, in their order.
        approvals: Vec<Approval>,
    },
    /// The end. It comes only after the closing record is durable.
    Done,
}

/// A streaming answer: batches of frames, ended by [`Frame::Done`] or by one refusal.
pub struct Frames(BoxStream<'static, Result<Vec<Frame>, Refusal>>);

impl Frames {
    /// The frames of an answer that is complete already.
    pub(crate) fn of_whole(whole: Whole) -> Self {
        let Whole { completion, citations, handover, approvals } = whole;
        let (id, model, created) = (completion.id.clone(), completion.model.clone(), completion.created);
        let mut frames: Vec<Frame> = completion.into_chunks().into_iter().map(Frame::Chunk).collect();
        if let Some(handover) = handover {
            frames.push(Frame::HandedOver { id: id.clone(), model: model.clone(), created, handover });
        }
        if !approvals.is_empty() {
            frames.push(Frame::Approvals { id: id.clone(), model: model.clone(), created, approvals });
        }
        if let Some(citations) = citations {
            frames.push(Frame::Citations { id, model, created, citations });
        }
        frames.push(Frame::Done);
        Self(stream::once(async { Ok(frames) }).boxed())
    }

    /// The frames of an answer that the model is still giving.
    pub(crate) fn live(live: Live) -> Self {
        let Live { gate, turn, ledger, chunks, place, asked, exit, keeping, tells_usage, ending, watch } =
            live;
        let open = gate.measures().streams().enter();
        let turn = Arc::new(turn);
        let (stop, stopped) = watch::channel(None);
        let (going_on, over) = oneshot::channel();
        let state = Arc::new(Mutex::new(Streaming {
            gate: Arc::clone(&gate),
            turn: Arc::clone(&turn),
            ledger: Some(ledger),
            upstream: Some((chunks.ready_chunks(TOGETHER), place)),
            exit,
            stopped,
            going_on: Some(going_on),
            last: None,
            usage: None,
            tells_usage,
            ending,
            created: 0,
            keeping,
            said: String::new(),
            asked: Some(asked),
            releasing: Duration::ZERO,
            _open: open,
        }));
        // Weak: a client that leaves must drop the stream, and with it the model's connection, at once.
        let watched = Arc::downgrade(&state);
        let tasks = gate.tasks().clone();
        tasks.spawn(async move {
            tokio::select! {
                refusal = watch.ends(&gate, &turn) => {
                    stop.send_replace(Some(refusal.clone()));
                    if let Some(state) = watched.upgrade() {
                        state.lock().await.stop(refusal).await;
                    }
                }
                _ = over => {}
            }
        });
        let next = |state: Arc<Mutex<Streaming>>| async move {
            let step = state.lock().await.next().await?;
            Some((step, state))
        };
        Self(stream::unfold(state, next).boxed())
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
    /// What of it may leave.
    pub(crate) exit: Exit,
    /// Whether the caller asked to be told what was used.
    pub(crate) tells_usage: bool,
    pub(crate) ending: Ending,
    pub(crate) watch: Watch,
    /// Where the question and the answer are kept, if they are.
    pub(crate) keeping: Option<(ConversationId, Stores)>,
}

struct Streaming {
    gate: Arc<Gate>,
    turn: Arc<Turn<Opened>>,
    /// Taken when the turn is closed; a stream without it has ended.
    ledger: Option<Ledger>,
    /// What the model sends, and the place at it. Taken when the turn is closed, however long the rest takes to be read.
    upstream: Option<(ReadyChunks<ChunkStream>, Place)>,
    exit: Exit,
    /// Why the watch ends the stream, once it does.
    stopped: watch::Receiver<Option<Refusal>>,
    /// Dropped when the turn is closed: the watch has nothing left to do.
    going_on: Option<oneshot::Sender<Infallible>>,
    /// How the stream ends for a client that did not read while the watch ended it.
    last: Option<Result<Vec<Frame>, Refusal>>,
    usage: Option<Usage>,
    /// Whether the caller asked to be told.
    tells_usage: bool,
    ending: Ending,
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
    async fn next(&mut self) -> Option<Result<Vec<Frame>, Refusal>> {
        if let Some(last) = self.last.take() {
            return Some(last);
        }
        self.ledger.as_ref()?;
        Some(loop {
            let (chunks, _) = self.upstream.as_mut()?;
            tokio::select! {
                // The watch first: a model that sends without pause must not keep it from ending the stream.
                biased;
                refusal = said_by(&mut self.stopped) => break self.end(Err(refusal)).await,
                batch = chunks.next() => match batch {
                    Some(batch) => match self.pass(batch).await {
                        // All of it is held back for now.
                        Ok(frames) if frames.is_empty() => {}
                        step => break step,
                    },
                    None => break self.end(Ok(())).await,
                },
            }
        })
    }

    /// Ends the stream while nobody reads it. What was not read yet is not told any more.
    async fn stop(&mut self, refusal: Refusal) {
        if self.ledger.is_some() {
            self.last = Some(self.end(Err(refusal)).await);
        }
    }

    async fn pass(&mut self, batch: Vec<Result<Chunk, ModelError>>) -> Result<Vec<Frame>, Refusal> {
        let came = self.gate.clock().monotonic();
        if let Some(asked) = self.asked.take() {
            self.gate.measures().took(Phase::Ask, came.saturating_sub(asked));
        }
        let mut frames = Vec::with_capacity(batch.len());
        for chunk in batch {
            match chunk {
                Ok(chunk) => self.release(chunk, &mut frames),
                // What came before the failure in this batch is not worth a second path: the answer is void anyway.
                Err(error) => return self.end(Err(refused(&error))).await,
            }
            if self.exit.stopped().is_some() {
                frames.extend(self.end(Ok(())).await?);
                break;
            }
        }
        self.releasing += self.gate.clock().monotonic().saturating_sub(came);
        Ok(frames)
    }

    /// The release guards on one chunk. Its id and model are ours; what fields it has was decided by its type. What can
    /// leave with the frame before it does.
    fn release(&mut self, mut chunk: Chunk, frames: &mut Vec<Frame>) {
        chunk.id = self.id();
        chunk.model.clone_from(&self.turn.question().model);
        if self.created == 0 {
            self.created = chunk.created;
        }
        if let Some(usage) = &chunk.usage {
            self.usage = Some(recorded(usage));
        }
        if let Some(reservation) = self.ledger.as_mut().and_then(Ledger::reservation) {
            reservation.produced(chunk.choices.iter().map(|part| part.delta.text_bytes()).sum());
        }
        if !self.tells_usage {
            // It may have been asked for on account of the budget. Clients that did not ask do not expect a frame without choices.
            chunk.usage = None;
        }
        let parts = std::mem::take(&mut chunk.choices);
        chunk.choices = parts.into_iter().filter_map(|part| self.exit.pass(part)).collect();
        self.say(&chunk.choices);
        if chunk.choices.is_empty() && chunk.usage.is_none() {
            return;
        }
        let joined = match frames.last_mut() {
            Some(Frame::Chunk(last)) => join(last, &chunk),
            _ => false,
        };
        if !joined {
            frames.push(Frame::Chunk(chunk));
        }
    }

    /// Notes what leaves of an answer that is kept.
    fn say(&mut self, parts: &[ChunkChoice]) {
        if self.keeping.is_some() {
            let texts =
                parts.iter().filter(|part| part.index == 0).filter_map(|part| part.delta.content.as_deref());
            texts.for_each(|text| self.said.push_str(text));
        }
    }

    /// A frame of ours: what was held back to the end, or the note that the rest is withheld.
    fn own_frame(&self, choices: Vec<ChunkChoice>) -> Frame {
        let (id, model) = (self.id(), self.turn.question().model.clone());
        Frame::Chunk(Chunk { id, created: self.created, model, choices, usage: None })
    }

    /// What leaves after the model's last word.
    fn last_words(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        if self.exit.stopped().is_none() {
            let rest = self.exit.end();
            if !rest.is_empty() {
                self.say(&rest);
                frames.push(self.own_frame(rest));
            }
        }
        if self.exit.stopped().is_some() {
            let delta = Delta { content: Some(format!("\n\n{WITHHELD}")), ..Delta::default() };
            let finish_reason = Some(FinishReason::ContentFilter);
            frames.push(self.own_frame(vec![ChunkChoice { index: 0, delta, finish_reason }]));
            WITHHELD.clone_into(&mut self.said);
        }
        frames
    }

    /// Closes the turn, then gives the last frames.
    async fn end(&mut self, how: Result<(), Refusal>) -> Result<Vec<Frame>, Refusal> {
        let Some(ledger) = self.ledger.take() else { return how.map(|()| Vec::new()) };
        (self.upstream, self.going_on) = (None, None);
        self.gate.measures().took(Phase::Release, self.releasing);
        match how {
            Ok(()) => {
                self.ending.begin();
                let mut frames = self.last_words();
                report(&self.gate, &self.turn, &self.exit);
                if let Some((id, stores)) = &self.keeping {
                    let said = std::mem::take(&mut self.said);
                    let kept = keeping::keep(stores, self.gate.clock(), &self.turn, *id, said).await;
                    if let Err(refusal) = kept {
                        let code = refusal.code.name().into();
                        ledger.close(Outcome::Failed { code }, self.usage).await?;
                        return Err(refusal);
                    }
                }
                let stopped = self.exit.stopped().is_some();
                let outcome =
                    if stopped { Outcome::Refused { code: STOPPED.into() } } else { Outcome::Answered };
                ledger.close(outcome, self.usage).await?;
                if self.exit.cites() {
                    let cited = self.exit.cited();
                    let citations =
                        if stopped { Vec::new() } else { citations(self.turn.passages(), &cited) };
                    let (id, model) = (self.id(), self.turn.question().model.clone());
                    frames.push(Frame::Citations { id, model, created: self.created, citations });
                }
                frames.push(Frame::Done);
                Ok(frames)
            }
            Err(refusal) => {
                report(&self.gate, &self.turn, &self.exit);
                ledger.close(outcome_of(&refusal), self.usage).await?;
                Err(refusal)
            }
        }
    }

    fn id(&self) -> String {
        format!("chatcmpl-{}", self.turn.id())
    }
}

/// Puts a frame's texts into the frame before it, when both are nothing but texts of one choice.
fn join(last: &mut Chunk, next: &Chunk) -> bool {
    let ([to], [from]) = (last.choices.as_mut_slice(), next.choices.as_slice()) else { return false };
    let only_texts = |part: &ChunkChoice| part.finish_reason.is_none() && part.delta.tool_calls.is_empty();
    let alike = to.index == from.index && only_texts(to) && only_texts(from) && from.delta.role.is_none();
    if !alike || last.usage.is_some() || next.usage.is_some() {
        return false;
    }
    for (to, from) in [
        (&mut to.delta.content, &from.delta.content),
        (&mut to.delta.reasoning_content, &from.delta.reasoning_content),
        (&mut to.delta.refusal, &from.delta.refusal),
    ] {
        if let Some(from) = from {
            to.get_or_insert_default().push_str(from);
        }
    }
    true
}

/// Resolves when the watch ends the stream.
async fn said_by(stopped: &mut watch::Receiver<Option<Refusal>>) -> Refusal {
    if let Ok(Some(refusal)) = stopped.wait_for(Option::is_some).await.map(|said| said.clone()) {
        return refusal;
    }
    // The watch is over without a word: the turn was closed.
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use portcullis_model::{AnswerRole, CallDelta, FunctionDelta, Usage};

    use super::*;

    fn chunk(index: u32, delta: Delta) -> Chunk {
        let choices = vec![ChunkChoice { index, delta, finish_reason: None }];
        Chunk { id: "a".to_owned(), created: 1, model: "m".to_owned(), choices, usage: None }
    }

    fn says(text: &str) -> Delta {
        Delta { content: Some(text.to_owned()), ..Delta::default() }
    }

    #[test]
    fn texts_of_one_choice_are_put_together_each_with_its_own() {
        let thinks = Delta { reasoning_content: Some("hm".to_owned()), ..says(" on") };
        let refuses = Delta { refusal: Some("no".to_owned()), ..Delta::default() };
        let role = Delta { role: Some(AnswerRole::Assistant), ..says("") };
        let mut last = chunk(0, role);
        for next in [says("Go"), thinks.clone(), refuses.clone(), refuses, thinks] {
            assert!(join(&mut last, &chunk(0, next)));
        }
        let wanted = Delta {
            role: Some(AnswerRole::Assistant),
            content: Some("Go on on".to_owned()),
            reasoning_content: Some("hmhm".to_owned()),
            refusal: Some("nono".to_owned()),
            tool_calls: Vec::new(),
        };
        assert_eq!(last.choices, chunk(0, wanted).choices);
    }

    #[test]
    fn what_is_more_than_text_of_the_same_choice_stays_a_frame_of_its_own() {
        let call = CallDelta {
            index: 0,
            id: None,
            kind: None,
            function: FunctionDelta { name: None, arguments: Some("{".to_owned()) },
        };
        let calls = chunk(0, Delta { tool_calls: vec![call], ..Delta::default() });
        let mut ends = chunk(0, says("b"));
        ends.choices[0].finish_reason = Some(FinishReason::Stop);
        let usage = Usage { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
        let counts = Chunk { usage: Some(usage), ..chunk(0, says("b")) };
        let two = Chunk { choices: vec![chunk(0, says("b")).choices.remove(0); 2], ..chunk(0, says("b")) };
        let begins = chunk(0, Delta { role: Some(AnswerRole::Assistant), ..says("b") });
        for other in [calls, ends, counts, two, chunk(1, says("b"))] {
            for (mut last, next) in
                [(chunk(0, says("a")), other.clone()), (other.clone(), chunk(0, says("a")))]
            {
                let before = last.choices.clone();
                assert!(!join(&mut last, &next), "{next:?}");
                assert_eq!(last.choices, before);
            }
        }
        assert!(!join(&mut chunk(0, says("a")), &begins), "a role begins a frame");
    }
}
