//! The OpenAPI document, generated from the route table.

use serde_json::{Map, Value, json};

use crate::problem::Shape;
use crate::routes::{Access, ROUTES};

/// The OpenAPI 3.1 description of every route.
pub fn document() -> Value {
    let mut paths = Map::new();
    for route in ROUTES {
        let parameters: Vec<Value> = route
            .parameters()
            .map(|name| {
                json!({ "name": name, "in": "path", "required": true,
                        "schema": { "type": "string", "format": "uuid" } })
            })
            .collect();
        let errors = match route.shape {
            Shape::OpenAi => "application/json",
            Shape::Problem => "application/problem+json",
        };
        let refused = |description: &str| json!({ "description": description, "content": { errors: {} } });
        let mut operation = json!({
            "operationId": route.name,
            "summary": route.summary,
            "parameters": parameters,
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
                    object.insert("security".to_owned(), json!([{ "bearer": [] }]));
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
        "components": { "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" } } },
    })
}
