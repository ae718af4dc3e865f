//! `check`: judge a deployment.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail};
use portcullis_audit::Use;
use portcullis_check::report::{self, Gate};
use portcullis_check::{Allow, Check, Options, Profile, Progress, Quiet, Report, Selector, Target};
use portcullis_core::{Clock, SystemClock};

use super::target::{Listening, SelfTarget};
use crate::args::{CheckArgs, Configured, Format};
use crate::instance::{self, Kept};
use crate::out;

/// What a terminal has when it does not say.
const WIDTH: usize = 100;

pub(super) async fn run(config: &Configured, args: CheckArgs) -> Result<ExitCode> {
    if let Some(url) = &args.init {
        out::print(Target::init(url));
        return Ok(ExitCode::SUCCESS);
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let options = options(&args, clock)?;
    let gate = match args.gate.as_deref() {
        None => Gate::Checks,
        Some("launch") => Gate::Launch,
        Some(other) => bail!("there is no gate `{other}`; there is: launch"),
    };
    let report = match &args.target {
        Some(text) => judge(named(text)?, &options, args.format).await?,
        None => {
            let config = instance::configuration(config)?;
            let kept = Kept::open(&config, Use::Administering)?;
            let at = Listening { member: config.listen.member, operator: config.listen.operator };
            let report = judge_self(&kept, &config, at, &options, args.format).await?;
            kept.close().await?;
            report
        }
    };
    if let Some(dir) = &args.evidence {
        let written = report::write_evidence(&report, dir)
            .with_context(|| format!("the evidence cannot be written to {}", dir.display()))?;
        out::note(format_args!("evidence: {}", written.display()));
    }
    print(&report, args.format);
    Ok(ExitCode::from(report.exit_code(gate)))
}

/// Judges the instance that listens there, with identities made for this run.
pub(super) async fn judge_self(
    kept: &Kept,
    config: &portcullis_config::Config,
    at: Listening,
    options: &Options,
    format: Format,
) -> Result<Report> {
    let (target, keys) = Box::pin(SelfTarget::prepare(kept, config, at)).await?.into_parts();
    let report = judge(target, options, format).await;
    let left = SelfTarget::clean_up(kept, keys).await?;
    let report = report?;
    if format == Format::Human {
        for left in left {
            out::note(format_args!("left behind: {left}"));
        }
    }
    Ok(report)
}

/// Prints a report.
pub(super) fn print(report: &Report, format: Format) {
    out::print(match format {
        Format::Human => report::human(report, WIDTH),
        Format::Json => report::json(report),
    });
}

async fn judge(target: Target, options: &Options, format: Format) -> Result<Report> {
    let progress = progress(format)?;
    Ok(Box::pin(portcullis_check::run(target, options, &*progress)).await)
}

/// Who is told how a run goes on.
fn progress(format: Format) -> Result<Box<dyn Progress>> {
    #[cfg(feature = "guard-off")]
    if let Some(ledger) = crate::felt::Ledger::of_process()? {
        return Ok(Box::new(ledger));
    }
    let is_shown = format == Format::Human && std::io::stderr().is_terminal();
    Ok(if is_shown { Box::new(Shown) } else { Box::new(Quiet) })
}

fn options(args: &CheckArgs, clock: Arc<dyn Clock>) -> Result<Options> {
    let mut options = Options::new(clock);
    options.only = args
        .only
        .iter()
        .map(|text| Selector::parse(text))
        .collect::<Result<_, _>>()
        .map_err(|error| anyhow!(error))?;
    options.profile = [Profile::LaunchReady, Profile::Deployment, Profile::Both]
        .into_iter()
        .find(|profile| profile.word() == args.profile)
        .ok_or_else(|| {
            anyhow!("there is no profile `{}`; there is: launch-ready, deployment, both", args.profile)
        })?;
    for word in &args.allow {
        match word.as_str() {
            "writes" => options.allow.writes = true,
            "load" => options.allow.load = true,
            "drills" => options.allow.drills = true,
            other => bail!("`--allow {other}` is not known; there is: writes, load, drills"),
        }
    }
    Ok(options)
}

/// What checks may do to an instance of one's own on this machine.
pub(super) const fn everything() -> Allow {
    Allow { writes: true, load: true, drills: false }
}

fn named(text: &str) -> Result<Target> {
    if text.starts_with("http://") || text.starts_with("https://") {
        return Ok(Target::new(text, text)?);
    }
    let environment = portcullis_config::Environment::from_process();
    let lookup = |name: &str| environment.text(name).map(str::to_owned);
    let target = Target::load(Path::new(text), &lookup)
        .with_context(|| format!("the target file {text} cannot be used"))?;
    with_programs(target)
}

/// What is run in a sandbox for WebAssembly, where the target has one and the build can assemble it.
#[cfg(feature = "sandbox")]
fn with_programs(mut target: Target) -> Result<Target> {
    if let Some(sandbox) = &mut target.sandbox
        && let portcullis_check::target::Runtime::Wasm(programs) = &mut sandbox.runtime
    {
        *programs = Some(crate::sandbox::programs::all(&sandbox.planted)?);
    }
    Ok(target)
}

#[cfg(not(feature = "sandbox"))]
#[expect(clippy::unnecessary_wraps, reason = "the other one can fail")]
const fn with_programs(target: Target) -> Result<Target> {
    Ok(target)
}

/// Says on standard error how a run goes on.
struct Shown;

impl Progress for Shown {
    fn started(&self, check: &Check, number: usize, of: usize) {
        out::note(format_args!("[{number}/{of}] {} {}", check.id, check.title));
    }

    fn finished(&self, judged: &portcullis_check::report::Judged) {
        out::note(report::progress_line(judged));
    }
}
