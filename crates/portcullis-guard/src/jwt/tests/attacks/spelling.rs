//! Attacks on how a token is spelled: parts, base64url, JSON, size.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Attacks, split, text};
use crate::jwt::tests::forge::{Forge, SUBJECT, sign};
use crate::jwt::{Part, Rejected};

#[test]
fn a_token_has_one_spelling() {
    let mut attacks = Attacks::default();
    let parts = |token: &str| -> Vec<String> { token.split('.').map(str::to_owned).collect() };
    attacks.text("an extra part", Forge::hs(), Rejected::Parts, |t| format!("{t}.AAAA"));
    attacks.text("an extra empty part", Forge::hs(), Rejected::Parts, |t| format!("{t}."));
    attacks.text("an empty part before", Forge::hs(), Rejected::Parts, |t| format!(".{t}"));
    attacks.text("two parts", Forge::hs(), Rejected::Parts, |t| split(t).0.to_owned());
    attacks.text("nothing", Forge::hs(), Rejected::Parts, |_| String::new());
    attacks.text("only dots", Forge::hs(), Rejected::Parts, |_| "..".to_owned());
    attacks.text("five parts, as encrypted tokens have", Forge::hs(), Rejected::Parts, |t| {
        format!("{t}.AAAA.AAAA")
    });
    for (name, part, garbage) in [
        ("padding on the signature", 2, "="),
        ("padding on the claims", 1, "="),
        ("padding on the header", 0, "=="),
        ("a newline after it", 2, "\n"),
        ("a space after it", 2, " "),
        ("a space in the claims", 1, " "),
        ("a NUL after it", 2, "\0"),
        ("a comma after it", 2, ","),
        ("a letter of the other alphabet", 2, "+"),
        ("a percent sign", 2, "%3D"),
        ("a letter of another language", 2, "а"),
    ] {
        let at = [Part::Header, Part::Claims, Part::Signature][part];
        attacks.text(name, Forge::hs(), Rejected::Encoding(at), |token| {
            let mut parts = parts(token);
            parts[part].push_str(garbage);
            parts.join(".")
        });
    }
    attacks.text("a space before it", Forge::hs(), Rejected::Encoding(Part::Header), |t| format!(" {t}"));
    attacks
        .text("`Bearer` before it", Forge::hs(), Rejected::Encoding(Part::Header), |t| format!("Bearer {t}"));
    attacks.text("bits left over at the end", Forge::hs(), Rejected::Encoding(Part::Signature), |token| {
        // 43 letters hold 258 bits, the signature 256: the last letter's two lowest bits must be zero.
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut bytes = token.as_bytes().to_vec();
        let last = bytes.last_mut().expect("a letter");
        let value = LETTERS.iter().position(|letter| letter == last).expect("a letter");
        *last = LETTERS[value | 1];
        String::from_utf8(bytes).expect("text")
    });
    attacks.content("longer than 8 KiB", Forge::hs(), Rejected::TooLarge, |f| {
        f.claim("pad", &text(&"a".repeat(6_000)))
    });
    attacks.text("far too long", Forge::hs(), Rejected::TooLarge, |t| t.repeat(1_000));
    for (name, part, members) in [
        ("alg twice", Part::Header, &[("alg", "\"none\"")][..]),
        ("alg twice, the same", Part::Header, &[("alg", "\"HS256\"")]),
        ("alg twice, once escaped", Part::Header, &[("\\u0061lg", "\"none\"")]),
        ("exp twice", Part::Claims, &[("exp", "4000000000")]),
        ("iss twice", Part::Claims, &[("iss", "\"https://rye.example\"")]),
        ("sub twice", Part::Claims, &[("sub", "\"owner\"")]),
        ("sub twice, once escaped", Part::Claims, &[("s\\u0075b", "\"owner\"")]),
        ("aud twice", Part::Claims, &[("aud", "\"other\"")]),
        ("community twice", Part::Claims, &[("community", "\"bakers\""), ("community", "\"rye\"")]),
        ("until twice", Part::Claims, &[("plans", r#"[{"plan":"gold","until":1,"until":4000000000}]"#)]),
        ("a member of a claim twice", Part::Claims, &[("x", r#"{"a":1,"a":2}"#)]),
        ("not JSON", Part::Claims, &[("x", "NaN")]),
        ("not JSON either", Part::Claims, &[("x", "'a'")]),
        ("half a surrogate", Part::Claims, &[("name", r#""\ud800""#)]),
    ] {
        attacks.content(name, Forge::hs(), Rejected::Json(part), |forge| {
            let into = if part == Part::Header { &mut forge.header } else { &mut forge.claims };
            into.extend(members.iter().map(|&(name, json)| (name.to_owned(), json.to_owned())));
        });
    }
    let claims = String::from_utf8(split_claims(&Forge::hs().token())).expect("text");
    let header = r#"{"alg":"HS256"}"#;
    for (name, expected, header, claims) in [
        ("the header is a list", Part::Header, r#"["HS256"]"#, claims.clone()),
        ("the header is text", Part::Header, r#""HS256""#, claims.clone()),
        ("something after the header", Part::Header, r#"{"alg":"HS256"}{}"#, claims.clone()),
        ("something after the claims", Part::Claims, header, format!("{claims}{{}}")),
        ("a byte order mark", Part::Claims, header, format!("\u{feff}{claims}")),
        ("claims in a list", Part::Claims, header, format!("[{claims}]")),
        ("claims twice", Part::Claims, header, format!("{claims}{claims}")),
        ("deep claims", Part::Claims, header, "[".repeat(3_000)),
    ] {
        attacks.text(name, Forge::hs(), Rejected::Json(expected), |_| {
            sign(header, &claims, &Forge::hs().signer)
        });
    }
    attacks.text("claims that are not UTF-8", Forge::hs(), Rejected::Json(Part::Claims), |_| {
        sign(
            header,
            claims
                .replace(SUBJECT, "\u{1}")
                .into_bytes()
                .iter()
                .map(|b| if *b == 1 { 0xff } else { *b })
                .collect::<Vec<u8>>(),
            &Forge::hs().signer,
        )
    });
    attacks.refuse_all(45);
}

fn split_claims(token: &str) -> Vec<u8> {
    let claims = token.split('.').nth(1).expect("three parts");
    URL_SAFE_NO_PAD.decode(claims).expect("base64url")
}
