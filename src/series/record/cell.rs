//! Neighbouring points in one place of a picture.
//!
//! In: values. Out: smallest, largest and last finite value, how many points, and which kinds of non-finite ones.
//! Invariant: joining cells in order gives the same cell as adding their points in order.

/// A NaN was among the points.
pub const HAS_NAN: u8 = 1;
/// A positive infinity was among the points.
pub const HAS_POSITIVE_INFINITY: u8 = 2;
/// A negative infinity was among the points.
pub const HAS_NEGATIVE_INFINITY: u8 = 4;

/// Neighbouring points, summarised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// Smallest finite value; infinity when there is none.
    pub min: f64,
    /// Largest finite value; -infinity when there is none.
    pub max: f64,
    /// Last finite value; NaN when there is none.
    pub last: f64,
    /// Points; 0 when nothing was logged here.
    pub n: u32,
    /// Non-finite points.
    pub n_nonfinite: u32,
    /// Which kinds of non-finite points: [`HAS_NAN`], [`HAS_POSITIVE_INFINITY`], [`HAS_NEGATIVE_INFINITY`].
    pub kinds: u8,
}

impl Default for Cell {
    fn default() -> Self {
        Self {
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            last: f64::NAN,
            n: 0,
            n_nonfinite: 0,
            kinds: 0,
        }
    }
}

impl Cell {
    /// Takes a point.
    pub fn add(&mut self, value: f64) {
        self.n = self.n.saturating_add(1);
        if value.is_finite() {
            self.min = self.min.min(value);
            self.max = self.max.max(value);
            self.last = value;
            return;
        }
        self.n_nonfinite = self.n_nonfinite.saturating_add(1);
        self.kinds |= if value.is_nan() {
            HAS_NAN
        } else if value > 0.0 {
            HAS_POSITIVE_INFINITY
        } else {
            HAS_NEGATIVE_INFINITY
        };
    }

    /// Takes the points of a later cell.
    pub fn join(&mut self, later: &Cell) {
        self.min = self.min.min(later.min);
        self.max = self.max.max(later.max);
        if !later.last.is_nan() {
            self.last = later.last;
        }
        self.n = self.n.saturating_add(later.n);
        self.n_nonfinite = self.n_nonfinite.saturating_add(later.n_nonfinite);
        self.kinds |= later.kinds;
    }

    /// Whether nothing was logged here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// The value that stands for the cell: a non-finite one when there is any (NaN before infinity), else the
    /// last; `None` when nothing was logged.
    #[must_use]
    pub fn shown(&self) -> Option<f64> {
        match self.kinds {
            _ if self.is_empty() => None,
            0 => Some(self.last),
            kinds if kinds & HAS_NAN != 0 => Some(f64::NAN),
            kinds if kinds & HAS_POSITIVE_INFINITY != 0 => Some(f64::INFINITY),
            _ => Some(f64::NEG_INFINITY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joining_is_adding() {
        let values = [1.0, f64::NAN, -3.0, f64::INFINITY, 2.0, f64::NEG_INFINITY];
        let mut whole = Cell::default();
        for it in values {
            whole.add(it);
        }
        for split in 0..=values.len() {
            let (mut a, mut b) = (Cell::default(), Cell::default());
            values[..split].iter().for_each(|it| a.add(*it));
            values[split..].iter().for_each(|it| b.add(*it));
            a.join(&b);
            assert_eq!(
                (a.min, a.max, a.last, a.n, a.n_nonfinite, a.kinds),
                (-3.0, 2.0, 2.0, 6, 3, 7),
                "{split}"
            );
        }
        assert_eq!(whole.n, 6);
    }

    #[test]
    fn what_is_not_finite_is_shown_first() {
        let mut cell = Cell::default();
        assert_eq!(cell.shown(), None);
        cell.add(4.0);
        assert_eq!(cell.shown(), Some(4.0));
        cell.add(f64::INFINITY);
        assert_eq!(cell.shown(), Some(f64::INFINITY));
        cell.add(f64::NAN);
        assert!(cell.shown().is_some_and(f64::is_nan));
    }
}
