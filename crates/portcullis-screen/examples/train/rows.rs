//! The rows: those of the data set, by source, and those made of our own templates.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use portcullis_screen::Channel;
use serde::Deserialize;

use crate::chance::Chance;
use crate::templates::{Makes, Templates};

/// What a row is of. A group is left out whole.
pub(crate) type Group = &'static str;

/// Our own rows.
pub(crate) const OWN: Group = "templates";

/// One text.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) text: String,
    pub(crate) attack: bool,
    pub(crate) hard: bool,
    pub(crate) group: Group,
    pub(crate) channel: Channel,
}

#[derive(Deserialize)]
struct Line {
    text: String,
    label: u8,
    kind: String,
    source: String,
}

/// The group of a source; none if its rows are not used.
fn group(source: &str) -> Option<Group> {
    Some(match source {
        // By its name this is made of a set that is kept for measuring.
        "neuralchemy:wildguard_judgecomp" => return None,
        source if source.starts_with("S-Labs") => "S-Labs",
        source if source.starts_with("neuralchemy:") => "neuralchemy",
        source if source.starts_with("llmail") => "llmail-inject",
        source if source.starts_with("yanismiraoui") => "yanismiraoui",
        "bastioncorpus" => "bastioncorpus",
        "banking77" => "banking77",
        source if source.starts_with("chatterbot") => "chatterbot",
        "alpaca seed_tasks" => "seed tasks",
        "PEPs" => "PEPs",
        "rust book" => "rust book",
        "prowler docs" => "prowler docs",
        _ => "jailbreaks",
    })
}

/// Groups that are left out together, so that each fold has attacks and ordinary text that training has not seen.
pub(crate) const FOLDS: &[(&[Group], &str)] = &[
    (&["S-Labs", "PEPs"], "S-Labs, PEPs"),
    (&["neuralchemy", "rust book"], "neuralchemy, rust book"),
    (&["llmail-inject", "prowler docs", "seed tasks"], "llmail-inject, prowler docs, seed tasks"),
    (&["jailbreaks", "banking77"], "jailbreaks, banking77"),
    (&["yanismiraoui", "chatterbot", "bastioncorpus"], "yanismiraoui, chatterbot, bastioncorpus"),
];

/// The data set, each row once a channel it is read in.
pub(crate) fn read(packed: &[u8]) -> anyhow::Result<Vec<Row>> {
    let mut text = String::new();
    ruzstd::decoding::StreamingDecoder::new(packed)
        .context("the data set is no zstd file")?
        .read_to_string(&mut text)
        .context("the data set cannot be unpacked")?;
    let mut rows = Vec::new();
    for line in text.lines() {
        let line: Line = serde_json::from_str(line)
            .context("a line of the data set is not of the form {text, label, kind, source}")?;
        let Some(group) = group(&line.source) else { continue };
        let document = matches!(group, "llmail-inject" | "PEPs" | "rust book" | "prowler docs")
            || line.kind == "indirect";
        rows.push(Row {
            text: line.text,
            attack: line.label == 1,
            hard: line.kind == "hard_benign",
            group,
            channel: if document { Channel::Document } else { Channel::Question },
        });
    }
    Ok(rows)
}

/// Reads a file with its path in the error.
pub(crate) fn bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("`{}` cannot be read", path.display()))
}

/// Rows of our own for a model of that channel. Documents are made around ordinary ones of `carriers`, so what is left out carries nothing.
pub(crate) fn own(carriers: &[&Row], channel: Channel, seed: u64) -> Vec<Row> {
    let templates = Templates::read();
    let mut chance = Chance::new(seed);
    let row = |text: String, attack: bool, channel: Channel| Row {
        text,
        attack,
        hard: !attack,
        group: OWN,
        channel,
    };
    let mut rows = Vec::new();
    let attacks = templates.make(Makes::Attack, 110, 30, &mut chance);
    let harmless = templates.make(Makes::Benign, 130, 30, &mut chance);
    for text in &attacks {
        if chance.below(10) == 0 {
            rows.push(row(disguise(text, &mut chance), true, Channel::Question));
        }
    }
    for text in &harmless {
        if chance.below(12) == 0 {
            rows.push(row(disguise(text, &mut chance), false, Channel::Question));
        }
    }
    // The same harmless request with and without an attack behind it.
    for text in &harmless {
        if chance.below(5) == 0 {
            let attack = &attacks[chance.below(attacks.len())];
            let other = &harmless[chance.below(harmless.len())];
            rows.push(row(format!("{text} {attack}"), true, Channel::Question));
            rows.push(row(format!("{text} {other}"), false, Channel::Question));
        }
    }
    rows.extend(attacks.into_iter().map(|text| row(text, true, Channel::Question)));
    rows.extend(harmless.into_iter().map(|text| row(text, false, Channel::Question)));

    let planted = templates.make(Makes::Plant, 90, 30, &mut chance);
    let plain = templates.make(Makes::Plain, 120, 40, &mut chance);
    let mail = templates.make(Makes::Mail, 300, 0, &mut chance);
    let mut carriers: Vec<&str> = carriers.iter().map(|row| row.text.as_str()).collect();
    carriers.extend(mail.iter().map(String::as_str));
    for (texts, attack) in [(&planted, true), (&plain, false)] {
        for text in texts {
            rows.push(row(text.clone(), attack, Channel::Document));
            let carrier = carriers[chance.below(carriers.len())];
            rows.push(row(plant(carrier, text, &mut chance), attack, Channel::Document));
        }
    }
    rows.extend(mail.into_iter().map(|text| row(text, false, Channel::Document)));
    if channel == Channel::Question {
        for (makes, attack) in [(Makes::AttackAsked, true), (Makes::BenignAsked, false)] {
            let texts = templates.make(makes, 130, 30, &mut chance);
            rows.extend(texts.into_iter().map(|text| row(text, attack, Channel::Question)));
        }
    }
    rows
}

/// The document with the sentence between two of its own.
pub(crate) fn plant(carrier: &str, sentence: &str, chance: &mut Chance) -> String {
    let ends: Vec<usize> = carrier.match_indices(['.', '\n']).map(|(at, found)| at + found.len()).collect();
    let at = if ends.is_empty() { carrier.len() } else { ends[chance.below(ends.len())] };
    let stop = if sentence.ends_with(['.', '!', '?', '>']) { "" } else { "." };
    format!("{} {sentence}{stop} {}", &carrier[..at], carrier[at..].trim_start())
}

/// The text as somebody writes it who does not want it to be found; the harmless are disguised too.
fn disguise(text: &str, chance: &mut Chance) -> String {
    use base64::Engine as _;
    match chance.below(6) {
        0 => base64::engine::general_purpose::STANDARD.encode(text),
        1 => text
            .chars()
            .map(|c| match c {
                'e' => '3',
                'o' => '0',
                'i' => '1',
                'a' => '4',
                c => c,
            })
            .collect(),
        2 => text
            .split(' ')
            .map(|word| word.chars().map(String::from).collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
            .join("  "),
        3 => text
            .chars()
            .map(|c| match c {
                'o' => 'о',
                'e' => 'е',
                'a' => 'а',
                c => c,
            })
            .collect(),
        4 => text.chars().flat_map(|c| [c, '\u{200b}']).collect(),
        _ => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
    }
}
