//! The `[edge]` table of `target.toml`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::edge::is_host;
use super::file::{Sources, resolve};
use super::read::Section;
use super::{CertificateFile, Edge, Listener, Place, Protocol};
use crate::certificate::Certificate;

const PLACE: &str = "a host and a port such as `10.0.0.7:8443` or `[2001:db8::7]:8443`";

pub(super) fn read_edge(section: &Section<'_, '_>, sources: &Sources<'_>) -> Edge {
    let hosts = section.texts("hosts");
    for host in hosts.iter().filter(|host| !is_host(host)) {
        section.wrong(
            "hosts",
            format!("`{host}`"),
            "names such as `bot.example.org`, without scheme and port",
        );
    }
    let port = |name| section.number(name, 1..=65_535).and_then(|port| u16::try_from(port).ok());
    let (http_port, https_port) = (port("http_port"), port("https_port"));
    if http_port.is_some() && http_port == https_port {
        section.wrong("https_port", "the port of plain HTTP", "a port of its own");
    }
    let origins = section.texts("origins").into_iter().filter_map(|text| {
        let place = Place::parse(&text);
        if place.is_none() {
            section.wrong("origins", format!("`{text}`"), PLACE);
        }
        place
    });
    let origins = origins.collect();
    let listeners = section.sections("listener").iter().filter_map(read_listener).collect();
    let certificates = section.texts("certificate_files");
    let certificates = certificates
        .iter()
        .filter_map(|reference| read_certificates(section, "certificate_files", reference, sources));
    let certificates = certificates.map(|(file, _)| file).collect();
    let ca = section.text("ca").and_then(|reference| read_ca(section, reference, sources));
    let complete_by = section.text("complete_by").map(str::to_owned);
    if complete_by.as_ref().is_some_and(|who| who.trim().is_empty()) {
        section.wrong(
            "complete_by",
            "empty text",
            "who answers for it that nothing is missing here, and when",
        );
    }
    let resolve = read_resolve(section);
    section.finish();
    Edge { hosts, http_port, https_port, origins, listeners, certificates, ca, resolve, complete_by }
}

fn read_listener(section: &Section<'_, '_>) -> Option<Listener> {
    let at = section.required("at");
    let place = at.and_then(Place::parse);
    if let Some(at) = at.filter(|_| place.is_none()) {
        section.wrong("at", format!("`{at}`"), PLACE);
    }
    let word = section.required("protocol");
    let protocol = word.and_then(|word| Protocol::WORDS.iter().find(|(known, _)| *known == word));
    if let Some(word) = word.filter(|_| protocol.is_none()) {
        let wanted = "`tls`, `postgres` or `smtp-starttls`; `tls` is for everything that speaks TLS from the first byte, \
                      such as Redis, Qdrant, Vault, Neo4j and HTTPS";
        section.wrong("protocol", format!("`{word}`"), wanted);
    }
    section.finish();
    Some(Listener { place: place?, protocol: protocol?.1 })
}

/// The certificates of a file, none when there is something wrong with it.
fn read_certificates(
    section: &Section<'_, '_>,
    key: &'static str,
    reference: &str,
    sources: &Sources<'_>,
) -> Option<(CertificateFile, Vec<Certificate>)> {
    let pem = resolve(section, key, reference, sources)?;
    match Certificate::all_of_pem(&pem) {
        Ok(certificates) => Some((CertificateFile { origin: reference.to_owned(), pem }, certificates)),
        Err(why) => {
            section.wrong(key, format!("`{reference}`: {why}"), "certificates in PEM");
            None
        }
    }
}

fn read_ca(section: &Section<'_, '_>, reference: &str, sources: &Sources<'_>) -> Option<CertificateFile> {
    let (file, certificates) = read_certificates(section, "ca", reference, sources)?;
    // With an intermediate certificate among the roots, a server that forgets to send it would look right.
    if let Some(other) = certificates.iter().find(|certificate| !certificate.is_self_issued()) {
        let found = format!("`{reference}`, which holds `{}`, issued by `{}`", other.subject, other.issuer);
        section.wrong("ca", found, "root certificates only");
        return None;
    }
    Some(file)
}

fn read_resolve(section: &Section<'_, '_>) -> BTreeMap<String, Vec<IpAddr>> {
    let mut resolve = BTreeMap::new();
    for (host, text) in section.text_map("resolve") {
        let parsed: Result<Vec<IpAddr>, _> = text.split(',').map(|address| address.trim().parse()).collect();
        match parsed {
            Ok(addresses) => _ = resolve.insert(host.to_lowercase(), addresses),
            Err(_) => section.wrong(
                "resolve",
                format!("`{text}` for `{host}`"),
                "addresses, with commas between them, such as `192.0.2.7, 2001:db8::7`",
            ),
        }
    }
    resolve
}
