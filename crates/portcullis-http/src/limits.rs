//! How limits are told: the headers of the IETF draft `draft-ietf-httpapi-ratelimit-headers`.

use std::fmt::Write as _;

use axum::response::Response;
use http::{HeaderName, HeaderValue};
use parking_lot::Mutex;
use portcullis_guard::{Applied, Authorised, Bound, Gate, Rates, Visit};

use crate::stack::SECURITY_HEADERS;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// The headers of an answer to somebody known: every limit that their requests are counted against, and what is left of
/// the tightest.
pub(crate) struct LimitHeaders {
    applied: Vec<Applied>,
    tightest: Option<Bound>,
}

impl LimitHeaders {
    pub(crate) fn of(gate: &Gate, visit: &Visit<Authorised>) -> Self {
        Self { applied: gate.applied(visit), tightest: visit.tightest().copied() }
    }

    pub(crate) fn write(self, policies: &Policies, response: &mut Response) {
        // These and all that every response has, so that the map does not grow under them again and again.
        response.headers_mut().reserve(SECURITY_HEADERS.len() + 4);
        // Nothing was counted: no limit is on.
        let Some(tightest) = self.tightest else { return };
        if let Some(policy) = policies.of(&self.applied) {
            response.headers_mut().insert(POLICY, policy);
        }
        left(&tightest, response);
    }
}

/// Policies that were written out before: there is one for each tier and kind of credential.
#[derive(Debug, Default)]
pub(crate) struct Policies(Mutex<Vec<(Vec<Stated>, HeaderValue)>>);

/// What a limit is of, and its rates.
type Stated = (&'static str, Rates);

/// How many policies are kept; more than there are kinds of callers.
const KEPT: usize = 32;

impl Policies {
    fn of(&self, applied: &[Applied]) -> Option<HeaderValue> {
        let stated = || applied.iter().map(|applied| (applied.of(), applied.rates));
        let mut kept = self.0.lock();
        if let Some((_, policy)) = kept.iter().find(|(known, _)| known.iter().copied().eq(stated())) {
            return Some(policy.clone());
        }
        let policy = HeaderValue::try_from(written(stated())).ok()?;
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.push((stated().collect(), policy.clone()));
        Some(policy)
    }
}

fn written(stated: impl Iterator<Item = Stated>) -> String {
    let mut policy = String::new();
    for (of, rates) in stated {
        for (window, limit) in rates.iter() {
            let comma = if policy.is_empty() { "" } else { ", " };
            let (name, seconds) = (window.name(), window.length().as_secs());
            let _ = write!(policy, "{comma}\"{of}-{name}\";q={limit};w={seconds}");
        }
    }
    policy
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

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use portcullis_core::{CommunityId, SystemClock};
    use portcullis_guard::Subject;

    use super::*;

    #[test]
    fn a_policy_is_that_of_its_own_limits_however_many_were_written_before() {
        let policies = Policies::default();
        let community = CommunityId::new(&SystemClock::new());
        let limit = |of: u32| Applied {
            subject: Subject::Community(community),
            rates: Rates { minute: NonZeroU32::new(of), hour: NonZeroU32::new(of * 10), day: None },
        };
        for of in (1..=100).chain(1..=100) {
            let policy = policies.of(&[limit(of)]).expect("a header");
            let wanted = format!("\"community-minute\";q={of};w=60, \"community-hour\";q={}0;w=3600", of);
            assert_eq!(policy, wanted);
            assert!(policies.0.lock().len() <= KEPT);
        }
        let both = policies.of(&[limit(1), limit(2)]).expect("a header");
        assert!(both.to_str().is_ok_and(|both| both.matches("community-minute").count() == 2), "{both:?}");
    }
}
