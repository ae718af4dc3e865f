//! The release guards on one answer, streamed or not: what of each choice leaves.
//!
//! Every text of a choice (its words, the model's thinking, its refusal, the arguments of each call) goes through detectors of
//! its own, citation marks before them: what the detectors see is what leaves. A whole answer goes the same way in one piece.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use portcullis_guard::guards::citation_fence::CitationFence;
use portcullis_leak::{Class, Leak, Unescape, Vault};
use portcullis_model::{Assembler, CallDelta, ChunkChoice, Completion, Delta, FunctionDelta, ModelError};

/// What an answer may hold beside words.
#[derive(Debug)]
pub(crate) enum Shape {
    /// The context is ours: words, in one choice. No tools were offered and no thinking was asked for.
    Words {
        /// The highest number of a passage that may be cited.
        passages: usize,
    },
    /// The caller's own: what its request asked for.
    Whatever {
        /// The names of the functions that it declared.
        functions: BTreeSet<String>,
    },
}

/// The release guards on one answer.
#[derive(Debug)]
pub(crate) struct Exit {
    vault: Arc<Vault>,
    shape: Shape,
    choices: BTreeMap<u32, Choice>,
    stopped: Option<Class>,
}

/// The detectors on one choice.
#[derive(Debug)]
struct Choice {
    content: Words,
    reasoning: Leak,
    refusal: Words,
    calls: BTreeMap<u32, Call>,
    ended: bool,
}

/// The detectors on one text that its reader takes for the answer.
#[derive(Debug)]
struct Words {
    /// Where the context is ours.
    fence: Option<CitationFence>,
    leak: Leak,
}

/// The detectors on one call of a tool.
#[derive(Debug)]
struct Call {
    unescape: Unescape,
    arguments: Leak,
    /// The function's name as far as it came.
    name: String,
    /// So many bytes of it have left.
    named: usize,
    /// Its id has left.
    known: bool,
    /// The id that the server gave it.
    given: Option<String>,
    /// What comes belongs to another call.
    another: bool,
    /// The head of the call, until its name may leave.
    head: Option<CallDelta>,
}

impl Exit {
    pub(crate) fn new(vault: Arc<Vault>, shape: Shape) -> Self {
        Self { vault, shape, choices: BTreeMap::new(), stopped: None }
    }

    /// What the detectors of the answer know.
    pub(crate) const fn vault(&self) -> &Arc<Vault> {
        &self.vault
    }

    /// Judges what comes from here on by other knowledge: before the answer begins.
    pub(crate) fn judge_by(&mut self, vault: Arc<Vault>) {
        self.vault = vault;
    }

    /// What ended the answer before its end.
    pub(crate) const fn stopped(&self) -> Option<Class> {
        self.stopped
    }

    /// What was found in it, of any class that is looked for.
    pub(crate) fn found(&self) -> BTreeSet<Class> {
        let texts = self.choices.values().flat_map(|choice| {
            let calls = choice.calls.values().map(|call| &call.arguments);
            choice.texts().into_iter().chain(calls)
        });
        texts.flat_map(Leak::found).map(|(class, _)| class).chain(self.stopped).collect()
    }

    /// Which passages were cited, from 0.
    pub(crate) fn cited(&self) -> BTreeSet<usize> {
        self.choices
            .values()
            .flat_map(|choice| [&choice.content, &choice.refusal])
            .filter_map(|words| words.fence.as_ref())
            .flat_map(|fence| fence.cited().clone())
            .collect()
    }

    /// Whether the answer's context is ours, so that it has citations.
    pub(crate) const fn cites(&self) -> bool {
        matches!(self.shape, Shape::Words { .. })
    }

    /// What of a part of a choice leaves now; none if nothing does.
    pub(crate) fn pass(&mut self, part: ChunkChoice) -> Option<ChunkChoice> {
        let ChunkChoice { index, delta, finish_reason } = part;
        // A second choice of ours was not asked for.
        if self.stopped.is_some() || self.cites() && index != 0 {
            return None;
        }
        let words_only = self.cites();
        let (vault, shape) = (&self.vault, &self.shape);
        let choice = self.choices.entry(index).or_insert_with(|| Choice::new(vault, shape));
        if choice.ended {
            return None;
        }
        choice.ended = finish_reason.is_some();
        let ended = choice.ended;
        let Delta { role, content, reasoning_content, refusal, tool_calls } = delta;
        let content = choice.content.pass(content, ended);
        let refusal = choice.refusal.pass(refusal, ended);
        let (reasoning_content, tool_calls) = if words_only {
            (None, Vec::new())
        } else {
            let reasoning = text(&mut choice.reasoning, reasoning_content, ended);
            (reasoning, choice.calls(&self.vault, &self.shape, tool_calls, ended))
        };
        self.stopped = choice.stopped();
        let delta = Delta { role, content, reasoning_content, refusal, tool_calls };
        let empty = delta == Delta::default() && finish_reason.is_none();
        // The end of a stopped answer is not the model's.
        let finish_reason = finish_reason.filter(|_| self.stopped.is_none());
        (!empty).then_some(ChunkChoice { index, delta, finish_reason })
    }

    /// What is still held back when the model ends without saying so.
    pub(crate) fn end(&mut self) -> Vec<ChunkChoice> {
        let open: Vec<u32> =
            self.choices.iter().filter(|(_, choice)| !choice.ended).map(|(index, _)| *index).collect();
        let mut parts = Vec::new();
        for index in open {
            let Some(choice) = self.choices.get_mut(&index).filter(|_| self.stopped.is_none()) else {
                continue;
            };
            choice.ended = true;
            let content = choice.content.pass(None, true);
            let reasoning_content = text(&mut choice.reasoning, None, true);
            let refusal = choice.refusal.pass(None, true);
            let tool_calls = choice.calls(&self.vault, &self.shape, Vec::new(), true);
            self.stopped = choice.stopped();
            let delta = Delta { role: None, content, reasoning_content, refusal, tool_calls };
            if delta != Delta::default() {
                parts.push(ChunkChoice { index, delta, finish_reason: None });
            }
        }
        parts
    }

    /// What of a whole answer leaves. [`Exit::stopped`] tells whether it ends before its end.
    pub(crate) fn whole(&mut self, completion: Completion) -> Result<Completion, ModelError> {
        let mut assembler = Assembler::new(usize::MAX);
        let mut last = None;
        for mut chunk in completion.into_chunks() {
            chunk.choices = chunk.choices.into_iter().filter_map(|choice| self.pass(choice)).collect();
            assembler.push(&chunk)?;
            last = Some(chunk);
        }
        if let Some(mut chunk) = last {
            chunk.choices = self.end();
            assembler.push(&chunk)?;
        }
        assembler.finish()
    }
}

impl Choice {
    fn new(vault: &Arc<Vault>, shape: &Shape) -> Self {
        let words = || Words::new(vault, shape);
        Self {
            content: words(),
            reasoning: Leak::new(vault),
            refusal: words(),
            calls: BTreeMap::new(),
            ended: false,
        }
    }

    const fn texts(&self) -> [&Leak; 3] {
        [&self.content.leak, &self.reasoning, &self.refusal.leak]
    }

    fn calls(
        &mut self,
        vault: &Arc<Vault>,
        shape: &Shape,
        parts: Vec<CallDelta>,
        ended: bool,
    ) -> Vec<CallDelta> {
        let Shape::Whatever { functions } = shape else { return Vec::new() };
        let mut leaving = Vec::with_capacity(parts.len());
        for part in parts {
            let call = self.calls.entry(part.index).or_insert_with(|| Call::new(vault));
            leaving.extend(call.pass(vault, functions, part));
        }
        if ended {
            for (index, call) in &mut self.calls {
                leaving.extend(call.end(*index));
            }
        }
        leaving
    }

    fn stopped(&self) -> Option<Class> {
        let calls = self.calls.values().map(|call| &call.arguments);
        self.texts().into_iter().chain(calls).find_map(Leak::stopped)
    }
}

impl Words {
    fn new(vault: &Arc<Vault>, shape: &Shape) -> Self {
        let fence = match shape {
            Shape::Words { passages } => Some(CitationFence::new(*passages)),
            Shape::Whatever { .. } => None,
        };
        Self { fence, leak: Leak::new(vault) }
    }

    /// What of a piece leaves now.
    fn pass(&mut self, piece: Option<String>, ended: bool) -> Option<String> {
        let piece = match &mut self.fence {
            None => piece,
            Some(fence) => {
                let mut piece = piece.map(|piece| fence.push(&piece));
                let held = if ended { fence.finish() } else { String::new() };
                if !held.is_empty() {
                    piece.get_or_insert_default().push_str(&held);
                }
                piece
            }
        };
        text(&mut self.leak, piece, ended)
    }
}

impl Call {
    fn new(vault: &Arc<Vault>) -> Self {
        Self {
            unescape: Unescape::default(),
            arguments: Leak::new(vault),
            name: String::new(),
            named: 0,
            known: false,
            given: None,
            another: false,
            head: None,
        }
    }

    /// A call leaves once its name is one that the request declared. What comes of one with another name stays here.
    fn pass(
        &mut self,
        vault: &Arc<Vault>,
        functions: &BTreeSet<String>,
        part: CallDelta,
    ) -> Option<CallDelta> {
        let CallDelta { index, id, kind, function } = part;
        let FunctionDelta { name, arguments } = function;
        // Some servers number every call the same. Of a second one nothing leaves, for it would be taken for a part of the first.
        let is_another = |id: &String| name.is_some() && self.given.as_ref().is_some_and(|given| given != id);
        self.another |= id.as_ref().is_some_and(is_another);
        if self.another {
            return None;
        }
        self.given = self.given.take().or_else(|| id.clone());
        if let Some(more) = arguments {
            let mut plain = String::with_capacity(more.len());
            self.unescape.push(&more, &mut plain);
            let held = self.head.get_or_insert_with(|| empty(index));
            self.arguments.push(&plain, held.function.arguments.get_or_insert_default());
        }
        // Some servers say id, kind and name again with each part, and some clients put all they hear of each together.
        if (id.is_some() || kind.is_some()) && !self.known {
            let held = self.head.get_or_insert_with(|| empty(index));
            held.id = held.id.take().or_else(|| id.map(|id| harmless(vault, id, index)));
            held.kind = held.kind.or(kind);
        }
        if let Some(more) = name.filter(|more| self.named == 0 || *more != self.name) {
            self.name.push_str(&more);
        }
        if functions.contains(&self.name) {
            let new = self.name.get(self.named..).filter(|new| !new.is_empty()).map(str::to_owned);
            self.named = self.name.len();
            if new.is_some() {
                self.head.get_or_insert_with(|| empty(index)).function.name = new;
            }
        }
        if self.named == 0 || self.named < self.name.len() {
            return None;
        }
        self.known |= self.head.as_ref().is_some_and(|head| head.id.is_some());
        self.head.take()
    }

    /// What is still held back of a call whose name may leave.
    fn end(&mut self, index: u32) -> Option<CallDelta> {
        let mut rest = String::new();
        let mut escape = String::new();
        self.unescape.finish(&mut escape);
        self.arguments.push(&escape, &mut rest);
        self.arguments.finish(&mut rest);
        let named = self.named > 0 && self.named == self.name.len();
        let mut held = self.head.take().filter(|_| named);
        if named && !rest.is_empty() {
            let head = held.get_or_insert_with(|| empty(index));
            head.function.arguments.get_or_insert_default().push_str(&rest);
        }
        held
    }
}

const fn empty(index: u32) -> CallDelta {
    CallDelta { index, id: None, kind: None, function: FunctionDelta { name: None, arguments: None } }
}

/// A call's id refers to nothing but itself: one in which something is found gives way to a plain one.
fn harmless(vault: &Arc<Vault>, id: String, index: u32) -> String {
    let (mut leak, mut out) = (Leak::new(vault), String::new());
    leak.push(&id, &mut out);
    leak.finish(&mut out);
    if out == id { id } else { format!("call_{index}") }
}

/// What of a piece leaves now. A piece of which nothing does is none; one that was empty stays, since it is a shape that
/// clients know from the first frame.
fn text(leak: &mut Leak, piece: Option<String>, ended: bool) -> Option<String> {
    let mut out = String::new();
    let was_empty = piece.as_deref() == Some("");
    if let Some(piece) = piece {
        leak.push(&piece, &mut out);
    }
    if ended {
        leak.finish(&mut out);
    }
    (was_empty || !out.is_empty()).then_some(out)
}

#[cfg(test)]
#[path = "../../portcullis-leak/tests/it/splits.rs"]
mod splits;

#[cfg(test)]
mod tests {
    use portcullis_leak::{Policy, SystemText};
    use portcullis_model::{CallKind, FinishReason};

    use super::splits::{Dice, SEED, same_for_every_split};
    use super::*;

    const SYSTEM: &str = "You are the cellarer of the abbey and speak with its members of nothing but bread.";
    const FIELDS: [&str; 4] = ["content", "reasoning", "refusal", "arguments"];

    fn words() -> Shape {
        Shape::Words { passages: 2 }
    }

    fn whatever() -> Shape {
        Shape::Whatever { functions: ["look_up".to_owned()].into() }
    }

    /// A part of a choice with that piece as the next of each of these texts.
    fn part(index: u32, fields: &[&str], piece: &str) -> ChunkChoice {
        let of = |field: &str| fields.contains(&field).then(|| piece.to_owned());
        let call = of("arguments").map(|arguments| CallDelta {
            index: 0,
            id: Some("call_a".to_owned()),
            kind: Some(CallKind::Function),
            function: FunctionDelta { name: Some("look_up".to_owned()), arguments: Some(arguments) },
        });
        let delta = Delta {
            role: None,
            content: of("content"),
            reasoning_content: of("reasoning"),
            refusal: of("refusal"),
            tool_calls: call.into_iter().collect(),
        };
        ChunkChoice { index, delta, finish_reason: None }
    }

    /// What leaves of these texts of so many choices, when each comes in these pieces, and what ended the answer.
    fn left(
        vault: &Arc<Vault>,
        shape: Shape,
        choices: u32,
        fields: &[&str],
        pieces: &[&str],
    ) -> (BTreeMap<(u32, &'static str), String>, Option<Class>) {
        let mut exit = Exit::new(Arc::clone(vault), shape);
        let last = ChunkChoice { index: 0, delta: Delta::default(), finish_reason: Some(FinishReason::Stop) };
        let pieces = pieces.iter().flat_map(|piece| (0..choices).map(|index| part(index, fields, piece)));
        let ends = (0..choices).map(|index| ChunkChoice { index, ..last.clone() });
        let mut left = BTreeMap::new();
        for ChunkChoice { index, delta, .. } in pieces.chain(ends).filter_map(|part| exit.pass(part)) {
            let arguments = delta.tool_calls.into_iter().filter_map(|call| call.function.arguments).collect();
            let texts = [delta.content, delta.reasoning_content, delta.refusal, Some(arguments)];
            for (field, text) in FIELDS.into_iter().zip(texts) {
                left.entry((index, field)).or_insert_with(String::new).push_str(&text.unwrap_or_default());
            }
        }
        left.retain(|_, text| !text.is_empty());
        (left, exit.stopped())
    }

    fn vault() -> Arc<Vault> {
        let text = Arc::new(SystemText::new(SYSTEM));
        Arc::new(Vault::new(Arc::new(Policy::strict())).with_system_text(text))
    }

    #[test]
    fn what_leaves_of_each_text_of_each_choice_does_not_depend_on_where_it_is_cut() {
        println!("seed {SEED:#x}");
        let (mut dice, vault) = (Dice(SEED), vault());
        for (text, wanted) in [
            ("key sk-proj-Ab12Cd34Ef56Gh78Ij90 end [9]", "key {secret withheld} end [9]"),
            ("paul@example.org: [x](https://evil.example/?q=1)", "{mail address withheld}: [x]"),
        ] {
            let all = |pieces: &[&str]| left(&vault, whatever(), 2, &FIELDS, pieces);
            let (texts, stopped) = same_for_every_split(text, text, &mut dice, all);
            assert_eq!((texts.len(), stopped), (8, None), "{text}");
            assert!(texts.values().all(|text| text == wanted), "{texts:?}");
        }
        let escaped = r#"{"q":"\u0073k-proj-Ab12Cd34\u0045f56Gh78"}"#;
        let arguments = |pieces: &[&str]| left(&vault, whatever(), 1, &["arguments"], pieces).0;
        let texts = same_for_every_split(escaped, escaped, &mut dice, arguments);
        assert_eq!(texts[&(0, "arguments")], r#"{"q":"{secret withheld}"}"#);
        // Ours are words in one choice, with citations.
        let text = "By [1, 9]: sk-proj-Ab12Cd34Ef56Gh78Ij90 [2][7].";
        let ours = |pieces: &[&str]| left(&vault, words(), 2, &FIELDS, pieces).0;
        let texts = same_for_every_split(text, text, &mut dice, ours);
        let said = "By [1]: {secret withheld} [2].".to_owned();
        assert_eq!(texts, [((0, "content"), said.clone()), ((0, "refusal"), said)].into());
    }

    #[test]
    fn the_system_text_ends_each_text_at_the_same_place_wherever_it_is_cut() {
        println!("seed {SEED:#x}");
        let (mut dice, vault) = (Dice(SEED), vault());
        for field in FIELDS {
            let text = format!("Well: {SYSTEM}");
            let one = |pieces: &[&str]| left(&vault, whatever(), 1, &[field], pieces);
            let (texts, stopped) = same_for_every_split(field, &text, &mut dice, one);
            assert_eq!(stopped, Some(Class::SystemText), "{field}");
            assert!(texts[&(0, field)].len() <= "Well: ".len() + 40, "{texts:?}");
        }
    }
}
