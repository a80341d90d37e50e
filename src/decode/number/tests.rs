//! What the tokenizer takes, refuses and measures.
//!
//! In: texts met in real logs. Out: test results. Invariant: values are compared with Rust's own parser,
//! which rounds correctly.

use proptest::prelude::{ProptestConfig, any, prop};
use proptest::{prop_assert, prop_assert_eq, proptest};

use super::{Number, parse_all, parse_plain, parse_prefix, unquoted, with_suffix};

fn value(text: &str) -> Option<f64> {
    parse_all(text.as_bytes()).map(|n| n.value)
}

fn resolution(text: &str) -> f64 {
    parse_all(text.as_bytes()).unwrap().resolution
}

#[test]
fn takes_what_python_and_c_print() {
    for (text, expected) in [
        ("1", 1.0),
        ("-0.25", -0.25),
        ("+3.5", 3.5),
        ("1.", 1.0),
        (".5", 0.5),
        ("3.062589E+00", 3.062_589),
        ("1e-400", 0.0),
        ("4.9e-324", 4.9e-324),
        (
            "179769313486231570000000000000000000000e270",
            1.797_693_134_862_315_7e308,
        ),
        ("0.1000000000000000055511151231257827", 0.1),
        ("123456789012345678", 123_456_789_012_345_680.0),
        ("41,957", 41_957.0),
        ("1,234,567.25", 1_234_567.25),
        ("25.62%", 25.62),
        ("'1.141'", 1.141),
        ("\"9.276\"", 9.276),
        ("tensor(1.25)", 1.25),
        ("tensor([0.5], device='cuda:0')", 0.5),
        ("tensor(2.5, device='cuda:0', grad_fn=<NllLossBackward0>)", 2.5),
        ("np.float64(1e-05)", 1e-5),
        ("Array(3.5, dtype=float32)", 3.5),
        (" 7 ", 7.0),
    ] {
        assert_eq!(value(text), Some(expected), "{text}");
    }
}

#[test]
fn non_finite_words_are_values() {
    for text in [
        "nan",
        "NaN",
        "-nan",
        "NAN",
        "tensor(nan)",
        "np.float64(nan)",
        "'nan'",
    ] {
        assert!(value(text).unwrap().is_nan(), "{text}");
    }
    for text in ["inf", "Infinity", "+inf", "INF", "1e400", "1e99999999999"] {
        assert_eq!(value(text), Some(f64::INFINITY), "{text}");
    }
    for text in ["-inf", "-Infinity", "-1e400"] {
        assert_eq!(value(text), Some(f64::NEG_INFINITY), "{text}");
    }
}

#[test]
fn a_unit_may_be_glued_to_nan_but_a_word_is_no_number() {
    let glued = parse_prefix(b"nanms").unwrap();
    assert!(glued.value.is_nan());
    assert_eq!(glued.used, 3);
    for text in [
        "info",
        "infer",
        "nanoseconds",
        "nan_steps",
        "none",
        "name",
        "N/A",
        "n/a",
        "-",
        "+",
        ".",
        "e5",
        "",
    ] {
        assert_eq!(parse_prefix(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn a_prefix_ends_where_the_number_ends() {
    for (text, used) in [
        ("1.5ms", 3),
        ("12/63", 2),
        ("1.2.3", 3),
        ("2e", 1),
        ("2e+", 1),
        ("5|", 1),
        ("4,376 tflops", 5),
        ("1,23", 1),
        ("1,2345", 1),
        ("1234,567", 4),
        ("0,123", 1),
        ("1,234,56", 5),
        ("tensor(1.0), 2", 11),
    ] {
        assert_eq!(
            parse_prefix(text.as_bytes()).map(|n| n.used),
            Some(used),
            "{text}"
        );
    }
    assert_eq!(parse_plain(b"41,957").map(|n| (n.value, n.used)), Some((41.0, 2)));
}

#[test]
fn a_wrapper_that_does_not_close_or_holds_more_is_no_number() {
    for text in [
        "tensor(1.0",
        "tensor(1.0 2.0)",
        "tensor([1.0, 2.0])",
        "tensor()",
        "array(x)",
    ] {
        assert_eq!(parse_prefix(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn resolution_is_the_step_of_the_printed_decimals() {
    for (text, expected) in [
        ("0.0000", 1e-4),
        ("0.025", 1e-3),
        ("12", 1.0),
        ("6.000000E-05", 1e-11),
        ("1.5e3", 100.0),
        ("41,957", 1.0),
        ("0.123456789", 1e-9),
        ("0.1234567890", 0.0),
        ("3.0625891234", 0.0),
        ("nan", 0.0),
        ("1e400", 0.0),
    ] {
        assert_eq!(resolution(text), expected, "{text}");
    }
}

#[test]
fn suffixes_scale_value_and_resolution() {
    let number = with_suffix(b"1.5B, next").unwrap();
    assert_eq!(
        number,
        Number {
            value: 1.5e9,
            resolution: 1e8,
            used: 4
        }
    );
    assert_eq!(with_suffix(b"16.88K").map(|n| n.value), Some(16_880.0));
    assert_eq!(
        with_suffix(b"48.87GiB").map(|n| (n.value, n.used)),
        Some((48.87, 5))
    );
    assert_eq!(with_suffix(b"2.5").map(|n| n.value), Some(2.5));
}

#[test]
fn quotes_are_dropped_only_in_pairs() {
    assert_eq!(unquoted(b"'a'"), b"a");
    assert_eq!(unquoted(b"'a\""), b"'a\"");
    assert_eq!(unquoted(b"'"), b"'");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rounds_as_the_standard_parser_does(bits in any::<u64>(), decimals in 0_usize..20) {
        let number = f64::from_bits(bits);
        if number.is_finite() {
            for text in [format!("{number}"), format!("{number:e}"), format!("{number:.decimals$e}")] {
                let expected: f64 = text.parse().unwrap();
                prop_assert_eq!(parse_all(text.as_bytes()).map(|n| n.value.to_bits()), Some(expected.to_bits()));
            }
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        for number in [parse_prefix(&bytes), with_suffix(&bytes), parse_plain(&bytes)].into_iter().flatten() {
            prop_assert!(number.used > 0 && number.used <= bytes.len());
            prop_assert!(!number.resolution.is_nan());
        }
    }

    #[test]
    fn number_like_bytes_are_survived(text in "[-+0-9.,eEnaif%()]{0,30}") {
        for number in [parse_prefix(text.as_bytes()), with_suffix(text.as_bytes())].into_iter().flatten() {
            prop_assert!(number.used > 0 && number.used <= text.len());
        }
    }
}

#[test]
fn leading_digits_are_read_as_one_by_one() {
    for value in [0_u64, 1, 9, 10, 12_345_678, 99_999_999, 80_000_000, 100] {
        let text = format!("{value:08}");
        let bytes: [u8; 8] = text.as_bytes().try_into().unwrap();
        assert_eq!(super::leading_digits(bytes), (value, 8), "{text}");
        for at in 0..8 {
            for other in [b'.', b'/', b':', b'e', b' ', b'-', 0, 0xff, b'0' | 0x80] {
                let mut damaged = bytes;
                damaged[at] = other;
                let expected = text[..at].parse().unwrap_or(0);
                assert_eq!(super::leading_digits(damaged), (expected, at), "{damaged:?}");
            }
        }
    }
}

#[test]
fn long_numbers_round_as_the_standard_library_rounds_them() {
    for text in [
        "0.00000000000012345678901234567",
        "1234567890123456789",
        "0.1000000000000000055511151231257827",
        "12345678.12345678",
        "00000000.00000001",
        "9007199254740993",
        "2.2250738585072011e-308",
    ] {
        let number = super::parse_plain(text.as_bytes()).unwrap();
        assert_eq!(
            (number.value, number.used),
            (text.parse().unwrap(), text.len()),
            "{text}"
        );
    }
    assert_eq!(super::parse_plain(b"0.00000125").unwrap().resolution, 1e-8);
    assert_eq!(super::parse_plain(b"12345678.5").unwrap().resolution, 0.1);
    assert_eq!(super::parse_plain(b"1234567890.5").unwrap().resolution, 0.0);
}
