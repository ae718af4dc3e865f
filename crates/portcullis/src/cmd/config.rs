//! `config check` and `config show`.

use std::process::ExitCode;

use anyhow::Result;
use portcullis_core::{Clock as _, SystemClock};

use crate::args::{ConfigCommand, Configured};
use crate::{instance, out, tls};

pub(super) fn run(configured: &Configured, command: &ConfigCommand) -> Result<ExitCode> {
    match instance::loaded(configured) {
        Ok(loaded) => {
            if !loaded.warnings.is_empty() {
                out::note(&loaded.warnings);
            }
            match command {
                ConfigCommand::Check => {
                    tls::open(&loaded.config, SystemClock::new().now())?;
                    for danger in loaded.config.dangers() {
                        out::line(format_args!("weakened: {danger}"));
                    }
                    out::line(format_args!("{} is valid", configured.config.display()));
                }
                ConfigCommand::Show => out::print(loaded.resolved.show()),
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => {
            out::note(&problems);
            Ok(ExitCode::from(2))
        }
    }
}
