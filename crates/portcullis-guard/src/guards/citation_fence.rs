//! Release: citations only of what was recalled.
//!
//! A model may write `[7]` when it was given five passages, and a reader would believe that a source stands behind
//! it. The fence takes such numbers out, in a stream too, and keeps note of which passages were cited.
//!
//! A citation is a bracket with nothing but numbers in it: `[7]`, `[1, 7]`, `[2-5]`. In code that is a list or a place in
//! one, so code is left as it is: what stands between backticks on one line, and fenced blocks. What may yet become code is
//! held back from the first bracket on that would change, to the end of the line at most.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::RangeInclusive;

/// The name of this guard.
pub const NAME: &str = "citation-fence";
/// What it stops.
pub const ABOUT: &str = "citation marks of passages that were not recalled for this answer are dropped";

/// The longest bracket that is looked at, in bytes. A longer one loses its opening bracket.
const LONGEST: usize = 128;
/// How much of what may become code is held back, in bytes. Beyond that it is no code.
const LONGEST_SPAN: usize = 1_024;
/// With more spaces than these before it, a fence is none, or belongs to something that only a parser knows.
const DEEPEST_FENCE: usize = 3;

/// Filters the text of one answer, in pieces of any size. The result does not depend on where it is cut.
#[derive(Debug)]
pub struct CitationFence {
    passages: usize,
    cited: BTreeSet<usize>,
    /// A bracket that may become a citation.
    held: String,
    /// What is code if the span ends on this line: all since the first bracket of it that would change.
    kept: Option<String>,
    place: Place,
    /// The fence that this line opens at its end.
    opening: Option<Block>,
    /// This line may be the end of a block.
    closing: bool,
    /// Where a block ended is not sure: what looks like the beginning of another may be its end.
    lost: bool,
    /// The spaces that begin this line, while it has nothing else.
    indent: Option<usize>,
    /// Whether this line holds nothing but blanks and the marks of lists and quotes: HTML that begins here is a block of its own, in
    /// which no fence is one.
    bare: bool,
    run: Run,
    /// A backslash stands before.
    escaped: bool,
}

/// Where in the answer's Markdown the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Words,
    /// After so many backticks; as many end it.
    Span(usize),
    Block(Block),
}

/// A fenced block of code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Block {
    mark: char,
    len: usize,
    indent: usize,
}

/// Backticks or tildes in a row.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    mark: char,
    len: usize,
    /// The spaces before it, if nothing else stands before it on the line.
    indent: Option<usize>,
    escaped: bool,
}

impl CitationFence {
    /// A fence for an answer that was given that many passages, numbered from 1.
    pub fn new(passages: usize) -> Self {
        Self {
            passages,
            cited: BTreeSet::new(),
            held: String::new(),
            kept: None,
            place: Place::Words,
            opening: None,
            closing: false,
            lost: false,
            indent: Some(0),
            bare: true,
            run: Run::default(),
            escaped: false,
        }
    }

    /// Takes a piece of the answer and returns what may leave now.
    pub fn push(&mut self, piece: &str) -> String {
        let mut out = String::with_capacity(self.held.len() + piece.len());
        for c in piece.chars() {
            self.take(c, &mut out);
        }
        out
    }

    /// Ends the answer and returns what was still held back.
    pub fn finish(&mut self) -> String {
        let mut out = String::new();
        self.end_run(&mut out);
        self.let_go(&mut out);
        self.no_code(&mut out);
        out
    }

    /// Which passages were cited so far, from 0.
    pub fn cited(&self) -> &BTreeSet<usize> {
        &self.cited
    }

    fn take(&mut self, c: char, out: &mut String) {
        if self.run.len > 0 && c == self.run.mark {
            self.run.len += 1;
        } else {
            self.end_run(out);
            if matches!(c, '`' | '~') {
                self.run = Run { mark: c, len: 1, indent: self.indent, escaped: self.escaped };
            }
        }
        self.escaped = c == '\\' && !self.escaped;
        match c {
            '\n' | '\r' => self.end_line(out),
            _ => self.go_on(c),
        }
        match self.place {
            Place::Block(_) => out.push(c),
            _ => self.bracket(c, out),
        }
        if self.kept.as_ref().is_some_and(|kept| kept.len() > LONGEST_SPAN) {
            self.no_code(out);
        }
    }

    /// One character more on this line.
    fn go_on(&mut self, c: char) {
        let before = self.indent;
        self.indent = match c {
            ' ' => before.map(|spaces| spaces + 1),
            '\t' => before.map(|spaces| spaces + DEEPEST_FENCE + 1),
            _ => None,
        };
        self.closing &= matches!(c, ' ' | '\t');
        self.lost |= c == '<' && self.bare && self.place == Place::Words;
        self.bare &= matches!(c, ' ' | '\t' | '-' | '*' | '+' | '>' | '.' | ')' | '0'..='9');
        // What has less before it than the fence has ends the list that both stood in, and the block with it.
        if let Place::Block(block) = self.place
            && self.indent.is_none()
            && before.is_some_and(|spaces| spaces < block.indent)
        {
            self.place = Place::Words;
            self.lost = true;
        }
    }

    /// Backticks or tildes have come to their end.
    fn end_run(&mut self, out: &mut String) {
        let Run { mark, len, indent, escaped } = std::mem::take(&mut self.run);
        if len == 0 {
            return;
        }
        let fence = indent.filter(|_| len >= 3).map(|indent| Block { mark, len, indent });
        let is_deep = |fence: &Block| fence.indent > DEEPEST_FENCE;
        match self.place {
            Place::Block(block) => {
                // In a list it may stand deeper, and end the block all the same.
                self.closing = fence.is_some_and(|fence| fence.mark == block.mark && fence.len >= block.len);
                self.lost |= self.closing && fence.as_ref().is_some_and(is_deep);
            }
            Place::Words => {
                // A backslash takes the meaning of the one character behind it.
                let ticks = len - usize::from(escaped);
                self.opening = self.opening.or(fence.filter(|fence| !self.lost && !is_deep(fence)));
                if mark == '`' && ticks > 0 {
                    self.place = Place::Span(ticks);
                }
            }
            Place::Span(ticks) if mark == '`' => {
                // There is no fence of backticks with more of them on its line.
                self.opening = self.opening.filter(|block| block.mark != '`');
                if ticks == len {
                    self.place = Place::Words;
                    out.push_str(&self.kept.take().unwrap_or_default());
                }
            }
            Place::Span(_) => {}
        }
    }

    fn end_line(&mut self, out: &mut String) {
        self.let_go(out);
        self.no_code(out);
        if std::mem::take(&mut self.closing) {
            self.place = Place::Words;
        }
        if let Some(block) = self.opening.take() {
            self.place = Place::Block(block);
        }
        self.indent = Some(0);
        self.bare = true;
    }

    /// What began like code on this line is none.
    fn no_code(&mut self, out: &mut String) {
        if !matches!(self.place, Place::Span(_)) {
            return;
        }
        self.place = Place::Words;
        let Some(kept) = self.kept.take() else { return };
        let held = std::mem::take(&mut self.held);
        for c in kept.chars() {
            self.bracket(c, out);
        }
        self.let_go(out);
        self.held = held;
    }

    /// One character outside of blocks.
    fn bracket(&mut self, c: char, out: &mut String) {
        let listed = c.is_ascii_digit() || matches!(c, ' ' | '\u{a0}' | ',' | ';' | '-' | '–' | '—');
        if self.held.is_empty() {
            if c == '[' { self.held.push(c) } else { self.say(c.encode_utf8(&mut [0; 4]), out) }
        } else if c == ']' {
            self.held.push(c);
            let bracket = std::mem::take(&mut self.held);
            let instead = self.recalled(&bracket);
            self.settle(&bracket, instead, out);
        } else if listed && self.held.len() < LONGEST {
            self.held.push(c);
        } else if listed {
            self.held.push(c);
            let bracket = std::mem::take(&mut self.held);
            self.settle(&bracket, Some(bracket.trim_start_matches('[').to_owned()), out);
        } else {
            // No citation after all: prose in brackets, which may itself begin with a bracket.
            self.let_go(out);
            if c == '[' { self.held.push(c) } else { self.say(c.encode_utf8(&mut [0; 4]), out) }
        }
    }

    /// A bracket that leaves as it is, or with something in its place. In what may be code it stays until that is known.
    fn settle(&mut self, bracket: &str, instead: Option<String>, out: &mut String) {
        match instead {
            None => self.say(bracket, out),
            Some(_) if matches!(self.place, Place::Span(_)) => {
                self.kept.get_or_insert_default().push_str(bracket);
            }
            Some(instead) => self.say(&instead, out),
        }
    }

    fn let_go(&mut self, out: &mut String) {
        let held = std::mem::take(&mut self.held);
        self.say(&held, out);
    }

    fn say(&mut self, text: &str, out: &mut String) {
        self.kept.as_mut().unwrap_or(out).push_str(text);
    }

    /// What stands in the place of a bracket with numbers that were not recalled; none if it stays as it is.
    fn recalled(&mut self, bracket: &str) -> Option<String> {
        let listed = numbers(bracket.trim_start_matches('[').trim_end_matches(']'))?;
        if is_interval(&listed) {
            return None;
        }
        let known = |range: &RangeInclusive<usize>| {
            let (from, to) = ((*range.start()).max(1), (*range.end()).min(self.passages));
            (from <= to).then_some(from..=to)
        };
        let left: Vec<RangeInclusive<usize>> = listed.iter().filter_map(known).collect();
        // So many numbers as a bracket of that length could name one by one.
        self.cited.extend(left.iter().flat_map(|range| range.clone().take(LONGEST)).map(|number| number - 1));
        if left == listed {
            return None;
        }
        let mut instead = String::new();
        for range in &left {
            instead.push_str(if instead.is_empty() { "[" } else { ", " });
            let (from, to) = (range.start(), range.end());
            // Writing into a `String` cannot fail.
            let _ = if from == to { write!(instead, "{from}") } else { write!(instead, "{from}-{to}") };
        }
        if !instead.is_empty() {
            instead.push(']');
        }
        Some(instead)
    }
}

/// Whether it is of numbers and no citation, whoever reads it: several from 0 on, as in the interval `[0, 1]`, or years.
fn is_interval(listed: &[RangeInclusive<usize>]) -> bool {
    match listed {
        [range] if range.start() == range.end() => false,
        [range] => *range.start() == 0 || (1_000..10_000).contains(range.start()),
        several => several.first().is_some_and(|first| *first.start() == 0),
    }
}

/// The numbers of a list such as `1, 3-5`; none if it is something else, such as a date.
fn numbers(list: &str) -> Option<Vec<RangeInclusive<usize>>> {
    let number = |text: &str| {
        let digits = text.trim();
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        // Nobody recalls so many that it would not fit.
        plain.then(|| digits.parse().unwrap_or(usize::MAX))
    };
    let mut found = Vec::new();
    for item in list.split([',', ';']) {
        match item.split(['-', '–', '—']).collect::<Vec<_>>().as_slice() {
            [words] => {
                for word in words.split_whitespace() {
                    let number = number(word)?;
                    found.push(number..=number);
                }
            }
            [from, to] => {
                let (from, to) = (number(from)?, number(to)?);
                found.push(from.min(to)..=from.max(to));
            }
            _ => return None,
        }
    }
    (!found.is_empty()).then_some(found)
}

#[cfg(test)]
#[path = "../../../portcullis-leak/tests/it/splits.rs"]
mod splits;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::CitationFence;
    use super::splits::{Dice, SEED, same_for_every_split};

    fn passed(pieces: &[&str]) -> (String, Vec<usize>) {
        let mut fence = CitationFence::new(2);
        let mut out: String = pieces.iter().map(|piece| fence.push(piece)).collect();
        out.push_str(&fence.finish());
        (out, fence.cited().iter().copied().collect())
    }

    /// A text, and what leaves of it, all of it where nothing is given. Two passages were recalled.
    const CASES: &[(&str, Option<&str>)] = &[
        ("Yes [1], no [3], [2][0] [99].", Some("Yes [1], no , [2] .")),
        ("a[i] = [] [ ] [-] [[1]] [1 [a, 9] [2024-11-28] [-9] [9%] [", None),
        ("[12345] [99999999999999999999999999]", Some(" ")),
        ("[1, 9] [1,9] [ 9 ] [1; 9] [9 1] [9,] [1,\u{a0}2]", Some("[1] [1]  [1] [1]  [1,\u{a0}2]")),
        ("[1-9] [1–2] [2 - 9] [9-1] [3-9] [1, 2-9, 7]", Some("[1-2] [1–2] [2] [1-2]  [1, 2]")),
        // Where Markdown knows no block of code, none is taken for one.
        ("<p>\n```\n\nSo it is [9].\n", Some("<p>\n```\n\nSo it is .\n")),
        ("- <p>\n  ```\n\n  So it is [9].\n", Some("- <p>\n  ```\n\n  So it is .\n")),
        ("- x\n  ```\n     ```\n  So it is [9].\n", Some("- x\n  ```\n     ```\n  So it is .\n")),
        (
            "lies in [0, 1] or [0-1], in [1914-1918], not [0]",
            Some("lies in [0, 1] or [0-1], in [1914-1918], not "),
        ),
        // Code is left as it is.
        ("so `a[9]` and ``b[`9] [9]`` [9]", Some("so `a[9]` and ``b[`9] [9]`` ")),
        (
            "use\n```rust\nlet a = [10, 20];\n\na[9] = 1;\n```\n[9]",
            Some("use\n```rust\nlet a = [10, 20];\n\na[9] = 1;\n```\n"),
        ),
        (
            "~~~\n[9]\n```\n[9]\n~~\n~~~ x\n[9]\n~~~~ \n[9]",
            Some("~~~\n[9]\n```\n[9]\n~~\n~~~ x\n[9]\n~~~~ \n"),
        ),
        (
            "1. so:\n   ```\n   [9]\n\n   a[8]\n   ```\n   [9] [1]",
            Some("1. so:\n   ```\n   [9]\n\n   a[8]\n   ```\n    [1]"),
        ),
        ("```\r\n[9]\r\n```\r\n[9]", Some("```\r\n[9]\r\n```\r\n")),
        ("```[9]```\n[9]", Some("```[9]```\n")),
        // What only looks like it is not.
        ("a ` [9] [1]\n` [9]", Some("a `  [1]\n` ")),
        ("\\`[9]` [9]", Some("\\`` ")),
        ("\\\\`[9]` [9]", Some("\\\\`[9]` ")),
        ("`[9]\n`", Some("`\n`")),
        ("``[9]` ``` [9]", Some("``` ``` ")),
        ("```[9]\nlet a = [9];", Some("```\nlet a = [9];")),
        ("    ```\n[9]", Some("    ```\n")),
        ("- a\n  ```\n[9]\n  ```\n[9]", Some("- a\n  ```\n\n  ```\n")),
        ("text ```\n[9]", Some("text ```\n")),
        ("``` a`b\n[9]", Some("``` a`b\n")),
    ];

    #[test]
    fn only_marks_of_recalled_passages_stay_however_the_text_is_cut() {
        println!("seed {SEED:#x}");
        let mut dice = Dice(SEED);
        for (text, wanted) in CASES {
            let (out, _) = same_for_every_split(text, text, &mut dice, passed);
            assert_eq!(out, wanted.unwrap_or(text), "{text:?}");
        }
    }

    #[test]
    fn what_is_cited_is_what_was_recalled() {
        for (text, cited) in
            [("Yes [1], no [3].", vec![0]), ("[1-9]", vec![0, 1]), ("[9, 2]", vec![1]), ("[0] [9]", vec![])]
        {
            assert_eq!(passed(&[text]).1, cited, "{text}");
        }
    }

    #[test]
    fn what_is_held_back_has_an_end() {
        for (start, wanted) in [("[1", "1"), ("`[9]", "`")] {
            let text = format!("{start}{}] [9]", " ".repeat(3_000));
            let (mut fence, mut out) = (CitationFence::new(2), String::new());
            for c in text.chars() {
                out.push_str(&fence.push(c.encode_utf8(&mut [0; 4])));
                assert!(fence.held.len() + fence.kept.as_ref().map_or(0, String::len) < 1_300, "{start}");
            }
            out.push_str(&fence.finish());
            assert_eq!(out, format!("{wanted}{}] ", " ".repeat(3_000)), "{start}");
            assert_eq!(passed(&[&text]).0, out, "{start}");
        }
    }

    proptest! {
        #[test]
        fn where_any_text_is_cut_makes_no_difference(text in "[\\[\\]0-9a é`~,\\\\\n-]{0,40}", cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6)) {
            let chars: Vec<char> = text.chars().collect();
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(chars.len() + 1)).collect();
            at.push(chars.len());
            at.sort_unstable();
            let mut from = 0;
            let pieces: Vec<String> = at.iter().map(|to| chars[std::mem::replace(&mut from, *to)..*to].iter().collect()).collect();
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            prop_assert_eq!(passed(&pieces), passed(&[&text]));
        }
    }
}
