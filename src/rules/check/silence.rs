//! A run of which nothing new comes, judged while it is followed.
//!
//! In: closed steps with their wall times, marks, and the clock of whoever follows ([`StreamCheck::tick`]). Out: kind
//! `silent` when no file of the run grows, kind `stuck` when a file grows but the step does not; healed when the step
//! moves on. Invariants: constant size; without a clock (an audit) it says nothing; a run that said that it has ended, or
//! that has come to its stated length, is neither.
//!
//! How long a run may be silent is its own rhythm, from two sources. Wall times in the log tell how long a step takes.
//! The times at which data arrived tell how the writer flushes: TensorBoard's writes every 120 seconds by default, so
//! that a run of a step a second is silent for two minutes at a time. A pause that has come twice (an evaluation, a
//! checkpoint) is part of the rhythm.

use super::stall::{in_words, says_orderly_end};
use super::{Build, CheckInfo, Context, Judged, Judgement, Observation, ParamInfo, Pulse, StreamCheck};
use crate::model::{Family, Mark, Severity, TextLine};
use crate::rules::Rule;
use crate::stats::window::Window;

/// Intervals of which the median is taken.
const N_RECENT: usize = 32;

/// Intervals without which there is no rhythm.
const N_INTERVALS_MIN: usize = 8;

/// Arrivals without which the writer's habit is not known. Fewer, because each of them may be two minutes.
const N_ARRIVALS_MIN: usize = 3;

/// Logging intervals that a run may be short of its stated length, as for `unfinished`.
const SHORT_INTERVALS: f64 = 2.0;

/// The check.
pub static INFO: CheckInfo = CheckInfo {
    name: "silence",
    family: Family::Liveness,
    kinds: &["silent", "stuck"],
    params: &[
        ParamInfo {
            name: "pause_min_s",
            default: 900.0,
            min: 10.0,
            max: 1e7,
            doc: "shortest silence in seconds; a first evaluation or checkpoint of a large model takes minutes and has \
                  not been seen before, and writers flush every 120 s",
        },
        ParamInfo {
            name: "median_factor",
            default: 10.0,
            min: 2.0,
            max: 1e6,
            doc: "how many times the median interval between two points; steady runs stay within 2 % of their median \
                  (BLOOM: 106 s a step, so that 10 is 18 minutes)",
        },
        ParamInfo {
            name: "pause_factor",
            default: 3.0,
            min: 1.0,
            max: 1e3,
            doc: "how many times the longest pause that has come twice",
        },
        ParamInfo {
            name: "unknown_s",
            default: 1800.0,
            min: 10.0,
            max: 1e7,
            doc: "the silence in seconds that is bad while the rhythm of a run is not known (SageMaker Debugger's \
                  StalledTraining: 1800 s, always)",
        },
        ParamInfo {
            name: "unplanned_too",
            default: 0.0,
            min: 0.0,
            max: 1.0,
            doc: "1 gives the rule's severity to runs that do not say how long they are to be, too; 0 makes it a note, \
                  because the end of such a run looks the same",
        },
    ],
    doc: "Compares the time since the last new point with what the run's own rhythm allows: pause_min_s, median_factor \
          median intervals, or pause_factor times the longest pause that has come twice, whichever is longest. Only in \
          a run that is followed: an audit has no clock.",
    build: Build::Stream(|rule| Box::new(Silence::new(rule))),
};

/// Intervals of one kind.
#[derive(Debug)]
struct Rhythm {
    recent: Window,
    n_min: usize,
    /// The two longest, the longer one first.
    longest: [f64; 2],
}

impl Rhythm {
    fn new(n_min: usize) -> Self {
        Self {
            recent: Window::new(N_RECENT),
            n_min,
            longest: [0.0; 2],
        }
    }

    fn add(&mut self, seconds: f64) {
        self.recent.push(seconds);
        let [first, second] = self.longest;
        if seconds > first {
            self.longest = [seconds, first];
        } else if seconds > second {
            self.longest = [first, seconds];
        }
    }

    /// The median interval and the longest pause that has come twice, once there are enough.
    fn known(&self) -> Option<(f64, f64)> {
        let median = self.recent.median().filter(|_| self.recent.len() >= self.n_min)?;
        Some((median, self.longest[1]))
    }
}

#[derive(Debug)]
struct Silence {
    pause_min_s: f64,
    median_factor: f64,
    pause_factor: f64,
    unknown_s: f64,
    unplanned_too: bool,
    last: Option<(i64, Option<f64>)>,
    strides: Window,
    by_wall_time: Rhythm,
    by_arrival: Rhythm,
    last_arrival_s: Option<f64>,
    ended_well: Option<i64>,
    /// Lengths that were stated; two different ones are of different axes.
    planned: Option<i64>,
    is_contradictory: bool,
    /// What was said and is not over.
    said: bool,
}

impl Silence {
    fn new(rule: &Rule) -> Self {
        let param = |name: &str| rule.params.get(name);
        Self {
            pause_min_s: param("pause_min_s"),
            median_factor: param("median_factor"),
            pause_factor: param("pause_factor"),
            unknown_s: param("unknown_s"),
            unplanned_too: param("unplanned_too") > 0.0,
            last: None,
            strides: Window::new(N_RECENT),
            by_wall_time: Rhythm::new(N_INTERVALS_MIN),
            by_arrival: Rhythm::new(N_ARRIVALS_MIN),
            last_arrival_s: None,
            ended_well: None,
            planned: None,
            is_contradictory: false,
            said: false,
        }
    }

    /// Seconds of silence that the run's rhythm explains, and its median interval if there is one.
    fn allowed(&self) -> (f64, Option<f64>) {
        let known = [self.by_wall_time.known(), self.by_arrival.known()];
        let median = known.iter().flatten().map(|it| it.0).next();
        let Some(usual) = median else {
            return (self.unknown_s.max(self.pause_min_s), None);
        };
        let pause = known.iter().flatten().map(|it| it.1).fold(0.0, f64::max);
        let allowed = self
            .pause_min_s
            .max(self.median_factor * usual)
            .max(self.pause_factor * pause);
        (allowed, median)
    }

    /// Whether the log says that there is more to come; `None` when it does not say how long it is to be.
    fn goes_on(&self, last: i64) -> Option<bool> {
        if self.ended_well.is_some() {
            return Some(false);
        }
        let planned = self.planned.filter(|it| !self.is_contradictory && last <= *it)?;
        let stride = self.strides.median().unwrap_or(1.0).max(1.0);
        let missing = planned.saturating_sub(1).saturating_sub(last) as f64;
        Some(missing > SHORT_INTERVALS * stride)
    }

    fn learn_arrival(&mut self, advanced_s: f64) {
        let before = self.last_arrival_s.replace(advanced_s);
        if let Some(pause) = before.map(|it| advanced_s - it).filter(|it| *it > 0.0) {
            self.by_arrival.add(pause);
        }
    }

    fn judge(&self, pulse: &Pulse, last: i64) -> Option<Observation> {
        let (allowed, median) = self.allowed();
        let silence = pulse.now_s - pulse.advanced_s;
        let severity = match self.goes_on(last) {
            Some(false) => return None,
            Some(true) => None,
            None => Some(Severity::Info).filter(|_| !self.unplanned_too),
        };
        if silence <= allowed {
            return None;
        }
        let is_growing = pulse.now_s - pulse.grown_s < silence.min(allowed);
        let kind = if is_growing { "stuck" } else { "silent" };
        let seen = Observation::new(kind, silence, allowed)
            .word("pause", in_words(allowed))
            .word("step", last.to_string())
            .word("median", median.map_or_else(|| "not known".to_owned(), in_words));
        Some(match severity {
            Some(severity) => seen.severity(severity),
            None => seen,
        })
    }
}

impl StreamCheck for Silence {
    fn step_closed(&mut self, step: i64, wall_time: Option<f64>, _: &Context<'_>, _: &mut Vec<Judged>) {
        let wall_time = wall_time.filter(|it| it.is_finite());
        self.ended_well = self.ended_well.filter(|said| step <= *said);
        if let Some((last_step, last_time)) = self.last {
            let stride = step.saturating_sub(last_step);
            if stride <= 0 {
                return;
            }
            self.strides.push(stride as f64);
            if let (Some(before), Some(now)) = (last_time, wall_time)
                && now > before
            {
                self.by_wall_time.add(now - before);
            }
        }
        self.last = Some((step, wall_time.or_else(|| self.last.and_then(|it| it.1))));
    }

    fn line(&mut self, line: &TextLine<'_>, context: &Context<'_>, _: &mut Vec<Judged>) {
        if self.ended_well.is_none() && says_orderly_end(line.text) {
            self.ended_well = context.facts.last_step;
        }
    }

    fn mark(&mut self, mark: &Mark<'_>, context: &Context<'_>, _: &mut Vec<Judged>) {
        match mark {
            Mark::PlannedSteps(steps) => {
                self.is_contradictory |= self.planned.is_some_and(|it| it != *steps);
                self.planned = Some(*steps);
            }
            Mark::SessionStart { .. } => self.last = self.last.map(|(step, _)| (step, None)),
            Mark::Finished => self.ended_well = context.facts.last_step.or(Some(i64::MAX)),
            _ => {}
        }
    }

    fn rewind(&mut self, step: i64) {
        self.last = self
            .last
            .map(|(last, _)| (last.min(step.saturating_sub(1)), None));
        self.ended_well = None;
        // The new attempt may be planned for another length.
        (self.planned, self.is_contradictory) = (self.planned.filter(|_| !self.is_contradictory), false);
    }

    fn hears_clock(&self) -> bool {
        true
    }

    fn tick(&mut self, pulse: &Pulse, context: &Context<'_>, out: &mut Vec<Judged>) {
        self.learn_arrival(pulse.advanced_s);
        let Some(step) = context
            .facts
            .last_step
            .filter(|_| !context.facts.steps_are_ordinal)
        else {
            return;
        };
        let judgement = match self.judge(pulse, step) {
            Some(seen) => Judgement::Bad(seen),
            // It goes on, or has ended in good order after all.
            None if self.said => Judgement::Healed(Severity::Info),
            None => return,
        };
        self.said = matches!(judgement, Judgement::Bad(_));
        out.push(Judged {
            subject: 0,
            step,
            judgement,
        });
    }
}

#[cfg(test)]
#[path = "silence/tests.rs"]
mod tests;
