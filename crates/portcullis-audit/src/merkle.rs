//! The Merkle tree of RFC 6962 and RFC 9162: hashes, the compact frontier that grows by one leaf at a time, inclusion
//! and consistency proofs and their verification.
//!
//! It knows nothing of records or files: leaves come in, hashes come out. A proof is first worked out as the list of
//! leaf ranges whose roots it consists of ([`inclusion_ranges`], [`consistency_ranges`]), so that a log of any length
//! can be proved in one pass over its leaves.

use std::fmt;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A SHA-256 hash of a leaf, of an inner node or of a whole tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeHash([u8; 32]);

impl TreeHash {
    /// The hash with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash of a record: `SHA-256(0x00 || data)`.
    pub fn leaf(data: &[u8]) -> Self {
        Self::of(&[&[0x00], data])
    }

    /// The hash of two neighbours: `SHA-256(0x01 || left || right)`.
    pub fn node(left: Self, right: Self) -> Self {
        Self::of(&[&[0x01], &left.0, &right.0])
    }

    /// The root of a tree without leaves: `SHA-256("")`.
    pub fn empty() -> Self {
        Self::of(&[])
    }

    fn of(parts: &[&[u8]]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in parts {
            context.update(part);
        }
        let mut bytes = [0; 32];
        bytes.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
        Self(bytes)
    }

    /// Reads the 44 characters of standard base64.
    pub fn parse(text: &str) -> Option<Self> {
        STANDARD.decode(text).ok()?.try_into().ok().map(Self)
    }
}

impl fmt::Display for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for TreeHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TreeHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a base64 SHA-256 hash"))
    }
}

/// The roots of the perfect subtrees that make up a tree, largest first: all that is needed to add leaves and to
/// compute the root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    nodes: Vec<TreeHash>,
}

impl Frontier {
    /// An empty tree.
    pub const fn new() -> Self {
        Self { size: 0, nodes: Vec::new() }
    }

    /// The frontier of a tree of `size` leaves; `None` when the number of nodes does not fit the size.
    pub fn from_parts(size: u64, nodes: Vec<TreeHash>) -> Option<Self> {
        (usize::try_from(size.count_ones()) == Ok(nodes.len())).then_some(Self { size, nodes })
    }

    /// How many leaves the tree has.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the perfect subtrees, largest first.
    pub fn nodes(&self) -> &[TreeHash] {
        &self.nodes
    }

    /// Adds one leaf.
    pub fn push(&mut self, leaf: TreeHash) {
        let mut node = leaf;
        // One subtree for every set bit of the size: adding a leaf carries like adding one.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.nodes.pop() {
                node = TreeHash::node(left, node);
            }
        }
        self.nodes.push(node);
        self.size += 1;
    }

    /// The root of the tree as it stands.
    pub fn root(&self) -> TreeHash {
        let roots = self.nodes.iter().rev().copied();
        roots.reduce(|right, left| TreeHash::node(left, right)).unwrap_or_else(TreeHash::empty)
    }
}

/// The largest power of two below `size`; `size` is at least 2.
const fn split(size: u64) -> u64 {
    1 << (63 - (size - 1).leading_zeros())
}

/// The leaf ranges whose roots are the proof that leaf `index` is in the tree of `size` leaves, in the order of the
/// proof; `None` when there is no such leaf.
pub fn inclusion_ranges(index: u64, size: u64) -> Option<Vec<Range<u64>>> {
    if index >= size {
        return None;
    }
    let mut ranges = Vec::new();
    let (mut start, mut end) = (0, size);
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            ranges.push(middle..end);
            end = middle;
        } else {
            ranges.push(start..middle);
            start = middle;
        }
    }
    ranges.reverse();
    Some(ranges)
}

/// The leaf ranges whose roots are the proof that the tree of `old` leaves is the beginning of the tree of `new`
/// leaves, in the order of the proof; `None` unless `old <= new`.
pub fn consistency_ranges(old: u64, new: u64) -> Option<Vec<Range<u64>>> {
    if old > new {
        return None;
    }
    let mut ranges = Vec::new();
    if old == 0 {
        return Some(ranges);
    }
    let (mut start, mut end) = (0, new);
    while end != old {
        let middle = start + split(end - start);
        if old <= middle {
            ranges.push(middle..end);
            end = middle;
        } else {
            ranges.push(start..middle);
            start = middle;
        }
    }
    // A whole old tree that is a subtree of the new one from the left edge on is known to whoever asks.
    if start != 0 {
        ranges.push(start..end);
    }
    ranges.reverse();
    Some(ranges)
}

/// Computes the roots of disjoint leaf ranges while the leaves pass by in order.
#[derive(Debug)]
pub(crate) struct RangeRoots {
    /// By start; the number is the place in the proof.
    ranges: Vec<(Range<u64>, usize, Frontier)>,
    current: usize,
}

impl RangeRoots {
    pub(crate) fn new(ranges: Vec<Range<u64>>) -> Self {
        let mut ranges: Vec<_> =
            ranges.into_iter().enumerate().map(|(place, range)| (range, place, Frontier::new())).collect();
        ranges.sort_by_key(|(range, ..)| range.start);
        Self { ranges, current: 0 }
    }

    /// The end of the last range: no leaf from there on matters.
    pub(crate) fn end(&self) -> u64 {
        self.ranges.last().map_or(0, |(range, ..)| range.end)
    }

    pub(crate) fn push(&mut self, index: u64, leaf: TreeHash) {
        while self.ranges.get(self.current).is_some_and(|(range, ..)| range.end <= index) {
            self.current += 1;
        }
        if let Some((range, _, roots)) = self.ranges.get_mut(self.current)
            && range.contains(&index)
        {
            roots.push(leaf);
        }
    }

    /// The roots in the order of the proof; `None` when leaves were missing.
    pub(crate) fn finish(mut self) -> Option<Vec<TreeHash>> {
        let complete = self.ranges.iter().all(|(range, _, roots)| roots.size() == range.end - range.start);
        self.ranges.sort_by_key(|(_, place, _)| *place);
        complete.then(|| self.ranges.iter().map(|(.., roots)| roots.root()).collect())
    }
}

fn roots_of(leaves: &[TreeHash], ranges: Vec<Range<u64>>) -> Option<Vec<TreeHash>> {
    let mut roots = RangeRoots::new(ranges);
    (0..).zip(leaves).for_each(|(index, leaf)| roots.push(index, *leaf));
    roots.finish()
}

/// The proof that leaf `index` is in the tree of these leaves; `None` when there is no such leaf.
pub fn inclusion_proof(leaves: &[TreeHash], index: u64) -> Option<Vec<TreeHash>> {
    roots_of(leaves, inclusion_ranges(index, u64::try_from(leaves.len()).ok()?)?)
}

/// The proof that the first `old` of these leaves were the whole tree once; `None` when there are fewer.
pub fn consistency_proof(leaves: &[TreeHash], old: u64) -> Option<Vec<TreeHash>> {
    roots_of(leaves, consistency_ranges(old, u64::try_from(leaves.len()).ok()?)?)
}

/// Whether `proof` shows that `leaf` is leaf number `index` of the tree of `size` leaves with that root
/// (RFC 9162, section 2.1.3.2).
#[must_use]
pub fn verify_inclusion(leaf: TreeHash, index: u64, size: u64, proof: &[TreeHash], root: TreeHash) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = TreeHash::node(*sibling, hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = TreeHash::node(hash, *sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && hash == root
}

/// Whether `proof` shows that the tree of `old` leaves is the beginning of the tree of `new` leaves
/// (RFC 9162, section 2.1.4.2).
#[must_use]
pub fn verify_consistency(
    old: u64,
    old_root: TreeHash,
    new: u64,
    new_root: TreeHash,
    proof: &[TreeHash],
) -> bool {
    if old == new {
        return proof.is_empty() && old_root == new_root;
    }
    if old > new {
        return false;
    }
    if old == 0 {
        return proof.is_empty() && old_root == TreeHash::empty();
    }
    let known = old.is_power_of_two().then_some(old_root);
    let mut path = known.into_iter().chain(proof.iter().copied());
    let Some(first) = path.next() else { return false };
    let (mut at, mut last) = (old - 1, new - 1);
    let shift = at.trailing_ones();
    at >>= shift;
    last >>= shift;
    let (mut from_old, mut from_new) = (first, first);
    for hash in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            from_old = TreeHash::node(hash, from_old);
            from_new = TreeHash::node(hash, from_new);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            from_new = TreeHash::node(from_new, hash);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && from_old == old_root && from_new == new_root
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: u64 = 70;

    fn leaves(count: u64) -> Vec<TreeHash> {
        (0..count).map(|n| TreeHash::leaf(&n.to_le_bytes())).collect()
    }

    /// The definition of RFC 6962, section 2.1, word for word.
    fn brute_root(leaves: &[TreeHash]) -> TreeHash {
        match leaves {
            [] => TreeHash::empty(),
            [leaf] => *leaf,
            _ => {
                let k = (leaves.len().next_power_of_two()) / 2;
                TreeHash::node(brute_root(&leaves[..k]), brute_root(&leaves[k..]))
            }
        }
    }

    fn brute_path(index: usize, leaves: &[TreeHash]) -> Vec<TreeHash> {
        if leaves.len() == 1 {
            return Vec::new();
        }
        let k = leaves.len().next_power_of_two() / 2;
        if index < k {
            let mut path = brute_path(index, &leaves[..k]);
            path.push(brute_root(&leaves[k..]));
            path
        } else {
            let mut path = brute_path(index - k, &leaves[k..]);
            path.push(brute_root(&leaves[..k]));
            path
        }
    }

    fn brute_subproof(old: usize, leaves: &[TreeHash], whole: bool) -> Vec<TreeHash> {
        if old == leaves.len() {
            return if whole { Vec::new() } else { vec![brute_root(leaves)] };
        }
        let k = leaves.len().next_power_of_two() / 2;
        if old <= k {
            let mut proof = brute_subproof(old, &leaves[..k], whole);
            proof.push(brute_root(&leaves[k..]));
            proof
        } else {
            let mut proof = brute_subproof(old - k, &leaves[k..], false);
            proof.push(brute_root(&leaves[..k]));
            proof
        }
    }

    fn frontier(leaves: &[TreeHash]) -> Frontier {
        let mut tree = Frontier::new();
        leaves.iter().for_each(|leaf| tree.push(*leaf));
        tree
    }

    #[test]
    fn roots_match_the_published_test_vectors() {
        // The tree of the eight inputs used by the certificate-transparency reference tests.
        let inputs: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let tree = frontier(&inputs.map(TreeHash::leaf));
        let hex = |hash: TreeHash| hash.as_bytes().iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(hex(tree.root()), "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
        assert_eq!(
            hex(TreeHash::empty()),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn the_frontier_gives_the_root_of_the_definition_for_every_size() {
        for size in 0..=SIZES {
            let leaves = leaves(size);
            let tree = frontier(&leaves);
            assert_eq!(tree.root(), brute_root(&leaves), "size {size}");
            assert_eq!(Frontier::from_parts(size, tree.nodes().to_vec()), Some(tree));
        }
        assert_eq!(Frontier::from_parts(3, leaves(1)), None);
    }

    #[test]
    fn inclusion_proofs_match_the_definition_and_verify_only_what_is_true() {
        for size in 1..=SIZES {
            let leaves = leaves(size);
            let root = brute_root(&leaves);
            for index in 0..size {
                let proof = inclusion_proof(&leaves, index).unwrap();
                let leaf = leaves[index as usize];
                assert_eq!(proof, brute_path(index as usize, &leaves), "leaf {index} of {size}");
                assert!(verify_inclusion(leaf, index, size, &proof, root));
                assert!(!verify_inclusion(TreeHash::leaf(b"another"), index, size, &proof, root));
                assert!(!verify_inclusion(leaf, index + 1, size, &proof, root), "leaf {index} of {size}");
                assert!(!verify_inclusion(leaf, index, size, &proof, TreeHash::empty()));
                let mut longer = proof.clone();
                longer.push(root);
                assert!(!verify_inclusion(leaf, index, size, &longer, root));
                if let Some((_, shorter)) = proof.split_last() {
                    assert!(!verify_inclusion(leaf, index, size, shorter, root));
                }
            }
            assert_eq!(inclusion_proof(&leaves, size), None);
        }
    }

    #[test]
    fn consistency_proofs_match_the_definition_and_verify_only_what_is_true() {
        for new in 1..=SIZES {
            let leaves = leaves(new);
            let new_root = brute_root(&leaves);
            for old in 1..=new {
                let old_root = brute_root(&leaves[..old as usize]);
                let proof = consistency_proof(&leaves, old).unwrap();
                assert_eq!(proof, brute_subproof(old as usize, &leaves, true), "{old} to {new}");
                assert!(verify_consistency(old, old_root, new, new_root, &proof), "{old} to {new}");
                let forged = TreeHash::leaf(b"forged");
                assert!(!verify_consistency(old, forged, new, new_root, &proof));
                assert!(!verify_consistency(old, old_root, new, forged, &proof));
                let mut longer = proof.clone();
                longer.push(new_root);
                assert!(!verify_consistency(old, old_root, new, new_root, &longer));
                if let Some((_, shorter)) = proof.split_last() {
                    assert!(!verify_consistency(old, old_root, new, new_root, shorter));
                }
            }
            assert_eq!(consistency_proof(&leaves, new + 1), None);
            assert!(verify_consistency(0, TreeHash::empty(), new, new_root, &[]));
            assert!(!verify_consistency(0, new_root, new, new_root, &[]));
        }
    }
}
