//! How often something must be bad before it counts: `for = "5 of 8"`.
//!
//! In: good or bad, one at a time. Out: whether it fires now. Invariant: constant size; at most 64 points are
//! remembered.

/// Points that a rule can look back over.
pub(super) const WINDOW_MAX: u32 = 64;

/// The last points of one subject, newest in the lowest bit.
#[derive(Debug, Clone, Copy)]
pub struct Persistence {
    bits: u64,
    bad_min: u8,
    window: u8,
}

impl Persistence {
    /// Fires when `bad_min` of the last `window` points were bad (both at least 1, window at most 64).
    #[must_use]
    pub fn new((bad_min, window): (u32, u32)) -> Self {
        let window = window.clamp(1, WINDOW_MAX);
        Self {
            bits: 0,
            bad_min: bad_min.clamp(1, window) as u8,
            window: window as u8,
        }
    }

    /// `None` where the first bad point fires.
    #[must_use]
    pub fn if_any(bounds: (u32, u32)) -> Option<Self> {
        (bounds != (1, 1)).then(|| Self::new(bounds))
    }

    /// Takes the next point and says whether the rule fires now. A good point never fires.
    pub fn push(&mut self, is_bad: bool) -> bool {
        let mask = if self.window == 64 {
            u64::MAX
        } else {
            (1 << self.window) - 1
        };
        self.bits = ((self.bits << 1) | u64::from(is_bad)) & mask;
        is_bad && self.bits.count_ones() >= u32::from(self.bad_min)
    }

    /// Forgets all points (a restart).
    pub fn clear(&mut self) {
        self.bits = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_of_eight() {
        let mut persistence = Persistence::new((5, 8));
        let bad = [true, false, true, true, false, true, true, false, true];
        let fired: Vec<bool> = bad.iter().map(|it| persistence.push(*it)).collect();
        assert_eq!(
            fired,
            [false, false, false, false, false, false, true, false, true]
        );
    }

    #[test]
    fn the_widest_window_works() {
        let mut persistence = Persistence::new((64, 64));
        let fired = (0..64).map(|_| persistence.push(true)).filter(|it| *it).count();
        assert_eq!(fired, 1);
    }
}
