//! Where the target takes the checker for a proxy that it trusts, so that a request can come from any address.

use std::net::Ipv4Addr;

use http::Uri;

use super::{Blocklist, Identity, Route};

/// How an address that this machine does not have is claimed, and believed.
#[derive(Debug, Clone)]
pub struct Forwarded {
    /// Where, when it is not the target itself: scheme, host and port.
    pub at: Option<Uri>,
    /// The address of this machine that is taken for the proxy's, on its loopback; none where it is whichever requests come
    /// from.
    pub from: Option<Ipv4Addr>,
    /// The header that is believed.
    pub header: String,
    /// Those who ask there: as many as it takes to reach an address's limit before one of their own.
    pub askers: Vec<Identity>,
    /// A request whose number is limited for each address.
    pub asked: Route,
    /// How many of them a minute an address may send; none where that is not promised.
    pub address_per_minute: Option<u32>,
    /// The blocklist there, when it is not the target's own.
    pub blocklist: Option<Blocklist>,
}
