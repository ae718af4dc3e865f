use std::collections::{BTreeMap, BTreeSet};

use portcullis_core::{DocumentId, SpaceId};
use portcullis_store::{SourceEntry, Space, SpaceAccess};

use super::{Category, Kept, MassRemoval, Summary, changes, destinations};
use crate::entry::Stored;
use crate::error::Error;
use crate::space_map::{MapFile, SpaceMap};

fn space(id: u8) -> SpaceId {
    SpaceId::from_bytes([id; 16])
}

fn stored(entries: &[(&str, u8)]) -> BTreeMap<String, SourceEntry> {
    let entry = |index: usize, print: u8| SourceEntry {
        document: DocumentId::from_bytes([u8::try_from(index).unwrap(); 16]),
        fingerprint: [print; 32],
        space: space(1),
    };
    entries
        .iter()
        .enumerate()
        .map(|(index, (key, print))| ((*key).to_owned(), entry(index, *print)))
        .collect()
}

fn found(entries: &[(&str, u8, &str)]) -> Vec<Summary> {
    let summary = |index: usize, (key, print, space): &(&str, u8, &str)| Summary {
        index,
        source_key: (*key).to_owned(),
        fingerprint: [*print; 32],
        space_key: (*space).to_owned(),
    };
    entries.iter().enumerate().map(|(index, entry)| summary(index, entry)).collect()
}

fn spaces() -> BTreeMap<String, Option<SpaceId>> {
    [("a".to_owned(), Some(space(1))), ("b".to_owned(), Some(space(2))), ("new".to_owned(), None)].into()
}

#[test]
fn only_what_differs_is_written_and_only_what_is_gone_is_removed() {
    let before = stored(&[("changed", 1), ("gone", 1), ("moved", 1), ("opened", 1), ("same", 1)]);
    let now = found(&[
        ("changed", 2, "a"),
        ("fresh", 1, "a"),
        ("moved", 1, "b"),
        ("opened", 1, "new"),
        ("same", 1, "a"),
    ]);
    let changes = changes(&before, &now, &spaces(), &Kept::default(), MassRemoval::Refuse).unwrap();
    assert_eq!((changes.write, changes.unchanged), (vec![0, 1, 2, 3], 1));
    assert_eq!(changes.remove, [before["gone"].document]);
}

#[test]
fn running_the_same_import_again_does_nothing() {
    let before = stored(&[("x", 1), ("y", 2)]);
    let now = found(&[("x", 1, "a"), ("y", 2, "a")]);
    let changes = changes(&before, &now, &spaces(), &Kept::default(), MassRemoval::Refuse).unwrap();
    assert_eq!((changes.write.len(), changes.remove.len(), changes.unchanged), (0, 0, 2));
}

#[test]
fn more_than_half_is_not_removed_without_being_told() {
    let before = stored(&[("a", 1), ("b", 1), ("c", 1), ("d", 1)]);
    let run = |now: &[(&str, u8, &str)], removal| {
        changes(&before, &found(now), &spaces(), &Kept::default(), removal)
    };
    assert_eq!(run(&[("a", 1, "a"), ("b", 1, "a")], MassRemoval::Refuse).unwrap().remove.len(), 2);
    let refused = run(&[("a", 1, "a")], MassRemoval::Refuse).unwrap_err();
    assert!(matches!(refused, Error::MassRemoval { removed: 3, stored: 4 }), "{refused}");
    assert_eq!(run(&[("a", 1, "a")], MassRemoval::Allow).unwrap().remove.len(), 3);
    // The wrong folder: plenty of documents, none of them known.
    assert!(run(&[("w", 1, "a"), ("x", 1, "a"), ("y", 1, "a"), ("z", 1, "a")], MassRemoval::Refuse).is_err());
    assert!(run(&[], MassRemoval::Refuse).is_err());
    assert_eq!(run(&[], MassRemoval::Allow).unwrap().remove.len(), 4);
}

#[test]
fn one_stored_document_is_not_removed_by_an_empty_folder() {
    let before = stored(&[("a", 1)]);
    assert!(changes(&before, &[], &spaces(), &Kept::default(), MassRemoval::Refuse).is_err());
}

#[test]
fn what_could_not_be_read_is_not_taken_for_gone() {
    let before = stored(&[
        ("broken", 1),
        ("closed/deep/x", 1),
        ("closed/y", 1),
        ("gone", 1),
        ("open/z", 1),
        ("same", 1),
    ]);
    let mut kept = Kept::default();
    for stored in [Stored::Key("broken".into()), Stored::Prefix("closed/".into()), Stored::Gone] {
        kept.add(&stored);
    }
    let now = found(&[("open/z", 1, "a"), ("same", 1, "a")]);
    let some = changes(&before, &now, &spaces(), &kept, MassRemoval::Refuse).unwrap();
    assert_eq!((some.kept, some.remove), (3, vec![before["gone"].document]));
    kept.add(&Stored::Unknown);
    let all = changes(&before, &now, &spaces(), &kept, MassRemoval::Allow).unwrap();
    assert_eq!((all.kept, all.remove.len()), (4, 0));
}

fn categories(names: &[&str]) -> BTreeMap<String, Category> {
    names.iter().map(|name| ((*name).to_owned(), Category::default())).collect()
}

fn existing(slug: &str, access: SpaceAccess) -> Space {
    Space { id: space(9), slug: slug.into(), name: slug.into(), access }
}

fn map(text: &str) -> SpaceMap {
    SpaceMap::File(MapFile::parse(text).unwrap())
}

fn plans(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn a_space_that_is_more_open_than_wanted_stops_the_import() {
    let wanted = map("[book]\nplans = [\"pro\"]\n");
    let book = categories(&["book"]);
    let run = |access| destinations(&book, &wanted, &[existing("book", access)], &plans(&["pro", "free"]));
    let pro = SpaceAccess::Plans(vec!["pro".into()]);
    assert!(run(SpaceAccess::Staff).is_ok());
    assert!(run(pro.clone()).is_ok());
    assert!(matches!(run(SpaceAccess::Members), Err(Error::MoreOpen { .. })));
    assert!(matches!(
        run(SpaceAccess::Plans(vec!["free".into(), "pro".into()])),
        Err(Error::MoreOpen { .. })
    ));
    // Nothing was asked for: an admin's decision stands.
    let closed =
        destinations(&book, &SpaceMap::Closed, &[existing("book", SpaceAccess::Members)], &plans(&[]))
            .unwrap();
    assert_eq!(closed["book"].existing.as_ref().unwrap().access, SpaceAccess::Members);
}

#[test]
fn a_plan_that_does_not_exist_stops_the_import() {
    let refused =
        destinations(&categories(&["x"]), &map("[book]\nplans = [\"prp\"]\n"), &[], &plans(&["pro"]));
    assert!(matches!(refused, Err(Error::UnknownPlan { plan }) if plan == "prp"));
}

#[test]
fn categories_that_become_one_space_must_agree_on_its_readers() {
    let both = categories(&["Help", "help"]);
    assert!(destinations(&both, &SpaceMap::Open, &[], &plans(&[])).is_ok());
    let refused = destinations(&both, &map("[help]\naccess = \"members\"\n"), &[], &plans(&[]));
    assert!(matches!(refused, Err(Error::Disagree { .. })), "{refused:?}");
}

#[test]
fn open_closes_what_the_forum_itself_restricts() {
    let mut both = categories(&["category-1", "category-2"]);
    both.get_mut("category-2").unwrap().restricted = true;
    let found = destinations(&both, &SpaceMap::Open, &[], &plans(&[])).unwrap();
    assert_eq!(found["category-1"].target.access, SpaceAccess::Members);
    assert_eq!(found["category-2"].target.access, SpaceAccess::Staff);
}
