//! Cases of the directory port.

use std::time::Duration;

use portcullis_core::{CommunityId, Locator, Tier};

use super::{World, approvals, conversations, handovers, refusal};
use crate::approvals::LONGEST_UNDER_WAY;
use crate::{CommunityRef, Decision, KeptSince, Kind, NewCommunity, Removed, Strangers};

fn new(slug: &str, host: Option<&str>) -> NewCommunity {
    NewCommunity {
        slug: slug.to_owned(),
        name: "Some community".to_owned(),
        host: host.map(str::to_owned),
        tier: Tier::Enhanced,
    }
}

/// Every name leads to the same community, each time it is asked.
pub async fn a_community_is_found_by_every_one_of_its_names(world: &World) {
    for side in [&world.a, &world.b] {
        let community = &side.community;
        let host = community.host.as_deref().expect("the fixture has hosts");
        for name in [
            CommunityRef::Id(community.id),
            CommunityRef::Slug(&community.slug),
            CommunityRef::Locator(&community.locator),
            CommunityRef::Host(host),
        ] {
            for _ in 0..2 {
                let found = world.stores.directory.find(name).await.expect("the store answers");
                assert_eq!(found.as_ref(), Some(community), "by {name:?}");
            }
        }
    }
}

/// A name nobody has finds nobody, and a name of one kind is not taken for another.
pub async fn an_unknown_name_finds_nothing(world: &World) {
    let slug = world.a.community.slug.as_str();
    for name in [
        CommunityRef::Id(CommunityId::from_bytes([7; 16])),
        CommunityRef::Slug("nobody"),
        CommunityRef::Slug("' OR 1=1 --"),
        CommunityRef::Slug(""),
        CommunityRef::Locator(&Locator::random()),
        CommunityRef::Host(slug),
        CommunityRef::Host(""),
    ] {
        assert_eq!(world.stores.directory.find(name).await.expect("the store answers"), None, "by {name:?}");
    }
}

/// A second community under a slug or host in use is refused, and the list is as before.
pub async fn a_name_in_use_is_a_conflict_and_leaves_nothing_behind(world: &World) {
    let directory = &world.stores.directory;
    let before = directory.list().await.expect("the store answers");
    for taken in [new("alpha", None), new("gamma", Some("beta.example.org"))] {
        assert_eq!(refusal(directory.create(taken).await), Some(Kind::Conflict));
    }
    assert_eq!(directory.list().await.expect("the store answers"), before);
    directory.create(new("gamma", None)).await.expect("a refused attempt blocks no later one");
}

/// Names that are not of the documented form are refused.
pub async fn malformed_names_are_invalid(world: &World) {
    for slug in ["", "a", "Upper", "with space", "under_score", "dot.ted", &"x".repeat(41), "ä-b", "a/../b"]
    {
        assert_eq!(
            refusal(world.stores.directory.create(new(slug, None)).await),
            Some(Kind::Invalid),
            "{slug:?}"
        );
    }
    for host in ["", "Upper.example.org", "example.org:80", "https://example.org", "a b"] {
        let created = world.stores.directory.create(new("delta", Some(host))).await;
        assert_eq!(refusal(created), Some(Kind::Invalid), "{host:?}");
    }
    let nameless = NewCommunity { name: " ".to_owned(), ..new("delta", None) };
    assert_eq!(refusal(world.stores.directory.create(nameless).await), Some(Kind::Invalid));
}

/// A tier changes for the next look-up, for that community only.
pub async fn a_tier_changes_for_one_community_only(world: &World) {
    let directory = &world.stores.directory;
    directory.find(CommunityRef::Id(world.a.community.id)).await.expect("the store answers");
    directory.set_tier(world.a.community.id, Tier::Dedicated).await.expect("the tier is set");
    for (side, tier) in [(&world.a, Tier::Dedicated), (&world.b, Tier::Standard)] {
        let found = directory.find(CommunityRef::Locator(&side.community.locator)).await;
        assert_eq!(found.expect("the store answers").expect("it is there").tier, tier);
    }
    let unknown = directory.set_tier(CommunityId::from_bytes([9; 16]), Tier::Dedicated).await;
    assert_eq!(refusal(unknown), Some(Kind::NotFound));
}

/// All communities are listed, in the order of their slugs.
pub async fn communities_are_listed_by_slug(world: &World) {
    let created = world.stores.directory.create(new("aardvark", None)).await.expect("it is created");
    let listed = world.stores.directory.list().await.expect("the store answers");
    assert_eq!(listed, [created, world.a.community.clone(), world.b.community.clone()]);
    let only = world.stores.directory.find(CommunityRef::Only).await.expect("the store answers");
    assert_eq!(only, None, "none of several is the only one");
    world.stores.directory.ping().await.expect("a store that lists is reachable");
}

/// Of many attempts at one slug at once, one succeeds and the others are conflicts.
pub async fn one_of_many_at_once_gets_a_slug(world: &World) {
    let tasks = portcullis_core::Tasks::new();
    let attempts: Vec<_> = (0..8)
        .map(|_| {
            let directory = std::sync::Arc::clone(&world.stores.directory);
            tasks.spawn(async move { directory.create(new("epsilon", None)).await })
        })
        .collect();
    let mut created = 0;
    for attempt in attempts {
        match attempt.await.expect("the attempt ends") {
            Ok(_) => created += 1,
            Err(error) => assert_eq!(error.kind(), Kind::Conflict),
        }
    }
    assert_eq!(created, 1);
    let found = world.stores.directory.find(CommunityRef::Slug("epsilon")).await.expect("the store answers");
    let found = found.expect("the one that succeeded is there");
    let plans = world.stores.identity.standing(found.id, world.a.plain, world.now()).await;
    assert_eq!(plans.expect("its storage is whole"), None);
}

/// What a community keeps for a time goes when that is over, though nothing new comes; what is younger stays, and so does what
/// another community has.
pub async fn what_is_kept_for_a_time_goes(world: &World) {
    let (directory, stores) = (&world.stores.directory, &world.stores);
    let mut kept = Vec::new();
    for side in [&world.a, &world.b] {
        let (asker, moderator) =
            (world.scope(side, side.plain).await, world.scope(side, side.moderator).await);
        handovers::queued(world, &asker, "Long ago").await;
        approvals::requested(world, &asker, "{\"n\":1}").await;
        kept.push((side.community.id, asker, moderator));
    }
    world.clock.advance(Duration::from_secs(10));
    let now = world.now();
    let count = async |place: usize| {
        let (_, asker, moderator) = kept.get(place).expect("a side");
        let listed = stores.handovers.list(moderator, jiff::Timestamp::MIN).await.expect("listed").len();
        (listed, stores.approvals.own(asker, jiff::Timestamp::MIN).await.expect("listed").len())
    };
    let (id, asker, moderator) = kept.first().expect("a side");
    let calls = &stores.approvals;
    // It was asked for as long ago, and is being made.
    let begun = calls.own(asker, jiff::Timestamp::MIN).await.expect("listed").remove(0).id;
    calls
        .decide(moderator, begun, Decision::Approve { until: world.after(World::LINK) })
        .await
        .expect("approved");
    calls.begin(asker, begun).await.expect("begun");
    let waits = approvals::requested(world, asker, "{\"n\":2}").await;
    handovers::queued(world, asker, "Just now").await;
    let due = async |since| directory.remove_due(*id, since).await.expect("removed");
    let one = |waited| Removed { entries: 1, waited };
    let since = KeptSince { handovers: jiff::Timestamp::MIN, approvals: jiff::Timestamp::MIN };
    assert_eq!(due(since).await, Removed::default());
    assert_eq!(count(0).await, (2, 2));
    let since = KeptSince { handovers: now, approvals: jiff::Timestamp::MIN };
    assert_eq!(due(since).await, one(Vec::new()));
    assert_eq!(count(0).await, (1, 2));
    let since = KeptSince { approvals: now, ..since };
    assert_eq!(due(since).await, Removed::default(), "what is under way stays, and what is no older");
    world.clock.advance(LONGEST_UNDER_WAY);
    assert_eq!(due(since).await, one(Vec::new()), "nobody waits for its end any more");
    assert_eq!((count(0).await, count(1).await), ((1, 1), (1, 1)));
    let since = KeptSince { approvals: world.now(), ..since };
    assert_eq!(due(since).await, one(vec![waits]), "it is told what is not made now");
    assert_eq!((count(0).await, count(1).await), ((1, 0), (1, 1)));
    let unknown = directory.remove_due(CommunityId::from_bytes([7; 16]), since).await;
    assert_eq!(refusal(unknown), Some(Kind::NotFound));
}

/// A link, a session, an invitation and a call that its conversation has left go when they are over, though nothing else is due.
pub async fn what_is_over_by_itself_goes_alone(world: &World) {
    let (side, stores) = (&world.a, &world.stores);
    let since = KeptSince { handovers: jiff::Timestamp::MIN, approvals: jiff::Timestamp::MIN };
    let due = async || stores.directory.remove_due(side.community.id, since).await.expect("removed").entries;
    assert_eq!(due().await, 0);
    world.ask(side, "plain@example.org", Strangers::Refuse, None).await;
    assert_eq!(due().await, 0);
    world.clock.advance(World::LINK);
    assert_eq!((due().await, due().await), (1, 0), "a link");
    world.sign_in(side, "plain@example.org").await;
    assert_eq!(due().await, 0);
    world.clock.advance(World::SESSION);
    assert_eq!((due().await, due().await), (1, 0), "a session");
    world.invite(side, world.new_invitation(side)).await;
    assert_eq!(due().await, 0);
    world.clock.advance(World::TERM);
    assert_eq!((due().await, due().await), (2, 0), "an invitation, and that there was the session");

    let (asker, moderator) = (world.scope(side, side.plain).await, world.scope(side, side.moderator).await);
    let conversation = conversations::begin(world, &asker, "Mine", &[]).await;
    let call = approvals::in_conversation(world, &asker, conversation).await;
    let until = world.after(World::LINK);
    stores.approvals.decide(&moderator, call, Decision::Approve { until }).await.expect("approved");
    stores.approvals.begin(&asker, call).await.expect("begun");
    stores.conversations.remove(&asker, conversation).await.expect("removed");
    assert_eq!(due().await, 0, "its end is noted first");
    world.clock.advance(LONGEST_UNDER_WAY);
    assert_eq!((due().await, due().await), (1, 0), "a call that came to no end");
    assert_eq!(refusal(stores.approvals.get(&asker, call).await), Some(Kind::NotFound));
}
