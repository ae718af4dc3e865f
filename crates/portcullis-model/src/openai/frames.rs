//! The frames of a streamed answer, within its time-outs and bounds.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http_body::Body;
use tokio::time::{Instant, Sleep, sleep_until};

use super::reply::Reading;
use crate::answer::{Chunk, read};
use crate::error::{Kind, ModelError, Phase};
use crate::sse::{SseEvent, SseParser};

/// How long the end of the HTTP answer is waited for after `[DONE]`. It normally stands right behind it, and having read
/// it keeps the connection fit for the next request.
const END_WAIT: Duration = Duration::from_millis(50);

/// Reads the body as it comes. Ends after the first error; dropping it drops the body.
pub(super) struct Frames<B> {
    body: Option<B>,
    parser: SseParser,
    timer: Pin<Box<Sleep>>,
    reading: Reading,
    /// Since when nothing has come, while nothing comes. A caller that takes its time is not an upstream that does.
    waiting_since: Option<Instant>,
    bytes_read: usize,
    frames_read: usize,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Frames are expected.
    Open,
    /// `[DONE]` was read; only the end of the body is still expected.
    Done,
}

/// What an event of the stream means.
enum Meaning {
    Frame(Chunk),
    Done,
}

impl<B> Frames<B> {
    pub(super) fn new(body: B, reading: &Reading) -> Self {
        Self {
            body: Some(body),
            parser: SseParser::new(reading.bounds.frame_bytes),
            timer: Box::pin(sleep_until(reading.first_byte)),
            reading: *reading,
            waiting_since: None,
            bytes_read: 0,
            frames_read: 0,
            state: State::Open,
        }
    }

    /// Ends the stream with an error. The body goes first: the upstream need not wait for the caller to drop us.
    fn fail(&mut self, error: ModelError) -> Poll<Option<Result<Chunk, ModelError>>> {
        self.body = None;
        Poll::Ready(Some(Err(error)))
    }

    /// What to hand out for an event; nothing after `[DONE]`, when only the body's end is still to come.
    fn accept(&mut self, meaning: Meaning) -> Option<Poll<Option<Result<Chunk, ModelError>>>> {
        match meaning {
            Meaning::Frame(chunk) => {
                self.frames_read = self.frames_read.saturating_add(1);
                Some(Poll::Ready(Some(Ok(chunk))))
            }
            Meaning::Done if self.frames_read == 0 => {
                Some(self.fail(ModelError::malformed("a stream without a single frame")))
            }
            Meaning::Done => {
                self.state = State::Done;
                None
            }
        }
    }

    /// By when something must come, and which phase it is that ends then.
    fn deadline(&mut self) -> (Instant, Kind) {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let (deadline, phase) = match self.state {
            State::Open if self.bytes_read == 0 => (self.reading.first_byte, Phase::FirstByte),
            State::Open => (since + self.reading.idle, Phase::Idle),
            State::Done => (since + END_WAIT, Phase::Idle),
        };
        if self.reading.total <= deadline {
            (self.reading.total, Kind::TimedOut(Phase::Total))
        } else {
            (deadline, Kind::TimedOut(phase))
        }
    }
}

impl<B> Stream for Frames<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<ModelError>,
{
    type Item = Result<Chunk, ModelError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if this.body.is_none() {
                return Poll::Ready(None);
            }
            if this.state == State::Open {
                let meaning = match this.parser.next_event() {
                    Ok(event) => event.map(meaning_of).transpose(),
                    Err(oversize) => Err(ModelError::new(Kind::TooLarge).cause(oversize)),
                };
                match meaning {
                    Ok(None) => {}
                    Ok(Some(meaning)) => match this.accept(meaning) {
                        Some(item) => return item,
                        None => continue,
                    },
                    Err(error) => return this.fail(error),
                }
            }
            let Some(body) = this.body.as_mut() else { return Poll::Ready(None) };
            match Pin::new(body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    this.waiting_since = None;
                    let Ok(data) = frame.into_data() else { continue };
                    if this.state == State::Done {
                        // Whatever an upstream says after `[DONE]` is not part of the answer.
                        this.body = None;
                        continue;
                    }
                    this.bytes_read = this.bytes_read.saturating_add(data.len());
                    if this.bytes_read > this.reading.bounds.answer_bytes {
                        return this.fail(ModelError::new(Kind::TooLarge));
                    }
                    // A stream that never pauses would otherwise never meet its timer.
                    if Instant::now() >= this.reading.total {
                        return this.fail(ModelError::new(Kind::TimedOut(Phase::Total)));
                    }
                    this.parser.push(&data);
                }
                Poll::Ready(Some(Err(error))) => {
                    let error: ModelError = error.into();
                    if this.state == State::Done {
                        this.body = None;
                        continue;
                    }
                    return this.fail(match error.kind() {
                        Kind::Unavailable => ModelError::new(Kind::Truncated).cause(error),
                        _ => error,
                    });
                }
                Poll::Ready(None) => {
                    if let Some(item) = this.at_end() {
                        return item;
                    }
                }
                Poll::Pending => {
                    let (deadline, kind) = this.deadline();
                    if this.timer.deadline() != deadline {
                        this.timer.as_mut().reset(deadline);
                    }
                    if this.timer.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    if this.state == State::Done {
                        this.body = None;
                        continue;
                    }
                    return this.fail(ModelError::new(kind));
                }
            }
        }
    }
}

impl<B> Frames<B> {
    /// What the end of the body means: the end of the answer after `[DONE]`, a broken answer before.
    fn at_end(&mut self) -> Option<Poll<Option<Result<Chunk, ModelError>>>> {
        if self.state == State::Open {
            let meaning = match self.parser.finish() {
                Ok(event) => event.map(meaning_of).transpose(),
                Err(oversize) => Err(ModelError::new(Kind::TooLarge).cause(oversize)),
            };
            let item = match meaning {
                Ok(Some(meaning)) => self.accept(meaning),
                Ok(None) => Some(self.fail(ModelError::new(Kind::Truncated))),
                Err(error) => Some(self.fail(error)),
            };
            if item.is_some() {
                return item;
            }
        }
        self.body = None;
        None
    }
}

fn meaning_of(event: SseEvent<'_>) -> Result<Meaning, ModelError> {
    if event.data == b"[DONE]" {
        return Ok(Meaning::Done);
    }
    let chunk = read::chunk(event.data);
    if event.name == b"error" {
        // Some servers name the event and put the error itself into its data.
        return Err(match chunk {
            Err(error) if error.kind() != Kind::Malformed => error,
            _ => ModelError::new(Kind::Unavailable),
        });
    }
    chunk.map(Meaning::Frame)
}
