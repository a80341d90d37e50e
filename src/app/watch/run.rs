//! One run that is followed: its streams, and what was said of it.
//!
//! In: polls. Out: [`Notice`]s. Invariant: streams are joined as `audit` joins them, and only when one of them has
//! something new to say.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::core::StreamKey;
use super::file::Pools;
use super::heartbeat::Heartbeat;
use super::rest::{Now, Rest};
use super::stream::LiveStream;
use crate::alert::{Journal, Notice};
use crate::app::pipeline::{report_of, shown_path};
use crate::model::{Finding, Problem};
use crate::report::RunReport;
use crate::rules::{StreamOutcome, exonerate, join};
use crate::series::Baseline;
use crate::source::Polled;

/// A followed run.
pub(super) struct LiveRun<'r> {
    pub(super) name: String,
    pub(super) root: PathBuf,
    pub(super) streams: Vec<(StreamKey, LiveStream<'r>)>,
    /// The run that this one is compared with.
    pub(super) baseline: Option<Arc<Baseline>>,
    pub(super) journal: Journal,
    pub(super) rest: Rest,
    /// It was looked at since it was taken up.
    pub(super) was_read: bool,
    pub(super) heartbeat: Heartbeat,
    /// The marks of the streams when they were last joined.
    pub(super) joined: Vec<(u64, u64)>,
    /// Alarms of a log that was written anew wait for it to come as far again.
    pub(super) is_waiting: bool,
    pub(super) reach: Option<i64>,
    /// What was found when the streams were last joined; `None` before the first time.
    pub(super) known: Option<Known>,
    /// Another number whenever there may be something new to show.
    pub(super) change: u64,
}

/// What is known of a run between two joins.
pub(super) struct Known {
    pub(super) findings: Arc<[Finding]>,
    pub(super) layers: usize,
}

/// A number that no state of any run had before, whatever became of the watch that it belonged to.
fn next_change() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed)
}

impl LiveRun<'_> {
    pub(super) fn new(name: &str, root: &Path) -> Self {
        Self {
            name: name.to_owned(),
            root: root.to_owned(),
            streams: Vec::new(),
            baseline: None,
            journal: Journal::default(),
            rest: Rest::default(),
            was_read: false,
            heartbeat: Heartbeat::default(),
            joined: Vec::new(),
            is_waiting: false,
            reach: None,
            known: None,
            change: next_change(),
        }
    }

    pub(super) fn poll(&mut self, pools: &mut Pools, is_over: &dyn Fn() -> bool) -> Polled {
        self.was_read = true;
        let mut polled = Polled::Idle;
        for (_, stream) in &mut self.streams {
            if is_over() {
                return Polled::More;
            }
            polled = match (polled, stream.poll(pools)) {
                (Polled::More, _) | (_, Polled::More) => Polled::More,
                (Polled::Read, _) | (_, Polled::Read) => Polled::Read,
                _ => Polled::Idle,
            };
        }
        if polled != Polled::Idle {
            self.change = next_change();
        }
        polled
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Now) {
        if !self.is_caught_up() {
            return;
        }
        let bytes = self.streams.iter().map(|(_, it)| it.bytes()).sum();
        let reach = self.streams.iter().filter_map(|(_, it)| it.last_step()).max();
        let streams = &self.streams;
        let last_change = || {
            let changes = streams.iter().filter_map(|(_, it)| it.last_change());
            changes.reduce(f64::max)
        };
        let pulse = self.heartbeat.tick(now, bytes, reach, &last_change);
        for (_, stream) in &mut self.streams {
            stream.tick(&pulse);
        }
    }

    fn is_caught_up(&self) -> bool {
        !self.streams.is_empty() && self.streams.iter().all(|(_, it)| it.is_caught_up())
    }

    /// The furthest step.
    pub(super) fn last_step(&self) -> Option<i64> {
        self.streams.iter().filter_map(|(_, it)| it.last_step()).max()
    }

    /// What is to be said since the last time.
    pub(super) fn news(&mut self) -> Vec<Notice> {
        if !self.is_caught_up() {
            return Vec::new();
        }
        let marks: Vec<(u64, u64)> = self.streams.iter().map(|(_, it)| it.mark()).collect();
        let reach = self.last_step();
        let has_moved = self.is_waiting && reach != self.reach;
        if marks == self.joined && !has_moved {
            return Vec::new();
        }
        (self.joined, self.reach) = (marks, reach);
        let outcomes: Vec<StreamOutcome> = self.streams.iter_mut().map(|(_, it)| it.outcome_now()).collect();
        let layers = outcomes.iter().map(|it| it.outcome.layers.len()).max();
        let mut joined = join(outcomes);
        if let Some(baseline) = &self.baseline {
            exonerate(&mut joined.findings, baseline);
        }
        let notices = self.journal.update(&self.name, &joined.findings, reach);
        self.is_waiting = self.journal.is_waiting();
        self.known = Some(Known {
            findings: joined.findings.into(),
            layers: layers.unwrap_or_default(),
        });
        self.change = next_change();
        notices
    }

    /// The report of what was read so far, as `audit` gives it at the end.
    pub(super) fn report_now(&mut self) -> RunReport {
        let (name, root) = (&self.name, &self.root);
        let shown = |path: &Path| shown_path(path, root);
        let streams = self.streams.iter_mut().map(|(_, it)| it.report_now(&shown));
        report_of(name, streams, self.baseline.as_ref())
    }

    pub(super) fn take_failures(&mut self) -> Vec<Problem> {
        self.streams
            .iter_mut()
            .flat_map(|(_, it)| it.take_failures())
            .collect()
    }

    pub(super) fn finish(mut self, pools: &mut Pools) -> (RunReport, Vec<Notice>) {
        let shown = |path: &Path| shown_path(path, &self.root);
        let reach = self.last_step();
        let report = report_of(
            &self.name,
            self.streams.into_iter().map(|(_, it)| it.finish(pools, &shown)),
            self.baseline.as_ref(),
        );
        let notices = self.journal.update(&self.name, &report.findings, reach);
        (report, notices)
    }
}
