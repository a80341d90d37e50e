//! One token of a line: a number with its unit and total, noise, or a word.
//!
//! In: the bytes from a token on. Out: what it is and where it ends. Invariant: what is glued to a number must
//! be a unit; else the number is a part of a name, a clock, a date or a version, or was cut off.

use crate::decode::number::{self, Number};

/// Longest unit glued to a number (`samples/s`).
pub(super) const UNIT_BYTES_MAX: usize = 11;

/// What a token that looks like a number turned out to be.
pub(super) enum Token {
    Number {
        number: Number,
        total: Option<i64>,
        end: usize,
    },
    /// A clock, a date, a version: neither number nor key.
    Noise,
    /// A word that starts like a number.
    Word,
}

/// The token at the start of `rest`, which begins at `at` in its line.
pub(super) fn number_token(rest: &[u8], at: usize) -> Token {
    let Some(number) = number::with_suffix(rest) else {
        return Token::Word;
    };
    let (number, behind) = without_lost_exponent(number, rest);
    token_behind(number, behind, at)
}

/// A quick look at a word: `nan`, `inf`, `tensor(..)`, `array(..)`, `np.float32(..)` and their like.
pub(super) fn starts_like_a_number(word: &[u8]) -> bool {
    let Some([a, b, c]) = word.first_chunk() else {
        return false;
    };
    let head = [
        a.to_ascii_lowercase(),
        b.to_ascii_lowercase(),
        c.to_ascii_lowercase(),
    ];
    matches!(
        &head,
        b"nan" | b"inf" | b"ten" | b"tor" | b"arr" | b"dev" | b"np." | b"jnp"
    ) || word.starts_with(b"numpy")
}

/// `1.2345E` is a number whose exponent was cut off where two lines were glued together.
fn without_lost_exponent(number: Number, rest: &[u8]) -> (Number, &[u8]) {
    let cut = number.used.saturating_sub(1);
    let behind = rest.get(number.used..).unwrap_or_default();
    if rest.get(cut) == Some(&b'E') && cut > 0 {
        return (number, rest.get(cut..).unwrap_or_default());
    }
    (number, behind)
}

fn token_behind(number: Number, behind: &[u8], at: usize) -> Token {
    let end = at + number.used;
    let is_digit = |i: usize| behind.get(i).is_some_and(u8::is_ascii_digit);
    match behind.first() {
        Some(b':' | b'.' | b'-' | b'/') if is_digit(1) && behind.first() != Some(&b'/') => Token::Noise,
        Some(b'-') if behind.get(1).is_some_and(u8::is_ascii_alphabetic) => Token::Word,
        Some(b'.' | b'_') => Token::Word,
        Some(b'/') => with_total(number, behind, end),
        Some(b'E' | b'e') if !behind.get(1).is_some_and(u8::is_ascii_alphabetic) => Token::Noise,
        Some(byte) if byte.is_ascii_alphanumeric() || *byte == b'%' => match unit_bytes(behind) {
            Some(len) => Token::Number {
                number,
                total: None,
                end: end + len,
            },
            None => Token::Word,
        },
        _ => Token::Number {
            number,
            total: None,
            end,
        },
    }
}

/// `5/ 100` or `5/s`.
fn with_total(number: Number, behind: &[u8], end: usize) -> Token {
    let blanks = behind.iter().skip(1).take_while(|b| **b == b' ').count();
    let Some((total, used)) = behind.get(1 + blanks..).and_then(integer) else {
        return match unit_bytes(behind) {
            Some(len) => Token::Number {
                number,
                total: None,
                end: end + len,
            },
            None => Token::Word,
        };
    };
    let end = end + 1 + blanks + used;
    if matches!(behind.get(1 + blanks + used), Some(b'/' | b':'))
        && behind.get(2 + blanks + used).is_some_and(u8::is_ascii_digit)
    {
        return Token::Noise;
    }
    Token::Number {
        number,
        total: Some(total),
        end,
    }
}

/// Length of the unit at the start of `bytes`, if nothing but a unit is glued to the number.
fn unit_bytes(bytes: &[u8]) -> Option<usize> {
    let len = bytes
        .iter()
        .take_while(|b| b.is_ascii_alphabetic() || matches!(**b, b'%' | b'/') || **b >= 0x80)
        .count();
    let unit = bytes.get(..len)?;
    let is_open = matches!(bytes.get(len), Some(b'_' | b'.' | b'-' | b'0'..=b'9'));
    // `1.23iteration` are two lines that were glued together, `62.1TFLOPS` and `3.5samples/s` are units.
    let is_word = len > 4 && unit.first().is_some_and(u8::is_ascii_lowercase) && !unit.contains(&b'/');
    (len <= UNIT_BYTES_MAX && !is_open && !is_word).then_some(len)
}

/// The integer at the start of `bytes`, thousands separators allowed, with its length.
pub(super) fn integer(bytes: &[u8]) -> Option<(i64, usize)> {
    let mut value: i64 = 0;
    let mut used = 0;
    while let Some(byte) = bytes.get(used) {
        match byte {
            b'0'..=b'9' => value = value.saturating_mul(10).saturating_add(i64::from(byte - b'0')),
            b',' if used > 0 && is_group(bytes.get(used + 1..)) => {}
            _ => break,
        }
        used += 1;
    }
    (used > 0).then_some((value, used))
}

fn is_group(bytes: Option<&[u8]>) -> bool {
    let digits = bytes.map_or(0, |b| b.iter().take_while(|b| b.is_ascii_digit()).count());
    digits == 3
}
