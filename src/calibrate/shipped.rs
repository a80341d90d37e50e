//! The shipped depth rule, measured: how often it flags healthy networks, and which sick ones it sees.
//!
//! In: the rule's bounds, repetitions, a seed. Out: one row per ensemble, width and depth. Invariant: one look per
//! network without persistence, so that a rate here is an upper bound of the rule's, which wants several.

use super::mean_power;
use crate::simulate::{
    Activation, Block, ChainSpec, Channel, DepthTrend, Init, Network, SimulateError, simulate_ensemble,
};
use crate::stats::clopper_pearson_upper;

/// Gains, as factors on the healthy one, at which the power is measured.
pub const SHIPPED_GAINS: [f64; 6] = [0.7, 0.8, 0.9, 1.1, 1.25, 1.5];
/// Depths of the table.
pub const SHIPPED_DEPTHS: [usize; 5] = [8, 16, 32, 64, 128];
/// Widths of the table.
pub const SHIPPED_WIDTHS: [usize; 2] = [64, 256];
/// Confidence of the upper limit.
const CONFIDENCE: f64 = 0.95;
/// Power needs fewer networks than a false-alarm rate: this share of them.
const POWER_SHARE: u32 = 4;

/// The bounds of a depth rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DepthRule {
    /// Smallest factor from layer to layer.
    pub ratio_per_layer: f64,
    /// Smallest factor over all layers.
    pub total_ratio: f64,
    /// Smallest absolute Kendall tau.
    pub tau: f64,
}

impl DepthRule {
    fn flags(&self, trend: &DepthTrend, depth: usize) -> bool {
        let size = trend.theil_sen.abs();
        let total = size * (depth as f64 - 1.0);
        size >= self.ratio_per_layer.ln() && total >= self.total_ratio.ln() && trend.tau.abs() >= self.tau
    }

    fn flags_channel(&self, network: &Network, channel: Channel, depth: usize) -> bool {
        network
            .trend(channel)
            .is_some_and(|trend| self.flags(&trend, depth))
    }

    fn flags_any(&self, network: &Network, depth: usize) -> bool {
        Channel::ALL
            .into_iter()
            .any(|channel| self.flags_channel(network, channel, depth))
    }
}

/// One ensemble at one width and depth.
#[derive(Debug, Clone, PartialEq)]
pub struct ShippedRow {
    /// Name of the ensemble.
    pub ensemble: &'static str,
    /// Width.
    pub width: usize,
    /// Layers.
    pub depth: usize,
    /// Healthy networks, and how many the rule flags in any channel.
    pub healthy: (u64, u64),
    /// Upper 95 % limit of that rate (Clopper and Pearson).
    pub false_alarm_upper: f64,
    /// Share flagged in any channel, per gain.
    pub power: [f64; 6],
    /// Share flagged in the weight gradients alone, per gain.
    pub weight_power: [f64; 6],
}

/// The healthy ensembles by name.
#[must_use]
pub fn shipped_ensembles(depth: usize, width: usize) -> [(&'static str, ChainSpec); 4] {
    let base = ChainSpec::uniform(depth, width);
    let relu = ChainSpec {
        activation: Activation::Relu,
        init: Init::He,
        ..base.clone()
    };
    let tanh = ChainSpec {
        activation: Activation::Tanh,
        bias_sd: 0.05,
        ..base.clone()
    };
    let pre_norm = ChainSpec {
        block: Block::PreNorm,
        ..relu.clone()
    };
    [
        ("gauss", base),
        ("relu He", relu),
        ("tanh, bias 0.05", tanh),
        ("pre-norm", pre_norm),
    ]
}

/// Measures one row.
///
/// # Errors
/// What the simulator refuses.
pub fn shipped_row(
    rule: &DepthRule,
    (ensemble, spec): (&'static str, &ChainSpec),
    repetitions: u32,
    seed: u64,
) -> Result<ShippedRow, SimulateError> {
    let depth = spec.depth();
    let networks = simulate_ensemble(spec, repetitions, seed, &|_| ())?;
    let flagged = networks.iter().filter(|it| rule.flags_any(it, depth)).count() as u64;
    let (mut power, mut weight_power) = ([0.0; 6], [0.0; 6]);
    for ((gain, any), weight) in SHIPPED_GAINS.into_iter().zip(&mut power).zip(&mut weight_power) {
        let sick = ChainSpec {
            gain: spec.gain * gain,
            ..spec.clone()
        };
        // Other networks than the healthy ones.
        let networks = simulate_ensemble(&sick, (repetitions / POWER_SHARE).max(1), !seed, &|_| ())?;
        *any = mean_power(&networks, |it| rule.flags_any(it, depth));
        *weight = mean_power(&networks, |it| rule.flags_channel(it, Channel::GradWeight, depth));
    }
    Ok(ShippedRow {
        ensemble,
        width: spec.widths.first().copied().unwrap_or(0),
        depth,
        healthy: (networks.len() as u64, flagged),
        false_alarm_upper: clopper_pearson_upper(flagged, networks.len() as u64, CONFIDENCE),
        power,
        weight_power,
    })
}
