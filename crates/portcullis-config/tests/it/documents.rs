//! What is generated is true.

use std::fs;

use portcullis_config::{
    Environment, Flags, IssuerKeys, MailRoute, Origin, ToolWay, example_toml, reference_markdown,
};

use crate::site::Site;

/// The example with every key that stands in a comment set.
fn uncommented() -> String {
    let bare = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') && !rest.is_empty() => rest.to_owned(),
        _ => line.to_owned(),
    };
    example_toml().lines().map(|line| bare(line) + "\n").collect()
}

#[test]
fn the_example_means_the_defaults() {
    let site = Site::with(&example_toml());
    let example = site.loaded();
    // Beyond the defaults it sets what `init` makes, and nothing else.
    let made = "[secrets]\noperator_token = \"file:secrets/operator_token\"\n";
    fs::write(site.path("portcullis.toml"), made).unwrap();
    let defaults = site.loaded();
    assert!(example.warnings.is_empty() && defaults.warnings.is_empty());
    assert_eq!(format!("{:#?}", example.config), format!("{:#?}", defaults.config));
    assert!(matches!(example.resolved.origin("listen.member"), Some(Origin::File { .. })));
    assert_eq!(example.resolved.origin("log.level"), Some(&Origin::Default));
}

#[test]
fn the_example_with_every_comment_removed_still_means_the_defaults() {
    let site = Site::with(&example_toml());
    let defaults = site.loaded().config;
    let https = uncommented().replace("\"http://127.0.0.1:8080\"", "\"https://127.0.0.1:8080\"");
    fs::write(site.path("portcullis.toml"), https).unwrap();
    site.file("tls/chain.pem", "-", 0o644);
    site.file("tls/key.pem", "-", 0o600);
    site.file("secrets/bakers_host_key", "Rk2vN8xQ5tZ7mC4wL9pJ3hY6sD1gF0bA", 0o600);
    site.file("tls/mail-ca.pem", "-----BEGIN CERTIFICATE-----", 0o644);
    site.file("secrets/tides_key", "Vb6xW1nT8qLz3RkY5mJd", 0o600);
    site.file("tools/tide_table.json", "{}", 0o644);
    let environment = Environment::of([
        ("MODEL_API_KEY", "sk-Qm7xT4vK9cRz2LpW8sYd3HfJ6nBg5AaE"),
        ("MAIL_PASSWORD", "correct horse"),
    ]);
    let all = site.load(&environment, &Flags::none()).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(all.config.model.is_some() && all.config.tls.is_some());
    assert!(matches!(all.config.issuers[0].keys, IssuerKeys::Secret { .. }) && all.config.issuers.len() == 1);
    assert!(
        matches!(all.config.tools.list[0].way, ToolWay::Get { key: Some(_), .. })
            && all.config.tools.list.len() == 1
    );
    let route = all.config.mail.as_ref().map(|mail| &mail.route);
    assert!(
        matches!(route, Some(MailRoute::Smtp(server)) if server.login.is_some() && server.roots.is_some() && server.port == 587)
    );
    assert_eq!(all.config.sign_in, defaults.sign_in);
    // There is no budget unless one is set.
    let mut limits = all.config.limits.clone();
    let budgets = [limits.tokens_per_member_per_day.take(), limits.tokens_per_community_per_day.take()];
    assert_eq!(budgets.map(|budget| budget.map(|tokens| tokens.get())), [Some(200_000), Some(5_000_000)]);
    let costs = [limits.cost_per_member_per_day.take(), limits.cost_per_community_per_day.take()];
    assert_eq!(
        costs.map(|cost| cost.map(|millionths| millionths.get())),
        [Some(2_500_000), Some(40_000_000)]
    );
    assert_eq!(format!("{limits:?}"), format!("{:?}", defaults.limits));
    assert_eq!(all.config.audit, defaults.audit);
    assert_eq!(all.config.log, defaults.log);
    assert_eq!(all.config.danger, defaults.danger);
    assert!(
        all.resolved
            .show()
            .lines()
            .all(|line| line.contains("portcullis.toml:") != line.starts_with("mail.outbox ")),
        "{}",
        all.resolved.show()
    );
}

#[test]
fn an_issuer_with_only_what_is_required_means_what_the_example_shows() {
    let required = ["name", "audience", "communities", "algorithm", "key"];
    let example = uncommented();
    let (_, issuer) = example.split_once("[[issuer]]\n").expect("the example has an issuer");
    let issuer = issuer.split("[[").next().expect("one table");
    let is_required = |line: &&str| line.split_once(" = ").is_some_and(|(key, _)| required.contains(&key));
    let lines: Vec<&str> = issuer.lines().filter(is_required).collect();
    assert_eq!(lines.len(), required.len());
    let [short, long] = [lines.join("\n"), issuer.to_owned()].map(|keys| {
        let site = Site::with(&format!("[[issuer]]\n{keys}\n"));
        site.file("secrets/bakers_host_key", "Rk2vN8xQ5tZ7mC4wL9pJ3hY6sD1gF0bA", 0o600);
        site.loaded().config.issuers[0].clone()
    });
    assert_eq!((short.leeway, short.longest_life), (long.leeway, long.longest_life));
    assert!(!short.grants_entitlements && !long.grants_entitlements);
    assert!(!short.provisions_members && !long.provisions_members);
}

#[test]
fn the_reference_holds_every_key_of_the_example() {
    let reference = reference_markdown();
    let table: toml::Table = uncommented().parse().expect("the example is TOML");
    let mut keys = 0;
    for (name, value) in &table {
        let inner = value.as_table().or_else(|| value.as_array()?.first()?.as_table());
        let inner = inner.map(|inner| inner.keys().map(|key| format!("{name}.{key}")).collect());
        for key in inner.unwrap_or_else(|| vec![name.clone()]) {
            assert!(reference.contains(&format!("### `{key}`\n")), "{key}");
            keys += 1;
        }
    }
    // Keys that stand in the place of another are remarks in the example.
    for (section, instead, value) in [
        ("issuer", "public_key", "\"keys/bakers"),
        ("issuer", "jwks", "\"keys/bakers"),
        ("mail", "outbox", "\"outbox"),
        ("tool", "hosts", "[\"docs"),
        ("tool", "remote_name", "\"tides"),
        ("tool", "program", "\"tools/"),
    ] {
        assert!(example_toml().contains(&format!("\n# {instead} = {value}")), "{instead}");
        assert!(reference.contains(&format!("### `{section}.{instead}`\n")));
        keys += 1;
    }
    assert_eq!(keys, reference.matches("\n### `").count());
    assert!(reference.contains("\n## `[[issuer]]`\n") && !reference.contains("PORTCULLIS_ISSUER"));
    assert!(reference.contains("- Variable: `PORTCULLIS_LIMITS__PER_KEY_PER_MINUTE`"));
}

#[test]
fn no_line_of_the_example_is_longer_than_a_screen_is_wide() {
    for line in example_toml().lines().chain(portcullis_config::errors_markdown().lines().take(3)) {
        assert!(line.chars().count() <= 120, "{line}");
    }
}
