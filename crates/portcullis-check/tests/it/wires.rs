//! Listeners that misbehave below HTTP, in front of a chatbot that is in order, and a TLS server of another make.

use std::process::Stdio;
use std::time::Duration;

use portcullis_check::{Options, Quiet, Selector, Target, run};
use portcullis_core::Tasks;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::certificates;
use crate::foreign::{Foreign, node_is_here};
use crate::settings::{options, outcome};

/// What a listener does with the hello of an old client. Everything else goes on to the chatbot.
#[derive(Clone, Copy, Debug)]
enum Front {
    /// Takes SSL 3.0, which no library here speaks.
    TakesSsl30,
    /// Takes TLS 1.1, after a warning.
    Warns,
    /// Says nothing.
    Silent,
    /// Says something that is not TLS.
    Chatty,
    /// Sends half of an answer.
    Stops,
    /// Answers with a version that was not offered.
    TooNew,
    /// Hangs up.
    HangsUp,
}

const WAYS: [(Front, &str, &str); 7] = [
    (Front::TakesSsl30, "fail", "SSL 3.0 is taken, with RSA_WITH_AES_128_CBC_SHA"),
    (Front::Warns, "fail", "TLS 1.1 is taken"),
    (Front::Silent, "inconclusive", "timed out"),
    (Front::Chatty, "inconclusive", "answered something else"),
    (Front::Stops, "inconclusive", "in the middle of an answer"),
    (Front::TooNew, "inconclusive", "with TLS 1.2"),
    (Front::HangsUp, "pass", ""),
];

fn server_hello(version: [u8; 2]) -> Vec<u8> {
    let mut hello = vec![22, version[0], version[1], 0, 42, 2, 0, 0, 38, version[0], version[1]];
    hello.extend([5; 32]);
    hello.extend([0, 0, 0x2f, 0]);
    hello
}

impl Front {
    /// What it answers to an old hello; none to go on to the chatbot.
    fn answer(self, version: u8) -> Option<Vec<u8>> {
        match self {
            Self::TakesSsl30 if version == 0 => Some(server_hello([3, 0])),
            Self::Warns if version == 2 => {
                Some([vec![21, 3, 2, 0, 2, 1, 112], server_hello([3, 2])].concat())
            }
            Self::Chatty if version < 3 => Some(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
            Self::Stops if version < 3 => Some(server_hello([3, 1])[..20].to_vec()),
            Self::TooNew if version < 3 => Some(server_hello([3, 3])),
            Self::HangsUp if version < 3 => Some(Vec::new()),
            _ => None,
        }
    }
}

/// Starts it and gives its port.
async fn start(front: Front, upstream: u16, tasks: &Tasks) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let own = tasks.clone();
    tasks.spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            own.spawn(async move {
                let mut head = [0; 11];
                if client.read_exact(&mut head).await.is_err() {
                    return;
                }
                // Record header, handshake header, and then the client's version.
                let version = head[10];
                if matches!(front, Front::Silent) && version < 3 {
                    let _ = client.read_to_end(&mut Vec::new()).await;
                } else if let Some(answer) = front.answer(version) {
                    let mut rest = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]])) - 6];
                    let _ = client.read_exact(&mut rest).await;
                    let _ = client.write_all(&answer).await;
                } else if let Ok(mut server) = TcpStream::connect(("127.0.0.1", upstream)).await {
                    let _ = server.write_all(&head).await;
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                }
            });
        }
    });
    port
}

/// One host at one address, on this port.
fn behind(mut target: Target, port: u16) -> Target {
    let edge = target.edge.as_mut().expect("it has an edge");
    edge.hosts = vec!["www.foreign.example".to_owned()];
    edge.https_port = Some(port);
    target
}

async fn judged(target: Target, id: &str) -> (&'static str, String) {
    let only = vec![Selector::parse(id).expect("an id")];
    let mut options = Options { only, ..options() };
    options.budget.answer_timeout = Duration::from_millis(1500);
    let report = run(target, &options, &Quiet).await;
    (outcome(&report, id).word(), outcome(&report, id).reason())
}

#[tokio::test]
async fn an_old_version_is_noticed_and_silence_is_no_refusal() {
    if !node_is_here().await {
        return;
    }
    let foreign = Foreign::start(None).await;
    let tasks = Tasks::new();
    for (front, wanted, says) in WAYS {
        let target = foreign.target();
        let upstream = target.https_port();
        let port = start(front, upstream, &tasks).await;
        let (word, reason) = Box::pin(judged(behind(target, port), "EDGE-04")).await;
        assert_eq!(word, wanted, "{front:?}: {reason}");
        assert!(reason.contains(says), "{front:?}: {reason}");
    }
    foreign.stop().await;
}

/// A server of OpenSSL's; none where the program is missing.
struct OpenSsl {
    child: Child,
    port: u16,
}

impl OpenSsl {
    async fn is_here() -> bool {
        let found = Command::new("openssl").arg("version").output().await;
        if found.is_ok_and(|output| output.status.success()) {
            return true;
        }
        #[expect(clippy::disallowed_methods, reason = "a test asks whether it may skip")]
        let required = std::env::var("PORTCULLIS_REQUIRE").unwrap_or_default();
        assert!(!required.contains("openssl"), "openssl is required and was not found");
        println!("SKIPPED openssl: not found, so the scanner is not tried on a server of another make");
        false
    }

    async fn start(dir: &std::path::Path, more: &[&str]) -> Self {
        let mut command = Command::new("openssl");
        command.args(["s_server", "-accept", "127.0.0.1:0", "-cert"]).arg(dir.join("edge.pem"));
        command.arg("-cert_chain").arg(dir.join("edge.pem")).arg("-key").arg(dir.join("edge.key")).args(more);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let said = async {
            while let Some(line) = lines.next_line().await.expect("text") {
                if let Some((_, port)) = line.split_once("ACCEPT 127.0.0.1:") {
                    return port.trim().parse().expect("a port");
                }
            }
            panic!("it ends without listening")
        };
        let port = tokio::time::timeout(Duration::from_secs(20), said).await.expect("it listens in time");
        Self { child, port }
    }
}

#[tokio::test]
async fn a_server_of_another_make_is_judged_alike() {
    if !node_is_here().await || !OpenSsl::is_here().await {
        return;
    }
    let foreign = Foreign::start(None).await;
    let dir = tempfile::TempDir::new().expect("a folder");
    certificates::write(dir.path(), None);
    let root = std::fs::read_to_string(dir.path().join("root.pem")).expect("a root");
    let weak = "ALL:@SECLEVEL=0";
    let cases: [(&[&str], &str, &str, &str); 6] = [
        (&["-www"], "EDGE-02", "pass", "3 of 3"),
        (&["-www"], "EDGE-04", "pass", "listeners agree on TLS 1.3"),
        (&["-www", "-tls1_2"], "EDGE-04", "fail", "TLS 1.2 is agreed on although TLS 1.3 is offered"),
        (&["-www", "-min_protocol", "TLSv1", "-cipher", weak], "EDGE-04", "fail", "TLS 1.0 is taken"),
        (&["-www", "-min_protocol", "TLSv1.1", "-cipher", weak], "EDGE-04", "fail", "TLS 1.1 is taken"),
        // It makes handshakes and then says nothing.
        (&[], "EDGE-02", "inconclusive", "timed out"),
    ];
    for (more, id, wanted, says) in cases {
        let mut server = OpenSsl::start(dir.path(), more).await;
        let mut target = behind(foreign.target(), server.port);
        let edge = target.edge.as_mut().expect("it has an edge");
        edge.ca.as_mut().expect("it has a root").pem.clone_from(&root);
        (edge.origins, edge.listeners) = (Vec::new(), Vec::new());
        let (word, reason) = Box::pin(judged(target, id)).await;
        server.child.kill().await.expect("it ends");
        assert_eq!(word, wanted, "{id} with {more:?}: {reason}");
        assert!(reason.contains(says), "{id} with {more:?}: {reason}");
    }
    foreign.stop().await;
}
