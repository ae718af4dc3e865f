//! Whatever a token is, judging it ends without a panic, and nothing that the issuer did not sign verifies.

use proptest::prelude::*;
use proptest::sample::Index;

use super::forge::Signer;
use super::forge::{Forge, KEYS, NOW, encode, sign, verify};

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn forges() -> [Forge; 4] {
    [Forge::hs(), Forge::rs(), Forge::es(), Forge::mixed()]
}

#[derive(Debug, Clone)]
enum Mutation {
    Replace(Index, char),
    Insert(Index, String),
    Delete(Index, usize),
    Flip(Index, u8),
    SwapParts(usize, usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let piece = prop::sample::select(vec![
        "=",
        ".",
        "..",
        " ",
        "\n",
        "\0",
        "e30",
        "AA",
        "eyJhbGciOiJub25lIn0",
        "é",
        "%2e",
        "+",
        "/",
    ]);
    prop_oneof![
        (any::<Index>(), any::<char>()).prop_map(|(at, c)| Mutation::Replace(at, c)),
        (any::<Index>(), "[A-Za-z0-9_-]")
            .prop_map(|(at, text)| { Mutation::Replace(at, text.chars().next().unwrap_or('A')) }),
        (any::<Index>(), piece).prop_map(|(at, piece)| Mutation::Insert(at, piece.to_owned())),
        (any::<Index>(), 1usize..40).prop_map(|(at, count)| Mutation::Delete(at, count)),
        (any::<Index>(), 0u8..8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        (0usize..3, 0usize..3).prop_map(|(a, b)| Mutation::SwapParts(a, b)),
    ]
}

fn mutate(token: &str, mutation: &Mutation) -> String {
    let mut chars: Vec<char> = token.chars().collect();
    match mutation {
        Mutation::Replace(at, c) if !chars.is_empty() => {
            let at = at.index(chars.len());
            chars[at] = *c;
        }
        Mutation::Insert(at, piece) => {
            let at = at.index(chars.len() + 1);
            chars.splice(at..at, piece.chars());
        }
        Mutation::Delete(at, count) if !chars.is_empty() => {
            let at = at.index(chars.len());
            chars.drain(at..(at + count).min(chars.len()));
        }
        Mutation::Flip(at, bit) if !chars.is_empty() => {
            let at = at.index(chars.len());
            chars[at] = char::from_u32(u32::from(chars[at]) ^ (1 << bit)).unwrap_or('A');
        }
        Mutation::SwapParts(a, b) => {
            let mut parts: Vec<&str> = token.split('.').collect();
            if *a < parts.len() && *b < parts.len() {
                parts.swap(*a, *b);
            }
            return parts.join(".");
        }
        Mutation::Replace(..) | Mutation::Delete(..) | Mutation::Flip(..) => {}
    }
    chars.into_iter().collect()
}

proptest! {
    #![proptest_config(config(1_500))]

    #[test]
    fn random_text_never_verifies(text in any::<String>()) {
        prop_assert!(verify(&text).is_err());
    }

    #[test]
    fn random_parts_never_verify(
        header in prop::collection::vec(any::<u8>(), 0..200),
        claims in prop::collection::vec(any::<u8>(), 0..200),
        signature in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let token = format!("{}.{}.{}", encode(header), encode(claims), encode(signature));
        prop_assert!(verify(&token).is_err());
    }

    #[test]
    fn a_good_token_with_a_random_signature_never_verifies(
        which in 0usize..4,
        signature in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            prop::collection::vec(any::<u8>(), 32..=32),
            prop::collection::vec(any::<u8>(), 64..=64),
            prop::collection::vec(any::<u8>(), 256..=256),
        ],
    ) {
        let token = forges()[which].token();
        let signed = token.rsplit_once('.').map_or("", |(signed, _)| signed);
        prop_assert!(verify(&token).is_ok());
        let forged = [signed, &encode(signature)].join(".");
        prop_assert!(verify(&forged).is_err());
    }
}

proptest! {
    #![proptest_config(config(1_500))]

    #[test]
    fn a_mutated_token_never_verifies(which in 0usize..4, mutations in prop::collection::vec(mutation(), 1..5)) {
        let token = forges()[which].token();
        let mutated = mutations.iter().fold(token.clone(), |token, mutation| mutate(&token, mutation));
        prop_assume!(mutated != token);
        prop_assert!(verify(&mutated).is_err(), "{mutated}");
    }

    /// What the issuer itself signs may be anything too: a host with a defect, or one that was taken over.
    #[test]
    fn whatever_an_issuer_signs_is_judged(
        name in prop::sample::select(vec!["exp", "nbf", "iat", "aud", "sub", "community", "plans", "role", "spaces", "name", "iss"]),
        value in prop_oneof![
            any::<f64>().prop_map(|number| number.to_string()),
            any::<i64>().prop_map(|number| number.to_string()),
            (NOW - 100..NOW + 100).prop_map(|number| number.to_string()),
            any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap_or_default()),
            Just("[]".to_owned()), Just("{}".to_owned()), Just("null".to_owned()), Just("true".to_owned()),
            any::<String>(),
        ],
    ) {
        let mut forge = Forge::hs();
        forge.claim(name, &value);
        if let Ok(said) = verify(&forge.token()) {
            prop_assert!(said.expires.as_second() > NOW - 30 && said.expires.as_second() <= NOW + 3_630);
            prop_assert_eq!(said.community.as_str(), "bakers");
            prop_assert!((1..=255).contains(&said.subject.chars().count()));
            prop_assert!(!said.subject.chars().any(char::is_control));
        }
    }

    #[test]
    fn an_issuer_that_signs_bytes_harms_only_itself(
        header in prop::collection::vec(any::<u8>(), 0..100),
        claims in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let signer = Signer::Hmac(ring::hmac::HMAC_SHA256, KEYS.secret.clone());
        prop_assert!(verify(&sign(&header, &claims, &signer)).is_err());
        let header = r#"{"alg":"HS256"}"#;
        prop_assert!(verify(&sign(header, &claims, &signer)).is_err());
    }
}
