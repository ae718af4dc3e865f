//! The program asked to stop while it answers.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use portcullis_model::upstream::{Scripted, Slow, Upstream};

use crate::program::{Program, signal};

/// A connection of its own, with a request sent on it.
fn ask(address: &str, request: &str) -> Option<BufReader<TcpStream>> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a limit");
    stream.write_all(request.as_bytes()).ok()?;
    Some(BufReader::new(stream))
}

fn answer(address: &str, request: &str) -> String {
    let mut text = String::new();
    let mut answer = ask(address, request).expect("the listener is still there");
    answer.read_to_string(&mut text).expect("an answer that ends");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_a_stream_end_and_tells_everybody_else_at_once() {
    let slow = Slow::new(Scripted::text(&"word ".repeat(40))).between(Duration::from_millis(100));
    let upstream = Upstream::start(slow).await.expect("an upstream");
    let program = Program::new();
    program.ok(&["community", "create", "bakers"]);
    let member = program.ok(&["member", "add", "--community", "bakers", "Ada"]);
    let member = member.split_whitespace().nth(1).expect("an id").to_owned();
    let create = ["key", "create", "--community", "bakers", "k", "--member", &member];
    let key = program.ok(&create).trim().to_owned();
    let url = format!("model.url={}", upstream.url());
    let serving = program.serve(&["--set", &url, "--set", "model.name=test-model"]).await;
    let address = serving.url.trim_start_matches("http://").to_owned();
    assert!(answer(&address, "GET /readyz HTTP/1.0\r\n\r\n").contains(" 200 "));

    let post = |stream: bool| {
        let body = format!(
            r#"{{"model":"test-model","stream":{stream},"messages":[{{"role":"user","content":"hello"}}]}}"#
        );
        let length = body.len();
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    };
    let mut stream = ask(&address, &post(true)).expect("a connection");
    let mut line = String::new();
    while !line.starts_with("data: ") {
        line.clear();
        assert_ne!(stream.read_line(&mut line).expect("a line"), 0, "the answer begins");
    }
    signal(serving.id(), "TERM");
    // The signal is on its way for a moment; from the first 503 on there is nothing else.
    while answer(&address, "GET /readyz HTTP/1.0\r\n\r\n").contains(" 200 ") {}
    for _ in 0..3 {
        let ready = answer(&address, "GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n");
        assert!(ready.starts_with("HTTP/1.1 503 ") && ready.contains("connection: close"), "{ready}");
        let refused = answer(&address, &post(false));
        assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("connection: close"), "{refused}");
        assert!(refused.contains("shutting_down"), "{refused}");
    }
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("the stream ends in order");
    assert!(rest.contains("data: [DONE]\n\n"), "{rest}");
    assert_eq!(upstream.abandoned(), 0, "nothing was cut");
    assert_eq!(serving.stop(), Some(0));
    assert!(program.ok(&["audit", "verify"]).contains("0 turns are open"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_right_after_the_first_answer_is_a_stop_in_order_too() {
    let program = Program::new();
    for _ in 0..5 {
        assert_eq!(program.serve(&[]).await.stop(), Some(0), "{}", program.log());
    }
    assert!(program.ok(&["audit", "verify"]).contains("0 turns are open"));
}
