//! File, environment and flags.

use insta::assert_snapshot;
use portcullis_config::{Code, Environment, Flags, Origin};

use crate::site::{Site, codes};

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let site = Site::with("[limits]\nper_key_per_minute = 10\nmax_connections = 10\nbody_bytes = 2048\n");
    let environment = Environment::of([
        ("PORTCULLIS_LIMITS__PER_KEY_PER_MINUTE", "20"),
        ("PORTCULLIS_LIMITS__MAX_CONNECTIONS", "20"),
        ("PORTCULLIS_PROXIES__TRUSTED", "10.0.0.0/8, 192.0.2.1"),
        ("PATH", "/bin"),
    ]);
    let flags =
        Flags::none().with_set("limits.per_key_per_minute=30").with("--data-dir", "data_dir", "elsewhere");
    let loaded = site.load(&environment, &flags).unwrap();
    let limits = &loaded.config.limits;
    assert_eq!(
        (limits.per_key.minute.get(), limits.max_connections.get(), limits.body_bytes),
        (30, 20, 2048)
    );
    assert_eq!(limits.per_address.minute.get(), 300);
    assert_eq!(loaded.config.proxies.trusted.len(), 2);
    assert_eq!(loaded.config.data_dir, site.path("elsewhere"));
    assert!(loaded.warnings.is_empty());

    let origin = |key| loaded.resolved.origin(key).expect("it has a value").clone();
    assert_eq!(origin("limits.per_key_per_minute"), Origin::Flag { name: "--set".to_owned() });
    let variable = "PORTCULLIS_LIMITS__MAX_CONNECTIONS".to_owned();
    assert_eq!(origin("limits.max_connections"), Origin::Environment { variable });
    assert!(matches!(origin("limits.body_bytes"), Origin::File { line: 4, column: 14, .. }));
    assert_eq!(origin("limits.per_address_per_minute"), Origin::Default);
    assert_eq!(loaded.resolved.origin("model.url"), None);
}

#[test]
fn every_value_is_shown_with_its_origin_and_no_secret() {
    let site = Site::with(
        "public_url = \"https://Chat.Example.org/\"\n[model]\nurl = \"http://127.0.0.1:1/v1/\"\nname = \"a\"\nsystem = \"PRIVATE-CANARY\"\n",
    );
    let environment = Environment::of([
        ("PORTCULLIS_LOG__LEVEL", "debug"),
        ("PORTCULLIS_PROXIES__TRUSTED", "10.0.0.1,10.2.0.0/16"),
    ]);
    let loaded = site.load(&environment, &Flags::none().with_set("limits.body_bytes=4096")).unwrap();
    let shown = loaded.resolved.show();
    assert_snapshot!(
        shown.replace(&format!("{}/", site.path("").display().to_string().trim_end_matches('/')), ""), @r#"
    data_dir                                      = "data"                             # default
    public_url                                    = "https://chat.example.org"         # portcullis.toml:1:14
    listen.member                                 = "127.0.0.1:8080"                   # default
    listen.operator                               = "127.0.0.1:8081"                   # default
    listen.redirect                               = (none)                             # not set
    tls.certificate                               = (none)                             # not set
    tls.key                                       = (none)                             # not set
    tls.min_version                               = "1.3"                              # default
    proxies.trusted                               = ["10.0.0.1/32", "10.2.0.0/16"]     # environment variable PORTCULLIS_PROXIES__TRUSTED
    secrets.jwt_secret                            = *** (file:secrets/jwt_secret)      # default
    secrets.encryption_key                        = *** (file:secrets/encryption_key)  # default
    secrets.csrf_secret                           = *** (file:secrets/csrf_secret)     # default
    secrets.audit_key                             = *** (file:secrets/audit_key)       # default
    secrets.operator_token                        = (none)                             # not set
    model.url                                     = "http://127.0.0.1:1/v1"            # portcullis.toml:3:7
    model.name                                    = "a"                                # portcullis.toml:4:8
    model.api_key                                 = (none)                             # not set
    model.allow                                   = []                                 # default
    model.prices                                  = (none)                             # not set
    model.connect_timeout_ms                      = 5000                               # default
    model.first_byte_timeout_ms                   = 30000                              # default
    model.idle_timeout_ms                         = 30000                              # default
    model.total_timeout_ms                        = 300000                             # default
    model.max_concurrent                          = 64                                 # default
    model.max_concurrent_per_member               = (none)                             # not set
    model.max_concurrent_per_community            = (none)                             # not set
    model.queue                                   = 256                                # default
    model.queue_timeout_ms                        = 10000                              # default
    model.max_tokens                              = 2048                               # default
    model.system                                  = (14 characters)                    # portcullis.toml:5:10
    release.mode                                  = "stream"                           # default
    release.whole                                 = []                                 # default
    release.hosts                                 = []                                 # default
    release.system_text                           = "stop"                             # default
    release.secrets                               = "redact"                           # default
    release.personal_data                         = "redact"                           # default
    release.personal_data_except                  = []                                 # default
    release.links                                 = "redact"                           # default
    release.quote_content                         = false                              # default
    release.own_request_system_text               = "off"                              # default
    release.own_request_secrets                   = "redact"                           # default
    release.own_request_personal_data             = "off"                              # default
    release.own_request_links                     = "off"                              # default
    screen.mode                                   = "block"                            # default
    screen.off                                    = []                                 # default
    screen.observe                                = []                                 # default
    screen.flag                                   = []                                 # default
    screen.block                                  = []                                 # default
    screen.question_flag                          = (none)                             # not set
    screen.question_block                         = (none)                             # not set
    screen.document_flag                          = (none)                             # not set
    screen.document_block                         = (none)                             # not set
    screen.secrets                                = "observe"                          # default
    handover.mode                                 = "hand-over"                        # default
    handover.off                                  = []                                 # default
    handover.observe                              = []                                 # default
    handover.hand_over                            = []                                 # default
    handover.except                               = []                                 # default
    handover.self_harm                            = []                                 # default
    handover.legal_threat                         = []                                 # default
    handover.private_data                         = []                                 # default
    handover.other                                = []                                 # default
    handover.self_harm_help                       = (none)                             # not set
    handover.contact                              = (none)                             # not set
    handover.keep_days                            = 90                                 # default
    handover.most_open                            = 500                                # default
    handover.most_of_one                          = 20                                 # default
    mail.kind                                     = (none)                             # not set
    mail.from                                     = (none)                             # not set
    mail.from_name                                = (none)                             # not set
    mail.host                                     = (none)                             # not set
    mail.port                                     = (none)                             # not set
    mail.security                                 = "starttls"                         # default
    mail.username                                 = (none)                             # not set
    mail.password                                 = (none)                             # not set
    mail.ca_file                                  = (none)                             # not set
    mail.timeout_ms                               = 30000                              # default
    mail.outbox                                   = (none)                             # not set
    sign_in.link_minutes                          = 15                                 # default
    sign_in.session_days                          = 30                                 # default
    sign_in.session_idle_minutes                  = 10080                              # default
    sign_in.open                                  = []                                 # default
    sign_in.links_per_address_per_hour            = 5                                  # default
    sign_in.links_per_client_per_hour             = 20                                 # default
    tools.rounds                                  = 4                                  # default
    tools.calls                                   = 8                                  # default
    tools.approval_minutes                        = 1440                               # default
    tools.approvals_keep_days                     = 30                                 # default
    tools.approvals_most_open                     = 200                                # default
    tools.approvals_most_of_one                   = 10                                 # default
    tools.programs_at_once                        = 4                                  # default
    tools.programs_most_waiting                   = 64                                 # default
    limits.per_key_per_minute                     = 60                                 # default
    limits.per_key_per_hour                       = (none)                             # not set
    limits.per_key_per_day                        = (none)                             # not set
    limits.per_session_per_minute                 = (none)                             # not set
    limits.per_session_per_hour                   = (none)                             # not set
    limits.per_session_per_day                    = (none)                             # not set
    limits.per_address_per_minute                 = 300                                # default
    limits.per_address_per_hour                   = (none)                             # not set
    limits.per_address_per_day                    = (none)                             # not set
    limits.unauthenticated_per_address_per_minute = 60                                 # default
    limits.tokens_per_member_per_day              = (none)                             # not set
    limits.tokens_per_community_per_day           = (none)                             # not set
    limits.currency                               = "EUR"                              # default
    limits.cost_per_member_per_day                = (none)                             # not set
    limits.cost_per_community_per_day             = (none)                             # not set
    limits.memory_bytes                           = 67108864                           # default
    limits.instances                              = 1                                  # default
    limits.body_bytes                             = 4096                               # flag --set
    limits.body_timeout_ms                        = 10000                              # default
    limits.body_bytes_per_second                  = 4000                               # default
    limits.header_bytes                           = 16384                              # default
    limits.header_timeout_ms                      = 10000                              # default
    limits.request_timeout_ms                     = 330000                             # default
    limits.write_timeout_ms                       = 30000                              # default
    limits.max_connections                        = 10000                              # default
    limits.max_connections_per_address            = 256                                # default
    limits.idempotency_entries                    = 10000                              # default
    limits.idempotency_bytes                      = 67108864                           # default
    limits.idempotency_ttl_s                      = 86400                              # default
    blocklist.networks                            = []                                 # default
    blocklist.allow                               = ["127.0.0.1/32", "::1/128"]        # default
    blocklist.automatic                           = true                               # default
    blocklist.refused_credentials                 = 50                                 # default
    blocklist.refused_requests                    = 300                                # default
    blocklist.malformed_requests                  = 300                                # default
    blocklist.window_minutes                      = 10                                 # default
    blocklist.block_seconds                       = 900                                # default
    tiers.standard_per_minute                     = 60                                 # default
    tiers.standard_per_hour                       = 2000                               # default
    tiers.standard_per_day                        = 20000                              # default
    tiers.enhanced_per_minute                     = 300                                # default
    tiers.enhanced_per_hour                       = 10000                              # default
    tiers.enhanced_per_day                        = 100000                             # default
    tiers.dedicated_per_minute                    = 1000                               # default
    tiers.dedicated_per_hour                      = 50000                              # default
    tiers.dedicated_per_day                       = 500000                             # default
    audit.checkpoint_records                      = 1000                               # default
    audit.checkpoint_seconds                      = 60                                 # default
    log.format                                    = "json"                             # default
    log.level                                     = "debug"                            # environment variable PORTCULLIS_LOG__LEVEL
    danger.danger_guards_off                      = []                                 # default
    danger.danger_allow_weak_secrets              = false                              # default
    "#);
}

#[test]
fn faults_in_the_environment_and_in_flags_are_named_by_their_origin() {
    let site = Site::with("");
    let environment = Environment::of([
        ("PORTCULLIS_LIMITS__PER_KEY_PER_MINUTE", "0"),
        ("PORTCULLIS_LISTEN__MEMBER", "nowhere"),
        ("PORTCULLIS_SECRETS__JWT_SECRET", "PRIVATE-CANARY-PRIVATE-CANARY-12"),
        ("PORTCULLIS_LIMITS_BODY_BYTES", "5"),
        ("PORTCULLIS_JWT_SECRET", "PRIVATE-CANARY"),
        ("PORTCULLIS_REQUIRE", "data"),
        ("PORTCULLIS_TEST_POSTGRES", "x"),
        ("PORTCULLIS_CONFIG", "x"),
        ("PORTCULLIS_SEED", "1"),
    ]);
    let flags = Flags::none()
        .with_set("limits.body_bytes=many")
        .with_set("limits.per_key=5")
        .with_set("PRIVATECANARYPRIVATECANARY==")
        .with_set("nonsense")
        .with("--log", "log.format", "yaml");
    let problems = site.load(&environment, &flags).unwrap_err();
    let told = site.told(&problems);
    assert!(!told.contains("CANARY"));
    assert_snapshot!(told, @r#"
    warning[CFG-006]: `PORTCULLIS_JWT_SECRET` sets no key and is ignored
      --> environment variable PORTCULLIS_JWT_SECRET
      help: did you mean `PORTCULLIS_SECRETS__JWT_SECRET`?

    warning[CFG-006]: `PORTCULLIS_LIMITS_BODY_BYTES` sets no key and is ignored
      --> environment variable PORTCULLIS_LIMITS_BODY_BYTES
      help: did you mean `PORTCULLIS_LIMITS__BODY_BYTES`?

    error[CFG-012]: `limits.per_key_per_minute` must be at least 1, found 0
      --> environment variable PORTCULLIS_LIMITS__PER_KEY_PER_MINUTE
      help: unset the variable to use the file's value or the default (60)

    error[CFG-011]: `listen.member` must be `IP:PORT`, such as `127.0.0.1:8080` or `[::1]:8080`, found `nowhere`
      --> environment variable PORTCULLIS_LISTEN__MEMBER
      help: unset the variable to use the file's value or the default ("127.0.0.1:8080")

    error[CFG-020]: `secrets.jwt_secret` must be a reference, `env:NAME` or `file:PATH`, found a literal value, which is not shown
      --> environment variable PORTCULLIS_SECRETS__JWT_SECRET
      help: make a new key in a file of mode 0600 and write `file:PATH`; what stood here counts as known

    error[CFG-010]: `log.format` must be `json` or `text`, found `yaml`
      --> flag --log
      help: leave the flag out to use the file's value or the default ("json")

    error[CFG-008]: `limits.per_key` is not a known key
      --> flag --set
      help: did you mean `limits.per_key_per_minute`?

    error[CFG-008]: a key here is not known; its name is long or unusual and is not shown
      --> flag --set
      help: remove it; `portcullis.example.toml` lists every key

    error[CFG-008]: `--set` must be followed by `key=value`
      --> flag --set

    error[CFG-004]: `limits.body_bytes` must be a whole number, found other text
      --> flag --set
      help: leave the flag out to use the file's value or the default (1048576)

    8 errors, 2 warnings
    "#);
}

#[test]
fn a_fault_that_a_flag_overrides_is_still_a_fault() {
    let site = Site::with("[limits]\nbody_bytes = \"many\"\n");
    let flags = Flags::none().with_set("limits.body_bytes=4096");
    assert_eq!(codes(&site.load(&Environment::default(), &flags).unwrap_err()), [Code::WrongType]);
}

#[test]
fn the_model_can_come_from_the_environment_alone() {
    let environment = Environment::of([
        ("PORTCULLIS_MODEL__URL", "http://127.0.0.1:1"),
        ("PORTCULLIS_MODEL__NAME", "a"),
        ("PORTCULLIS_MODEL__ALLOW", "a,b"),
    ]);
    let model = Site::with("").load(&environment, &Flags::none()).unwrap().config.model.expect("a model");
    assert_eq!(model.allow.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(model.url.join("/chat/completions"), "http://127.0.0.1:1/chat/completions");
    let half = Environment::of([("PORTCULLIS_MODEL__NAME", "a")]);
    assert_eq!(codes(&Site::with("").load(&half, &Flags::none()).unwrap_err()), [Code::Missing]);
}
