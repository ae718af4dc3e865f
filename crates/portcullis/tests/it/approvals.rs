//! A call that a person approved is made once, whenever the process is killed.

use std::net::SocketAddr;
use std::time::Duration;

use http::{Method, StatusCode};
use portcullis_model::upstream::{Answer, Hold, Reply, Scripted, Sink, Turn, Upstream};
use portcullis_model::{FunctionCall, ToolCall};
use serde_json::{Value, json};

use crate::program::{Program, Serving};

const QUESTION: &str = "Send the letter to the ferryman.";

/// The configuration with one tool of that community that a person has to approve.
pub(crate) fn configure(program: &Program, community: &str, tool: SocketAddr) {
    let file = program.path().join("portcullis.toml");
    let before = std::fs::read_to_string(&file).expect("a file");
    let schema =
        r#"{"type":"object","properties":{"to":{"type":"string","maxLength":40}},"required":["to"]}"#;
    std::fs::write(program.path().join("letter.json"), schema).expect("a file");
    let table = |pin: &str| {
        format!(
            "{before}\n[[tool]]\nname = \"send_letter\"\nkind = \"http-post\"\nurl = \"http://{tool}/send\"\n\
             description = \"Sends a letter.\"\nschema = \"letter.json\"\ncommunities = [\"{community}\"]\n\
             roles = [\"member\"]\nnetworks = [\"127.0.0.2/32\"]\napproval = \"human\"\n{pin}"
        )
    };
    std::fs::write(&file, table("")).expect("a file");
    let listed = program.ok(&["tool", "list"]);
    assert!(listed.contains("a person approves each call"), "{listed}");
    let pin = listed.split_once("pin = \"").expect("a pin").1.split('"').next().expect("its end");
    std::fs::write(&file, table(&format!("pin = \"{pin}\"\n"))).expect("a file");
}

fn key(program: &Program, name: &str, role: &str, ability: &str) -> String {
    let at = ["--community", "sailors"];
    let added = program.ok(&[&["member", "add"], &at[..], &[name, "--role", role]].concat());
    let member = added.split_whitespace().find(|word| word.len() == 36).expect("an id").to_owned();
    let make = ["key", "create", "--community", "sailors", name, "--member", &member, "--ability", ability];
    let made = program.ok(&make);
    made.split_whitespace().find(|word| word.starts_with("pcl_")).expect("a key").to_owned()
}

async fn post(serving: &Serving, key: &str, path: &str) -> (StatusCode, Value) {
    let (status, body) = serving.send(Method::POST, path, key, None).await;
    (status, serde_json::from_str(&body).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_call_that_a_kill_cut_off_is_not_made_again_and_one_that_was_not_begun_is_made() {
    let address: SocketAddr = "127.0.0.2:0".parse().expect("an address");
    let tool = Sink::new(|_| {
        let mut reply = Reply::new(StatusCode::OK, "text/plain", "late");
        reply.hold = Hold::Forever;
        reply
    });
    let tool = Upstream::start_at(address, tool).await.expect("an address of loopback");
    let call = ToolCall {
        id: "x".to_owned(),
        function: FunctionCall {
            name: "send_letter".to_owned(),
            arguments: "{\"to\":\"ferryman\"}".to_owned(),
        },
    };
    let asks = Turn::Answer(Answer { tool_calls: vec![call], ..Answer::default() });
    let model = Upstream::start(Scripted::new(vec![asks])).await.expect("an upstream");
    let program = Program::new();
    program.ok(&["community", "create", "sailors", "--name", "The Sailors"]);
    configure(&program, "sailors", tool.address());
    let member = key(&program, "Mia", "member", "chat,personal");
    let moderator = key(&program, "Mo", "moderator", "manage");
    let model = format!("model.url={}", model.url());
    let set = ["--set", &model, "--set", "model.name=test-model"];

    let serving = program.serve(&set).await;
    let body = json!({ "model": "test-model", "messages": [{ "role": "user", "content": QUESTION }] });
    let (status, answer) = serving.send(Method::POST, "/v1/chat/completions", &member, Some(body)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(answer["approval"]["status"], "pending", "{answer}");
    let id = answer["approval"]["id"].as_str().expect("an id").to_owned();
    let (status, approved) = post(&serving, &moderator, &format!("/v1/approvals/{id}/approve")).await;
    assert_eq!((status, &approved["state"]), (StatusCode::OK, &json!("approved")));
    // What was acknowledged outlives a kill: it is still approved, and nothing was sent.
    serving.kill();
    assert_eq!(tool.served(), 0);

    let serving = program.serve(&set).await;
    let (path, own) = (format!("/v1/me/approvals/{id}/resume"), format!("/v1/me/approvals/{id}"));
    let headers = [("authorization", format!("Bearer {member}"))];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    tokio::select! {
        answer = serving.try_send(Method::POST, &path, &headers, Value::Null) => panic!("it cannot be answered: {answer:?}"),
        () = async {
            while tool.served() == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            // While the tool works, before it has answered.
            serving.cut();
        } => {}
    }
    drop(serving);
    assert_eq!(tool.served(), 1);

    let serving = program.serve(&set).await;
    for _ in 0..3 {
        let (status, answer) = post(&serving, &member, &path).await;
        assert_eq!(
            (status, &answer["error"]["code"]),
            (StatusCode::CONFLICT, &json!("approval_not_open")),
            "{answer}"
        );
    }
    let (_, stands) = serving.send(Method::GET, &own, &member, None).await;
    assert!(stands.contains("\"running\""), "{stands}");
    assert_eq!(tool.served(), 1, "no call is made twice");
    serving.stop();
    let journal = program.ok(&["audit", "query"]);
    let called: Vec<&str> = journal.lines().filter(|line| line.contains("tool.called")).collect();
    assert!(called.len() == 1 && called[0].contains(&id), "the call is in the journal, once: {called:?}");
    assert!(!journal.contains("ferryman"), "{journal}");
    program.ok(&["audit", "verify"]);
}
