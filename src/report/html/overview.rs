//! All runs at a glance: what the page shows first.
//!
//! In: an audit report. Out: JSON, small for each run. Invariant: every run has a key of its own, so that links to it
//! are stable; equal names of different roots are numbered.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::model::{Finding, Severity};
use crate::report::json::{number, problem};
use crate::report::run::{AuditReport, RunReport};
use crate::series::Bin;

/// Points of the loss in a row of the overview.
const SPARK_POINTS: usize = 64;

pub(super) fn overview(report: &AuditReport) -> Value {
    let mut seen: HashMap<&str, u32> = HashMap::new();
    let runs: Vec<Value> = report
        .runs
        .iter()
        .map(|it| {
            let n = seen.entry(&it.run).or_default();
            *n += 1;
            let key = if *n == 1 {
                it.run.clone()
            } else {
                format!("{} ({n})", it.run)
            };
            row(it, &key)
        })
        .collect();
    json!({
        "schema": "gradwatch.page/1",
        "version": env!("CARGO_PKG_VERSION"),
        "verdict": report.verdict().as_str(),
        "problems": report.problems.iter().map(problem).collect::<Vec<_>>(),
        "runs": runs,
    })
}

fn row(run: &RunReport, key: &str) -> Value {
    let worst = worst(run);
    let serious = run
        .findings
        .iter()
        .filter(|it| it.severity > Severity::Info)
        .count();
    json!({
        "key": key,
        "verdict": run.verdict.as_str(),
        "first_step": run.first_step,
        "last_step": run.last_step,
        "ordinal": run.steps_are_ordinal,
        "ranks": run.ranks,
        "layers": run.layers.len(),
        "findings": serious,
        "loss": run.loss.map(|it| [number(it.initial), number(it.best), number(it.last)]),
        "spark": spark(run.loss_history.bins()),
        "worst": worst.map(|it| json!({
            "rule": it.rule, "severity": it.severity.as_str(), "step": it.first_step, "message": it.message,
        })),
    })
}

/// The worst finding; a root cause before its consequences.
fn worst(run: &RunReport) -> Option<&Finding> {
    let serious = || run.findings.iter().filter(|it| it.severity > Severity::Info);
    serious()
        .find(|it| it.caused_by.is_none())
        .or_else(|| serious().next())
}

/// Neighbours joined; a bin with a non-finite point is the word for it.
fn spark(bins: &[Bin]) -> Vec<Value> {
    let per_point = bins.len().div_ceil(SPARK_POINTS).max(1);
    bins.chunks(per_point)
        .filter_map(|it| {
            let is_bad = it.iter().any(|bin| bin.nonfinite > 0);
            it.last()
                .map(|bin| number(if is_bad { f64::NAN } else { bin.last }))
        })
        .collect()
}
