//! `audit`: verify the journal, read it.

use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use portcullis_audit::{Archive, Checkpoint, Filter, TreeHash, Verified, VerifyOptions};

use crate::args::{AuditCommand, Configured};
use crate::instance;
use crate::out;

pub(super) async fn run(config: &Configured, command: AuditCommand) -> Result<ExitCode> {
    let config = instance::configuration(config)?;
    let archive = Archive::new(&instance::journal_dir(&config));
    match command {
        AuditCommand::Verify { anchor } => {
            let signer = instance::signer(&config)?;
            let origin = signer.verifier().name();
            let anchors = anchor.iter().map(|text| anchored(origin, text)).collect::<Result<_>>()?;
            let options = VerifyOptions {
                anchors,
                checkpoint_records: config.audit.checkpoint_records.get().into(),
                ..VerifyOptions::new(vec![signer.verifier().clone()])
            };
            match archive.verify(&options)? {
                Ok(verified) => {
                    let Verified { records, root, checkpoints, signed, open_turns, .. } = verified;
                    out::line(format_args!("the journal holds {records} records; its root is {root}"));
                    out::line(format_args!(
                        "{checkpoints} signed checkpoints hold, the last one over {signed} records"
                    ));
                    if !anchor.is_empty() {
                        out::line(format_args!(
                            "it begins with the records of all {} roots that were given",
                            anchor.len()
                        ));
                    }
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
                Some(slug) => Some(instance::community_id(&config, &slug).await?),
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

/// A size and a root that were kept elsewhere, as `SIZE:ROOT`.
fn anchored(origin: &str, text: &str) -> Result<Checkpoint> {
    let parts = text.split_once(':').and_then(|(size, root)| {
        Some(Checkpoint { origin: origin.to_owned(), size: size.parse().ok()?, root: TreeHash::parse(root)? })
    });
    parts.with_context(|| {
        format!("`{text}` is no size and root: write the two of `/status`, such as `1200:` and 44 characters of base64")
    })
}
