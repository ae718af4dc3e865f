//! Cases of the identity port: who is who, at which moment, and from which moment on no more.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use portcullis_core::{AbilitySet, CommunityId, MemberId, Role, SpaceId, TokenHash};

use super::{Side, World};
use crate::{Entitlement, KeyActor, KeyIdentity, NewKey, SpaceAccess, Standing, Status};

async fn standing(world: &World, side: &Side, member: MemberId, at: Timestamp) -> Option<Standing> {
    world.stores.identity.standing(side.community.id, member, at).await.expect("the store answers")
}

async fn key(world: &World, side: &Side, hash: TokenHash, at: Timestamp) -> Option<KeyIdentity> {
    world.stores.identity.key(side.community.id, hash, at).await.expect("the store answers")
}

async fn reads(world: &World, side: &Side, member: MemberId) -> Vec<SpaceId> {
    let found = standing(world, side, member, world.now()).await.expect("the member is active");
    sorted(&found.spaces)
}

fn sorted(spaces: &[SpaceId]) -> Vec<SpaceId> {
    let mut spaces = spaces.to_vec();
    spaces.sort_unstable();
    spaces
}

fn just_before(moment: Timestamp) -> Timestamp {
    moment.checked_sub(SignedDuration::from_millis(1)).expect("a time in range")
}

fn backend(role: Role, plans: &[&str]) -> KeyActor {
    KeyActor::Backend { role, plans: plans.iter().map(|plan| (*plan).to_owned()).collect() }
}

/// What does not exist is nobody, which is an answer and no error.
pub async fn an_unknown_credential_is_nobody(world: &World) {
    let hash = TokenHash::from_bytes([3; 32]);
    assert_eq!(key(world, &world.a, hash, world.now()).await, None);
    assert_eq!(standing(world, &world.a, MemberId::from_bytes([3; 16]), world.now()).await, None);
    let nowhere = CommunityId::from_bytes([3; 16]);
    let identity = &world.stores.identity;
    assert_eq!(identity.key(nowhere, hash, world.now()).await.expect("the store answers"), None);
    assert_eq!(
        identity.standing(nowhere, world.a.plain, world.now()).await.expect("the store answers"),
        None
    );
}

/// A key and a member of one community are nobody in another.
pub async fn a_credential_counts_in_its_own_community_only(world: &World) {
    let (hash, _) = world.key(&world.b, KeyActor::Member(world.b.owner), None).await;
    assert!(key(world, &world.b, hash, world.now()).await.is_some());
    assert_eq!(key(world, &world.a, hash, world.now()).await, None);
    for member in [world.b.plain, world.b.paying, world.b.owner] {
        assert!(standing(world, &world.b, member, world.now()).await.is_some());
        assert_eq!(standing(world, &world.a, member, world.now()).await, None);
    }
}

/// A member reads what is open to all and what their plans open; staff read everything, closed spaces too.
pub async fn role_and_plans_decide_what_is_read(world: &World) {
    for side in [&world.a, &world.b] {
        assert_eq!(reads(world, side, side.plain).await, [side.open]);
        assert_eq!(reads(world, side, side.paying).await, sorted(&[side.open, side.gold]));
        for (member, role) in
            [(side.moderator, Role::Moderator), (side.admin, Role::Admin), (side.owner, Role::Owner)]
        {
            assert_eq!(reads(world, side, member).await, sorted(&[side.open, side.gold, side.closed]));
            let found = standing(world, side, member, world.now()).await;
            assert_eq!(found.expect("staff are active").role, role);
        }
    }
}

/// The last moment before an entitlement's end still counts, the end itself does not.
pub async fn an_entitlement_ends_exactly_at_its_moment(world: &World) {
    let side = &world.a;
    let end = world.now().checked_add(World::TERM).expect("a time in range");
    for _ in 0..2 {
        let before = standing(world, side, side.paying, just_before(end)).await.expect("active");
        assert_eq!(sorted(&before.spaces), sorted(&[side.open, side.gold]));
        let at = standing(world, side, side.paying, end).await.expect("active");
        assert_eq!(*at.spaces, [side.open]);
    }
}

/// An answer for one moment says nothing about another, in whatever order they are asked.
pub async fn answers_are_right_for_any_moment(world: &World) {
    let side = &world.a;
    let end = world.now().checked_add(World::TERM).expect("a time in range");
    let (hash, _) = world.key(side, KeyActor::Member(side.paying), None).await;
    let later = end.checked_add(Duration::from_secs(60)).expect("a time in range");
    for at in [later, world.now(), end, just_before(end), later, world.now()] {
        let expected = if at < end { 2 } else { 1 };
        assert_eq!(
            standing(world, side, side.paying, at).await.expect("active").spaces.len(),
            expected,
            "at {at}"
        );
        assert_eq!(
            key(world, side, hash, at).await.expect("active").standing.spaces.len(),
            expected,
            "at {at}"
        );
    }
}

/// A plan given, renewed or ended shows in the next answer.
pub async fn a_change_of_plans_holds_for_the_next_call(world: &World) {
    let (side, members) = (&world.a, &world.stores.members);
    let (hash, _) = world.key(side, KeyActor::Member(side.plain), None).await;
    let expect = async |spaces: &[SpaceId]| {
        assert_eq!(reads(world, side, side.plain).await, sorted(spaces));
        let found = key(world, side, hash, world.now()).await.expect("the key works");
        assert_eq!(sorted(&found.standing.spaces), sorted(spaces));
    };
    expect(&[side.open]).await;
    let entitlement = Entitlement { plan: "gold".to_owned(), until: None };
    members.entitle(&side.operator(), side.plain, entitlement).await.expect("the plan is given");
    expect(&[side.open, side.gold]).await;
    members.end_entitlement(&side.operator(), side.plain, "gold").await.expect("the plan is ended");
    expect(&[side.open]).await;
}

/// A suspended member is nobody from the next call on, and somebody again once restored.
pub async fn a_suspended_member_is_nobody_until_restored(world: &World) {
    let (side, members) = (&world.a, &world.stores.members);
    let (hash, _) = world.key(side, KeyActor::Member(side.paying), None).await;
    assert!(standing(world, side, side.paying, world.now()).await.is_some());
    assert!(key(world, side, hash, world.now()).await.is_some());
    members.set_status(&side.operator(), side.paying, Status::Suspended).await.expect("suspended");
    assert_eq!(standing(world, side, side.paying, world.now()).await, None);
    assert_eq!(key(world, side, hash, world.now()).await, None, "a key falls with its member");
    members.set_status(&side.operator(), side.paying, Status::Active).await.expect("restored");
    assert!(standing(world, side, side.paying, world.now()).await.is_some());
    assert!(key(world, side, hash, world.now()).await.is_some());
}

/// A member made staff, or staff no more, reads accordingly from the next call on.
pub async fn a_change_of_role_holds_for_the_next_call(world: &World) {
    let (side, members) = (&world.a, &world.stores.members);
    let (hash, _) = world.key(side, KeyActor::Member(side.moderator), None).await;
    for (role, spaces) in [(Role::Moderator, 3), (Role::Member, 1), (Role::Admin, 3), (Role::Member, 1)] {
        members.set_role(&side.operator(), side.moderator, role).await.expect("the role is set");
        let found = standing(world, side, side.moderator, world.now()).await.expect("active");
        assert_eq!((found.role, found.spaces.len()), (role, spaces));
        let found = key(world, side, hash, world.now()).await.expect("the key works").standing;
        assert_eq!((found.role, found.spaces.len()), (role.min(Role::Moderator), spaces));
    }
}

/// A key acts with its member's role up to its ceiling, and reads what that role reads, whatever its member becomes.
pub async fn a_key_never_rises_above_its_ceiling(world: &World) {
    let (side, members) = (&world.a, &world.stores.members);
    let mut keys = Vec::new();
    for ceiling in [None, Some(Role::Member), Some(Role::Moderator), Some(Role::Admin)] {
        let new = NewKey { ceiling, ..world.new_key(side, KeyActor::Member(side.admin), None) };
        let hash = new.hash;
        let made = world.stores.keys.create(&side.operator(), new).await.expect("made by the operator");
        assert_eq!(made.ceiling, ceiling.unwrap_or(Role::Admin));
        keys.push((hash, made.ceiling));
    }
    let gold = Entitlement { plan: "gold".to_owned(), until: None };
    members.entitle(&side.operator(), side.admin, gold).await.expect("the plan is given");
    for becomes in [Role::Owner, Role::Admin, Role::Moderator, Role::Member, Role::Owner] {
        members.set_role(&side.operator(), side.admin, becomes).await.expect("the role is set");
        for (hash, ceiling) in &keys {
            let found = key(world, side, *hash, world.now()).await.expect("the key works").standing;
            let role = becomes.min(*ceiling);
            let reads = if role.is_staff() { 3 } else { 2 };
            assert_eq!(
                (found.role, found.spaces.len()),
                (role, reads),
                "{} as {}",
                ceiling.name(),
                becomes.name()
            );
        }
        let own = standing(world, side, side.admin, world.now()).await.expect("active");
        assert_eq!(own.role, becomes, "the member themselves have no ceiling");
    }
}

/// What opens a space is asked at every call.
pub async fn a_change_of_access_holds_for_the_next_call(world: &World) {
    let (side, spaces) = (&world.a, &world.stores.spaces);
    let (hash, _) = world.key(side, backend(Role::Member, &["gold"]), None).await;
    let silver = SpaceAccess::Plans(vec!["silver".to_owned()]);
    let gold = SpaceAccess::Plans(vec!["silver".to_owned(), "gold".to_owned()]);
    for (access, plain, paying) in [
        (SpaceAccess::Members, true, true),
        (silver, false, false),
        (gold, false, true),
        (SpaceAccess::Plans(Vec::new()), false, false),
        (SpaceAccess::Members, true, true),
        (SpaceAccess::Staff, false, false),
    ] {
        spaces.set_access(&side.operator(), side.closed, access).await.expect("the access is set");
        assert_eq!(reads(world, side, side.plain).await.contains(&side.closed), plain);
        assert_eq!(reads(world, side, side.paying).await.contains(&side.closed), paying);
        let found = key(world, side, hash, world.now()).await.expect("the key works");
        assert_eq!(found.standing.spaces.contains(&side.closed), paying);
        assert!(reads(world, side, side.moderator).await.contains(&side.closed));
    }
}

/// A new space is read by staff at once, and by nobody else.
pub async fn a_new_space_is_closed_to_all_but_staff(world: &World) {
    let side = &world.a;
    assert_eq!(reads(world, side, side.moderator).await.len(), 3);
    let new = crate::NewSpace {
        slug: "attic".to_owned(),
        name: "Attic".to_owned(),
        access: SpaceAccess::default(),
    };
    let space = world.stores.spaces.create(&side.operator(), new).await.expect("the space is created").id;
    assert!(reads(world, side, side.moderator).await.contains(&space));
    for member in [side.plain, side.paying] {
        assert!(!reads(world, side, member).await.contains(&space));
    }
}

/// A key tells who acts and what it was issued for.
pub async fn a_key_tells_who_acts(world: &World) {
    let side = &world.a;
    let (hash, info) = world.key(side, KeyActor::Member(side.paying), None).await;
    for _ in 0..2 {
        let found = key(world, side, hash, world.now()).await.expect("the key works");
        assert_eq!(
            (found.key, found.member, found.abilities),
            (info.id, Some(side.paying), AbilitySet::SESSION)
        );
        assert_eq!(found.expires, info.expires);
        assert_eq!(found.standing.role, Role::Member);
        assert_eq!(sorted(&found.standing.spaces), sorted(&[side.open, side.gold]));
    }
}

/// A key works up to the moment before it expires.
pub async fn a_key_ends_exactly_when_it_expires(world: &World) {
    let side = &world.a;
    let end = world.now().checked_add(Duration::from_secs(3_600)).expect("a time in range");
    let (hash, _) = world.key(side, KeyActor::Member(side.owner), Some(end)).await;
    for _ in 0..2 {
        assert!(key(world, side, hash, world.now()).await.is_some());
        assert!(key(world, side, hash, just_before(end)).await.is_some());
        assert_eq!(key(world, side, hash, end).await, None);
    }
}

/// A revoked key is nobody from the next call on, and stays so.
pub async fn a_revoked_key_is_refused_at_once(world: &World) {
    let side = &world.a;
    let (hash, info) = world.key(side, KeyActor::Member(side.owner), None).await;
    let (other, _) = world.key(side, KeyActor::Member(side.owner), None).await;
    assert!(key(world, side, hash, world.now()).await.is_some());
    world.stores.keys.revoke(&side.operator(), info.id).await.expect("revoked");
    assert_eq!(key(world, side, hash, world.now()).await, None);
    assert!(key(world, side, other, world.now()).await.is_some(), "another key is untouched");
}

/// A key of its own acts with its role, and reads what its plans and its role open.
pub async fn a_backend_key_reads_what_its_plans_and_role_open(world: &World) {
    let side = &world.a;
    for (actor, expected) in [
        (backend(Role::Member, &[]), vec![side.open]),
        (backend(Role::Member, &["silver"]), vec![side.open]),
        (backend(Role::Member, &["gold"]), vec![side.open, side.gold]),
        (backend(Role::Moderator, &[]), vec![side.open, side.gold, side.closed]),
    ] {
        let (hash, _) = world.key(side, actor.clone(), None).await;
        let found = key(world, side, hash, world.now()).await.expect("the key works");
        assert_eq!(found.member, None);
        assert_eq!(sorted(&found.standing.spaces), sorted(&expected), "{actor:?}");
    }
}
