//! Compact notation for the values of a test series.
//!
//! In: `"2.5+-0.01x50 nan x3"`. Out: the values, or the place that is not notation. Invariant: the same text
//! and seed give the same bits on every machine: only additions and multiplications are used.
//!
//! | item | values |
//! | --- | --- |
//! | `2.5`, `nan`, `inf`, `-inf` | that value |
//! | `_` | a value that was not logged |
//! | `2.5x4` (or `2.5 x4`) | four times 2.5 |
//! | `a+bxN`, `a-bxN` | a, and N steps of b after it: N+1 values, as in Prometheus |
//! | `a*rxN` | a, and N steps by the factor r after it: N+1 values |
//! | `~s` before the `x` | each value times 1 + s z, z of mean 0 and deviation 1: `2.5~0.02x100` |

/// Most values of one series.
pub const VALUES_MAX: usize = 1_000_000;

/// A place that is not notation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotationError {
    /// Byte of the text.
    pub at: usize,
    /// What is wrong.
    pub what: String,
}

/// The values of a series; `None` is `_`. Noise needs a seed.
///
/// # Errors
/// The first place that is not notation, or more than [`VALUES_MAX`] values.
pub fn expand(text: &str, seed: Option<u64>) -> Result<Vec<Option<f64>>, NotationError> {
    expand_with(text, &mut seed.map(Noise::new))
}

fn expand_with(text: &str, noise: &mut Option<Noise>) -> Result<Vec<Option<f64>>, NotationError> {
    let mut values = Vec::new();
    // A single value, which a following `x3` repeats.
    let mut single: Option<Option<f64>> = None;
    for (at, word) in words(text) {
        let fail = |what: String| NotationError { at, what };
        if let Some(times) = word.strip_prefix('x') {
            let value = single
                .take()
                .ok_or_else(|| fail(format!("`{word}` follows no single value")))?;
            let n = count(times).map_err(fail)?;
            push(&mut values, std::iter::repeat_n(value, n - 1)).map_err(fail)?;
            continue;
        }
        let item = Item::parse(word).map_err(fail)?;
        single = item.is_single().then_some(item.start);
        let expanded = item.values(noise).map_err(fail)?;
        push(&mut values, expanded).map_err(fail)?;
    }
    if values.is_empty() {
        return Err(NotationError {
            at: 0,
            what: "no values".to_owned(),
        });
    }
    Ok(values)
}

/// Exactly `n` values: one item without its `xN` (`2048*0.5`), or notation that gives as many.
///
/// # Errors
/// What is not notation, or another number of values.
pub(crate) fn expand_to(text: &str, n: usize, noise: &mut Option<Noise>) -> Result<Vec<Option<f64>>, String> {
    if let Ok(item) = Item::parse_progression(text.trim()) {
        return Ok(Item { n, ..item }.values(noise)?.collect());
    }
    let values = expand_with(text, noise).map_err(|error| error.what)?;
    if values.len() == n {
        Ok(values)
    } else {
        Err(format!("{} values for {n} places", values.len()))
    }
}

/// Whitespace-separated words with their byte offsets.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let base = text.as_ptr() as usize;
    text.split_whitespace()
        .map(move |it| (it.as_ptr() as usize - base, it))
}

fn push(
    values: &mut Vec<Option<f64>>,
    more: impl ExactSizeIterator<Item = Option<f64>>,
) -> Result<(), String> {
    if more.len() > VALUES_MAX - values.len().min(VALUES_MAX) {
        return Err(format!("more than {VALUES_MAX} values"));
    }
    values.extend(more);
    Ok(())
}

/// The number behind an `x`, from 1.
fn count(digits: &str) -> Result<usize, String> {
    match digits.parse::<usize>() {
        Ok(n) if (1..=VALUES_MAX).contains(&n) => Ok(n),
        _ => Err(format!("`x{digits}`: not a count from 1 to {VALUES_MAX}")),
    }
}

/// How a value follows from the one before it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Change {
    Same,
    Add(f64),
    Times(f64),
}

/// One word of the notation.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Item {
    /// `None` is `_`.
    start: Option<f64>,
    change: Change,
    noise: f64,
    /// Number of values.
    n: usize,
}

impl Item {
    fn parse(word: &str) -> Result<Self, String> {
        let Some((body, times)) = word.rsplit_once('x') else {
            let item = Self::parse_progression(word)?;
            if item.change != Change::Same {
                return Err(format!("`{word}` does not say how many: `{word}x50`"));
            }
            return Ok(item);
        };
        let n = count(times)?;
        let item = Self::parse_progression(body)?;
        let n_starts = usize::from(item.change != Change::Same);
        Ok(Self {
            n: n + n_starts,
            ..item
        })
    }

    /// What stands before the `x`.
    fn parse_progression(body: &str) -> Result<Self, String> {
        let bad = || format!("`{body}` is not a value, `a+b`, `a*r` or `_`");
        let mut item = Self {
            start: None,
            change: Change::Same,
            noise: 0.0,
            n: 1,
        };
        if body == "_" {
            return Ok(item);
        }
        let (start, mut rest) = take_number(body).ok_or_else(bad)?;
        item.start = Some(start);
        if let Some(after) = rest.strip_prefix(['+', '-', '*']) {
            let (operand, after) = take_number(after).ok_or_else(bad)?;
            item.change = match rest.as_bytes() {
                [b'*', ..] => Change::Times(operand),
                [b'-', ..] => Change::Add(-operand),
                _ => Change::Add(operand),
            };
            rest = after;
        }
        if let Some(after) = rest.strip_prefix('~') {
            let (noise, after) = take_number(after).ok_or_else(bad)?;
            if !(0.0..=1.0).contains(&noise) {
                return Err(format!("`~{noise}`: noise is a share from 0 to 1"));
            }
            item.noise = noise;
            rest = after;
        }
        if rest.is_empty() { Ok(item) } else { Err(bad()) }
    }

    fn is_single(&self) -> bool {
        self.n == 1 && self.noise == 0.0
    }

    fn values(
        self,
        noise: &mut Option<Noise>,
    ) -> Result<impl ExactSizeIterator<Item = Option<f64>> + use<'_>, String> {
        if self.noise > 0.0 && noise.is_none() {
            return Err("noise needs a `seed`".to_owned());
        }
        let mut next = self.start;
        Ok((0..self.n).map(move |_| {
            let clean = next?;
            next = Some(match self.change {
                Change::Same => clean,
                Change::Add(step) => clean + step,
                Change::Times(factor) => clean * factor,
            });
            let z = noise
                .as_mut()
                .filter(|_| self.noise > 0.0)
                .map_or(0.0, Noise::next);
            Some(if z == 0.0 {
                clean
            } else {
                clean * (1.0 + self.noise * z)
            })
        }))
    }
}

/// The number at the start of a text, and the rest.
fn take_number(text: &str) -> Option<(f64, &str)> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    for (word, value) in [("nan", f64::NAN), ("inf", f64::INFINITY)] {
        if let Some(rest) = unsigned.strip_prefix(word) {
            return Some((sign * value, rest));
        }
    }
    let bytes = unsigned.as_bytes();
    let digits = |from: usize| {
        bytes
            .iter()
            .skip(from)
            .take_while(|it| it.is_ascii_digit())
            .count()
    };
    let mut end = digits(0);
    if bytes.get(end) == Some(&b'.') {
        end += 1 + digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let from = end + 1 + usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let n_digits = digits(from);
        if n_digits > 0 {
            end = from + n_digits;
        }
    }
    let value: f64 = unsigned.get(..end)?.parse().ok()?;
    Some((sign * value, &unsigned[end..]))
}

/// Noise that is the same on every machine.
///
/// `SplitMix64` (Steele, Lea, Flood, OOPSLA 2014); a normal variate is the sum of twelve uniform ones less 6
/// (Irwin-Hall: variance exactly 1, bounded by 6), since logarithms and cosines differ between machines.
#[derive(Debug, Clone)]
pub(crate) struct Noise {
    state: u64,
}

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    fn next(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }

    fn uniform(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        // The upper 53 bits, as a multiple of 2^-53.
        (bits >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::{Noise, VALUES_MAX, expand, expand_to};

    /// The values; `None` as -99 so that they can be compared.
    fn values(text: &str) -> Vec<f64> {
        expand(text, None)
            .unwrap()
            .into_iter()
            .map(|it| it.unwrap_or(-99.0))
            .collect()
    }

    #[test]
    fn singles_repetitions_and_gaps() {
        assert_eq!(
            values("1 2.5 -3 +4 1e-3 .5 5. 2E+1"),
            [1.0, 2.5, -3.0, 4.0, 0.001, 0.5, 5.0, 20.0]
        );
        assert_eq!(values("2x3"), [2.0, 2.0, 2.0]);
        assert_eq!(values("2 x3 _x2 1"), [2.0, 2.0, 2.0, -99.0, -99.0, 1.0]);
        assert_eq!(values("  _ x1\n 7\t"), [-99.0, 7.0]);
        let odd = values("nan x3 infx2 -inf");
        assert!(odd[..3].iter().all(|it| it.is_nan()));
        assert_eq!(&odd[3..], [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY]);
    }

    #[test]
    fn progressions_have_one_value_more_than_steps() {
        assert_eq!(values("0+1x3"), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(values("10-2x2"), [10.0, 8.0, 6.0]);
        assert_eq!(values("10+-2x2"), [10.0, 8.0, 6.0]);
        assert_eq!(values("1--1x2"), [1.0, 2.0, 3.0]);
        assert_eq!(values("2048*0.5x3"), [2048.0, 1024.0, 512.0, 256.0]);
        assert_eq!(values("1e3*1e-1x2 7"), [1000.0, 100.0, 10.0, 7.0]);
        assert_eq!(expand("2.5+-0.01x50 nan x3", None).unwrap().len(), 54);
    }

    #[test]
    fn what_is_not_notation_is_named_with_its_place() {
        for (text, at, what) in [
            ("", 0, "no values"),
            ("1 two", 2, "`two` is not a value, `a+b`, `a*r` or `_`"),
            ("1+1", 0, "`1+1` does not say how many: `1+1x50`"),
            ("1x0", 0, "`x0`: not a count from 1 to 1000000"),
            ("1x-2", 0, "`x-2`: not a count from 1 to 1000000"),
            ("1x", 0, "`x`: not a count from 1 to 1000000"),
            ("1+1x3 x2", 6, "`x2` follows no single value"),
            ("x2", 0, "`x2` follows no single value"),
            ("1 x2 x2", 5, "`x2` follows no single value"),
            ("1~0.1x3", 0, "noise needs a `seed`"),
            ("1~2x3", 0, "`~2`: noise is a share from 0 to 1"),
            ("_+1x3", 0, "`_+1` is not a value, `a+b`, `a*r` or `_`"),
            ("1+1*2x3", 0, "`1+1*2` is not a value, `a+b`, `a*r` or `_`"),
        ] {
            let error = expand(text, None).unwrap_err();
            assert_eq!((error.at, error.what.as_str()), (at, what), "{text}");
        }
    }

    #[test]
    fn the_number_of_values_is_limited() {
        assert_eq!(
            expand(&format!("1x{VALUES_MAX}"), None).unwrap().len(),
            VALUES_MAX
        );
        for text in [
            "1x1000001",
            "1+1x1000000",
            "1x1000000 1",
            "1x1000000 1 x2",
            "1x99999999999999999999",
        ] {
            assert!(expand(text, None).is_err(), "{text}");
        }
    }

    #[test]
    fn noise_has_the_stated_size_and_only_depends_on_the_seed() {
        let noisy = |seed| -> Vec<f64> {
            expand("2~0.05x10000", Some(seed))
                .unwrap()
                .into_iter()
                .flatten()
                .collect()
        };
        let values = noisy(7);
        assert_eq!(values, noisy(7));
        assert_ne!(values, noisy(8));
        let mean = values.iter().sum::<f64>() / 1e4;
        let deviation = (values.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / 1e4).sqrt();
        // Standard errors: 0.1 / sqrt(1e4) = 0.001 and 0.1 / sqrt(2e4) = 0.0007; five of them.
        assert!((mean - 2.0).abs() < 0.005, "{mean}");
        assert!((deviation - 0.1).abs() < 0.004, "{deviation}");
    }

    #[test]
    fn the_generator_is_splitmix64() {
        // First output for seed 1234567 of the reference implementation: 6457827717110365317.
        let first = Noise::new(1_234_567).uniform();
        assert_eq!(
            first,
            (6_457_827_717_110_365_317_u64 >> 11) as f64 / (1_u64 << 53) as f64
        );
    }

    #[test]
    fn a_profile_has_as_many_values_as_layers() {
        assert_eq!(
            expand_to("8*0.5", 4, &mut None).unwrap(),
            [Some(8.0), Some(4.0), Some(2.0), Some(1.0)]
        );
        assert_eq!(expand_to("3", 2, &mut None).unwrap(), [Some(3.0), Some(3.0)]);
        assert_eq!(
            expand_to("8*0.5x3", 4, &mut None),
            expand_to("8*0.5", 4, &mut None)
        );
        assert_eq!(
            expand_to("1 0 x2", 3, &mut None).unwrap(),
            [Some(1.0), Some(0.0), Some(0.0)]
        );
        assert_eq!(
            expand_to("8*0.5x4", 4, &mut None),
            Err("5 values for 4 places".to_owned())
        );
        assert!(expand_to("", 4, &mut None).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[0-9x+*~_.naife -]{0,40}") {
            // Counts beyond a few thousand only cost time here.
            if !text.contains("00") {
                let _ = expand(&text, Some(1));
            }
        }
    }
}
