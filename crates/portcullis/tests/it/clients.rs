//! The official OpenAI clients for Python and Node, as members and builders use them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use portcullis_config::Environment;
use portcullis_model::upstream::{Echo, Upstream};

use crate::program::{Program, text};

const PYTHON: &str = r#"
import sys
from openai import OpenAI, AuthenticationError, PermissionDeniedError
url, owner, member = sys.argv[1:4]
client = OpenAI(base_url=url + "/v1", api_key=owner, max_retries=0)
assert [m.id for m in client.models.list()] == ["test-model"]
answer = client.chat.completions.create(
    model="test-model", messages=[{"role": "system", "content": "x"}, {"role": "user", "content": "hello there"}])
assert answer.choices[0].message.content == "hello there", answer
parts = []
for chunk in client.chat.completions.create(
        model="test-model", messages=[{"role": "user", "content": "hello stream"}], stream=True):
    if chunk.choices and chunk.choices[0].delta.content:
        parts.append(chunk.choices[0].delta.content)
assert "".join(parts) == "hello stream", parts
plain = OpenAI(base_url=url + "/v1", api_key=member, max_retries=0)
try:
    plain.chat.completions.create(
        model="test-model", messages=[{"role": "system", "content": "x"}, {"role": "user", "content": "y"}])
    raise SystemExit("a member sent a system message")
except PermissionDeniedError as error:
    assert error.code == "own_request_only", error
try:
    OpenAI(base_url=url + "/v1", api_key="pcl_wrong", max_retries=0).models.list()
    raise SystemExit("a wrong key was taken")
except AuthenticationError as error:
    assert error.code == "credential_invalid", error
print("python client: fine")
"#;

const NODE: &str = r#"
const OpenAI = require("openai");
const [url, owner, member] = process.argv.slice(2);
(async () => {
  const client = new OpenAI({ baseURL: url + "/v1", apiKey: owner, maxRetries: 0 });
  const answer = await client.chat.completions.create({
    model: "test-model", messages: [{ role: "user", content: "hello there" }] });
  if (answer.choices[0].message.content !== "hello there") throw new Error(JSON.stringify(answer));
  let text = "";
  for await (const chunk of await client.chat.completions.create({
    model: "test-model", messages: [{ role: "user", content: "hello stream" }], stream: true }))
    text += chunk.choices[0]?.delta?.content ?? "";
  if (text !== "hello stream") throw new Error(text);
  const plain = new OpenAI({ baseURL: url + "/v1", apiKey: member, maxRetries: 0 });
  const refused = await plain.chat.completions.create({
    model: "test-model", messages: [{ role: "system", content: "x" }, { role: "user", content: "y" }] })
    .then(() => null, (error) => error);
  if (refused?.status !== 403 || refused.code !== "own_request_only") throw new Error(String(refused));
  console.log("node client: fine");
})().catch((error) => { console.error(error); process.exit(1); });
"#;

struct Ground {
    serving: crate::program::Serving,
    owner: String,
    member: String,
    _program: Program,
    _upstream: Upstream,
}

async fn ground() -> Ground {
    let upstream = Upstream::start(Echo).await.expect("an upstream");
    let program = Program::new();
    program.ok(&["community", "create", "bakers"]);
    let printed = program.ok(&["member", "add", "--community", "bakers", "Ada"]);
    let id = printed.split_whitespace().nth(1).expect("an id").to_owned();
    let key = |more: &[&str]| {
        let args = [&["key", "create", "--community", "bakers", "k"], more].concat();
        program.ok(&args).trim().to_owned()
    };
    let owner = key(&["--ability", "chat,own-request"]);
    let member = key(&["--member", &id, "--ability", "chat"]);
    let url = format!("model.url={}", upstream.url());
    let serving = program.serve(&["--set", &url, "--set", "model.name=test-model"]).await;
    Ground { serving, owner, member, _program: program, _upstream: upstream }
}

async fn run(mut command: Command, ground: &Ground) -> Output {
    command.args([&ground.serving.url, &ground.owner, &ground.member]);
    tokio::task::spawn_blocking(move || command.output().expect("the client runs"))
        .await
        .expect("the client ran")
}

/// Says that a test was skipped, or fails it where the component is required.
pub(crate) fn skip(what: &str, why: &str) {
    let required = Environment::from_process().text("PORTCULLIS_REQUIRE").unwrap_or_default().to_owned();
    let wanted = required.split(',').any(|word| word == what || word == "all");
    assert!(!wanted, "{what} is required and not there: {why}");
    println!("SKIPPED {what}: {why}");
}

pub(crate) fn variable(name: &str) -> Option<PathBuf> {
    Environment::from_process().text(name).map(PathBuf::from).filter(|path| path.exists())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_client_works_and_is_told_why_not() {
    let Some(python) = variable("PORTCULLIS_TEST_PYTHON") else {
        return skip("openai-python", "PORTCULLIS_TEST_PYTHON names no interpreter");
    };
    let ground = ground().await;
    let mut command = Command::new(python);
    command.args(["-c", PYTHON]);
    let output = run(command, &ground).await;
    assert!(text(&output.stdout).contains("fine"), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_client_works_and_is_told_why_not() {
    let Some(modules) = variable("PORTCULLIS_TEST_NODE_MODULES") else {
        return skip("openai-node", "PORTCULLIS_TEST_NODE_MODULES names no folder");
    };
    let ground = ground().await;
    let script: &Path = &ground._program.path().join("client.cjs");
    std::fs::write(script, NODE).expect("a script");
    let mut command = Command::new("node");
    command.arg(script).env("NODE_PATH", modules);
    let output = run(command, &ground).await;
    assert!(text(&output.stdout).contains("fine"), "{}{}", text(&output.stdout), text(&output.stderr));
}
