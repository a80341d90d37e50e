//! Pauses between recorded wall times, and runs that end before their stated length.
//!
//! In: closed steps with their wall times, the planned length. Out: at the end of the log, kind `gap` for a pause
//! after which the run went on, kind `unfinished` for a log that stops short. Invariant: constant size. Both are
//! judged only at the end, because only the whole log tells a pause that recurs (an evaluation, a checkpoint)
//! from one that does not; the silence of a run that is followed is judged by `silence`, which is told the time.

use std::sync::LazyLock;

use regex::Regex;

use super::{Build, CheckInfo, Context, Judged, Judgement, Observation, ParamInfo, StreamCheck, StreamEnd};
use crate::model::{Family, Mark, TextLine};
use crate::rules::Rule;

/// Pauses kept for the comparison at the end; more of them are a habit, not a stall.
const N_GAPS_MAX: usize = 32;

/// Normal intervals needed before one can be called long.
const N_INTERVALS_MIN: usize = 8;

/// Intervals of which the running median is taken.
const N_RECENT: usize = 32;

/// The check.
pub static INFO: CheckInfo = CheckInfo {
    name: "stall",
    family: Family::Liveness,
    kinds: &["gap", "unfinished"],
    params: &[
        ParamInfo {
            name: "gap_min_s",
            default: 300.0,
            min: 1.0,
            max: 1e7,
            doc: "shortest pause in seconds; below five minutes a checkpoint, an evaluation or a slow file system \
                  explains it",
        },
        ParamInfo {
            name: "gap_factor",
            default: 10.0,
            min: 2.0,
            max: 1e6,
            doc: "how many times the running median interval, as time and as time per step; steady runs stay within \
                  2 % of their median (BLOOM: 1.5 %), so that 10 is far outside of it",
        },
        ParamInfo {
            name: "longest_factor",
            default: 3.0,
            min: 1.0,
            max: 1e3,
            doc: "how many times the other long pauses; two or more of comparable length, or one at twice the steps, \
                  are a habit of the run such as an evaluation",
        },
        ParamInfo {
            name: "short_intervals",
            default: 2.0,
            min: 1.0,
            max: 1e6,
            doc: "how many logging intervals a log may be short of the stated length: a counter may start at 0 or 1, \
                  and the last interval need not be full",
        },
    ],
    doc: "Compares the wall times of successive logged steps: a pause longer than gap_min_s, gap_factor running \
          medians and longest_factor times every other pause of the run is a gap. Compares the last step with the \
          stated length where the log has text lines or wall times, that is, where it was written as the run went.",
    build: Build::Stream(|rule| Box::new(Stall::new(rule))),
};

/// A pause after which the run went on.
#[derive(Debug, Clone, Copy)]
struct Gap {
    /// Step after the pause.
    step: i64,
    seconds: f64,
    median: f64,
}

/// The last few values of a series, for their median.
#[derive(Debug, Clone, Default)]
struct Recent {
    values: Vec<f64>,
    next: usize,
}

impl Recent {
    fn add(&mut self, value: f64) {
        if self.values.len() < N_RECENT {
            self.values.push(value);
        } else if let Some(oldest) = self.values.get_mut(self.next) {
            *oldest = value;
        }
        self.next = (self.next + 1) % N_RECENT;
    }

    fn median(&self) -> Option<f64> {
        let mut sorted = self.values.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied()
    }
}

#[derive(Debug)]
struct Stall {
    gap_min_s: f64,
    gap_factor: f64,
    longest_factor: f64,
    short_intervals: f64,
    wants_end: bool,
    last: Option<(i64, Option<f64>)>,
    intervals: Recent,
    seconds_per_step: Recent,
    strides: Recent,
    gaps: Vec<Gap>,
    first_step: Option<i64>,
    n_steps: u64,
    planned: Planned,
    /// The log was written line by line or with wall times: its end is the end of what the run did.
    is_live_log: bool,
    /// The step up to which the run had come when it said that it ends in good order.
    ended_well: Option<i64>,
}

/// What the log states about the length of the run.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
enum Planned {
    #[default]
    Unknown,
    Steps(i64),
    /// Different lengths were stated, so at least one is on another axis (a bar of batches in an epoch).
    Contradictory,
}

impl Stall {
    fn new(rule: &Rule) -> Self {
        let param = |name: &str| rule.params.get(name);
        Self {
            gap_min_s: param("gap_min_s"),
            gap_factor: param("gap_factor"),
            longest_factor: param("longest_factor"),
            short_intervals: param("short_intervals"),
            wants_end: rule.kind != "gap",
            last: None,
            intervals: Recent::default(),
            seconds_per_step: Recent::default(),
            strides: Recent::default(),
            gaps: Vec::new(),
            first_step: None,
            n_steps: 0,
            planned: Planned::Unknown,
            is_live_log: false,
            ended_well: None,
        }
    }

    fn interval(&mut self, step: i64, stride: f64, seconds: f64) {
        let per_step = seconds / stride;
        let Some(gap) = self.long_gap(step, per_step, seconds) else {
            self.intervals.add(seconds);
            self.seconds_per_step.add(per_step);
            return;
        };
        // A pause is not part of what is normal.
        if self.gaps.len() < N_GAPS_MAX {
            self.gaps.push(gap);
        }
    }

    fn long_gap(&self, step: i64, per_step: f64, seconds: f64) -> Option<Gap> {
        if seconds <= self.gap_min_s || self.intervals.values.len() < N_INTERVALS_MIN {
            return None;
        }
        let median = self.intervals.median()?;
        let is_long = seconds > self.gap_factor * median
            && per_step > self.gap_factor * self.seconds_per_step.median()?;
        is_long.then_some(Gap {
            step,
            seconds,
            median,
        })
    }

    /// Whether other pauses are as long: two of them, or one at the other end of a regular period.
    fn is_habit(&self, gap: &Gap) -> bool {
        let others: Vec<&Gap> = self
            .gaps
            .iter()
            .filter(|it| it.step != gap.step && it.seconds * self.longest_factor >= gap.seconds)
            .collect();
        match others.as_slice() {
            [] => false,
            [other] => {
                let from_start = |it: &Gap| it.step.saturating_sub(self.first_step.unwrap_or(0)) as f64;
                let (early, late) = (
                    from_start(gap).min(from_start(other)),
                    from_start(gap).max(from_start(other)),
                );
                (late - 2.0 * early).abs() <= 2.0 * self.strides.median().unwrap_or(1.0)
            }
            _ => true,
        }
    }

    fn report_gaps(&self, out: &mut Vec<Judged>) {
        if self.gaps.len() >= N_GAPS_MAX {
            return;
        }
        for gap in self.gaps.iter().filter(|it| !self.is_habit(it)) {
            let bound = self.gap_min_s.max(self.gap_factor * gap.median);
            let seen = Observation::new("gap", gap.seconds, bound)
                .word("pause", in_words(gap.seconds))
                .word("median", in_words(gap.median));
            out.push(Judged {
                subject: 0,
                step: gap.step,
                judgement: Judgement::Bad(seen),
            });
        }
    }

    fn report_end(&self, context: &Context<'_>, out: &mut Vec<Judged>) {
        let (Planned::Steps(planned), Some((last, wall_time))) = (self.planned, self.last) else {
            return;
        };
        if self.ended_well.is_some() || !self.is_live_log || context.facts.steps_are_ordinal || last > planned
        {
            return;
        }
        let Some(stride) = self
            .strides
            .median()
            .filter(|_| self.n_steps > N_INTERVALS_MIN as u64)
        else {
            return;
        };
        // A run of N steps may count them from 0: its last one is N - 1.
        let missing = planned.saturating_sub(1).saturating_sub(last) as f64;
        if missing <= self.short_intervals * stride.max(1.0) {
            return;
        }
        let when = wall_time.and_then(date_in_words).map_or_else(
            || "at a time it does not tell".to_owned(),
            |it| format!("at {it}"),
        );
        let seen = Observation::new("unfinished", last as f64, planned as f64)
            .word("last_step", last.to_string())
            .word("planned", planned.to_string())
            .word("last_time", when);
        out.push(Judged {
            subject: 1,
            step: last,
            judgement: Judgement::Bad(seen),
        });
    }
}

impl StreamCheck for Stall {
    fn step_closed(&mut self, step: i64, wall_time: Option<f64>, _: &Context<'_>, _: &mut Vec<Judged>) {
        let wall_time = wall_time.filter(|it| it.is_finite());
        self.is_live_log |= wall_time.is_some();
        // The step in which it said so is closed only now; a later one means that it went on.
        self.ended_well = self.ended_well.filter(|said| step <= *said);
        self.n_steps += 1;
        self.first_step.get_or_insert(step);
        if let Some((last_step, last_time)) = self.last {
            let stride = step.saturating_sub(last_step);
            if stride <= 0 {
                return;
            }
            self.strides.add(stride as f64);
            if let (Some(before), Some(now)) = (last_time, wall_time)
                && now > before
            {
                self.interval(step, stride as f64, now - before);
            }
        }
        self.last = Some((step, wall_time.or_else(|| self.last.and_then(|it| it.1))));
    }

    fn line(&mut self, line: &TextLine<'_>, context: &Context<'_>, _: &mut Vec<Judged>) {
        self.is_live_log = true;
        if self.wants_end && self.ended_well.is_none() && says_orderly_end(line.text) {
            self.ended_well = context.facts.last_step;
        }
    }

    fn mark(&mut self, mark: &Mark<'_>, context: &Context<'_>, _: &mut Vec<Judged>) {
        match mark {
            Mark::PlannedSteps(steps) => {
                self.planned = match self.planned {
                    Planned::Unknown => Planned::Steps(*steps),
                    Planned::Steps(before) if before == *steps => self.planned,
                    _ => Planned::Contradictory,
                };
            }
            // What lies between two sessions is no pause of either.
            Mark::SessionStart { .. } => self.last = self.last.map(|(step, _)| (step, None)),
            Mark::Finished => self.ended_well = context.facts.last_step.or(Some(i64::MAX)),
            _ => {}
        }
    }

    fn rewind(&mut self, step: i64) {
        self.gaps.retain(|it| it.step < step);
        self.last = self
            .last
            .map(|(last, _)| (last.min(step.saturating_sub(1)), None));
        self.ended_well = None;
        // The new attempt may be planned for another length.
        if self.planned == Planned::Contradictory {
            self.planned = Planned::Unknown;
        }
    }

    fn finish(&mut self, _: &StreamEnd, context: &Context<'_>, out: &mut Vec<Judged>) {
        self.report_gaps(out);
        self.report_end(context, out);
    }
}

/// Sentences by which a program leaves before its planned length of its own will.
/// Ends of sentences by which programs say that they are done.
static ORDERLY_END: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new("arly stopping|arlyStopping|exiting program|raining complete|raining finished").ok()
});

pub(super) fn says_orderly_end(text: &str) -> bool {
    ORDERLY_END.as_ref().is_some_and(|it| it.is_match(text))
}

pub(super) fn in_words(seconds: f64) -> String {
    if seconds >= 2.0 * 3600.0 {
        format!("{:.1} h", seconds / 3600.0)
    } else if seconds >= 120.0 {
        format!("{:.0} min", seconds / 60.0)
    } else {
        format!("{seconds:.1} s")
    }
}

fn date_in_words(unix_seconds: f64) -> Option<String> {
    let time = jiff::Timestamp::from_second(unix_seconds as i64).ok()?;
    Some(time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

#[cfg(test)]
#[path = "stall/tests.rs"]
mod tests;
