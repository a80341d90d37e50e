//! Weights that do not move although they have a gradient.
//!
//! In: profiles of weight norms, the last gradient norms. Out: the layers whose norm has been the same to its last digit
//! for several logs while nearly all others moved. Invariants: nine bytes per layer; silent without a learning rate,
//! without a gradient of the layer's own, and where a movement could hide in the digits that are logged: the median layer
//! must move by a hundred times the last one, and the layer's gradient over its norm must be a tenth of the usual.
//!
//! A frozen layer has no gradient; one that has and does not move is a parameter that the optimiser was not given, or
//! one whose updates are lost in the rounding of bfloat16. The learned position embeddings of OPT-175B were never
//! trained, and nobody saw it until an ablation.

use std::collections::HashMap;

use super::{Build, CheckInfo, Context, Judged, Judgement, Observation, ParamInfo, ProfileCheck};
use crate::model::{Family, Profile, Quantity, Slot};
use crate::rules::Rule;
use crate::stats::median;

/// Declaration for rule files.
pub static INFO: CheckInfo = CheckInfo {
    name: "frozen-layer",
    family: Family::Dead,
    kinds: &[],
    params: &[
        ParamInfo {
            name: "logs",
            default: 10.0,
            min: 2.0,
            max: 250.0,
            doc: "profiles in a row with the same norm, to the last digit that was logged. A tolerance would be wrong: late \
                  in training healthy weights move by less than 1e-5",
        },
        ParamInfo {
            name: "moved_share",
            default: 0.8,
            min: 0.0,
            max: 1.0,
            doc: "share of the other weights that must have moved meanwhile: where the printed digits hide a movement, or \
                  a constraint holds the norms, they hide it in all",
        },
    ],
    doc: "A weight norm that is bit for bit the same over ten logs, beside a gradient above zero, while four fifths of the \
          others moved.",
    build: Build::Profile(build),
};

/// A log of 32-bit numbers has no finer step.
const F32_STEP: f64 = 1.192_092_895_507_812_5e-7;
/// The median layer moves by so many steps of the digits from log to log: one that moves by a hundredth of that shows it
/// in ten logs.
const STEPS_MIN: f64 = 100.0;
/// Share of the median gradient over norm that a layer must have: what moves it is as large as in the others.
const DRIVE_SHARE: f64 = 0.1;

fn build(rule: &Rule) -> Box<dyn ProfileCheck> {
    Box::new(FrozenLayer {
        logs: rule.params.get("logs") as u8,
        moved_share: rule.params.get("moved_share"),
        last: Vec::new(),
        same: Vec::new(),
        longest: 0,
        scratch: Vec::new(),
    })
}

struct FrozenLayer {
    logs: u8,
    moved_share: f64,
    /// The last norm of each slot, and for how many profiles before it was the same.
    last: Vec<f64>,
    same: Vec<u8>,
    /// The largest of these.
    longest: u8,
    scratch: Vec<f64>,
}

impl FrozenLayer {
    /// Whether the median layer moves so far that a movement a hundred times smaller would be seen. Asked before the
    /// profile is counted, and only where a layer is about to be called frozen.
    fn digits_suffice(&mut self, profile: &Profile<'_>) -> bool {
        self.scratch.clear();
        let norms = profile.slots.iter().zip(profile.values).zip(&self.last);
        for ((slot, norm), last) in norms {
            if let Some(norm) = norm.filter(|it| *it > 0.0) {
                let digit = (slot.resolution / norm).max(F32_STEP);
                self.scratch.push((norm - last).abs() / norm / digit);
            }
        }
        median(&mut self.scratch).is_some_and(|steps| steps >= STEPS_MIN)
    }

    fn is_about_to_tell(&self, profile: &Profile<'_>) -> bool {
        let is_last = |norm: &Option<f64>, last: f64| norm.as_ref().is_some_and(|it| *it == last);
        let mut slots = profile.values.iter().zip(&self.last).zip(&self.same);
        self.longest.saturating_add(1) >= self.logs
            && slots.any(|((norm, last), same)| same.saturating_add(1) >= self.logs && is_last(norm, *last))
    }

    /// Counts a profile; gives how many slots have stood still long enough, and how many norms were logged.
    fn count(&mut self, profile: &Profile<'_>) -> (usize, usize) {
        self.last.resize(profile.slots.len(), f64::NAN);
        self.same.resize(profile.slots.len(), 0);
        let (mut n_still, mut n_logged) = (0, 0);
        self.longest = 0;
        for ((norm, last), same) in profile.values.iter().zip(&mut self.last).zip(&mut self.same) {
            let Some(norm) = norm else { continue };
            // A NaN is never the same.
            *same = if norm == last { same.saturating_add(1) } else { 0 };
            *last = *norm;
            self.longest = self.longest.max(*same);
            n_logged += 1;
            n_still += usize::from(*same >= self.logs);
        }
        (n_still, n_logged)
    }

    /// The slots that stand still beside a gradient of their own.
    fn frozen(&mut self, profile: &Profile<'_>, context: &Context<'_>) -> Vec<u32> {
        let Some(gradients) = context.profiles.latest(Quantity::GradNorm) else {
            return Vec::new();
        };
        let norms = gradients.slots.iter().zip(gradients.values);
        let by_path: HashMap<&str, f64> = norms
            .filter_map(|(slot, norm)| {
                let norm = norm.filter(|it| *it > 0.0 && it.is_finite())?;
                Some((slot.layer.path.as_str(), norm))
            })
            .collect();
        // A norm of 0 that stays is an output that was zeroed on purpose, or dead: another rule's.
        let drive = |slot: &Slot, norm: f64| {
            let gradient = by_path.get(slot.layer.path.as_str()).filter(|_| norm > 0.0)?;
            Some(gradient / norm)
        };
        self.scratch.clear();
        let norms = profile.slots.iter().zip(&self.last);
        self.scratch
            .extend(norms.filter_map(|(slot, last)| drive(slot, *last)));
        let Some(usual) = median(&mut self.scratch) else {
            return Vec::new();
        };
        let slots = (0..).zip(profile.slots.iter().zip(&self.same).zip(&self.last));
        slots
            .filter(|(_, ((_, same), _))| **same >= self.logs)
            .filter(|(_, ((slot, _), last))| drive(slot, **last).is_some_and(|it| it >= DRIVE_SHARE * usual))
            .map(|(place, _)| place)
            .collect()
    }
}

impl ProfileCheck for FrozenLayer {
    fn observe(&mut self, profile: &Profile<'_>, context: &Context<'_>, out: &mut Vec<Judged>) {
        let digits_suffice = self.is_about_to_tell(profile) && self.digits_suffice(profile);
        let (n_still, n_logged) = self.count(profile);
        let rate = context.facts.learning_rate;
        let n_moving = n_logged.saturating_sub(n_still) as f64;
        // The others are all but one that stands still.
        let others_move = n_moving >= self.moved_share * n_logged.saturating_sub(1) as f64;
        let may_judge = digits_suffice && n_still > 0 && n_logged > 1 && others_move && rate != Some(0.0);
        let slots = if may_judge {
            self.frozen(profile, context)
        } else {
            Vec::new()
        };
        let judgement = if slots.is_empty() {
            Judgement::Good
        } else {
            Judgement::Bad(
                Observation::new("", f64::from(self.logs), f64::from(self.logs))
                    .word("frozen", slots.len().to_string())
                    .word("logged", n_logged.to_string())
                    .word("logs", self.logs.to_string())
                    .slots(slots),
            )
        };
        out.push(Judged {
            subject: 0,
            step: profile.step,
            judgement,
        });
    }

    fn rewind(&mut self, _step: i64) {
        // The first steps after a restart repeat norms that were logged before.
        self.last.fill(f64::NAN);
        self.same.fill(0);
        self.longest = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::INFO;
    use crate::model::Quantity;
    use crate::rules::check::profile_fixture::{Net, World, build, observations};

    /// What is said at each of so many steps of ten layers, of which these stand still.
    fn said(world: &World, still: &[usize], steps: i64) -> Vec<Vec<u32>> {
        let mut check = build(&INFO, &[]);
        let norm = |layer: usize, step: i64| {
            let moves = if still.contains(&layer) {
                0.0
            } else {
                1e-3 * step as f64
            };
            5.0 + layer as f64 + moves
        };
        (0..steps)
            .map(|step| {
                let norms: Vec<f64> = (0..10).map(|layer| norm(layer, step)).collect();
                let net = Net::weights(Quantity::WeightNorm, &norms);
                let judged = world.show(check.as_mut(), &net, step);
                observations(&judged)
                    .iter()
                    .flat_map(|it| it.slots.clone())
                    .collect()
            })
            .collect()
    }

    fn gradients(norms: &[f64]) -> World {
        World::default().latest(Net::weights(Quantity::GradNorm, norms))
    }

    #[test]
    fn a_layer_that_has_a_gradient_and_stands_still_is_named() {
        let world = gradients(&[0.1; 10]);
        let seen = said(&world, &[3], 15);
        // The first log and ten that are the same.
        assert!(
            seen[..10].iter().all(Vec::is_empty) && seen[10..].iter().all(|it| it == &[3]),
            "{seen:?}"
        );
        assert_eq!(said(&world, &[3, 7], 12).pop(), Some(vec![3, 7]));
    }

    #[test]
    fn frozen_on_purpose_printed_coarsely_or_without_a_rate_is_nothing() {
        let quiet = |world: &World, still: &[usize]| said(world, still, 20).iter().all(Vec::is_empty);
        let mut no_gradient = [0.1; 10];
        no_gradient[3] = 0.0;
        assert!(quiet(&gradients(&no_gradient), &[3]));
        assert!(quiet(&World::default(), &[3]), "no gradients logged");
        assert!(quiet(&gradients(&[0.1; 10]), &[1, 3, 5]), "too many stand still");
        assert!(quiet(&gradients(&[0.1; 10]), &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]));
        let mut faint = [0.1; 10];
        faint[3] = 1e-4;
        assert!(quiet(&gradients(&faint), &[3]), "too small a gradient to move it");
        let mut stopped = gradients(&[0.1; 10]);
        stopped.facts.learning_rate = Some(0.0);
        assert!(quiet(&stopped, &[3]));
    }

    /// The median layer moves by 2e-6 of its norm: a layer that is ten times as slow may not show it in 32 bits.
    #[test]
    fn movements_near_the_last_digit_prove_nothing() {
        let world = gradients(&[0.1; 3]);
        for (resolution, by) in [(0.0, 1e-5), (1e-4, 5e-3)] {
            let mut check = build(&INFO, &[]);
            for step in 0..20 {
                let moves = by * step as f64;
                let net = Net::weights(Quantity::WeightNorm, &[5.0, 5.0 + moves, 6.0 + moves]);
                let judged = world.show(check.as_mut(), &net.resolution(resolution), step);
                assert!(observations(&judged).is_empty());
            }
        }
    }

    #[test]
    fn a_restart_begins_to_count_anew() {
        let world = gradients(&[0.1; 3]);
        let mut check = build(&INFO, &[]);
        let show = |check: &mut dyn crate::rules::check::ProfileCheck, step: i64| {
            let net = Net::weights(
                Quantity::WeightNorm,
                &[5.0, 5.0 + 1e-3 * step as f64, 6.0 + 1e-3 * step as f64],
            );
            observations(&world.show(check, &net, step)).len()
        };
        assert_eq!((0..12).map(|step| show(check.as_mut(), step)).sum::<usize>(), 2);
        check.rewind(6);
        assert_eq!((6..16).map(|step| show(check.as_mut(), step)).sum::<usize>(), 0);
    }
}
