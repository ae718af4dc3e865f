//! Memory of the running program under a flood of what nobody should send: keys that are none, models that are none, paths
//! and methods that are none, from addresses that never end. Once it is warm, nothing of that may make it grow.
//!
//! The suite runs it shortened; `cargo xtask flood` at full length, with a million requests.

use std::net::SocketAddr;
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::program::Program;

/// Requests of one run, unless `PORTCULLIS_FLOOD` says how many.
const REQUESTS: u64 = 24_000;
/// So many requests for each key and address that is made up.
const FOR_EACH: u64 = 10;
/// Connections at once.
const CONNECTIONS: u64 = 8;
/// Requests that are under way on each of them.
const PIPELINED: u64 = 16;
/// What memory may grow by after it is warm, in thousandths.
const MAY_GROW: u64 = 10;
/// The part of all requests after which it is warm, in hundredths.
const WARM: u64 = 50;

/// The memory of a process that is in RAM, in bytes.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1_024
}

/// Request number so many: one after the other another thing that is none, in another place each time.
fn request(number: u64, kinds: u64, key: &str) -> String {
    // Spread over all that are made up, and never in order.
    let made_up = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let which = made_up % kinds;
    let address = match which % 3 {
        0 => format!("2001:db8:{:x}:{:x}::{:x}", which >> 16, which & 0xffff, made_up & 0xffff),
        _ => format!("198.{}.{}.{}", 18 + (which >> 16) % 2, (which >> 8) & 0xff, which & 0xff),
    };
    let head = |line: &str, more: &str, body: &str| {
        format!(
            "{line} HTTP/1.1\r\nhost: 127.0.0.1\r\nx-forwarded-for: {address}\r\n{more}content-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    match number % 6 {
        0 => head("GET /v1/me", &format!("authorization: Bearer pcl_{which:012x}_{made_up:032x}\r\n"), ""),
        1 => head("GET /v1/models", &format!("authorization: Bearer {made_up:x}.{which:x}.x\r\n"), ""),
        2 | 3 => {
            let body = format!(
                "{{\"model\":\"junk-{which}-{made_up:x}\",\"messages\":[{{\"role\":\"user\",\"content\":\"hello\"}}]}}"
            );
            let more = format!("authorization: Bearer {key}\r\ncontent-type: application/json\r\n");
            head("POST /v1/chat/completions", &more, &body)
        }
        4 => head(&format!("GET /nowhere/{made_up:x}"), "", ""),
        _ => head(
            &format!("GET /v1/documents/{made_up:x}"),
            &format!("cookie: portcullis-session=pcs_{which:012x}_{made_up:032x}\r\n"),
            "",
        ),
    }
}

/// Reads one answer and gives its status.
async fn answer(stream: &mut TcpStream, received: &mut Vec<u8>) -> u16 {
    loop {
        if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&received[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.map_or(0, |length| length.trim().parse().expect("a length"));
            let whole = end + 4 + length;
            if received.len() >= whole {
                received.drain(..whole);
                let status = head.split(' ').nth(1).expect("a status");
                return status.parse().expect("a status");
            }
        }
        let read = stream.read_buf(received).await.expect("an answer");
        assert!(read > 0, "the connection ended: {}", String::from_utf8_lossy(received));
    }
}

/// Sends these requests on one connection, each `CONNECTIONS` further; how many were refused as they must be.
async fn flood(to: SocketAddr, numbers: std::ops::Range<u64>, first: u64, kinds: u64, key: String) -> u64 {
    let mut stream = TcpStream::connect(to).await.expect("connected");
    let (mut received, mut sent) = (Vec::new(), 0_u64);
    let mut number = numbers.start + first;
    while number < numbers.end {
        let mut piece = String::new();
        let mut pending = 0;
        while pending < PIPELINED && number < numbers.end {
            piece.push_str(&request(number, kinds, &key));
            number += CONNECTIONS;
            pending += 1;
        }
        stream.write_all(piece.as_bytes()).await.expect("sent");
        for _ in 0..pending {
            let status = answer(&mut stream, &mut received).await;
            assert!(matches!(status, 401 | 403 | 404 | 429), "{status}");
            sent += 1;
            if status == 403 {
                // Whoever is blocked is closed on; what was pipelined behind is lost, as it should be.
                stream = TcpStream::connect(to).await.expect("connected");
                received.clear();
                break;
            }
        }
    }
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_junk_makes_the_program_no_larger_once_it_is_warm() {
    let environment = portcullis_config::Environment::from_process();
    let requests: u64 =
        environment.text("PORTCULLIS_FLOOD").and_then(|text| text.parse().ok()).unwrap_or(REQUESTS);
    let kinds = requests / FOR_EACH;
    let program = Program::new();
    program.ok(&["community", "create", "bakers"]);
    program.ok(&["community", "tier", "bakers", "dedicated"]);
    let key =
        program.ok(&["key", "create", "--community", "bakers", "ada", "--ability", "chat"]).trim().to_owned();
    let memory = environment.text("PORTCULLIS_FLOOD_MEMORY").unwrap_or("1048576");
    let memory = format!("limits.memory_bytes={memory}");
    let mut settings = vec!["proxies.trusted=127.0.0.1/32", "log.level=error", &memory];
    // A stranger's limits hold as they are; the key's would hide the models that are none.
    let plenty = [
        "limits.per_key_per_minute",
        "tiers.dedicated_per_minute",
        "tiers.dedicated_per_hour",
        "tiers.dedicated_per_day",
    ]
    .map(|name| format!("{name}=1000000"));
    settings.extend(plenty.iter().map(String::as_str));
    let settings: Vec<&str> = settings.into_iter().flat_map(|value| ["--set", value]).collect();
    let serving = program.serve(&settings).await;
    let to: SocketAddr = serving.url.trim_start_matches("http://").parse().expect("an address");
    let mut marks = Vec::new();
    let steps = 20;
    let started = Instant::now();
    let mut answered = 0;
    for step in 0..steps {
        let numbers = requests * step / steps..requests * (step + 1) / steps;
        let connections = (0..CONNECTIONS).map(|first| flood(to, numbers.clone(), first, kinds, key.clone()));
        answered += futures_util::future::join_all(connections).await.iter().sum::<u64>();
        marks.push(resident(serving.id()));
    }
    let warm_at = usize::try_from(steps * WARM / 100).expect("a few");
    let (before, after) = marks.split_at(warm_at);
    let warm = before.iter().copied().max().unwrap_or_default();
    let most = after.iter().copied().max().unwrap_or_default();
    println!(
        "FLOOD {answered} of {requests} requests answered, {kinds} keys and addresses, {} s: {} KiB warm, {} KiB at most after; {:?}",
        started.elapsed().as_secs(),
        warm / 1_024,
        most / 1_024,
        marks.iter().map(|mark| mark / 1_024).collect::<Vec<_>>()
    );
    assert!(answered > requests / 2, "{answered} of {requests} were answered");
    assert!(most <= warm + warm * MAY_GROW / 1_000, "memory grew from {warm} to {most} bytes: {marks:?}");
    assert_eq!(serving.stop(), Some(0));
}
