//! Thresholds of the depth rules for a stated false-alarm probability, from simulated healthy networks.
//!
//! In: an ensemble, probabilities, a seed. Out: the null distribution of every channel, bounds, their measured
//! false-alarm rate with its upper confidence limit, the power against gains, warnings, a rule file.
//! Invariants: the same seed gives the same result whatever the number of threads; a rate that was never seen
//! is printed as its upper limit, never as 0.

mod healthy;
mod null;
mod power;
mod rule_file;
mod shipped;
mod spikes;
#[cfg(test)]
mod tests;
mod threshold;

pub use healthy::{
    DepthLook, HealthyCalibration, HealthyChannel, HealthyNull, TimeNoise, calibrate_healthy, time_noise,
};
pub use null::{ChannelNull, QUANTILES};
pub use power::{GAINS, GainPower, SmallestGains};
pub use rule_file::{describe, rule_file, rules_text, spike_rules_text};
pub use shipped::{
    DepthRule, SHIPPED_DEPTHS, SHIPPED_GAINS, SHIPPED_WIDTHS, ShippedRow, shipped_ensembles, shipped_row,
};
pub use spikes::{SpikeNull, spike_null};
pub use threshold::{Bounds, run_z};

use crate::simulate::{ChainSpec, Channel, Network, SimulateError, Tick, simulate_pairs};

/// Kendall's tau that the depth rule asks for beside the ratios.
pub const TAU: f64 = 0.5;
/// Fewest repetitions from which quantiles mean something.
pub const REPETITIONS_MIN: u32 = 50;
/// Most repetitions: 200 bytes each are kept.
pub const REPETITIONS_MAX: u32 = 1_000_000;
/// Beyond this share of depth in width, products of random matrices degenerate.
pub const NARROW: f64 = 0.5;
/// Repetitions per gain: a power of 0.9 then has a standard error of 1 %.
const POWER_REPETITIONS_MAX: u32 = 1_000;

/// What to calibrate for.
#[derive(Debug, Clone, PartialEq)]
pub struct CalibrateSpec {
    /// The healthy networks.
    pub chain: ChainSpec,
    /// Networks to simulate.
    pub repetitions: u32,
    /// Seed of the simulation.
    pub seed: u64,
    /// False-alarm probability of a whole run.
    pub false_alarm: f64,
    /// Logged points of a run at which the rule looks.
    pub looks: u64,
}

/// The result.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// What was asked for.
    pub spec: CalibrateSpec,
    /// Null distribution and bounds per channel, in the order of [`Channel::ALL`].
    pub channels: Vec<ChannelNull>,
    /// The bounds of one rule for all channels that can be used.
    pub bounds: Bounds,
    /// Power of that rule, by gain.
    pub power: Vec<GainPower>,
    /// Smallest departures from the healthy gain that are detected with probability 0.9, per channel.
    pub smallest: Vec<SmallestGains>,
    /// Mean and standard deviation of `sum ln(|W_k| / sqrt(m_out))`.
    pub iso_gain: (f64, f64),
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl CalibrateSpec {
    /// Networks that are simulated in all: the healthy ones, and some at every gain.
    #[must_use]
    pub fn networks(&self) -> u64 {
        u64::from(self.repetitions) + GAINS.len() as u64 * u64::from(self.power_repetitions())
    }

    fn power_repetitions(&self) -> u32 {
        self.repetitions.min(POWER_REPETITIONS_MAX)
    }
}

/// Calibrates; `tick` is told of each of [`CalibrateSpec::networks`].
///
/// # Errors
/// An ensemble that cannot be simulated, a probability outside (0, 1), too few repetitions or layers.
pub fn calibrate(spec: &CalibrateSpec, tick: Tick<'_>) -> Result<Calibration, SimulateError> {
    check(spec)?;
    let pairs = simulate_pairs(&spec.chain, spec.repetitions, spec.seed, tick)?;
    let mut channels: Vec<ChannelNull> = Channel::ALL
        .into_iter()
        .map(|channel| ChannelNull::measure(spec, channel, &pairs))
        .collect();
    let usable = channels.iter().map(|channel| channel.usable).max().unwrap_or(0);
    if usable < u64::from(REPETITIONS_MIN) {
        refuse(
            "the number of networks without a zero or non-finite norm",
            "at least 50",
            usable as f64,
        )?;
    }
    let bounds = Bounds::of(&channels, spec.chain.depth());
    for channel in &mut channels {
        channel.measure_false_alarms(&pairs, &bounds);
    }
    let power = power::by_gain(&spec.chain, spec.power_repetitions(), spec.seed, &bounds, tick)?;
    let smallest = power::smallest_gains(&power);
    let gains: Vec<f64> = pairs.iter().map(|pair| pair[0].iso_gain).collect();
    let iso_gain = null::mean_and_sd(&gains);
    let warnings = warnings(spec, &channels, &power);
    Ok(Calibration {
        spec: spec.clone(),
        channels,
        bounds,
        power,
        smallest,
        iso_gain,
        warnings,
    })
}

/// The share of networks that a rule flags.
fn mean_power(networks: &[Network], flags: impl Fn(&Network) -> bool) -> f64 {
    networks.iter().filter(|it| flags(it)).count() as f64 / networks.len().max(1) as f64
}

fn check(spec: &CalibrateSpec) -> Result<(), SimulateError> {
    spec.chain.check()?;
    check_target(spec.false_alarm, spec.looks)?;
    check_repetitions(spec.repetitions)?;
    if spec.chain.depth() < 3 {
        let depth = spec.chain.depth() as f64;
        return refuse("the number of layers to calibrate", "at least 3", depth);
    }
    Ok(())
}

fn refuse(what: &'static str, allowed: &'static str, value: f64) -> Result<(), SimulateError> {
    Err(SimulateError::OutOfRange { what, allowed, value })
}

/// Refuses a false-alarm probability per run, or a number of looks, that means nothing.
///
/// # Errors
/// In a sentence.
pub fn check_target(false_alarm: f64, looks: u64) -> Result<(), SimulateError> {
    if !(false_alarm > 0.0 && false_alarm < 1.0) {
        let allowed = "between 0 and 1, both excluded";
        return refuse("the false-alarm probability", allowed, false_alarm);
    }
    if looks == 0 {
        return refuse("the number of looks", "at least 1", 0.0);
    }
    Ok(())
}

/// Refuses too few networks for a quantile, and more than memory holds.
///
/// # Errors
/// In a sentence.
pub fn check_repetitions(repetitions: u32) -> Result<(), SimulateError> {
    if (REPETITIONS_MIN..=REPETITIONS_MAX).contains(&repetitions) {
        return Ok(());
    }
    let allowed = if repetitions < REPETITIONS_MIN {
        "at least 50"
    } else {
        "at most 1000000"
    };
    refuse("the number of repetitions", allowed, f64::from(repetitions))
}

fn warnings(spec: &CalibrateSpec, channels: &[ChannelNull], power: &[GainPower]) -> Vec<String> {
    let mut warnings = Vec::new();
    let narrowest = spec.chain.widths.iter().min().copied().unwrap_or(1);
    let share = spec.chain.depth() as f64 / narrowest as f64;
    if share > NARROW {
        warnings.push(format!(
            "depth / width is {share:.2}, above {NARROW}: healthy networks wander over depth, so that the bounds \
             are wide{}",
            if share > 2.0 { "; above 2 a gain of 1 really vanishes" } else { "" }
        ));
    }
    for (index, channel) in channels.iter().enumerate() {
        if channel.usable < u64::from(spec.repetitions) {
            let lost = u64::from(spec.repetitions) - channel.usable;
            warnings.push(format!(
                "channel {}: {lost} of {} networks had a zero or non-finite norm and were left out",
                channel.channel.name(),
                spec.repetitions
            ));
        }
        let blind = |row: &GainPower| row.power.get(index) == Some(&0.0) && row.power.first() >= Some(&0.9);
        if power.iter().any(blind) {
            warnings.push(format!(
                "channel {} is blind: it shows nothing at gains that the bias gradients show with probability 0.9",
                channel.channel.name()
            ));
        }
    }
    warnings
}
