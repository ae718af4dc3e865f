//! The first thing a newcomer runs.

use std::io::{BufRead as _, BufReader};

use serde_json::Value;

use crate::program::{Program, signal, text};

#[test]
fn the_demo_guards_judges_and_fails_nothing() {
    let program = Program::new();
    let output = program.run(&["demo", "--once", "--format", "json", "--listen", "127.0.0.1:0"]);
    let report: Value = serde_json::from_str(&text(&output.stdout))
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", text(&output.stdout), text(&output.stderr)));
    let outcomes = report["outcomes"].as_array().expect("outcomes");
    let judged = |wanted: &str| -> Vec<String> {
        let of = |outcome: &&Value| outcome["outcome"] == wanted;
        outcomes
            .iter()
            .filter(of)
            .map(|outcome| outcome["id"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(judged("fail"), Vec::<String>::new(), "{outcomes:#?}");
    assert_eq!(judged("broken"), Vec::<String>::new());
    let mut shown = vec![
        "AUTH-01", "AUTH-02", "AUTH-03", "AUTH-04", "AUTH-05", "DPL-07", "EDGE-07", "EDGE-09", "EDGE-10",
        "EDGE-12", "LOG-01", "PI-01", "PI-02", "PI-03", "PI-04", "PI-05", "PI-07", "PI-08", "PI-09", "PI-10",
        "PI-11", "PI-12", "RBAC-01", "RBAC-02", "RBAC-03", "RBAC-04", "RL-01", "RL-03", "RL-04", "RL-05",
        "RL-06", "RL-07", "RL-09", "SEC-09", "SEC-10", "TEN-01", "TEN-02", "TEN-03", "TEN-04", "TEN-05",
        "TEN-06", "TEN-07",
    ];
    if cfg!(feature = "sandbox") {
        shown.extend(["SBX-05", "SBX-06"]);
        shown.sort_unstable();
    }
    assert_eq!(judged("pass"), shown, "{outcomes:#?}");
    assert_eq!(judged("not_applicable"), ["SEC-08"], "{outcomes:#?}");
    assert_eq!(report["launch_ready"].as_array().map(Vec::len), Some(10));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_demo_that_is_stopped_while_it_judges_leaves_nothing_behind() {
    let program = Program::new();
    let folders = || {
        let names = std::fs::read_dir(program.path())
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with("portcullis-demo-")).count()
    };
    let mut demo = program.start(&["demo", "--listen", "127.0.0.1:0"]);
    let mut lines = BufReader::new(demo.stdout.take().expect("it is piped")).lines();
    let serves = lines.any(|line| line.expect("text").contains("the checks run"));
    assert!(serves && folders() == 1, "its keys and mail are in a folder of its own");
    signal(demo.id(), "TERM");
    assert_eq!(demo.wait().expect("it ends").code(), Some(1), "nothing was judged");
    assert_eq!(folders(), 0);
}
