//! Norms that shrink or grow geometrically over depth: vanishing and exploding gradients and activations.
//!
//! In: profiles of gradient or activation norms. Out: per group of comparable layers, `vanishing` or
//! `exploding`. In a chain of gain w the gradient of a bias is exactly geometric, ratio 1/w per layer; the
//! activations go with w; the gradient of a weight is their product and is FLAT without biases whatever w is,
//! so a quiet weight channel proves nothing (`gain` and `gradient-level` look at that blind spot).
//! Invariant: the decision is by effect size. Residuals of healthy nets are a random walk over depth, and a
//! t-test on the slope rejects 46 to 90 % of them.

use super::depth_view::{DepthView, Subjects, is_bias_group, median_width, sibling_of};
use super::{Build, CheckInfo, Context, Judged, Judgement, Observation, ParamInfo, ProfileCheck};
use crate::model::{DepthOrder, Family, Group, Profile, Quantity, Severity};
use crate::rules::Rule;
use crate::stats::{FIT_LAYERS_MAX, PairFit, depth_shape, pair_fit, thin_evenly};

/// Declaration for rule files.
pub static INFO: CheckInfo = CheckInfo {
    name: "depth-trend",
    family: Family::Depth,
    kinds: &["vanishing", "exploding"],
    params: PARAMS,
    doc: "Theil-Sen slope of ln(norm) over the layers of one role, from the input to the output. Fires when the \
          ratio per layer, the total ratio over all layers and Kendall's tau are all out of bounds. Zeros and \
          subnormals are left out, never replaced. Where the log tells the widths, the total ratio must also \
          exceed what the random walk of a healthy net of that depth and width can do.",
    build: Build::Profile(build),
};

const PARAMS: &[ParamInfo] = &[
    ParamInfo {
        name: "ratio_per_layer",
        default: 1.10,
        min: 1.0,
        max: 1e6,
        doc: "Smallest factor from layer to layer, either way. With total ratio 100 and tau .5 the rule had 0 false \
              alarms in 4000 healthy nets of width 64 for each of five ensembles, three channels, 8 to 128 layers.",
    },
    ParamInfo {
        name: "total_ratio",
        default: 1e2,
        min: 1.0,
        max: 1e300,
        doc: "Smallest total factor over all layers (see ratio_per_layer). Early blocks of healthy transformers \
              have up to 20x the gradient of late ones in the first steps, 6x later.",
    },
    ParamInfo {
        name: "steep_ratio",
        default: 1e3,
        min: 1.0,
        max: 1e300,
        doc: "Total factor from which 3 of the last 8 profiles are enough; below it 5 must be out of bounds. The \
              slopes of two batches correlate by .07 to .6 only. Gradients that explode by critical_ratio in \
              the first profile are told at once: logs of histograms have few profiles.",
    },
    ParamInfo {
        name: "critical_ratio",
        default: 1e4,
        min: 1.0,
        max: 1e300,
        doc: "Total factor from which the finding is critical.",
    },
    ParamInfo {
        name: "tau",
        default: 0.5,
        min: 0.0,
        max: 1.0,
        doc: "Smallest absolute Kendall tau. One bad end layer (x100) cannot reach it.",
    },
    ParamInfo {
        name: "layers",
        default: 6.0,
        min: 3.0,
        max: 1e6,
        doc: "Usable layers from which total_ratio and tau are enough.",
    },
    ParamInfo {
        name: "short_layers",
        default: 4.0,
        min: 3.0,
        max: 1e6,
        doc: "With at least this many usable layers, but fewer than `layers`, short_ratio and |tau| >= .8 decide.",
    },
    ParamInfo {
        name: "short_ratio",
        default: 1e3,
        min: 1.0,
        max: 1e300,
        doc: "Total factor for a short stack: the random-walk bound at z = 5.73 is 172 for 4 layers and 441 for 5 \
              layers of width 8, and 5.5 and 8 at width 64; the rest is for layers of unlike shape.",
    },
    ParamInfo {
        name: "usable_share",
        default: 0.5,
        min: 0.0,
        max: 1.0,
        doc: "Smallest share of the known layers that must have a usable norm, unless all others overflowed or all \
              others underflowed at the end that the trend of at least `layers` usable ones leads to.",
    },
    ParamInfo {
        name: "walk_z",
        default: 4.26,
        min: 0.0,
        max: 40.0,
        doc: "Normal quantile of the width bound: 4.26 is 1e-5 per profile, so 1e-3 for a run of ten groups that \
              each show ten independent profiles (profiles of one net are correlated).",
    },
];

/// Layers from which the geometric and the power-law shape can be told apart: right in .99 of linear and `ReLU`
/// chains and .92 of tanh chains at 32, but in .07 of tanh chains at 16, where the input's transient bends them.
const SHAPE_LAYERS_MIN: usize = 32;
/// Of the last eight profiles, those that must be out of bounds ...
const MILD_PROFILES: u32 = 5;
/// ... or steep.
const STEEP_PROFILES: u32 = 3;
/// Kendall's tau for short stacks: at most one swapped pair in five layers, none in four.
const SHORT_TAU: f64 = 0.8;
/// Loss gone and level fallen so far that vanished gradients are convergence, not trouble.
const CONVERGED_LOSS_SHARE: f64 = 0.99;
const CONVERGED_LOG_DROP: f64 = 9.21; // ln 1e4
/// Bias gradients this far below the weight gradients are rounding noise: a bias in front of a normalisation
/// or of a softmax key has no gradient in exact arithmetic.
const BIAS_NOISE_LOG_GAP: f64 = 13.8; // ln 1e6
/// The same where it must hold in every single layer: float32 rounds to 6e-8, sums over a batch and an image add up
/// to some 1e-5.
const BIAS_NOISE_GAP_EACH: f64 = 1e4;

fn build(rule: &Rule) -> Box<dyn ProfileCheck> {
    Box::new(DepthTrend::new(rule))
}

#[derive(Debug)]
struct Bounds {
    per_layer: f64,
    total: f64,
    steep: f64,
    critical: f64,
    tau: f64,
    layers: usize,
    short_layers: usize,
    short_total: f64,
    usable_share: f64,
    walk_z: f64,
}

/// What is remembered of one subject.
#[derive(Debug, Clone, Copy, Default)]
struct Memory {
    /// Median `ln norm` of the first usable profile, to recognise convergence.
    start_level: Option<f64>,
    /// One bit for each of the last eight judged profiles, the latest lowest: out of bounds or not.
    recent: u8,
    /// The same for steep ones.
    steep: u8,
    /// Whether the latest judged profile is the first.
    is_first: bool,
}

/// What one profile shows by itself; `total` is the `ln` of the total ratio.
#[derive(Debug, Clone, Copy)]
enum Assessment {
    Unusable,
    InBounds,
    OutOfBounds {
        fit: PairFit,
        total: f64,
        n_usable: usize,
    },
}

struct DepthTrend {
    bounds: Bounds,
    subjects: Subjects,
    memories: Vec<Memory>,
    view: DepthView,
    sibling: DepthView,
    scratch: Vec<f64>,
}

impl DepthTrend {
    fn new(rule: &Rule) -> Self {
        let get = |name| rule.params.get(name);
        Self {
            bounds: Bounds {
                per_layer: get("ratio_per_layer").ln(),
                total: get("total_ratio").ln(),
                steep: get("steep_ratio").ln(),
                critical: get("critical_ratio").ln(),
                tau: get("tau"),
                layers: get("layers") as usize,
                short_layers: get("short_layers") as usize,
                short_total: get("short_ratio").ln(),
                usable_share: get("usable_share"),
                walk_z: get("walk_z"),
            },
            subjects: Subjects::default(),
            memories: Vec::new(),
            view: DepthView::default(),
            sibling: DepthView::default(),
            scratch: Vec::new(),
        }
    }

    /// Smallest `ln` total ratio for this group, or `None` when it cannot be judged at all.
    fn total_bound(&mut self, profile: &Profile<'_>, group: &Group) -> Option<f64> {
        let n = self.view.n_usable();
        let has_enough = n as f64 >= self.bounds.usable_share * self.view.n_layers as f64;
        // Norms that leave the format at one end are the tail of a trend, if the others show one that leads there.
        let may_be_tail = self.view.lost_end.is_some() && n >= self.bounds.layers;
        if n < self.bounds.short_layers || !may_be_tail && (!has_enough || self.view.n_nonfinite > 0) {
            return None;
        }
        let mut bound = self.bounds.total;
        if n < self.bounds.layers {
            bound = bound.max(self.bounds.short_total);
        }
        // The width bound only matters to a profile that passes the others.
        if self.view.log_range() < bound {
            return Some(bound);
        }
        let walk = median_width(profile, group, &mut self.scratch)
            .map_or(0.0, |width| log_walk_bound(n, width, self.bounds.walk_z));
        Some(bound.max(walk))
    }

    fn fit(&mut self) -> Option<(PairFit, f64)> {
        self.view.take_logs();
        let n_usable = self.view.n_usable();
        if n_usable > FIT_LAYERS_MAX {
            thin_evenly(&mut self.view.ranks, &mut self.view.logs, FIT_LAYERS_MAX);
        }
        let fit = pair_fit(&self.view.ranks, &self.view.logs, &mut self.scratch)?;
        let span = self.view.ranks.last()? - self.view.ranks.first()?;
        Some((fit, span))
    }

    /// One profile by itself.
    fn assess(&mut self, profile: &Profile<'_>, group: &Group) -> Assessment {
        let Some(bound) = self.total_bound(profile, group) else {
            return Assessment::Unusable;
        };
        let n = self.view.n_usable() as f64;
        let is_whole =
            n >= self.bounds.usable_share * self.view.n_layers as f64 && self.view.n_nonfinite == 0;
        // Of a part, only a trend that leads out of it says anything.
        let quiet = if is_whole {
            Assessment::InBounds
        } else {
            Assessment::Unusable
        };
        // Quick and exact enough: a line cannot be steeper over the whole stack than the norms range.
        if self.view.log_range() < bound {
            return quiet;
        }
        if self.is_noise(profile, group) {
            return Assessment::Unusable;
        }
        let n_usable = self.view.n_usable();
        let Some((fit, span)) = self.fit() else {
            return Assessment::Unusable;
        };
        if !is_whole && !self.view.leads_out(fit.slope) {
            return Assessment::Unusable;
        }
        let total = fit.slope.abs() * span;
        let is_short = n_usable < self.bounds.layers;
        let tau = if is_short {
            self.bounds.tau.max(SHORT_TAU)
        } else {
            self.bounds.tau
        };
        if total < bound || fit.slope.abs() < self.bounds.per_layer || fit.tau.abs() < tau {
            return quiet;
        }
        Assessment::OutOfBounds { fit, total, n_usable }
    }

    fn judge(
        &mut self,
        profile: &Profile<'_>,
        group: &Group,
        subject: u32,
        context: &Context<'_>,
    ) -> Judgement {
        self.view.read(profile, group);
        let assessment = self.assess(profile, group);
        let memory = self.remember(subject, &assessment);
        let (fit, total, n_usable) = match assessment {
            Assessment::Unusable => return Judgement::Abstain,
            Assessment::InBounds => return Judgement::Good,
            Assessment::OutOfBounds { fit, total, n_usable } => (fit, total, n_usable),
        };
        let kind = kind_of(profile.quantity, fit.slope);
        let level = self.view.median_log(&mut self.scratch);
        if kind == "vanishing" && has_converged(memory.start_level, level, context) {
            return Judgement::Abstain;
        }
        // The first profile is the initialisation, and no batch explodes a sound net by this much over depth.
        let is_sick_from_start = memory.is_first && kind == "exploding" && total >= self.bounds.critical;
        let is_lasting =
            memory.recent.count_ones() >= MILD_PROFILES || memory.steep.count_ones() >= STEEP_PROFILES;
        if !is_lasting && !is_sick_from_start {
            return Judgement::Good;
        }
        let doubts = u32::from(self.is_power_law(n_usable, total))
            + u32::from(self.bias_disagrees(profile, group, fit));
        let observation = self.observation(profile, group, kind, &fit, total);
        Judgement::Bad(match severity(total >= self.bounds.critical, doubts) {
            Some(severity) => observation.severity(severity),
            None => observation,
        })
    }

    fn remember(&mut self, subject: u32, assessment: &Assessment) -> Memory {
        let place = subject as usize;
        if self.memories.len() <= place {
            self.memories.resize(place + 1, Memory::default());
        }
        let Some(memory) = self.memories.get_mut(place) else {
            return Memory::default();
        };
        let is_out = matches!(assessment, Assessment::OutOfBounds { .. });
        let is_steep =
            matches!(assessment, Assessment::OutOfBounds { total, .. } if *total >= self.bounds.steep);
        if !matches!(assessment, Assessment::Unusable) {
            memory.is_first = memory.start_level.is_none();
            memory.start_level = memory
                .start_level
                .or_else(|| self.view.median_log(&mut self.scratch));
            memory.steep = memory.steep << 1 | u8::from(is_steep);
            memory.recent = memory.recent << 1 | u8::from(is_out);
        }
        *memory
    }

    /// Healthy power laws over depth (pre-norm residual nets, a chain with w = 1 and biases) reach a total ratio
    /// of at most about n; beyond n^2 the label excuses nothing.
    fn is_power_law(&self, n_usable: usize, total: f64) -> bool {
        n_usable >= SHAPE_LAYERS_MIN
            && total < 2.0 * (n_usable as f64).ln()
            && depth_shape(&self.view.ranks, &self.view.logs, self.view.n_layers)
                .is_some_and(|shape| !shape.is_geometric())
    }

    /// Whether these are bias gradients that are rounding noise in every layer, as in front of a normalisation: the
    /// noise goes with the batch and the layer, and its slope says nothing. In a chain that explodes the gap to the
    /// weight gradients is the norm of the activations, and small at the input.
    fn is_noise(&mut self, profile: &Profile<'_>, group: &Group) -> bool {
        if profile.quantity != Quantity::GradNorm || !is_bias_group(profile, group) {
            return false;
        }
        let Some(weights) = sibling_of(profile, group, false) else {
            return false;
        };
        self.sibling.read(profile, weights);
        let mut of_weights = self.sibling.by_rank().peekable();
        let mut n_compared = 0_usize;
        for (rank, bias) in self.view.by_rank() {
            while of_weights.next_if(|(other, _)| *other < rank).is_some() {}
            if let Some((_, weight)) = of_weights.next_if(|(other, _)| *other == rank) {
                n_compared += 1;
                if weight < BIAS_NOISE_GAP_EACH * bias {
                    return false;
                }
            }
        }
        n_compared * 2 > self.view.n_usable()
    }

    /// Whether the bias gradients of the same role, where they are logged and more than noise, show no trend in
    /// this direction: then the weight gradients follow the activations.
    fn bias_disagrees(&mut self, profile: &Profile<'_>, group: &Group, fit: PairFit) -> bool {
        if profile.quantity != Quantity::GradNorm || is_bias_group(profile, group) {
            return false;
        }
        let Some(biases) = sibling_of(profile, group, true) else {
            return false;
        };
        self.sibling.read(profile, biases);
        self.sibling.take_logs();
        if self.sibling.n_nonfinite > 0 || self.sibling.n_usable() < self.bounds.layers {
            return false;
        }
        let weight_level = self.view.median_log(&mut self.scratch).unwrap_or(0.0);
        let bias_level = self.sibling.median_log(&mut self.scratch).unwrap_or(0.0);
        if bias_level < weight_level - BIAS_NOISE_LOG_GAP {
            return false;
        }
        thin_evenly(&mut self.sibling.ranks, &mut self.sibling.logs, FIT_LAYERS_MAX);
        pair_fit(&self.sibling.ranks, &self.sibling.logs, &mut self.scratch)
            .is_some_and(|bias| bias.slope * fit.slope.signum() < 0.25 * fit.slope.abs())
    }

    fn observation(
        &self,
        profile: &Profile<'_>,
        group: &Group,
        kind: &'static str,
        fit: &PairFit,
        total: f64,
    ) -> Observation {
        // Gradients travel from the output to the input, activations from the input to the output.
        let is_backward = profile.quantity != Quantity::ActivationNorm;
        let along = if is_backward { -fit.slope } else { fit.slope };
        let bound = if kind == "vanishing" {
            -self.bounds.per_layer
        } else {
            self.bounds.per_layer
        };
        Observation::new(kind, along.exp(), bound.exp())
            .slots(group.members.clone())
            .word("total", format!("{:.2e}", total.exp()))
            .word("tau", format!("{:.2}", fit.tau.abs()))
            .word("role", group.role.clone())
            .word("channel", channel(profile, group))
            .word("toward", if is_backward { "input" } else { "output" })
            .word("used", self.view.n_usable().to_string())
            .word("underflowed", self.view.n_underflow.to_string())
    }
}

impl ProfileCheck for DepthTrend {
    fn observe(&mut self, profile: &Profile<'_>, context: &Context<'_>, out: &mut Vec<Judged>) {
        for (place, group) in profile.groups.iter().enumerate() {
            if group.order == DepthOrder::Unknown || group.members.len() < self.bounds.short_layers {
                continue;
            }
            let subject = self.subjects.number(profile, group, place);
            let judgement = self.judge(profile, group, subject, context);
            out.push(Judged {
                subject,
                step: profile.step,
                judgement,
            });
        }
    }

    fn rewind(&mut self, _step: i64) {
        // A restart continues the same net: its start levels stay.
        for memory in &mut self.memories {
            memory.recent = 0;
            memory.steep = 0;
        }
    }
}

/// Memorised data leave gradients of rounding size in all layers: nothing is wrong with that.
fn has_converged(start_level: Option<f64>, level: Option<f64>, context: &Context<'_>) -> bool {
    start_level
        .zip(level)
        .is_some_and(|(start, now)| start - now >= CONVERGED_LOG_DROP)
        && context.facts.loss.fell_share() >= CONVERGED_LOSS_SHARE
}

/// `ln` of the total ratio that healthy nets of this depth and width stay below: slope drift c/m plus z
/// standard deviations of a random-walk slope, with (c, v) = (1.4, 1.7) of `ReLU` nets with He's initialisation,
/// the widest of the measured healthy ensembles.
fn log_walk_bound(n_layers: usize, width: f64, z: f64) -> f64 {
    let n = n_layers as f64;
    let slope_sd = (1.7 / width * 6.0 * (n * n + 1.0) / (5.0 * n * (n * n - 1.0))).sqrt();
    (1.4 / width + z * slope_sd) * (n - 1.0)
}

/// Vanishing is gain below one: gradients shrink towards the input, activations towards the output.
fn kind_of(quantity: Quantity, slope: f64) -> &'static str {
    let is_vanishing = if quantity == Quantity::ActivationNorm {
        slope < 0.0
    } else {
        slope > 0.0
    };
    if is_vanishing { "vanishing" } else { "exploding" }
}

/// One level down per doubt; `None` leaves the rule's own severity.
fn severity(is_critical: bool, doubts: u32) -> Option<Severity> {
    match (is_critical, doubts) {
        (true, 0) => Some(Severity::Critical),
        (true, 1) => Some(Severity::Warning),
        (false, 0) => None,
        _ => Some(Severity::Info),
    }
}

fn channel(profile: &Profile<'_>, group: &Group) -> &'static str {
    match profile.quantity {
        Quantity::ActivationNorm => "activation norms",
        Quantity::GradNorm if is_bias_group(profile, group) => "bias gradient norms",
        Quantity::GradNorm => "gradient norms",
        Quantity::UpdateNorm => "update norms",
        _ => "norms",
    }
}

#[cfg(test)]
mod tests;
