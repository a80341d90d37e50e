//! How much of a log could be read, and whether its steps run forward.
//!
//! In: the tally of a stream, and its restarts. Out: at the end, kind `unreadable` when too many records were lost,
//! kind `step-back` (info) when steps were written more than once. Invariant: constant size.

use super::{Build, CheckInfo, Context, Judged, Judgement, Observation, ParamInfo, StreamCheck, StreamEnd};
use crate::model::{Family, Severity};
use crate::rules::Rule;

/// The check.
pub static INFO: CheckInfo = CheckInfo {
    name: "log-integrity",
    family: Family::Integrity,
    kinds: &["unreadable", "step-back"],
    params: &[
        ParamInfo {
            name: "share",
            default: 0.01,
            min: 0.0,
            max: 1.0,
            doc: "largest share of records that could not be read; one in a hundred is more than the cut last record \
                  that every killed run leaves",
        },
        ParamInfo {
            name: "skipped_min",
            default: 3.0,
            min: 1.0,
            max: 1e9,
            doc: "fewest unreadable records: one or two in a short log are shown as problems, not judged",
        },
    ],
    doc: "Compares the records that could not be read with all records of the stream, and counts how often the step \
          went back: a restart, a file written by two processes, or rows logged twice.",
    build: Build::Stream(|rule| Box::new(LogIntegrity::new(rule))),
};

#[derive(Debug)]
struct LogIntegrity {
    share: f64,
    skipped_min: f64,
    n_steps: u64,
    /// Step of the last restart, and how many steps had been closed then: series go back one by one.
    last_rewind: Option<(i64, u64)>,
    n_rewinds: u64,
}

impl LogIntegrity {
    fn new(rule: &Rule) -> Self {
        Self {
            share: rule.params.get("share"),
            skipped_min: rule.params.get("skipped_min"),
            n_steps: 0,
            last_rewind: None,
            n_rewinds: 0,
        }
    }

    fn unreadable(&self, end: &StreamEnd) -> Option<Observation> {
        let all = end.records.saturating_add(end.skipped);
        let share = end.skipped as f64 / all.max(1) as f64;
        let is_much = end.skipped as f64 >= self.skipped_min && share > self.share;
        is_much.then(|| {
            Observation::new("unreadable", share, self.share)
                .word("skipped", end.skipped.to_string())
                .word("records", all.to_string())
                .word("percent", format!("{:.1}", share * 100.0))
        })
    }

    fn step_back(&self) -> Option<Observation> {
        let (step, _) = self.last_rewind?;
        let seen = Observation::new("step-back", self.n_rewinds as f64, 0.0)
            .severity(Severity::Info)
            .word("times", self.n_rewinds.to_string())
            .word("to_step", step.to_string());
        Some(seen)
    }
}

impl StreamCheck for LogIntegrity {
    fn step_closed(&mut self, _: i64, _: Option<f64>, _: &Context<'_>, _: &mut Vec<Judged>) {
        self.n_steps += 1;
    }

    fn rewind(&mut self, step: i64) {
        let now = (step, self.n_steps);
        if self.last_rewind != Some(now) {
            self.n_rewinds += 1;
        }
        self.last_rewind = Some(now);
    }

    fn finish(&mut self, end: &StreamEnd, context: &Context<'_>, out: &mut Vec<Judged>) {
        let last_step = context.facts.last_step.unwrap_or(0);
        if let Some(seen) = self.unreadable(end) {
            out.push(Judged {
                subject: 0,
                step: last_step,
                judgement: Judgement::Bad(seen),
            });
        }
        if let (Some(seen), Some((step, _))) = (self.step_back(), self.last_rewind) {
            out.push(Judged {
                subject: 1,
                step,
                judgement: Judgement::Bad(seen),
            });
        }
    }
}

#[cfg(test)]
#[path = "log_integrity/tests.rs"]
mod tests;
