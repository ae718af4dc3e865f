//! What outlives the process: as JSON, which whoever keeps it seals, since addresses are personal data.

use std::time::Duration;

use jiff::Timestamp;
use portcullis_core::BlockId;
use serde::{Deserialize, Serialize};

use super::offenders::{Automatic, Offence};
use super::prefix::Prefix;
use super::{AutomaticBlock, BlockEntry};

/// Bytes that are not kept blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these are not the kept blocks of this version")]
pub struct UnreadableBlocks;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: BlockId,
    network: Prefix,
    reason: String,
    added: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Begun {
    id: BlockId,
    network: Prefix,
    offence: String,
    until: Timestamp,
}

/// What the operator listed, and who is blocked for what they did.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptBlocks {
    version: u32,
    entries: Vec<Entry>,
    automatic: Vec<Begun>,
}

const VERSION: u32 = 1;

impl KeptBlocks {
    pub(super) fn new(now: Timestamp, entries: Vec<BlockEntry>, automatic: &[AutomaticBlock]) -> Self {
        let entry = |entry: BlockEntry| {
            let BlockEntry { id, network, reason, added, until } = entry;
            Entry { id, network, reason, added, until }
        };
        let begun = |block: &AutomaticBlock| {
            let until = now.checked_add(block.ends_in).ok()?;
            Some(Begun {
                id: block.id,
                network: block.network,
                offence: block.offence.name().to_owned(),
                until,
            })
        };
        Self {
            version: VERSION,
            entries: entries.into_iter().map(entry).collect(),
            automatic: automatic.iter().filter_map(begun).collect(),
        }
    }

    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        // Every part of it has a form in JSON.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// From bytes.
    ///
    /// # Errors
    /// When they are something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, UnreadableBlocks> {
        let kept: Self = serde_json::from_slice(bytes).map_err(|_| UnreadableBlocks)?;
        if kept.version == VERSION { Ok(kept) } else { Err(UnreadableBlocks) }
    }

    /// Who is blocked for what they did, and how long it still lasts.
    pub(super) fn automatic(&self, now: Timestamp) -> impl Iterator<Item = (Prefix, Automatic, Duration)> {
        self.automatic.iter().filter_map(move |begun| {
            let left =
                Duration::try_from(begun.until.duration_since(now)).ok().filter(|left| !left.is_zero())?;
            let offence = Offence::parse(&begun.offence)?;
            Some((begun.network, Automatic { id: begun.id, offence, until_ms: 0 }, left))
        })
    }

    pub(super) fn into_entries(self) -> Vec<BlockEntry> {
        let entry = |entry: Entry| {
            let Entry { id, network, reason, added, until } = entry;
            BlockEntry { id, network, reason, added, until }
        };
        self.entries.into_iter().map(entry).collect()
    }
}
