//! A bounded picture of one series: extremes kept, detail halved as the log grows.
//!
//! In: points in step order. Out: at most [`BINS_MAX`] bins of equal numbers of points. Invariants: the first
//! and last value, every bin's smallest and largest value and its non-finite points are kept; constant memory.

/// Bins kept; when they are full, pairs are joined and each bin holds twice the points.
pub const BINS_MAX: usize = 128;

/// Neighbouring points, summarised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// First step in the bin.
    pub step: i64,
    /// Smallest finite value; infinity when there is none.
    pub min: f64,
    /// Largest finite value; -infinity when there is none.
    pub max: f64,
    /// Last finite value; NaN when there is none.
    pub last: f64,
    /// Non-finite points.
    pub nonfinite: u32,
    /// Points.
    pub n: u32,
}

/// A bounded picture of one series.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    bins: Vec<Bin>,
    points_per_bin: u32,
}

impl Default for History {
    fn default() -> Self {
        Self {
            bins: Vec::new(),
            points_per_bin: 1,
        }
    }
}

impl History {
    /// Takes a point.
    pub fn add(&mut self, step: i64, value: f64) {
        let point = Bin::of(step, value);
        match self.bins.last_mut() {
            Some(last) if last.n < self.points_per_bin => last.join(&point),
            _ => {
                if self.bins.len() >= BINS_MAX {
                    self.halve();
                }
                self.bins.push(point);
            }
        }
    }

    /// Forgets the bins that begin at or after `step`.
    pub fn rewind(&mut self, step: i64) {
        self.bins.retain(|bin| bin.step < step);
    }

    /// The bins, oldest first.
    #[must_use]
    pub fn bins(&self) -> &[Bin] {
        &self.bins
    }

    /// Whether the last points are none that are finite.
    #[must_use]
    pub fn ends_in_non_finite(&self) -> bool {
        self.bins.last().is_some_and(|it| it.last.is_nan())
    }

    fn halve(&mut self) {
        let joined = self.bins.chunks(2).map(|pair| match pair {
            [a, b] => {
                let mut bin = *a;
                bin.join(b);
                bin
            }
            rest => rest[0],
        });
        self.bins = joined.collect();
        self.points_per_bin = self.points_per_bin.saturating_mul(2);
    }
}

impl Bin {
    fn of(step: i64, value: f64) -> Self {
        if value.is_finite() {
            Self {
                step,
                min: value,
                max: value,
                last: value,
                nonfinite: 0,
                n: 1,
            }
        } else {
            Self {
                step,
                min: f64::INFINITY,
                max: f64::NEG_INFINITY,
                last: f64::NAN,
                nonfinite: 1,
                n: 1,
            }
        }
    }

    fn join(&mut self, later: &Bin) {
        self.min = self.min.min(later.min);
        self.max = self.max.max(later.max);
        if !later.last.is_nan() {
            self.last = later.last;
        }
        self.nonfinite = self.nonfinite.saturating_add(later.nonfinite);
        self.n = self.n.saturating_add(later.n);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_series_keeps_its_extremes_in_constant_memory() {
        let mut history = History::default();
        for step in 0..100_000 {
            let value = if step == 31_415 {
                1e9
            } else if step == 77_777 {
                f64::NAN
            } else {
                1.0
            };
            history.add(step, value);
        }
        assert!(history.bins().len() <= BINS_MAX);
        assert_eq!(
            history.bins().iter().map(|it| u64::from(it.n)).sum::<u64>(),
            100_000
        );
        assert_eq!(history.bins().iter().map(|it| it.max).fold(0.0, f64::max), 1e9);
        assert_eq!(history.bins().iter().map(|it| it.nonfinite).sum::<u32>(), 1);
    }

    #[test]
    fn a_restart_forgets_what_it_replaces() {
        let mut history = History::default();
        (0..10).for_each(|step| history.add(step, 1.0));
        history.rewind(4);
        assert_eq!(history.bins().len(), 4);
    }
}
