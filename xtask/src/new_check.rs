//! Scaffolds a check, and keeps the lists that name every check complete.
//!
//! The lists are committed code, so that a reader sees them and a check cannot be lost in a build step; they are
//! written from the files on disk, so that a file cannot be lost in the lists. `gen --check` compares them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::workspace::Workspace;

/// The folder with one folder for each area.
const CHECKS: &str = "crates/portcullis-check/src/checks";
/// Every control with its severity and title.
const CONTROLS: &str = "crates/portcullis-check/src/catalogue/controls.rs";

/// Writes the file of a new check and refreshes the lists.
pub(crate) fn run(workspace: &Workspace, id: &str, title: &str) -> Result<()> {
    let root = workspace.root();
    let id = Id::parse(id)?;
    let control = Control::find(&read(root, CONTROLS)?, &id, title)?;
    let files = files(root)?;
    let area = id.area(&files)?;

    let stem = format!("{}_{}", id.stem(), slug(title));
    if let Some((_, taken)) = files.iter().find(|(_, file)| file.starts_with(&format!("{}_", id.stem()))) {
        bail!("`{}` has a check already: `{taken}.rs`", id.0);
    }
    let path = format!("{CHECKS}/{area}/{stem}.rs");
    write(root, &path, &scaffold(&id, &control, title, &area))?;
    println!("new-check: `{path}`");
    for (path, text) in lists(root)? {
        write(root, &path, &text)?;
    }
    println!(
        "new-check: write `run`, the four headings, and at least three single faults in `fails_on`, without which \
         the crate does not compile; then run `cargo xtask gen`"
    );
    Ok(())
}

/// The files that list checks, as they should be: path and text.
pub(crate) fn lists(root: &Path) -> Result<BTreeMap<String, String>> {
    let files = files(root)?;
    // An empty list would be written as readily as a full one.
    ensure!(!files.is_empty(), "found no check below `{CHECKS}`, wanted at least one");
    let mut lists = BTreeMap::new();
    for area in files.iter().map(|(area, _)| area).collect::<BTreeSet<_>>() {
        let path = format!("{CHECKS}/{area}/mod.rs");
        let modules =
            files.iter().filter(|(at, _)| at == area).map(|(_, file)| format!("pub(super) mod {file};"));
        let text = relist(&read(root, &path)?, is_module_of_check, modules.collect())
            .with_context(|| format!("`{path}` cannot be refreshed"))?;
        lists.insert(path, text);
    }
    let path = format!("{CHECKS}/mod.rs");
    let mut entries: Vec<(&str, String)> =
        files.iter().map(|(area, file)| (file.as_str(), format!("    {area}::{file}::CHECK,"))).collect();
    entries.sort();
    let text =
        relist(&read(root, &path)?, is_entry_of_check, entries.into_iter().map(|(_, entry)| entry).collect())
            .with_context(|| format!("`{path}` cannot be refreshed"))?;
    lists.insert(path, text);
    Ok(lists)
}

/// A control's id, such as `AUTH-01`.
#[derive(Debug, PartialEq, Eq)]
struct Id(String);

impl Id {
    fn parse(text: &str) -> Result<Self> {
        let parts = text.split_once('-');
        let well_formed = parts.is_some_and(|(area, number)| {
            !area.is_empty()
                && area.chars().all(|c| c.is_ascii_uppercase())
                && number.len() == 2
                && number.chars().all(|c| c.is_ascii_digit())
        });
        ensure!(
            well_formed,
            "an id is capital letters, a hyphen and two digits, such as `TEN-08`; found `{text}`"
        );
        Ok(Self(text.to_owned()))
    }

    /// `auth_01`.
    fn stem(&self) -> String {
        self.0.to_lowercase().replace('-', "_")
    }

    /// The folder where the checks of this prefix are.
    fn area(&self, files: &BTreeSet<(String, String)>) -> Result<String> {
        let stem = self.stem();
        let prefix = stem.split('_').next().unwrap_or_default();
        let same = files.iter().find(|(_, file)| file.split('_').next() == Some(prefix));
        let named = files.iter().find(|(area, _)| area == prefix);
        let (area, _) = same.or(named).with_context(|| {
            format!(
                "no check begins with `{prefix}_`, so its area is not known; write the first one of its kind by hand \
                 (a folder below `{CHECKS}`, and `Area` in `check.rs`)"
            )
        })?;
        Ok(area.clone())
    }
}

/// What the catalogue says about a control.
#[derive(Debug, PartialEq, Eq)]
struct Control {
    severity: String,
}

impl Control {
    /// Looks the control up and refuses another title: a row of the scorecard has one name.
    fn find(catalogue: &str, id: &Id, title: &str) -> Result<Self> {
        let opening = format!("\"{}\", ", id.0);
        let row = catalogue
            .lines()
            .find_map(|line| line.trim().strip_prefix(&opening))
            .with_context(|| format!("`{}` is no control; add its row to `{CONTROLS}` first", id.0))?;
        let severity = row.split(',').next().unwrap_or_default().trim().to_owned();
        let named =
            row.rsplit_once(", \"").and_then(|(_, rest)| rest.strip_suffix("\";")).unwrap_or_default();
        ensure!(named == title, "`{}` is titled `{named}` in `{CONTROLS}`, found `{title}`", id.0);
        Ok(Self { severity })
    }
}

/// Area and file stem of every check on disk.
fn files(root: &Path) -> Result<BTreeSet<(String, String)>> {
    let folder = root.join(CHECKS);
    let mut files = BTreeSet::new();
    for area in fs::read_dir(&folder).with_context(|| format!("`{CHECKS}` cannot be listed"))? {
        let area = area.with_context(|| format!("`{CHECKS}` cannot be listed"))?;
        if !area.path().is_dir() {
            continue;
        }
        let area_name = area.file_name().to_string_lossy().into_owned();
        for file in fs::read_dir(area.path()).with_context(|| format!("`{area_name}` cannot be listed"))? {
            let file = file.with_context(|| format!("`{area_name}` cannot be listed"))?;
            let file_name = file.file_name().to_string_lossy().into_owned();
            if let Some(stem) = file_name.strip_suffix(".rs").filter(|stem| is_check(stem)) {
                files.insert((area_name.clone(), stem.to_owned()));
            }
        }
    }
    Ok(files)
}

/// `ten_02_memory_stays_inside_its_tenant`: letters, two digits, a slug.
fn is_check(stem: &str) -> bool {
    let mut parts = stem.splitn(3, '_');
    let area =
        parts.next().is_some_and(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase()));
    let number = parts.next().is_some_and(|part| part.len() == 2 && part.chars().all(|c| c.is_ascii_digit()));
    area && number && parts.next().is_some_and(|part| !part.is_empty())
}

fn is_module_of_check(line: &str) -> bool {
    let name = line.trim().strip_prefix("pub(super) mod ").and_then(|rest| rest.strip_suffix(';'));
    name.is_some_and(is_check)
}

fn is_entry_of_check(line: &str) -> bool {
    let path = line.trim().strip_suffix("::CHECK,").and_then(|path| path.split_once("::"));
    path.is_some_and(|(_, file)| is_check(file))
}

/// The text with the lines that `is_listed` replaced by `wanted`, where the first of them stood.
fn relist(text: &str, is_listed: fn(&str) -> bool, wanted: Vec<String>) -> Result<String> {
    let at =
        text.lines().position(is_listed).context("found no line that names a check, wanted at least one")?;
    let (before, after): (Vec<_>, Vec<_>) =
        text.lines().enumerate().filter(|(_, line)| !is_listed(line)).partition(|(index, _)| *index < at);
    let lines =
        |part: Vec<(usize, &str)>| part.into_iter().map(|(_, line)| line.to_owned()).collect::<Vec<_>>();
    let mut joined = [lines(before), wanted, lines(after)].concat().join("\n");
    joined.push('\n');
    Ok(joined)
}

/// Words in lower case with `_` between: the part of a file name that says what the check claims.
fn slug(title: &str) -> String {
    let spaced: String =
        title.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { ' ' }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join("_")
}

fn scaffold(id: &Id, control: &Control, title: &str, area: &str) -> String {
    let mut letters = area.chars();
    let variant: String =
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect();
    format!(
        r#"//! {id}.

use crate::check::{{cases, check}};
use crate::outcome::{{Inconclusive, Verdict}};
use crate::probe::Probe;

check! {{
    /// ## What it checks
    /// ## Why it matters
    /// ## How to fix
    /// ## Limits
    id: "{id}", title: "{title}",
    area: {variant}, severity: {severity}, since: "{version}",
    needs: [Identity], touches: Nothing,
    maps: [],
    run,
}}

cases! {{
    passes_on: ["foreign"],
    fails_on: [],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man"],
}}

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {{
    let target = probe.target();
    Err(Inconclusive::because(format!("nothing was looked at on {{}}", target.name)))
}}
"#,
        id = id.0,
        severity = control.severity,
        version = env!("CARGO_PKG_VERSION"),
    )
}

fn read(root: &Path, path: &str) -> Result<String> {
    fs::read_to_string(root.join(path)).with_context(|| format!("`{path}` cannot be read"))
}

fn write(root: &Path, path: &str, text: &str) -> Result<()> {
    fs::write(root.join(path), text).with_context(|| format!("`{path}` cannot be written"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CATALOGUE: &str = "controls! {\n    \"TEN-02\", Critical, Both, Auto, [Daily, PerDeploy], \"Search stays \
                             inside\";\n    \"TEN-03\", High, Both, Auto, [Daily], \"A, b\";\n}\n";

    fn workspace() -> (tempfile::TempDir, Workspace) {
        let folder = tempfile::tempdir().unwrap();
        let mut metadata = crate::workspace::Metadata::sample();
        metadata.workspace_root = folder.path().to_owned();
        for (path, text) in [
            ("catalogue/controls.rs", CATALOGUE),
            (
                "checks/mod.rs",
                "//! List.\n\nmod tenancy;\n\npub const CHECKS: &[Check] = &[\n    tenancy::ten_09_z::CHECK,\n];\n",
            ),
            (
                "checks/tenancy/mod.rs",
                "//! Area.\n\nmod shared;\n\npub(super) mod ten_09_z;\n\nfn more() {}\n",
            ),
            ("checks/tenancy/ten_09_z.rs", ""),
            ("checks/tenancy/shared.rs", ""),
        ] {
            let path = folder.path().join("crates/portcullis-check/src").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        (folder, Workspace { metadata })
    }

    #[test]
    fn a_new_check_gets_its_file_and_its_place_in_both_lists() {
        let (folder, workspace) = workspace();
        run(&workspace, "TEN-02", "Search stays inside").unwrap();
        let at = |path: &str| fs::read_to_string(folder.path().join(CHECKS).join(path)).unwrap();
        let file = at("tenancy/ten_02_search_stays_inside.rs");
        assert!(file.contains("area: Tenancy, severity: Critical"), "{file}");
        assert_eq!(
            at("tenancy/mod.rs"),
            "//! Area.\n\nmod shared;\n\npub(super) mod ten_02_search_stays_inside;\npub(super) mod ten_09_z;\n\n\
             fn more() {}\n"
        );
        assert!(
            at("mod.rs").contains(
                "= &[\n    tenancy::ten_02_search_stays_inside::CHECK,\n    tenancy::ten_09_z::CHECK,\n];\n"
            ),
            "{}",
            at("mod.rs")
        );
        assert!(run(&workspace, "TEN-02", "Search stays inside").is_err(), "an id has one check");
    }

    #[test]
    fn a_check_file_that_no_list_names_is_seen() {
        let (folder, _) = workspace();
        fs::write(folder.path().join(CHECKS).join("tenancy/ten_04_lost.rs"), "").unwrap();
        let lists = lists(folder.path()).unwrap();
        assert!(lists[&format!("{CHECKS}/mod.rs")].contains("tenancy::ten_04_lost::CHECK,"));
        assert!(lists[&format!("{CHECKS}/tenancy/mod.rs")].contains("pub(super) mod ten_04_lost;"));
    }

    #[test]
    fn fresh_lists_are_left_as_they_are() {
        let (folder, _) = workspace();
        for (path, text) in lists(folder.path()).unwrap() {
            assert_eq!(read(folder.path(), &path).unwrap(), text);
        }
    }

    #[test]
    fn an_unknown_control_another_title_and_a_malformed_id_are_refused() {
        let (_folder, workspace) = workspace();
        assert!(run(&workspace, "TEN-77", "Search stays inside").is_err());
        assert!(run(&workspace, "TEN-02", "Search is fine").is_err());
        assert!(Control::find(CATALOGUE, &Id("TEN-03".to_owned()), "A, b").is_ok());
        for id in ["ten-02", "TEN02", "TEN-2", "TEN-002", "-02", "../../x-01"] {
            assert!(Id::parse(id).is_err(), "{id}");
        }
    }

    #[test]
    fn a_slug_holds_nothing_but_words() {
        assert_eq!(
            slug("Nothing leaks, not `even` in \"errors\"/logs"),
            "nothing_leaks_not_even_in_errors_logs"
        );
    }
}
