//! Host applications whose tokens are accepted. The public keys were made for these tests with `openssl genpkey`.

use std::fs;
use std::time::Duration;

use insta::assert_snapshot;
use portcullis_config::{Code, Environment, Flags, IssuerKeys, Origin, PublicKeyAlgorithm};

use crate::site::{Site, codes, problems};

const SECRET: &str = "Qm7xT4vK9cRz2LpW8sYd3HfJ6nBg5AaE";
const PEM: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE2Zg6nSa0c3bL9E5l1dQHKkOnUO7v\n-----END PUBLIC KEY-----\n";

/// One table with its first lines set.
fn table(name: &str, rest: &str) -> String {
    format!("[[issuer]]\nname = \"{name}\"\naudience = \"portcullis\"\ncommunities = [\"bakers\"]\n{rest}\n")
}

fn hs(name: &str, file: &str) -> String {
    table(name, &format!("algorithm = \"HS256\"\nkey = \"file:{file}\""))
}

fn site(text: &str) -> Site {
    let site = Site::with(text);
    site.file("secrets/host", SECRET, 0o600);
    site.file("keys/a.pem", PEM, 0o644);
    site.file("keys/a.json", "{\"keys\": []}", 0o644);
    site
}

fn refused(text: &str) -> Vec<Code> {
    codes(&site(text).problems())
}

#[test]
fn each_algorithm_takes_its_own_kind_of_key() {
    let text = [
        table(
            "https://a.example",
            "algorithm = \"HS256\"\nkey = \"file:secrets/host\"\nkey_id = \"1\"\ngrants_entitlements = true\nleeway_seconds = 0\nlongest_life_seconds = 60",
        ),
        table("b", "algorithm = \"RS256\"\npublic_key = \"keys/a.pem\"\nprovisions_members = true"),
        table("c", "algorithm = \"ES256\"\njwks = \"keys/a.json\""),
    ]
    .join("\n");
    let issuers = site(&text).loaded().config.issuers;
    let [a, b, c] = issuers.as_slice() else { panic!("three issuers") };
    assert_eq!((a.name.as_str(), a.audience.as_str()), ("https://a.example", "portcullis"));
    assert_eq!(a.communities.iter().map(|slug| slug.as_str()).collect::<Vec<_>>(), ["bakers"]);
    assert_eq!((a.leeway, a.longest_life), (Duration::ZERO, Duration::from_secs(60)));
    assert_eq!((b.leeway, b.longest_life), (Duration::from_secs(30), Duration::from_secs(3_600)));
    assert_eq!((a.grants_entitlements, a.provisions_members), (true, false));
    assert_eq!((b.grants_entitlements, b.provisions_members), (false, true));
    assert!(
        matches!(&a.keys, IssuerKeys::Secret { id: Some(id), secret } if id.as_str() == "1" && secret.expose() == SECRET)
    );
    assert!(
        matches!(&b.keys, IssuerKeys::Pem { algorithm: PublicKeyAlgorithm::Rs256, id: None, pem } if pem == PEM)
    );
    assert!(matches!(
        &c.keys,
        IssuerKeys::KeySet { algorithm: PublicKeyAlgorithm::Es256, document } if document == "{\"keys\": []}"
    ));
    assert!(Site::with("").loaded().config.issuers.is_empty());
}

#[test]
fn everything_that_is_wrong_with_the_issuers_is_told_at_once() {
    let text = format!(
        "[[issuer]]\n\n[[issuer]]\nname = \"a\"\naudiance = \"x\"\nalgorithm = \"none\"\nleeway_seconds = 900\n\n{}{}{}{}",
        hs("a", "secrets/gone"),
        table("b", "algorithm = \"RS256\"\nkey = \"file:secrets/host\""),
        table("c", "algorithm = \"HS256\"\npublic_key = \"keys/a.pem\""),
        table("d", "algorithm = \"ES256\"\npublic_key = \"keys/a.pem\"\njwks = \"keys/a.json\""),
    );
    assert_snapshot!(problems(&text), @r#"
    error[CFG-005]: `issuer.name` is missing: each `[[issuer]]` needs it
      --> portcullis.toml:1:1
      help: write for example `name = "https://members.example.org"`

    error[CFG-005]: `issuer.audience` is missing: each `[[issuer]]` needs it
      --> portcullis.toml:1:1
      help: write for example `audience = "portcullis"`

    error[CFG-005]: `issuer.communities` is missing: each `[[issuer]]` needs it
      --> portcullis.toml:1:1
      help: write for example `communities = ["bakers"]`

    error[CFG-005]: `issuer.algorithm` is missing: each `[[issuer]]` needs it
      --> portcullis.toml:1:1
      help: write for example `algorithm = "HS256"`

    error[CFG-005]: `issuer.audience` is missing: each `[[issuer]]` needs it
      --> portcullis.toml:3:1
      help: write for example `audience = "portcullis"`

    error[CFG-005]: `issuer.communities` is missing: each `[[issuer]]` needs it
      --> portcullis.toml:3:1
      help: write for example `communities = ["bakers"]`

    error[CFG-003]: `issuer.audiance` is not a known key
      --> portcullis.toml:5:1
      help: did you mean `issuer.audience`?

    error[CFG-010]: `issuer.algorithm` must be `HS256`, `RS256` or `ES256`, found `none`
      --> portcullis.toml:6:13
      help: write for example `"HS256"`

    error[CFG-012]: `issuer.leeway_seconds` must be at most 300, found 900
      --> portcullis.toml:7:18
      help: remove the key to use the default (30)

    error[CFG-016]: `issuer.name` names an issuer that stands at portcullis.toml:4:8 already
      --> portcullis.toml:10:8
      help: give one table all of its communities

    error[CFG-022]: `issuer.key` refers to the file `secrets/gone`, which does not exist
      --> portcullis.toml:14:7
      help: make a key, `head -c 32 /dev/urandom | base64`, and give it to this host application only

    error[CFG-005]: `issuer.public_key` is missing: `RS256` and `ES256` need it, or `jwks`
      --> portcullis.toml:15:1
      help: write for example `public_key = "keys/bakers.pem"`

    error[CFG-034]: `issuer.key` is for `HS256`; `RS256` and `ES256` take `public_key` or `jwks`
      --> portcullis.toml:20:7
      help: remove it

    error[CFG-005]: `issuer.key` is missing: `HS256` needs it
      --> portcullis.toml:21:1
      help: write for example `key = "file:secrets/bakers_host_key"`

    error[CFG-034]: `issuer.public_key` is for `RS256` and `ES256`; `HS256` takes `key`
      --> portcullis.toml:26:14
      help: remove it

    error[CFG-034]: `issuer.jwks` excludes `public_key`: only one of them can count
      --> portcullis.toml:33:8
      help: remove it

    16 errors
    "#);
}

#[test]
fn two_issuers_of_one_name_are_refused() {
    let twice = format!(
        "{}{}",
        hs("a", "secrets/host"),
        table("a", "algorithm = \"RS256\"\npublic_key = \"keys/a.pem\"")
    );
    assert_eq!(refused(&twice), [Code::Duplicate]);
    site(&twice.replacen("\"a\"", "\"b\"", 1)).loaded();
}

#[test]
fn a_secret_of_an_issuer_is_judged_like_any_other() {
    let text = hs("a", "secrets/host");
    site(&text).loaded();
    for (value, mode, code) in [
        ("Qm7xT4vK9cRz2LpW8sYd3HfJ6nBg5Aa", 0o600, Code::ShortSecret),
        (&*"a".repeat(64), 0o600, Code::RepetitiveSecret),
        (&*format!("changeme{SECRET}"), 0o600, Code::ExampleSecret),
        (SECRET, 0o640, Code::ExposedSecret),
        ("", 0o600, Code::MissingSecret),
        (PEM, 0o600, Code::WrongKey),
    ] {
        let site = site(&text);
        site.file("secrets/host", value, mode);
        let problems = site.problems();
        assert_eq!(codes(&problems), [code], "{value}");
        assert!(matches!(&problems.iter().next().unwrap().origin, Origin::File { line: 6, column: 7, .. }));
        assert!(value.is_empty() || !format!("{problems} {problems:?}").contains(value.trim()));
    }
}

/// Whoever can sign as one host application could sign as the other, or as this instance.
#[test]
fn a_secret_of_an_issuer_is_nobody_elses() {
    let two = |other: &str| {
        let site = site(&format!("{}{}", hs("https://a.example", "secrets/host"), hs("b", "secrets/other")));
        site.file("secrets/other", other, 0o600);
        site
    };
    two("Rk2vN8xQ5tZ7mC4wL9pJ3hY6sD1gF0bA").loaded();
    let equal = two(SECRET);
    assert_snapshot!(equal.told(&equal.problems()), @r#"
    error[CFG-029]: `issuer.key` must differ from the key of the issuer `https://a.example`, and is equal to it
      --> portcullis.toml:12:7
      help: make a new key: `head -c 32 /dev/urandom | base64`

    1 error
    "#);

    for name in ["jwt_secret", "encryption_key", "csrf_secret", "audit_key"] {
        let site = Site::with(&hs("a", &format!("secrets/{name}")));
        let problems = site.problems();
        assert_eq!(codes(&problems), [Code::EqualSecrets], "{name}");
        assert!(problems.to_string().contains(&format!("must differ from `secrets.{name}`")), "{problems}");
    }
    let model = "[model]\nurl = \"https://m.example.org\"\nname = \"a\"\napi_key = \"file:secrets/host\"\n";
    assert_eq!(refused(&format!("{model}{}", hs("a", "secrets/host"))), [Code::EqualSecrets]);
}

#[test]
fn a_public_key_is_one_and_nobody_else_can_replace_it() {
    let pem = table("a", "algorithm = \"ES256\"\npublic_key = \"keys/a.pem\"");
    let set = table("a", "algorithm = \"ES256\"\njwks = \"keys/a.json\"");
    for (text, file, value, mode, code) in [
        (&pem, "keys/a.pem", PEM, 0o664, Code::WritableKey),
        (&pem, "keys/a.pem", PEM, 0o646, Code::WritableKey),
        (&set, "keys/a.json", "{}", 0o666, Code::WritableKey),
        (&pem, "keys/a.pem", &PEM.replace("PUBLIC", "PRIVATE"), 0o600, Code::WrongKey),
        (&pem, "keys/a.pem", &PEM.replace("PUBLIC", "EC PRIVATE"), 0o600, Code::WrongKey),
        (&pem, "keys/a.pem", &PEM.replace("PUBLIC KEY", "CERTIFICATE"), 0o644, Code::WrongKey),
        (&pem, "keys/a.pem", "", 0o644, Code::WrongKey),
        (&set, "keys/a.json", PEM, 0o644, Code::WrongKey),
        (&set, "keys/a.json", "[]", 0o644, Code::WrongKey),
        (&set, "keys/a.json", &"{".repeat(300_000), 0o644, Code::BadPath),
    ] {
        let site = site(text);
        site.loaded();
        site.file(file, value, mode);
        assert_eq!(codes(&site.problems()), [code], "{mode:o} {}", &value[..value.len().min(40)]);
    }
    let gone = site(&pem);
    fs::remove_file(gone.path("keys/a.pem")).unwrap();
    assert_eq!(codes(&gone.problems()), [Code::BadPath]);
    fs::create_dir(gone.path("keys/a.pem")).unwrap();
    assert_eq!(codes(&gone.problems()), [Code::BadPath]);
    fs::remove_dir(gone.path("keys/a.pem")).unwrap();
    fs::write(gone.path("keys/a.pem"), [0xff, 0xfe]).unwrap();
    assert_eq!(codes(&gone.problems()), [Code::BadPath]);
}

#[test]
fn an_id_beside_a_key_set_is_refused() {
    let text = table("a", "algorithm = \"ES256\"\njwks = \"keys/a.json\"\nkey_id = \"1\"");
    assert_eq!(refused(&text), [Code::Excluded]);
}

#[test]
fn what_is_no_list_of_tables_is_refused_where_it_stands() {
    assert_snapshot!(problems("[issuer]\nname = \"a\"\n"), @r#"
    error[CFG-004]: `issuer` must be a list of tables, found a table
      --> portcullis.toml:1:2
      help: write `[[issuer]]` above the keys of each

    1 error
    "#);
    assert_eq!(refused("issuer = 5\n"), [Code::WrongType]);
    assert_eq!(refused("issuer = [5, \"a\"]\n"), [Code::WrongType, Code::WrongType]);
    assert_eq!(refused("[[issuers]]\n"), [Code::UnknownKey]);
    site("issuer = []\n").loaded();
}

/// A variable or a flag has no way to say which of the tables it means.
#[test]
fn only_the_file_can_hold_an_issuer() {
    let site = site(&table("a", "algorithm = \"HS256\"\nkey = \"env:PORTCULLIS_HOST\""));
    let environment = Environment::of([("PORTCULLIS_HOST", SECRET), ("PORTCULLIS_ISSUER__NAME", "b")]);
    let loaded = site.load(&environment, &Flags::none()).unwrap();
    assert_eq!(loaded.config.issuers[0].name.as_str(), "a");
    assert_snapshot!(loaded.warnings, @r#"
    warning[CFG-006]: `PORTCULLIS_ISSUER__NAME` sets no key and is ignored
      --> environment variable PORTCULLIS_ISSUER__NAME
      help: unset it; only the file can hold `[[issuer]]`

    1 warning
    "#);
    let flags = Flags::none().with_set("issuer.name=b").with_set("issuer=b").with_set("issuer.nonsense=b");
    let problems = site.load(&Environment::of([("PORTCULLIS_HOST", SECRET)]), &flags).unwrap_err();
    assert_snapshot!(problems, @r#"
    error[CFG-008]: `issuer` stands in `[[issuer]]`, which only the file can hold
      --> flag --set

    error[CFG-008]: `issuer` stands in `[[issuer]]`, which only the file can hold
      --> flag --set

    error[CFG-008]: `issuer` stands in `[[issuer]]`, which only the file can hold
      --> flag --set

    3 errors
    "#);
}

#[test]
fn issuers_are_shown_without_their_secrets() {
    let text = format!(
        "{}{}",
        hs("a", "secrets/host"),
        table("b", "algorithm = \"RS256\"\npublic_key = \"keys/a.pem\"")
    );
    let site = site(&text);
    let loaded = site.loaded();
    let shown = loaded.resolved.show();
    let shown: Vec<&str> = shown.lines().filter(|line| line.starts_with("issuer")).collect();
    let folder = format!("{}/", site.path("").display().to_string().trim_end_matches('/'));
    assert_snapshot!(shown.join("\n").replace(&folder, ""), @r#"
    issuer[1].name                                = "a"                                # portcullis.toml:2:8
    issuer[1].audience                            = "portcullis"                       # portcullis.toml:3:12
    issuer[1].communities                         = ["bakers"]                         # portcullis.toml:4:15
    issuer[1].algorithm                           = "HS256"                            # portcullis.toml:5:13
    issuer[1].key                                 = *** (file:secrets/host)            # portcullis.toml:6:7
    issuer[1].grants_entitlements                 = false                              # default
    issuer[1].provisions_members                  = false                              # default
    issuer[1].leeway_seconds                      = 30                                 # default
    issuer[1].longest_life_seconds                = 3600                               # default
    issuer[2].name                                = "b"                                # portcullis.toml:8:8
    issuer[2].audience                            = "portcullis"                       # portcullis.toml:9:12
    issuer[2].communities                         = ["bakers"]                         # portcullis.toml:10:15
    issuer[2].algorithm                           = "RS256"                            # portcullis.toml:11:13
    issuer[2].public_key                          = "keys/a.pem"                       # portcullis.toml:12:14
    issuer[2].grants_entitlements                 = false                              # default
    issuer[2].provisions_members                  = false                              # default
    issuer[2].leeway_seconds                      = 30                                 # default
    issuer[2].longest_life_seconds                = 3600                               # default
    "#);
    assert!(!format!("{loaded:?} {loaded:#?}").contains(SECRET));
}

#[test]
fn a_key_that_a_verifier_refuses_is_named_at_its_place() {
    let site = site(&table("b", "algorithm = \"RS256\"\npublic_key = \"keys/a.pem\""));
    let problems = site.loaded().config.issuers[0].refused(&"it is on another curve");
    assert_snapshot!(site.told(&problems), @r#"
    error[CFG-036]: `issuer.public_key` names a key that cannot be used: it is on another curve
      --> portcullis.toml:6:14

    1 error
    "#);
}
