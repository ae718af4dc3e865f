//! The embedded sandbox of this build, for the checks that try to get out of it: behind its API, and as a model reaches it. A build
//! without one has none, and the checks say so.

#[cfg(feature = "sandbox")]
pub(super) use with_sandbox::Cell;
#[cfg(not(feature = "sandbox"))]
pub(super) use without_sandbox::Cell;

#[cfg(not(feature = "sandbox"))]
mod without_sandbox {
    use anyhow::Result;
    use portcullis_check::target::SandboxApi;
    use portcullis_config::Config;

    /// No sandbox.
    #[derive(Debug)]
    pub(in crate::cmd::target) struct Cell;

    impl Cell {
        #[expect(clippy::unused_async, reason = "the other one waits")]
        pub(in crate::cmd::target) async fn start(_: &Config) -> Result<(Self, Option<SandboxApi>)> {
            Ok((Self, None))
        }

        #[expect(clippy::unused_async, reason = "the other one waits")]
        pub(in crate::cmd::target) async fn stop(self) -> Result<()> {
            Ok(())
        }
    }
}

#[cfg(feature = "sandbox")]
mod with_sandbox {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::sync::Arc;

    use anyhow::{Context as _, Result};
    use portcullis_check::target::{Credential, HostFile, Runtime, SandboxApi};
    use portcullis_config::Config;
    use portcullis_core::{Secret, SystemClock};
    use portcullis_sandbox::Queue;

    use super::super::beside::Beside;
    use super::super::ground::{self, PLOTS};
    use super::super::workshop;
    use crate::sandbox::api::Api;
    use crate::sandbox::{programs, walls};

    /// How many jobs run at a time.
    const AT_ONCE: usize = 4;
    /// How many may wait.
    const WAITING: usize = 64;

    /// The running API, the instance whose tools are programs, and the file beside them that no job may read.
    #[derive(Debug)]
    pub(in crate::cmd::target) struct Cell {
        api: Api,
        workshop: Beside,
        _folder: tempfile::TempDir,
    }

    impl Cell {
        pub(in crate::cmd::target) async fn start(config: &Config) -> Result<(Self, Option<SandboxApi>)> {
            let folder = tempfile::Builder::new()
                .prefix("portcullis-check-")
                .tempdir()
                .context("no temporary folder")?;
            let text = ground::canary();
            let path = folder.path().join("canary");
            std::fs::write(&path, &text).context("a file for the sandbox's checks cannot be written")?;
            let planted = vec![HostFile { path: path.display().to_string(), text }];
            let key = ground::canary();
            let programs = programs::all(&planted)?;
            let (workshop, called) = Box::pin(workshop::start(config, &programs)).await?;
            let (sandbox, places) = walls::sandbox(config, AT_ONCE)?;
            let queue = Queue::new(sandbox, Arc::new(SystemClock::new()), places, WAITING);
            let api = Api::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), Secret::new(key.clone()), queue)
                .await?;
            let declared = SandboxApi {
                at: format!("http://{}", api.address()).parse()?,
                credential: Some(Credential::bearer(key)),
                runtime: Runtime::Wasm(Some(programs)),
                at_once: AT_ONCE,
                tenants: [PLOTS[0].slug.to_owned(), PLOTS[1].slug.to_owned()],
                reach: Vec::new(),
                planted,
                called: Some(Box::new(called)),
            };
            Ok((Self { api, workshop, _folder: folder }, Some(declared)))
        }

        pub(in crate::cmd::target) async fn stop(self) -> Result<()> {
            self.api.stop().await;
            self.workshop.stop().await
        }
    }
}
