//! Bounds on spikes from healthy series: how far three of five points stray above the usual level by chance.
//!
//! In: healthy series of one quantity. Out: the noise in time, and bounds on excess and z for a stated probability per
//! run. Invariant: level and noise are those that the spike rule keeps ([`Level`]), so that the statistic is the rule's.

use super::{TimeNoise, time_noise};
use crate::stats::level::Level;
use crate::stats::median;
use crate::stats::sd_upper_factor;

/// Points that the rule looks at together, and how many of them must be out.
const TOGETHER: usize = 5;
const OUT: usize = 3;
/// Deviations from which the rule's bound on z is the stated one.
const HISTORY_FULL: u32 = 32;
/// Smallest noise of a logarithm in the rule.
const NOISE_MIN: f64 = 0.02;
/// The tail is fitted above this quantile, to at least so many values.
const TAIL_QUANTILE: f64 = 0.95;
const TAIL_MIN: usize = 30;
/// Confidence of the upper limits.
const CONFIDENCE: f64 = 0.95;
/// Smallest bounds: 5 % above the usual, and 5 standard deviations (the limit of the measured table for short logs).
const RATIO_MIN: f64 = 1.05;
const Z_MIN: f64 = 5.0;

/// What healthy runs show of the spikes of one quantity.
#[derive(Debug, Clone, PartialEq)]
pub struct SpikeNull {
    /// `loss` or `gradients`.
    pub name: &'static str,
    /// Series, over all runs.
    pub series: usize,
    /// Noise in time: median over the series, and their points together.
    pub noise: TimeNoise,
    /// Factor above the usual level that three of five points exceed with the stated probability in a run.
    pub ratio: f64,
    /// The same in standard deviations of the rule's noise.
    pub z: f64,
}

/// The bounds for a probability per run of so many looks at each of `series_per_run` series. `None` where too few
/// values lie in the tail to say anything.
///
/// The tail beyond the 95 % quantile u of the third largest of five excesses is taken as exponential with its mean
/// excess b at the upper 95 % limit, for as many independent values as the lag-1 correlation r leaves,
/// `k (1 - r) / (1 + r)`: then `u + b ln(0.05 n looks / p)` is exceeded in at most p of the runs. A normal tail is
/// lighter, so that the bound is on the safe side (peaks over threshold; Pickands 1975, Davison and Smith 1990).
#[must_use]
pub fn spike_null(
    name: &'static str,
    series: &[Vec<f64>],
    series_per_run: f64,
    p: f64,
    looks: u64,
) -> Option<SpikeNull> {
    let noises: Vec<TimeNoise> = series.iter().filter_map(|values| time_noise(values)).collect();
    let middle = |pick: fn(&TimeNoise) -> f64| median(&mut noises.iter().map(pick).collect::<Vec<_>>());
    let noise = TimeNoise {
        mad_sd: middle(|it| it.mad_sd)?,
        lag1: middle(|it| it.lag1)?,
        excess_kurtosis: middle(|it| it.excess_kurtosis)?,
        looks: noises.iter().map(|it| it.looks).sum(),
    };
    let (mut excesses, mut zs) = (Vec::new(), Vec::new());
    for values in series {
        let (excess, z) = third_of_five(values);
        excesses.extend(excess);
        zs.extend(z);
    }
    let per_look = p / (series_per_run.max(1.0) * looks as f64);
    Some(SpikeNull {
        name,
        series: noises.len(),
        noise,
        ratio: tail_bound(&mut excesses, per_look, noise.lag1)?
            .min(300.0)
            .exp()
            .max(RATIO_MIN),
        z: tail_bound(&mut zs, per_look, noise.lag1)?.max(Z_MIN),
    })
}

/// At every point with a full history the third largest of the last five: excess of `ln x` above the level, and the
/// same over the noise.
fn third_of_five(values: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let mut level = Level::default();
    let mut last: Vec<(f64, f64)> = Vec::new();
    let (mut excesses, mut zs) = (Vec::new(), Vec::new());
    for y in values
        .iter()
        .filter(|it| it.is_finite() && **it > 0.0)
        .map(|it| it.ln())
    {
        if level.n_deviations() >= HISTORY_FULL {
            level.refresh();
            let excess = y - level.centre();
            last.push((excess, excess / level.noise().max(NOISE_MIN)));
            if let Some(start) = last.len().checked_sub(TOGETHER) {
                let together = last.get(start..).unwrap_or_default();
                excesses.extend(ranked(together.iter().map(|it| it.0)));
                zs.extend(ranked(together.iter().map(|it| it.1)));
            }
        }
        level.learn(y);
    }
    (excesses, zs)
}

/// The value that [`OUT`] of these reach.
fn ranked(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    sorted.get(OUT - 1).copied()
}

/// The value exceeded with probability `p` at one look.
fn tail_bound(values: &mut [f64], p: f64, lag1: f64) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let from = (TAIL_QUANTILE * values.len() as f64) as usize;
    let beyond = values.get(from..)?;
    let threshold = *beyond.first()?;
    if beyond.len() < TAIL_MIN {
        return None;
    }
    let mean_excess = beyond.iter().map(|it| it - threshold).sum::<f64>() / beyond.len() as f64;
    let correlation = lag1.clamp(0.0, 0.99);
    let independent = beyond.len() as f64 * (1.0 - correlation) / (1.0 + correlation);
    // 2 k b / beta is chi-squared with 2 k degrees of freedom.
    let upper = mean_excess * sd_upper_factor(2.0 * independent.max(1.0), CONFIDENCE).powi(2);
    Some(threshold + upper * ((1.0 - TAIL_QUANTILE) / p).ln().max(0.0))
}

#[cfg(test)]
mod tests {
    use super::{spike_null, third_of_five};
    use crate::simulate::Rng;

    /// Norms with noise of this size and lag-1 correlation; heavy: one point in ten is three times as noisy.
    fn series(rng: &mut Rng, n: usize, sd: f64, correlation: f64, is_heavy: bool) -> Vec<f64> {
        let mut state = rng.normal();
        let point = |_| {
            state = correlation * state + (1.0 - correlation * correlation).sqrt() * rng.normal();
            let factor = if is_heavy && rng.uniform() < 0.1 { 3.0 } else { 1.0 };
            (sd * factor * state).exp()
        };
        (0..n).map(point).collect()
    }

    #[test]
    fn fresh_healthy_runs_stay_below_the_bounds() {
        for (correlation, is_heavy) in [(0.0, false), (0.0, true), (0.7, false), (0.9, true)] {
            let mut rng = Rng::new(7);
            let mut draw = |count: usize| -> Vec<Vec<f64>> {
                (0..count)
                    .map(|_| series(&mut rng, 300, 0.1, correlation, is_heavy))
                    .collect()
            };
            let null = spike_null("loss", &draw(20), 1.0, 0.05, 300).unwrap();
            let (bound, fresh) = (null.ratio.ln(), draw(400));
            let is_alarm = |values: &&Vec<f64>| third_of_five(values).0.iter().any(|excess| *excess > bound);
            let is_z_alarm = |values: &&Vec<f64>| third_of_five(values).1.iter().any(|z| *z > null.z);
            let alarms = (
                fresh.iter().filter(is_alarm).count(),
                fresh.iter().filter(is_z_alarm).count(),
            );
            eprintln!(
                "lag-1 {correlation}, heavy {is_heavy}: x{:.3}, z {:.2}; {alarms:?} of 400",
                null.ratio, null.z
            );
            assert!(alarms.0 <= 20 && alarms.1 <= 20, "{alarms:?} {null:?}");
        }
    }

    #[test]
    fn noise_rarer_alarms_and_more_series_widen_the_bounds() {
        let of = |sd: f64, series_per_run: f64, p: f64| {
            let mut rng = Rng::new(3);
            let all: Vec<Vec<f64>> = (0..10).map(|_| series(&mut rng, 300, sd, 0.0, false)).collect();
            spike_null("loss", &all, series_per_run, p, 1_000).unwrap().ratio
        };
        let base = of(0.1, 1.0, 1e-2);
        assert!(base > 1.2 && base < 3.0, "{base}");
        assert!(of(0.3, 1.0, 1e-2) > base && of(0.1, 30.0, 1e-2) > base && of(0.1, 1.0, 1e-4) > base);
    }

    #[test]
    fn too_little_says_nothing() {
        let mut rng = Rng::new(3);
        let short = [series(&mut rng, 200, 0.1, 0.0, false)];
        assert!(spike_null("loss", &short, 1.0, 1e-3, 1_000).is_none());
        assert!(spike_null("loss", &[vec![1.0; 2_000]], 1.0, 1e-3, 1_000).is_none());
        assert!(spike_null("loss", &[], 1.0, 1e-3, 1_000).is_none());
    }
}
