//! An instance of the program in a folder of its own, worked with from its command line as an operator does.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::phases::Plane;
use super::program::{self, Program, bounded, lasting};
use crate::process;

/// Limits that no run here reaches: what is measured is the work, not the refusal.
const LIFTED: &[&str] = &[
    "limits.per_key_per_minute=1000000",
    "limits.per_address_per_minute=1000000",
    "limits.unauthenticated_per_address_per_minute=1000000",
    "tiers.standard_per_minute=1000000",
    "tiers.standard_per_hour=1000000000",
    "tiers.standard_per_day=1000000000",
    "limits.per_key_per_hour=1000000000",
    "limits.per_key_per_day=1000000000",
    "limits.per_address_per_hour=1000000000",
    "limits.per_address_per_day=1000000000",
    "model.max_concurrent=1024",
    "model.queue=4096",
];

/// A folder with a configuration, keys and data.
#[derive(Debug)]
pub(super) struct Instance {
    binary: PathBuf,
    folder: PathBuf,
}

impl Instance {
    /// Makes one with fresh keys.
    pub(super) fn init(binary: &Path, folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder).with_context(|| format!("`{}` cannot be made", folder.display()))?;
        let instance = Self { binary: binary.to_owned(), folder };
        instance.run(&["init"])?;
        Ok(instance)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A command that does its work and ends.
    fn command(&self) -> Command {
        clean(bounded(&self.binary), &self.folder)
    }

    /// Runs a command and returns what it printed.
    pub(super) fn run(&self, arguments: &[&str]) -> Result<String> {
        process::capture(self.command().args(arguments))
    }

    /// Creates a community for each of these short names.
    pub(super) fn create(&self, slugs: &[String]) -> Result<()> {
        let file = self.folder.join("slugs.txt");
        fs::write(&file, slugs.join("\n"))
            .with_context(|| format!("`{}` cannot be written", file.display()))?;
        let printed = self.run(&["community", "create", "--from-file", "slugs.txt"])?;
        let made = printed.lines().filter(|line| line.starts_with("created ")).count();
        if made != slugs.len() {
            bail!("{made} communities were created, wanted {}", slugs.len());
        }
        Ok(())
    }

    /// Imports a folder, open to every member, and makes sure that all of it was taken.
    pub(super) fn import(&self, community: &str, content: &Path, documents: usize) -> Result<()> {
        let content = content.to_str().context("the path of the temporary folder is not UTF-8")?;
        let printed =
            self.run(&["import", "folder", "--community", community, content, "--open", "--format", "json"])?;
        let report: Value = serde_json::from_str(&printed).context("`import` did not print JSON")?;
        let added = report.get("added").and_then(Value::as_u64);
        if added != u64::try_from(documents).ok() {
            bail!("{added:?} documents were imported, wanted {documents}");
        }
        Ok(())
    }

    /// A key of a builder's own back end, which owns its whole requests.
    pub(super) fn backend_key(&self, community: &str) -> Result<String> {
        self.key(community, &["--ability", "chat,own-request"])
    }

    /// A key of a new member.
    pub(super) fn member_key(&self, community: &str) -> Result<String> {
        let printed = self.run(&["member", "add", "--community", community, "Mia"])?;
        let member = printed.split_whitespace().nth(1).context("`member add` printed no id")?;
        self.key(community, &["--ability", "chat", "--member", member])
    }

    fn key(&self, community: &str, more: &[&str]) -> Result<String> {
        let mut command = self.command();
        command.args(["key", "create", "--community", community, "bench"]).args(more);
        // The note beside the key goes to standard error; the one line on standard output is the key.
        let output = command.output().context("`key create` cannot be started")?;
        let printed = String::from_utf8(output.stdout).context("`key create` did not print UTF-8")?;
        let key = printed.split_whitespace().last().filter(|_| output.status.success());
        key.map(str::to_owned).with_context(|| {
            format!("`key create` failed: {}", String::from_utf8_lossy(&output.stderr).trim())
        })
    }

    /// Starts `serve` on a free port in front of that upstream, with every limit lifted.
    pub(super) fn serve(&self, upstream: SocketAddr) -> Result<(Program, SocketAddr)> {
        self.serve_with(upstream, &[])
    }

    /// The same with every guard off, which only a program can that was built for tests.
    pub(super) fn serve_unguarded(&self, upstream: SocketAddr) -> Result<(Program, SocketAddr)> {
        self.serve_with(upstream, &["danger.danger_guards_off=all"])
    }

    fn serve_with(&self, upstream: SocketAddr, more: &[&str]) -> Result<(Program, SocketAddr)> {
        let mut command = clean(lasting(&self.binary), &self.folder);
        command.arg("serve").arg("--set").arg("listen.member=127.0.0.1:0");
        command.arg("--set").arg("listen.operator=127.0.0.1:0");
        command
            .arg("--set")
            .arg(format!("model.url=http://{upstream}/v1"))
            .args(["--set", "model.name=scripted"]);
        for setting in LIFTED.iter().chain(more) {
            command.arg("--set").arg(setting);
        }
        Program::announced("portcullis serve", &mut command, &self.log())
    }

    fn log(&self) -> PathBuf {
        self.folder.join("serve.log")
    }

    /// The operator plane of what [`Instance::serve`] started last.
    pub(super) fn plane(&self) -> Result<Plane> {
        let read = |path: PathBuf| {
            fs::read_to_string(&path).with_context(|| format!("`{}` cannot be read", path.display()))
        };
        let said = read(self.log())?;
        let address = said.lines().find_map(program::operator_plane);
        let address = address.context("`serve` did not say where its operator plane is")?;
        let token = read(self.folder.join("secrets/operator_token"))?.trim().to_owned();
        Ok(Plane { address, token })
    }
}

/// A clean environment: no setting of the caller's own instance reaches what runs here.
fn clean(mut command: Command, folder: &Path) -> Command {
    command.current_dir(folder).env_clear();
    command
}

/// Starts the scripted upstream, which says `text` and pauses between the frames of a stream.
pub(super) fn upstream(
    binary: &Path,
    folder: &Path,
    text: &str,
    pause_ms: u64,
) -> Result<(Program, SocketAddr)> {
    let mut command = clean(lasting(binary), folder);
    command.args(["upstream", "--behaviour", "scripted", "--text", text]);
    command.args(["--pause-ms", &pause_ms.to_string()]);
    Program::announced("portcullis upstream", &mut command, &folder.join(format!("upstream-{pause_ms}.log")))
}
