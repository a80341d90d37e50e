//! Gradients that are clipped at nearly every step.
//!
//! In: a total gradient norm. Out: bad while nearly all of the last 200 points were clipped. Invariant: constant memory;
//! where the bound of the clipping is not known only a norm that was logged behind it can show it, by standing at its
//! ceiling.
//!
//! When every gradient is clipped, its size no longer counts: the step is as long as the learning rate says, whatever the
//! loss does. Much of reinforcement learning and fine-tuning lives with that, so it is an info. A bound that gradients
//! exceed tenfold is not a guard but a second learning rate.

use std::sync::Arc;

use super::{Build, CheckInfo, Context, Judgement, Observation, ParamInfo, Point, SeriesCheck, each};
use crate::model::{Family, Severity};
use crate::rules::Rule;

/// The check.
pub static INFO: CheckInfo = CheckInfo {
    name: "clip-saturation",
    family: Family::Lr,
    kinds: &["at-ceiling", "above-bound"],
    params: &[
        ParamInfo {
            name: "clip",
            default: 0.0,
            min: 0.0,
            max: 1e30,
            doc: "norm to which gradients are clipped, where the log holds the norm before clipping; 0 when not known",
        },
        ParamInfo {
            name: "share",
            default: 0.9,
            min: 0.0,
            max: 1.0,
            doc: "share of the last 200 points that were clipped; a guard against bad batches acts on some percent",
        },
        ParamInfo {
            name: "warning_ratio",
            default: 10.0,
            min: 1.0,
            max: 1e30,
            doc: "geometric mean of norm over clip, of norms before clipping, from which it is a warning at least",
        },
    ],
    doc: "The share of the last 200 points at the ceiling of the series (within 1e-4), or above a bound that the rule \
          names.",
    build: Build::Series(|rule| each(ClipSaturation::new(rule))),
};

/// A clipped norm is its bound up to the rounding of a division in float32 and of six printed digits.
const CEILING_WITHIN: f64 = 1e-4;
/// The last 200 points as ten blocks of twenty.
const BLOCK_POINTS: u8 = 20;
const BLOCKS: usize = 10;

struct Bounds {
    clip: f64,
    share: f64,
    ln_warning_ratio: f64,
    full: Severity,
}

#[derive(Clone)]
struct ClipSaturation {
    bounds: Arc<Bounds>,
    state: State,
}

#[derive(Debug, Clone, Default)]
struct State {
    ceiling: f64,
    /// Clipped points of the last blocks; the sum of their `ln` above the bound.
    clipped: [u8; BLOCKS],
    ln_above: [f32; BLOCKS],
    n_blocks: u32,
    points: u8,
    points_clipped: u8,
    points_ln_above: f32,
}

impl ClipSaturation {
    fn new(rule: &Rule) -> Self {
        Self {
            bounds: rule.shared(|rule| Bounds {
                clip: rule.params.get("clip"),
                share: rule.params.get("share"),
                ln_warning_ratio: rule.params.get("warning_ratio").ln(),
                full: rule.severity,
            }),
            state: State::default(),
        }
    }

    fn knows_bound(&self) -> bool {
        self.bounds.clip > 0.0
    }

    /// Whether this norm was clipped, and how far above the bound it was.
    fn clipped(&mut self, norm: f64) -> (bool, f64) {
        if self.knows_bound() {
            return (norm > self.bounds.clip, (norm / self.bounds.clip).ln());
        }
        let ceiling = self.state.ceiling;
        if norm > ceiling * (1.0 + CEILING_WITHIN) {
            // Whatever stood below a higher ceiling was not clipped.
            self.state = State {
                ceiling: norm,
                ..State::default()
            };
        }
        (norm >= self.state.ceiling * (1.0 - CEILING_WITHIN), 0.0)
    }

    fn judge(&self) -> Judgement {
        if (self.state.n_blocks as usize) < BLOCKS {
            return Judgement::Abstain;
        }
        let points = BLOCKS as f64 * f64::from(BLOCK_POINTS);
        let share = self.state.clipped.iter().copied().map(f64::from).sum::<f64>() / points;
        if share < self.bounds.share {
            return Judgement::Good;
        }
        let ln_above = self.state.ln_above.iter().copied().map(f64::from).sum::<f64>() / points;
        let (kind, bound) = if self.knows_bound() {
            ("above-bound", self.bounds.clip)
        } else {
            ("at-ceiling", self.state.ceiling)
        };
        let is_far = self.knows_bound() && ln_above >= self.bounds.ln_warning_ratio;
        let severity = if is_far {
            self.bounds.full.max(Severity::Warning)
        } else {
            self.bounds.full
        };
        Judgement::Bad(
            Observation::new(kind, share, self.bounds.share)
                .severity(severity)
                .word("percent", format!("{:.0}", 100.0 * share))
                .word("clip", format!("{bound:.4}")),
        )
    }
}

impl State {
    /// Counts a point; true when a block is full.
    fn count(&mut self, is_clipped: bool, ln_above: f64) -> bool {
        self.points += 1;
        self.points_clipped += u8::from(is_clipped);
        self.points_ln_above += ln_above as f32;
        if self.points < BLOCK_POINTS {
            return false;
        }
        let place = self.n_blocks as usize % BLOCKS;
        if let (Some(clipped), Some(sum)) = (self.clipped.get_mut(place), self.ln_above.get_mut(place)) {
            *clipped = self.points_clipped;
            *sum = self.points_ln_above;
        }
        self.n_blocks = self.n_blocks.saturating_add(1);
        self.points = 0;
        self.points_clipped = 0;
        self.points_ln_above = 0.0;
        true
    }
}

impl SeriesCheck for ClipSaturation {
    fn observe(&mut self, point: &Point, _context: &Context<'_>) -> Judgement {
        if !(point.value > 0.0 && point.value.is_finite()) {
            return Judgement::Abstain;
        }
        let (is_clipped, ln_above) = self.clipped(point.value);
        if self.state.count(is_clipped, ln_above) {
            self.judge()
        } else {
            Judgement::Abstain
        }
    }

    fn rewind(&mut self, _step: i64) {
        self.state = State::default();
    }
}

#[cfg(test)]
mod tests {
    use super::INFO;
    use crate::model::{Quantity, Severity};
    use crate::rules::check::bench::{Bench, Noise};

    fn bench(changed: &[(&str, f64)]) -> Bench {
        Bench::with_severity(&INFO, Quantity::GradNormTotal, changed, Severity::Info)
    }

    fn norms(seed: u64, level: f64, n: usize) -> Vec<f64> {
        let mut noise = Noise(seed);
        (0..n).map(|_| level * (0.4 * noise.heavy()).exp()).collect()
    }

    fn clip(norms: &[f64], bound: f64) -> Vec<f64> {
        // As torch does it: bound / (norm + 1e-6), and what a log prints.
        let clipped = |norm: &f64| norm * (bound / (norm + 1e-6)).min(1.0);
        norms
            .iter()
            .map(clipped)
            .map(|norm| (norm * 1e5).round() / 1e5)
            .collect()
    }

    #[test]
    fn a_norm_that_stands_at_its_ceiling_is_a_note() {
        let mut saturated = bench(&[]);
        saturated.push_all(clip(&norms(1, 5.0, 400), 1.0));
        assert_eq!(
            (saturated.first(Severity::Info), saturated.severity()),
            (Some(199), Some(Severity::Info))
        );
        // A third of the steps is a guard at work.
        let mut guard = bench(&[]);
        guard.push_all(clip(&norms(2, 0.8, 2_000), 1.0));
        assert_eq!(guard.severity(), None);
        let mut free = bench(&[]);
        free.push_all(norms(3, 5.0, 2_000))
            .push_all([1e9])
            .push_all((0..500).map(|i| 1.0 + f64::from(i)));
        assert_eq!(free.severity(), None);
    }

    #[test]
    fn a_known_bound_is_compared_with_the_norm_before_it() {
        let mut near = bench(&[("clip", 1.0)]);
        near.push_all(norms(1, 5.0, 400));
        assert_eq!(near.severity(), Some(Severity::Info));
        let mut far = bench(&[("clip", 1.0)]);
        far.push_all(norms(1, 30.0, 400));
        assert_eq!(far.severity(), Some(Severity::Warning));
        let mut below = bench(&[("clip", 10.0)]);
        below.push_all(norms(1, 5.0, 400));
        assert_eq!(below.severity(), None);
    }

    #[test]
    fn it_ends_when_gradients_come_below_and_a_restart_begins_anew() {
        let mut bench = bench(&[("clip", 1.0)]);
        bench.push_all(norms(1, 5.0, 300));
        let told = bench.said.len();
        bench.push_all(norms(2, 0.1, 300));
        let last_bad = bench
            .said
            .iter()
            .rposition(|it| matches!(it.1, super::Judgement::Bad(_)));
        assert!(last_bad < Some(told + 60), "{last_bad:?}");
        bench.rewind(200);
        bench.push_all(norms(1, 5.0, 199));
        assert!(
            bench
                .said
                .iter()
                .rev()
                .take(199)
                .all(|it| it.1 == super::Judgement::Abstain)
        );
    }
}
