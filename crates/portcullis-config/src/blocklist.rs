//! Which addresses are refused: `[blocklist]`.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::codes::Code;
use crate::config::{Proxies, Reader};
use crate::diagnostic::Severity;
use crate::keys;
use crate::network::Cidr;
use crate::shape::Fault;
use crate::value::shown;

/// Which addresses are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Blocklist {
    /// Always.
    pub networks: Vec<Cidr>,
    /// Never for what they did.
    pub allow: Vec<Cidr>,
    /// Whether addresses are blocked for what they did.
    pub automatic: bool,
    /// After so many refused credentials.
    pub refused_credentials: NonZeroU32,
    /// After so many requests beyond the limits of the address.
    pub refused_requests: NonZeroU32,
    /// After so many malformed requests.
    pub malformed_requests: NonZeroU32,
    /// The time in which all that an address did decays.
    pub window: Duration,
    /// How long such a block lasts.
    pub lasts: Duration,
}

pub(crate) fn read(r: &mut Reader<'_>, proxies: Option<&Proxies>) -> Option<Blocklist> {
    let networks = r.required(&keys::BLOCKLIST_NETWORKS);
    let allow = r.required(&keys::BLOCKLIST_ALLOW);
    let automatic = r.required(&keys::BLOCKLIST_AUTOMATIC);
    let refused_credentials = r.required(&keys::BLOCKLIST_CREDENTIALS);
    let refused_requests = r.required(&keys::BLOCKLIST_REFUSED);
    let malformed_requests = r.required(&keys::BLOCKLIST_MALFORMED);
    let window = r.required(&keys::BLOCKLIST_WINDOW);
    let lasts = r.required(&keys::BLOCKLIST_LASTS);
    if let (Some(networks), Some(proxies)) = (&networks, proxies) {
        for network in networks {
            if let Some(proxy) = proxies.trusted.iter().find(|proxy| proxy.meets(network)) {
                let fault = Fault::new(Code::Excluded, format!("must hold no trusted proxy (`{proxy}`)"))
                    .found(shown(&network.to_string()))
                    .help("everybody is behind a proxy; list the clients that are meant");
                r.report(keys::BLOCKLIST_NETWORKS.name, fault, Severity::Error);
            }
        }
    }
    Some(Blocklist {
        networks: networks?,
        allow: allow?,
        automatic: automatic?,
        refused_credentials: refused_credentials?,
        refused_requests: refused_requests?,
        malformed_requests: malformed_requests?,
        window: window?,
        lasts: lasts?,
    })
}
