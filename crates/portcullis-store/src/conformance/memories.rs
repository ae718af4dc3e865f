//! Cases of memories: one member's own, few, and short.

use std::time::Duration;

use portcullis_core::{AbilitySet, KeyAbility, MemoryId, Scope, Tasks};

use super::{World, refusal};
use crate::memories::{LONGEST_MEMORY, MOST_MEMORIES};
use crate::{Kind, Memory};

async fn add(world: &World, scope: &Scope, text: &str) -> Memory {
    let id = MemoryId::new(&*world.clock);
    world.stores.memories.add(scope, id, text).await.expect("added")
}

async fn texts(world: &World, scope: &Scope) -> Vec<String> {
    let listed = world.stores.memories.list(scope).await.expect("listed");
    listed.into_iter().map(|memory| memory.text).collect()
}

/// A memory reads back, is changed and is removed; the list is in the order they were added.
pub async fn a_memory_reads_back(world: &World) {
    let (side, memories) = (&world.a, &world.stores.memories);
    let own = world.scope(side, side.plain).await;
    assert_eq!(texts(world, &own).await, Vec::<String>::new());
    let first = add(world, &own, "Likes moonwicks\nand \u{1f56f}").await;
    assert_eq!((first.created, first.updated), (world.now(), world.now()));
    let second = add(world, &own, "Lives in Ulm").await;
    assert_eq!(memories.get(&own, first.id).await.expect("there"), first);
    let begun = world.now();
    world.clock.advance(Duration::from_secs(5));
    let changed = memories.change(&own, first.id, "Likes candles").await.expect("changed");
    assert_eq!((changed.created, changed.updated), (begun, world.now()));
    assert_eq!(memories.get(&own, first.id).await.expect("there"), changed);
    assert_eq!(texts(world, &own).await, ["Likes candles", "Lives in Ulm"]);
    let again = world.another_instance().await;
    assert_eq!(again.memories.list(&own).await.expect("listed"), [changed, second]);
    memories.remove(&own, first.id).await.expect("removed");
    assert_eq!(texts(world, &own).await, ["Lives in Ulm"]);
    let refused = [
        refusal(memories.get(&own, first.id).await),
        refusal(memories.change(&own, first.id, "Back").await),
        refusal(memories.remove(&own, first.id).await),
    ];
    assert_eq!(refused, [Some(Kind::NotFound); 3]);
}

/// Nobody but its member reads, changes or finds a memory: no other member, no staff, nobody of another community.
pub async fn nobody_else_reaches_a_memory(world: &World) {
    let (side, memories) = (&world.a, &world.stores.memories);
    let own = world.scope(side, side.plain).await;
    let kept = add(world, &own, "My secret is moonwick.").await;
    for scope in world.everyone_else(side, &world.b).await {
        let refused = [
            refusal(memories.get(&scope, kept.id).await),
            refusal(memories.change(&scope, kept.id, "Theirs").await),
            refusal(memories.remove(&scope, kept.id).await),
        ];
        assert_eq!(refused, [Some(Kind::NotFound); 3], "{scope:?}");
        assert_eq!(memories.list(&scope).await.expect("listed"), [], "{scope:?}");
    }
    for scope in [side.operator(), world.b.operator()] {
        let refused = [
            refusal(memories.add(&scope, MemoryId::new(&*world.clock), "Nobody's").await),
            refusal(memories.list(&scope).await),
            refusal(memories.get(&scope, kept.id).await),
            refusal(memories.change(&scope, kept.id, "Theirs").await),
            refusal(memories.remove(&scope, kept.id).await),
        ];
        assert_eq!(refused, [Some(Kind::Forbidden); 5], "{scope:?}");
    }
    let other = world.scope(side, side.paying).await;
    let same = memories.add(&other, kept.id, "Theirs").await.expect("an id in use by another is free");
    assert_eq!(same.text, "Theirs");
    memories.remove(&other, kept.id).await.expect("removed");
    assert_eq!(memories.list(&own).await.expect("listed"), [kept]);
}

/// A credential that is not for the member's own things reaches none of them.
pub async fn calls_need_their_ability(world: &World) {
    let (side, memories) = (&world.a, &world.stores.memories);
    let own = world.scope(side, side.plain).await;
    let kept = add(world, &own, "Likes moonwicks").await;
    let others = AbilitySet::NONE.with(KeyAbility::Chat).with(KeyAbility::Search).with(KeyAbility::Manage);
    let narrow = world.narrow(side, side.plain, others).await;
    let refused = [
        refusal(memories.add(&narrow, MemoryId::new(&*world.clock), "More").await),
        refusal(memories.list(&narrow).await),
        refusal(memories.get(&narrow, kept.id).await),
        refusal(memories.change(&narrow, kept.id, "Other").await),
        refusal(memories.remove(&narrow, kept.id).await),
    ];
    assert_eq!(refused, [Some(Kind::Forbidden); 5]);
    let personal = world.narrow(side, side.plain, AbilitySet::NONE.with(KeyAbility::Personal)).await;
    assert_eq!(memories.list(&personal).await.expect("listed"), [kept]);
}

/// What is added twice is kept once, as it was first.
pub async fn what_is_added_twice_is_kept_once(world: &World) {
    let (side, memories) = (&world.a, &world.stores.memories);
    let own = world.scope(side, side.plain).await;
    let first = add(world, &own, "Likes moonwicks").await;
    world.clock.advance(Duration::from_secs(5));
    let again = memories.add(&own, first.id, "Something else").await.expect("no error");
    assert_eq!(again, first);
    assert_eq!(memories.list(&own).await.expect("listed"), [first]);
}

/// What is empty or too long is refused, and so is one memory too many, however many are added at once.
pub async fn memories_are_few_and_short(world: &World) {
    let (side, memories) = (&world.a, &world.stores.memories);
    let own = world.scope(side, side.plain).await;
    let long = "ü".repeat(LONGEST_MEMORY);
    let kept = add(world, &own, &long).await;
    for wrong in ["", " \n ", &format!("{long}x")] {
        let added = memories.add(&own, MemoryId::new(&*world.clock), wrong).await;
        assert_eq!(refusal(added), Some(Kind::Invalid));
        assert_eq!(refusal(memories.change(&own, kept.id, wrong).await), Some(Kind::Invalid));
    }
    for number in 1..MOST_MEMORIES - 1 {
        add(world, &own, &format!("Number {number}")).await;
    }
    let tasks = Tasks::new();
    let mut running = Vec::new();
    for _ in 0..8 {
        let (stores, own, id) = (world.stores.clone(), own.clone(), MemoryId::new(&*world.clock));
        running.push(tasks.spawn(async move { refusal(stores.memories.add(&own, id, "The last").await) }));
    }
    let mut refused = Vec::new();
    for task in running {
        refused.extend(task.await.expect("no task fails"));
    }
    assert_eq!(refused, [Kind::Invalid; 7], "there was room for one");
    assert_eq!(memories.list(&own).await.expect("listed").len(), MOST_MEMORIES);
    let again = memories.add(&own, kept.id, "Again").await.expect("what is there may be added again");
    assert_eq!(again, kept);
    let other = world.scope(side, side.paying).await;
    add(world, &other, "There is room for another member").await;
}
