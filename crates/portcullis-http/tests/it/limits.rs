//! Limits through the gate: 64 at once, every window, every subject, and several instances.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use http::StatusCode;
use portcullis_core::{Role, SystemClock};
use portcullis_guard::{
    Allowance, Charge, CounterStore, Decision, MemoryCounters, Moment, Rates, SecurityEvent, Subject, Tiers,
    Unavailable,
};
use serde_json::Value;

use crate::app::{Answer, Person, Setup, TestApp};

/// Requests under way at the same time.
const AT_ONCE: usize = 64;

fn rates(minute: u32, hour: u32, day: u32) -> Rates {
    Rates { minute: NonZeroU32::new(minute), hour: NonZeroU32::new(hour), day: NonZeroU32::new(day) }
}

fn standard(rates: Rates) -> Tiers {
    Tiers { standard: rates, ..Tiers::default() }
}

/// So many requests, 64 at once, by these keys in turn. Returns how many were let through.
async fn flood(ways: &[(&TestApp, &str)], many: usize) -> usize {
    let answers = stream::iter(0..many)
        .map(|number| {
            let (app, key) = ways[number % ways.len()];
            app.get("/v1/me", key)
        })
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    for answer in &answers {
        match answer.status {
            StatusCode::OK => {}
            StatusCode::TOO_MANY_REQUESTS => is_told(answer),
            other => panic!("{other}: {}", answer.text()),
        }
    }
    answers.iter().filter(|answer| answer.status == StatusCode::OK).count()
}

/// A refusal names the limit, says that nothing is left and when to come again.
fn is_told(answer: &Answer) {
    assert_eq!(answer.json()["code"], "rate_limited");
    let wait: u64 = answer.headers["retry-after"].to_str().expect("text").parse().expect("seconds");
    let left = answer.headers["ratelimit"].to_str().expect("text");
    assert!(left.contains(";r=0;"), "{left}");
    assert!(left.ends_with(&format!(";t={wait}")), "{left} and {wait}");
}

/// What somebody who is signed in reads.
async fn by(app: &TestApp, person: &Person, path: &str) -> Answer {
    let request = app.request(http::Method::GET, path, None);
    let request =
        person.headers().into_iter().fold(request, |request, (name, value)| request.header(name, value));
    app.send(request.body(bytes::Bytes::new()).expect("a request")).await
}

async fn member_key(app: &TestApp, world: &crate::app::World, name: &str) -> String {
    app.key_of(world, app.member(world, name, None).await).await.0
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_at_once_get_exactly_the_limit() {
    let app = TestApp::start(Setup { per_actor: 50, ..Setup::default() }).await;
    let world = app.world("one").await;
    let (ada, bo) = (member_key(&app, &world, "Ada").await, member_key(&app, &world, "Bo").await);
    assert_eq!(flood(&[(&app, &ada)], 400).await, 50);
    assert_eq!(flood(&[(&app, &bo)], 400).await, 50, "one member's limit is no other's");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_guesses_at_once_are_told_as_many_refusals_as_one_after_the_other() {
    let app = TestApp::start(Setup { refused_per_address: 20, ..Setup::default() }).await;
    let world = app.world("one").await;
    let key = member_key(&app, &world, "Ada").await;
    // A locator that there is, so that each is looked up, and a secret that is not its own.
    let (named, secret) = key.rsplit_once('_').expect("a key has parts");
    let wrong = format!("{named}_{}", secret.chars().rev().collect::<String>());
    let answers = stream::iter(0..400)
        .map(|_| app.get("/v1/me", &wrong))
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    let with = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!(with(StatusCode::UNAUTHORIZED), 20);
    assert_eq!(with(StatusCode::TOO_MANY_REQUESTS), 380);
    for answer in answers.iter().filter(|answer| answer.status == StatusCode::TOO_MANY_REQUESTS) {
        is_told(answer);
    }
    assert_eq!(app.get("/v1/me", &key).await.status, StatusCode::TOO_MANY_REQUESTS, "with the right key too");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_community_has_the_limit_of_its_tier_whoever_asks() {
    let app = TestApp::start(Setup { tiers: standard(rates(60, 2_000, 20_000)), ..Setup::default() }).await;
    let (one, two) = (app.world("one").await, app.world("two").await);
    let keys = join_all((0..8).map(|number| {
        let (app, one) = (&app, &one);
        async move { member_key(app, one, &format!("Member {number}")).await }
    }))
    .await;
    let ways: Vec<_> = keys.iter().map(|key| (&app, key.as_str())).collect();
    assert_eq!(flood(&ways, 300).await, 60);
    // Who can end a flood is not kept out by it.
    let owner = app.person(&one, "Olga", Role::Owner).await;
    assert_eq!(by(&app, &owner, "/admin/members").await.status, StatusCode::OK);
    assert_eq!(by(&app, &owner, "/v1/me").await.status, StatusCode::TOO_MANY_REQUESTS);
    let other = member_key(&app, &two, "Ada").await;
    assert_eq!(app.get("/v1/me", &other).await.status, StatusCode::OK, "another community is not touched");
    // A tier holds from the next request on.
    app.stores
        .directory
        .set_tier(one.community.id, portcullis_core::Tier::Enhanced)
        .await
        .expect("the tier is set");
    let enhanced = app.get("/v1/me", &keys[0]).await;
    assert_eq!(enhanced.status, StatusCode::OK);
    let policy = enhanced.headers["ratelimit-policy"].to_str().expect("text").to_owned();
    assert!(policy.contains("\"community-minute\";q=300;w=60"), "{policy}");
    assert!(policy.contains("\"community-day\";q=100000;w=86400"), "{policy}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hours_and_days_are_held_to_as_minutes_are() {
    for (limits, window, longest) in [
        (rates(100, 20, 90), "hour", 3_660),
        (rates(100, 90, 20), "day", 87_840),
        (rates(20, 90, 90), "minute", 61),
    ] {
        let app = TestApp::start(Setup { rates: (Some(limits), None, None), ..Setup::default() }).await;
        let world = app.world("one").await;
        let key = member_key(&app, &world, "Ada").await;
        assert_eq!(flood(&[(&app, &key)], 100).await, 20, "{window}");
        let refused = app.get("/v1/me", &key).await;
        let left = refused.headers["ratelimit"].to_str().expect("text");
        assert!(left.starts_with(&format!("\"member-{window}\";")), "{left}");
        let wait: u64 = refused.headers["retry-after"].to_str().expect("text").parse().expect("seconds");
        assert!(wait <= longest && wait > longest * 9 / 10, "{wait} for a {window}");
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_limit_refuses_counts_against_no_other() {
    let app =
        TestApp::start(Setup { per_actor: 5, tiers: standard(rates(20, 2_000, 20_000)), ..Setup::default() })
            .await;
    let world = app.world("one").await;
    let (ada, bo) = (member_key(&app, &world, "Ada").await, member_key(&app, &world, "Bo").await);
    assert_eq!(flood(&[(&app, &ada)], 200).await, 5);
    let left = app.get("/v1/me/limits", &bo).await.json();
    assert_eq!(of(&left, "community", "minute")["remaining"], 14, "five of hers and this one: {left}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_and_a_key_have_limits_beneath_their_members() {
    let app = TestApp::start(Setup {
        rates: (Some(rates(16, 500, 500)), Some(rates(10, 400, 400)), None),
        ..Setup::default()
    })
    .await;
    let world = app.world("one").await;
    let ada = app.member(&world, "Ada", None).await;
    let ((one, _), (two, _)) = (app.key_of(&world, ada).await, app.key_of(&world, ada).await);
    assert_eq!(flood(&[(&app, &one)], 100).await, 10, "the key's own");
    assert_eq!(flood(&[(&app, &two)], 100).await, 6, "what the member has left");
    let person = app.person(&world, "Bo", Role::Member).await;
    let mut admitted = 0;
    for _ in 0..20 {
        let answer = by(&app, &person, "/v1/me").await;
        if answer.status == StatusCode::OK {
            admitted += 1;
        } else {
            assert!(answer.text().contains("in this session"), "{}", answer.text());
        }
    }
    assert_eq!(admitted, 10, "the session's own");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_an_hour_and_a_day_whoever_asks_from_it() {
    let address = Rates { minute: NonZeroU32::new(1_000), ..rates(1_000, 30, 500) };
    let app = TestApp::start(Setup { rates: (None, None, Some(address)), ..Setup::default() }).await;
    let (one, two) = (app.world("one").await, app.world("two").await);
    let (ada, bo) = (member_key(&app, &one, "Ada").await, member_key(&app, &two, "Bo").await);
    assert_eq!(flood(&[(&app, &ada), (&app, &bo)], 200).await, 30);
    app.stop().await;
}

fn of<'l>(limits: &'l Value, of: &str, window: &str) -> &'l Value {
    let limits = limits["limits"].as_array().expect("a list");
    limits
        .iter()
        .find(|limit| limit["of"] == of && limit["window"] == window)
        .unwrap_or_else(|| panic!("no {of} {window} in {limits:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_limit_tells_what_remains_and_when_it_resets() {
    let app = TestApp::start(Setup {
        tiers: standard(rates(60, 2_000, 20_000)),
        rates: (
            Some(rates(40, 1_000, 10_000)),
            Some(rates(30, 900, 9_000)),
            Some(rates(300, 10_000, 100_000)),
        ),
        ..Setup::default()
    })
    .await;
    let world = app.world("one").await;
    let key = member_key(&app, &world, "Ada").await;
    for _ in 0..4 {
        app.get("/v1/me", &key).await;
    }
    let answer = app.get("/v1/me/limits", &key).await;
    let told = answer.json();
    assert_eq!(told["tier"], "standard");
    let mut seen = 0;
    for (who, limits) in [
        ("member", [40, 1_000, 10_000]),
        ("key", [30, 900, 9_000]),
        ("community", [60, 2_000, 20_000]),
        ("address", [0, 10_000, 100_000]),
    ] {
        for ((window, seconds), limit) in
            [("minute", 60), ("hour", 3_600), ("day", 86_400)].into_iter().zip(limits)
        {
            // The minute of an address is counted before anybody is known.
            if limit == 0 {
                continue;
            }
            let told = of(&told, who, window);
            assert_eq!(told["limit"], limit, "{who} {window}");
            assert_eq!(told["remaining"], limit - 5, "{who} {window}");
            assert_eq!(told["window_seconds"], seconds);
            let resets: jiff::Timestamp =
                told["resets_at"].as_str().expect("a time").parse().expect("a time");
            let wait = resets.duration_since(app.clock.now());
            assert!(wait.as_secs() > 0 && wait.as_secs() <= seconds * 122 / 120, "{who} {window}: {wait:?}");
            seen += 1;
        }
    }
    assert_eq!(told["limits"].as_array().expect("a list").len(), seen);
    let policy = answer.headers["ratelimit-policy"].to_str().expect("text");
    assert_eq!(
        policy,
        "\"member-minute\";q=40;w=60, \"member-hour\";q=1000;w=3600, \"member-day\";q=10000;w=86400, \
         \"key-minute\";q=30;w=60, \"key-hour\";q=900;w=3600, \"key-day\";q=9000;w=86400, \
         \"community-minute\";q=60;w=60, \"community-hour\";q=2000;w=3600, \"community-day\";q=20000;w=86400, \
         \"address-hour\";q=10000;w=3600, \"address-day\";q=100000;w=86400"
    );
    let left = answer.headers["ratelimit"].to_str().expect("text");
    assert!(left.starts_with("\"key-minute\";r=25;t="), "the tightest: {left}");
    app.stop().await;
}

/// Two gates on one community's data.
async fn two(one: Setup, two: impl FnOnce() -> Setup) -> (TestApp, TestApp, String) {
    let first = TestApp::start(one).await;
    let stores = first.stores.clone();
    let second = TestApp::start(Setup { stores: Box::new(move |_| stores), ..two() }).await;
    let world = first.world("one").await;
    let key = member_key(&first, &world, "Ada").await;
    (first, second, key)
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_that_share_counters_admit_together_what_one_may() {
    let counters: Arc<dyn CounterStore> =
        Arc::new(MemoryCounters::new(1 << 20, Arc::new(SystemClock::new())));
    let setup =
        || Setup { per_actor: 50, instances: 2, shared: Some(Arc::clone(&counters)), ..Setup::default() };
    let (first, second, key) = two(setup(), setup).await;
    assert_eq!(flood(&[(&first, &key), (&second, &key)], 400).await, 50);
    for app in [&first, &second] {
        assert_eq!(app.get("/v1/me", &key).await.status, StatusCode::TOO_MANY_REQUESTS);
    }
    second.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_that_share_nothing_admit_their_part_each() {
    let setup = || Setup { per_actor: 50, refused_per_address: 20, instances: 2, ..Setup::default() };
    let (first, second, key) = two(setup(), setup).await;
    assert_eq!(flood(&[(&first, &key)], 100).await, 25);
    assert_eq!(flood(&[(&second, &key)], 100).await, 25);
    for app in [&first, &second] {
        let mut refused = 0;
        while app.get("/v1/me", "pcl_wrong").await.status == StatusCode::UNAUTHORIZED {
            refused += 1;
        }
        assert_eq!(refused, 10, "its part of what is refused, too");
    }
    second.stop().await;
    first.stop().await;
}

/// Counters that cannot be asked.
#[derive(Debug)]
struct Gone;

#[async_trait]
impl CounterStore for Gone {
    async fn admit(&self, _: &[Charge]) -> Result<(Decision, Moment), Unavailable> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Err(Unavailable { source: None })
    }

    async fn settle(&self, _: Moment, _: &[Charge], _: u32) -> Result<(), Unavailable> {
        Err(Unavailable { source: None })
    }

    async fn standing(&self, _: Subject, _: Rates) -> Result<Vec<Allowance>, Unavailable> {
        Err(Unavailable { source: None })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_shared_counters_an_instance_admits_its_part_and_says_so() {
    let app = TestApp::start(Setup {
        per_actor: 40,
        instances: 4,
        shared: Some(Arc::new(Gone)),
        ..Setup::default()
    })
    .await;
    let world = app.world("one").await;
    let key = member_key(&app, &world, "Ada").await;
    assert_eq!(flood(&[(&app, &key)], 200).await, 10);
    let counted = app.served.gate().events().counts();
    let failed =
        counted.into_iter().find(|(event, _)| *event == SecurityEvent::StoreFailed).expect("it is counted").1;
    assert_eq!(failed, 200, "each time");
    app.stop().await;
}
