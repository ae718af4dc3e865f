//! `upstream`: a test upstream on a port of its own, for trials and for the benchmark.
//!
//! It is no language model and holds no key: it listens on a loopback address only.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use portcullis_model::upstream::{Behaviour, Echo, Gullible, Scripted, Slow, Upstream};

use super::serve::Stopping;
use crate::args::{BehaviourName, UpstreamArgs};
use crate::out;

pub(super) async fn run(args: UpstreamArgs) -> Result<ExitCode> {
    let pause = Duration::from_millis(args.pause_ms);
    match args.behaviour {
        BehaviourName::Scripted => listen(&args, Slow::new(Scripted::text(&args.text)).between(pause)).await,
        BehaviourName::Echo => listen(&args, Slow::new(Echo).between(pause)).await,
        BehaviourName::Gullible => listen(&args, Slow::new(Gullible::new()).between(pause)).await,
    }
}

async fn listen(args: &UpstreamArgs, behaviour: impl Behaviour) -> Result<ExitCode> {
    let mut stopping = Stopping::listen()?;
    let wanted = args.listen;
    if !wanted.ip().is_loopback() {
        bail!("`--listen` is {wanted}, wanted a loopback address: a test upstream asks for no credential");
    }
    let name = behaviour.name();
    let upstream =
        Upstream::start_at(wanted, behaviour).await.with_context(|| format!("cannot listen on {wanted}"))?;
    out::note(format_args!("the test upstream `{name}` serves on {}", upstream.url()));
    stopping.asked().await;
    upstream.stop().await;
    Ok(ExitCode::SUCCESS)
}
