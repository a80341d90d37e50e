//! The state of the daemon for programs: schemas `gradwatch.runs/1` and `gradwatch.alerts/1`.
//!
//! In: the board and the time. Out: JSON. Invariants: fields may be added under the same schema number, never changed or
//! removed; findings are worded as in the audit report, and non-finite numbers too.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::board::Board;
use super::snapshot::RunRow;
use crate::model::{Finding, Severity, Verdict};
use crate::report::{finding_json, number_json, problem_json};

/// All followed runs.
pub(super) fn runs(board: &Board, now: Timestamp) -> String {
    let (snapshot, health) = (board.snapshot(), board.health());
    let verdict = snapshot.runs.iter().map(|it| it.summary.verdict).max();
    json!({
        "schema": "gradwatch.runs/1",
        "time": now.to_string(),
        "version": env!("CARGO_PKG_VERSION"),
        "verdict": verdict.unwrap_or(Verdict::NoData).as_str(),
        "degraded": health.is_degraded,
        "outbox_waiting": health.outbox_waiting,
        "outbox_dead": health.outbox_dead,
        "runs": snapshot.runs.iter().map(|it| run(it, now)).collect::<Vec<_>>(),
        "problems": snapshot.problems.iter().map(problem_json).collect::<Vec<_>>(),
    })
    .to_string()
}

fn run(row: &RunRow, now: Timestamp) -> Value {
    let (summary, totals) = (&row.summary, &row.totals);
    let alarms = row.alarms();
    let count = |severity: Severity| alarms.iter().filter(|it| it.1.severity == severity).count();
    json!({
        "run": summary.run,
        "verdict": summary.verdict.as_str(),
        "reading": summary.is_reading,
        "first_step": summary.first_step,
        "last_step": summary.last_step,
        "ordinal": summary.steps_are_ordinal,
        "changed_at": row.changed_at.map(|it| it.to_string()),
        "age_seconds": row.changed_at.map(|it| age_seconds(it, now)),
        "ranks": summary.ranks,
        "layers": summary.layers,
        "loss": summary.loss.map(|it| json!({
            "initial": number_json(it.initial), "best": number_json(it.best), "last": number_json(it.last),
        })),
        "alerts": { "warning": count(Severity::Warning), "critical": count(Severity::Critical) },
        "worst": summary.worst.as_ref().map(|it| json!({
            "rule": it.rule, "severity": it.severity.as_str(), "first_step": it.first_step, "message": it.message,
        })),
        "files": totals.files,
        "bytes": totals.bytes,
        "records": totals.records,
        "skipped": totals.skipped,
        "problems": totals.problems,
    })
}

/// Never below 0: the clock of a file server may be ahead.
fn age_seconds(changed_at: Timestamp, now: Timestamp) -> f64 {
    now.duration_since(changed_at).as_secs_f64().max(0.0)
}

/// All alarms that stand.
pub(super) fn alerts(board: &Board, now: Timestamp) -> String {
    let snapshot = board.snapshot();
    let alerts: Vec<Value> = snapshot.runs.iter().flat_map(|it| alerts_of(it)).collect();
    json!({ "schema": "gradwatch.alerts/1", "time": now.to_string(), "alerts": alerts }).to_string()
}

fn alerts_of(row: &RunRow) -> Vec<Value> {
    let alarms = row.alarms();
    let is_explained = |finding: &Finding| {
        let cause = finding.caused_by.as_deref();
        cause.is_some_and(|it| alarms.iter().any(|(_, other)| other.rule == it))
    };
    let alert = |(fingerprint, finding): &(_, &Finding)| {
        json!({
            "run": row.summary.run,
            "fingerprint": format!("{fingerprint}"),
            "consequence": is_explained(finding),
            "finding": finding_json(finding),
        })
    };
    alarms.iter().map(alert).collect()
}
