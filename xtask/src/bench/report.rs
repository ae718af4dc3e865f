//! What was found, as tables for people and as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::phases::Phase;
use super::promises::{self, Promise};
use super::runs::{Closed, Flow, Mode, micros};
use super::spread::{Difference, Spread, median};
use super::stalls::Stalls;
use super::starts::Start;

/// A pace counts as kept from this share of it on.
const KEPT: f64 = 0.99;

/// Everything that one run found.
#[derive(Debug, Serialize)]
pub(super) struct Findings {
    pub(super) setting: Setting,
    /// What the machine takes away by itself.
    pub(super) stalls: Stalls,
    pub(super) throughput: Vec<Throughput>,
    /// None where no times were measured.
    pub(super) disk: Option<Latency>,
    pub(super) latency: Vec<Latency>,
    /// Where full turns spent their time at the faster pace, the longest phase first.
    pub(super) phases: Vec<Phase>,
    pub(super) paced: Vec<Paced>,
    /// What a frame of these costs with guards on more than with guards off, in microseconds of processor time.
    pub(super) guards_per_frame: Option<Difference>,
    /// Microseconds that the detectors of what leaves take for a frame by themselves, by the kind of text; none where they were not measured.
    pub(super) detectors: BTreeMap<String, f64>,
    /// Of a few communities, and of many; none where they were not measured.
    pub(super) starts: Vec<Start>,
}

/// What was measured, on what.
#[derive(Debug, Serialize)]
pub(super) struct Setting {
    pub(super) machine: String,
    pub(super) nginx: String,
    pub(super) program: String,
    pub(super) program_mb: f64,
    pub(super) rounds: u32,
    pub(super) seconds: u64,
    pub(super) connections: u32,
    pub(super) documents: usize,
    pub(super) import_seconds: f64,
    pub(super) minutes: f64,
}

/// A flow under as much load as it takes: medians of the rounds.
#[derive(Debug, Serialize)]
pub(super) struct Throughput {
    pub(super) flow: Flow,
    pub(super) mode: Mode,
    pub(super) per_second: f64,
    pub(super) cpu_us: f64,
    pub(super) upstream_cpu_us: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) others: f64,
}

impl Throughput {
    pub(super) fn of(flow: Flow, mode: Mode, runs: &[Closed]) -> Self {
        let middle = |of: fn(&Closed) -> f64| median(runs.iter().map(of)).unwrap_or(f64::NAN);
        Self {
            flow,
            mode,
            per_second: middle(|run| run.per_second),
            cpu_us: middle(|run| run.cpu_us),
            upstream_cpu_us: middle(|run| run.upstream_cpu_us),
            p50_us: middle(|run| run.p50_us),
            p99_us: middle(|run| run.p99_us),
            others: middle(|run| run.others),
        }
    }
}

/// Times at a fixed pace, or one after the other: medians of the rounds.
#[derive(Debug, Serialize)]
pub(super) struct Latency {
    pub(super) what: &'static str,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) worst_us: f64,
    /// `None` for what has no pace.
    pub(super) pace: Option<Pace>,
}

/// How many requests a second were due, and how many were answered.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Pace {
    pub(super) due: u32,
    pub(super) answered: f64,
}

impl Latency {
    /// Of runs at that pace, each with the requests a second that were answered.
    pub(super) fn at(due: u32, flow: Flow, runs: Vec<(Spread, f64)>) -> Self {
        let answered = median(runs.iter().map(|(_, answered)| *answered)).unwrap_or(0.0);
        let times: Vec<Spread> = runs.into_iter().map(|(times, _)| times).collect();
        Self { pace: Some(Pace { due, answered }), ..Self::of(flow.name(), &times) }
    }

    pub(super) fn of(what: &'static str, runs: &[Spread]) -> Self {
        let middle = |of: fn(&Spread) -> std::time::Duration| {
            median(runs.iter().map(|times| micros(of(times)))).unwrap_or(f64::NAN)
        };
        let (p50_us, p99_us, worst_us) = (middle(Spread::p50), middle(Spread::p99), middle(Spread::max));
        Self { what, p50_us, p99_us, worst_us, pace: None }
    }

    /// Whether the answers came as fast as the questions.
    pub(super) fn kept_pace(&self) -> bool {
        self.pace.is_some_and(|pace| pace.answered >= KEPT * f64::from(pace.due))
    }
}

/// Streams whose frames come one by one: medians of the rounds.
#[derive(Debug, Serialize)]
pub(super) struct Paced {
    pub(super) flow: Flow,
    pub(super) frames_per_second: f64,
    pub(super) cpu_us_per_frame: f64,
}

impl Paced {
    /// `frames` is what the upstream sends for one answer, whatever arrives of it as how many.
    pub(super) fn of(flow: Flow, frames: u32, runs: &[Closed]) -> Self {
        let frames = f64::from(frames);
        Self {
            flow,
            frames_per_second: median(runs.iter().map(|run| run.per_second * frames)).unwrap_or(f64::NAN),
            cpu_us_per_frame: median(runs.iter().map(|run| run.cpu_us / frames)).unwrap_or(f64::NAN),
        }
    }
}

/// The findings with what follows from them.
#[derive(Debug, Serialize)]
pub(super) struct Judged<'a> {
    #[serde(flatten)]
    findings: &'a Findings,
    promises: Vec<Promise>,
}

impl Findings {
    pub(super) fn with_promises(&self) -> Judged<'_> {
        Judged { findings: self, promises: promises::judge(self) }
    }

    pub(super) fn throughput(&self, flow: Flow, mode: Mode) -> Option<&Throughput> {
        self.throughput.iter().find(|row| (row.flow, row.mode) == (flow, mode))
    }

    /// The times of a flow that kept that pace.
    pub(super) fn latency(&self, flow: Flow, due: u32) -> Option<&Latency> {
        self.latency.iter().find(|row| {
            row.what == flow.name() && row.pace.is_some_and(|pace| pace.due == due) && row.kept_pace()
        })
    }

    pub(super) fn paced(&self, flow: Flow) -> Option<&Paced> {
        self.paced.iter().find(|row| row.flow == flow)
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setting {
            machine,
            nginx,
            program,
            program_mb,
            rounds,
            seconds,
            connections,
            documents,
            import_seconds,
            minutes,
        } = &self.setting;
        writeln!(f, "{program} ({program_mb:.1} MB) beside {nginx}; {machine}")?;
        writeln!(
            f,
            "{rounds} rounds of {seconds} s, medians; {connections} connections; {documents} documents imported in \
             {import_seconds:.1} s; {minutes:.1} minutes in all"
        )?;
        let Stalls { per_second, longest_ms, share } = self.stalls;
        writeln!(
            f,
            "the machine itself stops a busy thread {per_second:.1} times a second, {longest_ms:.1} ms at the longest, {:.2} % of the \
             time",
            share * 1e2
        )?;
        self.write_throughput(f)?;
        self.write_latency(f)?;
        self.write_phases(f)?;
        self.write_paced(f)?;
        self.write_starts(f)?;
        self.write_promises(f)
    }
}

impl Findings {
    fn write_throughput(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nClosed loop: as many requests as it takes")?;
        writeln!(
            f,
            "{:<15} {:<7} {:>9} {:>6} {:>12} {:>6} {:>13} {:>8} {:>8} {:>7}",
            "flow",
            "answer",
            "req/s",
            "ratio",
            "cpu us/req",
            "ratio",
            "upstream us",
            "p50 ms",
            "p99 ms",
            "others"
        )?;
        for row in &self.throughput {
            let nginx = self.throughput(Flow::Nginx, row.mode);
            let ratio = |of: fn(&Throughput) -> f64| nginx.map_or(f64::NAN, |nginx| of(row) / of(nginx));
            writeln!(
                f,
                "{:<15} {:<7} {:>9.0} {:>6.2} {:>12.1} {:>6.2} {:>13.1} {:>8.2} {:>8.2} {:>7.2}",
                row.flow.name(),
                row.mode.name(),
                row.per_second,
                ratio(|row| row.per_second),
                row.cpu_us,
                ratio(|row| row.cpu_us),
                row.upstream_cpu_us,
                row.p50_us / 1e3,
                row.p99_us / 1e3,
                row.others,
            )?;
        }
        writeln!(f, "others: processors kept busy by everything else on the machine")
    }

    fn write_latency(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nOpen loop: whole answers at a fixed pace, and the disk")?;
        writeln!(
            f,
            "{:<20} {:>6} {:>9} {:>8} {:>8} {:>9} {:>10} {:>10}",
            "flow", "due/s", "answered", "p50 ms", "p99 ms", "worst ms", "added p50", "added p99"
        )?;
        let millis = |us: f64| format!("{:.2}", us / 1e3);
        for row in self.latency.iter().chain(&self.disk) {
            let nginx = row.pace.and_then(|pace| self.latency(Flow::Nginx, pace.due));
            let added = |of: fn(&Latency) -> f64| match nginx {
                Some(nginx) => format!("{:+.2}", (of(row) - of(nginx)) / 1e3),
                None => "-".to_owned(),
            };
            let (due, answered) = match row.pace {
                Some(pace) => (pace.due.to_string(), format!("{:.0}", pace.answered)),
                None => ("-".to_owned(), "-".to_owned()),
            };
            let times = [millis(row.p50_us), millis(row.p99_us), millis(row.worst_us)];
            // The times of a flow that falls behind are those of its queue, and grow as long as one looks.
            let behind = row.pace.is_some() && !row.kept_pace();
            let [p50, p99, worst] = if behind { ["-", "-", "-"].map(str::to_owned) } else { times };
            let added = [added(|row| row.p50_us), added(|row| row.p99_us)];
            let [added_p50, added_p99] = if behind { ["behind", "behind"].map(str::to_owned) } else { added };
            writeln!(
                f,
                "{:<20} {due:>6} {answered:>9} {p50:>8} {p99:>8} {worst:>9} {added_p50:>10} {added_p99:>10}",
                row.what
            )?;
        }
        Ok(())
    }

    fn write_phases(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.phases.is_empty() {
            return Ok(());
        }
        writeln!(f, "\nPhases of a full turn at the faster pace, by the program's own measures")?;
        writeln!(f, "{:<15} {:>9} {:>14}", "phase", "mean us", "% over 1 ms")?;
        for Phase { name, mean_us, slow_percent } in &self.phases {
            writeln!(f, "{name:<15} {mean_us:>9.1} {slow_percent:>14.2}")?;
        }
        Ok(())
    }

    fn write_paced(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nStreams whose frames come one by one")?;
        writeln!(f, "{:<15} {:>10} {:>13} {:>6}", "flow", "frames/s", "cpu us/frame", "ratio")?;
        let nginx = self.paced(Flow::Nginx);
        for row in &self.paced {
            let ratio = nginx.map_or(f64::NAN, |nginx| row.cpu_us_per_frame / nginx.cpu_us_per_frame);
            writeln!(
                f,
                "{:<15} {:>10.0} {:>13.2} {:>6.2}",
                row.flow.name(),
                row.frames_per_second,
                row.cpu_us_per_frame,
                ratio
            )?;
        }
        if let Some(Difference { mean, error, pairs }) = self.guards_per_frame {
            writeln!(
                f,
                "guards on less guards off: {mean:+.2} us a frame, standard error {error:.2}, of {pairs} pairs"
            )?;
        }
        for (text, us) in &self.detectors {
            writeln!(f, "the detectors alone, {text}: {us:.2} us a frame of 5 characters")?;
        }
        Ok(())
    }

    fn write_starts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nStarts")?;
        writeln!(
            f,
            "{:<13} {:>9} {:>8} {:>14} {:>17} {:>13}",
            "communities", "ready ms", "idle MB", "cold turn ms", "cold turn worst", "create ms each"
        )?;
        for row in &self.starts {
            writeln!(
                f,
                "{:<13} {:>9.0} {:>8.1} {:>14.2} {:>17.2} {:>13.2}",
                row.communities,
                row.ready_ms,
                row.idle_mb,
                row.first_turn_ms.median,
                row.first_turn_ms.worst,
                row.create_ms
            )?;
        }
        Ok(())
    }

    fn write_promises(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nWhat the product promises")?;
        writeln!(f, "{:<52} {:>10} {:>12} {:>12}  verdict", "number", "measured", "promised", "aimed for")?;
        for promise in promises::judge(self) {
            let Promise { what, unit, bound, promised, aimed, measured, verdict } = promise;
            let shown = |sign: &str, value: Option<f64>| match value {
                Some(value) => format!("{sign}{value:.2} {unit}").trim_start().to_owned(),
                None => "-".to_owned(),
            };
            let sign = format!("{} ", bound.sign());
            let verdict = match (promised, aimed) {
                (None, None) => "shown only".to_owned(),
                _ => verdict.to_string(),
            };
            writeln!(
                f,
                "{what:<52} {:>10} {:>12} {:>12}  {verdict}",
                shown("", measured),
                shown(&sign, promised),
                shown(&sign, aimed),
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn closed(per_second: f64, cpu_us: f64) -> Closed {
        Closed { per_second, cpu_us, upstream_cpu_us: 1.0, p50_us: 1.0, p99_us: 2.0, others: 0.0 }
    }

    #[test]
    fn a_row_is_the_middle_of_its_rounds() {
        let runs = [closed(100.0, 10.0), closed(300.0, 30.0), closed(200.0, 20.0)];
        let row = Throughput::of(Flow::Gate, Mode::Whole, &runs);
        assert_eq!((row.per_second, row.cpu_us), (200.0, 20.0));
        let paced = Paced::of(Flow::Gate, 10, &runs);
        assert_eq!((paced.frames_per_second, paced.cpu_us_per_frame), (2_000.0, 2.0));
    }

    #[test]
    fn a_flow_that_falls_behind_did_not_keep_the_pace() {
        let at = |answered| {
            Latency::at(1_000, Flow::Gate, vec![(Spread::of(vec![Duration::from_millis(1)]), answered)])
        };
        assert!(at(999.0).kept_pace());
        assert!(!at(700.0).kept_pace());
        assert!(!Latency::of("disk", &[Spread::default()]).kept_pace());
    }
}
