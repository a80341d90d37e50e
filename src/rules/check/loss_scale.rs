//! The loss scale of mixed precision: a float16 run that runs out of room.
//!
//! In: the loss scale. Out: `collapse`: a fall of several halvings that was not regained, or a scale that has fallen to 1
//! and stays there. Invariant: the search at the start of a run (and behind a restart) is no collapse; constant state.
//!
//! A dynamic scale is doubled after some thousand steps without an overflow (`PyTorch` and Megatron: 1,000 or 2,000) and
//! halved at each overflow, so in good health it goes up and down by one halving. In the log of tr8-104B it fell from
//! its usual level 1,300 steps before the loss showed the divergence.

use super::{Build, CheckInfo, Context, Judgement, Observation, ParamInfo, Point, SeriesCheck, each};
use crate::model::{Family, Severity};
use crate::rules::Rule;
use crate::stats::window::{WINDOW_MAX, Window};

/// The check.
pub static INFO: CheckInfo = CheckInfo {
    name: "loss-scale",
    family: Family::Precision,
    kinds: &["collapse"],
    params: &[
        ParamInfo {
            name: "halvings",
            default: 4.0,
            min: 1.0,
            max: 64.0,
            doc: "net halvings within the last 64 points that are a warning; a healthy scale goes back and forth by one",
        },
        ParamInfo {
            name: "floor",
            default: 1.0,
            min: 0.0,
            max: 1e9,
            doc: "scale at which gradients overflow as they are; to have fallen so far and to stay is the rule's severity",
        },
        ParamInfo {
            name: "stays",
            default: 3.0,
            min: 1.0,
            max: 1e6,
            doc: "points in a row at the floor",
        },
        ParamInfo {
            name: "search_points",
            default: 200.0,
            min: 0.0,
            max: 1e9,
            doc: "points after which the search is over, if the scale has not been doubled before",
        },
    ],
    doc: "Net halvings of the loss scale after its first search, and a scale that stays at its floor.",
    build: Build::Series(|rule| each(LossScale::new(rule))),
};

/// Falls between two points before the floor is one that was fallen to.
const FALLS_MIN: u32 = 2;

#[derive(Clone)]
struct LossScale {
    halvings: f64,
    floor: f64,
    stays: u32,
    search_points: u32,
    full: Severity,
    n: u32,
    has_grown: bool,
    /// The largest scale that was seen, and how often it fell from there.
    peak: f64,
    falls: u32,
    at_floor: u32,
    last: Option<f64>,
    recent: Window,
}

impl LossScale {
    fn new(rule: &Rule) -> Self {
        Self {
            halvings: rule.params.get("halvings"),
            floor: rule.params.get("floor"),
            stays: rule.params.get("stays") as u32,
            search_points: rule.params.get("search_points") as u32,
            full: rule.severity,
            n: 0,
            has_grown: false,
            peak: 0.0,
            falls: 0,
            at_floor: 0,
            last: None,
            recent: Window::new(WINDOW_MAX),
        }
    }

    fn is_searching(&self) -> bool {
        !self.has_grown && self.n <= self.search_points
    }

    fn bad(point: &Point, peak: f64, bound: f64, severity: Severity) -> Judgement {
        Judgement::Bad(
            Observation::new("collapse", point.value, bound)
                .severity(severity)
                .word("peak", format!("{peak}")),
        )
    }
}

impl SeriesCheck for LossScale {
    fn observe(&mut self, point: &Point, _context: &Context<'_>) -> Judgement {
        let scale = point.value;
        if !(scale.is_finite() && scale > 0.0) {
            return Judgement::Abstain;
        }
        self.n = self.n.saturating_add(1);
        self.has_grown |= self.last.is_some_and(|last| scale > last);
        self.falls += u32::from(self.last.is_some_and(|last| scale < last));
        self.last = Some(scale);
        self.peak = self.peak.max(scale);
        // A run in bfloat16 logs a scale of 1 from the start, or from one line to the next after it was changed to it: a
        // dynamic scale goes down by halves.
        let has_fallen_to_floor = scale <= self.floor && self.peak > self.floor && self.falls >= FALLS_MIN;
        self.at_floor = if has_fallen_to_floor { self.at_floor + 1 } else { 0 };
        if self.is_searching() {
            // What the search leaves behind is no level to fall from.
            return if self.at_floor >= self.stays {
                Self::bad(point, self.peak, self.floor, self.full)
            } else {
                Judgement::Abstain
            };
        }
        self.recent.push(scale);
        let recent_peak = self.recent.values().iter().fold(scale, |a, b| a.max(*b));
        if self.at_floor >= self.stays {
            return Self::bad(point, self.peak, self.floor, self.full);
        }
        let bound = recent_peak / self.halvings.exp2();
        if scale <= bound {
            return Self::bad(point, recent_peak, bound, self.full.min(Severity::Warning));
        }
        Judgement::Good
    }

    fn rewind(&mut self, _step: i64) {
        // The scaler is not always part of the checkpoint: the search may begin anew.
        self.n = 0;
        self.has_grown = false;
        self.peak = 0.0;
        self.falls = 0;
        self.at_floor = 0;
        self.last = None;
        self.recent.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::INFO;
    use crate::model::{Quantity, Severity};
    use crate::rules::check::bench::Bench;

    fn bench() -> Bench {
        Bench::new(&INFO, Quantity::LossScale, &[])
    }

    /// Halvings every `interval` points and one doubling in between.
    fn healthy(n: u32) -> impl Iterator<Item = f64> {
        (0..n).map(|i| if (i / 20) % 2 == 0 { 65536.0 } else { 32768.0 })
    }

    #[test]
    fn up_and_down_by_one_is_health() {
        assert_eq!(bench().push_all(healthy(2_000)).severity(), None);
    }

    #[test]
    fn the_first_search_is_no_collapse() {
        let search = (0..17)
            .map(|i| 2.0_f64.powi(32 - i))
            .chain(std::iter::repeat_n(65536.0, 100));
        assert_eq!(bench().push_all(search).severity(), None);
    }

    #[test]
    fn four_halvings_after_the_search_are_a_warning_three_are_not() {
        let after = |n: i32| {
            let mut bench = bench();
            bench.push_all(healthy(100));
            bench.push_all((0..=n).map(|i| 65536.0 / 2.0_f64.powi(i)));
            bench.severity()
        };
        assert_eq!(after(3), None);
        assert_eq!(after(4), Some(Severity::Warning));
    }

    #[test]
    fn a_scale_that_falls_to_one_and_stays_is_critical_even_in_the_search() {
        let fall = (0..=16).map(|i| 65536.0 / 2.0_f64.powi(i));
        let mut bench = bench();
        bench.push_all(fall.chain([1.0, 1.0]));
        assert_eq!(bench.first(Severity::Critical), Some(18));
    }

    #[test]
    fn a_scale_of_one_from_the_start_is_bfloat16() {
        assert_eq!(bench().push_all([1.0; 500]).severity(), None);
        let changed = [4096.0; 5].into_iter().chain([1.0; 500]);
        assert_eq!(bench().push_all(changed).severity(), None);
    }

    #[test]
    fn a_restart_searches_anew() {
        let mut bench = bench();
        bench.push_all(healthy(300));
        bench.rewind(250);
        bench.push_all((0..12).map(|i| 2.0_f64.powi(32 - i)));
        assert_eq!(bench.severity(), None);
    }
}
