//! `sandbox`: runs a program that nobody trusts, and prints what it said, or serves an API for such programs. Only builds with the
//! feature `sandbox` have one.

#[cfg(feature = "sandbox")]
pub(super) use with_sandbox::run;
#[cfg(not(feature = "sandbox"))]
pub(super) use without_sandbox::run;

#[cfg(not(feature = "sandbox"))]
mod without_sandbox {
    use std::process::ExitCode;

    use anyhow::{Result, bail};

    use crate::args::SandboxArgs;

    pub(in crate::cmd) async fn run(args: SandboxArgs) -> Result<ExitCode> {
        let SandboxArgs { program, api, key_file: _, at_once: _, arguments: _, seconds: _, memory: _ } = args;
        let program = program.map(|path| path.display().to_string());
        let wanted = program.or_else(|| api.map(|address| address.to_string())).unwrap_or_default();
        bail!(
            "`{wanted}` cannot be run: this build has no sandbox; take a release, or build with `--features sandbox`"
        )
    }
}

#[cfg(feature = "sandbox")]
mod with_sandbox {
    use std::io::Read as _;
    use std::net::SocketAddr;
    use std::path::Path;
    use std::process::ExitCode;
    use std::sync::Arc;
    use std::time::Duration;

    use anyhow::{Context as _, Result, bail};
    use portcullis_core::{Secret, SystemClock};
    use portcullis_sandbox::{End, Job, Limits, Queue, Sandbox as _};
    use portcullis_sandbox_wasm::Wasm;

    use super::super::serve::Stopping;
    use crate::args::SandboxArgs;
    use crate::out;
    use crate::sandbox::api::Api;

    /// The most that is read for the program.
    const INPUT: u64 = 16 << 20;
    /// How many jobs of the API may wait for each that runs.
    const WAITING: usize = 16;

    pub(in crate::cmd) async fn run(args: SandboxArgs) -> Result<ExitCode> {
        match (&args.program, args.api, &args.key_file) {
            (Some(program), _, _) => one(program, &args),
            (None, Some(address), Some(key)) => serve(address, key, usize::from(args.at_once)).await,
            (None, _, _) => bail!("nothing to run: name a program, or `--api` with `--key-file`"),
        }
    }

    fn one(program: &Path, args: &SandboxArgs) -> Result<ExitCode> {
        let shown = program.display().to_string();
        let program = std::fs::read(program).with_context(|| format!("`{shown}` cannot be read"))?;
        let mut input = Vec::new();
        std::io::stdin().take(INPUT).read_to_end(&mut input).context("the standard input cannot be read")?;
        let limits = Limits {
            time: Duration::from_secs(args.seconds),
            memory: usize::from(args.memory) << 20,
            ..Limits::default()
        };
        let mut arguments = vec!["program".to_owned()];
        arguments.extend(args.arguments.iter().cloned());
        let job = Job { arguments, input: input.into(), ..Job::new(program).within(limits) };
        let ran = Wasm::new()?.run(&job)?;
        out::print(String::from_utf8_lossy(&ran.output));
        match ran.end {
            End::Exited(code) => Ok(ExitCode::from(u8::try_from(code).unwrap_or(1))),
            End::Trapped => bail!("`{shown}` broke off by a fault of its own"),
            End::Stopped(limit) => bail!("`{shown}` was stopped: it reached its limit of {}", limit.name()),
        }
    }

    async fn serve(address: SocketAddr, key: &Path, at_once: usize) -> Result<ExitCode> {
        let mut stopping = Stopping::listen()?;
        let shown = key.display();
        let key = std::fs::read_to_string(key).with_context(|| format!("`{shown}` cannot be read"))?;
        let key = Secret::new(key.trim().to_owned());
        let queue =
            Queue::new(Arc::new(Wasm::new()?), Arc::new(SystemClock::new()), at_once, at_once * WAITING);
        let api = Api::start(address, key, queue).await?;
        out::note(format_args!("the sandbox API serves on http://{}", api.address()));
        stopping.asked().await;
        api.stop().await;
        Ok(ExitCode::SUCCESS)
    }
}
