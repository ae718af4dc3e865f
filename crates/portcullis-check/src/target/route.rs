//! One operation that a target offers, and the request that asks for it.

use std::collections::BTreeMap;

use http::Method;
use serde_json::Value;

use super::{MESSAGE, QUERY};
use crate::outcome::Inconclusive;

/// Whether a route needs a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// It answers only those who may see it.
    Required,
    /// It answers everyone.
    Public,
}

/// What a route is for; header rules differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RouteKind {
    /// Data.
    Api,
    /// A page that a person reads.
    Page,
    /// The sign-in page.
    Login,
    /// A script, style or image.
    Asset,
    /// Says whether the service runs.
    Live,
    /// Says whether the service can do its work: whether everything it needs answers.
    Ready,
}

/// Whether asking changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Asking again and again is harmless.
    Reads,
    /// It changes something; asked only with `--allow writes`.
    Writes,
}

/// One operation the target offers.
#[derive(Debug, Clone)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path; `{name}` is a parameter.
    pub path: String,
    /// Whether it needs a credential.
    pub auth: Auth,
    /// What it is for.
    pub kind: RouteKind,
    /// Values for the path's parameters; `{{community}}` stands for the asker's community, other names for what
    /// [`Tenancy::values`] says about it.
    pub params: BTreeMap<String, String>,
    /// Query parameters to send.
    pub query: BTreeMap<String, String>,
    /// Headers to send.
    pub headers: BTreeMap<String, String>,
    /// JSON body to send.
    pub body: Option<Value>,
    /// The permission that it needs, in the target's words.
    pub permission: Option<String>,
    /// Whether asking changes something.
    pub effect: Effect,
    /// The identity that may use it, by name; any working one when absent.
    pub identity: Option<String>,
    /// The status that a rightful and harmless request gets when it is not a success (404 for deleting what is not
    /// there).
    pub succeeds_with: Option<u16>,
    /// Whoever asks it is signed out: asked as somebody whose session has more to show, it would end what is looked at.
    pub signs_out: bool,
    /// The answer is the same for all communities by design.
    pub shared: bool,
}

impl Route {
    /// A route that needs a credential; it changes something unless the method is GET, HEAD or OPTIONS.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        let effect = if method.is_safe() { Effect::Reads } else { Effect::Writes };
        Self {
            method,
            path: path.into(),
            auth: Auth::Required,
            kind: RouteKind::Api,
            params: BTreeMap::new(),
            query: BTreeMap::new(),
            headers: BTreeMap::new(),
            body: None,
            permission: None,
            effect,
            identity: None,
            succeeds_with: None,
            signs_out: false,
            shared: false,
        }
    }

    /// It answers everyone.
    #[must_use]
    pub const fn public(mut self) -> Self {
        self.auth = Auth::Public;
        self
    }

    /// It is for this.
    #[must_use]
    pub const fn kind(mut self, kind: RouteKind) -> Self {
        self.kind = kind;
        self
    }

    /// Asking it is harmless although its method says otherwise.
    #[must_use]
    pub const fn reads(mut self) -> Self {
        self.effect = Effect::Reads;
        self
    }

    /// Sends this JSON body.
    #[must_use]
    pub fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// The value of a path parameter.
    #[must_use]
    pub fn param(mut self, name: &str, value: &str) -> Self {
        self.params.insert(name.to_owned(), value.to_owned());
        self
    }

    /// A query parameter to send.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.query.insert(name.to_owned(), value.to_owned());
        self
    }

    /// A header to send.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The permission that it needs.
    #[must_use]
    pub fn needs(mut self, permission: &str) -> Self {
        self.permission = Some(permission.to_owned());
        self
    }

    /// Only this identity may use it.
    #[must_use]
    pub fn only_for(mut self, identity: &str) -> Self {
        self.identity = Some(identity.to_owned());
        self
    }

    /// Whoever asks it is signed out.
    #[must_use]
    pub const fn signs_out(mut self) -> Self {
        self.signs_out = true;
        self
    }

    /// A rightful, harmless request gets this status.
    #[must_use]
    pub const fn succeeds_with(mut self, status: u16) -> Self {
        self.succeeds_with = Some(status);
        self
    }

    /// All communities get the same answer by design.
    #[must_use]
    pub const fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// `GET /api/history`, for messages.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Whether both name the same operation, whatever their parameters are called.
    pub fn is_same(&self, other: &Self) -> bool {
        self.method == other.method && shape(&self.path) == shape(&other.path)
    }

    /// Whether a concrete path is one of this route's.
    pub fn matches(&self, method: &Method, path: &str) -> bool {
        let template = self.path.split('/');
        let concrete = path.split('/');
        self.method == *method
            && template.clone().count() == concrete.clone().count()
            && template.zip(concrete).all(|(want, have)| is_param(want) || want == have)
    }

    /// Whether anything in the request differs by the asker's community.
    pub fn carries_community(&self) -> bool {
        self.texts().any(|text| text.replace(MESSAGE, "").replace(QUERY, "").contains("{{"))
    }

    /// Whether the request holds this placeholder.
    pub fn holds(&self, placeholder: &str) -> bool {
        self.texts().any(|text| text.contains(placeholder))
    }

    fn texts(&self) -> impl Iterator<Item = String> {
        let texts = self.params.values().chain(self.query.values()).chain(self.headers.values()).cloned();
        texts.chain(self.body.as_ref().map(Value::to_string))
    }

    /// The path and query to send, with these values for the placeholders.
    ///
    /// # Errors
    /// When a path parameter or a placeholder has no value.
    pub fn path_for(&self, values: &BTreeMap<String, String>) -> Result<String, Inconclusive> {
        let mut path = String::new();
        for (index, segment) in self.path.split('/').enumerate() {
            if index > 0 {
                path.push('/');
            }
            if !is_param(segment) {
                path.push_str(segment);
                continue;
            }
            let name = segment.trim_matches(['{', '}']);
            let value = self.params.get(name).ok_or_else(|| {
                Inconclusive::because(format!(
                    "{} needs a value for `{name}`: add `params = {{ {name} = \"...\" }}` to its [[route]] in target.toml",
                    self.line()
                ))
            })?;
            path.push_str(&encode(&self.filled(value, values)?));
        }
        for (index, (name, value)) in self.query.iter().enumerate() {
            path.push(if index == 0 { '?' } else { '&' });
            path.push_str(&format!("{}={}", encode(name), encode(&self.filled(value, values)?)));
        }
        Ok(path)
    }

    /// The body to send, with these values for the placeholders.
    ///
    /// # Errors
    /// When a placeholder has no value.
    pub fn body_for(&self, values: &BTreeMap<String, String>) -> Result<Option<Value>, Inconclusive> {
        let Some(mut body) = self.body.clone() else { return Ok(None) };
        for (name, value) in values {
            substitute(&mut body, &format!("{{{{{name}}}}}"), value);
        }
        self.filled(&body.to_string(), &BTreeMap::new())?;
        Ok(Some(body))
    }

    /// The headers to send, with these values for the placeholders.
    ///
    /// # Errors
    /// When a placeholder has no value.
    pub fn headers_for(
        &self,
        values: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, Inconclusive> {
        let filled = self.headers.iter().map(|(name, value)| Ok((name.clone(), self.filled(value, values)?)));
        filled.collect()
    }

    pub(crate) fn filled(
        &self,
        text: &str,
        values: &BTreeMap<String, String>,
    ) -> Result<String, Inconclusive> {
        let filled = values
            .iter()
            .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{{{name}}}}}"), value));
        let left = filled.replace(MESSAGE, "");
        match left.split_once("{{").and_then(|(_, rest)| rest.split_once("}}")) {
            Some((name, _)) => Err(Inconclusive::because(format!(
                "{} needs `{name}` for each community: add it to [tenancy.values.COMMUNITY] in target.toml",
                self.line()
            ))),
            None => Ok(filled),
        }
    }
}

fn is_param(segment: &str) -> bool {
    segment.starts_with('{') && segment.ends_with('}')
}

fn shape(path: &str) -> String {
    let path = path.trim_end_matches('/');
    path.split('/').map(|part| if is_param(part) { "{}" } else { part }).collect::<Vec<_>>().join("/")
}

/// Percent-encodes what may not stand in a path segment or a query value.
pub(crate) fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}

/// Replaces `placeholder` in every string of a JSON value.
pub(super) fn substitute(value: &mut Value, placeholder: &str, with: &str) {
    match value {
        Value::String(text) if text.contains(placeholder) => *text = text.replace(placeholder, with),
        Value::Array(items) => items.iter_mut().for_each(|item| substitute(item, placeholder, with)),
        Value::Object(map) => map.values_mut().for_each(|item| substitute(item, placeholder, with)),
        _ => {}
    }
}
