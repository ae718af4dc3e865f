//! Cases of several instances on the same data: a server that runs, and a command line beside it.

use portcullis_core::Role;

use super::World;
use super::world::document;
use crate::{CommunityRef, Entitlement, KeyActor, NewCommunity, SpaceAccess, Status};

/// A second instance, opened later, has all that the first was told.
pub async fn reopening_keeps_everything(world: &World) {
    let (hash, _) = world.key(&world.a, KeyActor::Member(world.a.paying), None).await;
    let again = world.another_instance().await;
    assert_eq!(
        again.directory.list().await.expect("listed"),
        world.stores.directory.list().await.expect("listed")
    );
    for side in [&world.a, &world.b] {
        let scope = side.operator();
        assert_eq!(
            again.members.list(&scope).await.expect("listed"),
            world.stores.members.list(&scope).await.expect("listed")
        );
        assert_eq!(
            again.spaces.list(&scope).await.expect("listed"),
            world.stores.spaces.list(&scope).await.expect("listed")
        );
        assert_eq!(
            again.keys.list(&scope).await.expect("listed"),
            world.stores.keys.list(&scope).await.expect("listed")
        );
        for id in side.documents.values() {
            assert_eq!(
                again.content.document(&scope, *id).await.expect("there"),
                world.stores.content.document(&scope, *id).await.expect("there")
            );
        }
    }
    let key = again.identity.key(world.a.community.id, hash, world.now()).await.expect("answered");
    assert!(key.is_some());
}

/// A key revoked, a member suspended, demoted or lapsed, a space closed: by one instance, for the next call of the
/// other.
pub async fn a_change_elsewhere_holds_for_the_next_call(world: &World) {
    let (side, other) = (&world.a, world.another_instance().await);
    let (id, scope, now) = (side.community.id, side.operator(), world.now());
    let here = &world.stores.identity;
    let standing = async |member| here.standing(id, member, now).await.expect("answered");
    let (hash, info) = world.key(side, KeyActor::Member(side.owner), None).await;

    assert!(here.key(id, hash, now).await.expect("answered").is_some());
    other.keys.revoke(&scope, info.id).await.expect("revoked");
    assert_eq!(here.key(id, hash, now).await.expect("answered"), None);

    assert!(standing(side.plain).await.is_some());
    other.members.set_status(&scope, side.plain, Status::Suspended).await.expect("suspended");
    assert_eq!(standing(side.plain).await, None);
    other.members.set_status(&scope, side.plain, Status::Active).await.expect("restored");
    assert!(standing(side.plain).await.is_some());

    assert_eq!(standing(side.moderator).await.expect("active").spaces.len(), 3);
    other.members.set_role(&scope, side.moderator, Role::Member).await.expect("demoted");
    assert_eq!(standing(side.moderator).await.expect("active").spaces.len(), 1);

    assert_eq!(standing(side.paying).await.expect("active").spaces.len(), 2);
    other.members.end_entitlement(&scope, side.paying, "gold").await.expect("ended");
    assert_eq!(standing(side.paying).await.expect("active").spaces.len(), 1);
    let forever = Entitlement { plan: "gold".to_owned(), until: None };
    other.members.entitle(&scope, side.paying, forever).await.expect("given");
    assert_eq!(standing(side.paying).await.expect("active").spaces.len(), 2);

    other.spaces.set_access(&scope, side.gold, SpaceAccess::Staff).await.expect("closed");
    assert_eq!(standing(side.paying).await.expect("active").spaces.len(), 1);
}

/// A community that another instance creates is found by the first, under names it was asked for in vain before.
pub async fn a_community_created_elsewhere_is_found(world: &World) {
    let directory = &world.stores.directory;
    assert_eq!(directory.find(CommunityRef::Slug("gamma")).await.expect("answered"), None);
    let other = world.another_instance().await;
    let new = NewCommunity {
        slug: "gamma".to_owned(),
        name: "Gamma".to_owned(),
        host: None,
        tier: portcullis_core::Tier::Standard,
    };
    let created = other.directory.create(new).await.expect("created");
    assert_eq!(directory.find(CommunityRef::Slug("gamma")).await.expect("answered").as_ref(), Some(&created));
    other.directory.set_tier(created.id, portcullis_core::Tier::Dedicated).await.expect("set");
    let found = directory.find(CommunityRef::Slug("gamma")).await.expect("answered").expect("there");
    assert_eq!(found.tier, portcullis_core::Tier::Dedicated);
    let nobody = world.stores.identity.standing(created.id, world.a.plain, world.now()).await;
    assert_eq!(nobody.expect("its storage is reachable"), None);
}

/// What one instance writes, changes, moves or removes, the very next search of the other goes by.
pub async fn content_changed_elsewhere_is_searched_as_it_is(world: &World) {
    let (side, other) = (&world.a, world.another_instance().await);
    let scope = side.operator();
    let plain = world.scope(side, side.plain).await;
    assert_eq!(world.found(&scope, "zebrawood").await, []);
    let put = async |space, text: &str| {
        let new = document(space, "note", "A note", &[text]);
        other.content.put(&scope, vec![new]).await.expect("stored");
    };
    put(side.open, "It says zebrawood.").await;
    let found = world.found(&plain, "zebrawood").await;
    assert_eq!(found.len(), 1);
    put(side.closed, "It says zebrawood.").await;
    assert_eq!(world.found(&plain, "zebrawood").await, [], "it was moved out of reach");
    assert_eq!(world.found(&scope, "zebrawood").await, found);
    put(side.open, "It says quagga.").await;
    assert_eq!(world.found(&plain, "quagga").await, found);
    assert_eq!(world.found(&scope, "zebrawood").await, [], "it says something else now");
    let read = world.search(&plain, "quagga").await;
    assert_eq!(read.first().map(|passage| passage.text.as_str()), Some("It says quagga."));
    other.content.remove(&scope, &found).await.expect("removed");
    assert_eq!(world.found(&scope, "quagga").await, []);
}
