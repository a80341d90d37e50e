//! Weights that have left the scale they began with.
//!
//! In: profiles of weight norms. Out: `grown` and `shrunk` layers. Invariants: four bytes per layer; biases, and layers
//! that began far below their siblings, are left out, for they begin at zero and must grow.
//!
//! A layer that is ten times as large as it was multiplies what passes through it by ten. Where a normalisation follows
//! it that is harmless (its gradients and steps only become smaller), so what learns is told as an info. The product over
//! the layers is the business of the `gain` check: one and a half times per layer is usual, and over twelve layers a
//! hundredfold.

use super::loss_state::{LossState, loss_state};
use super::{Build, CheckInfo, Context, Judged, Judgement, Observation, ParamInfo, ProfileCheck};
use crate::model::{Family, Group, Profile, Severity};
use crate::rules::Rule;
use crate::stats::median;

/// Declaration for rule files.
pub static INFO: CheckInfo = CheckInfo {
    name: "weight-drift",
    family: Family::Growth,
    kinds: &["grown", "shrunk"],
    params: &[ParamInfo {
        name: "factor",
        default: 10.0,
        min: 1.0,
        max: 1e300,
        doc: "largest norm over the norm at the start, and its reciprocal for the smallest. Healthy weight decay was \
                  seen to end at a third, healthy growth at some times the start",
    }],
    doc: "The norm of each weight against its own first one.",
    build: Build::Profile(|rule| Box::new(WeightDrift::new(rule))),
};

/// A layer that began below this share of the median of its siblings was meant to grow (zero-initialised residuals).
const MEANT_TO_GROW: f64 = 0.1;
/// Layers that are not judged.
const UNJUDGED: f32 = 0.0;

struct WeightDrift {
    factor: f64,
    full: Severity,
    /// The first norm of each slot.
    starts: Vec<f32>,
    /// Step of the profile that `starts` began with.
    since: Option<i64>,
    scratch: Vec<f64>,
}

impl WeightDrift {
    fn new(rule: &Rule) -> Self {
        Self {
            factor: rule.params.get("factor"),
            full: rule.severity,
            starts: Vec::new(),
            since: None,
            scratch: Vec::new(),
        }
    }

    /// Takes the first norms of the slots that are new.
    fn begin(&mut self, profile: &Profile<'_>) {
        let known = self.starts.len();
        self.since.get_or_insert(profile.step);
        for (slot, norm) in profile.slots.iter().zip(profile.values).skip(known) {
            let norm = norm.filter(|it| it.is_finite() && *it > 0.0 && !slot.layer.is_bias());
            self.starts.push(norm.map_or(UNJUDGED, |it| it as f32));
        }
        for group in profile.groups {
            self.leave_out_the_faint(group, known);
        }
    }

    fn leave_out_the_faint(&mut self, group: &Group, known: usize) {
        self.scratch.clear();
        let starts = group
            .members
            .iter()
            .filter_map(|slot| self.starts.get(*slot as usize));
        self.scratch
            .extend(starts.copied().filter(|it| *it > 0.0).map(f64::from));
        let bound = MEANT_TO_GROW * median(&mut self.scratch).unwrap_or(0.0);
        for slot in group.members.iter().filter(|slot| **slot as usize >= known) {
            if let Some(start) = self
                .starts
                .get_mut(*slot as usize)
                .filter(|it| f64::from(**it) < bound)
            {
                *start = UNJUDGED;
            }
        }
    }

    /// Whether any norm is out of bounds: hardly ever, and without a division.
    fn has_drifted(&self, profile: &Profile<'_>) -> bool {
        let mut norms = profile.values.iter().zip(&self.starts);
        norms.any(|(norm, start)| {
            let start = f64::from(*start);
            norm.is_some_and(|it| start > 0.0 && (it > self.factor * start || it * self.factor < start))
        })
    }

    /// Slots whose norm over its start is out of bounds, and the ratio furthest out.
    fn drifted(&self, profile: &Profile<'_>, is_out: impl Fn(f64) -> bool) -> (Vec<u32>, f64) {
        let (mut slots, mut furthest) = (Vec::new(), 1.0_f64);
        for (slot, (norm, start)) in (0..).zip(profile.values.iter().zip(&self.starts)) {
            let ratio = norm.unwrap_or(f64::NAN) / f64::from(*start);
            if ratio.is_finite() && ratio > 0.0 && is_out(ratio) {
                slots.push(slot);
                if ratio.ln().abs() > furthest.ln().abs() {
                    furthest = ratio;
                }
            }
        }
        (slots, furthest)
    }
}

impl ProfileCheck for WeightDrift {
    fn observe(&mut self, profile: &Profile<'_>, context: &Context<'_>, out: &mut Vec<Judged>) {
        if self.starts.len() < profile.slots.len() {
            self.begin(profile);
        }
        if !self.has_drifted(profile) {
            out.extend((0..2).map(|subject| Judged {
                subject,
                step: profile.step,
                judgement: Judgement::Good,
            }));
            return;
        }
        let facts = context.facts;
        let is_unwell = loss_state(&facts.loss) == LossState::Unwell && !facts.is_game;
        let severity = if is_unwell { self.full } else { Severity::Info };
        let n_judged = self.starts.iter().filter(|it| **it > 0.0).count();
        let factor = self.factor;
        let grown = self.drifted(profile, |ratio| ratio > factor);
        let shrunk = self.drifted(profile, |ratio| ratio * factor < 1.0);
        let kinds = [
            ("grown", grown, factor, severity),
            // At half of that the `decay` check speaks.
            ("shrunk", shrunk, factor.recip(), Severity::Info),
        ];
        for (subject, (kind, (slots, ratio), bound, severity)) in (0..).zip(kinds) {
            let judgement = if slots.is_empty() {
                Judgement::Good
            } else {
                Judgement::Bad(
                    Observation::new(kind, ratio, bound)
                        .severity(severity)
                        .word("what", kind)
                        .word("times", format!("{ratio:.3}"))
                        .word("drifted", slots.len().to_string())
                        .word("judged", n_judged.to_string())
                        .slots(slots),
                )
            };
            out.push(Judged {
                subject,
                step: profile.step,
                judgement,
            });
        }
    }

    fn rewind(&mut self, step: i64) {
        if self.since.is_some_and(|since| since >= step) {
            self.starts.clear();
            self.since = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::INFO;
    use crate::model::{Quantity, Severity};
    use crate::rules::check::profile_fixture::{Net, World, build, observations};

    const FALLING: [f64; 12] = [2.3, 2.2, 2.1, 2.0, 1.8, 1.6, 1.4, 1.2, 1.0, 0.9, 0.8, 0.7];
    const FLAT: [f64; 12] = [2.3; 12];

    type Seen = Vec<(&'static str, Vec<u32>, Option<Severity>)>;

    /// What is said of the second of two profiles.
    fn between(world: &World, parameter: &str, first: &[f64], second: &[f64]) -> Seen {
        let mut check = build(&INFO, &[]);
        let net = |norms| Net::new(Quantity::WeightNorm).group("layers.#", parameter, norms);
        assert!(observations(&world.show(check.as_mut(), &net(first), 0)).is_empty());
        let judged = world.show(check.as_mut(), &net(second), 1);
        let seen = observations(&judged);
        seen.iter()
            .map(|it| (it.kind, it.slots.clone(), it.severity))
            .collect()
    }

    #[test]
    fn layers_beyond_ten_times_their_start_are_named() {
        let flat = World::default().losses(&FLAT);
        let first = [1.0, 2.0, 1.0, 3.0];
        assert!(between(&flat, "weight", &first, &[9.9, 0.21, 1.0, 3.0]).is_empty());
        let seen = between(&flat, "weight", &first, &[10.1, 2.0, 1.0, 31.0]);
        assert_eq!(seen, [("grown", vec![0, 3], Some(Severity::Warning))]);
        let seen = between(&flat, "weight", &first, &[1.0, 0.19, 1.0, 3.0]);
        assert_eq!(seen, [("shrunk", vec![1], Some(Severity::Info))]);
    }

    #[test]
    fn what_learns_is_an_info_and_what_began_at_zero_is_nothing() {
        let falling = World::default().losses(&FALLING);
        let seen = between(&falling, "weight", &[1.0; 4], &[11.0; 4]);
        assert_eq!(seen, [("grown", vec![0, 1, 2, 3], Some(Severity::Info))]);
        let flat = World::default().losses(&FLAT);
        assert!(between(&flat, "bias", &[0.01; 4], &[1.0; 4]).is_empty());
        assert!(between(&flat, "weight", &[1.0, 0.0, 0.09, 1.0], &[1.0; 4]).is_empty());
        assert!(
            between(&flat, "weight", &[1.0; 4], &[f64::NAN; 4]).is_empty(),
            "another rule's"
        );
    }

    #[test]
    fn a_restart_from_before_the_start_begins_anew() {
        let flat = World::default().losses(&FLAT);
        let mut check = build(&INFO, &[]);
        let net = |norm: f64| Net::weights(Quantity::WeightNorm, &[norm; 4]);
        flat.show(check.as_mut(), &net(1.0), 10);
        check.rewind(20);
        assert_eq!(observations(&flat.show(check.as_mut(), &net(20.0), 20)).len(), 1);
        check.rewind(10);
        assert!(observations(&flat.show(check.as_mut(), &net(20.0), 10)).is_empty());
    }
}
