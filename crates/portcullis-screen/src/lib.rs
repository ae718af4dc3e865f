//! Is this message, document or tool result an attempt to instruct the model against its instructions?
//!
//! Text in, a score out, in microseconds and without any other program: the disguise comes off ([`fold`]), what is encoded
//! is decoded and judged too ([`decode`]), the text is cut into windows (`windows`), each is measured ([`features`]) and
//! scored by weights that ship in the binary ([`model`]). The text's score is that of its worst window ([`judge`]).
//!
//! It reads no configuration, logs nothing, and returns nothing of what it read. A score is a judgement and not a proof:
//! `docs/screen.md` says how often it is wrong, on what, and how the weights are made. What an attack could reach is bounded
//! by scope, tools and release guards, never by this alone. Start with [`Screen`].

pub mod decode;
pub mod features;
pub mod fold;
mod form;
pub mod judge;
pub mod lexicon;
pub mod model;
pub mod patterns;
#[cfg(test)]
mod plain;
mod reading;
pub mod risk;
mod scorer;
mod windows;

use std::sync::OnceLock;

use crate::judge::logit;
use crate::model::{MAGIC, Model, Origin, SUM};

/// Where a text comes from, which decides what is ordinary in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// What a member asks.
    Question,
    /// What was recalled, uploaded, or returned by a tool: read sentence by sentence.
    Document,
}

impl Channel {
    /// Both channels.
    pub const ALL: [Self; 2] = [Self::Question, Self::Document];

    /// The name in files and output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Question => "question",
            Self::Document => "document",
        }
    }
}

/// What a score means under thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Finding {
    /// Below both.
    Clear,
    /// At or above the threshold that flags.
    Flag,
    /// At or above the threshold that blocks.
    Block,
}

impl Finding {
    /// The name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clear => "allow",
            Self::Flag => "flag",
            Self::Block => "block",
        }
    }
}

/// From which score on a text is flagged or blocked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Flags.
    pub flag: f32,
    /// Blocks.
    pub block: f32,
}

impl Thresholds {
    /// What the score means.
    pub fn judge(&self, score: f32) -> Finding {
        // A score that is no number is never clear.
        if score >= self.block || score.is_nan() {
            Finding::Block
        } else if score >= self.flag {
            Finding::Flag
        } else {
            Finding::Clear
        }
    }
}

/// The score at which a text is flagged unless configured otherwise: the calibrated threshold of each channel stands here.
pub const FLAG: f32 = 0.5;
/// How many units of logit one unit of the score's own logit is. Wide enough that strong scores stay apart.
const SLOPE: f32 = 3.0;

/// The scorer of both channels.
#[derive(Debug, Clone)]
pub struct Screen {
    question: Model,
    document: Model,
    origin: Origin,
}

/// The weights are not of the form that this version reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "the weights of the screen are not readable; make them again with `cargo xtask train-screen`",
        )
    }
}

impl std::error::Error for Unreadable {}

impl Screen {
    /// The scorer that ships.
    ///
    /// # Errors
    /// [`Unreadable`] in a build whose weights are not whole, which its tests do not let pass.
    pub fn shipped() -> Result<&'static Self, Unreadable> {
        static SHIPPED: OnceLock<Result<Screen, Unreadable>> = OnceLock::new();
        SHIPPED.get_or_init(|| Self::read(include_bytes!("weights.bin"))).as_ref().map_err(|error| *error)
    }

    /// A scorer of these weights.
    ///
    /// # Errors
    /// [`Unreadable`] if they are not whole or of another form.
    pub fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(Unreadable)?;
        let (code, rest) = rest.split_first_chunk::<SUM>().ok_or(Unreadable)?;
        let (data, rest) = rest.split_first_chunk::<SUM>().ok_or(Unreadable)?;
        let (report, mut rest) = rest.split_first_chunk::<SUM>().ok_or(Unreadable)?;
        let origin = Origin { code: *code, data: *data, report: *report };
        let question = Model::read(&mut rest).ok_or(Unreadable)?;
        let document = Model::read(&mut rest).ok_or(Unreadable)?;
        if rest.is_empty() { Ok(Self { question, document, origin }) } else { Err(Unreadable) }
    }

    /// A file of weights.
    pub fn write(question: &Model, document: &Model, origin: &Origin) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(origin.code.iter().chain(&origin.data).chain(&origin.report));
        question.write(&mut out);
        document.write(&mut out);
        out
    }

    /// What the weights were made from and with.
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The thresholds that the weights were calibrated to.
    pub fn defaults(&self, channel: Channel) -> Thresholds {
        let model = self.model(channel);
        Thresholds { flag: FLAG, block: to_score(model.block, model.flag) }
    }

    /// How much the text looks like an attempt to instruct the model: 0 to 1, [`FLAG`] at the calibrated threshold.
    pub fn score(&self, text: &str, channel: Channel) -> f32 {
        let model = self.model(channel);
        to_score(logit(model, text, channel), model.flag)
    }

    const fn model(&self, channel: Channel) -> &Model {
        match channel {
            Channel::Question => &self.question,
            Channel::Document => &self.document,
        }
    }
}

/// The score of a logit where the second is that of the calibrated threshold.
pub fn to_score(logit: f32, flag: f32) -> f32 {
    1.0 / (1.0 + (-(logit - flag) / SLOPE).exp())
}
