//! Optimiser steps that were skipped because the gradients overflowed.
//!
//! In: a counter of skipped (or NaN) iterations. Out: `search` (info: the loss scale is looked for at the start) and
//! `skipped`: a warning when there are more than a growing scale explains, the rule's severity when no step has been
//! taken for a while.
//! Invariant: a counter that is reset at each line (Megatron) and one that runs on (`DeepSpeed`) give the same
//! judgement; constant state.
//!
//! A dynamic loss scale overflows once each time it was doubled, every 1,000 or 2,000 steps: 0.05 to 0.1 % of the steps.
//! At 0.1 % five or more of 200 have a chance of 2e-6 (Poisson, mean 0.2).

use std::collections::VecDeque;

use super::{Build, CheckInfo, Context, Judged, Judgement, Observation, ParamInfo, Point, StreamCheck};
use crate::model::{Family, Severity};
use crate::rules::Rule;
use crate::series::SeriesInfo;

/// The check.
pub static INFO: CheckInfo = CheckInfo {
    name: "skipped-steps",
    family: Family::Precision,
    kinds: &["search", "skipped"],
    params: &[
        ParamInfo {
            name: "window",
            default: 200.0,
            min: 1.0,
            max: 1e9,
            doc: "steps that are looked back on",
        },
        ParamInfo {
            name: "share",
            default: 0.02,
            min: 0.0,
            max: 1.0,
            doc: "share of these steps above which skips are many; a growing loss scale skips 0.05 to 0.1 %",
        },
        ParamInfo {
            name: "in_a_row",
            default: 10.0,
            min: 1.0,
            max: 1e9,
            doc: "steps in a row, all of them skipped, that are the rule's severity",
        },
        ParamInfo {
            name: "search_steps",
            default: 50.0,
            min: 0.0,
            max: 1e9,
            doc: "steps from the start, or from a restart, in which the loss scale is searched for: info",
        },
    ],
    doc: "Skipped steps out of the last 200, and stretches in which every step was skipped.",
    build: Build::Stream(|rule| Box::new(SkippedSteps::new(rule))),
};

/// Points with skips that are remembered: with so many in the window the bound is long passed.
const POINTS_MAX: usize = 256;

/// Counters of one stream that are followed.
const COUNTERS_MAX: usize = 16;

struct SkippedSteps {
    bounds: Bounds,
    tracks: Vec<(String, Track)>,
}

#[derive(Clone, Copy)]
struct Bounds {
    window: f64,
    share: f64,
    in_a_row: f64,
    search_steps: f64,
    full: Severity,
}

/// One counter.
struct Track {
    bounds: Bounds,
    counter: Counter,
    start: Option<i64>,
    /// Points with skips within the window, oldest first: the step and how many.
    recent: VecDeque<(i64, f64)>,
    all_skipped: f64,
}

/// Whether the counter of this tag begins anew at each line: Megatron's and `GPT-NeoX`'s do (`training_log` sets
/// `skipped_iters_key` to 0 when it has printed it), and their words are nobody else's.
fn is_reset_at_each_line(tag: &str) -> bool {
    tag.rsplit('/')
        .next()
        .is_some_and(|name| name.trim_start().starts_with("number of "))
}

/// Tells a counter that runs on from one that is reset at each line, where its tag does not.
#[derive(Default)]
struct Counter {
    last: Option<(i64, f64)>,
    is_reset_each_time: bool,
}

impl Counter {
    /// Steps since the last point, and how many of them were skipped.
    fn since(&mut self, step: i64, value: f64) -> (f64, f64) {
        let Some((last_step, last)) = self.last.replace((step, value)) else {
            // What the first point covers is not known: at least what it counts.
            return (value, value);
        };
        // A counter that runs on never falls.
        self.is_reset_each_time |= value < last;
        let steps = step.saturating_sub(last_step).max(0) as f64;
        let skipped = if self.is_reset_each_time {
            value
        } else {
            value - last
        };
        (steps, skipped.min(steps))
    }
}

impl SkippedSteps {
    fn new(rule: &Rule) -> Self {
        Self {
            bounds: Bounds {
                window: rule.params.get("window"),
                share: rule.params.get("share"),
                in_a_row: rule.params.get("in_a_row"),
                search_steps: rule.params.get("search_steps"),
                full: rule.severity,
            },
            tracks: Vec::new(),
        }
    }

    fn track(&mut self, tag: &str) -> Option<usize> {
        let known = self.tracks.iter().position(|it| it.0 == tag);
        if known.is_none() && self.tracks.len() < COUNTERS_MAX {
            self.tracks.push((tag.to_owned(), Track::new(tag, self.bounds)));
            return Some(self.tracks.len() - 1);
        }
        known
    }
}

impl StreamCheck for SkippedSteps {
    fn sample(&mut self, series: &SeriesInfo, point: &Point, _context: &Context<'_>, out: &mut Vec<Judged>) {
        let Some(at) = self.track(&series.tag) else {
            return;
        };
        if let Some((_, track)) = self.tracks.get_mut(at) {
            out.push(Judged {
                subject: at as u32,
                step: point.step,
                judgement: track.observe(point),
            });
        }
    }

    fn rewind(&mut self, step: i64) {
        self.tracks.iter_mut().for_each(|(_, track)| track.rewind(step));
    }

    fn has_data(&self) -> bool {
        !self.tracks.is_empty()
    }
}

impl Track {
    fn new(tag: &str, bounds: Bounds) -> Self {
        Self {
            bounds,
            counter: Counter {
                last: None,
                is_reset_each_time: is_reset_at_each_line(tag),
            },
            start: None,
            recent: VecDeque::new(),
            all_skipped: 0.0,
        }
    }

    /// Skips within the window up to this step; a point stands for the steps before it.
    fn look_back(&mut self, step: i64, skipped: f64) -> f64 {
        if skipped > 0.0 {
            self.recent.push_back((step, skipped));
        }
        let begin = step.saturating_sub(self.bounds.window as i64);
        while self.recent.len() > POINTS_MAX || self.recent.front().is_some_and(|it| it.0 <= begin) {
            self.recent.pop_front();
        }
        self.recent.iter().map(|it| it.1).sum()
    }

    fn bad(kind: &'static str, skipped: f64, steps: f64, bound: f64, severity: Severity) -> Judgement {
        Judgement::Bad(
            Observation::new(kind, skipped, bound)
                .severity(severity)
                .word("skipped", format!("{skipped:.0}"))
                .word("steps", format!("{steps:.0}"))
                .word(
                    "what",
                    match kind {
                        "search" => ", as the loss scale is looked for",
                        _ if skipped >= steps => ": none was taken",
                        _ => "",
                    },
                ),
        )
    }

    fn observe(&mut self, point: &Point) -> Judgement {
        if !(point.value.is_finite() && point.value >= 0.0) {
            return Judgement::Abstain;
        }
        let start = *self.start.get_or_insert(point.step);
        let (steps, skipped) = self.counter.since(point.step, point.value);
        let is_search = point.step.saturating_sub(start) as f64 <= self.bounds.search_steps;
        if is_search {
            // Not remembered: what the search skipped says nothing of later.
            return if skipped > self.bounds.share * self.bounds.window {
                Self::bad(
                    "search",
                    skipped,
                    steps,
                    self.bounds.share * self.bounds.window,
                    Severity::Info,
                )
            } else {
                Judgement::Good
            };
        }
        let all = self.look_back(point.step, skipped);
        let are_all_skipped = steps > 0.0 && skipped >= steps;
        self.all_skipped = if are_all_skipped {
            self.all_skipped + skipped
        } else {
            0.0
        };
        if self.all_skipped >= self.bounds.in_a_row {
            return Self::bad(
                "skipped",
                self.all_skipped,
                self.all_skipped,
                self.bounds.in_a_row,
                self.bounds.full,
            );
        }
        let of_steps = steps.max(self.bounds.window);
        let bound = self.bounds.share * of_steps;
        if all > bound {
            return Self::bad(
                "skipped",
                all,
                of_steps,
                bound,
                self.bounds.full.min(Severity::Warning),
            );
        }
        Judgement::Good
    }

    fn rewind(&mut self, step: i64) {
        self.start = Some(step);
        self.counter.last = None;
        self.recent.clear();
        self.all_skipped = 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::{Bounds, Track};
    use crate::model::Severity;
    use crate::rules::check::{Judgement, Point};

    const BOUNDS: Bounds = Bounds {
        window: 200.0,
        share: 0.02,
        in_a_row: 10.0,
        search_steps: 50.0,
        full: Severity::Critical,
    };
    /// Reset at each line, runs on and says nothing.
    const RESET: &str = "number of skipped iterations";
    const RUNS_ON: &str = "skipped";

    /// The first step of each severity, in a counter of skips that is logged every `interval` steps.
    fn log(tag: &str, n: i64, interval: i64, is_skipped: impl Fn(i64) -> bool) -> Vec<(Severity, i64)> {
        let mut track = Track::new(tag, BOUNDS);
        let mut count = 0;
        let mut said: Vec<(Severity, i64)> = Vec::new();
        for step in 1..=n {
            count += i64::from(is_skipped(step));
            if step % interval == 0 {
                note(&mut track, step, count, &mut said);
                count = if tag == RUNS_ON { count } else { 0 };
            }
        }
        said
    }

    fn note(track: &mut Track, step: i64, count: i64, said: &mut Vec<(Severity, i64)>) {
        if let Judgement::Bad(seen) = track.observe(&Point::new(step, None, count as f64, 0.0)) {
            let severity = seen.severity.unwrap_or(Severity::Critical);
            if said.iter().all(|it| it.0 != severity) {
                said.push((severity, step));
            }
        }
    }

    #[test]
    fn one_skip_for_each_doubling_is_health() {
        for interval in [1, 10, 100, 500] {
            for tag in [RESET, RUNS_ON] {
                assert_eq!(
                    log(tag, 20_000, interval, |step| step % 1_000 == 0),
                    [],
                    "every {interval}, {tag}"
                );
            }
        }
    }

    #[test]
    fn the_search_at_the_start_is_an_info() {
        for tag in [RESET, RUNS_ON] {
            assert_eq!(log(tag, 2_000, 10, |step| step <= 18), [(Severity::Info, 10)]);
        }
    }

    #[test]
    fn many_skips_are_a_warning_and_ten_in_a_row_are_critical() {
        for (interval, tag) in [(1, RUNS_ON), (1, RESET), (10, RUNS_ON), (10, RESET)] {
            let many = log(tag, 2_000, interval, |step| step > 1_000 && step % 20 == 0);
            assert_eq!(
                many.iter().map(|it| it.0).collect::<Vec<_>>(),
                [Severity::Warning],
                "{interval} {tag}"
            );
            let all = log(tag, 2_000, interval, |step| step > 1_000);
            assert!(
                all.contains(&(Severity::Critical, 1_010)),
                "{interval} {tag}: {all:?}"
            );
        }
    }

    #[test]
    fn a_restart_searches_anew() {
        let mut track = Track::new(RESET, BOUNDS);
        let mut said = Vec::new();
        for step in (10..=1_000).step_by(10) {
            note(&mut track, step, 0, &mut said);
        }
        track.rewind(900);
        for (step, skipped) in [(910, 10), (920, 8), (930, 0)] {
            note(&mut track, step, skipped, &mut said);
        }
        assert_eq!(said, [(Severity::Info, 910)]);
    }
}
