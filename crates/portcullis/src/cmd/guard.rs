//! `guard`: judge texts with the screen, and find thresholds from an operator's own messages.
//!
//! Nothing of a text is printed, kept or put in an error: a line is named by its number.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use portcullis_guard::{Custom, Handing};
use portcullis_screen::risk::{Risk, risks};
use portcullis_screen::{Channel, Screen, Thresholds};
use serde::{Deserialize, Serialize};

use crate::args::{Configured, GuardCommand};
use crate::{handover, instance, out, screen};

/// A text to judge.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    text: String,
    #[serde(default)]
    channel: Named,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Named {
    #[default]
    Question,
    Document,
}

impl From<Named> for Channel {
    fn from(named: Named) -> Self {
        match named {
            Named::Question => Self::Question,
            Named::Document => Self::Document,
        }
    }
}

/// What was found.
#[derive(Serialize)]
struct Scored {
    score: f32,
    ruling: &'static str,
    micros: f64,
    /// Why a question should be seen by a person, if it should.
    #[serde(skip_serializing_if = "Option::is_none")]
    handover: Option<&'static str>,
}

/// Harmless messages of a channel that thresholds need at least: with fewer, the rarest score says little.
const FEW: usize = 200;

pub(super) fn run(configured: &Configured, command: GuardCommand) -> Result<ExitCode> {
    let shipped = Screen::shipped()?;
    match command {
        GuardCommand::Score => {
            score(shipped, |channel| thresholds(configured, shipped, channel), &handing(configured)?)
        }
        GuardCommand::Tune { file, flagged, blocked } => tune(shipped, &file, flagged, blocked),
    }
}

/// The thresholds of the configuration file, or those that ship if there is no such file.
fn thresholds(configured: &Configured, shipped: &Screen, channel: Channel) -> Result<Thresholds> {
    let custom = if configured.config.exists() || !configured.set.is_empty() {
        let config = instance::configuration(configured)?;
        screen::custom(match channel {
            Channel::Question => config.screen.question,
            Channel::Document => config.screen.document,
        })
    } else {
        Custom::default()
    };
    Ok(custom.over(shipped.defaults(channel)))
}

/// What is handed to a person under the configuration file, or what ships if there is no such file.
fn handing(configured: &Configured) -> Result<Handing> {
    if configured.config.exists() || !configured.set.is_empty() {
        return handover::settings(&instance::configuration(configured)?);
    }
    Ok(Handing::default())
}

fn score(
    shipped: &Screen,
    thresholds: impl Fn(Channel) -> Result<Thresholds>,
    handing: &Handing,
) -> Result<ExitCode> {
    let of_question = thresholds(Channel::Question)?;
    let of_document = thresholds(Channel::Document)?;
    // What is made once for a process is made before the first text is timed.
    shipped.score("", Channel::Question);
    for (number, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line.with_context(|| format!("line {} of the standard input is no text", number + 1))?;
        if line.trim().is_empty() {
            continue;
        }
        let Line { text, channel } = read(&line, number)?;
        let channel = Channel::from(channel);
        let start = Instant::now();
        let score = shipped.score(&text, channel);
        let spent = start.elapsed();
        let judged = match channel {
            Channel::Question => of_question,
            Channel::Document => of_document,
        };
        let micros = (spent.as_secs_f64() * 1e7).round() / 10.0;
        let asked = channel == Channel::Question;
        let risk = if asked { risks(&text, &handing.kinds, &handing.own) } else { None };
        let handover = risk.map(Risk::name);
        let scored = Scored { score, ruling: judged.judge(score).name(), micros, handover };
        out::line(serde_json::to_string(&scored)?);
    }
    Ok(ExitCode::SUCCESS)
}

fn read(line: &str, number: usize) -> Result<Line> {
    // The error of the parser may quote the text, so only its place is told.
    serde_json::from_str(line).map_err(|error| {
        anyhow::anyhow!(
            "line {}, column {}: expected an object with `text` and, as `channel`, `question` or `document`",
            number + 1,
            error.column()
        )
    })
}

fn tune(shipped: &Screen, file: &Path, flagged: u32, blocked: u32) -> Result<ExitCode> {
    if blocked > flagged {
        bail!("`--blocked` must be at most `--flagged` ({flagged}), found {blocked}");
    }
    let opened = std::fs::File::open(file).with_context(|| format!("`{}` cannot be read", file.display()))?;
    let mut scores: [Vec<f32>; 2] = [Vec::new(), Vec::new()];
    let [questions, documents] = &mut scores;
    for (number, line) in BufReader::new(opened).lines().enumerate() {
        let line = line.with_context(|| format!("line {} of `{}` is no text", number + 1, file.display()))?;
        if line.trim().is_empty() {
            continue;
        }
        let Line { text, channel } = if line.trim_start().starts_with('{') {
            read(&line, number)?
        } else {
            Line { text: line, channel: Named::Question }
        };
        match channel {
            Named::Question => questions.push(shipped.score(&text, Channel::Question)),
            Named::Document => documents.push(shipped.score(&text, Channel::Document)),
        }
    }
    if questions.is_empty() && documents.is_empty() {
        bail!("`{}` holds no messages; write one a line", file.display());
    }
    out::line("[screen]");
    for (channel, scores) in Channel::ALL.into_iter().zip(scores) {
        let name = channel.name();
        match scores.len() {
            0 => {}
            few if few < FEW => out::line(format_args!(
                "# {few} messages of the channel `{name}` are too few: {FEW} at least are wanted, so its thresholds stay"
            )),
            count => {
                let flag = threshold(&scores, flagged);
                let block = threshold(&scores, blocked).max(flag);
                out::line(format_args!(
                    "# {count} messages: at most {flagged} in 10,000 of such are flagged, {blocked} blocked"
                ));
                out::line(format_args!("{name}_flag = {flag}"));
                out::line(format_args!("{name}_block = {block}"));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The lowest threshold, in thousandths, that at most so many in 10,000 of the scores reach.
fn threshold(scores: &[f32], in_10_000: u32) -> u32 {
    let allowed = scores.len() * in_10_000 as usize / 10_000;
    let reach = |threshold: u32| {
        #[expect(clippy::cast_precision_loss, reason = "at most 1,000")]
        let score = threshold as f32 / 1_000.0;
        scores.iter().filter(|own| **own >= score).count()
    };
    // The number of scores that reach a threshold falls as it rises.
    let (mut low, mut high) = (1, 1_000);
    while low < high {
        let middle = u32::midpoint(low, high);
        if reach(middle) <= allowed { high = middle } else { low = middle + 1 }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_lets_no_more_through_than_it_says() {
        let scores: Vec<f32> = (0..1_000).map(|at| at as f32 / 1_000.0).collect();
        assert_eq!(threshold(&scores, 100), 990);
        assert_eq!(threshold(&scores, 0), 1_000);
        assert_eq!(threshold(&[0.2; 300], 100), 201);
    }

    #[test]
    fn an_error_tells_the_place_and_nothing_of_the_text() {
        let error = read(r#"{"text":"my secret","channel":"other"}"#, 4).err().map(|error| error.to_string());
        let error = error.unwrap_or_default();
        assert!(error.starts_with("line 5, column") && !error.contains("secret"), "{error}");
    }
}
