//! What is known of a whole stream at this moment: learning rate, loss, planned length, restarts.
//!
//! In: points of the training loss and the learning rate. Out: a few numbers that checks ask for. Invariant:
//! constant size; the baseline is shared, not copied.

use std::sync::Arc;

use super::Baseline;

/// The training loss so far. Medians of five are used so that one odd batch does not move them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LossFacts {
    /// Finite points so far.
    pub n: u64,
    /// Median of the first five points; `None` before the third.
    pub initial: Option<f64>,
    /// Smallest median of five so far.
    pub best: Option<f64>,
    /// Median of the last five.
    pub current: Option<f64>,
    /// The smallest finite loss so far, known from the first point on: a run may be over before there is a median.
    pub lowest: Option<f64>,
    /// The last finite loss.
    pub last: Option<f64>,
    recent: [f64; 5],
}

impl LossFacts {
    /// Takes a point; non-finite values are not part of the medians.
    pub fn add(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        self.recent[(self.n % 5) as usize] = value;
        self.n += 1;
        self.last = Some(value);
        self.lowest = Some(self.lowest.map_or(value, |lowest| lowest.min(value)));
        let median = match self.n {
            0..3 => return,
            3..5 => {
                let mut sorted = self.recent;
                let window = &mut sorted[..self.n as usize];
                window.sort_unstable_by(f64::total_cmp);
                window[self.n as usize / 2]
            }
            _ => median_of_five(self.recent),
        };
        if self.n <= 5 {
            self.initial = Some(median);
        }
        self.current = Some(median);
        self.best = Some(self.best.map_or(median, |best| best.min(median)));
    }

    /// Share of the initial loss that is gone at best so far, 0 when not known or the loss may be negative.
    #[must_use]
    pub fn fell_share(&self) -> f64 {
        match (self.initial, self.best) {
            (Some(initial), Some(best)) if initial > 0.0 => ((initial - best) / initial).max(0.0),
            _ => 0.0,
        }
    }
}

/// The median of five finite values: that of the larger of the two least, the lesser of the two largest of two pairs, and
/// the fifth (Devillard, Fast median search, 1998). This runs for every loss.
fn median_of_five([a, b, c, d, e]: [f64; 5]) -> f64 {
    let low = a.min(b).max(c.min(d));
    let high = a.max(b).min(c.max(d));
    low.min(high).max(low.max(high).min(e))
}

/// What is known of a stream at this moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Facts {
    /// The training loss.
    pub loss: LossFacts,
    /// Players with losses of their own were seen (adversaries, policies): the losses need not fall.
    pub is_game: bool,
    /// Last learning rate.
    pub learning_rate: Option<f64>,
    /// Largest learning rate so far.
    pub learning_rate_max: Option<f64>,
    /// Last loss scale (mixed precision).
    pub loss_scale: Option<f64>,
    /// How many steps the run is to have, when the log says so.
    pub planned_steps: Option<i64>,
    /// Smallest step of the stream.
    pub first_step: Option<i64>,
    /// Largest step so far.
    pub last_step: Option<i64>,
    /// Steps closed so far (distinct logged steps).
    pub n_steps: u64,
    /// Step to which the last restart went back, and steps closed since.
    pub restart: Option<(i64, u64)>,
    /// First step with a non-finite watched value in the current attempt.
    pub nonfinite_since: Option<i64>,
    /// Steps are ordinals of rows: the log has no step numbers.
    pub steps_are_ordinal: bool,
    /// The step axis counts epochs.
    pub steps_are_epochs: bool,
    /// The run that this one is to be compared with.
    pub baseline: Option<Arc<Baseline>>,
}

#[cfg(test)]
mod tests {
    use super::median_of_five;

    #[test]
    fn the_median_of_five_is_the_third_in_any_order() {
        // All orders of five values, some of them equal.
        for code in 0..5_usize.pow(5) {
            let values: [f64; 5] = std::array::from_fn(|at| (code / 5_usize.pow(at as u32) % 5) as f64 - 2.0);
            let mut sorted = values;
            sorted.sort_unstable_by(f64::total_cmp);
            assert!(median_of_five(values) == sorted[2], "{values:?}");
        }
    }
}
