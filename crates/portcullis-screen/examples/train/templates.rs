//! Rows of our own: attacks, harmless look-alikes, and instructions to plant, from `templates.txt`.

use std::collections::BTreeMap;

use crate::chance::Chance;
use crate::coded::{coded, opaque};

const FILE: &str = include_str!("templates.txt");

/// What a template makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Makes {
    /// An attack as a question.
    Attack,
    /// A harmless question that looks like one.
    Benign,
    /// An attack that is learnt as a question only.
    AttackAsked,
    /// A harmless question that looks like an attack, learnt as a question only.
    BenignAsked,
    /// An instruction to plant in a document.
    Plant,
    /// A sentence of an ordinary document that speaks to its reader.
    Plain,
    /// An ordinary letter, post or review.
    Mail,
}

/// Lines and lists of the file.
pub(crate) struct Templates {
    lists: BTreeMap<&'static str, Vec<&'static str>>,
    lines: Vec<(Makes, &'static str, &'static str)>,
}

impl Templates {
    pub(crate) fn read() -> Self {
        let mut lists = BTreeMap::new();
        let mut lines = Vec::new();
        for line in FILE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (head, pattern) = line.split_once(": ").expect("a template has a head");
            if let Some(name) = head.strip_prefix("= ") {
                lists.insert(name, pattern.split(" | ").collect());
                continue;
            }
            let (label, language) = head.split_once(' ').expect("a head has a label and a language");
            let makes = match label {
                "attack" => Makes::Attack,
                "benign" => Makes::Benign,
                "attack-asked" => Makes::AttackAsked,
                "benign-asked" => Makes::BenignAsked,
                "plant" => Makes::Plant,
                "plain" => Makes::Plain,
                "mail" => Makes::Mail,
                other => panic!("`{other}` is no label of templates"),
            };
            lines.push((makes, language, pattern));
        }
        Self { lists, lines }
    }

    /// Texts of that kind: `english` of each English line, `other` of each in another language; no text twice.
    pub(crate) fn make(
        &self,
        makes: Makes,
        english: usize,
        other: usize,
        chance: &mut Chance,
    ) -> Vec<String> {
        let mut made = std::collections::BTreeSet::new();
        let mut texts = Vec::new();
        for (_, language, pattern) in self.lines.iter().filter(|line| line.0 == makes) {
            for _ in 0..if *language == "en" { english } else { other } {
                let text = self.expand(pattern, chance);
                if made.insert(text.clone()) {
                    texts.push(text);
                }
            }
        }
        texts
    }

    fn expand(&self, pattern: &str, chance: &mut Chance) -> String {
        let raw = self.raw(pattern, chance, 0);
        let mut text = raw.split_whitespace().collect::<Vec<_>>().join(" ");
        for end in ["?", ".", ",", "!"] {
            text = text.replace(&format!(" {end}"), end);
        }
        // An encoding does not survive a change of its letters.
        if pattern.contains("{coded:") || pattern.contains("{opaque}") {
            return text;
        }
        // Members write with and without capitals and stops.
        match chance.below(6) {
            0 => text.to_lowercase(),
            1 => text.trim_end_matches(['.', '?']).to_owned(),
            2 => format!(
                "{}{}",
                text.chars().take(1).flat_map(char::to_uppercase).collect::<String>(),
                text.chars().skip(1).collect::<String>()
            ),
            _ => text,
        }
    }

    fn raw(&self, pattern: &str, chance: &mut Chance, depth: usize) -> String {
        assert!(depth < 8, "a list of templates names itself");
        let mut out = String::new();
        let mut rest = pattern;
        while let Some(at) = rest.find(['(', '{']) {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(inner) = rest.strip_prefix('{') {
                let end = inner.find('}').unwrap_or(0);
                match self.filled(&inner[..end], chance, depth) {
                    Some(filled) => {
                        out.push_str(&filled);
                        rest = &inner[end + 1..];
                    }
                    None => {
                        out.push('{');
                        rest = inner;
                    }
                }
            } else {
                let (choices, end) = choices(rest);
                out.push_str(&self.raw(choices[chance.below(choices.len())], chance, depth + 1));
                rest = &rest[end..];
            }
        }
        out.push_str(rest);
        out
    }

    /// What stands for a name in curly brackets; none if it is no name.
    fn filled(&self, name: &str, chance: &mut Chance, depth: usize) -> Option<String> {
        if name == "opaque" {
            return Some(opaque(chance));
        }
        let in_code = name.strip_prefix("coded:");
        let list = self.lists.get(in_code.unwrap_or(name))?;
        let plain = self.raw(list[chance.below(list.len())], chance, depth + 1);
        Some(if in_code.is_some() { coded(&plain, chance) } else { plain })
    }
}

/// The choices of the brackets that the text begins with, and where they end.
fn choices(text: &str) -> (Vec<&str>, usize) {
    let mut depth = 0;
    let mut from = 1;
    let mut found = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => {
                depth -= 1;
                if depth == 0 {
                    found.push(&text[from..at]);
                    return (found, at + 1);
                }
            }
            '|' if depth == 1 => {
                found.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    panic!("a bracket of a template is not closed: {text}");
}
