//! An evaluation loss that rises while the training loss goes on falling.
//!
//! In: an evaluation loss; the training loss from the facts of the stream. Out: bad while the evaluation loss is above its
//! best by more than its noise and the training loss is further below it than it was then. Invariants: constant state;
//! silent where losses need not fall or may be negative, and where the training loss is not logged.
//!
//! Both halves are needed: an evaluation loss that rises with the training loss is a divergence, and a gap that stays is
//! only the price of unseen data. The evaluation loss is taken as the median of its last three values, on a log scale;
//! its best is the lowest of these. The noise of a value comes from second differences, which no steady trend shows:
//! they have a standard deviation of sqrt(6) times that of a value.

use std::sync::Arc;

use super::{Build, CheckInfo, Context, Judgement, Observation, ParamInfo, Point, SeriesCheck, each};
use crate::model::{Family, Severity};
use crate::rules::Rule;

/// The check.
pub static INFO: CheckInfo = CheckInfo {
    name: "overfit",
    family: Family::Overfit,
    kinds: &[],
    params: &[
        ParamInfo {
            name: "gap",
            default: 0.1,
            min: 0.0,
            max: 1e9,
            doc: "how far the evaluation loss must be above the training loss, as a share of it (as Overfit of SageMaker \
                  Debugger)",
        },
        ParamInfo {
            name: "rise",
            default: 0.03,
            min: 0.0,
            max: 1e9,
            doc: "rise above the best evaluation loss that is an info, as a share of it; the training loss must have \
                  fallen by as much as the other rose, up to warning_rise",
        },
        ParamInfo {
            name: "warning_rise",
            default: 0.1,
            min: 0.0,
            max: 1e9,
            doc: "rise that is the rule's severity where it also undoes undone_share; as large as the gap. Sound runs often \
                  lose some percent in their last epochs",
        },
        ParamInfo {
            name: "undone_share",
            default: 0.25,
            min: 0.0,
            max: 1e9,
            doc: "share of the fall of ln evaluation loss, from its first value to its best, that must be undone for the \
                  rule's severity; the same as in a creep of the training loss. A network that went from 0.43 to 0.089 and \
                  then to 0.1 is still a good one",
        },
        ParamInfo {
            name: "noises",
            default: 4.0,
            min: 0.0,
            max: 1e6,
            doc: "and so many standard deviations of an evaluation. A median of three has 0.67 of one; the lowest of a \
                  hundred of them lies 1.7 below the level and the present one 1.3 above it in 1 of 40",
        },
        ParamInfo {
            name: "evaluations",
            default: 6.0,
            min: 4.0,
            max: 1e6,
            doc: "evaluations before anything is said: four second differences are the least to know a noise from",
        },
    ],
    doc: "The median of the last three evaluation losses above the lowest such median, beyond the noise, while the training \
          loss has fallen further and lies below it.",
    build: Build::Series(|rule| each(Overfit::new(rule))),
};

/// Standard deviation of a normal variable over its mean absolute deviation, over that of a second difference.
const SD_PER_MEAN_SECOND_DIFFERENCE: f64 = 1.253_314 / 2.449_490;
/// Second differences that the noise is averaged over.
const NOISE_POINTS: f64 = 16.0;

/// What all series of a rule share.
struct Bounds {
    gap: f64,
    ln_rise: f64,
    ln_warning_rise: f64,
    undone_share: f64,
    noises: f64,
    evaluations: u32,
    full: Severity,
}

#[derive(Clone)]
struct Overfit {
    bounds: Arc<Bounds>,
    state: State,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// The last three, as `ln`, the latest first.
    recent: [f64; 3],
    n: u32,
    mean_second_difference: f64,
    /// The first value.
    initial: Option<f64>,
    best: Option<Best>,
    has_said: bool,
}

/// The best so far.
#[derive(Debug, Clone, Copy)]
struct Best {
    ln: f64,
    /// Training loss at that time.
    train: f64,
    step: i64,
}

impl Overfit {
    fn new(rule: &Rule) -> Self {
        Self {
            bounds: rule.shared(|rule| Bounds {
                gap: rule.params.get("gap"),
                ln_rise: rule.params.get("rise").ln_1p(),
                ln_warning_rise: rule.params.get("warning_rise").ln_1p(),
                undone_share: rule.params.get("undone_share"),
                noises: rule.params.get("noises"),
                evaluations: rule.params.get("evaluations") as u32,
                full: rule.severity,
            }),
            state: State::default(),
        }
    }

    fn judge(&self, point: &Point, now: f64, best: Best, train: f64) -> Judgement {
        let rise = now - best.ln;
        let noise = SD_PER_MEAN_SECOND_DIFFERENCE * self.state.mean_second_difference;
        let gap = (now.exp() - train) / train;
        // As much as the other rose, up to where the noise of batches does not reach.
        let fall = (best.train / train).ln();
        let is_learning = fall
            >= rise.clamp(
                self.bounds.ln_rise,
                self.bounds.ln_warning_rise.max(self.bounds.ln_rise),
            );
        let is_over = rise >= self.bounds.ln_rise.max(self.bounds.noises * noise)
            && gap > self.bounds.gap
            && is_learning
            && self.state.n >= self.bounds.evaluations;
        if !is_over {
            return Judgement::Good;
        }
        let gained = self.state.initial.map_or(0.0, |initial| initial - best.ln);
        let is_grave = rise >= self.bounds.ln_warning_rise && rise >= self.bounds.undone_share * gained;
        let severity = if is_grave {
            self.bounds.full
        } else {
            Severity::Info
        };
        Judgement::Bad(
            Observation::new("", point.value, best.ln.exp())
                .severity(severity)
                .word("percent", format!("{:.0}", 100.0 * rise.exp_m1()))
                .word("best", format!("{:.4}", best.ln.exp()))
                .word("best_step", best.step.to_string())
                .word("train", format!("{train:.4}"))
                .word("train_then", format!("{:.4}", best.train)),
        )
    }
}

impl State {
    /// Takes a value; gives the median of the last three.
    fn add(&mut self, y: f64) -> Option<f64> {
        let [last, before, _] = self.recent;
        if self.n >= 2 {
            let second_difference = (y - 2.0 * last + before).abs();
            let weight = (f64::from(self.n - 1)).min(NOISE_POINTS).recip();
            self.mean_second_difference += weight * (second_difference - self.mean_second_difference);
        }
        self.recent = [y, last, before];
        self.initial.get_or_insert(y);
        self.n = self.n.saturating_add(1);
        let [a, b, c] = self.recent;
        (self.n >= 3).then(|| a.max(b).min(a.min(b).max(c)))
    }
}

impl SeriesCheck for Overfit {
    fn observe(&mut self, point: &Point, context: &Context<'_>) -> Judgement {
        let facts = context.facts;
        let is_log_of_a_number = point.value > 0.0 && point.value.is_finite();
        let Some(train) = facts.loss.current.filter(|it| *it > 0.0) else {
            return Judgement::Abstain;
        };
        if !is_log_of_a_number || facts.is_game {
            return Judgement::Abstain;
        }
        let Some(now) = self.state.add(point.ln) else {
            return Judgement::Abstain;
        };
        if let Some(best) = self.state.best.filter(|best| now >= best.ln) {
            let judgement = self.judge(point, now, best, train);
            self.state.has_said |= matches!(judgement, Judgement::Bad(_));
            return judgement;
        }
        self.state.best = Some(Best {
            ln: now,
            train,
            step: point.step,
        });
        if std::mem::take(&mut self.state.has_said) {
            Judgement::Healed(Severity::Info)
        } else {
            Judgement::Good
        }
    }

    fn rewind(&mut self, step: i64) {
        // Without a best the next median of three is the first.
        let kept = self.state.best.filter(|best| best.step < step);
        self.state = State {
            initial: self.state.initial.filter(|_| kept.is_some()),
            best: kept,
            ..State::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::INFO;
    use crate::model::{Quantity, Severity};
    use crate::rules::check::Judgement;
    use crate::rules::check::bench::{Bench, Noise};

    /// An evaluation every ten training losses.
    fn run(evaluations: usize, train: impl Fn(f64) -> f64, eval: impl FnMut(f64) -> f64) -> Bench {
        run_with(evaluations, 0.02, train, eval)
    }

    fn run_with(
        evaluations: usize,
        train_sd: f64,
        train: impl Fn(f64) -> f64,
        mut eval: impl FnMut(f64) -> f64,
    ) -> Bench {
        let mut noise = Noise(5);
        let mut bench = Bench::with_severity(&INFO, Quantity::EvalLoss, &[], Severity::Warning);
        for i in 0..evaluations {
            for k in 0..10 {
                let share = (i as f64 + f64::from(k) / 10.0) / evaluations as f64;
                bench
                    .facts
                    .loss
                    .add(train(share) * (train_sd * noise.normal()).exp());
            }
            bench.push(eval((i + 1) as f64 / evaluations as f64));
        }
        bench
    }

    fn falls(share: f64) -> f64 {
        0.05 + 2.3 * (-5.0 * share).exp()
    }

    fn turns(share: f64) -> f64 {
        0.8 + 1.5 * (-12.0 * share).exp() + 0.8 * (share - 0.35).max(0.0)
    }

    #[test]
    fn a_turn_of_the_evaluation_loss_is_told_first_as_a_note() {
        let bench = run(30, falls, turns);
        assert_eq!(bench.severity(), Some(Severity::Warning));
        let (note, warning) = (bench.first(Severity::Info), bench.first(Severity::Warning));
        assert!(
            note >= Some(12) && note < warning && warning <= Some(24),
            "{note:?} {warning:?}"
        );
    }

    #[test]
    fn few_evaluations_are_enough_and_fewer_say_nothing() {
        assert_eq!(run(8, falls, turns).severity(), Some(Severity::Warning));
        assert_eq!(run(5, falls, turns).severity(), None);
    }

    #[test]
    fn a_rise_of_a_few_percent_is_a_note() {
        let bench = run(30, falls, |share| {
            0.8 + 0.5 * (-12.0 * share).exp() + 0.06 * share
        });
        assert_eq!(bench.severity(), Some(Severity::Info));
    }

    #[test]
    fn what_rises_with_the_training_loss_is_no_overfitting() {
        assert_eq!(run(30, turns, |share| 1.3 * turns(share)).severity(), None);
        // The training loss stands still: the data drift.
        let drift = run(30, |share| falls(share.min(0.3)), turns);
        assert!(
            drift.severity() < Some(Severity::Warning),
            "{:?}",
            drift.severity()
        );
        // A gap alone is the price of unseen data.
        assert_eq!(run(30, falls, |share| 3.0 * falls(share)).severity(), None);
        // Nor is a rise below the training loss (dropout is off in evaluation).
        assert_eq!(run(30, |share| 3.0 + falls(share), turns).severity(), None);
    }

    /// Flat at the end, white noise: 200 runs of 100 evaluations for each size.
    #[test]
    fn noise_of_the_evaluation_is_no_rise() {
        for sd in [0.003, 0.01, 0.03, 0.1, 0.3] {
            let mut alarms = 0;
            for seed in 0..200 {
                let mut noise = Noise(seed);
                let bench = run(100, falls, |share| {
                    (0.8 + 1.5 * (-12.0 * share).exp()) * (sd * noise.normal()).exp()
                });
                // The rule asks for three in a row.
                let bad = |it: &(i64, Judgement)| matches!(it.1, Judgement::Bad(_));
                alarms += u32::from(bench.said.windows(3).any(|it| it.iter().all(bad)));
            }
            assert!(alarms <= 4, "{sd}: {alarms} of 200");
        }
    }

    #[test]
    fn a_new_best_heals_and_a_restart_forgets() {
        let mut bench = run(30, falls, turns);
        bench.push_all([0.1, 0.1]);
        assert_eq!(bench.severity(), Some(Severity::Info));
        let mut bench = run(30, falls, |share| 0.8 + 1.5 * (-12.0 * share).exp());
        bench.rewind(5);
        bench.facts.loss.add(0.01);
        bench.push_all([0.9, 0.9, 1.2, 1.2, 1.2]);
        assert_eq!(bench.severity(), None, "five evaluations since");
    }

    #[test]
    fn says_nothing_of_games_and_of_losses_around_zero() {
        let mut bench = Bench::new(&INFO, Quantity::EvalLoss, &[]);
        bench.push_all((0..30).map(|i| 1.0 + f64::from(i)));
        assert_eq!(bench.severity(), None, "no training loss");
        let mut game = Bench::new(&INFO, Quantity::EvalLoss, &[]);
        game.facts.is_game = true;
        for i in 0..30 {
            game.push_beside_loss(1.0 + f64::from(i), 1.0 / f64::from(i + 1));
        }
        assert_eq!(game.severity(), None);
    }
}
