//! The OpenAPI document, generated from the route table.

use serde_json::{Map, Value, json};

use crate::cookies::Cookies;
use crate::problem::Shape;
use crate::routes::{Access, ROUTES, Route, is_short_name};

/// What each header is for that a route takes.
const HEADERS: &[(&str, &str)] = &[
    (
        "X-CSRF-Token",
        "The session's token; see `GET /v1/session`. Only for who is signed in by the cookie, who needs it.",
    ),
    (
        "Idempotency-Key",
        "1 to 255 visible ASCII characters. The same request sent again with it is answered as before.",
    ),
    ("X-Conversation-Id", "`new`, or the id of the conversation that the question belongs to."),
];

/// What a route takes beside its body.
fn parameters(route: &Route) -> Vec<Value> {
    let path = route.parameters().map(|name| {
        let schema = if is_short_name(name) {
            json!({ "type": "string", "pattern": "^[a-z0-9-]{2,40}$" })
        } else {
            json!({ "type": "string", "format": "uuid" })
        };
        json!({ "name": name, "in": "path", "required": true, "schema": schema })
    });
    let writes = matches!(route.access, Access::Needs(_)) && !route.method.is_safe();
    let headers = writes.then_some("X-CSRF-Token").into_iter().chain(route.headers.iter().copied());
    let headers = headers.map(|name| {
        let about = HEADERS.iter().find(|(known, _)| *known == name).map(|(_, about)| *about);
        json!({ "name": name, "in": "header", "description": about, "schema": { "type": "string" } })
    });
    path.chain(headers).collect()
}

/// The OpenAPI 3.1 description of every route, where the session's cookie is called so.
pub fn document(cookies: Cookies) -> Value {
    let mut paths = Map::new();
    for route in ROUTES {
        let errors = match route.shape {
            Shape::OpenAi => "application/json",
            Shape::Problem => "application/problem+json",
            Shape::Page => "text/html",
        };
        let refused = |description: &str| json!({ "description": description, "content": { errors: {} } });
        let mut operation = json!({
            "operationId": route.name,
            "summary": route.summary,
            "parameters": parameters(route),
            "responses": { "200": { "description": "The answer." } },
        });
        if let Some(object) = operation.as_object_mut() {
            if let Some(example) = route.example {
                let example: Value = serde_json::from_str(example).unwrap_or(Value::Null);
                object.insert(
                    "requestBody".to_owned(),
                    json!({ "required": true, "content": { "application/json": {
                        "schema": { "type": "object" }, "example": example } } }),
                );
            }
            match route.access {
                Access::Public | Access::Open => {
                    object.insert("security".to_owned(), json!([]));
                }
                Access::Needs(action) => {
                    object.insert("security".to_owned(), json!([{ "bearer": [] }, { "session": [] }]));
                    object.insert("x-action".to_owned(), json!(action.name()));
                }
            }
        }
        if let (Access::Needs(_), Some(responses)) =
            (route.access, operation.get_mut("responses").and_then(Value::as_object_mut))
        {
            responses.insert("401".to_owned(), refused("No valid credential."));
            responses.insert("403".to_owned(), refused("The role or credential does not allow it."));
            responses.insert("429".to_owned(), refused("A limit was reached; see `Retry-After`."));
        }
        let methods = paths.entry(route.path.to_owned()).or_insert_with(|| json!({}));
        if let Some(methods) = methods.as_object_mut() {
            methods.insert(route.method.as_str().to_lowercase(), operation);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Portcullis", "version": "1" },
        "paths": paths,
        "components": { "securitySchemes": {
            "bearer": { "type": "http", "scheme": "bearer" },
            "session": { "type": "apiKey", "in": "cookie", "name": cookies.session() },
        } },
    })
}
