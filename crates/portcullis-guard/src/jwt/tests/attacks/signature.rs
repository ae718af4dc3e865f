//! Attacks on the signature itself.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::{hmac, signature};

use super::{Attacks, hmac_with, split};
use crate::jwt::Rejected;
use crate::jwt::tests::forge::{Forge, KEYS, Signer, encode, verify};

/// The order of P-256's base point.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
    0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

#[test]
fn a_signature_is_of_this_content_by_this_key() {
    let mut attacks = Attacks::default();
    for (name, forge, length) in
        [("HS256", Forge::hs(), 32), ("RS256", Forge::rs(), 256), ("ES256", Forge::es(), 64)]
    {
        attacks.text(format!("{name}: no signature"), forge.clone(), Rejected::Parts, |token| {
            format!("{}.", split(token).0)
        });
        attacks.signature(format!("{name}: all zero"), forge.clone(), |_| vec![0; length]);
        attacks.signature(format!("{name}: all ones"), forge.clone(), |_| vec![0xff; length]);
        attacks
            .signature(format!("{name}: one"), forge.clone(), |_| [&vec![0; length - 1][..], &[1]].concat());
        attacks.signature(format!("{name}: a byte short"), forge.clone(), |s| s[..length - 1].to_vec());
        attacks.signature(format!("{name}: a byte long"), forge.clone(), |s| [&s[..], &[0]].concat());
        attacks.signature(format!("{name}: a zero before it"), forge.clone(), |s| [&[0], &s[..]].concat());
        attacks.signature(format!("{name}: half of it"), forge.clone(), |s| s[..length / 2].to_vec());
        attacks.signature(format!("{name}: first bit"), forge.clone(), |mut s| {
            s[0] ^= 0x80;
            s
        });
        attacks.signature(format!("{name}: last bit"), forge.clone(), |mut s| {
            s[length - 1] ^= 1;
            s
        });
        let signer = forge.signer.clone();
        attacks.text(
            format!("{name}: signature of the claims alone"),
            forge.clone(),
            Rejected::Signature,
            |token| {
                let (signed, _) = split(token);
                let claims = signed.split('.').next_back().unwrap_or_default();
                format!("{signed}.{}", encode(signer.sign(claims.as_bytes())))
            },
        );
        attacks.text(
            format!("{name}: signature of the decoded parts"),
            forge.clone(),
            Rejected::Signature,
            |token| {
                let (signed, _) = split(token);
                let plain: Vec<Vec<u8>> =
                    signed.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).expect("base64url")).collect();
                format!("{signed}.{}", encode(signer.sign(&plain.join(&b'.'))))
            },
        );
        attacks.text(
            format!("{name}: another subject under the signature"),
            forge.clone(),
            Rejected::Signature,
            |token| {
                let mut other = forge.clone();
                other.claim("sub", "\"owner\"");
                format!("{}.{}", split(&other.token()).0, encode(split(token).1))
            },
        );
        attacks.text(
            format!("{name}: another header under the signature"),
            forge.clone(),
            Rejected::Signature,
            |token| {
                let mut other = forge.clone();
                other.parameter("typ", "\"jwt\"");
                format!("{}.{}", split(&other.token()).0, encode(split(token).1))
            },
        );
    }
    for (name, algorithm) in [
        ("SHA-384", hmac::HMAC_SHA384),
        ("SHA-512", hmac::HMAC_SHA512),
        ("SHA-1", hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
    ] {
        attacks.content(format!("HS256 with {name}"), Forge::hs(), Rejected::Signature, |forge| {
            forge.signer = Signer::Hmac(algorithm, KEYS.secret.clone());
        });
    }
    for (name, key) in [
        ("nothing", &b""[..]),
        ("zeros", &[0; 32]),
        ("the name", b"h1"),
        ("the start of the secret", &KEYS.secret[..31]),
    ] {
        attacks.content(
            format!("HS256 with {name} as the secret"),
            Forge::hs(),
            Rejected::Signature,
            |forge| {
                forge.signer = hmac_with(key);
            },
        );
    }
    for (name, encoding) in [
        ("SHA-384", &signature::RSA_PKCS1_SHA384 as &'static dyn signature::RsaEncoding),
        ("SHA-512", &signature::RSA_PKCS1_SHA512),
        ("PSS", &signature::RSA_PSS_SHA256),
    ] {
        attacks.content(format!("RS256 with {name}"), Forge::rs(), Rejected::Signature, |forge| {
            forge.signer = Signer::RsaWith(encoding);
        });
    }
    attacks
        .content("RS256 with another key", Forge::rs(), Rejected::Signature, |f| f.signer = Signer::OtherRsa);
    attacks.content("ES256 with the issuer's other key", Forge::es(), Rejected::Signature, |f| {
        f.signer = Signer::OtherEc
    });

    // CVE-2022-21449 and its kin: numbers outside 1 to n - 1, other encodings, other orders.
    let halves = |r: &[u8], s: &[u8]| [r, s].concat();
    let of = |s: &[u8]| (s[..32].to_vec(), s[32..].to_vec());
    attacks.signature("ES256: r is 0", Forge::es(), |s| halves(&[0; 32], &of(&s).1));
    attacks.signature("ES256: s is 0", Forge::es(), |s| halves(&of(&s).0, &[0; 32]));
    attacks.signature("ES256: r is the order", Forge::es(), |s| halves(&ORDER, &of(&s).1));
    attacks.signature("ES256: s is the order", Forge::es(), |s| halves(&of(&s).0, &ORDER));
    attacks.signature("ES256: both are the order", Forge::es(), |_| halves(&ORDER, &ORDER));
    attacks.signature("ES256: r and s change places", Forge::es(), |s| halves(&of(&s).1, &of(&s).0));
    attacks.signature("ES256: r negated", Forge::es(), |s| halves(&negated(&of(&s).0), &of(&s).1));
    attacks.signature("ES256: DER", Forge::es(), |s| der_signature(&of(&s).0, &of(&s).1));
    attacks.signature("ES256: DER of zeros", Forge::es(), |_| vec![0x30, 6, 2, 1, 0, 2, 1, 0]);
    attacks.refuse_all(60);
}

/// n - x, of 32 bytes each.
fn negated(x: &[u8]) -> Vec<u8> {
    let mut borrow = 0i16;
    let mut bytes: Vec<u8> = ORDER
        .iter()
        .zip(x)
        .rev()
        .map(|(n, x)| {
            let difference = i16::from(*n) - i16::from(*x) - borrow;
            borrow = i16::from(difference < 0);
            u8::try_from(difference.rem_euclid(256)).expect("a byte")
        })
        .collect();
    bytes.reverse();
    bytes
}

fn der_signature(r: &[u8], s: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let bytes: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
        let sign: &[u8] = if bytes.first().is_some_and(|first| *first >= 0x80) { &[0] } else { &[] };
        let content = [sign, &bytes].concat();
        [&[2, u8::try_from(content.len()).expect("short")], content.as_slice()].concat()
    };
    let content = [integer(r), integer(s)].concat();
    [&[0x30, u8::try_from(content.len()).expect("short")], content.as_slice()].concat()
}

/// ECDSA allows two signatures for one content, and signers produce both, so the second one cannot be refused. It says
/// the same about the same member, so nothing may be keyed by the text of a token.
#[test]
fn the_second_spelling_of_an_ecdsa_signature_says_the_same() {
    let token = Forge::es().token();
    let (signed, signature) = split(&token);
    let second = format!("{signed}.{}", encode([&signature[..32], &negated(&signature[32..])].concat()));
    assert_ne!(token, second);
    let (first, second) = (verify(&token).expect("it verifies"), verify(&second).expect("it verifies"));
    assert_eq!((first.subject, first.expires), (second.subject, second.expires));
}
