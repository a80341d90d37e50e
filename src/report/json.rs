//! The audit report for programs: schema `gradwatch.audit/1`.
//!
//! In: an [`AuditReport`]. Out: JSON. Invariants: fields may be added under the same schema number, never
//! changed or removed; non-finite numbers are the strings `"NaN"`, `"Infinity"`, `"-Infinity"`.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::run::{AuditReport, FileReport, RunReport};
use crate::model::{Finding, Problem};

/// Writes the report as one JSON document, indented, with a line end.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_audit_json(report: &AuditReport, out: &mut dyn Write) -> io::Result<()> {
    let value = json!({
        "schema": "gradwatch.audit/1",
        "verdict": report.verdict().as_str(),
        "runs": report.runs.iter().map(run).collect::<Vec<_>>(),
        "problems": report.problems.iter().map(problem).collect::<Vec<_>>(),
    });
    serde_json::to_writer_pretty(&mut *out, &value)?;
    writeln!(out)
}

fn run(run: &RunReport) -> Value {
    json!({
        "run": run.run,
        "verdict": run.verdict.as_str(),
        "first_step": run.first_step,
        "last_step": run.last_step,
        "ranks": run.ranks,
        "files": run.files.iter().map(file).collect::<Vec<_>>(),
        "layers": run.layers,
        "depth_order": run.depth_order.as_str(),
        "findings": run.findings.iter().map(finding).collect::<Vec<_>>(),
        "problems": run.problems.iter().map(problem).collect::<Vec<_>>(),
        "rules_without_data": run.unmatched,
    })
}

pub(super) fn file(file: &FileReport) -> Value {
    json!({
        "path": file.path,
        "format": file.format,
        "bytes": file.bytes,
        "records": file.records,
        "skipped": file.skipped,
    })
}

/// A problem as every format for programs has it.
#[must_use]
pub fn problem(problem: &Problem) -> Value {
    json!({
        "path": problem.path,
        "offset": problem.offset,
        "bytes": problem.bytes,
        "what": problem.what,
        "note": problem.is_note,
    })
}

/// A finding as every format for programs has it.
#[must_use]
pub fn finding(finding: &Finding) -> Value {
    json!({
        "rule": finding.rule,
        "check": finding.check,
        "family": finding.family.as_str(),
        "kind": finding.kind,
        "severity": finding.severity.as_str(),
        "quantity": finding.quantity.as_str(),
        "tag": finding.tag,
        "layers": finding.layers,
        "rank": finding.rank,
        "first_step": finding.first_step,
        "last_step": finding.last_step,
        "count": finding.count,
        "value": finding.value.map(number),
        "bound": finding.bound.map(number),
        "forecast_step": finding.forecast_step,
        "message": finding.message,
        "diagnosis": finding.diagnosis,
        "remedy": finding.remedy,
        "caused_by": finding.caused_by,
        "superseded": finding.is_superseded,
    })
}

/// A JSON number, or the word for what JSON has no number for.
#[must_use]
pub fn number(value: f64) -> Value {
    if value.is_nan() {
        json!("NaN")
    } else if value == f64::INFINITY {
        json!("Infinity")
    } else if value == f64::NEG_INFINITY {
        json!("-Infinity")
    } else {
        json!(value)
    }
}
