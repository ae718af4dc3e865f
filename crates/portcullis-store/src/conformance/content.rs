//! Cases of the content port: who reads what, and what writing does.

use std::collections::BTreeMap;
use std::time::Duration;

use portcullis_core::{DocumentId, SpaceId};

use super::world::document;
use super::{World, refusal};
use crate::{Kind, NewDocument, PutOutcome, SpaceAccess, Status};

/// The plan's passages come to who pays for it, and to nobody who does not.
pub async fn a_member_without_the_plan_never_gets_its_passages(world: &World) {
    for side in [&world.a, &world.b] {
        let plain = world.scope(side, side.plain).await;
        assert_eq!(world.found(&plain, "moonwick").await, []);
        for passage in world.search(&plain, "lantern moonwick course lesson").await {
            assert_eq!(passage.space, side.open);
        }
        let paying = world.scope(side, side.paying).await;
        assert_eq!(world.found(&paying, "moonwick").await, [side.id("course")]);
    }
}

/// The plan's document opens for who pays for it, and for nobody who does not.
pub async fn a_member_without_the_plan_never_gets_its_document(world: &World) {
    for side in [&world.a, &world.b] {
        let (plain, paying) = (world.scope(side, side.plain).await, world.scope(side, side.paying).await);
        let content = &world.stores.content;
        assert_eq!(refusal(content.document(&plain, side.id("course")).await), Some(Kind::NotFound));
        assert_eq!(refusal(content.document(&paying, side.id("minutes")).await), Some(Kind::NotFound));
        let course = content.document(&paying, side.id("course")).await.expect("they pay for it");
        assert_eq!((course.space, course.title.as_str()), (side.gold, "The paid lantern course"));
    }
}

/// Once the plan has ended, a new scope finds nothing of it.
pub async fn a_lapsed_member_gets_nothing_of_the_plan(world: &World) {
    let side = &world.a;
    world.clock.advance(World::TERM);
    let lapsed = world.scope(side, side.paying).await;
    assert_eq!(world.found(&lapsed, "moonwick").await, []);
    let read = world.stores.content.document(&lapsed, side.id("course")).await;
    assert_eq!(refusal(read), Some(Kind::NotFound));
}

/// Staff search and read every space.
pub async fn staff_get_everything(world: &World) {
    let side = &world.a;
    for member in [side.moderator, side.admin, side.owner] {
        let scope = world.scope(side, member).await;
        assert_eq!(world.found(&scope, "lantern").await.len(), 4);
        for id in side.documents.values() {
            assert_eq!(world.stores.content.document(&scope, *id).await.expect("staff read it").id, *id);
        }
    }
}

/// Neither a search nor an id brings anything of another community, not even with that community's spaces.
pub async fn nothing_of_another_community_is_ever_returned(world: &World) {
    let (a, b) = (&world.a, &world.b);
    let theirs: Vec<SpaceId> = vec![b.open, b.gold, b.closed];
    for scope in [a.operator(), a.reader(&theirs), world.scope(a, a.owner).await] {
        assert_eq!(world.found(&scope, "betamark").await, []);
        for passage in world.search(&scope, "lantern marker").await {
            assert!(a.documents.values().any(|id| *id == passage.document));
            assert!(!passage.text.contains("betamark"));
        }
        for id in b.documents.values() {
            assert_eq!(refusal(world.stores.content.document(&scope, *id).await), Some(Kind::NotFound));
        }
    }
    let source = world.stores.content.source(&a.operator(), "fixture").await.expect("listed");
    assert!(source.values().all(|entry| a.documents.values().any(|id| *id == entry.document)));
}

/// A document that is hidden and one that does not exist give the same error, word for word.
pub async fn a_hidden_document_looks_like_a_missing_one(world: &World) {
    let plain = world.scope(&world.a, world.a.plain).await;
    let content = &world.stores.content;
    let missing = content.document(&plain, DocumentId::from_bytes([1; 16])).await.expect_err("missing");
    for hidden in [world.a.id("course"), world.a.id("minutes"), world.b.id("welcome")] {
        let hidden = content.document(&plain, hidden).await.expect_err("hidden");
        assert_eq!(hidden.to_string(), missing.to_string());
        assert_eq!(hidden.kind(), missing.kind());
    }
}

/// No space is no content; it never means all.
pub async fn an_empty_list_of_spaces_gives_nothing(world: &World) {
    let scope = world.a.reader(&[]);
    for text in ["lantern", "moonwick", "alphamark", ""] {
        assert_eq!(world.found(&scope, text).await, []);
    }
    for id in world.a.documents.values() {
        assert_eq!(refusal(world.stores.content.document(&scope, *id).await), Some(Kind::NotFound));
    }
}

/// A space that is opened or closed is found or not from the next scope on.
pub async fn a_change_of_access_holds_for_the_next_scope(world: &World) {
    let side = &world.a;
    for (access, found) in [(SpaceAccess::Members, 1), (SpaceAccess::Staff, 0), (SpaceAccess::Members, 1)] {
        world.stores.spaces.set_access(&side.operator(), side.gold, access).await.expect("set");
        let plain = world.scope(side, side.plain).await;
        assert_eq!(world.found(&plain, "moonwick").await.len(), found);
    }
    world.stores.members.set_status(&side.operator(), side.plain, Status::Suspended).await.expect("set");
    let standing = world.stores.identity.standing(side.community.id, side.plain, world.now()).await;
    assert_eq!(standing.expect("the store answers"), None, "a suspended member has no scope at all");
}

/// Titles are told of the documents within the scope and of no other, in one answer, each once.
pub async fn titles_are_those_of_what_the_scope_reaches(world: &World) {
    let (plain, content) = (world.scope(&world.a, world.a.plain).await, &world.stores.content);
    let hidden = [world.a.id("course"), world.a.id("minutes"), world.b.id("welcome")];
    let asked: Vec<DocumentId> = hidden
        .into_iter()
        .chain([world.a.id("welcome"), world.a.id("welcome"), DocumentId::from_bytes([1; 16])])
        .collect();
    let told = content.titles(&plain, &asked).await.expect("told");
    let whole = content.document(&plain, world.a.id("welcome")).await.expect("there");
    assert_eq!(told.into_iter().collect::<Vec<_>>(), [(whole.id, whole.title)]);
    assert_eq!(content.titles(&plain, &[]).await.expect("told"), BTreeMap::new());
    assert_eq!(content.titles(&world.a.reader(&[]), &asked).await.expect("told"), BTreeMap::new());
    let staff = content.titles(&world.scope(&world.a, world.a.owner).await, &asked).await.expect("told");
    assert_eq!(staff.len(), 3, "staff read every space of their own community: {staff:?}");
}

/// A document reads back as it was put, in reading order.
pub async fn a_document_reads_back_whole(world: &World) {
    let side = &world.a;
    let texts: Vec<String> =
        (0..40).map(|number| format!("Paragraph {number}.\nÜber café – 漢字 \u{1f980}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut new = document(side.open, "long", "A “long” one", &texts);
    for (number, chunk) in new.text.chunks.iter_mut().enumerate() {
        chunk.heading = format!("Heading {number}");
        chunk.author = (number % 2 == 0).then(|| format!("Author {number}"));
    }
    world.stores.content.put(&side.operator(), vec![new.clone()]).await.expect("stored");
    let id = world.document(side, "long").await;
    let read = world.stores.content.document(&side.operator(), id).await.expect("there");
    assert_eq!((read.id, read.space, read.title), (id, side.open, new.title));
    assert_eq!((read.url, read.author, read.written), (new.url, new.author, new.written));
    assert_eq!(read.text, new.text);
}

/// Putting what is there already writes nothing, and gives the same ids.
pub async fn an_unchanged_document_is_not_written_again(world: &World) {
    let (side, content) = (&world.a, &world.stores.content);
    let new = document(side.open, "note", "A note", &["It says zebrawood."]);
    let put =
        async |new: &NewDocument| content.put(&side.operator(), vec![new.clone()]).await.expect("stored");
    assert_eq!(put(&new).await, [PutOutcome::Added]);
    let id = world.document(side, "note").await;
    for _ in 0..2 {
        assert_eq!(put(&new).await, [PutOutcome::Unchanged]);
        assert_eq!(world.document(side, "note").await, id);
        assert_eq!(world.search(&side.operator(), "zebrawood").await.len(), 1, "it is found once");
    }
    let twice = content.put(&side.operator(), vec![new.clone(), new.clone()]).await.expect("stored");
    assert_eq!(twice, [PutOutcome::Unchanged; 2]);
    let elsewhere = NewDocument { source: "other".to_owned(), ..new };
    assert_eq!(put(&elsewhere).await, [PutOutcome::Added], "another source has keys of its own");
}

/// A changed document keeps its id; its old words are gone and its new ones are found.
pub async fn a_changed_document_loses_its_old_words(world: &World) {
    let (side, content) = (&world.a, &world.stores.content);
    let put = async |title: &str, chunks: &[&str]| {
        let new = document(side.open, "note", title, chunks);
        content.put(&side.operator(), vec![new]).await.expect("stored")
    };
    put("About zebrawood", &["It says quagga.", "It says okapi."]).await;
    let id = world.document(side, "note").await;
    assert_eq!(put("About rosewood", &["It says tapir."]).await, [PutOutcome::Changed]);
    assert_eq!(world.document(side, "note").await, id);
    for (word, found) in
        [("zebrawood", false), ("quagga", false), ("okapi", false), ("rosewood", true), ("tapir", true)]
    {
        assert_eq!(world.found(&side.operator(), word).await.contains(&id), found, "{word}");
    }
    assert_eq!(content.document(&side.operator(), id).await.expect("there").text.chunks.len(), 1);
}

/// A document that moves to another space is read by that space's readers and by no others.
pub async fn a_document_that_moves_changes_its_readers(world: &World) {
    let (side, content) = (&world.a, &world.stores.content);
    let note = document(side.open, "note", "A note", &["It says zebrawood."]);
    content.put(&side.operator(), vec![note.clone()]).await.expect("stored");
    let id = world.document(side, "note").await;
    let plain = world.scope(side, side.plain).await;
    assert_eq!(world.found(&plain, "zebrawood").await, [id]);
    let moved = NewDocument { space: side.closed, ..note };
    assert_eq!(content.put(&side.operator(), vec![moved]).await.expect("stored"), [PutOutcome::Changed]);
    assert_eq!(world.document(side, "note").await, id);
    assert_eq!(world.found(&plain, "zebrawood").await, []);
    assert_eq!(refusal(content.document(&plain, id).await), Some(Kind::NotFound));
    assert_eq!(world.found(&side.operator(), "zebrawood").await, [id]);
}

/// One document that cannot be stored keeps all of its put out, also what came before it.
pub async fn a_put_is_all_or_nothing(world: &World) {
    let (side, content) = (&world.a, &world.stores.content);
    let before = content.source(&side.operator(), "fixture").await.expect("listed");
    for stray in [SpaceId::from_bytes([2; 16]), world.b.open] {
        let documents = vec![
            document(side.open, "first", "First", &["It says zebrawood."]),
            document(side.open, "welcome", "Changed", &["It says quagga."]),
            document(stray, "stray", "Stray", &["It says okapi."]),
            document(side.open, "last", "Last", &["It says tapir."]),
        ];
        assert_eq!(refusal(content.put(&side.operator(), documents).await), Some(Kind::Invalid));
        assert_eq!(content.source(&side.operator(), "fixture").await.expect("listed"), before);
        for word in ["zebrawood", "quagga", "okapi", "tapir"] {
            assert_eq!(world.found(&side.operator(), word).await, [], "{word}");
        }
    }
    assert_eq!(content.put(&side.operator(), Vec::new()).await.expect("nothing to do"), []);
}

/// A removed document is in no list, no search and no read, and counts as new when it comes again.
pub async fn a_removed_document_leaves_no_trace(world: &World) {
    let (side, content) = (&world.a, &world.stores.content);
    let note = document(side.open, "note", "About zebrawood", &["It says quagga.", "It says okapi."]);
    content.put(&side.operator(), vec![note.clone()]).await.expect("stored");
    let id = world.document(side, "note").await;
    assert_eq!(content.remove(&side.operator(), &[id]).await.expect("removed"), 1);
    for word in ["zebrawood", "quagga", "okapi"] {
        assert_eq!(world.found(&side.operator(), word).await, [], "{word}");
    }
    assert_eq!(refusal(content.document(&side.operator(), id).await), Some(Kind::NotFound));
    let source = content.source(&side.operator(), "fixture").await.expect("listed");
    assert!(!source.contains_key("note"));
    let again = content.remove(&side.operator(), &[id, DocumentId::from_bytes([1; 16])]).await;
    assert_eq!(again.expect("unknown ids are passed over"), 0);
    assert_eq!(content.put(&side.operator(), vec![note]).await.expect("stored"), [PutOutcome::Added]);
    assert_eq!(world.found(&side.operator(), "quagga").await.len(), 1);
}

/// With a scope of one community, the documents of another are neither removed nor written to.
pub async fn ids_of_another_community_remove_nothing(world: &World) {
    let (a, b, content) = (&world.a, &world.b, &world.stores.content);
    let theirs: Vec<DocumentId> = b.documents.values().copied().collect();
    assert_eq!(content.remove(&a.operator(), &theirs).await.expect("passed over"), 0);
    assert_eq!(world.found(&b.operator(), "lantern").await.len(), 4);
}

/// Who is no admin, or whose credential is not for that, writes nothing and sees no source.
pub async fn only_admins_write_content(world: &World) {
    let (side, content) = (&world.a, &world.stores.content);
    for scope in world.lesser(side).await {
        let new = document(side.open, "graffiti", "Graffiti", &["zebrawood"]);
        let refused = [
            refusal(content.put(&scope, vec![new]).await),
            refusal(content.source(&scope, "fixture").await),
            refusal(content.remove(&scope, &[side.id("welcome")]).await),
        ];
        assert_eq!(refused, [Some(Kind::Forbidden); 3], "{scope:?}");
    }
    assert_eq!(world.found(&side.operator(), "zebrawood").await, []);
    assert!(content.document(&side.operator(), side.id("welcome")).await.is_ok());
    let admin = world.scope(side, side.admin).await;
    let new = document(side.open, "notice", "Notice", &["zebrawood"]);
    content.put(&admin, vec![new]).await.expect("an admin writes");
}

/// A scope that outlives its reader's rights is short-lived by design; what it lists is still all it reaches.
pub async fn a_scope_reaches_what_it_lists_and_no_more(world: &World) {
    let side = &world.a;
    world.clock.advance(Duration::from_secs(1));
    for (spaces, expected) in [
        (vec![side.open], vec!["rules", "welcome"]),
        (vec![side.gold], vec!["course"]),
        (vec![side.closed, side.gold], vec!["course", "minutes"]),
        (vec![side.open, side.open], vec!["rules", "welcome"]),
    ] {
        let scope = side.reader(&spaces);
        let mut found = world.found(&scope, "lantern").await;
        found.sort_unstable();
        let mut expected: Vec<DocumentId> = expected.into_iter().map(|key| side.id(key)).collect();
        expected.sort_unstable();
        assert_eq!(found, expected);
        for (key, id) in &side.documents {
            assert_eq!(
                world.stores.content.document(&scope, *id).await.is_ok(),
                expected.contains(id),
                "{key}"
            );
        }
    }
}
