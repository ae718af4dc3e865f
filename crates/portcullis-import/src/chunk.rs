//! Blocks of text to chunks that recall can quote: at most so many characters, cut between paragraphs, else between
//! sentences or lines of code, else between words, and never across a heading.

use portcullis_store::Chunk;

use crate::invisible;
use crate::limits::{Limits, MIN_CHUNK_CHARS};

/// A piece of a document as a format's reader gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Block {
    /// A section begins.
    Heading {
        /// 1 is the outermost.
        level: u8,
        /// The heading's text.
        text: String,
    },
    /// A paragraph, or the lines of a list or table.
    Text(String),
    /// Lines of code.
    Code(String),
}

/// Longest heading and longest path of headings, in characters.
const HEADING_CHARS: usize = 160;
const PATH_CHARS: usize = 320;

/// A chunk that holds less than this share of its room is filled up with part of the next block.
const FILL_SHARE: usize = 4;

/// Packs blocks into chunks.
#[derive(Debug)]
pub(crate) struct Chunker {
    max: usize,
    most: usize,
    chunks: Vec<Chunk>,
    sections: Vec<(u8, String)>,
    heading: String,
    author: Option<String>,
    text: String,
    chars: usize,
    cut: bool,
}

impl Chunker {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            max: limits.chunk_chars.max(MIN_CHUNK_CHARS),
            most: limits.chunks,
            chunks: Vec::new(),
            sections: Vec::new(),
            heading: String::new(),
            author: None,
            text: String::new(),
            chars: 0,
            cut: false,
        }
    }

    /// What follows stands under this heading, and nothing else.
    pub(crate) fn section(&mut self, heading: &str, author: Option<String>) {
        self.flush();
        self.sections.clear();
        self.heading = one_line(heading, PATH_CHARS);
        self.author = author;
    }

    /// Whose text follows.
    pub(crate) fn set_author(&mut self, author: Option<String>) {
        self.flush();
        self.author = author;
    }

    /// How many chunks there are if what follows begins a new one.
    pub(crate) fn next_index(&mut self) -> usize {
        self.flush();
        self.chunks.len()
    }

    /// Whether the limit of chunks is reached: what is pushed now is left out.
    pub(crate) fn is_full(&self) -> bool {
        self.chunks.len() >= self.most
    }

    /// Adds a block.
    pub(crate) fn push(&mut self, block: Block) {
        match block {
            Block::Heading { level, text } => {
                self.flush();
                while self.sections.last().is_some_and(|(open, _)| *open >= level) {
                    self.sections.pop();
                }
                let text = one_line(&invisible::clean(&text), HEADING_CHARS);
                if !text.is_empty() {
                    self.sections.push((level, text));
                }
                let path: Vec<&str> = self.sections.iter().map(|(_, text)| text.as_str()).collect();
                self.heading = one_line(&path.join(" › "), PATH_CHARS);
            }
            Block::Text(text) => {
                let text = invisible::clean(&text);
                self.add(text.trim(), Cut::Prose);
            }
            Block::Code(text) => {
                let text = invisible::clean(&text);
                self.add(text.trim_end().trim_start_matches('\n'), Cut::Lines);
            }
        }
    }

    /// The chunks, and whether the limit left some out.
    pub(crate) fn finish(mut self) -> (Vec<Chunk>, bool) {
        self.flush();
        (self.chunks, self.cut)
    }

    fn add(&mut self, mut rest: &str, cut: Cut) {
        while !rest.trim().is_empty() {
            let room = self.max.saturating_sub(if self.chars == 0 { 0 } else { self.chars + 2 });
            match split(rest, room, cut) {
                Split::Fits { chars } => {
                    self.append(rest, chars);
                    return;
                }
                Split::At { head, tail, chars }
                    if self.chars == 0 || self.chars < self.max / FILL_SHARE && chars > 0 =>
                {
                    self.append(head, chars);
                    self.flush();
                    rest = tail;
                }
                Split::At { .. } => self.flush(),
            }
            if self.is_full() {
                self.cut = true;
                return;
            }
        }
    }

    fn append(&mut self, text: &str, chars: usize) {
        if self.chars > 0 {
            self.text.push_str("\n\n");
            self.chars += 2;
        }
        self.text.push_str(text);
        self.chars += chars;
    }

    fn flush(&mut self) {
        let text = std::mem::take(&mut self.text);
        self.chars = 0;
        if text.is_empty() {
            return;
        }
        if self.chunks.len() >= self.most {
            self.cut = true;
            return;
        }
        self.chunks.push(Chunk { heading: self.heading.clone(), author: self.author.clone(), text });
    }
}

#[derive(Debug, Clone, Copy)]
enum Cut {
    Prose,
    Lines,
}

enum Split<'a> {
    Fits { chars: usize },
    At { head: &'a str, tail: &'a str, chars: usize },
}

/// Finds where a text ends that may have at most `room` characters. It looks at no more than `room + 1` of them.
fn split(text: &str, room: usize, cut: Cut) -> Split<'_> {
    // Byte offset after the best cut of each kind so far, best kind first, each with its number of characters.
    let (mut line, mut sentence, mut word) = (None, None, None);
    let (mut before, mut begun) = (' ', false);
    let mut chars = 0;
    for (at, c) in text.char_indices() {
        if chars == room {
            // A cut in the first half would leave a stump; then the next kind of cut is better.
            let late = |found: &Option<(usize, usize)>| found.is_some_and(|(_, chars)| chars > room / 2);
            let best = match cut {
                Cut::Lines => [line, word, None],
                Cut::Prose => [sentence, line, word],
            };
            let (at, chars) = best
                .into_iter()
                .find(late)
                .or_else(|| best.into_iter().find(|found| found.is_some()))
                .flatten()
                .unwrap_or((at, chars));
            let (head, tail) = text.split_at_checked(at).unwrap_or((text, ""));
            let tail = match cut {
                Cut::Prose => tail.trim_start(),
                Cut::Lines => tail.trim_start_matches('\n'),
            };
            let kept = head.trim_end();
            let trimmed = head.strip_prefix(kept).map_or(0, |end| end.chars().count());
            return Split::At { head: kept, tail, chars: chars.saturating_sub(trimmed) };
        }
        // A cut before any text would leave nothing before it, and the same text after it.
        if c.is_whitespace() && !begun {
            chars += 1;
            continue;
        }
        begun = true;
        if c == '\n' {
            line = Some((at, chars));
        }
        if c.is_whitespace() {
            word = Some((at, chars));
            if matches!(before, '.' | '!' | '?' | '…' | '。' | '！' | '？') {
                sentence = Some((at, chars));
            }
        }
        before = c;
        chars += 1;
    }
    Split::Fits { chars }
}

/// Text on one line, at most so many characters, with an ellipsis if it was cut.
pub(crate) fn one_line(text: &str, max: usize) -> String {
    let mut out = String::new();
    let mut chars = 0;
    for word in text.split_whitespace() {
        if chars > 0 {
            out.push(' ');
            chars += 1;
        }
        for c in word.chars() {
            if chars + 1 >= max {
                out.truncate(out.trim_end().len());
                out.push('…');
                return out;
            }
            out.push(c);
            chars += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Block, Chunker, one_line};
    use crate::Limits;

    fn chunks(blocks: Vec<Block>) -> Vec<(String, String)> {
        let limits = Limits { chunk_chars: 200, ..Limits::default() };
        let mut chunker = Chunker::new(&limits);
        for block in blocks {
            chunker.push(block);
        }
        chunker.finish().0.into_iter().map(|chunk| (chunk.heading, chunk.text)).collect()
    }

    #[test]
    fn headings_make_a_path_and_never_share_a_chunk() {
        let heading = |level, text: &str| Block::Heading { level, text: text.into() };
        let found = chunks(vec![
            Block::Text("before".into()),
            heading(1, "Chapter"),
            Block::Text("one".into()),
            heading(3, "Deep"),
            Block::Text("two".into()),
            heading(2, "Section"),
            Block::Text("three".into()),
        ]);
        let expected =
            [("", "before"), ("Chapter", "one"), ("Chapter › Deep", "two"), ("Chapter › Section", "three")];
        assert_eq!(found, expected.map(|(heading, text)| (heading.to_owned(), text.to_owned())));
    }

    #[test]
    fn long_prose_is_cut_after_a_sentence_and_code_after_a_line() {
        let sentence = "This is a sentence of fifty characters, more or less. ";
        let prose = chunks(vec![Block::Text(sentence.repeat(9))]);
        assert!(prose.iter().all(|(_, text)| text.ends_with("less.")), "{prose:?}");
        let code = chunks(vec![Block::Code("    let indented = \"line of code\";\n".repeat(20))]);
        assert!(code.iter().all(|(_, text)| text.starts_with("    let") && text.ends_with(';')), "{code:?}");
    }

    #[test]
    fn short_paragraphs_share_a_chunk() {
        let found = chunks(vec![Block::Text("a".into()), Block::Text("b".into()), Block::Code("  c".into())]);
        assert_eq!(found, [(String::new(), "a\n\nb\n\n  c".to_owned())]);
    }

    #[test]
    fn a_heading_stays_on_one_line_and_short() {
        assert_eq!(one_line("  a\n b\t c ", 100), "a b c");
        assert_eq!(one_line("abcdefgh", 5), "abcd…");
    }

    proptest! {
        #[test]
        fn no_chunk_is_too_long_or_empty_and_no_letter_is_lost(texts in prop::collection::vec("[a-zé]{0,300}[a-zé. \n]{0,700}", 0..8)) {
            let limits = Limits { chunk_chars: 200, ..Limits::default() };
            let mut chunker = Chunker::new(&limits);
            for (index, text) in texts.iter().enumerate() {
                let text = &format!("{}{text}", " ".repeat(index));
                chunker.push(if index % 3 == 2 { Block::Code(text.clone()) } else { Block::Text(text.clone()) });
            }
            let (chunks, cut) = chunker.finish();
            prop_assert!(!cut);
            for chunk in &chunks {
                prop_assert!(chunk.text.chars().count() <= 200);
                prop_assert!(!chunk.text.trim().is_empty());
            }
            let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            let kept: String = chunks.iter().map(|chunk| letters(&chunk.text)).collect();
            let given: String = texts.iter().map(|text| letters(text)).collect();
            prop_assert_eq!(kept, given);
        }
    }
}
