//! Rounding to the number formats of training.
//!
//! In: an `f64`. Out: the nearest number of the format, ties to even, with subnormals, and infinity beyond
//! the largest. Invariant: a sum or product of two numbers of a format, computed in `f64` and rounded here,
//! is what the format's own arithmetic gives, because 53 bits are at least 2 p + 2 for p = 24, 11 and 8
//! (Figueroa 1995, "When is double rounding innocuous?").

/// A floating-point format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NumberFormat {
    /// IEEE 754 binary16.
    Float16,
    /// bfloat16: the upper half of binary32.
    Bfloat16,
    /// IEEE 754 binary32.
    Float32,
    /// IEEE 754 binary64.
    Float64,
}

impl NumberFormat {
    /// All of them, narrowest range first.
    pub const ALL: [Self; 4] = [Self::Float16, Self::Bfloat16, Self::Float32, Self::Float64];

    /// The name that training frameworks use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Float16 => "float16",
            Self::Bfloat16 => "bfloat16",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
        }
    }

    /// Bits of the significand with the leading one.
    #[must_use]
    pub fn precision(self) -> i32 {
        match self {
            Self::Float16 => 11,
            Self::Bfloat16 => 8,
            Self::Float32 => 24,
            Self::Float64 => 53,
        }
    }

    /// Smallest normal number: 2^-14, 2^-126, 2^-126, 2^-1022.
    #[must_use]
    pub fn min_normal(self) -> f64 {
        2f64.powi(self.exponent_min())
    }

    /// Largest finite number.
    #[must_use]
    pub fn max(self) -> f64 {
        match self {
            Self::Float16 => 65_504.0,
            Self::Bfloat16 => (2.0 - 2f64.powi(-7)) * 2f64.powi(127),
            Self::Float32 => f64::from(f32::MAX),
            Self::Float64 => f64::MAX,
        }
    }

    /// The nearest number of this format.
    #[must_use]
    pub fn round(self, value: f64) -> f64 {
        match self {
            Self::Float64 => value,
            Self::Float32 => f64::from(value as f32),
            Self::Float16 | Self::Bfloat16 => self.round_half(value),
        }
    }

    fn exponent_min(self) -> i32 {
        match self {
            Self::Float16 => -14,
            Self::Bfloat16 | Self::Float32 => -126,
            Self::Float64 => -1_022,
        }
    }

    fn round_half(self, value: f64) -> f64 {
        if value == 0.0 || !value.is_finite() {
            return value;
        }
        let exponent = ((value.to_bits() >> 52) & 0x7ff) as i32 - 1_023;
        let quantum = 2f64.powi(exponent.max(self.exponent_min()) - (self.precision() - 1));
        // Exact: a quotient by a power of two, of at most 2^149 times a number below 2^1024; a number that
        // overflows here is infinite in the format too.
        let rounded = (value / quantum).round_ties_even() * quantum;
        if rounded.abs() > self.max() {
            f64::INFINITY.copysign(value)
        } else {
            rounded
        }
    }
}

impl std::str::FromStr for NumberFormat {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "float16" | "f16" | "fp16" | "half" => Ok(Self::Float16),
            "bfloat16" | "bf16" => Ok(Self::Bfloat16),
            "float32" | "f32" | "fp32" => Ok(Self::Float32),
            "float64" | "f64" | "fp64" => Ok(Self::Float64),
            other => Err(format!(
                "unknown number format `{other}`: float16, bfloat16, float32 or float64"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::NumberFormat;

    #[test]
    fn half_precision_rounds_at_its_edges() {
        let half = NumberFormat::Float16;
        assert_eq!(half.round(65_519.999), 65_504.0);
        assert_eq!(half.round(65_520.0), f64::INFINITY);
        assert_eq!(half.round(-1e300), f64::NEG_INFINITY);
        let least = 2f64.powi(-24);
        assert_eq!(half.round(least * 0.5), 0.0, "a tie goes to the even zero");
        assert_eq!(half.round(least * 0.500_001), least);
        assert_eq!(half.round(least * 1.5), 2.0 * least);
        assert_eq!(half.round(2_049.0), 2_048.0);
        assert_eq!(half.round(2_051.0), 2_052.0);
        assert!(half.round(f64::NAN).is_nan());
        assert!(half.round(-1e-300).is_sign_negative());
        assert_eq!(half.round(f64::from_bits(1)), 0.0);
    }

    #[test]
    fn bfloat16_has_seven_fraction_bits() {
        let format = NumberFormat::Bfloat16;
        assert_eq!(format.round(1.05), 1.046_875);
        assert_eq!(format.round(1.003_906_25), 1.0, "a tie goes to the even mantissa");
        assert_eq!(format.round(f64::from(f32::MAX)), f64::INFINITY);
        assert_eq!(format.round(2f64.powi(-133)), 2f64.powi(-133));
        assert_eq!(format.round(2f64.powi(-134)), 0.0);
    }

    proptest! {
        /// The upper half of binary32 rounded to nearest even by integer arithmetic, an independent way.
        #[test]
        fn bfloat16_agrees_with_integer_rounding(bits in any::<u32>()) {
            let single = f32::from_bits(bits);
            if single.is_finite() {
                let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) & 0xffff_0000;
                prop_assert_eq!(NumberFormat::Bfloat16.round(f64::from(single)), f64::from(f32::from_bits(rounded)));
            }
        }

        #[test]
        fn rounding_twice_changes_nothing(value in any::<f64>()) {
            for format in NumberFormat::ALL {
                let once = format.round(value);
                prop_assert_eq!(format.round(once).to_bits(), once.to_bits());
            }
        }
    }
}
