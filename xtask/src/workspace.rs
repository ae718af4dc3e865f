//! The workspace as `cargo metadata` describes it: folders, packages, and who depends on whom.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process;

/// The checked-out workspace.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) metadata: Metadata,
}

impl Workspace {
    /// Asks cargo, with every feature on: what ships in any build is judged.
    pub(crate) fn load() -> Result<Self> {
        let here = std::env::current_dir().context("the current folder cannot be read")?;
        let text = process::capture(process::cargo(&here).args([
            "metadata",
            "--format-version",
            "1",
            "--all-features",
            "--quiet",
        ]))?;
        let metadata = serde_json::from_str(&text).context("`cargo metadata` answered in an unknown form")?;
        Ok(Self { metadata })
    }

    /// The folder of the workspace manifest.
    pub(crate) fn root(&self) -> &PathBuf {
        &self.metadata.workspace_root
    }

    /// What is tested, as cargo's arguments: everything as it ships, then the crates that have features, with all of
    /// them on. Some tests exist in only one of the two.
    pub(crate) fn selections(&self) -> Vec<Vec<&str>> {
        let mut selections = vec![vec!["--workspace"]];
        let members = self.metadata.members();
        let featured = members
            .into_iter()
            .filter(|(_, package)| package.features.keys().any(|feature| feature != "default"))
            .flat_map(|(name, _)| ["--package", name]);
        let all: Vec<&str> = std::iter::once("--all-features").chain(featured).collect();
        if all.len() > 1 {
            selections.push(all);
        }
        selections
    }

    /// Where tools that only tests need are installed; beneath the target folder, so never committed.
    pub(crate) fn tools(&self) -> PathBuf {
        self.metadata.target_directory.join("test-tools")
    }
}

/// The part of `cargo metadata` that the tasks need.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) workspace_members: BTreeSet<String>,
    pub(crate) workspace_root: PathBuf,
    pub(crate) target_directory: PathBuf,
    pub(crate) resolve: Resolve,
}

/// One version of one crate.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    pub(crate) repository: Option<String>,
    /// `None` for a path dependency.
    pub(crate) source: Option<String>,
    pub(crate) manifest_path: PathBuf,
    #[serde(default)]
    pub(crate) features: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Resolve {
    pub(crate) nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) deps: Vec<NodeDependency>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct NodeDependency {
    pub(crate) pkg: String,
    pub(crate) dep_kinds: Vec<DependencyKind>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct DependencyKind {
    /// `None` for a normal dependency, else `dev` or `build`.
    pub(crate) kind: Option<String>,
}

/// Whether a dependency ends up in what is built, or only in tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Use {
    /// Normal and build dependencies.
    Built,
    /// Dev-dependencies.
    Tests,
}

/// One crate using another directly.
#[derive(Debug)]
pub(crate) struct Edge<'a> {
    pub(crate) from: &'a Package,
    pub(crate) to: &'a Package,
    pub(crate) used: Use,
}

impl Metadata {
    /// The packages of this workspace, by name.
    pub(crate) fn members(&self) -> BTreeMap<&str, &Package> {
        let ours = self.packages.iter().filter(|package| self.is_ours(package));
        ours.map(|package| (package.name.as_str(), package)).collect()
    }

    /// Whether the package belongs to this workspace.
    pub(crate) fn is_ours(&self, package: &Package) -> bool {
        self.workspace_members.contains(&package.id)
    }

    /// Every direct use of one package by another; one use may appear once as built and once as for tests.
    pub(crate) fn edges(&self) -> Vec<Edge<'_>> {
        let by_id: BTreeMap<&str, &Package> =
            self.packages.iter().map(|package| (package.id.as_str(), package)).collect();
        let mut edges = Vec::new();
        for node in &self.resolve.nodes {
            for dependency in &node.deps {
                let (Some(from), Some(to)) =
                    (by_id.get(node.id.as_str()), by_id.get(dependency.pkg.as_str()))
                else {
                    continue;
                };
                let uses: BTreeSet<Use> = dependency.dep_kinds.iter().map(DependencyKind::used).collect();
                edges.extend(uses.into_iter().map(|used| Edge { from, to, used }));
            }
        }
        edges
    }

    /// What a build of `roots` can contain, the roots included: dev-dependencies are not followed.
    pub(crate) fn built_from<'a>(&'a self, roots: impl IntoIterator<Item = &'a Package>) -> Vec<&'a Package> {
        let mut uses: BTreeMap<&str, Vec<&Package>> = BTreeMap::new();
        for edge in self.edges().iter().filter(|edge| edge.used == Use::Built) {
            uses.entry(edge.from.id.as_str()).or_default().push(edge.to);
        }
        let mut queue: VecDeque<&Package> = roots.into_iter().collect();
        let mut seen: BTreeMap<(&str, &str, &str), &Package> = BTreeMap::new();
        while let Some(package) = queue.pop_front() {
            if seen.insert((&package.name, &package.version, &package.id), package).is_none() {
                queue.extend(uses.get(package.id.as_str()).into_iter().flatten().copied());
            }
        }
        seen.into_values().collect()
    }
}

impl DependencyKind {
    fn used(&self) -> Use {
        match self.kind.as_deref() {
            Some("dev") => Use::Tests,
            Some(_) | None => Use::Built,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_with_features_is_tested_without_and_with_them() {
        let mut metadata = Metadata::sample().member("plain").member("featured");
        let workspace = |metadata| Workspace { metadata };
        assert_eq!(workspace(Metadata::sample().member("plain")).selections(), [vec!["--workspace"]]);
        for package in metadata.packages.iter_mut().filter(|package| package.name == "featured") {
            package.features.insert("guard-off".to_owned(), Vec::new());
        }
        assert_eq!(
            workspace(metadata).selections(),
            [vec!["--workspace"], vec!["--all-features", "--package", "featured"]]
        );
    }
}

/// Small workspaces for tests: packages and edges by name, nothing else.
#[cfg(test)]
pub(crate) mod sample {
    use super::*;

    const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

    impl Metadata {
        pub(crate) fn sample() -> Self {
            Self {
                packages: Vec::new(),
                workspace_members: BTreeSet::new(),
                workspace_root: PathBuf::from("."),
                target_directory: PathBuf::from("target"),
                resolve: Resolve { nodes: Vec::new() },
            }
        }

        pub(crate) fn member(mut self, name: &str) -> Self {
            self.workspace_members.insert(format!("{name}@0.1.0"));
            self.add(name, "0.1.0", "MIT", None);
            self
        }

        pub(crate) fn external(mut self, name: &str, version: &str, license: &str) -> Self {
            self.add(name, version, license, Some(REGISTRY));
            self
        }

        pub(crate) fn git(mut self, name: &str) -> Self {
            self.add(name, "1.0.0", "MIT", Some("git+https://example.org/fork"));
            self
        }

        /// `from` and `to` as `name` of a member or `name@version`.
        pub(crate) fn edge(mut self, from: &str, to: &str, kind: Option<&str>) -> Self {
            let id = |text: &str| if text.contains('@') { text.to_owned() } else { format!("{text}@0.1.0") };
            let kind = DependencyKind { kind: kind.map(str::to_owned) };
            let dependency = NodeDependency { pkg: id(to), dep_kinds: vec![kind] };
            self.resolve.nodes.push(Node { id: id(from), deps: vec![dependency] });
            self
        }

        fn add(&mut self, name: &str, version: &str, license: &str, source: Option<&str>) {
            self.packages.push(Package {
                id: format!("{name}@{version}"),
                name: name.to_owned(),
                version: version.to_owned(),
                license: Some(license.to_owned()),
                repository: None,
                source: source.map(str::to_owned),
                manifest_path: PathBuf::from(format!("{name}/Cargo.toml")),
                features: BTreeMap::new(),
            });
        }
    }
}
