//! From a probability to bounds.
//!
//! In: the probability, the number of looks, their correlation. Out: normal quantiles and the rule's ratios.
//! Invariant: more looks never lower a bound, more correlation never raises it.

use super::ChannelNull;
use crate::simulate::DepthTrend;
use crate::stats::{normal_cdf, normal_upper_quantile};

/// The bounds of the depth rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Smallest factor from layer to layer.
    pub ratio_per_layer: f64,
    /// Smallest factor over all layers.
    pub total_ratio: f64,
    /// Factor over all layers from which a finding is critical: the square of `total_ratio`, as in the shipped
    /// rules (1e2 and 1e4).
    pub critical_ratio: f64,
    /// Steps between layers.
    steps: f64,
}

/// A factor of two between the ends of a network hurts nobody, however little the simulated ones vary
/// (orthogonal linear chains do not vary at all). A design choice, not measured.
const TOTAL_RATIO_MIN: f64 = 2.0;

impl Bounds {
    /// The widest of the channels' bounds, because one rule looks at all of them.
    pub(super) fn of(channels: &[ChannelNull], depth: usize) -> Self {
        let usable = channels
            .iter()
            .map(|channel| channel.slope_per_run)
            .filter(|slope| slope.is_finite());
        let steps = depth.saturating_sub(1).max(1) as f64;
        let slope = usable.fold(TOTAL_RATIO_MIN.ln() / steps, f64::max);
        // Rounded up to the digits that are printed, so that the file says what was tested.
        let ratio_per_layer = (slope.exp() * 1e4).ceil() / 1e4;
        let total_ratio = round_up(ratio_per_layer.powf(steps).min(1e150));
        Self {
            ratio_per_layer,
            total_ratio,
            critical_ratio: round_up(total_ratio * total_ratio),
            steps,
        }
    }

    /// Whether the rule fires on a trend. The total follows from the ratio; a hair of slack keeps the rounded
    /// total from undoing a ratio that is met.
    #[must_use]
    pub fn flag(&self, trend: &DepthTrend, tau: f64) -> bool {
        let size = trend.theil_sen.abs();
        size >= self.ratio_per_layer.ln()
            && size * self.steps >= self.total_ratio.ln()
            && trend.tau.abs() >= tau
    }
}

/// Ratio per layer, total and critical ratio for bounds on slope and total `ln` ratio, rounded up to what is
/// printed; the total at least 2.
pub(super) fn rounded_bounds(slope: f64, total: f64) -> (f64, f64, f64) {
    let ratio = (slope.min(300.0).exp() * 1e4).ceil() / 1e4;
    let total = round_up(total.min(345.0).exp().max(TOTAL_RATIO_MIN));
    (ratio, total, round_up((total * total).min(1e299)))
}

/// Three digits, upwards.
fn round_up(value: f64) -> f64 {
    let unit = 10f64.powf(value.log10().floor() - 2.0);
    (value / unit).ceil() * unit
}

/// The z that the largest of `looks` standard normal numbers exceeds in magnitude with probability `p`, when
/// any two of them have correlation `rho`: a part that is the network's own, and a part of each batch.
///
/// `P(max |z_i| <= z) = E[(Phi((z - sqrt(rho) U) / s) - Phi((-z - sqrt(rho) U) / s))^looks]` with U standard
/// normal and `s^2 = 1 - rho`; the weights are taken as frozen over the run.
#[must_use]
pub fn run_z(p: f64, looks: u64, rho: f64) -> f64 {
    let single = normal_upper_quantile(p / 2.0);
    if looks <= 1 || rho >= 1.0 - 1e-9 {
        return single;
    }
    let (mut low, mut high) = (single, normal_upper_quantile(p / 2.0 / looks as f64).max(single));
    if !high.is_finite() {
        high = 40.0;
    }
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if exceedance(middle, looks, rho) > p {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// `P(max |z_i| > z)`, by the trapezium rule over U in -8 .. 8 (error below 1e-10 for smooth integrands).
fn exceedance(z: f64, looks: u64, rho: f64) -> f64 {
    let own = (1.0 - rho).sqrt();
    let width = 0.02;
    let at = |i: i32| {
        let u = f64::from(i) * width;
        let shift = rho.sqrt() * u;
        // Both tails by themselves: 1 - Phi of a large number is lost to rounding.
        let outside = normal_cdf((shift - z) / own) + normal_cdf((-z - shift) / own);
        let density = (-0.5 * u * u).exp() / (2.0 * std::f64::consts::PI).sqrt();
        // 1 - (1 - outside)^looks without cancellation.
        -(looks as f64 * (-outside.min(1.0)).ln_1p()).exp_m1() * density * width
    };
    (-400..=400).map(at).sum()
}
