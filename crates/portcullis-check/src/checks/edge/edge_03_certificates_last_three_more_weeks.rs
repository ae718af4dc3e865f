//! EDGE-03.

use jiff::Timestamp;
use portcullis_egress::handshake::Versions;

use super::chain;
use super::places::{self, CONNECTS, Faults};
use crate::certificate::Certificate;
use crate::check::{cases, check};
use crate::outcome::{Coverage, Inconclusive, PositiveControl, Verdict};
use crate::probe::{Answered, Certificates, Peer, Probe};

check! {
    /// ## What it checks
    /// Reads the end date of every certificate, the issuers' included, that is presented by every address of every host, by
    /// every origin behind a network that stands in front, and by every other listener of the target file, and of every
    /// certificate file that it names. Each must last more than 21 days.
    /// ## Why it matters
    /// Renewal that has stopped is found out when everything stops at once; three weeks are time to mend it. The network in
    /// front renews its own certificate and hides that the origin's has ended.
    /// ## How to fix
    /// Renew 30 days before the end by a timer, reload what serves the certificate, and alert when the timer fails.
    /// ## Limits
    /// What the target file does not name is not seen: somebody has to confirm the lists (`complete_by`). A certificate
    /// that is shown only to clients which name no host is not judged.
    id: "EDGE-03", title: "Certificates last three more weeks",
    area: Edge, severity: High, since: "0.1.0",
    needs: [Edge], touches: Nothing,
    maps: ["API8:2023 Security Misconfiguration"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: [
        "certificate-expired",
        "certificate-ends-in-21-days",
        "intermediate-ends-soon",
        "origin-certificate-expired",
        "mail-certificate-ends-soon",
        "certificate-file-ends-soon",
    ],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man", "echo", "spa-shell", "certificate-with-short-key", "mail-without-starttls", "database-without-tls"],
}

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    let sites = places::sites(probe).await?;
    let mut peers: Vec<Peer> = sites.iter().map(places::Site::peer).collect();
    peers.extend(places::origins(probe).await?);
    peers.extend(places::listeners(probe).await?);
    let mut faults = Faults::default();
    let mut doubts: Vec<String> = places::completeness_doubt(probe).into_iter().collect();
    let mut looked_at = 0;
    for peer in &peers {
        for _ in 0..CONNECTS {
            looked_at += usize::from(look(probe, peer, &mut faults, &mut doubts).await?);
        }
    }
    let now = probe.clock().now();
    let files = target.edge.iter().flat_map(|edge| &edge.certificates);
    let mut total = peers.len() * CONNECTS;
    for file in files {
        total += 1;
        match Certificate::all_of_pem(&file.pem) {
            Ok(chain) => {
                let number = probe.observe(&format!("certificates of `{}`", file.origin), &ends(&chain));
                note(&chain, now, &format!("`{}`", file.origin), number, &mut faults);
                looked_at += 1;
            }
            Err(why) => doubts.push(format!("`{}` holds {why}", file.origin)),
        }
    }
    let controls = places::all_answer(probe, &sites, Certificates::Any, &mut doubts).await;
    Verdict::settle(probe.evidence(), faults.findings(), &doubts, || {
        let what = "connections and files show certificates with more than 21 days left";
        let control =
            PositiveControl::all(controls, "the application answers over TLS at every address of its hosts")?;
        Ok((Coverage::complete(looked_at, total, what)?, control))
    })
}

/// Whether certificates were seen.
async fn look(
    probe: &mut Probe,
    peer: &Peer,
    faults: &mut Faults,
    doubts: &mut Vec<String>,
) -> Result<bool, Inconclusive> {
    let attempt = probe.shake(peer, Versions::Both).await?;
    let chain = match attempt.answer {
        Answered::Agrees(presented) => Certificate::all_of_chain(&presented.certificates),
        Answered::Refuses(why) | Answered::NoTls(why) | Answered::OffersNone(why) => {
            Err(format!("nothing ({why})"))
        }
    };
    match chain {
        Ok(chain) => {
            let number = probe.observe(&format!("certificates of {}", peer.line()), &ends(&chain));
            note(&chain, probe.clock().now(), &peer.line(), number, faults);
            Ok(true)
        }
        Err(why) => {
            doubts.push(format!("{} presents {why}", peer.line()));
            Ok(false)
        }
    }
}

fn note(chain: &[Certificate], now: Timestamp, place: &str, number: usize, faults: &mut Faults) {
    for fault in chain::ending(chain, now) {
        faults.add(&fault.what, &fault.fix, place, number);
    }
}

fn ends(chain: &[Certificate]) -> String {
    let line = |one: &Certificate| format!("`{}` until {}", one.subject, one.not_after);
    chain.iter().map(line).collect::<Vec<_>>().join("; ")
}
