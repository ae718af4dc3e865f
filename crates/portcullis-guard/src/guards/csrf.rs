//! Identify, for cookies: a browser sends them with any request to us, whoever wrote the page that makes it.
//!
//! A write that a session cookie authenticates therefore carries two proofs that one of our own pages made it: a token
//! that only our pages can read, and no sign from the browser that the request came from elsewhere. Credentials in
//! `Authorization` need neither, since no browser adds them by itself.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_core::{Secret, SessionId};
use portcullis_store::CommunityRef;
use ring::hmac;

use crate::gate::{Gate, origin_of};
use crate::guard::{Felt, Guard, Ruling};
use crate::refusal::{Code, Refusal};
use crate::visit::{Identified, Visit};

/// What is signed besides the session, so that the key could serve something else without one standing for the other.
const CONTEXT: &[u8] = b"portcullis csrf 1\0";

/// What a request says of the page that made it.
#[derive(Debug, Clone, Default)]
pub struct Provenance {
    /// Whether its method changes something.
    pub writes: bool,
    /// The token of the header `X-CSRF-Token`.
    pub token: Option<Secret<String>>,
    /// The header `Sec-Fetch-Site`, which scripts cannot set.
    pub site: Option<String>,
    /// The header `Origin`.
    pub origin: Option<String>,
}

/// Makes and verifies the tokens of sessions.
pub struct CsrfKey(hmac::Key);

impl CsrfKey {
    /// The key made from the instance's `csrf_secret`.
    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The token of a session, which our pages send back with every write.
    pub fn token(&self, session: SessionId) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, &message(session)))
    }

    /// Whether the token is that session's. It takes the same time for every wrong token.
    fn holds(&self, session: SessionId, token: &str) -> bool {
        URL_SAFE_NO_PAD
            .decode(token)
            .is_ok_and(|token| hmac::verify(&self.0, &message(session), &token).is_ok())
    }
}

impl std::fmt::Debug for CsrfKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CsrfKey(..)")
    }
}

fn message(session: SessionId) -> Vec<u8> {
    [CONTEXT, session.to_string().as_bytes()].concat()
}

/// Refuses writes by cookie that no page of ours made.
#[derive(Debug)]
pub struct Csrf;

#[async_trait]
impl Guard<Visit<Identified>> for Csrf {
    fn name(&self) -> &'static str {
        "csrf"
    }

    fn about(&self) -> &'static str {
        "a write by cookie carries its session's token, and the browser says no other site made it"
    }

    fn felt(&self) -> Felt {
        Felt::AsItSays
    }

    async fn judge(&self, gate: &Gate, visit: &mut Visit<Identified>) -> Ruling {
        let (Some(session), provenance) = (visit.state.session, &visit.arrival.provenance) else {
            return Ruling::Allow;
        };
        if !provenance.writes {
            return Ruling::Allow;
        }
        let token = provenance.token.as_ref();
        let held = token.is_some_and(|token| gate.parts.csrf.holds(session, token.expose()));
        if held && own_page(gate, visit).await {
            Ruling::Allow
        } else {
            Ruling::Refuse(Refusal::new(
                Code::ForeignPage,
                "a change by session cookie needs the header `X-CSRF-Token` and must come from this site's own page",
            ))
        }
    }
}

/// What the browser says, as far as it says anything. `Sec-Fetch-Site` is the browser's own word; `Origin` is what older
/// ones send, and then it is an address that the configuration gives, or the community's own host.
async fn own_page(gate: &Gate, visit: &Visit<Identified>) -> bool {
    let Provenance { site, origin, .. } = &visit.arrival.provenance;
    if let Some(site) = site {
        return site == "same-origin";
    }
    let Some(origin) = origin else { return true };
    if *origin == gate.parts.origin {
        return true;
    }
    let community = CommunityRef::Id(visit.state.scope.community());
    let found = gate.parts.stores.directory.find(community).await;
    found.ok().flatten().is_some_and(|community| *origin == origin_of(&gate.parts.origin, &community))
}

#[cfg(test)]
mod tests {
    use portcullis_core::{SessionId, SystemClock};

    use super::CsrfKey;

    #[test]
    fn a_token_is_one_sessions_and_one_keys() {
        let clock = SystemClock::new();
        let (one, two) = (SessionId::new(&clock), SessionId::new(&clock));
        let (key, other) = (CsrfKey::new(&[1; 32]), CsrfKey::new(&[2; 32]));
        let token = key.token(one);
        assert!(key.holds(one, &token));
        assert!(!key.holds(two, &token));
        assert!(!other.holds(one, &token));
        for wrong in ["", "AAAA", &format!("{token}A"), &token.to_lowercase()] {
            assert!(!key.holds(one, wrong), "{wrong}");
        }
    }
}
