//! The lenient number tokenizer: what programs print when they mean a number.
//!
//! In: bytes that start with a number. Out: its value, the step of its printed decimals and its length.
//! Invariants: never panics, never allocates, rounds correctly; `1e400` is infinity; a word that only starts
//! like `nan` or `inf` (`info`, `nanoseconds`) is no number.
//! Shapes met: bare `NaN`, `Infinity`, `1.`, `.5`, `41,957`, `1.234B`, `25.6%`, `'1.141'`, `nanms`,
//! `tensor(1.2, device='cuda:0')`, `np.float64(1.2)`.

mod decimal;

/// A number as it was printed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number {
    /// The value; NaN and infinities are values.
    pub value: f64,
    /// Smallest step of the printed decimals (`0.0001` for four, times the power of ten), 0 when the number
    /// shows more than nine significant digits or is not finite.
    pub resolution: f64,
    /// Bytes that the number takes.
    pub used: usize,
}

impl Number {
    /// The resolution where numbers are printed as short as possible (JSON, CSV, `%g`): a whole number with
    /// at most one decimal (`0`, `0.0`, `16.0`) is exact there and says nothing about decimals.
    #[must_use]
    pub fn resolution_of_shortest(&self) -> f64 {
        let is_whole = self.resolution >= 0.1 && self.value.fract() == 0.0;
        if is_whole { 0.0 } else { self.resolution }
    }
}

/// More significant digits than this are full precision: `%.9g` is what a float32 needs to survive printing.
const DIGITS_OF_A_FLOAT32: usize = 9;

/// The smallest mantissa with more of them.
const FULL_PRECISION: u64 = 1_000_000_000;

/// Digits that always fit 64 bits.
const DIGITS_OF_THE_MANTISSA: u32 = 19;

/// Longest number in bytes that goes the exact way; what is longer is nobody's metric.
const NUMBER_BYTES_MAX: usize = 512;

/// Letters that may be glued to `nan` and `inf` as a unit (`step_avg:nanms`).
const UNITS_AFTER_NAN: [&[u8]; 8] = [b"", b"ms", b"s", b"us", b"ns", b"x", b"it", b"sec"];

/// Calls that wrap a number when a program prints a tensor.
const WRAPPERS: [&[u8]; 14] = [
    b"tensor(",
    b"torch.tensor(",
    b"array(",
    b"Array(",
    b"DeviceArray(",
    b"np.float64(",
    b"np.float32(",
    b"np.float16(",
    b"np.int64(",
    b"np.int32(",
    b"numpy.float64(",
    b"numpy.float32(",
    b"jnp.float32(",
    b"jnp.array(",
];

/// Farthest closing parenthesis of a wrapped number.
const WRAPPED_BYTES_MAX: usize = 256;

/// The number at the start of `bytes`: a plain one, one with thousands separators, or a wrapped one.
/// What follows it (a unit, a percent sign) is the caller's business.
#[must_use]
pub fn parse_prefix(bytes: &[u8]) -> Option<Number> {
    match bytes.first()? {
        b't' | b'a' | b'A' | b'D' | b'j' => wrapped(bytes),
        b'n' => scan(bytes, true).or_else(|| wrapped(bytes)),
        _ => scan(bytes, true),
    }
}

/// The number at the start of `bytes` without thousands separators, for formats in which a comma separates.
#[must_use]
#[inline]
pub fn parse_plain(bytes: &[u8]) -> Option<Number> {
    scan(bytes, false)
}

/// The number that all of `bytes` is, blanks around it, quotes and a percent sign allowed.
#[must_use]
pub fn parse_all(bytes: &[u8]) -> Option<Number> {
    let inner = unquoted(bytes.trim_ascii()).trim_ascii();
    let number = parse_prefix(inner)?;
    let rest = inner.get(number.used..)?;
    (rest.is_empty() || rest == b"%").then_some(Number {
        used: bytes.len(),
        ..number
    })
}

/// The number at the start of `bytes` with a suffix K, M, B (or G), T, P, E applied, as in `1.234B`. A suffix
/// counts only when no letter or digit follows: `48.87GiB` stays 48.87.
#[must_use]
pub fn with_suffix(bytes: &[u8]) -> Option<Number> {
    let number = parse_prefix(bytes)?;
    let rest = bytes.get(number.used..)?;
    let scale = match rest.first() {
        Some(b'K' | b'k') => 1e3,
        Some(b'M') => 1e6,
        Some(b'B' | b'G') => 1e9,
        Some(b'T') => 1e12,
        Some(b'P') => 1e15,
        Some(b'E') => 1e18,
        _ => return Some(number),
    };
    if rest.get(1).is_some_and(u8::is_ascii_alphanumeric) {
        return Some(number);
    }
    Some(Number {
        value: number.value * scale,
        resolution: number.resolution * scale,
        used: number.used + 1,
    })
}

/// The bytes between matching quotes, or the bytes themselves.
#[must_use]
pub fn unquoted(bytes: &[u8]) -> &[u8] {
    match bytes {
        [b'"', inner @ .., b'"'] | [b'\'', inner @ .., b'\''] => inner,
        _ => bytes,
    }
}

#[inline]
fn scan(bytes: &[u8], takes_thousands: bool) -> Option<Number> {
    let (is_negative, sign_bytes) = match bytes.first()? {
        b'-' => (true, 1),
        b'+' => (false, 1),
        _ => (false, 0),
    };
    let unsigned = bytes.get(sign_bytes..)?;
    let mut number = match unsigned.first()? {
        b'0'..=b'9' | b'.' => finite(unsigned, takes_thousands)?,
        b'n' | b'N' | b'i' | b'I' => non_finite(unsigned)?,
        _ => return None,
    };
    number.used += sign_bytes;
    if is_negative {
        number.value = -number.value;
    }
    Some(number)
}

fn non_finite(bytes: &[u8]) -> Option<Number> {
    let words: [(&[u8], f64); 3] = [
        (b"nan", f64::NAN),
        (b"infinity", f64::INFINITY),
        (b"inf", f64::INFINITY),
    ];
    words.into_iter().find_map(|(word, value)| {
        let (head, rest) = bytes.split_at_checked(word.len())?;
        let is_word = head.eq_ignore_ascii_case(word) && ends_a_word(rest);
        is_word.then_some(Number {
            value,
            resolution: 0.0,
            used: word.len(),
        })
    })
}

fn ends_a_word(rest: &[u8]) -> bool {
    let is_part = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || *b >= 0x80;
    let n_letters = rest.iter().take_while(|b| is_part(b)).count();
    rest.get(..n_letters)
        .is_some_and(|letters| UNITS_AFTER_NAN.contains(&letters))
}

/// The digits of a number as far as they are read.
#[derive(Default)]
struct Digits {
    /// The digits as an integer, as long as it is exact.
    mantissa: u64,
    /// Digits of any kind.
    n_seen: u32,
}

impl Digits {
    /// Takes a digit; returns its length.
    #[inline]
    fn one(&mut self, digit: u8) -> usize {
        self.mantissa = u64::from(digit.wrapping_sub(b'0'));
        self.n_seen = 1;
        1
    }

    /// Takes the run of digits at the start of `bytes`; returns its length.
    #[inline]
    fn take(&mut self, bytes: &[u8]) -> usize {
        let mut used = 0;
        let mut is_over = false;
        while let Some(eight) = bytes.get(used..).and_then(<[u8]>::first_chunk::<8>)
            && !is_over
        {
            let (value, n_digits) = leading_digits(*eight);
            let scale = SCALES.get(n_digits).copied().unwrap_or(1);
            self.mantissa = self.mantissa.wrapping_mul(scale).wrapping_add(value);
            used += n_digits;
            is_over = n_digits < 8;
        }
        if !is_over {
            for byte in bytes.get(used..).unwrap_or_default() {
                let digit = byte.wrapping_sub(b'0');
                if digit > 9 {
                    break;
                }
                self.mantissa = self.mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
                used += 1;
            }
        }
        self.n_seen = self.n_seen.saturating_add(used as u32);
        used
    }
}

/// 10^0 to 10^8.
const SCALES: [u64; 9] = [
    1,
    10,
    100,
    1_000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
];

/// The value of the digits that eight bytes begin with, and how many there are: the digits are moved to the end behind
/// zeros, then each byte, each pair, four and eight are joined in one word (Johnny Lee's trick, as in simdjson's
/// `parse_eight_digits_unrolled`).
#[inline]
fn leading_digits(bytes: [u8; 8]) -> (u64, usize) {
    let word = u64::from_le_bytes(bytes);
    let is_low = word & 0xf0f0_f0f0_f0f0_f0f0;
    let is_high = (word.wrapping_add(0x0606_0606_0606_0606) & 0xf0f0_f0f0_f0f0_f0f0) >> 4;
    // The lowest byte that is not zero is the first that is no digit: carries only go up.
    let others = (is_low | is_high) ^ 0x3333_3333_3333_3333;
    let n_digits = others.trailing_zeros() / 8;
    // A shift by all 64 bits (no digit) gives nothing.
    let digits = word
        .wrapping_sub(0x3030_3030_3030_3030)
        .checked_shl(64 - 8 * n_digits)
        .unwrap_or(0);
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let low = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(0x000f_4240_0000_0064);
    let high = ((pairs >> 16) & 0x0000_00ff_0000_00ff).wrapping_mul(0x0000_2710_0000_0001);
    (low.wrapping_add(high) >> 32, n_digits as usize)
}

#[inline]
fn finite(bytes: &[u8], takes_thousands: bool) -> Option<Number> {
    let mut digits = Digits::default();
    let mut used = match bytes {
        // So most numbers begin.
        [digit @ b'0'..=b'9', b'.', ..] => digits.one(*digit),
        _ => digits.take(bytes),
    };
    let has_thousands = takes_thousands
        && bytes.get(used) == Some(&b',')
        && (1..=3).contains(&used)
        && bytes.first() != Some(&b'0');
    let group_bytes = if has_thousands {
        take_groups(&mut digits, bytes, used)
    } else {
        0
    };
    used += group_bytes;
    let mut n_decimals = 0;
    if bytes.get(used) == Some(&b'.') {
        n_decimals = digits.take(bytes.get(used + 1..)?);
        used += 1 + n_decimals;
    }
    if digits.n_seen == 0 {
        return None;
    }
    let (exponent, exponent_bytes) = match bytes.get(used) {
        Some(b'e' | b'E') => exponent(bytes.get(used..)?),
        _ => (0, 0),
    };
    let power = exponent.saturating_sub(n_decimals.min(1 << 20) as i32);
    let (is_exact, is_full_precision) = precision(&digits, bytes.get(..used)?);
    used += exponent_bytes;
    let value = is_exact.then(|| decimal::value(digits.mantissa, power)).flatten();
    let value = match value {
        Some(value) => value,
        None => slow_value(bytes.get(..used)?, group_bytes > 0)?,
    };
    Some(Number {
        value,
        resolution: if is_full_precision || value.is_infinite() {
            0.0
        } else {
            decimal::power_of_ten(power)
        },
        used,
    })
}

/// Whether the mantissa holds all digits, and whether there are more than a float32 needs. `text` are the digits with the
/// point and the separators between them.
#[inline]
fn precision(digits: &Digits, text: &[u8]) -> (bool, bool) {
    if digits.n_seen <= DIGITS_OF_THE_MANTISSA {
        return (true, digits.mantissa >= FULL_PRECISION);
    }
    let significant = text.iter().skip_while(|b| !matches!(**b, b'1'..=b'9'));
    let n_significant = significant.filter(|b| b.is_ascii_digit()).count();
    (
        n_significant <= DIGITS_OF_THE_MANTISSA as usize,
        n_significant > DIGITS_OF_A_FLOAT32,
    )
}

/// Takes well-formed groups `,ddd`; returns their length.
fn take_groups(digits: &mut Digits, bytes: &[u8], start: usize) -> usize {
    let mut used = 0;
    while let Some([b',', group @ ..]) = bytes.get(start + used..)
        && let Some((three, rest)) = group.split_at_checked(3)
        && three.iter().all(u8::is_ascii_digit)
        && !rest.first().is_some_and(u8::is_ascii_digit)
    {
        used += 1 + digits.take(three);
    }
    used
}

/// The exponent at the start of `bytes` with its length; nothing when no digit follows the letter.
fn exponent(bytes: &[u8]) -> (i32, usize) {
    let [b'e' | b'E', rest @ ..] = bytes else {
        return (0, 0);
    };
    let (is_negative, sign_bytes) = match rest.first() {
        Some(b'-') => (true, 1),
        Some(b'+') => (false, 1),
        _ => (false, 0),
    };
    let mut value: i32 = 0;
    let mut n_digits = 0;
    for byte in rest.iter().skip(sign_bytes).take_while(|b| b.is_ascii_digit()) {
        value = value
            .saturating_mul(10)
            .saturating_add(i32::from(byte - b'0'))
            .min(1 << 20);
        n_digits += 1;
    }
    match n_digits {
        0 => (0, 0),
        _ => (
            if is_negative { -value } else { value },
            1 + sign_bytes + n_digits,
        ),
    }
}

/// The value of a number without sign by the full algorithm, separators dropped.
#[cold]
fn slow_value(text: &[u8], has_separators: bool) -> Option<f64> {
    if !has_separators {
        return fast_float2::parse(text).ok();
    }
    let mut plain = [0; NUMBER_BYTES_MAX];
    let mut len = 0;
    for byte in text.iter().filter(|b| **b != b',') {
        *plain.get_mut(len)? = *byte;
        len += 1;
    }
    fast_float2::parse(plain.get(..len)?).ok()
}

/// A number inside a call such as `tensor(1.2, device='cuda:0')`, one element of a list allowed.
fn wrapped(bytes: &[u8]) -> Option<Number> {
    let wrapper = WRAPPERS.iter().find(|w| bytes.starts_with(w))?;
    let inner = bytes.get(wrapper.len()..)?;
    let is_list = inner.first() == Some(&b'[');
    let number = scan(inner.get(usize::from(is_list)..)?, false)?;
    let behind = usize::from(is_list) + number.used;
    let tail = inner.get(behind..)?;
    let tail_bytes = closing_bytes(if is_list { tail.strip_prefix(b"]")? } else { tail })?;
    Some(Number {
        used: wrapper.len() + behind + usize::from(is_list) + tail_bytes,
        ..number
    })
}

/// Bytes up to the closing parenthesis; only keyword arguments may stand before it.
fn closing_bytes(tail: &[u8]) -> Option<usize> {
    if !matches!(tail.first()?, b')' | b',') {
        return None;
    }
    let mut depth = 1_u32;
    for (at, byte) in tail.iter().enumerate().take(WRAPPED_BYTES_MAX) {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests;
