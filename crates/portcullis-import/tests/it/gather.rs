//! What a whole folder becomes before anything is stored.

use std::fs;
use std::path::Path;
use std::sync::Mutex;

use portcullis_core::SystemClock;
use portcullis_import::{
    Entry, Error, ImportPlan, Limits, MassRemoval, Phase, Progress, Source, SpaceFrom, SpaceMap, Step,
    discourse, folder, gather,
};

fn topic(id: u64, text: &str) -> String {
    format!(
        r#"{{"id":{id},"title":"Topic {id}","category_id":4,"post_stream":{{"posts":[{{"post_number":1,"username":"ann","cooked":"<p>{text}</p>"}}]}}}}"#
    )
}

fn plan(dir: &Path, source: Source) -> ImportPlan {
    ImportPlan {
        dir: dir.to_owned(),
        source,
        limits: Limits::default(),
        spaces: SpaceMap::Closed,
        removal: MassRemoval::Refuse,
    }
}

#[derive(Default)]
struct Steps(Mutex<Vec<Step>>);

impl Progress for Steps {
    fn step(&self, step: Step) {
        self.0.lock().unwrap().push(step);
    }
}

#[test]
fn one_bad_file_never_stops_the_rest_and_each_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| fs::write(dir.path().join(name), content).unwrap();
    write("1.json", topic(1, "one").as_bytes());
    write("2.json", &topic(2, "two").as_bytes()[..40]);
    write("3.json", b"\0\0\0\0");
    write("4.json", topic(1, "the same again").as_bytes());
    write("5.json", b"[[[[[[[[");
    write("6.json", b"{}");
    write("7.json", b"");
    write("8.json", topic(8, "eight caf\u{e9}").replace('\u{e9}', "\u{fffd}").as_bytes());
    write("9.json", &[topic(9, "nine ").as_bytes(), b"  "].concat());
    write("notes.txt", b"x");
    write("bom.json", &[b"\xef\xbb\xbf", topic(10, "ten").as_bytes()].concat());
    let steps = Steps::default();
    let source = Source::Discourse { name: None, base_url: None };
    let gathered = gather(plan(dir.path(), source), &SystemClock::new(), &steps).unwrap();
    let report = gathered.report();
    let lines: Vec<String> =
        report.rejected.iter().map(|left| format!("{}: {}", left.path, left.why)).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    2.json: its JSON ends early at line 1 column 40
    3.json: not text
    4.json: the same topic as `1.json`
    5.json: JSON, but not a topic as Discourse serves it at /t/ID.json
    6.json: JSON, but not a topic as Discourse serves it at /t/ID.json
    7.json: its JSON ends early at line 1 column 0
    notes.txt: not a kind of file that this import reads
    "#);
    assert_eq!(report.files, 11);
    let steps = steps.0.into_inner().unwrap();
    let last = steps.last().unwrap();
    assert_eq!((last.phase, last.done, last.total, last.bytes), (Phase::Reading, 11, 11, report.bytes));
    assert!(steps.is_sorted_by_key(|step| step.done));
    let json = serde_json::to_value(report).unwrap();
    assert_eq!(json["rejected"][0]["path"], "2.json");
    assert!(report.to_string().contains("not taken:\n  2.json: its JSON ends early"), "{report}");
}

#[test]
fn the_order_and_the_fingerprints_are_the_same_every_time() {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["b", "a", "a/c"] {
        fs::create_dir_all(dir.path().join(folder)).unwrap();
    }
    for (name, text) in
        [("b/x.md", "# X\n\nx"), ("a/c/y.txt", "y"), ("a/z.rst", "Z\n=\n\nz"), ("top.html", "<p>t</p>")]
    {
        fs::write(dir.path().join(name), text).unwrap();
    }
    let read = || {
        let export = folder::read(dir.path(), &Limits::default(), SpaceFrom::Folder).unwrap();
        let documents = export.entries().map(|entry| match entry {
            Entry::Read(parsed) => (parsed.path.clone(), parsed.space_key.clone(), parsed.fingerprint()),
            Entry::Rejected(rejected) => panic!("{rejected:?}"),
        });
        documents.collect::<Vec<_>>()
    };
    let first = read();
    let places: Vec<(&str, &str)> =
        first.iter().map(|(path, space, _)| (path.as_str(), space.as_str())).collect();
    assert_eq!(places, [("a/c/y.txt", "a"), ("a/z.rst", "a"), ("b/x.md", "b"), ("top.html", "general")]);
    assert_eq!(first, read());
    fs::write(dir.path().join("b/x.md"), "# X\n\nchanged").unwrap();
    let second = read();
    let differ: Vec<&str> = first
        .iter()
        .zip(&second)
        .filter(|(one, two)| one.2 != two.2)
        .map(|(one, _)| one.0.as_str())
        .collect();
    assert_eq!(differ, ["b/x.md"]);
}

#[test]
fn counters_that_change_with_every_export_do_not_change_a_document() {
    let dir = tempfile::tempdir().unwrap();
    let print = |text: &str| {
        fs::write(dir.path().join("1.json"), text).unwrap();
        let export = discourse::read(dir.path(), &Limits::default(), None).unwrap();
        match export.entries().next() {
            Some(Entry::Read(parsed)) => parsed.fingerprint(),
            other => panic!("{other:?}"),
        }
    };
    let before = topic(1, "text");
    let after = before.replace("\"category_id\":4", "\"category_id\":4,\"views\":99,\"like_count\":3");
    assert_eq!(print(&before), print(&after));
    assert_ne!(print(&before), print(&topic(1, "other text")));
}

#[test]
fn a_list_of_categories_that_is_not_understood_stops_the_import() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("1.json"), topic(1, "x")).unwrap();
    fs::write(
        dir.path().join("categories.json"),
        r#"{"category_list":{"categories":[{"id":4,"name":"Staff room","read_restricted":true}]}}"#,
    )
    .unwrap();
    let export = discourse::read(dir.path(), &Limits::default(), None).unwrap();
    match export.entries().next() {
        Some(Entry::Read(parsed)) => {
            assert_eq!((parsed.space_name.as_deref(), parsed.restricted), (Some("Staff room"), true));
        }
        other => panic!("{other:?}"),
    }
    fs::write(dir.path().join("categories.json"), "{").unwrap();
    let refused = discourse::read(dir.path(), &Limits::default(), None).unwrap_err();
    assert!(matches!(refused, Error::Categories { .. }), "{refused}");
}

#[test]
fn a_folder_that_is_not_there_and_an_address_that_is_none_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits::default();
    assert!(matches!(
        folder::read(&dir.path().join("none"), &limits, SpaceFrom::Folder),
        Err(Error::Directory { .. })
    ));
    for base in ["forum.example.org", "javascript:alert(1)", "https://user:word@example.org"] {
        assert!(matches!(discourse::read(dir.path(), &limits, Some(base)), Err(Error::BaseUrl)), "{base}");
    }
}
