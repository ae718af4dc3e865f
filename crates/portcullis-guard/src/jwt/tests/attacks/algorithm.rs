//! Attacks on the choice of the algorithm.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::signature;

use super::{Attacks, hmac_with, split, text};
use crate::jwt::Rejected;
use crate::jwt::tests::forge::{Forge, KEYS, OTHER_RSA_PEM, RSA_PEM, Signer};

#[test]
fn the_algorithm_is_never_the_tokens_choice() {
    let mut attacks = Attacks::default();
    for none in ["none", "None", "NONE", "nOnE", "noNe", "none ", "", "hs256", "HS256 ", "HS384", "HS512"] {
        attacks.content(format!("alg {none:?}, signed"), Forge::hs(), Rejected::Algorithm, |forge| {
            forge.parameter("alg", &text(none));
        });
        attacks.text(format!("alg {none:?}, signature empty"), Forge::hs(), Rejected::Parts, |_| {
            let mut forge = Forge::hs();
            forge.parameter("alg", &text(none));
            let token = forge.token();
            format!("{}.", split(&token).0)
        });
        attacks.text(format!("alg {none:?}, signature of nothing"), Forge::hs(), Rejected::Algorithm, |_| {
            let mut forge = Forge::hs();
            forge.parameter("alg", &text(none));
            let token = forge.token();
            format!("{}.AAAA", split(&token).0)
        });
    }
    for other in ["RS384", "RS512", "PS256", "ES384", "ES512", "ES256K", "EdDSA", "RS1", "dir", "A128KW"] {
        attacks.content(format!("alg {other}"), Forge::rs(), Rejected::Algorithm, |forge| {
            forge.parameter("alg", &text(other));
        });
    }
    for json in ["null", "5", "true", "[\"HS256\"]", "{}", "[]"] {
        attacks
            .content(format!("alg {json}"), Forge::hs(), Rejected::Algorithm, |f| f.parameter("alg", json));
    }
    attacks.content("no alg", Forge::hs(), Rejected::Algorithm, |forge| forge.without("alg"));

    // The public key as a shared secret, in every spelling that a reader may have in memory.
    let der: Vec<u8> = {
        let body: String = RSA_PEM.lines().filter(|line| !line.starts_with("-----")).collect();
        STANDARD.decode(body).expect("base64")
    };
    let modulus = signature::RsaPublicKeyComponents::<Vec<u8>>::from(KEYS.rsa.public()).n;
    for (spelling, key) in [
        ("PEM", RSA_PEM.as_bytes()),
        ("PEM without its last newline", RSA_PEM.trim_end().as_bytes()),
        ("DER", &der),
        ("modulus", &modulus),
        ("nothing", b""),
    ] {
        attacks.content(
            format!("HS256 signed with the public key as {spelling}"),
            Forge::rs(),
            Rejected::Algorithm,
            |forge| {
                forge.parameter("alg", "\"HS256\"");
                forge.signer = hmac_with(key);
            },
        );
    }
    attacks.content("the same without a kid", Forge::rs(), Rejected::Algorithm, |forge| {
        forge.parameter("alg", "\"HS256\"");
        forge.without("kid");
        forge.signer = hmac_with(RSA_PEM.as_bytes());
    });
    attacks.content("HS256 under the id of an RSA key", Forge::mixed(), Rejected::Algorithm, |forge| {
        forge.parameter("kid", "\"rs\"");
        forge.signer = hmac_with(OTHER_RSA_PEM.as_bytes());
    });
    attacks.content("RS256 under the id of a secret", Forge::mixed(), Rejected::Algorithm, |forge| {
        forge.parameter("alg", "\"RS256\"");
        forge.signer = Signer::OtherRsa;
    });
    attacks.content("ES256 for an RSA issuer", Forge::rs(), Rejected::Algorithm, |forge| {
        forge.parameter("alg", "\"ES256\"");
        forge.signer = Signer::Ec;
    });
    attacks.refuse_all(50);
}
