//! What is reported of one run, and of all.
//!
//! In: the outcome of streams. Out: plain fields for every format. Invariant: the verdict is the worst severity
//! of the findings, `no-data` only when no number was read.

use std::collections::{BTreeSet, HashMap};

use crate::model::{DepthOrder, Finding, Problem, Severity, Verdict};
use crate::rules::{Evidence, Outcome, RunOutcome};
use crate::series::{Facts, History, SeriesInfo};

/// What was read of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReport {
    /// The path as shown to people.
    pub path: String,
    /// Name of the format, or why it was not read.
    pub format: String,
    /// Bytes read.
    pub bytes: u64,
    /// Records read.
    pub records: u64,
    /// Records that could not be read.
    pub skipped: u64,
    /// Whether it was read as a log.
    pub is_log: bool,
}

/// The training loss in three numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossSpan {
    /// Median of the first five points.
    pub initial: f64,
    /// Smallest median of five.
    pub best: f64,
    /// Median of the last five; NaN when the loss ends in what is not finite.
    pub last: f64,
}

impl LossSpan {
    /// The loss of a stream; `None` while it has none.
    #[must_use]
    pub fn of(facts: &Facts, history: &History) -> Option<Self> {
        Some(Self {
            initial: facts.loss.initial?,
            best: facts.loss.best?,
            last: if history.ends_in_non_finite() {
                f64::NAN
            } else {
                facts.loss.current?
            },
        })
    }
}

/// What is reported of one run.
#[derive(Debug)]
pub struct RunReport {
    /// The name: its path relative to the root, `.` for the root.
    pub run: String,
    /// The worst severity.
    pub verdict: Verdict,
    /// First step of any series.
    pub first_step: Option<i64>,
    /// Last step of any series.
    pub last_step: Option<i64>,
    /// How many ranks wrote it, at least 1.
    pub ranks: usize,
    /// The files.
    pub files: Vec<FileReport>,
    /// The layers in depth order.
    pub layers: Vec<String>,
    /// How that order is known.
    pub depth_order: DepthOrder,
    /// Points read.
    pub points: u64,
    /// The findings, root causes first.
    pub findings: Vec<Finding>,
    /// Profiles at the alarm, by rule, kind and quantity.
    pub evidence: Evidence,
    /// Each series once, with its rank.
    pub series: Vec<(Option<u32>, SeriesInfo)>,
    /// What could not be read, and notes.
    pub problems: Vec<Problem>,
    /// Rules that nothing in the run could have fired.
    pub unmatched: Vec<String>,
    /// The training loss.
    pub loss: Option<LossSpan>,
    /// Its course.
    pub loss_history: History,
    /// Steps are rows of the log: it has no step numbers.
    pub steps_are_ordinal: bool,
    streams: usize,
}

impl RunReport {
    /// A report without data.
    #[must_use]
    pub fn new(run: &str) -> Self {
        Self {
            run: run.to_owned(),
            verdict: Verdict::NoData,
            first_step: None,
            last_step: None,
            ranks: 1,
            files: Vec::new(),
            layers: Vec::new(),
            depth_order: DepthOrder::Unknown,
            points: 0,
            findings: Vec::new(),
            evidence: HashMap::new(),
            series: Vec::new(),
            problems: Vec::new(),
            unmatched: Vec::new(),
            loss: None,
            loss_history: History::default(),
            steps_are_ordinal: false,
            streams: 0,
        }
    }

    /// Takes what was read of one stream.
    pub fn take_stream(&mut self, files: Vec<FileReport>, problems: Vec<Problem>, outcome: &Outcome) {
        self.files.extend(files);
        self.problems.extend(problems);
        let points: u64 = outcome.series.iter().map(|it| it.points).sum();
        self.points += points;
        if points == 0 {
            return;
        }
        let facts = &outcome.facts;
        // A stream whose steps are rows has another axis than the others.
        if !facts.steps_are_ordinal || self.first_step.is_none() {
            self.first_step = min(self.first_step, facts.first_step);
            self.last_step = self.last_step.max(facts.last_step);
        }
        self.steps_are_ordinal = facts.steps_are_ordinal && (self.streams == 0 || self.steps_are_ordinal);
        if let (None, Some(loss)) = (self.loss, LossSpan::of(facts, &outcome.loss_history)) {
            self.loss = Some(loss);
            self.loss_history = outcome.loss_history.clone();
        }
        if outcome.layers.len() > self.layers.len() {
            self.layers.clone_from(&outcome.layers);
            self.depth_order = outcome.depth_order;
        }
        if self.streams == 0 {
            self.unmatched.clone_from(&outcome.unmatched);
        } else {
            self.unmatched.retain(|rule| outcome.unmatched.contains(rule));
        }
        self.streams += 1;
    }

    /// Takes the joined findings and settles the verdict.
    pub fn take_outcome(&mut self, outcome: RunOutcome) {
        // A file of no rank beside the ranks' own (rank 0 often writes one) is not one more.
        let ranks: BTreeSet<u32> = outcome.series.iter().filter_map(|(rank, _)| *rank).collect();
        self.ranks = ranks.len().max(1);
        self.verdict = match outcome.findings.iter().map(|it| it.severity).max() {
            Some(severity) => Verdict::of(severity),
            None if self.points > 0 => Verdict::Healthy,
            None => Verdict::NoData,
        };
        self.findings = outcome.findings;
        self.evidence = outcome.evidence;
        self.series = outcome.series;
    }

    /// Whether the run has a finding at or above this severity.
    #[must_use]
    pub fn reaches(&self, severity: Severity) -> bool {
        self.findings.iter().any(|it| it.severity >= severity)
    }

    /// Whether anything could not be read.
    #[must_use]
    pub fn lost_something(&self) -> bool {
        self.problems.iter().any(|it| !it.is_note)
    }
}

/// What is reported of all runs.
#[derive(Debug, Default)]
pub struct AuditReport {
    /// The runs, in the order of their names.
    pub runs: Vec<RunReport>,
    /// Paths that could not be read at all.
    pub problems: Vec<Problem>,
}

impl AuditReport {
    /// The worst verdict; `no-data` when no run has data.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.runs
            .iter()
            .map(|it| it.verdict)
            .max()
            .unwrap_or(Verdict::NoData)
    }

    /// Whether no number was read anywhere.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs
            .iter()
            .all(|it| it.points == 0 && it.findings.is_empty())
    }

    /// Whether anything could not be read.
    #[must_use]
    pub fn lost_something(&self) -> bool {
        self.problems.iter().any(|it| !it.is_note) || self.runs.iter().any(RunReport::lost_something)
    }
}

fn min(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::RunReport;
    use crate::extract::understand;
    use crate::rules::RunOutcome;
    use crate::series::SeriesInfo;

    #[test]
    fn a_file_of_no_rank_is_not_one_more_rank() {
        let n_ranks = |ranks: &[Option<u32>]| {
            let series = ranks
                .iter()
                .map(|it| (*it, SeriesInfo::new("loss", understand("loss"))))
                .collect();
            let mut report = RunReport::new(".");
            report.take_outcome(RunOutcome {
                series,
                ..RunOutcome::default()
            });
            report.ranks
        };
        assert_eq!(n_ranks(&[Some(0), Some(1), None]), 2);
        assert_eq!(
            (n_ranks(&[None, None]), n_ranks(&[]), n_ranks(&[Some(7)])),
            (1, 1, 1)
        );
    }
}
