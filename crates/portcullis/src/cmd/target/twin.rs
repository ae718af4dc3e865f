//! An instance that cannot do its work: its model cannot be reached. It shows that readiness tells the truth, without breaking
//! the instance that is judged.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result};
use portcullis_check::target::Uri;
use tokio::net::TcpSocket;

use super::beside::{Beside, Site};
use crate::instance::Instance;

/// The running twin.
#[derive(Debug)]
pub(super) struct Twin {
    beside: Beside,
    /// Holds the port at which there is no model: bound, and never listened on.
    _no_model: TcpSocket,
}

impl Twin {
    pub(super) async fn start() -> Result<Self> {
        let no_model = TcpSocket::new_v4().context("no socket")?;
        no_model.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).context("no loopback port")?;
        let url = format!("http://{}/v1", no_model.local_addr().context("no loopback port")?);
        let settings = [("model.url", url.as_str()), ("model.name", "unreachable")];
        let site = Site::new("without a model", settings)?;
        let instance = Instance::open(&site.config)?;
        Ok(Self { beside: site.serve(instance, Vec::new()).await?, _no_model: no_model })
    }

    pub(super) fn at(&self) -> Result<Uri> {
        self.beside.at()
    }

    pub(super) async fn stop(self) -> Result<()> {
        self.beside.stop().await
    }
}
