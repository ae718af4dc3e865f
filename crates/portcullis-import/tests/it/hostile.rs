//! Files made to exhaust a parser: each must be read, or refused with a reason, in a time that grows with its size.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use portcullis_import::{Entry, Limits, Reason, SpaceFrom, discourse, folder};
use proptest::prelude::*;

use crate::shape;

/// The formats of a folder.
const KINDS: [&str; 4] = ["md", "rst", "html", "txt"];

/// Reads one file as the only one of a folder and checks what it became. Returns the processor time of the reading alone.
fn read(name: &str, bytes: &[u8]) -> (Entry, Duration) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(name), bytes).unwrap();
    let limits = Limits::default();
    let export = if Path::new(name).extension().is_some_and(|kind| kind == "json") {
        discourse::read(dir.path(), &limits, None).unwrap()
    } else {
        folder::read(dir.path(), &limits, SpaceFrom::Folder).unwrap()
    };
    let (start, begun) = (Instant::now(), processor_time());
    let mut entries: Vec<Entry> = export.entries().collect();
    let taken = match (begun, processor_time()) {
        (Some(begun), Some(now)) => now.saturating_sub(begun),
        _ => start.elapsed(),
    };
    assert_eq!(entries.len(), 1, "{name}");
    let entry = entries.remove(0);
    match &entry {
        Entry::Read(parsed) => shape::check(parsed, &limits),
        Entry::Rejected(rejected) => assert_ne!(rejected.why, Reason::Defect, "{name}"),
    }
    (entry, taken)
}

/// How long this thread has had a processor, where the system tells it: other work on the machine must not count.
fn processor_time() -> Option<Duration> {
    let told = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// A topic whose only post is this HTML.
fn topic(cooked: &str) -> String {
    let cooked = serde_json::to_string(cooked).unwrap();
    format!(
        r#"{{"id":1,"title":"t","post_stream":{{"posts":[{{"post_number":1,"username":"a","cooked":{cooked}}}]}}}}"#
    )
}

/// `unit` again and again, about `bytes` long.
fn repeated(unit: &str, bytes: usize) -> String {
    unit.repeat(bytes / unit.len() + 1)
}

/// Texts that have taken parsers of these formats more time than their size, or all of the stack.
fn pathological(bytes: usize) -> Vec<(String, String)> {
    let units = [
        "[",
        "]",
        "*",
        "_",
        "`",
        "<",
        ">",
        "&",
        "|",
        "~",
        "\\",
        "!",
        "#",
        "(",
        "\"",
        "'",
        ":",
        "=",
        "-",
        "+",
        ".",
        "{",
        "\n",
        " ",
        "\t",
        "a",
        "![",
        "[a](",
        "[](",
        "[^",
        "[a]: ",
        "*a ",
        "**a ",
        "_a ",
        "`a ",
        "``a ",
        "a*",
        "a**",
        "~~a ",
        "<a ",
        "<b>",
        "<div>",
        "<p>",
        "<p hidden>",
        "<i hidden><p>",
        "</p>",
        "</x>",
        "<td>",
        "<table>",
        "<li>",
        "<ul><li>",
        "<blockquote>",
        "<pre>",
        "<a href='",
        "<!--",
        "<!-- -->",
        "<![CDATA[",
        "<?",
        "<!",
        "</",
        "<script>",
        "<script><!--",
        "<title>",
        "<h1>",
        "<svg>",
        "<select>",
        "<button><p>",
        "<b><p>",
        "<aside class=\"quote\" data-username=\"a\">",
        "&#",
        "&amp",
        "&#x41;",
        "> ",
        "- ",
        "* ",
        "1. ",
        "> - ",
        "-\n",
        "#\n",
        "|\n",
        "|-|\n",
        "|a|\n|-|\n",
        "a\n=\n",
        "a\n-\n",
        "- a\n",
        "> a\n",
        "~~~\n",
        "```\n",
        "[a]: /b\n",
        "[a][a]",
        "[^a]: b\n",
        "[^a]",
        "$a",
        "$$",
        "{a",
        "::\n",
        ".. ",
        ".. a::\n",
        ".. _a: b\n",
        ".. |a| replace:: b\n",
        "|a ",
        "|a| ",
        ":a:`",
        ":a: b\n",
        "`a`_ ",
        "`a <b>`_ ",
        "a_ ",
        "__ a\n",
        "[a]_ ",
        "=== ===\n",
        "+-+\n",
        ">>> a\n",
        "* a::\n\n",
        "a::\n\n ",
        ".. list-table::\n\n   * - a\n",
        "| a\n",
        "\u{200b}",
        "\u{202e}",
        "\u{e0041}",
        "é",
        "http://a",
        "{{#a",
        "---\n",
        "+++\n",
        "a: b\n",
        "\u{c}",
    ];
    let mut texts: Vec<(String, String)> =
        units.iter().map(|unit| (format!("{unit:?} repeated"), repeated(unit, bytes))).collect();
    let half = bytes / 2;
    for (opens, goes_on) in [
        ("- ", "\n"),
        ("> ", "\na"),
        ("> ", "\n"),
        ("1. ", "\n\n"),
        ("|", "\n|-|"),
        ("|a", "\n|"),
        ("<div>", "</span>"),
        ("<b>", "<p>"),
        ("<div>", "</p>"),
        ("<td>", "</div>"),
        ("<table>", "<li>"),
        ("[", "]"),
        ("[", "](a)"),
        ("*", "*a"),
        ("`", "` "),
        ("<a>", "</b>"),
        ("<b hidden>", "</p>"),
        ("<b hidden><p>", "</p>"),
        ("<i>", "<table>"),
        ("\n", ".. a::\n"),
        ("=\n", ":a: b\n"),
        ("[a]: b\n", "[a]"),
        ("[^a]: b\n", "[^a]"),
        (".. _a: b\n", "a_ "),
        ("- a\n", "\n"),
        ("  ", "a\n"),
    ] {
        texts.push((
            format!("{opens:?} and then {goes_on:?}"),
            repeated(opens, half) + &repeated(goes_on, half),
        ));
    }
    let mut attributes = String::from("<a ");
    let mut references = String::new();
    let mut stairs = String::new();
    let mut headings = String::new();
    for index in 0..bytes / 8 {
        let _ = write!(attributes, "a{index} ");
        let _ = writeln!(references, "[r{index}]: /x");
        let _ = writeln!(headings, "a{index}\n====");
    }
    let mut depth = 0;
    while stairs.len() < bytes {
        stairs.push_str(&"  ".repeat(depth % 400));
        stairs.push_str("- a\n");
        depth += 1;
    }
    stairs.push_str(&"\n".repeat(half));
    let columns = format!("{}\n{}\n{}", repeated("|a", half), repeated("|-", half), repeated("a\n", half));
    for (name, text) in [
        ("attributes", attributes),
        ("references", references),
        ("lists as stairs", stairs),
        ("headings", headings),
        ("columns", columns),
    ] {
        texts.push((name.to_owned(), text));
    }
    texts
}

/// Even unoptimised the slowest of these takes two seconds; work that grows with the square of the size takes longer.
const SMALL: usize = 200_000;
const SMALL_LIMIT: Duration = Duration::from_secs(5);

fn each_is_read_in_time(name: &str, wants: impl Fn(&str) -> bool) {
    for (what, text) in pathological(SMALL) {
        let text = if name == "1.json" { topic(&text) } else { text };
        if wants(&what) {
            let (_, taken) = read(name, text.as_bytes());
            assert!(taken < SMALL_LIMIT, "{what} as {name}: {taken:?}");
        }
    }
}

#[test]
fn the_time_for_markdown_grows_with_its_size_and_not_with_its_square() {
    each_is_read_in_time("x.md", |_| true);
}

#[test]
fn the_time_for_restructuredtext_grows_with_its_size_and_not_with_its_square() {
    each_is_read_in_time("x.rst", |_| true);
}

#[test]
fn the_time_for_html_grows_with_its_size_and_not_with_its_square() {
    let is_html = |what: &str| what.contains(['<', '&']) || what == "attributes";
    each_is_read_in_time("x.html", is_html);
    each_is_read_in_time("1.json", |what| is_html(what) && what.contains("hidden"));
}

#[test]
fn five_megabytes_of_one_mark_are_read_within_seconds() {
    for unit in ["[", "*", "<", "`"] {
        let text = repeated(unit, 5_000_000);
        for kind in KINDS {
            let (_, taken) = read(&format!("x.{kind}"), text.as_bytes());
            assert!(taken < Duration::from_secs(20), "{unit:?} as {kind}: {taken:?}");
        }
    }
}

#[test]
fn nesting_a_hundred_thousand_deep_takes_no_stack() {
    for (open, close) in [
        ("<div>", "</div>"),
        ("<blockquote>", "</blockquote>"),
        ("<ul><li>", ""),
        ("<b>", "</b>"),
        ("<table><tr><td>", ""),
    ] {
        let html = format!("{}SHOWN{}", open.repeat(100_000), close.repeat(100_000));
        for (name, text) in [("x.html", html.clone()), ("x.md", html.clone()), ("1.json", topic(&html))] {
            let (entry, _) = read(name, text.as_bytes());
            let Entry::Read(parsed) = entry else { panic!("{name} {open}") };
            assert!(parsed.chunks.iter().any(|chunk| chunk.text.contains("SHOWN")), "{name} {open}");
        }
    }
    for unit in ["> ", "- ", "1. ", "[", "![", "*a **b "] {
        for kind in KINDS {
            read(&format!("x.{kind}"), format!("{}x\n\nSHOWN", unit.repeat(100_000)).as_bytes());
        }
    }
    for json in ["[".repeat(100_000), "{\"a\":".repeat(100_000)] {
        assert!(matches!(read("1.json", json.as_bytes()).0, Entry::Rejected(_)));
    }
}

/// A page with something of everything, to be broken in many ways.
const PAGE: &str = "---\ntitle: T\ndate: 2020-01-01\ntags: [a]\n---\nPEP: 1\nTitle: x\n\n# Head\n\n=====\nOver\n=====\n\ntext *em* ``lit`` :pep:`8` \
    `a <https://b.org>`_ [l](m.md) <b hidden>no</b>::\n\n    code\n\n.. note:: n\n\n   more\n\n+---+\n| a |\n+---+\n\n== ==\na  b\n== ==\n\n\
    - item\n  1. sub\n\n> quote\n\n<pre>\n\nx</pre>\n<aside class=\"quote\" data-username=\"u\"><div class=\"title\">u:</div>q</aside>\n\n\
    | a | b |\n|---|---|\n| 1 | 2 |\n\n```\ncode\n```\n<!-- c --><script>s</script>&amp;&#65;\u{200b}[^1]\n\n[^1]: f\n";

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400), kind in 0usize..5) {
        let name = KINDS.get(kind).map_or("1.json".to_owned(), |kind| format!("x.{kind}"));
        read(&name, &bytes);
    }

    #[test]
    fn any_marks_are_read(text in r#"[a \n<>/!"'=\[\]()*_`:|.#+&;\\~^{}$\-\t01é]{0,300}"#, kind in 0usize..4) {
        read(&format!("x.{}", KINDS[kind]), text.as_bytes());
        read("1.json", topic(&text).as_bytes());
    }

    #[test]
    fn a_page_broken_anywhere_is_read_or_refused(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0usize..4), 1..6),
        kind in 0usize..5,
    ) {
        let mut bytes = if kind == 4 { topic(PAGE).into_bytes() } else { PAGE.as_bytes().to_vec() };
        for (from, to, how) in cuts {
            if bytes.is_empty() { break; }
            let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
            let (from, to) = (from.min(to), from.max(to));
            match how {
                0 => { bytes.drain(from..to); }
                1 => { let piece = bytes[from..to].to_vec(); bytes.splice(from..from, piece); }
                2 => bytes[from] = bytes[from].wrapping_add(u8::try_from(to % 256).unwrap()),
                _ => bytes.truncate(to),
            }
        }
        let name = KINDS.get(kind).map_or("1.json".to_owned(), |kind| format!("x.{kind}"));
        read(&name, &bytes);
    }
}
