//! The listener's certificate, from the configuration, and looking after it while it is used.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use portcullis_config::{Config, Host, TlsVersion};
use portcullis_core::Clock;
use portcullis_http::{OldestTls, Tls, TlsOptions};
use tokio::signal::unix::{SignalKind, signal};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// The certificate that `[tls]` names, judged; none if there is no `[tls]`.
pub(crate) fn open(config: &Config, now: Timestamp) -> Result<Option<Tls>> {
    let Some(tls) = &config.tls else { return Ok(None) };
    let options = TlsOptions {
        certificate: tls.certificate.clone(),
        key: tls.key.clone(),
        host: match config.public_url.url().host() {
            Host::Name(name) => name.clone(),
            Host::Address(address) => address.to_string(),
        },
        oldest: match tls.min_version {
            TlsVersion::Tls13 => OldestTls::Tls13,
            TlsVersion::Tls12 => OldestTls::Tls12,
        },
    };
    Ok(Some(Tls::open(options, now).context("the certificate of `[tls]` cannot be used")?))
}

/// Takes a renewed certificate, at the latest half a minute after its files are there, and at once on SIGHUP.
pub(crate) async fn watch(tls: Arc<Tls>, clock: Arc<dyn Clock>, closing: impl Future<Output = ()>) {
    let mut closing = std::pin::pin!(closing);
    let mut hangup = signal(SignalKind::hangup()).ok();
    loop {
        let asked = async {
            match &mut hangup {
                Some(hangup) => drop(hangup.recv().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = &mut closing => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = asked => {}
        }
        let (tls, now) = (Arc::clone(&tls), clock.now());
        // Two small files, but on a disk that may be slow.
        let _ = tokio::task::spawn_blocking(move || tls.look(now)).await;
    }
}
