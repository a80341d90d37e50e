//! The state of the daemon for Prometheus.
//!
//! In: a snapshot. Out: `OpenMetrics` 1.0 text, or the older Prometheus text format (0.0.4) for readers that do not ask
//! for it. Invariants: labels are names of runs, verdicts and severities, never layers or tags; at most
//! [`RUN_LABELS_MAX`] runs have labels, the worst and then the most recently changed first, and the rest is counted;
//! counters never fall.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::board::Health;
use super::snapshot::{RunRow, Snapshot};
use crate::model::{Severity, Verdict};

/// Runs that have series of their own.
pub const RUN_LABELS_MAX: usize = 1_000;

const VERDICTS: [Verdict; 4] = [
    Verdict::NoData,
    Verdict::Healthy,
    Verdict::Warning,
    Verdict::Critical,
];
const SEVERITIES: [Severity; 2] = [Severity::Warning, Severity::Critical];

type Labels = Vec<(&'static str, String)>;
type Gauges = Family<Labels, Gauge>;
type FloatGauge = Gauge<f64, AtomicU64>;

pub(super) fn content_type(is_open: bool) -> &'static str {
    if is_open {
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    } else {
        "text/plain; version=0.0.4; charset=utf-8"
    }
}

/// The metrics as text.
pub(super) fn write(
    snapshot: &Snapshot,
    health: Health,
    since_turn: Duration,
    is_open: bool,
) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("gradwatch");
    register_daemon(&mut registry, health, since_turn);
    register_reading(&mut registry, snapshot);
    register_totals(&mut registry, snapshot);
    register_runs(&mut registry, &labelled(&snapshot.runs));
    let left_out = snapshot.runs.len().saturating_sub(RUN_LABELS_MAX);
    gauge(
        &mut registry,
        "runs_without_labels",
        "Runs beyond the limit of labels",
        count(left_out),
    );
    let mut text = String::new();
    encode(&mut text, &registry)?;
    let text = in_order(&text);
    Ok(if is_open { text } else { classic(&text) })
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: i64) {
    let gauge = Gauge::<i64>::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

fn counter(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let counter: Counter = Counter::default();
    counter.inc_by(value);
    registry.register(name, help, counter);
}

fn register_daemon(registry: &mut Registry, health: Health, since_turn: Duration) {
    let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "The version of gradwatch", version);
    let since = FloatGauge::default();
    since.set(since_turn.as_secs_f64());
    let help = "Time since the loop that follows the logs last made progress";
    registry.register_with_unit("loop_turn_age", help, Unit::Seconds, since);
    let help = "1 while some paths are only polled because change hints cannot be had";
    gauge(registry, "degraded", help, i64::from(health.is_degraded));
    let waiting = [
        (
            "outbox_waiting_messages",
            "Messages that wait to be delivered",
            health.outbox_waiting,
        ),
        (
            "outbox_dead_messages",
            "Messages that no receiver will take",
            health.outbox_dead,
        ),
    ];
    for (name, help, value) in waiting {
        if let Some(value) = value {
            gauge(registry, name, help, i64::try_from(value).unwrap_or(i64::MAX));
        }
    }
}

fn register_reading(registry: &mut Registry, snapshot: &Snapshot) {
    let read = &snapshot.read;
    let bytes: Counter = Counter::default();
    bytes.inc_by(read.bytes);
    registry.register_with_unit("read", "Bytes of logs that were read", Unit::Bytes, bytes);
    counter(registry, "records", "Records that were read", read.records);
    let help = "Records that could not be read and were skipped";
    counter(registry, "skipped_records", help, read.skipped);
    counter(
        registry,
        "problems",
        "Parts of logs that could not be read",
        read.problems,
    );
    let said = Family::<Labels, Counter>::default();
    let events = [
        ("alarm", snapshot.said.alarms),
        ("worse", snapshot.said.worse),
        ("resolved", snapshot.said.resolved),
    ];
    for (event, n) in events {
        said.get_or_create(&vec![("event", event.to_owned())]).inc_by(n);
    }
    registry.register("notices", "What was said of alarms", said);
}

fn register_totals(registry: &mut Registry, snapshot: &Snapshot) {
    let (runs, alerts) = (Gauges::default(), Gauges::default());
    let files: u64 = snapshot.runs.iter().map(|it| it.totals.files).sum();
    for verdict in VERDICTS {
        let n = snapshot
            .runs
            .iter()
            .filter(|it| it.summary.verdict == verdict)
            .count();
        runs.get_or_create(&vec![("verdict", verdict.as_str().to_owned())])
            .set(count(n));
    }
    for severity in SEVERITIES {
        let n: i64 = snapshot.runs.iter().map(|it| standing(it, severity)).sum();
        alerts
            .get_or_create(&vec![("severity", severity.as_str().to_owned())])
            .set(n);
    }
    registry.register("runs", "Followed runs", runs);
    registry.register("alerts", "Alarms that stand", alerts);
    let files = i64::try_from(files).unwrap_or(i64::MAX);
    gauge(registry, "files", "Followed files", files);
}

fn standing(row: &RunRow, severity: Severity) -> i64 {
    count(row.alarms().iter().filter(|it| it.1.severity == severity).count())
}

/// The runs that get labels.
fn labelled(runs: &[Arc<RunRow>]) -> Vec<&RunRow> {
    let mut chosen: Vec<&RunRow> = runs.iter().map(Arc::as_ref).collect();
    if chosen.len() > RUN_LABELS_MAX {
        // A stable sort: what is equal stays in the order of the names.
        chosen.sort_by_key(|it| std::cmp::Reverse((it.summary.verdict, it.changed_at)));
        chosen.truncate(RUN_LABELS_MAX);
    }
    chosen
}

fn register_runs(registry: &mut Registry, runs: &[&RunRow]) {
    let (steps, verdicts, alerts) = (Gauges::default(), Gauges::default(), Gauges::default());
    let changes = Family::<Labels, FloatGauge>::default();
    for row in runs {
        let of_run = || ("run", row.summary.run.clone());
        if let Some(step) = row.summary.last_step {
            steps.get_or_create(&vec![of_run()]).set(step);
        }
        if let Some(at) = row.changed_at {
            let seconds = at.as_duration().as_secs_f64();
            changes.get_or_create(&vec![of_run()]).set(seconds);
        }
        for verdict in VERDICTS {
            let labels = vec![of_run(), ("verdict", verdict.as_str().to_owned())];
            verdicts
                .get_or_create(&labels)
                .set(i64::from(row.summary.verdict == verdict));
        }
        for severity in SEVERITIES {
            let labels = vec![of_run(), ("severity", severity.as_str().to_owned())];
            alerts.get_or_create(&labels).set(standing(row, severity));
        }
    }
    registry.register("run_last_step", "Last step that was read of the run", steps);
    let help = "When the files of the run last changed";
    registry.register_with_unit("run_last_change_timestamp", help, Unit::Seconds, changes);
    registry.register("run_verdict", "1 for the verdict that the run has", verdicts);
    registry.register("run_alerts", "Alarms of the run that stand", alerts);
}

/// The samples of each metric in the order of their labels, so that two scrapes can be laid beside each other.
fn in_order(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    for samples in lines.chunk_by_mut(|a, b| !a.starts_with('#') && !b.starts_with('#')) {
        samples.sort_unstable();
    }
    lines.push("");
    lines.join("\n")
}

/// The older format: counters and infos are declared under the name that their samples have; units and the end are not
/// marked.
fn classic(text: &str) -> String {
    let types: HashMap<&str, &str> = text
        .lines()
        .filter_map(|it| it.strip_prefix("# TYPE ")?.split_once(' '))
        .collect();
    let full_name = |name: &str| match types.get(name) {
        Some(&"counter") => format!("{name}_total"),
        Some(&"info") => format!("{name}_info"),
        _ => name.to_owned(),
    };
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let parts: Vec<&str> = line.splitn(4, ' ').collect();
        // Writing to a String cannot fail.
        let _ = match parts.as_slice() {
            ["#", "TYPE", name, "info"] => writeln!(out, "# TYPE {} gauge", full_name(name)),
            ["#", word @ ("HELP" | "TYPE"), name, rest] => {
                writeln!(out, "# {word} {} {rest}", full_name(name))
            }
            ["#", ..] => Ok(()),
            _ => writeln!(out, "{line}"),
        };
    }
    out
}
