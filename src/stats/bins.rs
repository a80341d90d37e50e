//! The course of a whole series in a fixed number of bins.
//!
//! In: plain numbers with their steps, one at a time. Out: means of consecutive points. Invariant: constant memory,
//! allocated only as points come, and small, for there is one for each series of thousands: eight bytes a bin.

/// The mean of some consecutive points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// Step of its last point.
    pub last_step: i64,
    /// Mean of its values.
    pub mean: f64,
}

/// A whole series in at most `capacity` bins of equal point counts: when they are full, neighbours are merged
/// and bins hold twice as many points from then on.
#[derive(Debug, Clone)]
pub struct Bins {
    closed: Vec<Closed>,
    /// Step of the first bin's end.
    base: i64,
    open_sum: f64,
    open_points: u32,
    points_per_bin: u32,
    capacity: u16,
    /// Steps are counted from `base` in units of `2^shift`: 1 unless the series spans more than 2^32 of them, as tokens
    /// do.
    shift: u8,
}

/// A bin as it is kept. 24 bits of a mean are less than its error by rounding in the sums of most writers.
#[derive(Debug, Clone, Copy)]
struct Closed {
    /// Units of steps from the base to its last point, rounded up.
    end: u32,
    mean: f32,
}

impl Bins {
    /// At most `capacity` bins; an even number from 2.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            closed: Vec::new(),
            base: 0,
            open_sum: 0.0,
            open_points: 0,
            points_per_bin: 1,
            capacity: (capacity.clamp(2, usize::from(u16::MAX)) & !1) as u16,
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
        if self.closed.len() >= usize::from(self.capacity) {
            self.merge_pairs();
            // The open points are now half of a bin of the new size.
            if self.open_points < self.points_per_bin {
                return false;
            }
        }
        let mean = (self.open_sum / f64::from(self.open_points)) as f32;
        let end = self.units(step);
        self.closed.push(Closed { end, mean });
        self.open_sum = 0.0;
        self.open_points = 0;
        true
    }

    /// The step in units from the base, rounded up.
    fn units(&mut self, step: i64) -> u32 {
        if self.closed.is_empty() {
            (self.base, self.shift) = (step, 0);
        }
        // Interleaved writers go back behind the base.
        let offset = step.saturating_sub(self.base).max(0).unsigned_abs();
        while offset.div_ceil(1 << self.shift) > u64::from(u32::MAX) {
            self.shift += 1;
            self.closed.iter_mut().for_each(|it| it.end = it.end.div_ceil(2));
        }
        offset.div_ceil(1 << self.shift) as u32
    }

    fn step_of(&self, end: u32) -> i64 {
        self.base.saturating_add_unsigned(u64::from(end) << self.shift)
    }

    fn merge_pairs(&mut self) {
        let half = self.closed.len() / 2;
        for pair in 0..half {
            let (Some(a), Some(b)) = (
                self.closed.get(2 * pair).copied(),
                self.closed.get(2 * pair + 1).copied(),
            ) else {
                break;
            };
            if let Some(slot) = self.closed.get_mut(pair) {
                *slot = Closed {
                    end: b.end,
                    mean: f32::midpoint(a.mean, b.mean),
                };
            }
        }
        self.closed.truncate(half);
        self.points_per_bin = self.points_per_bin.saturating_mul(2);
    }

    /// The closed bins, oldest first.
    #[must_use]
    pub fn closed(&self) -> Vec<Bin> {
        let read = |it: &Closed| Bin {
            last_step: self.step_of(it.end),
            mean: f64::from(it.mean),
        };
        self.closed.iter().map(read).collect()
    }

    /// Points in the closed bins.
    #[must_use]
    pub fn n_points(&self) -> u64 {
        u64::from(self.points_per_bin).saturating_mul(self.closed.len() as u64)
    }

    /// Points in each closed bin.
    #[must_use]
    pub fn points_per_bin(&self) -> u64 {
        u64::from(self.points_per_bin)
    }

    /// Forgets the bins with points at or after `step`.
    pub fn rewind(&mut self, step: i64) {
        let keep = self.closed.partition_point(|bin| self.step_of(bin.end) < step);
        self.closed.truncate(keep);
        self.open_sum = 0.0;
        self.open_points = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::Bins;

    #[test]
    fn bins_hold_the_mean_of_all_points_in_order() {
        for n in [1_u32, 7, 8, 9, 64, 1000] {
            let mut bins = Bins::new(8);
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
        let mut bins = Bins::new(8);
        for i in 0..20 {
            bins.push(i, 1.0);
        }
        bins.rewind(10);
        assert!(bins.closed().iter().all(|bin| bin.last_step < 10));
        assert_eq!(bins.closed().len(), 2);
    }

    #[test]
    fn steps_of_any_size_are_kept_to_a_billionth_and_never_too_early() {
        for (start, stride) in [(i64::MIN, 1 << 40), (-7, 3), (1 << 60, 1 << 50), (0, 1 << 28)] {
            let mut bins = Bins::new(8);
            for i in 0..64 {
                bins.push(start.saturating_add(i * stride), 1.0);
            }
            let per_bin = bins.points_per_bin() as i64;
            for (i, bin) in (1..).zip(bins.closed()) {
                let exact = start.saturating_add((i * per_bin - 1) * stride);
                let late = bin.last_step.saturating_sub(exact);
                assert!(
                    late >= 0 && late as f64 <= 1e-9 * 64.0 * stride as f64,
                    "{start} {stride}: {late}"
                );
            }
        }
    }
}
