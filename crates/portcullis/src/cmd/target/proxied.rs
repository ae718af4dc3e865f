//! An instance of this build that takes one loopback address for its proxy's, so that requests can come from IPv6 networks that this
//! machine does not have.
//!
//! The instance that is judged believes whom its configuration says. This one lives in a temporary folder, on loopback ports of its
//! own, and ends with the run; what becomes of an address that a proxy reports is the same code.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use portcullis_check::target::{Credential, Forwarded, Identity, Method, Route};
use portcullis_config::{Config, Environment, Flags};
use portcullis_core::{AbilitySet, Role, Tier};
use portcullis_store::{KeyActor, NewCommunity, NewMember};

use super::super::serve::{self, Serving};
use super::blocking;
use crate::instance::{Instance, Kept, Wanted};

const SLUG: &str = "portcullis-proxied";
/// The address that is believed. The checks choose others for whatever is not to be believed.
const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 9);
/// Enough for what else is asked there, and soon reached.
const PER_ADDRESS: u32 = 60;

/// The running instance.
#[derive(Debug)]
pub(super) struct Proxied {
    instance: Instance,
    serving: Serving,
    _folder: tempfile::TempDir,
}

/// Starts it with the guards as `config` sets them.
pub(super) async fn start(config: &Config) -> Result<(Proxied, Forwarded)> {
    let folder =
        tempfile::Builder::new().prefix("portcullis-check-").tempdir().context("no temporary folder")?;
    let made = portcullis_config::init(folder.path())?;
    let flags = Flags::none()
        .with("--listen", "listen.member", "127.0.0.1:0")
        .with("--listen", "listen.operator", "127.0.0.1:0")
        .with("--set", "proxies.trusted", format!("{PROXY}/32"))
        .with("--set", "limits.per_key_per_minute", "1000000")
        .with("--set", "limits.per_address_per_minute", PER_ADDRESS.to_string());
    let mut own = portcullis_config::load(&made.config, &Environment::of::<&str, &str>([]), &flags)
        .map_err(|problems| anyhow::anyhow!("{problems}"))
        .context("the configuration of the instance behind a proxy is not valid")?
        .config;
    own.danger = config.danger.clone();
    let instance = Instance::open(&own)?;
    let asker = somebody(&instance.kept).await?;
    let serving = serve::start(&instance, &own).await?;
    let operator = serving.operator.as_ref().map(|operator| operator.address);
    let blocklist = operator.and_then(|operator| blocking::list(&own, operator));
    let forwarded = Forwarded {
        at: Some(format!("http://{}", serving.address).parse()?),
        from: Some(PROXY),
        header: "X-Forwarded-For".to_owned(),
        askers: vec![asker],
        // Whatever is asked counts, and this costs least.
        asked: Route::new(Method::GET, "/v1/me"),
        address_per_minute: Some(PER_ADDRESS),
        // The other one's list is not this one's.
        blocklist: Some(blocklist.context("the instance behind a proxy has no operator plane")?),
    };
    Ok((Proxied { instance, serving, _folder: folder }, forwarded))
}

impl Proxied {
    pub(super) async fn stop(self) -> Result<()> {
        serve::stop(self.instance, self.serving).await
    }
}

/// A community with somebody who asks.
async fn somebody(kept: &Kept) -> Result<Identity> {
    let new = NewCommunity {
        slug: SLUG.to_owned(),
        name: "For addresses only".to_owned(),
        host: None,
        tier: Tier::Dedicated,
    };
    let community = kept.stores.directory.create(new).await?;
    let new = NewMember { name: "asker".to_owned(), email: None, role: Some(Role::Member) };
    let member = kept.stores.members.add(&Kept::operator(&community), new).await?.id;
    let wanted = Wanted {
        name: "proxied",
        actor: KeyActor::Member(member),
        ceiling: None,
        abilities: AbilitySet::SESSION,
        expires: None,
    };
    let (text, _) = kept.issue_key(&community, wanted).await?;
    Ok(Identity::new("asker behind a proxy", SLUG, Credential::bearer(text.expose().clone())))
}
