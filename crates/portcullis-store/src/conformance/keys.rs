//! Cases of the keys port.

use jiff::SignedDuration;
use portcullis_core::{AbilitySet, Actor, KeyAbility, KeyId, MemberId, Role};

use super::{World, refusal};
use crate::{KeyActor, Kind, NewKey};

fn backend(role: Role, plans: &[&str]) -> KeyActor {
    KeyActor::Backend { role, plans: plans.iter().map(|plan| (*plan).to_owned()).collect() }
}

fn chat() -> AbilitySet {
    AbilitySet::NONE.with(KeyAbility::Chat)
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

/// Each key tells who made it: the key that it was made with, where it was made with one, so that what a stolen key made is found.
pub async fn keys_are_listed_with_who_made_them(world: &World) {
    let (side, keys) = (&world.a, &world.stores.keys);
    let new = || NewKey { abilities: chat(), ..world.new_key(side, backend(Role::Member, &[]), None) };
    let manage =
        |actor| NewKey { abilities: chat().with(KeyAbility::Manage), ..world.new_key(side, actor, None) };
    let mut makers = vec![
        (side.operator(), Actor::Operator),
        (world.scope(side, side.admin).await, Actor::Member(side.admin)),
    ];
    for actor in [KeyActor::Member(side.admin), backend(Role::Admin, &[])] {
        let new = manage(actor);
        let hash = new.hash;
        let made = keys.create(&side.operator(), new).await.expect("made by the operator");
        makers.push((world.by_key(side, hash).await, Actor::Key(made.id)));
    }
    for (scope, maker) in makers {
        let made = keys.create(&scope, new()).await.expect("made");
        assert_eq!(made.made_by, Some(maker));
        let listed = keys.list(&side.operator()).await.expect("listed");
        assert_eq!(listed.first(), Some(&made));
    }
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
    let of = |actor, ceiling| NewKey { abilities: chat(), ceiling, ..world.new_key(side, actor, None) };
    for new in [
        of(backend(Role::Owner, &[]), None),
        of(KeyActor::Member(side.owner), None),
        of(KeyActor::Member(side.owner), Some(Role::Member)),
        of(KeyActor::Member(side.admin), Some(Role::Owner)),
    ] {
        let wanted = format!("{new:?}");
        assert_eq!(refusal(keys.create(&admin, new).await), Some(Kind::Forbidden), "{wanted}");
    }
    for new in [
        of(KeyActor::Member(side.plain), Some(Role::Moderator)),
        of(backend(Role::Member, &[]), Some(Role::Member)),
    ] {
        let wanted = format!("{new:?}");
        assert_eq!(refusal(keys.create(&admin, new).await), Some(Kind::Invalid), "{wanted}");
    }
    assert_eq!(keys.list(&admin).await.expect("listed"), []);
    for (actor, ceiling, expected) in [
        (backend(Role::Admin, &[]), None, Role::Admin),
        (KeyActor::Member(side.admin), None, Role::Admin),
        (KeyActor::Member(side.admin), Some(Role::Member), Role::Member),
        (KeyActor::Member(side.plain), None, Role::Member),
    ] {
        let made = keys.create(&admin, of(actor, ceiling)).await.expect("an admin makes keys up to admin");
        assert_eq!(made.ceiling, expected);
    }
}

/// Nobody but the operator makes a key that is another member: it would read what is theirs alone, or do their work.
pub async fn nobody_makes_a_key_that_is_another_member(world: &World) {
    let (side, keys) = (&world.a, &world.stores.keys);
    let (hash, _) = world.key(side, backend(Role::Owner, &[]), None).await;
    let mut makers = vec![world.by_key(side, hash).await];
    for member in [side.admin, side.owner] {
        makers.push(world.scope(side, member).await);
    }
    let of = |member, ability| NewKey {
        abilities: AbilitySet::NONE.with(ability),
        ..world.new_key(side, KeyActor::Member(member), None)
    };
    let before = keys.list(&side.operator()).await.expect("listed");
    for maker in &makers {
        for member in [side.plain, side.moderator, side.admin, side.owner] {
            for ability in [KeyAbility::Personal, KeyAbility::Manage] {
                if maker.member() != Some(member) {
                    let created = keys.create(maker, of(member, ability)).await;
                    assert_eq!(refusal(created), Some(Kind::Forbidden), "{maker:?} {member}");
                }
            }
        }
    }
    assert_eq!(keys.list(&side.operator()).await.expect("listed"), before);
    for maker in &makers {
        keys.create(maker, of(side.plain, KeyAbility::Search)).await.expect("it reads what all members read");
        for ability in [KeyAbility::Personal, KeyAbility::Manage] {
            let Some(member) = maker.member() else { continue };
            keys.create(maker, of(member, ability)).await.expect("each for themselves");
        }
    }
    for ability in KeyAbility::ALL {
        keys.create(&side.operator(), of(side.plain, ability)).await.expect("the operator may");
    }
}

/// With a key nobody makes one that may more, stands higher or lasts longer.
pub async fn a_key_makes_none_stronger_or_longer_lived(world: &World) {
    let (side, keys) = (&world.a, &world.stores.keys);
    let end = world.after(World::LINK);
    let able = AbilitySet::NONE.with(KeyAbility::Manage).with(KeyAbility::Search);
    for actor in [KeyActor::Member(side.admin), backend(Role::Admin, &[])] {
        let parent = NewKey { abilities: able, ..world.new_key(side, actor.clone(), Some(end)) };
        let hash = parent.hash;
        keys.create(&side.operator(), parent).await.expect("made by the operator");
        let scope = world.by_key(side, hash).await;
        let child = |role, abilities, expires| NewKey {
            abilities,
            ..world.new_key(side, backend(role, &[]), expires)
        };
        let before = keys.list(&scope).await.expect("listed");
        let second_later = end.checked_add(SignedDuration::from_secs(1)).ok();
        for (why, new) in [
            ("another ability", child(Role::Member, able.with(KeyAbility::Chat), Some(end))),
            (
                "the whole request",
                child(Role::Member, AbilitySet::NONE.with(KeyAbility::OwnRequest), Some(end)),
            ),
            ("later", child(Role::Member, able, second_later)),
            ("without end", child(Role::Member, able, None)),
            ("higher", child(Role::Owner, able, Some(end))),
        ] {
            assert_eq!(refusal(keys.create(&scope, new).await), Some(Kind::Forbidden), "{why} by {actor:?}");
        }
        assert_eq!(keys.list(&scope).await.expect("listed"), before);
        keys.create(&scope, child(Role::Admin, able, Some(end))).await.expect("as much");
        keys.create(&scope, child(Role::Member, AbilitySet::NONE, Some(world.now()))).await.expect("less");
        // What is made with a key that never ends may end or not.
        let parent = NewKey { abilities: able, ..world.new_key(side, actor, None) };
        let hash = parent.hash;
        keys.create(&side.operator(), parent).await.expect("made by the operator");
        let scope = world.by_key(side, hash).await;
        for expires in [None, Some(end)] {
            keys.create(&scope, child(Role::Admin, able, expires)).await.expect("no longer than it");
        }
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

/// Nobody revokes a key of a member above them, or of a back end with a role above theirs; their own they do.
pub async fn nobody_revokes_a_key_above_them(world: &World) {
    let (side, keys) = (&world.a, &world.stores.keys);
    let admin = world.scope(side, side.admin).await;
    let made = async |actor, ceiling| {
        let new = NewKey { ceiling, ..world.new_key(side, actor, None) };
        (new.hash, keys.create(&side.operator(), new).await.expect("made by the operator").id)
    };
    let found = async |hash| {
        let found = world.stores.identity.key(side.community.id, hash, world.now()).await;
        found.expect("the store answers").is_some()
    };
    for (actor, ceiling) in [
        (KeyActor::Member(side.owner), None),
        (KeyActor::Member(side.owner), Some(Role::Member)),
        (backend(Role::Owner, &[]), None),
    ] {
        let (hash, id) = made(actor.clone(), ceiling).await;
        assert_eq!(refusal(keys.revoke(&admin, id).await), Some(Kind::Forbidden), "{actor:?}");
        assert!(found(hash).await, "it still works");
        keys.revoke(&world.scope(side, side.owner).await, id).await.expect("an owner may");
        assert!(!found(hash).await);
    }
    for actor in [
        KeyActor::Member(side.admin),
        KeyActor::Member(side.moderator),
        KeyActor::Member(side.plain),
        backend(Role::Admin, &[]),
    ] {
        let (hash, id) = made(actor, None).await;
        keys.revoke(&admin, id).await.expect("not above an admin");
        assert!(!found(hash).await);
    }
    // A key that acts with less than its member may still be used to revoke that member's own.
    let (low, _) = made(KeyActor::Member(side.owner), Some(Role::Admin)).await;
    let (hash, id) = made(KeyActor::Member(side.owner), None).await;
    keys.revoke(&world.by_key(side, low).await, id).await.expect("their own");
    assert!(!found(hash).await);
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
