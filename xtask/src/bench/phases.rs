//! Where a turn spends its time, by the program's own measures: what `/metrics` counts, before and after a run.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::wire::Connection;

/// The histogram that is read, in seconds by phase.
const METRIC: &str = "portcullis_turn_phase_seconds";
/// Longer than this a phase is counted as slow; a bound of the histogram.
const SLOW: &str = "0.001";

/// The operator plane of a running instance.
#[derive(Debug)]
pub(super) struct Plane {
    pub(super) address: SocketAddr,
    pub(super) token: String,
}

/// What the phases took so far, by name.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Phases(BTreeMap<String, Sums>);

#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Sums {
    seconds: f64,
    count: f64,
    /// How many were not slow.
    quick: f64,
}

/// A phase of a flow's turns.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Phase {
    pub(super) name: String,
    pub(super) mean_us: f64,
    /// How many of a hundred took longer than 1 ms.
    pub(super) slow_percent: f64,
}

impl Plane {
    pub(super) fn phases(&self) -> Result<Phases> {
        let Self { address, token } = self;
        let request =
            format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n");
        let answer = Connection::open(*address)?.exchange(request.as_bytes())?;
        if answer.status != 200 {
            bail!("the operator plane at {address} answered {}", answer.status);
        }
        Phases::parse(std::str::from_utf8(&answer.body).context("`/metrics` is not UTF-8")?)
    }
}

impl Phases {
    /// Reads the text format of Prometheus.
    fn parse(text: &str) -> Result<Self> {
        let mut phases = Self::default();
        for line in text.lines() {
            let Some((name, rest)) = line.strip_prefix(METRIC).and_then(|rest| rest.split_once('{')) else {
                continue;
            };
            let parts = rest.split_once("} ").and_then(|(labels, value)| {
                let label = |name: &str| {
                    labels.split(',').find_map(|pair| {
                        pair.strip_prefix(name)?.strip_prefix("=\"")?.strip_suffix('"').map(str::to_owned)
                    })
                };
                Some((label("phase")?, label("le"), value.parse::<f64>().ok()?))
            });
            let (phase, bound, value) =
                parts.with_context(|| format!("`{line}` is no line of a histogram"))?;
            let sums = phases.0.entry(phase).or_default();
            match (name, bound.as_deref()) {
                ("_sum", _) => sums.seconds = value,
                ("_count", _) => sums.count = value,
                ("_bucket", Some(SLOW)) => sums.quick = value,
                _ => {}
            }
        }
        if phases.0.is_empty() {
            bail!("`/metrics` has no `{METRIC}`");
        }
        Ok(phases)
    }

    /// What came to `earlier` until these were read.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        let less = |(name, now): (&String, &Sums)| {
            let before = earlier.0.get(name).copied().unwrap_or_default();
            let Sums { seconds, count, quick } = *now;
            let less = Sums {
                seconds: seconds - before.seconds,
                count: count - before.count,
                quick: quick - before.quick,
            };
            (name.clone(), less)
        };
        Self(self.0.iter().map(less).collect())
    }

    /// Takes in another run.
    pub(super) fn add(&mut self, run: &Self) {
        for (name, Sums { seconds, count, quick }) in &run.0 {
            let sums = self.0.entry(name.clone()).or_default();
            sums.seconds += seconds;
            sums.count += count;
            sums.quick += quick;
        }
    }

    /// Those that were, the longest first.
    pub(super) fn rows(&self) -> Vec<Phase> {
        let were = self.0.iter().filter(|(_, sums)| sums.count > 0.0);
        let row = |(name, sums): (&String, &Sums)| Phase {
            name: name.clone(),
            mean_us: sums.seconds / sums.count * 1e6,
            slow_percent: (sums.count - sums.quick) / sums.count * 1e2,
        };
        let mut rows: Vec<_> = were.map(row).collect();
        rows.sort_by(|one, other| other.mean_us.total_cmp(&one.mean_us));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(sum: f64, count: u32, quick: u32) -> String {
        format!(
            "# TYPE {METRIC} histogram\n\
             {METRIC}_bucket{{phase=\"open\",le=\"0.0005\"}} 0\n\
             {METRIC}_bucket{{phase=\"open\",le=\"0.001\"}} {quick}\n\
             {METRIC}_bucket{{phase=\"open\",le=\"+Inf\"}} {count}\n\
             {METRIC}_sum{{phase=\"open\"}} {sum}\n\
             {METRIC}_count{{phase=\"open\"}} {count}\n\
             {METRIC}_sum{{phase=\"tool\"}} 0\n\
             {METRIC}_count{{phase=\"tool\"}} 0\n\
             portcullis_other{{phase=\"open\"}} 9\n"
        )
    }

    #[test]
    fn a_phase_is_what_came_between_two_readings_and_one_that_never_was_is_left_out() {
        let read = |sum, count, quick| Phases::parse(&text(sum, count, quick)).unwrap();
        let mut both = Phases::default();
        both.add(&read(3.0, 1_100, 1_090).since(&read(1.0, 100, 100)));
        both.add(&read(5.0, 2_100, 2_090).since(&read(3.0, 1_100, 1_090)));
        let rows = both.rows();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].name, "open");
        assert!(
            (rows[0].mean_us - 2_000.0).abs() < 1e-6 && (rows[0].slow_percent - 0.5).abs() < 1e-9,
            "{rows:?}"
        );
    }

    #[test]
    fn metrics_without_phases_are_an_error_and_not_an_empty_table() {
        assert!(Phases::parse("portcullis_other 1\n").is_err());
        let broken = format!("{METRIC}_sum{{phase=\"open\"}} much\n");
        assert!(Phases::parse(&broken).unwrap_err().to_string().contains("much"));
    }
}
