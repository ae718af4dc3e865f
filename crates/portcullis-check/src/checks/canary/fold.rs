//! Folds text to the plain letters and digits that a reader sees in it, so that spacing, case, look-alikes and
//! decorations cannot hide a word.

/// The text as lower-case `a` to `z` and digits; everything else is dropped.
pub(super) fn folded(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    fold(text, &mut plain);
    plain
}

/// The same of bytes that need not be text: what is decoded that was never encoded seldom is, and what is no text of it is
/// dropped.
pub(super) fn folded_bytes(bytes: &[u8]) -> String {
    let mut plain = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        fold(chunk.valid(), &mut plain);
    }
    plain
}

fn fold(text: &str, plain: &mut String) {
    let mut rest = text;
    loop {
        // Nearly everything is ASCII, and is looked at without being taken apart into characters.
        let ascii = rest.bytes().position(|byte| !byte.is_ascii()).unwrap_or(rest.len());
        let (head, tail) = rest.split_at(ascii);
        for &byte in head.as_bytes() {
            if byte.is_ascii_alphanumeric() {
                plain.push(char::from(byte.to_ascii_lowercase()));
            }
        }
        let mut others = tail.chars();
        let Some(other) = others.next() else { return };
        plain.extend(look(other));
        rest = others.as_str();
    }
}

/// The letter or digit that a character which is not ASCII looks like.
fn look(c: char) -> Option<char> {
    let lower = c.to_lowercase().next().unwrap_or(c);
    // A capital may look like another letter than its small form.
    styled(c).or_else(|| look_alike(c)).or_else(|| look_alike(lower))
}

/// Full-width, circled and mathematical letters and digits: whole alphabets at fixed places.
fn styled(c: char) -> Option<char> {
    let code = u32::from(c);
    let nth = |base: u8, n: u32| u8::try_from(n).ok().map(|n| char::from(base + n));
    match code {
        0xFF10..=0xFF19 => nth(b'0', code - 0xFF10),
        0xFF21..=0xFF3A => nth(b'a', code - 0xFF21),
        0xFF41..=0xFF5A => nth(b'a', code - 0xFF41),
        0x2460..=0x2468 => nth(b'1', code - 0x2460),
        0x24B6..=0x24CF => nth(b'a', code - 0x24B6),
        0x24D0..=0x24E9 => nth(b'a', code - 0x24D0),
        0x1F130..=0x1F149 => nth(b'a', code - 0x1F130),
        0x1F170..=0x1F189 => nth(b'a', code - 0x1F170),
        0x1F1E6..=0x1F1FF => nth(b'a', code - 0x1F1E6),
        0x1D400..=0x1D6A3 => nth(b'a', (code - 0x1D400) % 26),
        0x1D7CE..=0x1D7FF => nth(b'0', (code - 0x1D7CE) % 10),
        _ => None,
    }
}

/// Letters of other alphabets, or with marks, that look like Latin ones.
fn look_alike(c: char) -> Option<char> {
    Some(match c {
        'а' | 'α' | 'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ā' | 'ɑ' => 'a',
        'в' | 'β' | 'ь' | 'Β' => 'b',
        'с' | 'ϲ' | 'ç' | 'ć' | 'č' | 'ᴄ' => 'c',
        'ԁ' | 'ď' | 'đ' | 'ᴅ' => 'd',
        'е' | 'ε' | 'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ё' | 'є' => 'e',
        'ƒ' => 'f',
        'ɡ' | 'ğ' | 'ġ' => 'g',
        'һ' | 'н' | 'Η' | 'ħ' | 'ʜ' => 'h',
        'і' | 'ι' | 'ì' | 'í' | 'î' | 'ï' | 'ı' | 'ⅰ' | 'ɪ' => 'i',
        'ј' | 'ϳ' => 'j',
        'к' | 'κ' | 'ᴋ' => 'k',
        'ⅼ' | 'ӏ' | 'ł' | 'ʟ' => 'l',
        'м' | 'Μ' | 'ⅿ' | 'ᴍ' => 'm',
        'п' | 'ñ' | 'ń' | 'η' | 'Ν' | 'ո' => 'n',
        'о' | 'ο' | 'σ' | 'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' | 'օ' => 'o',
        'р' | 'ρ' | 'Ρ' | 'þ' => 'p',
        'ԛ' => 'q',
        'г' | 'ř' | 'ʀ' => 'r',
        'ѕ' | 'ś' | 'š' | 'ş' | 'ꜱ' => 's',
        'т' | 'τ' | 'Τ' | 'ţ' | 'ť' => 't',
        'υ' | 'μ' | 'ù' | 'ú' | 'û' | 'ü' | 'ū' | 'ս' => 'u',
        'ν' | 'ѵ' | 'ⅴ' | 'ᴠ' => 'v',
        'ԝ' | 'ω' | 'ш' | 'ᴡ' => 'w',
        'х' | 'χ' | 'Χ' | 'ⅹ' => 'x',
        'у' | 'Υ' | 'γ' | 'ý' | 'ÿ' | 'ү' | 'ʏ' => 'y',
        'ᴢ' | 'ž' | 'ź' | 'ż' | 'Ζ' | 'ζ' => 'z',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{folded, folded_bytes};

    #[test]
    fn what_a_reader_sees_is_left() {
        for text in [
            "Marker 42",
            "m-a-r-k-e-r 4 2",
            "M\u{200b}A\u{200b}R\u{200b}K\u{200b}E\u{200b}R 42",
            "ｍａｒｋｅｒ４２",
            "мarkеr 42",
            "𝐦𝐚𝐫𝐤𝐞𝐫 𝟒𝟐",
            "🅼🅰🆁🅺🅴🆁42",
            "mårkér42",
            "**m**_a_rker|42",
        ] {
            assert_eq!(folded(text), "marker42", "{text}");
        }
    }

    #[test]
    fn what_is_no_text_hides_nothing_beside_it() {
        for hidden in [&b"mar\xFFk\xC3er4\xE2\x802"[..], b"\x80marker42\xF0", "m\u{e5}rker42".as_bytes()] {
            assert_eq!(folded_bytes(hidden), "marker42", "{hidden:?}");
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(folded_bytes(&all), "0123456789abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz");
    }
}
