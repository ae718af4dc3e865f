//! EDGE-04.

use portcullis_egress::handshake::Versions;

use super::places::{self, CONNECTS, Faults};
use crate::check::{cases, check};
use crate::outcome::{Coverage, Inconclusive, PositiveControl, Verdict};
use crate::probe::{Answered, Certificates, Old, Peer, Probe};

check! {
    /// ## What it checks
    /// Makes handshakes with every address of every host, with every origin and with every other listener of the target
    /// file (PostgreSQL after SSLRequest, mail after STARTTLS). TLS 1.3 has to be agreed on, three times, when it is offered
    /// beside 1.2 and when it is offered alone. SSL 3.0, TLS 1.0 and TLS 1.1 have to be refused, each offered with every
    /// suite of its time, with and without a host's name. TLS 1.2 beside 1.3 is recorded, and so is a weak suite of it.
    /// Before the verdict the scanner is tried on small servers in its own process that speak the old versions.
    /// ## Why it matters
    /// A listener that still takes an old version can be talked down to it, and most of them stand behind the edge, where
    /// nobody looks.
    /// ## How to fix
    /// nginx: `ssl_protocols TLSv1.2 TLSv1.3;`. PostgreSQL: `ssl = on`, `ssl_min_protocol_version = 'TLSv1.2'`.
    /// Postfix: `smtpd_tls_protocols = >=TLSv1.2`. Build them with a TLS library that knows 1.3.
    /// ## Limits
    /// What the target file does not name is not seen: somebody has to confirm the lists (`complete_by`). A listener that
    /// also takes connections without TLS, as databases and mail may, is not found out. SSL 2.0 is not tried. Weak suites of
    /// TLS 1.2 are told and do not fail.
    id: "EDGE-04", title: "TLS 1.3 is spoken everywhere",
    area: Edge, severity: High, since: "0.1.0",
    needs: [Edge], touches: Nothing,
    maps: ["API8:2023 Security Misconfiguration"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: [
        "tls-12-only",
        "accepts-tls-10",
        "accepts-tls-11",
        "origin-accepts-tls-10",
        "mail-without-tls-13",
        "mail-without-starttls",
        "database-without-tls",
    ],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man", "echo", "spa-shell", "certificate-with-short-key"],
}

const OLD_FIX: &str = "allow TLS 1.2 and 1.3 only. nginx: ssl_protocols TLSv1.2 TLSv1.3; PostgreSQL: \
                       ssl_min_protocol_version = 'TLSv1.2'; Postfix: smtpd_tls_protocols = >=TLSv1.2";
const NEW_FIX: &str = "let it speak TLS 1.3: nginx: ssl_protocols TLSv1.2 TLSv1.3; and a TLS library that knows it, such as \
                       OpenSSL 1.1.1 or later";
const NONE_FIX: &str = "give it a certificate and turn TLS on. PostgreSQL: ssl = on; Postfix: smtpd_tls_security_level = may, \
                        smtpd_tls_chain_files";

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    // A scanner that would not notice an old server has nothing to say.
    probe.try_scanner().await?;
    let sites = places::sites(probe).await?;
    let mut peers: Vec<Peer> = sites.iter().map(places::Site::peer).collect();
    peers.extend(places::origins(probe).await?);
    peers.extend(places::listeners(probe).await?);
    let mut faults = Faults::default();
    let mut doubts: Vec<String> = places::completeness_doubt(probe).into_iter().collect();
    let mut looked_at = 0;
    for peer in &peers {
        looked_at += usize::from(scan(probe, peer, &mut faults, &mut doubts).await?);
    }
    let controls = places::all_answer(probe, &sites, Certificates::Any, &mut doubts).await;
    Verdict::settle(probe.evidence(), faults.findings(), &doubts, || {
        let what = "listeners agree on TLS 1.3 and refuse SSL 3.0, TLS 1.0 and TLS 1.1";
        let control = PositiveControl::all(
            controls,
            "the application answers over TLS, and the scanner notices servers of the old versions",
        )?;
        Ok((Coverage::complete(looked_at, peers.len(), what)?, control))
    })
}

/// Whether the listener was looked at to the end.
async fn scan(
    probe: &mut Probe,
    peer: &Peer,
    faults: &mut Faults,
    doubts: &mut Vec<String>,
) -> Result<bool, Inconclusive> {
    for versions in [Versions::Both, Versions::Only13] {
        for _ in 0..CONNECTS {
            let attempt = probe.shake(peer, versions).await?;
            let what = match attempt.answer {
                Answered::Agrees(presented) if presented.is_tls13 => continue,
                Answered::Agrees(_) => "TLS 1.2 is agreed on although TLS 1.3 is offered",
                Answered::Refuses(_) if versions == Versions::Only13 => "TLS 1.3 is refused",
                Answered::OffersNone(why) => {
                    faults.add(
                        &format!("TLS is not to be had: {why}"),
                        NONE_FIX,
                        &peer.line(),
                        attempt.number,
                    );
                    return Ok(true);
                }
                Answered::Refuses(why) | Answered::NoTls(why) => {
                    doubts.push(format!("{} does not speak TLS: {why}", peer.line()));
                    return Ok(false);
                }
            };
            faults.add(what, NEW_FIX, &peer.line(), attempt.number);
        }
    }
    let mut whole = true;
    for old in Old::REFUSED {
        for asked in [peer.clone(), peer.unnamed()] {
            whole &= offer(probe, &asked, old, faults, doubts).await?;
        }
    }
    tell_about_12(probe, peer).await?;
    Ok(whole)
}

/// Whether an old offer got an answer that says something.
async fn offer(
    probe: &mut Probe,
    peer: &Peer,
    old: Old,
    faults: &mut Faults,
    doubts: &mut Vec<String>,
) -> Result<bool, Inconclusive> {
    let attempt = probe.offer_old(peer, old).await?;
    match attempt.answer {
        Answered::Refuses(_) => return Ok(true),
        Answered::Agrees(taken) if taken.is_sound => {
            let what = format!("{} is taken, with {}", taken.version, taken.suite);
            faults.add(&what, OLD_FIX, &peer.line(), attempt.number);
            return Ok(true);
        }
        Answered::Agrees(taken) => {
            doubts.push(format!("{} answers {} with {}", peer.line(), old.name(), taken.version));
        }
        Answered::NoTls(why) | Answered::OffersNone(why) => {
            doubts.push(format!(
                "{} was offered {} and answered something else: {why}",
                peer.line(),
                old.name()
            ));
        }
    }
    Ok(false)
}

/// Records what of TLS 1.2 is taken; it is allowed beside 1.3.
async fn tell_about_12(probe: &mut Probe, peer: &Peer) -> Result<(), Inconclusive> {
    let modern = probe.shake(peer, Versions::Only12).await?;
    let weak = probe.offer_old(peer, Old::WeakTls12).await?;
    let modern = match modern.answer {
        Answered::Agrees(presented) => format!("taken, with {}", presented.suite),
        _ => "not taken".to_owned(),
    };
    let weak = match weak.answer {
        Answered::Agrees(taken) => format!("taken with {}: remove it from the list of ciphers", taken.suite),
        _ => "not taken".to_owned(),
    };
    probe.observe(
        &format!("TLS 1.2 with {}", peer.line()),
        &format!("strong suites {modern}; weak suites {weak}"),
    );
    Ok(())
}
