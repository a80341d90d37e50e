//! A user's own bounds on a value.
//!
//! In: any series. Out: bad above `above` or below `below`. Invariant: no state; NaN is neither.

use super::{Build, CheckInfo, Context, Judgement, Observation, ParamInfo, Point, SeriesCheck, each};
use crate::model::Family;

/// The check.
pub static INFO: CheckInfo = CheckInfo {
    name: "threshold",
    family: Family::Custom,
    kinds: &["above", "below"],
    params: &[
        ParamInfo {
            name: "above",
            default: f64::MAX,
            min: f64::MIN,
            max: f64::MAX,
            doc: "values above this are out of bounds; not set: none are",
        },
        ParamInfo {
            name: "below",
            default: f64::MIN,
            min: f64::MIN,
            max: f64::MAX,
            doc: "values below this are out of bounds; not set: none are",
        },
    ],
    doc: "Compares each value with fixed bounds. Absolute bounds do not carry over from run to run; they are for what a \
          user knows of their own.",
    build: Build::Series(|rule| {
        each(Threshold {
            above: rule.params.get("above"),
            below: rule.params.get("below"),
        })
    }),
};

#[derive(Clone, Copy)]
struct Threshold {
    above: f64,
    below: f64,
}

impl SeriesCheck for Threshold {
    fn observe(&mut self, point: &Point, _context: &Context<'_>) -> Judgement {
        if point.value.is_nan() {
            Judgement::Abstain
        } else if point.value > self.above {
            Judgement::Bad(Observation::new("above", point.value, self.above))
        } else if point.value < self.below {
            Judgement::Bad(Observation::new("below", point.value, self.below))
        } else {
            Judgement::Good
        }
    }

    fn rewind(&mut self, _step: i64) {}
}

#[cfg(test)]
mod tests {
    use super::INFO;
    use crate::model::Quantity;
    use crate::rules::check::Judgement;
    use crate::rules::check::bench::Bench;

    #[test]
    fn judges_by_the_bounds_alone() {
        let mut bench = Bench::new(&INFO, Quantity::Other, &[("above", 3.0), ("below", -1.0)]);
        let mut kind = |value| match bench.push(value) {
            Judgement::Bad(seen) => seen.kind,
            Judgement::Good => "good",
            _ => "abstain",
        };
        assert_eq!(
            [3.0, 3.1, -1.0, -1.1, f64::INFINITY].map(&mut kind),
            ["good", "above", "good", "below", "above"]
        );
        assert_eq!(kind(f64::NAN), "abstain");
    }

    #[test]
    fn without_bounds_everything_is_good() {
        let mut bench = Bench::new(&INFO, Quantity::Other, &[]);
        assert_eq!(bench.push(f64::MAX), Judgement::Good);
        assert_eq!(bench.push(f64::MIN), Judgement::Good);
    }
}
