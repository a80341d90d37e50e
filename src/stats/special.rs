//! Special functions: digamma, trigamma, and the tail of Student's t.
//!
//! In: plain numbers. Out: plain numbers, NaN outside the domain. Invariant: the relative error of `trigamma`
//! is below 1e-14 for x > 0. `statrs` has digamma and Student's t, but no trigamma.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// psi(x), the logarithmic derivative of the gamma function.
#[must_use]
pub fn digamma(x: f64) -> f64 {
    statrs::function::gamma::digamma(x)
}

/// psi'(x) for x > 0, NaN otherwise: recurrence psi'(x) = psi'(x + 1) + 1/x^2 up to x >= 12, then the
/// asymptotic series of Abramowitz and Stegun 6.4.12, whose first term left out is below 1e-15 there.
#[must_use]
pub fn trigamma(x: f64) -> f64 {
    /// Bernoulli numbers `B_2 .. B_14`.
    const BERNOULLI: [f64; 7] = [
        1.0 / 6.0,
        -1.0 / 30.0,
        1.0 / 42.0,
        -1.0 / 30.0,
        5.0 / 66.0,
        -691.0 / 2730.0,
        7.0 / 6.0,
    ];
    if x.is_nan() || x <= 0.0 {
        return f64::NAN;
    }
    let mut x = x;
    let mut shifted = 0.0;
    while x < 12.0 {
        shifted += 1.0 / (x * x);
        x += 1.0;
    }
    let inverse_square = 1.0 / (x * x);
    let series = BERNOULLI
        .iter()
        .rev()
        .fold(0.0, |sum, b| (sum + b) * inverse_square);
    shifted + 1.0 / x + 0.5 * inverse_square + series / x
}

/// P(|T| > |t|) for Student's t with `degrees` degrees of freedom; NaN when `degrees` is not positive or `t`
/// is NaN.
#[must_use]
pub fn student_t_two_sided(t: f64, degrees: f64) -> f64 {
    match StudentsT::new(0.0, 1.0, degrees) {
        Ok(distribution) if !t.is_nan() => 2.0 * distribution.sf(t.abs()),
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::{digamma, student_t_two_sided, trigamma};
    use std::f64::consts::PI;

    #[test]
    fn trigamma_has_its_known_values() {
        let at_one = PI * PI / 6.0;
        assert!((trigamma(1.0) / at_one - 1.0).abs() < 1e-14);
        assert!((trigamma(0.5) / (PI * PI / 2.0) - 1.0).abs() < 1e-14);
        // psi'(n + 1) = pi^2 / 6 - sum of 1 / k^2 up to n.
        let partial: f64 = (1..=19_u32).rev().map(|k| 1.0 / f64::from(k * k)).sum();
        assert!((trigamma(20.0) / (at_one - partial) - 1.0).abs() < 1e-13);
        assert!((trigamma(1e8) * 1e8 - 1.0).abs() < 1e-8);
    }

    #[test]
    fn trigamma_is_the_slope_of_digamma() {
        for x in [0.7, 1.5, 4.0, 11.9, 12.1, 64.0] {
            let h = 1e-4 * x;
            let slope = (digamma(x + h) - digamma(x - h)) / (2.0 * h);
            assert!((trigamma(x) / slope - 1.0).abs() < 1e-6, "x = {x}");
        }
    }

    #[test]
    fn outside_the_domain_is_nan() {
        assert!(trigamma(0.0).is_nan() && trigamma(-1.5).is_nan() && trigamma(f64::NAN).is_nan());
        assert!(student_t_two_sided(1.0, 0.0).is_nan() && student_t_two_sided(f64::NAN, 3.0).is_nan());
    }

    #[test]
    fn student_t_with_one_degree_is_cauchy() {
        assert!((student_t_two_sided(1.0, 1.0) - 0.5).abs() < 1e-12);
        assert!((student_t_two_sided(-1.0, 1.0) - 0.5).abs() < 1e-12);
    }
}
