//! Has a noisy series changed: a robust two-sample t with the effective sample size, and a straight line.
//!
//! In: slices of values in order of time. Out: plain numbers. Invariant: pure; autocorrelation makes a test
//! weaker, never stronger.

use super::window::upper_median;

/// Median, and 1.4826 times the median absolute deviation from it; `None` without values.
#[must_use]
pub fn median_and_scale(values: &[f64]) -> Option<(f64, f64)> {
    let mut work = values.to_vec();
    let median = upper_median(&mut work)?;
    for value in &mut work {
        *value = (*value - median).abs();
    }
    Some((median, 1.4826 * upper_median(&mut work)?))
}

/// Number of independent values that `values` are worth: `n (1 - r) / (1 + r)` with the lag-1
/// autocorrelation r of an AR(1) process, from 2 to n. Values are clipped at three scales first, so that
/// one outlier does not hide the correlation.
#[must_use]
pub fn effective_size(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let Some((median, scale)) = median_and_scale(values) else {
        return 0.0;
    };
    if scale == 0.0 || n < 4.0 {
        return n;
    }
    let clip = |v: f64| (v - median).clamp(-3.0 * scale, 3.0 * scale);
    let (mut sum_square, mut sum_lag) = (0.0, 0.0);
    for (i, value) in values.iter().enumerate() {
        sum_square += clip(*value).powi(2);
        if let Some(next) = values.get(i + 1) {
            sum_lag += clip(*value) * clip(*next);
        }
    }
    let r = (sum_lag / sum_square).clamp(0.0, 0.98);
    (n * (1.0 - r) / (1.0 + r)).clamp(2.0_f64.min(n), n)
}

/// How the medians of two parts of a series differ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shift {
    /// Median of the earlier part.
    pub early: f64,
    /// Median of the later part.
    pub late: f64,
    /// `(early - late)` in standard errors; positive when the series fell. Infinite without noise.
    pub t_fall: f64,
    /// Standard error of `early - late`.
    pub se: f64,
}

/// Compares two parts of a series: Welch's t with medians, robust scales and effective sizes (the standard error of a
/// median is 1.2533 sd / sqrt(n)).
#[must_use]
pub fn shift(early: &[f64], late: &[f64]) -> Option<Shift> {
    let (median_early, scale_early) = median_and_scale(early)?;
    let (median_late, scale_late) = median_and_scale(late)?;
    let variance = scale_early.powi(2) / effective_size(early) + scale_late.powi(2) / effective_size(late);
    let fall = median_early - median_late;
    let se = 1.2533 * variance.sqrt();
    let t_fall = if fall == 0.0 { 0.0 } else { fall / se };
    Some(Shift {
        early: median_early,
        late: median_late,
        t_fall,
        se,
    })
}

/// A straight line through equally weighted points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// Change of y per x.
    pub slope: f64,
    /// Standard error of the slope.
    pub slope_se: f64,
    /// Standard deviation of the residuals.
    pub residual_sd: f64,
}

/// Least squares; `None` below three points or when all x are equal.
#[must_use]
pub fn line(points: &[(f64, f64)]) -> Option<Line> {
    let n = points.len() as f64;
    if points.len() < 3 {
        return None;
    }
    let (mean_x, mean_y) = points
        .iter()
        .fold((0.0, 0.0), |(x, y), p| (x + p.0 / n, y + p.1 / n));
    let (mut sxx, mut sxy, mut syy) = (0.0, 0.0, 0.0);
    for (x, y) in points {
        let (dx, dy) = (x - mean_x, y - mean_y);
        sxx += dx * dx;
        sxy += dx * dy;
        syy += dy * dy;
    }
    if sxx <= 0.0 {
        return None;
    }
    let slope = sxy / sxx;
    let variance = ((syy - slope * sxy) / (n - 2.0)).max(0.0);
    Some(Line {
        slope,
        slope_se: (variance / sxx).sqrt(),
        residual_sd: variance.sqrt(),
    })
}

#[cfg(test)]
mod tests {
    use super::{effective_size, line, shift};

    fn uniform(state: &mut u64) -> f64 {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (*state >> 11) as f64 / (1u64 << 53) as f64
    }

    fn ar(state: &mut u64, n: usize, r: f64) -> Vec<f64> {
        let mut y = 0.0;
        (0..n)
            .map(|_| {
                y = r * y + uniform(state) - 0.5;
                y
            })
            .collect()
    }

    #[test]
    fn correlation_costs_effective_size() {
        let mut state = 3;
        let white = effective_size(&ar(&mut state, 400, 0.0));
        let slow = effective_size(&ar(&mut state, 400, 0.9));
        // Theory for AR(.9): 400 x .1 / 1.9 = 21.
        assert!(white > 320.0, "{white}");
        assert!((8.0..60.0).contains(&slow), "{slow}");
    }

    #[test]
    fn flat_series_rarely_fall_significantly() {
        for r in [0.0, 0.5, 0.9] {
            let mut state = 11;
            let above = (0..400)
                .filter(|_| {
                    let series = ar(&mut state, 300, r);
                    shift(&series[..100], &series[200..]).unwrap().t_fall > 3.0
                })
                .count();
            assert!(above <= 12, "r={r}: {above} of 400");
        }
    }

    #[test]
    fn a_clear_fall_is_significant() {
        let mut state = 5;
        let series: Vec<f64> = ar(&mut state, 90, 0.0)
            .iter()
            .enumerate()
            .map(|(i, y)| y - 0.02 * i as f64)
            .collect();
        let result = shift(&series[..30], &series[60..]).unwrap();
        assert!(result.t_fall > 6.0 && result.early > result.late);
    }

    #[test]
    fn line_is_exact_on_a_line() {
        let points: Vec<(f64, f64)> = (0..10)
            .map(|i| (f64::from(i), 3.0 - 0.5 * f64::from(i)))
            .collect();
        let fit = line(&points).unwrap();
        assert!((fit.slope + 0.5).abs() < 1e-12 && fit.residual_sd < 1e-9);
        assert_eq!(line(&points[..2]), None);
        assert_eq!(line(&[(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]), None);
    }
}
