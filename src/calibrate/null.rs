//! The distribution of one channel's depth slope over healthy networks.
//!
//! In: simulated networks, two looks at each. Out: drift, spread, quantiles, the correlation between looks,
//! bounds for the stated probability. Invariant: quantiles are those of the sample; what lies beyond the
//! sample's reach is taken from the normal tail and named so.

use super::threshold::{Bounds, run_z};
use super::{CalibrateSpec, TAU};
use crate::simulate::{Channel, DepthTrend, Network};
use crate::stats::{clopper_pearson_upper, normal_upper_quantile};

/// The quantiles that are reported.
pub const QUANTILES: [f64; 4] = [0.5, 0.95, 0.99, 0.999];
/// Confidence of the upper limit of a false-alarm rate.
const CONFIDENCE: f64 = 0.95;
/// An empirical quantile counts when at least this many networks lie beyond it.
const BEYOND_MIN: f64 = 5.0;

/// One channel of the healthy ensemble. Slopes are Theil-Sen, of `ln norm` per layer.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelNull {
    /// The channel.
    pub channel: Channel,
    /// Networks with a usable fit.
    pub usable: u64,
    /// Mean slope.
    pub drift: f64,
    /// Standard deviation of the slope.
    pub sd: f64,
    /// `sd^2 m 5 n (n^2 - 1) / (6 (n^2 + 1))`: the variance of a step of the random walk times the width.
    pub v_hat: f64,
    /// [`QUANTILES`] of the absolute slope.
    pub slope_quantiles: [f64; 4],
    /// Correlation of the slopes at two looks at one network: the weights are the same, the batches are not.
    pub look_correlation: f64,
    /// Absolute slope exceeded with the stated probability at one look.
    pub slope_per_look: f64,
    /// Absolute slope exceeded with the stated probability in a run, over all looks and channels.
    pub slope_per_run: f64,
    /// Networks that the rule's bounds flag at one look.
    pub false_alarms: u64,
    /// Upper 95 % limit of that rate.
    pub false_alarm_upper: f64,
}

impl ChannelNull {
    pub(super) fn measure(spec: &CalibrateSpec, channel: Channel, pairs: &[[Network; 2]]) -> Self {
        let looks: Vec<[DepthTrend; 2]> = pairs.iter().filter_map(|pair| both(channel, pair)).collect();
        let first: Vec<f64> = looks.iter().map(|look| look[0].theil_sen).collect();
        let second: Vec<f64> = looks.iter().map(|look| look[1].theil_sen).collect();
        let (drift, sd) = mean_and_sd(&first);
        let mut sizes: Vec<f64> = first.iter().map(|slope| slope.abs()).collect();
        sizes.sort_by(f64::total_cmp);
        let look_correlation = correlation(&first, &second);
        let n = spec.chain.depth() as f64;
        let width = spec.chain.widths.iter().min().copied().unwrap_or(1) as f64;
        // Slopes beyond the normal tail: the longer of the two tails decides.
        let beyond = |p: f64, z: f64| empirical(&sizes, p).max(drift.abs() + z * sd);
        let shared = spec.false_alarm / Channel::ALL.len() as f64;
        Self {
            channel,
            usable: looks.len() as u64,
            drift,
            sd,
            v_hat: sd * sd * width * 5.0 * n * (n * n - 1.0) / (6.0 * (n * n + 1.0)),
            slope_quantiles: QUANTILES.map(|q| quantile(&sizes, q)),
            look_correlation,
            slope_per_look: beyond(spec.false_alarm, normal_upper_quantile(spec.false_alarm / 2.0)),
            slope_per_run: beyond(shared, run_z(shared, spec.looks, look_correlation)),
            false_alarms: 0,
            false_alarm_upper: 1.0,
        }
    }

    pub(super) fn measure_false_alarms(&mut self, pairs: &[[Network; 2]], bounds: &Bounds) {
        let trends = pairs.iter().filter_map(|pair| both(self.channel, pair));
        self.false_alarms = trends.filter(|look| bounds.flag(&look[0], TAU)).count() as u64;
        self.false_alarm_upper = clopper_pearson_upper(self.false_alarms, self.usable, CONFIDENCE);
    }
}

fn both(channel: Channel, pair: &[Network; 2]) -> Option<[DepthTrend; 2]> {
    Some([pair[0].trend(channel)?, pair[1].trend(channel)?])
}

/// The empirical bound for probability `p`, or 0 where the sample does not reach.
fn empirical(sorted: &[f64], p: f64) -> f64 {
    if p * sorted.len() as f64 >= BEYOND_MIN {
        quantile(sorted, 1.0 - p)
    } else {
        0.0
    }
}

/// Linear between order statistics (type 7 of Hyndman and Fan 1996); NaN of an empty sample.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let position = q * sorted.len().saturating_sub(1) as f64;
    let (low, share) = (position.floor() as usize, position.fract());
    let at = |index: usize| {
        sorted
            .get(index.min(sorted.len().saturating_sub(1)))
            .copied()
            .unwrap_or(f64::NAN)
    };
    at(low) + share * (at(low + 1) - at(low))
}

pub(super) fn mean_and_sd(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, variance.sqrt())
}

/// 0 where one of the two does not vary.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let ((a_mean, a_sd), (b_mean, b_sd)) = (mean_and_sd(a), mean_and_sd(b));
    let joint: f64 = a.iter().zip(b).map(|(x, y)| (x - a_mean) * (y - b_mean)).sum();
    let scale = a_sd * b_sd * (a.len() as f64 - 1.0);
    if scale > 0.0 {
        (joint / scale).clamp(0.0, 1.0)
    } else {
        0.0
    }
}
