//! What the file says: every key of the table that it holds, each with its place, and what is wrong with its form.
//!
//! A derived deserialiser stops at the first fault. This one walks the parsed document beside the table of keys, so
//! that every syntax error, unknown key and misplaced table is found in one run. Types and ranges are judged
//! later, the same way for all layers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Diagnostics, Origin};
use crate::keys::{self, AnyKey, List, SECTIONS};
use crate::near::nearest;
use crate::value::{Given, Value};

/// The file's keys and tables.
#[derive(Debug, Default)]
pub(crate) struct Raw {
    pub(crate) keys: BTreeMap<&'static str, Given>,
    /// The tables that the file opens, each with the place of its header.
    pub(crate) sections: BTreeMap<&'static str, Origin>,
    /// The tables that may stand several times, each as often as it does.
    pub(crate) lists: BTreeMap<&'static str, Vec<Entry>>,
    /// The lines with syntax errors.
    pub(crate) broken: Broken,
}

/// One of the tables of a list.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Where it begins.
    pub(crate) origin: Origin,
    pub(crate) keys: BTreeMap<&'static str, Given>,
}

impl Entry {
    /// The values of a key: its default and what the table says, the one that counts last.
    pub(crate) fn layers(&self, key: &dyn AnyKey) -> Vec<Given> {
        [key.preset().given(), self.keys.get(key.name()).cloned()].into_iter().flatten().collect()
    }
}

/// Where the syntax is broken, to hold back faults that may only follow from it.
#[derive(Debug, Default)]
pub(crate) struct Broken {
    lines: Vec<usize>,
    /// The first broken table header: what follows it is read into the wrong table.
    header: Option<usize>,
}

impl Broken {
    pub(crate) fn is_nowhere(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether the line can be trusted to say what its author meant.
    pub(crate) fn spares(&self, line: usize) -> bool {
        !self.lines.contains(&line) && self.header.is_none_or(|header| line < header)
    }
}

struct Reader<'a> {
    path: Arc<Path>,
    text: &'a str,
    /// Where each line begins.
    lines: Vec<usize>,
    raw: Raw,
    diagnostics: &'a mut Diagnostics,
}

impl Raw {
    /// Reads the text of a file.
    pub(crate) fn read(path: &Arc<Path>, text: &str, diagnostics: &mut Diagnostics) -> Self {
        let (document, errors) = DeTable::parse_recoverable(text);
        let lines = line_starts(text);
        let mut reader = Reader { path: Arc::clone(path), text, lines, raw: Self::default(), diagnostics };
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            let (line, column) = position(text, &reader.lines, at);
            let is_header = text.lines().nth(line - 1).is_some_and(|text| text.trim_start().starts_with('['));
            if is_header {
                let first = reader.raw.broken.header.map_or(line, |header| header.min(line));
                reader.raw.broken.header = Some(first);
            }
            reader.raw.broken.lines.push(line);
            let origin = Origin::File { path: Arc::clone(path), line, column };
            let wanted = format!("not valid TOML: {}", error.message());
            reader.diagnostics.push(Diagnostic::error(Code::Syntax, origin, wanted));
        }
        reader.table("", document.get_ref());
        reader.raw
    }
}

impl Reader<'_> {
    fn origin(&self, at: usize) -> Origin {
        let (line, column) = position(self.text, &self.lines, at);
        Origin::File { path: Arc::clone(&self.path), line, column }
    }

    fn table(&mut self, section: &'static str, table: &DeTable<'_>) {
        for (name, value) in table {
            let at = self.origin(name.span().start);
            let dotted = if section.is_empty() {
                name.get_ref().to_string()
            } else {
                format!("{section}.{name}", name = name.get_ref())
            };
            if let Some(key) = keys::ALL.iter().find(|key| key.name() == dotted) {
                let given = self.given(value.span().start, value.get_ref());
                self.raw.keys.insert(key.name(), given);
            } else if let Some(known) =
                SECTIONS.iter().find(|known| section.is_empty() && known.name == dotted)
            {
                match value.get_ref() {
                    DeValue::Table(inner) => {
                        self.raw.sections.insert(known.name, at);
                        self.table(known.name, inner);
                    }
                    other => {
                        let found = self.given(0, other).value.kind();
                        let fault = Diagnostic::error(Code::WrongType, at, "must be a table");
                        self.diagnostics.push(
                            fault
                                .key(known.name)
                                .found(found)
                                .help(format!("write `[{}]` above its keys", known.name)),
                        );
                    }
                }
            } else if let Some(list) = keys::list(&dotted).filter(|_| section.is_empty()) {
                self.list(list, at, value.get_ref());
            } else {
                self.diagnostics.push(unknown_key(Code::UnknownKey, section, name.get_ref(), at));
            }
        }
    }

    /// Reads the tables of a list; a single table or anything else is refused where it stands.
    fn list(&mut self, list: &'static List, at: Origin, value: &DeValue<'_>) {
        let name = list.section.name;
        let DeValue::Array(items) = value else {
            let found = self.given(0, value).value.kind();
            return self.not_a_list(name, at, found);
        };
        for item in items {
            let origin = self.origin(item.span().start);
            let DeValue::Table(table) = item.get_ref() else {
                let found = self.given(0, item.get_ref()).value.kind();
                self.not_a_list(name, origin, found);
                continue;
            };
            let mut entry = Entry { origin, keys: BTreeMap::new() };
            for (key, value) in table {
                let dotted = format!("{name}.{}", key.get_ref());
                if let Some(known) = list.keys.iter().find(|known| known.name() == dotted) {
                    let given = self.given(value.span().start, value.get_ref());
                    entry.keys.insert(known.name(), given);
                } else {
                    let at = self.origin(key.span().start);
                    self.diagnostics.push(unknown_key(Code::UnknownKey, name, key.get_ref(), at));
                }
            }
            self.raw.lists.entry(name).or_default().push(entry);
        }
    }

    fn not_a_list(&mut self, name: &str, at: Origin, found: &str) {
        let fault = Diagnostic::error(Code::WrongType, at, "must be a list of tables").key(name).found(found);
        self.diagnostics.push(fault.help(format!("write `[[{name}]]` above the keys of each")));
    }

    fn given(&self, at: usize, value: &DeValue<'_>) -> Given {
        let value = match value {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(integer) => i128::from_str_radix(integer.as_str(), integer.radix())
                .map_or(Value::HugeInteger, Value::Integer),
            DeValue::Float(_) => Value::Float,
            DeValue::Boolean(on) => Value::Switch(*on),
            DeValue::Datetime(_) => Value::Moment,
            DeValue::Array(items) => {
                Value::List(items.iter().map(|item| self.given(item.span().start, item.get_ref())).collect())
            }
            DeValue::Table(_) => Value::Table,
        };
        Given { value, origin: self.origin(at) }
    }
}

/// The diagnostic for a key that does not exist. It shows the name only if that cannot be a secret that stands where a
/// key belongs.
pub(crate) fn unknown_key(code: Code, section: &str, name: &str, at: Origin) -> Diagnostic {
    let near = near_key(section, name);
    let fault = if near.is_some() || is_plain(name) {
        let dotted = if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") };
        Diagnostic::error(code, at, "is not a known key").key(dotted)
    } else {
        let wanted = "a key here is not known; its name is long or unusual and is not shown";
        Diagnostic::error(code, at, wanted)
    };
    match near {
        Some(near) => fault.help(format!("did you mean `{near}`?")),
        None => fault.help("remove it; `portcullis.example.toml` lists every key"),
    }
}

/// The beginning of a key says which key is meant from this length on.
const SHORTEST_BEGINNING: usize = 4;

/// The known key or table that was probably meant: a misspelling, a beginning, or the right name in the wrong table.
fn near_key(section: &str, name: &str) -> Option<&'static str> {
    let all = || keys::every().map(|key| key.name());
    let dotted = if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") };
    let siblings = all().filter(|key| keys::section_of(key) == section);
    if let Some(near) = nearest(name, siblings.map(last_of)) {
        return all().find(|key| keys::section_of(key) == section && last_of(key) == near);
    }
    if let Some(near) = all().find(|key| last_of(key) == name) {
        return Some(near);
    }
    let begins = |key: &&str| keys::section_of(key) == section && last_of(key).starts_with(name);
    if name.len() >= SHORTEST_BEGINNING
        && let Some(near) = all().find(begins)
    {
        return Some(near);
    }
    let sections =
        keys::sections().map(|known| known.name).filter(|known| !known.is_empty() && section.is_empty());
    nearest(&dotted, sections.chain(all()))
}

/// A key without its table.
fn last_of(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

/// Whether a name is short and plain enough that it cannot be a key or a password in the wrong place.
fn is_plain(name: &str) -> bool {
    const LONGEST: usize = 24;
    name.len() <= LONGEST && name.bytes().all(|b| b.is_ascii_lowercase() || b"_-".contains(&b))
}

fn line_starts(text: &str) -> Vec<usize> {
    let after_newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
    std::iter::once(0).chain(after_newlines).collect()
}

/// The line and the column (in characters) of a byte offset, counted from 1.
fn position(text: &str, lines: &[usize], at: usize) -> (usize, usize) {
    let at = (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    let line = lines.partition_point(|start| *start <= at);
    let start = line.checked_sub(1).and_then(|before| lines.get(before)).copied().unwrap_or(0);
    let column = text.get(start..at).map_or(0, |before| before.chars().count());
    (line, column + 1)
}

#[cfg(test)]
mod tests {
    use super::{is_plain, line_starts, near_key, position};

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let text = "a = 1\nü = é\n";
        let at = |at| position(text, &line_starts(text), at);
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(6), (2, 1));
        assert_eq!(at(8), (2, 2));
        assert_eq!(at(7), (2, 1), "inside a character");
        assert_eq!(at(1000), (3, 1));
    }

    #[test]
    fn a_key_in_the_wrong_place_is_recognised() {
        assert_eq!(near_key("limits", "per_key_per_minut"), Some("limits.per_key_per_minute"));
        assert_eq!(near_key("", "body_bytes"), Some("limits.body_bytes"));
        assert_eq!(near_key("", "limit"), Some("limits"));
        assert_eq!(near_key("limits", "per_key"), Some("limits.per_key_per_minute"));
        assert_eq!(near_key("listen", "jwt_secret"), Some("secrets.jwt_secret"));
        assert_eq!(near_key("", "isuer"), Some("issuer"));
        assert_eq!(near_key("issuer", "audiance"), Some("issuer.audience"));
        assert_eq!(near_key("", "completely_else"), None);
    }

    #[test]
    fn what_looks_like_a_secret_is_not_plain() {
        assert!(is_plain("burst") && is_plain("dry-run"));
        for secret in ["hunter2hunter2", "Zm9vYmFyYmF6", "abcdefghijklmnopqrstuvwxyzabc", "a b", "ü"] {
            assert!(!is_plain(secret), "{secret}");
        }
    }
}
