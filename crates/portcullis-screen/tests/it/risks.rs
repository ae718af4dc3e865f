//! What is handed to a person and what is not, over two sets that were written for this: `tests/risks/risky.txt` and
//! `tests/risks/benign.txt`.

use portcullis_screen::risk::{Own, Risk, risks};

const RISKY: &str = include_str!("../risks/risky.txt");
const BENIGN: &str = include_str!("../risks/benign.txt");

fn judged(text: &str) -> Option<Risk> {
    risks(text, &Risk::ALL, &Own::default())
}

#[test]
fn every_risky_message_is_of_its_kind() {
    let mut missed = Vec::new();
    let mut count = 0;
    for line in RISKY.lines() {
        let mut fields = line.splitn(3, " | ");
        let kind = fields.next().and_then(Risk::parse).expect("a kind");
        let text = fields.nth(1).expect("a text");
        count += 1;
        if judged(text) != Some(kind) {
            missed.push(line);
        }
    }
    println!("{} of {count} risky messages are told", count - missed.len());
    assert!(count >= 100);
    assert_eq!(missed, Vec::<&str>::new(), "{}", missed.join("\n"));
}

#[test]
fn no_benign_message_is_risky() {
    let mut told = Vec::new();
    let mut count = 0;
    for line in BENIGN.lines() {
        let (_, text) = line.split_once(" | ").expect("a text");
        count += 1;
        if let Some(risk) = judged(text) {
            told.push(format!("{}: {line}", risk.name()));
        }
    }
    println!("{} of {count} benign messages are told", told.len());
    assert!(count >= 200);
    assert_eq!(told, Vec::<String>::new(), "{}", told.join("\n"));
}

/// Written after the phrases and looked at once: what is to be expected of messages that nobody wrote phrases for.
#[test]
fn most_of_what_was_held_back_is_judged_rightly() {
    let (mut risky, mut told, mut benign, mut wrongly) = (0, 0, 0, 0);
    for line in include_str!("../risks/held.txt").lines() {
        let mut fields = line.splitn(3, " | ");
        let kind = Risk::parse(fields.next().expect("a kind"));
        let found = judged(fields.nth(1).expect("a text"));
        if kind.is_some() {
            risky += 1;
            told += usize::from(found == kind);
        } else {
            benign += 1;
            wrongly += usize::from(found.is_some());
        }
        if found != kind {
            println!("{found:?}: {line}");
        }
    }
    println!("held back: {told} of {risky} risky messages and {wrongly} of {benign} benign ones are told");
    assert!(told * 10 >= risky * 7 && wrongly * 20 <= benign, "{told} of {risky}, {wrongly} of {benign}");
}
