//! Wall times as logs have them.
//!
//! In: numbers and texts of time columns. Out: Unix seconds. Invariant: what is not plausibly a date between
//! 2001 and 2100 is no wall time (elapsed seconds, a duration `0:32:48`), never a wrong one.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// 2001-09-09 and 2100-01-01: elapsed times of a run stay below, milliseconds above.
const SECONDS: std::ops::Range<f64> = 1e9..4_102_444_800.0;

/// Unix seconds of a number of seconds, milliseconds, microseconds or nanoseconds since 1970.
pub(crate) fn from_number(value: f64) -> Option<f64> {
    [1.0, 1e3, 1e6, 1e9]
        .into_iter()
        .map(|unit| value / unit)
        .find(|seconds| SECONDS.contains(seconds))
}

/// Unix seconds of an ISO 8601 date with time; without an offset it is taken as UTC.
pub(crate) fn from_text(text: &str) -> Option<f64> {
    let text = text.trim();
    // Shorter than `2026-01-01T00:00` is a date or a duration, and no digit first is no ISO date.
    if text.len() < 16 || !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let timestamp = text
        .parse::<Timestamp>()
        .ok()
        .or_else(|| TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok())?;
    let seconds = timestamp.as_second() as f64 + f64::from(timestamp.subsec_nanosecond()) * 1e-9;
    SECONDS.contains(&seconds).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::{from_number, from_text};

    #[test]
    fn units_are_told_apart_by_size() {
        assert_eq!(from_number(1_795_458_571.5), Some(1_795_458_571.5));
        assert_eq!(from_number(1_664_364_007_310.0), Some(1_664_364_007.31));
        assert_eq!(from_number(1_664_364_007_500_000_000.0), Some(1_664_364_007.5));
        for elapsed in [0.0, 597.18, -5.0, 86_400.0 * 365.0, f64::NAN, f64::INFINITY, 1e30] {
            assert_eq!(from_number(elapsed), None, "{elapsed}");
        }
    }

    #[test]
    fn iso_dates_are_read_with_and_without_offset() {
        assert_eq!(from_text("2026-11-23T18:29:25.500"), Some(1_795_458_565.5));
        assert_eq!(from_text("2026-11-23 18:29:25,500"), Some(1_795_458_565.5));
        assert_eq!(from_text("2026-11-23T18:29:25Z"), Some(1_795_458_565.0));
        assert_eq!(from_text("2026-11-23T19:29:25+01:00"), Some(1_795_458_565.0));
        for text in [
            "0:32:48",
            "9 days, 21:39:23",
            "2018-11-10_00-18-12",
            "2026-11-23",
            "",
            "20261123181818999x",
        ] {
            assert_eq!(from_text(text), None, "{text}");
        }
    }
}
