//! Whether a secret is strong enough to protect anything.
//!
//! `serve` refuses to start with a secret that [`judge`] finds weak, and `check` reports the same judgement
//! (controls SEC-08, SEC-09 and SEC-10). It looks at the characters, so it bounds randomness from above: text typed
//! by a person can still look random.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

/// The deployment checklist asks for at least 32 characters.
pub const MIN_CHARS: usize = 32;
/// The least estimated randomness, in bits (control SEC-08).
pub const MIN_BITS: u32 = 128;

/// Lower-case fragments of secrets that stand in documentation and example files. Each is long enough, or holds a
/// character that keys do not, that a random key meets one less than once in ten million.
const EXAMPLES: &[&str] = &[
    "changeme",
    "change-me",
    "change_me",
    "replaceme",
    "replace-me",
    "replace_me",
    "example",
    "secret",
    "password",
    "passw0rd",
    "your-",
    "your_",
    "yourkey",
    "default",
    "placeholder",
    "insecure",
    "sample",
    "testtest",
    "supersecure",
    "letmein",
    "qwerty",
    "12345678",
    "abcdefgh",
    "keyboardcat",
    "keyboard cat",
    "correcthorse",
    "correct-horse",
    "jwt-key",
    "xxxxxxxx",
];

/// What is wrong with a secret. The text never holds the secret or a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Weakness {
    /// Fewer characters than the checklist asks for.
    Short {
        /// How many characters it has.
        chars: usize,
    },
    /// The characters vary too little.
    Repetitive {
        /// The most bits of randomness its characters allow.
        bits: u32,
    },
    /// It holds a phrase from documentation.
    Example,
    /// It does not decode to the 32 bytes that AES-256 needs.
    NotAes256 {
        /// How many bits it decodes to.
        bits: usize,
    },
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { chars } => write!(f, "it has {chars} characters, at least {MIN_CHARS} are wanted"),
            Self::Repetitive { bits } => {
                write!(f, "its characters allow {bits} bits of randomness, at least {MIN_BITS} are wanted")
            }
            Self::Example => f.write_str("it holds a phrase that stands in documentation and word lists"),
            Self::NotAes256 { bits } => {
                write!(f, "it decodes to {bits} bits, AES-256 wants 256 (32 bytes in hex or base64)")
            }
        }
    }
}

/// Everything that is wrong with a secret; empty when it is strong enough.
pub fn judge(secret: &str) -> Vec<Weakness> {
    let mut found = Vec::new();
    let chars = secret.chars().count();
    if chars < MIN_CHARS {
        found.push(Weakness::Short { chars });
    }
    let bits = estimated_bits(secret);
    if bits < MIN_BITS {
        found.push(Weakness::Repetitive { bits });
    }
    let lower = secret.to_lowercase();
    if EXAMPLES.iter().any(|example| lower.contains(example)) {
        found.push(Weakness::Example);
    }
    found
}

/// [`judge`], and that the text decodes to the 32 bytes of an AES-256 key.
pub fn judge_aes256(secret: &str) -> Vec<Weakness> {
    let mut found = judge(secret);
    let bytes = decode(secret).unwrap_or_default();
    if bytes.len() != 32 {
        found.push(Weakness::NotAes256 { bits: bytes.len() * 8 });
    }
    // The text's alphabet can hide that the bytes behind it repeat.
    let bits = bits_of(&bytes.iter().map(|&byte| i64::from(byte)).collect::<Vec<_>>());
    if bytes.len() == 32 && bits < MIN_BITS && found.is_empty() {
        found.push(Weakness::Repetitive { bits });
    }
    found
}

/// The bytes a key's text stands for: hex if it is all hex digits, else base64 with either alphabet.
pub fn decode(secret: &str) -> Option<Vec<u8>> {
    let text = secret.trim();
    if text.len().is_multiple_of(2) && !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        let digits: Vec<u8> =
            text.chars().filter_map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
        return Some(
            digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect(),
        );
    }
    [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD]
        .into_iter()
        .find_map(|engine| engine.decode(text).ok())
}

/// An upper bound on the randomness of a text, in bits: the least of what its character frequencies, its
/// character pairs and its repeats allow.
pub fn estimated_bits(secret: &str) -> u32 {
    bits_of(&secret.chars().map(|c| i64::from(u32::from(c))).collect::<Vec<_>>())
}

fn bits_of(items: &[i64]) -> u32 {
    let shannon = frequency_bits(items.iter().copied());
    // Runs and sequences (`aaaa`, `abcd`, `4321`) carry almost nothing whatever the frequencies say.
    let steps = items.iter().zip(items.iter().skip(1)).map(|(from, to)| to - from);
    let varied = frequency_bits(steps) + 4.0;
    // A text that repeats a shorter one carries only the shorter one.
    let period = (1..=items.len() / 2)
        .find(|&period| items.iter().zip(items.iter().skip(period)).all(|(a, b)| a == b))
        .map_or(f64::INFINITY, |period| frequency_bits(items.iter().copied().take(period)));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small non-negative number of bits"
    )]
    let bits = shannon.min(varied).min(period).floor().max(0.0) as u32;
    bits
}

fn frequency_bits<T: Ord>(items: impl Iterator<Item = T>) -> f64 {
    let mut counts = BTreeMap::new();
    for item in items {
        *counts.entry(item).or_insert(0u32) += 1;
    }
    let total: f64 = counts.values().map(|&count| f64::from(count)).sum();
    counts.values().map(|&count| -f64::from(count) * (f64::from(count) / total).log2()).sum()
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::{Weakness, decode, judge, judge_aes256};
    use crate::secret::random_bytes;

    #[test]
    fn weak_secrets_are_found_weak() {
        let repeated = "k9fQ2z".repeat(8);
        for weak in [
            "",
            "short",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "abcdefghijklmnopqrstuvwxyz0123456789",
            "0123456789012345678901234567890123456789",
            "your-256-bit-secret-your-256-bit-secret",
            "changeme-changeme-changeme-changeme-1234",
            "super-Secret-key-that-nobody-could-Gue55",
            &repeated,
        ] {
            assert_ne!(judge(weak), [], "{weak:?} passed");
        }
    }

    #[test]
    fn random_secrets_are_found_strong() {
        for _ in 0..2_000 {
            let bytes = random_bytes::<32>();
            let base64 = STANDARD.encode(bytes);
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(judge_aes256(&base64), [], "{base64}");
            assert_eq!(judge_aes256(&hex), [], "{hex}");
            assert_eq!(decode(&hex), Some(bytes.to_vec()));
            assert_eq!(decode(&base64), Some(bytes.to_vec()));
        }
    }

    #[test]
    fn bytes_that_repeat_are_weak_behind_any_alphabet() {
        let bytes = b"k9".repeat(16);
        assert!(!judge_aes256(&STANDARD.encode(&bytes)).is_empty());
        let counted: Vec<u8> = (0..32).collect();
        assert!(!judge_aes256(&STANDARD.encode(&counted)).is_empty());
    }

    #[test]
    fn thirty_two_hex_digits_are_only_half_a_key() {
        let hex = "9f86d081884c7d659a2feaa0c55ad015";
        assert!(judge_aes256(hex).contains(&Weakness::NotAes256 { bits: 128 }));
    }
}
