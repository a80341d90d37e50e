//! One run in a line: what the table of all runs shows.
//!
//! In: a [`RunReport`], or the parts of a run that is followed. Out: a [`RunSummary`]. Invariant: small, whatever the run:
//! numbers, one sentence, and at most [`SPARK_POINTS`] points of the loss.

use super::run::{LossSpan, RunReport};
use crate::model::{Finding, Severity, Verdict};
use crate::series::Bin;

/// Points of the loss in a line.
pub const SPARK_POINTS: usize = 64;

/// The finding that a line names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorstFinding {
    /// Its rule.
    pub rule: String,
    /// How urgent.
    pub severity: Severity,
    /// Since which step.
    pub first_step: Option<i64>,
    /// What the numbers do.
    pub message: String,
}

/// One run in a line.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSummary {
    /// The name.
    pub run: String,
    /// The worst severity.
    pub verdict: Verdict,
    /// First step of any series.
    pub first_step: Option<i64>,
    /// Last step of any series.
    pub last_step: Option<i64>,
    /// Steps are rows of the log.
    pub steps_are_ordinal: bool,
    /// How many ranks wrote it.
    pub ranks: usize,
    /// Layers.
    pub layers: usize,
    /// Findings that a person should look at.
    pub findings: usize,
    /// The worst of them; a root cause before its consequences.
    pub worst: Option<WorstFinding>,
    /// The training loss.
    pub loss: Option<LossSpan>,
    /// Its course; NaN where any point was not finite.
    pub spark: Vec<f64>,
    /// What is there of it was not read to its end yet.
    pub is_reading: bool,
}

impl RunSummary {
    /// The line of this report.
    #[must_use]
    pub fn of(run: &RunReport) -> Self {
        let (findings, worst) = serious(&run.findings);
        Self {
            run: run.run.clone(),
            verdict: run.verdict,
            first_step: run.first_step,
            last_step: run.last_step,
            steps_are_ordinal: run.steps_are_ordinal,
            ranks: run.ranks,
            layers: run.layers.len(),
            findings,
            worst,
            loss: run.loss,
            spark: spark(run.loss_history.bins()),
            is_reading: false,
        }
    }
}

/// How many findings a person should look at, and the worst of them; a root cause before its consequences.
#[must_use]
pub fn serious(findings: &[Finding]) -> (usize, Option<WorstFinding>) {
    let serious = || findings.iter().filter(|it| it.severity > Severity::Info);
    let worst = serious()
        .find(|it| it.caused_by.is_none())
        .or_else(|| serious().next());
    let worst = worst.map(|it| WorstFinding {
        rule: it.rule.clone(),
        severity: it.severity,
        first_step: it.first_step,
        message: it.message.clone(),
    });
    (serious().count(), worst)
}

/// Neighbours joined; a point with a non-finite value is NaN.
#[must_use]
pub fn spark(bins: &[Bin]) -> Vec<f64> {
    let per_point = bins.len().div_ceil(SPARK_POINTS).max(1);
    bins.chunks(per_point)
        .filter_map(|it| {
            let is_bad = it.iter().any(|bin| bin.nonfinite > 0);
            it.last().map(|bin| if is_bad { f64::NAN } else { bin.last })
        })
        .collect()
}
