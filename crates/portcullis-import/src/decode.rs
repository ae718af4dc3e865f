//! Bytes to text: UTF-8 with or without a byte order mark, UTF-16 with one. Broken sequences become U+FFFD with a
//! note; what is not text at all is refused.

use crate::entry::Reason;

/// A share of characters, one in this many, that may be broken or control characters before a file counts as binary.
const BROKEN_SHARE: usize = 10;

/// The file's text with line ends as `\n`, and a note if some of it could not be read.
pub(crate) fn text(bytes: Vec<u8>) -> Result<(String, Option<String>), Reason> {
    let (text, doubtful) = match bytes.as_slice() {
        [0xff, 0xfe, 0, 0, ..] => return Err(Reason::Binary),
        [0xff, 0xfe, rest @ ..] => (utf16(rest, u16::from_le_bytes), true),
        [0xfe, 0xff, rest @ ..] => (utf16(rest, u16::from_be_bytes), true),
        plain => {
            if memchr::memchr(0, plain).is_some() {
                return Err(Reason::Binary);
            }
            match String::from_utf8(bytes) {
                Ok(text) => (text, false),
                Err(error) => (String::from_utf8_lossy(error.as_bytes()).into_owned(), true),
            }
        }
    };
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    let (mut chars, mut broken, mut controls) = (0usize, 0usize, 0usize);
    for c in text.chars() {
        chars += 1;
        broken += usize::from(doubtful && c == '\u{fffd}');
        controls += usize::from(c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{c}'));
    }
    if (broken + controls) * BROKEN_SHARE > chars {
        return Err(Reason::Binary);
    }
    let note = (broken > 0).then(|| format!("{broken} characters are not valid text and stand as \u{fffd}"));
    let text = if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text };
    Ok((text, note))
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let (pairs, _) = bytes.as_chunks::<2>();
    char::decode_utf16(pairs.iter().map(|pair| unit(*pair)))
        .map(|decoded| decoded.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::text;
    use crate::entry::Reason;

    #[test]
    fn the_encodings_of_real_exports_are_read() {
        let read = |bytes: &[u8]| text(bytes.to_vec());
        assert_eq!(read(b"\xef\xbb\xbfa\r\nb\rc"), Ok(("a\nb\nc".into(), None)));
        assert_eq!(read(b"\xff\xfeh\0i\0"), Ok(("hi".into(), None)));
        assert_eq!(read(b"\xfe\xff\0h\0i"), Ok(("hi".into(), None)));
        let (latin, note) = read(b"a long line with one caf\xe9 in it").unwrap();
        assert_eq!(latin, "a long line with one caf\u{fffd} in it");
        assert!(note.is_some());
    }

    #[test]
    fn what_is_not_text_is_refused() {
        for bytes in [
            &b"\x7fELF\x02\x01\x01\0\0"[..],
            b"\xff\xfe\0\0h\0\0\0",
            &[0x80, 0x81, 0xfe, 0xff, 0xfd],
            &[1, 2, 3, 4],
        ] {
            assert_eq!(text(bytes.to_vec()), Err(Reason::Binary), "{bytes:?}");
        }
    }
}
