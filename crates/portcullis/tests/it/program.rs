//! The program itself, in a folder of its own, for tests.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use portcullis_egress::{AddressPolicy, Client, Options};
use serde_json::Value;

/// Well over the time that answers are given to end at a stop.
const STOPPED: Duration = Duration::from_secs(60);

/// A folder with a configuration and keys, as `init` makes it.
pub(crate) struct Program {
    folder: tempfile::TempDir,
}

/// A running `serve`. Dropped, it is killed.
pub(crate) struct Serving {
    child: Child,
    pub(crate) url: String,
    client: Client,
}

impl Program {
    pub(crate) fn new() -> Self {
        let program = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        program.ok(&["init"]);
        program
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        // A clean environment: what is set for the tests is no setting of the program.
        command.args(args).current_dir(self.path()).env_clear().stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.run_under(&[], args)
    }

    /// The same with these variables.
    pub(crate) fn run_under(&self, variables: &[(&str, std::path::PathBuf)], args: &[&str]) -> Output {
        let mut command = self.command(args);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command.output().expect("the program runs")
    }

    /// Runs a command with that on its standard input.
    pub(crate) fn fed(&self, args: &[&str], input: &str) -> Output {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut stdin = child.stdin.take().expect("a standard input");
        // What reads no further ends the pipe, which is no fault of who writes.
        let _ = std::io::Write::write_all(&mut stdin, input.as_bytes());
        drop(stdin);
        child.wait_with_output().expect("the program ends")
    }

    /// Starts a command whose temporary files are in the program's folder; what it prints can be read.
    pub(crate) fn start(&self, args: &[&str]) -> Child {
        let mut command = self.command(args);
        command.env("TMPDIR", self.path()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn().expect("the program starts")
    }

    /// Runs a command that must succeed and returns what it printed.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{args:?}: {}\n{out}\n{err}", output.status);
        out
    }

    /// Starts `serve` on a free port.
    pub(crate) async fn serve(&self, more: &[&str]) -> Serving {
        self.serve_to(Options::new(AddressPolicy::Any), "http://127.0.0.1", more).await
    }

    /// Starts `serve` on a free port, for a client with these options at this origin.
    pub(crate) async fn serve_to(&self, options: Options, origin: &str, more: &[&str]) -> Serving {
        self.serve_at(free_port(), options, origin, more).await
    }

    /// The same on this port.
    pub(crate) async fn serve_at(&self, port: u16, options: Options, origin: &str, more: &[&str]) -> Serving {
        self.serve_under(&[], port, options, origin, more).await
    }

    /// The same with these variables.
    pub(crate) async fn serve_under(
        &self,
        variables: &[(&str, std::path::PathBuf)],
        port: u16,
        options: Options,
        origin: &str,
        more: &[&str],
    ) -> Serving {
        let listen = format!("listen.member=127.0.0.1:{port}");
        let log = std::fs::File::create(self.path().join("serve.log")).expect("a log file");
        let operator = ["--set", "listen.operator=127.0.0.1:0"];
        let child = self
            .command(&[&["serve", "--set", &listen], &operator[..], more].concat())
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the program starts");
        let client = Client::new(options).expect("a client");
        let mut serving = Serving { child, url: format!("{origin}:{port}"), client };
        let started = Instant::now();
        while !serving.is_live().await {
            if let Some(status) = serving.child.try_wait().expect("a child") {
                panic!("serve ended with {status}: {}", self.log());
            }
            assert!(started.elapsed() < Duration::from_secs(30), "serve never answered: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        serving
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path().join("serve.log")).unwrap_or_default()
    }

    /// Where the operator plane of the program that serves listens.
    pub(crate) fn operator(&self) -> String {
        let started = Instant::now();
        loop {
            let log = self.log();
            // It is told a moment after the members' listener answers.
            let told = log.lines().find_map(|line| line.split_once("the operator plane is at http://"));
            if let Some((_, address)) = told {
                return address.trim().to_owned();
            }
            assert!(started.elapsed() < Duration::from_secs(30), "no operator plane in {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// `check` and `serve` must agree on the port.
    #[cfg(feature = "guard-off")]
    pub(crate) fn at(serving: &Serving) -> String {
        let address = serving.url.trim_start_matches("http://");
        format!("listen.member={address}")
    }
}

impl Serving {
    async fn is_live(&self) -> bool {
        let request = Request::get(format!("{}/healthz", self.url)).body(Bytes::new()).expect("a request");
        self.client.send(request).await.is_ok_and(|response| response.status() == StatusCode::OK)
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        key: &str,
        body: Option<Value>,
    ) -> (StatusCode, String) {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json");
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let response =
            self.client.send(request.body(Bytes::from(body)).expect("a request")).await.expect("an answer");
        let status = response.status();
        let body = response.into_body().collect(16 << 20, Duration::from_secs(60)).await.expect("a body");
        (status, text(&body))
    }

    pub(crate) async fn ask(&self, key: &str, question: &str) -> (StatusCode, String) {
        let body =
            serde_json::json!({ "model": "extracts", "messages": [{ "role": "user", "content": question }] });
        self.send(Method::POST, "/v1/chat/completions", key, Some(body)).await
    }

    /// Sends like [`Serving::send`]; `None` once the server is gone, or where the answer is not whole.
    pub(crate) async fn try_send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Value,
    ) -> Option<(StatusCode, HeaderMap, String)> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = request.body(Bytes::from(body)).expect("a request");
        let (head, body) = self.client.send(request).await.ok()?.into_parts();
        let body = body.collect(1 << 20, Duration::from_secs(10)).await.ok()?;
        Some((head.status, head.headers, text(&body)))
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop and waits until it has. Returns its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        signal(self.child.id(), "TERM");
        let asked = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status.code();
            }
            assert!(
                asked.elapsed() < STOPPED,
                "asked to stop, it goes on with {:?}",
                threads(self.child.id())
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends what ends it as a power cut would.
    pub(crate) fn cut(&self) {
        signal(self.child.id(), "KILL");
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(mut self) {
        signal(self.child.id(), "KILL");
        self.child.wait().expect("a child");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The names of a process's threads: where something hangs, one of them is what it waits for.
fn threads(pid: u32) -> Vec<String> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let name = |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("comm")).ok();
    threads.filter_map(name).map(|name| name.trim_end().to_owned()).collect()
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port()
}

/// Sends a signal to a process that this test started.
pub(crate) fn signal(pid: u32, name: &str) {
    let sent =
        Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().expect("kill runs");
    assert!(sent.success());
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
