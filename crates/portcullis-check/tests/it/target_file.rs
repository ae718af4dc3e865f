//! `target.toml`: every problem at once, and what `init` writes is a start.

use std::path::Path;

use portcullis_check::Target;

fn parse(text: &str) -> Result<Target, String> {
    let env = |name: &str| (name == "TOKEN").then(|| "token-of-alice".to_owned());
    Target::parse(text, Path::new("/nonexistent"), &env).map_err(|error| error.to_string())
}

#[test]
fn every_problem_is_reported_at_once_with_its_line() {
    let text = "name = \"bot\"\nbase_ulr = \"https://bot.example.org\"\n\n[[route]]\nmethod = \"FETCH\"\n\
                path = \"api\"\n\n[[identity]]\nname = \"alice\"\ncommunity = \"a\"\nbearer = \"sk-live-abcdef\"\n\n\
                [limits]\nuser_per_minute = \"60\"\n\n[secrets]\njwt_secret = \"env:MISSING\"\n\n[[declares]]\n\
                lacks = \"everything\"\nreason = \"r\"\napprover = \"\"\n";
    insta::assert_snapshot!(parse(text).unwrap_err(), @r#"
    error: `base_url`: found nothing, wanted a value: this key is required
      --> target:1
    error: `base_ulr`: found an unknown key, wanted a known key; `base_url` is near
      --> target:2
    error: `route[0].method`: found `FETCH`, wanted one of GET, HEAD, POST, PUT, PATCH, DELETE
      --> target:5
    error: `route[0].path`: found `api`, wanted a path that starts with `/`; queries go into `query`
      --> target:6
    error: `identity[0].bearer`: found a value that is no reference, wanted `env:NAME` or `file:PATH`, never the secret itself
      --> target:11
    error: `limits.user_per_minute`: found a value of type string, wanted a whole number from 1 to 10000
      --> target:14
    error: `secrets.jwt_secret`: found `env:MISSING`, which is not set, wanted an environment variable with a value
      --> target:17
    error: `declares[0].lacks`: found `everything`, wanted a control's id, `permission:NAME` or one of `expired`, `revoked`, `wrong-audience`, `pages`, `login`, `assets`, `user-limit`, `address-limit`, `session-limit`, `search`, `documents`, `streaming`, `lapsed`, `conversations`, `memories`, `uploads`, `cost-budget`, `service-keys`, `self-sign-up`, `staff-sign-up`, `flood-plan`, `shared-cache`
      --> target:20
    error: `declares[0].approver`: found empty text, wanted a value
      --> target:22
    "#);
}

#[test]
fn canaries_and_ends_that_show_nothing_are_reported() {
    let text = "name = \"bot\"\nbase_url = \"https://bot.example.org\"\n\n[[identity]]\nname = \"alice\"\ncommunity = \"a\"\n\
                bearer = \"env:TOKEN\"\nexpiring = true\n\n[[identity]]\nname = \"bob\"\ncommunity = \"a\"\n\
                bearer = \"env:TOKEN\"\nends = \"2026-01-10T12:00:00Z\"\n\n[[canary]]\ncommunity = \"a\"\nspace = \"lounge\"\n\
                plans = [\"plus\"]\nstaff = true\ntopic = \"the word hello\"\ntext = \"hello\"\n\n[[canary]]\n\
                community = \"a\"\nspace = \"office\"\ntopic = \"the ledger of the crew\"\ntitle = \"Ledger\"\n\
                text = \"qzvkxwpjmfhdbtlr\"\n\n[[canary]]\ncommunity = \"b\"\nspace = \"deck\"\ntopic = \"the signal\"\n\
                text = \"qzvkxwpjmfhdbtlr\"\n\n[chat]\nstream = '{\"stream\": true}'\n\n[health]\nblocked_url = \"no url\"\n";
    insta::assert_snapshot!(parse(text).unwrap_err(), @r#"
    error: `identity[0].expiring`: found a credential that does not say when it ends, wanted `ends`, a time such as `2026-01-10T12:00:00Z`
      --> target:8
    error: `identity[1].ends`: found an end without `expiring = true`, wanted both, or neither
      --> target:14
    error: `canary`: found the text of the one in space `deck` of b in another, wanted a random text of its own for each
      --> target:16
    error: `canary[0].staff`: found `staff = true` beside `plans`, wanted one of both: who may read the space
      --> target:20
    error: `canary[0].topic`: found a topic that holds the text or the title, wanted words that give neither away
      --> target:21
    error: `canary[0].text`: found a text that could come about by chance, wanted random text of at least 12 letters (a to z) and digits
      --> target:22
    error: `canary[1].topic`: found a topic that holds the text or the title, wanted words that give neither away
      --> target:27
    error: `chat.stream`: found a body without `{{message}}`, wanted a JSON body that holds `{{message}}`
      --> target:38
    error: `health.blocked_url`: found `no url`, wanted an absolute URL such as `http://10.0.0.7:8080`
      --> target:41
    "#);
}

#[test]
fn what_cannot_be_looked_at_in_an_edge_is_reported() {
    let dir = tempfile::TempDir::new().expect("a folder");
    let key = rcgen::KeyPair::generate().expect("a key");
    let root = rcgen::CertificateParams::new(Vec::new()).expect("a root");
    let issuer = rcgen::Issuer::new(root, rcgen::KeyPair::generate().expect("a key"));
    let mut issued = rcgen::CertificateParams::new(vec!["bot.example.org".to_owned()]).expect("names");
    issued.distinguished_name.push(rcgen::DnType::CommonName, "issued");
    let issued = issued.signed_by(&key, &issuer).expect("a certificate").pem();
    std::fs::write(dir.path().join("issued.pem"), issued).expect("it is written");
    std::fs::write(dir.path().join("key.pem"), key.serialize_pem()).expect("it is written");
    let text = "name = \"bot\"\nbase_url = \"https://bot.example.org\"\n\n[edge]\nhosts = [\"https://bot.example.org\"]\n\
                http_port = 0\nhttps_port = 70000\norigins = [\"10.0.0.7\"]\n\
                certificate_files = [\"file:key.pem\", \"next.pem\"]\nca = \"file:issued.pem\"\n\
                resolve = { \"bot.example.org\" = \"localhost\" }\ncomplete_by = \"\"\n\n[[edge.listener]]\n\
                at = \"db\"\nprotocol = \"redis\"\n";
    let error = Target::parse(text, dir.path(), &|_| None).unwrap_err().to_string();
    insta::assert_snapshot!(error, @r#"
    error: `edge.hosts`: found `https://bot.example.org`, wanted names such as `bot.example.org`, without scheme and port
      --> target:5
    error: `edge.http_port`: found 0, wanted a whole number from 1 to 65535
      --> target:6
    error: `edge.https_port`: found 70000, wanted a whole number from 1 to 65535
      --> target:7
    error: `edge.origins`: found `10.0.0.7`, wanted a host and a port such as `10.0.0.7:8443` or `[2001:db8::7]:8443`
      --> target:8
    error: `edge.certificate_files`: found `file:key.pem`: no certificate, wanted certificates in PEM
      --> target:9
    error: `edge.certificate_files`: found a value that is no reference, wanted `env:NAME` or `file:PATH`, never the secret itself
      --> target:9
    error: `edge.ca`: found `file:issued.pem`, which holds `CN=issued`, issued by `CN=rcgen self signed cert`, wanted root certificates only
      --> target:10
    error: `edge.resolve`: found `localhost` for `bot.example.org`, wanted addresses, with commas between them, such as `192.0.2.7, 2001:db8::7`
      --> target:11
    error: `edge.complete_by`: found empty text, wanted who answers for it that nothing is missing here, and when
      --> target:12
    error: `edge.listener[0].at`: found `db`, wanted a host and a port such as `10.0.0.7:8443` or `[2001:db8::7]:8443`
      --> target:15
    error: `edge.listener[0].protocol`: found `redis`, wanted `tls`, `postgres` or `smtp-starttls`; `tls` is for everything that speaks TLS from the first byte, such as Redis, Qdrant, Vault, Neo4j and HTTPS
      --> target:16
    "#);
}

#[test]
fn what_says_nothing_about_roles_and_accounts_is_reported() {
    let text = "name = \"bot\"\nbase_url = \"https://bot.example.org\"\n\n[[identity]]\nname = \"alice\"\ncommunity = \"a\"\n\
                bearer = \"env:TOKEN\"\nrole = \"boss\"\n\n[roles]\norder = [\"member\", \"admin\"]\nadmins = [\"root\"]\n\
                admin_paths = [\"admin\"]\ndeclared = \"file:none.toml\"\nsha256 = \"abc\"\nsigned_by = \"Jo\"\n\
                own = { method = \"GET\", path = \"/me\" }\n\n[[accounts.list]]\nkind = \"robots\"\npath = \"/members\"\n\
                as = [\"bob\"]\nitems = \"members\"\n\n[[owned]]\nkind = \"conversation\"\nid = \"id\"\n\
                create = { method = \"POST\", path = \"/c\" }\nread = { method = \"GET\", path = \"/c/{id}\" }\n\
                lacks = [\"undo\"]\n\n[sign_up.mail]\nby = \"friend\"\ncommunity = \"a\"\nbearer = \"{{token}}\"\n\n\
                [[sign_up.mail.step]]\nmethod = \"POST\"\npath = \"/join\"\nbody = '{\"code\": \"{{code}}\"}'\n\
                capture = { id = \"id\" }\n";
    insta::assert_snapshot!(parse(text).unwrap_err());
}

#[test]
fn a_secret_in_the_wrong_place_is_not_repeated() {
    let text =
        "name = \"bot\"\nbase_url = \"https://b.example\"\n[secrets]\njwt_secret = \"hunter2-hunter2\"\n";
    let error = parse(text).unwrap_err();
    assert!(error.contains("env:NAME") && !error.contains("hunter2"), "{error}");
}

#[test]
fn what_init_writes_is_read_without_a_problem() {
    let text = Target::init("https://bot.example.org");
    let target = parse(&text).unwrap();
    assert_eq!(target.name, "bot.example.org");
    assert_eq!(target.base_url.to_string(), "https://bot.example.org/");
}

#[test]
fn every_commented_key_of_init_is_a_key_that_is_read() {
    let template = Target::init("https://bot.example.org");
    let uncommented: String = template
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.starts_with('[') || rest.split(' ').nth(1) == Some("=") => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let error = parse(&uncommented).unwrap_err();
    assert!(!error.contains("unknown key"), "{error}");
    assert!(!error.contains("syntax"), "{error}");
}

#[test]
fn references_are_resolved_and_hidden() {
    let text = "name = \"bot\"\nbase_url = \"https://b.example\"\n[[identity]]\nname = \"alice\"\n\
                community = \"a\"\nbearer = \"env:TOKEN\"\n";
    let target = parse(text).unwrap();
    assert_eq!(target.identities[0].credential.secret().expose(), "token-of-alice");
    assert!(!format!("{target:?}").contains("token-of-alice"));
}

#[test]
fn a_proxy_that_the_checker_cannot_be_is_reported() {
    let text = "name = \"bot\"\nbase_url = \"https://bot.example.org\"\n\n[forwarded]\nbase_url = \"here\"\n\
                header = \"X Forwarded\"\nfrom = \"10.0.0.9\"\nas = [\"nobody\"]\nfor = \"x\"\n\n";
    let error = parse(text).unwrap_err();
    for said in ["`here`", "`X Forwarded`", "`10.0.0.9`", "`nobody`", "unknown key"] {
        assert!(error.contains(said), "{said} in {error}");
    }
    let none = "name = \"bot\"\nbase_url = \"https://bot.example.org\"\n\n[forwarded]\n";
    assert!(parse(none).unwrap_err().contains("`forwarded.as`"));
}

#[test]
fn a_sandbox_that_cannot_be_tried_is_reported() {
    let text = "name = \"bot\"\nbase_url = \"https://bot.example.org\"\n\n[sandbox]\nbase_url = \"here\"\n\
                runtime = \"perl\"\nmax_parallel = 0\ntenants = [\"a\", \"a\"]\nreach = [\"me\"]\n\n\
                [[sandbox.planted]]\npath = \"canary\"\ntext = \"the text itself\"\n";
    insta::assert_snapshot!(parse(text).unwrap_err(), @r#"
    error: `sandbox.base_url`: found `here`, wanted an absolute URL such as `http://10.0.0.7:8081`
      --> target:5
    error: `sandbox.runtime`: found `perl`, wanted `python` or `wasm`
      --> target:6
    error: `sandbox.max_parallel`: found 0, wanted a whole number from 1 to 64
      --> target:7
    error: `sandbox.tenants`: found 2 names, wanted two different communities, as the API names them
      --> target:8
    error: `sandbox.reach`: found `me`, wanted an address of this machine such as `10.0.0.5`
      --> target:9
    error: `sandbox.planted[0].path`: found `canary`, wanted an absolute path on the sandbox's host
      --> target:12
    error: `sandbox.planted[0].text`: found a value that is no reference, wanted `env:NAME` or `file:PATH`, never the secret itself
      --> target:13
    "#);
}
