//! Running other programs: always by argument list, always shown, never through a shell.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result, bail};

/// `cargo` in the workspace, without the variables that `cargo run` set for this very process: build scripts
/// that watch `CARGO_PKG_*` (ring's does) would otherwise run again under every second command.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(root);
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("CARGO_PKG_") || name_text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Shows the command, runs it with this process's own output, and fails when it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    println!("$ {}", show(command));
    run_quietly(command)
}

/// The same without a word of ours on standard output.
pub(crate) fn run_quietly(command: &mut Command) -> Result<()> {
    let shown = show(command);
    let status = command.status().with_context(|| format!("`{shown}` could not be started"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// Runs the command and returns what it wrote to standard output; its standard error is shown.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let shown = show(command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("`{shown}` could not be started"))?;
    if !output.status.success() {
        bail!("`{shown}` failed ({})", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{shown}` did not print UTF-8"))
}

/// Whether the command starts and exits with success; what it prints is dropped.
pub(crate) fn succeeds(program: impl AsRef<OsStr>, args: &[&str]) -> bool {
    Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Which of a program's two streams a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// Runs the command and hands over each line as it appears.
pub(crate) fn stream(command: &mut Command, mut each: impl FnMut(Stream, &str)) -> Result<ExitStatus> {
    let shown = show(command);
    println!("$ {shown}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("`{shown}` could not be started"))?;
    let (sender, lines) = mpsc::channel();
    let readers = [
        child.stdout.take().map(|out| read_lines(out, Stream::Stdout, sender.clone())),
        child.stderr.take().map(|err| read_lines(err, Stream::Stderr, sender)),
    ];
    for (from, line) in lines {
        each(from, &line);
    }
    for reader in readers.into_iter().flatten() {
        if reader.join().is_err() {
            bail!("a reader of the output of `{shown}` ended early");
        }
    }
    child.wait().with_context(|| format!("`{shown}` could not be waited for"))
}

fn read_lines(
    from: impl Read + Send + 'static,
    stream: Stream,
    to: mpsc::Sender<(Stream, String)>,
) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut reader = BufReader::new(from);
        let mut raw = Vec::new();
        // Bytes, not `lines()`: a test may print what is not UTF-8, and that must not end the reading.
        while reader.read_until(b'\n', &mut raw).is_ok_and(|read| read > 0) {
            let line = String::from_utf8_lossy(&raw).trim_end_matches(['\n', '\r']).to_owned();
            if to.send((stream, line)).is_err() {
                return;
            }
            raw.clear();
        }
    })
}

fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
