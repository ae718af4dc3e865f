//! The fields before a page's text: a block of `key: value` lines between `---`, TOML between `+++`, or what another
//! format gives in their place. Of YAML it understands what people write there: plain and quoted values, lists on one
//! line or several, folded text; anything else stays as it is written.

use std::fmt::Write;

/// The most fields and the longest value that are looked at.
const MOST_FIELDS: usize = 200;
const VALUE_CHARS: usize = 2_000;

/// Fields in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct FrontMatter {
    fields: Vec<Field>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    /// The name as it is written.
    shown: String,
    /// The name in lower case.
    name: String,
    values: Vec<String>,
}

/// Fields that are told elsewhere and not repeated as text.
const TOLD_ELSEWHERE: [&str; 8] =
    ["title", "author", "authors", "date", "created", "url", "permalink", "slug"];

/// Fields that a site shows with its pages.
const SHOWN: [&str; 4] = ["category", "categories", "tags", "keywords"];

/// Which fields readers see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visible {
    /// Categories and tags, as where a site's generator reads the fields.
    Taxonomy,
    /// All, as where the fields are part of the text.
    All,
}

impl FrontMatter {
    /// Splits a page into its fields and its text.
    pub(crate) fn split(text: &str) -> (Self, &str) {
        let start = text.trim_start_matches('\n');
        for (fence, read) in [("---", Self::yaml as fn(&str) -> Option<Self>), ("+++", Self::toml)] {
            let Some(rest) = start.strip_prefix(fence) else { continue };
            let Some(rest) = rest.trim_start_matches([' ', '\t']).strip_prefix('\n') else { continue };
            let mut at = 0;
            for line in rest.split_inclusive('\n') {
                let end = line.trim_end();
                if (end == fence || (fence == "---" && end == "..."))
                    && let (Some(block), Some(body)) = (rest.get(..at), rest.get(at + line.len()..))
                    && let Some(fields) = read(block)
                {
                    return (fields, body);
                }
                at += line.len();
                // Between two rules of a page without front matter there may be a whole document.
                if at > VALUE_CHARS * 32 || (end == fence) {
                    break;
                }
            }
        }
        (Self::default(), text)
    }

    /// Adds a field. Empty values and fields beyond the limit are passed over.
    pub(crate) fn add(&mut self, name: &str, value: &str) {
        let value = value.trim();
        if self.fields.len() >= MOST_FIELDS || value.is_empty() {
            return;
        }
        let value: String = value.chars().take(VALUE_CHARS).collect();
        let shown = name.trim().to_owned();
        let name = shown.to_lowercase();
        match self.fields.iter_mut().find(|field| field.name == name) {
            Some(field) if field.values.len() < MOST_FIELDS => field.values.push(value),
            Some(_) => {}
            None => self.fields.push(Field { shown, name, values: vec![value] }),
        }
    }

    /// The first value of the first of these fields that there is.
    pub(crate) fn first(&self, names: &[&str]) -> Option<&str> {
        let field = names.iter().find_map(|name| self.fields.iter().find(|field| field.name == *name))?;
        field.values.first().map(String::as_str)
    }

    /// The title; that of a numbered proposal with its number, as people name it.
    pub(crate) fn title(&self) -> Option<String> {
        let title = self.first(&["title"])?;
        Some(match self.first(&["pep"]).filter(|number| number.bytes().all(|byte| byte.is_ascii_digit())) {
            Some(number) => format!("PEP {number}: {title}"),
            None => title.to_owned(),
        })
    }

    /// The fields that readers see, but for those told elsewhere, one a line.
    pub(crate) fn about(&self, visible: Visible) -> Option<String> {
        let mut text = String::new();
        for Field { shown, name, values } in &self.fields {
            let is_told = match visible {
                Visible::Taxonomy => SHOWN.contains(&name.as_str()),
                Visible::All => !TOLD_ELSEWHERE.contains(&name.as_str()),
            };
            if !is_told {
                continue;
            }
            let mut letters = shown.chars();
            let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
            let _ = writeln!(text, "{first}{}: {}", letters.as_str(), values.join(", "));
        }
        (!text.is_empty()).then(|| text.trim_end().to_owned())
    }

    fn yaml(block: &str) -> Option<Self> {
        let mut fields = Self::default();
        // The name that lines below may go on for, and text folded so far.
        let mut open: Option<(String, String)> = None;
        let mut any = false;
        for line in block.lines() {
            let trimmed = line.trim();
            let indented = line.starts_with([' ', '\t']) || trimmed.starts_with("- ") || trimmed == "-";
            if trimmed.is_empty() || trimmed.starts_with('#') {
                continue;
            }
            if indented {
                let Some((name, folded)) = &mut open else { return None };
                match trimmed.strip_prefix('-') {
                    Some(item) => fields.add(name, unquoted(item)),
                    None => {
                        folded.push(' ');
                        folded.push_str(trimmed);
                    }
                }
                continue;
            }
            if let Some((name, folded)) = open.take() {
                fields.add(&name, unquoted(&folded));
            }
            let (name, value) = line.split_once(':')?;
            let name = name.trim().trim_matches(['"', '\'']);
            if name.is_empty() || name.chars().any(|c| c.is_whitespace() && c != ' ') || name.len() > 64 {
                return None;
            }
            any = true;
            let value = value.trim();
            match value.strip_prefix('[').and_then(|list| list.strip_suffix(']')) {
                Some(list) => {
                    for item in list.split(',') {
                        fields.add(name, unquoted(item));
                    }
                    open = Some((name.to_owned(), String::new()));
                }
                None => {
                    let value =
                        if matches!(value, "|" | ">" | "|-" | ">-" | "|+" | ">+") { "" } else { value };
                    open = Some((name.to_owned(), value.to_owned()));
                }
            }
        }
        if let Some((name, folded)) = open {
            fields.add(&name, unquoted(&folded));
        }
        any.then_some(fields)
    }

    fn toml(block: &str) -> Option<Self> {
        let table: toml::Table = block.parse().ok()?;
        let mut fields = Self::default();
        for (name, value) in &table {
            match value {
                // Zola and others keep their taxonomies one table down.
                toml::Value::Table(inner) => {
                    for (name, value) in inner {
                        fields.add_toml(name, value);
                    }
                }
                value => fields.add_toml(name, value),
            }
        }
        Some(fields)
    }

    fn add_toml(&mut self, name: &str, value: &toml::Value) {
        match value {
            toml::Value::String(text) => self.add(name, text),
            toml::Value::Array(items) => {
                for item in items {
                    match item {
                        toml::Value::String(text) => self.add(name, text),
                        toml::Value::Integer(_) | toml::Value::Datetime(_) => {
                            self.add(name, &item.to_string())
                        }
                        _ => {}
                    }
                }
            }
            toml::Value::Integer(_)
            | toml::Value::Float(_)
            | toml::Value::Boolean(_)
            | toml::Value::Datetime(_) => {
                self.add(name, &value.to_string());
            }
            toml::Value::Table(_) => {}
        }
    }
}

/// A value without its quotes and a comment after it.
fn unquoted(value: &str) -> &str {
    let value = value.trim();
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote) {
            return rest.rsplit_once(quote).map_or(rest, |(inner, _)| inner);
        }
    }
    value.split_once(" #").map_or(value, |(before, _)| before.trim_end())
}

#[cfg(test)]
mod tests {
    use super::{FrontMatter, Visible};

    #[test]
    fn fields_are_read_as_people_write_them() {
        let (fields, body) = FrontMatter::split(
            "---\ntitle: \"A: b\" # not this\nDate: 2019-01-04\nauthor: Ann\ntags: [one, 'two']\ncategories:\n  - Guides\n  - More\nsummary: >\n  folded\n  text\n# comment\n---\nBody\n",
        );
        assert_eq!(body, "Body\n");
        assert_eq!(fields.title().as_deref(), Some("A: b"));
        assert_eq!(fields.first(&["none", "date"]), Some("2019-01-04"));
        assert_eq!(fields.first(&["categories"]), Some("Guides"));
        insta::assert_snapshot!(fields.about(Visible::Taxonomy).unwrap(), @r#"
    Tags: one, two
    Categories: Guides, More
    "#);
    }

    #[test]
    fn toml_between_plus_signs_is_read() {
        let (fields, body) = FrontMatter::split(
            "+++\ntitle = \"T\"\ndate = 2020-01-02\n[taxonomies]\ntags = [\"x\", \"y\"]\n+++\nBody",
        );
        assert_eq!(
            (fields.title().as_deref(), fields.first(&["date"]), body),
            (Some("T"), Some("2020-01-02"), "Body")
        );
        assert_eq!(fields.about(Visible::Taxonomy).as_deref(), Some("Tags: x, y"));
    }

    #[test]
    fn a_page_that_only_begins_with_a_rule_keeps_its_text() {
        for text in [
            "---\n\nNo fields here\n\n---\n",
            "---\nunclosed: yes\n",
            "--- \n- a\n---\n",
            "---",
            "+++\n= x\n+++\n",
        ] {
            assert_eq!(FrontMatter::split(text), (FrontMatter::default(), text), "{text:?}");
        }
    }
}
