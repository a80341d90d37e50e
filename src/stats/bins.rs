//! The course of a whole series in a fixed number of bins.
//!
//! In: plain numbers with their steps, one at a time. Out: means of consecutive points. Invariant: constant memory,
//! allocated only as points come, and small, for there is one for each series of thousands: four or eight bytes a bin.

/// The mean of some consecutive points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// Step of its last point.
    pub last_step: i64,
    /// Mean of its values.
    pub mean: f64,
}

/// How the mean of a bin and its end are kept.
pub trait Keep: Copy {
    /// Largest number of units of steps from the base.
    const END_MAX: u64;

    /// A bin with this end, in units from the base (at most [`END_MAX`](Self::END_MAX)), and this mean.
    fn new(end: u64, mean: f64) -> Self;

    /// Units of steps from the base to its last point, rounded up.
    fn end(self) -> u64;

    /// The mean.
    fn mean(self) -> f64;
}

/// Any numbers, in eight bytes: a mean to seven digits.
#[derive(Debug, Clone, Copy)]
pub struct Plain {
    end: u32,
    mean: f32,
}

impl Keep for Plain {
    const END_MAX: u64 = u32::MAX as u64;

    fn new(end: u64, mean: f64) -> Self {
        Self {
            end: end as u32,
            mean: mean as f32,
        }
    }

    fn end(self) -> u64 {
        u64::from(self.end)
    }

    fn mean(self) -> f64 {
        f64::from(self.mean)
    }
}

/// Natural logarithms of numbers that a 32-bit float can hold, in four bytes: a mean to 1/256 (0.4 % of the number, a
/// fifth of the least noise that any check counts with), an end to 1/32,768 of the steps of the series.
#[derive(Debug, Clone, Copy)]
pub struct Log {
    end: u16,
    mean: i16,
}

/// Parts of one that a logarithm is kept to.
const LOG_PARTS: f64 = 256.0;

impl Keep for Log {
    const END_MAX: u64 = u16::MAX as u64;

    fn new(end: u64, mean: f64) -> Self {
        Self {
            end: end as u16,
            mean: (mean * LOG_PARTS).round() as i16,
        }
    }

    fn end(self) -> u64 {
        u64::from(self.end)
    }

    fn mean(self) -> f64 {
        f64::from(self.mean) / LOG_PARTS
    }
}

/// A whole series in at most `N` bins (an even number) of equal point counts: when they are full, neighbours are merged
/// and bins hold twice as many points from then on.
#[derive(Debug, Clone)]
pub struct Bins<const N: usize, K = Plain> {
    /// The first `n` are closed bins.
    places: [K; N],
    n: u16,
    /// Step of the first bin's end.
    base: i64,
    open_sum: f64,
    open_points: u32,
    points_per_bin: u32,
    /// Steps are counted from `base` in units of `2^shift`.
    shift: u8,
}

impl<const N: usize, K: Keep> Default for Bins<N, K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize, K: Keep> Bins<N, K> {
    /// No points yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            places: [K::new(0, 0.0); N],
            n: 0,
            base: 0,
            open_sum: 0.0,
            open_points: 0,
            points_per_bin: 1,
            shift: 0,
        }
    }

    /// Takes a value; true when a bin was closed.
    pub fn push(&mut self, step: i64, value: f64) -> bool {
        self.open_sum += value;
        self.open_points += 1;
        if self.open_points < self.points_per_bin {
            return false;
        }
        if usize::from(self.n) >= N {
            self.merge_pairs();
            // The open points are now half of a bin of the new size.
            if self.open_points < self.points_per_bin {
                return false;
            }
        }
        let mean = self.open_sum / f64::from(self.open_points);
        let end = self.units(step);
        if let Some(place) = self.places.get_mut(usize::from(self.n)) {
            *place = K::new(end, mean);
            self.n += 1;
        }
        self.open_sum = 0.0;
        self.open_points = 0;
        true
    }

    /// The step in units from the base, rounded up.
    fn units(&mut self, step: i64) -> u64 {
        if self.n == 0 {
            (self.base, self.shift) = (step, 0);
        }
        // Interleaved writers go back behind the base.
        let offset = step.saturating_sub(self.base).max(0).unsigned_abs();
        while offset.div_ceil(1 << self.shift) > K::END_MAX {
            self.shift += 1;
            for it in &mut self.places {
                *it = K::new(it.end().div_ceil(2), it.mean());
            }
        }
        offset.div_ceil(1 << self.shift)
    }

    fn step_of(&self, bin: K) -> i64 {
        self.base.saturating_add_unsigned(bin.end() << self.shift)
    }

    fn merge_pairs(&mut self) {
        let half = self.n / 2;
        for pair in 0..usize::from(half) {
            let (Some(a), Some(b)) = (
                self.places.get(2 * pair).copied(),
                self.places.get(2 * pair + 1).copied(),
            ) else {
                break;
            };
            if let Some(slot) = self.places.get_mut(pair) {
                *slot = K::new(b.end(), f64::midpoint(a.mean(), b.mean()));
            }
        }
        self.n = half;
        self.points_per_bin = self.points_per_bin.saturating_mul(2);
    }

    /// The closed bins, oldest first.
    #[must_use]
    pub fn closed(&self) -> Vec<Bin> {
        let read = |it: &K| Bin {
            last_step: self.step_of(*it),
            mean: it.mean(),
        };
        self.kept().iter().map(read).collect()
    }

    fn kept(&self) -> &[K] {
        self.places.get(..usize::from(self.n)).unwrap_or_default()
    }

    /// Points in the closed bins.
    #[must_use]
    pub fn n_points(&self) -> u64 {
        u64::from(self.points_per_bin).saturating_mul(u64::from(self.n))
    }

    /// Points in each closed bin.
    #[must_use]
    pub fn points_per_bin(&self) -> u64 {
        u64::from(self.points_per_bin)
    }

    /// Forgets the bins with points at or after `step`.
    pub fn rewind(&mut self, step: i64) {
        self.n = self.kept().partition_point(|bin| self.step_of(*bin) < step) as u16;
        self.open_sum = 0.0;
        self.open_points = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::{Bins, Keep, Log, Plain};

    #[test]
    fn bins_hold_the_mean_of_all_points_in_order() {
        for n in [1_u32, 7, 8, 9, 64, 1000] {
            let mut bins: Bins<8, Plain> = Bins::new();
            for i in 0..n {
                bins.push(i64::from(i), f64::from(i));
            }
            assert!(bins.closed().len() <= 8);
            let held = bins.n_points();
            assert!(held <= u64::from(n) && held * 2 >= u64::from(n), "{n}: {held}");
            let mean = bins.closed().iter().map(|bin| bin.mean).sum::<f64>() / bins.closed().len() as f64;
            assert!((mean - (held as f64 - 1.0) / 2.0).abs() < 1e-9, "{n}: {mean}");
            assert!(bins.closed().is_sorted_by(|a, b| a.last_step < b.last_step));
        }
    }

    #[test]
    fn bins_forget_what_a_restart_supersedes() {
        let mut bins: Bins<8, Plain> = Bins::new();
        for i in 0..20 {
            bins.push(i, 1.0);
        }
        bins.rewind(10);
        assert!(bins.closed().iter().all(|bin| bin.last_step < 10));
        assert_eq!(bins.closed().len(), 2);
    }

    /// Largest error of an end, as a share of the steps of the series; no end is too early.
    fn error_of_ends<K: Keep>(start: i64, stride: i64) -> f64 {
        let mut bins: Bins<8, K> = Bins::new();
        let step = |i: i64| start.saturating_add(i * stride);
        (0..64).for_each(|i| {
            bins.push(step(i), 1.0);
        });
        let per_bin = bins.points_per_bin() as i64;
        let late = |(i, bin): (i64, super::Bin)| bin.last_step.saturating_sub(step(i * per_bin - 1));
        let errors: Vec<i64> = (1..).zip(bins.closed()).map(late).collect();
        assert!(errors.iter().all(|it| *it >= 0), "{errors:?}");
        errors
            .iter()
            .max()
            .map_or(0.0, |it| *it as f64 / (64.0 * stride as f64))
    }

    #[test]
    fn steps_of_any_size_are_kept_well_enough_and_never_too_early() {
        for (start, stride) in [(i64::MIN, 1 << 40), (-7, 3), (1 << 60, 1 << 50), (0, 1 << 28)] {
            assert!(error_of_ends::<Plain>(start, stride) < 1e-9);
            assert!(error_of_ends::<Log>(start, stride) < 1.0 / 32_768.0);
        }
        assert_eq!(error_of_ends::<Log>(0, 500), 0.0, "exact in the usual case");
    }

    #[test]
    fn logarithms_of_all_floats_are_kept_to_a_fifth_of_the_least_noise() {
        for value in [f32::MIN_POSITIVE, 1e-20, 0.02, 1.0, 7.3, 1e9, f32::MAX] {
            let ln = f64::from(value).ln();
            assert!((Log::new(0, ln).mean() - ln).abs() <= 0.02 / 5.0, "{value}");
        }
    }
}
