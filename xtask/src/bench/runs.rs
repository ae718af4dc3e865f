//! One measured run: load on one target, and what the processes behind it used meanwhile.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::{Value, json};

use super::proc::Tick;
use super::wire::{Ask, Connection};
use super::wrk;

/// The ways to the same answer that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Flow {
    /// The load generator asks the upstream itself: what the machine can do at most.
    Upstream,
    /// Through nginx.
    Nginx,
    /// Through the gate, with a key that owns its whole request.
    Gate,
    /// The same through a gate that was built for tests, with every guard on. Such a build also notes where its guards make a
    /// difference, so it is compared with itself.
    Guarded,
    /// The same through that build with every guard off.
    Unguarded,
    /// Through the gate, with a member's key: recall, our own context, citations.
    Full,
}

impl Flow {
    /// Those that are measured in every run.
    pub(super) const ALL: [Self; 4] = [Self::Upstream, Self::Nginx, Self::Gate, Self::Full];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Upstream => "upstream alone",
            Self::Nginx => "nginx",
            Self::Gate => "gate",
            Self::Guarded => "guards on",
            Self::Unguarded => "guards off",
            Self::Full => "full turn",
        }
    }
}

/// How the answer is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    Whole,
    Stream,
}

impl Mode {
    pub(super) const ALL: [Self; 2] = [Self::Whole, Self::Stream];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Stream => "stream",
        }
    }
}

/// Where the load of one flow goes.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) flow: Flow,
    pub(super) address: SocketAddr,
    pub(super) path: String,
    /// Sent as the bearer token; who needs none is sent it all the same, so that all requests are of one size.
    pub(super) key: String,
    /// Sent in turn.
    pub(super) bodies: Vec<String>,
    /// What stands between the load and the upstream.
    pub(super) processes: Vec<u32>,
}

impl Target {
    pub(super) fn asks(&self) -> impl Iterator<Item = Ask> + '_ {
        self.bodies.iter().map(|body| Ask {
            address: self.address,
            path: self.path.clone(),
            key: self.key.clone(),
            body: body.clone(),
        })
    }

    /// Makes sure, before anything is timed, that the flow does what it is measured for: the answer is the
    /// upstream's, whole or as a stream, and a full turn cites what it recalled. Returns the number of frames.
    pub(super) fn prove(&self, mode: Mode, text: &str) -> Result<u32> {
        let ask = self.asks().next().context("a flow without a request")?;
        let answer = Connection::open(self.address)?.exchange(&ask.bytes())?;
        let body = String::from_utf8_lossy(&answer.body);
        let name = self.flow.name();
        if answer.status != 200 {
            bail!("the flow `{name}` answered with status {}, wanted 200: {body}", answer.status);
        }
        let said = match mode {
            Mode::Whole => Said::whole(&body),
            Mode::Stream => Said::stream(&body),
        };
        let said =
            said.with_context(|| format!("the flow `{name}` did not answer in OpenAI's shape: {body}"))?;
        if said.text != text {
            bail!("the flow `{name}` said `{}`, wanted the upstream's text", said.text);
        }
        if (self.flow == Flow::Full) != (said.citations > 0) {
            bail!("the flow `{name}` came with {} citations", said.citations);
        }
        Ok(said.frames)
    }
}

/// What an answer held.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    text: String,
    citations: usize,
    frames: u32,
}

impl Said {
    fn whole(body: &str) -> Option<Self> {
        let body: Value = serde_json::from_str(body).ok()?;
        let text = body.pointer("/choices/0/message/content")?.as_str()?.to_owned();
        Some(Self { text, citations: citations(&body), frames: 0 })
    }

    fn stream(body: &str) -> Option<Self> {
        let mut said = Self::default();
        let mut ended = false;
        for frame in body.split("\n\n").filter(|frame| !frame.is_empty()) {
            let data = frame.strip_prefix("data: ")?;
            said.frames = said.frames.saturating_add(1);
            ended = data == "[DONE]";
            if !ended {
                let frame: Value = serde_json::from_str(data).ok()?;
                let delta = frame.pointer("/choices/0/delta/content").and_then(Value::as_str);
                said.text.push_str(delta.unwrap_or_default());
                said.citations = said.citations.saturating_add(citations(&frame));
            }
        }
        ended.then_some(said)
    }
}

fn citations(body: &Value) -> usize {
    body.get("citations").and_then(Value::as_array).map_or(0, Vec::len)
}

/// Digits of a question that the closed loop counts up, so that no two are the same and nothing judges one from memory.
pub(super) const COUNTED: &str = "#00000000";

/// The request of a builder's back end, which brings its own system text and history: about 1 KB.
pub(super) fn own_request(mode: Mode) -> String {
    let system = "You answer questions of members of a sailing club. Be brief, name the page you rely on, and say so \
                  when you do not know. Never give medical or legal advice.";
    let turn = "We talked about picking up a mooring in a strong tide, and about the order of the checks before leaving.";
    let message = |role: &str, content: &str| json!({"role": role, "content": content});
    json!({
        "model": "scripted",
        "stream": mode == Mode::Stream,
        "temperature": 0.2,
        "max_tokens": 256,
        "messages": [
            message("system", system),
            message("user", turn),
            message("assistant", turn),
            message("user", &turn.repeat(3)),
            message("assistant", turn),
            message("user", &format!("How do I pick up mooring {COUNTED} when the tide is strong?")),
        ],
    })
    .to_string()
}

/// A member's question.
pub(super) fn question(mode: Mode, text: &str) -> String {
    json!({
        "model": "scripted",
        "stream": mode == Mode::Stream,
        "messages": [{"role": "user", "content": text}],
    })
    .to_string()
}

/// What one closed-loop run came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Closed {
    pub(super) per_second: f64,
    /// Processor time of what stands between, per request; the upstream's own for [`Flow::Upstream`].
    pub(super) cpu_us: f64,
    pub(super) upstream_cpu_us: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    /// Processors that everything else on the machine kept busy meanwhile.
    pub(super) others: f64,
}

/// Reads the clocks around a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meter {
    pub(super) tick: Tick,
    /// The upstream's process.
    pub(super) upstream: u32,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Instant,
    between: Duration,
    upstream: Duration,
    here: Duration,
    all: Duration,
}

impl Meter {
    /// Keeps so many connections busy for that time.
    pub(super) fn closed(
        &self,
        folder: &Path,
        target: &Target,
        connections: u32,
        time: Duration,
    ) -> Result<Closed> {
        let before = self.read(target)?;
        let tally = wrk::run(folder, target, connections, time)?;
        let after = self.read(target)?;
        // No run here comes near the number of requests that a double cannot hold.
        let requests = f64::from(u32::try_from(tally.requests).unwrap_or(u32::MAX));
        let per_request = |from: Duration, to: Duration| micros(to.saturating_sub(from)) / requests;
        let upstream_cpu_us = per_request(before.upstream, after.upstream);
        let between = per_request(before.between, after.between);
        Ok(Closed {
            per_second: requests / (tally.duration_us / 1e6),
            cpu_us: if target.flow == Flow::Upstream { upstream_cpu_us } else { between },
            upstream_cpu_us,
            p50_us: tally.p50_us,
            p99_us: tally.p99_us,
            others: others(&before, &after),
        })
    }

    fn read(&self, target: &Target) -> Result<Reading> {
        let mut between = Duration::ZERO;
        for process in &target.processes {
            between = between.saturating_add(self.tick.spent(*process)?);
        }
        Ok(Reading {
            at: Instant::now(),
            between,
            upstream: self.tick.spent(self.upstream)?,
            here: self.tick.spent_here()?,
            all: self.tick.spent_by_all()?,
        })
    }
}

fn others(before: &Reading, after: &Reading) -> f64 {
    let ours =
        |reading: &Reading| reading.between.saturating_add(reading.upstream).saturating_add(reading.here);
    let all = after.all.saturating_sub(before.all);
    let others = all.saturating_sub(ours(after).saturating_sub(ours(before)));
    others.as_secs_f64() / after.at.saturating_duration_since(before.at).as_secs_f64().max(0.001)
}

/// A time in microseconds.
pub(super) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_joined_and_its_frames_are_counted() {
        let body = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n\
            data: {\"choices\":[{\"delta\":{\"content\":\"ab\"}}]}\n\n\
            data: {\"choices\":[{\"delta\":{\"content\":\"c\"}}],\"citations\":[{},{}]}\n\n\
            data: [DONE]\n\n";
        assert_eq!(Said::stream(body).unwrap(), Said { text: "abc".to_owned(), citations: 2, frames: 4 });
    }

    #[test]
    fn a_stream_that_was_cut_or_ended_in_an_error_is_no_answer() {
        let frame = "data: {\"choices\":[{\"delta\":{\"content\":\"ab\"}}]}\n\n";
        assert_eq!(Said::stream(frame), None);
        assert_eq!(Said::stream(&format!("{frame}event: error\n\ndata: [DONE]\n\n")), None);
        assert_eq!(Said::stream(""), None);
        assert_eq!(Said::whole("{\"error\":{\"message\":\"no\"}}"), None);
    }

    #[test]
    fn requests_are_json_and_of_the_size_that_the_method_names() {
        for mode in Mode::ALL {
            let body = own_request(mode);
            assert!((900..1_200).contains(&body.len()), "{}", body.len());
            let streams = serde_json::from_str::<Value>(&body).unwrap()["stream"].as_bool();
            assert_eq!(streams, Some(mode == Mode::Stream));
            assert_eq!(body.matches(COUNTED).count(), 1);
        }
    }
}
