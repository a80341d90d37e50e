//! The 99.9 % quantiles of healthy slopes against the measured table, within the Monte Carlo error of both.
//!
//! In: `fixtures/oracles/calib_threshold.csv`, an excerpt of the table in the shared data directory beside the
//! checkout. Invariant: the comparison assumes no distribution of slopes. The table's quantile is the order statistic of
//! rank i = floor(0.999 (N - 1)) of its N networks, so that the share of all networks beyond it is Beta(N - i, i + 1),
//! and the number beyond it of R fresh ones is beta-binomial. A cell fails when that number lies in a tail of 1e-5.
//!
//! Debug builds simulate a share of the networks: few lie beyond the quantile, and only too heavy a tail is seen; builds
//! with optimisation simulate as many as the table did.

use super::tests::{channel_of, spec_of};
use super::{DepthTrend, simulate_ensemble};

/// Probability of either tail at which a cell fails: 1 in 400 for all 135 cells together.
const TAIL: f64 = 1e-5;
const QUANTILE: f64 = 0.999;

/// `P(K = 0), P(K = 1) ...` of a beta-binomial count of `n` with Beta(`a`, `b`).
fn beta_binomial(n: u32, a: f64, b: f64) -> Vec<f64> {
    let mut p: f64 = (0..n)
        .map(|i| ((b + f64::from(i)) / (a + b + f64::from(i))).ln())
        .sum::<f64>()
        .exp();
    let mut all = vec![p];
    for k in 0..n {
        let (k, n) = (f64::from(k), f64::from(n));
        p *= (n - k) / (k + 1.0) * (k + a) / (n - k - 1.0 + b);
        all.push(p);
    }
    all
}

fn rank(reps: f64) -> f64 {
    (QUANTILE * (reps - 1.0)).floor()
}

/// Probability of `count` or fewer, and of `count` or more, of `n` fresh networks beyond the quantile of `reps`.
fn tails(count: u32, n: u32, reps: f64) -> (f64, f64) {
    let p = beta_binomial(n, reps - rank(reps), rank(reps) + 1.0);
    let (below, above) = p.split_at(count as usize);
    (below.iter().sum::<f64>() + above[0], above.iter().sum())
}

#[test]
fn the_count_beyond_a_quantile_has_the_stated_distribution() {
    let p = beta_binomial(4_000, 5.0, 3_996.0);
    let sum: f64 = p.iter().sum();
    let mean: f64 = p.iter().zip(0..).map(|(p, k)| p * f64::from(k)).sum();
    assert!(
        (sum - 1.0).abs() < 1e-9 && (mean - 4_000.0 * 5.0 / 4_001.0).abs() < 1e-6,
        "{sum} {mean}"
    );
    // 30 of 4,000 (seven times the share) fail, 10 do not; a light tail needs ten times as many networks to be seen.
    assert!(tails(30, 4_000, 4_000.0).1 < TAIL && tails(10, 4_000, 4_000.0).1 > TAIL);
    assert!(tails(0, 40_000, 4_000.0).0 < TAIL && tails(0, 4_000, 4_000.0).0 > TAIL);
}

/// Networks to simulate for a cell.
fn repetitions(depth: usize, width: usize, reps: u32) -> u32 {
    if !cfg!(debug_assertions) {
        return reps;
    }
    match (depth, width) {
        (8, 16) => 300,
        (8, 64) => 120,
        (8, 256) | (32, 64) => 30,
        (32, 16) => 75,
        (32, 256) | (128, 64) => 8,
        (128, 16) => 20,
        _ => 2,
    }
}

#[test]
fn the_tails_of_healthy_slopes_are_the_measured_ones() {
    let table = include_str!("../../../fixtures/oracles/calib_threshold.csv");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .skip(1)
        .map(|line| line.split(',').collect())
        .collect();
    let number = |text: &str| text.parse::<f64>().unwrap();
    let (mut cells, mut beyond, mut expected) = (0, 0, 0.0);
    for cell in rows.chunk_by(|a, b| a[..3] == b[..3]) {
        let (depth, width) = (number(cell[0][1]) as usize, number(cell[0][2]) as usize);
        if ![8, 32, 128].contains(&depth) || ![16, 64, 256].contains(&width) {
            continue;
        }
        let spec = spec_of(cell[0][0], depth, width).unwrap();
        let n = repetitions(depth, width, number(cell[0][4]) as u32);
        let networks = simulate_ensemble(&spec, n, 2, &|_| ()).unwrap();
        for row in cell {
            let slope = |trend: &DepthTrend| trend.slope.abs();
            let trends = networks.iter().filter_map(|it| it.trends[channel_of(row[3])]);
            let slopes: Vec<f64> = trends.map(|it| slope(&it)).collect();
            let quantile = number(row[7]);
            cells += 1;
            if quantile == 0.0 {
                assert!(slopes.iter().all(|slope| *slope < 1e-12), "{row:?}");
                continue;
            }
            // Half a unit of the table's four digits.
            let count = slopes.iter().filter(|slope| **slope > quantile * 1.000_5).count() as u32;
            let (low, high) = tails(count, slopes.len() as u32, number(row[4]));
            assert!(
                low > TAIL && high > TAIL,
                "{row:?}: {count} of {n} beyond {quantile}: {low:e}, {high:e}"
            );
            beyond += count;
            expected += slopes.len() as f64 * (1.0 - (rank(number(row[4])) + 1.0) / (number(row[4]) + 1.0));
        }
    }
    eprintln!("{cells} cells; beyond the quantiles: {beyond} networks, {expected:.0} expected");
    assert_eq!(cells, 5 * 9 * 3);
}

#[test]
fn the_excerpt_is_the_table() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../shared/oracles/calib_threshold_fpr1e3.csv"
    );
    let Ok(table) = std::fs::read_to_string(path) else {
        eprintln!("skipped: no shared data directory beside the checkout");
        return;
    };
    let lines: std::collections::HashSet<&str> = table.lines().collect();
    let excerpt = include_str!("../../../fixtures/oracles/calib_threshold.csv");
    assert!(excerpt.lines().all(|line| lines.contains(line)));
}
