//! When people are told, and at most how often.
//!
//! In: nothing. Out: the values that decide, and the cap on messages. Invariant: in any hour of the clock that is
//! passed in, no more messages are let through than the cap says.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use crate::model::Severity;

/// When people are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// From the first alarm of a run to its message.
    pub group_wait: SignedDuration,
    /// From a message to its repetition while an alarm stands; the last one again and again.
    pub repeat: Vec<SignedDuration>,
    /// Messages in any hour; at least one.
    pub messages_per_hour: u32,
    /// An alarm is over only when it has stayed over for this long.
    pub keep_firing_for: SignedDuration,
    /// Whether the end of what was told is told.
    pub send_resolved: bool,
    /// The least severity that is told.
    pub severity: Severity,
}

impl Policy {
    /// The wait before the repetition after so many repetitions.
    pub(super) fn repeat_after(&self, n_repeats: u32) -> Option<SignedDuration> {
        let index = usize::try_from(n_repeats).unwrap_or(usize::MAX);
        self.repeat.get(index).or(self.repeat.last()).copied()
    }

    /// How long an alarm stays after it was last seen. Each time that it came back soon doubles it, so that one
    /// that comes and goes every few minutes is told a few times, and then only that it stands.
    pub(super) fn hold(&self, n_flaps: u32) -> SignedDuration {
        const DOUBLINGS_MAX: u32 = 7;
        self.keep_firing_for
            .saturating_mul(1 << n_flaps.min(DOUBLINGS_MAX))
    }

    /// An alarm that comes back within this time of its end has not been away.
    pub(super) fn soon(&self, n_flaps: u32) -> SignedDuration {
        self.hold(n_flaps).saturating_add(HOUR)
    }
}

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// The times of the messages of the last hour.
#[derive(Debug, Clone, Default)]
pub(super) struct Cap {
    stamps: VecDeque<Timestamp>,
}

impl Cap {
    pub(super) fn of(stamps: impl IntoIterator<Item = Timestamp>) -> Self {
        Self {
            stamps: stamps.into_iter().collect(),
        }
    }

    pub(super) fn stamps(&self) -> impl Iterator<Item = Timestamp> {
        self.stamps.iter().copied()
    }

    /// Messages that may still go now.
    pub(super) fn free(&mut self, per_hour: u32, now: Timestamp) -> usize {
        while self.stamps.front().is_some_and(|it| since(*it, now) >= HOUR) {
            self.stamps.pop_front();
        }
        let max = usize::try_from(per_hour.max(1)).unwrap_or(usize::MAX);
        max.saturating_sub(self.stamps.len())
    }

    pub(super) fn take(&mut self, now: Timestamp) {
        self.stamps.push_back(now);
    }

    pub(super) fn shift(&mut self, by: SignedDuration) {
        for stamp in &mut self.stamps {
            *stamp = later(*stamp, by);
        }
    }
}

/// The time that has passed.
pub(super) fn since(then: Timestamp, now: Timestamp) -> SignedDuration {
    now.duration_since(then)
}

/// A time that much later; the ends of time stay where they are.
pub(super) fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.saturating_add(by).unwrap_or(time)
}
