//! Cases of the spaces port.

use portcullis_core::SpaceId;

use super::{World, refusal};
use crate::{Kind, NewSpace, Plan, Space, SpaceAccess};

fn new(slug: &str, access: SpaceAccess) -> NewSpace {
    NewSpace { slug: slug.to_owned(), name: "A space".to_owned(), access }
}

fn plan(slug: &str) -> Plan {
    Plan { slug: slug.to_owned(), name: "A plan".to_owned() }
}

fn plans(slugs: &[&str]) -> SpaceAccess {
    SpaceAccess::Plans(slugs.iter().map(|slug| (*slug).to_owned()).collect())
}

fn ids(spaces: &[Space]) -> Vec<SpaceId> {
    spaces.iter().map(|space| space.id).collect()
}

/// A short name is used once in a community, and may be used again in another.
pub async fn short_names_are_unique_in_their_community(world: &World) {
    let (scope, spaces) = (world.a.operator(), &world.stores.spaces);
    assert_eq!(refusal(spaces.create(&scope, new("lobby", SpaceAccess::Staff)).await), Some(Kind::Conflict));
    assert_eq!(refusal(spaces.create_plan(&scope, plan("gold")).await), Some(Kind::Conflict));
    spaces.create(&scope, new("attic", SpaceAccess::Staff)).await.expect("a new name");
    spaces.create(&world.b.operator(), new("attic", SpaceAccess::Staff)).await.expect("another community");
}

/// Names that are not of the documented form are refused.
pub async fn malformed_short_names_are_invalid(world: &World) {
    let (scope, spaces) = (world.a.operator(), &world.stores.spaces);
    for slug in ["", "Upper", "with space", "sl/ash", "quo'te", &"x".repeat(81)] {
        let created = spaces.create(&scope, new(slug, SpaceAccess::Staff)).await;
        assert_eq!(refusal(created), Some(Kind::Invalid), "{slug:?}");
        assert_eq!(refusal(spaces.create_plan(&scope, plan(slug)).await), Some(Kind::Invalid), "{slug:?}");
    }
    assert_eq!(refusal(spaces.create_plan(&scope, plan("-gold")).await), Some(Kind::Invalid));
}

/// A plan nobody created opens nothing: the call is refused and changes nothing.
pub async fn an_unknown_plan_is_invalid_and_changes_nothing(world: &World) {
    let (scope, spaces) = (world.a.operator(), &world.stores.spaces);
    let before = spaces.list(&scope).await.expect("listed");
    let access = plans(&["gold", "platinum"]);
    assert_eq!(refusal(spaces.create(&scope, new("attic", access.clone())).await), Some(Kind::Invalid));
    assert_eq!(refusal(spaces.set_access(&scope, world.a.open, access).await), Some(Kind::Invalid));
    assert_eq!(spaces.list(&scope).await.expect("listed"), before);
}

/// What was set reads back; lists are in the order of the short names.
pub async fn spaces_and_plans_read_back(world: &World) {
    let (scope, spaces) = (world.a.operator(), &world.stores.spaces);
    let created = spaces.create(&scope, new("attic", plans(&["silver", "gold"]))).await.expect("created");
    assert_eq!(created.access, plans(&["gold", "silver"]), "plans come in the order of their names");
    let listed = spaces.list(&scope).await.expect("listed");
    assert_eq!(ids(&listed), [created.id, world.a.open, world.a.gold, world.a.closed]);
    assert_eq!(listed.first(), Some(&created));
    for access in [SpaceAccess::Members, plans(&["silver"]), SpaceAccess::Staff, plans(&[])] {
        spaces.set_access(&scope, created.id, access.clone()).await.expect("set");
        let listed = spaces.list(&scope).await.expect("listed");
        assert_eq!(listed.first().map(|space| &space.access), Some(&access));
    }
    let plans: Vec<_> =
        spaces.plans(&scope).await.expect("listed").into_iter().map(|plan| plan.slug).collect();
    assert_eq!(plans, ["gold", "silver"]);
}

/// A member sees the spaces they may read and not that there are others; staff see all.
pub async fn members_list_only_what_they_may_read(world: &World) {
    let (side, spaces) = (&world.a, &world.stores.spaces);
    for (member, expected) in [
        (side.plain, vec![side.open]),
        (side.paying, vec![side.open, side.gold]),
        (side.moderator, vec![side.open, side.gold, side.closed]),
    ] {
        let scope = world.scope(side, member).await;
        assert_eq!(ids(&spaces.list(&scope).await.expect("listed")), expected);
    }
    assert_eq!(spaces.list(&side.reader(&[])).await.expect("listed"), []);
    let plain = world.scope(side, side.plain).await;
    assert_eq!(refusal(spaces.plans(&plain).await), Some(Kind::Forbidden));
}

/// Who is no admin, or whose credential is not for that, changes neither spaces nor plans.
pub async fn only_admins_change_spaces_and_plans(world: &World) {
    let (side, spaces) = (&world.a, &world.stores.spaces);
    let before = spaces.list(&side.operator()).await.expect("listed");
    for scope in world.lesser(side).await {
        let refused = [
            refusal(spaces.create_plan(&scope, plan("free")).await),
            refusal(spaces.create(&scope, new("attic", SpaceAccess::Members)).await),
            refusal(spaces.set_access(&scope, side.gold, SpaceAccess::Members).await),
        ];
        assert_eq!(refused, [Some(Kind::Forbidden); 3], "{scope:?}");
    }
    assert_eq!(spaces.list(&side.operator()).await.expect("listed"), before);
    let admin = world.scope(side, side.admin).await;
    spaces.set_access(&admin, side.gold, SpaceAccess::Members).await.expect("an admin does");
}

/// With a scope of one community, the spaces of another are neither seen nor changed.
pub async fn ids_of_another_community_change_nothing(world: &World) {
    let (scope, spaces) = (world.a.operator(), &world.stores.spaces);
    let before = spaces.list(&world.b.operator()).await.expect("listed");
    for space in [world.b.open, world.b.gold, world.b.closed, SpaceId::from_bytes([6; 16])] {
        let changed = spaces.set_access(&scope, space, SpaceAccess::Members).await;
        assert_eq!(refusal(changed), Some(Kind::NotFound));
    }
    let stray = world.a.reader(&[world.b.open, world.b.gold]);
    assert_eq!(spaces.list(&stray).await.expect("listed"), []);
    assert_eq!(spaces.list(&world.b.operator()).await.expect("listed"), before);
}
