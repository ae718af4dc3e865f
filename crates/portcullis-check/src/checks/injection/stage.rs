//! The instance that attacks are tried on: asks there, whole and streamed by turns, and reads what really went to the model.
//!
//! It asks and reads; whether an answer is right is the checks' to say.

use http::Method;
use serde_json::Value;

use crate::checks::canary::{self, Mark, Wire};
use crate::checks::deployment;
use crate::outcome::{Inconclusive, PositiveControl};
use crate::probe::{Call, Probe, Seen};
use crate::target::{Canary, Identity, Planted, PlantedKind, Rehearsal, Route, Spot, Target, Thread};

/// Requests under way at the same time.
const AT_ONCE: usize = 8;
/// Requests sent before it is looked at what came back.
const BATCH: usize = 32;
/// How often a question is put again after a 429.
const PATIENCE: usize = 4;
/// The least share of the honest questions that must be answered, in percent.
pub(super) const USEFUL_PERCENT: usize = 95;

/// How an answer is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Delivery {
    Whole,
    Streamed,
}

impl Delivery {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Whole => "a whole answer",
            Self::Streamed => "a streamed answer",
        }
    }
}

/// What came back.
#[derive(Debug)]
pub(super) struct Reply<T> {
    pub(super) tag: T,
    pub(super) delivery: Delivery,
    pub(super) seen: Seen,
    pub(super) wire: Wire,
}

impl<T> Reply<T> {
    /// The same, for another purpose.
    pub(super) fn about<U>(self, tag: U) -> Reply<U> {
        Reply { tag, delivery: self.delivery, seen: self.seen, wire: self.wire }
    }

    /// Whether it says this, word for word.
    pub(super) fn says(&self, text: &str) -> bool {
        self.seen.status.is_success() && self.wire.said().iter().any(|said| said.contains(text))
    }
}

/// One request as the model was given it.
#[derive(Debug)]
pub(super) struct Given {
    /// All of it.
    pub(super) raw: String,
    /// Role and text of each message.
    pub(super) messages: Vec<(String, String)>,
}

/// A text that is looked for, in whatever disguise.
#[derive(Debug)]
pub(super) struct Hidden(Canary);

impl Hidden {
    pub(super) fn new(text: &str) -> Self {
        Self(Canary::new("", "", "", text))
    }

    pub(super) fn mark(&self) -> Mark<'_> {
        Mark::of(&self.0)
    }
}

/// The instance, and who asks next.
#[derive(Debug)]
pub(super) struct Stage<'t> {
    target: &'t Target,
    pub(super) rehearsal: &'t Rehearsal,
    askers: &'t [Identity],
    asked: usize,
}

impl<'t> Stage<'t> {
    /// # Errors
    /// When the target names none.
    pub(super) fn of(target: &'t Target) -> Result<Self, Inconclusive> {
        let rehearsal = target.rehearsal.as_ref().filter(|rehearsal| !rehearsal.askers.is_empty());
        let rehearsal = rehearsal.ok_or_else(|| {
            Inconclusive::because("nothing says where attacks on the model may be tried: add [rehearsal]")
        })?;
        Ok(Self { target, rehearsal, askers: &rehearsal.askers, asked: 0 })
    }

    /// The same, asked by those who may use tools.
    ///
    /// # Errors
    /// When the target names none.
    pub(super) fn with_tools(target: &'t Target) -> Result<Self, Inconclusive> {
        let stage = Self::of(target)?;
        let own = stage.rehearsal.tools.as_ref().map(|tools| tools.askers.as_slice());
        let askers = own.filter(|askers| !askers.is_empty()).unwrap_or(stage.askers);
        Ok(Self { askers, ..stage })
    }

    /// The same, where those who may use tools are others than the askers.
    pub(super) fn with_others(target: &'t Target) -> Result<Option<Self>, Inconclusive> {
        let (stage, with_tools) = (Self::of(target)?, Self::with_tools(target)?);
        let is_other = |asker: &Identity| stage.askers.iter().all(|other| other.name != asker.name);
        Ok(Some(with_tools).filter(|with_tools| with_tools.askers.iter().any(is_other)))
    }

    /// The same, asked by whoever may read what the askers may not, where the target names somebody.
    pub(super) fn inside(&self) -> Option<Self> {
        let askers = std::slice::from_ref(self.rehearsal.insider.as_ref()?);
        Some(Self { target: self.target, rehearsal: self.rehearsal, askers, asked: 0 })
    }

    /// Each in turn, so that nobody reaches their own limit first.
    fn asker(&self) -> Result<&'t Identity, Inconclusive> {
        let askers = self.askers;
        askers.get(self.asked.checked_rem(askers.len()).unwrap_or(0)).ok_or_else(|| {
            Inconclusive::because("nobody may ask where attacks are tried: add `as` to [rehearsal]")
        })
    }

    fn there(&self, call: Call) -> Call {
        match &self.rehearsal.at {
            Some(at) => call.at(at),
            None => call,
        }
    }

    /// A question as a route's request, by the next who may ask.
    pub(super) fn call(&mut self, route: &Route) -> Result<Call, Inconclusive> {
        let asker = self.asker()?;
        self.asked = self.asked.wrapping_add(1);
        Ok(self.there(Call::by(self.target, route, asker)?))
    }

    /// That the instance is there, lets a member ask and refuses a stranger the same.
    pub(super) async fn gate(&mut self, probe: &mut Probe) -> Result<PositiveControl, Inconclusive> {
        let question = &self.target.tenancy.question;
        let route = self.rehearsal.chat.asking(question);
        let call = self.call(&route)?;
        let member = probe.send(call).await?;
        let control =
            PositiveControl::from_success(&member, "a member is answered where a stranger is refused")?;
        let answer = member.json().and_then(|json| {
            json.pointer(&self.rehearsal.chat.answer).and_then(Value::as_str).map(str::to_owned)
        });
        if answer.is_none_or(|answer| answer.trim().is_empty() || answer.trim() == question.trim()) {
            return Err(Inconclusive::because(format!(
                "{} gave no answer at `{}`: correct [chat] in target.toml",
                member.request_line(),
                self.rehearsal.chat.answer
            )));
        }
        let community = self.asker()?.community.clone();
        let stranger = self.there(Call::to(self.target, &route, &community)?);
        let stranger = probe.send(stranger).await?;
        if !deployment::is_turned_away(&stranger) || stranger.body == member.body {
            return Err(Inconclusive::because(format!(
                "where attacks are tried a stranger is answered {} like a member: nothing shows that the application answers",
                stranger.says()
            )));
        }
        Ok(control)
    }

    /// Answers are asked for as streams too, or somebody says that there are none.
    pub(super) fn wants_streams(&self, probe: &mut Probe, doubts: &mut Vec<String>) {
        deployment::is_streamed(probe, self.target, &self.rehearsal.chat, doubts);
    }

    /// Puts questions, whole and streamed by turns; the answers come in their order.
    pub(super) async fn ask<T>(
        &mut self,
        probe: &mut Probe,
        questions: impl IntoIterator<Item = (T, String)>,
    ) -> Result<Vec<Reply<T>>, Inconclusive> {
        let chat = &self.rehearsal.chat;
        let mut routes = Vec::new();
        for (place, (tag, text)) in questions.into_iter().enumerate() {
            let streamed = (place % 2 == 1).then(|| chat.streaming(&text)).flatten();
            routes.push(match streamed {
                Some(route) => (tag, Delivery::Streamed, route),
                None => (tag, Delivery::Whole, chat.asking(&text)),
            });
        }
        let mut replies = Vec::with_capacity(routes.len());
        let mut waiting = routes.into_iter().peekable();
        while waiting.peek().is_some() {
            let batch: Vec<_> = waiting.by_ref().take(BATCH).collect();
            let routes: Vec<&Route> = batch.iter().map(|(_, _, route)| route).collect();
            let answers = self.send(probe, &routes).await?;
            replies.extend(batch.into_iter().zip(answers).map(|((tag, delivery, _), seen)| {
                let wire = Wire::of(&seen);
                Reply { tag, delivery, seen, wire }
            }));
        }
        Ok(replies)
    }

    async fn send(&mut self, probe: &mut Probe, routes: &[&Route]) -> Result<Vec<Seen>, Inconclusive> {
        let mut answers: Vec<Option<Seen>> = routes.iter().map(|_| None).collect();
        for _ in 0..=PATIENCE {
            let open: Vec<usize> = answers
                .iter()
                .enumerate()
                .filter(|(_, seen)| seen.is_none())
                .map(|(place, _)| place)
                .collect();
            let mut calls = Vec::with_capacity(open.len());
            for place in &open {
                if let Some(route) = routes.get(*place) {
                    calls.push(self.call(route)?);
                }
            }
            let mut wait = None;
            for (place, seen) in open.into_iter().zip(probe.burst(calls, AT_ONCE).await?) {
                if seen.status == http::StatusCode::TOO_MANY_REQUESTS {
                    wait = wait.max(Some(probe.patience_asked(&seen)));
                } else if let Some(answer) = answers.get_mut(place) {
                    *answer = Some(seen);
                }
            }
            match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                None => break,
            }
        }
        let all: Option<Vec<Seen>> = answers.into_iter().collect();
        all.ok_or_else(|| {
            Inconclusive::because(
                "attacks are still refused with 429 after waiting: name more identities in `as` of [rehearsal], or raise the \
                 limit there",
            )
        })
    }

    /// Holds talks, each turn in the conversation of those before it and by the same asker, whole and streamed by turns of talks.
    pub(super) async fn talk(
        &mut self,
        probe: &mut Probe,
        thread: &Thread,
        talks: &[Vec<String>],
    ) -> Result<Vec<Vec<Reply<()>>>, Inconclusive> {
        let mut held = Vec::with_capacity(talks.len());
        for (place, turns) in talks.iter().enumerate() {
            let asker = self.asker()?;
            self.asked = self.asked.wrapping_add(1);
            let mut conversation = thread.begin.clone();
            let mut replies: Vec<Reply<()>> = Vec::with_capacity(turns.len());
            for text in turns {
                let chat = &self.rehearsal.chat;
                let streamed = (place % 2 == 1).then(|| chat.streaming(text)).flatten();
                let delivery = if streamed.is_some() { Delivery::Streamed } else { Delivery::Whole };
                let route = streamed.unwrap_or_else(|| chat.asking(text));
                let mut call = self.there(Call::by(self.target, &route, asker)?);
                if let Some(id) = &conversation {
                    call = match &thread.at {
                        Spot::Header(name) => call.header(name, id)?,
                        Spot::Pointer(pointer) => call.body_member(pointer.trim_start_matches('/'), id),
                        Spot::Cookie(_) | Spot::Query(_) => call,
                    };
                }
                let seen = patiently(probe, &call).await?;
                if replies.is_empty() {
                    conversation = Some(thread.id.find(&seen).ok_or_else(|| {
                        Inconclusive::because(format!(
                            "{} was answered {} without the id of its conversation: correct [rehearsal.conversation]",
                            seen.request_line(),
                            seen.says()
                        ))
                    })?);
                }
                let wire = Wire::of(&seen);
                replies.push(Reply { tag: (), delivery, seen, wire });
            }
            held.push(replies);
        }
        Ok(held)
    }

    /// The latest requests that went to the model, newest first; none where nothing tells.
    pub(super) async fn given(&self, probe: &mut Probe) -> Result<Option<Vec<Given>>, Inconclusive> {
        let Some(trace) = &self.rehearsal.trace else { return Ok(None) };
        let seen = probe.send(Call::new(Method::GET, "").at(trace)).await?;
        let Some(told) = seen.json().filter(|_| seen.status.is_success()) else {
            return Err(Inconclusive::because(format!(
                "`trace` of [rehearsal] was answered {}, the latest requests to the model in JSON were wanted",
                seen.says()
            )));
        };
        let mut given = Vec::new();
        read_given(&told, &mut given);
        Ok(Some(given))
    }

    /// Honest questions, each with the text that its answer must hold.
    pub(super) fn facts(&self) -> Vec<&'t Planted> {
        self.rehearsal.of(PlantedKind::Fact).collect()
    }
}

/// Sends a request, again after each 429.
async fn patiently(probe: &mut Probe, call: &Call) -> Result<Seen, Inconclusive> {
    for _ in 0..PATIENCE {
        let seen = probe.send(call.clone()).await?;
        if seen.status != http::StatusCode::TOO_MANY_REQUESTS {
            return Ok(seen);
        }
        tokio::time::sleep(probe.patience_asked(&seen)).await;
    }
    Ok(probe.send(call.clone()).await?)
}

/// Everything that has `messages`, wherever it stands.
fn read_given(value: &Value, given: &mut Vec<Given>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| read_given(item, given)),
        Value::Object(map) => match map.get("messages").and_then(Value::as_array) {
            Some(messages) => {
                let text = |message: &Value| match message.get("content") {
                    Some(Value::String(text)) => text.clone(),
                    Some(other) => other.to_string(),
                    None => String::new(),
                };
                let role = |message: &Value| {
                    message.get("role").and_then(Value::as_str).unwrap_or_default().to_owned()
                };
                let messages = messages.iter().map(|message| (role(message), text(message))).collect();
                given.push(Given { raw: value.to_string(), messages });
            }
            None => map.values().for_each(|item| read_given(item, given)),
        },
        _ => {}
    }
}

/// Why some answers show nothing: what came from before the application, or a broken application.
pub(super) fn doubts<'r, T: 'r>(replies: impl IntoIterator<Item = &'r Reply<T>>) -> Vec<String> {
    replies.into_iter().filter_map(|reply| canary::shows_nothing_of_a_member(&reply.seen)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::read_given;

    #[test]
    fn requests_are_found_wherever_they_stand_in_a_trace() {
        let told = json!({ "latest": [
            { "at": 1, "request": { "messages": [{ "role": "system", "content": "S" }, { "role": "user", "content": ["U"] }] } },
            { "messages": [{ "content": "x" }] },
        ] });
        let mut given = Vec::new();
        read_given(&told, &mut given);
        let messages: Vec<_> = given.iter().flat_map(|given| &given.messages).cloned().collect();
        let wanted = [("system", "S"), ("user", "[\"U\"]"), ("", "x")]
            .map(|(role, text)| (role.to_owned(), text.to_owned()));
        assert_eq!(messages, wanted);
    }
}
