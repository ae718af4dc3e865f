//! The only place where a refusal becomes an HTTP response.
//!
//! Two shapes, one content: RFC 9457 problems, and OpenAI's `error` object on the routes that OpenAI clients call.

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use portcullis_core::RequestId;
use portcullis_guard::{Code, Refusal};
use portcullis_pages::{Frame, Refused, Way};
use serde_json::{Value, json};

use crate::routes::sign_in::html;

/// What RFC 9110 section 15.5.2 wants beside a 401.
pub(crate) const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"portcullis\"");

/// Which shape the errors of a route have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `application/problem+json`, RFC 9457.
    Problem,
    /// `{"error": {"message", "type", "param", "code"}}`, as OpenAI clients read it.
    OpenAi,
    /// A page for people.
    Page,
}

/// A refusal with the shape its route answers in.
#[derive(Debug, Clone)]
pub struct Problem {
    /// What was refused and why.
    pub refusal: Refusal,
    /// The shape of the body.
    pub shape: Shape,
    /// The request it answers.
    pub request: Option<RequestId>,
}

/// The status and the short title of each code.
pub const fn status(code: Code) -> (StatusCode, &'static str) {
    match code {
        Code::CredentialMissing => (StatusCode::UNAUTHORIZED, "A credential is needed"),
        Code::CredentialInvalid => (StatusCode::UNAUTHORIZED, "The credential is not valid"),
        Code::CredentialAmbiguous => (StatusCode::UNAUTHORIZED, "More than one credential was sent"),
        Code::ForeignPage => (StatusCode::FORBIDDEN, "The change came from elsewhere"),
        Code::NotAllowed => (StatusCode::FORBIDDEN, "Not allowed"),
        Code::OwnRequestOnly => (StatusCode::FORBIDDEN, "Not allowed with this credential"),
        Code::QuestionRefused => (StatusCode::FORBIDDEN, "The question was not asked"),
        Code::ToolRefused => (StatusCode::FORBIDDEN, "The tool may not be called"),
        Code::ApprovalNotOpen => (StatusCode::CONFLICT, "The call does not stand so"),
        Code::LastOwner => (StatusCode::CONFLICT, "The last owner stays"),
        Code::AddressBlocked => (StatusCode::FORBIDDEN, "The address is blocked"),
        Code::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "Too many requests"),
        Code::BudgetExhausted => (StatusCode::TOO_MANY_REQUESTS, "The budget is used up"),
        Code::InvalidRequest => (StatusCode::BAD_REQUEST, "The request is not valid"),
        Code::UnknownParameter => (StatusCode::BAD_REQUEST, "A parameter is not known"),
        Code::ModelNotFound => (StatusCode::NOT_FOUND, "The model is not offered"),
        Code::NotFound => (StatusCode::NOT_FOUND, "Not found"),
        Code::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
        Code::IdempotencyInFlight => (StatusCode::CONFLICT, "The same request is being worked on"),
        Code::IdempotencyMismatch => {
            (StatusCode::UNPROCESSABLE_ENTITY, "The idempotency key was used for another request")
        }
        Code::StoreUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "The store cannot be reached"),
        Code::AuditUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "The audit journal cannot be written"),
        Code::ModelBusy => (StatusCode::SERVICE_UNAVAILABLE, "The model is busy"),
        Code::ModelUnavailable => (StatusCode::BAD_GATEWAY, "The model cannot be reached"),
        Code::ModelTimedOut => (StatusCode::GATEWAY_TIMEOUT, "The model did not answer in time"),
        Code::ModelRejected => (StatusCode::BAD_REQUEST, "The model refused the request"),
        Code::TimedOut => (StatusCode::REQUEST_TIMEOUT, "The request took too long"),
        Code::AccessEnded => (StatusCode::FORBIDDEN, "The access has ended"),
        Code::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, "The server is stopping"),
        Code::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong"),
    }
}

/// The `type` that OpenAI clients expect beside a status.
const fn openai_type(code: Code) -> &'static str {
    if matches!(code, Code::BudgetExhausted) {
        // What clients do not retry by themselves.
        return "insufficient_quota";
    }
    match status(code).0 {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        StatusCode::BAD_REQUEST
        | StatusCode::NOT_FOUND
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::CONFLICT
        | StatusCode::UNPROCESSABLE_ENTITY => "invalid_request_error",
        _ => "server_error",
    }
}

impl Problem {
    /// The refusal in that shape.
    pub fn new(refusal: Refusal, shape: Shape) -> Self {
        Self { refusal, shape, request: None }
    }

    /// The body's JSON.
    pub fn body(&self) -> Value {
        let refusal = &self.refusal;
        let (status, title) = status(refusal.code);
        let resets_at = refusal.limit.as_ref().and_then(|limit| limit.resets_at).map(|at| at.to_string());
        match self.shape {
            Shape::OpenAi => {
                let mut error = json!({
                    "message": refusal.detail,
                    "type": openai_type(refusal.code),
                    "param": refusal.param,
                    "code": refusal.code.name(),
                });
                if let (Some(resets_at), Some(object)) = (resets_at, error.as_object_mut()) {
                    object.insert("resets_at".to_owned(), json!(resets_at));
                }
                json!({ "error": error })
            }
            Shape::Problem | Shape::Page => {
                let mut body = json!({
                    "type": format!("urn:portcullis:error:{}", refusal.code.name()),
                    "title": title,
                    "status": status.as_u16(),
                    "detail": refusal.detail,
                    "code": refusal.code.name(),
                });
                if let Some(object) = body.as_object_mut() {
                    if let Some(resets_at) = resets_at {
                        object.insert("resets_at".to_owned(), json!(resets_at));
                    }
                    if let Some(param) = &refusal.param {
                        object.insert("param".to_owned(), json!(param));
                    }
                    if let Some(request) = self.request {
                        object.insert("instance".to_owned(), json!(format!("urn:uuid:{request}")));
                    }
                }
                body
            }
        }
    }

    /// The page for somebody who reads it in a browser.
    fn page(&self) -> String {
        let (status, title) = status(self.refusal.code);
        let way = if status.is_server_error() { Way::Nowhere } else { Way::Chat };
        let request = self.request.map(|request| request.to_string()).unwrap_or_default();
        portcullis_pages::refused(&Refused {
            frame: Frame { community: "", base: "", door: "", notice: None },
            title,
            sentence: &self.refusal.detail,
            request: &request,
            way,
        })
    }

    /// The event that ends a stream which has already begun: the same content, and no `[DONE]` after it.
    pub fn event(&self) -> Bytes {
        Bytes::from(format!("data: {}\n\n", self.body()))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, _) = status(self.refusal.code);
        let content =
            |kind: &'static str, body: String| (status, [(header::CONTENT_TYPE, kind)], body).into_response();
        let mut response = match self.shape {
            Shape::Problem => content("application/problem+json", self.body().to_string()),
            Shape::OpenAi => content("application/json", self.body().to_string()),
            Shape::Page => html(status, &self.page()),
        };
        if let Some(limit) = &self.refusal.limit {
            crate::limits::left(&limit.limit, &mut response);
        }
        let headers = response.headers_mut();
        if let Some(wait) = self.refusal.retry_after {
            // Whole seconds, rounded up: a client that waits so long is not refused for the same reason again.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if matches!(
            self.refusal.code,
            Code::TimedOut | Code::BodyTooLarge | Code::ShuttingDown | Code::AddressBlocked
        ) {
            // RFC 9110 sections 15.5.9 and 15.5.14: what is still to come of the request is not waited for, and a client that
            // kept the connection would find it closed. Who is blocked holds no place.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, CHALLENGE);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use portcullis_guard::{Code, Refusal};

    use super::{Problem, Shape, status};

    #[test]
    fn every_code_has_an_error_status_and_a_title() {
        for &code in Code::ALL {
            let (status, title) = status(code);
            assert!(status.is_client_error() || status.is_server_error(), "{code:?}");
            assert!(!title.ends_with('.'), "{title}");
        }
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds_rounded_up() {
        let refusal =
            Refusal::new(Code::RateLimited, "too many").retry_after(std::time::Duration::from_millis(1_001));
        let response = Problem::new(refusal, Shape::OpenAi).into_response();
        assert_eq!(response.headers()["retry-after"], "2");
    }
}
