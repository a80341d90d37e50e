//! The null distributions against the measured table, within the Monte Carlo error of both.
//!
//! In: `fixtures/oracles/calib_threshold.csv`: mean and standard deviation of slopes over 1,000 to 4,000
//! healthy networks, measured with explicit matrices by another program. Invariant: a cell fails when mean or
//! standard deviation differ by more than five standard errors, taken with the sample's own kurtosis. With the
//! table's own 1,000 to 4,000 repetitions all 135 cells agree (two minutes; here a share of them).

use super::{Channel, simulate_ensemble};
use crate::simulate::{Activation, Block, ChainSpec, Init};

pub(super) fn spec_of(ensemble: &str, depth: usize, width: usize) -> Option<ChainSpec> {
    let base = ChainSpec::uniform(depth, width);
    match ensemble {
        "gauss g=1" => Some(base),
        "orth g=1" => Some(ChainSpec {
            init: Init::Orthogonal,
            ..base
        }),
        "relu He" => Some(ChainSpec {
            init: Init::He,
            activation: Activation::Relu,
            ..base
        }),
        "tanh g=1 sb=.05" => Some(ChainSpec {
            bias_sd: 0.05,
            activation: Activation::Tanh,
            ..base
        }),
        "preLN resid" => Some(ChainSpec {
            block: Block::PreNorm,
            activation: Activation::Relu,
            ..base
        }),
        _ => None,
    }
}

/// Place of a channel among the trends of a network.
pub(super) fn channel_of(name: &str) -> usize {
    Channel::ALL
        .iter()
        .position(|channel| channel.name() == name)
        .unwrap()
}

struct Moments {
    n: f64,
    mean: f64,
    sd: f64,
    kurtosis: f64,
}

fn moments(values: &[f64]) -> Moments {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let central = |power: i32| values.iter().map(|v| (v - mean).powi(power)).sum::<f64>() / n;
    let variance = central(2);
    Moments {
        n,
        mean,
        sd: variance.sqrt(),
        kurtosis: central(4) / variance.powi(2),
    }
}

/// Compares the cells that `repetitions` gives a number for; returns how many.
fn check_cells(repetitions: impl Fn(usize, usize) -> Option<u32>) -> usize {
    let table = include_str!("../../../fixtures/oracles/calib_threshold.csv");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .skip(1)
        .map(|line| line.split(',').collect())
        .collect();
    let mut cells = 0;
    for cell in rows.chunk_by(|a, b| a[..3] == b[..3]) {
        let number = |text: &str| text.parse::<usize>().unwrap();
        let (depth, width) = (number(cell[0][1]), number(cell[0][2]));
        let Some((count, spec)) = repetitions(depth, width).zip(spec_of(cell[0][0], depth, width)) else {
            continue;
        };
        let networks = simulate_ensemble(&spec, count, 1, &|_| ()).unwrap();
        for row in cell {
            let channel = channel_of(row[3]);
            let slopes: Vec<f64> = networks
                .iter()
                .filter_map(|n| n.trends[channel].map(|t| t.slope))
                .collect();
            check_cell(row, &moments(&slopes));
            cells += 1;
        }
    }
    cells
}

fn check_cell(row: &[&str], got: &Moments) {
    let number = |text: &str| text.parse::<f64>().unwrap();
    let (reps, mean, sd) = (number(row[4]), number(row[5]), number(row[6]));
    if sd == 0.0 {
        assert!(got.mean.abs() < 1e-12 && got.sd < 1e-12, "{row:?}");
        return;
    }
    // The table has four digits.
    let rounding = 1e-4 * mean.abs().max(sd);
    let mean_error = (got.sd.powi(2) / got.n + sd.powi(2) / reps).sqrt();
    assert!(
        (got.mean - mean).abs() < 5.0 * mean_error + rounding,
        "{row:?}: mean {}",
        got.mean
    );
    let relative = ((got.kurtosis.max(3.0) - 1.0) / 4.0 * (1.0 / got.n + 1.0 / reps)).sqrt();
    assert!(
        (got.sd / sd - 1.0).abs() < 5.0 * relative + 1e-3,
        "{row:?}: sd {} +- {relative}",
        got.sd
    );
}

#[test]
fn healthy_slopes_are_the_measured_ones() {
    let cells = check_cells(|depth, width| match (depth, width) {
        (8, 16 | 64) => Some(200),
        (8, 256) | (32, 16) => Some(40),
        _ => None,
    });
    assert_eq!(cells, 5 * 4 * 3);
}

#[test]
fn gain_shifts_the_slope_of_a_linear_chain_exactly() {
    let base = ChainSpec::uniform(16, 8);
    let healthy = simulate_ensemble(&base, 20, 3, &|_| ()).unwrap();
    let sick = simulate_ensemble(&ChainSpec { gain: 0.8, ..base }, 20, 3, &|_| ()).unwrap();
    for (a, b) in healthy.iter().zip(&sick) {
        let shift = |channel: usize| b.trends[channel].unwrap().slope - a.trends[channel].unwrap().slope;
        let ln_gain = 0.8f64.ln();
        assert!(
            (shift(0) + ln_gain).abs() < 1e-9 && (shift(1) - ln_gain).abs() < 1e-9 && shift(2).abs() < 1e-9
        );
        assert!((b.iso_gain - a.iso_gain - 16.0 * ln_gain).abs() < 1e-9);
    }
}
