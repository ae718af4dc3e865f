//! Calls of tools that wait for a person: what moderators decide on, and what askers read and go on with.
//!
//! What a call is made with is shown to whoever decides, and to nobody else but its asker. What it returned is shown to nobody: it
//! goes to the model, and leaves in an answer that passed the release guards.

use axum::response::Response;
use http::StatusCode;
use portcullis_audit::Change;
use portcullis_chat::{Answer, Answered, Ending, Missing, asked};
use portcullis_core::{Action, Actor, ApprovalId, Scope};
use portcullis_guard::approving::not_open;
use portcullis_guard::{Code, Judged, Refusal, pipeline};
use portcullis_model::{ChatRequest, Message};
use portcullis_pages::view::{self, ApprovalReader};
use portcullis_store::{Approval, ApprovalState, Decision, Step};
use serde_json::{Value, json};

use super::handovers::actor;
use super::health::json;
use super::pages::Reader;
use super::sign_in::html;
use super::{Call, admin, chat, id};
use crate::lasting;

/// Every call that waits or waited: what is to be decided first, each in the order in which it came.
pub(super) async fn list(call: Call) -> Result<Response, Refusal> {
    let scope = call.visit.scope();
    let entries = waiting(&call).await?;
    let entries: Vec<Value> = entries.iter().map(|entry| shown(scope, entry)).collect();
    Ok(json(StatusCode::OK, &json!({ "approvals": entries })))
}

/// One's own, the last first.
pub(super) async fn own(call: Call) -> Result<Response, Refusal> {
    let scope = call.visit.scope();
    let entries = mine(&call).await?;
    let entries: Vec<Value> = entries.iter().map(|entry| shown(scope, entry)).collect();
    Ok(json(StatusCode::OK, &json!({ "approvals": entries })))
}

/// One of them.
pub(super) async fn read(call: Call) -> Result<Response, Refusal> {
    let entry = one(&call).await?;
    Ok(json(StatusCode::OK, &shown(call.visit.scope(), &entry)))
}

/// One of one's own.
pub(super) async fn read_own(call: Call) -> Result<Response, Refusal> {
    let (entry, scope) = (one(&call).await?, call.visit.scope());
    if entry.asker != scope.actor() {
        return Err(Refusal::new(Code::NotFound, "there is no such thing here"));
    }
    Ok(json(StatusCode::OK, &shown(scope, &entry)))
}

async fn one(call: &Call) -> Result<Approval, Refusal> {
    let approval: ApprovalId = id(call)?;
    let (gate, scope) = (call.app.gate(), call.visit.scope());
    gate.expire_approvals(scope).await?;
    let none = || Refusal::new(Code::NotFound, "there is no such thing here");
    let entry = call.app.stores().approvals.get(scope, approval).await?;
    if entry.created < gate.approvals_since() {
        return Err(none());
    }
    gate.within_reach(scope, vec![entry]).await?.pop().ok_or_else(none)
}

/// Lets whoever asked have the call made.
pub(super) async fn approve(call: Call) -> Result<Response, Refusal> {
    let until = call.app.gate().approved_until();
    decide(call, Decision::Approve { until }, "approval.approved").await
}

/// Has the call not made.
pub(super) async fn deny(call: Call) -> Result<Response, Refusal> {
    decide(call, Decision::Deny, "approval.denied").await
}

async fn decide(call: Call, decision: Decision, action: &'static str) -> Result<Response, Refusal> {
    let approval: ApprovalId = id(&call)?;
    admin::ready(&call)?;
    let scope = call.visit.scope();
    call.app.gate().expire_approvals(scope).await?;
    match call.app.stores().approvals.decide(scope, approval, decision).await? {
        Step::Taken(entry) => {
            admin::record_in_full(&call, Change::new(action, vec![approval.into()])).await?;
            Ok(json(StatusCode::OK, &shown(scope, &entry)))
        }
        Step::NotOpen(entry) => Err(not_open(entry.state)),
    }
}

/// Goes on with a call that was approved: it is made, once, and the question is answered with what came of it.
pub(super) async fn resume(call: Call) -> Result<Response, Refusal> {
    let approval: ApprovalId = id(&call)?;
    let Call { app, visit, .. } = call;
    if visit.scope().may(Action::OwnRequest) {
        return Err(Refusal::new(Code::NotAllowed, "a key that owns its requests has no calls that wait"));
    }
    let approved = app.gate().approved(visit.scope(), approval).await?;
    if !visit.scope().may(Action::ReadOwnConversations) {
        return Err(Refusal::new(
            Code::NotAllowed,
            "a key goes on with a call only with the `personal` ability",
        ));
    }
    let request = ChatRequest::new(approved.model(), vec![Message::user(approved.question())]);
    let conversation = approved.conversation();
    if let Some(conversation) = conversation {
        // What was removed does not come back by an answer.
        app.stores().conversations.get(visit.scope(), conversation).await?;
    }
    let question = asked::question(&request);
    let judged = pipeline::screen(app.gate(), visit, question).await?;
    let (ending, tasks) = (Ending::default(), app.gate().tasks().clone());
    let until = ending.clone();
    let answering = async move {
        let Answered { answer, .. } = match judged {
            Judged::ForTheModel(turn) => app.chat().go_on(turn, request, approved, ending).await?,
            Judged::ForAPerson(turn) => {
                app.chat().tell(turn, conversation.map(|id| (id, Missing::StaysAway))).await?
            }
        };
        match answer {
            Answer::Whole(whole) => Ok(chat::in_conversation(chat::sent(whole), conversation)),
            Answer::Stream(_) => {
                Err(Refusal::new(Code::Internal, "an answer that is judged whole came in pieces"))
            }
        }
    };
    lasting::answered(answering, until, &tasks).await
}

/// The page of those who decide.
pub(super) async fn page(call: Call) -> Result<Response, Refusal> {
    let entries = waiting(&call).await?;
    show(&call, &entries, ApprovalReader::Decider).await
}

/// The page of those who ask.
pub(super) async fn own_page(call: Call) -> Result<Response, Refusal> {
    let entries = mine(&call).await?;
    show(&call, &entries, ApprovalReader::Asker).await
}

async fn show(call: &Call, entries: &[Approval], whose: ApprovalReader) -> Result<Response, Refusal> {
    let reader = Reader::of(call).await?;
    let own = call.visit.scope().actor();
    let id_of = |asker: Actor| match asker {
        Actor::Member(member) => Some(member.to_string()),
        Actor::Key(_) | Actor::Operator => None,
    };
    let texts: Vec<_> = entries
        .iter()
        .map(|entry| (entry.id.to_string(), id_of(entry.asker), entry.arguments.as_deref().map(laid_out)))
        .collect();
    let approvals: Vec<_> = entries
        .iter()
        .zip(&texts)
        .map(|(entry, (id, asker, arguments))| view::Approval {
            id,
            tool: &entry.tool,
            arguments: arguments.as_deref(),
            asker: asker.as_deref(),
            state: entry.state.name(),
            todo: match whose {
                ApprovalReader::Decider => entry.state == ApprovalState::Pending && entry.asker != own,
                ApprovalReader::Asker => entry.state == ApprovalState::Approved,
            },
            // Where nothing of it may be read any more, nothing is answered.
            again: whose == ApprovalReader::Asker
                && matches!(entry.state, ApprovalState::Done | ApprovalState::Failed)
                && entry.arguments.is_some(),
            created: entry.created,
            expires: entry.expires,
            decided: entry.decided.map(|decided| decided.at),
        })
        .collect();
    let page = portcullis_pages::approvals(&view::Approvals {
        frame: reader.frame(call),
        csrf: reader.csrf(),
        reader: whose,
        approvals: &approvals,
    });
    Ok(html(StatusCode::OK, &page))
}

/// JSON on several lines.
fn laid_out(text: &str) -> String {
    let read = serde_json::from_str::<Value>(text);
    read.and_then(|value| serde_json::to_string_pretty(&value)).unwrap_or_else(|_| text.to_owned())
}

/// What those who decide read.
async fn waiting(call: &Call) -> Result<Vec<Approval>, Refusal> {
    let (gate, scope) = (call.app.gate(), call.visit.scope());
    gate.expire_approvals(scope).await?;
    Ok(call.app.stores().approvals.list(scope, gate.approvals_since()).await?)
}

/// What askers read.
async fn mine(call: &Call) -> Result<Vec<Approval>, Refusal> {
    let (gate, scope) = (call.app.gate(), call.visit.scope());
    gate.expire_approvals(scope).await?;
    let entries = call.app.stores().approvals.own(scope, gate.approvals_since()).await?;
    gate.within_reach(scope, entries).await
}

/// An entry for that reader. Who decided is for those who decide.
fn shown(reader: &Scope, entry: &Approval) -> Value {
    let decides = reader.may(Action::DecideApprovals);
    let arguments = entry.arguments.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
    let decided = entry.decided.map(|decided| {
        let by = decides.then(|| actor(decided.by));
        json!({ "by": by, "at": decided.at })
    });
    let question = entry.question.as_deref().filter(|_| entry.asker == reader.actor());
    let question = question.and_then(|text| serde_json::from_str::<Value>(text).ok());
    json!({
        "id": entry.id,
        "tool": entry.tool,
        "pin": entry.pin,
        "arguments": arguments,
        "question": question.as_ref().and_then(|question| question.get("text")),
        "asker": asker(reader, entry.asker),
        "state": entry.state.name(),
        "created": entry.created,
        "expires": entry.expires,
        "decided": decided,
    })
}

fn asker(reader: &Scope, asker: Actor) -> Value {
    if reader.actor() == asker { json!({ "kind": "self", "id": reader.member() }) } else { actor(asker) }
}
