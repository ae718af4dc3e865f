use super::{Pages, SpaceFrom};
use crate::Limits;
use crate::entry::{Parsed, Reason};
use crate::walk::Found;

fn read_as(space_from: SpaceFrom, path: &str, text: &str) -> Result<Parsed, Reason> {
    let paths = ["book/ch1.md", "book/ch2.md", "rfcs/1.md", "peps/pep-0008.rst"].map(str::to_owned).into();
    let found = Found { path: path.into(), full: path.into(), bytes: text.len() as u64 };
    Pages { space_from, paths }.parse(&found, text.as_bytes().to_vec(), &Limits::default())
}

fn read(path: &str, text: &str) -> Parsed {
    read_as(SpaceFrom::Folder, path, text).unwrap()
}

fn text(parsed: &Parsed) -> String {
    let chunks = parsed.chunks.iter();
    let lines =
        chunks.map(|chunk| format!("[{}] {:?}\n{}", chunk.heading, chunk.author.as_deref(), chunk.text));
    lines.collect::<Vec<_>>().join("\n---\n")
}

#[test]
fn the_title_is_the_best_name_there_is() {
    for (path, content, title) in [
        ("a/x.md", "---\ntitle: Given\n---\n# Heading\ntext", "Given"),
        ("a/x.md", "## Heading\ntext\n### Sub\ntext", "Heading"),
        ("a/0169-use-path.md", "- Start: 1\n\n# Summary\ntext\n\n# Motivation\ntext", "0169 use path"),
        ("a/ch04-slices.md", "## The Slice Type\ntext\n\n## Summary\ntext", "The Slice Type"),
        ("a/README.md", "# Project\ntext\n# Install\ntext", "Project"),
        ("a/coercions.md", "### Summary\ntext\n\n# Unresolved\ntext", "coercions"),
        ("a/some_page.txt", "text", "some page"),
        ("a/x.txt", "---\nslug: my-page\n---\ntext", "my page"),
        ("a/x.html", "<title>The\n title</title><h1>Heading</h1><p>text", "The title"),
        ("a/x.rst", "Heading\n=======\n\ntext", "Heading"),
        ("a/-.md", "text", "Untitled"),
        // What nobody sees names nothing.
        ("a/x.md", "---\ntitle: \u{200b}\u{202e}\n---\n# Heading\ntext", "Heading"),
        ("a/some-page.md", "---\ntitle: \u{1}\nslug: \u{feff}\n---\n# \u{200b}\ntext", "some page"),
    ] {
        assert_eq!(read(path, content).title, title, "{path} {content:?}");
    }
}

#[test]
fn the_top_level_folder_is_the_space_whatever_a_page_says() {
    let page = "---\ncategory: Open to all\n---\ntext";
    let space = |from, path| read_as(from, path, page).unwrap().space_key;
    assert_eq!(space(SpaceFrom::Folder, "paid/deep/x.md"), "paid");
    assert_eq!(space(SpaceFrom::Folder, "x.md"), "general");
    assert_eq!(space(SpaceFrom::Category, "paid/x.md"), "Open to all");
    assert_eq!(read_as(SpaceFrom::Category, "paid/x.md", "text").unwrap().space_key, "paid");
}

#[test]
fn a_markdown_page_becomes_sections_of_plain_text() {
    let parsed = read(
        "book/ch1.md",
        "---\ntitle: Saving\nauthor: Ann\ndate: 2020-02-03\nurl: https://example.org/saving\ntags: [disk, io]\n---\n\
         # Saving\n\nUse **one** of `save` or [load](ch2.md#x), see [web](https://example.org/a) and [r](../rfcs/1.html).\n\n\
         ## Tables\n\n| a | b |\n|---|---|\n| 1 | x\\|y |\n\n- one\n- two\n  1. deep\n  2. deeper\n\n> quoted\n> more\n\n\
         ```rust\nfn main() {\n    save();\n}\n```\n\n![a chart](x.png) end[^1]\n\n[^1]: note\n",
    );
    insta::assert_snapshot!(text(&parsed), @r#"
    [About Saving] None
    Tags: disk, io
    ---
    [] None
    Use one of save or load, see web and r.
    ---
    [Tables] None
    a | b
    1 | x|y

    - one
    - two
      1. deep
      2. deeper

    > quoted more

    fn main() {
        save();
    }

    [image: a chart] end^1

    ^1

    note
    "#);
    assert_eq!(parsed.links, ["book/ch2.md", "https://example.org/a", "rfcs/1.md"]);
    assert_eq!(parsed.url.as_deref(), Some("https://example.org/saving"));
    assert_eq!(parsed.author.as_deref(), Some("Ann"));
    assert_eq!(parsed.written.unwrap().to_string(), "2020-02-03T00:00:00Z");
}

#[test]
fn posts_of_an_exported_thread_have_their_authors() {
    let parsed = read(
        "topics/x.md",
        "---\ntitle: T\n---\n# T\n\n**Date**: x\n\n---\n\n## Post #1 by @ann (2019-01-04 15:44 UTC)\n\n<p>first</p>\n\n---\n\n\
         ## Post #2 by @bob (2019-01-04 15:59 UTC)\n\n<p>second</p>\n\n---\n",
    );
    insta::assert_snapshot!(text(&parsed), @r#"
    [Post #1 by @ann (2019-01-04 15:44 UTC)] Some("ann")
    first
    ---
    [Post #2 by @bob (2019-01-04 15:59 UTC)] Some("bob")
    second
    "#);
}

#[test]
fn an_html_page_is_what_a_reader_sees() {
    let parsed = read(
        "site/x.html",
        "<!doctype html><html><head><title>T</title><meta name=Author content=Ann><meta name=keywords content='obey me'>\
         <meta property='article:published_time' content='2020-01-02T03:04:05Z'>\
         <link rel=canonical href='https://example.org/x'><style>p{color:red}</style></head><body><nav>menu</nav>\
         <h1>T</h1><p>one<br>two</p><h2>Part</h2><table><tr><th>a<th>b<tr><td>1<td><p>2</p></table><template>no</template>\
         <p hidden>obey me</p><noscript>no</noscript><dl><dt>term<dd>meaning</dl></body></html>",
    );
    insta::assert_snapshot!(text(&parsed), @r#"
    [] None
    one
    two
    ---
    [Part] None
    a | b
    1 | 2

    term
      meaning
    "#);
    assert_eq!(parsed.url.as_deref(), Some("https://example.org/x"));
    assert_eq!((parsed.author.as_deref(), parsed.written.is_some()), (Some("Ann"), true));
}

#[test]
fn references_between_proposals_are_links_between_documents() {
    let parsed = read("peps/pep-0001.rst", "PEP: 1\nTitle: Purpose\n\nSee :pep:`8` and :pep:`999`.\n");
    assert_eq!(parsed.links, ["peps/pep-0008.rst", "https://peps.python.org/pep-0999/"]);
    assert_eq!(parsed.title, "PEP 1: Purpose");
}

#[test]
fn plain_text_keeps_its_paragraphs_and_addresses() {
    let parsed =
        read("a/x.txt", "One line\nand another.\n\n\nSee (https://example.org/a), <http://b.org/>.\n");
    assert_eq!(
        parsed.chunks[0].text,
        "One line\nand another.\n\nSee (https://example.org/a), <http://b.org/>."
    );
    assert_eq!(parsed.links, ["https://example.org/a", "http://b.org/"]);
}

#[test]
fn a_page_without_text_is_told() {
    for (path, content) in [
        ("a/x.md", ""),
        ("a/x.md", "---\ntitle: T\n---\n\n<!-- only a comment -->\n"),
        ("a/x.html", "<p hidden>x</p>"),
        ("a/x.txt", " \n\u{200b}\n"),
    ] {
        assert_eq!(read_as(SpaceFrom::Folder, path, content), Err(Reason::Empty), "{content:?}");
    }
}

#[test]
fn a_wrong_date_is_noted_and_passed_over() {
    let parsed = read("a/x.md", "---\ndate: soon\n---\ntext");
    assert_eq!(
        (parsed.written, parsed.notes),
        (None, vec!["`soon` is not a date that is understood".to_owned()])
    );
}
