//! The open loop: requests leave at fixed moments, whether or not earlier ones were answered.
//!
//! A time is counted from the moment when the request was due, not from when it left: a server that stalls is
//! charged for every request that had to wait behind the stall.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

use super::runs::Target;
use super::spread::Spread;
use super::wire::{Ask, Connection};

/// How many requests may be under way at once; each has a connection and a thread.
const AT_ONCE: usize = 64;

/// A server that is this far behind will not catch up: no more is sent.
const FARTHEST_BEHIND: Duration = Duration::from_secs(3);

/// What to send, and how fast.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) per_second: u32,
    /// Sent and answered before anything is counted.
    pub(super) warm_up: Duration,
    pub(super) time: Duration,
}

/// What the answers took.
#[derive(Debug)]
pub(super) struct Paced {
    pub(super) times: Spread,
    /// Requests a second that were answered, the warm-up included. Below the pace, the server could not follow.
    pub(super) per_second: f64,
}

/// One request that was answered.
#[derive(Debug, Clone, Copy)]
struct Answered {
    ticket: u32,
    time: Duration,
    at: Instant,
}

/// Asks at that pace and fails unless every request was answered with success.
pub(super) fn run(target: &Target, pace: Pace) -> Result<Paced> {
    let interval = Duration::from_secs(1)
        .checked_div(pace.per_second)
        .ok_or_else(|| anyhow!("a pace of 0 requests a second measures nothing"))?;
    let requests: Vec<Vec<u8>> = target.asks().map(|ask: Ask| ask.bytes()).collect();
    let count =
        |time: Duration| u32::try_from(time.as_nanos() / interval.as_nanos().max(1)).unwrap_or(u32::MAX);
    let (skipped, all) = (count(pace.warm_up), count(pace.warm_up.saturating_add(pace.time)));
    let next = AtomicU32::new(0);
    // Every thread is there and connected before the first request is due.
    let start = Instant::now() + Duration::from_millis(200);
    let worker = || -> Result<Vec<Answered>> {
        let mut connection = Connection::open(target.address)?;
        let mut taken = Vec::new();
        loop {
            let ticket = next.fetch_add(1, Ordering::Relaxed);
            let request = requests.get(ticket as usize % requests.len().max(1));
            let (Some(request), true) = (request, ticket < all) else { return Ok(taken) };
            let due = start + interval.saturating_mul(ticket);
            let now = Instant::now();
            if now.saturating_duration_since(due) > FARTHEST_BEHIND {
                return Ok(taken);
            }
            thread::sleep(due.saturating_duration_since(now));
            let answer = connection.exchange(request)?;
            let at = Instant::now();
            if answer.status != 200 {
                bail!("the flow `{}` answered with status {}, wanted 200", target.flow.name(), answer.status);
            }
            taken.push(Answered { ticket, time: at.saturating_duration_since(due), at });
        }
    };
    let answers = thread::scope(|scope| -> Result<Vec<Answered>> {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(worker)).collect();
        let mut answers = Vec::new();
        for worker in workers {
            answers
                .extend(worker.join().map_err(|_| anyhow!("a thread of the load generator ended early"))??);
        }
        Ok(answers)
    })?;
    let last = answers.iter().map(|answer| answer.at).max().unwrap_or(start);
    let took = last.saturating_duration_since(start).max(interval);
    let per_second = f64::from(u32::try_from(answers.len()).unwrap_or(u32::MAX)) / took.as_secs_f64();
    let counted = answers.iter().filter(|answer| answer.ticket >= skipped).map(|answer| answer.time);
    Ok(Paced { times: Spread::of(counted.collect()), per_second })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;
    use crate::bench::runs::Flow;

    /// Answers every request on every connection with that status, until the test ends.
    fn server(status: &'static str) -> std::net::SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                thread::spawn(move || {
                    let mut piece = [0_u8; 4096];
                    while stream.read(&mut piece).is_ok_and(|read| read > 0) {
                        let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}");
                    }
                });
            }
        });
        address
    }

    fn target(status: &'static str) -> Target {
        Target {
            flow: Flow::Upstream,
            address: server(status),
            path: "/".to_owned(),
            key: String::new(),
            bodies: vec!["{}".to_owned()],
            processes: Vec::new(),
        }
    }

    #[test]
    fn every_request_after_the_warm_up_is_counted_once() {
        let pace =
            Pace { per_second: 500, warm_up: Duration::from_millis(100), time: Duration::from_millis(200) };
        let paced = run(&target("200 OK"), pace).unwrap();
        assert_eq!(paced.times.len(), 100);
        assert!(paced.per_second > 0.0);
    }

    #[test]
    fn a_refused_request_fails_the_run() {
        let pace = Pace { per_second: 100, warm_up: Duration::ZERO, time: Duration::from_millis(50) };
        let error = run(&target("429 Too Many Requests"), pace).unwrap_err();
        assert!(error.to_string().contains("429"), "{error:#}");
    }
}
