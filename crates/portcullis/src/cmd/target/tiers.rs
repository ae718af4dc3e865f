//! An instance of this build with a clock that can be moved and a community of each tier, so that an hour and a day can be seen
//! to end.
//!
//! Only here an instance gets such a clock: `serve` always takes the machine's, and no setting, flag or route changes that. It
//! lives in a temporary folder, on loopback ports of its own, and ends with the run.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use portcullis_check::target::{Credential, Here, Hooks, Identity, Method, Route, TierPlace};
use portcullis_config::{Config, Environment, Flags, Windows};
use portcullis_core::{AbilitySet, Clock, CommunityId, Role, SystemClock, Tier};
use portcullis_guard::{Charge, Rates, Subject};
use portcullis_http::App;
use portcullis_store::{KeyActor, NewCommunity, NewMember};

use super::super::serve::{self, Serving};
use crate::instance::{Instance, Kept, Wanted};

/// The machine's clock, moved forward.
#[derive(Debug, Default)]
struct Moved {
    machine: SystemClock,
    ahead_s: AtomicU64,
}

impl Moved {
    fn ahead(&self) -> Duration {
        Duration::from_secs(self.ahead_s.load(Ordering::SeqCst))
    }
}

impl Clock for Moved {
    fn now(&self) -> Timestamp {
        self.machine.now().checked_add(self.ahead()).unwrap_or(Timestamp::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.machine.monotonic().saturating_add(self.ahead())
    }
}

/// The running instance.
#[derive(Debug)]
pub(super) struct Tiers {
    instance: Instance,
    serving: Serving,
    _folder: tempfile::TempDir,
}

/// What a check may do to it: for one community.
struct Lever {
    clock: Arc<Moved>,
    app: Arc<App>,
    community: CommunityId,
    rates: Rates,
    configured: [u64; 3],
}

impl Here for Lever {
    fn limits(&self) -> [u64; 3] {
        self.configured
    }

    fn advance(&self, by: Duration) {
        self.clock.ahead_s.fetch_add(by.as_secs(), Ordering::SeqCst);
    }

    fn preload(&self, amount: u32) {
        let now = self.clock.monotonic();
        let charge = Charge { subject: Subject::Community(self.community), rates: self.rates, amount: 0 };
        // What has happened is counted, whatever the limit.
        self.app.gate().counters().local().settle(now, now, &[charge], amount);
    }
}

/// Starts it with the tiers of `config`.
pub(super) async fn start(config: &Config) -> Result<(Tiers, Vec<TierPlace>)> {
    let folder =
        tempfile::Builder::new().prefix("portcullis-check-").tempdir().context("no temporary folder")?;
    let made = portcullis_config::init(folder.path())?;
    let plenty = "1000000";
    let flags = Flags::none()
        .with("--listen", "listen.member", "127.0.0.1:0")
        .with("--listen", "listen.operator", "127.0.0.1:0")
        .with("--set", "limits.per_key_per_minute", plenty)
        .with("--set", "limits.per_address_per_minute", plenty);
    let mut own = portcullis_config::load(&made.config, &Environment::of::<&str, &str>([]), &flags)
        .map_err(|problems| anyhow::anyhow!("{problems}"))
        .context("the configuration of the instance for tiers is not valid")?
        .config;
    own.tiers = config.tiers;
    own.danger = config.danger.clone();
    let clock = Arc::new(Moved::default());
    let instance = Instance::at(&own, Arc::clone(&clock) as Arc<dyn Clock>)?;
    let mut places = Vec::new();
    for tier in Tier::ALL {
        let configured = match tier {
            Tier::Standard => config.tiers.standard,
            Tier::Enhanced => config.tiers.enhanced,
            Tier::Dedicated => config.tiers.dedicated,
        };
        places.push(place(&instance, &clock, tier, configured).await?);
    }
    let serving = serve::start(&instance, &own).await?;
    let at: portcullis_check::target::Uri = format!("http://{}", serving.address).parse()?;
    for place in &mut places {
        place.at = Some(at.clone());
    }
    Ok((Tiers { instance, serving, _folder: folder }, places))
}

impl Tiers {
    pub(super) async fn stop(self) -> Result<()> {
        serve::stop(self.instance, self.serving).await
    }
}

/// A community of that tier, with somebody who asks.
async fn place(
    instance: &Instance,
    clock: &Arc<Moved>,
    tier: Tier,
    configured: Windows,
) -> Result<TierPlace> {
    let kept = &instance.kept;
    let slug = format!("portcullis-tier-{}", tier.name());
    let new = NewCommunity { slug: slug.clone(), name: "For tiers only".to_owned(), host: None, tier };
    let community = kept.stores.directory.create(new).await?;
    let new = NewMember { name: "asker".to_owned(), email: None, role: Some(Role::Member) };
    let member = kept.stores.members.add(&Kept::operator(&community), new).await?.id;
    let wanted = Wanted {
        name: "tiers",
        actor: KeyActor::Member(member),
        ceiling: None,
        abilities: AbilitySet::SESSION,
        expires: None,
    };
    let (text, _) = kept.issue_key(&community, wanted).await?;
    let asker =
        Identity::new(&format!("asker of {}", tier.name()), &slug, Credential::bearer(text.expose().clone()));
    let Windows { minute, hour, day } = configured;
    let rates = Rates { minute: Some(minute), hour: Some(hour), day: Some(day) };
    let lever = Lever {
        clock: Arc::clone(clock),
        app: Arc::clone(&instance.app),
        community: community.id,
        rates,
        configured: [minute, hour, day].map(NonZeroU32::get).map(u64::from),
    };
    Ok(TierPlace {
        tier: tier.name().to_owned(),
        at: None,
        // Whatever is asked counts, and this costs least.
        route: Route::new(Method::GET, "/v1/models"),
        askers: vec![asker],
        hooks: Hooks::Here(Arc::new(lever)),
    })
}
