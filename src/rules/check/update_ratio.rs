//! Updates that are too large or too small for the weights that they change.
//!
//! In: profiles of update ratios, or of update norms beside weight norms. Out: `large` or `small` while the median layer is
//! out of bounds at most of the last 100 profiles. Invariants: constant memory but four bytes per layer; biases are left
//! out, which begin at zero; nothing is said of the start, nor where the learning rate is nearly spent.
//!
//! A rule of thumb has the update of a step at a thousandth of the weights. Far above it the network forgets what it was
//! made of within some tens of steps; far below it nothing moves in the time that there is. Fine-tuning lives below it
//! and small networks above it in good health, so it is an info unless the loss does badly too.

use super::loss_state::{LossState, loss_state};
use super::{Build, CheckInfo, Context, Judged, Judgement, Observation, ParamInfo, ProfileCheck};
use crate::model::{Family, Profile, Quantity, Severity};
use crate::rules::Rule;
use crate::stats::median;

/// Declaration for rule files.
pub static INFO: CheckInfo = CheckInfo {
    name: "update-ratio",
    family: Family::Lr,
    kinds: &["large", "small"],
    params: &[
        ParamInfo {
            name: "large",
            default: 0.031_622_776_601_683_79,
            min: 0.0,
            max: 1e30,
            doc: "update over weights, 10^-1.5: above it half of the weights' direction is gone within 30 steps, if they all \
                  go one way",
        },
        ParamInfo {
            name: "small",
            default: 1e-5,
            min: 0.0,
            max: 1e30,
            doc: "update over weights: below it 10,000 steps that all go one way move the weights by a tenth",
        },
        ParamInfo {
            name: "share",
            default: 0.6,
            min: 0.0,
            max: 1.0,
            doc: "share of the last 100 profiles that are out of bounds (as gradsnitch asks)",
        },
    ],
    doc: "The median over the layers of |update| / |weights|, at 60 % of the last 100 profiles.",
    build: Build::Profile(build),
};

/// The last 100 profiles as five blocks of twenty.
const BLOCK_PROFILES: u8 = 20;
const BLOCKS: usize = 5;
/// A start of so many profiles, or a tenth of the steps where their number is known, is not judged.
const START_PROFILES: u64 = 20;
const START_SHARE: f64 = 0.1;
/// Small updates are nothing to tell when so much of the loss is gone, or so little of the learning rate is left.
const LEARNT_SHARE: f64 = 0.03;
const SPENT_SHARE: f64 = 0.1;
/// No weight norm beside this layer.
const NONE: u32 = u32::MAX;

fn build(rule: &Rule) -> Box<dyn ProfileCheck> {
    let get = |name| rule.params.get(name);
    Box::new(UpdateRatio {
        large: get("large"),
        small: get("small"),
        share: get("share"),
        full: rule.severity,
        weights: Vec::new(),
        n_profiles: 0,
        block: Counts::default(),
        blocks: [Counts::default(); BLOCKS],
        n_blocks: 0,
        scratch: Vec::new(),
    })
}

/// Profiles that were out of bounds, of how many.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    profiles: u8,
    large: u8,
    small: u8,
}

struct UpdateRatio {
    large: f64,
    small: f64,
    share: f64,
    full: Severity,
    /// Of each slot of update norms, the slot of the same layer among the weight norms.
    weights: Vec<u32>,
    n_profiles: u64,
    block: Counts,
    blocks: [Counts; BLOCKS],
    n_blocks: usize,
    scratch: Vec<f64>,
}

impl UpdateRatio {
    /// The median ratio of the layers that have one.
    fn median_ratio(&mut self, profile: &Profile<'_>, context: &Context<'_>) -> Option<f64> {
        self.scratch.clear();
        if profile.quantity == Quantity::UpdateRatio {
            let ratios = profile.slots.iter().zip(profile.values);
            let ratios = ratios
                .filter(|(slot, _)| !slot.layer.is_bias())
                .filter_map(|(_, ratio)| *ratio);
            self.scratch.extend(ratios.filter(|it| is_usable(*it)));
        } else {
            let weights = context.profiles.latest(Quantity::WeightNorm)?;
            self.find_weights(profile, &weights);
            for (update, place) in profile.values.iter().zip(&self.weights) {
                let weight = weights.values.get(*place as usize).copied().flatten();
                if let (Some(update), Some(weight)) = (update, weight)
                    && is_usable(*update)
                    && is_usable(weight)
                {
                    self.scratch.push(update / weight);
                }
            }
        }
        median(&mut self.scratch)
    }

    /// Matches the layers that came since the last profile; a layer is looked for once.
    fn find_weights(&mut self, profile: &Profile<'_>, weights: &Profile<'_>) {
        let unmatched = profile.slots.get(self.weights.len()..).unwrap_or_default();
        if unmatched.is_empty() {
            return;
        }
        let places: std::collections::HashMap<&str, u32> = (0..)
            .zip(weights.slots)
            .map(|(place, slot)| (slot.layer.path.as_str(), place))
            .collect();
        self.weights.extend(unmatched.iter().map(|slot| {
            let place = places
                .get(slot.layer.path.as_str())
                .filter(|_| !slot.layer.is_bias());
            place.copied().unwrap_or(NONE)
        }));
    }

    fn is_start(&self, profile: &Profile<'_>, context: &Context<'_>) -> bool {
        let planned = context.facts.planned_steps.filter(|it| *it > 0);
        let is_early = planned.is_some_and(|all| (profile.step as f64) < START_SHARE * all as f64);
        self.n_profiles <= START_PROFILES || is_early
    }

    /// Counts a profile; true when a block is full.
    fn count(&mut self, ratio: f64) -> bool {
        self.block.profiles += 1;
        self.block.large += u8::from(ratio > self.large);
        self.block.small += u8::from(ratio < self.small);
        if self.block.profiles < BLOCK_PROFILES {
            return false;
        }
        if let Some(place) = self.blocks.get_mut(self.n_blocks % BLOCKS) {
            *place = self.block;
        }
        self.n_blocks += 1;
        self.block = Counts::default();
        true
    }

    fn judge(&self, ratio: f64, context: &Context<'_>) -> Judgement {
        let share = |of: fn(&Counts) -> u8| {
            let sum = |of: fn(&Counts) -> u8| self.blocks.iter().map(|it| f64::from(of(it))).sum::<f64>();
            sum(of) / sum(|it| it.profiles)
        };
        let facts = context.facts;
        let say = |kind, bound, severity| {
            Judgement::Bad(
                Observation::new(kind, ratio, bound)
                    .severity(severity)
                    .word("what", kind)
                    .word("percent", format!("{:.2e}", 100.0 * ratio)),
            )
        };
        if share(|it| it.large) >= self.share {
            let is_unwell = loss_state(&facts.loss) == LossState::Unwell && !facts.is_game;
            return say(
                "large",
                self.large,
                if is_unwell { self.full } else { Severity::Info },
            );
        }
        let is_spent = match (facts.learning_rate, facts.learning_rate_max) {
            (Some(rate), Some(max)) => rate < SPENT_SHARE * max,
            _ => false,
        };
        let is_learning = facts.loss.n == 0 || facts.loss.fell_share() > LEARNT_SHARE;
        if share(|it| it.small) >= self.share && !is_spent && !is_learning && !facts.is_game {
            return say("small", self.small, Severity::Info);
        }
        Judgement::Good
    }

    fn forget(&mut self) {
        self.n_profiles = 0;
        self.block = Counts::default();
        self.n_blocks = 0;
    }
}

/// What has a logarithm. An update of exactly zero is no small one: frozen, or a learning rate of 0.
fn is_usable(norm: f64) -> bool {
    norm.is_finite() && norm > 0.0
}

impl ProfileCheck for UpdateRatio {
    fn observe(&mut self, profile: &Profile<'_>, context: &Context<'_>, out: &mut Vec<Judged>) {
        self.n_profiles += 1;
        if self.is_start(profile, context) {
            return;
        }
        let Some(ratio) = self.median_ratio(profile, context) else {
            return;
        };
        if self.count(ratio) && self.n_blocks >= BLOCKS {
            let judgement = self.judge(ratio, context);
            out.push(Judged {
                subject: 0,
                step: profile.step,
                judgement,
            });
        }
    }

    fn rewind(&mut self, _step: i64) {
        self.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::INFO;
    use crate::model::{Quantity, Severity};
    use crate::rules::check::profile_fixture::{Net, World, build, kinds, observations};

    const FALLING: [f64; 12] = [2.3, 2.2, 2.1, 2.0, 1.8, 1.6, 1.4, 1.2, 1.0, 0.9, 0.8, 0.7];
    const FLAT: [f64; 12] = [2.3; 12];

    /// Kind and severity at the end of so many profiles of six layers.
    fn judge(world: &World, net: &Net, profiles: i64) -> Option<(&'static str, Option<Severity>)> {
        let mut check = build(&INFO, &[]);
        let mut last = None;
        for step in 0..profiles {
            let judged = world.show(check.as_mut(), net, step);
            if !judged.is_empty() {
                last = observations(&judged).first().map(|it| (it.kind, it.severity));
                assert_eq!(kinds(&judged).len(), usize::from(last.is_some()));
            }
        }
        last
    }

    fn ratios(ratio: f64) -> Net {
        Net::weights(Quantity::UpdateRatio, &[ratio; 6])
    }

    #[test]
    fn bounds_are_those_of_the_rule_of_thumb() {
        let flat = World::default().losses(&FLAT);
        assert_eq!(judge(&flat, &ratios(1e-3), 140), None);
        assert_eq!(
            judge(&flat, &ratios(0.033), 140),
            Some(("large", Some(Severity::Warning)))
        );
        assert_eq!(judge(&flat, &ratios(0.031), 140), None);
        assert_eq!(
            judge(&flat, &ratios(0.9e-5), 140),
            Some(("small", Some(Severity::Info)))
        );
        assert_eq!(judge(&flat, &ratios(0.0), 140), None);
        assert_eq!(
            judge(&flat, &ratios(0.033), 119),
            None,
            "twenty of the start, and a hundred"
        );
    }

    #[test]
    fn what_learns_may_take_large_steps_or_small_ones() {
        let falling = World::default().losses(&FALLING);
        assert_eq!(
            judge(&falling, &ratios(0.1), 140),
            Some(("large", Some(Severity::Info)))
        );
        assert_eq!(judge(&falling, &ratios(1e-7), 140), None);
        let mut spent = World::default().losses(&FLAT);
        (spent.facts.learning_rate, spent.facts.learning_rate_max) = (Some(1e-6), Some(1e-3));
        assert_eq!(judge(&spent, &ratios(1e-7), 140), None);
    }

    #[test]
    fn update_norms_are_taken_over_the_weight_norms_of_the_same_layers() {
        let updates = Net::new(Quantity::UpdateNorm)
            .group("layers.#", "bias", &[9.0; 6])
            .group("layers.#", "weight", &[0.5; 6]);
        let weights = |norm: f64| {
            World::default().losses(&FLAT).latest(
                Net::new(Quantity::WeightNorm)
                    .group("layers.#", "weight", &[norm; 6])
                    .group("layers.#", "bias", &[0.0; 6]),
            )
        };
        assert_eq!(judge(&weights(10.0), &updates, 140).map(|it| it.0), Some("large"));
        assert_eq!(judge(&weights(100.0), &updates, 140), None);
        assert_eq!(
            judge(&World::default().losses(&FLAT), &updates, 140),
            None,
            "no weight norms"
        );
    }
}
