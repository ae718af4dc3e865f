//! The four real exports, read whole. They are not part of the repository.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use portcullis_import::{Entry, Export, Limits, Parsed, SpaceFrom, discourse, folder};

use crate::shape;

/// Unpacks an export; `None`, with a word about it, if the data is not there.
fn unpack(name: &str) -> Option<(tempfile::TempDir, PathBuf)> {
    let archive = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data/communities")
        .join(format!("{name}.tar.zst"));
    let dir = tempfile::tempdir().unwrap();
    let unpacked = archive.is_file()
        && Command::new("tar")
            .arg("--zstd")
            .arg("-xf")
            .arg(&archive)
            .arg("-C")
            .arg(dir.path())
            .status()
            .is_ok_and(|status| status.success());
    if unpacked {
        let inner = dir.path().join(name);
        return Some((dir, inner));
    }
    assert!(!is_required(), "the export `{name}` is wanted, but it cannot be unpacked");
    println!("SKIPPED {name}: the export is not there, or `tar --zstd` is not");
    None
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests learn from the environment which data they may not skip"
)]
fn is_required() -> bool {
    std::env::var("PORTCULLIS_REQUIRE").is_ok_and(|wanted| wanted.split(',').any(|word| word == "data"))
}

/// Reads an export twice, checks every document, and prints what it took.
fn read(name: &str, export: &Export) -> (Vec<Parsed>, Vec<String>) {
    let limits = Limits::default();
    let start = Instant::now();
    let (mut documents, mut rejected) = (Vec::new(), Vec::new());
    for entry in export.entries() {
        match entry {
            Entry::Read(parsed) => documents.push(*parsed),
            Entry::Rejected(left) => rejected.push(format!("{}: {}", left.path, left.why)),
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    for parsed in &documents {
        shape::check(parsed, &limits);
    }
    let keys: BTreeSet<&str> = documents.iter().map(|parsed| parsed.source_key.as_str()).collect();
    assert_eq!(keys.len(), documents.len(), "keys are unique");
    let mut spaces: BTreeMap<&str, usize> = BTreeMap::new();
    for parsed in &documents {
        *spaces.entry(&parsed.space_key).or_default() += 1;
    }
    let chunks: usize = documents.iter().map(|parsed| parsed.chunks.len()).sum();
    let internal =
        documents.iter().flat_map(|parsed| &parsed.links).filter(|link| keys.contains(link.as_str())).count();
    println!(
        "{name}: {} documents, {chunks} chunks, {internal} links within, {} bytes, {seconds:.2} s, spaces {spaces:?}",
        documents.len(),
        export.bytes()
    );
    (documents, rejected)
}

fn find<'a>(documents: &'a [Parsed], key: &str) -> &'a Parsed {
    documents.iter().find(|parsed| parsed.source_key == key).unwrap()
}

#[test]
fn a_forums_topics_are_read_whole() {
    let Some((_dir, path)) = unpack("urho3d-forum") else { return };
    let limits = Limits::default();
    let export = discourse::read(&path.join("topics"), &limits, Some("https://discourse.urho3d.io")).unwrap();
    let (documents, rejected) = read("urho3d-forum", &export);
    assert_eq!((documents.len(), rejected), (1500, Vec::<String>::new()));
    assert_eq!(documents.iter().filter(|parsed| parsed.accepted.is_some()).count(), 202);
    let topic = find(&documents, "2233");
    assert_eq!(topic.title, "Dealing with relative paths");
    assert_eq!(topic.url.as_deref(), Some("https://discourse.urho3d.io/t/dealing-with-relative-paths/2233"));
    assert_eq!(topic.staff, ["Mike", "cadaver"]);
    assert_eq!(topic.space_key, "category-10");
    assert!(topic.chunks[0].text.starts_with("Knowing the base path and the relative path"));
    let spaces: BTreeSet<&str> = documents.iter().map(|parsed| parsed.space_key.as_str()).collect();
    assert_eq!(spaces.len(), 11);
}

#[test]
fn a_forum_exported_as_markdown_is_read_whole() {
    let Some((_dir, path)) = unpack("slicer-forum") else { return };
    let export = folder::read(&path, &Limits::default(), SpaceFrom::Folder).unwrap();
    let (documents, rejected) = read("slicer-forum", &export);
    assert_eq!((documents.len(), rejected), (1494, Vec::<String>::new()));
    let thread = documents.iter().find(|parsed| parsed.source_key.ends_with("id5304.md")).unwrap();
    assert_eq!(thread.url.as_deref(), Some("https://discourse.slicer.org/t/5304"));
    assert!(thread.chunks.iter().any(|chunk| chunk.author.as_deref() == Some("lassoan")));
    assert!(
        thread
            .chunks
            .iter()
            .any(|chunk| chunk.text.contains("segmentEditorWidget = slicer.qMRMLSegmentEditorWidget()\n"))
    );
    assert_eq!(documents.iter().filter(|parsed| parsed.written.is_none()).count(), 1);
}

#[test]
fn a_book_and_its_proposals_are_read_whole() {
    let Some((_dir, path)) = unpack("rust-guild") else { return };
    let export = folder::read(&path, &Limits::default(), SpaceFrom::Folder).unwrap();
    let (documents, rejected) = read("rust-guild", &export);
    assert_eq!((documents.len(), rejected), (760, Vec::<String>::new()));
    let chapter = find(&documents, "book/ch04-01-what-is-ownership.md");
    assert_eq!((chapter.title.as_str(), chapter.space_key.as_str()), ("What Is Ownership?", "book"));
    assert!(chapter.chunks.iter().any(|chunk| chunk.heading == "Ownership Rules"));
    assert!(chapter.links.iter().any(|link| link == "book/ch08-02-strings.md"));
    assert_eq!(find(&documents, "rfcs/0169-use-path-as-id.md").title, "0169 use path as id");
}

#[test]
fn proposals_in_restructuredtext_are_read_whole() {
    let Some((_dir, path)) = unpack("python-circle") else { return };
    let export = folder::read(&path, &Limits::default(), SpaceFrom::Folder).unwrap();
    let (documents, rejected) = read("python-circle", &export);
    assert_eq!((documents.len(), rejected), (736, Vec::<String>::new()));
    assert!(documents.iter().all(|parsed| parsed.written.is_some() && parsed.title.starts_with("PEP ")));
    let proposal = find(&documents, "peps/pep-0615.rst");
    assert_eq!(proposal.title, "PEP 615: Support for the IANA Time Zone Database in the Standard Library");
    assert_eq!(proposal.author.as_deref(), Some("Paul Ganssle"));
    assert!(proposal.links.iter().any(|link| link == "peps/pep-0495.rst"));
    let headings: Vec<&str> = proposal.chunks.iter().map(|chunk| chunk.heading.as_str()).collect();
    assert!(headings.contains(&"Proposal › The zoneinfo.ZoneInfo class › Constructors"), "{headings:?}");
    let addresses =
        documents.iter().filter_map(|parsed| parsed.author.as_ref()).filter(|author| author.contains('@'));
    assert_eq!(addresses.count(), 0);
}
