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

use std::sync::Arc;

use super::{Build, CheckInfo, Context, Judgement, Observation, ParamInfo, Point, SeriesCheck, each};
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
    build: Build::Series(|rule| each(NonFinite::new(rule))),
};

/// Most points in a row that a search for the loss scale can take: 2^32 down to 1.
const SEARCH_POINTS_MAX: u32 = 32;
/// A halving this many points ago still explains a skipped step: it stands in the same record or the next, and healing
/// takes two points more.
const SCALE_MEMORY_POINTS: u8 = 3;

/// What is known of the training loss beside a non-finite value of another series.
#[derive(Debug, Clone, Copy, PartialEq)]
enum LossBeside {
    Finite,
    NotYetLogged,
    Gone,
}

#[derive(Clone)]
struct NonFinite {
    bounds: Arc<Bounds>,
    state: State,
}

/// What all series of a rule share.
struct Bounds {
    full: Severity,
    startup_steps: f64,
    patience: u32,
    needs_finite: bool,
    heal_share: f64,
}

/// Every series of every run has one of these: small numbers.
#[derive(Debug, Clone, Default)]
struct State {
    first_finite_step: Option<i64>,
    points: u32,
    bad_points: u32,
    bad_in_a_row: u32,
    loss_points: u32,
    points_since_loss: u32,
    longest_wait_for_loss: u32,
    /// Loss scales are powers of two; 0: none was logged.
    scale: f32,
    scale_before: f32,
    points_since_scale: u8,
    good_in_a_row: u8,
    /// Worst severity said and not yet lowered.
    said: Option<Severity>,
    is_search: bool,
}

impl NonFinite {
    fn new(rule: &Rule) -> Self {
        Self {
            bounds: rule.shared(|rule| Bounds {
                full: rule.severity,
                startup_steps: rule.params.get("startup_steps"),
                patience: rule.params.get("patience") as u32,
                needs_finite: rule.params.get("needs_finite") >= 0.5,
                heal_share: rule.params.get("heal_share"),
            }),
            state: State::default(),
        }
    }

    fn bad(&mut self, point: &Point, context: &Context<'_>) -> Judgement {
        self.state.bad_points = self.state.bad_points.saturating_add(1);
        self.state.bad_in_a_row = self.state.bad_in_a_row.saturating_add(1);
        self.state.good_in_a_row = 0;
        let loss = self.state.loss_beside(context.facts.loss.n > 0);
        let severity = self.severity(point, context, loss).min(self.bounds.full);
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
        if self.bounds.needs_finite && state.first_finite_step.is_none() {
            return Severity::Info;
        }
        if loss == LossBeside::Gone {
            return self.bounds.full;
        }
        let first = context.facts.first_step.unwrap_or(point.step);
        let steps_in = point.step.saturating_sub(first) as f64;
        let is_start = self.bounds.startup_steps > 0.0 && steps_in <= self.bounds.startup_steps;
        // The search begins with the run: gradients that were finite before, without a loss scale in the log,
        // are not searched for.
        let may_begin = state.first_finite_step.is_none() || context.facts.loss_scale.is_some();
        let may_be_search = is_start && may_begin && state.bad_in_a_row <= SEARCH_POINTS_MAX;
        let is_tolerated = state.bad_in_a_row <= self.bounds.patience;
        let is_lowered = is_tolerated && state.scale_fell();
        self.state.is_search = may_be_search && (state.is_search || state.bad_in_a_row == state.bad_points);
        if (may_be_search && context.facts.loss_scale.is_some()) || is_lowered {
            Severity::Info
        } else if is_tolerated || self.state.is_search {
            Severity::Warning
        } else {
            self.bounds.full
        }
    }

    fn good(&mut self, point: &Point) -> Judgement {
        let state = &mut self.state;
        state.first_finite_step.get_or_insert(point.step);
        state.good_in_a_row = state.good_in_a_row.saturating_add(1);
        state.bad_in_a_row = 0;
        let Some(said) = state.said else {
            return Judgement::Good;
        };
        let allowed = (self.bounds.heal_share * f64::from(state.points)).max(2.0);
        if state.good_in_a_row < 2 || f64::from(state.bad_points) > allowed.max(search_allowance(state)) {
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
        f64::from(SEARCH_POINTS_MAX)
    } else {
        0.0
    }
}

impl State {
    /// Notes the point and what the stream says beside it.
    fn count(&mut self, context: &Context<'_>) {
        self.points = self.points.saturating_add(1);
        let loss_points = u32::try_from(context.facts.loss.n).unwrap_or(u32::MAX);
        if loss_points > self.loss_points {
            self.longest_wait_for_loss = self.longest_wait_for_loss.max(self.points_since_loss);
            self.points_since_loss = 0;
            self.loss_points = loss_points;
        } else {
            self.points_since_loss = self.points_since_loss.saturating_add(1);
        }
        self.points_since_scale = self.points_since_scale.saturating_add(1);
        let scale = context.facts.loss_scale.map_or(0.0, |it| it as f32);
        if self.scale.to_bits() != scale.to_bits() {
            self.scale_before = self.scale;
            self.scale = scale;
            self.points_since_scale = 0;
        }
    }

    /// Whether a finite loss still comes as often as before. One point of grace: the loss may stand behind this number in
    /// the same record.
    fn loss_beside(&self, has_loss: bool) -> LossBeside {
        if self.points_since_loss <= self.longest_wait_for_loss.saturating_add(1) && has_loss {
            LossBeside::Finite
        } else if !has_loss && self.points <= 2 {
            LossBeside::NotYetLogged
        } else {
            LossBeside::Gone
        }
    }

    /// Whether the loss scale was lowered within the last points.
    fn scale_fell(&self) -> bool {
        self.points_since_scale <= SCALE_MEMORY_POINTS && self.scale > 0.0 && self.scale < self.scale_before
    }
}

impl SeriesCheck for NonFinite {
    fn observe(&mut self, point: &Point, context: &Context<'_>) -> Judgement {
        self.state.count(context);
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
            ..State::default()
        };
    }
}

#[cfg(test)]
mod tests;
