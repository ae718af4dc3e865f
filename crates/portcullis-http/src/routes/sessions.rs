//! One's own sessions: the browsers that are signed in.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use portcullis_audit::Event;
use portcullis_core::SessionId;
use portcullis_guard::{Code, Refusal};
use portcullis_store::SessionInfo;
use serde_json::{Value, json};

use super::admin::note;
use super::health::json;
use super::{Call, id};

/// The session that made the request, with the token that its writes carry. Asked with a key or a token there is none.
pub(super) async fn current(call: Call) -> Result<Response, Refusal> {
    let session = call.visit.session();
    let token = session.map(|session| call.app.gate().csrf_token(session));
    Ok(json(StatusCode::OK, &json!({ "session": session, "csrf_token": token })))
}

pub(super) async fn list(call: Call) -> Result<Response, Refusal> {
    let current = call.visit.session();
    let sessions = call.app.stores().sessions.list(call.visit.scope()).await?;
    let sessions: Vec<Value> = sessions.iter().map(|session| shown(session, current)).collect();
    Ok(json(StatusCode::OK, &json!({ "sessions": sessions })))
}

/// Signs this browser out. A key or a token has no session to end, and is told so.
pub(super) async fn sign_out(call: Call) -> Result<Response, Refusal> {
    let Some(session) = call.visit.session() else {
        let detail = "this credential is no session; a key is revoked, and a token ends by itself";
        return Err(Refusal::new(Code::InvalidRequest, detail));
    };
    call.app.stores().sessions.end(call.visit.scope(), session).await?;
    note(&call, Event::SignedOut { session }).await?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, call.app.cookies().end_session())]).into_response())
}

pub(super) async fn end(call: Call) -> Result<Response, Refusal> {
    let session: SessionId = id(&call)?;
    call.app.stores().sessions.end(call.visit.scope(), session).await?;
    note(&call, Event::SignedOut { session }).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Signs out everywhere, here too.
pub(super) async fn end_all(call: Call) -> Result<Response, Refusal> {
    let scope = call.visit.scope();
    let Some(member) = scope.member() else {
        return Err(Refusal::new(Code::NotAllowed, "this key acts for no member, so it has no sessions"));
    };
    let sessions = &call.app.stores().sessions;
    let open = sessions.list(scope).await?;
    let ended = sessions.end_all(scope, member).await?;
    for session in open {
        note(&call, Event::SignedOut { session: session.id }).await?;
    }
    let body = json(StatusCode::OK, &json!({ "ended": ended }));
    Ok(([(header::SET_COOKIE, call.app.cookies().end_session())], body).into_response())
}

fn shown(session: &SessionInfo, current: Option<SessionId>) -> Value {
    json!({
        "id": session.id,
        "current": current == Some(session.id),
        "created": session.created,
        "last_used": session.last_used,
        "expires": session.expires,
    })
}
