//! `sandbox`: runs a program that nobody trusts, and prints what it said. Only builds with the feature `sandbox` have one.

use std::process::ExitCode;

use anyhow::Result;

use crate::args::SandboxArgs;

#[cfg(not(feature = "sandbox"))]
pub(super) fn run(args: SandboxArgs) -> Result<ExitCode> {
    let SandboxArgs { program, arguments: _, seconds: _, memory: _ } = args;
    anyhow::bail!(
        "`{}` cannot be run: this build has no sandbox; take a release, or build with `--features sandbox`",
        program.display()
    )
}

#[cfg(feature = "sandbox")]
pub(super) fn run(args: SandboxArgs) -> Result<ExitCode> {
    use std::io::Read as _;
    use std::time::Duration;

    use anyhow::{Context as _, bail};
    use portcullis_sandbox::{End, Job, Limits, Sandbox as _};
    use portcullis_sandbox_wasm::Wasm;

    /// The most that is read for the program.
    const INPUT: u64 = 16 << 20;

    let shown = args.program.display().to_string();
    let program = std::fs::read(&args.program).with_context(|| format!("`{shown}` cannot be read"))?;
    let mut input = Vec::new();
    std::io::stdin().take(INPUT).read_to_end(&mut input).context("the standard input cannot be read")?;
    let limits = Limits {
        time: Duration::from_secs(args.seconds),
        memory: usize::from(args.memory) << 20,
        ..Limits::default()
    };
    let mut arguments = vec!["program".to_owned()];
    arguments.extend(args.arguments);
    let job = Job { arguments, input: input.into(), ..Job::new(program).within(limits) };
    let ran = Wasm::new()?.run(&job)?;
    crate::out::print(String::from_utf8_lossy(&ran.output));
    match ran.end {
        End::Exited(code) => Ok(ExitCode::from(u8::try_from(code).unwrap_or(1))),
        End::Trapped => bail!("`{shown}` broke off by a fault of its own"),
        End::Stopped(limit) => bail!("`{shown}` was stopped: it reached its limit of {}", limit.name()),
    }
}
