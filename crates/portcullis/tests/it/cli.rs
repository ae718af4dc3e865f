//! The command line, as an operator uses it.

use http::{Method, StatusCode};
use serde_json::Value;

use crate::program::{Program, text};

/// The last word of what a command printed.
fn last_word(printed: &str) -> String {
    printed.split_whitespace().last().unwrap_or_default().to_owned()
}

fn member(program: &Program, community: &str, name: &str, more: &[&str]) -> String {
    let printed = program.ok(&[&["member", "add", "--community", community, name], more].concat());
    printed.split_whitespace().nth(1).expect("an id").to_owned()
}

fn key(program: &Program, community: &str, member: &str) -> String {
    last_word(&program.ok(&[
        "key",
        "create",
        "--community",
        community,
        "test",
        "--member",
        member,
        "--ability",
        "chat,search,personal",
    ]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_community_is_made_filled_and_guarded_from_the_command_line() {
    let program = Program::new();
    program.ok(&["config", "check"]);
    program.ok(&["community", "create", "bakers", "--name", "The Bakers"]);
    program.ok(&["plan", "create", "--community", "bakers", "plus"]);
    let content = program.path().join("handbook");
    for (path, text) in [
        ("basics/kettle.md", "# The kettle\n\nThe kettle whistles OPENCANARY."),
        ("secrets/kettle.md", "# The other kettle\n\nThe other kettle hums PAIDCANARY."),
        ("staff/kettle.md", "# The staff kettle\n\nThe staff kettle STAFFCANARY."),
    ] {
        let file = content.join(path);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, text).expect("a file");
    }
    std::fs::write(
        program.path().join("spaces.toml"),
        "[basics]\naccess = \"members\"\n[secrets]\nplans = [\"plus\"]\n",
    )
    .expect("a space map");
    let handbook = content.to_str().expect("a path");
    let import = [
        "import",
        "folder",
        "--community",
        "bakers",
        handbook,
        "--space-map",
        "spaces.toml",
        "--format",
        "json",
    ];
    let report: Value = serde_json::from_str(&program.ok(&import)).expect("JSON");
    assert_eq!((report["added"].as_u64(), report["rejected"].as_array().map(Vec::len)), (Some(3), Some(0)));
    let again: Value = serde_json::from_str(&program.ok(&import)).expect("JSON");
    assert_eq!((again["added"].as_u64(), again["unchanged"].as_u64()), (Some(0), Some(3)));

    let serving = program.serve(&[]).await;
    let ada = member(&program, "bakers", "Ada", &[]);
    let bo = member(&program, "bakers", "Bo", &["--plan", "plus"]);
    let (ada_key, bo_key) = (key(&program, "bakers", &ada), key(&program, "bakers", &bo));
    let (status, plain) = serving.ask(&ada_key, "What does the kettle do?").await;
    assert_eq!(status, StatusCode::OK, "a key made beside a running server works at once: {plain}");
    assert!(plain.contains("OPENCANARY") && !plain.contains("PAIDCANARY") && !plain.contains("STAFFCANARY"));
    let (_, paid) = serving.ask(&bo_key, "What does the kettle do?").await;
    assert!(paid.contains("OPENCANARY") && paid.contains("PAIDCANARY") && !paid.contains("STAFFCANARY"));

    let own = ["key", "create", "--community", "bakers", "x", "--member", &ada, "--ceiling"];
    program.ok(&[&own[..], &["member"]].concat());
    let above = program.run(&[&own[..], &["admin"]].concat());
    assert!(!above.status.success() && text(&above.stderr).contains("above"), "{}", text(&above.stderr));
    program.ok(&["member", "lapse", "--community", "bakers", &bo, "plus"]);
    assert!(!serving.ask(&bo_key, "What does the kettle do?").await.1.contains("PAIDCANARY"));
    program.ok(&["member", "suspend", "--community", "bakers", &bo]);
    assert_eq!(serving.ask(&bo_key, "kettle").await.0, StatusCode::UNAUTHORIZED);
    let listed = program.ok(&["key", "list", "--community", "bakers"]);
    assert!(!listed.contains(&ada_key), "a list shows no key");
    assert!(listed.lines().all(|line| line.contains("  by the operator  ")), "{listed}");
    let id = listed.lines().last().and_then(|line| line.split_whitespace().next()).expect("a key").to_owned();
    program.ok(&["key", "revoke", "--community", "bakers", &id]);
    assert_eq!(serving.ask(&ada_key, "kettle").await.0, StatusCode::UNAUTHORIZED, "{listed}");

    assert_eq!(serving.stop(), Some(0));
    let verified = program.ok(&["audit", "verify"]);
    assert!(verified.contains("0 turns are open"), "{verified}");
    let records = program.ok(&["audit", "query", "--community", "bakers"]);
    for told in [
        r#""before":"active","detail":"suspended""#,
        r#""plans":["plus"]"#,
        r#""detail":"member","abilities":["chat""#,
    ] {
        assert!(records.contains(told), "{told} is not in the journal: {records}");
    }
    assert_eq!(records.matches("space.created").count(), 3, "{records}");
    for kind in [
        "turn.opened",
        "turn.closed",
        "key.revoked",
        "member.status",
        "member.entitled",
        "member.entitlement-ended",
        "content.imported",
    ] {
        assert!(records.contains(kind), "{kind} is not in the journal");
    }
    for secret in ["Ada", "kettle", &ada_key] {
        assert!(!records.contains(secret) && !program.log().contains(secret), "{secret} was written down");
    }
}

#[test]
fn a_root_that_was_kept_elsewhere_is_compared_and_a_query_leaves_the_journal_as_it_is() {
    let program = Program::new();
    program.ok(&["community", "create", "bakers"]);
    let first = program.ok(&["audit", "verify"]);
    let told = first.lines().next().and_then(|line| {
        let (size, root) = line.strip_prefix("the journal holds ")?.split_once(" records; its root is ")?;
        Some((size.to_owned(), root.to_owned()))
    });
    let (size, root) = told.expect("a size and a root");
    program.ok(&["plan", "create", "--community", "bakers", "plus"]);
    let anchor = format!("{size}:{root}");
    let verified = program.ok(&["audit", "verify", "--anchor", &anchor]);
    assert!(verified.contains("the records of all 1 roots"), "{verified}");
    for (anchor, code, says) in [
        (
            format!("{size}:{}", root.replace(|c: char| c.is_ascii_lowercase(), "A")),
            1,
            "do not have the root",
        ),
        (format!("9{size}:{root}"), 1, "records were signed"),
        (format!("{size}:short"), 2, "is no size and root"),
        (root.clone(), 2, "is no size and root"),
    ] {
        let refused = program.run(&["audit", "verify", "--anchor", &anchor]);
        let said = text(&refused.stdout) + &text(&refused.stderr);
        assert_eq!((refused.status.code(), said.contains(says)), (Some(code), true), "{anchor}: {said}");
    }

    // An unfinished last write, which opening the journal for writing would remove.
    let log = program.path().join("data/audit/00000000000000000000.log");
    let mut torn = std::fs::read(&log).expect("the journal");
    torn.extend(b"PAJ1");
    std::fs::write(&log, &torn).expect("written");
    let queried = program.run(&["audit", "query", "--community", "bakers"]);
    assert!(text(&queried.stdout).contains("plan.created"), "{}", text(&queried.stderr));
    assert!(std::fs::read(&log).expect("the journal") == torn, "a query changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_starts_again_with_everything_it_acknowledged() {
    let program = Program::new();
    program.ok(&["community", "create", "bakers"]);
    let ada = member(&program, "bakers", "Ada", &[]);
    let ada_key = key(&program, "bakers", &ada);
    let serving = program.serve(&[]).await;
    assert_eq!(serving.ask(&ada_key, "anything").await.0, StatusCode::OK);
    serving.kill();
    let serving = program.serve(&[]).await;
    let (status, me) = serving.send(Method::GET, "/v1/me", &ada_key, None).await;
    assert_eq!(status, StatusCode::OK, "{me}");
    assert_eq!(serving.stop(), Some(0));
    program.ok(&["audit", "verify"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_the_same_data_is_refused() {
    let program = Program::new();
    let serving = program.serve(&[]).await;
    let second = program.run(&["serve", "--set", "listen.member=127.0.0.1:0"]);
    assert_eq!(second.status.code(), Some(2));
    assert!(text(&second.stderr).contains("audit journal"), "{}", text(&second.stderr));
    assert_eq!(serving.stop(), Some(0));
}

#[test]
fn what_is_wrong_is_said_and_nothing_is_done() {
    let program = Program::new();
    for (args, wanted) in [
        (vec!["community", "create", "Bad Slug"], "short name"),
        (vec!["key", "create", "--community", "nowhere", "x"], "there is no community `nowhere`"),
        (vec!["--config", "missing.toml", "serve"], "portcullis init"),
        (vec!["init"], "exists already"),
        (vec!["explain", "TEN-99"], "nothing is known"),
        (vec!["check", "--target", "missing-target.toml"], "missing-target.toml"),
        (vec!["check", "--only", "NOPE-01"], "NOPE-01"),
        (vec!["check", "--allow", "everything"], "writes, load, drills"),
        (vec!["serve", "--set", "limits.per_key_per_minute=0"], "at least 1"),
    ] {
        let output = program.run(&args);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(wanted), "{args:?}: {said}");
    }
}

#[test]
fn many_communities_are_made_from_a_file_and_a_bad_line_is_named() {
    let program = Program::new();
    let file = program.path().join("slugs.txt");
    std::fs::write(&file, "bakers\n\nsailors\nBad Slug\nhikers\n").expect("a file");
    let create = ["community", "create", "--from-file", "slugs.txt"];
    let output = program.run(&create);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("line 4 of slugs.txt"), "{said}");
    std::fs::write(&file, "bakers\nsailors\nhikers\n").expect("a file");
    let printed = program.ok(&create);
    assert!(printed.contains("bakers exists") && printed.contains("created hikers"), "{printed}");
    assert_eq!(program.ok(&["community", "list"]).lines().count(), 3);
    program.ok(&["audit", "verify"]);
}

#[test]
fn a_test_upstream_is_not_offered_to_other_machines() {
    let program = Program::new();
    let output = program.run(&["upstream", "--listen", "0.0.0.0:0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("loopback"), "{}", text(&output.stderr));
}

#[test]
fn weak_and_missing_secrets_keep_the_server_from_starting() {
    let program = Program::new();
    for weak in ["short", "changeme-changeme-changeme-changeme-changeme", &"a".repeat(64)] {
        std::fs::write(program.path().join("secrets/jwt_secret"), weak).expect("a file");
        let output = program.run(&["serve"]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{weak}");
        assert!(said.contains("secrets.jwt_secret") && !said.contains(weak), "{said}");
    }
    std::fs::remove_file(program.path().join("secrets/jwt_secret")).expect("a file");
    assert_eq!(program.run(&["serve"]).status.code(), Some(2));
}

#[test]
fn the_help_names_every_command() {
    let program = Program::new();
    insta::assert_snapshot!(program.ok(&["--help"]));
}
