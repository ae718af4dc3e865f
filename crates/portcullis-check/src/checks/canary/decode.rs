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
pub(super) fn percent_decoded(text: &str) -> String {
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
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What the base64 in a text says: every run of its letters, with and without the white space around, from each of the
/// places where a group of four may start.
pub(super) fn base64_decoded(text: &str) -> impl Iterator<Item = String> {
    let dense: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let has_space = dense.len() != text.len();
    let both = std::iter::once(text.to_owned()).chain(has_space.then_some(dense));
    both.flat_map(|text| {
        let runs = text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_')));
        let runs = runs.filter(|run| run.len() >= SHORTEST_RUN);
        runs.map(|run| run.replace('-', "+").replace('_', "/")).flat_map(run_decoded).collect::<Vec<_>>()
    })
}

fn run_decoded(run: String) -> impl Iterator<Item = String> {
    (0..4).filter_map(move |start| {
        let groups = run.get(start..)?;
        // A last letter alone holds no whole byte.
        let whole = if groups.len() % 4 == 1 { groups.get(..groups.len() - 1)? } else { groups };
        BASE64.decode(whole).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    })
}
