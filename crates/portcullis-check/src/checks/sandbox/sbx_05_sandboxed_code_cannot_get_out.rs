//! SBX-05.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::called;
use super::escapes::{Became, Effects};
use super::jobs::{self, End};
use super::trials::{self, Kind, Left};
use crate::check::{cases, check};
use crate::outcome::{Coverage, Finding, Findings, Inconclusive, PositiveControl, Verdict};
use crate::probe::Probe;
use crate::target::{Runtime, SandboxApi};

check! {
    /// ## What it checks
    /// A program that says hello runs within 5 seconds, and between two of these, in the same run, more than twenty others try to get
    /// out: by the network to the checker itself, to the metadata addresses of clouds and to the sandbox's own API, to files that are
    /// planted on its host, to what a job of another community left, and to more time, memory, output and processes than a job may
    /// have. None may succeed. That one did is told by effects: its word came to a port that the checker listens on, a planted text
    /// or the answer of a web server came back, a file is there. Jobs are Python or WebAssembly, as the target says.
    /// ## Why it matters
    /// What such code does was thought of by a model, and what a model thinks of was written by whoever it read. One way out of the
    /// sandbox is a way to every community's data and to the cloud's credentials.
    /// ## How to fix
    /// Give jobs no network at all, a file system of their own that is empty when they begin and gone when they end, and limits on
    /// everything. Run them under gVisor, in a microVM or as WebAssembly, not in a container alone.
    /// ## Limits
    /// It tries known ways, not faults of the kernel, of the runtime or of the processor. What gets out to places that neither the
    /// checker nor a metadata address is may be missed: name with `reach` an address by which the sandbox's host reaches the checker.
    /// Programs for WebAssembly tell themselves that they were refused. Of another product it does not try what a model may run as a tool.
    id: "SBX-05", title: "Sandboxed code cannot get out",
    area: Sandbox, severity: Critical, since: "0.1.0",
    needs: [Sandbox], touches: Writes,
    maps: ["LLM06:2025 Excessive Agency", "API7:2023 Server Side Request Forgery"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: [
        "sandbox-forks-without-end",
        "sandbox-has-no-memory-limit",
        "sandbox-has-no-output-limit",
        "sandbox-has-no-time-limit",
        "sandbox-keeps-folders-of-communities-open",
        "sandbox-network-is-open",
        "sandbox-reaches-the-metadata-address",
        "sandbox-runs-nothing",
        "sandbox-runs-nothing-after-a-while",
        "sandbox-sends-datagrams",
        "sandbox-shows-files-of-the-host",
        "sandbox-starts-other-programs",
        "sandbox-writes-files-of-the-host",
    ],
    inconclusive_on: [
        "dead",
        "mute",
        "login-wall",
        "waf",
        "yes-man",
        "echo",
        "spa-shell",
        "sandbox-refuses-long-programs",
    ],
}

/// How long hello may take, as control SBX-05 says.
const HELLO: Duration = Duration::from_secs(5);
/// So many attempts must have been made, as control SBX-05 says.
const ENOUGH: usize = 20;

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    let api = target.sandbox.as_deref().ok_or_else(|| Inconclusive::because("no sandbox is named"))?;
    let (mut findings, mut doubts) = (probe.findings(), Vec::new());
    let control = hello(probe, api, "before anything was tried", &mut findings).await?;
    let Some((control, starts)) = control else {
        // Nothing that fails here proves anything.
        return Verdict::settle(probe.evidence(), findings, &[], || {
            Err(Inconclusive::because("hello was not said"))
        });
    };
    let ear = probe.listen(&api.reach).await?;
    lacks(api, &mut doubts);
    let left = Left::new();
    let (plants, said) = trials::plants(api, &left)?;
    let planted = jobs::run(probe, api, &plants).await?;
    if !planted.text().contains(&said) || planted.line("planted").is_some_and(|rest| rest.starts_with("0 ")) {
        doubts.push(format!(
            "a job that writes a file of its own {}, so nothing shows whether another community's job could read it",
            planted.says()
        ));
    }
    let trials = trials::all(api, &ear, &left, starts)?;
    let effects = Effects { api, ear: &ear, left: &left, starts };
    let mut made: BTreeMap<Kind, usize> = BTreeMap::new();
    let kinds: BTreeSet<Kind> = trials.iter().map(|trial| trial.kind).collect();
    let mut not_made = Vec::new();
    for trial in &trials {
        let ran = match jobs::run(probe, api, &trial.job).await {
            Ok(ran) => ran,
            // What got out before stays found.
            Err(why) => {
                doubts.push(format!("{}: {}", trial.name, why.reason()));
                break;
            }
        };
        match effects.judge(trial, &ran).await {
            Became::Held => *made.entry(trial.kind).or_default() += 1,
            Became::Escaped(shown) => {
                *made.entry(trial.kind).or_default() += 1;
                findings.push(
                    Finding::new(format!("{} was got at from a job: {shown}", trial.name), fix(trial.kind))
                        .shown_by([ran.number]),
                );
            }
            Became::Doubtful(why) => doubts.push(format!("{}: {why}", trial.name)),
            Became::NotMade(why) => {
                let told = format!("{}: {why}", trial.name);
                // These programs need nothing that a sandbox may lack.
                if matches!(api.runtime, Runtime::Wasm(_)) {
                    doubts.push(format!("an attempt was neither held nor successful: {told}"));
                }
                not_made.push(told);
            }
        }
    }
    let total: usize = made.values().sum();
    let told = format!("{total} attempts were made, {} could not be made", not_made.len());
    probe.observe("what was tried", &format!("{told}: {}", not_made.join("; ")));
    for kind in kinds.iter().filter(|kind| !made.contains_key(kind)) {
        let first = not_made.first().map_or("", String::as_str);
        doubts.push(format!("no attempt at {} could be made ({first})", kind.words()));
    }
    if total < ENOUGH {
        let first = not_made.first().map_or("", String::as_str);
        doubts.push(format!("only {total} attempts could be made, {ENOUGH} are wanted ({first})"));
    }
    if let Err(why) = hello(probe, api, "after all that was tried", &mut findings).await {
        doubts.push(why.reason().to_owned());
    }
    let (mut all, mut controls) = (total, vec![control]);
    let mut what = format!("attempts to get out of a sandbox of `{}` that were made", api.runtime.word());
    if let Some(programs) = &api.called {
        match called::try_all(probe, programs, &mut findings, &mut doubts).await {
            Ok(made) => {
                all += made.count;
                what.push_str(&format!(", {} of them as calls of a model", made.count));
                controls.push(made.control);
            }
            Err(why) => doubts.push(why.reason().to_owned()),
        }
    }
    Verdict::settle(probe.evidence(), findings, &doubts, || {
        let said = "a program said hello before and after, in each way that there is";
        Ok((Coverage::complete(all, all, what)?, PositiveControl::all(controls, said)?))
    })
}

/// What has to work, or nothing that fails shows anything; with how long it took.
async fn hello(
    probe: &mut Probe,
    api: &SandboxApi,
    when: &str,
    findings: &mut Findings,
) -> Result<Option<(PositiveControl, Duration)>, Inconclusive> {
    let (job, said) = trials::hello(api)?;
    let seen = probe.send_once(job.call(api)).await?;
    let control = PositiveControl::from_success(&seen, "a program said hello before and after");
    let ran = jobs::read(Ok(seen))?;
    if ran.end != End::Exited(0) || ran.text().trim_end() != said {
        findings.push(
            Finding::new(
                format!("a program that says hello {} {when}", ran.says()),
                "mend the sandbox: where nothing runs, nothing can be seen to be held",
            )
            .shown_by([ran.number]),
        );
        return Ok(None);
    }
    if ran.elapsed > HELLO {
        findings.push(
            Finding::new(
                format!("a program that says hello took {} ms {when}", ran.elapsed.as_millis()),
                "let a job begin and end within 5 seconds, for instance by keeping sandboxes ready",
            )
            .shown_by([ran.number]),
        );
    }
    Ok(Some((control?, ran.elapsed)))
}

/// What the target file has to name, so that effects can be seen.
fn lacks(api: &SandboxApi, doubts: &mut Vec<String>) {
    if !matches!(api.runtime, Runtime::Python) {
        return;
    }
    if api.planted.is_empty() {
        doubts.push(
            "no file is planted on the sandbox's host, so nothing shows whether jobs read it: add [[sandbox.planted]] to \
             target.toml"
                .to_owned(),
        );
    }
    if !api.is_here() && api.reach.is_empty() {
        doubts.push(
            "the sandbox runs on another machine, and how that reaches this one is not said: add `reach` to [sandbox] of \
             target.toml"
                .to_owned(),
        );
    }
}

const fn fix(kind: Kind) -> &'static str {
    match kind {
        Kind::Network => "give jobs no network: no interface but their own loopback, and no proxy",
        Kind::Metadata => "give jobs no network, and block the metadata addresses for the whole host",
        Kind::Host => "give each job a file system of its own without anything of the host",
        Kind::Tenant => "give each job a folder of its own that is gone when it ends",
        Kind::Bounds => "limit time, memory, output and processes of each job from outside",
    }
}
