//! One run from its files to its report: the part that every command shares.
//!
//! In: the files of a run and a rule set. Out: a [`RunReport`]. Invariant: runs are independent of each other,
//! so a report over many runs is the list of their reports.

use std::mem::take;
use std::path::Path;
use std::sync::Arc;

use super::InForce;
use super::feed::{Fed, NOTHING_FOUND, feed};
use crate::model::Problem;
use crate::report::RunReport;
use crate::rules::{Engine, Outcome, StreamOutcome, check::StreamEnd, exonerate, join};
use crate::series::{Baseline, Tap};
use crate::source::{RunFiles, StreamFiles};

/// Makes a listener for a stream; `None` when nobody wants the points.
pub type MakeTap<'a> = dyn Fn(&StreamFiles) -> Option<Box<dyn Tap>> + Sync + 'a;

/// Reads and judges one run. `tick` hears how many bytes were read.
pub fn judge_run<'r>(
    run: &RunFiles,
    by: impl Into<InForce<'r>>,
    make_tap: &MakeTap<'_>,
    tick: &(dyn Fn(u64) + Sync),
) -> RunReport {
    judge_run_against(run, by.into(), None, make_tap, tick)
}

/// Reads and judges one run beside a baseline, when there is one.
pub fn judge_run_against(
    run: &RunFiles,
    by: InForce<'_>,
    baseline: Option<&Arc<Baseline>>,
    make_tap: &MakeTap<'_>,
    tick: &(dyn Fn(u64) + Sync),
) -> RunReport {
    let shown = |path: &Path| shown_path(path, &run.root);
    let judge = |stream: &StreamFiles| {
        let mut engine = Engine::new(by.rules, &run.name);
        if let Some(baseline) = baseline {
            engine = engine.with_baseline(Arc::clone(baseline));
        }
        if let Some(tap) = make_tap(stream) {
            engine = engine.with_tap(tap);
        }
        let fed = feed(&stream.files, by.patterns, &mut engine, &shown, tick);
        let outcome = engine.finish(&end_of(&fed));
        (stream.rank, fed, outcome)
    };
    report_of(&run.name, run.streams.iter().map(judge), baseline)
}

/// A run's report from what was read of each of its streams and found in it.
pub(super) fn report_of(
    run: &str,
    streams: impl Iterator<Item = (Option<u32>, Fed, Outcome)>,
    baseline: Option<&Arc<Baseline>>,
) -> RunReport {
    let mut report = RunReport::new(run);
    let mut outcomes = Vec::new();
    for (rank, fed, outcome) in streams {
        let place = fed.files.first().map_or_else(String::new, |it| it.path.clone());
        let stream = StreamOutcome {
            rank,
            precedence: fed.precedence,
            outcome,
        };
        let (mut files, mut problems) = (fed.files, fed.problems);
        for stream in stream.by_rank() {
            report.take_stream(take(&mut files), take(&mut problems), &stream.outcome);
            report
                .problems
                .extend(stream.outcome.notes.iter().cloned().map(|note| Problem {
                    path: place.clone(),
                    ..note
                }));
            outcomes.push(stream);
        }
    }
    if report.points > 0 {
        report.problems.retain(|it| it.what != NOTHING_FOUND);
    }
    let mut outcome = join(outcomes);
    if let Some(baseline) = baseline {
        exonerate(&mut outcome.findings, baseline);
    }
    report.take_outcome(outcome);
    report
}

/// The path below the root that was given; the whole path when the file itself was given.
pub(super) fn shown_path(path: &Path, root: &Path) -> String {
    let below = path
        .strip_prefix(root)
        .ok()
        .filter(|it| !it.as_os_str().is_empty());
    below.unwrap_or(path).to_string_lossy().into_owned()
}

pub(super) fn end_of(fed: &Fed) -> StreamEnd {
    StreamEnd {
        records: fed.files.iter().map(|it| it.records).sum(),
        skipped: fed.files.iter().map(|it| it.skipped).sum(),
        bytes: fed.files.iter().map(|it| it.bytes).sum(),
    }
}
