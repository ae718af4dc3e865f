//! What an import will write and remove, worked out before anything is written. Pure: what the store holds and what
//! the export holds in, what to do out.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_core::{DocumentId, SpaceId};
use portcullis_store::{SourceEntry, Space, SpaceAccess};

use crate::entry::Stored;
use crate::error::Error;
use crate::space_map::{SpaceMap, Target, is_looser, words};

/// A document of the export, without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its place in the export.
    pub index: usize,
    /// See [`crate::Parsed::source_key`].
    pub source_key: String,
    /// See [`crate::Parsed::fingerprint`].
    pub fingerprint: [u8; 32],
    /// See [`crate::Parsed::space_key`].
    pub space_key: String,
}

/// What is known of a category or folder of the export.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Category {
    /// See [`crate::Parsed::space_name`].
    pub name: Option<String>,
    /// See [`crate::Parsed::restricted`].
    pub restricted: bool,
}

/// Stored documents that stay although the export did not give them this time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kept {
    keys: BTreeSet<String>,
    prefixes: BTreeSet<String>,
    all: bool,
}

impl Kept {
    /// Takes in what may be stored of a file that was not read.
    pub fn add(&mut self, stored: &Stored) {
        match stored {
            Stored::Gone => {}
            Stored::Key(key) => {
                self.keys.insert(key.clone());
            }
            Stored::Prefix(prefix) => {
                self.prefixes.insert(prefix.clone());
            }
            Stored::Unknown => self.all = true,
        }
    }

    fn has(&self, key: &str) -> bool {
        // A folder's prefix ends in `/`, so only the key's own parents can be among them.
        let below = || {
            key.match_indices('/')
                .any(|(at, _)| key.get(..=at).is_some_and(|parent| self.prefixes.contains(parent)))
        };
        self.all || self.keys.contains(key) || below()
    }
}

/// Whether an import may remove most of what it once brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MassRemoval {
    /// It refuses: more likely the folder is the wrong one.
    #[default]
    Refuse,
    /// The operator said that it may.
    Allow,
}

/// What to do with the documents.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Places in the export of documents to write.
    pub write: Vec<usize>,
    /// How many need nothing.
    pub unchanged: u64,
    /// Documents to remove.
    pub remove: Vec<DocumentId>,
    /// How many stay although they were not read this time.
    pub kept: u64,
}

/// Compares the export with the store. `spaces` tells the space of each space key, as far as it exists.
///
/// # Errors
/// [`Error::MassRemoval`] if nothing was read at all, or more than half of what is stored would go.
pub fn changes(
    stored: &BTreeMap<String, SourceEntry>,
    found: &[Summary],
    spaces: &BTreeMap<String, Option<SpaceId>>,
    kept: &Kept,
    removal: MassRemoval,
) -> Result<Changes, Error> {
    let mut changes = Changes::default();
    let mut seen = BTreeSet::new();
    for document in found {
        seen.insert(document.source_key.as_str());
        let space = spaces.get(&document.space_key).copied().flatten();
        let is_same = stored
            .get(&document.source_key)
            .is_some_and(|entry| entry.fingerprint == document.fingerprint && Some(entry.space) == space);
        if is_same {
            changes.unchanged += 1;
        } else {
            changes.write.push(document.index);
        }
    }
    for (key, entry) in stored.iter().filter(|(key, _)| !seen.contains(key.as_str())) {
        if kept.has(key) {
            changes.kept += 1;
        } else {
            changes.remove.push(entry.document);
        }
    }
    let removed = changes.remove.len();
    let is_mass = removed > 0 && (found.is_empty() || removed.saturating_mul(2) > stored.len());
    if is_mass && removal == MassRemoval::Refuse {
        return Err(Error::MassRemoval { removed, stored: stored.len() });
    }
    Ok(changes)
}

/// A space that documents go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The space as the map wants it.
    pub target: Target,
    /// The space as it is, if it exists.
    pub existing: Option<Space>,
}

/// The spaces that the categories of an export become, by space key.
///
/// A space that exists keeps its access. If it is more open than the operator asked for, nothing is imported: content
/// meant for few would be read by many.
///
/// # Errors
/// [`Error::UnknownPlan`], [`Error::MoreOpen`] or [`Error::Disagree`].
pub fn destinations(
    categories: &BTreeMap<String, Category>,
    map: &SpaceMap,
    existing: &[Space],
    plans: &BTreeSet<String>,
) -> Result<BTreeMap<String, Destination>, Error> {
    if let Some(plan) = map.plans().find(|plan| !plans.contains(*plan)) {
        return Err(Error::UnknownPlan { plan: plan.to_owned() });
    }
    let existing: BTreeMap<&str, &Space> =
        existing.iter().map(|space| (space.slug.as_str(), space)).collect();
    let mut by_slug: BTreeMap<String, SpaceAccess> = BTreeMap::new();
    let mut destinations = BTreeMap::new();
    for (key, category) in categories {
        let target = map.target(key, category.name.as_deref(), category.restricted);
        let existing = existing.get(target.slug.as_str()).copied().cloned();
        if let Some(space) = &existing
            && target.is_wanted
            && is_looser(&space.access, &target.access)
        {
            return Err(Error::MoreOpen {
                space: space.slug.clone(),
                is: words(&space.access),
                wanted: words(&target.access),
            });
        }
        if by_slug
            .insert(target.slug.clone(), target.access.clone())
            .is_some_and(|other| other != target.access)
        {
            return Err(Error::Disagree { space: target.slug, category: key.clone() });
        }
        destinations.insert(key.clone(), Destination { target, existing });
    }
    Ok(destinations)
}

#[cfg(test)]
mod tests;
