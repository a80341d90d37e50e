//! All runs at a glance: what the page shows first.
//!
//! In: one line per run. Out: JSON, small for each run. Invariant: every run has a key of its own, so that links to it
//! are stable; equal names of different roots are numbered.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::model::{Problem, Verdict};
use crate::report::json::{number, problem};
use crate::report::summary::RunSummary;

pub(super) fn overview<'a>(runs: impl Iterator<Item = &'a RunSummary>, problems: &[Problem]) -> Value {
    let mut seen: HashMap<&str, u32> = HashMap::new();
    let mut verdict = Verdict::NoData;
    let rows: Vec<Value> = runs
        .map(|it| {
            verdict = verdict.max(it.verdict);
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
        "verdict": verdict.as_str(),
        "problems": problems.iter().map(problem).collect::<Vec<_>>(),
        "runs": rows,
    })
}

fn row(run: &RunSummary, key: &str) -> Value {
    json!({
        "key": key,
        "verdict": run.verdict.as_str(),
        "first_step": run.first_step,
        "last_step": run.last_step,
        "ordinal": run.steps_are_ordinal,
        "ranks": run.ranks,
        "layers": run.layers,
        "findings": run.findings,
        "loss": run.loss.map(|it| [number(it.initial), number(it.best), number(it.last)]),
        "spark": run.spark.iter().map(|it| number(*it)).collect::<Vec<_>>(),
        "worst": run.worst.as_ref().map(|it| json!({
            "rule": it.rule, "severity": it.severity.as_str(), "step": it.first_step, "message": it.message,
        })),
        "reading": run.is_reading,
    })
}
