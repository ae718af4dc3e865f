//! Who may do what, as this instance decides it.

use axum::response::Response;
use http::StatusCode;
use portcullis_core::{Action, Role};
use portcullis_guard::Refusal;
use serde_json::{Value, json};

use crate::routes::health::json;
use crate::routes::{Access, Call, ROUTES};

/// The table of roles and actions, and what each route asks for: both from the code that decides.
pub(in crate::routes) async fn read(_: Call) -> Result<Response, Refusal> {
    let roles: Vec<Value> = Role::ALL
        .into_iter()
        .map(|role| {
            let actions: Vec<&str> =
                Action::ALL.into_iter().filter(|action| role.allows(*action)).map(Action::name).collect();
            json!({ "role": role.name(), "actions": actions })
        })
        .collect();
    Ok(json(StatusCode::OK, &json!({ "roles": roles, "routes": routes() })))
}

// Apart from the handler: what the table names cannot read the table while its own type is still being found out.
fn routes() -> Vec<Value> {
    ROUTES
        .iter()
        .filter_map(|route| match route.access {
            Access::Needs(action) => Some(json!({
                "method": route.method.as_str(),
                "path": route.path,
                "action": action.name(),
            })),
            Access::Public | Access::Open => None,
        })
        .collect()
}
