//! Median and median absolute deviation, by selection instead of sorting.
//!
//! In: a slice, and for selections a slice that may be reordered. Out: the number, `None` for an empty slice.
//! Invariant: the caller owns all buffers; a call allocates only when its scratch has to grow. NaN sorts last
//! (`f64::total_cmp`); callers leave non-finite values out.

/// Median of `values`, which are reordered; the mean of the two middle ones when their number is even.
/// Linear time. `None` when empty.
#[must_use]
pub fn median(values: &mut [f64]) -> Option<f64> {
    middle_pair(values).map(|(lower, upper)| halfway(lower, upper))
}

/// Half of each, so that two values near the end of the range do not overflow.
fn halfway(lower: f64, upper: f64) -> f64 {
    if lower == upper {
        upper
    } else {
        0.5 * lower + 0.5 * upper
    }
}

/// Median of `ln` of `values`, which are positive and are reordered. `None` when empty.
#[must_use]
pub fn median_log(values: &mut [f64]) -> Option<f64> {
    middle_pair(values).map(|(lower, upper)| halfway(lower.ln(), upper.ln()))
}

/// Smallest and largest of `values`; infinity and -infinity when there are none. NaN is passed over.
#[must_use]
pub fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (
            if value < low { value } else { low },
            if value > high { value } else { high },
        )
    })
}

/// The two middle ones of `values`, which are reordered; twice the middle one when their number is odd. For
/// the median of a rising function of the values, which then need not be worked out for all of them.
#[must_use]
pub(super) fn middle_pair(values: &mut [f64]) -> Option<(f64, f64)> {
    let middle = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    let is_even = values.len().is_multiple_of(2);
    let (below, upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let upper = *upper;
    let lower = if is_even {
        below.iter().copied().max_by(f64::total_cmp)?
    } else {
        upper
    };
    Some((lower, upper))
}

/// Median of values that are sorted already. `None` when empty.
#[must_use]
pub fn sorted_median(values: &[f64]) -> Option<f64> {
    let upper = *values.get(values.len() / 2)?;
    if !values.len().is_multiple_of(2) {
        return Some(upper);
    }
    let lower = *values.get((values.len() / 2).checked_sub(1)?)?;
    Some(0.5 * lower + 0.5 * upper)
}

/// Median absolute deviation of `values` from `center`, unscaled (times 1.4826 it estimates the standard
/// deviation of a normal distribution). `scratch` is overwritten. `None` when empty.
#[must_use]
pub fn mad(values: &[f64], center: f64, scratch: &mut Vec<f64>) -> Option<f64> {
    scratch.clear();
    scratch.extend(values.iter().map(|value| (value - center).abs()));
    median(scratch)
}

#[cfg(test)]
mod tests {
    use super::{mad, median, sorted_median};

    #[test]
    fn median_is_the_middle_of_the_sorted_values() {
        assert_eq!(median(&mut []), None);
        assert_eq!(median(&mut [3.0]), Some(3.0));
        assert_eq!(median(&mut [4.0, 1.0]), Some(2.5));
        assert_eq!(median(&mut [5.0, 1.0, 3.0]), Some(3.0));
        assert_eq!(median(&mut [f64::MAX, f64::MAX]), Some(f64::MAX));
    }

    #[test]
    fn selection_agrees_with_sorting() {
        // A multiplicative sequence visits the residues of a prime in scattered order.
        for n in 1..60_u64 {
            let mut values: Vec<f64> = (1..=n).map(|i| ((i * 7919) % 101) as f64).collect();
            let mut sorted = values.clone();
            sorted.sort_unstable_by(f64::total_cmp);
            assert_eq!(median(&mut values), sorted_median(&sorted), "n = {n}");
        }
    }

    #[test]
    fn mad_ignores_one_wild_value() {
        let values = [1.0, 2.0, 3.0, 4.0, 1e9];
        assert_eq!(mad(&values, 3.0, &mut Vec::new()), Some(1.0));
        assert_eq!(mad(&[], 0.0, &mut Vec::new()), None);
    }
}
