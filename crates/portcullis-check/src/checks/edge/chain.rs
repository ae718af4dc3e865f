//! What can be wrong with the certificates that a server presents.

use jiff::{SignedDuration, Timestamp};
use portcullis_egress::handshake::{Distrust, Presented, Trust, names_host};

use crate::certificate::Certificate;
use crate::outcome::Inconclusive;
use crate::probe::Probe;

/// A certificate must last longer than this from now (control EDGE-03).
pub(super) const NOTICE: SignedDuration = SignedDuration::from_hours(21 * 24);

/// Something that is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) what: String,
    pub(super) fix: String,
}

impl Fault {
    fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), fix: fix.into() }
    }
}

/// The roots to judge by; which ones these are is recorded.
///
/// # Errors
/// When the target file's own roots cannot be used.
pub(super) fn trust(probe: &mut Probe) -> Result<Trust, Inconclusive> {
    let target = probe.target();
    let own = target.edge.as_ref().and_then(|edge| edge.ca.as_ref());
    let trust = Trust::new(own.map(|file| file.pem.as_bytes())).map_err(|error| {
        Inconclusive::because(format!("[edge] ca of target.toml cannot be used: {error}"))
    })?;
    let said = own.map_or_else(
        || "the public web roots".to_owned(),
        |file| format!("the public web roots, and those of `{}`, which target.toml trusts", file.origin),
    );
    probe.observe("roots that certificates are judged by", &said);
    Ok(trust)
}

/// Everything that is wrong with what was presented for `host`, at a time.
///
/// # Errors
/// When a certificate cannot be read.
pub(super) fn faults(
    presented: &Presented,
    host: &str,
    trust: &Trust,
    now: Timestamp,
) -> Result<Vec<Fault>, String> {
    let chain = Certificate::all_of_chain(&presented.certificates)?;
    let mut faults = Vec::new();
    for certificate in &chain {
        faults.extend(own_faults(certificate, now));
    }
    if !presented.certificates.first().is_some_and(|own| names_host(own, host)) {
        faults.push(Fault::new(
            format!("the certificate is not for `{host}`"),
            format!(
                "order a certificate that has `{host}` among its subject alternative names, and serve it"
            ),
        ));
    }
    let at = u64::try_from(now.as_second()).unwrap_or(0);
    match trust.path(&presented.certificates, at) {
        Ok(()) => {}
        Err(Distrust::UnknownIssuer) => faults.push(unknown_issuer(&chain)),
        // What the path stumbled over has been said already, certificate by certificate.
        Err(_) if chain.iter().any(|certificate| !own_faults(certificate, now).is_empty()) => {}
        Err(why) => faults.push(Fault::new(
            format!("the chain does not hold: {}", said(&why)),
            "serve the certificate with the chain that its issuer gave",
        )),
    }
    Ok(faults)
}

fn said(why: &Distrust) -> String {
    match why {
        Distrust::Outdated => "a root has ended or has not begun".to_owned(),
        Distrust::Other(words) => words.clone(),
        _ => "no path leads to a trusted root".to_owned(),
    }
}

/// What is wrong with a certificate whoever presents it.
fn own_faults(certificate: &Certificate, now: Timestamp) -> Vec<Fault> {
    let Certificate { subject, not_before, not_after, key, .. } = certificate;
    let mut faults = Vec::new();
    if *not_after < now {
        faults.push(Fault::new(
            format!("the certificate of `{subject}` ended {not_after}"),
            "renew it now, and see why its renewal did not run",
        ));
    }
    if *not_before > now {
        faults.push(Fault::new(
            format!("the certificate of `{subject}` begins {not_before}"),
            "serve one that has begun; compare the clocks of the server and of this machine",
        ));
    }
    if !key.is_strong() {
        faults.push(Fault::new(
            format!("the certificate of `{subject}` holds {}", key.name()),
            "make a new key of P-256 or of RSA with 2048 bits at least, and order a certificate for it",
        ));
    }
    // Nobody relies on a root's own signature.
    if let Some(hash) = certificate.broken_hash.filter(|_| !certificate.is_self_issued()) {
        faults.push(Fault::new(
            format!("the certificate of `{subject}` is signed with {hash}"),
            "order a new one; public issuers sign with SHA-256 or better",
        ));
    }
    faults
}

/// Which certificate is missing, followed from issuer to issuer.
fn unknown_issuer(chain: &[Certificate]) -> Fault {
    let Some(mut last) = chain.first() else {
        return Fault::new("no certificate was sent", "serve the certificate and its chain");
    };
    if last.is_self_issued() {
        return Fault::new(
            format!("the certificate of `{}` is issued by itself and no trusted root", last.subject),
            "serve a certificate of a public issuer; for a private one name its root as [edge] ca in target.toml",
        );
    }
    for _ in chain {
        let issuer = chain.iter().find(|other| other.subject == last.issuer && !last.is_self_issued());
        last = issuer.unwrap_or(last);
    }
    if last.is_self_issued() {
        return Fault::new(
            format!("the chain ends in `{}`, which is no trusted root", last.subject),
            "serve a certificate of a public issuer; for a private one name its root as [edge] ca in target.toml",
        );
    }
    Fault::new(
        format!(
            "the chain is not whole: `{}` is issued by `{}`, which was not sent",
            last.subject, last.issuer
        ),
        format!(
            "append the intermediate certificate of `{}` to the file that is served (nginx: ssl_certificate is the file \
             `fullchain.pem`, not `cert.pem`)",
            last.issuer
        ),
    )
}

/// What ends too soon among certificates: each with its subject and end.
pub(super) fn ending(chain: &[Certificate], now: Timestamp) -> Vec<Fault> {
    let too_soon = |certificate: &&Certificate| certificate.not_after.duration_since(now) <= NOTICE;
    chain
        .iter()
        .filter(too_soon)
        .map(|Certificate { subject, not_after, .. }| {
            let left = not_after.duration_since(now);
            let when = if left.is_negative() {
                "in the past".to_owned()
            } else {
                format!("in {} days", left.as_hours() / 24)
            };
            Fault::new(
                format!("the certificate of `{subject}` ends {not_after}, {when}"),
                "renew it now and reload what serves it; renewal should run 30 days before the end",
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::{Fault, ending, own_faults, unknown_issuer};
    use crate::certificate::{Certificate, Key};

    fn certificate(subject: &str, issuer: &str) -> Certificate {
        Certificate {
            subject: subject.to_owned(),
            issuer: issuer.to_owned(),
            not_before: "2026-01-01T00:00:00Z".parse().unwrap(),
            not_after: "2026-02-01T00:00:00Z".parse().unwrap(),
            key: Key::Curve(256),
            broken_hash: None,
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn exactly_21_days_are_too_few_and_a_second_more_is_enough() {
        let chain = [certificate("CN=bot", "CN=issuer")];
        let end = chain[0].not_after;
        let notice = SignedDuration::from_hours(21 * 24);
        assert_eq!(ending(&chain, end - notice).len(), 1);
        assert_eq!(ending(&chain, end - notice - SignedDuration::from_secs(1)), []);
        let late = ending(&chain, end + SignedDuration::from_secs(1));
        assert!(late[0].what.contains("in the past") && late[0].what.contains("2026-02-01"), "{late:?}");
    }

    #[test]
    fn a_weak_certificate_is_named() {
        let now = at("2026-01-10T00:00:00Z");
        assert_eq!(own_faults(&certificate("CN=bot", "CN=issuer"), now), []);
        let weak =
            Certificate { key: Key::Rsa(1024), broken_hash: Some("SHA-1"), ..certificate("CN=bot", "CN=x") };
        let said: Vec<String> = own_faults(&weak, now).into_iter().map(|Fault { what, .. }| what).collect();
        assert_eq!(
            said,
            [
                "the certificate of `CN=bot` holds RSA with 1024 bits",
                "the certificate of `CN=bot` is signed with SHA-1"
            ]
        );
        let root = Certificate { broken_hash: Some("SHA-1"), ..certificate("CN=root", "CN=root") };
        assert_eq!(own_faults(&root, now), []);
        assert_eq!(own_faults(&certificate("CN=bot", "CN=x"), at("2025-12-31T00:00:00Z")).len(), 1);
        assert_eq!(own_faults(&certificate("CN=bot", "CN=x"), at("2026-03-01T00:00:00Z")).len(), 1);
    }

    #[test]
    fn the_missing_intermediate_is_named() {
        let bot = certificate("CN=bot", "CN=issuing");
        let issuing = certificate("CN=issuing", "CN=middle");
        let says = |chain: &[Certificate]| unknown_issuer(chain).what;
        assert!(says(std::slice::from_ref(&bot)).contains("issued by `CN=issuing`, which was not sent"));
        assert!(says(&[bot.clone(), issuing.clone()]).contains("issued by `CN=middle`, which was not sent"));
        assert!(says(&[bot, issuing, certificate("CN=middle", "CN=middle")]).contains("ends in `CN=middle`"));
        assert!(says(&[certificate("CN=own", "CN=own")]).contains("issued by itself"));
        // Two that name each other.
        assert!(says(&[certificate("CN=a", "CN=b"), certificate("CN=b", "CN=a")]).contains("not sent"));
    }
}
