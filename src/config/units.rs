//! Times and sizes as people write them.
//!
//! In: `90s`, `1h30m`, `8GiB`. Out: durations and bytes. Invariant: a number without a unit is refused: nobody knows which
//! one was meant.

use std::time::Duration;

const TIMES: &[(&str, u64)] = &[
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("min", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 7 * 86_400_000),
];

const SIZES: &[(&str, u64)] = &[
    ("B", 1),
    ("kB", 1000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
    ("TB", 1_000_000_000_000),
    ("TiB", 1 << 40),
];

/// How a time is written, for messages.
pub(super) const TIME_ADVICE: &str = "write `30s`, `5m`, `2h`, `1h30m` or `1d`";
/// How a size is written, for messages.
pub(super) const SIZE_ADVICE: &str = "write `500MiB` or `8GiB`";

/// A time: numbers with units, added up.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    sum(text, TIMES).map(Duration::from_millis)
}

/// A size in bytes.
#[must_use]
pub fn bytes(text: &str) -> Option<u64> {
    sum(text, SIZES)
}

fn sum(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let mut rest = text.trim();
    let mut total = 0_u64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?.trim_start();
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = rest.get(..letters)?;
        let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.checked_mul(*factor)?)?;
        rest = rest.get(letters..)?.trim_start();
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{bytes, duration};

    #[test]
    fn times_and_sizes_have_units() {
        assert_eq!(duration("2h"), Some(Duration::from_secs(7200)));
        assert_eq!(duration("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(duration("1 d 500 ms"), Some(Duration::from_millis(86_400_500)));
        assert_eq!(bytes("8GiB"), Some(8 << 30));
        for bad in [
            "",
            "5",
            "h",
            "5 parsecs",
            "-1s",
            "99999999999999999999s",
            "1e3s",
            "18446744073709551615w",
        ] {
            assert_eq!((duration(bad), bytes(bad)), (None, None), "{bad}");
        }
    }
}
