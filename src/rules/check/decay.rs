//! A norm that shrinks to next to nothing while the run has not learnt.
//!
//! In: norms of weights, or of gradients or activations. Out: `collapse` (below a share of the start). Invariant: quiet while
//! the training loss does well: gradients of a run that has learnt are small, and weight decay shrinks
//! what is not needed.
//!
//! Weights below 5 % of their start hold nothing of the initialisation any more; healthy weight decay was seen to end at
//! 36 to 53 %. Gradients below 1e-3 of their own early median while the loss fell by less than a fifth have
//! vanished in time.

use std::sync::Arc;

use super::loss_state::{LossState, loss_state};
use super::{Build, CheckInfo, Context, Judgement, Observation, ParamInfo, Point, SeriesCheck, each};
use crate::model::{Family, Severity};
use crate::rules::Rule;
use crate::series::LossFacts;
use crate::stats::window::upper_median;

/// The check.
pub static INFO: CheckInfo = CheckInfo {
    name: "decay",
    family: Family::Growth,
    kinds: &["collapse"],
    params: &[
        ParamInfo {
            name: "share",
            default: 0.05,
            min: 0.0,
            max: 1.0,
            doc: "share of the norm at the start; weights 5 %, gradients and activations 0.1 %",
        },
        ParamInfo {
            name: "fall",
            default: 0.3,
            min: 0.0,
            max: 1.0,
            doc: "share of its start that the training loss must have lost for the shrinking to be learning; 20 % to 30 % \
                  go with the biases of the last layer alone",
        },
    ],
    doc: "The median of the last five points against the median of the first five.",
    build: Build::Series(|rule| each(Decay::new(rule))),
};

/// Points of both medians.
const POINTS: usize = 5;

#[derive(Clone)]
struct Decay {
    bounds: Arc<Bounds>,
    /// The median of the first points, once they are there, and the step of the last of them.
    start: Option<(f64, i64)>,
    /// The first points, then the last ones from the first that is below the bound; few series have any.
    recent: Option<Box<Recent>>,
}

/// A ring of the last points.
#[derive(Clone)]
struct Recent {
    values: [f64; POINTS],
    n: u8,
    next: u8,
}

/// What all series of a rule share.
struct Bounds {
    share: f64,
    fall: f64,
    full: Severity,
}

impl Decay {
    fn new(rule: &Rule) -> Self {
        Self {
            bounds: rule.shared(|rule| Bounds {
                share: rule.params.get("share"),
                fall: rule.params.get("fall"),
                full: rule.severity,
            }),
            start: None,
            recent: None,
        }
    }

    /// Takes a value that is not below the bound; the ring goes once none of it is.
    fn note_large(&mut self, value: f64, bound: f64) {
        if let Some(recent) = &mut self.recent {
            recent.add(value);
            if !recent.is_below(bound) {
                self.recent = None;
            }
        }
    }

    fn add(&mut self, value: f64) -> &Recent {
        let recent = self.recent.get_or_insert_with(|| Box::new(Recent::new()));
        recent.add(value);
        recent
    }
}

impl Recent {
    fn new() -> Self {
        Self {
            values: [f64::INFINITY; POINTS],
            n: 0,
            next: 0,
        }
    }

    fn add(&mut self, value: f64) {
        if let Some(place) = self.values.get_mut(usize::from(self.next)) {
            *place = value;
        }
        self.next = (self.next + 1) % POINTS as u8;
        self.n = (self.n + 1).min(POINTS as u8);
    }

    fn is_full(&self) -> bool {
        usize::from(self.n) == POINTS
    }

    /// What was not kept counts as large.
    fn median(&self) -> Option<f64> {
        upper_median(&mut self.values.clone())
    }

    fn is_below(&self, bound: f64) -> bool {
        self.values.iter().any(|it| *it < bound)
    }
}

impl SeriesCheck for Decay {
    fn observe(&mut self, point: &Point, context: &Context<'_>) -> Judgement {
        // Exactly zero is a dead layer, an idle expert or a row that was not looked up: not a decay.
        if !point.value.is_finite() || point.value == 0.0 {
            return Judgement::Abstain;
        }
        let value = point.value.abs();
        let Some((start, _)) = self.start else {
            let first = self.add(value);
            if first.is_full() {
                self.start = first.median().map(|it| (it, point.step));
                self.recent = None;
            }
            return Judgement::Abstain;
        };
        let bound = self.bounds.share * start;
        // The median of five is below the bound only if three are, this one among them or before it.
        if start <= 0.0 || value >= bound {
            self.note_large(value, bound);
            return Judgement::Good;
        }
        let Some(now) = self.add(value).median().filter(|now| *now < bound) else {
            return Judgement::Good;
        };
        let loss = &context.facts.loss;
        let has_learnt =
            loss_state(loss) != LossState::Unwell && (loss.n == 0 || loss.fell_share() >= self.bounds.fall);
        let severity = if has_learnt {
            Severity::Info
        } else {
            self.bounds.full
        };
        Judgement::Bad(
            Observation::new("collapse", now, bound)
                .severity(severity.min(self.bounds.full))
                .word("start", format!("{start:.4e}"))
                .word("beside", beside(loss, self.bounds.fall)),
        )
    }

    fn rewind(&mut self, step: i64) {
        self.recent = None;
        self.start = self.start.filter(|(_, at)| *at < step);
    }
}

/// What the loss does beside it, for the sentence.
fn beside(loss: &LossFacts, fall: f64) -> &'static str {
    if loss.n == 0 {
        ""
    } else if loss.fell_share() < fall {
        " while the loss has hardly fallen"
    } else if loss_state(loss) == LossState::Unwell {
        " while the loss has not stayed down"
    } else {
        ", as the loss fell"
    }
}

#[cfg(test)]
mod tests {
    use super::INFO;
    use crate::model::{Quantity, Severity};
    use crate::rules::check::bench::Bench;

    fn run(norm: impl Fn(f64) -> f64, loss: impl Fn(f64) -> f64) -> Bench {
        let mut bench = Bench::new(&INFO, Quantity::WeightNorm, &[]);
        for i in 0..200 {
            let t = f64::from(i) / 200.0;
            bench.push_beside_loss(norm(t), loss(t));
        }
        bench
    }

    #[test]
    fn weights_that_decay_away_are_found() {
        let bench = run(|t| 10.0 * (-12.0 * t).exp(), |t| 2.3 + 0.7 * (-90.0 * t).exp());
        assert_eq!(bench.severity(), Some(Severity::Critical));
        // ln 20 / 12 of the run is point 50, and the median needs three.
        assert!(
            bench
                .first(Severity::Critical)
                .is_some_and(|it| (50..58).contains(&it))
        );
    }

    #[test]
    fn shrinking_weights_of_a_run_that_learns_are_info_at_most() {
        let loss = |t: f64| 0.2 + 2.0 * (-5.0 * t).exp();
        assert_eq!(run(|t| 10.0 * (-t).exp(), loss).severity(), None);
        assert_eq!(
            run(|t| 10.0 * (-12.0 * t).exp(), loss).severity(),
            Some(Severity::Info)
        );
    }

    #[test]
    fn zero_from_the_start_is_another_rules_business() {
        assert_eq!(run(|_| 0.0, |_| 2.3).severity(), None);
    }

    #[test]
    fn a_restart_takes_it_back() {
        let mut bench = run(|t| if t > 0.9 { 0.01 } else { 10.0 }, |_| 2.3);
        assert_eq!(bench.severity(), Some(Severity::Critical));
        bench.rewind(150);
        bench.said.clear();
        bench.push_all([10.0; 30]);
        assert_eq!(bench.severity(), None);
    }
}
