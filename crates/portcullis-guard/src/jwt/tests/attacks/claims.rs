//! Attacks with claims that an issuer did sign: of another time, another service, another community, or malformed.

use std::time::Duration;

use super::{Attacks, text};
use crate::jwt::tests::forge::{Forge, ISSUERS, MIXED, NOW, RYE, issuers, now, verify};
use crate::jwt::{Issuers, Part, Rejected};

#[test]
fn a_token_is_for_now() {
    let mut attacks = Attacks::default();
    for claim in ["exp", "nbf", "iat"] {
        let good = match claim {
            "exp" => NOW + 600,
            _ => NOW - 60,
        };
        for json in [
            format!("\"{good}\""),
            format!("{good}.0"),
            format!("{good}.5"),
            format!("{}e1", good / 10),
            format!("[{good}]"),
            format!("-{good}"),
            "-1".to_owned(),
            "-0".to_owned(),
            "null".to_owned(),
            "true".to_owned(),
            "{}".to_owned(),
            "\"\"".to_owned(),
            "1e400".to_owned(),
            "9223372036854775807".to_owned(),
            "9223372036854775808".to_owned(),
            "18446744073709551615".to_owned(),
            "18446744073709551616".to_owned(),
            "253402300800".to_owned(),
            format!("{good}000"),
        ] {
            // serde_json does not read a number beyond 64-bit floats at all.
            let expected =
                if json == "1e400" { Rejected::Json(Part::Claims) } else { Rejected::Malformed(claim) };
            // In milliseconds it is a time, only the wrong one: it lies in the year 59009.
            attacks.content(format!("{claim}: {json}"), Forge::hs(), expected, |forge| {
                forge.claim(claim, &json)
            });
        }
    }
    attacks.content("no exp", Forge::hs(), Rejected::Missing("exp"), |f| f.without("exp"));
    attacks.content("exp under another name", Forge::hs(), Rejected::Missing("exp"), |f| {
        f.without("exp");
        f.claim("Exp", &(NOW + 600).to_string());
    });
    for (name, claim, at, expected) in [
        ("expired", "exp", NOW - 30, Rejected::Expired),
        ("expired long ago", "exp", 1, Rejected::Expired),
        ("expired in 1970", "exp", 0, Rejected::Expired),
        ("not yet", "nbf", NOW + 31, Rejected::NotYet),
        ("not for years", "nbf", NOW + 100_000_000, Rejected::NotYet),
        ("issued in the future", "iat", NOW + 31, Rejected::IssuedLater),
        ("lives too long", "exp", NOW - 60 + 3_601, Rejected::LongLived),
        ("lives for ever", "exp", 253_402_207_200, Rejected::LongLived),
        ("issued long ago", "iat", NOW - 100_000, Rejected::LongLived),
        ("issued in 1970", "iat", 0, Rejected::LongLived),
    ] {
        attacks.content(name, Forge::hs(), expected, |forge| forge.claim(claim, &at.to_string()));
    }
    attacks.content("lives too long and does not say since when", Forge::hs(), Rejected::LongLived, |f| {
        f.without("iat");
        f.claim("exp", &(NOW + 3_631).to_string());
    });
    attacks.content("ends before it is issued", Forge::hs(), Rejected::Malformed("exp"), |f| {
        f.claim("iat", &(NOW + 20).to_string());
        f.claim("exp", &(NOW + 10).to_string());
    });
    attacks.refuse_all(60);
}

#[test]
fn a_token_is_for_this_service_and_its_own_community() {
    let mut attacks = Attacks::default();
    for json in [
        "\"other\"",
        "\"Portcullis\"",
        "\"portcullis \"",
        "\"portcullis2\"",
        "\"\"",
        "[\"other\"]",
        "[\"a\",\"b\"]",
    ] {
        attacks.content(format!("aud {json}"), Forge::hs(), Rejected::Audience, |f| f.claim("aud", json));
    }
    for json in [
        "5",
        "null",
        "true",
        "{}",
        "[]",
        "[5]",
        "[\"portcullis\",5]",
        "[null]",
        "[[\"portcullis\"]]",
        "{\"portcullis\":1}",
    ] {
        attacks.content(format!("aud {json}"), Forge::hs(), Rejected::Malformed("aud"), |f| {
            f.claim("aud", json)
        });
    }
    attacks.content("no aud", Forge::hs(), Rejected::Missing("aud"), |f| f.without("aud"));
    for name in [
        "https://evil.example",
        "https://bakers.example/",
        "HTTPS://bakers.example",
        "bakers.example",
        "",
        " https://bakers.example",
    ] {
        attacks
            .content(format!("iss {name:?}"), Forge::hs(), Rejected::Issuer, |f| f.claim("iss", &text(name)));
    }
    for json in ["5", "null", "[\"https://bakers.example\"]", "{}"] {
        attacks.content(format!("iss {json}"), Forge::hs(), Rejected::Malformed("iss"), |f| {
            f.claim("iss", json)
        });
    }
    attacks.content("no iss", Forge::hs(), Rejected::Missing("iss"), |f| f.without("iss"));
    attacks.content("signed by one issuer in another's name", Forge::hs(), Rejected::Signature, |f| {
        f.claim("iss", &text(MIXED))
    });
    attacks.content(
        "signed with a secret in the name of an RSA issuer",
        Forge::hs(),
        Rejected::Algorithm,
        |f| f.claim("iss", &text(RYE)),
    );
    for slug in ["bakers", "oven", "Malt", "malt ", "", "*", "rye,malt", "../malt"] {
        attacks.content(format!("community {slug:?}"), Forge::rs(), Rejected::Community, |f| {
            f.claim("community", &text(slug))
        });
    }
    attacks.content("another community of an issuer with one", Forge::hs(), Rejected::Community, |f| {
        f.claim("community", "\"rye\"")
    });
    attacks.content("no community where there are two", Forge::rs(), Rejected::Missing("community"), |f| {
        f.without("community")
    });
    for json in ["null", "5", "[\"malt\"]", "{}", "true"] {
        attacks.content(format!("community {json}"), Forge::rs(), Rejected::Malformed("community"), |f| {
            f.claim("community", json)
        });
        attacks.content(
            format!("community {json} of one"),
            Forge::hs(),
            Rejected::Malformed("community"),
            |f| f.claim("community", json),
        );
    }
    attacks.refuse_all(45);
}

#[test]
fn what_is_said_about_the_member_is_well_formed() {
    let mut attacks = Attacks::default();
    attacks.content("no sub", Forge::hs(), Rejected::Missing("sub"), |f| f.without("sub"));
    let long = text(&"a".repeat(256));
    for (claim, values) in [
        (
            "sub",
            &[
                "\"\"",
                &long,
                "\"a\\u0000b\"",
                "\"a\\nb\"",
                "\"a\\u0085b\"",
                "5",
                "null",
                "true",
                "[\"a\"]",
                "{}",
            ][..],
        ),
        ("name", &["\"a\\u001bb\"", "\"\\n\"", "5", "null", "[]"]),
        ("role", &["\"root\"", "\"Owner\"", "\"operator\"", "\"\"", "5", "null", "[\"owner\"]"]),
        (
            "plans",
            &[
                "\"gold\"",
                "null",
                "5",
                "{}",
                "[5]",
                "[null]",
                "[\"\"]",
                "[\"a\\nb\"]",
                "[{}]",
                r#"[{"until":5}]"#,
                r#"[{"plan":5}]"#,
                r#"[{"plan":"gold","until":"5"}]"#,
                r#"[{"plan":"gold","until":null}]"#,
                r#"[{"plan":"gold","until":1.5}]"#,
                r#"[{"plan":"gold","until":-1}]"#,
                r#"[{"plan":"gold","untill":5}]"#,
                r#"["gold",{"plan":"gold","until":5}]"#,
                r#"[["gold"]]"#,
            ],
        ),
        ("spaces", &["\"lounge\"", "null", "true", "{}", "[5]", "[null]", "[\"\"]", "[\"a\\tb\"]", "[[]]"]),
    ] {
        for json in values {
            attacks.content(format!("{claim}: {json}"), Forge::hs(), Rejected::Malformed(claim), |f| {
                f.claim(claim, json)
            });
        }
    }
    let many = format!("[{}]", vec!["\"a\""; 257].join(","));
    attacks
        .content("too many spaces", Forge::hs(), Rejected::Malformed("spaces"), |f| f.claim("spaces", &many));
    attacks.refuse_all(45);
}

#[test]
fn a_token_verifies_only_where_its_issuer_is_configured() {
    let token = Forge::hs().token();
    assert!(verify(&token).is_ok());
    let others = issuers().into_iter().skip(1).collect();
    let others = Issuers::new(others).expect("sound issuers");
    assert_eq!(others.verify(&token, now()).err(), Some(Rejected::Issuer));
}

#[test]
fn a_token_ends_with_time() {
    let token = Forge::hs().token();
    assert!(verify(&token).is_ok());
    let later = now() + Duration::from_secs(630);
    assert_eq!(ISSUERS.verify(&token, later).err(), Some(Rejected::Expired));
    let earlier = now() - Duration::from_secs(91);
    assert_eq!(ISSUERS.verify(&token, earlier).err(), Some(Rejected::NotYet));
}
