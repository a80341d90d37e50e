//! Where a noisy series is now, and how far it usually strays.
//!
//! In: plain numbers, one at a time. Out: a local level and the noise around it. Invariant: constant and small size, for
//! there is one for each series of thousands: values are kept in 32 bits, which is a millionth of the least noise that
//! any check counts with.

/// Standard deviation of a normal variable over its mean absolute deviation: sqrt(pi / 2).
const SD_PER_MEAN_ABS: f64 = 1.253_314_137_315_500_3;

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
fn upper_median_of_16(values: &[f32; LEVEL_POINTS]) -> f32 {
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
    /// A ring.
    recent: [f32; LEVEL_POINTS],
    n: u8,
    next: u8,
    age: u8,
    centre: f64,
    stray: Stray,
}

impl Default for Level {
    fn default() -> Self {
        Self {
            recent: [0.0; LEVEL_POINTS],
            n: 0,
            next: 0,
            age: 0,
            centre: f64::NAN,
            stray: Stray::default(),
        }
    }
}

impl Level {
    /// Takes a value as one of the usual ones.
    pub fn learn(&mut self, y: f64) {
        if self.n >= 4 {
            self.stray.learn(y - self.centre);
        }
        if let Some(place) = self.recent.get_mut(usize::from(self.next)) {
            *place = y as f32;
        }
        self.next = (self.next + 1) % LEVEL_POINTS as u8;
        self.n = (self.n + 1).min(LEVEL_POINTS as u8);
        self.age += 1;
        if self.age >= REFRESH_POINTS || usize::from(self.n) <= LEVEL_POINTS / 2 {
            self.refresh();
        }
    }

    /// Takes the median anew from the values learnt so far.
    pub fn refresh(&mut self) {
        self.age = 0;
        if usize::from(self.n) == LEVEL_POINTS {
            self.centre = f64::from(upper_median_of_16(&self.recent));
            return;
        }
        let mut recent = self.recent;
        let filled = recent.get_mut(..usize::from(self.n)).unwrap_or_default();
        let middle = filled.len() / 2;
        if !filled.is_empty() {
            self.centre = f64::from(*filled.select_nth_unstable_by(middle, f32::total_cmp).1);
        }
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

#[cfg(test)]
mod tests {
    use super::{Level, upper_median_of_16};

    #[test]
    fn sixteen_values_have_the_median_that_sorting_finds() {
        let mut x: u32 = 1;
        for _ in 0..500 {
            let mut values = [0.0_f32; 16];
            for value in &mut values {
                x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *value = ((x >> 16) % 20) as f32 - 10.0;
            }
            let mut sorted = values;
            sorted.sort_by(f32::total_cmp);
            assert!(upper_median_of_16(&values) == sorted[8]);
        }
    }

    /// A comparator network finds the median of all values when it finds it of all zeros and ones (Knuth, the 0-1
    /// principle).
    #[test]
    fn sixteen_zeros_and_ones_have_their_median() {
        for mask in 0..=u16::MAX {
            let values = std::array::from_fn(|bit| f32::from(mask >> bit & 1));
            let expected = if mask.count_zeros() <= 8 { 1.0 } else { 0.0 };
            assert!(upper_median_of_16(&values) == expected, "{mask:016b}");
        }
    }

    #[test]
    fn the_level_is_the_median_of_the_last_values_however_few() {
        let mut level = Level::default();
        let mut last = Vec::new();
        let mut x: u32 = 1;
        for _ in 0..50 {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let y = f64::from((x >> 16) % 20);
            level.learn(y);
            last.push(y);
            let mut sorted = last[last.len().saturating_sub(16)..].to_vec();
            sorted.sort_by(f64::total_cmp);
            level.refresh();
            assert!(level.centre() == sorted[sorted.len() / 2], "{last:?}");
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
}
