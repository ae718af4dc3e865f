//! The embedded sandbox of this build behind its API, for the checks that try to get out of it. A build without one has none,
//! and the checks say so.

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
        pub(in crate::cmd::target) async fn stop(self) {}
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
    use portcullis_sandbox::{Queue, Sandbox};
    use portcullis_sandbox_wasm::Wasm;

    use super::super::ground::{self, PLOTS};
    use crate::sandbox::api::Api;
    use crate::sandbox::programs;

    /// How many jobs run at a time.
    const AT_ONCE: usize = 4;
    /// How many may wait.
    const WAITING: usize = 64;

    /// The running API, and the file beside it that no job may read.
    #[derive(Debug)]
    pub(in crate::cmd::target) struct Cell {
        api: Api,
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
            let (sandbox, places) = walls(config, Wasm::new()?);
            let queue = Queue::new(sandbox, Arc::new(SystemClock::new()), places, WAITING);
            let api = Api::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), Secret::new(key.clone()), queue)
                .await?;
            let declared = SandboxApi {
                at: format!("http://{}", api.address()).parse()?,
                credential: Some(Credential::bearer(key)),
                runtime: Runtime::Wasm(Some(programs::all(&planted)?)),
                at_once: AT_ONCE,
                tenants: [PLOTS[0].slug.to_owned(), PLOTS[1].slug.to_owned()],
                reach: Vec::new(),
                planted,
            };
            Ok((Self { api, _folder: folder }, Some(declared)))
        }

        pub(in crate::cmd::target) async fn stop(self) {
            self.api.stop().await;
        }
    }

    /// The sandbox and how many of its jobs run at a time, both as they are.
    #[cfg(not(feature = "guard-off"))]
    fn walls(_: &Config, wasm: Wasm) -> (Arc<dyn Sandbox>, usize) {
        (Arc::new(wasm), AT_ONCE)
    }

    /// The sandbox and how many of its jobs run at a time, with the walls off that the configuration says.
    #[cfg(feature = "guard-off")]
    fn walls(config: &Config, wasm: Wasm) -> (Arc<dyn Sandbox>, usize) {
        use portcullis_sandbox::conformance::wrong::{Flaw, Wrong};

        let off = |name: &str| config.danger.guards_off.iter().any(|guard| guard.as_str() == name);
        let places = if off("sandbox-places") { usize::from(u8::MAX) } else { AT_ONCE };
        match off("sandbox-apart") {
            true => (Arc::new(Wrong::new(Flaw::Remembering, wasm)), places),
            false => (Arc::new(wasm), places),
        }
    }
}
