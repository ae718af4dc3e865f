//! What stands in a line that is not written as words: it is read as well.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::obey::rot13;

/// Fewer characters of an encoding are a word as often as not.
const SHORTEST: usize = 16;
/// Letters of Unicode that nobody sees: U+E0020 to U+E007E stand for those of ASCII.
const TAGS: std::ops::RangeInclusive<u32> = 0xE_0020..=0xE_007E;

/// Every order that a line may hold in Base64, hexadecimal or tag letters, and the whole of it turned round where the line
/// says so: in ROT13, backwards, between dots.
pub(super) fn hidden(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let tags: String = line
        .chars()
        .map(u32::from)
        .filter(|code| TAGS.contains(code))
        .filter_map(|code| char::from_u32(code - 0xE_0000))
        .collect();
    found.push(tags);
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    for run in line.split(|c| !is_base64(c)).filter(|run| run.len() >= SHORTEST) {
        found.extend(STANDARD.decode(run).ok().and_then(text_of));
        found.extend(bytes_of(run).and_then(text_of));
    }
    let lower = line.to_ascii_lowercase();
    if lower.contains("rot13") {
        found.push(line.chars().map(rot13).collect());
    }
    if lower.contains("backwards") {
        found.push(line.chars().rev().collect());
    }
    if lower.contains("leave out the dots") {
        found.push(line.replace('.', ""));
    }
    found.retain(|text| !text.is_empty());
    found
}

fn text_of(bytes: Vec<u8>) -> Option<String> {
    String::from_utf8(bytes).ok().filter(|text| !text.contains(char::is_control))
}

/// The bytes that hexadecimal digits stand for.
fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let pairs =
        digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok().filter(|p| p.len() == 2));
    pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}
