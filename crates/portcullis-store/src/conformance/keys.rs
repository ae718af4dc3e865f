//! Cases of the keys port.

use portcullis_core::{KeyId, MemberId, Role};

use super::{World, refusal};
use crate::{KeyActor, Kind};

fn backend(role: Role, plans: &[&str]) -> KeyActor {
    KeyActor::Backend { role, plans: plans.iter().map(|plan| (*plan).to_owned()).collect() }
}

/// Keys are listed as they were created, newest first, revoked ones too.
pub async fn keys_are_listed_newest_first(world: &World) {
    let (side, scope) = (&world.a, world.a.operator());
    let expires = world.now().checked_add(World::TERM).ok();
    let (_, first) = world.key(side, KeyActor::Member(side.plain), expires).await;
    let (_, second) = world.key(side, backend(Role::Member, &["silver", "gold"]), None).await;
    assert_eq!(
        second.actor,
        backend(Role::Member, &["gold", "silver"]),
        "plans come in the order of their names"
    );
    assert_eq!((first.expires, first.revoked, first.created), (expires, None, world.now()));
    world.stores.keys.revoke(&scope, first.id).await.expect("revoked");
    let listed = world.stores.keys.list(&scope).await.expect("listed");
    let revoked = crate::KeyInfo { revoked: Some(world.now()), ..first };
    assert_eq!(listed, [second, revoked]);
}

/// A hash names one key of a community.
pub async fn a_hash_in_use_is_a_conflict(world: &World) {
    let (side, keys) = (&world.a, &world.stores.keys);
    let new = world.new_key(side, KeyActor::Member(side.plain), None);
    keys.create(&side.operator(), new.clone()).await.expect("stored");
    assert_eq!(refusal(keys.create(&side.operator(), new).await), Some(Kind::Conflict));
    assert_eq!(keys.list(&side.operator()).await.expect("listed").len(), 1);
}

/// A key for nobody, for a member of another community or for an unknown plan is refused and not kept.
pub async fn an_unknown_actor_is_invalid_and_nothing_is_kept(world: &World) {
    let (side, keys) = (&world.a, &world.stores.keys);
    for actor in [
        KeyActor::Member(MemberId::from_bytes([4; 16])),
        KeyActor::Member(world.b.plain),
        backend(Role::Member, &["gold", "platinum"]),
    ] {
        let created = keys.create(&side.operator(), world.new_key(side, actor.clone(), None)).await;
        assert_eq!(refusal(created), Some(Kind::Invalid), "{actor:?}");
    }
    let nameless =
        crate::NewKey { name: String::new(), ..world.new_key(side, backend(Role::Member, &[]), None) };
    assert_eq!(refusal(keys.create(&side.operator(), nameless).await), Some(Kind::Invalid));
    assert_eq!(keys.list(&side.operator()).await.expect("listed"), []);
}

/// Nobody makes a key that does more than they may: neither by its role nor by acting for somebody above them.
pub async fn a_key_never_acts_above_its_maker(world: &World) {
    let (side, keys) = (&world.a, &world.stores.keys);
    let admin = world.scope(side, side.admin).await;
    for actor in [backend(Role::Owner, &[]), KeyActor::Member(side.owner)] {
        let created = keys.create(&admin, world.new_key(side, actor.clone(), None)).await;
        assert_eq!(refusal(created), Some(Kind::Forbidden), "{actor:?}");
    }
    assert_eq!(keys.list(&admin).await.expect("listed"), []);
    for actor in [backend(Role::Admin, &[]), KeyActor::Member(side.admin), KeyActor::Member(side.plain)] {
        keys.create(&admin, world.new_key(side, actor, None)).await.expect("an admin makes keys up to admin");
    }
}

/// Revoking twice is no error, and the first time stays on record.
pub async fn revoking_twice_keeps_the_first_time(world: &World) {
    let (side, keys) = (&world.a, &world.stores.keys);
    let (_, info) = world.key(side, KeyActor::Member(side.plain), None).await;
    let first = world.now();
    keys.revoke(&side.operator(), info.id).await.expect("revoked");
    world.clock.advance(std::time::Duration::from_secs(60));
    keys.revoke(&side.operator(), info.id).await.expect("again");
    let listed = keys.list(&side.operator()).await.expect("listed");
    assert_eq!(listed.first().and_then(|key| key.revoked), Some(first));
    assert_eq!(
        refusal(keys.revoke(&side.operator(), KeyId::from_bytes([8; 16])).await),
        Some(Kind::NotFound)
    );
}

/// Who is no admin, or whose credential is not for that, neither sees nor makes nor revokes keys.
pub async fn only_admins_handle_keys(world: &World) {
    let (side, keys) = (&world.a, &world.stores.keys);
    let (_, info) = world.key(side, KeyActor::Member(side.plain), None).await;
    for scope in world.lesser(side).await {
        let refused = [
            refusal(keys.create(&scope, world.new_key(side, KeyActor::Member(side.plain), None)).await),
            refusal(keys.list(&scope).await),
            refusal(keys.revoke(&scope, info.id).await),
        ];
        assert_eq!(refused, [Some(Kind::Forbidden); 3], "{scope:?}");
    }
    assert_eq!(keys.list(&side.operator()).await.expect("listed"), [info]);
}

/// With a scope of one community, the keys of another are neither seen nor revoked.
pub async fn ids_of_another_community_revoke_nothing(world: &World) {
    let keys = &world.stores.keys;
    let (hash, info) = world.key(&world.b, KeyActor::Member(world.b.plain), None).await;
    assert_eq!(refusal(keys.revoke(&world.a.operator(), info.id).await), Some(Kind::NotFound));
    assert_eq!(keys.list(&world.a.operator()).await.expect("listed"), []);
    let found = world.stores.identity.key(world.b.community.id, hash, world.now()).await;
    assert!(found.expect("the store answers").is_some());
}
