//! A request as a check writes it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use http::header::{ACCEPT, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Uri};
use portcullis_egress::HttpVersion;
use serde_json::Value;

use crate::outcome::Inconclusive;
use crate::target::{Credential, Identity, Route, RouteKind, Target, encode};

/// Which certificates a request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certificates {
    /// Valid ones only.
    Valid,
    /// Any: for seeing whether something answers. No credential may go this way.
    Any,
}

/// A request to send.
#[derive(Debug, Clone)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// Path and query, sent as they are.
    pub path: String,
    /// Headers beside the credential.
    pub headers: HeaderMap,
    /// JSON body.
    pub body: Option<Value>,
    pub(super) form: Option<String>,
    pub(super) credential: Option<Credential>,
    pub(super) label: String,
    pub(super) source: Option<Ipv4Addr>,
    pub(super) base: Option<Uri>,
    pub(super) there: Option<(String, IpAddr, Certificates)>,
    pub(super) private: bool,
    pub(super) version: HttpVersion,
}

impl Call {
    /// A request by nobody.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            headers: HeaderMap::new(),
            body: None,
            form: None,
            credential: None,
            label: "nobody".to_owned(),
            source: None,
            base: None,
            there: None,
            private: false,
            version: HttpVersion::One,
        }
    }

    /// A route's request as an asker of `community` would send it, by nobody yet.
    ///
    /// # Errors
    /// When a parameter or a placeholder has no value.
    pub fn to(target: &Target, route: &Route, community: &str) -> Result<Self, Inconclusive> {
        Self::filled(route, &target.values(community))
    }

    /// A route's request with these values for its placeholders, by nobody yet.
    ///
    /// # Errors
    /// When a parameter or a placeholder has no value.
    pub fn filled(route: &Route, values: &BTreeMap<String, String>) -> Result<Self, Inconclusive> {
        let mut call = Self::new(route.method.clone(), route.path_for(values)?);
        call.body = route.body_for(values)?;
        let accept = match route.kind {
            RouteKind::Page | RouteKind::Login => "text/html",
            RouteKind::Api => "application/json",
            RouteKind::Asset | RouteKind::Live | RouteKind::Ready => "*/*",
        };
        call.headers.insert(ACCEPT, HeaderValue::from_static(accept));
        for (name, value) in route.headers_for(values)? {
            call = call.header(&name, &value)?;
        }
        Ok(call)
    }

    /// A route's request by a member, for the member's own community.
    ///
    /// # Errors
    /// When a parameter or a placeholder has no value.
    pub fn by(target: &Target, route: &Route, identity: &Identity) -> Result<Self, Inconclusive> {
        Ok(Self::to(target, route, &identity.community)?.with(&identity.credential, &identity.name))
    }

    /// Sends it to another instance than the target.
    #[must_use]
    pub fn at(mut self, base: &Uri) -> Self {
        self.base = Some(base.clone());
        self
    }

    /// Sends it to a host at one of its addresses, over a connection of its own and without any credential.
    #[must_use]
    pub fn there(mut self, base: &Uri, address: IpAddr, certificates: Certificates) -> Self {
        let host = base.host().unwrap_or_default().trim_matches(['[', ']']).to_lowercase();
        self.base = Some(base.clone());
        self.there = Some((host, address, certificates));
        self.credential = None;
        "nobody".clone_into(&mut self.label);
        self
    }

    /// Sends this credential; `label` names it in records.
    #[must_use]
    pub fn with(mut self, credential: &Credential, label: &str) -> Self {
        // Neither over plain HTTP nor to whoever holds an invalid certificate.
        if self.there.is_some() {
            return self;
        }
        self.credential = Some(credential.clone());
        label.clone_into(&mut self.label);
        self
    }

    /// Keeps the answer's body out of the records: others' words stand in it.
    #[must_use]
    pub const fn private(mut self) -> Self {
        self.private = true;
        self
    }

    /// Sends it over HTTP/2, as a stream beside others of the same client address; it gets no answer where that is not spoken.
    #[must_use]
    pub const fn over_http2(mut self) -> Self {
        self.version = HttpVersion::Two;
        self
    }

    /// Sends from this client address.
    #[must_use]
    pub const fn from(mut self, source: Option<Ipv4Addr>) -> Self {
        if source.is_some() {
            self.source = source;
        }
        self
    }

    /// Adds a header. A name or value that no header may have is left out by the caller.
    ///
    /// # Errors
    /// When the name or the value cannot stand in a header.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, Inconclusive> {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_str(value);
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(Inconclusive::because(
                "a header to send has a name or a value that no header may have",
            ));
        };
        self.headers.append(name, value);
        Ok(self)
    }

    /// Adds a query parameter.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.path.push(if self.path.contains('?') { '&' } else { '?' });
        self.path.push_str(&format!("{}={}", encode(name), encode(value)));
        self
    }

    /// Adds a member to a body that is a JSON object; other bodies stay as they are.
    #[must_use]
    pub fn body_member(mut self, name: &str, value: &str) -> Self {
        if let Some(Value::Object(map)) = &mut self.body {
            map.insert(name.to_owned(), Value::String(value.to_owned()));
        }
        self
    }

    /// Sends these fields as a browser's form does, in place of a JSON body.
    #[must_use]
    pub fn form(mut self, fields: &BTreeMap<String, String>) -> Self {
        let pairs = fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
        self.form = Some(pairs.collect::<Vec<_>>().join("&"));
        self
    }

    /// Method and path without the query, for messages.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::{Call, Certificates};
    use crate::target::Credential;

    #[test]
    fn no_credential_goes_to_a_chosen_address() {
        let base = "http://bot.example".parse().unwrap();
        let address = "192.0.2.7".parse().unwrap();
        let alice = Credential::bearer("tok-alice-42");
        let plain = || Call::new(http::Method::GET, "/");
        let before = plain().with(&alice, "alice").there(&base, address, Certificates::Any);
        let after = plain().there(&base, address, Certificates::Valid).with(&alice, "alice");
        for call in [before, after] {
            assert!(call.credential.is_none() && call.label == "nobody");
        }
    }
}
