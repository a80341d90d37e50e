//! Tails: the normal distribution, and what a count of rare events proves.
//!
//! In: plain numbers. Out: probabilities and quantiles, NaN outside the domain. Invariant: a bound on a
//! probability is never 0 when nothing was seen.

use statrs::distribution::{ChiSquared, ContinuousCDF, Normal};

/// P(Z <= z) for a standard normal Z.
#[must_use]
pub fn normal_cdf(z: f64) -> f64 {
    0.5 * statrs::function::erf::erfc(-z * std::f64::consts::FRAC_1_SQRT_2)
}

/// The z that a standard normal number exceeds with probability `p` (0 < p < 1).
#[must_use]
pub fn normal_upper_quantile(p: f64) -> f64 {
    if p > 0.0 && p < 1.0 {
        -Normal::standard().inverse_cdf(p)
    } else {
        f64::NAN
    }
}

/// Factor from a sample's standard deviation to its one-sided upper confidence limit, `sqrt(df / chi2)` with the
/// lower quantile of chi-squared, for normal values; infinite when `degrees` is not positive.
#[must_use]
pub fn sd_upper_factor(degrees: f64, confidence: f64) -> f64 {
    ChiSquared::new(degrees).map_or(f64::INFINITY, |chi| {
        (degrees / chi.inverse_cdf(1.0 - confidence)).sqrt()
    })
}

/// Upper end of the one-sided Clopper-Pearson interval: the largest probability that would still show at most
/// `seen` events in `trials` with probability `1 - confidence`. Clopper and Pearson 1934; for 0 of n it is
/// `1 - (1 - confidence)^(1/n)`.
#[must_use]
pub fn clopper_pearson_upper(seen: u64, trials: u64, confidence: f64) -> f64 {
    if trials == 0 || seen >= trials {
        return 1.0;
    }
    let rest = 1.0 - confidence;
    let (successes, failures) = (seen as f64 + 1.0, (trials - seen) as f64);
    // P(X <= seen | p) = 1 - I_p(seen + 1, trials - seen) falls in p: bisection cannot fail.
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if 1.0 - statrs::function::beta::beta_reg(successes, failures, middle) > rest {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::{clopper_pearson_upper, normal_cdf, normal_upper_quantile};

    #[test]
    fn normal_quantiles_are_the_tabulated_ones() {
        assert!((normal_upper_quantile(5e-4) - 3.290_526_731).abs() < 1e-8);
        assert!((normal_upper_quantile(1e-8) - 5.612_001_244).abs() < 1e-7);
        assert!((normal_cdf(-3.290_526_731) - 5e-4).abs() < 1e-12);
        assert!(normal_upper_quantile(0.0).is_nan() && normal_upper_quantile(1.0).is_nan());
    }

    #[test]
    fn nothing_seen_still_has_a_bound() {
        let bound = clopper_pearson_upper(0, 4_000, 0.95);
        assert!(
            (bound - (1.0 - 0.05f64.powf(1.0 / 4_000.0))).abs() < 1e-12,
            "{bound}"
        );
        assert!((bound - 7.5e-4).abs() < 2e-6);
        assert_eq!(clopper_pearson_upper(0, 0, 0.95), 1.0);
        assert_eq!(clopper_pearson_upper(5, 5, 0.95), 1.0);
    }

    /// 5 of 50 at 95 % one-sided: 0.2010 (tables of the exact binomial).
    #[test]
    fn bound_agrees_with_the_binomial() {
        let bound = clopper_pearson_upper(5, 50, 0.95);
        let choose = |k: u32| (0..k).fold(1.0, |c, i| c * f64::from(50 - i) / f64::from(i + 1));
        let at_most_five: f64 = (0..=5)
            .map(|k| choose(k) * bound.powi(k as i32) * (1.0 - bound).powi(50 - k as i32))
            .sum();
        assert!((at_most_five - 0.05).abs() < 1e-9, "{bound} {at_most_five}");
    }
}
