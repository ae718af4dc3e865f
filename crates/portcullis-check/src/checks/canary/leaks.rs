//! Gathers what came back where it must not, so that one finding tells of all that have one cause.

use std::collections::BTreeMap;

use crate::outcome::Finding;

/// The most exchanges that one finding names.
const SHOWN: usize = 20;

/// Leaks by what they have in common.
#[derive(Debug)]
pub(in crate::checks) struct Leaks<K>(BTreeMap<K, Vec<(usize, String)>>);

impl<K: Ord> Leaks<K> {
    pub(in crate::checks) const fn none() -> Self {
        Self(BTreeMap::new())
    }

    /// Exchange `number` shows what `said` says.
    pub(in crate::checks) fn add(&mut self, key: K, number: usize, said: String) {
        self.0.entry(key).or_default().push((number, said));
    }

    /// One finding each; `write` makes what was seen and the fix from the key and the first leak in words.
    pub(in crate::checks) fn into_findings(
        self,
        write: impl Fn(K, &str) -> (String, String),
    ) -> Vec<Finding> {
        let finding = |(key, leaks): (K, Vec<(usize, String)>)| {
            let first = leaks.first().map(|(_, said)| said.as_str()).unwrap_or_default();
            let (seen, fix) = write(key, first);
            let more = if leaks.len() > 1 {
                format!(" (and {} more times)", leaks.len() - 1)
            } else {
                String::new()
            };
            Finding::new(format!("{seen}{more}"), fix)
                .shown_by(leaks.iter().take(SHOWN).map(|(number, _)| *number))
        };
        self.0.into_iter().map(finding).collect()
    }
}
