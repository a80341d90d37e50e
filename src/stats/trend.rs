//! Exponential growth over time: a straight line through `ln value`.
//!
//! In: steps and values. Out: a [`Line`] in `ln value` per step. Invariant: values that have no logarithm are
//! left out, never replaced.

use super::depth_fit::{Line, ols};

/// Keeps the pairs whose value is finite and above zero, as (step, ln value), in two buffers of the caller.
pub fn positive_logs(steps: &[f64], values: &[f64], kept_steps: &mut Vec<f64>, logs: &mut Vec<f64>) {
    kept_steps.clear();
    logs.clear();
    for (step, value) in steps.iter().zip(values) {
        if value.is_finite() && *value > 0.0 && step.is_finite() {
            kept_steps.push(*step);
            logs.push(value.ln());
        }
    }
}

/// Least-squares line of `ln value` against the step; the slope is the growth rate per step. `None` when
/// fewer than three values have a logarithm or all their steps are equal.
#[must_use]
pub fn log_linear(steps: &[f64], values: &[f64]) -> Option<Line> {
    let (mut kept_steps, mut logs) = (Vec::new(), Vec::new());
    positive_logs(steps, values, &mut kept_steps, &mut logs);
    ols(&kept_steps, &logs)
}

#[cfg(test)]
mod tests {
    use super::log_linear;

    #[test]
    fn doubling_every_ten_steps_is_found_between_zeros_and_nan() {
        let steps: Vec<f64> = (0..40).map(|i| 1e6 + f64::from(i) * 5.0).collect();
        let mut values: Vec<f64> = (0..40).map(|i| 3.0 * (f64::from(i) / 2.0).exp2()).collect();
        values[7] = 0.0;
        values[21] = f64::NAN;
        values[30] = f64::INFINITY;
        let line = log_linear(&steps, &values).unwrap();
        assert!(
            (line.slope - std::f64::consts::LN_2 / 10.0).abs() < 1e-12,
            "{line:?}"
        );
        assert_eq!(line.n, 37);
    }

    #[test]
    fn too_little_data_is_none() {
        assert_eq!(log_linear(&[1.0, 2.0], &[1.0, 2.0]), None);
        assert_eq!(log_linear(&[1.0, 2.0, 3.0], &[1.0, -2.0, 0.0]), None);
        assert_eq!(log_linear(&[5.0; 4], &[1.0, 2.0, 3.0, 4.0]), None);
    }
}
