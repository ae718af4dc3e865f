//! What checks run in a sandbox for WebAssembly: the programs of the suite that our own backends pass, assembled. They are
//! written for the memory of [`Programs::MEMORY`], as the suite's limits have it.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use portcullis_check::target::{Expected, HostFile, Program, Programs};
use portcullis_sandbox::Limit;
use portcullis_sandbox::attempts::{self, Attempt, Expect};

/// All of them, with attempts at these files of the host.
pub(crate) fn all(planted: &[HostFile]) -> Result<Arc<Programs>> {
    let mut tried = attempts::attempts();
    for file in planted {
        let above = format!("{}{}", "../".repeat(12), file.path.trim_start_matches('/'));
        tried.push(attempts::opens("a file that is planted on the host", &file.path));
        tried.push(attempts::opens("a file that is planted on the host, from far below", &above));
    }
    Ok(Arc::new(Programs {
        hello: assembled(&attempts::hello())?,
        writes: assembled(&attempts::own_files())?,
        reads: assembled(&attempts::reads_notes())?,
        stays: assembled(&attempts::stays())?,
        attempts: tried.iter().map(program).collect::<Result<_>>()?,
    }))
}

fn program(attempt: &Attempt) -> Result<Program> {
    let expect = match attempt.expect {
        Expect::Held => Expected::Held,
        Expect::Bounded(limits) => Expected::Bounded(limits.iter().copied().map(Limit::name).collect()),
        Expect::Refused => Expected::Refused,
    };
    Ok(Program { name: attempt.name.to_owned(), bytes: assembled(&attempt.program)?, expect })
}

fn assembled(text: &str) -> Result<Vec<u8>> {
    wat::parse_str(text).context("a program for the sandbox cannot be assembled")
}
