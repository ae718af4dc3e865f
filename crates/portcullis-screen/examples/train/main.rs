//! Makes the weights of the screen and the report on them; `cargo xtask train-screen` runs it.
//!
//! Three kinds of models are fitted. One without each fold of sources: the report judges that fold with it. One without
//! each two folds: the thresholds at which the report judges a fold come from the other's ordinary texts, so they know
//! neither. One from everything ships. All of it is the same in every run.

#![expect(clippy::print_stdout, reason = "a development tool speaks to its caller")]
#![expect(
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::expect_used,
    clippy::panic,
    reason = "a development tool: a mistake ends it"
)]

mod chance;
mod coded;
mod fit;
mod forum;
mod report;
mod rows;
mod sums;
mod templates;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use portcullis_screen::features::Features;
use portcullis_screen::model::{Model, Origin};
use portcullis_screen::{Channel, Screen, judge, to_score};

use crate::chance::Chance;
use crate::forum::Forum;
use crate::report::Judged;
use crate::rows::{FOLDS, Group, Row};

/// Of the ordinary texts of sources that a model has not seen, look-alikes apart, at most this share is flagged, every source
/// counting the same.
const FLAGS: f64 = 0.02;
/// And at most this share is blocked.
const BLOCKS: f64 = 0.005;
/// Of the first forum's texts.
const FORUM_FLAGS: f64 = 0.01;
/// And blocked.
const FORUM_BLOCKS: f64 = 0.002;
/// Where the report stands in the document.
const BEGIN: &str = "<!-- report:begin -->";
const END: &str = "<!-- report:end -->";

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let data = PathBuf::from(arguments.next().context("the first argument is the folder with the data")?);
    let check = arguments.next().is_some_and(|argument| argument == "--check");
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let weights_path = here.join("src/weights.bin");
    let document_path = here.join("../../docs/screen.md");

    let made = Made::from(&data, here)?;
    let document = std::fs::read_to_string(&document_path).context("`docs/screen.md` cannot be read")?;
    let renewed = renew(&document, &made.report)?;
    if check {
        let weights = std::fs::read(&weights_path).context("the weights cannot be read")?;
        if weights != made.weights || document != renewed {
            bail!(
                "the committed weights or the report in `docs/screen.md` are not what training makes; run `cargo xtask train-screen`"
            );
        }
        println!("weights and report are what training makes");
    } else {
        std::fs::write(&weights_path, &made.weights).context("the weights cannot be written")?;
        std::fs::write(&document_path, renewed).context("`docs/screen.md` cannot be written")?;
        println!("{} bytes of weights, and the report in docs/screen.md", made.weights.len());
    }
    Ok(())
}

/// The document with that report in the place of its own.
fn renew(document: &str, report: &str) -> anyhow::Result<String> {
    let (before, rest) =
        document.split_once(BEGIN).context("`docs/screen.md` has no place for the report")?;
    let (_, after) = rest.split_once(END).context("`docs/screen.md` has no end of the report")?;
    Ok(format!("{before}{BEGIN}\n{report}{END}{after}"))
}

/// What a run makes.
struct Made {
    weights: Vec<u8>,
    report: String,
}

/// What every fit begins from.
struct Sets {
    all: Vec<Row>,
    forums: Vec<(&'static str, Forum)>,
    held: Vec<(bool, String)>,
}

/// What a channel's part of a run makes.
struct Part {
    model: Model,
    thresholds: String,
    recall: String,
    hard: String,
    operating: String,
    shipped: String,
    held: String,
}

impl Made {
    fn from(data: &Path, here: &Path) -> anyhow::Result<Self> {
        let all = rows::read(&rows::bytes(&data.join(sums::DATA[0]))?)?;
        let mut forums = Vec::new();
        for name in &sums::DATA[1..] {
            let short = name.trim_start_matches("communities/").trim_end_matches(".tar.zst");
            forums.push((short, forum::read(&rows::bytes(&data.join(name))?)?));
        }
        let held = include_str!("held.txt").lines().filter(|line| !line.starts_with('#'));
        let held = held
            .filter_map(|line| line.split_once(": "))
            .map(|(label, text)| (label == "attack", text.to_owned()));
        let sets = Sets { all, forums, held: held.collect() };
        // Neither knows of the other, so both may be made at once.
        let (question, document) = std::thread::scope(|scope| {
            let question = scope.spawn(|| Part::of(&sets, Channel::Question));
            let document = Part::of(&sets, Channel::Document);
            (question.join().expect("the part of questions"), document)
        });
        let report = write(&question, &document);
        let origin = Origin {
            code: sums::of(here, sums::CODE)?,
            data: sums::of(data, sums::DATA)?,
            report: sums::of_text(&report),
        };
        Ok(Self { weights: Screen::write(&question.model, &document.model, &origin), report })
    }
}

/// The rows that a model for that channel learns from, with how much each counts.
fn taught<'a>(rows: impl Iterator<Item = &'a Row>, channel: Channel) -> Vec<(&'a Row, f32)> {
    rows.filter_map(|row| {
        let short = row.text.len() < 300;
        if row.channel == channel {
            Some((row, 1.0))
        } else if channel == Channel::Document || (row.attack && short && row.group != "llmail-inject") {
            // What is an attack by itself is one inside a document, and the other way round if it is short.
            Some((row, 0.3))
        } else {
            None
        }
    })
    .collect()
}

/// A model that has seen nothing of these groups, nor any text around theirs.
fn without(sets: &Sets, left_out: &[Group], channel: Channel) -> Model {
    let seen = || sets.all.iter().filter(|row| !left_out.contains(&row.group));
    let carriers: Vec<&Row> = seen().filter(|row| row.channel == Channel::Document && !row.attack).collect();
    let own = rows::own(&carriers, channel, 1);
    let taught = taught(seen().chain(&own), channel);
    fit::fit(&fit::measure(&taught, channel), 7)
}

/// The texts by which a fold is judged: its own, and for documents its attacks planted in its ordinary documents.
fn tested(sets: &Sets, fold: &[Group], channel: Channel) -> Vec<Row> {
    let own = || sets.all.iter().filter(|row| fold.contains(&row.group));
    let mut rows: Vec<Row> = own().filter(|row| row.channel == channel).cloned().collect();
    if channel == Channel::Document {
        let carriers: Vec<&Row> = own().filter(|row| row.channel == channel && !row.attack).collect();
        let attacks: Vec<&Row> = own()
            .filter(|row| row.channel == Channel::Question && row.attack && row.text.len() < 400)
            .collect();
        let hard: Vec<&Row> = own().filter(|row| row.channel == Channel::Question && row.hard).collect();
        let mut chance = Chance::new(5);
        let every = (attacks.len() / 1_000).max(1);
        if !carriers.is_empty() {
            for row in attacks.into_iter().step_by(every).chain(hard) {
                let carrier = carriers[chance.below(carriers.len())];
                let text = rows::plant(&carrier.text, &row.text, &mut chance);
                rows.push(Row { text, group: planted(row), channel, ..row.clone() });
            }
        }
    }
    rows
}

fn planted(row: &Row) -> Group {
    match (row.group, row.hard) {
        ("S-Labs", false) => "S-Labs, planted in PEPs",
        ("neuralchemy", false) => "neuralchemy, planted in rust book",
        ("neuralchemy", true) => "neuralchemy look-alikes, planted in rust book",
        (_, false) => "planted",
        (_, true) => "look-alikes, planted",
    }
}

impl Part {
    fn of(sets: &Sets, channel: Channel) -> Self {
        let tests: Vec<Vec<Row>> = FOLDS.iter().map(|(fold, _)| tested(sets, fold, channel)).collect();
        let measured: Vec<Vec<Vec<Features>>> = tests
            .iter()
            .map(|rows| rows.iter().map(|row| fit::windows(&row.text, channel)).collect())
            .collect();
        // Look-alikes are chosen to be mistaken, so how often they are says nothing about ordinary text.
        let benign_logits = |model: &Model, fold: usize| -> Vec<Vec<f32>> {
            let mut groups: BTreeMap<Group, Vec<f32>> = BTreeMap::new();
            for (row, windows) in
                tests[fold].iter().zip(&measured[fold]).filter(|(row, _)| !row.attack && !row.hard)
            {
                groups.entry(row.group).or_default().push(fit::judge(model, windows));
            }
            groups.into_values().collect()
        };

        // Thresholds for each fold, from the ordinary texts of the others, by models that saw neither.
        let mut apart: Vec<Vec<Vec<f32>>> = vec![Vec::new(); FOLDS.len()];
        for one in 0..FOLDS.len() {
            for other in one + 1..FOLDS.len() {
                let both: Vec<Group> = FOLDS[one].0.iter().chain(FOLDS[other].0).copied().collect();
                let model = without(sets, &both, channel);
                apart[one].extend(benign_logits(&model, other));
                apart[other].extend(benign_logits(&model, one));
            }
        }

        let (mut recall, mut hard, mut operating) = (String::new(), String::new(), String::new());
        let mut unseen: Vec<Vec<f32>> = Vec::new();
        for (at, (fold, name)) in FOLDS.iter().enumerate() {
            let model = without(sets, fold, channel);
            unseen.extend(benign_logits(&model, at));
            let seen: Vec<&Row> = taught(sets.all.iter().filter(|row| !fold.contains(&row.group)), channel)
                .into_iter()
                .map(|(row, _)| row)
                .collect();
            let floor = fit::Floor::fit(&seen, 7);
            let judged: Vec<Judged> = tests[at]
                .iter()
                .zip(&measured[at])
                .map(|(row, windows)| Judged {
                    group: row.group,
                    attack: row.attack,
                    hard: row.hard,
                    made: row.hard && channel == Channel::Document,
                    model: fit::judge(&model, windows),
                    floor: floor.judge(&row.text),
                })
                .collect();
            report::recall(name, &judged, &mut recall);
            report::hard(&judged, &mut hard);
            let (flag, block) = (report::balanced(&apart[at], FLAGS), report::balanced(&apart[at], BLOCKS));
            report::operating(&judged, flag, block, &mut operating);
        }

        let model = without(sets, &[], channel);
        let logits = |forum: &Forum| -> Vec<f32> {
            let texts = match channel {
                Channel::Question => &forum.titles,
                Channel::Document => &forum.pieces,
            };
            texts.iter().map(|text| judge::logit(&model, text, channel)).collect()
        };
        let forums: Vec<Vec<f32>> = sets.forums.iter().map(|(_, forum)| logits(forum)).collect();
        // The first forum calibrates too; the others only measure.
        let calibrates = |share: f64| report::above(forums[0].clone(), share);
        let flag = report::balanced(&unseen, FLAGS).max(calibrates(FORUM_FLAGS));
        let block = report::balanced(&unseen, BLOCKS).max(calibrates(FORUM_BLOCKS)).max(flag);
        let (mut shipped, mut thresholds) = (String::new(), String::new());
        for (at, ((name, _), logits)) in sets.forums.iter().zip(&forums).enumerate() {
            let note = if at == 0 { " (calibrates)" } else { "" };
            report::shipped(&format!("{name}{note}"), logits, flag, block, &mut shipped);
        }
        for (threshold, limit, most) in
            [("flag", flag, [FLAGS, FORUM_FLAGS]), ("block", block, [BLOCKS, FORUM_BLOCKS])]
        {
            let of = report::Calibrated {
                channel: channel.name(),
                threshold,
                score: to_score(limit, flag),
                limit,
                most,
                unseen: &unseen,
                forums: &forums,
            };
            report::calibrated(&of, &mut thresholds);
        }
        let held = if channel == Channel::Question { held(sets, &model, flag, block) } else { String::new() };
        Self { model: model.with_thresholds(flag, block), thresholds, recall, hard, operating, shipped, held }
    }
}

/// The texts written for measuring, by the shipped weights and by a floor of everything.
fn held(sets: &Sets, model: &Model, flag: f32, block: f32) -> String {
    let mut out = String::new();
    let seen: Vec<&Row> =
        taught(sets.all.iter(), Channel::Question).into_iter().map(|(row, _)| row).collect();
    let floor = fit::Floor::fit(&seen, 7);
    let ordinary: Vec<&String> = sets.forums[0].1.titles.iter().collect();
    let floor_flag = report::above(ordinary.iter().map(|text| floor.judge(text)).collect(), FORUM_FLAGS);
    let model_same = report::above(
        ordinary.iter().map(|text| judge::logit(model, text, Channel::Question)).collect(),
        FORUM_FLAGS,
    );
    for attack in [true, false] {
        let texts: Vec<&String> =
            sets.held.iter().filter(|(label, _)| *label == attack).map(|(_, text)| text).collect();
        let logits: Vec<f32> =
            texts.iter().map(|text| judge::logit(model, text, Channel::Question)).collect();
        let count = |over: &dyn Fn(usize) -> bool| (0..texts.len()).filter(|at| over(*at)).count();
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} |",
            if attack { "attacks" } else { "harmless look-alikes" },
            texts.len(),
            count(&|at| floor.judge(texts[at]) > floor_flag),
            count(&|at| logits[at] > model_same),
            count(&|at| logits[at] >= flag),
            count(&|at| logits[at] >= block)
        );
    }
    out
}

fn write(question: &Part, document: &Part) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "\n## Thresholds: what they are calibrated to, and what reaches them\n");
    let _ = writeln!(
        out,
        "| channel | threshold | score | sources left out: at most | mean | highest | urho3d-forum: at most | measured | other forums: highest |"
    );
    let _ = writeln!(
        out,
        "|---|---|---|---|---|---|---|---|---|\n{}{}",
        question.thresholds,
        document.thresholds.trim_end()
    );
    for (name, part) in [("Questions", question), ("Documents", document)] {
        let _ = writeln!(out, "\n## {name}: recall on sources left out\n");
        let _ = writeln!(
            out,
            "| attacks of | count | ordinary texts of its fold | floor at 1 % | model at 1 % | floor at 5 % | model at 5 % |"
        );
        let _ = writeln!(out, "|---|---|---|---|---|---|---|\n{}", part.recall.trim_end());
        if !part.hard.is_empty() {
            let planted = if name == "Documents" { ", planted in ordinary documents" } else { "" };
            let _ = writeln!(
                out,
                "\n## {name}: false positives on harmless look-alikes of sources left out{planted}\n"
            );
            let _ = writeln!(
                out,
                "| source | count | floor at 1 % | model at 1 % | floor at 5 % | model at 5 % |"
            );
            let _ = writeln!(out, "|---|---|---|---|---|---|\n{}", part.hard.trim_end());
        }
        let _ = writeln!(out, "\n## {name}: at thresholds that know nothing of the source\n");
        let _ = writeln!(out, "| source | kind | count | flagged | of these blocked |");
        let _ = writeln!(out, "|---|---|---|---|---|\n{}", part.operating.trim_end());
        if !part.held.is_empty() {
            let _ = writeln!(out, "\n## {name}: written by hand for measuring\n");
            let _ = writeln!(
                out,
                "| kind | count | floor at 1 % of urho3d titles | model at the same | model flags | model blocks |"
            );
            let _ = writeln!(out, "|---|---|---|---|---|---|\n{}", part.held.trim_end());
        }
        let what = if name == "Questions" { "titles asked as questions" } else { "passages" };
        let _ = writeln!(out, "\n## {name}: the shipped weights and thresholds on forums ({what})\n");
        let _ = writeln!(out, "| forum | count | flagged | of these blocked |");
        let _ = writeln!(out, "|---|---|---|---|\n{}", part.shipped.trim_end());
    }
    out.push('\n');
    out
}
