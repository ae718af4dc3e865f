//! A second instance of this build that cannot do its work: its model cannot be reached.
//!
//! It shows that readiness tells the truth, without breaking the instance that is judged. It lives in a temporary folder,
//! on a loopback port of its own, without any content, and ends with the run.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result};
use portcullis_config::{Environment, Flags};
use tokio::net::TcpSocket;

use super::super::serve::{self, Serving};
use crate::instance::Instance;

/// The running twin.
#[derive(Debug)]
pub(super) struct Twin {
    instance: Instance,
    serving: Serving,
    /// Holds the port at which there is no model: bound, and never listened on.
    _no_model: TcpSocket,
    _folder: tempfile::TempDir,
}

impl Twin {
    pub(super) async fn start() -> Result<Self> {
        let folder =
            tempfile::Builder::new().prefix("portcullis-check-").tempdir().context("no temporary folder")?;
        let no_model = TcpSocket::new_v4().context("no socket")?;
        no_model.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).context("no loopback port")?;
        let made = portcullis_config::init(folder.path())?;
        let url = format!("http://{}/v1", no_model.local_addr().context("no loopback port")?);
        let flags = Flags::none()
            .with("--listen", "listen.member", "127.0.0.1:0")
            .with("--listen", "listen.operator", "127.0.0.1:0")
            .with("--set", "model.url", url)
            .with("--set", "model.name", "unreachable");
        let loaded = portcullis_config::load(&made.config, &Environment::of::<&str, &str>([]), &flags)
            .map_err(|problems| anyhow::anyhow!("{problems}"))
            .context("the configuration of the blocked instance is not valid")?;
        let instance = Instance::open(&loaded.config)?;
        let serving = serve::start(&instance, &loaded.config).await?;
        Ok(Self { instance, serving, _no_model: no_model, _folder: folder })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.serving.address
    }

    pub(super) async fn stop(self) -> Result<()> {
        serve::stop(self.instance, self.serving).await
    }
}
