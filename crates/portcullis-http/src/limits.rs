//! How limits are told: the headers of the IETF draft `draft-ietf-httpapi-ratelimit-headers`.

use std::fmt::Write as _;

use axum::response::Response;
use http::{HeaderName, HeaderValue};
use portcullis_guard::{Applied, Authorised, Bound, Gate, Rates, Visit};

use crate::stack::SECURITY_HEADERS;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// The headers of an answer to somebody known: every limit that their requests are counted against, and what is left of
/// the tightest.
pub(crate) struct LimitHeaders {
    policy: String,
    tightest: Option<Bound>,
}

impl LimitHeaders {
    pub(crate) fn of(gate: &Gate, visit: &Visit<Authorised>) -> Self {
        let mut policy = String::new();
        for applied in gate.applied(visit) {
            for (window, limit) in applied.rates.iter() {
                let comma = if policy.is_empty() { "" } else { ", " };
                let (of, seconds) = (applied.of(), window.length().as_secs());
                let _ = write!(policy, "{comma}\"{of}-{}\";q={limit};w={seconds}", window.name());
            }
        }
        Self { policy, tightest: visit.tightest().copied() }
    }

    pub(crate) fn write(self, response: &mut Response) {
        // These and all that every response has, so that the map does not grow under them again and again.
        response.headers_mut().reserve(SECURITY_HEADERS.len() + 4);
        // Nothing was counted: no limit is on.
        let Some(tightest) = self.tightest else { return };
        if let Ok(policy) = HeaderValue::try_from(self.policy) {
            response.headers_mut().insert(POLICY, policy);
        }
        left(&tightest, response);
    }
}

/// What is left of one limit.
pub(crate) fn left(bound: &Bound, response: &mut Response) {
    let Bound { subject, allowance } = bound;
    // Rounded up, as `Retry-After` is.
    let wait = allowance.resets_in.as_secs() + u64::from(allowance.resets_in.subsec_nanos() > 0);
    let applied = Applied { subject: *subject, rates: Rates::default() };
    let (of, window) = (applied.of(), allowance.window.name());
    let unit = match applied.what() {
        "tokens" => "-tokens",
        "cost" => "-cost",
        _ => "",
    };
    let text = format!("\"{of}-{window}{unit}\";r={};t={wait}", allowance.remaining);
    if let Ok(value) = HeaderValue::try_from(text) {
        response.headers_mut().insert(LEFT, value);
    }
}
