//! Cases of host applications' subjects: whose they are, and that nobody is made twice.

use portcullis_core::{CommunityId, MemberId, Role, Tasks};

use super::{Side, World, refusal};
use crate::members::LONGEST_SUBJECT;
use crate::{Kind, Standing, Status};

const ISSUER: &str = "https://forum.example.org";

async fn subject(world: &World, side: &Side, issuer: &str, subject: &str) -> Option<(MemberId, Standing)> {
    let found = world.stores.identity.subject(side.community.id, issuer, subject, world.now()).await;
    found.expect("the store answers")
}

async fn whose(world: &World, side: &Side, issuer: &str, name: &str) -> Option<MemberId> {
    subject(world, side, issuer, name).await.map(|(member, _)| member)
}

/// A linked subject is its member as they are now; issuer and subject count exactly, each for itself.
pub async fn a_linked_subject_is_its_member(world: &World) {
    let (side, members) = (&world.a, &world.stores.members);
    let scope = side.operator();
    assert_eq!(subject(world, side, ISSUER, "42").await, None);
    members.link(&scope, side.paying, ISSUER, "42").await.expect("linked");
    members.link(&scope, side.owner, ISSUER, "43").await.expect("linked");
    for _ in 0..2 {
        let (member, standing) = subject(world, side, ISSUER, "42").await.expect("linked");
        assert_eq!((member, standing.role, standing.spaces.len()), (side.paying, Role::Member, 2));
        assert_eq!(whose(world, side, ISSUER, "43").await, Some(side.owner));
    }
    let other = "https://other.example.org";
    for (issuer, name) in [
        (other, "42"),
        (ISSUER, "4"),
        (ISSUER, "42 "),
        ("HTTPS://FORUM.EXAMPLE.ORG", "42"),
        (ISSUER.trim_end_matches('g'), "g42"),
        (&format!("{ISSUER}4"), "2"),
        (ISSUER, ""),
        ("", ""),
    ] {
        assert_eq!(whose(world, side, issuer, name).await, None, "{issuer} {name}");
    }
    assert_eq!(whose(world, &world.b, ISSUER, "42").await, None, "another community");
    let nowhere = CommunityId::from_bytes([3; 16]);
    let found = world.stores.identity.subject(nowhere, ISSUER, "42", world.now()).await;
    assert_eq!(found.expect("the store answers"), None);
    world.clock.advance(World::TERM);
    let (_, standing) = subject(world, side, ISSUER, "42").await.expect("linked");
    assert_eq!(standing.spaces.len(), 1, "the plan has ended");
}

/// Linking again is no error; a subject stays whose it is.
pub async fn a_subject_of_another_member_is_a_conflict(world: &World) {
    let (side, members) = (&world.a, &world.stores.members);
    let scope = side.operator();
    members.link(&scope, side.plain, ISSUER, "42").await.expect("linked");
    members.link(&scope, side.plain, ISSUER, "42").await.expect("twice is no error");
    members.link(&scope, side.plain, ISSUER, "43").await.expect("a member may have several");
    let taken = members.link(&scope, side.paying, ISSUER, "42").await;
    assert_eq!(refusal(taken), Some(Kind::Conflict));
    assert_eq!(whose(world, side, ISSUER, "42").await, Some(side.plain));
    members.link(&world.b.operator(), world.b.paying, ISSUER, "42").await.expect("another community");
    assert_eq!(whose(world, &world.b, ISSUER, "42").await, Some(world.b.paying));
    assert_eq!(whose(world, side, ISSUER, "42").await, Some(side.plain));
}

/// Members are linked by who may change them, and nobody with the ids of another community.
pub async fn members_are_linked_by_who_may_change_them(world: &World) {
    let (side, members) = (&world.a, &world.stores.members);
    for scope in world.lesser(side).await {
        for member in [side.plain, side.paying, side.owner] {
            let linked = members.link(&scope, member, ISSUER, "42").await;
            assert_eq!(refusal(linked), Some(Kind::Forbidden), "{scope:?}");
        }
    }
    let admin = world.scope(side, side.admin).await;
    for member in [side.moderator, side.admin, side.owner] {
        let linked = members.link(&admin, member, ISSUER, "42").await;
        assert_eq!(refusal(linked), Some(Kind::Forbidden), "who links an owner can act as one");
    }
    for member in [world.b.plain, world.b.owner, MemberId::from_bytes([5; 16])] {
        let linked = members.link(&side.operator(), member, ISSUER, "42").await;
        assert_eq!(refusal(linked), Some(Kind::NotFound));
    }
    assert_eq!(whose(world, side, ISSUER, "42").await, None);
    members.link(&admin, side.plain, ISSUER, "42").await.expect("an admin links members");
    let owner = world.scope(side, side.owner).await;
    members.link(&owner, side.admin, ISSUER, "43").await.expect("an owner links staff");
}

/// Who is provisioned becomes a member with the lowest role, once; who is linked already stays who they are.
pub async fn a_subject_is_provisioned_once(world: &World) {
    let (side, members) = (&world.a, &world.stores.members);
    let id = side.community.id;
    let made = members.provision(id, ISSUER, "42", "Zoë Ünal").await.expect("made");
    let member = members.get(&side.operator(), made).await.expect("there");
    assert_eq!((member.name.as_str(), member.role, member.email), ("Zoë Ünal", Role::Member, None));
    assert_eq!(member.entitlements, []);
    let again = members.provision(id, ISSUER, "42", "Somebody Else").await.expect("there");
    assert_eq!(again, made);
    assert_eq!(members.get(&side.operator(), made).await.expect("there").name, "Zoë Ünal");
    let (found, standing) = subject(world, side, ISSUER, "42").await.expect("linked");
    assert_eq!((found, &*standing.spaces), (made, [side.open].as_slice()));
    members.link(&side.operator(), side.plain, ISSUER, "7").await.expect("linked");
    let linked = members.provision(id, ISSUER, "7", "Somebody").await.expect("there");
    assert_eq!(linked, side.plain);
    let elsewhere = members.provision(world.b.community.id, ISSUER, "42", "Zoë Ünal").await.expect("made");
    assert_ne!(elsewhere, made);
    assert_eq!(members.list(&side.operator()).await.expect("listed").len(), 6);
    assert_eq!(members.list(&world.b.operator()).await.expect("listed").len(), 6);
}

/// However many provision one subject at once, one member is made.
pub async fn one_of_many_at_once_makes_the_member(world: &World) {
    let side = &world.a;
    let tasks = Tasks::new();
    let mut running = Vec::new();
    for number in 0..32 {
        let (stores, id) = (world.stores.clone(), side.community.id);
        running.push(tasks.spawn(async move {
            let name = format!("Number {number}");
            stores.members.provision(id, ISSUER, "42", &name).await.expect("the store answers")
        }));
    }
    let mut made = Vec::new();
    for task in running {
        made.push(task.await.expect("no task fails"));
    }
    made.dedup();
    assert_eq!(made.len(), 1);
    let listed = world.stores.members.list(&side.operator()).await.expect("all of them read back");
    assert_eq!(listed.len(), 6);
}

/// A suspended member is nobody by their subject too, and is not made anew.
pub async fn a_suspended_member_is_nobody_by_their_subject(world: &World) {
    let (side, members) = (&world.a, &world.stores.members);
    let scope = side.operator();
    members.link(&scope, side.plain, ISSUER, "42").await.expect("linked");
    assert!(subject(world, side, ISSUER, "42").await.is_some());
    members.set_status(&scope, side.plain, Status::Suspended).await.expect("suspended");
    assert_eq!(subject(world, side, ISSUER, "42").await, None);
    let provisioned = members.provision(side.community.id, ISSUER, "42", "Plain Again").await;
    assert_eq!(provisioned.expect("there"), side.plain);
    assert_eq!(subject(world, side, ISSUER, "42").await, None);
    assert_eq!(members.list(&scope).await.expect("listed").len(), 5);
}

/// What is no subject or no name is refused, and nobody is made.
pub async fn malformed_subjects_are_invalid(world: &World) {
    let (side, members) = (&world.a, &world.stores.members);
    let long = "x".repeat(LONGEST_SUBJECT + 1);
    for (issuer, name) in [("", "42"), (ISSUER, ""), (&long, "42"), (ISSUER, &long)] {
        let linked = members.link(&side.operator(), side.plain, issuer, name).await;
        assert_eq!(refusal(linked), Some(Kind::Invalid));
        let provisioned = members.provision(side.community.id, issuer, name, "Somebody").await;
        assert_eq!(refusal(provisioned), Some(Kind::Invalid));
    }
    for shown in ["", "two\nlines"] {
        let provisioned = members.provision(side.community.id, ISSUER, "42", shown).await;
        assert_eq!(refusal(provisioned), Some(Kind::Invalid));
    }
    let nowhere = CommunityId::from_bytes([3; 16]);
    let provisioned = members.provision(nowhere, ISSUER, "42", "Somebody").await;
    assert_eq!(refusal(provisioned), Some(Kind::NotFound));
    assert_eq!(members.list(&side.operator()).await.expect("listed").len(), 5);
}
