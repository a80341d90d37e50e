//! How often the rule sees a network whose gain is off.
//!
//! In: the healthy ensemble and the rule's bounds. Out: the share of networks flagged, per gain and channel.
//! Invariant: the gain multiplies the ensemble's own; 1 is healthy.

use super::{Bounds, TAU};
use crate::simulate::{ChainSpec, Channel, SimulateError, Tick, simulate_ensemble};

/// The gains that are tried.
pub const GAINS: [f64; 16] = [
    0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 1.05, 1.07, 1.1, 1.15, 1.25, 1.4, 1.6, 2.0,
];
/// The power that counts as detected.
const DETECTED: f64 = 0.9;

/// Power at one gain.
#[derive(Debug, Clone, PartialEq)]
pub struct GainPower {
    /// Factor on the ensemble's gain.
    pub gain: f64,
    /// Share flagged at one look per channel, in the order of [`Channel::ALL`]; networks without a usable fit
    /// count as not flagged.
    pub power: Vec<f64>,
}

/// The gains closest to healthy that a channel detects with probability 0.9.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SmallestGains {
    /// The channel.
    pub channel: Channel,
    /// Largest gain below 1 that is detected.
    pub below: Option<f64>,
    /// Smallest gain above 1 that is detected.
    pub above: Option<f64>,
}

pub(super) fn by_gain(
    chain: &ChainSpec,
    repetitions: u32,
    seed: u64,
    bounds: &Bounds,
    tick: Tick<'_>,
) -> Result<Vec<GainPower>, SimulateError> {
    // Other networks than those that set the bounds.
    let seed = seed ^ 0x5bd1_e995_9e37_79b9;
    GAINS
        .into_iter()
        .map(|gain| {
            let sick = ChainSpec {
                gain: chain.gain * gain,
                ..chain.clone()
            };
            let networks = simulate_ensemble(&sick, repetitions, seed, tick)?;
            let share = |channel: Channel| {
                let trends = networks.iter().filter_map(|network| network.trend(channel));
                trends.filter(|trend| bounds.flag(trend, TAU)).count() as f64 / f64::from(repetitions)
            };
            Ok(GainPower {
                gain,
                power: Channel::ALL.into_iter().map(share).collect(),
            })
        })
        .collect()
}

/// A gain counts when all that lie further from 1 on its side are detected too.
pub(super) fn smallest_gains(power: &[GainPower]) -> Vec<SmallestGains> {
    let detected = |index: usize| move |row: &&GainPower| row.power.get(index) >= Some(&DETECTED);
    Channel::ALL
        .into_iter()
        .enumerate()
        .map(|(index, channel)| {
            let low = power
                .iter()
                .filter(|row| row.gain < 1.0)
                .take_while(detected(index))
                .last();
            let high = power
                .iter()
                .rev()
                .filter(|row| row.gain > 1.0)
                .take_while(detected(index))
                .last();
            SmallestGains {
                channel,
                below: low.map(|row| row.gain),
                above: high.map(|row| row.gain),
            }
        })
        .collect()
}
