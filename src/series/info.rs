//! What is known of one series: its tag, its meaning, and running totals.
//!
//! In: points. Out: the totals that `inspect` shows. Invariant: constant size whatever the length of the log.

use crate::model::{Form, Meaning, Smoothing};

/// One series of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesInfo {
    /// The tag as logged.
    pub tag: String,
    /// What it means.
    pub meaning: Meaning,
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
    /// Last value.
    pub last: f64,
    /// How often the step went back.
    pub restarts: u32,
}

impl SeriesInfo {
    /// A series without points.
    #[must_use]
    pub fn new(tag: &str, meaning: Meaning) -> Self {
        Self {
            tag: tag.to_owned(),
            meaning,
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
            last: f64::NAN,
            restarts: 0,
        }
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
            self.max = self.max.max(value);
        } else {
            self.nonfinite += 1;
        }
    }
}
