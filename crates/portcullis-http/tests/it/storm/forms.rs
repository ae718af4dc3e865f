//! The forms that a marker can hide in. A response is searched as it is, and decoded.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// A run can end in the middle of a group, with bits that mean nothing.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);
/// The shortest run that is tried as Base64 or hexadecimal: a marker has ten bytes.
const SHORTEST: usize = 12;

/// A text in lower case, and what it becomes when it is decoded as what answers, pages and models could encode it in.
pub(super) fn forms(text: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![text.to_ascii_lowercase()];
    let mut add = |decoded: Option<Vec<u8>>| forms.extend(decoded.map(|bytes| bytes.to_ascii_lowercase()));
    add(percent(text));
    add(entities(text));
    add(escapes(text));
    add(Some(backwards(text)));
    for run in runs(text, |b| b.is_ascii_alphanumeric() || b"+/-_".contains(&b)) {
        add(base64(run));
        if run.iter().all(u8::is_ascii_hexdigit) {
            add(Some(pairs(run)));
        }
    }
    forms
}

fn runs(text: &[u8], part: impl Fn(u8) -> bool) -> impl Iterator<Item = &[u8]> {
    text.split(move |b| !part(*b)).filter(|run| run.len() >= SHORTEST)
}

/// A run that begins in the middle of a group is decoded from each of its first four characters.
fn base64(run: &[u8]) -> Option<Vec<u8>> {
    let run: Cow<'_, [u8]> = if run.iter().any(|b| b"-_".contains(b)) {
        run.iter()
            .map(|b| {
                if *b == b'-' {
                    b'+'
                } else if *b == b'_' {
                    b'/'
                } else {
                    *b
                }
            })
            .collect()
    } else {
        Cow::Borrowed(run)
    };
    let mut all = Vec::new();
    for start in 0..4 {
        let whole = run.get(start..)?;
        // One character is no byte.
        let whole = &whole[..whole.len() - usize::from(whole.len() % 4 == 1)];
        if let Ok(decoded) = LENIENT.decode(whole) {
            all.extend(decoded);
            all.push(b' ');
        }
    }
    Some(all)
}

fn pairs(run: &[u8]) -> Vec<u8> {
    let digit = |b: u8| (b as char).to_digit(16).unwrap_or_default() as u8;
    let decode = |run: &[u8]| -> Vec<u8> {
        run.chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
    };
    [decode(run), decode(&run[1..])].join(&b' ')
}

fn percent(text: &[u8]) -> Option<Vec<u8>> {
    replaced(text, b'%', |rest| {
        let digits = std::str::from_utf8(rest.get(1..3)?).ok()?;
        Some((3, u32::from_str_radix(digits, 16).ok()?))
    })
}

/// HTML's numeric references; letters and digits have no names.
fn entities(text: &[u8]) -> Option<Vec<u8>> {
    replaced(text, b'&', |rest| {
        let end = rest.iter().take(10).position(|b| *b == b';')?;
        let digits = std::str::from_utf8(rest.get(1..end)?).ok()?.strip_prefix('#')?;
        let number = match digits.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => digits.parse(),
        };
        Some((end + 1, number.ok()?))
    })
}

/// The escapes of JSON and JavaScript.
fn escapes(text: &[u8]) -> Option<Vec<u8>> {
    replaced(text, b'\\', |rest| {
        let (start, end) = match rest.get(1)? {
            b'u' => (2, 6),
            b'x' => (2, 4),
            _ => return None,
        };
        let digits = std::str::from_utf8(rest.get(start..end)?).ok()?;
        Some((end, u32::from_str_radix(digits, 16).ok()?))
    })
}

/// The text with every escape that begins with `sign` decoded; `None` if there is none.
fn replaced(text: &[u8], sign: u8, read: impl Fn(&[u8]) -> Option<(usize, u32)>) -> Option<Vec<u8>> {
    if !text.contains(&sign) {
        return None;
    }
    let (mut out, mut at) = (Vec::with_capacity(text.len()), 0);
    while let Some(byte) = text.get(at) {
        match (*byte == sign).then(|| read(&text[at..])).flatten() {
            Some((length, number)) => {
                out.push(u8::try_from(number).unwrap_or(b'?'));
                at += length;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    Some(out)
}

fn backwards(text: &[u8]) -> Vec<u8> {
    text.iter().rev().copied().collect()
}

#[test]
fn a_marker_is_found_in_every_form() {
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
    let marker = "zq00002ajx";
    let each = |write: &dyn Fn(u8) -> String| marker.bytes().map(write).collect::<String>();
    for hidden in [
        marker.to_uppercase(),
        each(&|b| format!("%{b:02X}")),
        each(&|b| format!("&#{b};")),
        each(&|b| format!("&#x{b:x};")),
        each(&|b| format!("\\u{b:04x}")),
        each(&|b| format!("\\x{b:02x}")),
        each(&|b| format!("{b:02x}")),
        marker.chars().rev().collect(),
        STANDARD_NO_PAD.encode(marker),
        STANDARD_NO_PAD.encode(format!("?~{marker}~~")),
        URL_SAFE_NO_PAD.encode(format!("ÿ~{marker}ÿ")),
    ] {
        let text = format!("{{\"a\":\"before {hidden} after\"}}");
        let found = forms(text.as_bytes())
            .iter()
            .any(|form| form.windows(marker.len()).any(|window| window == marker.as_bytes()));
        assert!(found, "{hidden}");
    }
    let clean = forms(b"zq00002bjx and enEwMDAwMmJqeA");
    assert!(!clean.iter().any(|form| form.windows(marker.len()).any(|window| window == marker.as_bytes())));
}
