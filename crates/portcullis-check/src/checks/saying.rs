//! What an answer says, in parts that can be compared with those of another answer.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::probe::Seen;

/// Shorter texts stand in answers by chance.
const SHORTEST_TEXT: usize = 6;
const SHORTEST_LINE: usize = 12;

/// The words of an answer without what differs from one answer to the next.
pub(super) fn gist(body: &str) -> BTreeMap<String, usize> {
    let mut words = BTreeMap::new();
    let tokens = body.split(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_')));
    for token in tokens.filter(|token| token.len() > 2 && !token.contains(|c: char| c.is_ascii_digit())) {
        *words.entry(token.to_owned()).or_default() += 1;
    }
    words
}

/// The sentences and lines of a text, or of a page without its tags.
pub(super) fn lines(text: &str) -> BTreeSet<String> {
    let parts = text.split(['\n', '.', '!', '?', ';', '<', '>']).map(str::trim);
    parts.filter(|part| part.chars().count() >= SHORTEST_LINE).map(str::to_owned).collect()
}

/// The texts of JSON and their sentences, or the lines of anything else.
#[derive(Debug, Clone, Default)]
pub(super) struct Pieces {
    /// Those that an answer lists.
    listed: BTreeSet<String>,
    /// Those that stand beside its lists: often who asks, and where. The lines of a text may be either.
    beside: BTreeSet<String>,
    /// Whether it is no JSON.
    pub(super) is_text: bool,
    /// Whether it has a place that may be empty: a list, or null.
    may_be_emptied: bool,
}

impl Pieces {
    pub(super) fn of(seen: &Seen) -> Self {
        seen.json().map_or_else(|| Self::of_text(&seen.body), |value| Self::of_json(&value))
    }

    fn of_text(text: &str) -> Self {
        Self { listed: lines(text), beside: lines(text), is_text: true, may_be_emptied: false }
    }

    pub(super) fn of_json(value: &Value) -> Self {
        let mut pieces = Self::default();
        pieces.collect(value, false);
        pieces
    }

    fn collect(&mut self, value: &Value, in_list: bool) {
        match value {
            Value::String(text) => {
                let whole = (text.chars().count() >= SHORTEST_TEXT).then(|| text.clone());
                let pieces = if in_list { &mut self.listed } else { &mut self.beside };
                pieces.extend(lines(text).into_iter().chain(whole));
            }
            Value::Array(items) => {
                self.may_be_emptied = true;
                items.iter().for_each(|item| self.collect(item, true));
            }
            Value::Object(map) => map.values().for_each(|item| self.collect(item, in_list)),
            Value::Null => self.may_be_emptied = true,
            _ => {}
        }
    }

    /// Whether it is told as something that would not be there in an answer without content: what stands beside a list would.
    pub(super) fn shows(&self, piece: &str) -> bool {
        if self.may_be_emptied { self.lists(piece) } else { self.contains(piece) }
    }

    pub(super) fn all(&self) -> BTreeSet<String> {
        self.listed.union(&self.beside).cloned().collect()
    }

    pub(super) fn contains(&self, piece: &str) -> bool {
        self.lists(piece) || self.beside.contains(piece)
    }

    pub(super) fn lists(&self, piece: &str) -> bool {
        self.listed.contains(piece)
    }

    /// Whether it stands beside what is listed.
    pub(super) fn puts_beside(&self, piece: &str) -> bool {
        self.beside.contains(piece)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Pieces, gist, lines};

    #[test]
    fn what_changes_from_answer_to_answer_is_not_part_of_what_it_says() {
        let one = "{\"error\":\"no_such_member\",\"request\":\"0196-aa7f\"}";
        let two = "{\"error\":\"no_such_member\",\"request\":\"0197-bb8e\"}";
        assert_eq!(gist(one), gist(two));
        assert_ne!(gist(one), gist("{\"error\":\"not_allowed\",\"request\":\"0196-aa7f\"}"));
    }

    #[test]
    fn a_page_is_cut_at_its_tags() {
        let page = "<main><h1>Your account</h1><p>Asked about the mooring fees. Twice.</p></main>";
        assert_eq!(
            lines(page).into_iter().collect::<Vec<_>>(),
            ["Asked about the mooring fees", "Your account"]
        );
    }

    #[test]
    fn what_is_listed_is_told_from_what_stands_beside_it() {
        let said = json!({ "viewer": "Oren Ash", "posts": [{ "by": "Bella Pear", "text": "Where is the ladder? In the barn by the road." }] });
        let pieces = Pieces::of_json(&said);
        assert!(pieces.puts_beside("Oren Ash") && !pieces.lists("Oren Ash"));
        assert!(
            pieces.lists("Bella Pear")
                && pieces.lists("In the barn by the road")
                && !pieces.contains("Twice")
        );
        assert!(pieces.shows("Bella Pear") && !pieces.shows("Oren Ash"));
        let emptied =
            [json!({ "viewer": "Oren Ash", "posts": [] }), json!({ "viewer": "Oren Ash", "post": null })];
        assert!(emptied.iter().all(|said| !Pieces::of_json(said).shows("Oren Ash")));
        assert!(Pieces::of_json(&json!({ "title": "The ladder" })).shows("The ladder"));
        let text = Pieces::of_text("Signed in as Oren Ash\nok");
        assert!(text.lists("Signed in as Oren Ash") && text.puts_beside("Signed in as Oren Ash"));
    }
}
