//! Tools that the model may ask for.

use std::time::Duration;

use portcullis_config::{Code, ToolApproval, ToolWay};
use portcullis_core::Role;

use crate::site::{Site, codes};

const FOR: &str = "communities = [\"sailors\"]\nroles = [\"member\", \"owner\"]\n";

fn table(name: &str, rest: &str) -> String {
    format!("[[tool]]\nname = \"{name}\"\n{FOR}{rest}\n")
}

fn post(name: &str) -> String {
    table(
        name,
        "kind = \"http-post\"\nurl = \"https://a.example/x\"\ndescription = \"D\"\nschema = \"tool.json\"",
    )
}

fn site(text: &str) -> Site {
    let site = Site::with(text);
    site.file("tool.json", "{\"type\": \"object\"}", 0o644);
    site.file("secrets/key", "Qm7xT4vK9cRz2LpW8sYd", 0o600);
    site
}

#[test]
fn each_kind_takes_what_it_needs() {
    let text = [
        post("a"),
        table("b", "kind = \"http-get\"\nurl = \"http://10.0.0.7:8080/\"\nkey = \"file:secrets/key\"\ndescription = \"D\"\nschema = \"tool.json\"\nnetworks = [\"10.0.0.0/24\"]\ntimeout_seconds = 3\nresult_bytes = 512\nper_turn = 1\nper_hour = 2\nper_day = 3\napproval = \"human\"\npin = \"sha256:00\""),
        table("c", "kind = \"fetch\"\nhosts = [\"Docs.Example.org\", \"127.0.0.2:8080\", \"[::ffff:7f00:1]:80\"]\ndescription = \"D\""),
        table("d", "kind = \"mcp\"\nurl = \"https://m.example/mcp\"\nremote_name = \"tides/lookup\""),
        "[tools]\nrounds = 2\ncalls = 5\napproval_minutes = 7".to_owned(),
    ]
    .join("\n");
    let tools = site(&text).loaded().config.tools;
    assert_eq!((tools.rounds.get(), tools.calls.get()), (2, 5));
    assert_eq!((tools.approval, tools.approvals_most_of_one.get()), (Duration::from_secs(420), 10));
    let [a, b, c, d] = tools.list.as_slice() else { panic!("four tools") };
    assert!(matches!(&a.way, ToolWay::Post { url, key: None } if url.as_str() == "https://a.example/x"));
    assert_eq!(
        (a.roles.as_slice(), a.per_turn.get(), a.result_bytes),
        ([Role::Member, Role::Owner].as_slice(), 3, 16_384)
    );
    assert_eq!([a.approval, b.approval], [ToolApproval::None, ToolApproval::Human]);
    assert!(matches!(&b.way, ToolWay::Get { key: Some(key), .. } if key.expose().starts_with("Qm7")));
    assert_eq!(
        (b.timeout, b.networks.len(), b.per_hour.map(|most| most.get())),
        (Duration::from_secs(3), 1, Some(2))
    );
    assert!(
        matches!(&c.way, ToolWay::Fetch { hosts } if hosts.contains(&"docs.example.org".to_owned()) && hosts.len() == 3)
    );
    assert!(matches!(&d.way, ToolWay::Mcp { remote: Some(name), .. } if name.as_str() == "tides/lookup"));
    assert!(d.schema.is_none() && d.description.is_none());
}

#[test]
fn what_is_missing_does_not_belong_or_stands_twice_is_told() {
    let fetch = |rest: &str| table("a", &format!("kind = \"fetch\"\ndescription = \"D\"\n{rest}"));
    for (text, wanted) in [
        ([post("a"), post("a")].join("\n"), vec![Code::Duplicate]),
        (post("A Tool"), vec![Code::Malformed]),
        (fetch(""), vec![Code::Missing]),
        (fetch("hosts = [\"a.example\"]\nurl = \"https://a.example\""), vec![Code::Excluded]),
        (fetch("hosts = [\"https://a.example/x\"]"), vec![Code::Malformed]),
        (fetch("hosts = [\"a.example:0\"]"), vec![Code::Malformed]),
        (
            table("a", "kind = \"http-post\"\ndescription = \"D\"\nschema = \"tool.json\""),
            vec![Code::Missing],
        ),
        (
            table("a", "kind = \"http-post\"\nurl = \"https://a.example\"\nschema = \"tool.json\""),
            vec![Code::Missing],
        ),
        (
            table("a", "kind = \"http-post\"\nurl = \"https://a.example\"\ndescription = \"D\""),
            vec![Code::Missing],
        ),
        (
            table("a", "kind = \"mcp\"\nurl = \"https://a.example\"\ndescription = \"D\""),
            vec![Code::Excluded],
        ),
        (post("a").replace("\"owner\"", "\"boss\""), vec![Code::NotAChoice]),
        (post("a").replace("[\"member\", \"owner\"]", "[]"), vec![Code::Malformed]),
        (post("a").replace("tool.json", "none.json"), vec![Code::BadPath]),
        (post("a").replace("https://", "ftp://"), vec![Code::BadUrl]),
    ] {
        let found = codes(&site(&text).problems());
        assert_eq!(found.first(), wanted.first(), "{text}: {found:?}");
        assert_eq!(found.len(), wanted.len(), "{text}: {found:?}");
    }
}

#[test]
fn nothing_is_kept_for_less_than_it_may_wait() {
    let text = |minutes: u32, days: u32| {
        format!("[tools]\napproval_minutes = {minutes}\napprovals_keep_days = {days}\n")
    };
    for (minutes, days) in [(720, 1), (1_440, 2), (43_200, 60)] {
        site(&text(minutes, days)).loaded();
    }
    for (minutes, days) in [(721, 1), (1_441, 2), (43_200, 59)] {
        let site = site(&text(minutes, days));
        assert_eq!(codes(&site.problems()), [Code::OutOfRange], "{minutes} {days}");
    }
    // Where one of them is not set, its default counts.
    let site = site("[tools]\napproval_minutes = 21601\n");
    let told = site.told(&site.problems());
    for key in ["`tools.approvals_keep_days`", "`tools.approval_minutes`"] {
        assert!(told.contains(key), "{told}");
    }
}

#[test]
fn a_schema_that_others_may_change_is_refused() {
    let site = site(&post("a"));
    site.file("tool.json", "{\"type\": \"object\"}", 0o666);
    assert_eq!(codes(&site.problems()), [Code::WritableKey]);
}

const PROGRAM: &str =
    "kind = \"program\"\nprogram = \"reckon.wasm\"\ndescription = \"D\"\nschema = \"tool.json\"\n";

fn program(rest: &str) -> Site {
    let site = site(&table("a", &format!("{PROGRAM}{rest}")));
    site.file("reckon.wasm", "\0asm\u{1}\0\0\0", 0o644);
    site
}

#[cfg(not(feature = "sandbox"))]
#[test]
fn a_build_without_a_sandbox_refuses_a_program_and_says_what_to_do() {
    let site = program("");
    let problems = site.problems();
    assert_eq!(codes(&problems), [Code::NoSandbox]);
    let told = site.told(&problems);
    assert!(told.contains("`tool.kind`") && told.contains("--features sandbox"), "{told}");
    assert!(!told.contains("reckon.wasm"), "only what is wrong is told: {told}");
}

#[cfg(feature = "sandbox")]
#[test]
fn a_program_is_read_with_its_limits() {
    let tools = program("").loaded().config.tools;
    let ToolWay::Program { program: file, memory_bytes, output_bytes } = &tools.list[0].way else {
        panic!("a program")
    };
    assert_eq!(
        (&*file.bytes, *memory_bytes, *output_bytes),
        (b"\0asm\x01\0\0\0".as_slice(), 64 << 20, 64 << 10)
    );
    assert_eq!((tools.programs_at_once.get(), tools.programs_most_waiting.get()), (4, 64));
    assert!(!format!("{:?}", tools.list).contains("97, 115, 109"), "the bytes are not shown");
    let site = program(
        "memory_bytes = 1048576\noutput_bytes = 512\ntimeout_seconds = 2\n[tools]\nprograms_at_once = 2",
    );
    let tools = site.loaded().config.tools;
    let ToolWay::Program { memory_bytes, output_bytes, .. } = tools.list[0].way else { panic!("a program") };
    assert_eq!((memory_bytes, output_bytes, tools.programs_at_once.get()), (1 << 20, 512, 2));
    assert_eq!(tools.list[0].timeout, Duration::from_secs(2));
}

#[cfg(feature = "sandbox")]
#[test]
fn what_is_wrong_with_a_program_is_told() {
    for (rest, wanted) in [
        ("url = \"https://a.example\"", Code::Excluded),
        ("key = \"file:secrets/key\"", Code::Excluded),
        ("hosts = [\"a.example\"]", Code::Excluded),
        ("remote_name = \"b\"", Code::Excluded),
        ("networks = [\"10.0.0.0/24\"]", Code::Excluded),
        ("memory_bytes = 1000", Code::OutOfRange),
        ("memory_bytes = 2147483648", Code::OutOfRange),
        ("output_bytes = 1", Code::OutOfRange),
        ("output_bytes = 33554432", Code::OutOfRange),
        ("timeout_seconds = 121", Code::OutOfRange),
        ("[tools]\nprograms_at_once = 0", Code::OutOfRange),
        ("[tools]\nprograms_at_once = 65", Code::OutOfRange),
    ] {
        let problems = program(rest).problems();
        assert_eq!(codes(&problems), [wanted], "{rest}: {problems}");
    }
    let without = |key: &str| {
        let lines = PROGRAM.lines().filter(|line| !line.starts_with(key)).collect::<Vec<_>>().join("\n");
        let site = site(&table("a", &lines));
        site.file("reckon.wasm", "\0asm\u{1}\0\0\0", 0o644);
        codes(&site.problems())
    };
    for key in ["program", "description", "schema"] {
        assert_eq!(without(key), [Code::Missing], "{key}");
    }
    for (text, mode, wanted) in [
        ("#!/bin/sh", 0o644, Code::Malformed),
        ("", 0o644, Code::Malformed),
        ("\0asm\r\0\u{1}\0", 0o644, Code::Malformed),
        ("(module)", 0o644, Code::Malformed),
        ("\0asm\u{1}\0\0\0", 0o666, Code::WritableKey),
    ] {
        let site = program("");
        site.file("reckon.wasm", text, mode);
        let problems = site.problems();
        assert_eq!(codes(&problems), [wanted], "{text}: {problems}");
        assert!(problems.to_string().contains("`tool.program`"), "{problems}");
    }
    let site = program("");
    std::fs::remove_file(site.path("reckon.wasm")).expect("a file");
    assert_eq!(codes(&site.problems()), [Code::BadPath]);
    let site = program("");
    let large = std::fs::File::create(site.path("reckon.wasm")).expect("a file");
    large.set_len((16 << 20) + 1).expect("a large file");
    assert_eq!(codes(&site.problems()), [Code::BadPath]);
}

#[test]
fn limits_of_programs_do_not_stand_with_other_kinds() {
    for rest in ["program = \"reckon.wasm\"", "memory_bytes = 1048576", "output_bytes = 512"] {
        let problems = site(&format!("{}{rest}\n", post("a"))).problems();
        assert_eq!(codes(&problems), [Code::Excluded], "{rest}: {problems}");
    }
}
