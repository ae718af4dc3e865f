//! Keys are fetched, judged and never told.

use std::collections::BTreeSet;
use std::fs;

use insta::assert_snapshot;
use portcullis_config::{Code, Environment, Flags};

use crate::site::{Site, codes, problems};

/// Random text that no rule finds weak, to look for in whatever is printed.
const CANARY: &str = "Qm7xT4vK9cRz2LpW8sYd3HfJ6nBg5AaE";

fn refused_for(value: &str) -> BTreeSet<Code> {
    let site = Site::with("");
    site.file("secrets/jwt_secret", value, 0o600);
    let problems = site.problems();
    let told = format!("{problems} {problems:?}");
    assert!(value.trim().len() < 4 || !told.contains(value.trim()), "{told}");
    codes(&problems).into_iter().collect()
}

#[test]
fn every_weakness_is_refused() {
    assert_eq!(refused_for("Qm7xT4vK9cRz2LpW"), BTreeSet::from([Code::ShortSecret, Code::RepetitiveSecret]));
    assert_eq!(refused_for(&"a".repeat(64)), BTreeSet::from([Code::RepetitiveSecret]));
    assert_eq!(refused_for(&"Qm7xT4vK".repeat(8)), BTreeSet::from([Code::RepetitiveSecret]));
    assert_eq!(refused_for(&format!("changeme{CANARY}")), BTreeSet::from([Code::ExampleSecret]));
    assert_eq!(refused_for(""), BTreeSet::from([Code::MissingSecret]));
    assert_eq!(refused_for(" \n"), BTreeSet::from([Code::MissingSecret]));
}

#[test]
fn a_key_that_is_not_32_bytes_is_refused() {
    for name in ["encryption_key", "audit_key"] {
        let site = Site::with("");
        // 32 characters of hex are half a key.
        site.file(&format!("secrets/{name}"), "9f86d081884c7d659a2feaa0c55ad0159f86d081884c7d65", 0o600);
        assert!(codes(&site.problems()).contains(&Code::NotAKey), "{name}");
    }
}

#[test]
fn equal_secrets_are_refused_in_any_spelling() {
    let site = Site::with("");
    let key = fs::read_to_string(site.path("secrets/encryption_key")).unwrap();
    site.file("secrets/csrf_secret", &key, 0o600);
    assert_eq!(codes(&site.problems()), [Code::EqualSecrets]);
    let hex = site.loaded_hex("encryption_key");
    site.file("secrets/csrf_secret", &hex, 0o600);
    assert_eq!(codes(&site.problems()), [Code::EqualSecrets]);
}

impl Site {
    fn loaded_hex(&self, name: &str) -> String {
        let text = fs::read_to_string(self.path(&format!("secrets/{name}"))).unwrap();
        let bytes = portcullis_core::strength::decode(&text).unwrap();
        bytes.iter().map(|byte| format!("{byte:02X}")).collect()
    }
}

#[test]
fn everything_that_is_wrong_with_the_secrets_is_told_at_once() {
    let site = Site::with(
        "[secrets]\njwt_secret = \"env:JWT\"\nencryption_key = \"file:secrets/gone\"\ncsrf_secret = \"env:CSRF\"\n",
    );
    site.file("secrets/audit_key", "abcd", 0o644);
    let environment = Environment::of([("CSRF", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")]);
    let problems = site.load(&environment, &Flags::none()).unwrap_err();
    assert_snapshot!(site.told(&problems).replace(&*site.path("").to_string_lossy(), ""), @r#"
    error[CFG-022]: `secrets.jwt_secret` refers to the variable `JWT`, which is not set
      --> portcullis.toml:2:14
      help: `portcullis init` in an empty folder makes a configuration with fresh keys

    error[CFG-022]: `secrets.encryption_key` refers to the file `secrets/gone`, which does not exist
      --> portcullis.toml:3:18
      help: `portcullis init` in an empty folder makes a configuration with fresh keys

    error[CFG-026]: `secrets.csrf_secret` must have characters that allow at least 128 bits of randomness, found 0 bits
      --> portcullis.toml:4:15
      help: make a new key: `head -c 32 /dev/urandom | base64`

    error[CFG-024]: `secrets.audit_key` must be a file that only its owner can use (`secrets/audit_key`), found mode 0644
      --> default
      help: run `chmod 600 'secrets/audit_key'`, and make a new key if others used this machine

    4 errors
    "#);
}

#[test]
fn a_file_that_others_can_read_is_refused_with_the_command_that_repairs_it() {
    for mode in [0o640, 0o604, 0o620, 0o601, 0o666, 0o777] {
        let site = Site::with("");
        let key = fs::read_to_string(site.path("secrets/csrf_secret")).unwrap();
        site.file("secrets/csrf_secret", &key, mode);
        let problems = site.problems();
        assert_eq!(codes(&problems), [Code::ExposedSecret], "{mode:o}");
        let told = problems.to_string();
        assert!(told.contains(&format!("found mode {mode:04o}")), "{told}");
        assert!(
            told.contains(&format!("chmod 600 '{}'", site.path("secrets/csrf_secret").display())),
            "{told}"
        );
        site.file("secrets/csrf_secret", &key, 0o400);
        site.loaded();
    }
}

#[test]
fn what_is_no_plain_file_is_not_read() {
    let site = Site::with("[secrets]\njwt_secret = \"file:secrets\"\ncsrf_secret = \"file:/dev/zero\"\n");
    assert_eq!(codes(&site.problems()), [Code::UnreadableSecret, Code::UnreadableSecret]);
    site.file("secrets/encryption_key", &"x".repeat(70_000), 0o600);
    assert_eq!(codes(&site.problems()).len(), 3);
}

#[test]
fn a_literal_secret_is_refused_and_never_echoed() {
    for text in [
        format!("[secrets]\njwt_secret = \"{CANARY}\"\n"),
        format!("[secrets]\njwt_secret = \"env:{CANARY}\"\n"),
        format!("[secrets]\njwt_secret = [\"{CANARY}\"]\n"),
        format!("[secrets]\njwt_secret = {{ value = \"{CANARY}\" }}\n"),
        format!("[secrets]\njwt_secret = {CANARY}\n"),
        format!("[secrets]\njwt_secret = \"{CANARY}\n"),
        format!("[secrets]\n{CANARY} = 1\n"),
        format!("[secrets]\n\"{CANARY}\"\n"),
        format!("[secrets.{CANARY}]\na = 1\n"),
        format!("secrets = \"{CANARY}\"\n"),
        format!("secrets.jwt_secret = \"{CANARY}\"\n"),
        format!("[secrets]\njwt_secret = \"a\"\njwt_secret = \"{CANARY}\"\n"),
        format!("[model]\napi_key = \"{CANARY}\"\n"),
        format!("data_dir = \"\"\"a\n{CANARY}\"\"\"\n[listen]\nmember = \"\"\"a\n{CANARY}\"\"\"\n"),
    ] {
        let site = Site::with(&text);
        let problems = site.problems();
        let told = format!("{problems} {problems:?}");
        assert!(!told.contains(CANARY), "{text}{told}");
    }
    assert_snapshot!(problems(&format!("[secrets]\njwt_secret = \"{CANARY}\"\n")), @r#"
    error[CFG-020]: `secrets.jwt_secret` must be a reference, `env:NAME` or `file:PATH`, found a literal value, which is not shown
      --> portcullis.toml:2:14
      help: make a new key in a file of mode 0600 and write `file:PATH`; what stood here counts as known

    1 error
    "#);
}

#[test]
fn a_loaded_configuration_shows_no_secret() {
    let site = Site::with(
        "[secrets]\njwt_secret = \"env:PORTCULLIS_JWT\"\n[model]\nurl = \"https://m.example.org\"\nname = \"a\"\napi_key = \"env:API_KEY\"\n",
    );
    let api_key = format!("sk-{CANARY}");
    let environment = Environment::of([("PORTCULLIS_JWT", CANARY), ("API_KEY", &api_key)]);
    let loaded = site.load(&environment, &Flags::none()).unwrap();
    assert!(loaded.warnings.is_empty(), "a variable that a secret refers to is not unknown");
    assert_eq!(loaded.config.secrets.jwt_secret.expose(), CANARY);
    assert_eq!(
        loaded
            .config
            .model
            .as_ref()
            .and_then(|model| model.api_key.as_ref())
            .map(|key| key.expose().as_str()),
        Some(&*api_key)
    );
    let file = fs::read_to_string(site.path("secrets/csrf_secret")).unwrap();
    let told = format!("{loaded:?} {loaded:#?} {} {:?}", loaded.resolved.show(), environment);
    assert!(!told.contains(CANARY) && !told.contains(file.trim()));
    assert!(loaded.resolved.show().contains("*** (env:PORTCULLIS_JWT)"));
}

#[test]
fn a_model_key_that_could_add_a_header_is_refused() {
    let site =
        Site::with("[model]\nurl = \"https://m.example.org\"\nname = \"a\"\napi_key = \"env:API_KEY\"\n");
    let environment = Environment::of([("API_KEY", "sk-1\r\nX-Admin: 1")]);
    assert_eq!(codes(&site.load(&environment, &Flags::none()).unwrap_err()), [Code::NotAHeader]);
}

#[test]
fn the_operators_token_is_judged_like_the_other_secrets_and_may_be_absent() {
    let told = Site::with("").loaded().config.secrets;
    assert!(
        told.operator_token.is_none() && told.reports().len() == 4,
        "without it there is no operator plane"
    );
    let site = Site::with("[secrets]\noperator_token = \"env:OPERATOR_TOKEN\"\n");
    let load = |token: &str| site.load(&Environment::of([("OPERATOR_TOKEN", token)]), &Flags::none());
    let csrf = fs::read_to_string(site.path("secrets/csrf_secret")).unwrap();
    for (token, code) in [
        ("Zt6vQ1mD9sXb4Kp0", Code::ShortSecret),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", Code::RepetitiveSecret),
        (csrf.trim(), Code::EqualSecrets),
        ("Zt6vQ1mD9sXb4Kp0\nr8Wn2Hc7Lf5Jg3Ty6Ue1Ia9Ov4Bm0", Code::NotAHeader),
    ] {
        let problems = load(token).unwrap_err();
        assert!(codes(&problems).contains(&code), "{problems}");
        assert!(!problems.to_string().contains(token), "no problem repeats it");
    }
    assert!(load("Zt6vQ1mD9sXb4Kp0r8Wn2Hc7Lf5Jg3Ty6Ue1Ia9Ov4Bm0").is_ok());
}

#[test]
fn reports_tell_strength_and_equality_without_the_secret() {
    let site = Site::with("[secrets]\noperator_token = \"file:secrets/operator_token\"\n");
    let loaded = site.loaded();
    let reports = loaded.config.secrets.reports();
    assert_eq!(
        reports.iter().map(|report| report.name).collect::<Vec<_>>(),
        ["jwt_secret", "encryption_key", "csrf_secret", "audit_key", "operator_token"]
    );
    for report in reports {
        assert_eq!((report.characters, report.decoded_bits), (44, Some(256)));
        assert!(report.estimated_bits >= 128 && report.weaknesses.is_empty());
        let value = fs::read_to_string(site.path(&format!("secrets/{}", report.name))).unwrap();
        assert!(!format!("{report:?}").contains(&value));
    }
    assert_eq!(reports.iter().map(|report| &report.fingerprint).collect::<BTreeSet<_>>().len(), 5);
    let again = site.loaded();
    assert_ne!(
        again.config.secrets.reports()[0].fingerprint,
        reports[0].fingerprint,
        "the salt is new in every load"
    );
}
