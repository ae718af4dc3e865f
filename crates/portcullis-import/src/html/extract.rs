//! HTML to blocks of text: what a reader of the page would see, in reading order.

use std::borrow::Cow;
use std::collections::HashMap;

use super::elements;
use super::hidden;
use super::token::{Attributes, Token, Tokens};
use crate::chunk::Block;

/// What headings become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Headings {
    /// Sections of the document.
    Sections,
    /// Lines of text, as in a forum post.
    Lines,
}

/// What was found in a page.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// Its text.
    pub(crate) blocks: Vec<Block>,
    /// Targets of visible links, as written.
    pub(crate) links: Vec<String>,
    /// The text of `<title>`.
    pub(crate) title: Option<String>,
    /// Names and contents of `<meta>`, names in lower case.
    pub(crate) meta: Vec<(String, String)>,
    /// The target of `<link rel=canonical>`.
    pub(crate) canonical: Option<String>,
}

/// Reads a page. At most `most_links` links are kept.
pub(crate) fn extract(source: &str, headings: Headings, most_links: usize) -> Page {
    let mut extractor = Extractor {
        headings,
        most_links,
        page: Page::default(),
        open: Vec::new(),
        by_name: HashMap::new(),
        hidden: 0,
        line: String::new(),
        wants_space: false,
        code: None,
        quotes: 0,
        lists: Vec::new(),
        marker: None,
        heading: None,
        cells: 0,
    };
    let mut tokens = Tokens::new(source);
    while let Some(token) = tokens.next() {
        match token {
            Token::Text(text) => extractor.text(&text),
            Token::Close { name } => extractor.close(&name),
            Token::Open { name, attributes, closes_itself } => {
                let foreign = extractor.is_open("svg") || extractor.is_open("math");
                let raw = if foreign { None } else { elements::raw(&name) };
                let closes_itself = closes_itself && (foreign || elements::is_foreign(&name));
                extractor.start(name.clone(), &attributes, closes_itself);
                if let Some(raw) = raw {
                    let text = tokens.raw(&name, raw);
                    if name == "title" && extractor.page.title.is_none() {
                        extractor.page.title = Some(text.split_whitespace().collect::<Vec<_>>().join(" "));
                    } else {
                        extractor.text(&text);
                    }
                }
            }
        }
    }
    extractor.end_code();
    extractor.end_block();
    extractor.page
}

/// An open element.
#[derive(Debug)]
struct Element<'a> {
    name: Cow<'a, str>,
    /// It hides its content itself.
    hides: bool,
    /// Its end tag was seen, but blocks within it stay open.
    ended: bool,
    /// A quotation from a post.
    quote: bool,
    /// The nearest barrier and block at or below this place of the stack, as places from 1; 0 is none.
    barrier: usize,
    block: usize,
}

#[derive(Debug)]
struct Extractor<'a> {
    headings: Headings,
    most_links: usize,
    page: Page,
    open: Vec<Element<'a>>,
    /// The places on the stack, from 1, of the open elements of each name.
    by_name: HashMap<Cow<'a, str>, Vec<usize>>,
    /// How many open elements hide their content.
    hidden: usize,
    line: String,
    wants_space: bool,
    /// The text of the preformatted block that is open.
    code: Option<String>,
    quotes: usize,
    lists: Vec<Option<u64>>,
    /// What the next text of a list item begins with.
    marker: Option<String>,
    heading: Option<u8>,
    cells: usize,
}

/// How far down the stack a start tag looks for elements that it ends.
const IMPLIED_END_REACH: usize = 24;
/// The most hidden formatting elements that outlive their parent.
const MOST_REOPENED: usize = 32;
/// The deepest quotation and list that is shown as such.
const SHOWN_DEPTH: usize = 3;
const MOST_META: usize = 64;

impl<'a> Extractor<'a> {
    fn is_open(&self, name: &str) -> bool {
        self.by_name.get(name).is_some_and(|places| !places.is_empty())
    }

    // ---- the stack of open elements ----

    fn start(&mut self, name: Cow<'a, str>, attributes: &Attributes<'_>, closes_itself: bool) {
        self.end_implied(&name);
        let parent_is_quote = self.open.last().is_some_and(|parent| parent.quote);
        let who = attributes.value("data-username").unwrap_or_default().trim();
        let quote = name == "aside" && attributes.has_class("quote") && !who.is_empty();
        let hides = elements::is_dropped(&name)
            || hidden::hides(attributes)
            || (name == "dialog" && attributes.value("open").is_none())
            // The attribution of a quotation is written out from its attribute instead.
            || (parent_is_quote && name == "div" && attributes.has_class("title"))
            || attributes.has_class("quote-controls")
            // The file name and size under an enlarged picture.
            || (name == "div" && attributes.has_class("meta") && self.is_open("a"));
        if self.hidden == 0 {
            self.seen(&name, attributes, hides);
            if !hides {
                self.layout_start(&name, attributes);
            }
        }
        if elements::is_void(&name) || closes_itself {
            return;
        }
        if quote && self.hidden == 0 && !hides && self.code.is_none() {
            self.quotes += 1;
            self.write(&format!("{who} wrote:"));
            self.end_block();
            self.quotes -= 1;
        }
        self.push(name, hides, quote);
    }

    fn push(&mut self, name: Cow<'a, str>, hides: bool, quote: bool) {
        let place = self.open.len() + 1;
        let (barrier, block) = self.open.last().map_or((0, 0), |top| (top.barrier, top.block));
        let barrier = if elements::is_barrier(&name) { place } else { barrier };
        let block = if elements::is_block(&name) { place } else { block };
        self.hidden += usize::from(hides);
        self.by_name.entry(name.clone()).or_default().push(place);
        self.open.push(Element { name, hides, ended: false, quote, barrier, block });
    }

    /// Takes the top element off the stack.
    fn pop(&mut self) -> Option<Element<'a>> {
        let element = self.open.pop()?;
        if !element.ended {
            self.leave(&element.name, element.hides);
        }
        Some(element)
    }

    /// What ends with an element, whether it leaves the stack now or later.
    fn leave(&mut self, name: &str, hides: bool) {
        if let Some(places) = self.by_name.get_mut(name) {
            places.pop();
        }
        if hides {
            self.hidden = self.hidden.saturating_sub(1);
        } else if self.hidden == 0 {
            self.layout_end(name);
        }
    }

    fn close(&mut self, name: &str) {
        if elements::is_void(name) {
            if name == "br" && self.hidden == 0 {
                self.end_line();
            }
            return;
        }
        let name = match elements::heading_level(name) {
            Some(_) if !self.is_open(name) => {
                // Any heading's end tag ends the heading that is open.
                let open = (1..=6).filter_map(|level| {
                    let name = ["h1", "h2", "h3", "h4", "h5", "h6"].into_iter().nth(level - 1)?;
                    Some((*self.by_name.get(name)?.last()?, name))
                });
                match open.max() {
                    Some((_, open)) => open,
                    None => return,
                }
            }
            _ => name,
        };
        let Some(place) = self.by_name.get(name).and_then(|places| places.last().copied()) else { return };
        let (barrier, block) = self.open.last().map_or((0, 0), |top| (top.barrier, top.block));
        if elements::is_formatting(name) {
            if place > barrier {
                self.end_formatting(place);
            }
        } else if elements::is_table_part(name) {
            let table = self.by_name.get("table").and_then(|places| places.last().copied()).unwrap_or(0);
            if place >= table {
                self.pop_to(place);
            }
        } else if elements::is_block(name) || name == "template" {
            if place >= barrier {
                self.pop_to(place);
            }
        } else if place > block {
            self.pop_to(place);
        }
    }

    /// Ends a formatting element. Blocks that were opened within it stay open, hidden ones hidden.
    fn end_formatting(&mut self, place: usize) {
        let Some(element) = place.checked_sub(1).and_then(|index| self.open.get_mut(index)) else { return };
        element.ended = true;
        let (name, hides) = (element.name.clone(), element.hides);
        self.leave(&name, hides);
        while self.open.last().is_some_and(|top| top.ended) {
            self.open.pop();
        }
    }

    /// Ends all elements from the top down to a place. Formatting elements among them that hide their content go on
    /// hiding what follows, as they do in a browser, unless a table's cell ended.
    fn pop_to(&mut self, place: usize) {
        let mut reopen = Vec::new();
        let mut cell = false;
        while self.open.len() >= place {
            let Some(element) = self.pop() else { break };
            cell |= matches!(&*element.name, "td" | "th" | "caption");
            if element.hides
                && !element.ended
                && elements::is_formatting(&element.name)
                && reopen.len() < MOST_REOPENED
            {
                reopen.push(element.name);
            }
        }
        if !cell {
            while let Some(name) = reopen.pop() {
                self.push(name, true, false);
            }
        }
    }

    /// Ends the elements that a start tag ends without their own end tags, such as a `p` before a `p`.
    fn end_implied(&mut self, name: &str) {
        for ending in elements::ends_before(name) {
            let Some(place) = self.by_name.get(*ending).and_then(|places| places.last().copied()) else {
                continue;
            };
            let above = self.open.get(place..).unwrap_or_default();
            if above.len() <= IMPLIED_END_REACH
                && !above.iter().any(|open| elements::stops_implied_end(&open.name, ending))
            {
                self.pop_to(place);
            }
        }
    }

    // ---- what is written ----

    /// Notes links, pictures and the head's facts.
    fn seen(&mut self, name: &str, attributes: &Attributes<'_>, hides: bool) {
        match name {
            "meta" if self.page.meta.len() < MOST_META => {
                let key = ["name", "property", "itemprop"].into_iter().find_map(|key| attributes.value(key));
                if let (Some(key), Some(content)) = (key, attributes.value("content")) {
                    self.page.meta.push((key.to_lowercase(), content.to_owned()));
                }
            }
            "link" if attributes.value("rel") == Some("canonical") && self.page.canonical.is_none() => {
                self.page.canonical = attributes.value("href").map(str::to_owned);
            }
            _ if hides => {}
            "a" if !attributes.has_class("lightbox") => {
                if let Some(target) = attributes.value("href") {
                    self.link(target);
                }
            }
            "img" if !attributes.has_class("avatar") && !attributes.has_class("site-icon") => {
                let alt = attributes.value("alt").unwrap_or_default().trim().to_owned();
                if attributes.has_class("emoji") {
                    self.write(&alt);
                } else if !alt.is_empty() && !attributes.has_class("thumbnail") {
                    self.write(&format!("[image: {alt}]"));
                }
            }
            _ => {
                if let Some(title) = attributes.value("data-youtube-title") {
                    self.write(&format!("[video: {}]", title.trim()));
                }
                if let Some(id) = attributes.value("data-youtube-id")
                    && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
                {
                    self.link(&format!("https://www.youtube.com/watch?v={id}"));
                }
            }
        }
    }

    fn link(&mut self, target: &str) {
        if self.page.links.len() < self.most_links {
            self.page.links.push(target.trim().to_owned());
        }
    }

    fn layout_start(&mut self, name: &str, attributes: &Attributes<'_>) {
        if self.code.is_some() {
            if name == "br" {
                self.text("\n");
            }
            return;
        }
        match name {
            "br" | "tr" | "thead" | "tbody" | "tfoot" | "dt" => self.end_line(),
            "sup" => self.write("^"),
            "pre" | "listing" | "xmp" | "plaintext" => {
                self.end_block();
                self.code = Some(String::new());
            }
            "ul" | "menu" | "dir" => self.start_list(None),
            "ol" => {
                let start =
                    attributes.value("start").and_then(|start| start.trim().parse().ok()).unwrap_or(1);
                self.start_list(Some(start));
            }
            "li" => self.start_item(),
            "dd" => {
                self.end_line();
                self.marker = Some("  ".to_owned());
            }
            "td" | "th" => {
                if self.cells > 0 {
                    self.write(" | ");
                }
                self.cells += 1;
            }
            "blockquote" => {
                self.end_block();
                self.quotes += 1;
            }
            _ if elements::heading_level(name).is_some() => {
                self.end_block();
                self.heading = elements::heading_level(name);
            }
            // A paragraph within a list item or a table's cell does not begin a line of its own at the start of it.
            "p" if self.marker.is_some() || self.cells > 0 => {}
            _ if elements::is_block(name) => self.end_block(),
            _ => {}
        }
        if name == "tr" {
            self.cells = 0;
        }
    }

    fn layout_end(&mut self, name: &str) {
        match name {
            "pre" | "listing" | "xmp" | "plaintext" => self.end_code(),
            _ if self.code.is_some() => {}
            "ul" | "ol" | "menu" | "dir" => {
                self.lists.pop();
                self.marker = None;
                if self.lists.is_empty() { self.end_block() } else { self.end_line() }
            }
            "li" | "dt" | "dd" => {
                self.marker = None;
                self.end_line();
            }
            "tr" => {
                self.end_line();
                self.cells = 0;
            }
            "td" | "th" | "thead" | "tbody" | "tfoot" => {}
            "table" => {
                self.cells = 0;
                self.end_block();
            }
            "blockquote" => {
                self.end_block();
                self.quotes = self.quotes.saturating_sub(1);
            }
            _ if elements::heading_level(name).is_some() => self.end_block(),
            "p" if self.cells > 0 => {}
            _ if elements::is_block(name) => self.end_block(),
            _ => {}
        }
    }

    fn start_list(&mut self, first: Option<u64>) {
        if self.lists.is_empty() {
            self.end_block()
        } else {
            self.end_line()
        }
        self.lists.push(first);
    }

    fn start_item(&mut self) {
        self.end_line();
        let indent = "  ".repeat(self.lists.len().saturating_sub(1).min(SHOWN_DEPTH));
        let marker = match self.lists.last_mut() {
            Some(Some(number)) => {
                let marker = format!("{indent}{number}. ");
                *number = number.saturating_add(1);
                marker
            }
            _ => format!("{indent}- "),
        };
        self.marker = Some(marker);
    }

    fn text(&mut self, text: &str) {
        if self.hidden > 0 {
            return;
        }
        match &mut self.code {
            Some(code) => code.push_str(text),
            None => self.write(text),
        }
    }

    /// Adds text to the line, runs of white space as one space.
    fn write(&mut self, text: &str) {
        if let Some(code) = &mut self.code {
            code.push_str(text);
            return;
        }
        for c in text.chars() {
            if c.is_whitespace() {
                self.wants_space = true;
                continue;
            }
            if let Some(marker) = self.marker.take() {
                self.line.push_str(&marker);
                self.wants_space = false;
            }
            if std::mem::take(&mut self.wants_space)
                && !self.line.is_empty()
                && !self.line.ends_with(['\n', ' '])
            {
                self.line.push(' ');
            }
            self.line.push(c);
        }
    }

    fn end_line(&mut self) {
        self.wants_space = false;
        if self.heading.is_some() {
            self.wants_space = true;
        } else if !self.line.is_empty() && !self.line.ends_with('\n') {
            self.line.push('\n');
        }
    }

    fn end_block(&mut self) {
        self.wants_space = false;
        let text = std::mem::take(&mut self.line);
        let heading = self.heading.take();
        let trimmed = text.trim_end();
        if trimmed.trim().is_empty() {
            return;
        }
        let is_section = self.headings == Headings::Sections && self.quotes == 0 && !self.is_open("aside");
        let block = match heading {
            Some(level) if is_section => Block::Heading { level, text: trimmed.to_owned() },
            _ => Block::Text(self.quoted(trimmed)),
        };
        self.page.blocks.push(block);
    }

    fn end_code(&mut self) {
        if let Some(code) = self.code.take() {
            let code = code.trim_end().trim_start_matches(['\n', '\r']);
            if !code.trim().is_empty() {
                let code = self.quoted(code);
                self.page.blocks.push(Block::Code(code));
            }
        }
    }

    /// Marks each line as quoted.
    fn quoted(&self, text: &str) -> String {
        if self.quotes == 0 {
            return text.to_owned();
        }
        let mark = "> ".repeat(self.quotes.min(SHOWN_DEPTH));
        let lines: Vec<String> = text.lines().map(|line| format!("{mark}{line}")).collect();
        lines.join("\n")
    }
}
