//! `generate`: the documents that are made from the code.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use portcullis_guard::Code;

use super::explain;
use crate::out;

pub(super) fn run(out: &Path) -> Result<ExitCode> {
    for (path, text) in documents() {
        let file = out.join(&path);
        if let Some(dir) = file.parent() {
            std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        }
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        out::line(path);
    }
    Ok(ExitCode::SUCCESS)
}

/// Every generated document, by its path in the repository.
fn documents() -> Vec<(String, String)> {
    let fenced =
        |title: &str, lead: &str, text: String| format!("# {title}\n\n{lead}\n\n```text\n{text}```\n");
    let mut documents = portcullis_check::generate::pages();
    documents.extend([
        ("docs/config.md".to_owned(), portcullis_config::reference_markdown()),
        ("docs/errors.md".to_owned(), errors()),
        (
            "docs/pipeline.md".to_owned(),
            fenced(
                "The order of guards",
                "Every guard that a chat turn meets, from top to bottom, as `portcullis explain pipeline` prints it.",
                explain::pipeline(),
            ),
        ),
        (
            "docs/routes.md".to_owned(),
            fenced(
                "Routes",
                "Every route, the action that a credential must allow, and what it does. A running instance describes \
                 them at `/openapi.json`.",
                explain::routes(),
            ),
        ),
        (
            "docs/roles.md".to_owned(),
            fenced(
                "Roles and actions",
                "Who may do what, and which ability a key needs for it beside that: a key does less than whose it is, never \
                 more. A member who is signed in has every ability but `own-request`.",
                explain::roles(),
            ),
        ),
        (
            "docs/metrics.md".to_owned(),
            fenced(
                "Metrics",
                "What `/metrics` of the operator plane tells, as `portcullis explain metrics` prints it. \
                 [operating.md](operating.md) says what to watch. Events in `{event=…}` and in the journal are listed at the end.",
                explain::metrics() + "\nSecurity events:\n\n" + &explain::events(),
            ),
        ),
        ("portcullis.example.toml".to_owned(), portcullis_config::example_toml()),
    ]);
    documents
}

/// What can go wrong: at the start, and in an answer.
fn errors() -> String {
    format!(
        "# Errors\n\n## Refusals\n\nWhat a client is told in `error.code` (routes that OpenAI clients call) or in `code` (all others), \
         with the status of the answer; [api.md](api.md) shows both shapes.\n\n```text\n{}```\n\n{}",
        explain::refusals(Code::ALL),
        portcullis_config::errors_markdown()
    )
}
