//! A bounded sample of one series that can be laid beside the same series of another run, step by step.
//!
//! In: points in step order. Out: at most a fixed number of them, and running totals. Invariant: whether a step
//! is kept depends on the step and on how many were seen, never on the run, so that two runs that logged the
//! same steps keep the same steps.

/// Points of one series, thinned by a hash of the step when there are too many.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    points: Vec<(i64, f64)>,
    capacity: usize,
    /// Steps are kept when their hash ends in at least this many zeros.
    level: u32,
    /// The first finite value.
    pub first: Option<(i64, f64)>,
    /// The last value.
    pub last: Option<(i64, f64)>,
    /// Largest distance of a finite value from the first.
    pub moved: f64,
    /// Smallest step of the printed decimals, 0 when not limited.
    pub resolution: f64,
    /// First step of a NaN or infinity.
    pub nonfinite_since: Option<i64>,
}

impl Trace {
    /// An empty trace of at most this many points.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            points: Vec::new(),
            capacity: capacity.max(2),
            level: 0,
            first: None,
            last: None,
            moved: 0.0,
            resolution: 0.0,
            nonfinite_since: None,
        }
    }

    /// Takes a point; a step that goes back supersedes what came at or after it.
    pub fn add(&mut self, step: i64, value: f64, resolution: f64) {
        if self.last.is_some_and(|(last, _)| step <= last) {
            self.forget_from(step);
        }
        self.last = Some((step, value));
        self.resolution = self.resolution.max(resolution);
        if value.is_finite() {
            let (_, first) = *self.first.get_or_insert((step, value));
            self.moved = self.moved.max((value - first).abs());
        } else {
            self.nonfinite_since.get_or_insert(step);
        }
        if !is_kept(step, self.level) {
            return;
        }
        if self.points.len() >= self.capacity {
            // Every other step goes, whichever run it is from.
            self.level += 1;
            let level = self.level;
            self.points.retain(|(step, _)| is_kept(*step, level));
            if !is_kept(step, level) {
                return;
            }
        }
        self.points.push((step, value));
    }

    /// Forgets what came after `step`, and at it when anything came after it.
    pub fn rewind(&mut self, step: i64) {
        if self.last.is_some_and(|(last, _)| last > step) {
            self.forget_from(step);
        }
    }

    fn forget_from(&mut self, step: i64) {
        self.points.retain(|(at, _)| *at < step);
        self.last = self.points.last().copied();
        if self.first.is_some_and(|(at, _)| at >= step) {
            self.first = None;
        }
        if self.nonfinite_since.is_some_and(|at| at >= step) {
            self.nonfinite_since = None;
        }
        let first = self.first.map_or(0.0, |(_, value)| value);
        let distances = self
            .points
            .iter()
            .filter(|(_, value)| value.is_finite())
            .map(|(_, value)| (value - first).abs());
        self.moved = distances.fold(0.0, f64::max);
    }

    /// The kept points, oldest first.
    #[must_use]
    pub fn points(&self) -> &[(i64, f64)] {
        &self.points
    }

    /// The finite values of both at the steps that both have kept: step, own value, the other's.
    #[must_use]
    pub fn pairs(&self, other: &Self) -> Vec<(i64, f64, f64)> {
        let mut theirs = other.points.iter().peekable();
        let mut pairs = Vec::new();
        for (step, own) in &self.points {
            while theirs.next_if(|(at, _)| at < step).is_some() {}
            if let Some((_, value)) = theirs.next_if(|(at, _)| at == step)
                && own.is_finite()
                && value.is_finite()
            {
                pairs.push((*step, *own, *value));
            }
        }
        pairs
    }

    /// Whether the values moved by more than their digits and the rounding of a 32-bit sum can make up:
    /// `max(resolution, 1e-6 |first|)`. A norm that is summed in another order differs by a few 2^-23.
    #[must_use]
    pub fn has_moved(&self) -> bool {
        const ROUNDING: f64 = 1e-6;
        let first = self.first.map_or(0.0, |(_, value)| value.abs());
        self.moved > self.resolution.max(ROUNDING * first)
    }
}

/// The finalizer of splitmix64 (Steele, Lea and Flood 2014): neighbouring steps get unlike hashes, so that a
/// thinned series is not in time with a writer that logs every 10 steps.
fn is_kept(step: i64, level: u32) -> bool {
    let mut z = (step as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)).trailing_zeros() >= level
}

#[cfg(test)]
mod tests {
    use super::Trace;

    fn trace(capacity: usize, steps: impl Iterator<Item = i64>) -> Trace {
        let mut trace = Trace::new(capacity);
        steps.for_each(|step| trace.add(step, step as f64, 0.0));
        trace
    }

    #[test]
    fn runs_of_unlike_length_keep_common_steps() {
        let (short, long) = (
            trace(256, (0..3_000).map(|i| i * 10)),
            trace(256, (0..1_000_000).map(|i| i * 10)),
        );
        assert!(short.points().len() <= 256 && long.points().len() <= 256 && long.points().len() > 64);
        let in_reach = long.points().iter().filter(|(step, _)| *step < 30_000).count();
        let pairs = short.pairs(&long);
        assert_eq!(
            pairs.len(),
            in_reach,
            "every kept step of the long run is kept in the short one"
        );
        assert!(pairs.iter().all(|(step, a, b)| a == b && *a == *step as f64));
        assert_eq!(long.last, Some((9_999_990, 9_999_990.0)));
    }

    #[test]
    fn a_restart_supersedes_and_the_same_step_is_told_once() {
        let mut trace = trace(64, 0..20);
        trace.add(12, -1.0, 0.0);
        assert_eq!(trace.points().last(), Some(&(12, -1.0)));
        assert_eq!(trace.points().len(), 13);
        assert_eq!(trace.moved, 11.0);
        trace.rewind(12);
        assert_eq!(trace.points().len(), 13, "the point that caused the rewind stays");
        trace.rewind(3);
        assert_eq!(trace.points().len(), 3);
    }

    #[test]
    fn what_is_not_finite_is_told_but_not_paired() {
        let (mut a, b) = (trace(8, 0..4), trace(8, 0..8));
        a.add(4, f64::NAN, 0.0);
        assert_eq!(a.nonfinite_since, Some(4));
        assert_eq!(a.pairs(&b).len(), 4);
    }

    #[test]
    fn printed_digits_prove_nothing_below_them() {
        let mut trace = Trace::new(8);
        trace.add(0, 6.94, 0.01);
        trace.add(1, 6.95, 0.01);
        assert!(!trace.has_moved());
        trace.add(2, 6.96, 0.01);
        assert!(trace.has_moved());
        let mut binary = Trace::new(8);
        [7.0, 7.000_001, 7.0]
            .into_iter()
            .zip(0..)
            .for_each(|(value, step)| binary.add(step, value, 0.0));
        assert!(!binary.has_moved());
    }
}
