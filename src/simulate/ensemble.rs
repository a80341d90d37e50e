//! Depth slopes over many random chains: the null distribution behind the thresholds.
//!
//! In: a specification, repetitions, a seed. Out: per channel the straight-line slope, the Theil-Sen slope and
//! Kendall's tau of every repetition. Invariant: repetition `i` uses stream `i` of the seed, so the result
//! does not depend on the number of threads.

use rayon::prelude::{IntoParallelIterator, ParallelIterator};

use super::{ChainSpec, LayerNorms, Rng, SimulateError, simulate_steps};
use crate::stats::{FIT_LAYERS_MAX, ols, pair_fit, thin_evenly};

#[cfg(test)]
mod quantile_tests;
#[cfg(test)]
mod tests;

/// What is fitted over depth, in the order of trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Norm of the bias gradient: exactly geometric in a homogeneous chain.
    GradBias,
    /// Root mean square of the activations.
    Activation,
    /// Norm of the weight gradient: flat in a chain without biases, whatever the gain.
    GradWeight,
}

impl Channel {
    /// All of them, in the order of trust.
    pub const ALL: [Self; 3] = [Self::GradBias, Self::Activation, Self::GradWeight];

    /// Short name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::GradBias => "gb",
            Self::Activation => "act",
            Self::GradWeight => "gw",
        }
    }

    fn ln_norm(self, layer: &LayerNorms) -> f64 {
        match self {
            Self::GradBias => layer.grad_bias.ln_abs(),
            Self::Activation => layer.activation_rms.ln_abs(),
            Self::GradWeight => layer.grad_weight.ln_abs(),
        }
    }
}

/// The depth trend of one channel of one network. Slopes are of `ln norm` per layer; positive means that the
/// norm shrinks towards the input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DepthTrend {
    /// Least-squares slope.
    pub slope: f64,
    /// Theil-Sen slope, as the rule takes it: over at most [`FIT_LAYERS_MAX`] evenly picked layers.
    pub theil_sen: f64,
    /// Kendall's tau.
    pub tau: f64,
}

/// What a repetition shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Network {
    /// Trends in the order of [`Channel::ALL`]; none where a norm is zero or not finite.
    pub trends: [Option<DepthTrend>; 3],
    /// `sum ln(|W_k| / sqrt(m_out))`: the gain that the weights alone imply.
    pub iso_gain: f64,
}

impl Network {
    /// The trend of a channel, if its norms are usable.
    #[must_use]
    pub fn trend(&self, channel: Channel) -> Option<DepthTrend> {
        match channel {
            Channel::GradBias => self.trends[0],
            Channel::Activation => self.trends[1],
            Channel::GradWeight => self.trends[2],
        }
    }
}

/// Told of every network that is done, from any thread.
pub type Tick<'a> = &'a (dyn Fn(u64) + Sync);

/// Simulates `repetitions` networks on all cores.
///
/// # Errors
/// What [`ChainSpec::check`] refuses.
pub fn simulate_ensemble(
    spec: &ChainSpec,
    repetitions: u32,
    seed: u64,
    tick: Tick<'_>,
) -> Result<Vec<Network>, SimulateError> {
    simulate_looks(spec, 1, repetitions, seed, tick)
        .map(|networks| networks.into_iter().map(|[first, _]| first).collect())
}

/// The same with two steps of every network, each with a batch of its own: what one log shows at two looks.
///
/// # Errors
/// What [`ChainSpec::check`] refuses.
pub fn simulate_pairs(
    spec: &ChainSpec,
    repetitions: u32,
    seed: u64,
    tick: Tick<'_>,
) -> Result<Vec<[Network; 2]>, SimulateError> {
    simulate_looks(spec, 2, repetitions, seed, tick)
}

/// With one look, the second is the first.
fn simulate_looks(
    spec: &ChainSpec,
    looks: usize,
    repetitions: u32,
    seed: u64,
    tick: Tick<'_>,
) -> Result<Vec<[Network; 2]>, SimulateError> {
    spec.check()?;
    (0..repetitions)
        .into_par_iter()
        .map(|index| {
            let steps = simulate_steps(spec, looks, &mut Rng::stream(seed, u64::from(index)))?;
            let first = network(spec, steps.first().map_or(&[], Vec::as_slice));
            let second = steps.get(1).map_or(first, |norms| network(spec, norms));
            tick(1);
            Ok([first, second])
        })
        .collect()
}

fn network(spec: &ChainSpec, norms: &[LayerNorms]) -> Network {
    let depths: Vec<f64> = norms.iter().map(|layer| layer.k as f64).collect();
    let trends = Channel::ALL.map(|channel| {
        let logs: Vec<f64> = norms.iter().map(|layer| channel.ln_norm(layer)).collect();
        trend(&depths, &logs)
    });
    let gains = norms.iter().zip(spec.shapes());
    let iso_gain = gains
        .map(|(layer, (_, m_out))| (layer.weight / (m_out as f64).sqrt()).ln())
        .sum();
    Network { trends, iso_gain }
}

fn trend(depths: &[f64], logs: &[f64]) -> Option<DepthTrend> {
    if logs.iter().any(|ln| !ln.is_finite()) {
        return None;
    }
    let line = ols(depths, logs)?;
    let (mut ranks, mut thinned) = (depths.to_vec(), logs.to_vec());
    thin_evenly(&mut ranks, &mut thinned, FIT_LAYERS_MAX);
    let pairs = pair_fit(&ranks, &thinned, &mut Vec::new())?;
    Some(DepthTrend {
        slope: line.slope,
        theil_sen: pairs.slope,
        tau: pairs.tau,
    })
}
