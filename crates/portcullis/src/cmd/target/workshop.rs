//! An instance whose model obeys, and whose tools are the programs that try to get out of the sandbox: they are run as calls of a
//! model are, through every guard on tools, in the sandbox that such calls get.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use http::StatusCode;
use portcullis_audit::{Archive, CallOutcome, Event, Filter};
use portcullis_check::target::{CalledProgram, CalledPrograms, Chat, Expected, MESSAGE, Programs, WORD};
use portcullis_config::Config;
use portcullis_core::Role;
use portcullis_model::upstream::{Gullible, Reply, Sink, Upstream};
use portcullis_sandbox::Limit;
use serde_json::{Value, json};

use super::beside::{Beside, Club, NO_LIMITS, Site};
use crate::instance::{self, Instance};

/// Whose call leaves a file behind, and whose calls look for it.
const SLUGS: [&str; 2] = ["portcullis-workshop", "portcullis-neighbours"];
const MODEL: &str = "gullible";
const GREETS: &str = "greets";
const WRITES: &str = "writes";
const SCHEMA: &str =
    r#"{"type":"object","properties":{"word":{"type":"string","maxLength":64}},"required":["word"]}"#;
/// What a program that never ends may take of a run.
const SECONDS: u32 = 1;

/// Starts it, and says what is called there.
pub(super) async fn start(config: &Config, programs: &Programs) -> Result<(Beside, CalledPrograms)> {
    let upstream = Upstream::start(Gullible::helpful()).await.context("no loopback port")?;
    let url = upstream.url();
    let settings = [
        ("model.url", url.as_str()),
        ("model.name", MODEL),
        // What a program says is for the check to read, whatever it reads like.
        ("screen.mode", "off"),
        ("handover.mode", "off"),
        // The model would call again whenever it reads its question.
        ("tools.rounds", "1"),
    ];
    let mut site = Site::new("whose tools are programs", settings.into_iter().chain(NO_LIMITS))?;
    site.config.danger = config.danger.clone();
    let attempts = attempts(programs);
    let bytes = attempts.iter().map(|(attempt, bytes)| (attempt.tool.as_str(), *bytes));
    let all = [(GREETS, programs.hello.as_slice()), (WRITES, programs.writes.as_slice())];
    let all: Vec<(&str, &[u8])> = all.into_iter().chain(bytes).collect();
    approve(&mut site, &all)?;
    let journal = Archive::new(&instance::journal_dir(&site.config));
    let ends = Sink::new(move |_| Reply::json(StatusCode::OK, &ended(&journal)));
    let ends = Upstream::start(ends).await.context("no loopback port")?;
    let told = format!("http://{}/", ends.address()).parse()?;
    let instance = Instance::open(&site.config)?;
    let [owner, thief] = SLUGS;
    let owner =
        Club::new(&instance.kept, owner, "For programs only").await?.somebody("owner", Role::Member).await?;
    let thief =
        Club::new(&instance.kept, thief, "For programs only").await?.somebody("thief", Role::Member).await?;
    let workshop = site.serve(instance, vec![upstream, ends]).await?;
    let mut chat = Chat::openai();
    chat.route.body = Some(json!({ "model": MODEL, "messages": [{ "role": "user", "content": MESSAGE }] }));
    let called = CalledPrograms {
        at: workshop.at()?,
        chat,
        askers: [owner, thief],
        arguments: json!({ "word": WORD }).to_string(),
        hello: GREETS.to_owned(),
        writes: WRITES.to_owned(),
        attempts: attempts.into_iter().map(|(attempt, _)| attempt).collect(),
        ends: told,
    };
    Ok((workshop, called))
}

/// What is tried, each with its program. Those that make ever more files are left out: they are written for fewer than a call may have.
fn attempts(programs: &Programs) -> Vec<(CalledProgram, &[u8])> {
    let reads = ("another community's file", programs.reads.as_slice(), &Expected::Held);
    let others = programs.attempts.iter().filter(|program| program.expect != of_files());
    let others = others.map(|program| (program.name.as_str(), program.bytes.as_slice(), &program.expect));
    let numbered = std::iter::once(reads).chain(others).enumerate();
    numbered
        .map(|(number, (name, bytes, expect))| {
            let (name, tool) = (name.to_owned(), format!("attempt_{number}"));
            (CalledProgram { name, tool, expect: expect.clone() }, bytes)
        })
        .collect()
}

fn of_files() -> Expected {
    Expected::Bounded(vec![Limit::Files.name()])
}

/// Puts the programs into the configuration of the instance, each as a tool.
fn approve(site: &mut Site, programs: &[(&str, &[u8])]) -> Result<()> {
    let folder = site.folder();
    std::fs::write(folder.join("tool.json"), SCHEMA).context("a schema cannot be written")?;
    for (name, bytes) in programs {
        std::fs::write(folder.join(format!("{name}.wasm")), bytes).context("a program cannot be written")?;
    }
    let names: Vec<&str> = programs.iter().map(|(name, _)| *name).collect();
    let table = |name: &str, pin: Option<&String>| {
        let pin = pin.map_or_else(String::new, |pin| format!("pin = \"{pin}\"\n"));
        format!(
            "[[tool]]\nname = \"{name}\"\nkind = \"program\"\nprogram = \"{name}.wasm\"\n\
             description = \"Made for checks.\"\nschema = \"tool.json\"\ncommunities = {}\nroles = [\"member\"]\ntimeout_seconds = {SECONDS}\nmemory_bytes = {}\nper_turn = 1\n\
             per_hour = 100000\nper_day = 1000000\n{pin}",
            json!(SLUGS),
            Programs::MEMORY,
        )
    };
    site.approve("whose tools are programs", &names, |pins: &BTreeMap<&str, String>| {
        names.iter().map(|name| table(name, pins.get(name))).collect()
    })
}

/// How every call that the journal holds ended.
fn ended(journal: &Archive) -> Value {
    let Ok(entries) = journal.read(Filter::default()) else { return json!([]) };
    let mut called = BTreeMap::new();
    let mut ends = Vec::new();
    for event in entries.filter_map(Result::ok).filter_map(|entry| entry.event) {
        let (tool, end) = match event {
            Event::ToolCalled { call, tool, .. } => {
                called.insert(call, tool);
                continue;
            }
            Event::ToolReturned { call, outcome, .. } => (called.remove(&call), word(&outcome)),
            Event::ToolRefused { tool, .. } => (tool, "refused".to_owned()),
            _ => continue,
        };
        if let Some(tool) = tool {
            ends.push(json!({ "tool": tool.as_str(), "end": end }));
        }
    }
    Value::Array(ends)
}

fn word(outcome: &CallOutcome) -> String {
    match outcome {
        CallOutcome::Returned => "returned".to_owned(),
        CallOutcome::Withheld => "withheld".to_owned(),
        CallOutcome::Failed { code } => code.as_str().to_owned(),
        _ => "cancelled".to_owned(),
    }
}
