//! The table of our crates and the edges between them. Any other edge fails, and so does a row nobody uses.

use std::collections::{BTreeMap, BTreeSet};

use crate::workspace::{Metadata, Use};

/// A crate of ours and what it may use, without the `portcullis-` prefix. A row names only crates of rows above
/// it, so the table cannot hold a cycle.
const EDGES: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("egress", &[]),
    ("leak", &[]),
    ("xtask", &[]),
    ("screen", &["core"]),
    ("audit", &["core"]),
    ("sandbox", &["core"]),
    ("sandbox-wasm", &["sandbox"]),
    ("config", &["core"]),
    ("limit", &["core"]),
    ("mail", &["core"]),
    ("store", &["core"]),
    ("store-sqlite", &["core", "store"]),
    ("import", &["core", "store"]),
    ("model", &["core", "egress"]),
    ("pages", &["core"]),
    ("check", &["core", "egress"]),
    ("tools", &["core", "egress", "sandbox"]),
    ("guard", &["core", "leak", "limit", "screen", "store", "audit", "tools"]),
    ("chat", &["core", "leak", "store", "audit", "guard", "model"]),
    ("http", &["core", "store", "audit", "guard", "model", "chat", "mail", "pages"]),
    (
        "portcullis",
        &[
            "core",
            "egress",
            "screen",
            "sandbox",
            "sandbox-wasm",
            "audit",
            "config",
            "store",
            "store-sqlite",
            "import",
            "mail",
            "model",
            "tools",
            "check",
            "guard",
            "chat",
            "http",
        ],
    ),
];

/// What tests may use beyond that: crate, used, why.
const TEST_EDGES: &[(&str, &str, &str)] = &[
    ("egress", "core", "the servers that its tests talk to run on the tracked spawner"),
    ("http", "check", "its tests put the attacks of the checks to models that obey"),
    ("http", "config", "its tests read the environment through the one crate that may"),
    ("http", "egress", "the client of its tests"),
    ("http", "store-sqlite", "its tests run on real stores"),
    ("http", "tools", "its tests put tools behind the gate"),
    ("sandbox-wasm", "core", "its tests run jobs side by side, on the clock and the tracked spawner"),
    ("mail", "config", "its tests read the environment through the one crate that may"),
];

/// The name without the prefix that all our crates share.
pub(super) fn short(name: &str) -> &str {
    name.strip_prefix("portcullis-").unwrap_or(name)
}

/// Every way in which the workspace differs from the table.
pub(super) fn judge(metadata: &Metadata) -> Vec<String> {
    let table: BTreeMap<&str, &[&str]> = EDGES.iter().copied().collect();
    let members: BTreeSet<&str> = metadata.members().into_keys().map(short).collect();
    let mut problems = Vec::new();

    for member in members.iter().filter(|member| !table.contains_key(*member)) {
        problems
            .push(format!("crate `{member}` has no row in the table of `xtask/src/deps/edges.rs`; add one"));
    }
    for row in table.keys().filter(|row| !members.contains(*row)) {
        problems.push(format!(
            "the table of `xtask/src/deps/edges.rs` names `{row}`, which is no crate; remove it"
        ));
    }

    let mut seen: BTreeSet<(&str, &str)> = BTreeSet::new();
    for edge in metadata.edges() {
        // By package, not by short name: crates of others are named `http` too.
        if !metadata.is_ours(edge.from) || !metadata.is_ours(edge.to) || edge.from.id == edge.to.id {
            continue;
        }
        let (from, to) = (short(&edge.from.name), short(&edge.to.name));
        let allowed = table.get(from).copied().unwrap_or_default();
        match edge.used {
            Use::Built => {
                seen.insert((from, to));
                if table.contains_key(from) && !allowed.contains(&to) {
                    problems.push(format!(
                        "`{from}` uses `{to}`, allowed are only: {}; move the code, or change the table and say why",
                        list(allowed)
                    ));
                }
            }
            Use::Tests => {
                let listed = TEST_EDGES.iter().any(|(user, used, _)| *user == from && *used == to);
                if !allowed.contains(&to) && !listed {
                    problems.push(format!(
                        "the tests of `{from}` use `{to}`, which is not in `TEST_EDGES`; add it with its reason"
                    ));
                }
            }
        }
    }
    for (from, row) in EDGES.iter().filter(|(from, _)| members.contains(from)) {
        for to in row.iter().filter(|to| members.contains(*to) && !seen.contains(&(*from, **to))) {
            problems.push(format!(
                "the table lets `{from}` use `{to}`, but it does not; remove the edge from the table"
            ));
        }
    }
    problems
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "none of ours".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace that is exactly the table.
    fn table_as_workspace() -> Metadata {
        let full = |name: &str| match name {
            "portcullis" | "xtask" => name.to_owned(),
            other => format!("portcullis-{other}"),
        };
        let mut metadata = Metadata::sample();
        for (name, _) in EDGES {
            metadata = metadata.member(&full(name));
        }
        for (from, row) in EDGES {
            for to in *row {
                metadata = metadata.edge(&full(from), &full(to), None);
            }
        }
        metadata
    }

    #[test]
    fn a_workspace_that_follows_the_table_has_no_problem() {
        assert_eq!(judge(&table_as_workspace()), Vec::<String>::new());
    }

    #[test]
    fn a_row_names_only_crates_above_it_so_there_is_no_cycle() {
        for (at, (name, row)) in EDGES.iter().enumerate() {
            for used in *row {
                assert!(EDGES[..at].iter().any(|(above, _)| above == used), "{name} uses {used}");
            }
        }
    }

    #[test]
    fn a_forbidden_edge_is_caught() {
        let problems = judge(&table_as_workspace().edge("portcullis-core", "portcullis-store", None));
        assert_eq!(problems.len(), 1);
        assert!(problems[0].contains("`core` uses `store`"), "{problems:?}");
    }

    #[test]
    fn a_forbidden_edge_through_a_build_script_is_caught() {
        let problems =
            judge(&table_as_workspace().edge("portcullis-core", "portcullis-egress", Some("build")));
        assert!(problems[0].contains("`core` uses `egress`"), "{problems:?}");
    }

    #[test]
    fn a_test_only_edge_that_is_not_listed_is_caught() {
        let problems = judge(&table_as_workspace().edge("portcullis-core", "portcullis-http", Some("dev")));
        assert!(problems[0].contains("the tests of `core` use `http`"), "{problems:?}");
    }

    #[test]
    fn a_crate_of_others_with_the_name_of_ours_is_no_edge() {
        let metadata =
            table_as_workspace().external("http", "1.0.0", "MIT").edge("portcullis-core", "http@1.0.0", None);
        assert_eq!(judge(&metadata), Vec::<String>::new());
    }

    #[test]
    fn a_crate_without_a_row_is_caught() {
        let problems = judge(&table_as_workspace().member("portcullis-surprise"));
        assert!(problems[0].contains("`surprise` has no row"), "{problems:?}");
    }

    #[test]
    fn an_edge_of_the_table_that_nobody_uses_is_caught() {
        let mut metadata = table_as_workspace();
        metadata.resolve.nodes.retain(|node| !node.id.starts_with("portcullis-store-sqlite@"));
        let problems = judge(&metadata);
        assert!(
            problems.iter().any(|problem| problem.contains("lets `store-sqlite` use `store`")),
            "{problems:?}"
        );
    }
}
