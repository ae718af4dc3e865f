//! Undoes the encodings in which a text may be handed out.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// The fewest characters of base64 that are worth decoding: they hold half of the shortest canary.
const SHORTEST_RUN: usize = 12;
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);

/// The text with every `%41` replaced by what it stands for.
pub(super) fn percent_decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((head, tail)) = rest.split_once('%') {
        bytes.extend_from_slice(head.as_bytes());
        match tail.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => rest = tail,
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// What the base64 in a text says: every run of its letters, with and without the white space around, from each of the
/// places where a group of four may start.
pub(super) fn base64_decoded(text: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    decode_runs(text, &mut found);
    if text.contains(char::is_whitespace) {
        decode_runs(&text.split_whitespace().collect::<String>(), &mut found);
    }
    found
}

fn decode_runs(text: &str, found: &mut Vec<Vec<u8>>) {
    let letters = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
    for run in text.as_bytes().split(|byte| !letters(byte)).filter(|run| run.len() >= SHORTEST_RUN) {
        let standard: Vec<u8> = run
            .iter()
            .map(|byte| match byte {
                b'-' => b'+',
                b'_' => b'/',
                other => *other,
            })
            .collect();
        found.extend((0..4).filter_map(|start| {
            let groups = standard.get(start..)?;
            // A last letter alone holds no whole byte.
            let whole = if groups.len() % 4 == 1 { groups.get(..groups.len() - 1)? } else { groups };
            BASE64.decode(whole).ok()
        }));
    }
}
