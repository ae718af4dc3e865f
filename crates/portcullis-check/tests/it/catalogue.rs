//! The order of the catalogue: all problems at once.

use std::path::Path;

use portcullis_check::checks::CHECKS;
use portcullis_check::{catalogue, explain, generate};

/// The last part of a check's file name: its title in lower case with underscores.
fn slug(title: &str) -> String {
    let spaced: String =
        title.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { ' ' }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join("_")
}

#[test]
fn every_check_is_in_order() {
    let mut problems = Vec::new();
    for check in CHECKS {
        let mut problem = |text: String| problems.push(format!("{}: {text}", check.id));
        let file = Path::new(check.file);
        let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let wanted = format!("{}_{}", check.id.to_lowercase().replace('-', "_"), slug(check.title));
        if stem != wanted {
            problem(format!("file `{stem}`, wanted `{wanted}`"));
        }
        let folder =
            file.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
        if folder != check.area.word() {
            problem(format!("folder `{folder}`, wanted `{}`", check.area.word()));
        }
        match catalogue::find(check.id) {
            None => problem("not in the catalogue of controls".to_owned()),
            Some(control) => {
                if control.title != check.title {
                    problem(format!("title `{}`, the catalogue says `{}`", check.title, control.title));
                }
                if control.severity != check.severity {
                    problem(format!("severity {}, the catalogue says {}", check.severity, control.severity));
                }
            }
        }
        let page = explain(check.id).unwrap_or_default();
        let headings: Vec<&str> = page.lines().filter(|line| line.starts_with("## ")).collect();
        let expected =
            ["## What it checks", "## Why it matters", "## How to fix", "## Limits", "## Proven on"];
        if headings != expected {
            problem(format!("headings {headings:?}"));
        }
        for (heading, next) in expected.iter().zip(expected.iter().skip(1)) {
            let text =
                page.split(heading).nth(1).and_then(|rest| rest.split(next).next()).unwrap_or_default();
            if text.trim().len() < 40 {
                problem(format!("`{heading}` says nothing"));
            }
        }
        if check.cases.passes_on.is_empty() || check.cases.fails_on.len() < 3 {
            problem("too few cases".to_owned());
        }
        if ["ensure", "make sure"].iter().any(|word| check.title.to_lowercase().contains(word)) {
            problem("the title is an order, not a claim".to_owned());
        }
    }
    let ids: Vec<_> = CHECKS.iter().map(|check| check.id).collect();
    if !ids.is_sorted() || ids.windows(2).any(|pair| pair[0] == pair[1]) {
        problems.push(format!("ids are not sorted and unique: {ids:?}"));
    }
    assert_eq!(problems, Vec::<String>::new(), "{}", problems.join("\n"));
}

#[test]
fn every_file_of_a_check_is_in_the_list() {
    let mut files = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/checks");
    for area in
        std::fs::read_dir(root).expect("areas").filter_map(Result::ok).filter(|entry| entry.path().is_dir())
    {
        for file in std::fs::read_dir(area.path()).expect("files").filter_map(Result::ok) {
            let text = std::fs::read_to_string(file.path()).expect("text");
            if text.contains("check! {") {
                files.push(file.path());
            }
        }
    }
    assert_eq!(files.len(), CHECKS.len(), "{files:?}");
}

#[test]
fn pages_are_made_for_every_check_and_the_index_names_every_control() {
    let pages = generate::pages();
    assert_eq!(pages.len(), CHECKS.len() + 1);
    let index = &pages.iter().find(|(path, _)| path == "docs/checks/index.md").expect("the index").1;
    for control in catalogue::CONTROLS {
        assert!(index.contains(&format!("| {} |", control.id)), "{}", control.id);
    }
    assert_eq!(explain("NO-01"), None);
    assert!(explain("qd-01").expect("known").contains("no check for this control yet"));
}
