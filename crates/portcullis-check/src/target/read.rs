//! Walks a parsed TOML document and collects every problem with its line.
//!
//! It knows nothing about targets: `file` says which keys there are. A key that no one asked for is reported, with the
//! nearest one that was.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::problem::Problem;

/// The text and what was found wrong with it so far.
pub(super) struct Reader<'a> {
    text: &'a str,
    problems: RefCell<Vec<Problem>>,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, problems: RefCell::new(Vec::new()) }
    }

    pub(super) fn problem(&self, span: &Range<usize>, key: &str, found: impl Into<String>, wanted: &str) {
        let before = self.text.get(..span.start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        self.problems.borrow_mut().push(Problem::new(key, found, wanted).at(line));
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| problem.line);
        problems
    }
}

/// One table of the document.
pub(super) struct Section<'r, 'a> {
    reader: &'r Reader<'a>,
    path: String,
    span: Range<usize>,
    table: &'r DeTable<'a>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'r, 'a> Section<'r, 'a> {
    pub(super) const fn new(
        reader: &'r Reader<'a>,
        path: String,
        span: Range<usize>,
        table: &'r DeTable<'a>,
    ) -> Self {
        Self { reader, path, span, table, asked: RefCell::new(Vec::new()) }
    }

    fn key(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn value(&self, name: &'static str) -> Option<(&'r DeValue<'a>, Range<usize>)> {
        let mut asked = self.asked.borrow_mut();
        if !asked.contains(&name) {
            asked.push(name);
        }
        let (_, value) = self.table.iter().find(|(key, _)| key.get_ref().as_ref() == name)?;
        Some((value.get_ref(), value.span()))
    }

    /// Reports something about this section's key.
    pub(super) fn wrong(&self, name: &'static str, found: impl Into<String>, wanted: &str) {
        let span = self.value(name).map_or_else(|| self.span.clone(), |(_, span)| span);
        self.reader.problem(&span, &self.key(name), found, wanted);
    }

    pub(super) fn text(&self, name: &'static str) -> Option<&'r str> {
        let (value, span) = self.value(name)?;
        let text = value.as_str();
        if text.is_none() {
            self.reader.problem(&span, &self.key(name), kind(value), "text in quotes");
        }
        text
    }

    pub(super) fn required(&self, name: &'static str) -> Option<&'r str> {
        if self.value(name).is_none() {
            self.wrong(name, "nothing", "a value: this key is required");
            return None;
        }
        let text = self.text(name)?;
        if text.trim().is_empty() {
            self.wrong(name, "empty text", "a value");
            return None;
        }
        Some(text)
    }

    pub(super) fn flag(&self, name: &'static str) -> bool {
        let Some((value, span)) = self.value(name) else { return false };
        value.as_bool().unwrap_or_else(|| {
            self.reader.problem(&span, &self.key(name), kind(value), "`true` or `false`");
            false
        })
    }

    pub(super) fn number(&self, name: &'static str, range: std::ops::RangeInclusive<u32>) -> Option<u32> {
        let (value, span) = self.value(name)?;
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        let Some(integer) = value.as_integer() else {
            self.reader.problem(&span, &self.key(name), kind(value), &wanted);
            return None;
        };
        let number = u32::from_str_radix(integer.as_str(), integer.radix()).ok();
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            self.reader.problem(&span, &self.key(name), format!("{integer}"), &wanted);
        }
        number
    }

    pub(super) fn texts(&self, name: &'static str) -> Vec<String> {
        let Some((value, span)) = self.value(name) else { return Vec::new() };
        self.texts_of(value, &span, &self.key(name))
    }

    fn texts_of(&self, value: &DeValue<'a>, span: &Range<usize>, key: &str) -> Vec<String> {
        let wanted = "a list of texts";
        let Some(items) = value.as_array() else {
            self.reader.problem(span, key, kind(value), wanted);
            return Vec::new();
        };
        let mut texts = Vec::new();
        for item in items.iter() {
            match item.get_ref().as_str() {
                Some(text) => texts.push(text.to_owned()),
                None => self.reader.problem(&item.span(), key, kind(item.get_ref()), wanted),
            }
        }
        texts
    }

    /// A table of texts under free names.
    pub(super) fn text_map(&self, name: &'static str) -> BTreeMap<String, String> {
        let mut map = BTreeMap::new();
        for (key, value, span) in self.free_table(name, "a table of texts") {
            match value.as_str() {
                Some(text) => _ = map.insert(key, text.to_owned()),
                None => self.reader.problem(&span, &self.key(name), kind(value), "a table of texts"),
            }
        }
        map
    }

    /// A table of tables of texts under free names.
    pub(super) fn text_maps(&self, name: &'static str) -> BTreeMap<String, BTreeMap<String, String>> {
        let wanted = "a table of texts for each community";
        let mut maps: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for (outer, value, span) in self.free_table(name, wanted) {
            let path = format!("{}.{outer}", self.key(name));
            let Some(table) = value.as_table() else {
                self.reader.problem(&span, &path, kind(value), wanted);
                continue;
            };
            let map = maps.entry(outer).or_default();
            for (inner, value) in table.iter() {
                match value.get_ref().as_str() {
                    Some(text) => _ = map.insert(inner.get_ref().to_string(), text.to_owned()),
                    None => self.reader.problem(&value.span(), &path, kind(value.get_ref()), wanted),
                }
            }
        }
        maps
    }

    fn free_table(&self, name: &'static str, wanted: &str) -> Vec<(String, &'r DeValue<'a>, Range<usize>)> {
        let Some((value, span)) = self.value(name) else { return Vec::new() };
        let Some(table) = value.as_table() else {
            self.reader.problem(&span, &self.key(name), kind(value), wanted);
            return Vec::new();
        };
        table.iter().map(|(key, value)| (key.get_ref().to_string(), value.get_ref(), value.span())).collect()
    }

    /// A sub-table.
    pub(super) fn section(&self, name: &'static str) -> Option<Section<'r, 'a>> {
        let (value, span) = self.value(name)?;
        let Some(table) = value.as_table() else {
            self.reader.problem(&span, &self.key(name), kind(value), &format!("a table `[{name}]`"));
            return None;
        };
        Some(Section::new(self.reader, self.key(name), span, table))
    }

    /// A list of sub-tables.
    pub(super) fn sections(&self, name: &'static str) -> Vec<Section<'r, 'a>> {
        let Some((value, span)) = self.value(name) else { return Vec::new() };
        let wanted = format!("tables `[[{name}]]`");
        let Some(items) = value.as_array() else {
            self.reader.problem(&span, &self.key(name), kind(value), &wanted);
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("{}[{index}]", self.key(name));
            match item.get_ref().as_table() {
                Some(table) => sections.push(Section::new(self.reader, path, item.span(), table)),
                None => self.reader.problem(&item.span(), &path, kind(item.get_ref()), &wanted),
            }
        }
        sections
    }

    /// Sub-tables under free names.
    pub(super) fn free_sections(&self, name: &'static str) -> Vec<(String, Section<'r, 'a>)> {
        let wanted = format!("tables `[{name}.NAME]`");
        let mut sections = Vec::new();
        for (free, value, span) in self.free_table(name, &wanted) {
            let path = format!("{}.{free}", self.key(name));
            match value.as_table() {
                Some(table) => sections.push((free, Section::new(self.reader, path, span, table))),
                None => self.reader.problem(&span, &path, kind(value), &wanted),
            }
        }
        sections
    }

    /// Whether the key stands there.
    pub(super) fn has(&self, name: &'static str) -> bool {
        self.value(name).is_some()
    }

    /// Reports every key that no one asked for.
    pub(super) fn finish(&self) {
        let asked = self.asked.borrow();
        for (key, _) in self.table.iter() {
            let name = key.get_ref().as_ref();
            if asked.contains(&name) {
                continue;
            }
            let nearest = asked.iter().min_by_key(|known| distance(name, known));
            let wanted = match nearest.filter(|known| distance(name, known) <= 3) {
                Some(known) => format!("a known key; `{known}` is near"),
                None => format!("one of `{}`", asked.join("`, `")),
            };
            self.reader.problem(&key.span(), &self.key(name), "an unknown key", &wanted);
        }
    }
}

/// What a value is, without showing it: it may be a credential in the wrong place.
fn kind(value: &DeValue<'_>) -> String {
    format!("a value of type {}", value.type_str())
}

/// Edit distance between two short names.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut previous = i;
        let mut left = i + 1;
        for (slot, to) in row.iter_mut().skip(1).zip(b.chars()) {
            let above = *slot;
            *slot = (previous + usize::from(from != to)).min(above + 1).min(left + 1);
            previous = above;
            left = *slot;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}
