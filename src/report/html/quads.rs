//! Numbers as four characters each, precise over the range that a grid covers.
//!
//! In: values that span any number of decades, missing ones, zeros, NaN and infinities. Out: a scale and four
//! base-64 digits per value. Invariant: a finite value other than zero comes back within a factor of
//! exp((high - low) / 2^22): 7e-6 for a grid of twelve decades.
//!
//! A digit holds six bits, most significant first, in the alphabet of RFC 4648. The 24-bit code is 0 missing, 1 NaN,
//! 2 infinity, 3 -infinity, 4 zero; from [`POSITIVE`] on ln(value) in equal parts of `low..high`; from [`NEGATIVE`] on
//! the same of -value.

use serde_json::{Value, json};

/// The alphabet, RFC 4648 section 4.
pub(super) const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// First code of positive values.
pub(super) const POSITIVE: u32 = 16;
/// First code of negative values.
pub(super) const NEGATIVE: u32 = 1 << 23;
/// Parts of a scale.
pub(super) const PARTS: u32 = (1 << 22) - 1;

/// The range of ln|value| that codes cover.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    /// The range of these values; any range when none is finite and other than zero.
    pub(super) fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut scale = Self {
            low: f64::INFINITY,
            high: f64::NEG_INFINITY,
        };
        for value in values.filter(|it| it.is_finite() && *it != 0.0) {
            let log = value.abs().ln();
            scale.low = scale.low.min(log);
            scale.high = scale.high.max(log);
        }
        if scale.low > scale.high {
            Self { low: 0.0, high: 0.0 }
        } else {
            scale
        }
    }

    /// The scale for the page.
    pub(super) fn json(self) -> Value {
        json!([self.low, self.high])
    }

    fn code(self, value: Option<f64>) -> u32 {
        let Some(value) = value else { return 0 };
        if value.is_nan() {
            return 1;
        }
        if value.is_infinite() {
            return if value > 0.0 { 2 } else { 3 };
        }
        if value == 0.0 {
            return 4;
        }
        let span = self.high - self.low;
        let share = if span > 0.0 {
            (value.abs().ln() - self.low) / span
        } else {
            0.0
        };
        let part = (share.clamp(0.0, 1.0) * f64::from(PARTS)).round() as u32;
        part + if value > 0.0 { POSITIVE } else { NEGATIVE }
    }

    /// Writes the four digits of a value; `None` is missing.
    pub(super) fn write(self, value: Option<f64>, out: &mut String) {
        let code = self.code(value);
        for shift in [18, 12, 6, 0] {
            let digit = (code >> shift) as usize & 63;
            out.push(DIGITS.get(digit).map_or('A', |it| char::from(*it)));
        }
    }
}

/// Base 64 of bytes with padding, RFC 4648 section 4.
pub(super) fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk
            .iter()
            .fold(0_u32, |group, byte| group << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for (index, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let digit = (group >> shift) as usize & 63;
            let is_padding = index > chunk.len();
            out.push(if is_padding {
                '='
            } else {
                DIGITS.get(digit).map_or('A', |it| char::from(*it))
            });
        }
    }
    out
}

/// Reads what [`Scale::write`] wrote: the page does the same in JavaScript.
#[cfg(test)]
pub(super) fn read(text: &str, scale: &Value) -> Vec<Option<f64>> {
    let (low, high) = (scale[0].as_f64().unwrap(), scale[1].as_f64().unwrap());
    let digit = |c: &u8| DIGITS.iter().position(|it| it == c).unwrap() as u32;
    let value = |quad: &[u8]| match quad.iter().fold(0, |code, c| code << 6 | digit(c)) {
        0 => None,
        1 => Some(f64::NAN),
        2 => Some(f64::INFINITY),
        3 => Some(f64::NEG_INFINITY),
        4 => Some(0.0),
        code => {
            let (sign, part) = if code >= NEGATIVE {
                (-1.0, code - NEGATIVE)
            } else {
                (1.0, code - POSITIVE)
            };
            Some(sign * (low + (high - low) * f64::from(part) / f64::from(PARTS)).exp())
        }
    };
    text.as_bytes().chunks(4).map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_any_size_come_back() {
        let values = [
            None,
            Some(0.0),
            Some(1e-300),
            Some(-2.5),
            Some(f64::NAN),
            Some(f64::INFINITY),
            Some(7e300),
        ];
        let scale = Scale::of(values.iter().copied().flatten());
        let mut text = String::new();
        for it in values {
            scale.write(it, &mut text);
        }
        assert_eq!(text.len(), 4 * values.len());
        for (wanted, read) in values.iter().zip(read(&text, &scale.json())) {
            match (wanted, read) {
                (Some(a), Some(b)) if a.is_finite() && *a != 0.0 => {
                    assert!((a / b - 1.0).abs() < 5e-4, "{a} {b}");
                }
                (Some(a), Some(b)) => assert!(a.is_nan() && b.is_nan() || *a == b),
                (a, b) => assert_eq!(*a, b),
            }
        }
    }

    #[test]
    fn twelve_decades_are_precise_and_one_value_is_exact() {
        let values: Vec<f64> = (-60..60).map(|it| 10_f64.powf(f64::from(it) / 10.0)).collect();
        let scale = Scale::of(values.iter().copied());
        let mut text = String::new();
        for &it in &values {
            scale.write(Some(it), &mut text);
        }
        for (a, b) in values.iter().zip(read(&text, &scale.json())) {
            assert!((a / b.unwrap() - 1.0).abs() < 7e-6);
        }
        let only = Scale::of([0.25].into_iter());
        text.clear();
        only.write(Some(0.25), &mut text);
        assert_eq!(read(&text, &only.json()), [Some(0.25)]);
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        let cases = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, coded) in cases {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
