//! The list of routes, and who confirms that it is whole.
//!
//! A list that only its author believes in cannot carry a pass: a route that is missing from it is never asked. So a
//! second source is wanted: an OpenAPI document, an access log, the router's own table, or a named person.

use http::Method;
use serde_json::Value;

use super::{Auth, Effect, Route};

/// What the target offers over HTTP.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// The routes, as listed and, after [`Inventory::adopt`], as the OpenAPI document has them.
    pub routes: Vec<Route>,
    /// The document to compare with.
    pub openapi: Option<OpenApi>,
    /// The member of an operation of that document that names the permission it needs.
    pub permission_key: Option<String>,
    /// Who or what confirms that the list is whole.
    pub confirmations: Vec<Confirmation>,
    /// Why the list may not be whole after all.
    pub gaps: Vec<String>,
}

/// Where the OpenAPI document is.
#[derive(Debug, Clone)]
pub enum OpenApi {
    /// At this path of the target.
    OnTarget(String),
    /// Here.
    Document(Value),
}

/// What says that a list of routes is whole.
#[derive(Debug, Clone)]
pub enum Confirmation {
    /// The target's OpenAPI document, with this many operations.
    OpenApi(usize),
    /// Requests that the target answered.
    AccessLog {
        /// Where it came from.
        origin: String,
        /// Its text.
        text: String,
    },
    /// A person who answers for it.
    Person(String),
    /// The table that the router itself is built from.
    Generated(String),
}

impl Inventory {
    /// A list that the router itself is built from.
    pub fn generated(routes: Vec<Route>, source: &str) -> Self {
        let confirmations = vec![Confirmation::Generated(source.to_owned())];
        Self { routes, confirmations, ..Self::default() }
    }

    /// What confirms the list, for reports; empty when nothing does.
    pub fn confirmed_by(&self) -> Vec<String> {
        self.confirmations
            .iter()
            .map(|confirmation| match confirmation {
                Confirmation::OpenApi(count) => format!("an OpenAPI document with {count} operations"),
                Confirmation::AccessLog { origin, .. } => format!("the access log `{origin}`"),
                Confirmation::Person(who) => who.clone(),
                Confirmation::Generated(source) => source.clone(),
            })
            .collect()
    }

    /// Takes over the operations of an OpenAPI document: unknown ones become routes, and a route that the list calls
    /// public while the document asks for security is a gap.
    pub fn adopt(&mut self, document: &Value) {
        let routes = routes_of(document, self.permission_key.as_deref());
        if routes.is_empty() {
            self.gaps.push("the OpenAPI document names no operation".to_owned());
            return;
        }
        self.confirmations.push(Confirmation::OpenApi(routes.len()));
        for route in routes {
            if let Some(known) = self.routes.iter_mut().find(|known| known.is_same(&route)) {
                match (&known.permission, &route.permission) {
                    (None, named) => known.permission.clone_from(named),
                    (Some(one), Some(other)) if one != other => self.gaps.push(format!(
                        "{} needs `{one}` according to target.toml and `{other}` according to the OpenAPI document",
                        route.line()
                    )),
                    _ => {}
                }
            }
            match self.routes.iter().find(|known| known.is_same(&route)) {
                Some(known) if known.auth == Auth::Public && route.auth == Auth::Required => {
                    let secured = document.get("security").is_some()
                        || document.pointer("/components/securitySchemes").is_some();
                    if secured {
                        self.gaps.push(format!(
                            "{} is public in target.toml, but the OpenAPI document asks for a credential there",
                            route.line()
                        ));
                    }
                }
                Some(_) => {}
                None => self.routes.push(route),
            }
        }
    }

    /// Compares the access logs with the list: a request that the target answered and that no route explains is a gap.
    pub fn compare_with_logs(&mut self, chat: &Route) {
        let mut gaps: Vec<String> = Vec::new();
        for confirmation in &self.confirmations {
            let Confirmation::AccessLog { origin, text } = confirmation else { continue };
            let answered: Vec<(Method, String)> = text.lines().filter_map(answered_request).collect();
            if answered.is_empty() {
                gaps.push(format!("the access log `{origin}` names no answered request"));
            }
            for (method, path) in answered {
                let known = self.routes.iter().chain([chat]).any(|route| route.matches(&method, &path));
                let gap =
                    format!("{method} {path} was answered according to `{origin}` but is no known route");
                if !known && !gaps.contains(&gap) {
                    gaps.push(gap);
                }
            }
        }
        self.gaps.append(&mut gaps);
    }
}

/// Method and path of a line of a common or combined access log whose request was answered with something.
fn answered_request(line: &str) -> Option<(Method, String)> {
    let (_, quoted) = line.split_once('"')?;
    let (request, rest) = quoted.split_once('"')?;
    let status: u16 = rest.split_whitespace().next()?.parse().ok()?;
    let mut words = request.split(' ');
    let method = Method::from_bytes(words.next()?.as_bytes()).ok()?;
    let path = words.next()?.split('?').next()?.to_owned();
    (!matches!(status, 400 | 404 | 405 | 408 | 414 | 499)).then_some((method, path))
}

/// The operations of an OpenAPI document. An operation needs a credential unless it says `security: []`.
fn routes_of(document: &Value, permission_key: Option<&str>) -> Vec<Route> {
    let prefix = document
        .pointer("/servers/0/url")
        .and_then(Value::as_str)
        .map(|url| {
            url.split_once("://").map_or(url, |(_, rest)| rest.find('/').map_or("", |at| rest.split_at(at).1))
        })
        .unwrap_or_default()
        .trim_end_matches('/');
    let open = |security: Option<&Value>| {
        security.and_then(Value::as_array).is_some_and(|ways| {
            ways.is_empty() || ways.iter().any(|way| way.as_object().is_some_and(serde_json::Map::is_empty))
        })
    };
    let open_by_default = open(document.get("security"));
    let mut routes = Vec::new();
    for (path, item) in document.get("paths").and_then(Value::as_object).into_iter().flatten() {
        let shared = item.get("parameters");
        for (method, operation) in item.as_object().into_iter().flatten() {
            let known = ["get", "head", "post", "put", "patch", "delete"];
            if !known.contains(&method.as_str()) {
                continue;
            }
            let Ok(method) = Method::from_bytes(method.to_uppercase().as_bytes()) else { continue };
            let mut route = Route::new(method, format!("{prefix}{path}"));
            let security = operation.get("security");
            if open(security) || security.is_none() && open_by_default {
                route.auth = Auth::Public;
            }
            let own = operation.get("parameters");
            for parameter in [shared, own].into_iter().flatten().filter_map(Value::as_array).flatten() {
                take_parameter(&mut route, parameter);
            }
            route.body = operation.pointer("/requestBody/content/application~1json/example").cloned();
            if operation.get("x-portcullis-effect").and_then(Value::as_str) == Some("reads") {
                route.effect = Effect::Reads;
            }
            let permission = permission_key.and_then(|key| operation.get(key)?.as_str());
            route.permission = permission.map(str::to_owned);
            routes.push(route);
        }
    }
    routes
}

/// Uses a parameter's example where the document gives one.
fn take_parameter(route: &mut Route, parameter: &Value) {
    let example = parameter.get("example").or_else(|| parameter.pointer("/schema/example"));
    let text = example.and_then(|value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    });
    let name = parameter.get("name").and_then(Value::as_str);
    let place = parameter.get("in").and_then(Value::as_str);
    let (Some(text), Some(name)) = (text, name) else { return };
    match place {
        Some("path") => _ = route.params.insert(name.to_owned(), text),
        Some("query") => _ = route.query.insert(name.to_owned(), text),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use http::Method;
    use serde_json::json;

    use super::{Confirmation, Inventory};
    use crate::target::{Auth, Route};

    fn document() -> serde_json::Value {
        json!({
            "servers": [{"url": "https://bot.example.org/base"}],
            "security": [{"bearer": []}],
            "paths": {
                "/history/{id}": {"get": {"parameters": [{"name": "id", "in": "path", "example": "h-1"}]}},
                "/health": {"get": {"security": []}},
            },
        })
    }

    #[test]
    fn operations_of_the_document_become_routes_that_need_a_credential() {
        let mut inventory = Inventory::default();
        inventory.adopt(&document());
        let lines: Vec<_> = inventory.routes.iter().map(|route| (route.line(), route.auth)).collect();
        assert_eq!(
            lines,
            [
                ("GET /base/health".to_owned(), Auth::Public),
                ("GET /base/history/{id}".to_owned(), Auth::Required)
            ]
        );
        assert_eq!(inventory.routes[1].path_for(&BTreeMap::new()).unwrap(), "/base/history/h-1");
        assert!(inventory.gaps.is_empty());
    }

    #[test]
    fn a_route_declared_public_against_the_document_is_a_gap() {
        let listed = Route::new(Method::GET, "/base/history/{which}").public();
        let mut inventory = Inventory { routes: vec![listed], ..Inventory::default() };
        inventory.adopt(&document());
        assert_eq!(inventory.gaps.len(), 1);
        assert_eq!(inventory.routes.len(), 2, "parameter names do not make another route");
    }

    #[test]
    fn an_empty_document_confirms_nothing() {
        let mut inventory = Inventory::default();
        inventory.adopt(&json!({}));
        assert!(inventory.confirmed_by().is_empty());
        assert_eq!(inventory.gaps.len(), 1);
    }

    #[test]
    fn an_answered_request_that_no_route_explains_is_a_gap() {
        let text = "127.0.0.1 - - [10/Jan/2026:12:00:00 +0000] \"GET /api/history?x=1 HTTP/1.1\" 200 12\n\
                    127.0.0.1 - - [10/Jan/2026:12:00:01 +0000] \"GET /api/old-export HTTP/1.1\" 200 99\n\
                    127.0.0.1 - - [10/Jan/2026:12:00:02 +0000] \"GET /wp-login.php HTTP/1.1\" 404 0\n";
        let log = Confirmation::AccessLog { origin: "file:access.log".to_owned(), text: text.to_owned() };
        let mut inventory = Inventory {
            routes: vec![Route::new(Method::GET, "/api/history")],
            confirmations: vec![log],
            ..Inventory::default()
        };
        inventory.compare_with_logs(&Route::new(Method::POST, "/chat"));
        assert_eq!(inventory.gaps.len(), 1);
        assert!(inventory.gaps[0].contains("GET /api/old-export"), "{:?}", inventory.gaps);
    }
}
