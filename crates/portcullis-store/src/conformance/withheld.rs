//! Cases of answers that rely on content: they are readable as long as all of it is.

use portcullis_core::DocumentId;

use super::World;
use super::conversations::{all, begin, message, said};
use super::world::document;
use crate::{Entitlement, Said, SpaceAccess};

const ANSWER: &str = "The wick is called a moonwick.";

fn told() -> Vec<Option<String>> {
    vec![Some(ANSWER.to_owned())]
}

/// An answer is withheld once the plan that opened its source has lapsed, and back once it is paid for again.
pub async fn an_answer_is_withheld_once_the_plan_lapses(world: &World) {
    let side = &world.a;
    let before = world.scope(side, side.paying).await;
    let id = begin(world, &before, "Wicks", &[message(world, ANSWER, &[side.id("course")])]).await;
    assert_eq!(said(world, &before, id).await, told());
    world.clock.advance(World::TERM);
    let lapsed = world.scope(side, side.paying).await;
    assert_eq!(said(world, &lapsed, id).await, [None]);
    let gold = Entitlement { plan: "gold".to_owned(), until: None };
    world.stores.members.entitle(&side.operator(), side.paying, gold).await.expect("given");
    let again = world.scope(side, side.paying).await;
    assert_eq!(said(world, &again, id).await, told());
}

/// An answer is withheld for good once its source is removed, though the same text may come again.
pub async fn an_answer_is_withheld_once_a_source_is_gone(world: &World) {
    let (side, content) = (&world.a, &world.stores.content);
    let own = world.scope(side, side.paying).await;
    let course = side.id("course");
    let id = begin(world, &own, "Wicks", &[message(world, ANSWER, &[course])]).await;
    assert_eq!(said(world, &own, id).await, told());
    content.remove(&side.operator(), &[course]).await.expect("removed");
    assert_eq!(said(world, &own, id).await, [None]);
    let again = document(side.gold, "course", "The paid lantern course", &["Lesson one."]);
    content.put(&side.operator(), vec![again]).await.expect("stored");
    assert_ne!(world.document(side, "course").await, course, "another document");
    assert_eq!(said(world, &own, id).await, [None]);
}

/// An answer follows its source: into a space that its member may not read, and out of it again.
pub async fn an_answer_follows_its_source_through_spaces(world: &World) {
    let (side, content) = (&world.a, &world.stores.content);
    let own = world.scope(side, side.plain).await;
    let id = begin(world, &own, "Hello", &[message(world, ANSWER, &[side.id("welcome")])]).await;
    for (space, readable) in [(side.gold, false), (side.open, true), (side.closed, false)] {
        let moved = document(space, "welcome", "Welcome to the lantern garden", &["Say hello."]);
        content.put(&side.operator(), vec![moved]).await.expect("moved");
        let own = world.scope(side, side.plain).await;
        assert_eq!(said(world, &own, id).await, if readable { told() } else { vec![None] });
    }
}

/// An answer is withheld once the space of its source is closed, and once its member is no longer staff.
pub async fn an_answer_is_withheld_once_its_space_is_closed(world: &World) {
    let (side, spaces) = (&world.a, &world.stores.spaces);
    let own = world.scope(side, side.plain).await;
    let id = begin(world, &own, "Hello", &[message(world, ANSWER, &[side.id("welcome")])]).await;
    spaces.set_access(&side.operator(), side.open, SpaceAccess::Staff).await.expect("closed");
    let closed = world.scope(side, side.plain).await;
    assert_eq!(said(world, &closed, id).await, [None]);
    spaces.set_access(&side.operator(), side.open, SpaceAccess::Members).await.expect("opened");
    let opened = world.scope(side, side.plain).await;
    assert_eq!(said(world, &opened, id).await, told());

    let staff = world.scope(side, side.moderator).await;
    let id = begin(world, &staff, "Fees", &[message(world, ANSWER, &[side.id("minutes")])]).await;
    assert_eq!(said(world, &staff, id).await, told());
    let members = &world.stores.members;
    members
        .set_role(&side.operator(), side.moderator, portcullis_core::Role::Member)
        .await
        .expect("dismissed");
    let dismissed = world.scope(side, side.moderator).await;
    assert_eq!(said(world, &dismissed, id).await, [None]);
}

/// One source of many that may not be read is enough, wherever it stands among them.
pub async fn one_unreadable_source_is_enough(world: &World) {
    let side = &world.a;
    let own = world.scope(side, side.plain).await;
    let (welcome, rules, course) = (side.id("welcome"), side.id("rules"), side.id("course"));
    for sources in [[course, welcome, rules], [welcome, course, rules], [welcome, rules, course]] {
        let id = begin(world, &own, "Hello", &[message(world, ANSWER, &sources)]).await;
        assert_eq!(said(world, &own, id).await, [None]);
    }
    let id = begin(world, &own, "Hello", &[message(world, ANSWER, &[welcome, rules])]).await;
    assert_eq!(said(world, &own, id).await, told());
}

/// Of an answer's sources only those are named that the member may read now.
pub async fn sources_that_may_not_be_read_are_not_named(world: &World) {
    let side = &world.a;
    let own = world.scope(side, side.plain).await;
    let (rules, course, minutes) = (side.id("rules"), side.id("course"), side.id("minutes"));
    let sources = [course, rules, minutes, rules];
    let id = begin(world, &own, "Hello", &[message(world, ANSWER, &sources)]).await;
    let found = all(world, &own, id).await;
    assert_eq!(found.first().expect("one message").sources, [rules]);
    let nothing = side.reader(&[]);
    let found = all(world, &nothing, id).await;
    let found = found.first().expect("one message");
    assert_eq!((&found.said, found.sources.as_slice()), (&Said::Withheld, [].as_slice()));
}

/// An id that names no document of the community, such as another community's, counts as gone.
pub async fn an_unknown_source_counts_as_gone(world: &World) {
    let side = &world.a;
    let own = world.scope(side, side.owner).await;
    for source in [world.b.id("welcome"), DocumentId::from_bytes([5; 16])] {
        let id = begin(world, &own, "Hello", &[message(world, ANSWER, &[source])]).await;
        assert_eq!(said(world, &own, id).await, [None]);
        assert_eq!(all(world, &own, id).await.first().expect("one message").sources, []);
    }
}

/// What relied on nothing is always readable, and what is withheld takes nothing around it away.
pub async fn only_what_relied_on_it_is_withheld(world: &World) {
    let side = &world.a;
    let own = world.scope(side, side.plain).await;
    let messages = [
        message(world, "What is the wick called?", &[]),
        message(world, ANSWER, &[side.id("course")]),
        message(world, "And the rules?", &[]),
        message(world, "Be kind.", &[side.id("rules")]),
    ];
    let id = begin(world, &own, "Wicks", &messages).await;
    let expected = ["What is the wick called?", "", "And the rules?", "Be kind."]
        .map(|text| (!text.is_empty()).then(|| text.to_owned()));
    assert_eq!(said(world, &own, id).await, expected);
    let nothing = side.reader(&[]);
    let readable: Vec<_> = said(world, &nothing, id).await.iter().map(Option::is_some).collect();
    assert_eq!(readable, [true, false, true, false]);
}
