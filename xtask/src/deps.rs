//! Judges what may depend on what: our own crate edges, and the crates of others.
//!
//! [`edges`] holds the table of our crates. The rules about crates of others stand in `deny.toml`, in the words of
//! `cargo-deny`, and [`rules`] enforces them here from the dependency graph alone, so that every machine judges
//! them, with or without that tool. Security advisories need a database from the network and are not judged here.

mod edges;
mod picture;
mod rules;

use anyhow::{Context, Result, bail};

pub(crate) use picture::{picture, place};
pub(crate) use rules::is_satisfied;

use crate::workspace::Workspace;

/// Collects every problem, prints them all, and fails when there is one.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let metadata = &workspace.metadata;
    let mut problems = edges::judge(metadata);

    let deny = workspace.root().join("deny.toml");
    let text = std::fs::read_to_string(&deny).context("`deny.toml` cannot be read")?;
    problems.extend(rules::Rules::parse(&text)?.judge(metadata));

    problems.extend(stale_picture(workspace).unwrap_or_else(|error| Some(format!("{error:#}"))));

    for problem in &problems {
        eprintln!("deps: {problem}");
    }
    if problems.is_empty() {
        println!(
            "deps: {} crates of ours, {} packages of others: edges, bans, licences and sources hold",
            metadata.members().len(),
            metadata.packages.len().saturating_sub(metadata.workspace_members.len()),
        );
        return Ok(());
    }
    bail!("`deps` found {} problem(s)", problems.len())
}

/// The picture in ARCHITECTURE.md must be the one that the code's edges draw.
fn stale_picture(workspace: &Workspace) -> Result<Option<String>> {
    let page = std::fs::read_to_string(workspace.root().join("ARCHITECTURE.md"))
        .context("`ARCHITECTURE.md` cannot be read")?;
    let fresh = place(&page, &picture(&workspace.metadata))?;
    Ok((fresh != page)
        .then(|| "the picture of crates in ARCHITECTURE.md is stale; run `cargo xtask gen`".to_owned()))
}
