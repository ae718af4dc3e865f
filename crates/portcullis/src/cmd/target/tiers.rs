//! An instance with a clock that can be moved and a community of each tier, so that an hour and a day can be seen to end.
//!
//! Only here an instance gets such a clock: `serve` always takes the machine's, and no setting, flag or route changes that.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use portcullis_check::target::{Here, Hooks, Method, Route, TierPlace};
use portcullis_config::{Config, Windows};
use portcullis_core::{Clock, CommunityId, Role, SystemClock, Tier};
use portcullis_guard::{Charge, Rates, Subject};
use portcullis_http::App;

use super::beside::{Beside, Club, NO_LIMITS, Site};
use crate::instance::Instance;

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
pub(super) async fn start(config: &Config) -> Result<(Beside, Vec<TierPlace>)> {
    let mut site = Site::new("for tiers", NO_LIMITS)?;
    site.config.tiers = config.tiers;
    site.config.danger = config.danger.clone();
    let clock = Arc::new(Moved::default());
    let instance = Instance::at(&site.config, Arc::clone(&clock) as Arc<dyn Clock>)?;
    let mut places = Vec::new();
    for tier in Tier::ALL {
        let configured = match tier {
            Tier::Standard => config.tiers.standard,
            Tier::Enhanced => config.tiers.enhanced,
            Tier::Dedicated => config.tiers.dedicated,
        };
        places.push(place(&instance, &clock, tier, configured).await?);
    }
    let tiers = site.serve(instance, Vec::new()).await?;
    let at = tiers.at()?;
    for place in &mut places {
        place.at = Some(at.clone());
    }
    Ok((tiers, places))
}

/// A community of that tier, with somebody who asks.
async fn place(
    instance: &Instance,
    clock: &Arc<Moved>,
    tier: Tier,
    configured: Windows,
) -> Result<TierPlace> {
    let slug = format!("portcullis-tier-{}", tier.name());
    let club = Club::in_tier(&instance.kept, &slug, "For tiers only", tier).await?;
    let asker = club.somebody(&format!("asker of {}", tier.name()), Role::Member).await?;
    let Windows { minute, hour, day } = configured;
    let rates = Rates { minute: Some(minute), hour: Some(hour), day: Some(day) };
    let lever = Lever {
        clock: Arc::clone(clock),
        app: Arc::clone(&instance.app),
        community: club.community.id,
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
