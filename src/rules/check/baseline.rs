//! The run against a baseline, best one at learning rate 0: does it train?
//!
//! In: the points of one stream, and the baseline that the user named. Out: at the end of the log one observation
//! when the run is no better. Invariant: silent, and listed as without data, when no baseline was named.

use super::{
    Build, CheckInfo, Context, Judged, Judgement, Observation, ParamInfo, Point, StreamCheck, StreamEnd,
};
use crate::compare::{Comparison, LossComparison, Standing, compare};
use crate::model::{Family, Quantity, Severity};
use crate::rules::Rule;
use crate::series::{Portrait, SeriesInfo};

/// What the check declares.
pub static INFO: CheckInfo = CheckInfo {
    name: "baseline",
    family: Family::Baseline,
    kinds: &["not-training", "worse", "trouble-too", "undecided"],
    params: &[ParamInfo {
        name: "points_min",
        default: 25.0,
        min: 12.0,
        max: 4096.0,
        doc: "Points of the loss below which the check says nothing. A flat loss with a lag-1 correlation of 0.9 is \
              taken for a better one in 1.2 % of comparisons of 25 points, and in 0.3 % of 150 (measured, tests of \
              `stats::paired`).",
    }],
    doc: "The late difference of the loss to the baseline's, step by step where both logged it, with a standard error \
          that knows autocorrelation (at least 1 % of the baseline's loss and p < 0.005 count); beside it whether the \
          weights of any layer moved. `not-training` needs a baseline that does not train either: learning rate 0 in its \
          log, weights that do not move, or a loss that is flat over at least 50 points; a run like any other baseline is \
          `undecided`. Speaks at the end of a log, and only when a baseline was named.",
    build: Build::Stream(|rule| Box::new(BaselineCheck::new(rule))),
};

struct BaselineCheck {
    points_min: usize,
    quantity: Quantity,
    portrait: Portrait,
    has_baseline: bool,
}

impl BaselineCheck {
    fn new(rule: &Rule) -> Self {
        Self {
            points_min: rule.params.get("points_min") as usize,
            quantity: rule.quantities.first().copied().unwrap_or(Quantity::Loss),
            portrait: Portrait::default(),
            has_baseline: false,
        }
    }

    fn is_enough(&self) -> bool {
        self.portrait
            .loss
            .as_ref()
            .is_some_and(|it| it.trace.points().len() >= self.points_min)
    }
}

impl StreamCheck for BaselineCheck {
    fn sample(&mut self, series: &SeriesInfo, point: &Point, context: &Context<'_>, _out: &mut Vec<Judged>) {
        if context.facts.baseline.is_some() {
            self.has_baseline |= series.meaning.quantity == self.quantity;
            self.portrait.add(series, point.step, point.value);
        }
    }

    fn rewind(&mut self, step: i64) {
        self.portrait.rewind(step);
    }

    fn has_data(&self) -> bool {
        self.has_baseline
    }

    fn finish(&mut self, _end: &StreamEnd, context: &Context<'_>, out: &mut Vec<Judged>) {
        let Some(baseline) = &context.facts.baseline else {
            return;
        };
        // A run at learning rate 0 is a baseline itself.
        if !self.is_enough() || self.portrait.is_at_rate_zero() == Some(true) {
            return;
        }
        let comparison = compare(&self.portrait, baseline);
        let step = context.facts.last_step.unwrap_or_default();
        let judgement = judgement(&comparison, &baseline.name);
        out.push(Judged {
            subject: 0,
            step,
            judgement,
        });
    }
}

fn judgement(comparison: &Comparison, name: &str) -> Judgement {
    let severity = match comparison.standing {
        Standing::Training => return Judgement::Good,
        Standing::Undecided if comparison.loss.is_none() => return Judgement::Abstain,
        Standing::Undecided => Severity::Info,
        Standing::NotTraining | Standing::TroubleToo => Severity::Warning,
        // Another network or other data may well have another loss.
        Standing::Worse if comparison.starts_alike == Some(false) => Severity::Warning,
        Standing::Worse => Severity::Critical,
    };
    let (value, bound) = comparison.loss.as_ref().map_or((f64::NAN, f64::NAN), losses);
    let seen = Observation::new(comparison.standing.as_str(), value, bound)
        .severity(severity)
        .word("sentence", comparison.sentence.clone())
        .word("baseline", name)
        .word("remedy", comparison.remedy.join(" | "));
    Judgement::Bad(seen)
}

fn losses(loss: &LossComparison) -> (f64, f64) {
    (loss.run, loss.baseline)
}
