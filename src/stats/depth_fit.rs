//! Straight lines through `ln norm` against depth, and how far to trust them.
//!
//! In: layer ranks `x` (strictly rising, gaps allowed) and `y = ln norm`, two slices of one length, all finite.
//! Out: slopes per layer, rank correlation, standard errors. Invariant: nothing here decides; a healthy network
//! has residuals that are a random walk over depth (frozen products of random matrices), so the usual t-test
//! rejects 46 to 90 % of healthy networks and only effect sizes are judged.

use super::robust::median;

/// Above this many layers the quadratic fit works on evenly thinned layers: 4560 pairs, about 40 microseconds.
pub const FIT_LAYERS_MAX: usize = 96;

/// A least-squares line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// Change of `y` per unit of `x`.
    pub slope: f64,
    /// `y` at `x = 0`.
    pub intercept: f64,
    /// Residual sum of squares.
    pub sse: f64,
    /// Standard error of the slope if the residuals were independent; 0 with an exact fit, NaN with two points.
    pub se: f64,
    /// Points used.
    pub n: usize,
}

impl Line {
    /// Residual variance with n - 2 degrees of freedom.
    #[must_use]
    pub fn residual_variance(&self) -> f64 {
        self.sse / (self.n as f64 - 2.0)
    }
}

/// Least-squares line of `y` against `x`. `None` below three points or when all `x` are equal.
#[must_use]
pub fn ols(x: &[f64], y: &[f64]) -> Option<Line> {
    let n = x.len().min(y.len());
    if n < 3 {
        return None;
    }
    let count = n as f64;
    let x_mean = x.iter().take(n).sum::<f64>() / count;
    let y_mean = y.iter().take(n).sum::<f64>() / count;
    let (mut sxx, mut sxy) = (0.0, 0.0);
    for (xi, yi) in x.iter().zip(y) {
        sxx += (xi - x_mean) * (xi - x_mean);
        sxy += (xi - x_mean) * (yi - y_mean);
    }
    if sxx <= 0.0 {
        return None;
    }
    let slope = sxy / sxx;
    // Second pass over the residuals: syy - slope * sxy would cancel for a line that fits well.
    let sse = x
        .iter()
        .zip(y)
        .map(|(xi, yi)| (yi - y_mean - slope * (xi - x_mean)).powi(2))
        .sum::<f64>();
    let se = (sse / (count - 2.0) / sxx).sqrt();
    Some(Line {
        slope,
        intercept: y_mean - slope * x_mean,
        sse,
        se,
        n,
    })
}

/// What all pairs of points say together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairFit {
    /// Theil-Sen: the median of the slopes of all pairs.
    pub slope: f64,
    /// Kendall's S: rising pairs minus falling pairs; a tie counts for neither.
    pub kendall_s: i64,
    /// Kendall's tau-b, S corrected for ties in `y`; 0 when all `y` are equal.
    pub tau: f64,
}

/// Theil-Sen slope and Kendall's tau-b of `y` against strictly rising `x`. O(n^2) time; `scratch` holds the
/// slopes. `None` below two points.
///
/// One bad end layer (x100) moves this slope by x1.3 in total over 12 layers, a least-squares slope by x7.
#[must_use]
pub fn pair_fit(x: &[f64], y: &[f64], scratch: &mut Vec<f64>) -> Option<PairFit> {
    scratch.clear();
    let mut s = 0_i64;
    let mut tied = 0_u64;
    let points = || x.iter().zip(y);
    for (i, (xi, yi)) in points().enumerate() {
        for (xj, yj) in points().skip(i + 1) {
            let rise = yj - yi;
            scratch.push(rise / (xj - xi));
            s += i64::from(rise > 0.0) - i64::from(rise < 0.0);
            tied += u64::from(rise == 0.0);
        }
    }
    let pairs = scratch.len() as f64;
    let untied = pairs - tied as f64;
    let slope = median(scratch)?;
    let tau = if untied > 0.0 {
        s as f64 / (pairs * untied).sqrt()
    } else {
        0.0
    };
    Some(PairFit {
        slope,
        kendall_s: s,
        tau,
    })
}

/// Slope between the first and the last point. `None` below two points.
#[must_use]
pub fn endpoint_slope(x: &[f64], y: &[f64]) -> Option<f64> {
    let (x0, x1, y0, y1) = (x.first()?, x.last()?, y.first()?, y.last()?);
    (x1 > x0).then(|| (y1 - y0) / (x1 - x0))
}

/// Mean squared step from one layer to the next. `None` below two points.
#[must_use]
pub fn mean_square_step(y: &[f64]) -> Option<f64> {
    let steps = y.len().checked_sub(1).filter(|n| *n > 0)?;
    let sum: f64 = y.windows(2).map(|pair| (pair[1] - pair[0]).powi(2)).sum();
    Some(sum / steps as f64)
}

/// Standard error of a slope that is honest for healthy networks:
/// `max(least-squares se, sd(step) sqrt(6 (n^2 + 1) / (5 n (n^2 - 1))))`. The second is the exact standard
/// deviation of a least-squares slope through a random walk of `n` points; with it the share of healthy
/// profiles rejected at 1e-3 was at most .0012 for white, autocorrelated, random-walk and heavy-tailed
/// residuals (the t-test alone: .034 at n = 6, .79 at n = 96). Gaps in `x` count as several steps.
/// `None` below four points.
#[must_use]
pub fn random_walk_se(x: &[f64], y: &[f64]) -> Option<f64> {
    let line = ols(x, y).filter(|line| line.n >= 4)?;
    let drift = endpoint_slope(x, y)?;
    let square_steps: f64 = x
        .windows(2)
        .zip(y.windows(2))
        .map(|(xs, ys)| {
            let gap = xs[1] - xs[0];
            (ys[1] - ys[0] - drift * gap).powi(2) / gap
        })
        .sum();
    let step_variance = square_steps / (line.n as f64 - 2.0);
    let n = (x.last()? - x.first()? + 1.0).max(2.0);
    let walk = (step_variance * 6.0 * (n * n + 1.0) / (5.0 * n * (n * n - 1.0))).sqrt();
    Some(line.se.max(walk))
}

/// Lag-one autocorrelation of the residuals around `line`; NaN when the fit is exact. Near 1 for the random
/// walk of a healthy network, near 0 for noise around a geometric trend.
#[must_use]
pub fn lag1_of_residuals(x: &[f64], y: &[f64], line: &Line) -> f64 {
    let residual = |(xi, yi): (&f64, &f64)| yi - line.intercept - line.slope * xi;
    let products: f64 = x
        .iter()
        .zip(y)
        .zip(x.iter().zip(y).skip(1))
        .map(|(here, next)| residual(here) * residual(next))
        .sum();
    products / line.sse
}

/// Which curve a profile over depth follows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DepthShape {
    /// Residual sum of squares of `y` on the rank: the norm is geometric in depth.
    pub geometric_sse: f64,
    /// The better of `y` on `ln k` and on `ln (n + 1 - k)`: a power law from the input or from the output.
    pub power_sse: f64,
}

impl DepthShape {
    /// Whether the straight line fits at least as well. Right in .82 to 1.00 of geometric chains at 16 layers
    /// and in .99 at 32; unreliable (.14 to .94) below 16.
    #[must_use]
    pub fn is_geometric(&self) -> bool {
        self.geometric_sse <= self.power_sse
    }
}

/// Compares the geometric shape with the two power laws over `n_layers` layers; `x` counts from 0 at the input.
/// Pre-norm residual networks and the chain with w = 1 and biases are healthy power laws. `None` below four
/// points.
#[must_use]
pub fn depth_shape(x: &[f64], y: &[f64], n_layers: usize) -> Option<DepthShape> {
    let geometric = ols(x, y).filter(|line| line.n >= 4)?;
    let from_input: Vec<f64> = x.iter().map(|k| (k + 1.0).ln()).collect();
    let from_output: Vec<f64> = x.iter().map(|k| (n_layers as f64 - k).max(1.0).ln()).collect();
    let power_sse = [ols(&from_input, y), ols(&from_output, y)]
        .into_iter()
        .flatten()
        .map(|line| line.sse)
        .fold(f64::INFINITY, f64::min);
    Some(DepthShape {
        geometric_sse: geometric.sse,
        power_sse,
    })
}

/// Thins two parallel vectors to at most `limit` points, evenly spaced, first and last kept, so that quadratic
/// fits stay cheap. Random-walk residuals stay a random walk, so the error of the slope hardly grows.
pub fn thin_evenly(x: &mut Vec<f64>, y: &mut Vec<f64>, limit: usize) {
    let n = x.len().min(y.len());
    if n <= limit || limit < 2 {
        return;
    }
    for i in 0..limit {
        // Rises strictly because n > limit, so a place is read before it is written over.
        let from = i * (n - 1) / (limit - 1);
        x[i] = x[from];
        y[i] = y[from];
    }
    x.truncate(limit);
    y.truncate(limit);
}

#[cfg(test)]
mod tests {
    use super::{depth_shape, ols, pair_fit, random_walk_se, thin_evenly};

    fn ranks(n: u32) -> Vec<f64> {
        (0..n).map(f64::from).collect()
    }

    #[test]
    fn one_bad_end_layer_hardly_moves_theil_sen() {
        let x = ranks(12);
        let mut y = vec![0.0; 12];
        y[11] = 100_f64.ln();
        let robust = pair_fit(&x, &y, &mut Vec::new()).unwrap();
        let least_squares = ols(&x, &y).unwrap();
        assert_eq!(robust.slope, 0.0);
        assert!(robust.tau < 0.5);
        assert!((least_squares.slope * 11.0).exp() > 6.0, "{least_squares:?}");
    }

    #[test]
    fn ties_do_not_count_for_either_side() {
        let x = ranks(4);
        let flat = pair_fit(&x, &[2.0; 4], &mut Vec::new()).unwrap();
        assert_eq!((flat.slope, flat.kendall_s, flat.tau), (0.0, 0, 0.0));
        let stairs = pair_fit(&x, &[0.0, 0.0, 1.0, 1.0], &mut Vec::new()).unwrap();
        assert_eq!(stairs.kendall_s, 4);
        assert!((stairs.tau - 4.0 / 24_f64.sqrt()).abs() < 1e-15);
    }

    #[test]
    fn gaps_in_depth_keep_the_true_slope() {
        let x = [0.0, 1.0, 4.0, 9.0, 10.0];
        let y: Vec<f64> = x.iter().map(|k| 3.0 - 0.25 * k).collect();
        assert!((pair_fit(&x, &y, &mut Vec::new()).unwrap().slope + 0.25).abs() < 1e-15);
        assert!(random_walk_se(&x, &y).unwrap() < 1e-14);
    }

    #[test]
    fn walk_se_exceeds_the_naive_one_for_a_walk() {
        let x = ranks(64);
        let y: Vec<f64> = x.iter().map(|k| (k * 0.1).sin() * 4.0).collect();
        let naive = ols(&x, &y).unwrap().se;
        assert!(random_walk_se(&x, &y).unwrap() >= naive);
    }

    #[test]
    fn shapes_are_told_apart() {
        let x = ranks(32);
        let geometric: Vec<f64> = x.iter().map(|k| 0.2 * k).collect();
        let power: Vec<f64> = x.iter().map(|k| 2.0 * (k + 1.0).ln()).collect();
        assert!(depth_shape(&x, &geometric, 32).unwrap().is_geometric());
        assert!(!depth_shape(&x, &power, 32).unwrap().is_geometric());
        assert_eq!(depth_shape(&x[..3], &power[..3], 32), None);
    }

    #[test]
    fn thinning_keeps_both_ends() {
        let (mut x, mut y) = (ranks(1000), ranks(1000));
        thin_evenly(&mut x, &mut y, 96);
        assert_eq!((x.len(), x[0], x[95]), (96, 0.0, 999.0));
        assert!(x.windows(2).all(|pair| pair[1] > pair[0]));
        assert_eq!(x, y);
        thin_evenly(&mut x, &mut y, 200);
        assert_eq!(x.len(), 96);
    }
}
