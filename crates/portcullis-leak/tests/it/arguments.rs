//! The arguments of a tool call, in which letters may be written as escapes.

use std::sync::Arc;

use portcullis_leak::{Leak, Unescape, Vault};

use crate::splits::{Dice, SEED, same_for_every_split};
use crate::support::strict;

fn plain(pieces: &[&str]) -> String {
    let (mut unescape, mut out) = (Unescape::default(), String::new());
    pieces.iter().for_each(|piece| unescape.push(piece, &mut out));
    unescape.finish(&mut out);
    out
}

/// What leaves of arguments: without their escapes they go through the detectors.
fn judged(vault: &Arc<Vault>, pieces: &[&str]) -> String {
    let (mut unescape, mut leak, mut out) = (Unescape::default(), Leak::new(vault), String::new());
    for piece in pieces {
        let mut plain = String::new();
        unescape.push(piece, &mut plain);
        leak.push(&plain, &mut out);
    }
    let mut rest = String::new();
    unescape.finish(&mut rest);
    leak.push(&rest, &mut out);
    leak.finish(&mut out);
    out
}

#[test]
fn an_escaped_letter_is_the_letter_and_the_json_means_the_same_however_it_is_cut() {
    println!("seed {SEED:#x}");
    let mut dice = Dice(SEED);
    for (text, wanted) in [
        (r#"{"a":"\u0073k\u002dx\/y"}"#, r#"{"a":"sk-x/y"}"#),
        (r#"{"a":"\u0022 \\u0073 \n \u00e9"}"#, r#"{"a":"\u0022 \\u0073 \n \u00e9"}"#),
        (r"\u00zz \u00", r"\u00zz \u00"),
    ] {
        assert_eq!(same_for_every_split(text, text, &mut dice, plain), wanted);
    }
}

#[test]
fn no_escape_hides_what_must_not_leave_however_it_is_cut() {
    println!("seed {SEED:#x}");
    let (mut dice, vault) = (Dice(SEED), strict());
    for (text, wanted) in [
        (r#"{"q":"\u0073\u006b-pro\u006a-Ab12Cd34Ef56Gh78Ij90"}"#, r#"{"q":"{secret withheld}"}"#),
        (r#"{"q":"paul\u0040example.org","n":1}"#, r#"{"q":"{mail address withheld}","n":1}"#),
        (r#"{"q":"+49 30 \u0031234567"}"#, r#"{"q":"{phone number withheld}"}"#),
    ] {
        assert_eq!(same_for_every_split(text, text, &mut dice, |pieces| judged(&vault, pieces)), wanted);
    }
}
