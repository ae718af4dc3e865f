//! `audit`: verify the journal, read it.

use std::process::ExitCode;

use anyhow::{Result, anyhow};
use portcullis_audit::{Archive, Filter, Use, Verified, VerifyOptions};

use crate::args::{AuditCommand, Configured};
use crate::instance::{self, Kept};
use crate::out;

pub(super) async fn run(config: &Configured, command: AuditCommand) -> Result<ExitCode> {
    let config = instance::configuration(config)?;
    let archive = Archive::new(&instance::journal_dir(&config));
    match command {
        AuditCommand::Verify => {
            let signer = instance::signer(&config)?;
            match archive.verify(&VerifyOptions::new(vec![signer.verifier().clone()]))? {
                Ok(verified) => {
                    let Verified { records, root, checkpoints, signed, open_turns, .. } = verified;
                    out::line(format_args!("the journal holds {records} records; its root is {root}"));
                    out::line(format_args!(
                        "{checkpoints} signed checkpoints hold, the last one over {signed} records"
                    ));
                    out::line(format_args!("{} turns are open", open_turns.len()));
                    Ok(ExitCode::SUCCESS)
                }
                Err(problems) => {
                    out::print(problems);
                    Ok(ExitCode::from(1))
                }
            }
        }
        AuditCommand::Query { community, turn } => {
            let community = match community {
                None => None,
                Some(slug) => {
                    let kept = Kept::open(&config, Use::Administering)?;
                    let found = kept.community(&slug).await?;
                    kept.close().await?;
                    Some(found.id)
                }
            };
            let turn = turn.map(|text| text.parse().map_err(|error| anyhow!("{error}"))).transpose()?;
            let filter = Filter { community, turn, ..Filter::default() };
            for entry in archive.read(filter)? {
                out::line(entry?.payload);
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}
