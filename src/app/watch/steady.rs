//! The time of day that does not jump.
//!
//! In: the monotonic clock and the clock of the day. Out: times that never go back, and by how much the clock of the day
//! was set. Invariant: between two settings of the clock, times differ by what has really passed.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

/// A clock of the day that is a little wrong is not set: it drifts.
const JUMP: SignedDuration = SignedDuration::from_secs(2);

/// The time of day.
#[derive(Debug)]
pub(super) struct SteadyClock {
    base: Timestamp,
    begun: Instant,
}

impl SteadyClock {
    pub(super) fn new() -> Self {
        Self {
            base: Timestamp::now(),
            begun: Instant::now(),
        }
    }

    /// The time now, and by how much the clock was set since this was last asked.
    pub(super) fn now(&mut self) -> (Timestamp, Option<SignedDuration>) {
        self.at(Timestamp::now(), Instant::now())
    }

    fn at(&mut self, wall: Timestamp, instant: Instant) -> (Timestamp, Option<SignedDuration>) {
        let passed = SignedDuration::try_from(instant.saturating_duration_since(self.begun))
            .unwrap_or(SignedDuration::MAX);
        let steady = self.base.saturating_add(passed).unwrap_or(self.base);
        let set_by = wall.duration_since(steady);
        if set_by.abs() < JUMP {
            return (steady, None);
        }
        (self.base, self.begun) = (wall, instant);
        (wall, Some(set_by))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::SignedDuration;

    use super::SteadyClock;

    #[test]
    fn a_clock_that_is_set_is_noticed_once_and_drift_is_not() {
        let mut clock = SteadyClock::new();
        let (base, begun) = (clock.base, clock.begun);
        let at = |clock: &mut SteadyClock, wall: i64, passed: u64| {
            let wall = base + SignedDuration::from_secs(wall);
            let (time, set_by) = clock.at(wall, begun + Duration::from_secs(passed));
            (time.duration_since(base).as_secs(), set_by.map(|it| it.as_secs()))
        };
        assert_eq!(at(&mut clock, 10, 10), (10, None));
        assert_eq!(at(&mut clock, 21, 20), (20, None), "drift");
        assert_eq!(at(&mut clock, 3630, 30), (3630, Some(3600)));
        assert_eq!(at(&mut clock, 3640, 40), (3640, None));
        assert_eq!(at(&mut clock, 50, 50), (50, Some(-3600)));
        assert_eq!(at(&mut clock, 60, 60), (60, None));
    }
}
