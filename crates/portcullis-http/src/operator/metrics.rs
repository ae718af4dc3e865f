//! `/metrics`: every number that the instance keeps, in the text format that Prometheus reads.
//!
//! [`METRICS`] is the one list of them. The numbers are kept where they arise, as counters with as many cases as the code
//! has; here they only get a name and labels. A label's value is a word of the code (a route of the table, a guard, a code,
//! an event, a phase), never anything that a request, a model or a member said, and no id.

use std::fmt;
use std::sync::Arc;

use portcullis_core::measure::Timed;
use portcullis_guard::Code;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::Operator;
use super::process::Process;

pub use prometheus_client::encoding::prometheus_text::CONTENT_TYPE;

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// It only grows, until the process ends.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How long something took, by how often it took how long.
    Histogram,
}

impl MetricKind {
    /// The word that Prometheus has for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Debug)]
pub struct Metric {
    /// Its name as it is scraped.
    pub name: &'static str,
    /// What it is.
    pub kind: MetricKind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
    write: fn(&Operator, &mut Samples<'_>) -> fmt::Result,
}

const fn metric(
    name: &'static str,
    kind: MetricKind,
    labels: &'static [&'static str],
    help: &'static str,
    write: fn(&Operator, &mut Samples<'_>) -> fmt::Result,
) -> Metric {
    Metric { name, kind, labels, help, write }
}

/// The list.
#[rustfmt::skip]
pub const METRICS: &[Metric] = {
    use MetricKind::{Counter, Gauge, Histogram};
    &[
    metric("portcullis_build_info", Gauge, &["version"], "The program's version; always 1",
        |operator, to| to.gauge(&[("version", operator.parts.version)], 1)),
    metric("portcullis_uptime_seconds", Gauge, &[], "How long the process has been serving",
        |operator, to| to.gauge(&[], operator.uptime().as_secs())),
    metric("portcullis_requests_total", Counter, &["method", "route", "status"],
        "Requests answered on the members' listener, by the route of the table and the class of the status",
        |operator, to| operator.app().requests().counts().try_for_each(|(route, class, count)| {
            let (method, path) = route.map_or(("none", "none"), |route| (route.method.as_str(), route.path));
            to.counter(&[("method", method), ("route", path), ("status", class)], count)
        })),
    metric("portcullis_chat_start_seconds", Histogram, &[],
        "How long questions that were answered waited until the answer began to leave",
        |operator, to| to.histogram(&[], &operator.app().requests().chat().read())),
    metric("portcullis_turn_phase_seconds", Histogram, &["phase"], "How long each phase of a turn took",
        |operator, to| operator.app().gate().measures().phases().try_for_each(|(phase, times)| {
            to.histogram(&[("phase", phase.name())], &times.read())
        })),
    metric("portcullis_refusals_total", Counter, &["guard", "code"],
        "Requests refused, by the guard that refused them and the code that was told; guard none where no guard did",
        |operator, to| operator.app().gate().measures().refusals().iter().try_for_each(|((guard, code), count)| {
            to.counter(&[("guard", if guard.is_empty() { "none" } else { guard }), ("code", code)], *count)
        })),
    metric("portcullis_security_events_total", Counter, &["event"], "Security events, by kind",
        |operator, to| operator.app().gate().events().counts().try_for_each(|(event, count)| {
            to.counter(&[("event", event.name())], count)
        })),
    metric("portcullis_blocks", Gauge, &["source"], "Addresses and networks that are refused, by what put them there",
        |operator, to| {
            let gate = operator.app().gate();
            let counts = [
                ("configured", gate.blocks().configured().len()),
                ("operator", gate.blocks().entries(gate.clock().now()).len()),
                ("automatic", gate.blocks().automatic(gate.clock()).len()),
            ];
            counts.iter().try_for_each(|(source, count)| to.gauge(&[("source", source)], *count as u64))
        }),
    metric("portcullis_automatic_blocks_total", Counter, &["offence"],
        "Blocks that began by themselves, by what they are for",
        |operator, to| operator.app().gate().blocks().begun().try_for_each(|(offence, count)| {
            to.counter(&[("offence", offence.name())], count)
        })),
    metric("portcullis_streams_open", Gauge, &[], "Answers that are being streamed",
        |operator, to| to.gauge(&[], operator.app().gate().measures().streams().value())),
    metric("portcullis_model_places", Gauge, &[], "Places at the model",
        |operator, to| to.gauge(&[], operator.app().chat().places().all() as u64)),
    metric("portcullis_model_places_taken", Gauge, &[], "Places at the model that are taken",
        |operator, to| to.gauge(&[], operator.app().chat().places().taken() as u64)),
    metric("portcullis_model_waiting", Gauge, &[], "Questions that wait for a place at the model",
        |operator, to| to.gauge(&[], operator.app().chat().places().waiting() as u64)),
    metric("portcullis_model_errors_total", Counter, &["code"], "Questions that the model did not answer",
        |operator, to| MODEL_ERRORS.iter().try_for_each(|code| {
            let count = operator.app().gate().measures().refused_with(*code);
            to.counter(&[("code", code.name())], count)
        })),
    metric("portcullis_store_errors_total", Counter, &[], "Requests that failed because a store did",
        |operator, to| to.counter(&[], operator.app().gate().measures().refused_with(Code::StoreUnavailable))),
    metric("portcullis_journal_records", Gauge, &[], "Records in the audit journal",
        |operator, to| to.gauge(&[], operator.app().gate().journal().meter().reached().records)),
    metric("portcullis_journal_signed_records", Gauge, &[], "Records that the newest checkpoint covers",
        |operator, to| {
            let checkpoint = operator.app().gate().journal().meter().reached().checkpoint;
            to.gauge(&[], checkpoint.map_or(0, |(size, _)| size))
        }),
    metric("portcullis_journal_appended_total", Counter, &[], "Records that this process made durable",
        |operator, to| to.counter(&[], operator.app().gate().journal().meter().appended.value())),
    metric("portcullis_journal_sync_seconds", Histogram, &[],
        "How long it took to make records durable, once for those written together",
        |operator, to| to.histogram(&[], &operator.app().gate().journal().meter().syncs.read())),
    metric("portcullis_journal_failed", Gauge, &[], "1 once the audit journal cannot be written, which a restart ends",
        |operator, to| to.gauge(&[], u64::from(operator.app().gate().journal().failure().is_some()))),
    metric("portcullis_tasks", Gauge, &[], "Background tasks and connections that run",
        |operator, to| to.gauge(&[], operator.app().gate().tasks().running() as u64)),
    metric("process_resident_memory_bytes", Gauge, &[], "Memory of the process that is in RAM",
        |_, to| to.known(Process::read().resident_bytes)),
    metric("process_open_fds", Gauge, &[], "Files and sockets that the process holds open",
        |_, to| to.known(Process::read().open_files)),
    metric("process_max_fds", Gauge, &[], "Files and sockets that the process may hold open",
        |_, to| to.known(Process::read().most_files)),
    metric("process_threads", Gauge, &[], "Threads of the process",
        |_, to| to.known(Process::read().threads)),
]};

/// The codes of a model that did not answer.
const MODEL_ERRORS: &[Code] =
    &[Code::ModelBusy, Code::ModelUnavailable, Code::ModelTimedOut, Code::ModelRejected];

/// The text of a scrape.
pub(super) fn read(operator: &Arc<Operator>) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Numbers(Arc::clone(operator))));
    let mut text = String::new();
    prometheus_text::encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Numbers(Arc<Operator>);

impl Collector for Numbers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in METRICS {
            let kind = match metric.kind {
                MetricKind::Counter => MetricType::Counter,
                MetricKind::Gauge => MetricType::Gauge,
                MetricKind::Histogram => MetricType::Histogram,
            };
            // The library writes a counter's ending itself.
            let name = match metric.kind {
                MetricKind::Counter => metric.name.trim_end_matches("_total"),
                _ => metric.name,
            };
            let to = encoder.encode_descriptor(name, metric.help, None, kind)?;
            (metric.write)(&self.0, &mut Samples(to))?;
        }
        Ok(())
    }
}

/// Labels, as name and value.
type Labels<'a> = &'a [(&'static str, &'static str)];

/// Where a metric writes its numbers.
struct Samples<'a>(MetricEncoder<'a>);

impl Samples<'_> {
    fn counter(&mut self, labels: Labels<'_>, value: u64) -> fmt::Result {
        self.labelled(labels, |to| to.encode_counter::<NoLabelSet, _, u64>(&value, None))
    }

    fn gauge(&mut self, labels: Labels<'_>, value: u64) -> fmt::Result {
        self.labelled(labels, |to| to.encode_gauge(&value))
    }

    /// A number that this system may not tell.
    fn known(&mut self, value: Option<u64>) -> fmt::Result {
        value.map_or(Ok(()), |value| self.gauge(&[], value))
    }

    fn histogram(&mut self, labels: Labels<'_>, timed: &Timed) -> fmt::Result {
        self.labelled(labels, |to| {
            to.encode_histogram::<NoLabelSet>(timed.seconds, timed.count, &timed.buckets, None)
        })
    }

    fn labelled(
        &mut self,
        labels: Labels<'_>,
        write: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
    ) -> fmt::Result {
        if labels.is_empty() { write(&mut self.0) } else { write(&mut self.0.encode_family(&labels)?) }
    }
}
