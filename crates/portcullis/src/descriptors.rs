//! How many connections the system lets this process have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for what is no connection: files, the journal, the model's connections.
const OTHERS: u64 = 1_024;

/// Raises the soft limit of open files to the hard one, and says when even that is not enough. Each connection is one:
/// at the usual soft limit of 1024 a gate that allows ten thousand would refuse the second thousand.
pub(crate) fn raise(connections: u32) {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if limit.current != limit.maximum && setrlimit(Resource::Nofile, raised).is_err() {
        tracing::warn!(files = limit.current, "the limit of open files cannot be raised");
    }
    let wanted = u64::from(connections).saturating_add(OTHERS);
    if let Some(files) = getrlimit(Resource::Nofile).current.filter(|files| *files < wanted) {
        tracing::warn!(
            files,
            wanted,
            "the system allows fewer open files than `limits.max_connections` needs; connections beyond them wait"
        );
    }
}
