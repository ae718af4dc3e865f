//! Cases of the members port.

use std::sync::Arc;

use jiff::Timestamp;
use portcullis_core::{MemberId, Role, Tasks};
use tokio::sync::Barrier;

use super::{World, refusal};
use crate::{Entitlement, Kind, NewMember, Status};

fn new(name: &str, email: Option<&str>, role: Option<Role>) -> NewMember {
    NewMember { name: name.to_owned(), email: email.map(str::to_owned), role }
}

fn gold(until: Option<Timestamp>) -> Entitlement {
    Entitlement { plan: "gold".to_owned(), until }
}

/// Who joins without a role gets the lowest, is active and reads back as they were given.
pub async fn a_new_member_has_the_lowest_role(world: &World) {
    let (scope, members) = (world.a.operator(), &world.stores.members);
    let added = members.add(&scope, new("Zoë Ünal", Some("Zoe@Example.ORG"), None)).await.expect("added");
    assert_eq!((added.role, added.status, added.created), (Role::Member, Status::Active, world.now()));
    assert_eq!((added.name.as_str(), added.email.as_deref()), ("Zoë Ünal", Some("Zoe@Example.ORG")));
    assert_eq!(members.get(&scope, added.id).await.expect("there"), added);
    let nameless =
        members.add(&scope, new("No Address", None, None)).await.expect("an address is not needed");
    assert_eq!(nameless.email, None);
    members.add(&scope, new("No Address Either", None, None)).await.expect("any number may have none");
}

/// An address is taken once in a community, whatever its case, and found in any case.
pub async fn an_address_is_unique_and_found_without_regard_to_case(world: &World) {
    let (scope, members) = (world.a.operator(), &world.stores.members);
    let count = members.list(&scope).await.expect("listed").len();
    for taken in ["plain@example.org", "PLAIN@EXAMPLE.ORG", " Plain@example.org "] {
        assert_eq!(
            refusal(members.add(&scope, new("Twin", Some(taken), None)).await),
            Some(Kind::Conflict),
            "{taken}"
        );
        let found = members.find_by_email(&scope, taken).await.expect("the store answers").expect("found");
        assert_eq!(found.id, world.a.plain);
    }
    assert_eq!(members.list(&scope).await.expect("listed").len(), count, "a refused member leaves nothing");
    for unknown in ["nobody@example.org", "plain", "", "%", "plain@example.org'--"] {
        assert_eq!(
            members.find_by_email(&scope, unknown).await.expect("the store answers"),
            None,
            "{unknown:?}"
        );
    }
}

/// One person may be in two communities, and each finds only their own member.
pub async fn the_same_address_may_join_two_communities(world: &World) {
    for side in [&world.a, &world.b] {
        let found = world.stores.members.find_by_email(&side.operator(), "plain@example.org").await;
        assert_eq!(found.expect("the store answers").expect("found").id, side.plain);
    }
}

/// What is no name or no address is refused.
pub async fn malformed_names_and_addresses_are_invalid(world: &World) {
    let (scope, members) = (world.a.operator(), &world.stores.members);
    for email in ["", "nobody", "@host", "name@", "a@b@c", "two words@example.org", "a@b\nBcc: c@d"] {
        let added = members.add(&scope, new("Someone", Some(email), None)).await;
        assert_eq!(refusal(added), Some(Kind::Invalid), "{email:?}");
    }
    for name in ["", "  ", "two\nlines", "nul\0", &"x".repeat(201)] {
        assert_eq!(
            refusal(members.add(&scope, new(name, None, None)).await),
            Some(Kind::Invalid),
            "{name:?}"
        );
    }
}

/// A member reads themselves and nobody else; whether the other exists makes no difference.
pub async fn a_member_may_read_themselves_and_nobody_else(world: &World) {
    let (side, members) = (&world.a, &world.stores.members);
    let own = world.scope(side, side.plain).await;
    assert_eq!(members.get(&own, side.plain).await.expect("themselves").id, side.plain);
    for other in [side.paying, side.owner, world.b.plain, MemberId::from_bytes([5; 16])] {
        assert_eq!(refusal(members.get(&own, other).await), Some(Kind::Forbidden));
    }
    assert_eq!(refusal(members.list(&own).await), Some(Kind::Forbidden));
    assert_eq!(refusal(members.find_by_email(&own, "owner@example.org").await), Some(Kind::Forbidden));
    let moderator = world.scope(side, side.moderator).await;
    assert_eq!(members.get(&moderator, side.plain).await.expect("staff read members").id, side.plain);
}

/// Who is no admin, or whose credential is not for that, changes nobody, not even themselves.
pub async fn only_admins_change_members(world: &World) {
    let (side, members) = (&world.a, &world.stores.members);
    let before = members.list(&side.operator()).await.expect("listed");
    for scope in world.lesser(side).await {
        for member in [side.plain, side.paying] {
            let refused = [
                refusal(members.add(&scope, new("Friend", None, None)).await),
                refusal(members.set_role(&scope, member, Role::Member).await),
                refusal(members.set_role(&scope, member, Role::Owner).await),
                refusal(members.set_status(&scope, member, Status::Suspended).await),
                refusal(members.entitle(&scope, member, gold(None)).await),
                refusal(members.end_entitlement(&scope, member, "gold").await),
            ];
            assert_eq!(refused, [Some(Kind::Forbidden); 6], "{scope:?}");
        }
    }
    assert_eq!(members.list(&side.operator()).await.expect("listed"), before);
}

/// An admin manages members, but neither makes, changes nor removes staff; an owner does.
pub async fn only_owners_touch_staff(world: &World) {
    let (side, members) = (&world.a, &world.stores.members);
    let admin = world.scope(side, side.admin).await;
    let before = members.list(&side.operator()).await.expect("listed");
    for role in [Role::Moderator, Role::Admin, Role::Owner] {
        assert_eq!(refusal(members.add(&admin, new("Staff", None, Some(role))).await), Some(Kind::Forbidden));
        for target in [side.plain, side.admin] {
            assert_eq!(refusal(members.set_role(&admin, target, role).await), Some(Kind::Forbidden));
        }
    }
    for target in [side.moderator, side.admin, side.owner] {
        let refused = [
            refusal(members.set_role(&admin, target, Role::Member).await),
            refusal(members.set_status(&admin, target, Status::Suspended).await),
            refusal(members.entitle(&admin, target, gold(None)).await),
            refusal(members.end_entitlement(&admin, target, "gold").await),
        ];
        assert_eq!(refused, [Some(Kind::Forbidden); 4]);
    }
    assert_eq!(members.list(&side.operator()).await.expect("listed"), before);
    members.add(&admin, new("A Member", None, Some(Role::Member))).await.expect("an admin adds members");
    members.set_status(&admin, side.plain, Status::Suspended).await.expect("an admin suspends members");
    let owner = world.scope(side, side.owner).await;
    members.set_role(&owner, side.moderator, Role::Admin).await.expect("an owner appoints");
    assert_eq!(members.get(&owner, side.moderator).await.expect("there").role, Role::Admin);
}

/// A change of role or status tells what was before, also where it changes nothing.
pub async fn a_change_tells_what_was_before(world: &World) {
    let (side, members) = (&world.a, &world.stores.members);
    let scope = side.operator();
    let mut before = Role::Moderator;
    for role in [Role::Admin, Role::Admin, Role::Member, Role::Owner, Role::Moderator] {
        assert_eq!(members.set_role(&scope, side.moderator, role).await.expect("set"), before);
        before = role;
    }
    let mut before = Status::Active;
    for status in [Status::Active, Status::Suspended, Status::Suspended, Status::Active] {
        assert_eq!(members.set_status(&scope, side.plain, status).await.expect("set"), before);
        before = status;
    }
}

/// The last owner who is active is neither demoted nor suspended, by themselves, by another owner or by the operator.
pub async fn the_last_active_owner_stays(world: &World) {
    let (side, members) = (&world.a, &world.stores.members);
    let scopes = [world.scope(side, side.owner).await, side.operator()];
    let stays = async || {
        for scope in &scopes {
            for role in [Role::Member, Role::Moderator, Role::Admin] {
                let changed = members.set_role(scope, side.owner, role).await;
                assert_eq!(refusal(changed), Some(Kind::LastOwner), "{scope:?} {}", role.name());
            }
            let changed = members.set_status(scope, side.owner, Status::Suspended).await;
            assert_eq!(refusal(changed), Some(Kind::LastOwner), "{scope:?}");
        }
        let owner = members.get(&side.operator(), side.owner).await.expect("there");
        assert_eq!((owner.role, owner.status), (Role::Owner, Status::Active));
    };
    // The other community's owner keeps the other community.
    stays().await;
    members.set_role(&side.operator(), side.owner, Role::Owner).await.expect("nothing changes");
    members.set_status(&side.operator(), side.owner, Status::Active).await.expect("nothing changes");
    members.set_role(&side.operator(), side.admin, Role::Owner).await.expect("appointed");
    members.set_status(&side.operator(), side.admin, Status::Suspended).await.expect("one is left");
    stays().await;
    members.set_role(&side.operator(), side.admin, Role::Admin).await.expect("they kept nothing");
    stays().await;
    members.set_role(&side.operator(), side.moderator, Role::Owner).await.expect("appointed");
    members.set_role(&side.operator(), side.owner, Role::Member).await.expect("somebody else is there");
    let last = members.set_status(&side.operator(), side.moderator, Status::Suspended).await;
    assert_eq!(refusal(last), Some(Kind::LastOwner));
}

/// Of two owners who remove each other at the same moment, in one process or in two, one stays.
pub async fn owners_who_remove_each_other_at_once_leave_one(world: &World) {
    let other = world.another_instance().await;
    for round in 0..12 {
        let side = if round % 2 == 0 { &world.a } else { &world.b };
        let operator = side.operator();
        let rival = new(&format!("Rival {round}"), None, Some(Role::Owner));
        let rival = world.stores.members.add(&operator, rival).await.expect("added").id;
        let all = world.stores.members.list(&operator).await.expect("listed");
        let active = |member: &&crate::Member| member.role == Role::Owner && member.status == Status::Active;
        let owners: Vec<_> = all.iter().filter(active).map(|member| member.id).collect();
        assert_eq!(owners.len(), 2, "the one who stayed, and a rival");
        let tasks = Tasks::new();
        let start = Arc::new(Barrier::new(2));
        let mut running = Vec::new();
        for (at, whom) in owners.iter().copied().enumerate() {
            let by = if whom == rival {
                owners.iter().copied().find(|owner| *owner != rival)
            } else {
                Some(rival)
            };
            let scope = world.scope(side, by.expect("the other")).await;
            // The first round in one process, the others in two.
            let stores = if at == 0 || round == 0 { world.stores.clone() } else { other.clone() };
            let start = Arc::clone(&start);
            running.push(tasks.spawn(async move {
                start.wait().await;
                match round % 4 {
                    0 | 1 => stores.members.set_role(&scope, whom, Role::Member).await.map(drop),
                    _ => stores.members.set_status(&scope, whom, Status::Suspended).await.map(drop),
                }
            }));
        }
        let mut refused = Vec::new();
        for task in running {
            refused.extend(refusal(task.await.expect("no task fails")));
        }
        assert_eq!(refused, [Kind::LastOwner], "one of the two is refused");
        let left = world.stores.members.list(&operator).await.expect("listed");
        assert_eq!(left.iter().filter(active).count(), 1);
    }
}

/// With a scope of one community, the ids of another reach nobody and change nothing.
pub async fn ids_of_another_community_reach_nobody(world: &World) {
    let (scope, members) = (world.a.operator(), &world.stores.members);
    let theirs = world.b.operator();
    let before = members.list(&theirs).await.expect("listed");
    for member in [world.b.plain, world.b.paying, world.b.owner, MemberId::from_bytes([5; 16])] {
        let refused = [
            refusal(members.get(&scope, member).await),
            refusal(members.set_role(&scope, member, Role::Owner).await),
            refusal(members.set_status(&scope, member, Status::Suspended).await),
            refusal(members.entitle(&scope, member, gold(None)).await),
            refusal(members.end_entitlement(&scope, member, "gold").await),
        ];
        assert_eq!(refused, [Some(Kind::NotFound); 5]);
    }
    assert_eq!(members.list(&theirs).await.expect("listed"), before);
    let own = members.list(&scope).await.expect("listed");
    assert!(own.iter().all(|member| !before.iter().any(|their| their.id == member.id)));
}

/// A plan is given, replaced and ended; ended ones stay in the list.
pub async fn plans_are_given_replaced_and_ended(world: &World) {
    let (side, members) = (&world.a, &world.stores.members);
    let scope = side.operator();
    let plans = async || members.get(&scope, side.plain).await.expect("there").entitlements;
    let soon = world.now().checked_add(std::time::Duration::from_secs(60)).expect("a time in range");
    members.end_entitlement(&scope, side.plain, "gold").await.expect("ending what they have not is no error");
    assert_eq!(plans().await, []);
    members.entitle(&scope, side.plain, gold(Some(soon))).await.expect("given");
    assert_eq!(plans().await, [gold(Some(soon))]);
    members.entitle(&scope, side.plain, gold(None)).await.expect("replaced");
    assert_eq!(plans().await, [gold(None)]);
    members.end_entitlement(&scope, side.plain, "gold").await.expect("ended");
    assert_eq!(plans().await, [gold(Some(world.now()))]);
    world.clock.advance(std::time::Duration::from_secs(5));
    members.end_entitlement(&scope, side.plain, "gold").await.expect("ending twice is no error");
    assert!(plans().await.iter().all(|plan| plan.until < Some(world.now())), "the first end stays");
    let ended = members.end_entitlement(&scope, side.plain, "platinum").await;
    assert_eq!(refusal(ended), Some(Kind::Invalid));
    let unknown = Entitlement { plan: "platinum".to_owned(), until: None };
    assert_eq!(refusal(members.entitle(&scope, side.plain, unknown).await), Some(Kind::Invalid));
}

/// Members are listed in the order they joined.
pub async fn members_are_listed_oldest_first(world: &World) {
    let (side, scope) = (&world.a, world.a.operator());
    for number in 0..3 {
        world.clock.advance(std::time::Duration::from_secs(1));
        let name = format!("Late {number}");
        world.stores.members.add(&scope, new(&name, None, None)).await.expect("added");
    }
    let listed = world.stores.members.list(&scope).await.expect("listed");
    let ids: Vec<_> = listed.iter().take(5).map(|member| member.id).collect();
    assert_eq!(ids, [side.plain, side.paying, side.moderator, side.admin, side.owner]);
    assert!(listed.is_sorted_by_key(|member| member.created));
    assert_eq!(listed.last().map(|member| member.name.as_str()), Some("Late 2"));
}
