//! The lines of a document to blocks.

use super::inline::{self, Definitions};
use super::table;
use crate::chunk::Block;
use crate::folder::{Content, FrontMatter, Visible};

/// The most targets and substitutions that are kept, and the longest text of one.
const MOST_DEFINITIONS: usize = 20_000;
const MOST_DEFINED_CHARS: usize = 1_000;

pub(super) struct Reader<'a> {
    text: std::borrow::Cow<'a, str>,
    most_links: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str, most_links: usize) -> Self {
        let text = if text.contains('\t') { text.replace('\t', "        ").into() } else { text.into() };
        Self { text, most_links }
    }

    pub(super) fn read(self) -> Content {
        let (fields, body) = FrontMatter::split(&self.text);
        let lines: Vec<&str> = body.lines().map(str::trim_end).collect();
        let mut state = State {
            definitions: definitions(&lines),
            lines,
            at: 0,
            content: Content { fields, ..Content::default() },
            most_links: self.most_links,
            styles: Vec::new(),
            follows_item: false,
            has_text: false,
            label: None,
            no_more_simple_tables: false,
        };
        state.header_fields();
        while state.at < state.lines.len() {
            state.block();
        }
        state.content.about = state.content.fields.about(Visible::All);
        state.content
    }
}

pub(super) struct State<'l> {
    lines: Vec<&'l str>,
    pub(super) at: usize,
    definitions: Definitions,
    pub(super) content: Content,
    pub(super) most_links: usize,
    /// The adornments of headings, outermost first, each with whether it has an overline.
    styles: Vec<(char, bool)>,
    /// The last block is a list item, and nothing came after it.
    follows_item: bool,
    /// Something other than headings and fields was read.
    has_text: bool,
    /// The word of a directive that stands before the text that follows.
    pub(super) label: Option<String>,
    no_more_simple_tables: bool,
}

impl<'l> State<'l> {
    pub(super) fn line(&self, at: usize) -> &'l str {
        self.lines.get(at).copied().unwrap_or("")
    }

    pub(super) fn inline(&mut self, text: &str) -> String {
        inline::plain(text, &self.definitions, &mut self.content.links, self.most_links)
    }

    pub(super) fn push_text(&mut self, text: String) {
        self.follows_item = false;
        if !text.trim().is_empty() {
            self.has_text = true;
            let text = self.labelled(text);
            self.content.blocks.push(Block::Text(text));
        }
    }

    fn labelled(&mut self, text: String) -> String {
        match self.label.take() {
            Some(label) => format!("{label} {text}"),
            None => text,
        }
    }

    pub(super) fn push_item(&mut self, text: String) {
        let text = self.labelled(text);
        match self.content.blocks.last_mut() {
            Some(Block::Text(list)) if self.follows_item => {
                list.push('\n');
                list.push_str(&text);
            }
            _ => self.content.blocks.push(Block::Text(text)),
        }
        self.follows_item = true;
        self.has_text = true;
    }

    pub(super) fn push_code(&mut self, code: String) {
        self.follows_item = false;
        if !code.trim().is_empty() {
            self.has_text = true;
            self.content.blocks.push(Block::Code(code));
        }
    }

    pub(super) fn push_rows(&mut self, rows: Vec<String>) {
        let rows: Vec<String> = rows.iter().map(|row| self.inline(row)).collect();
        self.push_text(rows.join("\n"));
    }

    /// Mail-like fields at the very top, as proposals have them: at least two lines `Name: value`.
    fn header_fields(&mut self) {
        let mut fields: Vec<(&str, String)> = Vec::new();
        let mut at = 0;
        while !self.line(at).is_empty() {
            let line = self.line(at);
            if line.starts_with(' ') {
                let Some((_, value)) = fields.last_mut() else { return };
                value.push(' ');
                value.push_str(line.trim());
            } else {
                let Some((name, value)) = line.split_once(':') else { return };
                let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
                    && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
                if !is_name || !(value.is_empty() || value.starts_with(' ')) {
                    return;
                }
                fields.push((name, value.trim().to_owned()));
            }
            at += 1;
        }
        if fields.len() >= 2 {
            for (name, value) in fields {
                self.add_field(name, &value);
            }
            self.at = at;
        }
    }

    fn add_field(&mut self, name: &str, value: &str) {
        let value = without_mail_addresses(value);
        let value = self.inline(&value);
        self.content.fields.add(name, &value);
    }

    /// Reads what begins at the current line; always moves on.
    fn block(&mut self) {
        let line = self.line(self.at);
        let bare = line.trim_start();
        let indent = line.len() - bare.len();
        if bare.is_empty() {
            self.at += 1;
        } else if indent == 0 && self.section() {
        } else if bare.starts_with(">>> ") {
            let code = self.while_lines(|line| !line.is_empty());
            self.push_code(dedented(&code));
        } else if bare == ".." || bare.starts_with(".. ") {
            self.explicit(indent, bare);
        } else if let Some(target) = bare.strip_prefix("__ ") {
            self.at += 1;
            self.content.links.extend(inline::target(target));
        } else if table::is_grid_border(bare) {
            let lines = self.while_lines(|line| line.trim_start().starts_with(['+', '|']));
            self.push_rows(table::grid(&lines));
        } else if table::is_simple_border(bare) && self.simple_table() {
        } else if bare.starts_with("| ") || bare == "|" {
            let lines = self.while_lines(|line| line.trim_start().starts_with('|'));
            let lines: Vec<String> = lines
                .iter()
                .map(|line| self.inline(line.trim_start().trim_start_matches('|').trim()))
                .collect();
            self.push_text(lines.join("\n"));
        } else if !self.field(indent, bare) {
            self.paragraph(indent, bare);
        }
    }

    /// The lines from here on for which the condition holds, one at least.
    fn while_lines(&mut self, holds: impl Fn(&str) -> bool) -> Vec<&'l str> {
        let start = self.at;
        self.at += 1;
        while self.at < self.lines.len() && holds(self.line(self.at)) {
            self.at += 1;
        }
        self.lines.get(start..self.at).unwrap_or_default().to_vec()
    }

    /// The blank lines and lines indented deeper than `indent` from here on; blank ones at the end stay.
    pub(super) fn deeper(&mut self, indent: usize) -> Vec<&'l str> {
        let start = self.at;
        let mut end = start;
        let mut at = start;
        while at < self.lines.len() {
            let line = self.line(at);
            at += 1;
            if line.is_empty() {
                continue;
            }
            if indent_of(line) <= indent {
                break;
            }
            end = at;
        }
        self.at = end.max(start);
        self.lines.get(start..end).unwrap_or_default().to_vec()
    }

    /// A section's title with its underline, and overline if it has one, or a transition.
    fn section(&mut self) -> bool {
        let (first, second, third) = (self.line(self.at), self.line(self.at + 1), self.line(self.at + 2));
        let (title, mark, over) = match (adornment(first), adornment(second), adornment(third)) {
            (Some(mark), None, Some(under)) if mark == under && !second.is_empty() => (second, mark, true),
            (None, Some(mark), _) if fits(first, second) => (first, mark, false),
            (Some(_), _, _) if second.is_empty() && first.len() >= 4 => {
                self.at += 1;
                return true;
            }
            _ => return false,
        };
        self.at += if over { 3 } else { 2 };
        let style = (mark, over);
        let level = self.styles.iter().position(|known| *known == style).unwrap_or_else(|| {
            self.styles.push(style);
            self.styles.len() - 1
        });
        let text = self.inline(title.trim());
        self.follows_item = false;
        self.content.blocks.push(Block::Heading { level: u8::try_from(level + 1).unwrap_or(u8::MAX), text });
        true
    }

    fn simple_table(&mut self) -> bool {
        if self.no_more_simple_tables {
            return false;
        }
        let ends = |at: usize| table::is_simple_border(self.line(at)) && self.line(at + 1).is_empty();
        let Some(end) = (self.at + 1..self.lines.len()).find(|at| ends(*at)) else {
            self.no_more_simple_tables = true;
            return false;
        };
        let lines = self.lines.get(self.at..=end).unwrap_or_default().to_vec();
        self.at = end + 1;
        self.push_rows(table::simple(&lines));
        true
    }

    /// A field `:name: value`. Those before any text are the document's own.
    fn field(&mut self, indent: usize, bare: &str) -> bool {
        let Some((name, value)) = field(bare) else { return false };
        let is_own = indent == 0 && !self.has_text;
        self.at += 1;
        let mut value = value.to_owned();
        for line in self.deeper(indent) {
            value.push(' ');
            value.push_str(line.trim());
        }
        if is_own {
            self.add_field(name, &value);
        } else {
            let text = self.inline(&format!("{name}: {}", value.trim()));
            self.push_item(text);
        }
        true
    }

    /// A paragraph or a list item, and the literal block that it announces.
    fn paragraph(&mut self, indent: usize, bare: &'l str) {
        let (marker, text) = item(bare).map_or((None, bare), |(marker, text)| (Some(marker), text));
        let column = indent + (bare.len() - text.len());
        self.at += 1;
        let mut whole = words(text);
        while self.at < self.lines.len() {
            let line = self.line(self.at);
            let deep = indent_of(line);
            if line.is_empty() || deep != column {
                break;
            }
            whole.push(' ');
            whole.push_str(&words(line));
            self.at += 1;
        }
        let announces = whole.ends_with("::");
        let shown = match whole.strip_suffix("::") {
            Some(before) if before.is_empty() || before.ends_with(' ') => before.trim_end().to_owned(),
            Some(before) => format!("{before}:"),
            None => whole,
        };
        let shown = self.inline(&shown);
        match marker {
            Some(marker) => {
                let depth = "  ".repeat((indent / 2).min(3));
                self.push_item(format!("{depth}{marker} {shown}"));
            }
            None => self.push_text(shown),
        }
        if announces {
            self.literal(column);
        }
    }

    pub(super) fn literal(&mut self, indent: usize) {
        let mut next = self.at;
        while next < self.lines.len() && self.line(next).is_empty() {
            next += 1;
        }
        let line = self.line(next);
        if indent_of(line) > indent {
            let code = self.deeper(indent);
            self.push_code(dedented(&code));
        } else if indent_of(line) == indent
            && let Some(mark) = line.trim_start().chars().next().filter(char::is_ascii_punctuation)
        {
            // A quoted literal block: every line begins with the same mark.
            self.at = next;
            let code = self.while_lines(|line| line.trim_start().starts_with(mark));
            self.push_code(dedented(&code));
        }
    }
}

/// Targets and substitutions, which may be used before they are defined.
fn definitions(lines: &[&str]) -> Definitions {
    let mut found = Definitions::default();
    for (index, line) in lines.iter().enumerate() {
        let Some(rest) = line.trim_start().strip_prefix(".. ") else { continue };
        let indent = indent_of(line);
        let rest = rest.trim_start();
        let more = || {
            let below = lines
                .iter()
                .skip(index + 1)
                .take(8)
                .take_while(|line| !line.is_empty() && indent_of(line) > indent);
            below.fold(String::new(), |text, line| text + " " + line.trim())
        };
        if found.targets.len() + found.substitutions.len() >= MOST_DEFINITIONS {
            break;
        }
        if let Some(rest) = rest.strip_prefix('_') {
            let split = match rest.strip_prefix('`') {
                Some(quoted) => quoted.split_once("`:"),
                None => rest.split_once(": ").or_else(|| rest.strip_suffix(':').map(|name| (name, ""))),
            };
            if let Some((name, target)) = split
                && let Some(target) = inline::target(&format!("{target}{}", more()))
            {
                found.targets.insert(inline::normal(name), target);
            }
        } else if let Some((name, rest)) = rest.strip_prefix('|').and_then(|rest| rest.split_once('|'))
            && let Some(text) = rest.trim_start().strip_prefix("replace::")
        {
            let text: String = format!("{text}{}", more()).trim().chars().take(MOST_DEFINED_CHARS).collect();
            let text = inline::plain(&text, &Definitions::default(), &mut Vec::new(), 0);
            found.substitutions.insert(name.to_owned(), text);
        }
    }
    found
}

/// `:name: value`, which is not a role with its text.
pub(super) fn field(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix(':')?;
    let end = rest.char_indices().take(80).find(|(_, c)| *c == ':').map(|(at, _)| at)?;
    let (name, value) = (rest.get(..end)?, rest.get(end + 1..)?);
    let is_field = !name.is_empty() && !name.starts_with(' ') && (value.is_empty() || value.starts_with(' '));
    is_field.then(|| (name, value.trim()))
}

/// The marker of a list item, as it is shown, and the item's text.
fn item(text: &str) -> Option<(String, &str)> {
    let first = text.chars().next()?;
    if matches!(first, '*' | '-' | '+' | '•') {
        let rest = text.strip_prefix(first)?;
        return rest.starts_with(' ').then(|| ("-".to_owned(), rest.trim_start()));
    }
    // `1.`, `a)`, `(ii)`, `#.`
    let (open, inner) = text.strip_prefix('(').map_or((false, text), |inner| (true, inner));
    let end = inner.bytes().take(5).position(|byte| matches!(byte, b'.' | b')'))?;
    let (number, rest) = (inner.get(..end)?, inner.get(end + 1..)?);
    let is_number = number == "#"
        || (!number.is_empty() && number.len() <= 4 && number.bytes().all(|byte| byte.is_ascii_digit()))
        || (number.len() == 1 && number.bytes().all(|byte| byte.is_ascii_alphabetic()));
    if !is_number || !rest.starts_with(' ') || (open && inner.as_bytes().get(end) != Some(&b')')) {
        return None;
    }
    let shown = if number == "#" { "-".to_owned() } else { format!("{number}.") };
    Some((shown, rest.trim_start()))
}

/// The mark that a line of nothing else repeats, three times at least.
fn adornment(line: &str) -> Option<char> {
    let mark = line.chars().next().filter(char::is_ascii_punctuation)?;
    (line.len() >= 3 && line.bytes().all(|byte| char::from(byte) == mark)).then_some(mark)
}

/// Whether an underline is long enough for its title.
fn fits(title: &str, underline: &str) -> bool {
    !title.is_empty()
        && !title.starts_with(' ')
        && (underline.len() >= 4 || underline.len() >= title.chars().count())
        && !title.starts_with(".. ")
}

/// The line's words, one blank apart.
fn words(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub(super) fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// Lines without the indent that all of them have.
pub(super) fn dedented(lines: &[&str]) -> String {
    let least = lines.iter().filter(|line| !line.is_empty()).map(|line| indent_of(line)).min().unwrap_or(0);
    let lines: Vec<&str> = lines.iter().map(|line| line.get(least..).unwrap_or("")).collect();
    lines.join("\n").trim_matches('\n').to_owned()
}

/// Mail addresses in angle brackets are taken out: names say enough about who wrote something.
fn without_mail_addresses(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        let Some((inner, tail)) = after.split_once('>') else { break };
        if !inner.contains('/') && (inner.contains('@') || inner.contains(" at ")) {
            out.push_str(before.trim_end());
        } else {
            out.push_str(before);
            out.push('<');
            out.push_str(inner);
            out.push('>');
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}
