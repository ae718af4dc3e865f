//! What the routes work with.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use portcullis_chat::Service;
use portcullis_guard::Gate;
use portcullis_mail::Mail;
use portcullis_store::{Community, Stores};

use crate::address::TrustedProxies;
use crate::cookies::Cookies;
use crate::idempotency::Idempotency;
use crate::limits::Policies;
use crate::requests::Requests;
use crate::routes::Readiness;

/// What an [`App`] is made of.
#[derive(Debug)]
pub struct AppParts {
    /// The guards.
    pub gate: Arc<Gate>,
    /// Who answers questions.
    pub chat: Service,
    /// The stores.
    pub stores: Stores,
    /// What sends sign-in links; without it nobody signs in by mail.
    pub mail: Option<Arc<dyn Mail>>,
    /// The limits and facts of the HTTP surface.
    pub settings: Settings,
}

/// The limits and facts of the HTTP surface.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Proxies whose word about the client's address is believed.
    pub proxies: TrustedProxies,
    /// What browsers reach this instance under: `public_url` without a path, `https://chat.example.org`.
    pub origin: String,
    /// The largest body, in bytes.
    pub body_bytes: usize,
    /// How slowly a body may come.
    pub body: BodyPace,
    /// The longest time to the first byte of a response.
    pub request_timeout: Duration,
    /// The most answers kept for clients that retry.
    pub idempotency_entries: usize,
    /// The most bytes of them.
    pub idempotency_bytes: usize,
    /// How long an answer is kept for a client that retries.
    pub idempotency_ttl: Duration,
    /// How people sign in.
    pub sign_in: SignInSettings,
}

/// How slowly a body may come: within a time, and longer only as far as what has come was fast enough.
#[derive(Debug, Clone, Copy)]
pub struct BodyPace {
    /// The time that every body has.
    pub timeout: Duration,
    /// The bytes that must come in each second beyond it.
    pub bytes_per_second: NonZeroU32,
}

impl BodyPace {
    /// The time that a body has of which so many bytes have come.
    pub(crate) fn time_for(self, bytes: usize) -> Duration {
        let earned_ms = (bytes as u64).saturating_mul(1_000) / u64::from(self.bytes_per_second.get());
        self.timeout + Duration::from_millis(earned_ms)
    }
}

/// How people sign in.
#[derive(Debug, Clone)]
pub struct SignInSettings {
    /// How long a mailed link works.
    pub link_life: Duration,
    /// How long a session lasts, however it is used.
    pub session_life: Duration,
    /// How long it may lie unused.
    pub session_idle: Duration,
    /// The communities, by slug, that strangers may join by signing in.
    pub open: Vec<String>,
}

/// One running instance's HTTP surface, shared by all requests.
#[derive(Debug)]
pub struct App {
    parts: AppParts,
    idempotency: Arc<Idempotency>,
    readiness: Readiness,
    requests: Requests,
    policies: Policies,
}

impl App {
    /// Puts the parts together.
    pub fn new(parts: AppParts) -> Arc<Self> {
        let settings = &parts.settings;
        let idempotency = Arc::new(Idempotency::new(
            settings.idempotency_entries,
            settings.idempotency_bytes,
            settings.idempotency_ttl,
        ));
        Arc::new(Self {
            parts,
            idempotency,
            requests: Requests::new(),
            readiness: Readiness::default(),
            policies: Policies::default(),
        })
    }

    /// The guards.
    pub fn gate(&self) -> &Gate {
        &self.parts.gate
    }

    /// The guards, for what runs beside requests.
    pub fn gate_handle(&self) -> Arc<Gate> {
        Arc::clone(&self.parts.gate)
    }

    /// The policies of limits that were written out before.
    pub(crate) const fn policies(&self) -> &Policies {
        &self.policies
    }

    /// Who answers questions.
    pub fn chat(&self) -> &Service {
        &self.parts.chat
    }

    /// The stores.
    pub fn stores(&self) -> &Stores {
        &self.parts.stores
    }

    /// What sends sign-in links.
    pub fn mail(&self) -> Option<&Arc<dyn Mail>> {
        self.parts.mail.as_ref()
    }

    /// The limits and facts of the HTTP surface.
    pub fn settings(&self) -> &Settings {
        &self.parts.settings
    }

    /// The cookies that browsers get here.
    pub fn cookies(&self) -> Cookies {
        Cookies::under(&self.parts.settings.origin)
    }

    /// What the community's members type: its own host under `public_url`'s scheme and port, else `public_url`.
    pub fn origin_of(&self, community: &Community) -> String {
        portcullis_guard::origin_of(&self.parts.settings.origin, community)
    }

    /// What was last found out about the parts that this instance needs.
    pub(crate) fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    pub(crate) fn requests(&self) -> &Requests {
        &self.requests
    }

    /// Answers kept for clients that retry.
    pub fn idempotency(&self) -> &Arc<Idempotency> {
        &self.idempotency
    }
}
