//! Bounds from the logs of healthy runs.
//!
//! In: per channel and stack of layers the depth trends of its logged profiles; time series of healthy norms. Out:
//! the null distribution, bounds by the formulas of the simulated ones, the noise in time. Invariant: few runs
//! widen the bounds: every spread is taken at its upper 95 % limit.

use super::null::mean_and_sd;
use super::run_z;
use super::threshold::rounded_bounds;
use crate::stats::{mad, median, sd_upper_factor};

/// Channels that share the false-alarm probability.
const CHANNELS: f64 = 3.0;
/// Confidence of the upper limits.
const CONFIDENCE: f64 = 0.95;
/// Normal quantile of that confidence, one-sided.
const CONFIDENCE_Z: f64 = 1.645;
/// Past points whose median is the level of a series.
const LEVEL_WINDOW: usize = 128;
/// Past points from which there is a level.
const LEVEL_MIN: usize = 16;

/// The depth trend of one logged profile: `ln norm` per layer, and over all layers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DepthLook {
    /// Theil-Sen slope.
    pub slope: f64,
    /// Slope times the distance of the first and the last layer.
    pub total: f64,
}

/// One channel over all healthy runs; the outer list has one entry per stack of layers.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthyChannel {
    /// `gb`, `act` or `gw`.
    pub name: &'static str,
    /// Profiles by stack.
    pub stacks: Vec<Vec<DepthLook>>,
}

/// What healthy runs show of one channel.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthyNull {
    /// The channel.
    pub name: &'static str,
    /// Stacks of layers, over all runs.
    pub stacks: usize,
    /// Profiles.
    pub looks: usize,
    /// Mean slope.
    pub drift: f64,
    /// Standard deviation of the stacks' mean slopes.
    pub between: f64,
    /// Standard deviation within a stack.
    pub within: f64,
    /// Correlation of two looks at one stack.
    pub look_correlation: f64,
    /// Absolute slope exceeded with the stated probability in a run.
    pub slope_per_run: f64,
    /// The same of the total `ln` ratio.
    pub total_per_run: f64,
}

/// Noise of one healthy series around its level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimeNoise {
    /// 1.4826 times the median absolute deviation, in `ln` units.
    pub mad_sd: f64,
    /// Lag-1 correlation.
    pub lag1: f64,
    /// Kurtosis minus 3.
    pub excess_kurtosis: f64,
    /// Points.
    pub looks: usize,
}

/// Bounds from healthy runs.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthyCalibration {
    /// Per channel with data.
    pub channels: Vec<HealthyNull>,
    /// Smallest factor from layer to layer.
    pub ratio_per_layer: f64,
    /// Smallest factor over all layers.
    pub total_ratio: f64,
    /// Its square.
    pub critical_ratio: f64,
}

/// The bounds for a false-alarm probability per run of so many looks; `None` without any profile.
#[must_use]
pub fn calibrate_healthy(
    channels: &[HealthyChannel],
    false_alarm: f64,
    looks: u64,
) -> Option<HealthyCalibration> {
    let nulls: Vec<HealthyNull> = channels
        .iter()
        .filter_map(|it| null(it, false_alarm / CHANNELS, looks))
        .collect();
    let most = |pick: fn(&HealthyNull) -> f64| nulls.iter().map(pick).fold(f64::NEG_INFINITY, f64::max);
    if nulls.is_empty() {
        return None;
    }
    let (ratio_per_layer, total_ratio, critical_ratio) =
        rounded_bounds(most(|it| it.slope_per_run), most(|it| it.total_per_run));
    Some(HealthyCalibration {
        channels: nulls,
        ratio_per_layer,
        total_ratio,
        critical_ratio,
    })
}

fn null(channel: &HealthyChannel, p: f64, looks: u64) -> Option<HealthyNull> {
    let stacks: Vec<&Vec<DepthLook>> = channel.stacks.iter().filter(|it| !it.is_empty()).collect();
    if stacks.is_empty() {
        return None;
    }
    let slope = Spread::of(&stacks, |look| look.slope);
    let total = Spread::of(&stacks, |look| look.total);
    Some(HealthyNull {
        name: channel.name,
        stacks: stacks.len(),
        looks: stacks.iter().map(|it| it.len()).sum(),
        drift: slope.drift,
        between: slope.between,
        within: slope.within,
        look_correlation: slope.correlation(),
        slope_per_run: slope.bound(p, looks),
        total_per_run: total.bound(p, looks),
    })
}

/// One-way analysis of variance: stacks are the groups.
struct Spread {
    drift: f64,
    between: f64,
    within: f64,
    n_stacks: f64,
}

impl Spread {
    fn of(stacks: &[&Vec<DepthLook>], value: fn(&DepthLook) -> f64) -> Self {
        let means: Vec<f64> = stacks
            .iter()
            .map(|it| it.iter().map(value).sum::<f64>() / it.len() as f64)
            .collect();
        let (drift, between) = mean_and_sd(&means);
        let squares: f64 = stacks
            .iter()
            .zip(&means)
            .flat_map(|(it, mean)| it.iter().map(move |look| (value(look) - mean).powi(2)))
            .sum();
        let freedom: usize = stacks.iter().map(|it| it.len() - 1).sum();
        let within = if freedom > 0 {
            (squares / freedom as f64).sqrt()
        } else {
            0.0
        };
        Self {
            drift,
            between: if between.is_finite() { between } else { 0.0 },
            within,
            n_stacks: means.len() as f64,
        }
    }

    /// The share of the variance that is the stack's own.
    fn correlation(&self) -> f64 {
        let (own, rest) = (self.between.powi(2), self.within.powi(2));
        if own + rest > 0.0 { own / (own + rest) } else { 0.0 }
    }

    /// As in the simulated case `|drift| + z sd`, with the drift and the spread at their upper limits.
    fn bound(&self, p: f64, looks: u64) -> f64 {
        let sd =
            self.between.hypot(self.within) * sd_upper_factor((self.n_stacks - 1.0).max(1.0), CONFIDENCE);
        let drift = self.drift.abs() + CONFIDENCE_Z * self.between / self.n_stacks.sqrt();
        drift + run_z(p, looks, self.correlation()) * sd
    }
}

/// The noise of a positive series: `ln` minus the median of up to 128 points before. `None` when too short or not
/// varying.
#[must_use]
pub fn time_noise(values: &[f64]) -> Option<TimeNoise> {
    let logs: Vec<f64> = values
        .iter()
        .filter(|it| it.is_finite() && **it > 0.0)
        .map(|it| it.ln())
        .collect();
    let mut scratch = Vec::new();
    let rest: Vec<f64> = (LEVEL_MIN..logs.len())
        .filter_map(|at| {
            scratch.clear();
            scratch.extend_from_slice(logs.get(at.saturating_sub(LEVEL_WINDOW)..at)?);
            Some(logs.get(at)? - median(&mut scratch)?)
        })
        .collect();
    if rest.len() < LEVEL_MIN {
        return None;
    }
    let n = rest.len() as f64;
    let center = median(&mut rest.clone())?;
    let mad_sd = 1.4826 * mad(&rest, center, &mut scratch)?;
    let mean = rest.iter().sum::<f64>() / n;
    let moment = |power: i32| rest.iter().map(|it| (it - mean).powi(power)).sum::<f64>() / n;
    let (second, fourth) = (moment(2), moment(4));
    let lagged: f64 = rest
        .iter()
        .zip(rest.iter().skip(1))
        .map(|(a, b)| (a - mean) * (b - mean))
        .sum::<f64>()
        / n;
    (second > 0.0 && mad_sd > 0.0).then(|| TimeNoise {
        mad_sd,
        lag1: lagged / second,
        excess_kurtosis: fourth / second.powi(2) - 3.0,
        looks: rest.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::{DepthLook, HealthyChannel, calibrate_healthy, time_noise};
    use crate::simulate::Rng;

    fn channel(stacks: usize, looks: usize, between: f64, within: f64, seed: u64) -> HealthyChannel {
        let mut rng = Rng::new(seed);
        let stacks = (0..stacks)
            .map(|_| {
                let own = between * rng.normal();
                let look = |rng: &mut Rng| own + within * rng.normal();
                (0..looks)
                    .map(|_| look(&mut rng))
                    .map(|slope| DepthLook {
                        slope,
                        total: 31.0 * slope,
                    })
                    .collect()
            })
            .collect();
        HealthyChannel { name: "gb", stacks }
    }

    #[test]
    fn bounds_hold_for_other_runs_of_the_kind() {
        let known = calibrate_healthy(&[channel(20, 50, 0.01, 0.005, 1)], 0.01, 50).unwrap();
        assert!(
            known.ratio_per_layer > 1.03 && known.ratio_per_layer < 1.15,
            "{known:?}"
        );
        let others = channel(2_000, 50, 0.01, 0.005, 2);
        let bad = |stack: &&Vec<DepthLook>| {
            stack
                .iter()
                .any(|look| look.slope.abs() >= known.ratio_per_layer.ln())
        };
        let alarms = others.stacks.iter().filter(bad).count();
        assert!(alarms <= 20, "{alarms} of 2000");
        assert!((known.channels[0].look_correlation - 0.8).abs() < 0.15);
    }

    #[test]
    fn fewer_runs_give_wider_bounds() {
        let of = |stacks| {
            calibrate_healthy(&[channel(stacks, 50, 0.01, 0.005, 3)], 0.01, 50)
                .unwrap()
                .ratio_per_layer
        };
        assert!(of(3) > of(30));
        assert!(
            calibrate_healthy(
                &[HealthyChannel {
                    name: "gb",
                    stacks: Vec::new()
                }],
                0.01,
                50
            )
            .is_none()
        );
    }

    #[test]
    fn noise_in_time_is_measured_around_the_level() {
        let mut rng = Rng::new(4);
        let values: Vec<f64> = (0..4_000)
            .map(|step| (0.2 * rng.normal() - 1e-4 * f64::from(step)).exp())
            .collect();
        let noise = time_noise(&values).unwrap();
        assert!(
            (noise.mad_sd - 0.2).abs() < 0.02 && noise.lag1.abs() < 0.06 && noise.excess_kurtosis.abs() < 0.4,
            "{noise:?}"
        );
        assert!(time_noise(&[1.0; 100]).is_none());
    }
}
