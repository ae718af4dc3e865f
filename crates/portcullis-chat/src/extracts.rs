//! The answer when no model is configured: extracts with citations, and said to be so.

use std::fmt::Write as _;

use portcullis_store::Passage;

use crate::prompt::numbered;

/// How much of a passage is quoted, in characters.
const LONGEST: usize = 420;

/// The answer's text.
pub(crate) fn answer(passages: &[Passage]) -> String {
    if passages.is_empty() {
        return "No model is configured, so this is a search and not an answer. Nothing that you may read matches \
                your question."
            .to_owned();
    }
    let mut text = String::from(
        "No model is configured, so these are extracts from the community's content and not an answer.\n",
    );
    for (number, passage) in numbered(passages) {
        let heading =
            if passage.heading.is_empty() { String::new() } else { format!(", {}", plain(&passage.heading)) };
        let _ = write!(
            text,
            "\n**{}**{heading} [{number}]\n\n> {}\n",
            plain(&passage.title),
            quote(&passage.text)
        );
    }
    text
}

/// Text on one line, in which Markdown finds nothing to act on.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.split_whitespace().collect::<Vec<_>>().join(" ").chars() {
        if matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '!' | '|' | '~') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn quote(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let cut = match text.char_indices().nth(LONGEST) {
        None => text,
        Some((end, _)) => {
            let head = text.get(..end).unwrap_or(&text);
            let head = head.rsplit_once(' ').map_or(head, |(head, _)| head);
            format!("{head} …")
        }
    };
    plain(&cut)
}

#[cfg(test)]
mod tests {
    use super::{plain, quote};

    #[test]
    fn content_cannot_act_as_markdown() {
        assert_eq!(plain("![x](http://e.example)\n# a <b>"), r"\!\[x\](http://e.example) \# a \<b\>");
    }

    #[test]
    fn a_long_passage_is_cut_between_words() {
        let cut = quote(&"word ".repeat(300));
        assert!(cut.ends_with("word …") && cut.chars().count() < 430, "{cut}");
    }
}
