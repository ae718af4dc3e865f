//! Enforces `deny.toml` from the dependency graph: bans and their owners, single versions, licences, sources.
//!
//! It reads exactly the keys that it enforces and refuses a file with others, so that no rule can stand in
//! `deny.toml` and be judged by nobody. `[advisories]` is the exception: it is for `cargo deny` alone.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde::Deserialize;
use spdx::{Expression, ParseMode};

use crate::workspace::{Metadata, Package, Use};

/// The rules of `deny.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rules {
    #[expect(
        dead_code,
        reason = "read by `cargo deny`; named here so that any other unknown table is refused"
    )]
    graph: Graph,
    #[expect(dead_code, reason = "advisories need a database that only `cargo deny` fetches")]
    advisories: Option<toml::Value>,
    licenses: Licenses,
    bans: Bans,
    #[expect(dead_code, reason = "only the strictest values parse, and those are what this module enforces")]
    sources: Sources,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[expect(
    dead_code,
    reason = "both are how this module always looks at the graph; the values are checked below"
)]
struct Graph {
    all_features: True,
    exclude_dev: True,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Licenses {
    allow: BTreeSet<String>,
    #[expect(dead_code, reason = "only tells `cargo deny` not to warn")]
    unused_allowed_license: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Bans {
    #[expect(dead_code, reason = "single versions are asked for crate by crate")]
    multiple_versions: Allow,
    deny: Vec<Ban>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    /// Who may use it directly all the same.
    #[serde(default)]
    wrappers: BTreeSet<String>,
    /// The crate is welcome, two versions of it are not.
    #[serde(default)]
    deny_multiple_versions: bool,
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[expect(dead_code, reason = "only the strictest values parse, and those are what this module enforces")]
struct Sources {
    unknown_registry: Deny,
    unknown_git: Deny,
}

#[derive(Debug, Deserialize)]
enum Deny {
    #[serde(rename = "deny")]
    Deny,
}

#[derive(Debug, Deserialize)]
enum Allow {
    #[serde(rename = "allow")]
    Allow,
}

/// The value `true` and no other.
#[derive(Debug, Deserialize)]
#[serde(try_from = "bool")]
struct True;

impl TryFrom<bool> for True {
    type Error = &'static str;

    fn try_from(value: bool) -> Result<Self, Self::Error> {
        if value {
            Ok(Self)
        } else {
            Err("must be true: the graph is judged with every feature and without tests")
        }
    }
}

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

impl Rules {
    pub(super) fn parse(text: &str) -> Result<Self> {
        toml::from_str(text).context("`deny.toml` holds what `xtask deps` does not enforce")
    }

    /// Every breach, each with what was seen and what to do.
    pub(super) fn judge(&self, metadata: &Metadata) -> Vec<String> {
        let built = metadata.built_from(metadata.members().into_values());
        let mut problems = self.banned(metadata, &built);
        problems.extend(self.twice(&built));
        problems.extend(self.licences(&built));
        problems.extend(foreign(metadata));
        problems
    }

    fn banned(&self, metadata: &Metadata, built: &[&Package]) -> Vec<String> {
        let bans: BTreeMap<&str, &Ban> = self
            .bans
            .deny
            .iter()
            .filter(|ban| !ban.deny_multiple_versions)
            .map(|ban| (ban.name.as_str(), ban))
            .collect();
        let reached: BTreeSet<&str> = built.iter().map(|package| package.id.as_str()).collect();
        let mut problems = Vec::new();
        for edge in metadata.edges() {
            let Some(ban) = bans.get(edge.to.name.as_str()) else { continue };
            let counts = edge.used == Use::Built && reached.contains(edge.from.id.as_str());
            if counts && !ban.wrappers.contains(&edge.from.name) {
                problems.push(format!(
                    "`{}` uses `{}`, which `deny.toml` keeps to {}: {}",
                    edge.from.name,
                    ban.name,
                    owners(&ban.wrappers),
                    ban.reason,
                ));
            }
        }
        problems
    }

    fn twice(&self, built: &[&Package]) -> Vec<String> {
        let mut problems = Vec::new();
        for ban in self.bans.deny.iter().filter(|ban| ban.deny_multiple_versions) {
            let versions: BTreeSet<&str> = built
                .iter()
                .filter(|package| package.name == ban.name)
                .map(|package| package.version.as_str())
                .collect();
            if versions.len() > 1 {
                problems.push(format!(
                    "`{}` is built in {} versions ({}), wanted one: {}; see `cargo tree --duplicates`",
                    ban.name,
                    versions.len(),
                    versions.into_iter().collect::<Vec<_>>().join(", "),
                    ban.reason,
                ));
            }
        }
        problems
    }

    fn licences(&self, built: &[&Package]) -> Vec<String> {
        let mut problems = Vec::new();
        for package in built {
            let named = package.license.as_deref();
            if !named.is_some_and(|expression| is_satisfied(expression, &self.licenses.allow)) {
                problems.push(format!(
                    "`{} {}` is licensed `{}`, which the list in `deny.toml` does not cover",
                    package.name,
                    package.version,
                    named.unwrap_or("not said"),
                ));
            }
        }
        problems
    }
}

/// Whether these licences are enough to use something licensed under `expression`.
pub(crate) fn is_satisfied(expression: &str, allowed: &BTreeSet<String>) -> bool {
    Expression::parse_mode(expression, ParseMode::LAX)
        .is_ok_and(|parsed| parsed.evaluate(|licence| allowed.contains(&licence.to_string())))
}

/// Tests are not excluded here: code from an unknown place runs on the developer's machine all the same.
fn foreign(metadata: &Metadata) -> Vec<String> {
    let mut problems = Vec::new();
    for package in &metadata.packages {
        let known = match package.source.as_deref() {
            Some(source) => source == CRATES_IO,
            None => metadata.is_ours(package),
        };
        if !known {
            problems.push(format!(
                "`{} {}` comes from `{}`, wanted the workspace or crates.io",
                package.name,
                package.version,
                package.source.as_deref().unwrap_or("a folder outside the workspace"),
            ));
        }
    }
    problems
}

fn owners(wrappers: &BTreeSet<String>) -> String {
    if wrappers.is_empty() {
        return "nobody".to_owned();
    }
    wrappers.iter().map(|owner| format!("`{owner}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = r#"
        [graph]
        all-features = true
        exclude-dev = true
        [licenses]
        allow = ["MIT", "Apache-2.0"]
        [bans]
        multiple-versions = "allow"
        deny = [
            { crate = "openssl", reason = "one TLS stack" },
            { crate = "rusqlite", wrappers = ["portcullis-store-sqlite"], reason = "one engine" },
            { crate = "rustls", deny-multiple-versions = true, reason = "one TLS stack" },
        ]
        [sources]
        unknown-registry = "deny"
        unknown-git = "deny"
    "#;

    fn judge(metadata: &Metadata) -> Vec<String> {
        Rules::parse(RULES).unwrap().judge(metadata)
    }

    fn base() -> Metadata {
        Metadata::sample().member("portcullis-core").member("portcullis-store-sqlite")
    }

    #[test]
    fn a_banned_crate_beneath_another_is_caught() {
        let metadata = base()
            .external("client", "1.0.0", "MIT")
            .external("openssl", "0.10.0", "Apache-2.0")
            .edge("portcullis-core", "client@1.0.0", None)
            .edge("client@1.0.0", "openssl@0.10.0", None);
        assert_eq!(
            judge(&metadata),
            ["`client` uses `openssl`, which `deny.toml` keeps to nobody: one TLS stack"]
        );
    }

    #[test]
    fn an_owned_crate_is_welcome_at_its_owner_and_caught_elsewhere() {
        let metadata = base().external("rusqlite", "0.41.0", "MIT").edge(
            "portcullis-store-sqlite",
            "rusqlite@0.41.0",
            None,
        );
        assert_eq!(judge(&metadata), Vec::<String>::new());
        let problems = judge(&metadata.edge("portcullis-core", "rusqlite@0.41.0", None));
        assert!(problems[0].starts_with("`portcullis-core` uses `rusqlite`"), "{problems:?}");
    }

    #[test]
    fn two_versions_of_a_crate_that_must_be_one_are_caught() {
        let metadata = base()
            .external("rustls", "0.22.0", "MIT")
            .external("rustls", "0.23.0", "MIT")
            .edge("portcullis-core", "rustls@0.22.0", None)
            .edge("portcullis-core", "rustls@0.23.0", None);
        let problems = judge(&metadata);
        assert!(problems[0].contains("2 versions (0.22.0, 0.23.0)"), "{problems:?}");
    }

    #[test]
    fn a_licence_outside_the_list_is_caught_and_a_choice_needs_only_one_that_is_inside() {
        let metadata = base()
            .external("either", "1.0.0", "GPL-3.0-only OR MIT")
            .external("slash", "1.0.0", "GPL-3.0/Apache-2.0")
            .external("both", "1.0.0", "MIT AND GPL-3.0-only")
            .edge("portcullis-core", "either@1.0.0", None)
            .edge("portcullis-core", "slash@1.0.0", None)
            .edge("portcullis-core", "both@1.0.0", None);
        let problems = judge(&metadata);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("`both 1.0.0` is licensed `MIT AND GPL-3.0-only`"), "{problems:?}");
    }

    #[test]
    fn an_exception_to_a_licence_is_not_the_licence_itself() {
        let allowed = BTreeSet::from(["Apache-2.0".to_owned()]);
        assert!(!is_satisfied("Apache-2.0 WITH LLVM-exception", &allowed));
        assert!(!is_satisfied("no such licence", &allowed));
    }

    #[test]
    fn what_only_tests_use_is_not_banned_but_must_come_from_a_known_place() {
        let metadata = base()
            .external("openssl", "0.10.0", "MIT")
            .edge("portcullis-core", "openssl@0.10.0", Some("dev"))
            .git("fork")
            .edge("portcullis-core", "fork@1.0.0", Some("dev"));
        let problems = judge(&metadata);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("`fork 1.0.0` comes from `git+"), "{problems:?}");
    }

    #[test]
    fn a_rule_that_nobody_would_enforce_is_refused() {
        assert!(Rules::parse(&RULES.replace("[licenses]", "[licenses]\nexceptions = []")).is_err());
        assert!(Rules::parse(&RULES.replace("exclude-dev = true", "exclude-dev = false")).is_err());
        assert!(Rules::parse(&RULES.replace("unknown-git = \"deny\"", "unknown-git = \"warn\"")).is_err());
    }
}
