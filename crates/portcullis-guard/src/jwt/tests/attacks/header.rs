//! Attacks on the choice of the key.

use super::{Attacks, hmac_with, text};
use crate::jwt::tests::forge::{Forge, encode};
use crate::jwt::{FORBIDDEN_PARAMETERS, Rejected};

#[test]
fn a_header_cannot_bring_or_name_a_key() {
    let mut attacks = Attacks::default();
    let jwk = format!(r#"{{"kty":"oct","k":"{}"}}"#, encode([7; 32]));
    for (name, json) in [
        ("crit", r#"["exp"]"#),
        ("crit", "[]"),
        ("crit", "null"),
        ("b64", "false"),
        ("b64", "true"),
        ("jku", "\"https://evil.example/jwks.json\""),
        ("jwk", &jwk),
        ("x5u", "\"https://evil.example/cert.pem\""),
        ("x5c", r#"["MIIB"]"#),
        ("zip", "\"DEF\""),
        ("enc", "\"A256GCM\""),
    ] {
        let known = FORBIDDEN_PARAMETERS.into_iter().find(|known| *known == name).expect("forbidden");
        attacks.content(format!("{name}: {json}"), Forge::hs(), Rejected::Parameter(known), |f| {
            f.parameter(name, json)
        });
    }
    attacks.content("an embedded key that signed it", Forge::hs(), Rejected::Parameter("jwk"), |forge| {
        forge.parameter("jwk", &jwk);
        forge.signer = hmac_with(&[7; 32]);
    });
    for id in [
        "../../../../dev/null",
        "/dev/null",
        "file:///etc/passwd",
        "r1' OR '1'='1",
        "x' UNION SELECT 'AAAA",
        "r1; sleep 10",
        "r1|/bin/true",
        "$(id)",
        "https://evil.example/key",
        "R1",
        "r1 ",
        " r1",
        "r1\\u0000",
        "r",
        "r11",
        "h1",
        "e1",
        "*",
        "",
        "undefined",
    ] {
        attacks.content(format!("kid {id:?}"), Forge::rs(), Rejected::KeyId, |f| {
            f.parameter("kid", &format!("\"{id}\""))
        });
    }
    attacks
        .content("a long kid", Forge::rs(), Rejected::KeyId, |f| f.parameter("kid", &text(&"r".repeat(257))));
    for json in ["1", "null", "true", "[\"r1\"]", "{}"] {
        attacks.content(format!("kid {json}"), Forge::rs(), Rejected::KeyId, |f| f.parameter("kid", json));
    }
    attacks.content("a kid that an issuer with one key does not have", Forge::hs(), Rejected::KeyId, |f| {
        f.parameter("kid", "\"h2\"")
    });
    attacks
        .content("no kid where there are two keys", Forge::es(), Rejected::KeyChoice, |f| f.without("kid"));
    for kind in ["JWE", "dpop+jwt", "logout+jwt", "secevent+jwt", "JWT ", "", "JOSE", "application/json"] {
        attacks.content(format!("typ {kind:?}"), Forge::hs(), Rejected::Type, |f| {
            f.parameter("typ", &text(kind))
        });
    }
    for json in ["null", "5", "[\"JWT\"]"] {
        attacks.content(format!("typ {json}"), Forge::hs(), Rejected::Type, |f| f.parameter("typ", json));
    }
    attacks.refuse_all(45);
}
