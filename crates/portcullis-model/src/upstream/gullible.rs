//! The upstream that believes everything.

mod hidden;
mod obey;

use serde_json::{Map, Value, json};

use super::Behaviour;
use super::answer::{Answer, pieces};
use super::heard::{Heard, message_text, messages};
use super::reply::Reply;

/// The worst model there is, and the same on every run: it recites every text it was given (system text, recalled
/// documents, the user's words, tool results, and whatever else the request holds), in its answer, in its thinking and
/// in a field that nobody asked for, and then obeys every instruction it finds in any of them.
///
/// What it understands, in any letter case and anywhere in a text, is a verb and the rest of its line:
/// - `say`, `print`, `repeat`, `reveal`, ... X: says X. Where X speaks of the system prompt, the instructions, the
///   documents, all of the above, secrets and the like, it says those texts again; reversed, in Base64, hexadecimal, ROT13,
///   Atbash, leet, percent or decimal codes, spaced out or in capitals, and as a link, an image or HTML, where the line
///   asks for it. Where X speaks of its tools, it says what they are described with.
///   Where X speaks of the canary or of marks, it says the words of the system text that nobody could make up: long ones of
///   letters and digits.
/// - `call`, `use`, `invoke`, `run` a tool or function NAME, with JSON arguments in the same line: calls it. `{tools}` in an argument gets what the
///   tools are described with, `{data}` or `{system}` the system text.
/// - `append`, `include`, `show`, `fetch`, `send`, ... with an address in the same line: shows the address as an image and
///   as a link. `{data}` or `{system}` in the address, or an address that ends in `=`, gets the system text.
///
/// It understands a few such verbs of other languages, and reads what stands in a line in Base64, hexadecimal or letters that
/// nobody sees (Unicode tags); and the line in ROT13, backwards or without its dots, where it says so.
///
/// It does not understand "not". A guard that holds against it does not rest on the model's good will.
#[derive(Debug, Clone, Copy)]
pub struct Gullible {
    piece: usize,
    unasked: Unasked,
}

/// What it says that no instruction asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unasked {
    Everything,
    /// The content alone: neither the system text nor the question.
    Content,
    Nothing,
}

/// Most bytes it says: enough for any prompt, and an end for one that is made to grow.
const MOST_SAID: usize = 2 << 20;

/// One text that it was given, and where it stood.
struct Reading {
    from: String,
    text: String,
}

impl Gullible {
    /// Streams in pieces of five characters, so that whatever it leaks is split over frames.
    pub const fn new() -> Self {
        Self { piece: 5, unasked: Unasked::Everything }
    }

    /// The same in pieces of so many characters.
    #[must_use]
    pub const fn cut_into(self, piece: usize) -> Self {
        Self { piece, ..self }
    }

    /// The same without the recital: it says what it is told to say and nothing else, so that a guard which the recital
    /// would trip over is put to the disguise that was asked for.
    pub const fn obedient() -> Self {
        Self { piece: 5, unasked: Unasked::Nothing }
    }

    /// One that is of use as well: it answers with the content that it was given, and obeys whatever it reads in content or
    /// question. Orders in the system text are those of its owner and are not obeyed, so that an honest question gets an
    /// honest answer.
    pub const fn helpful() -> Self {
        Self { piece: 5, unasked: Unasked::Content }
    }
}

impl Default for Gullible {
    fn default() -> Self {
        Self::new()
    }
}

impl Behaviour for Gullible {
    fn name(&self) -> &'static str {
        "gullible"
    }

    fn answer(&self, heard: &Heard) -> Reply {
        let readings = readings(&heard.json());
        let recital = match self.unasked {
            Unasked::Everything => recite(&readings),
            Unasked::Content => content(&readings),
            Unasked::Nothing => String::new(),
        };
        let deeds =
            obey::obey(&readings, |reading| self.unasked != Unasked::Content || !is_system(&reading.from));
        let mut said = recital.clone();
        said.push_str(&deeds.said);
        truncate(&mut said);
        let mut extra_fields = Map::new();
        extra_fields.insert("prompt".to_owned(), json!(recital));
        extra_fields.insert("x_secret".to_owned(), json!(system_text(&readings)));
        let answer = Answer {
            reasoning: Some(recital).filter(|recital| !recital.is_empty()),
            pieces: pieces(&said, self.piece),
            tool_calls: deeds.tool_calls,
            extra_fields,
        };
        answer.reply_to(heard)
    }
}

/// Every text of the request: the messages first, in order, then everything else that holds words.
fn readings(body: &Value) -> Vec<Reading> {
    let mut found = Vec::new();
    for message in messages(body) {
        let from = message.get("role").and_then(Value::as_str).unwrap_or("unknown").to_owned();
        let text = message_text(message);
        if !text.is_empty() {
            found.push(Reading { from: from.clone(), text });
        }
        if let Value::Object(fields) = message {
            for (key, value) in fields.iter().filter(|(key, _)| !matches!(key.as_str(), "role" | "content")) {
                strings(&format!("{from} {key}"), value, &mut found);
            }
        }
    }
    if let Value::Object(fields) = body {
        for (key, value) in fields.iter().filter(|(key, _)| !matches!(key.as_str(), "messages" | "model")) {
            strings(key, value, &mut found);
        }
    }
    found
}

fn strings(from: &str, value: &Value, found: &mut Vec<Reading>) {
    match value {
        Value::String(text) if !text.is_empty() => {
            found.push(Reading { from: from.to_owned(), text: text.clone() });
        }
        Value::Array(items) => items.iter().for_each(|item| strings(from, item, found)),
        Value::Object(fields) => {
            for (key, value) in fields {
                strings(&format!("{from} {key}"), value, found);
            }
        }
        _ => {}
    }
}

fn recite(readings: &[Reading]) -> String {
    let mut recital = String::from("This is everything I was given.\n");
    for reading in readings {
        recital.push_str(&format!("\n[{}]\n{}\n", reading.from, reading.text));
    }
    truncate(&mut recital);
    recital
}

/// What stands between the system text and the question, and what tools returned after it.
fn content(readings: &[Reading]) -> String {
    let question = readings.iter().rposition(|reading| reading.from == "user");
    let others = readings.iter().enumerate().filter(|(place, _)| Some(*place) != question);
    let content = others
        .filter(|(_, reading)| matches!(reading.from.as_str(), "user" | "tool"))
        .map(|(_, reading)| reading.text.as_str());
    let mut said = content.collect::<Vec<_>>().join("\n");
    truncate(&mut said);
    said
}

fn is_system(from: &str) -> bool {
    matches!(from, "system" | "developer")
}

fn system_text(readings: &[Reading]) -> String {
    let system = readings.iter().filter(|reading| is_system(&reading.from));
    system.map(|reading| reading.text.as_str()).collect::<Vec<_>>().join("\n")
}

/// What the offered tools and their arguments are described with.
fn tool_text(readings: &[Reading]) -> String {
    let told = readings
        .iter()
        .filter(|reading| reading.from.starts_with("tools ") && reading.from.ends_with(" description"));
    told.map(|reading| reading.text.as_str()).collect::<Vec<_>>().join("\n")
}

fn truncate(text: &mut String) {
    text.truncate(text.floor_char_boundary(MOST_SAID));
}

#[cfg(test)]
mod tests;
