//! Fitting the weights: stochastic gradients with a step of its own for each weight.
//!
//! An attack may stand in one window of many, so an attack teaches by its worst window, and ordinary text by its worst
//! and one other. Rows count by their source, so that the largest does not decide alone.

use std::collections::BTreeMap;

use portcullis_screen::Channel;
use portcullis_screen::features::{DEEP, Features, MEASURES, WIDE};
use portcullis_screen::judge::each_window;
use portcullis_screen::model::{INPUTS, Loose, Model, SPARE, UNITS, VECTOR, weight_of};

use crate::chance::Chance;
use crate::rows::{OWN, Row};

/// How often each row is seen. More fits these rows better and sources left out worse.
const EPOCHS: usize = 2;
/// In the last of them the weights are added up after so many rows, and what ships is their mean: it wavers less.
const EVERY: usize = 500;
/// The floor gains from more: it has one weight a feature and nothing else.
const FLOOR_EPOCHS: usize = 8;
/// How far a label is believed: some are odd.
const DOUBT: f32 = 0.03;
/// The steps of the wide part and of the network.
const RATE_WIDE: f32 = 0.15;
const RATE_NETWORK: f32 = 0.02;
const RATE_VECTORS: f32 = 0.03;
/// How fast weights fall back to nothing.
const SHRINK: f32 = 2e-5;
/// How often a group of buckets is left out of a lesson: letters, words, concepts.
const DROPPED: [f32; 3] = [0.2, 0.2, 0.1];
/// How often the network is left out of one. What the linear part can say alone is then not left to the network, which knows
/// these rows better than it knows others.
const DROPPED_NETWORK: f32 = 0.2;

/// A row, measured once.
pub(crate) struct Measured {
    pub(crate) windows: Vec<Features>,
    pub(crate) attack: bool,
    weight: f32,
}

/// All windows of a text. More than forty say no more about it.
pub(crate) fn windows(text: &str, channel: Channel) -> Vec<Features> {
    let mut windows = Vec::new();
    each_window(text, channel, |features| {
        if windows.len() < 40 {
            windows.push(features);
        }
    });
    windows
}

/// The rows with their weights: each group counts with the root of its size, both labels count the same.
pub(crate) fn measure(rows: &[(&Row, f32)], channel: Channel) -> Vec<Measured> {
    let mut sizes: BTreeMap<(&str, bool), usize> = BTreeMap::new();
    for (row, _) in rows {
        *sizes.entry((row.group, row.attack)).or_default() += 1;
    }
    let mut measured: Vec<Measured> = rows
        .iter()
        .map(|(row, weight)| {
            let size = sizes[&(row.group, row.attack)] as f32;
            let own = if row.group == OWN { 1.0 } else { 0.8 };
            Measured {
                windows: windows(&row.text, channel),
                attack: row.attack,
                weight: weight * own / size.sqrt(),
            }
        })
        .filter(|row| !row.windows.is_empty())
        .collect();
    for attack in [true, false] {
        let total: f32 = measured.iter().filter(|row| row.attack == attack).map(|row| row.weight).sum();
        let count = measured.len() as f32 / 2.0;
        for row in measured.iter_mut().filter(|row| row.attack == attack) {
            row.weight *= count / total;
        }
    }
    measured
}

/// The chance that belongs to a logit, by operations that give the same everywhere.
fn sigmoid(logit: f32) -> f32 {
    // e^-x as (e^(-x/1024))^1024 by its series: exact enough for a gradient, and free of the platform's own `exp`.
    let small = -f64::from(logit.clamp(-30.0, 30.0)) / 1024.0;
    let mut power = 1.0 + small + small * small / 2.0 + small * small * small / 6.0;
    for _ in 0..10 {
        power *= power;
    }
    (1.0 / (1.0 + power)) as f32
}

#[derive(Clone)]
struct Fit {
    loose: Loose,
    wide_seen: Vec<f32>,
    deep_seen: Vec<f32>,
    inner_seen: Vec<f32>,
    outer_seen: Vec<f32>,
    bias_seen: f32,
}

/// What takes part when a row is learnt: groups of buckets, and the network.
#[derive(Clone, Copy)]
struct Lesson {
    groups: [bool; 3],
    network: bool,
}

/// What the network saw and did for one window.
struct Pass {
    inputs: Vec<f32>,
    units: Vec<f32>,
    logit: f32,
}

fn step(weight: &mut f32, seen: &mut f32, gradient: f32, rate: f32) {
    *seen += gradient * gradient;
    *weight -= rate * gradient / (seen.sqrt() + 1e-3);
}

impl Fit {
    fn new(chance: &mut Chance) -> Self {
        let mut around =
            |count: usize, size: f32| (0..count).map(|_| (chance.share() - 0.5) * size).collect::<Vec<f32>>();
        let loose = Loose {
            bias: 0.0,
            wide: vec![0.0; WIDE],
            deep: around(DEEP * VECTOR, 0.2),
            inner: around(INPUTS * UNITS, 0.3),
            inner_bias: vec![0.05; UNITS],
            outer: around(UNITS, 0.8),
        };
        Self {
            loose,
            wide_seen: vec![0.0; WIDE],
            deep_seen: vec![0.0; DEEP * VECTOR],
            inner_seen: vec![0.0; (INPUTS + 1) * UNITS],
            outer_seen: vec![0.0; UNITS],
            bias_seen: 0.0,
        }
    }

    fn pass(&self, features: &Features, lesson: Lesson) -> Pass {
        let mut logit = self.loose.bias;
        let groups = [&features.letters, &features.words, &features.concepts];
        for ((group, spare), used) in groups.into_iter().zip(SPARE).zip(lesson.groups) {
            if used {
                let sum: f32 = group.iter().map(|&at| self.loose.wide[at as usize]).sum();
                logit += sum * weight_of(group.len(), spare);
            }
        }
        let mut inputs = Vec::with_capacity(INPUTS);
        for (buckets, spare) in [(&features.deep_words, 2.0), (&features.deep_concepts, 4.0)] {
            let mut sum = [0.0; VECTOR];
            for &bucket in buckets {
                let from = usize::from(bucket) * VECTOR;
                for (total, part) in sum.iter_mut().zip(&self.loose.deep[from..from + VECTOR]) {
                    *total += part;
                }
            }
            let weight = weight_of(buckets.len(), spare);
            inputs.extend(sum.map(|total| total * weight));
        }
        inputs.extend_from_slice(&features.measures);
        assert_eq!(features.measures.len(), MEASURES, "a window has as many measures as the network reads");
        let mut units = Vec::with_capacity(UNITS);
        for (row, bias) in self.loose.inner.chunks_exact(INPUTS).zip(&self.loose.inner_bias) {
            let sum: f32 = row.iter().zip(&inputs).map(|(weight, input)| weight * input).sum();
            units.push((sum + bias).max(0.0));
        }
        if lesson.network {
            logit += units.iter().zip(&self.loose.outer).map(|(unit, weight)| unit * weight).sum::<f32>();
        }
        Pass { inputs, units, logit }
    }

    fn learn(&mut self, features: &Features, pass: &Pass, lesson: Lesson, slope: f32) {
        step(&mut self.loose.bias, &mut self.bias_seen, slope, 0.05);
        let groups = [&features.letters, &features.words, &features.concepts];
        for ((group, spare), used) in groups.into_iter().zip(SPARE).zip(lesson.groups) {
            if used {
                let weight = weight_of(group.len(), spare);
                for &at in group {
                    let at = at as usize;
                    let gradient = slope * weight + SHRINK * self.loose.wide[at];
                    step(&mut self.loose.wide[at], &mut self.wide_seen[at], gradient, RATE_WIDE);
                }
            }
        }
        if !lesson.network {
            return;
        }
        let mut back = vec![0.0; INPUTS];
        for unit in 0..UNITS {
            let outer = self.loose.outer[unit];
            step(
                &mut self.loose.outer[unit],
                &mut self.outer_seen[unit],
                slope * pass.units[unit] + SHRINK * outer,
                RATE_NETWORK,
            );
            if pass.units[unit] <= 0.0 {
                continue;
            }
            let own = slope * outer;
            let from = unit * INPUTS;
            for (input, (value, back)) in pass.inputs.iter().zip(&mut back).enumerate() {
                let weight = self.loose.inner[from + input];
                *back += own * weight;
                if *value != 0.0 {
                    let gradient = own * value + SHRINK * weight;
                    step(
                        &mut self.loose.inner[from + input],
                        &mut self.inner_seen[from + input],
                        gradient,
                        RATE_NETWORK,
                    );
                }
            }
            step(
                &mut self.loose.inner_bias[unit],
                &mut self.inner_seen[UNITS * INPUTS + unit],
                own,
                RATE_NETWORK,
            );
        }
        for (at, (buckets, spare)) in
            [(&features.deep_words, 2.0), (&features.deep_concepts, 4.0)].into_iter().enumerate()
        {
            let weight = weight_of(buckets.len(), spare);
            let back = &back[at * VECTOR..(at + 1) * VECTOR];
            for &bucket in buckets {
                let from = usize::from(bucket) * VECTOR;
                for (part, back) in back.iter().enumerate() {
                    let gradient = back * weight + SHRINK * self.loose.deep[from + part];
                    step(
                        &mut self.loose.deep[from + part],
                        &mut self.deep_seen[from + part],
                        gradient,
                        RATE_VECTORS,
                    );
                }
            }
        }
    }
}

/// The mean of the weights at several moments of a run.
#[derive(Default)]
struct Mean {
    sum: Option<Loose>,
    count: f32,
}

impl Mean {
    fn add(&mut self, loose: &Loose) {
        self.count += 1.0;
        let Some(sum) = &mut self.sum else {
            self.sum = Some(loose.clone());
            return;
        };
        sum.bias += loose.bias;
        for (sum, table) in [
            (&mut sum.wide, &loose.wide),
            (&mut sum.deep, &loose.deep),
            (&mut sum.inner, &loose.inner),
            (&mut sum.inner_bias, &loose.inner_bias),
            (&mut sum.outer, &loose.outer),
        ] {
            sum.iter_mut().zip(table).for_each(|(sum, weight)| *sum += weight);
        }
    }

    fn taken(self) -> Loose {
        let mut loose = self.sum.expect("at least the last weights");
        loose.bias /= self.count;
        for table in
            [&mut loose.wide, &mut loose.deep, &mut loose.inner, &mut loose.inner_bias, &mut loose.outer]
        {
            table.iter_mut().for_each(|weight| *weight /= self.count);
        }
        loose
    }
}

/// How many runs the weights are the mean of. They begin alike and learn in orders of their own: what one order happens to make of
/// a line that many texts share is chance, and outweighs what is learnt about it.
const RUNS: u64 = 3;

/// The weights that fit the rows, rounded; thresholds are not set.
pub(crate) fn fit(rows: &[Measured], seed: u64) -> Model {
    let start = Fit::new(&mut Chance::new(seed));
    let means: Vec<Loose> = std::thread::scope(|scope| {
        let run = |run: u64| {
            let fit = start.clone();
            scope.spawn(move || learnt(fit, rows, Chance::new(seed ^ (run + 1) << 32)))
        };
        let runs: Vec<_> = (0..RUNS).map(run).collect();
        runs.into_iter().map(|run| run.join().expect("no run breaks off")).collect()
    });
    let mut mean = Mean::default();
    means.iter().for_each(|loose| mean.add(loose));
    Model::round(&mean.taken()).expect("tables of the sizes that they were made with")
}

/// What one run makes of the rows: the mean of its last moments.
fn learnt(mut fit: Fit, rows: &[Measured], mut chance: Chance) -> Loose {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    let mut mean = Mean::default();
    for epoch in 0..EPOCHS {
        chance.shuffle(&mut order);
        for (count, &at) in order.iter().enumerate() {
            if epoch + 1 == EPOCHS && count % EVERY == EVERY - 1 {
                mean.add(&fit.loose);
            }
            let row = &rows[at];
            // A group of n-grams that is missing now and then leaves the others to learn what it would have said.
            let lesson = Lesson {
                groups: DROPPED.map(|dropped| chance.share() > dropped),
                network: chance.share() >= DROPPED_NETWORK,
            };
            let passes: Vec<Pass> = row.windows.iter().map(|window| fit.pass(window, lesson)).collect();
            let worst =
                (0..passes.len()).max_by(|&a, &b| passes[a].logit.total_cmp(&passes[b].logit)).unwrap_or(0);
            let mut taught = vec![worst];
            if !row.attack && passes.len() > 1 {
                let other = chance.below(passes.len());
                if other != worst {
                    taught.push(other);
                }
            }
            for window in taught {
                let wanted = if row.attack { 1.0 - DOUBT } else { DOUBT };
                let slope = (sigmoid(passes[window].logit) - wanted) * row.weight;
                fit.learn(&row.windows[window], &passes[window], lesson, slope);
            }
        }
    }
    mean.add(&fit.loose);
    mean.taken()
}

/// The logit of a measured text.
pub(crate) fn judge(model: &Model, windows: &[Features]) -> f32 {
    windows.iter().map(|window| model.logit(window)).fold(f32::MIN, f32::max)
}

/// The floor: a plain logistic regression over hashed words, pairs of words and character n-grams of the text as it is.
pub(crate) struct Floor {
    weights: Vec<f32>,
    bias: f32,
}

const FLOOR_BUCKETS: usize = 1 << 18;

fn plain(text: &str) -> Vec<u32> {
    let lower = text.to_lowercase();
    let mut found = Vec::new();
    let hash = |part: &str, kind: u64| {
        let mut hash = 0xcbf2_9ce4_8422_2325 ^ kind;
        for byte in part.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        (hash ^ (hash >> 29)) as u32 & (FLOOR_BUCKETS as u32 - 1)
    };
    let words: Vec<&str> =
        lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    found.extend(words.iter().map(|word| hash(word, 1)));
    found.extend(words.windows(2).map(|pair| hash(&pair.join(" "), 2)));
    let chars: Vec<(usize, char)> = lower.char_indices().collect();
    for size in 3..=5 {
        for start in 0..chars.len().saturating_sub(size - 1) {
            let end = chars.get(start + size).map_or(lower.len(), |(at, _)| *at);
            found.push(hash(&lower[chars[start].0..end], 3));
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

impl Floor {
    pub(crate) fn fit(rows: &[&Row], seed: u64) -> Self {
        let features: Vec<Vec<u32>> = rows.iter().map(|row| plain(&row.text)).collect();
        let attacks = rows.iter().filter(|row| row.attack).count().max(1) as f32;
        let all = rows.len() as f32;
        let mut floor = Self { weights: vec![0.0; FLOOR_BUCKETS], bias: 0.0 };
        let mut seen = vec![0.0; FLOOR_BUCKETS];
        let mut bias_seen = 0.0;
        let mut chance = Chance::new(seed);
        let mut order: Vec<usize> = (0..rows.len()).collect();
        for _ in 0..FLOOR_EPOCHS {
            chance.shuffle(&mut order);
            for &at in &order {
                let own = &features[at];
                let scale = 1.0 / (own.len().max(1) as f32).sqrt();
                let logit =
                    floor.bias + own.iter().map(|&at| floor.weights[at as usize]).sum::<f32>() * scale;
                let (wanted, weight) = if rows[at].attack {
                    (1.0, all / attacks / 2.0)
                } else {
                    (0.0, all / (all - attacks) / 2.0)
                };
                let slope = (sigmoid(logit) - wanted) * weight;
                step(&mut floor.bias, &mut bias_seen, slope, 0.1);
                for &at in own {
                    let at = at as usize;
                    let gradient = slope * scale + 1e-6 * floor.weights[at];
                    step(&mut floor.weights[at], &mut seen[at], gradient, 0.3);
                }
            }
        }
        floor
    }

    pub(crate) fn judge(&self, text: &str) -> f32 {
        let own = plain(text);
        let scale = 1.0 / (own.len().max(1) as f32).sqrt();
        self.bias + own.iter().map(|&at| self.weights[at as usize]).sum::<f32>() * scale
    }
}
