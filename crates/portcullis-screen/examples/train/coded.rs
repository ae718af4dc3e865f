//! Strings that nobody reads at sight: texts in an encoding, and checksums and tokens that say nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::chance::Chance;

/// The text in an encoding that the screen takes off.
pub(crate) fn coded(plain: &str, chance: &mut Chance) -> String {
    match chance.below(4) {
        0 | 1 => STANDARD.encode(plain),
        2 => hex(plain.as_bytes()),
        _ => plain.chars().map(turned).collect(),
    }
}

/// A letter of rot13.
fn turned(c: char) -> char {
    let turn = |first: u8| char::from((c as u8 - first + 13) % 26 + first);
    match c {
        'a'..='z' => turn(b'a'),
        'A'..='Z' => turn(b'A'),
        other => other,
    }
}

/// A checksum, an id, a token, a picture, bits or colours.
pub(crate) fn opaque(chance: &mut Chance) -> String {
    let bytes: Vec<u8> = (0..6).flat_map(|_| chance.next().to_le_bytes()).collect();
    let [a, b, c, d, e, f] = [0, 4, 8, 12, 16, 20].map(|from| &bytes[from..from + 4]);
    match chance.below(9) {
        0 => hex(&bytes[..20]),
        1 => hex(&bytes[..32]),
        2 => format!("{}-{}-{}-{}{}", hex(a), hex(&b[..2]), hex(&c[..2]), hex(d), hex(&e[..2])),
        3 => STANDARD.encode(&bytes),
        4 => STANDARD.encode(&bytes[..18]),
        5 => format!("data:image/jpeg;base64,{}", STANDARD.encode(&bytes)),
        6 => [&bytes[..15], &bytes[15..36], &bytes[36..]].map(|part| STANDARD.encode(part)).join("."),
        7 => [a, b, c].map(|part| format!("{:08b}", part[0] & 127)).join(" "),
        _ => [d, e, f].map(|part| format!("#{}", hex(&part[..3]))).join(" "),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
