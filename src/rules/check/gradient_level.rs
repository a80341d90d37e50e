//! Nets that are sick and flat: the level of all gradient norms, where no slope over depth can show it.
//!
//! In: profiles of gradient norms, the loss, the last weight norms. Out: `vanishing` or `exploding`, for the net
//! as a whole. Absolute gradient norms mean nothing across runs (healthy ones have 1e-2 and 2e6), so every test
//! is against the run's own start or free of units. Invariant: a level that goes with a loss that was learnt is
//! convergence, not trouble.
//!
//! The unit-free numbers, per layer, with g the gradient norm, W the weight norm, L the loss:
//!
//! - E = g W / L, the relative change of the loss per relative change of the weights. Any scale of the loss
//!   cancels: a sum instead of a mean, large targets, a positively homogeneous net of any gain. It was 2e-3 to
//!   15 at the start of 50 healthy runs, 9 to 23 in exploding chains, 6e-16 to 6e-3 in vanishing ones. Gradients
//!   that carry a loss scale have E above 1e4, so a large E says that the numbers are scaled, not that the net
//!   is sick.
//! - J = g / (2 sqrt L), for a squared error the size of dy/dW. Large targets cancel in it and a sum over N
//!   items leaves sqrt N, but a chain whose output explodes has J of about its output. Measured at the start:
//!   at most 6 in healthy runs (sum reduction included), 2e3 to 6e15 in exploding chains.

use super::depth_view::{all_slots, is_expert};
use super::loss_state::{LossState, loss_state};
use super::{Build, CheckInfo, Context, Judged, Judgement, Observation, ParamInfo, ProfileCheck};
use crate::model::{Family, Profile, Quantity, Severity, Slot};
use crate::rules::Rule;
use crate::stats::{median, median_log};

/// Declaration for rule files.
pub static INFO: CheckInfo = CheckInfo {
    name: "gradient-level",
    family: Family::Depth,
    kinds: &["vanishing", "exploding"],
    params: PARAMS,
    doc: "Median gradient norm over all layers: against the median of the run's own first profiles (1e4 up or \
          down), against the loss at the start (a chain that explodes or vanishes evenly over depth), and zeros \
          that fill the input end above which the norms climb out of underflow.",
    build: Build::Profile(build),
};

const PARAMS: &[ParamInfo] = &[
    ParamInfo {
        name: "drift",
        default: 1e4,
        min: 1.0,
        max: 1e300,
        doc: "Factor between the level now and at the start, up or down. A design choice: healthy runs fell by up \
              to 5600 (data learnt by heart, which the loss excuses) and never rose by more than 100.",
    },
    ParamInfo {
        name: "tiny",
        default: 1e-7,
        min: 0.0,
        max: 1e300,
        doc: "Level at the start below which, with a loss in proportion, nothing is learnt (SageMaker Debugger's \
              VanishingGradient).",
    },
    ParamInfo {
        name: "huge",
        default: 1e4,
        min: 0.0,
        max: 1e300,
        doc: "Level at the start above which J and E are looked at.",
    },
    ParamInfo {
        name: "jacobian",
        default: 1e3,
        min: 0.0,
        max: 1e300,
        doc: "Smallest J that is an explosion. A loss summed over a million tokens leaves about 3e2 in a sound \
              net; 10 times this is critical.",
    },
    ParamInfo {
        name: "elasticity",
        default: 1e3,
        min: 0.0,
        max: 1e300,
        doc: "Largest E at which the loss is taken to be in proportion with the gradients.",
    },
    ParamInfo {
        name: "logs",
        default: 3.0,
        min: 1.0,
        max: 1e6,
        doc: "Consecutive profiles for a drift and for a tiny level.",
    },
    ParamInfo {
        name: "layers",
        default: 4.0,
        min: 1.0,
        max: 1e6,
        doc: "Fewest layers of a net that has a depth.",
    },
    ParamInfo {
        name: "underflow_share",
        default: 0.25,
        min: 0.0,
        max: 1.0,
        doc: "Share of layers at the input end that are zero below norms that climb by a million.",
    },
];

/// The start of a run: at most this many profiles ...
const START_PROFILES: usize = 8;
/// ... within this many steps of the first, and at least three.
const START_STEPS: i64 = 200;
const START_PROFILES_MIN: usize = 3;
/// Relative change of the loss per relative change of the weights below which nothing can be learnt.
const TINY_ELASTICITY: f64 = 1e-6;
/// The loss fell by this share: small gradients are convergence ...
const LEARNT_SHARE: f64 = 0.9;
/// ... or may be: a noise floor reached by full batches.
const HALF_LEARNT_SHARE: f64 = 0.5;
/// Losses after which a net without gradients from its start is judged: what is frozen needs time to show that the
/// loss falls all the same.
const ZERO_LOSSES: u64 = 20;
/// `ln` of the climb from the first non-zero layer to the largest that tells underflow from frozen layers.
const UNDERFLOW_CLIMB: f64 = 13.8;

fn build(rule: &Rule) -> Box<dyn ProfileCheck> {
    let get = |name| rule.params.get(name);
    Box::new(GradientLevel {
        bounds: Bounds {
            drift: get("drift").ln(),
            tiny: get("tiny").ln(),
            huge: get("huge").ln(),
            jacobian: get("jacobian").ln(),
            elasticity: get("elasticity").ln(),
            logs: get("logs") as u32,
            layers: get("layers") as usize,
            underflow_share: get("underflow_share"),
        },
        first_step: None,
        n_profiles: 0,
        start: Vec::new(),
        run: (Suspicion::None, 0),
        scratch: Vec::new(),
    })
}

#[derive(Debug)]
struct Bounds {
    drift: f64,
    tiny: f64,
    huge: f64,
    jacobian: f64,
    elasticity: f64,
    logs: u32,
    layers: usize,
    underflow_share: f64,
}

/// What one profile looks like by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Suspicion {
    None,
    Fallen,
    Risen,
    Tiny,
    /// Most layers have no gradient at all.
    Zero,
    Underflow,
    Exploded,
}

struct GradientLevel {
    bounds: Bounds,
    first_step: Option<i64>,
    n_profiles: usize,
    /// Levels of the start: plain and divided by the loss scale, as `ln`.
    start: Vec<(f64, f64)>,
    run: (Suspicion, u32),
    scratch: Vec<f64>,
}

impl GradientLevel {
    /// Median `ln norm` over all layers in groups, biases left out where there are others.
    fn level(&mut self, profile: &Profile<'_>) -> Option<f64> {
        for with_biases in [false, true] {
            self.scratch.clear();
            for member in profile.groups.iter().flat_map(|group| &group.members) {
                let place = *member as usize;
                let is_bias = profile.slots.get(place).is_some_and(|slot| slot.layer.is_bias());
                let norm = profile.values.get(place).copied().flatten().unwrap_or(0.0);
                if norm > 0.0 && (with_biases || !is_bias) {
                    self.scratch.push(norm);
                }
            }
            if self.scratch.len() >= self.bounds.layers {
                return median_log(&mut self.scratch);
            }
        }
        None
    }

    /// Takes the level into the start of the run while that lasts.
    fn learn(&mut self, step: i64, level: f64, unscaled: f64) {
        let first = *self.first_step.get_or_insert(step);
        let is_start = step.saturating_sub(first) <= START_STEPS || self.start.len() < START_PROFILES_MIN;
        if self.start.len() < START_PROFILES && is_start {
            self.start.push((level, unscaled));
        }
    }

    /// `ln` of the level now over the level at the start, the smaller change of plain and unscaled.
    fn drift(&mut self, level: f64, unscaled: f64) -> Option<f64> {
        if self.start.len() < START_PROFILES_MIN {
            return None;
        }
        let mut start_of = |pick: fn(&(f64, f64)) -> f64| {
            self.scratch.clear();
            self.scratch.extend(self.start.iter().map(pick));
            median(&mut self.scratch)
        };
        let plain = level - start_of(|it| it.0)?;
        let scaled = unscaled - start_of(|it| it.1)?;
        Some(if plain.abs() < scaled.abs() { plain } else { scaled })
    }

    fn suspect(
        &mut self,
        profile: &Profile<'_>,
        level: f64,
        unscaled: f64,
        context: &Context<'_>,
    ) -> Suspicion {
        let fell = context.facts.loss.fell_share();
        let is_start = self.n_profiles <= START_PROFILES;
        if is_start && self.has_exploded(level.min(unscaled), context) {
            return Suspicion::Exploded;
        }
        if fell < LEARNT_SHARE && self.is_underflow(profile) {
            return Suspicion::Underflow;
        }
        if level < self.bounds.tiny && fell < HALF_LEARNT_SHARE && is_inelastic(level, context) {
            return Suspicion::Tiny;
        }
        match self.drift(level, unscaled) {
            Some(drift) if drift <= -self.bounds.drift && fell < LEARNT_SHARE => Suspicion::Fallen,
            Some(drift) if drift >= self.bounds.drift && level >= self.bounds.tiny + self.bounds.drift => {
                Suspicion::Risen
            }
            _ => Suspicion::None,
        }
    }

    /// Whether the median norm is exactly zero (and not a small one that was printed as zero) beside a loss that does
    /// not do well. Frozen layers have no gradient either, but beside them the loss falls; experts and
    /// adapters are left out.
    fn is_zero(&self, profile: &Profile<'_>, context: &Context<'_>) -> bool {
        let loss = &context.facts.loss;
        let needed = if self.start.is_empty() { ZERO_LOSSES } else { 0 };
        let need_not_fall = context.facts.is_game || context.facts.learning_rate_max == Some(0.0);
        if loss.n < needed || need_not_fall || loss_state(loss) != LossState::Unwell {
            return false;
        }
        // Nearly all profiles hold no zero at all, and names need not be looked at.
        let n_zeros = profile.values.iter().filter(|it| **it == Some(0.0)).count();
        if n_zeros * 2 <= self.bounds.layers {
            return false;
        }
        let (mut n_layers, mut n_zero) = (0_usize, 0_usize);
        for group in profile.groups.iter().filter(|group| !is_expert(group)) {
            for member in &group.members {
                let place = *member as usize;
                let (Some(slot), Some(Some(norm))) = (profile.slots.get(place), profile.values.get(place))
                else {
                    continue;
                };
                let is_exact = slot.resolution == 0.0;
                let counts = !slot.layer.is_bias() && !is_adapter(slot);
                n_layers += usize::from(counts);
                n_zero += usize::from(counts && is_exact && *norm == 0.0);
            }
        }
        n_layers >= self.bounds.layers && n_zero * 2 > n_layers
    }

    fn judge_zero(&mut self, profile: &Profile<'_>) -> Judgement {
        let logs = if self.run.0 == Suspicion::Zero {
            self.run.1 + 1
        } else {
            1
        };
        self.run = (Suspicion::Zero, logs);
        if logs < self.bounds.logs {
            return Judgement::Abstain;
        }
        Judgement::Bad(
            Observation::new("vanishing", 0.0, self.bounds.tiny.exp())
                .slots(all_slots(profile))
                .word("how", "exactly zero in most layers"),
        )
    }

    /// Nothing but zeros beside a loss that falls, or too little to say.
    fn heal_zero(&mut self) -> Judgement {
        let was_zero = self.run.0 == Suspicion::Zero && self.run.1 >= self.bounds.logs;
        self.run = (Suspicion::None, 0);
        if was_zero {
            Judgement::Healed(Severity::Info)
        } else {
            Judgement::Abstain
        }
    }

    fn has_exploded(&self, level: f64, context: &Context<'_>) -> bool {
        let Some(loss) = loss_now(context).filter(|loss| *loss > 0.0) else {
            return false;
        };
        level >= self.bounds.huge
            && jacobian(level, loss) >= self.bounds.jacobian
            && level + weight_level(context) - loss.ln() <= self.bounds.elasticity
    }

    fn is_underflow(&self, profile: &Profile<'_>) -> bool {
        let (mut n_layers, mut n_zero) = (0_usize, 0_usize);
        for group in profile
            .groups
            .iter()
            .filter(|group| group.members.len() >= self.bounds.layers)
        {
            n_layers += group.members.len();
            let zeros = profile
                .by_depth(group)
                .take_while(|(_, norm)| *norm == 0.0)
                .count();
            let mut living = profile.by_depth(group).skip(zeros).map(|(_, norm)| norm);
            let first = living.next().unwrap_or(0.0);
            let largest = living.fold(first, f64::max);
            if first > 0.0 && largest.ln() - first.ln() >= UNDERFLOW_CLIMB {
                n_zero += zeros;
            }
        }
        n_zero > 0 && n_zero as f64 >= self.bounds.underflow_share * n_layers as f64
    }

    fn observation(&self, level: f64, drift: Option<f64>, context: &Context<'_>) -> Option<Observation> {
        let logs = self.run.1;
        let norm = level.exp();
        let fell = context.facts.loss.fell_share();
        let observation = match self.run.0 {
            Suspicion::None | Suspicion::Zero => return None,
            Suspicion::Exploded => {
                let loss = loss_now(context)?;
                let found = Observation::new("exploding", norm, self.bounds.huge.exp()).word(
                    "how",
                    format!(
                        "x{:.0e} per unit of output at the start",
                        jacobian(level, loss).exp()
                    ),
                );
                let is_wild = jacobian(level, loss) >= self.bounds.jacobian + std::f64::consts::LN_10;
                return Some(if is_wild {
                    found.severity(Severity::Critical)
                } else {
                    found
                });
            }
            _ if logs < self.bounds.logs => return None,
            Suspicion::Tiny => Observation::new("vanishing", norm, self.bounds.tiny.exp())
                .severity(Severity::Critical)
                .word("how", "too small to change the weights"),
            Suspicion::Underflow => Observation::new("vanishing", norm, self.bounds.underflow_share)
                .word("how", "down to zero at the input end"),
            Suspicion::Fallen => {
                let found = Observation::new("vanishing", drift?.exp(), (-self.bounds.drift).exp())
                    .word("how", format!("x{:.0e} of the level at the start", drift?.exp()));
                return Some(if fell < HALF_LEARNT_SHARE {
                    found
                } else {
                    found.severity(Severity::Info)
                });
            }
            Suspicion::Risen => Observation::new("exploding", drift?.exp(), self.bounds.drift.exp())
                .word("how", format!("x{:.0e} of the level at the start", drift?.exp())),
        };
        Some(observation)
    }

    fn judge(&mut self, profile: &Profile<'_>, context: &Context<'_>) -> Judgement {
        if profile.values.iter().flatten().any(|norm| !norm.is_finite()) {
            return Judgement::Abstain;
        }
        if self.is_zero(profile, context) {
            return self.judge_zero(profile);
        }
        let Some(level) = self.level(profile) else {
            return self.heal_zero();
        };
        if self.run.0 == Suspicion::Zero {
            self.run = (Suspicion::None, 0);
        }
        self.n_profiles += 1;
        let unscaled = level
            - context
                .facts
                .loss_scale
                .filter(|scale| *scale > 0.0)
                .map_or(0.0, f64::ln);
        let suspicion = self.suspect(profile, level, unscaled, context);
        self.run = if suspicion == self.run.0 {
            (suspicion, self.run.1 + 1)
        } else {
            (suspicion, 1)
        };
        let drift = self.drift(level, unscaled);
        self.learn(profile.step, level, unscaled);
        self.observation(level, drift, context)
            .map_or(Judgement::Good, |observation| {
                Judgement::Bad(observation.slots(all_slots(profile)))
            })
    }
}

impl ProfileCheck for GradientLevel {
    fn observe(&mut self, profile: &Profile<'_>, context: &Context<'_>, out: &mut Vec<Judged>) {
        let judgement = self.judge(profile, context);
        out.push(Judged {
            subject: 0,
            step: profile.step,
            judgement,
        });
    }

    fn rewind(&mut self, _step: i64) {
        // The start of the run stays its start.
        self.run = (Suspicion::None, 0);
    }
}

/// The loss, also of a run that is over before there is a median.
fn loss_now(context: &Context<'_>) -> Option<f64> {
    let loss = &context.facts.loss;
    loss.current.or(loss.lowest)
}

/// Low-rank adapters and the frozen weights beside them.
fn is_adapter(slot: &Slot) -> bool {
    let path = slot.layer.path.to_ascii_lowercase();
    path.contains("lora") || path.contains("adapter")
}

/// `ln J`.
fn jacobian(level: f64, loss: f64) -> f64 {
    level - (2.0 * loss.sqrt()).ln()
}

/// Median `ln` weight norm; 0 where none is logged: healthy layers have norms of 1 to 100.
fn weight_level(context: &Context<'_>) -> f64 {
    let Some(weights) = context.profiles.latest(Quantity::WeightNorm) else {
        return 0.0;
    };
    let is_usable = |norm: &f64| norm.is_finite() && *norm > 0.0;
    let mut norms: Vec<f64> = weights
        .values
        .iter()
        .flatten()
        .copied()
        .filter(is_usable)
        .collect();
    median_log(&mut norms).unwrap_or(0.0)
}

/// Whether the loss, where it is known, is too large for gradients of this level to change it.
fn is_inelastic(level: f64, context: &Context<'_>) -> bool {
    let loss = loss_now(context).map_or(1.0, f64::abs);
    level + weight_level(context) < TINY_ELASTICITY.ln() + loss.max(f64::MIN_POSITIVE).ln()
}

#[cfg(test)]
mod tests;
