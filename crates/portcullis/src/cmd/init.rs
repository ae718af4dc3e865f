//! `init`: a commented configuration and fresh keys.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::out;

pub(super) fn run(dir: &Path) -> Result<ExitCode> {
    let made = portcullis_config::init(dir)?;
    for file in std::iter::once(&made.config).chain(&made.secrets) {
        out::line(format_args!("wrote {}", file.display()));
    }
    out::line("");
    out::line("Next: look at portcullis.toml, then `portcullis config check` and `portcullis serve`.");
    out::line("Keep the folder `secrets` out of version control and in your secret backup: without");
    out::line("`encryption_key` nothing that is stored can be read again.");
    Ok(ExitCode::SUCCESS)
}
