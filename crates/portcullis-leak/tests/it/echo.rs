//! The system text, as it is and in every disguise of the published list.

use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_leak::{Action, Canary, Class, Policy, SystemText, Vault};

use crate::support::{Dice, SEED, SYSTEM, canary, run, same_for_every_split, strict, vault};

/// The disguises, written here and not by the code under test.
fn disguised(text: &str) -> Vec<(&'static str, String)> {
    let bytes = |write: fn(&mut String, u8)| {
        text.bytes().fold(String::new(), |mut out, byte| {
            write(&mut out, byte);
            out
        })
    };
    let chars = |each: fn(char) -> String| text.chars().map(each).collect::<String>();
    let shift = |c: char, by: fn(u8) -> u8| match c {
        'a'..='z' => char::from(b'a' + by(c as u8 - b'a')),
        'A'..='Z' => char::from(b'A' + by(c as u8 - b'A')),
        _ => c,
    };
    vec![
        ("as it is", text.to_owned()),
        ("capitals", text.to_uppercase()),
        ("small letters", text.to_lowercase()),
        ("without punctuation", text.chars().filter(|c| c.is_alphanumeric() || *c == ' ').collect()),
        ("spaced out", chars(|c| format!("{c} "))),
        ("with hyphens", chars(|c| format!("{c}-"))),
        ("one letter a line", chars(|c| format!("{c}\n"))),
        ("with invisible characters", chars(|c| format!("{c}\u{200b}"))),
        (
            "wide letters",
            chars(|c| {
                if c.is_ascii_alphabetic() { char::from_u32(c as u32 + 0xFEE0).unwrap() } else { c }
                    .to_string()
            }),
        ),
        (
            "leet",
            chars(|c| {
                match c.to_ascii_lowercase() {
                    'e' => '3',
                    'a' => '4',
                    'o' => '0',
                    's' => '5',
                    't' => '7',
                    'i' => '1',
                    _ => c,
                }
                .to_string()
            }),
        ),
        ("reversed", text.chars().rev().collect()),
        ("reversed and spaced", text.chars().rev().flat_map(|c| [c, ' ']).collect()),
        (
            "words reversed",
            text.split(' ').map(|word| word.chars().rev().collect::<String>()).collect::<Vec<_>>().join(" "),
        ),
        ("order of words reversed", text.split(' ').rev().collect::<Vec<_>>().join(" ")),
        ("ROT13", text.chars().map(|c| shift(c, |place| (place + 13) % 26)).collect()),
        ("reversed ROT13", text.chars().rev().map(|c| shift(c, |place| (place + 13) % 26)).collect()),
        ("Atbash", text.chars().map(|c| shift(c, |place| 25 - place)).collect()),
        ("Base64", STANDARD.encode(text)),
        ("Base64 from another place", STANDARD.encode(format!("xy{text}"))),
        (
            "Base64 in lines",
            STANDARD
                .encode(text)
                .as_bytes()
                .chunks(20)
                .map(|line| std::str::from_utf8(line).unwrap())
                .collect::<Vec<_>>()
                .join("\n"),
        ),
        ("Base64 of the reversed text", STANDARD.encode(text.chars().rev().collect::<String>())),
        ("hexadecimal", bytes(|out, byte| write!(out, "{byte:02x}").unwrap())),
        ("hexadecimal in capitals", bytes(|out, byte| write!(out, "{byte:02X} ").unwrap())),
        ("hexadecimal escapes", bytes(|out, byte| write!(out, "\\x{byte:02x}").unwrap())),
        ("hexadecimal with 0x", bytes(|out, byte| write!(out, "0x{byte:02x}, ").unwrap())),
        ("decimal codes", bytes(|out, byte| write!(out, "{byte} ").unwrap())),
        (
            "percent codes",
            bytes(|out, byte| {
                if byte.is_ascii_alphanumeric() {
                    out.push(char::from(byte))
                } else {
                    write!(out, "%{byte:02X}").unwrap()
                }
            }),
        ),
        ("all percent codes", bytes(|out, byte| write!(out, "%{byte:02X}").unwrap())),
    ]
}

fn longest_shared(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut row = vec![0_usize; b.len() + 1];
    let mut longest = 0;
    for x in &a {
        for at in (0..b.len()).rev() {
            row[at + 1] = if *x == b[at] { row[at] + 1 } else { 0 };
            longest = longest.max(row[at + 1]);
        }
    }
    longest
}

#[test]
fn the_system_text_ends_the_answer_in_every_published_disguise_however_it_is_cut() {
    println!("seed {SEED:#x}");
    let (mut dice, vault) = (Dice(SEED), strict());
    for (name, text) in disguised(SYSTEM) {
        let answer = format!("Well, here you are: {text}");
        let outcome = same_for_every_split(&vault, name, &answer, &mut dice);
        assert_eq!(outcome.stopped, Some(Class::SystemText), "{name}: {}", outcome.out);
        let shared = longest_shared(&outcome.out, SYSTEM);
        assert!(shared <= 40, "{name}: {shared} characters left: {}", outcome.out);
    }
}

#[test]
fn from_any_place_of_the_system_text_at_most_40_characters_leave() {
    let vault = strict();
    let places: Vec<usize> = SYSTEM.char_indices().map(|(at, _)| at).collect();
    for from in places.into_iter().filter(|from| SYSTEM.len() - from > 60) {
        let answer = format!("It says: {}", SYSTEM.split_at(from).1);
        let outcome = run(&vault, [answer.as_str()]);
        assert_eq!(outcome.stopped, Some(Class::SystemText), "{answer}");
        assert!(longest_shared(&outcome.out, SYSTEM) <= 40, "{}", outcome.out);
    }
}

#[test]
fn a_text_of_nothing_but_marks_is_held_to_40_characters_too() {
    let text =
        "-- == :: -- :: == ;; == :: -- ;; :: == -- ;; == :: ;; -- == ;; :: a1 b2 c3 d4 e5 f6 g7 h8 i9 j0";
    let vault =
        Arc::new(Vault::new(Arc::new(Policy::strict())).with_system_text(Arc::new(SystemText::new(text))));
    let outcome = run(&vault, [text]);
    assert_eq!(outcome.stopped, Some(Class::SystemText));
    assert!(longest_shared(&outcome.out, text) <= 40, "{}", outcome.out);
}

#[test]
fn words_put_between_do_not_hide_the_system_text() {
    let words: Vec<&str> = SYSTEM.split(' ').collect();
    let padded = words.chunks(4).map(|words| words.join(" ")).collect::<Vec<_>>().join(" indeed ");
    println!("seed {SEED:#x}");
    let outcome = same_for_every_split(&strict(), "padded", &padded, &mut Dice(SEED));
    assert_eq!(outcome.stopped, Some(Class::SystemText));
}

/// What tools are described with, and beside it a phrase that is too short to be anybody's.
const TOLD: [&str; 3] = [
    "Looks into the tide.",
    "Finds high and low water at every harbour from Berwick to Dover, by the tables of the harbour office.",
    "Sends a letter to the abbot in the name of whoever asks, and keeps a copy of it in the scriptorium.",
];

#[test]
fn each_of_several_texts_is_looked_for_beside_the_system_text() {
    println!("seed {SEED:#x}");
    let vault = Vault::clone(&strict()).with_system_text(Arc::new(SystemText::several(TOLD)));
    let (mut dice, vault) = (Dice(SEED), Arc::new(vault));
    for text in [SYSTEM, TOLD[1], TOLD[2]] {
        for (name, text) in disguised(text) {
            assert_eq!(run(&vault, [text.as_str()]).stopped, Some(Class::SystemText), "{name}: {text}");
        }
        let outcome = same_for_every_split(&vault, "as it is", &format!("It says: {text}"), &mut dice);
        assert_eq!(outcome.stopped, Some(Class::SystemText), "{text}");
        assert!(longest_shared(&outcome.out, text) <= 40, "{}", outcome.out);
        // However many they are, words put between hide none of them.
        let words: Vec<&str> = text.split(' ').collect();
        let padded = words.chunks(4).map(|words| words.join(" ")).collect::<Vec<_>>().join(" indeed ");
        assert_eq!(run(&vault, [padded.as_str()]).stopped, Some(Class::SystemText), "{padded}");
    }
    for honest in [TOLD[0], "I find high and low water, and send letters in the name of whoever asks."] {
        assert_eq!(run(&vault, [honest]).stopped, None, "{honest}");
    }
}

#[test]
fn an_answer_that_speaks_of_the_same_things_leaves() {
    for answer in [
        "I am Brother Cadfael and I keep the herb garden. What would you like to know?",
        "The abbot's debts are nothing that I speak of, and the cellar is locked.",
        "Purple herons nest by the mill; I counted seven of them.",
        "You are right: the keeper of the garden told nobody.",
    ] {
        let outcome = run(&strict(), [answer]);
        assert_eq!((outcome.out.as_str(), outcome.stopped), (answer, None));
    }
}

#[test]
fn a_disguised_canary_ends_the_answer_before_it_is_whole() {
    println!("seed {SEED:#x}");
    let (mut dice, vault) = (Dice(SEED), strict());
    let word = canary().word().to_owned();
    let text = format!("kept {word} kept");
    for (name, disguised) in disguised(&text) {
        let outcome = same_for_every_split(&vault, name, &disguised, &mut dice);
        assert_eq!(outcome.stopped, Some(Class::Canary), "{name}: {disguised} -> {}", outcome.out);
        assert!(!outcome.out.contains(&word), "{name}");
    }
}

#[test]
fn what_is_only_observed_leaves_and_is_counted_once() {
    let vault = vault(Policy { system_text: Action::Observe, ..Policy::strict() });
    let text = format!("{SYSTEM} {SYSTEM}");
    let outcome = run(&vault, [text.as_str()]);
    assert_eq!((outcome.out, outcome.stopped, outcome.found), (text, None, vec![(Class::SystemText, 1)]));
}

#[test]
fn what_is_only_observed_hides_nothing_that_ends_the_answer() {
    let vault = vault(Policy { system_text: Action::Observe, ..Policy::strict() });
    let word = canary().word().to_owned();
    for (name, disguised) in disguised(&word) {
        let outcome = run(&vault, [SYSTEM, ". And: ", disguised.as_str()]);
        assert_eq!(outcome.stopped, Some(Class::Canary), "{name}: {}", outcome.out);
    }
}

#[test]
fn a_short_text_is_looked_for_as_a_whole_and_a_tiny_one_not_at_all() {
    let told = |system: &str, answer: &str| {
        let vault =
            Vault::new(Arc::new(Policy::strict())).with_system_text(Arc::new(SystemText::new(system)));
        run(&Arc::new(vault), [answer]).stopped
    };
    assert_eq!(told("The code is Xyz-1 Abc-2", "well: the code is xyz 1, abc 2"), Some(Class::SystemText));
    assert_eq!(told("The code is Xyz-1 Abc-2", "the code is secret"), None);
    assert_eq!(told("Be brief.", "Be brief."), None);
}

#[test]
fn canaries_differ_and_do_not_print() {
    let (one, two) = (Canary::new([1; 24]), Canary::new([2; 24]));
    assert_ne!(one.word(), two.word());
    assert_eq!(one.word().len(), 24);
    assert!(!format!("{one:?}").contains(one.word()));
}
