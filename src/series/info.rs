//! What is known of one series: its tag, its meaning, and running totals.
//!
//! In: points. Out: the totals that `inspect` shows. Invariant: constant size whatever the length of the log.

use std::sync::Arc;

use crate::model::{Form, Meaning, Quantity, Smoothing};

/// How near to the largest value a value is at the ceiling, relative: a clipped norm is the ceiling up to the rounding of
/// a division in float32 and of six printed digits.
const PINNED_WITHIN: f64 = 1e-4;

/// Points below which nothing is said of a ceiling.
const PINNED_POINTS_MIN: u64 = 20;

/// One series of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesInfo {
    /// The tag as logged.
    pub tag: Arc<str>,
    /// What it means.
    pub meaning: Arc<Meaning>,
    /// Whether any value was an estimate.
    pub is_estimate: bool,
    /// What the values are of those of single steps, where the format smooths them.
    pub smoothing: Option<Smoothing>,
    /// Number of tensor elements where the log tells it.
    pub n_elements: Option<f64>,
    /// Smallest step of the printed decimals, 0 when not limited.
    pub resolution: f64,
    /// Points of all attempts.
    pub points: u64,
    /// Of these, NaN or infinite.
    pub nonfinite: u64,
    /// Smallest step.
    pub first_step: i64,
    /// Last step.
    pub last_step: i64,
    /// Smallest finite value; infinity while there is none.
    pub min: f64,
    /// Largest finite value; -infinity while there is none.
    pub max: f64,
    /// Values at the largest one, up to a ten-thousandth.
    pub near_max: u64,
    /// Last value.
    pub last: f64,
    /// How often the step went back.
    pub restarts: u32,
}

impl SeriesInfo {
    /// A series without points.
    #[must_use]
    pub fn new(tag: impl Into<Arc<str>>, meaning: impl Into<Arc<Meaning>>) -> Self {
        Self {
            tag: tag.into(),
            meaning: meaning.into(),
            is_estimate: false,
            smoothing: None,
            n_elements: None,
            resolution: 0.0,
            points: 0,
            nonfinite: 0,
            first_step: 0,
            last_step: 0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            near_max: 0,
            last: f64::NAN,
            restarts: 0,
        }
    }

    /// The ceiling of a gradient norm that was logged behind clipping: at least half of its values are the largest one.
    /// Such a norm shows neither growth nor spikes (`grad_gnorm` of `RLlib` is exactly 40 for whole runs).
    #[must_use]
    pub fn pinned_at(&self) -> Option<f64> {
        let is_gradient = matches!(
            self.meaning.quantity,
            Quantity::GradNorm | Quantity::GradNormTotal
        );
        let is_pinned =
            self.points >= PINNED_POINTS_MIN && self.near_max * 2 >= self.points && self.max > 0.0;
        (is_gradient && is_pinned).then_some(self.max)
    }

    /// Takes a point into the totals.
    pub fn add(&mut self, step: i64, value: f64, form: &Form) {
        if self.points == 0 {
            self.first_step = step;
            self.n_elements = form.n_elements();
            self.is_estimate = form.is_estimate();
        }
        self.points += 1;
        self.first_step = self.first_step.min(step);
        self.last_step = step;
        self.last = value;
        self.resolution = form.resolution();
        if value.is_finite() {
            self.min = self.min.min(value);
            // A new largest value that is hardly larger is one more at the ceiling.
            let room = PINNED_WITHIN * self.max.abs();
            if value > self.max + room || self.near_max == 0 {
                self.near_max = 1;
            } else if value >= self.max - room {
                self.near_max += 1;
            }
            self.max = self.max.max(value);
        } else {
            self.nonfinite += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SeriesInfo;
    use crate::extract::understand;
    use crate::model::Form;

    fn info(tag: &str, values: impl Iterator<Item = f64>) -> SeriesInfo {
        let mut info = SeriesInfo::new(tag, understand(tag));
        for (step, value) in (0..).zip(values) {
            info.add(step, value, &Form::EXACT);
        }
        info
    }

    #[test]
    fn a_clipped_norm_is_pinned_at_its_ceiling() {
        let clipped = |step: i32| {
            if step % 3 == 0 {
                0.4
            } else {
                1.0 - f64::from(step % 5) * 1e-6
            }
        };
        assert_eq!(info("grad_norm", (0..60).map(clipped)).pinned_at(), Some(1.0));
        assert_eq!(info("grad_norm", (0..60).map(|_| 40.0)).pinned_at(), Some(40.0));
        assert_eq!(info("loss", (0..60).map(|_| 40.0)).pinned_at(), None);
        assert_eq!(info("grad_norm", (0..10).map(|_| 1.0)).pinned_at(), None);
        assert_eq!(info("grad_norm", (0..60).map(|_| 0.0)).pinned_at(), None);
    }

    #[test]
    fn a_norm_that_moves_is_not() {
        let moves = (0..60).map(|step| 1.0 + 0.3 * f64::from(step % 7));
        assert_eq!(info("grad_norm", moves).pinned_at(), None);
        // A slow climb is at its largest value all the time.
        let climbs = (0..1000).map(|step| 1.0 + 0.01 * f64::from(step));
        assert_eq!(info("grad_norm", climbs).pinned_at(), None);
    }
}
