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
fn a_schema_that_others_may_change_is_refused() {
    let site = site(&post("a"));
    site.file("tool.json", "{\"type\": \"object\"}", 0o666);
    assert_eq!(codes(&site.problems()), [Code::WritableKey]);
}
