//! NaN and infinity in a watched series.
//!
//! In: the points of one series. Out: bad at the first non-finite value; healed when it was a single skipped batch or
//! the start-up search of mixed precision. Invariant: a value that is not finite is never judged good.
//!
//! Severity by evidence. A non-finite loss or weight is the rule's severity at once: a missed NaN costs a cluster. A
//! non-finite gradient beside a finite loss may be a skipped step: `torch.amp.GradScaler` starts at 2^16, Megatron at
//! 2^32, and both skip and halve until the gradients are finite; later a skip happens every few hundred to thousand
//! steps (growth interval 1000 to 2000). Then it is a warning until it is repeated, and `info` where the loss
//! scale shows the halving.

use super::{Build, CheckInfo, Context, Judgement, Observation, ParamInfo, Point, SeriesCheck};
use crate::model::{Family, Severity};
use crate::rules::Rule;

/// The check.
pub static INFO: CheckInfo = CheckInfo {
    name: "non-finite",
    family: Family::Nonfinite,
    kinds: &[],
    params: &[
        ParamInfo {
            name: "startup_steps",
            default: 0.0,
            min: 0.0,
            max: 1e6,
            doc: "steps from the start of the run in which a non-finite value beside a finite loss is the search for \
                  the loss scale; for gradients 50: at most 32 halvings from 2^32",
        },
        ParamInfo {
            name: "patience",
            default: 0.0,
            min: 0.0,
            max: 1e6,
            doc: "so many non-finite points in a row beside a finite loss are only a warning (a skipped step); one \
                  more is the rule's severity",
        },
        ParamInfo {
            name: "needs_finite",
            default: 0.0,
            min: 0.0,
            max: 1.0,
            doc: "1: a series that was never finite is only `info` (a metric that does not apply to this run)",
        },
        ParamInfo {
            name: "heal_share",
            default: 0.05,
            min: 0.0,
            max: 1.0,
            doc: "two finite points after it, with at most this share of all points (two at least) non-finite, make \
                  it transient: a warning at most. 5 % is some fifty times the nominal rate of AMP skips",
        },
    ],
    doc: "Any NaN, +Inf or -Inf. Persistent: the rule's severity at its first point. Transient (skipped batch): \
          warning at most. While the loss scale is being searched or lowered: info.",
    build: Build::Series(|rule| Box::new(NonFinite::new(rule))),
};

/// Most points in a row that a search for the loss scale can take: 2^32 down to 1.
const SEARCH_POINTS_MAX: u64 = 32;
/// A halving this many points ago still explains a skipped step: it stands in the same record or the next, and healing
/// takes two points more.
const SCALE_MEMORY_POINTS: u64 = 3;

/// What is known of the training loss beside a non-finite value of another series.
#[derive(Debug, Clone, Copy, PartialEq)]
enum LossBeside {
    Finite,
    NotYetLogged,
    Gone,
}

struct NonFinite {
    full: Severity,
    startup_steps: f64,
    patience: u64,
    needs_finite: bool,
    heal_share: f64,
    state: State,
}

#[derive(Debug, Clone, Default)]
struct State {
    points: u64,
    bad_points: u64,
    bad_in_a_row: u64,
    good_in_a_row: u64,
    first_step: Option<i64>,
    first_finite_step: Option<i64>,
    /// Worst severity said and not yet lowered.
    said: Option<Severity>,
    is_search: bool,
    loss_points: u64,
    points_since_loss: u64,
    longest_wait_for_loss: u64,
    scale: Option<f64>,
    scale_before: Option<f64>,
    points_since_scale: u64,
}

impl NonFinite {
    fn new(rule: &Rule) -> Self {
        Self {
            full: rule.severity,
            startup_steps: rule.params.get("startup_steps"),
            patience: rule.params.get("patience") as u64,
            needs_finite: rule.params.get("needs_finite") >= 0.5,
            heal_share: rule.params.get("heal_share"),
            state: State::default(),
        }
    }

    fn bad(&mut self, point: &Point, context: &Context<'_>) -> Judgement {
        self.state.bad_points += 1;
        self.state.bad_in_a_row += 1;
        self.state.good_in_a_row = 0;
        let loss = self.state.loss_beside(context.facts.loss.n);
        let severity = self.severity(point, context, loss).min(self.full);
        self.state.said = self.state.said.max(Some(severity));
        let what = if point.value.is_nan() {
            "NaN"
        } else if point.value > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        };
        Judgement::Bad(
            Observation::new("", point.value, f64::MAX)
                .severity(severity)
                .word("what", what),
        )
    }

    fn severity(&mut self, point: &Point, context: &Context<'_>, loss: LossBeside) -> Severity {
        let state = &self.state;
        if self.needs_finite && state.first_finite_step.is_none() {
            return Severity::Info;
        }
        if loss == LossBeside::Gone {
            return self.full;
        }
        let first = context
            .facts
            .first_step
            .or(state.first_step)
            .unwrap_or(point.step);
        let steps_in = point.step.saturating_sub(first) as f64;
        let is_start = self.startup_steps > 0.0 && steps_in <= self.startup_steps;
        let may_be_search = is_start && state.bad_in_a_row <= SEARCH_POINTS_MAX;
        let is_tolerated = state.bad_in_a_row <= self.patience;
        let is_lowered = is_tolerated && state.scale_fell();
        self.state.is_search = may_be_search && (state.is_search || state.bad_in_a_row == state.bad_points);
        if (may_be_search && context.facts.loss_scale.is_some()) || is_lowered {
            Severity::Info
        } else if is_tolerated || self.state.is_search {
            Severity::Warning
        } else {
            self.full
        }
    }

    fn good(&mut self, point: &Point) -> Judgement {
        let state = &mut self.state;
        state.first_finite_step.get_or_insert(point.step);
        state.good_in_a_row += 1;
        state.bad_in_a_row = 0;
        let Some(said) = state.said else {
            return Judgement::Good;
        };
        let allowed = (self.heal_share * state.points as f64).max(2.0);
        if state.good_in_a_row < 2 || state.bad_points as f64 > allowed.max(search_allowance(state)) {
            return Judgement::Good;
        }
        state.said = None;
        let most = if state.is_search || state.scale_fell() {
            Severity::Info
        } else {
            Severity::Warning
        };
        state.is_search = false;
        if said > most {
            Judgement::Healed(most)
        } else {
            Judgement::Good
        }
    }
}

/// The search may take a large share of the first points.
fn search_allowance(state: &State) -> f64 {
    if state.is_search {
        SEARCH_POINTS_MAX as f64
    } else {
        0.0
    }
}

impl State {
    /// Notes the point and what the stream says beside it.
    fn count(&mut self, point: &Point, context: &Context<'_>) {
        self.points += 1;
        self.first_step.get_or_insert(point.step);
        let loss_points = context.facts.loss.n;
        if loss_points > self.loss_points {
            self.longest_wait_for_loss = self.longest_wait_for_loss.max(self.points_since_loss);
            self.points_since_loss = 0;
            self.loss_points = loss_points;
        } else {
            self.points_since_loss += 1;
        }
        self.points_since_scale += 1;
        if self.scale != context.facts.loss_scale {
            self.scale_before = self.scale;
            self.scale = context.facts.loss_scale;
            self.points_since_scale = 0;
        }
    }

    /// Whether a finite loss still comes as often as before. One point of grace: the loss may stand behind this number in
    /// the same record.
    fn loss_beside(&self, loss_points: u64) -> LossBeside {
        if self.points_since_loss <= self.longest_wait_for_loss + 1 && loss_points > 0 {
            LossBeside::Finite
        } else if loss_points == 0 && self.points <= 2 {
            LossBeside::NotYetLogged
        } else {
            LossBeside::Gone
        }
    }

    /// Whether the loss scale was lowered within the last points.
    fn scale_fell(&self) -> bool {
        self.points_since_scale <= SCALE_MEMORY_POINTS
            && matches!((self.scale_before, self.scale), (Some(before), Some(now)) if now < before)
    }
}

impl SeriesCheck for NonFinite {
    fn observe(&mut self, point: &Point, context: &Context<'_>) -> Judgement {
        self.state.count(point, context);
        if point.value.is_finite() {
            self.good(point)
        } else {
            self.bad(point, context)
        }
    }

    fn rewind(&mut self, step: i64) {
        let kept = self.state.first_finite_step.filter(|first| *first < step);
        self.state = State {
            first_finite_step: kept,
            first_step: self.state.first_step.filter(|first| *first < step),
            ..State::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::INFO;
    use crate::model::{Quantity, Severity};
    use crate::rules::check::Judgement;
    use crate::rules::check::bench::Bench;

    const GRADIENT: &[(&str, f64)] = &[("startup_steps", 50.0), ("patience", 1.0)];

    fn gradients(values: &[(f64, f64)]) -> Bench {
        let mut bench = Bench::new(&INFO, Quantity::GradNorm, GRADIENT);
        for (value, loss) in values {
            bench.push_beside_loss(*value, *loss);
        }
        bench
    }

    #[test]
    fn loss_is_critical_at_the_first_point() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for before in [0, 1, 100] {
                let mut bench = Bench::new(&INFO, Quantity::Loss, &[]);
                bench.push_all(vec![1.0; before]).push_all([bad; 30]);
                assert_eq!(bench.first(Severity::Critical), Some(before as i64));
                assert_eq!(bench.severity(), Some(Severity::Critical));
            }
        }
    }

    #[test]
    fn a_loss_that_heals_at_once_ends_as_warning() {
        let mut bench = Bench::new(&INFO, Quantity::Loss, &[]);
        bench
            .push_all(vec![1.0; 30])
            .push_all([f64::NAN])
            .push_all(vec![1.0; 30]);
        assert_eq!(bench.severity(), Some(Severity::Warning));
        assert_eq!(
            bench
                .said
                .iter()
                .filter(|it| matches!(it.1, Judgement::Healed(_)))
                .count(),
            1
        );
    }

    #[test]
    fn a_loss_that_flickers_stays_critical() {
        let mut bench = Bench::new(&INFO, Quantity::Loss, &[]);
        bench.push_all(vec![1.0; 30]);
        for _ in 0..20 {
            bench.push_all([f64::NAN, 1.0, 1.0]);
        }
        assert_eq!(bench.severity(), Some(Severity::Critical));
    }

    #[test]
    fn loss_scale_search_is_info() {
        let mut bench = Bench::new(&INFO, Quantity::GradNorm, GRADIENT);
        for step in 0..60 {
            bench.facts.loss_scale = Some(if step < 6 {
                65536.0 / f64::from(1 << step)
            } else {
                1024.0
            });
            bench.push_beside_loss(if step < 6 { f64::INFINITY } else { 2.0 }, 2.3);
        }
        assert_eq!(bench.severity(), Some(Severity::Info));
    }

    #[test]
    fn a_search_without_a_logged_scale_ends_as_info() {
        let mut run = vec![(f64::INFINITY, 2.3); 3];
        run.extend([(2.0, 2.2); 40]);
        let bench = gradients(&run);
        assert_eq!(bench.severity(), Some(Severity::Info));
        assert_eq!(bench.first(Severity::Critical), None);
    }

    #[test]
    fn a_skipped_step_is_a_warning_and_info_when_the_scale_shows_it() {
        let mut run = vec![(1.0, 2.3); 100];
        run.push((f64::INFINITY, 2.3));
        run.extend([(1.0, 2.3); 20]);
        let bench = gradients(&run);
        assert_eq!(bench.severity(), Some(Severity::Warning));
        assert_eq!(bench.first(Severity::Critical), None);
        let mut bench = Bench::new(&INFO, Quantity::GradNorm, GRADIENT);
        for step in 0..200 {
            bench.facts.loss_scale = Some(if step > 150 { 1024.0 } else { 2048.0 });
            bench.push_beside_loss(if step == 150 { f64::INFINITY } else { 2.0 }, 2.3);
        }
        assert_eq!(bench.severity(), Some(Severity::Info));
    }

    #[test]
    fn gradients_that_stay_nan_are_critical_though_the_loss_looks_fine() {
        let mut run = vec![(1.0, 2.3); 100];
        run.extend([(f64::NAN, 2.3); 10]);
        let bench = gradients(&run);
        assert_eq!(bench.first(Severity::Warning), Some(100));
        assert_eq!(bench.first(Severity::Critical), Some(101));
    }

    #[test]
    fn gradients_without_a_loss_are_critical_at_once() {
        let mut bench = Bench::new(&INFO, Quantity::GradNorm, GRADIENT);
        bench.push_all(vec![1.0; 60]).push_all([f64::NAN]);
        assert_eq!(bench.first(Severity::Critical), Some(60));
    }

    #[test]
    fn a_metric_that_never_applied_is_info() {
        let mut bench = Bench::new(&INFO, Quantity::Throughput, &[("needs_finite", 1.0)]);
        bench.push_all([f64::NAN; 30]);
        assert_eq!(bench.severity(), Some(Severity::Info));
    }

    #[test]
    fn a_restart_forgets() {
        let mut bench = Bench::new(&INFO, Quantity::Loss, &[]);
        bench.push_all(vec![1.0; 30]).push_all([f64::NAN; 5]);
        bench.rewind(20);
        assert_eq!(bench.push(1.0), Judgement::Good);
        assert_eq!(bench.push(1.0), Judgement::Good);
    }
}
