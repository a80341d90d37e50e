//! Bounded memories of a series: a ring of the last values, a local level with its noise, and a history of the
//! whole series in a fixed number of bins.
//!
//! In: plain numbers, one at a time. Out: medians, deviations, bins. Invariant: constant memory, allocated only
//! as points come; no value is kept in more than one place, so clearing forgets.

/// Largest capacity of a [`Window`], so that a median is taken on the stack.
pub const WINDOW_MAX: usize = 64;

/// Values of a short window.
const SHORT: usize = 9;

/// Standard deviation of a normal variable over its mean absolute deviation: sqrt(pi / 2).
const SD_PER_MEAN_ABS: f64 = 1.253_314_137_315_500_3;

/// The last few values.
#[derive(Debug, Clone, Default)]
pub struct Window {
    values: Vec<f64>,
    next: usize,
    capacity: usize,
}

impl Window {
    /// A ring of at most `capacity` values (1 to [`WINDOW_MAX`]).
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            values: Vec::new(),
            next: 0,
            capacity: capacity.clamp(1, WINDOW_MAX),
        }
    }

    /// Takes a value; the oldest goes when the ring is full.
    pub fn push(&mut self, value: f64) {
        if self.values.len() < self.capacity {
            self.values.push(value);
        } else if let Some(oldest) = self.values.get_mut(self.next) {
            *oldest = value;
        }
        self.next += 1;
        if self.next >= self.capacity {
            self.next = 0;
        }
    }

    /// How many values are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.values.clear();
        self.next = 0;
    }

    /// The values, not in order of time.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The upper median.
    #[must_use]
    pub fn median(&self) -> Option<f64> {
        if let Ok(values) = self.values.as_slice().try_into() {
            return Some(upper_median_of_16(values));
        }
        // The short ones are by far the most frequent: no 512 bytes are cleared for five values.
        let (mut short, mut long);
        let sorted: &mut [f64] = if self.values.len() <= SHORT {
            short = [0.0; SHORT];
            &mut short
        } else {
            long = [0.0; WINDOW_MAX];
            &mut long
        };
        let part = sorted.get_mut(..self.values.len())?;
        part.copy_from_slice(&self.values);
        upper_median(part)
    }
}

/// Comparators, written out one by one: as a loop over their places they are not kept in registers, which takes three
/// times as long.
macro_rules! compare_exchange {
    ($values:ident: $($low:literal $high:literal),+) => {
        $(
            let (a, b) = ($values[$low], $values[$high]);
            $values[$low] = if a < b { a } else { b };
            $values[$high] = if a < b { b } else { a };
        )+
    };
}

/// The upper median of 16 values without a branch, by a sorting network (60 comparators in 10 layers; M. W. Green
/// 1969, Knuth TAOCP 5.3.4). What does not lead to the ninth place is left out by the compiler.
fn upper_median_of_16(values: &[f64; 16]) -> f64 {
    let mut v = *values;
    compare_exchange!(v: 0 1, 2 3, 4 5, 6 7, 8 9, 10 11, 12 13, 14 15);
    compare_exchange!(v: 0 2, 1 3, 4 6, 5 7, 8 10, 9 11, 12 14, 13 15);
    compare_exchange!(v: 0 4, 1 5, 2 6, 3 7, 8 12, 9 13, 10 14, 11 15);
    compare_exchange!(v: 0 8, 1 9, 2 10, 3 11, 4 12, 5 13, 6 14, 7 15);
    compare_exchange!(v: 5 10, 6 9, 3 12, 13 14, 7 11, 4 8, 1 2);
    compare_exchange!(v: 1 4, 7 13, 2 8, 11 14);
    compare_exchange!(v: 2 4, 5 6, 9 10, 11 13, 3 8, 7 12);
    compare_exchange!(v: 6 8, 10 12, 3 5, 7 9);
    compare_exchange!(v: 3 4, 5 6, 7 8, 9 10, 11 12);
    compare_exchange!(v: 6 7, 8 9);
    v[8]
}

/// The upper median of `values`, which are reordered.
#[must_use]
pub fn upper_median(values: &mut [f64]) -> Option<f64> {
    let middle = values.len() / 2;
    (!values.is_empty()).then(|| *values.select_nth_unstable_by(middle, f64::total_cmp).1)
}

/// Memory of the noise estimate, in points.
const NOISE_POINTS: f64 = 32.0;
/// Memory of the lag, in points: short, so that a trend that bends is followed.
const LAG_POINTS: f64 = 8.0;
/// A deviation beyond this many mean ones (3.2 sd of a normal) is not noise.
const CLIP: f64 = 4.0;
/// Deviations before that is known.
const UNCLIPPED: u32 = 8;
/// Deviations in a row that are passed over; after these they are the new noise.
const PASSED_OVER_MAX: u8 = 16;

/// The noise of a series, from its deviations from a level that lags behind.
///
/// A falling series lies below the median of its last points by a share of the slope; that lag is tracked and
/// taken out, so that the noise is not the trend.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stray {
    lag: f64,
    mean_abs: f64,
    n: u32,
    passed_over: u8,
}

impl Stray {
    /// Takes a deviation from the level. One beyond four mean deviations is passed over, up to sixteen in a row:
    /// an outlier, or the start of a jump, is not noise.
    pub fn learn(&mut self, deviation: f64) {
        let off = deviation - self.lag;
        if self.n > UNCLIPPED && off.abs() > CLIP * self.mean_abs && self.passed_over < PASSED_OVER_MAX {
            self.passed_over += 1;
            return;
        }
        self.passed_over = 0;
        self.n = self.n.saturating_add(1);
        let n = f64::from(self.n);
        if self.n == 1 {
            self.lag = deviation;
            return;
        }
        self.mean_abs += (1.0 / (n - 1.0)).max(1.0 / NOISE_POINTS) * (off.abs() - self.mean_abs);
        self.lag += (1.0 / n).max(1.0 / LAG_POINTS) * off;
    }

    /// Standard deviation, from the mean absolute one as if normal.
    #[must_use]
    pub fn noise(&self) -> f64 {
        SD_PER_MEAN_ABS * self.mean_abs
    }

    /// Deviations taken.
    #[must_use]
    pub fn n(&self) -> u32 {
        self.n
    }
}

/// Points of the local median. Shorter than the trends of training, longer than a spike.
const LEVEL_POINTS: usize = 16;
/// The cached median is taken anew after this many points.
const REFRESH_POINTS: u8 = 8;

/// Where a noisy series is now (the median of its last 16 values), and how far it usually strays.
#[derive(Debug, Clone)]
pub struct Level {
    recent: Window,
    centre: f64,
    stray: Stray,
    age: u8,
}

impl Default for Level {
    fn default() -> Self {
        Self {
            recent: Window::new(LEVEL_POINTS),
            centre: f64::NAN,
            stray: Stray::default(),
            age: 0,
        }
    }
}

impl Level {
    /// Takes a value as one of the usual ones.
    pub fn learn(&mut self, y: f64) {
        if self.recent.len() >= 4 {
            self.stray.learn(y - self.centre);
        }
        self.recent.push(y);
        self.age += 1;
        if self.age >= REFRESH_POINTS || self.recent.len() <= LEVEL_POINTS / 2 {
            self.refresh();
        }
    }

    /// Takes the median anew from the values learnt so far.
    pub fn refresh(&mut self) {
        if let Some(median) = self.recent.median() {
            self.centre = median;
        }
        self.age = 0;
    }

    /// The local median, at most seven points old; NaN before the first value.
    #[must_use]
    pub fn centre(&self) -> f64 {
        self.centre
    }

    /// Standard deviation around it.
    #[must_use]
    pub fn noise(&self) -> f64 {
        self.stray.noise()
    }

    /// Deviations that the noise was estimated from.
    #[must_use]
    pub fn n_deviations(&self) -> u32 {
        self.stray.n()
    }
}

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
    closed: Vec<Bin>,
    capacity: usize,
    points_per_bin: u64,
    open_sum: f64,
    open_points: u64,
}

impl Bins {
    /// At most `capacity` bins; an even number from 2.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            closed: Vec::new(),
            capacity: capacity.max(2) & !1,
            points_per_bin: 1,
            open_sum: 0.0,
            open_points: 0,
        }
    }

    /// Takes a value; true when a bin was closed.
    pub fn push(&mut self, step: i64, value: f64) -> bool {
        self.open_sum += value;
        self.open_points += 1;
        if self.open_points < self.points_per_bin {
            return false;
        }
        if self.closed.len() >= self.capacity {
            self.merge_pairs();
            // The open points are now half of a bin of the new size.
            if self.open_points < self.points_per_bin {
                return false;
            }
        }
        let mean = self.open_sum / self.open_points as f64;
        self.closed.push(Bin {
            last_step: step,
            mean,
        });
        self.open_sum = 0.0;
        self.open_points = 0;
        true
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
                *slot = Bin {
                    last_step: b.last_step,
                    mean: f64::midpoint(a.mean, b.mean),
                };
            }
        }
        self.closed.truncate(half);
        self.points_per_bin = self.points_per_bin.saturating_mul(2);
    }

    /// The closed bins, oldest first.
    #[must_use]
    pub fn closed(&self) -> &[Bin] {
        &self.closed
    }

    /// Points in the closed bins.
    #[must_use]
    pub fn n_points(&self) -> u64 {
        self.points_per_bin.saturating_mul(self.closed.len() as u64)
    }

    /// Points in each closed bin.
    #[must_use]
    pub fn points_per_bin(&self) -> u64 {
        self.points_per_bin
    }

    /// Forgets the bins with points at or after `step`.
    pub fn rewind(&mut self, step: i64) {
        let keep = self.closed.partition_point(|bin| bin.last_step < step);
        self.closed.truncate(keep);
        self.open_sum = 0.0;
        self.open_points = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::{Bins, Level, Window};

    #[test]
    fn window_keeps_the_last_values() {
        let mut window = Window::new(3);
        assert_eq!(window.median(), None);
        for value in [9.0, 1.0, 5.0, 7.0, 2.0] {
            window.push(value);
        }
        let mut held = window.values().to_vec();
        held.sort_by(f64::total_cmp);
        assert_eq!(held, [2.0, 5.0, 7.0]);
        assert_eq!(window.median(), Some(5.0));
    }

    #[test]
    fn sixteen_values_have_the_median_that_sorting_finds() {
        let mut x: u32 = 1;
        for _ in 0..500 {
            let mut window = Window::new(16);
            for _ in 0..16 {
                x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                window.push(f64::from((x >> 16) % 20) - 10.0);
            }
            let mut sorted = window.values().to_vec();
            sorted.sort_by(f64::total_cmp);
            assert_eq!(window.median(), Some(sorted[8]));
        }
    }

    /// A comparator network finds the median of all values when it finds it of all zeros and ones (Knuth, the 0-1
    /// principle).
    #[test]
    fn sixteen_zeros_and_ones_have_their_median() {
        for mask in 0..=u16::MAX {
            let mut window = Window::new(16);
            (0..16).for_each(|bit| window.push(f64::from(mask >> bit & 1)));
            let expected = if mask.count_zeros() <= 8 { 1.0 } else { 0.0 };
            assert_eq!(window.median(), Some(expected), "{mask:016b}");
        }
    }

    #[test]
    fn level_ignores_one_outlier() {
        let mut level = Level::default();
        for i in 0..200 {
            level.learn(if i == 120 { 1e6 } else { f64::from(i % 2) });
        }
        assert!(level.centre() <= 1.0 && level.noise() < 2.0, "{level:?}");
    }

    #[test]
    fn level_finds_the_noise_of_a_uniform_series() {
        let mut level = Level::default();
        let mut x: u32 = 1;
        for _ in 0..5000 {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            level.learn(f64::from(x >> 8) / f64::from(1u32 << 24));
        }
        // Uniform on [0, 1]: mean absolute deviation 0.25, so the scale is 0.31 (sd 0.29).
        assert!((level.noise() - 0.31).abs() < 0.08, "{}", level.noise());
    }

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
}
