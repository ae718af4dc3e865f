//! An instance that takes one loopback address for its proxy's, so that requests can come from IPv6 networks that this machine does
//! not have.
//!
//! The instance that is judged believes whom its configuration says; what becomes of an address that a proxy reports is the same
//! code.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use portcullis_check::target::{Forwarded, Method, Route};
use portcullis_config::Config;
use portcullis_core::Role;

use super::beside::{Beside, Club, PLENTY, Site};
use super::blocking;
use crate::instance::Instance;

const SLUG: &str = "portcullis-proxied";
/// The address that is believed. The checks choose others for whatever is not to be believed.
const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 9);
/// Enough for what else is asked there, and soon reached.
const PER_ADDRESS: u32 = 60;

/// Starts it with the guards as `config` sets them.
pub(super) async fn start(config: &Config) -> Result<(Beside, Forwarded)> {
    let (proxy, per_address) = (format!("{PROXY}/32"), PER_ADDRESS.to_string());
    let settings = [
        ("proxies.trusted", proxy.as_str()),
        ("limits.per_key_per_minute", PLENTY),
        ("limits.per_address_per_minute", per_address.as_str()),
    ];
    let mut site = Site::new("behind a proxy", settings)?;
    site.config.danger = config.danger.clone();
    let instance = Instance::open(&site.config)?;
    let club = Club::new(&instance.kept, SLUG, "For addresses only").await?;
    let asker = club.somebody("asker behind a proxy", Role::Member).await?;
    let own = site.config.clone();
    let proxied = site.serve(instance, Vec::new()).await?;
    let operator = proxied.serving.operator.as_ref().map(|operator| operator.address);
    let blocklist = operator.and_then(|operator| blocking::list(&own, operator));
    let forwarded = Forwarded {
        at: Some(proxied.at()?),
        from: Some(PROXY),
        header: "X-Forwarded-For".to_owned(),
        askers: vec![asker],
        // Whatever is asked counts, and this costs least.
        asked: Route::new(Method::GET, "/v1/me"),
        address_per_minute: Some(PER_ADDRESS),
        // The other one's list is not this one's.
        blocklist: Some(blocklist.context("the instance behind a proxy has no operator plane")?),
    };
    Ok((proxied, forwarded))
}
