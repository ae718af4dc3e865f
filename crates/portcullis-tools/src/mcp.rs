//! Tools of servers that speak the Model Context Protocol over streamable HTTP (revision 2025-06-18).
//!
//! Of the protocol it speaks what calling a tool takes: initialise, list, call. The server is told of no capability, so it
//! may ask for nothing; what it asks all the same is not answered. A call is sent once, and again only where the server
//! says that it knows no such session, and so has not made it.

use std::fmt;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use parking_lot::Mutex;
use portcullis_egress as egress;
use serde_json::{Value, json};

use crate::call::{Fault, FaultKind, Permit, Returned, bounded};
use crate::events::Events;
use crate::registry::{Listed, Tool};
use crate::web::told;

const REVISION: &str = "2025-06-18";
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// The most bytes of a list of tools, all its pages together, and the most pages that it may come in. What is read takes
/// many times its bytes while it is looked at.
const LIST_BYTES: usize = 256 << 10;
const LIST_PAGES: usize = 16;
/// The most events of one stream: before its answer a server may say how far it is, and that it is still there.
const EVENTS: usize = 1_000;
/// What stands around a result beside its text, at most.
const AROUND_BYTES: usize = 16 << 10;

/// A server, and the session that it gave us.
pub(crate) struct Server {
    address: Uri,
    key: Option<HeaderValue>,
    session: Mutex<Option<Session>>,
}

#[derive(Debug, Clone)]
struct Session {
    id: Option<HeaderValue>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

/// Why a request has no result.
enum Failure {
    /// The server knows no such session: nothing was done.
    NoSession,
    Other(Fault),
}

impl<T: Into<Fault>> From<T> for Failure {
    fn from(fault: T) -> Self {
        Self::Other(fault.into())
    }
}

/// Calls a tool by the name that its server has for it.
pub(crate) async fn call(permit: &Permit, remote: &str) -> Result<Returned, Fault> {
    let tool = &permit.tool;
    let server = tool.server.as_ref().ok_or(FaultKind::Malformed)?;
    let most = tool.settings().result_bytes;
    let parameters = json!({ "name": remote, "arguments": permit.arguments });
    let (result, _) = server
        .ask(tool, "tools/call", &parameters, most.saturating_mul(2) + AROUND_BYTES, Some(permit))
        .await?;
    let mut text = String::new();
    for part in result.get("content").and_then(Value::as_array).into_iter().flatten() {
        // Images, sounds and links to further resources are left out.
        if let Some(part) = part.get("text").and_then(Value::as_str) {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(part);
        }
    }
    if text.is_empty()
        && let Some(structured) = result.get("structuredContent")
    {
        text = structured.to_string();
    }
    if result.get("isError").and_then(Value::as_bool) == Some(true) {
        return Err(FaultKind::Failed.into());
    }
    let cut = text.len() > most;
    Ok(Returned { text: bounded(text.as_bytes(), most), cut })
}

impl Server {
    pub(crate) fn new(address: Uri, key: Option<HeaderValue>) -> Self {
        Self { address, key, session: Mutex::new(None) }
    }

    /// The tool of that name as the server describes it, if it lists one. Of the others nothing is kept.
    pub(crate) async fn find(&self, tool: &Tool, wanted: &str) -> Result<Option<Listed>, Fault> {
        let (mut left, mut cursor) = (LIST_BYTES, None::<String>);
        for _ in 0..LIST_PAGES {
            let parameters = cursor.map_or_else(|| json!({}), |cursor| json!({ "cursor": cursor }));
            let (mut page, read) = self.ask(tool, "tools/list", &parameters, left, None).await?;
            left = left.saturating_sub(read);
            let Some(Value::Array(tools)) = page.get_mut("tools").map(Value::take) else {
                return Err(FaultKind::Malformed.into());
            };
            if let Some(listed) = tools.into_iter().find_map(|tool| listed(tool, wanted)) {
                return Ok(Some(listed));
            }
            cursor = match page.get_mut("nextCursor").map(Value::take) {
                Some(Value::String(cursor)) => Some(cursor),
                _ => return Ok(None),
            };
        }
        Err(FaultKind::TooLarge.into())
    }

    /// The result, and how many bytes were read for it.
    async fn ask(
        &self,
        tool: &Tool,
        method: &str,
        parameters: &Value,
        most: usize,
        permit: Option<&Permit>,
    ) -> Result<(Value, usize), Fault> {
        for _ in 0..2 {
            let known = self.session.lock().clone();
            let session = match known {
                Some(session) => session,
                None => self.begin(tool).await?,
            };
            match self.request(tool, &session, method, parameters, most, permit).await {
                Ok(result) => return Ok(result),
                Err(Failure::NoSession) => *self.session.lock() = None,
                Err(Failure::Other(fault)) => return Err(fault),
            }
        }
        Err(FaultKind::Malformed.into())
    }

    async fn begin(&self, tool: &Tool) -> Result<Session, Fault> {
        let parameters = json!({
            "protocolVersion": REVISION,
            "capabilities": {},
            "clientInfo": { "name": "portcullis", "version": env!("CARGO_PKG_VERSION") },
        });
        let none = Session { id: None };
        let response = self.send(tool, &none, &request_of("initialize", &parameters), None).await?;
        let session = Session { id: response.headers().get(SESSION).cloned() };
        result_of(response, LIST_BYTES).await.map_err(|failure| match failure {
            Failure::NoSession => FaultKind::BadStatus.into(),
            Failure::Other(fault) => fault,
        })?;
        let told = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        let response = self.send(tool, &session, &told, None).await?;
        if !response.status().is_success() {
            return Err(FaultKind::BadStatus.into());
        }
        *self.session.lock() = Some(session.clone());
        Ok(session)
    }

    async fn request(
        &self,
        tool: &Tool,
        session: &Session,
        method: &str,
        parameters: &Value,
        most: usize,
        permit: Option<&Permit>,
    ) -> Result<(Value, usize), Failure> {
        let response = self.send(tool, session, &request_of(method, parameters), permit).await?;
        result_of(response, most).await
    }

    async fn send(
        &self,
        tool: &Tool,
        session: &Session,
        message: &Value,
        permit: Option<&Permit>,
    ) -> Result<Response<egress::Body>, Fault> {
        let mut request = Request::post(self.address.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"))
            .header(VERSION, HeaderValue::from_static(REVISION))
            .body(Bytes::from(message.to_string()))
            .map_err(|_| FaultKind::Malformed)?;
        if let Some(key) = &self.key {
            request.headers_mut().insert(AUTHORIZATION, key.clone());
        }
        if let Some(id) = &session.id {
            request.headers_mut().insert(SESSION, id.clone());
        }
        if let Some(permit) = permit {
            request = told(request, permit);
        }
        let response = tool.client.send(request).await?;
        if response.status().is_redirection() {
            return Err(FaultKind::RedirectRefused.into());
        }
        Ok(response)
    }
}

/// The id of every request: there is one a POST, and its answer comes with it.
const ID: u64 = 1;

fn request_of(method: &str, parameters: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": ID, "method": method, "params": parameters })
}

/// The tool that an entry of a list describes, if it is the one that is wanted.
fn listed(mut entry: Value, wanted: &str) -> Option<Listed> {
    if entry.get("name")?.as_str()? != wanted {
        return None;
    }
    let description = match entry.get_mut("description").map(Value::take) {
        Some(Value::String(description)) => description,
        _ => String::new(),
    };
    Some(Listed { description, schema: entry.get_mut("inputSchema")?.take() })
}

/// The result in an answer, and how many bytes were read: the whole body, or the one event of a stream that answers the request.
async fn result_of(response: Response<egress::Body>, most: usize) -> Result<(Value, usize), Failure> {
    if response.status() == StatusCode::NOT_FOUND {
        return Err(Failure::NoSession);
    }
    if !response.status().is_success() {
        return Err(FaultKind::BadStatus.into());
    }
    let form = response.headers().get(CONTENT_TYPE).and_then(|form| form.to_str().ok()).unwrap_or_default();
    let streams = form.trim_start().to_ascii_lowercase().starts_with("text/event-stream");
    let mut body = response.into_body();
    let (mut bytes, mut events) = (BytesMut::new(), Events::default());
    let (mut read, mut seen) = (0_usize, 0_usize);
    while let Some(piece) = body.chunk().await {
        let piece = piece.map_err(Fault::from)?;
        read = read.saturating_add(piece.len());
        if read > most {
            return Err(FaultKind::TooLarge.into());
        }
        if !streams {
            bytes.extend_from_slice(&piece);
            continue;
        }
        events.push(&piece);
        while let Some(event) = events.next_event() {
            seen = seen.saturating_add(1);
            if seen > EVENTS {
                return Err(FaultKind::TooLarge.into());
            }
            if let Some(answer) = answer(&event) {
                return Ok((answer?, read));
            }
        }
    }
    let rest = if streams { events.finish() } else { bytes.into() };
    match answer(&rest) {
        Some(answer) => Ok((answer?, read)),
        None => Err(FaultKind::Malformed.into()),
    }
}

/// What a message says about our request; none if it is about something else.
fn answer(message: &[u8]) -> Option<Result<Value, Failure>> {
    let mut message: Value = serde_json::from_slice(message).ok()?;
    if message.get("id").and_then(Value::as_u64) != Some(ID) {
        return None;
    }
    let failed = message.get("error").is_some();
    Some(match message.get_mut("result") {
        Some(result) if !failed => Ok(result.take()),
        _ => Err(FaultKind::Failed.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::answer;

    #[test]
    fn only_the_answer_to_our_request_is_one() {
        assert!(answer(br#"{"jsonrpc":"2.0","method":"notifications/progress"}"#).is_none());
        assert!(answer(br#"{"jsonrpc":"2.0","id":7,"method":"sampling/createMessage"}"#).is_none());
        assert!(matches!(answer(br#"{"jsonrpc":"2.0","id":1,"result":{}}"#), Some(Ok(_))));
        for failed in [
            r#"{"id":1,"error":{"code":-1}}"#,
            r#"{"id":1,"result":{},"error":{}}"#,
            r#"{"id":1,"method":"ping"}"#,
        ] {
            assert!(matches!(answer(failed.as_bytes()), Some(Err(_))), "{failed}");
        }
    }
}
