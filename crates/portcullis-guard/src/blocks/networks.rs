//! Things by network, found by an address in it.

use std::collections::HashMap;

use super::prefix::Prefix;

/// Things by network. A look-up costs one look for each length of prefix that occurs.
#[derive(Debug)]
pub(super) struct Networks<T> {
    by_network: HashMap<Prefix, T>,
    /// The lengths that occur, longest first.
    lengths: Vec<u8>,
}

impl<T> Default for Networks<T> {
    fn default() -> Self {
        Self { by_network: HashMap::new(), lengths: Vec::new() }
    }
}

impl<T> FromIterator<(Prefix, T)> for Networks<T> {
    fn from_iter<I: IntoIterator<Item = (Prefix, T)>>(items: I) -> Self {
        let mut networks = Self { by_network: items.into_iter().collect(), lengths: Vec::new() };
        networks.measure();
        networks
    }
}

impl<T> Networks<T> {
    fn measure(&mut self) {
        let mut lengths: Vec<u8> = self.by_network.keys().map(|network| network.length()).collect();
        lengths.sort_unstable_by(|one, other| other.cmp(one));
        lengths.dedup();
        self.lengths = lengths;
    }

    /// What is there of the networks that an address is in, the narrowest first.
    pub(super) fn around(&self, address: Prefix) -> impl Iterator<Item = &T> {
        self.lengths.iter().filter_map(move |length| self.by_network.get(&address.widened(*length)))
    }

    pub(super) fn get(&self, network: Prefix) -> Option<&T> {
        self.by_network.get(&network)
    }

    pub(super) fn insert(&mut self, network: Prefix, thing: T) {
        self.by_network.insert(network, thing);
        if !self.lengths.contains(&network.length()) {
            self.measure();
        }
    }

    /// Without looking at the lengths again, which is what many at once cost.
    #[cfg(test)]
    pub(super) fn insert_quickly(&mut self, network: Prefix, thing: T) {
        self.by_network.insert(network, thing);
    }

    pub(super) fn remove(&mut self, network: Prefix) -> Option<T> {
        let removed = self.by_network.remove(&network);
        self.measure();
        removed
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.by_network.retain(|_, thing| keep(thing));
        self.measure();
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Prefix, &T)> {
        self.by_network.iter().map(|(network, thing)| (*network, thing))
    }

    pub(super) fn len(&self) -> usize {
        self.by_network.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_network.is_empty()
    }
}
