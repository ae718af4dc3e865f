//! `explain` and `controls`: what the documents say, on the command line, from the same source.

use std::process::ExitCode;

use anyhow::{Result, anyhow};
use portcullis_check::catalogue::CONTROLS;
use portcullis_check::checks::CHECKS;
use portcullis_core::{AbilitySet, Action, KeyAbility, Role};
use portcullis_guard::{Code, SecurityEvent, pipeline};
use portcullis_http::operator::metrics::METRICS;
use portcullis_http::{Access, OPERATOR_ROUTES, ROUTES, problem, stack};
use serde_json::json;

use crate::args::Format;
use crate::out;

pub(super) fn run(what: &str) -> Result<ExitCode> {
    let text = match what {
        "pipeline" => pipeline(),
        "routes" => routes(),
        "roles" => roles(),
        "metrics" => metrics(),
        "events" => events(),
        "refusals" => refusals(Code::ALL),
        _ => {
            let code = what.to_uppercase();
            let of_an_answer =
                || Code::ALL.iter().find(|code| code.name() == what).map(|code| refusals(&[*code]));
            let known = portcullis_check::explain(&code).or_else(|| portcullis_config::explain(&code));
            known.or_else(of_an_answer).ok_or_else(|| {
                anyhow!(
                    "nothing is known of `{what}`; ask for a control such as TEN-05, a code such as CFG-012 or \
                     rate_limited, pipeline, routes, roles, metrics, events or refusals"
                )
            })?
        }
    };
    out::print(text);
    Ok(ExitCode::SUCCESS)
}

pub(super) fn controls(format: Format) -> Result<ExitCode> {
    let checked = |id: &str| CHECKS.iter().any(|check| check.id == id);
    match format {
        Format::Human => {
            for control in CONTROLS {
                let mark = if checked(control.id) { "check" } else { "-" };
                out::line(format_args!(
                    "{:<9} {mark:<6} {:<9} {}",
                    control.id,
                    control.severity.to_string(),
                    control.title
                ));
            }
        }
        Format::Json => {
            let rows: Vec<_> = CONTROLS
                .iter()
                .map(|control| {
                    json!({
                        "id": control.id,
                        "title": control.title,
                        "severity": control.severity.to_string(),
                        "check": checked(control.id),
                    })
                })
                .collect();
            out::line(serde_json::to_string_pretty(&rows)?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The order of guards.
pub(super) fn pipeline() -> String {
    pipeline::explain(stack::LAYERS)
}

/// Every route and what it needs.
pub(super) fn routes() -> String {
    let mut text = String::new();
    for route in ROUTES {
        let access = match route.access {
            Access::Public => "public",
            Access::Open => "open",
            Access::Needs(action) => action.name(),
        };
        text.push_str(&format!(
            "{:<6} {:<38} {access:<24} {}\n",
            route.method.as_str(),
            route.path,
            route.summary
        ));
    }
    text.push_str("\nThe operator plane, on a listener of its own:\n\n");
    for route in OPERATOR_ROUTES {
        text.push_str(&format!(
            "{:<6} {:<38} {:<24} {}\n",
            route.method.as_str(),
            route.path,
            "operator token",
            route.summary
        ));
    }
    text
}

/// Every metric.
pub(super) fn metrics() -> String {
    let mut text = String::new();
    for metric in METRICS {
        let name = match metric.labels {
            [] => metric.name.to_owned(),
            labels => format!("{}{{{}}}", metric.name, labels.join(",")),
        };
        text.push_str(&format!("{name:<56} {:<10} {}\n", metric.kind.word(), metric.help));
    }
    text
}

/// Roles × actions, and what a key must be able to do.
pub(super) fn roles() -> String {
    let mut text = format!("{:<26}", "");
    for role in Role::ALL {
        text.push_str(&format!("{:<11}", role.name()));
    }
    text.push_str("a key with\n");
    for action in Action::ALL {
        text.push_str(&format!("{:<26}", action.name()));
        for role in Role::ALL {
            text.push_str(&format!("{:<11}", if role.allows(action) { "yes" } else { "-" }));
        }
        let ability =
            KeyAbility::ALL.into_iter().find(|ability| AbilitySet::NONE.with(*ability).covers(action));
        text.push_str(ability.map_or("-", KeyAbility::name));
        text.push('\n');
    }
    text
}

/// Security events and what they tell.
pub(super) fn events() -> String {
    SecurityEvent::ALL
        .iter()
        .map(|event| format!("{:<26} {}\n", event.name(), event.meaning().trim()))
        .collect()
}

/// Refusals with their status.
pub(super) fn refusals(codes: &[Code]) -> String {
    let line = |code: &Code| {
        let (status, _) = problem::status(*code);
        format!("{:<22} {}  {}\n", code.name(), status.as_u16(), code.meaning().trim())
    };
    codes.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_table_of_roles_and_actions() {
        insta::assert_snapshot!(super::roles());
    }

    #[test]
    fn the_order_of_guards() {
        insta::assert_snapshot!(super::pipeline());
    }

    #[test]
    fn the_list_of_refusals_and_events() {
        insta::assert_snapshot!(super::refusals(super::Code::ALL) + "\n" + &super::events());
    }

    #[test]
    fn the_list_of_metrics() {
        insta::assert_snapshot!(super::metrics());
    }

    #[test]
    fn the_list_of_routes() {
        insta::assert_snapshot!(super::routes());
    }
}
