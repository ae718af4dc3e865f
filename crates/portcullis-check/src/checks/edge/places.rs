//! Where TLS is looked at: every address of every host, origin and listener, and proof that something answers there.

use std::net::{IpAddr, SocketAddr};

use http::{Method, Uri};

use crate::outcome::{Finding, Inconclusive, PositiveControl};
use crate::probe::{Call, Certificates, Peer, Probe, Seen};
use crate::target::{Auth, Effect, OpenApi, Protocol, RouteKind, Target};

/// How often each place is connected to: a balancer may hide more than one server behind an address.
pub(super) const CONNECTS: usize = 3;

/// A host at one of its addresses.
#[derive(Debug, Clone)]
pub(super) struct Site {
    pub(super) host: String,
    pub(super) address: IpAddr,
    pub(super) http_port: u16,
    pub(super) https_port: u16,
}

impl Site {
    /// Its HTTPS listener.
    pub(super) fn peer(&self) -> Peer {
        let address = SocketAddr::new(self.address, self.https_port);
        Peer { name: Some(self.host.clone()), address, protocol: Protocol::Tls }
    }

    /// `https://bot.example.org:8443`, the port only where it is not the usual one.
    pub(super) fn https(&self) -> Result<Uri, Inconclusive> {
        self.url("https", self.https_port, 443)
    }

    /// The same in plain.
    pub(super) fn http(&self) -> Result<Uri, Inconclusive> {
        self.url("http", self.http_port, 80)
    }

    fn url(&self, scheme: &str, port: u16, usual: u16) -> Result<Uri, Inconclusive> {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let port = if port == usual { String::new() } else { format!(":{port}") };
        let text = format!("{scheme}://{host}{port}");
        text.parse().map_err(|_| {
            Inconclusive::because(format!("`{text}` is no URL: correct [edge] hosts in target.toml"))
        })
    }

    /// For messages: `bot.example.org at 192.0.2.7`.
    pub(super) fn line(&self) -> String {
        if self.host.parse::<IpAddr>().is_ok() {
            self.host.clone()
        } else {
            format!("{} at {}", self.host, self.address)
        }
    }
}

/// Every host at every one of its addresses. A host without an address is an error: it was not looked at.
pub(super) async fn sites(probe: &mut Probe) -> Result<Vec<Site>, Inconclusive> {
    let target = probe.target();
    let (http_port, https_port) = (target.http_port(), target.https_port());
    probe.observe("vantage point", "this machine, and no other");
    let mut sites = Vec::new();
    for host in target.edge_hosts() {
        for address in probe.addresses(&host).await? {
            sites.push(Site { host: host.clone(), address, http_port, https_port });
        }
    }
    Ok(sites)
}

/// Every origin, once for each host that it answers for.
pub(super) async fn origins(probe: &mut Probe) -> Result<Vec<Peer>, Inconclusive> {
    let target = probe.target();
    let mut peers = Vec::new();
    for place in target.edge.iter().flat_map(|edge| &edge.origins) {
        for address in probe.addresses(&place.host).await? {
            for host in target.edge_hosts() {
                let address = SocketAddr::new(address, place.port);
                peers.push(Peer { name: Some(host), address, protocol: Protocol::Tls });
            }
        }
    }
    Ok(peers)
}

/// Every other listener.
pub(super) async fn listeners(probe: &mut Probe) -> Result<Vec<Peer>, Inconclusive> {
    let target = probe.target();
    let mut peers = Vec::new();
    for listener in target.edge.iter().flat_map(|edge| &edge.listeners) {
        for address in probe.addresses(&listener.place.host).await? {
            let address = SocketAddr::new(address, listener.place.port);
            peers.push(Peer {
                name: Some(listener.place.host.clone()),
                address,
                protocol: listener.protocol,
            });
        }
    }
    Ok(peers)
}

/// Records who says that hosts, origins, listeners and files are all, or gives the doubt.
pub(super) fn completeness_doubt(probe: &mut Probe) -> Option<String> {
    let target = probe.target();
    match target.edge.as_ref().and_then(|edge| edge.complete_by.as_ref()) {
        Some(who) => {
            probe.observe("the lists of hosts, origins, listeners and certificate files", &format!("whole, says {who}"));
            None
        }
        None => Some(
            "nobody confirms that the lists of hosts, origins, listeners and certificate files are whole: add \
             complete_by to [edge] in target.toml"
                .to_owned(),
        ),
    }
}

/// Public paths that a healthy deployment answers, the likeliest first.
fn public_paths(target: &Target) -> Vec<String> {
    let mut routes: Vec<_> = target
        .routes()
        .into_iter()
        .filter(|route| {
            route.auth == Auth::Public
                && route.method == Method::GET
                && route.effect == Effect::Reads
                && !route.path.contains('{')
                && route.kind != RouteKind::Ready
        })
        .collect();
    routes.sort_by_key(|route| route.kind);
    let mut paths: Vec<String> = routes.into_iter().map(|route| route.path.clone()).collect();
    if let Some(OpenApi::OnTarget(path)) = &target.inventory.openapi {
        paths.push(path.clone());
    }
    paths
}

/// Proof that the application answers over TLS: a handshake alone is not enough. Nothing secret is sent.
///
/// # Errors
/// When no known public route is answered with a success.
pub(super) async fn answers(
    probe: &mut Probe,
    site: &Site,
    certificates: Certificates,
) -> Result<PositiveControl, Inconclusive> {
    let target = probe.target();
    let base = site.https()?;
    let mut why = Inconclusive::because(
        "no public route is known by which to see that the application answers: add a [[route]] with `auth = \
         \"public\"` to target.toml",
    );
    for path in public_paths(&target) {
        let seen: Seen =
            probe.send(Call::new(Method::GET, path).there(&base, site.address, certificates)).await?;
        let shown = format!("{} of {} answers over TLS", seen.request_line(), site.line());
        match PositiveControl::from_success(&seen, shown) {
            Ok(control) => return Ok(control),
            Err(reason) => why = reason,
        }
    }
    Err(why)
}

/// The same for all sites: a control for each, or the doubts.
pub(super) async fn all_answer(
    probe: &mut Probe,
    sites: &[Site],
    certificates: Certificates,
    doubts: &mut Vec<String>,
) -> Vec<PositiveControl> {
    let mut controls = Vec::new();
    for site in sites {
        match answers(probe, site, certificates).await {
            Ok(control) => controls.push(control),
            Err(why) => doubts.push(format!("{}: {}", site.line(), why.reason())),
        }
    }
    controls
}

/// Faults, each with all places where it was seen.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

#[derive(Debug)]
struct Fault {
    what: String,
    fix: String,
    places: Vec<String>,
    shown_by: Vec<usize>,
}

impl Faults {
    /// Notes `what` at `place`, shown by this exchange.
    pub(super) fn add(&mut self, what: &str, fix: &str, place: &str, shown_by: usize) {
        let known = self.0.iter_mut().find(|fault| fault.what == what);
        match known {
            Some(fault) => {
                if !fault.places.iter().any(|seen| seen == place) {
                    fault.places.push(place.to_owned());
                }
                fault.shown_by.push(shown_by);
            }
            None => self.0.push(Fault {
                what: what.to_owned(),
                fix: fix.to_owned(),
                places: vec![place.to_owned()],
                shown_by: vec![shown_by],
            }),
        }
    }

    /// One finding for each fault.
    pub(super) fn findings(self) -> Vec<Finding> {
        let finding = |Fault { what, fix, places, shown_by }: Fault| {
            let listed = places.iter().take(4).map(String::as_str).collect::<Vec<_>>().join(", ");
            let more =
                if places.len() > 4 { format!(" and {} more", places.len() - 4) } else { String::new() };
            Finding::new(format!("{what}: {listed}{more}"), fix).shown_by(shown_by)
        };
        self.0.into_iter().map(finding).collect()
    }
}
