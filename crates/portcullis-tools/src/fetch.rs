//! The tool that reads a page which the model names: from hosts of a list, at their own ports, and nowhere else.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use url::Url;

use crate::call::{Fault, FaultKind, Permit, Returned, read};
use crate::web::{follow, told};

/// What it takes.
pub(crate) fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "url": { "type": "string", "minLength": 8, "maxLength": 2000, "description": "The address of the page." },
        },
        "required": ["url"],
        "additionalProperties": false,
    })
}

pub(crate) async fn call(permit: &Permit, hosts: &BTreeSet<String>) -> Result<Returned, Fault> {
    let settings = permit.tool.settings();
    let named = permit.arguments.get("url").and_then(Value::as_str).ok_or(FaultKind::Malformed)?;
    let address = Url::parse(named).map_err(|_| FaultKind::HostRefused)?;
    let request = |uri| {
        let request = Request::get(uri).body(Bytes::new()).map_err(|_| FaultKind::Malformed)?;
        let mut request = told(request, permit);
        // A page of others is told nothing about who reads it.
        for own in ["portcullis-call", "portcullis-community"] {
            request.headers_mut().remove(own);
        }
        Ok(request)
    };
    let response = follow(address, |address| listed(address, hosts), request, &permit.tool.client).await?;
    read(response, settings.result_bytes, settings.timeout).await
}

/// Whether an address is on the list: its host, with its port where that is not the scheme's own.
fn listed(address: &Url, hosts: &BTreeSet<String>) -> bool {
    if !matches!(address.scheme(), "http" | "https")
        || !address.username().is_empty()
        || address.password().is_some()
    {
        return false;
    }
    let Some(host) = address.host_str() else { return false };
    match address.port() {
        None => hosts.contains(host),
        Some(port) => hosts.contains(&format!("{host}:{port}")),
    }
}

#[cfg(test)]
mod tests {
    use super::listed;

    #[test]
    fn only_hosts_of_the_list_are_read_however_they_are_written() {
        let hosts = ["docs.example.org".to_owned(), "127.0.0.2:8080".to_owned()].into();
        let listed = |address: &str| address.parse().is_ok_and(|address| listed(&address, &hosts));
        for good in [
            "https://docs.example.org/a?b=c",
            "http://DOCS.example.org",
            "http://docs.example.org:80/",
            "http://127.0.0.2:8080/x",
        ] {
            assert!(listed(good), "{good}");
        }
        for bad in [
            "https://docs.example.org:8443/",
            "https://docs.example.org.evil.example/",
            "https://evil.example/docs.example.org",
            "https://docs.example.org@evil.example/",
            "https://evil.example\\@docs.example.org/",
            "https://user@docs.example.org/",
            "https://docs.example.org./",
            "http://127.0.0.2/",
            "http://127.0.0.2:8081/",
            "http://127.0.0.1:8080/",
            "http://[::ffff:127.0.0.2]:8080/",
            "ftp://docs.example.org/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "//docs.example.org/",
            "docs.example.org",
            "",
        ] {
            assert!(!listed(bad), "{bad}");
        }
    }
}
