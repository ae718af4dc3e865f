//! Starts the foreign chatbot.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use jiff::ToSpan as _;
use portcullis_check::Target;
use portcullis_core::{Clock as _, SystemClock};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::certificates;

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn script() -> PathBuf {
    root().join("fixtures/foreign-chatbot/server.mjs")
}

/// Whether Node is there, and Python for its sandbox; says so when one is not, and fails when it must be.
pub(crate) async fn node_is_here() -> bool {
    is_here("node").await && is_here("python3").await
}

async fn is_here(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().await;
    if found.is_ok_and(|output| output.status.success()) {
        return true;
    }
    #[expect(clippy::disallowed_methods, reason = "a test asks whether it may skip")]
    let required = std::env::var("PORTCULLIS_REQUIRE").unwrap_or_default();
    assert!(!required.contains(program), "{program} is required and was not found");
    println!("SKIPPED {program}: not found, so no check is proven against the foreign chatbot");
    false
}

/// The single faults that the chatbot knows.
pub(crate) async fn breaks() -> Vec<String> {
    let output = Command::new("node").arg(script()).arg("--list-breaks").output().await.expect("node runs");
    String::from_utf8(output.stdout).expect("names").lines().map(str::to_owned).collect()
}

/// What it says about its ports, and what the target file says.
const PORTS: [(&str, &str); 9] = [
    ("LISTENING", "8088"),
    ("BLOCKED", "8089"),
    ("STAGE", "8090"),
    ("HTTP", "8480"),
    ("HTTPS", "8443"),
    ("ORIGIN", "8444"),
    ("MAIL", "8425"),
    ("DATABASE", "8432"),
    ("SANDBOX", "8095"),
];

/// A running chatbot; it ends with this value.
pub(crate) struct Foreign {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
    state: TempDir,
    /// In the order in which it says them, each with the port that the target file names.
    ports: Vec<(&'static str, u16)>,
}

impl Foreign {
    pub(crate) async fn start(fault: Option<&str>) -> Self {
        Self::deployed(fault, &[]).await
    }

    /// Where it stands otherwise than the target file knows, in the words of its command line.
    pub(crate) async fn deployed(fault: Option<&str>, how: &[&str]) -> Self {
        let state = TempDir::new().expect("a folder");
        let mut command = Command::new("node");
        certificates::write(state.path(), fault);
        command.arg(script()).args(["--edge", "--sandbox", "--tell-asked"]).arg("--state").arg(state.path());
        command.args(how).args(fault.map(|name| format!("--break={name}")));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("node starts");
        let mut output = BufReader::new(child.stdout.take().expect("its output")).lines();
        let line = tokio::time::timeout(Duration::from_secs(20), output.next_line())
            .await
            .expect("it listens in time")
            .expect("its output is text")
            .expect("it says where it listens");
        let words: Vec<&str> = line.split(' ').collect();
        let ports = PORTS.iter().enumerate().map(|(index, (name, in_file))| {
            assert_eq!(words.get(2 * index), Some(name), "`{line}`");
            (*in_file, words[2 * index + 1].parse().expect("a port"))
        });
        let ports = ports.collect();
        Self { child, output, state, ports }
    }

    pub(crate) fn target(&self) -> Target {
        let text =
            std::fs::read_to_string(root().join("fixtures/targets/foreign-chatbot.toml")).expect("the file");
        let text = self.ports.iter().fold(text, |text, (in_file, port)| {
            text.replace(&format!(":{in_file}"), &format!(":{port}"))
                .replace(&format!("_port = {in_file}"), &format!("_port = {port}"))
        });
        let text = text.replace("/state/", &format!("{}/", self.state.path().display()));
        // A person's word on the queue is for a while, and the file is for good.
        let soon = SystemClock::new().now() + 30.hours();
        let text =
            text.replace("staffed_until = \"2026-01-10T00:00:00Z\"", &format!("staffed_until = \"{soon}\""));
        let roles = "foreign-chatbot.roles.toml";
        std::fs::copy(root().join("fixtures/targets").join(roles), self.state.path().join(roles))
            .expect("the signed matrix");
        let file = self.state.path().join("target.toml");
        std::fs::write(&file, text).expect("it is written");
        Target::load(&file, &|_| None).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The faults that it has asked for since this was called last. With one that it has not come to it would have done all
    /// the same.
    pub(crate) async fn asked(&mut self) -> BTreeSet<String> {
        self.child.stdin.as_mut().expect("its input").write_all(b"\n").await.expect("it reads");
        let line = self.output.next_line().await.expect("its output is text").expect("it answers");
        line.split_whitespace().map(str::to_owned).collect()
    }

    pub(crate) fn port(&self) -> u16 {
        self.ports[0].1
    }

    pub(crate) fn secret(&self, name: &str) -> String {
        std::fs::read_to_string(self.state.path().join(name)).expect("a secret")
    }

    pub(crate) async fn stop(mut self) {
        self.child.kill().await.expect("it ends");
    }
}
