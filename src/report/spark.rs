//! Numbers as a row of blocks.
//!
//! In: values. Out: one character per value. Invariants: NaN and infinity are marked (`!`), missing values are
//! a blank; readable without colour.

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A row of at most `width` blocks on a linear scale.
#[must_use]
pub fn sparkline(values: &[f64], width: usize) -> String {
    draw(&thin(values, width), |value| value)
}

/// A row of at most `width` blocks on a log scale; zero and negative values are `·`.
#[must_use]
pub fn sparkline_log(values: &[f64], width: usize) -> String {
    draw(&thin(values, width), |value| {
        if value > 0.0 {
            value.ln()
        } else {
            f64::NEG_INFINITY
        }
    })
}

/// At most `width` values; where several fall together a non-finite one wins, then the one furthest from the
/// first, so that extremes stay visible.
fn thin(values: &[f64], width: usize) -> Vec<f64> {
    if values.len() <= width || width == 0 {
        return values.to_vec();
    }
    (0..width)
        .map(|column| {
            let from = column * values.len() / width;
            let to = ((column + 1) * values.len() / width).max(from + 1);
            let part = &values[from..to.min(values.len())];
            part.iter()
                .copied()
                .find(|it| !it.is_finite())
                .unwrap_or_else(|| furthest(part))
        })
        .collect()
}

fn furthest(part: &[f64]) -> f64 {
    let first = part.first().copied().unwrap_or(f64::NAN);
    part.iter().copied().fold(first, |best, it| {
        if (it - first).abs() > (best - first).abs() {
            it
        } else {
            best
        }
    })
}

fn draw(values: &[f64], scale: impl Fn(f64) -> f64) -> String {
    let scaled: Vec<f64> = values
        .iter()
        .map(|it| if it.is_finite() { scale(*it) } else { f64::NAN })
        .collect();
    let finite = scaled.iter().copied().filter(|it| it.is_finite());
    let low = finite.clone().fold(f64::INFINITY, f64::min);
    let high = finite.fold(f64::NEG_INFINITY, f64::max);
    scaled
        .iter()
        .map(|value| {
            if value.is_nan() {
                '!'
            } else if *value == f64::NEG_INFINITY {
                '·'
            } else if high > low {
                let share = (value - low) / (high - low);
                BLOCKS[((share * 7.0).round() as usize).min(7)]
            } else {
                BLOCKS[3]
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_from_low_to_high_and_marks_what_is_not_a_number() {
        assert_eq!(sparkline(&[0.0, 7.0], 10), "▁█");
        assert_eq!(sparkline(&[1.0, f64::NAN, f64::INFINITY, 2.0], 10), "▁!!█");
        assert_eq!(sparkline_log(&[0.0, 1.0, 1e3, 1e6], 10), "·▁▅█");
        assert_eq!(sparkline(&[3.0; 4], 10), "▄▄▄▄");
        assert_eq!(sparkline(&[], 10), "");
    }

    #[test]
    fn thinning_keeps_a_single_nan() {
        let mut values = vec![1.0; 1000];
        values[503] = f64::NAN;
        assert_eq!(sparkline(&values, 20).matches('!').count(), 1);
    }
}
