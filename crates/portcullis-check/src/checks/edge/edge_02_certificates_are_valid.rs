//! EDGE-02.

use portcullis_egress::handshake::{Presented, Trust, Versions, names_host};

use super::chain;
use super::places::{self, CONNECTS, Faults, Site};
use crate::certificate::Certificate;
use crate::check::{cases, check};
use crate::outcome::{Coverage, Inconclusive, PositiveControl, Verdict};
use crate::probe::{Answered, Certificates, Probe};

check! {
    /// ## What it checks
    /// Connects three times to every address of every host (IPv4 and IPv6) and judges what is presented: a path to a public
    /// root, or to the root that the target file names; the host among the certificate's names; every certificate begun and
    /// not ended; keys of at least RSA 2048 or P-256; no signature with SHA-1 or MD5; the whole chain sent. Then a public
    /// route has to answer over a connection that takes valid certificates only. What is presented to a client that names no
    /// host is recorded.
    /// ## Why it matters
    /// A certificate that clients must be told to ignore protects from nobody, and one bad server behind a balancer is met
    /// by some members every day.
    /// ## How to fix
    /// Serve the file with the whole chain on every server, and reload each of them after a renewal.
    /// ## Limits
    /// Whether a certificate was revoked, and whether it stands in the transparency logs, is not judged; that a revocation
    /// answer was stapled is recorded. Servers that neither the name's addresses nor three connections lead to are not seen.
    /// Addresses are those that this machine's resolver gives.
    id: "EDGE-02", title: "Certificates are valid",
    area: Edge, severity: Critical, since: "0.1.0",
    needs: [Edge], touches: Nothing,
    maps: ["API8:2023 Security Misconfiguration"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: [
        "certificate-expired",
        "certificate-not-begun",
        "certificate-for-another-host",
        "certificate-self-signed",
        "certificate-of-unknown-issuer",
        "certificate-without-intermediate",
        "certificate-with-short-key",
        "certificate-signed-with-sha1",
        "second-address-has-another-certificate",
        "every-second-connection-has-another-certificate",
    ],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man", "echo", "spa-shell"],
}

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let sites = places::sites(probe).await?;
    let trust = chain::trust(probe)?;
    let mut faults = Faults::default();
    let mut doubts = Vec::new();
    let mut looked_at = 0;
    for site in &sites {
        for _ in 0..CONNECTS {
            looked_at += usize::from(look(probe, site, &trust, &mut faults, &mut doubts).await?);
        }
        unnamed(probe, site).await?;
    }
    let findings = faults.findings();
    let mut controls = Vec::new();
    if findings.is_empty() {
        // Shows that the server holds the key, and that a client which takes nothing else gets through.
        controls = places::all_answer(probe, &sites, Certificates::Valid, &mut doubts).await;
    }
    Verdict::settle(probe.evidence(), findings, &doubts, || {
        let what = format!("connections to {} addresses of hosts presented valid certificates", sites.len());
        let control =
            PositiveControl::all(controls, "the application answers every address over valid certificates")?;
        Ok((Coverage::complete(looked_at, sites.len() * CONNECTS, what)?, control))
    })
}

/// Whether a certificate was seen.
async fn look(
    probe: &mut Probe,
    site: &Site,
    trust: &Trust,
    faults: &mut Faults,
    doubts: &mut Vec<String>,
) -> Result<bool, Inconclusive> {
    let attempt = probe.shake(&site.peer(), Versions::Both).await?;
    let place = site.line();
    let presented = match attempt.answer {
        Answered::Agrees(presented) => presented,
        Answered::Refuses(why) | Answered::NoTls(why) | Answered::OffersNone(why) => {
            doubts.push(format!("{place} presents no certificate: {why}"));
            return Ok(false);
        }
    };
    let now = probe.clock().now();
    match chain::faults(&presented, &site.host, trust, now) {
        Ok(found) => {
            for fault in &found {
                faults.add(&fault.what, &fault.fix, &place, attempt.number);
            }
        }
        Err(why) => doubts.push(format!("{place} presents {why}")),
    }
    probe.observe(&format!("certificates of {place}"), &described(&presented));
    Ok(true)
}

/// What a client without a name is shown: clients of today name their host, so it is told and not judged.
async fn unnamed(probe: &mut Probe, site: &Site) -> Result<(), Inconclusive> {
    let attempt = probe.shake(&site.peer().unnamed(), Versions::Both).await?;
    if let Answered::Agrees(presented) = attempt.answer {
        let fits = presented.certificates.first().is_some_and(|own| names_host(own, &site.host));
        let word = if fits { "also for this host" } else { "not for this host" };
        probe.observe(
            &format!("certificates of {} for a client that names no host", site.line()),
            &format!("{word}: {}", described(&presented)),
        );
    }
    Ok(())
}

fn described(presented: &Presented) -> String {
    let names = Certificate::all_of_chain(&presented.certificates).map_or_else(
        |why| why,
        |chain| {
            let line = |one: &Certificate| {
                format!("`{}` until {} with {}", one.subject, one.not_after, one.key.name())
            };
            chain.iter().map(line).collect::<Vec<_>>().join("; ")
        },
    );
    let ocsp = if presented.stapled_ocsp.is_empty() {
        "no revocation answer was stapled"
    } else {
        "a revocation answer was stapled, which is not judged"
    };
    format!("{names}; {ocsp}")
}
