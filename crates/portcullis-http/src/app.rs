//! What the routes work with.

use std::sync::Arc;
use std::time::Duration;

use portcullis_chat::Service;
use portcullis_guard::Gate;
use portcullis_store::Stores;

use crate::address::TrustedProxies;
use crate::idempotency::Idempotency;

/// What an [`App`] is made of.
#[derive(Debug)]
pub struct AppParts {
    /// The guards.
    pub gate: Arc<Gate>,
    /// Who answers questions.
    pub chat: Service,
    /// The stores.
    pub stores: Stores,
    /// The limits and facts of the HTTP surface.
    pub settings: Settings,
}

/// The limits and facts of the HTTP surface.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Proxies whose word about the client's address is believed.
    pub proxies: TrustedProxies,
    /// Whether browsers reach this instance by HTTPS, as `public_url` says.
    pub https: bool,
    /// The largest body, in bytes.
    pub body_bytes: usize,
    /// The longest time to the first byte of a response.
    pub request_timeout: Duration,
    /// The most answers kept for clients that retry.
    pub idempotency_entries: usize,
    /// How long an answer is kept for a client that retries.
    pub idempotency_ttl: Duration,
}

/// One running instance's HTTP surface, shared by all requests.
#[derive(Debug)]
pub struct App {
    parts: AppParts,
    idempotency: Arc<Idempotency>,
}

impl App {
    /// Puts the parts together.
    pub fn new(parts: AppParts) -> Arc<Self> {
        let idempotency =
            Arc::new(Idempotency::new(parts.settings.idempotency_entries, parts.settings.idempotency_ttl));
        Arc::new(Self { parts, idempotency })
    }

    /// The guards.
    pub fn gate(&self) -> &Gate {
        &self.parts.gate
    }

    /// Who answers questions.
    pub fn chat(&self) -> &Service {
        &self.parts.chat
    }

    /// The stores.
    pub fn stores(&self) -> &Stores {
        &self.parts.stores
    }

    /// The limits and facts of the HTTP surface.
    pub fn settings(&self) -> &Settings {
        &self.parts.settings
    }

    /// Answers kept for clients that retry.
    pub fn idempotency(&self) -> &Arc<Idempotency> {
        &self.idempotency
    }
}
