//! What is wrong is said, all of it, with its place.

use insta::assert_snapshot;
use portcullis_config::{Code, Origin, TlsVersion};

use crate::site::{Site, codes, problems};

#[test]
fn a_file_with_many_faults_names_all_of_them_with_their_places() {
    assert_snapshot!(problems(
        r#"
public_url = "http://chat.example.org"
data_dri = "data"

[listen]
member = "localhost:8080"
operator = 8081

[limits]
per_key_per_minute = 0
body_bytes = "1 MiB"
burst = 5

[log]
format = "jsn"

[proxies]
trusted = ["10.0.0.0/8", "10.0.0.1/8", 7, "0.0.0.0/0"]

[secrets]
jwt_secret = "file:secrets/nothing"
csrf_secret = "hunter2hunter2hunter2hunter2hunter2"

[model]
name = "llama3.2"
total_timeout_ms = 5.5

[guards]
on = true
"#
    ), @r#"
    error[CFG-019]: `public_url` must be https, or http on a loopback address, found `http://chat.example.org`
      --> portcullis.toml:2:14
      help: give the address that members type, with TLS ended by `[tls]` or by a proxy

    error[CFG-003]: `data_dri` is not a known key
      --> portcullis.toml:3:1
      help: did you mean `data_dir`?

    error[CFG-011]: `listen.member` must be `IP:PORT`, such as `127.0.0.1:8080` or `[::1]:8080`, found `localhost:8080`
      --> portcullis.toml:6:10
      help: remove the key to use the default ("127.0.0.1:8080")

    error[CFG-004]: `listen.operator` must be an address in quotes, found a whole number
      --> portcullis.toml:7:12
      help: remove the key to use the default ("127.0.0.1:8081")

    error[CFG-012]: `limits.per_key_per_minute` must be at least 1, found 0
      --> portcullis.toml:10:22
      help: remove the key to use the default (60)

    error[CFG-004]: `limits.body_bytes` must be a whole number, found text
      --> portcullis.toml:11:14
      help: remove the key to use the default (1048576)

    error[CFG-003]: `limits.burst` is not a known key
      --> portcullis.toml:12:1
      help: remove it; `portcullis.example.toml` lists every key

    error[CFG-010]: `log.format` must be `json` or `text`, found `jsn`
      --> portcullis.toml:15:10
      help: did you mean `json`?

    error[CFG-014]: `proxies.trusted` must have no bits set outside its prefix: the network is `10.0.0.0/8`, found `10.0.0.1/8`
      --> portcullis.toml:18:26
      help: correct this element or remove it

    error[CFG-004]: `proxies.trusted` must be a list of networks in quotes, found a whole number
      --> portcullis.toml:18:40
      help: correct this element or remove it

    error[CFG-014]: `proxies.trusted` must have a prefix of at least 8 bits: a wider network is everybody, found `0.0.0.0/0`
      --> portcullis.toml:18:43
      help: correct this element or remove it

    error[CFG-022]: `secrets.jwt_secret` refers to the file `secrets/nothing`, which does not exist
      --> portcullis.toml:21:14
      help: `portcullis init` in an empty folder makes a configuration with fresh keys

    error[CFG-020]: `secrets.csrf_secret` must be a reference, `env:NAME` or `file:PATH`, found a literal value, which is not shown
      --> portcullis.toml:22:15
      help: make a new key in a file of mode 0600 and write `file:PATH`; what stood here counts as known

    error[CFG-005]: `model.url` is missing: `[model]` needs it
      --> portcullis.toml:24:2
      help: write for example `model.url = "http://127.0.0.1:11434/v1"`

    error[CFG-004]: `model.total_timeout_ms` must be a whole number, found a decimal number
      --> portcullis.toml:26:20
      help: remove the key to use the default (300000)

    error[CFG-003]: `guards` is not a known key
      --> portcullis.toml:28:2
      help: remove it; `portcullis.example.toml` lists every key

    16 errors
    "#);
}

#[test]
fn a_syntax_error_does_not_hide_the_faults_of_other_lines() {
    assert_snapshot!(problems(
        "data_dir = \n[limits]\nper_key_per_minute = 0\nbody_bytes = 5 5\nmax_connections = \"many\"\n"
    ), @r#"
    error[CFG-002]: not valid TOML: string values must be quoted, expected literal string
      --> portcullis.toml:1:12

    error[CFG-012]: `limits.per_key_per_minute` must be at least 1, found 0
      --> portcullis.toml:3:22
      help: remove the key to use the default (60)

    error[CFG-002]: not valid TOML: string values must be quoted, expected literal string
      --> portcullis.toml:4:14

    error[CFG-004]: `limits.max_connections` must be a whole number, found text
      --> portcullis.toml:5:19
      help: remove the key to use the default (10000)

    4 errors
    "#);
}

#[test]
fn a_broken_table_header_holds_back_what_may_only_follow_from_it() {
    assert_snapshot!(problems(
        "[limits]\nper_key_per_minute = 0\n[model\nurl = \"http://127.0.0.1:1/v1\"\nname = \"m\"\n"
    ), @r#"
    error[CFG-012]: `limits.per_key_per_minute` must be at least 1, found 0
      --> portcullis.toml:2:22
      help: remove the key to use the default (60)

    error[CFG-002]: not valid TOML: unclosed table, expected `]`
      --> portcullis.toml:3:7

    2 errors
    "#);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let site = Site::with("");
    std::fs::remove_file(site.path("portcullis.toml")).unwrap();
    assert_snapshot!(site.told(&site.problems()), @r#"
    error[CFG-001]: the configuration file does not exist
      --> portcullis.toml
      help: `portcullis init` writes one with fresh keys

    1 error
    "#);
}

#[test]
fn a_file_that_is_no_text_or_no_file_or_far_too_large_is_refused() {
    let site = Site::with("");
    std::fs::write(site.path("portcullis.toml"), [0xff, 0xfe]).unwrap();
    assert_eq!(codes(&site.problems()), [Code::Unreadable]);
    std::fs::write(site.path("portcullis.toml"), "#".repeat(2 << 20)).unwrap();
    assert_eq!(codes(&site.problems()), [Code::Unreadable]);
    std::fs::remove_file(site.path("portcullis.toml")).unwrap();
    std::fs::create_dir(site.path("portcullis.toml")).unwrap();
    assert_eq!(codes(&site.problems()), [Code::Unreadable]);
}

/// For every key a value that it must refuse, and the code it must refuse it with.
const BAD: &[(&str, &str, Code)] = &[
    ("data_dir", "\"\"", Code::BadPath),
    ("public_url", "\"ftp://example.org\"", Code::BadUrl),
    ("public_url", "\"http://example.org\"", Code::PlainPublicUrl),
    ("public_url", "\"https://example.org/bot\"", Code::BadUrl),
    ("listen.member", "\"8080\"", Code::Malformed),
    ("listen.operator", "\"127.0.0.1\"", Code::Malformed),
    ("listen.redirect", "80", Code::WrongType),
    ("tls.min_version", "1.2", Code::WrongType),
    ("tls.min_version", "\"1.1\"", Code::NotAChoice),
    ("tls.certificate", "5", Code::WrongType),
    ("tls.key", "[\"a\"]", Code::WrongType),
    ("proxies.trusted", "\"10.0.0.0/8\"", Code::WrongType),
    ("proxies.trusted", "[\"10.0.0.0/8\", \"10.0.0.0/8\"]", Code::Duplicate),
    ("secrets.jwt_secret", "\"file:\"", Code::BadReference),
    ("secrets.encryption_key", "\"env:not a name\"", Code::BadReference),
    ("secrets.csrf_secret", "\"plain text\"", Code::LiteralSecret),
    ("secrets.audit_key", "5", Code::WrongType),
    ("secrets.operator_token", "\"plain text\"", Code::LiteralSecret),
    ("model.url", "\"model:11434\"", Code::BadUrl),
    ("model.name", "\"\"", Code::Malformed),
    ("model.api_key", "\"sk-live-value\"", Code::LiteralSecret),
    ("model.allow", "[5]", Code::WrongType),
    ("model.connect_timeout_ms", "0", Code::OutOfRange),
    ("model.first_byte_timeout_ms", "-1", Code::OutOfRange),
    ("model.idle_timeout_ms", "1e3", Code::WrongType),
    ("model.total_timeout_ms", "99999999999999999999999999", Code::OutOfRange),
    ("model.max_concurrent", "0", Code::OutOfRange),
    ("model.max_concurrent_per_member", "0", Code::OutOfRange),
    ("model.max_concurrent_per_community", "\"all\"", Code::WrongType),
    ("model.queue", "true", Code::WrongType),
    ("model.queue_timeout_ms", "\"10s\"", Code::WrongType),
    ("model.max_tokens", "99999999999999999999999999999999999999999999", Code::OutOfRange),
    ("model.system", "\" \"", Code::Malformed),
    ("release.mode", "\"slow\"", Code::NotAChoice),
    ("release.whole", "[\"Bakers\"]", Code::Malformed),
    ("release.hosts", "[\"https://example.org\"]", Code::Malformed),
    ("release.system_text", "\"redact\"", Code::NotAChoice),
    ("release.secrets", "\"on\"", Code::NotAChoice),
    ("release.personal_data", "true", Code::WrongType),
    ("release.personal_data_except", "[\"mail\"]", Code::NotAChoice),
    ("release.links", "\"drop\"", Code::NotAChoice),
    ("release.quote_content", "\"yes\"", Code::WrongType),
    ("release.own_request_system_text", "\"redact\"", Code::NotAChoice),
    ("release.own_request_secrets", "\"on\"", Code::NotAChoice),
    ("release.own_request_personal_data", "\"on\"", Code::NotAChoice),
    ("release.own_request_links", "\"on\"", Code::NotAChoice),
    ("screen.mode", "\"on\"", Code::NotAChoice),
    ("screen.secrets", "\"flag\"", Code::NotAChoice),
    ("screen.off", "[\"Bakers\"]", Code::Malformed),
    ("screen.observe", "true", Code::WrongType),
    ("screen.flag", "[5]", Code::WrongType),
    ("screen.block", "[\"a\"]", Code::Malformed),
    ("screen.question_flag", "0", Code::OutOfRange),
    ("screen.question_block", "1001", Code::OutOfRange),
    ("screen.document_flag", "0.5", Code::WrongType),
    ("screen.document_block", "\"high\"", Code::WrongType),
    ("handover.mode", "\"on\"", Code::NotAChoice),
    ("handover.off", "[\"Bakers\"]", Code::Malformed),
    ("handover.observe", "true", Code::WrongType),
    ("handover.hand_over", "[5]", Code::WrongType),
    ("handover.except", "[\"weather\"]", Code::NotAChoice),
    ("handover.self_harm", "[\"..\"]", Code::Malformed),
    ("handover.legal_threat", "[\"a|b\"]", Code::Malformed),
    ("handover.private_data", "7", Code::WrongType),
    ("handover.other", "[\"\"]", Code::Malformed),
    ("handover.self_harm_help", "\" \"", Code::Malformed),
    ("handover.contact", "true", Code::WrongType),
    ("handover.keep_days", "0", Code::OutOfRange),
    ("handover.most_open", "501", Code::OutOfRange),
    ("handover.most_of_one", "0", Code::OutOfRange),
    ("mail.kind", "\"sendmail\"", Code::NotAChoice),
    ("mail.from", "\"The Club <a@example.org>\"", Code::Malformed),
    ("mail.from", "\"a@example.org\\r\\nBcc: b@example.org\"", Code::Malformed),
    ("mail.from_name", "\"a\\nb\"", Code::Malformed),
    ("mail.host", "\"smtp://mail.example.org\"", Code::Malformed),
    ("mail.host", "\"mail.example.org:25\"", Code::Malformed),
    ("mail.port", "65536", Code::OutOfRange),
    ("mail.security", "\"STARTTLS\"", Code::NotAChoice),
    ("mail.username", "\"\"", Code::Malformed),
    ("mail.password", "\"hunter2\"", Code::LiteralSecret),
    ("mail.ca_file", "\"\"", Code::BadPath),
    ("mail.timeout_ms", "0", Code::OutOfRange),
    ("mail.outbox", "5", Code::WrongType),
    ("sign_in.link_minutes", "61", Code::OutOfRange),
    ("sign_in.link_minutes", "0", Code::OutOfRange),
    ("sign_in.session_days", "31", Code::OutOfRange),
    ("sign_in.session_idle_minutes", "\"7d\"", Code::WrongType),
    ("sign_in.open", "[\"Bakers\"]", Code::Malformed),
    ("sign_in.open", "true", Code::WrongType),
    ("sign_in.links_per_address_per_hour", "0", Code::OutOfRange),
    ("sign_in.links_per_client_per_hour", "0", Code::OutOfRange),
    ("limits.per_key_per_minute", "0", Code::OutOfRange),
    ("limits.per_key_per_hour", "0", Code::OutOfRange),
    ("limits.per_key_per_day", "\"many\"", Code::WrongType),
    ("limits.per_session_per_minute", "0", Code::OutOfRange),
    ("limits.per_session_per_hour", "-1", Code::OutOfRange),
    ("limits.per_session_per_day", "0", Code::OutOfRange),
    ("limits.per_address_per_hour", "0", Code::OutOfRange),
    ("limits.per_address_per_day", "0", Code::OutOfRange),
    ("limits.tokens_per_member_per_day", "0", Code::OutOfRange),
    ("limits.tokens_per_community_per_day", "\"5M\"", Code::WrongType),
    ("limits.currency", "\"euro\"", Code::Malformed),
    ("limits.cost_per_member_per_day", "\"0\"", Code::OutOfRange),
    ("limits.cost_per_community_per_day", "2.5", Code::WrongType),
    ("model.prices", "[\"small=0/1\"]", Code::Malformed),
    ("limits.memory_bytes", "1000", Code::OutOfRange),
    ("limits.instances", "0", Code::OutOfRange),
    ("blocklist.networks", "[\"0.0.0.0/0\"]", Code::BadNetwork),
    ("blocklist.allow", "\"127.0.0.1\"", Code::WrongType),
    ("blocklist.automatic", "\"on\"", Code::WrongType),
    ("blocklist.refused_credentials", "0", Code::OutOfRange),
    ("blocklist.refused_requests", "0", Code::OutOfRange),
    ("blocklist.malformed_requests", "0", Code::OutOfRange),
    ("blocklist.window_minutes", "1441", Code::OutOfRange),
    ("blocklist.block_seconds", "0", Code::OutOfRange),
    ("tiers.standard_per_minute", "0", Code::OutOfRange),
    ("tiers.standard_per_hour", "0", Code::OutOfRange),
    ("tiers.standard_per_day", "0", Code::OutOfRange),
    ("tiers.enhanced_per_minute", "0", Code::OutOfRange),
    ("tiers.enhanced_per_hour", "0", Code::OutOfRange),
    ("tiers.enhanced_per_day", "0", Code::OutOfRange),
    ("tiers.dedicated_per_minute", "0", Code::OutOfRange),
    ("tiers.dedicated_per_hour", "0", Code::OutOfRange),
    ("tiers.dedicated_per_day", "[]", Code::WrongType),
    ("limits.per_address_per_minute", "5000000", Code::OutOfRange),
    ("limits.unauthenticated_per_address_per_minute", "[]", Code::WrongType),
    ("limits.body_bytes", "1", Code::OutOfRange),
    ("limits.body_timeout_ms", "0", Code::OutOfRange),
    ("limits.body_bytes_per_second", "0", Code::OutOfRange),
    ("limits.header_bytes", "1", Code::OutOfRange),
    ("limits.header_timeout_ms", "1979-05-27", Code::WrongType),
    ("limits.request_timeout_ms", "{}", Code::WrongType),
    ("limits.write_timeout_ms", "0", Code::OutOfRange),
    ("limits.max_connections", "0x0", Code::OutOfRange),
    ("limits.max_connections_per_address", "0", Code::OutOfRange),
    ("limits.idempotency_entries", "0", Code::OutOfRange),
    ("limits.idempotency_bytes", "1000", Code::OutOfRange),
    ("limits.idempotency_ttl_s", "0", Code::OutOfRange),
    ("audit.checkpoint_records", "0", Code::OutOfRange),
    ("audit.checkpoint_seconds", "86401", Code::OutOfRange),
    ("log.format", "\"xml\"", Code::NotAChoice),
    ("log.level", "\"INFO\"", Code::NotAChoice),
    ("danger.danger_guards_off", "\"rate-limit\"", Code::WrongType),
    ("danger.danger_allow_weak_secrets", "\"yes\"", Code::WrongType),
    ("tools.rounds", "0", Code::OutOfRange),
    ("tools.calls", "101", Code::OutOfRange),
    ("tools.approval_minutes", "0", Code::OutOfRange),
    ("tools.approvals_keep_days", "0", Code::OutOfRange),
    ("tools.approvals_most_open", "501", Code::OutOfRange),
    ("tools.approvals_most_of_one", "0", Code::OutOfRange),
    ("tools.programs_at_once", "65", Code::OutOfRange),
    ("tools.programs_most_waiting", "0", Code::OutOfRange),
    ("tool.approval", "\"nobody\"", Code::NotAChoice),
    ("tool.name", "\"\"", Code::Malformed),
    ("tool.kind", "\"http\"", Code::NotAChoice),
    ("tool.url", "\"ftp://x.example\"", Code::BadUrl),
    ("tool.key", "\"a literal secret\"", Code::LiteralSecret),
    ("tool.description", "\" \"", Code::Malformed),
    ("tool.schema", "\"\"", Code::BadPath),
    ("tool.hosts", "[\"https://x.example\"]", Code::Malformed),
    ("tool.remote_name", "\"\"", Code::Malformed),
    ("tool.program", "\"\"", Code::BadPath),
    ("tool.memory_bytes", "65535", Code::OutOfRange),
    ("tool.output_bytes", "255", Code::OutOfRange),
    ("tool.communities", "[]", Code::Malformed),
    ("tool.roles", "[\"boss\"]", Code::NotAChoice),
    ("tool.pin", "\"\"", Code::Malformed),
    ("tool.networks", "[\"0.0.0.0/0\"]", Code::BadNetwork),
    ("tool.per_turn", "0", Code::OutOfRange),
    ("tool.per_hour", "0", Code::OutOfRange),
    ("tool.per_day", "0", Code::OutOfRange),
    ("tool.timeout_seconds", "121", Code::OutOfRange),
    ("tool.result_bytes", "255", Code::OutOfRange),
    ("issuer.name", "\"\"", Code::Malformed),
    ("issuer.audience", "5", Code::WrongType),
    ("issuer.communities", "[]", Code::Malformed),
    ("issuer.communities", "\"bakers\"", Code::WrongType),
    ("issuer.communities", "[\"Bakers\"]", Code::Malformed),
    ("issuer.communities", "[\"bakers\", \"bakers\"]", Code::Duplicate),
    ("issuer.algorithm", "\"none\"", Code::NotAChoice),
    ("issuer.algorithm", "\"hs256\"", Code::NotAChoice),
    ("issuer.key", "\"a literal secret\"", Code::LiteralSecret),
    ("issuer.public_key", "\"\"", Code::BadPath),
    ("issuer.jwks", "[\"a\"]", Code::WrongType),
    ("issuer.key_id", "\"a\\nb\"", Code::Malformed),
    ("issuer.grants_entitlements", "\"yes\"", Code::WrongType),
    ("issuer.provisions_members", "1", Code::WrongType),
    ("issuer.leeway_seconds", "301", Code::OutOfRange),
    ("issuer.leeway_seconds", "-1", Code::OutOfRange),
    ("issuer.longest_life_seconds", "0", Code::OutOfRange),
];

#[test]
fn every_key_refuses_a_bad_value_at_its_line() {
    for &(key, value, code) in BAD {
        let text = match key.split_once('.') {
            Some((list @ ("issuer" | "tool"), key)) => format!("# a comment\n[[{list}]]\n{key} = {value}\n"),
            Some((section, key)) => format!("# a comment\n[{section}]\n{key} = {value}\n"),
            None => format!("# a comment\n\n{key} = {value}\n"),
        };
        let column = text.lines().nth(2).unwrap().find(" = ").unwrap() + 4;
        let problems = Site::with(&text).problems();
        let found =
            problems.iter().find(|problem| problem.code == code && problem.key.as_deref() == Some(key));
        let problem = found.unwrap_or_else(|| panic!("{key} = {value}: {problems}"));
        // A fault in an element of a list stands at the element.
        assert!(
            matches!(&problem.origin, Origin::File { line: 3, column: at, .. } if *at >= column),
            "{key}: {problem}"
        );
    }
}

#[test]
fn the_table_of_bad_values_holds_every_key() {
    for line in portcullis_config::reference_markdown().lines() {
        if let Some(key) = line.strip_prefix("### `").and_then(|rest| rest.strip_suffix('`')) {
            assert!(BAD.iter().any(|(bad, ..)| *bad == key), "no bad value for {key}");
        }
    }
}

#[test]
fn a_listener_that_others_reach_wants_tls_or_a_trusted_https_proxy() {
    let exposed = "[listen]\nmember = \"0.0.0.0:8080\"\noperator = \"[::]:8081\"\n";
    assert_snapshot!(problems(exposed), @r#"
    error[CFG-017]: `listen.member` must be a loopback address while there is no TLS before or in the program, found `0.0.0.0:8080`
      --> portcullis.toml:2:10
      help: set `[tls]`; or, behind a proxy that ends TLS, an https `public_url` and `proxies.trusted`

    error[CFG-017]: `listen.operator` must be a loopback address while there is no TLS before or in the program, found `[::]:8081`
      --> portcullis.toml:3:12
      help: set `[tls]`; or, behind a proxy that ends TLS, an https `public_url` and `proxies.trusted`

    2 errors
    "#);

    let https = "public_url = \"https://chat.example.org\"\n";
    let proxy = "[proxies]\ntrusted = [\"10.0.0.0/8\"]\n";
    let refused = |text: String| codes(&Site::with(&text).problems());
    assert_eq!(refused(format!("{https}{exposed}")), [Code::ExposedListener, Code::ExposedListener]);
    assert_eq!(refused(format!("{exposed}{proxy}")), [Code::ExposedListener, Code::ExposedListener]);
    let loaded = Site::with(&format!("{https}{exposed}{proxy}")).loaded();
    assert!(loaded.warnings.is_empty() && loaded.config.public_url.is_https());
}

#[test]
fn tls_wants_both_files_a_private_key_and_an_https_address() {
    assert_snapshot!(problems("[tls]\ncertificate = \"chain.pem\"\n"), @r#"
    error[CFG-009]: `tls.key` is missing: `[tls]` needs both of its keys
      --> portcullis.toml:1:2
      help: add it, or remove `[tls]` to speak plain HTTP

    1 error
    "#);
    assert_eq!(codes(&Site::with("[tls]\n").problems()), [Code::HalfPair, Code::HalfPair]);

    let text = "public_url = \"https://chat.example.org\"\n[listen]\nmember = \"0.0.0.0:8443\"\n[tls]\ncertificate = \"chain.pem\"\nkey = \"key.pem\"\n";
    let site = Site::with(text);
    assert_eq!(codes(&site.problems()), [Code::BadPath, Code::BadPath]);
    site.file("chain.pem", "-", 0o644);
    site.file("key.pem", "-", 0o640);
    assert_eq!(codes(&site.problems()), [Code::ExposedSecret]);
    site.file("key.pem", "-", 0o600);
    let tls = site.loaded().config.tls.expect("TLS is set");
    assert_eq!((tls.certificate, tls.key), (site.path("chain.pem"), site.path("key.pem")));

    std::fs::write(
        site.path("portcullis.toml"),
        text.replace("https://chat.example.org", "http://127.0.0.1"),
    )
    .unwrap();
    assert_eq!(codes(&site.problems()), [Code::PlainPublicUrl]);
}

#[test]
fn an_old_version_of_tls_is_a_warning() {
    let text = "public_url = \"https://chat.example.org\"\n[tls]\ncertificate = \"chain.pem\"\nkey = \"key.pem\"\nmin_version = \"1.2\"\n";
    let site = Site::with(text);
    site.file("chain.pem", "-", 0o644);
    site.file("key.pem", "-", 0o600);
    let loaded = site.loaded();
    assert_eq!(codes(&loaded.warnings), [Code::OldTls]);
    assert_eq!(loaded.config.tls.expect("TLS is set").min_version, TlsVersion::Tls12);
    std::fs::write(site.path("portcullis.toml"), text.replace("1.2", "1.3")).unwrap();
    assert!(site.loaded().warnings.is_empty());
}

#[test]
fn a_redirect_leads_to_https_from_a_port_of_its_own() {
    let redirect = "[listen]\nredirect = \"0.0.0.0:8080\"\n";
    let refused = |text: String| codes(&Site::with(&text).problems());
    assert_eq!(refused(redirect.to_owned()), [Code::SharedListener, Code::PlainPublicUrl]);
    let https = "public_url = \"https://chat.example.org\"\n";
    assert_eq!(refused(format!("{https}{redirect}").replace("8080", "8081")), [Code::SharedListener]);
    let loaded = Site::with(&format!("{https}{redirect}").replace("8080", "80")).loaded();
    assert!(loaded.warnings.is_empty(), "it carries nothing, so others may reach it");
    assert_eq!(loaded.config.listen.redirect, Some("0.0.0.0:80".parse().unwrap()));
    assert_eq!(Site::with("").loaded().config.listen.redirect, None);
}

#[test]
fn two_listeners_on_one_port_are_refused() {
    let problems = Site::with("[listen]\noperator = \"127.0.0.1:8080\"\n").problems();
    assert_eq!(codes(&problems), [Code::SharedListener]);
}

#[test]
fn the_model_needs_a_url_and_a_name_and_settings_that_agree() {
    assert_snapshot!(problems("[model]\nmax_tokens = 5\n"), @r#"
    error[CFG-005]: `model.url` is missing: `[model]` needs it
      --> portcullis.toml:1:2
      help: write for example `model.url = "http://127.0.0.1:11434/v1"`

    error[CFG-005]: `model.name` is missing: `[model]` needs it
      --> portcullis.toml:1:2
      help: write for example `model.name = "llama3.2"`

    2 errors
    "#);
    let text = "[model]\nurl = \"http://model.example.org/v1\"\nname = \"a\"\nidle_timeout_ms = 600000\n";
    let loaded = Site::with(text).loaded();
    assert_eq!(codes(&loaded.warnings), [Code::PlainModelUrl, Code::HiddenTimeout]);
    let problems =
        Site::with("[model]\nurl = \"https://m.example.org\"\nname = \"a\"\nallow = [\"b\"]\n").problems();
    assert_eq!(codes(&problems), [Code::Dangling]);
}

#[test]
fn a_url_with_a_password_is_refused_without_telling_it() {
    for url in [
        "https://user:PRIVATE-CANARY@m.example.org/v1",
        "https://m.example.org/v1?key=PRIVATE-CANARY",
        "ftp://u:PRIVATE-CANARY@h",
    ] {
        let told = problems(&format!("[model]\nname = \"a\"\nurl = \"{url}\"\n"));
        assert!(told.contains("CFG-013") && !told.contains("CANARY"), "{told}");
    }
}

#[test]
fn no_address_may_take_all_connections_and_parts_of_the_model_follow_from_the_whole() {
    let told = |limits: &str, model: &str| {
        let model = format!("[model]\nurl = \"http://127.0.0.1:1/v1\"\nname = \"a\"\n{model}");
        let site = Site::with(&format!("{model}\n[limits]\n{limits}"));
        let config = site.loaded().config;
        let model = config.model.expect("a model");
        [
            config.limits.max_connections_per_address,
            model.max_concurrent_per_member,
            model.max_concurrent_per_community,
        ]
        .map(std::num::NonZeroU32::get)
    };
    assert_eq!(told("", ""), [256, 8, 48]);
    assert_eq!(told("max_connections = 100", "max_concurrent = 4"), [50, 2, 3]);
    assert_eq!(told("max_connections = 1", "max_concurrent = 1"), [1, 2, 1]);
    let own = "max_concurrent_per_member = 1\nmax_concurrent_per_community = 64";
    assert_eq!(told("max_connections_per_address = 10", own), [10, 1, 64]);
}

#[test]
fn a_body_time_out_that_never_takes_effect_is_a_warning() {
    let site = Site::with("[limits]\nbody_timeout_ms = 20000\nrequest_timeout_ms = 15000");
    assert_eq!(codes(&site.loaded().warnings), [Code::HiddenTimeout]);
}
