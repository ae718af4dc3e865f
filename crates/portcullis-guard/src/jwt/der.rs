//! As much DER as a public key needs: a `SubjectPublicKeyInfo` (RFC 5280 section 4.1.2.7) of an RSA or a P-256 key.
//!
//! It reads configuration, never tokens. Lengths are in their one spelling, and nothing may be left over.

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// `rsaEncryption` with `NULL` (RFC 3279 section 2.3.1).
const RSA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
/// `id-ecPublicKey`, which a curve follows (RFC 5480 section 2.1.1).
const ELLIPTIC: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// `secp256r1`, the curve P-256.
const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// A public key by its kind. The numbers stand without leading zeros.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PublicKey<'a> {
    Rsa { modulus: &'a [u8], exponent: &'a [u8] },
    P256 { point: &'a [u8] },
    OtherCurve,
    Other,
}

/// Reads a whole `SubjectPublicKeyInfo`; nothing if it is none.
pub(super) fn public_key(der: &[u8]) -> Option<PublicKey<'_>> {
    let mut document = Reader(der);
    let mut info = Reader(document.last(SEQUENCE)?);
    let algorithm = info.next(SEQUENCE)?;
    // The first byte counts unused bits; keys are whole bytes.
    let key = info.last(BIT_STRING)?.strip_prefix(&[0])?;
    if algorithm == RSA {
        let mut outer = Reader(key);
        let mut numbers = Reader(outer.last(SEQUENCE)?);
        let modulus = positive(numbers.next(INTEGER)?)?;
        let exponent = positive(numbers.last(INTEGER)?)?;
        return Some(PublicKey::Rsa { modulus, exponent });
    }
    Some(match algorithm.strip_prefix(ELLIPTIC) {
        Some(curve) if curve == P256 => PublicKey::P256 { point: key },
        Some(_) => PublicKey::OtherCurve,
        None => PublicKey::Other,
    })
}

/// The bytes of a positive integer, without the zero that keeps its sign.
fn positive(integer: &[u8]) -> Option<&[u8]> {
    match integer {
        [0, rest @ ..] if rest.first().is_some_and(|first| *first >= 0x80) => Some(rest),
        [1..=0x7f, ..] => Some(integer),
        _ => None,
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The content of the next element, which must have this tag.
    fn next(&mut self, tag: u8) -> Option<&'a [u8]> {
        let rest = self.0.strip_prefix(&[tag])?;
        let (length, rest) = match rest {
            [short @ 0..=0x7f, rest @ ..] => (usize::from(*short), rest),
            [0x81, long @ 0x80..=0xff, rest @ ..] => (usize::from(*long), rest),
            [0x82, high @ 1..=0xff, low, rest @ ..] => (usize::from(*high) << 8 | usize::from(*low), rest),
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(content)
    }

    /// As `next`, and nothing follows.
    fn last(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next(tag).filter(|_| self.0.is_empty())
    }
}
