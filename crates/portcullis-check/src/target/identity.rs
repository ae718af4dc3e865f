//! Someone who may use a target, or whose credential must not work.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use portcullis_core::Secret;

use crate::outcome::Inconclusive;

/// Whether an identity's credential should work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It works.
    Valid,
    /// It was good until its end date, which has passed.
    Expired,
    /// It was taken back before its end date.
    Revoked,
    /// It is good, for another service.
    WrongAudience,
    /// It works and ends at [`Identity::ends`], during the run.
    Expiring,
    /// It is good, and what its member paid for has ended: [`Identity::plans`] names the plans they had.
    Lapsed,
}

impl State {
    /// The word used in files and reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::WrongAudience => "wrong-audience",
            Self::Expiring => "expiring",
            Self::Lapsed => "lapsed",
        }
    }
}

/// What an identity is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Any check.
    Any,
    /// Rate-limit checks only, so that no other request is counted against it.
    Limits,
    /// Only where a request names it: its credential is not like others of its role.
    Named,
}

/// Someone who may use the target, or whose credential must not work.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The name in reports.
    pub name: String,
    /// The user behind it; identities of one user are that user's sessions.
    pub user: String,
    /// The user's community.
    pub community: String,
    /// The user's role, in the target's words.
    pub role: String,
    /// What the user pays for.
    pub plans: Vec<String>,
    /// The spaces that the user may see.
    pub spaces: Vec<String>,
    /// What is sent.
    pub credential: Credential,
    /// Whether it should work.
    pub state: State,
    /// What it is there for.
    pub purpose: Purpose,
    /// When its credential ends, where a check goes by it.
    pub ends: Option<Timestamp>,
}

impl Identity {
    /// A member of `community` whose credential works.
    pub fn new(name: &str, community: &str, credential: Credential) -> Self {
        Self {
            name: name.to_owned(),
            user: name.to_owned(),
            community: community.to_owned(),
            role: "member".to_owned(),
            plans: Vec::new(),
            spaces: Vec::new(),
            credential,
            state: State::Valid,
            purpose: Purpose::Any,
            ends: None,
        }
    }

    /// It works until then, and a check waits for that.
    #[must_use]
    pub const fn expiring(mut self, ends: Timestamp) -> Self {
        (self.state, self.ends) = (State::Expiring, Some(ends));
        self
    }

    /// Its user pays for these plans, or did.
    #[must_use]
    pub fn plans(mut self, plans: &[&str]) -> Self {
        self.plans = plans.iter().map(|plan| (*plan).to_owned()).collect();
        self
    }

    /// Its user may see these spaces, whatever they pay for.
    #[must_use]
    pub fn spaces(mut self, spaces: &[&str]) -> Self {
        self.spaces = spaces.iter().map(|space| (*space).to_owned()).collect();
        self
    }

    /// Whether both may see and do the same, and are there for the same.
    pub fn is_peer(&self, other: &Self) -> bool {
        self.community == other.community
            && self.role == other.role
            && self.purpose == other.purpose
            && self.plans == other.plans
            && self.spaces == other.spaces
    }

    /// Its credential is in this state.
    #[must_use]
    pub const fn state(mut self, state: State) -> Self {
        self.state = state;
        self
    }

    /// It has this role.
    #[must_use]
    pub fn role(mut self, role: &str) -> Self {
        role.clone_into(&mut self.role);
        self
    }

    /// It is a session of this user.
    #[must_use]
    pub fn session_of(mut self, user: &str) -> Self {
        user.clone_into(&mut self.user);
        self
    }

    /// It is there only where a request names it.
    #[must_use]
    pub const fn only_by_name(mut self) -> Self {
        self.purpose = Purpose::Named;
        self
    }

    /// It is there for rate-limit checks only.
    #[must_use]
    pub const fn for_limits(mut self) -> Self {
        self.purpose = Purpose::Limits;
        self
    }
}

/// What is sent to say who asks.
#[derive(Debug, Clone)]
pub enum Credential {
    /// `Authorization: Bearer`.
    Bearer(Secret<String>),
    /// A cookie.
    Cookie {
        /// Its name.
        name: String,
        /// Its value.
        value: Secret<String>,
    },
    /// A header of its own.
    Header {
        /// Its name.
        name: String,
        /// Its value.
        value: Secret<String>,
    },
    /// `Authorization: Basic`.
    Basic {
        /// The user name.
        user: String,
        /// The password.
        password: Secret<String>,
    },
}

impl Credential {
    /// A bearer token.
    pub fn bearer(token: impl Into<String>) -> Self {
        Self::Bearer(Secret::new(token.into()))
    }

    /// The secret part.
    pub const fn secret(&self) -> &Secret<String> {
        match self {
            Self::Bearer(value) | Self::Cookie { value, .. } | Self::Header { value, .. } => value,
            Self::Basic { password, .. } => password,
        }
    }

    /// The same kind of credential with another secret part.
    #[must_use]
    pub fn with_secret(&self, secret: String) -> Self {
        let secret = Secret::new(secret);
        match self {
            Self::Bearer(_) => Self::Bearer(secret),
            Self::Cookie { name, .. } => Self::Cookie { name: name.clone(), value: secret },
            Self::Header { name, .. } => Self::Header { name: name.clone(), value: secret },
            Self::Basic { user, .. } => Self::Basic { user: user.clone(), password: secret },
        }
    }

    /// Adds it to a request's headers.
    ///
    /// # Errors
    /// When the value cannot stand in a header.
    pub fn apply(&self, headers: &mut HeaderMap) -> Result<(), Inconclusive> {
        let (name, text) = match self {
            Self::Bearer(token) => (AUTHORIZATION, format!("Bearer {}", token.expose())),
            Self::Cookie { name, value } => {
                let pair = format!("{name}={}", value.expose());
                let before = headers.get(COOKIE).and_then(|value| value.to_str().ok());
                (COOKIE, before.map_or_else(|| pair.clone(), |before| format!("{before}; {pair}")))
            }
            Self::Header { name, value } => {
                let name = HeaderName::from_bytes(name.as_bytes())
                    .map_err(|_| Inconclusive::because(format!("`{name}` is not the name of a header")))?;
                (name, value.expose().clone())
            }
            Self::Basic { user, password } => {
                let pair = STANDARD.encode(format!("{user}:{}", password.expose()));
                (AUTHORIZATION, format!("Basic {pair}"))
            }
        };
        let mut value = HeaderValue::try_from(text).map_err(|_| {
            Inconclusive::because(format!(
                "a credential for `{name}` holds characters that no header may hold"
            ))
        })?;
        value.set_sensitive(true);
        headers.insert(name, value);
        Ok(())
    }
}
