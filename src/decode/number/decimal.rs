//! Decimal digits to the nearest floating point number.
//!
//! In: an integer and a power of ten. Out: the f64 that is nearest to their product, ties to even. Invariant: what is
//! given is exactly what a correct parser of the same digits gives; outside of the powers held here nothing is.

/// `mantissa * 10^power`; `None` outside of the powers that are held.
#[inline]
pub(super) fn value(mantissa: u64, power: i32) -> Option<f64> {
    // The digits of a full-precision number lie on both sides of 2^53: one way for all of them can be predicted.
    if mantissa < 1_000_000_000_000_000 {
        exact_product(mantissa, power).or_else(|| nearest(mantissa, power))
    } else {
        nearest(mantissa, power)
    }
}

/// The product when both factors are exact in f64, so that one rounding is the right one (Clinger, How to read floating
/// point numbers accurately, 1990). The mantissa has at most 53 bits.
#[inline]
fn exact_product(mantissa: u64, power: i32) -> Option<f64> {
    let exact = POWERS_OF_TEN.get(power.unsigned_abs() as usize)?;
    let mantissa = mantissa as f64;
    Some(if power < 0 {
        mantissa / exact
    } else {
        mantissa * exact
    })
}

/// The powers of ten that are exact in f64.
const POWERS_OF_TEN: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// Their reciprocals, each the f64 nearest to it.
const STEPS: [f64; 23] = [
    1e0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12, 1e-13, 1e-14, 1e-15,
    1e-16, 1e-17, 1e-18, 1e-19, 1e-20, 1e-21, 1e-22,
];

/// A power of ten, correctly rounded up to the 22nd.
#[inline]
pub(super) fn power_of_ten(power: i32) -> f64 {
    let table = if power < 0 { &STEPS } else { &POWERS_OF_TEN };
    match table.get(power.unsigned_abs() as usize) {
        Some(nearest) => *nearest,
        None => 10_f64.powi(power),
    }
}

/// The least power of [`FIVES`]: down to it the reciprocals decide every 64-bit mantissa.
const POWER_MIN: i32 = -27;

/// The greatest.
const POWER_MAX: i32 = 22;

/// `5^power` with its highest bit at bit 127: exact from 0 on, rounded up below.
const FIVES: [u128; (POWER_MAX - POWER_MIN + 1) as usize] = fives();

const fn fives() -> [u128; (POWER_MAX - POWER_MIN + 1) as usize] {
    let mut all = [0; (POWER_MAX - POWER_MIN + 1) as usize];
    let mut power = POWER_MIN;
    while power <= POWER_MAX {
        let five = 5_u128.pow(power.unsigned_abs());
        all[(power - POWER_MIN) as usize] = if power < 0 {
            reciprocal(five)
        } else {
            five << five.leading_zeros()
        };
        power += 1;
    }
    all
}

/// `2^b / five`, rounded up, with the b for which this has 128 bits; by long division. `five` has at most 63 bits and is
/// no power of two.
const fn reciprocal(five: u128) -> u128 {
    let n_bits = 128 - five.leading_zeros() + 127;
    let (mut quotient, mut rest, mut bit) = (0_u128, 1_u128, 0);
    while bit < n_bits {
        rest <<= 1;
        quotient <<= 1;
        if rest >= five {
            rest -= five;
            quotient |= 1;
        }
        bit += 1;
    }
    quotient + 1
}

/// The nearest f64 of a mantissa that is too long for one product of two f64: that of 17 digits, as `repr` prints them
/// (Lemire, Number parsing at a gigabyte per second, 2021; that no second look is needed between 10^-27 and 10^55:
/// Mushtak and Lemire, Fast number parsing without fallback, 2023).
fn nearest(mantissa: u64, power: i32) -> Option<f64> {
    let five = *FIVES.get(usize::try_from(power.checked_sub(POWER_MIN)?).ok()?)?;
    let n_zeros = mantissa.leading_zeros();
    if n_zeros == 64 {
        return Some(0.0);
    }
    let (low, high) = product(mantissa << n_zeros, five);
    let upper_bit = (high >> 63) as u32;
    // 53 bits, one to round by, one that may be zero.
    let shift = upper_bit + 9;
    let mut bits = high >> shift;
    // Half way between two numbers, and nothing behind it: to the even one.
    let is_tie = low <= 1 && (-4..=22).contains(&power) && bits & 3 == 1 && bits << shift == high;
    if is_tie {
        bits &= !1;
    }
    bits = (bits + (bits & 1)) >> 1;
    // floor(log2(10^power)), Lemire 2021, section 5; then the exponent of IEEE 754.
    let log = (217_706_i64 * i64::from(power)) >> 16;
    let mut exponent = log + 63 + i64::from(upper_bit) - i64::from(n_zeros) + 1023;
    if bits == 1 << 53 {
        bits >>= 1;
        exponent += 1;
    }
    Some(f64::from_bits((exponent as u64) << 52 | bits & ((1 << 52) - 1)))
}

/// The upper 128 bits of a product of 64 and 128 bits, as far as the rounding needs them.
fn product(mantissa: u64, five: u128) -> (u64, u64) {
    // The nine bits below the 55 that are used: only when all are set can what is left out reach these.
    const BELOW: u64 = u64::MAX >> 55;
    let wide = u128::from(mantissa) * (five >> 64);
    let (mut low, mut high) = (wide as u64, (wide >> 64) as u64);
    if high & BELOW == BELOW {
        let second = u128::from(mantissa) * u128::from(five as u64);
        let (sum, has_carry) = low.overflowing_add((second >> 64) as u64);
        low = sum;
        high += u64::from(has_carry);
    }
    (low, high)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};

    use super::{POWER_MAX, POWER_MIN, nearest, power_of_ten, value};

    fn by_the_library(mantissa: u64, power: i32) -> u64 {
        format!("{mantissa}e{power}").parse::<f64>().unwrap().to_bits()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn any_mantissa_is_read_as_by_the_standard_library(mantissa in any::<u64>(), power in POWER_MIN..=POWER_MAX) {
            prop_assert_eq!(nearest(mantissa, power).map(f64::to_bits), Some(by_the_library(mantissa, power)));
        }

        #[test]
        fn shortest_digits_give_the_number_back(number in 1e-8_f64..1e8) {
            let text = format!("{number:e}");
            let (digits, exponent) = text.split_once('e').unwrap();
            let n_decimals = digits.len().saturating_sub(2) as i32;
            let mantissa: u64 = digits.replace('.', "").parse().unwrap();
            let power = exponent.parse::<i32>().unwrap() - n_decimals;
            prop_assert_eq!(value(mantissa, power), Some(number));
        }

        #[test]
        fn ties_and_their_neighbours_are_rounded_rightly(odd in any::<u64>(), power in -4_i32..=4, off in -1_i64..=1) {
            // An odd 54-bit number is half way between two f64.
            let tie = (odd >> 10 | 1 << 53 | 1).wrapping_add_signed(off);
            prop_assert_eq!(nearest(tie, power).map(f64::to_bits), Some(by_the_library(tie, power)));
        }
    }

    #[test]
    fn the_ends_of_the_table() {
        for mantissa in [0, 1, u64::MAX, 1 << 53, (1 << 53) + 1, 9_007_199_254_740_993] {
            for power in [POWER_MIN, -5, -4, 0, POWER_MAX] {
                let expected = by_the_library(mantissa, power);
                assert_eq!(
                    nearest(mantissa, power).map(f64::to_bits),
                    Some(expected),
                    "{mantissa}e{power}"
                );
            }
        }
        assert_eq!(nearest(u64::MAX, POWER_MIN - 1), None);
        assert_eq!(nearest(u64::MAX, POWER_MAX + 1), None);
        assert_eq!(value(1, i32::MIN), None);
    }

    #[test]
    fn steps_of_decimals_are_the_nearest_numbers() {
        for power in -30..=30 {
            let expected: f64 = format!("1e{power}").parse().unwrap();
            assert!((power_of_ten(power) / expected - 1.0).abs() < 1e-14, "{power}");
            if power.abs() <= 22 {
                assert_eq!(power_of_ten(power).to_bits(), expected.to_bits(), "{power}");
            }
        }
    }
}
