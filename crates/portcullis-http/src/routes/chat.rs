//! Questions and answers, in OpenAI's shape.

use std::sync::Arc;
use std::task::Poll;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use portcullis_chat::frames::Frame;
use portcullis_chat::{Answer, Answered, Ending, Frames, Missing, asked};
use portcullis_chat::{Approval, Citation, Handover, Whole};
use portcullis_core::{Action, ConversationId, RequestId};
use portcullis_guard::{Asker, Code, Judged, Refusal, pipeline};
use portcullis_model::{Completion, ProblemCode};
use portcullis_store::Kind;
use serde::Serialize;
use serde_json::{Value, json};

use super::Call;
use crate::app::App;
use crate::idempotency::{Kept, Retry, Start, Ticket, removed};
use crate::lasting::{self, Lasting};
use crate::problem::{Problem, Shape};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const CONVERSATION: HeaderName = HeaderName::from_static("x-conversation-id");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");

pub(super) async fn complete(call: Call) -> Result<Response, Refusal> {
    let Call { app, visit, headers, body, .. } = call;
    let mut request = portcullis_model::parse_request(&body).map_err(|problem| {
        let unknown = problem.code() == ProblemCode::UnknownParameter;
        let code = if unknown { Code::UnknownParameter } else { Code::InvalidRequest };
        let refusal = Refusal::new(code, problem.message().to_owned());
        match problem.param() {
            Some(param) => refusal.param(param),
            None => refusal,
        }
    })?;
    if let (true, Some(default)) = (request.model.is_empty(), app.gate().models().first()) {
        request.model.clone_from(default);
    }
    let question = asked::question(&request);
    let conversation = conversation(&app, &headers)?;
    if conversation.is_some() && !visit.scope().may(Action::ReadOwnConversations) {
        let detail =
            "this credential reads no conversations, so it asks in none; ask without `X-Conversation-Id`";
        return Err(Refusal::new(Code::NotAllowed, detail).param("X-Conversation-Id"));
    }
    let ticket = match headers.get(IDEMPOTENCY_KEY) {
        None => None,
        Some(key) => {
            let wanted = headers.get(CONVERSATION).map(HeaderValue::as_bytes).unwrap_or_default();
            let retry = Retry { scope: visit.scope(), key, wanted, body: &body };
            match start(&app, retry).await? {
                Start::Run(ticket) => Some(ticket),
                Start::Replay(kept, _) => {
                    let replayed =
                        (HeaderName::from_static("idempotency-replayed"), HeaderValue::from_static("true"));
                    let content_type = (header::CONTENT_TYPE, kept.content_type);
                    let response = ([content_type, replayed], kept.body).into_response();
                    return Ok(in_conversation(response, kept.conversation));
                }
            }
        }
    };
    let whose = (visit.request(), Asker::authorised(visit.scope(), visit.action()));
    let judged = pipeline::screen(app.gate(), visit, question).await?;
    let (ending, tasks) = (Ending::default(), app.gate().tasks().clone());
    let until = ending.clone();
    let answering = async move {
        let Answered { answer, sources } = match judged {
            Judged::ForTheModel(turn) => app.chat().ask(turn, request, conversation, ending.clone()).await?,
            Judged::ForAPerson(turn) => {
                app.chat().tell(turn, conversation.map(|id| (id, Missing::Begins))).await?
            }
        };
        let keep = |content_type| Kept { content_type, conversation, sources, body: Bytes::new() };
        let response = match answer {
            Answer::Whole(whole) => json_answer(&app, whole, ticket, keep(JSON)),
            Answer::Stream(frames) => {
                event_answer(app, frames, whose, ticket.map(|ticket| (ticket, keep(EVENTS))), ending)
            }
        };
        Ok(in_conversation(response, conversation))
    };
    lasting::answered(answering, until, &tasks).await
}

/// Looks a retry up. An answer is sent again only while its conversation is there and all its sources may be read: without
/// the first a retry finds nothing, without the others it asks anew.
async fn start(app: &App, retry: Retry<'_>) -> Result<Start, Refusal> {
    loop {
        let (kept, number) = match app.idempotency().start(app.gate().clock().monotonic(), retry)? {
            Start::Replay(kept, number) => (kept, number),
            run @ Start::Run(_) => return Ok(run),
        };
        if let Some(conversation) = kept.conversation {
            match app.stores().conversations.get(retry.scope, conversation).await {
                Ok(_) => {}
                Err(error) if error.kind() == Kind::NotFound => {
                    app.idempotency().forget(retry.scope, conversation);
                    return Err(removed());
                }
                Err(error) => return Err(error.into()),
            }
        }
        // No text is read for it: a title is told of exactly those documents that may be read.
        let readable = app.stores().content.titles(retry.scope, &kept.sources).await?;
        if kept.sources.iter().all(|source| readable.contains_key(source)) {
            return Ok(Start::Replay(kept, number));
        }
        // Another retry may have asked anew meanwhile: its answer stays, and is judged like the first.
        app.idempotency().discard(retry, number);
    }
}

/// Tells in which conversation the answer was kept.
pub(super) fn in_conversation(mut response: Response, conversation: Option<ConversationId>) -> Response {
    if let Some(value) = conversation.and_then(|id| HeaderValue::from_str(&id.to_string()).ok()) {
        response.headers_mut().insert(CONVERSATION, value);
    }
    response
}

/// The conversation that a question belongs to: none, a new one, or the one of that id. A member's OpenAI client is
/// stateless and may not send the bot's earlier answers itself, so the header says where to go on.
fn conversation(app: &App, headers: &HeaderMap) -> Result<Option<ConversationId>, Refusal> {
    match headers.get(CONVERSATION).map(HeaderValue::as_bytes) {
        None => Ok(None),
        Some(b"new") => Ok(Some(ConversationId::new(app.gate().clock()))),
        Some(id) => {
            let id = std::str::from_utf8(id).ok().and_then(|id| id.parse().ok());
            id.map(Some).ok_or_else(|| {
                Refusal::new(
                    Code::InvalidRequest,
                    "`X-Conversation-Id` must be `new` or the id of a conversation",
                )
                .param("X-Conversation-Id")
            })
        }
    }
}

/// A whole answer.
pub(super) fn sent(whole: Whole) -> Response {
    (StatusCode::OK, [(header::CONTENT_TYPE, JSON)], written(whole)).into_response()
}

fn written(whole: Whole) -> String {
    #[derive(Serialize)]
    struct Sent<'a> {
        #[serde(flatten)]
        completion: Completion,
        #[serde(skip_serializing_if = "Option::is_none")]
        citations: Option<Vec<Citation>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        handover: Option<Handover>,
        #[serde(flatten)]
        told: Told<'a>,
    }
    let Whole { completion, citations, handover, approvals } = whole;
    serde_json::to_string(&Sent { completion, citations, handover, told: Told::of(&approvals) })
        .unwrap_or_default()
}

/// The calls that an answer is about: the last one, and all of them where there are more.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<&'a Approval>,
    #[serde(skip_serializing_if = "<[Approval]>::is_empty")]
    approvals: &'a [Approval],
}

impl<'a> Told<'a> {
    fn of(all: &'a [Approval]) -> Self {
        Self { approval: all.last(), approvals: if all.len() > 1 { all } else { &[] } }
    }
}

fn json_answer(app: &App, whole: Whole, ticket: Option<Ticket>, kept: Kept) -> Response {
    let body = written(whole);
    if let Some(mut ticket) = ticket {
        ticket.record(body.as_bytes());
        ticket.keep(app.gate().clock().monotonic(), kept);
    }
    (StatusCode::OK, [(header::CONTENT_TYPE, JSON)], body).into_response()
}

fn event_answer(
    app: Arc<App>,
    frames: Frames,
    whose: (RequestId, Asker),
    ticket: Option<(Ticket, Kept)>,
    ending: Ending,
) -> Response {
    let tasks = app.gate().tasks().clone();
    let body = Body::from_stream(Lasting::new(events(app, frames, whose, ticket), ending, &tasks));
    // Proxies that buffer would hold an answer back until it is complete.
    let unbuffered = (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    (StatusCode::OK, [(header::CONTENT_TYPE, EVENTS), unbuffered], body).into_response()
}

/// The frames as server-sent events. A refusal becomes one last event with an error and no `[DONE]` after it.
fn events(
    app: Arc<App>,
    mut frames: Frames,
    (request, asker): (RequestId, Asker),
    mut ticket: Option<(Ticket, Kept)>,
) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> + Send {
    let mut ended = false;
    stream::poll_fn(move |cx| {
        if ended {
            return Poll::Ready(None);
        }
        frames.poll_next_unpin(cx).map(|batch| match batch? {
            Ok(batch) => {
                let mut out = BytesMut::with_capacity(256 * batch.len());
                for frame in batch {
                    ended |= matches!(frame, Frame::Done);
                    write_event(&mut out, &frame);
                }
                let piece = out.freeze();
                if let Some((ticket, _)) = &mut ticket {
                    ticket.record(&piece);
                }
                if let Some((ticket, kept)) = ticket.take_if(|_| ended) {
                    ticket.keep(app.gate().clock().monotonic(), kept);
                }
                Some(Ok(piece))
            }
            Err(refusal) => {
                ended = true;
                app.gate().refused(&refusal.clone().of(asker), request);
                Some(Ok(Problem::new(refusal, Shape::OpenAi).event()))
            }
        })
    })
}

fn write_event(out: &mut BytesMut, frame: &Frame) {
    out.put_slice(b"data: ");
    let start = out.len();
    let written = match frame {
        Frame::Chunk(chunk) => serde_json::to_writer(out.writer(), chunk),
        Frame::Citations { id, model, created, citations } => serde_json::to_writer(
            out.writer(),
            &json!({
                "id": id,
                "object": "chat.completion.chunk",
                "created": created,
                "model": model,
                "choices": [{ "index": 0, "delta": {}, "finish_reason": null }],
                "citations": citations,
            }),
        ),
        Frame::HandedOver { id, model, created, handover } => serde_json::to_writer(
            out.writer(),
            &json!({
                "id": id,
                "object": "chat.completion.chunk",
                "created": created,
                "model": model,
                "choices": [{ "index": 0, "delta": {}, "finish_reason": null }],
                "handover": handover,
            }),
        ),
        Frame::Approvals { id, model, created, approvals } => {
            let mut chunk = json!({
                "id": id,
                "object": "chat.completion.chunk",
                "created": created,
                "model": model,
                "choices": [{ "index": 0, "delta": {}, "finish_reason": null }],
            });
            if let (Some(chunk), Ok(Value::Object(told))) =
                (chunk.as_object_mut(), serde_json::to_value(Told::of(approvals)))
            {
                chunk.extend(told);
            }
            serde_json::to_writer(out.writer(), &chunk)
        }
        Frame::Done => {
            out.put_slice(b"[DONE]");
            Ok(())
        }
    };
    if written.is_err() {
        // Writing to memory fails only for values that have no JSON, which these types cannot hold.
        out.truncate(start);
        out.put_slice(b"{}");
    }
    out.put_slice(b"\n\n");
}
