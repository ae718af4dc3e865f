//! A server that was started for a run: its process id is said, and it is stopped by that id and nothing else.

use std::ffi::OsStr;
use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long a start or a stop may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a program that is to do its work and end may take, in seconds.
const LONGEST_S: &str = "1800";

/// A program that runs until it is stopped, or until this process is gone, however that ended.
pub(super) fn lasting(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM"]).arg(program);
    command
}

/// A program that ends by itself, and is ended if it does not.
pub(super) fn bounded(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--foreground", "--kill-after=10", LONGEST_S]).arg(program);
    command
}

/// A running server. Dropped, it is asked to stop, and killed if it does not.
#[derive(Debug)]
pub(super) struct Program {
    name: &'static str,
    child: Child,
}

impl Program {
    /// Starts a server that is given its address.
    pub(super) fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("{name} cannot be started"))?;
        eprintln!("bench: started {name}, process {}", child.id());
        Ok(Self { name, child })
    }

    /// Starts a server that prints `... on http://ADDRESS` to standard error once it listens. All that it prints there
    /// goes into `log`, with nobody between who would take processor time of the run.
    pub(super) fn announced(
        name: &'static str,
        command: &mut Command,
        log: &Path,
    ) -> Result<(Self, SocketAddr)> {
        let file = File::create(log).with_context(|| format!("`{}` cannot be written", log.display()))?;
        let mut program = Self::start(name, command.stderr(file))?;
        let began = Instant::now();
        loop {
            let said = std::fs::read_to_string(log).unwrap_or_default();
            // Only lines that are complete: the rest of an address may be on its way.
            let mut lines = said.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
            if let Some(address) = lines.find_map(announcement) {
                return Ok((program, address));
            }
            if let Some(status) = program.child.try_wait()? {
                bail!("{name} ended with {status} before it listened; it printed: {}", said.trim());
            }
            if began.elapsed() > PATIENCE {
                bail!("{name} never said where it listens; it printed: {}", said.trim());
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until somebody answers at that address.
    pub(super) fn wait_for(&mut self, address: SocketAddr) -> Result<()> {
        let began = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status} before it listened", self.name);
            }
            if began.elapsed() > PATIENCE {
                bail!("{} does not listen on {address}", self.name);
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Asks it to stop and waits for its end, which must be in order.
    pub(super) fn stop(mut self) -> Result<()> {
        let status = self.end()?;
        if !status.is_some_and(|status| status.success()) {
            bail!("{} did not stop in order: {status:?}", self.name);
        }
        Ok(())
    }

    fn end(&mut self) -> Result<Option<std::process::ExitStatus>> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(Some(status));
        }
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        let asked = Instant::now();
        while asked.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(None)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if !matches!(self.end(), Ok(Some(_))) {
            eprintln!("bench: {} (process {}) does not stop and is killed", self.name, self.child.id());
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The address in `portcullis serves on http://127.0.0.1:8080` or `... on http://127.0.0.1:9/v1`.
fn announcement(line: &str) -> Option<SocketAddr> {
    address(line, " on http://")
}

/// The address in `the operator plane is at http://127.0.0.1:9090`.
pub(super) fn operator_plane(line: &str) -> Option<SocketAddr> {
    address(line, "operator plane is at http://")
}

fn address(line: &str, after: &str) -> Option<SocketAddr> {
    let (_, url) = line.split_once(after)?;
    url.split('/').next()?.trim().parse().ok()
}

/// A port of 127.0.0.1 that was free a moment ago, for a server that cannot choose one itself.
pub(super) fn free_address() -> Result<SocketAddr> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).context("no port is free")?;
    listener.local_addr().context("a listener has no address")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_from_the_line_that_announces_it_and_from_no_other() {
        let address = |line| announcement(line).map(|address| address.port());
        assert_eq!(address("portcullis serves on http://127.0.0.1:8080"), Some(8080));
        assert_eq!(address("the test upstream `scripted` serves on http://127.0.0.1:9/v1"), Some(9));
        assert_eq!(address("warning: `public_url` is http://127.0.0.1:8080"), None);
        assert_eq!(address("see more on http://example.org/"), None);
        let plane = "the operator plane is at http://127.0.0.1:9090";
        assert_eq!((address(plane), operator_plane(plane).map(|at| at.port())), (None, Some(9090)));
    }

    #[test]
    fn a_server_is_known_by_what_it_announces_and_one_that_announces_nothing_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let script = "echo warning >&2; echo it serves on http://127.0.0.1:9/v1 >&2; exec sleep 60";
        let (_program, address) = Program::announced("sh", lasting("sh").args(["-c", script]), &log).unwrap();
        assert_eq!(address.port(), 9);
        let error =
            Program::announced("sh", lasting("sh").args(["-c", "echo no port >&2"]), &log).unwrap_err();
        assert!(error.to_string().contains("no port"), "{error:#}");
    }

    #[test]
    fn a_server_that_ends_early_is_an_error_and_not_waited_for() {
        let mut program = Program::start("true", &mut lasting("true")).unwrap();
        assert!(program.wait_for(free_address().unwrap()).is_err());
        assert!(Program::start("nothing", &mut Command::new("no-such-program-anywhere")).is_err());
    }

    #[test]
    fn a_server_that_is_asked_to_stop_is_waited_for_and_one_that_fails_is_said() {
        let sleeping = Program::start("sleep", lasting("sleep").arg("60")).unwrap();
        assert!(sleeping.stop().unwrap_err().to_string().contains("did not stop in order"));
        assert_eq!(bounded("true").status().unwrap().code(), Some(0));
    }
}
