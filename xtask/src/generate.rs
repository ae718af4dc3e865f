//! Writes or compares the committed generated files.
//!
//! The content comes from four places: the product's own hidden command `portcullis generate --out DIR` (pages of
//! checks, configuration, errors, pipeline and routes, and the example configuration), the crate edges (the picture
//! in ARCHITECTURE.md), the dependency graph (THIRD-PARTY-NOTICES) and the check files on disk (the lists that name
//! them). The file lists are explicit: a generated
//! file that nobody makes any more is stale and is removed, one that nobody expected is refused.

mod notices;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;
use crate::{deps, new_check, process};

/// Every file in these folders is generated.
const FOLDERS: &[&str] = &["docs/checks"];

/// The generated files that stand in folders with hand-written ones, all made by the product.
const FILES: &[&str] = &[
    "docs/config.md",
    "docs/errors.md",
    "docs/metrics.md",
    "docs/pipeline.md",
    "docs/roles.md",
    "docs/routes.md",
    "portcullis.example.toml",
];

/// What stands committed, or should: text by path, relative to the workspace, with `/`.
type Texts = BTreeMap<String, String>;

/// Makes every generated file what it should be. What needs no running product comes first, so that a product that
/// does not compile for want of a line in a generated list gets that line.
pub(crate) fn write(workspace: &Workspace) -> Result<()> {
    let mut changed = 0_usize;
    for make in [from_workspace, from_product] {
        let part = make(workspace)?;
        for difference in part.differences(workspace.root())? {
            changed = changed.saturating_add(1);
            println!("gen: {difference}");
            part.mend(workspace.root(), &difference)?;
        }
    }
    println!("gen: {changed} files changed");
    Ok(())
}

/// Fails, naming each file, when a generated file is missing, stale or left over.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let mut found = 0_usize;
    let mut files = 0_usize;
    let mut report = |part: Part| -> Result<()> {
        files = files.saturating_add(part.texts.len());
        for difference in part.differences(workspace.root())? {
            found = found.saturating_add(1);
            eprintln!("gen: {difference}");
        }
        Ok(())
    };
    report(from_workspace(workspace)?)?;
    report(from_product(workspace)?)?;
    if found == 0 {
        println!("gen: {files} files are fresh");
        return Ok(());
    }
    bail!("{found} generated file(s) differ from the code; run `cargo xtask gen` and commit")
}

/// Generated files that are made together.
#[derive(Debug)]
struct Part {
    texts: Texts,
    /// Folders that hold nothing but these files.
    folders: &'static [&'static str],
}

impl Part {
    fn differences(&self, root: &Path) -> Result<Vec<Difference>> {
        Ok(differences(&self.texts, &committed(root, &self.texts, self.folders)?))
    }

    fn mend(&self, root: &Path, difference: &Difference) -> Result<()> {
        let path = root.join(difference.path());
        let Some(text) = self.texts.get(difference.path()) else {
            return fs::remove_file(&path).with_context(|| format!("`{}` cannot be removed", path.display()));
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("`{}` cannot be made", folder.display()))?;
        }
        fs::write(&path, text).with_context(|| format!("`{}` cannot be written", path.display()))
    }
}

/// What follows from the files and the dependency graph alone.
fn from_workspace(workspace: &Workspace) -> Result<Part> {
    let mut texts = new_check::lists(workspace.root())?;
    let page = fs::read_to_string(workspace.root().join("ARCHITECTURE.md"))
        .context("`ARCHITECTURE.md` cannot be read; `gen` only fills in its picture of crates")?;
    texts.insert("ARCHITECTURE.md".to_owned(), deps::place(&page, &deps::picture(&workspace.metadata))?);
    texts.insert("THIRD-PARTY-NOTICES".to_owned(), notices::text(&workspace.metadata)?);
    Ok(Part { texts, folders: &[] })
}

/// Runs the product and reads what it wrote.
fn from_product(workspace: &Workspace) -> Result<Part> {
    let out = tempfile::tempdir().context("no temporary folder")?;
    process::run(
        process::cargo(workspace.root())
            .args(["run", "--quiet", "--package", "portcullis", "--", "generate", "--out"])
            .arg(out.path()),
    )
    .context("the product's hidden command `portcullis generate --out DIR` makes the generated pages, and it failed")?;
    let mut texts = Texts::new();
    read_folder(out.path(), out.path(), &mut texts)?;
    expected(&texts)?;
    Ok(Part { texts, folders: FOLDERS })
}

/// Refuses what the lists of this module do not name, and the absence of what they do.
fn expected(texts: &Texts) -> Result<()> {
    let in_folder =
        |path: &str, folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    for path in texts.keys() {
        if !FILES.contains(&path.as_str()) && !FOLDERS.iter().any(|folder| in_folder(path, folder)) {
            bail!(
                "`portcullis generate` wrote `{path}`, which xtask/src/generate.rs does not list; add it there"
            );
        }
    }
    for file in FILES {
        if !texts.contains_key(*file) {
            bail!("`portcullis generate` did not write `{file}`, which xtask/src/generate.rs lists");
        }
    }
    for folder in FOLDERS {
        if !texts.keys().any(|path| in_folder(path, folder)) {
            bail!("`portcullis generate` wrote nothing into `{folder}`");
        }
    }
    Ok(())
}

/// The present text of each wanted file, and of every other file in the folders.
fn committed(root: &Path, wanted: &Texts, folders: &[&str]) -> Result<Texts> {
    let mut texts = Texts::new();
    for folder in folders {
        let folder = root.join(folder);
        if folder.is_dir() {
            read_folder(root, &folder, &mut texts)?;
        }
    }
    for path in wanted.keys() {
        let file = root.join(path);
        if file.is_file() {
            texts.insert(path.clone(), read(&file)?);
        }
    }
    Ok(texts)
}

fn read_folder(root: &Path, folder: &Path, texts: &mut Texts) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("`{}` cannot be listed", folder.display()))? {
        let path = entry.with_context(|| format!("`{}` cannot be listed", folder.display()))?.path();
        if path.is_dir() {
            read_folder(root, &path, texts)?;
        } else {
            let relative = path.strip_prefix(root).context("a listed file lies outside its folder")?;
            let parts: Vec<_> =
                relative.components().map(|part| part.as_os_str().to_string_lossy()).collect();
            texts.insert(parts.join("/"), read(&path)?);
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("`{}` cannot be read", path.display()))?;
    // A generated file is text; one that is not differs from every wanted text, which is what counts here.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// One way in which what stands differs from what should.
#[derive(Debug, PartialEq, Eq)]
enum Difference {
    Missing(String),
    /// The path, and the first line that differs, counted from one.
    Stale(String, usize),
    Leftover(String),
}

impl Difference {
    fn path(&self) -> &str {
        match self {
            Self::Missing(path) | Self::Stale(path, _) | Self::Leftover(path) => path,
        }
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing(path) => write!(f, "`{path}` is missing"),
            Self::Stale(path, line) => write!(f, "`{path}` is stale from line {line}"),
            Self::Leftover(path) => write!(f, "`{path}` is no longer generated"),
        }
    }
}

fn differences(wanted: &Texts, present: &Texts) -> Vec<Difference> {
    let paths: BTreeSet<&String> = wanted.keys().chain(present.keys()).collect();
    let mut differences = Vec::new();
    for path in paths {
        match (wanted.get(path), present.get(path)) {
            (Some(_), None) => differences.push(Difference::Missing(path.clone())),
            (None, Some(_)) => differences.push(Difference::Leftover(path.clone())),
            (Some(new), Some(old)) if new != old => {
                let same = new.lines().zip(old.lines()).take_while(|(new, old)| new == old).count();
                differences.push(Difference::Stale(path.clone(), same.saturating_add(1)));
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(pairs: &[(&str, &str)]) -> Texts {
        pairs.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    }

    fn complete() -> Texts {
        let mut all: Texts = FILES.iter().map(|file| ((*file).to_owned(), String::new())).collect();
        all.extend(FOLDERS.iter().map(|folder| (format!("{folder}/index.md"), String::new())));
        all
    }

    #[test]
    fn a_missing_a_stale_and_a_left_over_file_each_have_a_name() {
        let wanted = texts(&[("new.md", "1"), ("same.md", "1"), ("stale.md", "1\n2\n")]);
        let present = texts(&[("old.md", "1"), ("same.md", "1"), ("stale.md", "1\n3\n")]);
        assert_eq!(
            differences(&wanted, &present),
            [
                Difference::Missing("new.md".to_owned()),
                Difference::Leftover("old.md".to_owned()),
                Difference::Stale("stale.md".to_owned(), 2),
            ]
        );
    }

    #[test]
    fn a_lost_final_newline_is_a_difference() {
        assert_eq!(differences(&texts(&[("a", "x\n")]), &texts(&[("a", "x")])).len(), 1);
    }

    #[test]
    fn the_product_must_write_exactly_what_is_listed() {
        assert!(expected(&complete()).is_ok());

        let mut surprise = complete();
        surprise.insert("docs/threat-model.md".to_owned(), String::new());
        assert!(expected(&surprise).is_err());

        let mut beside_the_folder = complete();
        beside_the_folder.insert("docs/checks-old/a.md".to_owned(), String::new());
        assert!(expected(&beside_the_folder).is_err());

        let mut lacking = complete();
        lacking.remove("docs/errors.md");
        assert!(expected(&lacking).is_err());

        let mut empty_folder = complete();
        empty_folder.remove("docs/checks/index.md");
        assert!(expected(&empty_folder).is_err());
    }

    #[test]
    fn a_file_left_in_a_generated_folder_is_seen_on_disk() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("docs/checks/old")).unwrap();
        fs::write(root.path().join("docs/checks/old/gone.md"), "x").unwrap();
        fs::write(root.path().join("docs/by-hand.md"), "x").unwrap();
        let nothing = Part { texts: Texts::new(), folders: FOLDERS };
        let found = nothing.differences(root.path()).unwrap();
        assert_eq!(found, [Difference::Leftover("docs/checks/old/gone.md".to_owned())]);
        nothing.mend(root.path(), &found[0]).unwrap();
        assert_eq!(nothing.differences(root.path()).unwrap(), []);
        assert!(root.path().join("docs/by-hand.md").exists());
    }

    #[test]
    fn a_missing_and_a_stale_file_are_written() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("stale.md"), "old").unwrap();
        let part = Part { texts: texts(&[("docs/deep/new.md", "1"), ("stale.md", "2")]), folders: &[] };
        for difference in part.differences(root.path()).unwrap() {
            part.mend(root.path(), &difference).unwrap();
        }
        assert_eq!(fs::read_to_string(root.path().join("docs/deep/new.md")).unwrap(), "1");
        assert_eq!(part.differences(root.path()).unwrap(), []);
    }
}
