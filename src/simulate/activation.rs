//! The activation functions and their slopes.
//!
//! In: a pre-activation. Out: the activation and its derivative. Invariant: the derivative is that of the
//! function as computed here; `ReLU` has slope 0 at 0, as frameworks have it.

/// A function applied to every pre-activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `z`.
    Linear,
    /// `max(z, 0)`.
    Relu,
    /// `tanh z`.
    Tanh,
    /// `1 / (1 + e^-z)`.
    Sigmoid,
    /// `z Phi(z)` with the exact normal distribution function.
    Gelu,
}

impl Activation {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Linear, Self::Relu, Self::Tanh, Self::Sigmoid, Self::Gelu];

    /// Name in arguments and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Relu => "relu",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::Gelu => "gelu",
        }
    }

    /// The activation of a pre-activation; `inf * 0` is NaN as in practice.
    #[must_use]
    pub fn apply(self, z: f64) -> f64 {
        match self {
            Self::Linear => z,
            // Written so that NaN passes through.
            Self::Relu => {
                if z < 0.0 {
                    0.0
                } else {
                    z
                }
            }
            Self::Tanh => z.tanh(),
            Self::Sigmoid => 1.0 / (1.0 + (-z).exp()),
            Self::Gelu => z * normal_cdf(z),
        }
    }

    /// The derivative at a pre-activation.
    #[must_use]
    pub fn slope(self, z: f64) -> f64 {
        match self {
            Self::Linear => 1.0,
            Self::Relu => f64::from(u8::from(z > 0.0)),
            Self::Tanh => 1.0 - z.tanh().powi(2),
            Self::Sigmoid => {
                let s = self.apply(z);
                s * (1.0 - s)
            }
            Self::Gelu => normal_cdf(z) + z * (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt(),
        }
    }

    /// Whether `f(c z) = c f(z)` for c > 0, so that a chain without biases may be rescaled.
    #[must_use]
    pub fn is_homogeneous(self) -> bool {
        matches!(self, Self::Linear | Self::Relu)
    }
}

impl std::str::FromStr for Activation {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|activation| activation.name() == text)
            .ok_or_else(|| format!("unknown activation `{text}`: linear, relu, tanh, sigmoid or gelu"))
    }
}

fn normal_cdf(z: f64) -> f64 {
    crate::stats::normal_cdf(z)
}

#[cfg(test)]
mod tests {
    use super::Activation;

    #[test]
    fn slopes_are_differences_of_the_functions() {
        for activation in Activation::ALL {
            for z in [-3.0, -1.2, -0.3, 0.2, 0.9, 4.0] {
                let step = 1e-5;
                let difference = (activation.apply(z + step) - activation.apply(z - step)) / (2.0 * step);
                assert!(
                    (activation.slope(z) - difference).abs() < 1e-8,
                    "{} at {z}",
                    activation.name()
                );
            }
        }
    }

    /// `E phi'(z)^2` for z ~ N(0, q), the variance gain of a backward pass, by the trapezium rule.
    fn backward_gain(activation: Activation, q: f64) -> f64 {
        let (width, half) = (0.001, 12_000_i32);
        let density = |u: f64| (-0.5 * u * u).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let at = |i: i32| f64::from(i) * width;
        (-half..=half)
            .map(|i| activation.slope(q.sqrt() * at(i)).powi(2) * density(at(i)) * width)
            .sum()
    }

    /// Activation factors as published with the measured thresholds.
    #[test]
    fn backward_gains_are_the_known_ones() {
        let known = [
            (Activation::Relu, 1.0, 0.5),
            (Activation::Tanh, 0.01, 0.981),
            (Activation::Tanh, 0.5, 0.593),
            (Activation::Tanh, 1.0, 0.465),
            (Activation::Tanh, 4.0, 0.255),
            (Activation::Sigmoid, 1.0, 0.0449),
            (Activation::Gelu, 1.0, 0.455),
        ];
        for (activation, q, factor) in known {
            let gain = backward_gain(activation, q);
            assert!(
                (gain / factor - 1.0).abs() < 5e-3,
                "{} {q}: {gain}",
                activation.name()
            );
        }
    }

    #[test]
    fn nan_passes_through_every_function() {
        for activation in Activation::ALL {
            assert!(activation.apply(f64::NAN).is_nan(), "{}", activation.name());
        }
    }
}
