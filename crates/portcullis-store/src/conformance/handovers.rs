//! Cases of handovers: read by moderators, taken note of once, bounded, and gone in time.

use std::time::Duration;

use jiff::Timestamp;
use portcullis_core::{AbilitySet, Actor, HandoverId, KeyAbility, Scope, Tasks};

use super::{World, refusal};
use crate::handovers::{LONGEST_HANDOVER, LONGEST_REASON};
use crate::{Handover, Kind, NewHandover, Queued, Room};

const REASON: &str = "self-harm";

fn always() -> Timestamp {
    Timestamp::MIN
}

fn plenty() -> Room {
    Room { open: 100, of_one: 100, since: always() }
}

fn new(world: &World, text: &str) -> NewHandover {
    NewHandover { id: HandoverId::new(&*world.clock), reason: REASON, text: text.to_owned() }
}

/// Puts a question into the queue.
pub(super) async fn queued(world: &World, scope: &Scope, text: &str) -> HandoverId {
    let new = new(world, text);
    let id = new.id;
    let queued = world.stores.handovers.queue(scope, new, plenty()).await;
    assert_eq!(queued.expect("queued"), Queued::Kept);
    id
}

async fn listed(world: &World, scope: &Scope) -> Vec<Handover> {
    world.stores.handovers.list(scope, always()).await.expect("listed")
}

async fn texts(world: &World, scope: &Scope) -> Vec<String> {
    listed(world, scope).await.into_iter().filter_map(|entry| entry.text).collect()
}

/// Whoever moderates reads what was asked, by whom and when; the first who takes note stands there.
pub async fn moderators_read_the_queue_and_take_note_once(world: &World) {
    let (side, handovers) = (&world.a, &world.stores.handovers);
    let asker = world.scope(side, side.plain).await;
    let first = queued(world, &asker, "I am at\nmy end \u{1f56f}").await;
    let asked = world.now();
    world.clock.advance(Duration::from_secs(5));
    let second = queued(world, &world.scope(side, side.paying).await, "Me too").await;
    let moderator = world.scope(side, side.moderator).await;
    let entries = listed(world, &moderator).await;
    let expected = Handover {
        id: first,
        asker: Actor::Member(side.plain),
        reason: REASON.to_owned(),
        text: Some("I am at\nmy end \u{1f56f}".to_owned()),
        created: asked,
        acknowledged: None,
    };
    assert_eq!(entries.iter().map(|entry| entry.id).collect::<Vec<_>>(), [first, second]);
    assert_eq!(entries.first(), Some(&expected));
    let noted = handovers.acknowledge(&moderator, first, always()).await.expect("noted");
    let by = noted.acknowledged.expect("somebody took note");
    assert_eq!((by.by, by.at), (Actor::Member(side.moderator), world.now()));
    world.clock.advance(Duration::from_secs(5));
    let admin = world.scope(side, side.admin).await;
    let again = handovers.acknowledge(&admin, first, always()).await.expect("no error");
    assert_eq!(again, noted, "the first who takes note stands there");
    let there = world.another_instance().await;
    let entries = there.handovers.list(&admin, always()).await.expect("listed");
    assert_eq!(entries.iter().map(|entry| entry.id).collect::<Vec<_>>(), [second, first], "open ones first");
    assert_eq!(entries.last(), Some(&noted));
    let unknown = HandoverId::new(&*world.clock);
    assert_eq!(refusal(handovers.acknowledge(&admin, unknown, always()).await), Some(Kind::NotFound));
}

/// A member, and a key that is not for managing, neither read nor take note: not of their own either.
pub async fn nobody_below_reads_the_queue(world: &World) {
    let (side, handovers) = (&world.a, &world.stores.handovers);
    let asker = world.scope(side, side.plain).await;
    let id = queued(world, &asker, "Only for moderators").await;
    let others = AbilitySet::NONE.with(KeyAbility::Chat).with(KeyAbility::Search).with(KeyAbility::Personal);
    let narrow = world.narrow(side, side.moderator, others).await;
    for scope in [asker, world.scope(side, side.paying).await, narrow] {
        let refused = [
            refusal(handovers.list(&scope, always()).await),
            refusal(handovers.acknowledge(&scope, id, always()).await),
        ];
        assert_eq!(refused, [Some(Kind::Forbidden); 2], "{scope:?}");
    }
    let silent = world.narrow(side, side.plain, AbilitySet::NONE.with(KeyAbility::Search)).await;
    let asked = handovers.queue(&silent, new(world, "No"), plenty()).await;
    assert_eq!(refusal(asked), Some(Kind::Forbidden), "who may not ask queues nothing");
}

/// Staff of one community neither see nor touch what was asked in another.
pub async fn the_queue_of_another_community_is_out_of_reach(world: &World) {
    let (side, handovers) = (&world.a, &world.stores.handovers);
    let id = queued(world, &world.scope(side, side.plain).await, "Ours alone").await;
    for scope in [world.scope(&world.b, world.b.owner).await, world.b.operator()] {
        assert_eq!(listed(world, &scope).await, []);
        assert_eq!(refusal(handovers.acknowledge(&scope, id, always()).await), Some(Kind::NotFound));
    }
    let own = world.scope(side, side.owner).await;
    assert_eq!(texts(world, &own).await, ["Ours alone"]);
    assert_eq!(listed(world, &own).await.first().and_then(|entry| entry.acknowledged), None);
}

/// There is room for so many open ones, and for so many of one asker, however many come at once.
pub async fn the_queue_is_bounded_for_one_and_for_all(world: &World) {
    let (side, handovers) = (&world.a, &world.stores.handovers);
    let room = Room { open: 5, of_one: 3, since: always() };
    let own = world.scope(side, side.plain).await;
    let tasks = Tasks::new();
    let mut running = Vec::new();
    for number in 0..8 {
        let (stores, own, new) = (world.stores.clone(), own.clone(), new(world, &format!("Flood {number}")));
        running.push(tasks.spawn(async move { stores.handovers.queue(&own, new, room).await }));
    }
    let mut kept = 0;
    for task in running {
        match task.await.expect("no task fails").expect("no error") {
            Queued::Kept => kept += 1,
            other => assert_eq!(other, Queued::Enough),
        }
    }
    assert_eq!(kept, 3, "one asker has a share and no more");
    let other = world.scope(side, side.paying).await;
    for (text, wanted) in [("One", Queued::Kept), ("Two", Queued::Kept), ("Three", Queued::Full)] {
        assert_eq!(
            handovers.queue(&other, new(world, text), room).await.expect("no error"),
            wanted,
            "{text}"
        );
    }
    let moderator = world.scope(side, side.moderator).await;
    let entries = listed(world, &moderator).await;
    assert_eq!(entries.len(), 5);
    let first = entries.first().expect("an entry").id;
    handovers.acknowledge(&moderator, first, always()).await.expect("noted");
    let freed = handovers.queue(&other, new(world, "Four"), room).await;
    assert_eq!(freed.expect("no error"), Queued::Kept, "what was taken note of takes no room");
}

/// What is too old is listed no more, and does not come back.
pub async fn what_is_too_old_is_removed(world: &World) {
    let (side, handovers) = (&world.a, &world.stores.handovers);
    let own = world.scope(side, side.plain).await;
    let old = queued(world, &own, "Long ago").await;
    let moderator = world.scope(side, side.moderator).await;
    handovers.acknowledge(&moderator, old, always()).await.expect("noted");
    let open = queued(world, &own, "Long ago, too").await;
    world.clock.advance(Duration::from_secs(10));
    let since = world.now();
    let fresh = queued(world, &own, "Just now").await;
    let ids = |entries: Vec<Handover>| entries.into_iter().map(|entry| entry.id).collect::<Vec<_>>();
    assert_eq!(ids(handovers.list(&moderator, since).await.expect("listed")), [fresh]);
    for id in [old, open] {
        let late = handovers.acknowledge(&moderator, id, since).await;
        assert_eq!(refusal(late), Some(Kind::NotFound), "what is not listed is not taken note of");
    }
    let unread = listed(world, &moderator).await;
    assert!(unread.iter().any(|entry| entry.id == open && entry.acknowledged.is_none()));
    let room = Room { since, ..plenty() };
    let last = new(world, "And this");
    let wanted = [fresh, last.id];
    assert_eq!(handovers.queue(&own, last, room).await.expect("no error"), Queued::Kept);
    assert_eq!(ids(listed(world, &moderator).await), wanted, "it was removed");
}

/// What is queued twice is kept once, what says nothing is refused, and what is too long is cut.
pub async fn a_question_is_kept_once_and_not_too_long(world: &World) {
    let (side, handovers) = (&world.a, &world.stores.handovers);
    let own = world.scope(side, side.plain).await;
    let first = new(world, "Once");
    for text in ["Once", "Twice"] {
        let again = NewHandover { text: text.to_owned(), ..first.clone() };
        assert_eq!(handovers.queue(&own, again, plenty()).await.expect("no error"), Queued::Kept);
    }
    let other = world.scope(side, side.paying).await;
    assert_eq!(refusal(handovers.queue(&other, first, plenty()).await), Some(Kind::Conflict));
    const TOO_LONG: &str = "a-reason-that-is-longer-than-any-reason-may-be";
    assert!(TOO_LONG.len() > LONGEST_REASON);
    for wrong in [
        new(world, " \n"),
        NewHandover { reason: "", ..new(world, "x") },
        NewHandover { reason: TOO_LONG, ..new(world, "x") },
    ] {
        assert_eq!(refusal(handovers.queue(&own, wrong, plenty()).await), Some(Kind::Invalid));
    }
    queued(world, &own, &"ü".repeat(LONGEST_HANDOVER + 1)).await;
    let moderator = world.scope(side, side.moderator).await;
    assert_eq!(texts(world, &moderator).await, ["Once".to_owned(), "ü".repeat(LONGEST_HANDOVER)]);
}
