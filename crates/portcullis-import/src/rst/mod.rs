//! reStructuredText to blocks. It reads what documents are made of (sections, paragraphs, lists, literal blocks,
//! tables, field lists, directives, inline markup) line by line, without building a tree, so that its work is linear
//! and no nesting can exhaust it. It never reads another file: `include` and its like give nothing.

mod blocks;
mod explicit;
mod inline;
mod table;

use crate::folder::Content;

/// Reads a document.
pub(crate) fn read(text: &str, most_links: usize) -> Content {
    blocks::Reader::new(text, most_links).read()
}

#[cfg(test)]
mod tests;
