//! The numbers that the product promises, each beside what was measured.

use std::fmt;

use serde::Serialize;

use super::report::Findings;
use super::runs::{Flow, Mode};

/// Requests a second at which the added time is promised.
pub(super) const PACE: u32 = 1_000;

/// One number.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Promise {
    pub(super) what: &'static str,
    pub(super) unit: &'static str,
    pub(super) bound: Bound,
    pub(super) promised: Option<f64>,
    pub(super) aimed: Option<f64>,
    /// `None` where this run says nothing about it.
    pub(super) measured: Option<f64>,
    pub(super) verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Bound {
    AtMost,
    AtLeast,
}

/// What was measured against what was promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Verdict {
    /// As good as aimed for, or as promised where no more is aimed for.
    Met,
    /// As promised, and short of the aim; or short of an aim that is no promise.
    ShortOfTheAim,
    /// Worse than promised.
    Broken,
    NotMeasured,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Met => "met",
            Self::ShortOfTheAim => "short of the aim",
            Self::Broken => "BROKEN",
            Self::NotMeasured => "not measured",
        })
    }
}

impl Bound {
    fn holds(self, measured: f64, bound: Option<f64>) -> bool {
        bound.is_none_or(|bound| match self {
            Self::AtMost => measured <= bound,
            Self::AtLeast => measured >= bound,
        })
    }

    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::AtMost => "<=",
            Self::AtLeast => ">=",
        }
    }
}

impl Promise {
    fn at_most(what: &'static str, unit: &'static str, measured: Option<f64>) -> Self {
        Self {
            what,
            unit,
            bound: Bound::AtMost,
            promised: None,
            aimed: None,
            measured,
            verdict: Verdict::NotMeasured,
        }
        .judged()
    }

    fn at_least(what: &'static str, unit: &'static str, measured: Option<f64>) -> Self {
        Self { bound: Bound::AtLeast, ..Self::at_most(what, unit, measured) }.judged()
    }

    fn promised(self, bound: f64) -> Self {
        Self { promised: Some(bound), ..self }.judged()
    }

    fn aimed(self, bound: f64) -> Self {
        Self { aimed: Some(bound), ..self }.judged()
    }

    fn judged(mut self) -> Self {
        self.verdict = match self.measured.filter(|measured| measured.is_finite()) {
            None => Verdict::NotMeasured,
            Some(measured) if !self.bound.holds(measured, self.promised) => Verdict::Broken,
            Some(measured) if !self.bound.holds(measured, self.aimed) => Verdict::ShortOfTheAim,
            Some(_) => Verdict::Met,
        };
        self
    }
}

/// Every promise that a running server can keep or break.
pub(super) fn judge(findings: &Findings) -> Vec<Promise> {
    let ratio = |flow, mode, of: fn(&super::report::Throughput) -> f64| {
        let (ours, nginx) = (findings.throughput(flow, mode)?, findings.throughput(Flow::Nginx, mode)?);
        Some(of(ours) / of(nginx))
    };
    let frame = |flow| {
        let (ours, nginx) = (findings.paced(flow)?, findings.paced(Flow::Nginx)?);
        Some(ours.cpu_us_per_frame / nginx.cpu_us_per_frame)
    };
    let kept = || {
        let of = |flow| findings.throughput(flow, Mode::Whole).map(|run| run.per_second);
        Some(of(Flow::Guarded)? / of(Flow::Unguarded)?)
    };
    // Whatever a model writes, so that of the text that takes them longest.
    let detectors_per_frame = findings.detectors.values().copied().max_by(f64::total_cmp);
    let beyond_disk = |flow: Flow| {
        // At another pace than the promised one nothing is said about the promised one.
        let (ours, nginx) = (findings.latency(flow, PACE)?, findings.latency(Flow::Nginx, PACE)?);
        Some((ours.p99_us - nginx.p99_us - findings.disk.as_ref()?.p99_us) / 1e3)
    };
    let (few, many) = (findings.starts.first(), findings.starts.last());
    vec![
        Promise::at_most(
            "gate: processor time per request, to nginx",
            "x",
            ratio(Flow::Gate, Mode::Whole, |run| run.cpu_us),
        )
        .promised(4.0)
        .aimed(2.5),
        Promise::at_least(
            "gate: throughput, to nginx",
            "x",
            ratio(Flow::Gate, Mode::Whole, |run| run.per_second),
        )
        .promised(0.3)
        .aimed(0.45),
        Promise::at_least("gate: throughput, to all guards off", "x", kept()).promised(0.75),
        Promise::at_most(
            "full turn: processor time per request, to nginx",
            "x",
            ratio(Flow::Full, Mode::Whole, |run| run.cpu_us),
        )
        .aimed(20.0),
        Promise::at_most("gate: added p99 beyond the disk's", "ms", beyond_disk(Flow::Gate)),
        Promise::at_most("full turn: added p99 beyond the disk's", "ms", beyond_disk(Flow::Full))
            .promised(1.0),
        Promise::at_most("gate: processor time per streamed frame, to nginx", "x", frame(Flow::Gate))
            .promised(2.0),
        Promise::at_most(
            "guards: processor time per streamed frame, at most",
            "us",
            findings.guards_per_frame.map(|difference| difference.at_most()),
        )
        .promised(2.0),
        Promise::at_most("detectors alone: per frame of the worst text", "us", detectors_per_frame)
            .promised(2.0),
        Promise::at_most("demo's data: ready", "ms", few.map(|start| start.ready_ms)).promised(300.0),
        Promise::at_most("demo's data: idle memory", "MB", few.map(|start| start.idle_mb)).promised(40.0),
        Promise::at_most("many communities: ready", "ms", many.map(|start| start.ready_ms)).promised(300.0),
        Promise::at_most("many communities: idle memory", "MB", many.map(|start| start.idle_mb))
            .promised(128.0),
        Promise::at_most(
            "many communities: first turn in a cold one, worst",
            "ms",
            many.map(|start| start.first_turn_ms.worst),
        )
        .promised(20.0),
        Promise::at_most("size of the program", "MB", Some(findings.setting.program_mb)).promised(45.0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(promise: Promise) -> Verdict {
        promise.verdict
    }

    #[test]
    fn a_promise_is_judged_by_its_bound_and_then_by_the_aim() {
        let at_most = |measured| Promise::at_most("a", "x", Some(measured)).promised(4.0).aimed(2.5);
        assert_eq!(verdict(at_most(2.5)), Verdict::Met);
        assert_eq!(verdict(at_most(2.6)), Verdict::ShortOfTheAim);
        assert_eq!(verdict(at_most(4.1)), Verdict::Broken);
        let at_least = |measured| Promise::at_least("a", "x", Some(measured)).promised(0.3).aimed(0.45);
        assert_eq!(verdict(at_least(0.5)), Verdict::Met);
        assert_eq!(verdict(at_least(0.3)), Verdict::ShortOfTheAim);
        assert_eq!(verdict(at_least(0.2)), Verdict::Broken);
        assert_eq!(verdict(Promise::at_most("a", "x", Some(30.0)).aimed(20.0)), Verdict::ShortOfTheAim);
    }

    #[test]
    fn what_could_not_be_measured_meets_nothing() {
        for measured in [None, Some(f64::NAN), Some(f64::INFINITY)] {
            let promise = Promise::at_most("a", "x", measured).promised(4.0);
            assert_eq!(verdict(promise), Verdict::NotMeasured);
        }
    }
}
