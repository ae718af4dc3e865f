//! Tools behind one HTTP request.

use bytes::Bytes;
use form_urlencoded::Serializer;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Request, Response, Uri};
use portcullis_core::Secret;
use portcullis_egress as egress;
use serde_json::Value;
use url::Url;

use crate::call::{Fault, FaultKind, Permit, Returned, read};
use crate::registry::{WebMethod, bearer};

/// Most redirects that are followed.
pub(crate) const MOST_REDIRECTS: usize = 3;
/// Says for which call a request is made, and for whose community.
const CALL: &str = "portcullis-call";
const COMMUNITY: &str = "portcullis-community";

pub(crate) async fn call(
    permit: &Permit,
    url: &str,
    method: WebMethod,
    key: Option<&Secret<String>>,
) -> Result<Returned, Fault> {
    let settings = permit.tool.settings();
    let malformed = |_| Fault::from(FaultKind::Malformed);
    let key = bearer(key).map_err(|_| FaultKind::Malformed)?;
    let with_key = |mut request: Request<Bytes>| {
        if let Some(key) = &key {
            request.headers_mut().insert(AUTHORIZATION, key.clone());
        }
        told(request, permit)
    };
    let response = match method {
        WebMethod::Post => {
            let body = Value::Object(permit.arguments.clone()).to_string();
            let json = HeaderValue::from_static("application/json");
            let request = Request::post(url).header(CONTENT_TYPE, json).body(Bytes::from(body));
            let response = permit.tool.client.send(with_key(request.map_err(malformed)?)).await?;
            if response.status().is_redirection() {
                return Err(FaultKind::RedirectRefused.into());
            }
            response
        }
        WebMethod::Get => {
            let mut address = Url::parse(url).map_err(|_| FaultKind::Malformed)?;
            let own = origin(&address);
            address.set_query(Some(&query(address.query(), permit)));
            follow(
                address,
                |next| origin(next) == own,
                |uri| {
                    let request = Request::get(uri).body(Bytes::new()).map_err(malformed)?;
                    Ok(with_key(request))
                },
                &permit.tool.client,
            )
            .await?
        }
    };
    read(response, settings.result_bytes, settings.timeout).await
}

/// Asks for a page, and follows redirects to where `may` says. Every address is judged before it is asked for.
pub(crate) async fn follow(
    mut address: Url,
    may: impl Fn(&Url) -> bool,
    request: impl Fn(Uri) -> Result<Request<Bytes>, Fault>,
    client: &egress::Client,
) -> Result<Response<egress::Body>, Fault> {
    for _ in 0..=MOST_REDIRECTS {
        if !may(&address) {
            return Err(FaultKind::HostRefused.into());
        }
        let mut asked = address.clone();
        asked.set_fragment(None);
        // What was judged and what is dialled is one text, read the same way.
        let uri: Uri = asked.as_str().parse().map_err(|_| FaultKind::Malformed)?;
        if uri.host().map(str::to_ascii_lowercase).as_deref() != asked.host_str() {
            return Err(FaultKind::Malformed.into());
        }
        let response = client.send(request(uri)?).await?;
        if !response.status().is_redirection() {
            return Ok(response);
        }
        let next = response.headers().get(LOCATION).and_then(|next| next.to_str().ok());
        let next = next.and_then(|next| asked.join(next).ok()).ok_or(FaultKind::Malformed)?;
        // Not from a kept connection into a plain one.
        if asked.scheme() == "https" && next.scheme() != "https" || !may(&next) {
            return Err(FaultKind::RedirectRefused.into());
        }
        address = next;
    }
    Err(FaultKind::RedirectRefused.into())
}

/// Scheme, host and port.
fn origin(url: &Url) -> (String, Option<String>, Option<u16>) {
    (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default())
}

/// What a tool is told beside the arguments.
pub(crate) fn told(mut request: Request<Bytes>, permit: &Permit) -> Request<Bytes> {
    for (name, value) in [(CALL, &permit.call), (COMMUNITY, &permit.community)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            request.headers_mut().insert(name, value);
        }
    }
    request
        .headers_mut()
        .entry(ACCEPT)
        .or_insert(HeaderValue::from_static("application/json, text/plain;q=0.9, text/*;q=0.8"));
    request
}

/// The arguments as a query, after what the address says itself.
fn query(own: Option<&str>, permit: &Permit) -> String {
    let mut query = Serializer::new(own.unwrap_or_default().to_owned());
    for (name, value) in &permit.arguments {
        match value {
            Value::String(text) => query.append_pair(name, text),
            Value::Null => &mut query,
            plain => query.append_pair(name, &plain.to_string()),
        };
    }
    query.finish()
}
