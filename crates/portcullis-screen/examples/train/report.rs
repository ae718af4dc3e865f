//! What the weights are worth, on sources that they were not made from, beside the floor.

use std::fmt::Write as _;

/// A text that was judged: by the model, and by the floor.
#[derive(Debug, Clone)]
pub(crate) struct Judged {
    pub(crate) group: &'static str,
    pub(crate) attack: bool,
    pub(crate) hard: bool,
    /// Whether it was made for this by planting a look-alike in a document, which says nothing about ordinary ones.
    pub(crate) made: bool,
    pub(crate) model: f32,
    pub(crate) floor: f32,
}

/// The logit that this share of the values reaches or passes; above all of them if there are none.
pub(crate) fn above(mut values: Vec<f32>, share: f64) -> f32 {
    values.sort_unstable_by(|a, b| b.total_cmp(a));
    // As many values may stay above as the share allows, rounded down: at most the stated rate.
    let allowed = (values.len() as f64 * share) as usize;
    values.get(allowed).copied().unwrap_or(f32::MAX)
}

/// The logit above which this share of ordinary texts lies, every group of them counting the same.
pub(crate) fn balanced(groups: &[Vec<f32>], share: f64) -> f32 {
    let mut all: Vec<f32> = groups.iter().flatten().copied().collect();
    all.sort_unstable_by(|a, b| b.total_cmp(a));
    let rate = |limit: f32| {
        let rates = groups.iter().filter(|group| !group.is_empty());
        let (sum, count) = rates.fold((0.0, 0.0), |(sum, count), group| {
            let over = group.iter().filter(|value| **value > limit).count();
            (sum + over as f64 / group.len() as f64, count + 1.0)
        });
        if count == 0.0 { 1.0 } else { sum / count }
    };
    // The rate falls as the limit rises, so the last value that keeps it is found by halving.
    let (mut low, mut high) = (0, all.len());
    while low + 1 < high {
        let middle = usize::midpoint(low, high);
        if rate(all[middle]) <= share { low = middle } else { high = middle }
    }
    all.get(low).copied().unwrap_or(f32::MAX)
}

fn share(count: usize, of: usize) -> String {
    if of == 0 { "-".to_owned() } else { format!("{:.1} %", 100.0 * count as f64 / of as f64) }
}

fn over<'a>(
    rows: impl Iterator<Item = &'a Judged>,
    value: impl Fn(&Judged) -> f32,
    limit: f32,
) -> (usize, usize) {
    rows.fold((0, 0), |(over, all), row| (over + usize::from(value(row) > limit), all + 1))
}

/// What the limits of a fold come from.
fn ordinary(judged: &[Judged]) -> impl Iterator<Item = &Judged> {
    judged.iter().filter(|row| !row.attack && !row.made)
}

/// The rows of a table about the attacks of a fold: recall at 1 % and 5 % false positives on its ordinary texts.
pub(crate) fn recall(fold: &str, judged: &[Judged], out: &mut String) {
    let mut groups: Vec<&str> = judged.iter().filter(|row| row.attack).map(|row| row.group).collect();
    groups.sort_unstable();
    groups.dedup();
    let benign = ordinary(judged).count();
    if benign == 0 {
        return;
    }
    let limit = |value: fn(&Judged) -> f32, share: f64| above(ordinary(judged).map(value).collect(), share);
    let model: fn(&Judged) -> f32 = |row| row.model;
    let floor: fn(&Judged) -> f32 = |row| row.floor;
    for group in groups {
        let of = |value: fn(&Judged) -> f32, rate: f64| {
            let (found, all) =
                over(judged.iter().filter(|row| row.attack && row.group == group), value, limit(value, rate));
            share(found, all)
        };
        let attacks = judged.iter().filter(|row| row.attack && row.group == group).count();
        let _ = writeln!(
            out,
            "| {group} | {attacks} | {benign} ({fold}) | {} | {} | {} | {} |",
            of(floor, 0.01),
            of(model, 0.01),
            of(floor, 0.05),
            of(model, 0.05)
        );
    }
}

/// The rows of a table about harmless texts that look like attacks, at the limits of their fold.
pub(crate) fn hard(judged: &[Judged], out: &mut String) {
    let mut groups: Vec<&str> = judged.iter().filter(|row| row.hard).map(|row| row.group).collect();
    groups.sort_unstable();
    groups.dedup();
    for group in groups {
        let of = |value: fn(&Judged) -> f32, rate: f64| {
            let limit = above(ordinary(judged).map(value).collect(), rate);
            let (found, all) = over(judged.iter().filter(|row| row.hard && row.group == group), value, limit);
            share(found, all)
        };
        let count = judged.iter().filter(|row| row.hard && row.group == group).count();
        let _ = writeln!(
            out,
            "| {group} | {count} | {} | {} | {} | {} |",
            of(|row| row.floor, 0.01),
            of(|row| row.model, 0.01),
            of(|row| row.floor, 0.05),
            of(|row| row.model, 0.05)
        );
    }
}

/// The rows of a table about what thresholds do that know nothing of the fold.
pub(crate) fn operating(judged: &[Judged], flag: f32, block: f32, out: &mut String) {
    let mut groups: Vec<(&str, bool)> = judged.iter().map(|row| (row.group, row.attack)).collect();
    groups.sort_unstable();
    groups.dedup();
    for (group, attack) in groups {
        let rows = || judged.iter().filter(|row| row.group == group && row.attack == attack);
        let (flagged, all) = over(rows(), |row| row.model, flag);
        let (blocked, _) = over(rows(), |row| row.model, block);
        let kind = if attack { "attacks" } else { "ordinary" };
        let _ =
            writeln!(out, "| {group} | {kind} | {all} | {} | {} |", share(flagged, all), share(blocked, all));
    }
}

/// What one threshold is calibrated to, and what share of texts reaches it.
pub(crate) struct Calibrated<'a> {
    pub(crate) channel: &'a str,
    pub(crate) threshold: &'a str,
    pub(crate) score: f32,
    pub(crate) limit: f32,
    /// The most of the ordinary texts of sources left out, and of the first forum.
    pub(crate) most: [f64; 2],
    /// The ordinary texts of each source left out, by models that have not seen it.
    pub(crate) unseen: &'a [Vec<f32>],
    /// The texts of the forums, the first of which calibrates.
    pub(crate) forums: &'a [Vec<f32>],
}

/// A row of the table of thresholds.
pub(crate) fn calibrated(of: &Calibrated<'_>, out: &mut String) {
    let rate = |values: &Vec<f32>| {
        let over = values.iter().filter(|value| **value >= of.limit).count();
        over as f64 / values.len().max(1) as f64
    };
    let percent = |rate: f64| format!("{:.1} %", 100.0 * rate);
    let highest = |groups: &[Vec<f32>]| percent(groups.iter().map(rate).fold(0.0, f64::max));
    let sources: Vec<f64> = of.unseen.iter().filter(|group| !group.is_empty()).map(rate).collect();
    let mean = sources.iter().sum::<f64>() / sources.len().max(1) as f64;
    let [sources, forum] = of.most.map(percent);
    let (first, others) = of.forums.split_at(1);
    let _ = writeln!(
        out,
        "| {} | {} | {:.3} | {sources} | {} | {} | {forum} | {} | {} |",
        of.channel,
        of.threshold,
        of.score,
        percent(mean),
        highest(of.unseen),
        highest(first),
        highest(others)
    );
}

/// One row about texts at the shipped thresholds.
pub(crate) fn shipped(name: &str, logits: &[f32], flag: f32, block: f32, out: &mut String) {
    let flagged = logits.iter().filter(|logit| **logit >= flag).count();
    let blocked = logits.iter().filter(|logit| **logit >= block).count();
    let _ = writeln!(
        out,
        "| {name} | {} | {} | {} |",
        logits.len(),
        share(flagged, logits.len()),
        share(blocked, logits.len())
    );
}
