//! Makes the weights of the screen and the report on them: `cargo xtask train-screen`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a development tool speaks to its caller")]
#![expect(clippy::indexing_slicing, clippy::string_slice, clippy::expect_used, clippy::panic, reason = "a development tool: a mistake ends it")]

mod chance;
mod fit;
mod rows;
mod templates;

use std::collections::BTreeMap;
use std::path::PathBuf;

use portcullis_screen::Channel;

use crate::rows::{FOLDS, Row};

fn main() -> anyhow::Result<()> {
    let data = PathBuf::from(std::env::args().nth(1).expect("the data set"));
    let dump = std::env::var("DUMP").is_ok();
    let only: Option<usize> = std::env::args().nth(2).and_then(|n| n.parse().ok());
    let all = rows::read(&rows::bytes(&data)?)?;
    for (at, (left_out, name)) in FOLDS.iter().enumerate() {
        if only.is_some_and(|only| only != at) {
            continue;
        }
        let start = std::time::Instant::now();
        let seen: Vec<&Row> = all.iter().filter(|row| !left_out.contains(&row.group)).collect();
        let unseen: Vec<&Row> = all.iter().filter(|row| left_out.contains(&row.group)).collect();
        println!("== {name}");
        for channel in Channel::ALL {
            if std::env::var("ONLY").is_ok_and(|o| o != channel.name()) { continue; }
            let (model, floor) = train(&seen, channel);
            let mut test: Vec<(&str, bool, bool, String)> = unseen.iter().filter(|row| row.channel == channel).map(|row| (row.group, row.attack, row.hard, row.text.clone())).collect();
            if channel == Channel::Document {
                let carriers: Vec<&&Row> = unseen.iter().filter(|row| row.channel == channel && !row.attack).collect();
                let attacks: Vec<&&Row> = unseen.iter().filter(|row| row.channel == Channel::Question && row.attack).collect();
                let mut chance = chance::Chance::new(5);
                if !carriers.is_empty() { for attack in attacks.iter().take(1000).filter(|a| a.text.len() < 400) {
                    let carrier = carriers[chance.below(carriers.len())];
                    test.push(("planted", true, false, rows::plant(&carrier.text, &attack.text, &mut chance)));
                } }
            }
            let model_scores: Vec<f32> = test.iter().map(|row| fit::judge(&model, &fit::windows(&row.3, channel))).collect();
            if dump && channel == Channel::ALL[fit::K("CH",0.0) as usize] {
                let mut b: Vec<(f32, &str)> = test.iter().zip(&model_scores).filter(|(r, _)| !r.1).map(|(r, s)| (*s, r.3.as_str())).collect();
                b.sort_by(|a, b| b.0.total_cmp(&a.0));
                for (s, t) in b.iter().take(40) { println!("FP {s:.2} {:?}", t.chars().take(200).collect::<String>()); }
                let t = b[b.len() / 100].0;
                let missed: Vec<_> = test.iter().zip(&model_scores).filter(|(r, s)| r.1 && **s < t).collect();
                for (r, s) in missed.iter().step_by((missed.len() / 60).max(1)) { println!("FN {} {s:.2} {:?}", r.0, r.3.chars().take(200).collect::<String>()); }
            }
            let floor_scores: Vec<f32> = test.iter().map(|row| floor.judge(&row.3)).collect();
            for (which, scores) in [("model", &model_scores), ("floor", &floor_scores)] {
                let benign: Vec<f32> = test.iter().zip(scores).filter(|(row, _)| !row.1).map(|(_, s)| *s).collect();
                if benign.is_empty() { continue; }
                let at = |share: f32| { let mut b = benign.clone(); b.sort_unstable_by(f32::total_cmp); b[((b.len() as f32 * (1.0 - share)) as usize).min(b.len() - 1)] };
                let (one, five) = (at(0.01), at(0.05));
                let mut groups: BTreeMap<&str, Vec<f32>> = BTreeMap::new();
                for (row, score) in test.iter().zip(scores).filter(|(row, _)| row.1) { groups.entry(row.0).or_default().push(*score); }
                let mut hard: Vec<f32> = test.iter().zip(scores).filter(|(row, _)| row.2).map(|(_, s)| *s).collect();
                hard.sort_unstable_by(f32::total_cmp);
                for (group, scores) in groups {
                    let recall = |t: f32| scores.iter().filter(|s| **s > t).count() as f32 / scores.len() as f32 * 100.0;
                    println!("{:9} {which} {group:14} n={:5} benign={:5} r@1={:5.1} r@5={:5.1}  hard fp@1={:.0}% @5={:.0}% of {}", channel.name(), scores.len(), benign.len(), recall(one), recall(five),
                        hard.iter().filter(|s| **s > one).count() as f32 / hard.len().max(1) as f32 * 100.0, hard.iter().filter(|s| **s > five).count() as f32 / hard.len().max(1) as f32 * 100.0, hard.len());
                }
            }
        }
        eprintln!("{:?}", start.elapsed());
    }
    Ok(())
}

fn train(seen: &[&Row], channel: Channel) -> (portcullis_screen::model::Model, fit::Floor) {
    let carriers: Vec<&Row> = seen.iter().copied().filter(|row| row.channel == Channel::Document && !row.attack).collect();
    let own = rows::own(&carriers, 1);
    let mut taught: Vec<(&Row, f32)> = Vec::new();
    for row in seen.iter().copied().chain(own.iter()) {
        if row.channel == channel {
            taught.push((row, 1.0));
        } else if channel == Channel::Document {
            taught.push((row, 0.3));
        } else if row.attack && row.group != "llmail-inject" && row.text.len() < 300 {
            taught.push((row, 0.3));
        }
    }
    let measured = fit::measure(&taught, channel);
    let model = fit::fit(&measured, 7);
    let floor_rows: Vec<&Row> = taught.iter().map(|(row, _)| *row).filter(|row| row.group != rows::OWN).collect();
    (model, fit::Floor::fit(&floor_rows, 7))
}
