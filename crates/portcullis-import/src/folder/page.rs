//! HTML pages and plain text.

use super::{Content, FrontMatter, Visible};
use crate::chunk::Block;
use crate::html::{Headings, extract};
use crate::links;

/// Reads an HTML page; what its head says becomes its fields.
pub(super) fn html(text: &str, most_links: usize) -> Content {
    let (mut fields, body) = FrontMatter::split(text);
    let page = extract(body, Headings::Sections, most_links);
    let mut add = |name: &str, value: Option<&str>| {
        if let (None, Some(value)) = (fields.first(&[name]), value) {
            fields.add(name, value);
        }
    };
    let meta = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| page.meta.iter().find(|(known, _)| known == name))
            .map(|(_, value)| value.as_str())
    };
    add("title", meta(&["og:title"]).or(page.title.as_deref()));
    add("author", meta(&["author", "article:author", "dc.creator"]));
    add("date", meta(&["article:published_time", "date", "dc.date", "datepublished"]));
    add("canonical", page.canonical.as_deref().or(meta(&["og:url"])));
    Content { about: fields.about(Visible::Taxonomy), fields, blocks: page.blocks, links: page.links }
}

/// Reads plain text: paragraphs between blank lines.
pub(super) fn plain(text: &str, most_links: usize) -> Content {
    let (fields, body) = FrontMatter::split(text);
    let mut blocks = Vec::new();
    let mut paragraph = String::new();
    for line in body.lines().chain([""]) {
        // A form feed ends a page in old texts.
        let line = line.trim_end().trim_start_matches('\u{c}');
        if !line.trim().is_empty() {
            if !paragraph.is_empty() {
                paragraph.push('\n');
            }
            paragraph.push_str(line);
        } else if !paragraph.is_empty() {
            blocks.push(Block::Text(std::mem::take(&mut paragraph)));
        }
    }
    Content { about: fields.about(Visible::Taxonomy), fields, blocks, links: addresses(body, most_links) }
}

/// The web addresses that stand in a text.
pub(crate) fn addresses(text: &str, most: usize) -> Vec<String> {
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '`'));
    words
        .filter_map(|word| {
            let start = word.find("http://").or_else(|| word.find("https://"))?;
            let address = word.get(start..)?.trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', '*', '_']);
            let address = if address.contains('(') { address } else { address.trim_end_matches(')') };
            links::web(address)
        })
        .take(most)
        .collect()
}
