//! `[mail]` and `[sign_in]`.

use std::time::Duration;

use insta::assert_snapshot;
use portcullis_config::{Code, MailRoute, MailSecurity, MailServer};

use crate::site::{Site, codes, problems};

const PASSWORD: &str = "a short one";

fn smtp(more: &str) -> String {
    format!("[mail]\nkind = \"smtp\"\nfrom = \"no-reply@example.org\"\nhost = \"smtp.example.org\"\n{more}\n")
}

fn site(text: &str) -> Site {
    let site = Site::with(text);
    site.file("secrets/mail", PASSWORD, 0o600);
    site.file("ca.pem", "-----BEGIN CERTIFICATE-----\n", 0o644);
    site
}

fn server(text: &str) -> MailServer {
    match site(text).loaded().config.mail.expect("mail is set").route {
        MailRoute::Smtp(server) => server,
        MailRoute::Outbox { .. } => panic!("a folder"),
    }
}

fn refused(text: &str) -> Vec<Code> {
    codes(&site(text).problems())
}

#[test]
fn each_kind_takes_its_own() {
    let plain = server(&smtp(""));
    assert_eq!(
        (plain.port, plain.security, plain.timeout),
        (587, MailSecurity::StartTls, Duration::from_secs(30))
    );
    assert!(plain.login.is_none() && plain.roots.is_none());
    assert_eq!(server(&smtp("security = \"tls\"")).port, 465);
    assert_eq!(server(&smtp("port = 2525")).port, 2525);
    let login = server(&smtp("username = \"u\"\npassword = \"file:secrets/mail\"\nca_file = \"ca.pem\""));
    let given = login.login.expect("a login");
    assert_eq!((given.username.as_str(), given.password.expose().as_str()), ("u", PASSWORD));
    assert!(login.roots.expect("roots").contains("CERTIFICATE"));

    let folder = site(
        "[mail]\nkind = \"outbox\"\nfrom = \"a@example.org\"\nfrom_name = \"Bäcker\"\noutbox = \"out\"\n",
    );
    let mail = folder.loaded().config.mail.expect("mail is set");
    assert_eq!(
        (mail.from.as_str(), mail.from_name.as_ref().map(|name| name.as_str())),
        ("a@example.org", Some("Bäcker"))
    );
    assert!(matches!(mail.route, MailRoute::Outbox { folder: path } if path == folder.path("out")));

    let none = Site::with("").loaded().config;
    assert!(none.mail.is_none() && none.sign_in.open.is_empty());
}

#[test]
fn everything_that_is_wrong_with_mail_is_told_at_once() {
    let text = "[mail]\nfrom = \"The Club <a@example.org>\"\nhost = \"smtp://example.org\"\nport = 0\nsecurity = \"ssl\"\nusername = \"u\"\nca_file = \"gone.pem\"\n";
    assert_snapshot!(problems(text), @r#"
    error[CFG-005]: `mail.kind` is missing: `[mail]` needs it
      --> portcullis.toml:1:2
      help: write for example `mail.kind = "smtp"`

    error[CFG-011]: `mail.from` must be a mail address alone, such as `no-reply@example.org`, found `The Club <a@example.org>`
      --> portcullis.toml:2:8
      help: put the name into `mail.from_name`

    error[CFG-011]: `mail.host` must be a host by DNS name or address, without scheme and port, found `smtp://example.org`
      --> portcullis.toml:3:8
      help: write for example `"smtp.example.org"`

    error[CFG-012]: `mail.port` must be at least 1, found 0
      --> portcullis.toml:4:8
      help: write for example `587`

    error[CFG-010]: `mail.security` must be `starttls`, `tls` or `none`, found `ssl`
      --> portcullis.toml:5:12
      help: remove the key to use the default ("starttls")

    error[CFG-009]: `mail.password` is missing: a login is `mail.username` and it
      --> portcullis.toml:6:12
      help: add it, or remove both for a server that wants no login

    error[CFG-015]: `mail.ca_file` names a file that does not exist
      --> portcullis.toml:7:11
      help: give its path, relative to the folder of this file

    7 errors
    "#);
    assert_snapshot!(problems("[mail]\nkind = \"smtp\"\noutbox = \"out\"\n"), @r#"
    error[CFG-005]: `mail.from` is missing: `[mail]` needs it
      --> portcullis.toml:1:2
      help: write for example `mail.from = "no-reply@example.org"`

    error[CFG-005]: `mail.host` is missing: `[mail]` needs it
      --> portcullis.toml:1:2
      help: write for example `mail.host = "smtp.example.org"`

    error[CFG-034]: `mail.outbox` is for `outbox`; `smtp` takes `host`
      --> portcullis.toml:3:10
      help: remove it

    3 errors
    "#);
    assert_snapshot!(
        problems("[mail]\nkind = \"outbox\"\nfrom = \"a@example.org\"\nhost = \"smtp.example.org\"\ntimeout_ms = 5\n"),
        @r#"
    error[CFG-005]: `mail.outbox` is missing: `[mail]` needs it
      --> portcullis.toml:1:2
      help: write for example `mail.outbox = "outbox"`

    error[CFG-034]: `mail.host` is for `smtp`; `outbox` takes `outbox`
      --> portcullis.toml:4:8
      help: remove it

    error[CFG-034]: `mail.timeout_ms` is for `smtp`; `outbox` takes `outbox`
      --> portcullis.toml:5:14
      help: remove it

    3 errors
    "#
    );
}

#[test]
fn mail_in_the_clear_stays_on_this_machine() {
    for host in ["127.0.0.1", "[::1]", "localhost"] {
        let text = smtp("security = \"none\"").replace("smtp.example.org", host);
        assert_eq!((server(&text).port, server(&text).security), (25, MailSecurity::None));
    }
    for host in ["smtp.example.org", "10.0.0.1", "0.0.0.0", "[::]", "localhost.example.org"] {
        assert_eq!(
            refused(&smtp("security = \"none\"").replace("smtp.example.org", host)),
            [Code::PlainMail],
            "{host}"
        );
    }
    assert_snapshot!(problems(&smtp("security = \"none\"")), @r#"
    error[CFG-037]: `mail.security` must be `starttls` or `tls` for a server that is not on a loopback address of this machine, found `none`
      --> portcullis.toml:5:12
      help: remove the key to use the default ("starttls")

    1 error
    "#);
}

#[test]
fn a_login_is_whole_and_its_password_is_nobody_elses() {
    assert_eq!(refused(&smtp("username = \"u\"")), [Code::HalfPair]);
    assert_eq!(refused(&smtp("password = \"file:secrets/mail\"")), [Code::HalfPair]);
    assert_eq!(refused(&smtp("username = \"u\"\npassword = \"file:secrets/gone\"")), [Code::MissingSecret]);
    assert_eq!(
        refused(&smtp("username = \"u\"\npassword = \"file:secrets/csrf_secret\"")),
        [Code::EqualSecrets]
    );
    let two_lines = site(&smtp("username = \"u\"\npassword = \"file:secrets/mail\""));
    two_lines.file("secrets/mail", "PRIVATE\r\nCANARY", 0o600);
    let problems = two_lines.problems();
    assert_eq!(codes(&problems), [Code::Malformed]);
    assert!(!format!("{problems} {problems:?}").contains("CANARY"));
    two_lines.file("secrets/mail", "PRIVATE", 0o644);
    assert_eq!(codes(&two_lines.problems()), [Code::ExposedSecret]);
    let loaded = site(&smtp("username = \"u\"\npassword = \"file:secrets/mail\"")).loaded();
    assert!(!format!("{loaded:?} {}", loaded.resolved.show()).contains(PASSWORD));
}

#[test]
fn roots_are_certificates_that_nobody_else_can_replace() {
    let text = smtp("ca_file = \"ca.pem\"");
    for (content, mode, code) in [
        ("-----BEGIN CERTIFICATE-----", 0o664, Code::WritableKey),
        ("-----BEGIN PUBLIC KEY-----", 0o644, Code::WrongKey),
        ("-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----", 0o600, Code::WrongKey),
        ("", 0o644, Code::WrongKey),
    ] {
        let site = site(&text);
        site.file("ca.pem", content, mode);
        assert_eq!(codes(&site.problems()), [code], "{mode:o} {content}");
    }
}

#[test]
fn a_folder_in_the_place_of_mail_is_a_warning_where_members_come() {
    let outbox = "[mail]\nkind = \"outbox\"\nfrom = \"a@example.org\"\noutbox = \"out\"\n";
    assert!(Site::with(outbox).loaded().warnings.is_empty());
    let loaded = Site::with(&format!("public_url = \"https://chat.example.org\"\n{outbox}")).loaded();
    assert_eq!(codes(&loaded.warnings), [Code::MailGoesNowhere]);
}

#[test]
fn a_session_ends_by_either_clock() {
    let sign_in = Site::with("").loaded().config.sign_in;
    let days = |days: u64| Duration::from_secs(days * 86_400);
    assert_eq!(
        (sign_in.link_life, sign_in.session_idle, sign_in.session_life),
        (days(1) / 96, days(7), days(30))
    );
    assert_eq!((sign_in.links_per_address_per_hour.get(), sign_in.links_per_client_per_hour.get()), (5, 20));

    let loaded = Site::with("[sign_in]\nsession_days = 1\nopen = [\"bakers\", \"potters\"]\n").loaded();
    assert_eq!(codes(&loaded.warnings), [Code::HiddenTimeout]);
    assert_eq!((loaded.config.sign_in.session_idle, loaded.config.sign_in.open.len()), (days(1), 2));
}
