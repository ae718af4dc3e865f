//! The scorer: a wide linear part over hashed n-grams and concepts, and a small network over pooled vectors of words and
//! concept pairs and the measures of a window. Weights are bytes; the scales are in the file.
//!
//! The sum of a window is a logit. It means nothing by itself: [`crate::Screen`] sets it against the threshold of the channel.

use crate::features::{DEEP, Features, MEASURES, WIDE, bucket};

/// Numbers in a vector.
pub const VECTOR: usize = 8;
/// What the network reads: pooled words, pooled concept pairs, measures.
pub const INPUTS: usize = VECTOR * 2 + MEASURES;
/// Units of the network.
pub const UNITS: usize = 16;
/// What a file of weights begins with: its form.
pub const MAGIC: &[u8; 8] = b"PCSCRN01";
/// Bytes of a SHA-256 sum.
pub const SUM: usize = 32;

/// What weights were made from and with, as SHA-256 sums: a change of any of it asks for new weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The trainer, the templates, and the code that reads a text.
    pub code: [u8; SUM],
    /// The data sets.
    pub data: [u8; SUM],
    /// The report that was made with them.
    pub report: [u8; SUM],
}

/// How much each of a window's buckets counts, by group: long windows do not outweigh short ones.
pub fn weight_of(count: usize, spare: f32) -> f32 {
    1.0 / (count as f32 + spare).sqrt()
}

/// What is added to a group's count before its root is taken: letters, words, concepts.
pub const SPARE: [f32; 3] = [20.0, 6.0, 6.0];

/// The weights of one channel.
#[derive(Debug, Clone)]
pub struct Model {
    /// Logit of the default threshold that flags.
    pub flag: f32,
    /// Logit of the default threshold that blocks.
    pub block: f32,
    bias: f32,
    wide_scale: f32,
    deep_scale: f32,
    /// Of a size that is known, as hashes are cut to it.
    wide: Box<[i8; WIDE]>,
    deep: Box<[[i8; VECTOR]; DEEP]>,
    /// [`UNITS`] an input.
    inner: Vec<f32>,
    inner_bias: Vec<f32>,
    outer: Vec<f32>,
}

/// Weights as they are while they are made.
#[derive(Debug, Clone)]
pub struct Loose {
    /// The constant.
    pub bias: f32,
    /// One a bucket.
    pub wide: Vec<f32>,
    /// [`VECTOR`] a bucket.
    pub deep: Vec<f32>,
    /// [`INPUTS`] a unit.
    pub inner: Vec<f32>,
    /// One a unit.
    pub inner_bias: Vec<f32>,
    /// One a unit.
    pub outer: Vec<f32>,
}

impl Model {
    /// The weights rounded to bytes; thresholds are not set. `None` if a table is not of its size.
    pub fn round(loose: &Loose) -> Option<Self> {
        let (wide_scale, rounded) = to_bytes(&loose.wide);
        let (deep_scale, deep) = to_bytes(&loose.deep);
        let (wide, deep) = (wide(rounded)?, vectors(&deep)?);
        Some(Self {
            flag: 0.0,
            block: 0.0,
            bias: loose.bias,
            wide_scale,
            deep_scale,
            wide,
            deep,
            inner: turned(&loose.inner, UNITS),
            inner_bias: loose.inner_bias.clone(),
            outer: loose.outer.clone(),
        })
    }

    /// The same with these thresholds, as logits.
    #[must_use]
    pub fn with_thresholds(self, flag: f32, block: f32) -> Self {
        Self { flag, block, ..self }
    }

    /// The logit of a window.
    pub fn logit(&self, features: &Features) -> f32 {
        let groups = [&features.letters, &features.words, &features.concepts];
        let mut sum = 0.0;
        for (group, spare) in groups.into_iter().zip(SPARE) {
            let of_group: i32 = group.iter().map(|&at| self.weight_at(at)).sum();
            sum += of_group as f32 * weight_of(group.len(), spare);
        }
        let mut inputs = Vec::with_capacity(INPUTS);
        for (buckets, spare) in [(&features.deep_words, 2.0), (&features.deep_concepts, 4.0)] {
            let mut sum = [0_i32; VECTOR];
            buckets.iter().for_each(|&bucket| self.add_vector_at(usize::from(bucket), &mut sum));
            inputs.extend(self.pooled(&sum, buckets.len(), spare));
        }
        inputs.extend_from_slice(&features.measures);
        self.of_sums(sum, &inputs)
    }

    /// The logit from the weighted sum of the wide part and what the network reads.
    pub(crate) fn of_sums(&self, sum: f32, inputs: &[f32]) -> f32 {
        // By input, not by unit: most inputs are nothing, and the units of one input do not wait for each other.
        let mut units = [0.0_f32; UNITS];
        for (input, weights) in
            inputs.iter().zip(self.inner.chunks_exact(UNITS)).filter(|(input, _)| **input != 0.0)
        {
            units.iter_mut().zip(weights).for_each(|(unit, weight)| *unit += weight * input);
        }
        let ends = units.iter().zip(&self.inner_bias).zip(&self.outer);
        let network: f32 = ends.map(|((unit, bias), outer)| (unit + bias).max(0.0) * outer).sum();
        self.bias + sum * self.wide_scale + network
    }

    /// The weight of the bucket that a hash falls into.
    #[inline]
    pub(crate) fn weight(&self, hash: u64) -> i32 {
        self.weight_at(bucket(hash, WIDE))
    }

    /// The weight of a bucket.
    #[inline]
    pub(crate) fn weight_at(&self, bucket: u32) -> i32 {
        self.wide.get(bucket as usize).copied().map_or(0, i32::from)
    }

    /// Adds the vector of the bucket that a hash falls into.
    #[inline]
    pub(crate) fn add_vector(&self, hash: u64, sum: &mut [i32; VECTOR]) {
        self.add_vector_at(bucket(hash, DEEP) as usize, sum);
    }

    #[inline]
    fn add_vector_at(&self, bucket: usize, sum: &mut [i32; VECTOR]) {
        let vector = self.deep.get(bucket).copied().unwrap_or_default();
        sum.iter_mut().zip(vector).for_each(|(total, part)| *total += i32::from(part));
    }

    /// What the network reads of a sum of so many vectors.
    pub(crate) fn pooled(&self, sum: &[i32; VECTOR], count: usize, spare: f32) -> [f32; VECTOR] {
        let weight = weight_of(count, spare) * self.deep_scale;
        sum.map(|total| total as f32 * weight)
    }

    /// Appends the weights as a file holds them.
    pub fn write(&self, out: &mut Vec<u8>) {
        for number in [self.flag, self.block, self.bias, self.wide_scale, self.deep_scale] {
            out.extend(number.to_le_bytes());
        }
        for table in [&turned(&self.inner, INPUTS), &self.inner_bias, &self.outer] {
            out.extend(table.iter().flat_map(|number| number.to_le_bytes()));
        }
        out.extend(self.wide.iter().chain(self.deep.as_flattened()).map(|byte| byte.cast_unsigned()));
    }

    /// Reads the weights of a channel; `None` if the bytes end too early or hold what is no number.
    pub fn read(bytes: &mut &[u8]) -> Option<Self> {
        let mut head = numbers(bytes, 5)?.into_iter();
        let mut next = || head.next();
        let (flag, block, bias, wide_scale, deep_scale) = (next()?, next()?, next()?, next()?, next()?);
        let inner = turned(&numbers(bytes, INPUTS * UNITS)?, UNITS);
        let inner_bias = numbers(bytes, UNITS)?;
        let outer = numbers(bytes, UNITS)?;
        let wide = wide(signed(bytes, WIDE)?)?;
        let deep = vectors(&signed(bytes, DEEP * VECTOR)?)?;
        Some(Self { flag, block, bias, wide_scale, deep_scale, wide, deep, inner, inner_bias, outer })
    }
}

fn wide(weights: Vec<i8>) -> Option<Box<[i8; WIDE]>> {
    weights.into_boxed_slice().try_into().ok()
}

fn vectors(parts: &[i8]) -> Option<Box<[[i8; VECTOR]; DEEP]>> {
    let (vectors, _) = parts.as_chunks();
    vectors.to_vec().into_boxed_slice().try_into().ok()
}

/// A table of so many rows, its rows made columns.
fn turned(table: &[f32], rows: usize) -> Vec<f32> {
    let columns = table.len() / rows.max(1);
    let cell = |at: usize| table.get(at % rows * columns + at / rows).copied().unwrap_or_default();
    (0..table.len()).map(cell).collect()
}

fn numbers(bytes: &mut &[u8], count: usize) -> Option<Vec<f32>> {
    let (taken, rest) = bytes.split_at_checked(count * 4)?;
    *bytes = rest;
    let numbers = taken.chunks_exact(4).map(|four| four.try_into().ok().map(f32::from_le_bytes));
    numbers.map(|number| number.filter(|number| number.is_finite())).collect()
}

fn signed(bytes: &mut &[u8], count: usize) -> Option<Vec<i8>> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken.iter().map(|byte| byte.cast_signed()).collect())
}

/// Bytes and their scale. The few largest weights are cut, so that one of them does not coarsen all others.
fn to_bytes(loose: &[f32]) -> (f32, Vec<i8>) {
    let mut sizes: Vec<f32> = loose.iter().map(|weight| weight.abs()).collect();
    sizes.sort_unstable_by(f32::total_cmp);
    let at = sizes.len().saturating_sub(1 + sizes.len() / 20_000);
    let scale = sizes.get(at).copied().unwrap_or(0.0).max(1e-6) / 127.0;
    let rounded = loose.iter().map(|weight| {
        #[expect(clippy::cast_possible_truncation, reason = "between -127 and 127")]
        let byte = (weight / scale).round().clamp(-127.0, 127.0) as i8;
        byte
    });
    (scale, rounded.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_columns_and_rows_again() {
        let table = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        assert_eq!(turned(&table, 2), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(turned(&turned(&table, 2), 3), table);
    }
}
