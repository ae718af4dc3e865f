//! What became of an attempt: whether it got out, was held, or was not even made.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::jobs::{End, OUTPUT, Ran, turned};
use super::trials::{Judged, Left, Proof, Trial};
use crate::probe::Ear;
use crate::target::{Expected, Programs, SandboxApi};

/// How much later than its time a job may be stopped, beside what it takes to start one.
const LATE: Duration = Duration::from_millis(1_500);
/// How much longer than all of that the job sleeps that is to be stopped.
const LONGER: Duration = Duration::from_secs(1);
/// What this machine has there tells nothing when it is shorter.
const SHORTEST_HERE: usize = 12;

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Became {
    /// It was made and came to nothing.
    Held,
    /// It got out.
    Escaped(String),
    /// It was not made.
    NotMade(String),
    /// It says something that nothing shows.
    Doubtful(String),
}

/// How long a job may take from asking to answer that has so much time of its own, where one that only says hello takes
/// that long: a sandbox may have to start a machine first.
fn allowed(time: Duration, starts: Duration) -> Duration {
    time + LATE + starts
}

/// How long a job sleeps that must be stopped: longer than it may take, however fast it starts.
pub(super) fn sleeps(time: Duration, starts: Duration) -> Duration {
    allowed(time, starts) + LONGER
}

/// By what it is seen, beside the answer itself.
#[derive(Debug)]
pub(super) struct Effects<'e> {
    pub(super) api: &'e SandboxApi,
    pub(super) ear: &'e Ear,
    pub(super) left: &'e Left,
    /// How long a job took that only says hello.
    pub(super) starts: Duration,
}

impl Effects<'_> {
    /// Judges what became of a trial.
    pub(super) async fn judge(&self, trial: &Trial, ran: &Ran) -> Became {
        match &trial.judged {
            Judged::By(proof) => self.framed(trial, *proof, ran).await,
            Judged::Wasm(expect) => wasm(expect, ran),
        }
    }

    async fn framed(&self, trial: &Trial, proof: Proof, ran: &Ran) -> Became {
        // An effect counts whatever the job says, and whether it says anything.
        if proof == Proof::Heard && self.ear.heard(&trial.token).await {
            return Became::Escaped("its word came to this machine".to_owned());
        }
        if proof == Proof::Written && self.is_written(&trial.token) {
            return Became::Escaped("the file is there".to_owned());
        }
        if proof == Proof::Output && ran.output.len() > OUTPUT {
            return Became::Escaped(format!("{} bytes came, {OUTPUT} were allowed", ran.output.len()));
        }
        if proof == Proof::Time && ran.elapsed > allowed(trial.job.time, self.starts) {
            let (took, time, starts) =
                (ran.elapsed.as_millis(), trial.job.time.as_millis(), self.starts.as_millis());
            return Became::Escaped(format!(
                "it took {took} ms, {time} ms were allowed and one that says hello takes {starts} ms"
            ));
        }
        // One that was refused was not begun, so that nothing was held.
        if ran.line("trying").as_deref() != Some(turned(&trial.token).as_str()) {
            return Became::NotMade(format!("it {}", ran.says()));
        }
        if let Some(why) = ran.line("unable") {
            return Became::NotMade(format!("it lacks what it needs ({why})"));
        }
        match ran.line("got").map(|hex| bytes(&hex)) {
            Some(Some(got)) => self.weigh(proof, &got),
            Some(None) => Became::NotMade("what it got cannot be read".to_owned()),
            // It was refused, or ended for what it tried.
            None => Became::Held,
        }
    }

    /// What a job got, as far as it proves anything.
    fn weigh(&self, proof: Proof, got: &[u8]) -> Became {
        let text = String::from_utf8_lossy(got);
        match proof {
            Proof::Heard => Became::Doubtful("it says that it got through, and nothing came".to_owned()),
            Proof::Web if text.starts_with("HTTP/") => {
                let line: String = text.lines().next().unwrap_or_default().chars().take(40).collect();
                Became::Escaped(format!("it was answered `{line}`"))
            }
            Proof::Web => {
                Became::Doubtful("it got a connection that answers otherwise than the web does".to_owned())
            }
            Proof::Address if text.split(' ').any(|one| one.parse::<IpAddr>().is_ok_and(is_outside)) => {
                Became::Escaped("the name was looked up".to_owned())
            }
            Proof::Address => Became::Held,
            Proof::Planted => match self.api.planted.iter().find(|planted| text.contains(&planted.text)) {
                Some(planted) => Became::Escaped(format!("the text of {} came back", planted.path)),
                // A file of its own under that name is none of the host's.
                None => Became::Held,
            },
            Proof::Marker if text.contains(&self.left.marker) => {
                Became::Escaped("what a job of another community left came back".to_owned())
            }
            Proof::Here(path) if self.api.is_here() && is_ours(path, got) => {
                Became::Escaped(format!("{path} of this machine came back"))
            }
            Proof::Marker | Proof::Here(_) | Proof::Written => Became::Held,
            Proof::Time | Proof::Output | Proof::Says => {
                Became::Escaped(format!("it got it ({})", text.chars().take(20).collect::<String>()))
            }
        }
    }

    fn is_written(&self, token: &str) -> bool {
        self.api.planted.iter().any(|planted| {
            let folder = Path::new(&planted.path).parent().unwrap_or_else(|| Path::new("/"));
            folder.join(format!("escaped-{token}")).exists()
        })
    }
}

/// Whether it is what this machine has at that path, and nothing that many machines have.
fn is_ours(path: &str, got: &[u8]) -> bool {
    let Ok(own) = std::fs::read(path) else { return false };
    // Accounts without a password look alike everywhere.
    let tells = path != "/etc/shadow" || own.contains(&b'$');
    let length = own.len().min(4_096);
    tells && length >= SHORTEST_HERE && own.get(..length) == Some(got)
}

/// Whether it is an address of the world.
const fn is_outside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => !(ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified()),
        IpAddr::V6(ip) => !(ip.is_loopback() || ip.is_unspecified()),
    }
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    if !hex.len().is_multiple_of(2) {
        return None;
    }
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()).collect()
}

/// What stands in hex, as text.
pub(super) fn text(hex: &str) -> String {
    bytes(hex.trim()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// What became of a program for WebAssembly, by the rules of the suite that our own backends pass.
fn wasm(expect: &Expected, ran: &Ran) -> Became {
    let said = ran.text();
    if said.contains(Programs::ESCAPED) {
        return Became::Escaped("it got where no job may get".to_owned());
    }
    if ran.output.len() > OUTPUT {
        return Became::Escaped(format!("{} bytes came, {OUTPUT} were allowed", ran.output.len()));
    }
    let was_held = said.trim() == Programs::HELD && ran.end == End::Exited(0);
    match (expect, &ran.end) {
        (Expected::Held | Expected::Bounded(_), _) if was_held => Became::Held,
        (Expected::Bounded(limits), End::Stopped(limit)) if limits.contains(&limit.as_str()) => Became::Held,
        // A loop that breaks off by itself was not stopped.
        (Expected::Bounded(limits), End::Trapped) if !limits.contains(&"time") => Became::Held,
        (Expected::Bounded(_), End::Exited(_)) => Became::Escaped(format!("it {}", ran.says())),
        (Expected::Refused, End::Trapped | End::Refused) => Became::Held,
        (Expected::Held | Expected::Bounded(_) | Expected::Refused, _) => {
            Became::NotMade(format!("it {}", ran.says()))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Became, End, Expected, OUTPUT, Ran, allowed, bytes, is_outside, sleeps, wasm};

    fn ran(end: End, output: &[u8]) -> Ran {
        let elapsed = Duration::ZERO;
        Ran { end, output: output.to_vec(), times: None, elapsed, number: 1 }
    }

    #[test]
    fn a_program_that_got_out_or_was_not_stopped_is_no_held_one() {
        let escaped = |became: Became| matches!(became, Became::Escaped(_));
        let bomb = Expected::Bounded(vec!["time"]);
        assert!(escaped(wasm(&Expected::Held, &ran(End::Exited(0), b"ESCAPED\n"))));
        assert!(escaped(wasm(&Expected::Refused, &ran(End::Trapped, b"ESCAPED\n"))));
        assert!(escaped(wasm(&bomb, &ran(End::Exited(0), b""))));
        assert!(escaped(wasm(&bomb, &ran(End::Stopped("output".to_owned()), &vec![b'x'; OUTPUT + 1]))));
        assert_eq!(wasm(&bomb, &ran(End::Stopped("time".to_owned()), b"")), Became::Held);
        assert_eq!(wasm(&Expected::Held, &ran(End::Exited(0), b"held\n")), Became::Held);
    }

    #[test]
    fn what_says_nothing_was_not_made() {
        for end in [End::Exited(0), End::Trapped, End::Refused, End::Stopped("time".to_owned())] {
            assert!(matches!(wasm(&Expected::Held, &ran(end, b"")), Became::NotMade(_)));
        }
        let bomb = Expected::Bounded(vec!["time"]);
        assert!(matches!(wasm(&bomb, &ran(End::Trapped, b"")), Became::NotMade(_)));
        assert!(matches!(wasm(&bomb, &ran(End::Refused, b"")), Became::NotMade(_)));
    }

    #[test]
    fn a_sandbox_that_starts_slowly_is_not_late_and_one_that_stops_nothing_is() {
        let time = Duration::from_secs(1);
        // A machine starts in two seconds and is stopped when the job has had its second.
        assert!(Duration::from_millis(3_200) < allowed(time, Duration::from_secs(2)));
        assert!(Duration::from_millis(3_200) > allowed(time, Duration::from_millis(50)));
        for starts in [0, 50, 2_000, 5_000].map(Duration::from_millis) {
            // Even where the next one starts at once.
            assert!(sleeps(time, starts) > allowed(time, starts), "{starts:?}");
        }
    }

    #[test]
    fn what_came_back_is_read_as_it_was_sent() {
        assert_eq!(bytes("68656c6c6f").as_deref(), Some(b"hello".as_slice()));
        assert!(bytes("6").is_none() && bytes("zz").is_none());
        assert!(is_outside("93.184.216.34".parse().unwrap()));
        assert!(!is_outside("10.0.0.1".parse().unwrap()) && !is_outside("127.0.0.1".parse().unwrap()));
    }
}
