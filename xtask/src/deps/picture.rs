//! The picture of crates and edges that ARCHITECTURE.md shows, drawn from the code's real edges.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Context, Result};

use super::edges::short;
use crate::workspace::{Metadata, Use};

const BEGIN: &str = "<!-- deps:begin -->";
const END: &str = "<!-- deps:end -->";

/// A fenced block: one line a crate, highest level first; each uses only crates of lower levels.
pub(crate) fn picture(metadata: &Metadata) -> String {
    let uses = uses(metadata);
    let mut rows: Vec<(usize, &str)> = uses.keys().map(|name| (level(name, &uses), *name)).collect();
    rows.sort_by_key(|(level, name)| (std::cmp::Reverse(*level), *name));

    let mut text = String::from("```text\nlevel  crate\n");
    for (level, name) in rows {
        let mut used: Vec<&str> = uses.get(name).into_iter().flatten().copied().collect();
        used.sort_by_key(|name| (std::cmp::Reverse(self::level(name, &uses)), *name));
        let used = match used.len() {
            0 => String::new(),
            // All but itself and xtask, which stands apart.
            many if many > 1 && many + 2 == uses.len() => "-> every crate below but xtask".to_owned(),
            _ => format!("-> {}", used.join(", ")),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", format!("{level:>5}  {name:<13} {used}").trim_end());
    }
    text.push_str("```\n");
    text
}

/// The page with the picture set between its two markers.
pub(crate) fn place(page: &str, picture: &str) -> Result<String> {
    let wanted = "ARCHITECTURE.md must hold `<!-- deps:begin -->` and, below it, `<!-- deps:end -->`";
    let (before, rest) = page.split_once(BEGIN).context(wanted)?;
    let (_, after) = rest.split_once(END).context(wanted)?;
    Ok(format!("{before}{BEGIN}\n{picture}{END}{after}"))
}

/// Each crate of ours and the crates of ours that it is built from.
fn uses(metadata: &Metadata) -> BTreeMap<&str, BTreeSet<&str>> {
    let members = metadata.members();
    let mut uses: BTreeMap<&str, BTreeSet<&str>> =
        members.keys().map(|name| (short(name), BTreeSet::new())).collect();
    for edge in metadata.edges() {
        let ours =
            members.contains_key(edge.from.name.as_str()) && members.contains_key(edge.to.name.as_str());
        if ours && edge.used == Use::Built {
            uses.entry(short(&edge.from.name)).or_default().insert(short(&edge.to.name));
        }
    }
    uses
}

/// Zero for a crate that uses none of ours, else one more than the highest it uses. Cargo refuses cycles.
fn level(name: &str, uses: &BTreeMap<&str, BTreeSet<&str>>) -> usize {
    let used = uses.get(name).into_iter().flatten();
    used.map(|used| level(used, uses).saturating_add(1)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three_levels() -> Metadata {
        Metadata::sample()
            .member("portcullis-core")
            .member("portcullis-store")
            .member("portcullis-guard")
            .member("xtask")
            .edge("portcullis-store", "portcullis-core", None)
            .edge("portcullis-guard", "portcullis-store", None)
            .edge("portcullis-core", "portcullis-guard", Some("dev"))
    }

    #[test]
    fn each_crate_stands_above_what_it_uses_and_test_edges_are_left_out() {
        let expected = "```text\n\
                        level  crate\n    \
                        2  guard         -> store\n    \
                        1  store         -> core\n    \
                        0  core\n    \
                        0  xtask\n```\n";
        assert_eq!(picture(&three_levels()), expected);
    }

    #[test]
    fn placing_replaces_only_what_stands_between_the_markers() {
        let page = format!("# A\n{BEGIN}\nold\n{END}\nrest\n");
        let placed = place(&page, "new\n").unwrap();
        assert_eq!(placed, format!("# A\n{BEGIN}\nnew\n{END}\nrest\n"));
        assert_eq!(place(&placed, "new\n").unwrap(), placed);
    }

    #[test]
    fn a_page_without_markers_is_an_error() {
        assert!(place("# A\n", "new\n").is_err());
        assert!(place(&format!("{END}\n{BEGIN}\n"), "new\n").is_err());
    }
}
