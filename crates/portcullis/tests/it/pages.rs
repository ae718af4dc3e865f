//! The pages in a real browser, from asking for a sign-in link to being signed out.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use portcullis_config::Environment;
use portcullis_egress::{AddressPolicy, Options};
use portcullis_model::upstream::{Answer, Scripted, Sink, Slow, Turn, Upstream};
use portcullis_model::{FunctionCall, ToolCall};
use serde_json::Value;

use crate::clients::{skip, variable};
use crate::program::{Program, Serving, free_port, text};

/// What a model may write, and what the pages make of it: headings, lists, marks of sources, a link, code and a table. What
/// would run or be fetched if a page took it for markup comes last: nothing of it may.
const ANSWER: &str = "## Before you let go\n\n\
    Come up **against the stream** and stop just short of the buoy [1]. Never let go before the *second* line is made \
    fast.\n\n1. Rig the lines\n2. Look at the `tide table`\n3. Agree on signs\n\n\
    > Slow is pro.\n\n```text\nHW 12:40  4.1 m\nLW 18:52  0.9 m\n```\n\n\
    | Stream | Lines |\n|---|---|\n| weak | one |\n| strong | two |\n\n<b onclick=\"alert(1)\">Not markup</b>.\n\n\
    <img src=x onerror=\"alert(2)\"> <svg onload=alert(3)> <script>alert(4)</script> [a link](javascript:alert(5)) \
    ![a picture](https://collect.example/p.png?d=1) ![another](//collect.example/p.png) \
    <iframe srcdoc=\"<script>alert(6)</script>\"></iframe> <style>@import \"https://collect.example/s\"</style> \
    <form action=\"https://collect.example/\"><button>Send</button></form> [away](data:text/html,<script>alert(7)</script>)";

const QUESTION: &str = "How do I pick up a mooring when the tide is strong?";
const EMAIL: &str = "mia@harbour.example";

/// What the browser and its driver need.
struct Browser {
    chromium: PathBuf,
    modules: PathBuf,
}

impl Browser {
    /// `None` where something is not there, which was said then.
    fn find() -> Option<Self> {
        let environment = Environment::from_process();
        let mut folders = environment.text("PATH").unwrap_or_default().split(':');
        let chromium = folders.find_map(|folder| {
            let file = Path::new(folder).join("chromium");
            file.is_file().then_some(file)
        });
        let Some(chromium) = chromium else {
            skip("chromium", "it is not in PATH, so no browser shows the pages");
            return None;
        };
        let Some(modules) = variable("PORTCULLIS_TEST_BROWSER_MODULES") else {
            skip("playwright", "PORTCULLIS_TEST_BROWSER_MODULES names no folder");
            return None;
        };
        Some(Self { chromium, modules })
    }

    /// Goes a member's way and returns what each step printed.
    async fn go(self, program: &Program, start: String) -> Vec<Value> {
        self.go_by("pages.mjs", program, start, &[]).await
    }

    /// Goes the way of that file, with these variables.
    async fn go_by(
        self,
        file: &'static str,
        program: &Program,
        start: String,
        more: &[(&str, &str)],
    ) -> Vec<Value> {
        let folder = program.path().join("browser");
        std::fs::create_dir(&folder).expect("a folder");
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/browser");
        for name in [file, "way.mjs"] {
            std::fs::copy(fixtures.join(name), folder.join(name)).expect("the fixture");
        }
        // Modules are looked for beside the file that names them.
        std::os::unix::fs::symlink(&self.modules, folder.join("node_modules")).expect("a link");
        let mut command = Command::new("node");
        command
            .arg(file)
            .envs(more.iter().copied())
            .current_dir(&folder)
            .stdin(Stdio::null())
            .env("CHROMIUM", &self.chromium)
            // Whatever the browser writes down goes with the test's folder.
            .env("HOME", &folder)
            .env("TMPDIR", &folder)
            .env("PORTCULLIS_URL", start)
            .env("PORTCULLIS_OUTBOX", program.path().join("outbox"))
            .env("PORTCULLIS_EMAIL", EMAIL)
            .env("PORTCULLIS_QUESTION", QUESTION)
            .env("PORTCULLIS_SHOTS", program.path().join("shots"));
        let output = tokio::task::spawn_blocking(move || command.output().expect("node runs"))
            .await
            .expect("the browser ran");
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{}\n{out}\n{err}\n{}", output.status, program.log());
        out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

/// A community with content that its members may read, and a member with an address.
fn harbour() -> Program {
    let program = Program::new();
    program.ok(&["community", "create", "harbour", "--name", "The Harbour Sailors"]);
    let content = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/harbour-sailors");
    let content = content.to_str().expect("a path");
    program.ok(&["import", "folder", "--community", "harbour", content, "--open"]);
    program.ok(&["member", "add", "--community", "harbour", "Mia", "--email", EMAIL]);
    program
}

/// `serve` with mail, whose links lead to where it listens.
async fn serve(program: &Program, more: &[&str]) -> Serving {
    let port = free_port();
    let own = format!("public_url=http://127.0.0.1:{port}");
    let mail = ["mail.kind=outbox", "mail.outbox=outbox", "mail.from=no-reply@harbour.example"];
    let set = [own.as_str()].into_iter().chain(mail).chain(more.iter().copied());
    let set: Vec<&str> = set.flat_map(|pair| ["--set", pair]).collect();
    program.serve_at(port, Options::new(AddressPolicy::Any), "http://127.0.0.1", &set).await
}

fn judge(steps: &[Value], program: &Program) {
    let failed: Vec<&Value> = steps.iter().filter(|step| step["ok"] != true).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    // A way that ends early has fewer steps, and none of them has failed.
    let last = steps.last().and_then(|step| step["step"].as_str());
    assert_eq!(last, Some("nothing was violated and nobody else was asked"), "{steps:#?}");
    let log = program.log();
    for secret in [EMAIL, "Mia", "mooring when", "bow side"] {
        assert!(!log.contains(secret), "`{secret}` was written into the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_goes_their_way_through_the_pages() {
    let Some(browser) = Browser::find() else { return };
    let program = harbour();
    let upstream = Slow::new(Scripted::text(ANSWER)).between(Duration::from_millis(5));
    let upstream = Upstream::start(upstream).await.expect("an upstream");
    let model = format!("model.url={}", upstream.url());
    let serving = serve(&program, &[&model, "model.name=test-model"]).await;
    judge(&browser.go(&program, serving.url.clone()).await, &program);
}

/// A host that several communities share: the sign-in page alone has an address for each of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_of_one_of_two_communities_goes_the_same_way_without_a_model() {
    let Some(browser) = Browser::find() else { return };
    let program = harbour();
    program.ok(&["community", "create", "bakers", "--name", "The Bakers"]);
    let serving = serve(&program, &[]).await;
    judge(&browser.go(&program, format!("{}/c/harbour", serving.url)).await, &program);
}

/// A community whose own host is another than the shared one: browsers let no form lead there, and a page does.
#[tokio::test(flavor = "multi_thread")]
async fn who_chooses_a_community_with_a_host_of_its_own_comes_to_its_sign_in_page() {
    let Some(browser) = Browser::find() else { return };
    let program = Program::new();
    program.ok(&["community", "create", "harbour", "--name", "The Harbour Sailors", "--host", "localhost"]);
    program.ok(&["community", "create", "bakers", "--name", "The Bakers"]);
    let serving = serve(&program, &[]).await;
    let own = serving.url.replace("127.0.0.1", "localhost");
    let more = [("PORTCULLIS_SLUG", "harbour"), ("PORTCULLIS_OWN", own.as_str())];
    judge(&browser.go_by("elsewhere.mjs", &program, serving.url.clone(), &more).await, &program);
}

/// A member asks for what a person has to approve, a moderator approves it, and the member goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_risky_call_is_approved_on_one_page_and_gone_on_with_on_another() {
    let Some(browser) = Browser::find() else { return };
    let program = harbour();
    const MODERATOR: &str = "mo@harbour.example";
    let staff =
        ["member", "add", "--community", "harbour", "Mo", "--role", "moderator", "--email", MODERATOR];
    program.ok(&staff);
    let tool = Upstream::start_at("127.0.0.2:0".parse().expect("an address"), Sink::text("Taken in."));
    let tool = tool.await.expect("an address of loopback");
    crate::approvals::configure(&program, "harbour", tool.address());
    // What turns text round is seen by whoever decides.
    let function = FunctionCall {
        name: "send_letter".to_owned(),
        arguments: "{\"to\":\"ferry\u{202e}man\"}".to_owned(),
    };
    let call = ToolCall { id: "x".to_owned(), function };
    let wants = || Turn::Answer(Answer { tool_calls: vec![call.clone()], ..Answer::default() });
    let says = || Turn::Answer(Answer::text("The letter is on its way.", 4));
    // Asked for, gone on with and answered again; then once more.
    let upstream = Upstream::start(Scripted::new(vec![wants(), says(), says(), wants(), says()]));
    let upstream = upstream.await.expect("an upstream");
    let model = format!("model.url={}", upstream.url());
    let serving = serve(&program, &[&model, "model.name=test-model"]).await;
    let more = [
        ("PORTCULLIS_MODERATOR", MODERATOR),
        ("PORTCULLIS_TOOL", "send_letter"),
        ("PORTCULLIS_ARGUMENT", "ferry\\u{202e}man"),
        ("PORTCULLIS_ANSWER", "The letter is on its way."),
    ];
    judge(&browser.go_by("approvals.mjs", &program, serving.url.clone(), &more).await, &program);
    assert_eq!(tool.served(), 2, "each call once");
}
