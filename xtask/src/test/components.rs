//! The outside things that tests and benchmarks use: a [`table`], what is installed from where, and who needs it.
//!
//! A component that no test needs is not installed. One that is needed and lacking is installed where that is
//! possible (Debian packages as root, Python and Node packages beneath the target folder), and otherwise said by name;
//! its tests then skip, or fail when it is required. Tests that start a server do so themselves, on a free port of
//! 127.0.0.1, and stop it by its process id.

mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use self::table::{COMPONENTS, Component, Needed, Origin};
use crate::process;
use crate::workspace::Workspace;

/// Whether lacking components are installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Supply {
    Install,
    FindOnly,
}

/// What became of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Present,
    /// Lacking, and why it could not be had.
    Absent(String),
    NotNeeded,
}

/// What became of every component.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    states: BTreeMap<&'static str, State>,
    variables: BTreeMap<&'static str, PathBuf>,
}

/// Finds every needed component, installs what is lacking where it may, and says what became of each.
pub(super) fn prepare(workspace: &Workspace, supply: Supply, require: &Require) -> Prepared {
    let tests = test_files(workspace.root());
    let mut installer = Installer { tools: workspace.tools(), supply, packages: Packages::NotAsked };
    let mut prepared = Prepared::default();
    for component in COMPONENTS {
        let needed = component.needed.is_met_by(&tests) || require.names(component.name);
        let state = if needed { installer.bring(component, workspace.root()) } else { State::NotNeeded };
        match &state {
            State::Present => {
                println!("component {}: present", component.name);
                prepared.variables.extend(installer.variable(component));
            }
            State::Absent(why) => println!("component {}: ABSENT, {why}", component.name),
            State::NotNeeded => println!("component {}: no test needs it", component.name),
        }
        prepared.states.insert(component.name, state);
    }
    prepared
}

/// Brings these components here, for a benchmark; what cannot be had is an error.
pub(crate) fn bring(workspace: &Workspace, names: &[&str]) -> Result<()> {
    let mut installer =
        Installer { tools: workspace.tools(), supply: Supply::Install, packages: Packages::NotAsked };
    for name in names {
        let component = COMPONENTS.iter().find(|component| component.name == *name);
        let component = component.with_context(|| format!("there is no component `{name}`"))?;
        if let State::Absent(why) = installer.bring(component, workspace.root()) {
            bail!("component `{name}` is needed: {why}");
        }
    }
    Ok(())
}

impl Prepared {
    /// Where tests find what was installed for them.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        self.variables.iter().map(|(name, path)| (*name, path.as_path()))
    }

    fn is_absent(&self, name: &str) -> bool {
        matches!(self.states.get(name), Some(State::Absent(_)))
    }
}

impl Needed {
    fn is_met_by(&self, tests: &[String]) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::By(words) => tests.iter().any(|path| words.iter().any(|word| path.contains(word))),
        }
    }
}

/// What must not be skipped.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Require {
    Nothing,
    /// Every skip fails, whatever it names. Only what lies beside the workspace, and is not there, cannot be
    /// asked for: nothing here could bring it.
    All,
    Only(BTreeSet<String>),
}

impl Require {
    /// Reads `--require`.
    pub(super) fn parse(list: Option<&str>) -> Result<Self> {
        let Some(list) = list else { return Ok(Self::Nothing) };
        if list.trim() == "all" {
            return Ok(Self::All);
        }
        let words: BTreeSet<String> = list.split(',').map(|word| word.trim().to_owned()).collect();
        let known: Vec<&str> = COMPONENTS.iter().map(|component| component.name).collect();
        if let Some(unknown) = words.iter().find(|word| !known.contains(&word.as_str())) {
            bail!("`--require` names `{unknown}`, wanted `all` or some of: {}", known.join(", "));
        }
        Ok(Self::Only(words))
    }

    /// Whether the component is asked for by its name.
    fn names(&self, component: &str) -> bool {
        matches!(self, Self::Only(words) if words.contains(component))
    }

    /// Whether a test may not be skipped for want of `what`.
    pub(super) fn forbids(&self, what: &str, prepared: &Prepared) -> bool {
        match self {
            Self::Nothing => false,
            Self::All => !(is_beside(what) && prepared.is_absent(what)),
            Self::Only(words) => words.contains(what),
        }
    }

    /// The list that tests read, if anything is required.
    pub(super) fn words(&self, prepared: &Prepared) -> Option<String> {
        let names = COMPONENTS.iter().map(|component| component.name);
        let words: Vec<&str> = names.filter(|name| self.forbids(name, prepared)).collect();
        (*self != Self::Nothing).then(|| words.join(","))
    }

    /// What is required and could not be had, each a failure of its own.
    pub(super) fn absent(&self, prepared: &Prepared) -> Vec<String> {
        let absent = prepared.states.iter().filter_map(|(name, state)| match state {
            State::Absent(why) if self.forbids(name, prepared) => Some((name, why)),
            State::Absent(_) | State::Present | State::NotNeeded => None,
        });
        absent.map(|(name, why)| format!("component `{name}` is required and absent: {why}")).collect()
    }
}

fn is_beside(name: &str) -> bool {
    COMPONENTS
        .iter()
        .any(|component| component.name == name && matches!(component.origin, Origin::Beside { .. }))
}

/// Installs, and remembers what is asked only once.
struct Installer {
    tools: PathBuf,
    supply: Supply,
    packages: Packages,
}

/// Whether Debian packages can be installed here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packages {
    NotAsked,
    Ready,
    /// Not root, no `apt-get`, or its lists could not be fetched.
    No(&'static str),
}

impl Installer {
    fn bring(&mut self, component: &Component, root: &Path) -> State {
        if self.is_present(component, root) {
            return State::Present;
        }
        if let Origin::Beside { folder } = component.origin {
            return State::Absent(format!("there is no folder `{folder}`"));
        }
        if self.supply == Supply::FindOnly {
            return State::Absent("not found, and nothing is installed with `--no-services`".to_owned());
        }
        match self.install(component, root) {
            Ok(()) if self.is_present(component, root) => State::Present,
            Ok(()) => State::Absent("installed, and still not found".to_owned()),
            Err(error) => State::Absent(format!("{error:#}")),
        }
    }

    fn is_present(&self, component: &Component, root: &Path) -> bool {
        match &component.origin {
            Origin::Debian { probe: (program, arguments), .. } => process::succeeds(program, arguments),
            Origin::Python { packages, .. } | Origin::Node { packages, .. } => {
                self.is_stamped(component, &packages.join("\n"))
            }
            Origin::Locked { folder, .. } => fs::read_to_string(root.join(folder).join(LOCK))
                .is_ok_and(|lock| self.is_stamped(component, &lock)),
            Origin::Beside { folder } => root.join(folder).is_dir(),
        }
    }

    /// The stamp is written last, so that a broken installation is made anew.
    fn is_stamped(&self, component: &Component, holds: &str) -> bool {
        fs::read_to_string(self.folder(component).join(STAMP)).is_ok_and(|text| text == holds)
    }

    fn install(&mut self, component: &Component, root: &Path) -> Result<()> {
        let folder = self.folder(component);
        match &component.origin {
            Origin::Debian { packages, .. } => {
                self.ready(packages)?;
                process::run(apt_get(&["install", "--yes", "--no-install-recommends"]).args(*packages))
            }
            Origin::Python { packages, .. } => {
                process::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
                process::run(
                    Command::new(folder.join(INTERPRETER))
                        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
                        .args(*packages),
                )?;
                stamp(&folder, &packages.join("\n"))
            }
            Origin::Locked { folder: from, .. } => {
                make(&folder)?;
                for file in [MANIFEST, LOCK] {
                    let (from, to) = (root.join(from).join(file), folder.join(file));
                    fs::copy(&from, to).with_context(|| format!("`{}` cannot be copied", from.display()))?;
                }
                // `ci` installs exactly what the lock file names, by its hashes, or fails.
                process::run(
                    Command::new("npm")
                        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"])
                        .arg(&folder),
                )?;
                let lock = fs::read_to_string(folder.join(LOCK)).context("the lock file is gone")?;
                stamp(&folder, &lock)
            }
            Origin::Node { packages, .. } => {
                make(&folder)?;
                process::run(
                    Command::new("npm")
                        .args([
                            "install",
                            "--no-save",
                            "--ignore-scripts",
                            "--no-audit",
                            "--no-fund",
                            "--prefix",
                        ])
                        .arg(&folder)
                        .args(*packages),
                )?;
                stamp(&folder, &packages.join("\n"))
            }
            Origin::Beside { folder } => bail!("`{folder}` is given or not"),
        }
    }

    /// Fetches the package lists once.
    fn ready(&mut self, packages: &[&str]) -> Result<()> {
        if self.packages == Packages::NotAsked {
            self.packages = if !process::succeeds("apt-get", &["--version"]) {
                Packages::No("there is no `apt-get` here")
            } else if !process::capture(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0") {
                Packages::No("only root may")
            } else if process::run(&mut apt_get(&["update"])).is_err() {
                Packages::No("`apt-get update` failed")
            } else {
                Packages::Ready
            };
        }
        match self.packages {
            Packages::No(why) => bail!("install `{}` by hand: {why}", packages.join(" ")),
            Packages::Ready | Packages::NotAsked => Ok(()),
        }
    }

    fn folder(&self, component: &Component) -> PathBuf {
        self.tools.join(component.name)
    }

    fn variable(&self, component: &Component) -> Option<(&'static str, PathBuf)> {
        match &component.origin {
            Origin::Python { variable, .. } => Some((variable, self.folder(component).join(INTERPRETER))),
            Origin::Node { variable, .. } | Origin::Locked { variable, .. } => {
                Some((variable, self.folder(component).join("node_modules")))
            }
            Origin::Debian { .. } | Origin::Beside { .. } => None,
        }
    }
}

/// The file that says what an installed folder holds.
const STAMP: &str = "installed.txt";

const INTERPRETER: &str = "bin/python";

const MANIFEST: &str = "package.json";
const LOCK: &str = "package-lock.json";

fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("`{}` cannot be made", folder.display()))
}

fn stamp(folder: &Path, holds: &str) -> Result<()> {
    let file = folder.join(STAMP);
    fs::write(&file, holds).with_context(|| format!("`{}` cannot be written", file.display()))
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.args(["-qq"]).args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Paths of the test files of our crates, relative to the workspace.
fn test_files(root: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for krate in fs::read_dir(root.join("crates")).into_iter().flatten().flatten() {
        collect(&krate.path().join("tests"), root, &mut files);
    }
    files
}

fn collect(folder: &Path, root: &Path, files: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, root, files);
        } else if let Ok(relative) = path.strip_prefix(root) {
            files.push(relative.to_string_lossy().into_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::table::PAGES;
    use super::*;

    fn prepared(states: &[(&'static str, State)]) -> Prepared {
        Prepared { states: states.iter().cloned().collect(), variables: BTreeMap::new() }
    }

    fn absent() -> State {
        State::Absent("gone".to_owned())
    }

    #[test]
    fn a_component_is_needed_only_while_a_test_file_names_it() {
        let tests = ["crates/portcullis/tests/it/client_python.rs".to_owned()];
        assert!(Needed::By(&["client"]).is_met_by(&tests));
        assert!(!Needed::By(&["browser"]).is_met_by(&tests));
        assert!(Needed::Always.is_met_by(&[]));
    }

    #[test]
    fn an_unknown_word_is_refused_rather_than_never_required() {
        assert!(Require::parse(Some("node,nodee")).is_err());
        assert!(Require::parse(Some("")).is_err());
        assert_eq!(Require::parse(None).unwrap(), Require::Nothing);
    }

    #[test]
    fn what_is_required_and_absent_fails_by_itself() {
        let prepared = prepared(&[("node", absent()), ("zstd", State::Present), ("nginx", State::NotNeeded)]);
        for (list, problems) in [("all", 1), ("node", 1), ("zstd", 0), ("nginx", 0)] {
            let require = Require::parse(Some(list)).unwrap();
            assert_eq!(require.absent(&prepared).len(), problems, "{list}");
        }
    }

    #[test]
    fn only_what_lies_beside_the_workspace_may_lack_under_all_and_not_when_it_is_named() {
        let all = Require::All;
        let without = prepared(&[("data", absent())]);
        assert!(!all.forbids("data", &without));
        assert!(all.forbids("data", &prepared(&[("data", State::Present)])));
        assert!(all.forbids("node", &prepared(&[("node", absent())])));
        assert!(Require::parse(Some("data")).unwrap().forbids("data", &without));
    }

    #[test]
    fn tests_are_told_what_they_must_not_skip() {
        let without = prepared(&[("data", absent())]);
        let words = Require::All.words(&without).unwrap();
        assert!(words.split(',').any(|word| word == "node") && !words.contains("data"), "{words}");
        assert_eq!(Require::parse(Some("zstd,node")).unwrap().words(&without).as_deref(), Some("zstd,node"));
        assert_eq!(Require::Nothing.words(&without), None);
    }

    #[test]
    fn nothing_is_installed_where_only_finding_is_asked() {
        let root = tempfile::tempdir().unwrap();
        let component = Component {
            name: "imaginary",
            origin: Origin::Debian {
                probe: ("no-such-program-anywhere", &[]),
                packages: &["no-such-package"],
            },
            needed: Needed::Always,
        };
        let tools = root.path().join("tools");
        let mut installer = Installer { tools, supply: Supply::FindOnly, packages: Packages::NotAsked };
        assert!(matches!(installer.bring(&component, root.path()), State::Absent(_)));
        assert_eq!(installer.packages, Packages::NotAsked);
    }

    #[test]
    fn an_environment_without_its_stamp_is_made_anew() {
        let root = tempfile::tempdir().unwrap();
        let component = Component {
            name: "client",
            origin: Origin::Node { packages: &["a@1"], variable: "X" },
            needed: Needed::Always,
        };
        let installer =
            Installer { tools: root.path().into(), supply: Supply::FindOnly, packages: Packages::NotAsked };
        assert!(!installer.is_present(&component, root.path()));
        fs::create_dir_all(installer.folder(&component)).unwrap();
        stamp(&installer.folder(&component), "a@0").unwrap();
        assert!(!installer.is_present(&component, root.path()));
        stamp(&installer.folder(&component), "a@1").unwrap();
        assert!(installer.is_present(&component, root.path()));
    }

    #[test]
    fn a_folder_made_from_another_lock_file_is_made_anew() {
        let root = tempfile::tempdir().unwrap();
        let component = Component {
            name: "driver",
            origin: Origin::Locked { folder: "fixture", variable: "X" },
            needed: Needed::Always,
        };
        let tools = root.path().join("tools");
        let installer = Installer { tools, supply: Supply::FindOnly, packages: Packages::NotAsked };
        make(&installer.folder(&component)).unwrap();
        stamp(&installer.folder(&component), "one").unwrap();
        assert!(!installer.is_present(&component, root.path()), "there is no lock file to compare with");
        make(&root.path().join("fixture")).unwrap();
        for (lock, is_present) in [("one", true), ("two", false)] {
            fs::write(root.path().join("fixture").join(LOCK), lock).unwrap();
            assert_eq!(installer.is_present(&component, root.path()), is_present, "{lock}");
        }
    }

    #[test]
    fn the_test_of_the_pages_alone_needs_a_browser() {
        let browser = COMPONENTS.iter().find(|component| component.name == "chromium").unwrap();
        let of = |path: &str| [path.to_owned()];
        assert!(browser.needed.is_met_by(&of("crates/portcullis/tests/it/pages.rs")));
        assert!(!browser.needed.is_met_by(&of("crates/portcullis-pages/tests/it/pages.rs")));
        assert!(test_files(&workspace()).iter().any(|path| path.contains(PAGES)), "the test has moved");
    }

    fn workspace() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
    }
}
