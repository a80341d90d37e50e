//! Growth of a Gaussian linear layer: mean and variance of `ln(|W x| / |x|)`.
//!
//! In: widths and gain. Out: the exact moments, because `|W x|^2 = g^2 |x|^2 chi2(m_out) / m_in`. Invariant:
//! the formulas hold for every width from 1.

use crate::stats::{digamma, trigamma};

/// Moments of the logarithm of a layer's gain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogGain {
    /// `lambda = ln g + (psi(m_out / 2) + ln(2 / m_in)) / 2`, per layer.
    pub mean: f64,
    /// `psi'(m_out / 2) / 4`, about `1 / (2 m_out)`.
    pub variance: f64,
}

/// The moments for `m_out x m_in` weights of `N(0, g^2 / m_in)`.
#[must_use]
pub fn log_gain(m_out: usize, m_in: usize, gain: f64) -> LogGain {
    let half = m_out as f64 / 2.0;
    LogGain {
        mean: gain.abs().ln() + 0.5 * (digamma(half) + (2.0 / m_in as f64).ln()),
        variance: 0.25 * trigamma(half),
    }
}

/// The gain at which `lambda` is 0: about `1 + 1 / (2 m)` for square layers.
#[must_use]
pub fn critical_gain(m_out: usize, m_in: usize) -> f64 {
    (-log_gain(m_out, m_in, 1.0).mean).exp()
}

#[cfg(test)]
mod tests {
    use super::{critical_gain, log_gain};

    /// The table of 50-digit values: `m_out, m_in, g, lambda, variance, critical g, depth, mean, sd`.
    #[test]
    fn every_row_of_the_oracle_agrees() {
        let table = include_str!("../../fixtures/oracles/lyapunov.csv");
        let mut rows = 0;
        for line in table.lines().skip(1) {
            let field: Vec<f64> = line.split(',').map(|text| text.parse().unwrap()).collect();
            let gain = log_gain(field[0] as usize, field[1] as usize, field[2]);
            let close = |got: f64, expected: f64| (got - expected).abs() <= 1e-12 * (1.0 + expected.abs());
            assert!(close(gain.mean, field[3]), "{line}: {gain:?}");
            assert!((gain.variance / field[4] - 1.0).abs() < 1e-12, "{line}: {gain:?}");
            assert!(
                close(critical_gain(field[0] as usize, field[1] as usize), field[5]),
                "{line}"
            );
            assert!(close(field[6] * gain.mean, field[7]), "{line}");
            assert!(close((field[6] * gain.variance).sqrt(), field[8]), "{line}");
            rows += 1;
        }
        eprintln!("{rows} rows agree");
        assert_eq!(rows, 39);
        let whole = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../shared/oracles/oracle_lyapunov.csv"
        );
        match std::fs::read_to_string(whole) {
            Ok(whole) => assert_eq!(whole, table),
            Err(_) => eprintln!("skipped: no shared data directory beside the checkout"),
        }
    }
}
