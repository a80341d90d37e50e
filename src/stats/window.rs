//! A ring of the last values of a series.
//!
//! In: plain numbers, one at a time. Out: their median. Invariant: constant memory, allocated only as points come; no
//! value is kept in more than one place, so clearing forgets.

/// Largest capacity of a [`Window`], so that a median is taken on the stack.
pub const WINDOW_MAX: usize = 64;

/// Values of a short window.
const SHORT: usize = 9;

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

/// The upper median of `values`, which are reordered.
#[must_use]
pub fn upper_median(values: &mut [f64]) -> Option<f64> {
    let middle = values.len() / 2;
    (!values.is_empty()).then(|| *values.select_nth_unstable_by(middle, f64::total_cmp).1)
}

#[cfg(test)]
mod tests {
    use super::Window;

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
}
