//! How this instance blocks addresses, for the checks that try it.

use std::net::SocketAddr;
use std::time::Duration;

use portcullis_check::target::{
    AutoBlock, Blocklist, Credential, Drops, ENTRY, Load, Method, NETWORK, Rehearsal, Route,
};
use portcullis_config::Config;
use portcullis_guard::Code;
use serde_json::json;

/// An entry that a run could not take off ends by itself.
const FORGOTTEN_SECONDS: u32 = 120;
/// Enough to be refused many times, little enough for a machine that also runs the checks.
const FLOOD_PER_SECOND: u32 = 100;
/// How long a block lasts where it is tried.
pub(super) const LASTS: Duration = Duration::from_secs(2);

/// The operator's list, where there is an operator plane on this machine.
pub(super) fn list(config: &Config, operator: SocketAddr) -> Option<Blocklist> {
    let token = config.secrets.operator_token.as_ref()?;
    // Elsewhere it speaks TLS under a name that the checks do not know.
    if !operator.ip().to_canonical().is_loopback() || operator.port() == 0 {
        return None;
    }
    let entry = json!({ "network": NETWORK, "reason": "portcullis check", "seconds": FORGOTTEN_SECONDS });
    Some(Blocklist {
        at: Some(format!("http://{operator}").parse().ok()?),
        operator: Credential::bearer(token.expose().clone()),
        add: Route::new(Method::POST, "/blocklist").body(entry),
        entry: Some("/id".to_owned()),
        remove: Route::new(Method::DELETE, "/blocklist/{block}").param("block", ENTRY),
        list: Route::new(Method::GET, "/blocklist"),
        asked: asked(),
        marker: Code::AddressBlocked.name().to_owned(),
    })
}

/// What is blocked by itself, on the instance for rehearsals: it has the same thresholds, and blocks end soon.
pub(super) fn by_itself(config: &Config, rehearsal: &Rehearsal) -> Option<AutoBlock> {
    if !config.blocklist.automatic {
        return None;
    }
    Some(AutoBlock {
        at: rehearsal.at.clone(),
        asker: rehearsal.askers.first()?.clone(),
        asked: asked(),
        threshold: config.blocklist.refused_credentials.get(),
        lasts: LASTS,
        marker: Code::AddressBlocked.name().to_owned(),
    })
}

/// What a flood may be: whoever allows drills on an instance of their own has consented to it.
pub(super) fn load(list: Option<&Blocklist>) -> Load {
    Load {
        consent: "whoever ran `portcullis check --allow drills` on this machine".to_owned(),
        requests_per_second: FLOOD_PER_SECOND,
        asked: Route::new(Method::GET, "/readyz").public(),
        drops: list.map(|list| Drops {
            at: list.at.clone(),
            operator: list.operator.clone(),
            route: Route::new(Method::GET, "/metrics"),
            line: "status=\"4xx\"".to_owned(),
        }),
        plan: None,
    }
}

fn asked() -> Route {
    Route::new(Method::GET, "/v1/me")
}
