//! What must verify, and what is then reported.

use jiff::Timestamp;
use portcullis_core::Role;

use super::forge::{BAKERS, Forge, ISSUERS, NOW, RYE, SUBJECT, Signer, issuers, now, verify};
use crate::jwt::{Issuers, Rejected};

fn ok(what: &str, change: impl Fn(&mut Forge)) {
    let mut forge = Forge::hs();
    change(&mut forge);
    let outcome = verify(&forge.token());
    assert!(outcome.is_ok(), "{what}: {outcome:?}");
}

#[test]
fn a_token_of_each_algorithm_verifies_and_says_what_it_says() {
    let hs = verify(&Forge::hs().token()).expect("HS256 verifies");
    assert_eq!(
        (hs.issuer.name.as_str(), hs.community.as_str(), hs.subject.as_str()),
        (BAKERS, "bakers", SUBJECT)
    );
    assert_eq!((hs.name, hs.plans, hs.role, hs.spaces), (None, None, None, None));
    assert_eq!(hs.expires, Timestamp::from_second(NOW + 600).expect("a time"));
    let rs = verify(&Forge::rs().token()).expect("RS256 verifies");
    assert_eq!((rs.issuer.name.as_str(), rs.community.as_str()), (RYE, "malt"));
    assert_eq!(verify(&Forge::es().token()).expect("ES256 verifies").community, "oven");
    assert_eq!(verify(&Forge::mixed().token()).expect("HS256 verifies").community, "mixed");
}

#[test]
fn a_kid_selects_its_key_and_no_other() {
    let mut second = Forge::es();
    second.parameter("kid", "\"e2\"");
    assert_eq!(verify(&second.token()).err(), Some(Rejected::Signature));
    second.signer = Signer::OtherEc;
    assert!(verify(&second.token()).is_ok());
    let mut rsa = Forge::mixed();
    rsa.parameter("alg", "\"RS256\"");
    rsa.without("kid");
    rsa.signer = Signer::OtherRsa;
    assert!(verify(&rsa.token()).is_ok(), "without a `kid` the one key of the algorithm counts");
}

#[test]
fn claims_are_reported_as_they_are() {
    let mut forge = Forge::hs();
    forge.claim("name", r#""Zoë \"Z\" 山""#);
    forge.claim("plans", r#"["basic", {"plan": "gold", "until": 1700000000}, {"plan": "silver"}]"#);
    forge.claim("role", "\"moderator\"");
    forge.claim("spaces", r#"["lounge", "lounge", "kitchen"]"#);
    let token = forge.token();
    let said = verify(&token).expect("it verifies");
    assert_eq!(said.name.as_deref(), Some("Zoë \"Z\" 山"));
    let ended = Timestamp::from_second(1_700_000_000).expect("a time");
    let plans = [("basic", None), ("gold", Some(ended)), ("silver", None)];
    assert_eq!(said.plans.as_deref(), Some(&plans.map(|(plan, until)| (plan.to_owned(), until))[..]));
    assert_eq!(said.role, Some(Role::Moderator));
    assert_eq!(said.spaces.as_deref(), Some(&["lounge", "lounge", "kitchen"].map(str::to_owned)[..]));

    forge.claim("plans", "[]");
    forge.claim("spaces", "[]");
    forge.claim("name", "\"\"");
    let token = forge.token();
    let said = verify(&token).expect("it verifies");
    assert_eq!((said.name, said.plans, said.spaces), (None, Some(Vec::new()), Some(Vec::new())));
}

#[test]
fn what_is_not_wrong_is_accepted() {
    for kind in ["JWT", "jwt", "at+jwt", "AT+JWT"] {
        ok(kind, |forge| forge.parameter("typ", &format!("{kind:?}")));
    }
    ok("no typ", |forge| forge.without("typ"));
    ok("the key's own id", |forge| forge.parameter("kid", "\"h1\""));
    ok("other header parameters", |forge| forge.parameter("x5t", "\"abc\""));
    ok("an audience among others", |forge| forge.claim("aud", r#"["other", "portcullis"]"#));
    ok("other claims", |forge| forge.claim("scope", r#"{"a":[1.5,null,true]}"#));
    ok("a named community", |forge| forge.claim("community", "\"bakers\""));
    ok("a subject of 255 characters", |forge| forge.claim("sub", &format!("{:?}", "é".repeat(255))));
    ok("no nbf", |forge| forge.without("nbf"));
    ok("no iat", |forge| forge.without("iat"));
}

#[test]
fn times_are_judged_to_the_second_with_the_leeway() {
    ok("just before the end", |forge| forge.claim("exp", &(NOW - 29).to_string()));
    ok("just begun", |forge| forge.claim("nbf", &(NOW + 30).to_string()));
    ok("just issued", |forge| forge.claim("iat", &(NOW + 30).to_string()));
    ok("as long as may be", |forge| forge.claim("exp", &(NOW - 60 + 3_600).to_string()));
    let mut issuers = issuers();
    issuers[0].leeway = std::time::Duration::ZERO;
    let strict = Issuers::new(issuers).expect("sound issuers");
    let mut forge = Forge::hs();
    for (claim, at, outcome) in [
        ("exp", NOW + 1, None),
        ("exp", NOW, Some(Rejected::Expired)),
        ("nbf", NOW, None),
        ("nbf", NOW + 1, Some(Rejected::NotYet)),
        ("iat", NOW, None),
        ("iat", NOW + 1, Some(Rejected::IssuedLater)),
    ] {
        let mut changed = forge.clone();
        changed.claim(claim, &at.to_string());
        assert_eq!(strict.verify(&changed.token(), now()).err(), outcome, "{claim} {}", at - NOW);
    }
    forge.without("iat");
    forge.claim("exp", &(NOW + 3_600).to_string());
    assert!(strict.verify(&forge.token(), now()).is_ok());
    forge.claim("exp", &(NOW + 3_601).to_string());
    assert_eq!(strict.verify(&forge.token(), now()).err(), Some(Rejected::LongLived));
}

#[test]
fn no_issuers_accept_nothing() {
    let none = Issuers::new(Vec::new()).expect("no issuers are sound");
    assert!(none.is_empty() && !ISSUERS.is_empty());
    assert_eq!(none.verify(&Forge::hs().token(), now()).err(), Some(Rejected::Issuer));
    assert_eq!(Issuers::default().iter().count(), 0);
}

#[test]
fn what_is_printed_tells_neither_person_nor_key() {
    let mut forge = Forge::hs();
    forge.claim("name", "\"Zoe\"");
    let token = forge.token();
    let shown = format!("{:?} {:?}", verify(&token).expect("it verifies"), *ISSUERS);
    assert!(!shown.contains(SUBJECT) && !shown.contains("Zoe"), "{shown}");
    assert!(!shown.contains("[0, 1, 2, 3"), "{shown}");
}
